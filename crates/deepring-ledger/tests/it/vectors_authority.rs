//! Vectors of authority over alarms, repairs and quarantines.

use deepring::keys::AuthorKey;
use deepring::replication::Evidence;
use deepring::{Digest, Host, SecretKey};
use deepring_ledger::entry::Audit;
use deepring_ledger::{Binding, Event};

use crate::sample::{alarm_about, with_evidence};
use crate::vectors_entries::{host, owner};
use crate::vectors_histories::{
    REPAIR_NUMBER, Said, behind, dealt, host_revoked, public, revoked, ring, stranger,
};
use crate::vectors_ledger::{HOSTS, Made, ORIGIN, host_of, record};

/// A host of nothing.
const HOST_D: u8 = 0x61;

/// The log and number that each repair is bound to.
fn binding() -> Binding {
    Binding::new(ORIGIN, REPAIR_NUMBER)
}

fn alarm(by: AuthorKey, accused: usize, block: Option<u32>, evidence: Option<&str>) -> Said {
    let event = alarm_about(ring(), public(accused), block);
    let evidence = evidence.map(|name| Evidence::from_bytes(&record(name)).unwrap());
    (evidence.iter().fold(event, with_evidence), by)
}

/// A repair of host A's copy, countersigned by a key that may say otherwise than it should.
fn repaired(blocks: &[u32], by: Option<&SecretKey<Host>>, of: &[u32]) -> Said {
    let (ring_id, ring_digest) = ring();
    let mut audit = Audit { nonce: [1; 32], digest: Digest([2; 32]), countersignature: None };
    audit.countersignature =
        by.map(|key| audit.countersign(binding(), &ring_digest, of, &public(0), key));
    let blocks = blocks.to_vec();
    (Event::Repair { ring_id, ring_digest, blocks, source: "copy.ring".into(), audit }, host(0))
}

fn lifted(n: usize, blocks: &[u32], by: AuthorKey) -> Said {
    let (ring_id, ring_digest) = ring();
    let (host, blocks) = (public(n), blocks.to_vec());
    let reason = "replaced".into();
    (Event::QuarantineLifted { ring_id, ring_digest, host, blocks, reason }, by)
}

fn alarms(made: &mut Made) {
    let d: AuthorKey = host_of(HOST_D).into();
    let perjury = Some("perjury.evidence");
    behind(
        made,
        "alarm_about_itself",
        "nothing; a host about its own copy",
        vec![alarm(host(0), 0, Some(1), None)],
    );
    behind(
        made,
        "alarm_about_another",
        "nothing; a host about another's copy",
        vec![alarm(host(0), 1, Some(1), None)],
    );
    behind(
        made,
        "alarm_about_no_block",
        "nothing; no block is named",
        vec![alarm(host(0), 2, None, None)],
    );
    behind(
        made,
        "alarm_by_no_host",
        "by host D, which has no block",
        vec![alarm(d, 0, Some(1), None)],
    );
    behind(made, "alarm_by_owner", "by the owner", vec![alarm(owner(), 0, Some(1), None)]);
    behind(
        made,
        "alarm_about_no_host_of_block",
        "host C has no copy of block 1",
        vec![alarm(host(0), 2, Some(1), None)],
    );
    behind(
        made,
        "alarm_about_unknown_block",
        "there is no block 9",
        vec![alarm(host(0), 0, Some(9), None)],
    );
    behind(
        made,
        "alarm_with_proof",
        "nothing; evidence against host B",
        vec![alarm(host(0), 1, Some(1), perjury)],
    );
    behind(
        made,
        "alarm_with_proof_of_no_block",
        "nothing; evidence, and no block is named",
        vec![alarm(host(0), 1, None, perjury)],
    );
    behind(
        made,
        "alarm_with_contradiction",
        "nothing; evidence that does not say who lies",
        vec![alarm(host(0), 1, None, Some("contradiction.evidence"))],
    );
    behind(
        made,
        "alarm_with_proof_of_another",
        "evidence against host B, and host A is accused",
        vec![alarm(host(1), 0, Some(1), perjury)],
    );
    behind(
        made,
        "alarm_with_proof_of_other_block",
        "evidence about leg 1, and block 2 is named",
        vec![alarm(host(0), 1, Some(2), perjury)],
    );
    behind(
        made,
        "alarm_with_unsigned_proof",
        "evidence of which a record is not signed",
        vec![alarm(host(0), 1, Some(1), Some("perjury_unsigned_2.evidence"))],
    );
    behind(
        made,
        "alarm_with_proof_of_other_deal",
        "evidence under a deal that is not registered",
        vec![alarm(host(0), 1, Some(1), Some("equivocation_of_two_legs.evidence"))],
    );
    behind(
        made,
        "alarm_with_proof_of_earlier_deal",
        "nothing; evidence under an earlier revision",
        vec![dealt("revision_2.outline"), alarm(host(0), 1, None, perjury)],
    );
    behind(
        made,
        "alarm_of_revoked",
        "about a revoked version",
        vec![revoked(true), alarm(host(0), 0, Some(1), None)],
    );
    let (Event::Alarm { ring_id, .. }, by) = alarm(host(0), 0, Some(1), None) else { return };
    let unknown = alarm_about((ring_id, Digest([9; 32])), public(0), Some(1));
    let defect = "about a version that is not registered";
    behind(made, "alarm_of_unknown_version", defect, vec![(unknown, by)]);
    behind(
        made,
        "alarm_by_revoked_host",
        "by a host that is revoked",
        vec![host_revoked(0, true, owner()), alarm(host(0), 0, Some(1), None)],
    );
}

