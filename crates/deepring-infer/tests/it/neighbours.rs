//! Neighbours check each other: whoever sends what the sealed parameters do not give is refused by the next host,
//! who does not hold these parameters.

use std::sync::Arc;

use deepring::block::OpenError;
use deepring::receipt::{Chain, Checked, Item, Parcel, batch_digest, tensors_digest};
use deepring::{
    AuthenticRing, Check, DType, Digest, Finding, Header, OpeningKey, Owner, PartKind, SecretKey,
    TensorValue,
};
use deepring_infer::sealing::Blocks;
use deepring_infer::{CutPolicy, RingHost, Rten, RunError, Seal};

use crate::graphs::{FLOAT, INT64, Net, int, ints};
use crate::zoo::{
    NETWORKS, SAMPLE, Sealed, answer, difference, floats, host, images, network, shared, tensor,
};

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

#[test]
fn however_blocks_are_spread_the_neighbours_agree_with_one_host() {
    let input = images(0, 3);
    for (name, _) in NETWORKS {
        let path = network(name);
        let single = Sealed::new(&path, CutPolicy::Op);
        let wanted = answer(&single.session(Check::Compute), &input);
        let count = single.ring().layers().len();
        let numbers = |first: usize, step: usize| -> String {
            let all: Vec<_> = (first..=count).step_by(step).map(|b| b.to_string()).collect();
            all.join(",")
        };
        let half = count / 2;
        let spreads = [
            [numbers(1, 2), numbers(2, 2)],
            [format!("1-{half}"), format!("{}-{count}", half + 1)],
            [format!("1-{half},{count}"), format!("{}-{}", half + 1, count - 1)],
            [format!("1,{count}"), format!("2-{}", count - 1)],
        ];
        for [a, b] in &spreads {
            let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[(a, 1), (b, 2)]);
            let session = ring.session_of(&[1, 2], Check::Compute, 2);
            assert_eq!(answer(&session, &input), wanted, "{name}: {a} and {b}");
            let batch = vec![vec![images(0, 1)], vec![images(1, 4)]];
            let outcome = session.run_batch(batch.clone()).unwrap();
            outcome.decision.verify(&ring.ring()).unwrap();
            for (inputs, outputs) in batch.iter().zip(&outcome.outputs) {
                assert_eq!(outputs[0], answer(&single.session(Check::Compute), &inputs[0]));
            }
        }
        // Larger blocks, with several linear operators and residual sums in one.
        let cut = CutPolicy::Count(3.try_into().unwrap());
        let ring = Sealed::for_hosts(&path, cut, &[("1,3", 1), ("2", 2)]);
        let session = ring.session_of(&[1, 2], Check::Compute, 2);
        assert!(difference(&answer(&session, &input), &wanted) < 1e-5, "{name} in three blocks");
    }
}

#[test]
fn a_ring_without_checks_runs_and_its_hosts_show_nothing() {
    let hosts = [("1,3,5", 1), ("2,4", 2)];
    let (with, without) = (Parties::of(&hosts, true), Parties::of(&hosts, false));
    let checks = |p: &Parties| -> Vec<u32> {
        let parts = p.shared.layers().iter().flat_map(|h| &h.parts);
        parts
            .filter_map(|p| if let PartKind::Check(of) = p.kind { Some(of) } else { None })
            .collect()
    };
    assert_eq!(checks(&with), [5, 1, 2, 3, 4]);
    assert!(checks(&without).is_empty());
    let first = without.host(1, &[1], Check::Compute);
    let batch = vec![vec![images(0, 1)]];
    let chain = first.begin(&batch, 1).unwrap();
    assert!(Sent::honest(&first, &chain, &batch, 1..2).witness.is_empty());
    let input = images(0, 2);
    let answers =
        [&with, &without].map(|p| answer(&p.ring.session_of(&[1, 2], Check::Compute, 1), &input));
    assert_eq!(answers[0], answers[1]);
    // Nothing is shown either where nobody checks.
    let first = with.host(1, &[1], Check::Run);
    let chain = first.begin(&batch, 1).unwrap();
    assert!(Sent::honest(&first, &chain, &batch, 1..2).witness.is_empty());
}

