use deepring_ledger::Event;
use deepring_ledger::state::NoAuthority;
use deepring_testkit::rings::{Sealed, host_key, owner_key};

use super::*;
use crate::agreement::fixtures::{
    ORIGIN, after_registration, complaint, consent, decided, decision, numbered, registered,
    revocation, said,
};

/// A chamber where the ledger leaves off after a ring of two copies was registered, at height 1.
struct Place {
    ring: Sealed,
    chamber: Chamber,
    base: DocketDigest,
}

fn place() -> Place {
    let ring = Sealed::new(0, 2);
    let (state, submission) = after_registration(&ring);
    let chamber = Chamber::new(PoolLimits::default(), consent());
    let first = Docket::new(Docket::genesis(ORIGIN).digest(), 1, 0, vec![submission]).unwrap();
    chamber.set_base(1, first.digest(), state);
    Place { ring, chamber, base: first.digest() }
}

impl Place {
    fn docket(&self, height: u64, parent: DocketDigest, submissions: &[Submission]) -> Docket {
        Docket::new(parent, height, 0, submissions.to_vec()).unwrap()
    }

    fn verify(&self, submissions: &[Submission]) -> Opinion {
        self.chamber.verify(&self.docket(2, self.base, submissions))
    }

    fn takes(&self, submission: &Submission) -> Result<bool, SubmitError> {
        match self.chamber.verify_submission(submission)? {
            Some(opened) => self.chamber.take(opened, true),
            None => Ok(false),
        }
    }
}

#[track_caller]
fn refused(verdict: &Opinion, why: &str) {
    let Opinion::Invalid(fault) = verdict else { panic!("{verdict:?}") };
    assert!(fault.to_string().contains(why), "{fault} is not `{why}`");
}

#[test]
fn a_block_of_what_may_follow_is_sound_and_asks_after_its_decisions() {
    let place = place();
    let decision = decision(&place.ring, 3);
    let submissions = [revocation(20), decision.clone(), complaint(&place.ring, 1, 1)];
    let Opinion::Sound { position, ask, below } = place.verify(&submissions) else { panic!() };
    assert_eq!((below, position.state.size()), (1, 4));
    assert_eq!(ask, [decision.open().unwrap().decided().unwrap()]);
    assert!(matches!(place.verify(&[]), Opinion::Sound { .. }), "a heartbeat");
}

#[test]
fn what_has_no_authority_is_invalid_for_ever() {
    let place = place();
    let ring = &place.ring;
    let of_host_3 = {
        let decision = ring.decide(1, None);
        let entry = numbered(0, &decided(ring, &decision), &host_key(3).into());
        Submission::decided(&entry, &decision).unwrap()
    };
    refused(&place.verify(&[of_host_3]), "host");
    refused(&place.verify(&[complaint(ring, 9, 1)]), "host");
    let again = complaint(ring, 1, 1);
    refused(&place.verify(&[again.clone(), again]), "said again");
    let other_log = {
        let event = Event::KeyRevoked { reason: String::new() };
        let binding = deepring_ledger::Binding::new("another", 1);
        Submission::of(&Entry::sign(binding, 0, &event, &host_key(9).into()).unwrap()).unwrap()
    };
    refused(&place.verify(&[other_log]), "another log");
    // The ring is not registered here.
    let foreign = decision(&Sealed::new(1, 2), 1);
    refused(&place.verify(&[foreign]), "not registered");
}

