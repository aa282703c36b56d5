//! `deepring arbitrate`: of two copies that contradict each other, which one signed what the blocks do not give.

use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;

use deepring::deal::Deal;
use deepring::receipt::{QueryStart, Salt, batch_digest, tensors_digest};
use deepring::replication::{CopyFault, Dispute, Evidence, LegCopy};
use deepring::{AuthenticRing, Check, Digest, Host, PublicKey, SecretKey, TensorValue};
use deepring_infer::block::Computed;
use deepring_infer::{RingHost, Rten};

use crate::workspace::{Workspace, images};

type Batch = Vec<Vec<TensorValue>>;

/// `net.ring`, dealt in two legs to `keys` and `more`, and granted to `judge`.
fn dealt() -> Workspace {
    let workspace = Workspace::with_keys();
    ["more", "judge", "stranger"].iter().for_each(|name| {
        workspace.run(&format!("keygen --out {name}")).succeeds();
    });
    workspace
        .run(
            "seal net.onnx --owner keys/owner.key --leg 1-2=keys/host.pub --leg 3-5=more/host.pub \
             --cut op -o net.ring",
        )
        .succeeds();
    fs::copy(workspace.path("net.ring"), workspace.path("ungranted.ring")).unwrap();
    workspace.run("grant net.ring --owner-key keys/owner.key --host judge/host.pub").succeeds();
    workspace
}

fn key(workspace: &Workspace, of: &str) -> SecretKey<Host> {
    SecretKey::read(&workspace.path(&format!("{of}/host.key"))).unwrap()
}

fn salt() -> Salt {
    Salt::from_bytes([7; 32]).unwrap()
}

/// The result that a host computes for the first leg.
fn computed(ring: &Arc<AuthenticRing>, key: &SecretKey<Host>, batch: &Batch) -> Computed {
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let host = RingHost::open(Arc::clone(ring), engine, key.clone(), 1..3, Check::Run, &|_| ());
    host.unwrap().compute(&salt(), batch, 1..3).unwrap()
}

/// Another first element.
fn lied(mut computed: Computed) -> Computed {
    let right = computed.outputs[0].remove(0);
    let mut data = right.data().to_vec();
    data[3] ^= 0x41;
    let (name, dims) = (right.name().to_owned(), right.dims().to_vec());
    let wrong = TensorValue::new(name, right.dtype(), dims, data).unwrap();
    computed.outputs[0].insert(0, wrong);
    computed.digests = computed.outputs.iter().map(|t| tensors_digest(&salt(), t)).collect();
    computed.result.outputs = batch_digest(&computed.digests);
    computed
}