fn repairs(made: &mut Made) {
    let [a, b, c] = HOSTS.map(host_of);
    let d = host_of(HOST_D);
    let one = [1];
    behind(
        made,
        "repaired",
        "nothing; another host of the block countersigned",
        vec![repaired(&one, Some(&b), &one)],
    );
    behind(
        made,
        "repaired_alone",
        "not countersigned, and host B has a copy",
        vec![repaired(&one, None, &one)],
    );
    behind(
        made,
        "repaired_with_nobody_left",
        "nothing; the only other host is revoked",
        vec![host_revoked(1, true, owner()), repaired(&one, None, &one)],
    );
    behind(
        made,
        "repaired_with_itself",
        "countersigned by itself",
        vec![repaired(&one, Some(&a), &one)],
    );
    behind(
        made,
        "repaired_with_no_host",
        "countersigned by host C, which has no copy of block 1",
        vec![repaired(&one, Some(&c), &one)],
    );
    behind(
        made,
        "repaired_with_stranger",
        "countersigned by host D, which has no block",
        vec![repaired(&one, Some(&d), &one)],
    );
    behind(
        made,
        "repaired_with_other_blocks",
        "the countersignature is of block 0",
        vec![repaired(&one, Some(&b), &[0])],
    );
    behind(
        made,
        "repaired_with_revoked",
        "countersigned by a revoked host",
        vec![host_revoked(1, true, owner()), repaired(&one, Some(&b), &one)],
    );
    behind(
        made,
        "repaired_with_quarantined",
        "countersigned by a host whose copy is quarantined",
        vec![alarm(host(1), 1, Some(1), None), repaired(&one, Some(&b), &one)],
    );
    behind(
        made,
        "repaired_beside_quarantine",
        "nothing; another copy of the countersigner's is quarantined",
        vec![alarm(host(1), 1, Some(2), None), repaired(&one, Some(&b), &one)],
    );
    behind(
        made,
        "repaired_beside_accusation",
        "nothing; an accusation quarantines nobody",
        vec![alarm(host(0), 1, Some(1), None), repaired(&one, Some(&b), &one)],
    );
    behind(
        made,
        "repaired_of_another",
        "host A has no copy of block 2",
        vec![repaired(&[1, 2], Some(&b), &[1, 2])],
    );
    behind(
        made,
        "repaired_of_unknown_block",
        "there is no block 9",
        vec![repaired(&[9], Some(&b), &[9])],
    );
}