/// The bytes of the check that a block carries.
fn check_in(ring: &Sealed, block: u32) -> Vec<u8> {
    let authentic = ring.ring();
    let header = &authentic.headers()[block as usize];
    let mut plain = vec![0; header.plain_len as usize];
    authentic.open_block(block, OpeningKey::Owner(&ring.owner), &mut plain).unwrap();
    let part = header.parts.iter().find(|p| matches!(p.kind, PartKind::Check(_))).unwrap();
    plain[part.offset as usize..part.end() as usize].to_vec()
}

#[test]
fn each_sealing_draws_its_own_vectors_and_none_is_a_parameter() {
    let path = network("fashion-lenet5");
    let rings = [(); 2].map(|()| Sealed::new(&path, CutPolicy::Op));
    for block in 1..=5 {
        let [a, b] = [&rings[0], &rings[1]].map(|r| check_in(r, block));
        assert_eq!(a.len(), b.len());
        let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        assert!(same < a.len(), "block {block}");
        // Behind the names, all numbers differ but where a sum of squares has the same power of two.
        let differ = a[same..].iter().zip(&b[same..]).filter(|(a, b)| a != b).count();
        assert!(differ * 2 > a.len() - same, "block {block}: {differ} of {}", a.len() - same);
    }
}

#[test]
fn the_host_of_a_block_cannot_open_the_check_of_it() {
    let ring =
        Sealed::for_hosts(&network("fashion-lenet5"), CutPolicy::Op, &[("1,3-5", 1), ("2", 2)]);
    let authentic = ring.ring();
    let carrier = &authentic.headers()[3];
    assert!(carrier.parts.iter().any(|p| p.kind == PartKind::Check(2)));
    let mut plain = vec![0; carrier.plain_len as usize];
    let refused = authentic.open_block(3, OpeningKey::Host(&host(2)), &mut plain).unwrap_err();
    assert!(matches!(refused, OpenError::NotForThisKey { index: 3, .. }));
    assert!(plain.iter().all(|b| *b == 0));
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

/// Embeddings by integer ids, attention, normalisations, and shapes that each query decides.
fn transformer() -> Net {
    let mut net = Net::new(11);
    net.input("ids", INT64, &["n", "t"]).output("y", FLOAT);
    let table = net.param("table", &[50, 8]);
    net.node("Gather", &[&table, "ids"], "e");
    let norm = |net: &mut Net, x: &str, y: &str| {
        let (scale, shift) =
            (net.param(&format!("{y}.s"), &[8]), net.param(&format!("{y}.b"), &[8]));
        net.node("LayerNormalization", &[x, &scale, &shift], y);
    };
    norm(&mut net, "e", "n1");
    for (i, name) in ["q", "k", "v"].into_iter().enumerate() {
        let (w, b) =
            (net.param(&format!("w{name}"), &[8, 8]), net.param(&format!("b{name}"), &[8]));
        net.node("MatMul", &["n1", &w], &format!("{name}0"));
        net.node("Add", &[&format!("{name}0"), &b], &format!("{name}1"));
        // Heads: n × t × 8 to n × t × 2 × 4, sizes taken from the value itself.
        net.node("Shape", &[&format!("{name}1")], &format!("{name}s"));
        let (from, to) =
            (net.ints(&format!("{name}0i"), &[0]), net.ints(&format!("{name}2i"), &[2]));
        net.node("Slice", &[&format!("{name}s"), &from, &to], &format!("{name}nt"));
        let heads = net.ints(&format!("{name}h"), &[2, 4]);
        net.node("Concat", &[&format!("{name}nt"), &heads], &format!("{name}r")).attribute =
            vec![int("axis", 0)];
        net.node("Reshape", &[&format!("{name}1"), &format!("{name}r")], &format!("{name}2"));
        let order: &[i64] = if i == 1 { &[0, 2, 3, 1] } else { &[0, 2, 1, 3] };
        net.node("Transpose", &[&format!("{name}2")], name).attribute = vec![ints("perm", order)];
    }
    net.node("MatMul", &["q", "k"], "scores");
    let half = net.floats("half", &[], &[0.5]);
    net.node("Mul", &["scores", &half], "scaled");
    net.node("Softmax", &["scaled"], "weights").attribute = vec![int("axis", -1)];
    net.node("MatMul", &["weights", "v"], "mixed");
    net.node("Transpose", &["mixed"], "back").attribute = vec![ints("perm", &[0, 2, 1, 3])];
    let joined = net.ints("joined", &[0, 0, 8]);
    net.node("Reshape", &["back", &joined], "flat");
    let wo = net.param("wo", &[8, 8]);
    net.node("MatMul", &["flat", &wo], "o");
    net.node("Add", &["o", "e"], "r");
    norm(&mut net, "r", "n2");
    let (up, down) = (net.param("up", &[8, 16]), net.param("down", &[16, 8]));
    net.node("MatMul", &["n2", &up], "u");
    net.node("Sigmoid", &["u"], "g");
    net.node("Mul", &["u", "g"], "a");
    net.node("MatMul", &["a", &down], "d");
    net.node("Add", &["d", "r"], "z");
    net.node("ReduceMean", &["z"], "pooled").attribute =
        vec![ints("axes", &[1]), int("keepdims", 0)];
    net.dense("pooled", "y", 8, 3);
    net
}

#[test]
fn a_transformer_passes_between_two_hosts_that_check_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = transformer().save(folder.path());
    let three = CutPolicy::Count(3.try_into().unwrap());
    for (cut, wanted) in [(CutPolicy::Op, (8, &[2][..])), (three, (3, &[2]))] {
        let single = Sealed::new(&path, cut);
        let ring = single.ring();
        let count = ring.layers().len();
        let checks = |h: &Header| h.parts.iter().any(|p| matches!(p.kind, PartKind::Check(_)));
        // The table and its normalisation alone make a block of which nothing can be checked.
        let without: Vec<_> =
            ring.layers().iter().filter(|h| !checks(h)).map(|h| h.index).collect();
        assert_eq!((count, without.as_slice()), wanted);
        let turns = |from: usize| -> String {
            (from..=count).step_by(2).map(|b| b.to_string()).collect::<Vec<_>>().join(",")
        };
        let turning = Sealed::for_hosts(&path, cut, &[(&turns(1), 1), (&turns(2), 2)]);
        let (one, two) =
            (single.session(Check::Compute), turning.session_of(&[1, 2], Check::Compute, 2));
        for (n, t) in [(1u64, 7u64), (2, 3), (3, 1)] {
            let data = (0..n * t).flat_map(|i| (i as i64 * 17 % 50).to_le_bytes()).collect();
            let ids = TensorValue::new("ids", DType::I64, vec![n, t], data).unwrap();
            let gap = difference(&answer(&two, &ids), &answer(&one, &ids));
            assert!(gap < 1e-5, "{n} by {t}: {gap}");
        }
    }
}