/// The records that both copies of the first leg signed, of whom the second lies.
fn contradiction(
    machines: &mut [LegCopy<'_>],
    hosts: &[PublicKey<Host>],
    results: [&Computed; 2],
) -> Evidence {
    let mut sent = VecDeque::new();
    for (place, machine) in machines.iter_mut().enumerate() {
        let nonce = [u8::try_from(place).unwrap() + 1; 32];
        let out = machine.computed(results[place].result.clone(), nonce);
        sent.extend(out.into_iter().map(|out| (place, out)));
    }
    while let Some((from, out)) = sent.pop_front() {
        let to = hosts.iter().position(|host| *host == out.to).unwrap();
        let more = machines[to].receive(&hosts[from], &out.bytes).unwrap();
        sent.extend(more.into_iter().map(|out| (to, out)));
    }
    let mut named = machines.iter().flat_map(|machine| machine.named());
    let found = named.find_map(|named| match named.fault {
        CopyFault::Disputed(evidence) => Some(evidence),
        _ => None,
    });
    found.unwrap()
}

/// Writes the dispute of a query's first leg, in which the host of `more` lies, sealed for `judge`; returns the liar.
fn dispute(workspace: &Workspace, file: &str, judge: &str) -> PublicKey<Host> {
    let ring = Arc::new(workspace.ring("net.ring"));
    let outline = ring.outline();
    let batch: Batch = vec![vec![images(0, 1)]];
    let keys = [key(workspace, "keys"), key(workspace, "more")];
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let opener =
        RingHost::open(Arc::clone(&ring), engine, keys[0].clone(), 1..1, Check::Run, &|_| ());
    let start = QueryStart { query: Digest([6; 32]), salt: salt(), nonce: None, opened_at: 0 };
    let chain = opener.unwrap().begin(&batch, &start, true).unwrap();
    let verified = chain.verify(outline).unwrap();
    let right = computed(&ring, &keys[0], &batch);
    let wrong = lied(computed(&ring, &keys[1], &batch));
    let hosts = &outline.deal().map(|deal: &Deal| deal.legs[0].hosts.clone()).unwrap();
    assert_eq!(*hosts, keys.each_ref().map(SecretKey::public));
    let machine = |key: &SecretKey<Host>| LegCopy::new(&verified, key.clone()).unwrap();
    let mut machines = [machine(&keys[0]), machine(&keys[1])];
    let evidence = contradiction(&mut machines, hosts, [&right, &wrong]);
    let mut random = |out: &mut [u8]| {
        aws_lc_rs::rand::fill(out).unwrap();
        Ok(())
    };
    let judge = key(workspace, judge).public();
    let entered = (chain.clone(), &salt(), batch.as_slice());
    let dispute = Dispute::seal(evidence, entered, &[], &judge, &mut random).unwrap();
    fs::write(workspace.path(file), dispute.encode()).unwrap();
    keys[1].public()
}

const ARBITRATE: &str =
    "arbitrate net.ring --dispute it.dispute --owner keys/owner.pub --key judge/host.key";

#[test]
fn the_copy_that_signed_what_the_blocks_do_not_give_is_named() {
    let workspace = dealt();
    let liar = dispute(&workspace, "it.dispute", "judge");
    let shown = workspace.run(ARBITRATE).succeeds().says("deepring revoke host").stdout;
    assert!(shown.contains(&format!("ruling: {liar} signed outputs")), "{shown}");
    assert_eq!(
        shown.lines().filter(|line| line.contains("what the blocks give")).count(),
        2,
        "{shown}"
    );
    let json = workspace.run(&format!("{ARBITRATE} --json")).succeeds().json();
    assert_eq!(json["decided"], true);
    assert_eq!(json["wrong"], serde_json::json!([liar.to_string()]));
    assert_eq!(json["blocks"], serde_json::json!({ "first": 1, "last": 2 }));
    assert_eq!(json["claims"].as_array().unwrap().len(), 2);
}

/// A ruling needs the bits of a party, or its outputs.
#[test]
fn with_other_threads_than_the_parties_nothing_is_decided_and_nobody_is_named() {
    let workspace = dealt();
    dispute(&workspace, "it.dispute", "judge");
    let words = format!("{ARBITRATE} --threads 2 --json");
    let ran = workspace.run(&words).exits(1).says("cannot be decided here").says("1 thread");
    let json = ran.json();
    assert_eq!((&json["decided"], &json["wrong"]), (&false.into(), &serde_json::json!([])));
}

#[test]
fn who_may_not_rule_is_told_why() {
    let workspace = dealt();
    dispute(&workspace, "it.dispute", "judge");
    let by = |key: &str| ARBITRATE.replace("judge", key);
    workspace.run(&by("stranger")).exits(4).says("does not open with this key");
    workspace.run(&ARBITRATE.replace("net.ring", "ungranted.ring")).exits(4).says("grant");
    workspace.run(&ARBITRATE.replace("keys/owner.pub", "more/owner.pub")).exits(4);
    // Who signed one of the records is no arbiter, whatever is sealed for it.
    dispute(&workspace, "own.dispute", "keys");
    let own = by("keys").replace("it.dispute", "own.dispute");
    workspace.run(&own).exits(4).says("is a party to this dispute");
}

#[test]
fn a_dispute_that_was_changed_or_is_none_or_of_another_ring_is_refused() {
    let workspace = dealt();
    dispute(&workspace, "it.dispute", "judge");
    let bytes = fs::read(workspace.path("it.dispute")).unwrap();
    for at in (10..bytes.len()).step_by(bytes.len() / 24) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        fs::write(workspace.path("it.dispute"), bytes).unwrap();
        let ran = workspace.run(ARBITRATE);
        let refused = ran.code.is_some_and(|code| [3, 4, 5].contains(&code));
        assert!(refused && ran.stdout.is_empty(), "byte {at}: {:?} {}", ran.code, ran.stderr);
    }
    // The end of what is sealed for this key, before the count of no results: a change, and no question of whom one trusts.
    let mut sealed = bytes.clone();
    let at = sealed.len() - 5;
    sealed[at] ^= 1;
    fs::write(workspace.path("it.dispute"), sealed).unwrap();
    workspace.run(ARBITRATE).exits(3).says("do not decrypt");
    fs::write(workspace.path("it.dispute"), "no dispute").unwrap();
    workspace.run(ARBITRATE).exits(3).says("is not a dispute");
    workspace
        .run(&ARBITRATE.replace("it.dispute", "absent.dispute"))
        .exits(1)
        .says("absent.dispute");
    fs::write(workspace.path("it.dispute"), &bytes).unwrap();
    workspace.seal("other.ring", "--host judge/host.pub");
    workspace.run(&ARBITRATE.replace("net.ring", "other.ring")).exits(3);
}