fn quarantines(made: &mut Made) {
    let by_alarm = || alarm(host(0), 0, Some(1), None);
    let by_proof = || alarm(host(0), 1, None, Some("perjury.evidence"));
    let b = host_of(HOSTS[1]);
    behind(
        made,
        "lifted",
        "nothing; the owner lifts a quarantine",
        vec![by_alarm(), lifted(0, &[1], owner())],
    );
    behind(
        made,
        "lifted_proof",
        "nothing; the owner lifts what evidence put",
        vec![by_proof(), lifted(1, &[1], owner())],
    );
    behind(
        made,
        "lifted_after_repair",
        "a repair ended the quarantine",
        vec![by_alarm(), repaired(&[1], Some(&b), &[1]), lifted(0, &[1], owner())],
    );
    behind(made, "lifted_of_nobody", "no copy is quarantined", vec![lifted(0, &[1], owner())]);
    behind(
        made,
        "lifted_too_much",
        "one of two blocks is not quarantined",
        vec![by_alarm(), lifted(0, &[1, 3], owner())],
    );
    behind(
        made,
        "lifted_twice",
        "it is lifted already",
        vec![by_alarm(), lifted(0, &[1], owner()), lifted(0, &[1], owner())],
    );
    behind(made, "lifted_by_host", "a host lifts it", vec![by_alarm(), lifted(0, &[1], host(0))]);
    behind(
        made,
        "lifted_by_stranger",
        "another owner lifts it",
        vec![by_alarm(), lifted(0, &[1], stranger())],
    );
    behind(
        made,
        "lifted_contradiction",
        "a contradiction quarantines nobody",
        vec![alarm(host(0), 1, None, Some("contradiction.evidence")), lifted(1, &[1], owner())],
    );
}

/// Quarantines that last, and that do not.
fn lasting(made: &mut Made) {
    let (ring_id, ring_digest) = ring();
    let mut audit = Audit { nonce: [1; 32], digest: Digest([2; 32]), countersignature: None };
    let by_a = audit.countersign(binding(), &ring_digest, &[1], &public(1), &host_of(HOSTS[0]));
    audit.countersignature = Some(by_a);
    let source = "copy.ring".into();
    let repaired_by_b =
        (Event::Repair { ring_id, ring_digest, blocks: vec![1], source, audit }, host(1));
    let proven = alarm(host(0), 1, None, Some("perjury.evidence"));
    behind(
        made,
        "lifted_proof_after_repair",
        "nothing; a repair does not end what evidence put",
        vec![proven, repaired_by_b.clone(), lifted(1, &[1], owner())],
    );
    let own = alarm(host(1), 1, Some(1), None);
    behind(
        made,
        "lifted_alarm_after_repair",
        "a repair ends what a host's own alarm put",
        vec![own, repaired_by_b, lifted(1, &[1], owner())],
    );
    let proven = || alarm(host(0), 1, None, Some("perjury.evidence"));
    behind(
        made,
        "lifted_proof_told_again",
        "a fault that is told again has no effect again",
        vec![proven(), lifted(1, &[1], owner()), proven(), lifted(1, &[1], owner())],
    );
    let other = alarm(host(0), 1, None, Some("perjury_of_other_threads.evidence"));
    behind(
        made,
        "lifted_unproven",
        "records of other threads prove no fault",
        vec![other, lifted(1, &[1], owner())],
    );
    let itself = alarm(host(1), 1, Some(1), Some("perjury_of_other_threads.evidence"));
    behind(
        made,
        "lifted_own_unproven",
        "what proves no fault is no admission",
        vec![itself, lifted(1, &[1], owner())],
    );
    behind(
        made,
        "lifted_of_no_block",
        "an alarm without a block quarantines nobody",
        vec![alarm(host(0), 0, None, None), lifted(0, &[1], owner())],
    );
}

pub(crate) fn add(made: &mut Made) {
    lasting(made);
    alarms(made);
    repairs(made);
    quarantines(made);
}
