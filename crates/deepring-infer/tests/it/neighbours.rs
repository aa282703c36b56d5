//! Neighbours check each other: whoever sends what the sealed parameters do not give is refused by the next host,
//! who does not hold these parameters.

mod honest;
mod sealed;

use std::sync::Arc;

use deepring::receipt::{Chain, Checked, Item, Parcel, batch_digest, tensors_digest};
use deepring::{AuthenticRing, Check, DType, Digest, Finding, Header, PartKind, TensorValue};
use deepring_infer::{CutPolicy, RingHost, Rten, RunError};

use crate::graphs::{FLOAT, Net};
use crate::zoo::{Sealed, answer, floats, host, images, network, tensor};

type Batch = Vec<Vec<TensorValue>>;

const NOT_GIVEN: &str = "what the host of this block gave is not what the sealed parameters give";

fn digest_of(batch: &Batch) -> Digest {
    batch_digest(&batch.iter().map(|t| tensors_digest(t)).collect::<Vec<_>>())
}

/// Two hosts of LeNet's five blocks.
struct Parties {
    ring: Sealed,
    shared: Arc<AuthenticRing>,
    engine: Arc<Rten>,
}

impl Parties {
    fn of(hosts: &[(&str, u8)], neighbour_checks: bool) -> Self {
        let ring = Sealed::with(&network("fashion-lenet5"), CutPolicy::Op, hosts, neighbour_checks);
        let shared = Arc::new(ring.ring());
        Self { ring, shared, engine: Arc::new(Rten::new(1.try_into().ok())) }
    }

    fn host(&self, seed: u8, blocks: &[u32], check: Check) -> RingHost<Rten> {
        let (ring, engine) = (Arc::clone(&self.shared), Arc::clone(&self.engine));
        let mut opened = RingHost::open(ring, engine, host(seed), 0..0, check, &|_| ()).unwrap();
        for block in blocks {
            opened.load_block(*block).unwrap();
        }
        opened
    }

    fn header(&self, block: u32) -> &Header {
        &self.shared.headers()[block as usize]
    }
}

/// What a host has at hand when it decides what to send.
#[derive(Clone)]
struct Sent {
    /// The chain as it came to the host.
    before: Chain,
    /// The chain with the host's receipt.
    after: Chain,
    outputs: Batch,
    witness: Batch,
}

impl Sent {
    /// An honest run of some blocks.
    fn honest(
        host: &RingHost<Rten>,
        chain: &Chain,
        given: &Batch,
        blocks: std::ops::Range<u32>,
    ) -> Self {
        let mut after = chain.clone();
        let ran = host.run_with_witness(&mut after, given, blocks).unwrap();
        Self { before: chain.clone(), after, outputs: ran.outputs, witness: ran.witness }
    }

    /// The parcel as a host signs it who says of what it sends that it computed it.
    fn signed_by(&self, liar: u8, to: u8) -> Parcel {
        let honest = self.after.receipts().last().unwrap();
        let checked = Checked::new(honest.check, honest.rotation, honest.coverage.clone()).unwrap();
        let mut chain = self.before.clone();
        chain.extend(&host(liar), honest.blocks.clone(), checked, digest_of(&self.outputs));
        let parcel =
            Parcel::seal_with_witness(chain, &self.outputs, &self.witness, &host(to).public());
        Parcel::decode(&parcel.unwrap().encode()).unwrap()
    }

    fn witnessed(&mut self, name: &str) -> &mut TensorValue {
        self.witness[0].iter_mut().find(|t| t.name() == name).unwrap()
    }
}

fn scaled(t: &TensorValue, by: f32) -> TensorValue {
    let values: Vec<f32> = floats(t).iter().map(|v| v * by).collect();
    tensor(t.name(), t.dims(), &values)
}

