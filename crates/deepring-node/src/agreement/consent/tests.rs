use commonware_consensus::types::Epoch;
use deepring_testkit::rings::owner_key;

use super::*;
use crate::agreement::committee::{Committee, voter};
use crate::agreement::fixtures::{ORIGIN, node_key, numbered, set};

fn key(n: u8) -> ed25519::PublicKey {
    voter(&node_key(n).public()).unwrap()
}

fn consent() -> Consent {
    let committees = Committees::default();
    let committee = Committee::new(&set(4).nodes).unwrap();
    let scheme = committee.scheme(ORIGIN, &node_key(0), true).unwrap();
    committees.seat(Epoch::zero(), committee, scheme);
    Consent::new(set(4), key(0), SetApproval::default(), committees)
}

fn named(set: ValidatorSet) -> OpenedSubmission {
    let entry = numbered(set.epoch, &Event::ValidatorSet(set), &owner_key(0).into());
    Submission::of(&entry).unwrap().open().unwrap()
}

fn next(nodes: u8) -> OpenedSubmission {
    named(ValidatorSet { epoch: 2, ..set(nodes) })
}

#[test]
fn a_set_is_voted_for_if_the_operator_approved_that_very_entry() {
    let (consent, entry, other) = (consent(), next(5), next(6));
    assert!(!consent.votes_for(&entry), "nobody approved it");
    consent.approval.set(Some(other.submission.id()));
    assert!(!consent.votes_for(&entry), "another one is approved");
    consent.approval.set(Some(entry.submission.id()));
    assert!(consent.votes_for(&entry) && !consent.votes_for(&other));
    consent.approval.set(None);
    assert!(!consent.votes_for(&entry), "the approval was withdrawn");
    // The set that all were started with is no news.
    assert!(consent.votes_for(&named(set(4))));
    assert!(!consent.votes_for(&named(set(5))));
}

#[test]
fn it_is_proposed_when_a_quorum_of_the_committee_says_so_and_not_again_at_once() {
    let (consent, entry) = (consent(), next(5));
    let id = entry.submission.id();
    [1, 2].iter().for_each(|n| consent.hear(&key(*n), Some(id)));
    assert_eq!(consent.proposes(1), None, "not approved here");
    consent.approval.set(Some(id));
    assert_eq!(consent.proposes(1), Some(id));
    // Who is no member, who approves another and who approves none any more does not count.
    consent.hear(&key(2), Some(next(6).submission.id()));
    consent.hear(&key(4), Some(id));
    assert_eq!(consent.proposes(1), None);
    consent.hear(&key(3), Some(id));
    assert_eq!(consent.proposes(1), Some(id));
    consent.hear(&key(3), None);
    assert_eq!(consent.proposes(1), None);
    consent.hear(&key(3), Some(id));
    consent.proposed(&[], 1);
    assert_eq!(consent.proposes(1), Some(id));
    consent.proposed(&[entry.submission], 1);
    assert_eq!([1, 16, 17].map(|height| consent.proposes(height)), [None, None, Some(id)]);
}