#[test]
fn what_is_not_evidence_is_invalid_for_ever() {
    let place = place();
    let ring = &place.ring;
    let good = decision(ring, 2);
    let other = decision(ring, 1);
    let forged = |entry: &[u8], evidence: &[u8]| Submission::forged(entry, evidence);
    refused(&place.verify(&[forged(good.entry(), &[])]), "comes with the decision");
    refused(&place.verify(&[forged(good.entry(), other.evidence())]), "and the evidence is");
    refused(&place.verify(&[forged(revocation(20).entry(), other.evidence())]), "needs none");
    // A signature in the decision is changed: the id stands, and it does not verify.
    let mut evidence = good.evidence().to_vec();
    let closing = evidence.len() - 40;
    evidence[closing] ^= 1;
    refused(&place.verify(&[forged(good.entry(), &evidence)]), "not evidence");
    let mut entry = good.entry().to_vec();
    *entry.last_mut().unwrap() ^= 1;
    refused(&place.verify(&[forged(&entry, good.evidence())]), "signature");
    // It is verified whatever waits here under the same id.
    assert!(place.takes(&good).unwrap());
    refused(&place.verify(&[forged(good.entry(), &evidence)]), "not evidence");
}

#[test]
fn a_decision_with_its_salt_is_refused() {
    let place = place();
    let decision = place.ring.decide(1, None);
    assert!(decision.salt().is_some(), "or nothing is tested here");
    let entry = numbered(0, &decided(&place.ring, &decision), &host_key(0).into());
    let salted = Submission::forged(entry.as_bytes(), &decision.encode());
    refused(&place.verify(&[salted]), "salt");
}

#[test]
fn a_decision_that_nobody_validated_is_not_what_the_deal_promises() {
    let place = place();
    let undealt = place.ring.decide_unvalidated(1);
    let entry = numbered(0, &decided(&place.ring, &undealt), &host_key(0).into());
    let submission = Submission::decided(&entry, &undealt).unwrap();
    refused(&place.verify(&[submission]), "not evidence");
}

#[test]
fn a_decision_is_recorded_once_in_a_chain() {
    let place = place();
    let decision = place.ring.decide(1, None);
    let event = decided(&place.ring, &decision);
    let [first, second] = [0, 1].map(|at| {
        let binding = deepring_ledger::Binding::new(ORIGIN, 0);
        let entry = Entry::sign(binding, at, &event, &host_key(0).into()).unwrap();
        Submission::decided(&entry, &decision).unwrap()
    });
    assert_ne!(first.id(), second.id());
    refused(&place.verify(&[first.clone(), second.clone()]), "recorded already");
    // In two dockets of one chain, neither of them committed.
    let docket = place.docket(2, place.base, &[first]);
    let Opinion::Sound { position, .. } = place.chamber.verify(&docket) else { panic!() };
    place.chamber.remember(position);
    let next = place.docket(3, docket.digest(), &[second]);
    refused(&place.chamber.verify(&next), "recorded already");
}

#[test]
fn a_decision_that_rests_on_a_revoked_host_is_refused() {
    let place = place();
    let revoked = {
        let event = Event::KeyRevoked { reason: "stolen".to_owned() };
        Submission::of(&numbered(1, &event, &host_key(2).into())).unwrap()
    };
    let decision = decision(&place.ring, 1);
    assert!(matches!(place.verify(&[decision.clone(), revoked.clone()]), Opinion::Sound { .. }));
    refused(&place.verify(&[revoked, decision]), "rests on");
}

#[test]
fn each_entry_is_judged_where_those_before_it_leave_off() {
    let place = place();
    let (ring, base) = (Sealed::new(1, 2), place.chamber.base().unwrap());
    let registration = said(base.state.state(), &registered(&ring), &owner_key(1).into());
    let registration = Submission::of(&registration).unwrap();
    let decision = decision(&ring, 1);
    let in_order = [registration.clone(), decision.clone()];
    let Opinion::Sound { position, .. } = place.verify(&in_order) else { panic!() };
    assert_eq!(position.state.size(), 3);
    refused(&place.verify(&[decision, registration]), "not registered");
}

#[test]
fn nothing_is_said_of_a_block_whose_parent_is_not_known() {
    let place = place();
    let stray = Docket::genesis("another").digest();
    let docket = place.docket(2, stray, &[revocation(20)]);
    assert!(matches!(place.chamber.verify(&docket), Opinion::Unknown));
    assert!(place.chamber.draft(&stray).is_none());
    assert!(matches!(place.chamber.follow(&docket), Err(NotNext::OtherParent { height: 2 })));
}