fn finding(refused: Result<(Chain, Batch), RunError>) -> Finding {
    match refused {
        Err(RunError::Tampered(finding)) => finding,
        Err(other) => panic!("refused as something else: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

/// The values that a block's host shows besides what it was given.
fn inner<'a>(sent: &'a Sent, header: &Header) -> Vec<&'a TensorValue> {
    let is_input = |t: &&TensorValue| !header.inputs.iter().any(|s| s.name == t.name());
    sent.witness[0].iter().filter(is_input).collect()
}

/// Hosts 1 and 2 in turns; host 2 has computed block 2, its second convolution.
struct Second {
    parties: Parties,
    sent: Sent,
    /// What block 2 was given.
    given: Batch,
}

impl Second {
    fn new() -> Self {
        let parties = Parties::of(&[("1,3,5", 1), ("2,4", 2)], true);
        let (first, second) =
            (parties.host(1, &[1], Check::Compute), parties.host(2, &[2], Check::Compute));
        let batch = vec![vec![images(0, 2)]];
        let chain = first.begin(&batch, 1).unwrap();
        let one = Sent::honest(&first, &chain, &batch, 1..2);
        let (chain, given) = second.accept(one.signed_by(1, 2)).unwrap();
        let sent = Sent::honest(&second, &chain, &given, 2..3);
        Self { parties, sent, given }
    }

    fn third(&self, check: Check) -> RingHost<Rten> {
        self.parties.host(1, &[3], check)
    }

    /// Refused by a neighbour who checks, accepted by one who does not.
    fn refused(&self, lie: &Sent) -> Finding {
        let (_, taken) = self.third(Check::Load).accept(lie.signed_by(2, 1)).unwrap();
        assert_eq!(taken, lie.outputs, "load takes whatever was signed");
        let finding = finding(self.third(Check::Compute).accept(lie.signed_by(2, 1)));
        assert_eq!(finding.block, Some(2));
        assert_eq!(finding.name.as_deref(), Some("conv2"));
        finding
    }
}

#[test]
fn what_the_sealed_parameters_give_is_accepted_to_the_bit() {
    let second = Second::new();
    let (chain, taken) = second.third(Check::Compute).accept(second.sent.signed_by(2, 1)).unwrap();
    assert_eq!(taken, second.sent.outputs);
    assert_eq!(chain.receipts().len(), 2);
}

#[test]
fn made_up_outputs_are_refused_whatever_their_receipt_says() {
    let second = Second::new();
    for by in [0.0, 0.99, 1.01, -1.0, f32::NAN] {
        let mut lie = second.sent.clone();
        lie.outputs[0][0] = scaled(&lie.outputs[0][0], by);
        let finding = second.refused(&lie);
        assert_eq!(finding.reason, NOT_GIVEN, "{by}");
        assert_eq!(finding.tensor, None);
    }
}

#[test]
fn one_changed_element_is_enough() {
    let second = Second::new();
    let honest = &second.sent.outputs[0][0];
    let mut values = floats(honest);
    let peak = values.iter().fold(0f32, |m, v| m.max(v.abs()));
    let last = values.len() - 1;
    values[last] += peak / 1000.0;
    let mut lie = second.sent.clone();
    lie.outputs[0][0] = tensor(honest.name(), honest.dims(), &values);
    assert_eq!(second.refused(&lie).reason, NOT_GIVEN);
}

/// Twice the sums give twice the outputs, since nothing but maxima follows: only the projection tells.
#[test]
fn outputs_that_follow_from_made_up_products_are_refused_naming_the_weights() {
    let second = Second::new();
    let names: Vec<_> =
        inner(&second.sent, second.parties.header(2)).iter().map(|t| t.name().to_owned()).collect();
    assert_eq!(names.len(), 1, "one convolution: {names:?}");
    for by in [2.0, 1.01, 0.5] {
        let mut lie = second.sent.clone();
        lie.outputs[0][0] = scaled(&lie.outputs[0][0], by);
        *lie.witnessed(&names[0]) = scaled(lie.witnessed(&names[0]), by);
        let finding = second.refused(&lie);
        assert_eq!(finding.reason, NOT_GIVEN);
        assert_eq!(finding.tensor.as_deref(), Some("conv2.weight"), "{by}");
    }
}

#[test]
fn who_shows_nothing_or_not_all_is_refused() {
    let second = Second::new();
    let reason = "the host of this block does not show what it computed";
    let mut lie = second.sent.clone();
    lie.witness.clear();
    assert_eq!(second.refused(&lie).reason, reason);
    lie.witness = vec![second.sent.witness[0].clone(); 2];
    assert_eq!(second.refused(&lie).reason, reason);
    let name = inner(&second.sent, second.parties.header(2))[0].name().to_owned();
    lie.witness = vec![second.sent.witness[0].clone()];
    lie.witness[0].retain(|t| t.name() != name);
    assert_eq!(second.refused(&lie).reason, reason);
}

#[test]
fn a_single_block_on_other_inputs_than_it_was_given_is_refused() {
    let second = Second::new();
    let other = {
        let first = second.parties.host(1, &[1], Check::Compute);
        let batch = vec![vec![images(7, 9)]];
        let mut chain = first.begin(&batch, 1).unwrap();
        first.run(&mut chain, &batch, 1..2).unwrap().0
    };
    assert_ne!(other, second.given);
    let host = second.parties.host(2, &[2], Check::Compute);
    let lie = Sent::honest(&host, &second.sent.before, &other, 2..3);
    let reason =
        "what the host of this block shows as its inputs is not what the record before names";
    assert_eq!(second.refused(&lie).reason, reason);
    // Showing the right inputs beside results of others does not help.
    let mut lie = lie;
    let name = second.given[0][0].name().to_owned();
    *lie.witnessed(&name) = second.given[0][0].clone();
    let finding = second.refused(&lie);
    assert_eq!(
        (finding.reason.as_str(), finding.tensor.as_deref()),
        (NOT_GIVEN, Some("conv2.weight"))
    );
}

/// The place of what must be computed cannot be taken by what is only shown, nor can one name stand for two
/// tensors.
#[test]
fn what_must_be_computed_cannot_be_shown_instead() {
    let second = Second::new();
    let mut lie = second.sent.clone();
    lie.outputs[0][0] = scaled(&lie.outputs[0][0], 3.0);
    let made_up = lie.outputs[0][0].clone();
    lie.witness[0].push(made_up.clone());
    assert_eq!(second.refused(&lie).reason, NOT_GIVEN);
    let mut lie = second.sent.clone();
    lie.outputs[0].push(made_up);
    assert_eq!(second.refused(&lie).reason, "the host of this block gives two tensors of one name");
}

/// A part of a picture has right sums too.
#[test]
fn a_product_of_another_shape_is_refused() {
    let second = Second::new();
    let name = inner(&second.sent, second.parties.header(2))[0].name().to_owned();
    let mut lie = second.sent.clone();
    let honest = lie.witnessed(&name).clone();
    let [n, c, h, w] = *honest.dims() else { panic!("a picture") };
    let values = floats(&honest);
    let rows: Vec<f32> = values
        .chunks((h * w) as usize)
        .flat_map(|p| &p[..((h - 2) * w) as usize])
        .copied()
        .collect();
    *lie.witnessed(&name) = tensor(&name, &[n, c, h - 2, w], &rows);
    assert_eq!(second.refused(&lie).reason, NOT_GIVEN);
}

#[test]
fn the_last_block_is_checked_by_the_host_of_the_first_who_plays_genesis() {
    let parties = Parties::of(&[("1-4", 1), ("5", 2)], true);
    let blocks = [1, 2, 3, 4];
    let first = parties.host(1, &blocks, Check::Compute);
    let last = parties.host(2, &[5], Check::Compute);
    let batch = vec![vec![images(0, 1)]];
    let chain = first.begin(&batch, 1).unwrap();
    let one = Sent::honest(&first, &chain, &batch, 1..5);
    let (chain, given) = last.accept(one.signed_by(1, 2)).unwrap();
    let sent = Sent::honest(&last, &chain, &given, 5..6);
    let close = |(chain, outputs): (Chain, Batch)| {
        let item = Item { inputs: tensors_digest(&batch[0]), outputs: tensors_digest(&outputs[0]) };
        first.close(chain, vec![item]).unwrap().verify(&parties.shared).unwrap();
    };
    close(first.accept(sent.signed_by(2, 1)).unwrap());
    // Another class comes out on top.
    let mut lie = sent.clone();
    let honest = &sent.outputs[0][0];
    let turned: Vec<f32> = floats(honest).into_iter().rev().collect();
    lie.outputs[0][0] = tensor(honest.name(), honest.dims(), &turned);
    let name = honest.name().to_owned();
    if lie.witness[0].iter().any(|t| t.name() == name) {
        *lie.witnessed(&name) = lie.outputs[0][0].clone();
    }
    let finding = finding(first.accept(lie.signed_by(2, 1)));
    assert_eq!((finding.block, finding.reason.as_str()), (Some(5), NOT_GIVEN));
    let trusting = parties.host(1, &blocks, Check::Load);
    close(trusting.accept(lie.signed_by(2, 1)).unwrap());
}

/// What goes into the last block of a longer stretch has no digest of its own: a host that runs several blocks
/// can put another picture's values there.
#[test]
fn the_inner_blocks_of_a_stretch_are_checked_by_nobody_else() {
    let parties = Parties::of(&[("1-2", 1), ("3-5", 2)], true);
    let (first, second) =
        (parties.host(1, &[1, 2], Check::Compute), parties.host(2, &[3, 4, 5], Check::Compute));
    let (batch, other) = (vec![vec![images(0, 1)]], vec![vec![images(5, 6)]]);
    let chain = first.begin(&batch, 1).unwrap();
    let lie = Sent::honest(&first, &chain, &other, 1..3);
    let (_, taken) = second.accept(lie.signed_by(1, 2)).unwrap();
    assert_eq!(taken, lie.outputs);
    // Its last block is held all the same.
    let mut lie = lie;
    lie.outputs[0][0] = scaled(&lie.outputs[0][0], 1.5);
    assert_eq!(finding(second.accept(lie.signed_by(1, 2))).block, Some(2));
}

/// Operators with parameters that are not linear are believed as they are shown; everything around them is not.
#[test]
fn what_is_not_linear_is_believed_and_what_follows_from_it_is_not() {
    let mut net = Net::new(1);
    net.input("x", FLOAT, &["2", "8"]).output("y", FLOAT);
    net.floats(
        "w1",
        &[8, 8],
        &(0..64).map(|i| ((i * 37 % 19) as f32 - 9.0) / 9.0).collect::<Vec<_>>(),
    );
    net.floats("scale", &[8], &[1.5; 8]);
    net.floats("bound", &[], &[6.0]);
    net.floats(
        "w2",
        &[8, 4],
        &(0..32).map(|i| ((i * 29 % 17) as f32 - 8.0) / 8.0).collect::<Vec<_>>(),
    );
    net.node("MatMul", &["x", "w1"], "a");
    net.node("Mul", &["a", "scale"], "b");
    net.node("Min", &["b", "bound"], "c");
    net.node("MatMul", &["c", "w2"], "y");
    let folder = tempfile::tempdir().unwrap();
    let path = net.save(folder.path());
    let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[("1", 1), ("2", 2)]);
    let input = tensor("x", &[2, 8], &(0..16).map(|i| i as f32 / 8.0).collect::<Vec<_>>());
    let session = ring.session_of(&[1, 2], Check::Compute, 1);
    let single = Sealed::new(&path, CutPolicy::Op).session(Check::Compute);
    assert_eq!(answer(&session, &input), answer(&single, &input));

    let shared = Arc::new(ring.ring());
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let open = |seed, blocks| {
        let (ring, engine) = (Arc::clone(&shared), Arc::clone(&engine));
        RingHost::open(ring, engine, host(seed), blocks, Check::Compute, &|_| ()).unwrap()
    };
    let (first, second) = (open(1, 1..2), open(2, 2..3));
    let batch = vec![vec![input]];
    let chain = first.begin(&batch, 1).unwrap();
    let honest = Sent::honest(&first, &chain, &batch, 1..2);
    second.accept(honest.signed_by(1, 2)).unwrap();
    let header = &shared.headers()[1];
    let names: Vec<_> = inner(&honest, header).iter().map(|t| t.name()).collect();
    assert_eq!(names, ["a", "b"]);
    // Whoever shows another `b` is believed. What is sent must follow from it all the same.
    let mut lie = honest.clone();
    *lie.witnessed("b") = tensor("b", &[2, 8], &[2.0; 16]);
    assert_eq!(finding(second.accept(lie.signed_by(1, 2))).block, Some(1));
    lie.outputs[0][0] = tensor("c", &[2, 8], &[2.0; 16]);
    second.accept(lie.signed_by(1, 2)).unwrap();
    // The bound of one element is no secret, and holds.
    *lie.witnessed("b") = tensor("b", &[2, 8], &[7.0; 16]);
    lie.outputs[0][0] = tensor("c", &[2, 8], &[7.0; 16]);
    assert_eq!(finding(second.accept(lie.signed_by(1, 2))).reason, NOT_GIVEN);
    // Nor does the projection let `a` be anything.
    let mut lie = honest.clone();
    *lie.witnessed("a") = scaled(lie.witnessed("a"), 1.5);
    assert_eq!(finding(second.accept(lie.signed_by(1, 2))).tensor.as_deref(), Some("w1"));
    assert_eq!(lie.witnessed("a").dtype(), DType::F32);
}