/// Where the network is at hand: depthwise convolutions, bounds of one element, residual sums.
#[test]
fn a_larger_network_passes_between_two_hosts_that_check_each_other() {
    let Some(path) = shared("efficientnet-lite0.onnx") else {
        println!("skipped: efficientnet-lite0.onnx is not at hand");
        return;
    };
    let single = Sealed::new(&path, CutPolicy::Op);
    let count = single.ring().layers().len();
    let turns = |from: usize| -> String {
        (from..=count).step_by(2).map(|b| b.to_string()).collect::<Vec<_>>().join(",")
    };
    let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[(&turns(1), 1), (&turns(2), 2)]);
    let checks: Vec<u64> = ring
        .ring()
        .layers()
        .iter()
        .flat_map(|h| &h.parts)
        .filter(|p| matches!(p.kind, PartKind::Check(_)))
        .map(|p| p.len)
        .collect();
    let without = Sealed::with(&path, CutPolicy::Op, &[("", 1)], false);
    let size = |ring: &Sealed| std::fs::metadata(&ring.path).unwrap().len();
    println!(
        "{} checks of {count} blocks, {} bytes; ring {} bytes, without {}",
        checks.len(),
        checks.iter().sum::<u64>(),
        size(&single),
        size(&without)
    );
    assert_eq!(checks.len(), count);
    let spec = ring.ring().inputs()[0].clone();
    let dims: Vec<u64> = spec
        .dims
        .unwrap()
        .iter()
        .map(|d| if let deepring::Dim::Fixed(n) = d { *n } else { 1 })
        .collect();
    let values: Vec<f32> = (0..dims.iter().product::<u64>())
        .map(|i| ((i * 7919 % 255) as f32 - 127.0) / 128.0)
        .collect();
    let input = tensor(&spec.name, &dims, &values);
    let start = std::time::Instant::now();
    let wanted = answer(&single.session(Check::Compute), &input);
    let one = start.elapsed();
    let found = answer(&ring.session_of(&[1, 2], Check::Compute, 2), &input);
    println!("one host {one:?}, two in turns {:?}", start.elapsed() - one);
    assert_eq!(found, wanted);
}