#[test]
fn what_was_drafted_is_sound_and_what_is_under_way_is_not_drafted_again() {
    let place = place();
    let all = [revocation(20), decision(&place.ring, 2), complaint(&place.ring, 1, 1)];
    for submission in &all {
        assert!(place.takes(submission).unwrap());
        assert!(!place.takes(submission).unwrap(), "it waits already");
    }
    let draft = place.chamber.draft(&place.base).unwrap();
    assert_eq!(draft.submissions.len(), 3);
    let docket = place.docket(2, place.base, &draft.submissions);
    let Opinion::Sound { position, .. } = place.chamber.verify(&docket) else { panic!() };
    place.chamber.remember(position);
    let more = complaint(&place.ring, 1, 2);
    assert!(place.takes(&more).unwrap());
    assert_eq!(place.chamber.draft(&docket.digest()).unwrap().submissions, [more]);
    // A view that was given up leaves everything in the pool.
    assert_eq!(place.chamber.draft(&place.base).unwrap().submissions.len(), 4);
}

#[test]
fn what_is_committed_waits_no_more_and_what_lost_its_authority_goes() {
    let place = place();
    let (first, second) = (complaint(&place.ring, 1, 1), complaint(&place.ring, 1, 2));
    assert!(place.takes(&first).unwrap() && place.takes(&second).unwrap());
    let mut tickets = [&first, &second].map(|s| place.chamber.ticket(&s.id()).unwrap());
    // Another validator's docket has the second one alone: the first comes too late for ever.
    let docket = place.docket(2, place.base, std::slice::from_ref(&second));
    let position = place.chamber.follow(&docket).unwrap();
    place.chamber.commit(&docket, position, 1);
    assert_eq!(place.chamber.waiting(), (0, 0));
    let committed = Committed { index: 1, height: 2, size: 2 };
    assert_eq!(tickets[1].0.try_recv().unwrap().unwrap(), committed);
    let lost = tickets[0].0.try_recv().unwrap().unwrap_err();
    let Lost::Inadmissible(why) = lost else { panic!("{lost}") };
    assert!(matches!(*why, Inadmissible::NoAuthority(NoAuthority::Repeated { .. })));
    assert!(matches!(place.takes(&second), Err(SubmitError::Inadmissible(Inadmissible::Recorded))));
    assert_eq!(place.chamber.base().unwrap().digest, docket.digest());
}

#[test]
fn strangers_do_not_get_into_the_pool() {
    let place = place();
    assert!(place.takes(&complaint(&place.ring, 9, 1)).is_err());
    assert!(place.takes(&decision(&Sealed::new(1, 2), 1)).is_err());
    assert_eq!(place.chamber.waiting(), (0, 0));
    let behind = Chamber::new(PoolLimits::default(), consent());
    assert!(matches!(behind.verify_submission(&revocation(20)), Err(SubmitError::NotReady)));
}

#[test]
fn positions_are_bounded_and_forgotten_ones_are_not_judged_upon() {
    let place = place();
    let mut dockets = Vec::new();
    for time in 0..600 {
        let docket = Docket::new(place.base, 2, time, Vec::new()).unwrap();
        let Opinion::Sound { position, .. } = place.chamber.verify(&docket) else { panic!() };
        place.chamber.remember(position);
        dockets.push(docket);
    }
    let after = |docket: &Docket| place.chamber.verify(&place.docket(3, docket.digest(), &[]));
    assert!(matches!(after(&dockets[0]), Opinion::Unknown));
    assert!(matches!(after(&dockets[599]), Opinion::Sound { .. }));
    let position = place.chamber.follow(&dockets[599]).unwrap();
    place.chamber.commit(&dockets[599], position, 1);
    // A sibling of what is committed is history.
    assert!(matches!(after(&dockets[598]), Opinion::Unknown));
}