/// Whoever changes the check in the neighbour's memory, to have lies believed, is detected.
#[cfg(target_os = "linux")]
#[test]
fn a_check_that_was_changed_in_live_memory_is_named() {
    let second = Second::new();
    let mut third = second.third(Check::Compute);
    let part =
        second.parties.header(3).parts.iter().find(|p| p.kind == PartKind::Check(2)).unwrap();
    let at = part.end() as usize - 30;
    crate::live_memory::flip(third.live_bytes(3).unwrap(), at, 1);
    let changed = finding(third.accept(second.sent.signed_by(2, 1)));
    assert_eq!(changed.block, Some(3));
    assert_eq!(changed.tensor.as_deref(), Some("check"));
    assert_eq!(changed.bytes, Some([at as u64, at as u64 + 1]));
    third.load_block(3).unwrap();
    third.accept(second.sent.signed_by(2, 1)).unwrap();
}

/// A residual network's values pass blocks that do not look at them; their hosts may not change them.
#[test]
fn what_only_passes_a_block_must_leave_it_as_it_came() {
    let path = network("fashion-resnet8");
    let count = Sealed::new(&path, CutPolicy::Op).ring().layers().len() as u32;
    let turns = |from: u32| -> String {
        (from..=count).step_by(2).map(|b| b.to_string()).collect::<Vec<_>>().join(",")
    };
    let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[(&turns(1), 1), (&turns(2), 2)]);
    let shared = Arc::new(ring.ring());
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let hosts = [1u8, 2].map(|seed| {
        let (ring, engine) = (Arc::clone(&shared), Arc::clone(&engine));
        let check = Check::Compute;
        let mut opened = RingHost::open(ring, engine, host(seed), 0..0, check, &|_| ()).unwrap();
        (u32::from(seed)..=count).step_by(2).for_each(|b| opened.load_block(b).unwrap());
        opened
    });
    let mut given = vec![vec![images(0, 1)]];
    let mut chain = hosts[0].begin(&given, 1).unwrap();
    let mut met = 0;
    for block in 1..count {
        let (at, next) = ((block as usize + 1) % 2, block as usize % 2);
        let sent = Sent::honest(&hosts[at], &chain, &given, block..block + 1);
        let [sender, receiver] = [at as u8 + 1, next as u8 + 1];
        let header = &shared.headers()[block as usize];
        let passing = |t: &TensorValue| !header.outputs.iter().any(|o| o.name == t.name());
        if let Some(place) = sent.outputs[0].iter().position(passing) {
            let mut lie = sent.clone();
            lie.outputs[0][place] = scaled(&lie.outputs[0][place], 1.001);
            let finding = finding(hosts[next].accept(lie.signed_by(sender, receiver)));
            assert_eq!(finding.block, Some(block));
            assert_eq!(
                finding.reason,
                "the host of this block passes on other tensors than it was given"
            );
            met += 1;
        }
        (chain, given) = hosts[next].accept(sent.signed_by(sender, receiver)).unwrap();
    }
    assert!(met >= 3, "three residual blocks, so as many sums that skip one: {met}");
}