/// No honest host is refused, picture after picture.
#[test]
fn many_pictures_pass_between_hosts_that_check_each_other() {
    for (name, pictures) in [("fashion-lenet5", SAMPLE), ("fashion-resnet8", 60)] {
        let path = network(name);
        let single = Sealed::new(&path, CutPolicy::Op);
        let count = single.ring().layers().len();
        let turns = |from: usize| -> String {
            (from..=count).step_by(2).map(|b| b.to_string()).collect::<Vec<_>>().join(",")
        };
        let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[(&turns(1), 1), (&turns(2), 2)]);
        let batch: Batch = (0..pictures).step_by(10).map(|i| vec![images(i, i + 10)]).collect();
        let outputs = |session: deepring_infer::Session| {
            let start = std::time::Instant::now();
            let outputs = session.run_batch(batch.clone()).unwrap().outputs;
            (outputs, start.elapsed())
        };
        let (wanted, alone) = outputs(single.session(Check::Compute));
        let (found, in_turns) = outputs(ring.session_of(&[1, 2], Check::Compute, 2));
        println!("{name}: {pictures} pictures, one host {alone:?}, two in turns {in_turns:?}");
        assert_eq!(found, wanted, "{name}");
    }
}

/// A mask of -10^10 that is added as a bias leaves no room for a neighbour's sums. It was called too short once.
#[test]
fn a_parameter_that_no_neighbour_can_check_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(45);
    net.input("x", FLOAT, &["1", "8"]).output("y", FLOAT);
    let (v, w) = (net.param("v", &[8, 6]), net.param("w", &[6, 4]));
    let b = net.floats("b", &[4], &[-1e10; 4]);
    net.node("MatMul", &["x", &v], "h");
    net.node("Gemm", &["h", &w, &b], "y");
    let path = net.save(folder.path());
    let owner = SecretKey::<Owner>::generate().unwrap();
    let sealed = |checks: bool, ring: &str| {
        let seal = Seal::new(&path, &owner).cut(CutPolicy::Op).neighbour_checks(checks);
        let seal = seal.host(Blocks::All, host(1).public());
        seal.write(&folder.path().join(ring), &|_| ())
    };
    let refused = sealed(true, "with").unwrap_err().to_string();
    assert!(refused.contains("too large for neighbours"), "{refused}");
    assert!(!folder.path().join("with").exists());
    sealed(false, "without").unwrap();
}