/// The other side of showing: who is shown what went in and what came out can solve for what is between.
#[test]
fn what_a_host_shows_can_give_its_weights_to_the_next_host() {
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["4", "4"]).output("y", FLOAT);
    let (w, v) = (net.param("w", &[4, 4]), net.param("v", &[4, 2]));
    let wanted = net.graph.initializer[0].raw_data.clone().unwrap();
    net.node("MatMul", &["x", &w], "a");
    net.node("Softmax", &["a"], "b");
    net.node("MatMul", &["b", &v], "y");
    let folder = tempfile::tempdir().unwrap();
    let path = net.save(folder.path());
    let unit: Vec<f32> = (0..16).map(|i| f32::from(u8::from(i % 5 == 0))).collect();
    for neighbour_checks in [true, false] {
        let ring = Sealed::with(&path, CutPolicy::Op, &[("1", 1), ("2", 2)], neighbour_checks);
        let engine = Arc::new(Rten::new(1.try_into().ok()));
        let shared = Arc::new(ring.ring());
        let first = RingHost::open(shared, engine, host(1), 1..2, Check::Compute, &|_| ()).unwrap();
        let batch = vec![vec![tensor("x", &[4, 4], &unit)]];
        let chain = first.begin(&batch, 1).unwrap();
        let sent = Sent::honest(&first, &chain, &batch, 1..2);
        let shown = sent.witness.iter().flatten().any(|t| t.data() == wanted.as_slice());
        assert_eq!(shown, neighbour_checks, "the owner decides when sealing");
    }
}
