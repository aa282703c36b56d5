//! Decisions of dealt rings: who must have validated what, what a validation must say, who closes, and the salt.

use deepring::deal::Copies;
use deepring::receipt::{
    Chain, QueryStart, ReceiptError, Require, Salt, Standing, VerifiedDecision,
};
use deepring::{Check, Decision, Digest, Finding, Host, Report, SecretKey, Verdict, VerifiedRing};
use rayon::prelude::*;

use crate::dealt_ring::{
    conclude, deal_out, dealt, opened, outputs_of, planned, right, settled_chain, whole_chain,
};
use crate::forge::{Field, RawReceipts};
use crate::forge_record::{RecordField, claim_of, edit_record, flip_record, receipt_digest};
use crate::receipts::refusal;
use crate::small_query::{batch_of, decision, items, ran, salt, start};
use crate::small_ring::{
    HOST_A_SEED, HOST_B_SEED, HOST_C_SEED, host_a, host_b, host_c, host_d, intact, owner,
    small_ring,
};

/// A decision of a query that ran under the ring's deal, closed by host A.
fn decided(ring: &VerifiedRing) -> Decision {
    close(ring, whole_chain(ring))
}

pub(crate) fn close(ring: &VerifiedRing, chain: Chain) -> Decision {
    Decision::close(chain, items(&[1, 2]), salt(), ring.outline(), &host_a()).unwrap()
}

/// The chain of a query that a dealt ring runs without its deal.
pub(crate) fn undealt(ring: &VerifiedRing) -> Chain {
    let mut out = vec![0; ring.genesis().plain_len as usize];
    let genesis = ring.open_block(0, (&host_a()).into(), &mut out).unwrap();
    let inputs = batch_of("x0", &[1, 2]);
    let mut chain = Chain::begin(ring.outline(), &genesis, &host_a(), inputs, &start(1), false);
    for (block, host) in (1..).zip([host_a(), host_b(), host_b()]) {
        chain.extend(&host, right(ring, block));
    }
    chain
}

fn verified(decision: &Decision, ring: &VerifiedRing, require: Require) -> VerifiedDecision {
    decision.verify(ring.outline(), require).unwrap()
}

fn refused(decision: &Decision, ring: &VerifiedRing, require: Require) -> Finding {
    match decision.verify(ring.outline(), require) {
        Err(ReceiptError::Refused(finding)) => finding,
        other => panic!("{other:?}"),
    }
}

fn verdict(finding: &Finding) -> Verdict {
    Report::of_findings(vec![finding.clone()]).verdict
}

const ALL: [Require; 4] = [Require::AsDealt, Require::Majority, Require::Validated, Require::None];

/// With what a decision passes; where it does not, it is untrusted and says the first leg.
fn passes(decision: &Decision, ring: &VerifiedRing) -> Vec<Require> {
    let passes = |require: &Require| match decision.verify(ring.outline(), *require) {
        Ok(_) => true,
        Err(ReceiptError::Refused(finding)) => {
            assert_eq!(verdict(&finding), Verdict::Untrusted, "{finding}");
            assert_eq!((finding.block, finding.part.name()), (Some(1), "file"), "{finding}");
            false
        }
        Err(other) => panic!("{other}"),
    };
    ALL.into_iter().filter(passes).collect()
}

#[test]
fn what_a_reader_requires_is_met_by_what_stands_behind_each_leg() {
    let plain = intact(&small_ring());
    assert_eq!(passes(&decision(&plain), &plain), [Require::AsDealt, Require::None]);
    let two = dealt(Copies::Two, false);
    let wanted = [Require::AsDealt, Require::Validated, Require::None];
    assert_eq!(passes(&decided(&two), &two), wanted);
    for eager in [false, true] {
        let three = dealt(Copies::Three, eager);
        assert_eq!(passes(&decided(&three), &three), ALL);
    }
    assert_eq!(Require::default(), Require::AsDealt);
}

#[test]
fn a_query_that_ran_without_the_deal_passes_only_where_nothing_is_required() {
    let (deal, bytes) =
        deal_out(&intact(&small_ring()), &owner(), &planned(Copies::Two, false)).unwrap();
    let ring = intact(&bytes);
    let chain = undealt(&ring);
    assert!(!chain.is_dealt() && chain.verify(ring.outline()).unwrap().next_leg().is_none());
    assert_ne!(deal.digest(), chain.opening().deal);
    assert_eq!(passes(&close(&ring, chain), &ring), [Require::None]);
}

#[test]
fn a_verified_decision_tells_who_stands_behind_each_leg() {
    let ring = dealt(Copies::Two, false);
    let verified = verified(&decided(&ring), &ring, Require::AsDealt);
    let [a, b, c] = [host_a(), host_b(), host_c()].map(|host| host.public());
    let legs: Vec<_> =
        verified.legs().iter().map(|leg| (leg.first_block, leg.end_block, leg.host)).collect();
    assert_eq!(legs, [(1, 2, a), (2, 3, b), (3, 4, c)]);
    let standing: Vec<_> = verified.legs().iter().map(|leg| leg.standing.clone()).collect();
    assert_eq!(standing, [b, c, a].map(|by| Standing::Validated { by }));
    assert_eq!(standing[0].to_string(), format!("validated by {}", b.short()));
    let json = serde_json::to_value(&verified).unwrap();
    assert_eq!(json["legs"][0]["standing"], "validated");
    assert_eq!(json["legs"][0]["by"], b.to_string());
    assert!(json["salt"].is_null(), "a salt is not shown");

    let ring = dealt(Copies::Three, true);
    let verified = self::verified(&decided(&ring), &ring, Require::AsDealt);
    let Standing::Majority { by } = &verified.legs()[1].standing else { panic!() };
    let mut wanted = vec![a, c];
    wanted.sort_by_key(|key| *key.as_bytes());
    assert_eq!(by, &wanted);
    assert!(verified.legs()[1].standing.to_string().starts_with("majority of 3, validated by "));
}

/// The decision of a ring dealt in two copies; what host B signed of leg 1 is edited, and all is closed anew.
fn with_record(ring: &VerifiedRing, edit: impl FnOnce(&mut Vec<u8>)) -> Decision {
    let mut raw = RawReceipts::of(&decided(ring).encode());
    edit(&mut raw.validations[0][0]);
    Decision::decode(&raw.signed_by(&HOST_A_SEED)).unwrap()
}

#[test]
fn the_forge_signs_a_validation_as_the_crate_does() {
    let ring = dealt(Copies::Two, false);
    let honest = decided(&ring);
    let same = with_record(&ring, |v| edit_record(v, RecordField::Query, &[1; 32], &HOST_B_SEED));
    assert_eq!(same.encode(), honest.encode());
}

#[test]
fn a_field_of_a_validation_that_its_host_signs_anew_is_refused() {
    let ring = dealt(Copies::Two, false);
    let near = [&[1][..], &0.25f32.to_le_bytes(), &0.5f32.to_le_bytes()].concat();
    let differs = [&[2][..], &f32::INFINITY.to_le_bytes(), &0f32.to_le_bytes()].concat();
    // Nothing to write is a bit to flip: of a digest, which may have any byte already.
    let edits: [(RecordField, &[u8], &str); 8] = [
        (RecordField::Query, &[], "about another receipt"),
        (RecordField::Receipt, &[], "about another receipt"),
        (RecordField::FirstBlock, &[2], "of other blocks"),
        (RecordField::Block, &[], "of other blocks"),
        (RecordField::Inputs, &[], "of other inputs"),
        (RecordField::Outputs, &[], "names other outputs"),
        (RecordField::Agreement, &near, "near, of copies that compute with the same"),
        (RecordField::Agreement, &differs, "an objection stands in the place"),
    ];
    for (field, bytes, reason) in edits {
        let decision = with_record(&ring, |v| match bytes {
            [] => flip_record(v, field, &HOST_B_SEED),
            bytes => edit_record(v, field, bytes, &HOST_B_SEED),
        });
        let finding = refused(&decision, &ring, Require::None);
        assert_eq!((finding.block, finding.part.name()), (Some(1), "file"), "{field:?}");
        assert_eq!(verdict(&finding), Verdict::Tampered, "{field:?}");
        assert!(finding.reason.contains(reason), "{field:?}: {finding}");
    }
    // An objection that names other outputs, as one must.
    let decision = with_record(&ring, |v| {
        flip_record(v, RecordField::Outputs, &HOST_B_SEED);
        edit_record(v, RecordField::Agreement, &differs, &HOST_B_SEED);
    });
    let finding = refused(&decision, &ring, Require::None);
    assert!(finding.reason.contains("an objection stands in the place"), "{finding}");
}

#[test]
fn what_a_validator_says_of_its_own_checks_is_held_to_the_blocks_and_else_its_word() {
    let ring = dealt(Copies::Two, false);
    let bad: [(&[&[u8]], &str, &str); 4] = [
        (&[], "for each block", "file"),
        (&[&[1, 1, 1], &[1]], "for each block", "file"),
        (&[&[1, 1]], "for each part", "body"),
        (&[&[1, 1, 2]], "cannot have", "body"),
    ];
    for (coverage, reason, part) in bad {
        let decision = with_record(&ring, |v| claim_of(v, 1, coverage, &HOST_B_SEED));
        let finding = refused(&decision, &ring, Require::None);
        assert_eq!((finding.block, finding.part.name()), (Some(1), part), "{finding}");
        assert!(finding.reason.contains(reason), "{finding}");
    }
    let weaker = with_record(&ring, |v| claim_of(v, 0, &[&[0, 0, 0]], &HOST_B_SEED));
    let threads = with_record(&ring, |v| edit_record(v, RecordField::Threads, &[9], &HOST_B_SEED));
    for decision in [weaker, threads] {
        verified(&decision, &ring, Require::AsDealt);
    }
}

#[test]
fn a_validation_that_another_key_signed_is_refused() {
    let ring = dealt(Copies::Two, false);
    let signed = |field, bytes: &[u8], seed: &[u8; 32]| {
        let decision = with_record(&ring, |v| edit_record(v, field, bytes, seed));
        refused(&decision, &ring, Require::None).reason
    };
    let [a, b, c, d] = [host_a(), host_b(), host_c(), host_d()].map(|host| host.public());
    let reason = signed(RecordField::Host, b.as_bytes(), &HOST_A_SEED);
    assert!(reason.contains("signature does not fit"), "{reason}");
    let reason = signed(RecordField::Host, a.as_bytes(), &HOST_A_SEED);
    assert!(reason.contains("validates its own receipt"), "{reason}");
    // Host C is a copy of the other legs, host D of none.
    for (host, seed) in [(c, &HOST_C_SEED), (d, &crate::small_ring::HOST_D_SEED)] {
        let reason = signed(RecordField::Host, host.as_bytes(), seed);
        assert!(reason.contains("no copy of the leg"), "{reason}");
    }
}

#[test]
fn validations_out_of_order_or_two_of_one_host_do_not_decode() {
    let ring = dealt(Copies::Three, true);
    let honest = decided(&ring).encode();
    let with = |edit: fn(&mut Vec<Vec<u8>>)| {
        let mut raw = RawReceipts::of(&honest);
        edit(&mut raw.validations[0]);
        Decision::decode(&raw.signed_by(&HOST_A_SEED))
    };
    assert_eq!(with(|_| ()).unwrap().encode(), honest);
    let edits: [fn(&mut Vec<Vec<u8>>); 3] =
        [|v| v.swap(0, 1), |v| v[1] = v[0].clone(), |v| v.push(v[1].clone())];
    for edit in edits {
        assert!(with(edit).is_err());
    }
    let one = with(|v| _ = v.pop()).unwrap();
    verified(&one, &ring, Require::Majority);
    let none = with(Vec::clear).unwrap();
    let finding = refused(&none, &ring, Require::None);
    assert!(finding.reason.contains("no other copy of the leg validated"), "{finding}");
    assert_eq!(verdict(&finding), Verdict::Tampered);
}

#[test]
fn a_chain_takes_one_validation_of_each_host() {
    let ring = dealt(Copies::Two, false);
    let mut chain = opened(&ring, &start(1));
    let settled = conclude(&ring, &chain, |_| right(&ring, 1));
    let other = conclude(&ring, &chain, |place| match place {
        0 => right(&ring, 1),
        _ => ran(&ring, 1..2, Check::Load, outputs_of(1, &[1, 2])),
    });
    assert_eq!(settled.receipt, other.receipt);
    let twice = [settled.validations, other.validations].concat();
    assert_eq!(twice.len(), 2);
    chain.extend_settled(settled.receipt, twice);
    assert_eq!(chain.legs()[0].validations().len(), 1);
    chain.verify(ring.outline()).unwrap();
}

#[test]
fn validations_of_a_query_that_nobody_dealt_are_refused() {
    let ring = dealt(Copies::Two, false);
    let dealt = RawReceipts::of(&decided(&ring).encode());
    let mut plain = RawReceipts::of(&close(&ring, undealt(&ring)).encode());
    let mut validation = dealt.validations[0][0].clone();
    let about = receipt_digest(&plain.receipts[0]);
    edit_record(&mut validation, RecordField::Receipt, &about, &HOST_B_SEED);
    plain.validations[0].push(validation);
    let decision = Decision::decode(&plain.signed_by(&HOST_A_SEED)).unwrap();
    let finding = refused(&decision, &ring, Require::None);
    assert!(finding.reason.contains("nobody dealt"), "{finding}");
}

#[test]
fn a_receipt_by_no_copy_or_of_no_leg_of_the_deal_is_refused() {
    let ring = dealt(Copies::Two, false);
    // Host C was dealt blocks 2 and 3 alone; then block 1 and 2 together.
    let mut chain = opened(&ring, &start(1));
    chain.extend(&host_c(), right(&ring, 1));
    let finding = chain.verify(ring.outline()).unwrap_err().finding;
    assert!(finding.reason.contains("no copy of the leg"), "{finding}");
    let mut chain = opened(&ring, &start(1));
    chain.extend(&host_b(), ran(&ring, 1..3, Check::Run, outputs_of(2, &[1, 2])));
    let finding = chain.verify(ring.outline()).unwrap_err().finding;
    assert!(finding.reason.contains("not of a leg of the deal"), "{finding}");
    // Without a validation the chain goes nowhere.
    let mut chain = opened(&ring, &start(1));
    chain.extend(&host_a(), right(&ring, 1));
    let finding = chain.verify(ring.outline()).unwrap_err().finding;
    assert!(finding.reason.contains("no other copy"), "{finding}");
}

#[test]
fn another_copy_of_genesis_closes_and_nobody_else() {
    let ring = dealt(Copies::Two, false);
    let close = |host: &SecretKey<Host>| {
        Decision::close(whole_chain(&ring), items(&[1, 2]), salt(), ring.outline(), host)
    };
    // Host A opened it; host B stands in for it.
    let decision = close(&host_b()).unwrap();
    let verified = verified(&decision, &ring, Require::AsDealt);
    assert_eq!(verified.closed_by(), host_b().public());
    assert_eq!(verified.chain().opening().host, host_a().public());
    for stranger in [host_c(), host_d()] {
        let Err(ReceiptError::Refused(finding)) = close(&stranger) else { panic!() };
        assert!(finding.reason.contains("does not stand in for Genesis"), "{finding}");
    }
    let mut raw = RawReceipts::of(&decision.encode());
    raw.closed_by = *host_c().public().as_bytes();
    let decision = Decision::decode(&raw.signed_by(&HOST_C_SEED)).unwrap();
    assert_eq!(refusal(&decision, &ring), (None, "closure", Verdict::Tampered));
}

#[test]
fn only_hosts_that_the_deal_names_for_genesis_open_under_it() {
    let ring = dealt(Copies::Two, false);
    let chain = crate::small_query::open_chain(&ring, &host_b(), batch_of("x0", &[1]));
    chain.verify(ring.outline()).unwrap();
    let mut planned = planned(Copies::Two, false);
    planned.plan.genesis = vec![host_a().public()];
    let bytes = deal_out(&intact(&small_ring()), &owner(), &planned).unwrap().1;
    let ring = intact(&bytes);
    // Host B can still open Genesis' block, and is not named for it.
    let chain = crate::small_query::open_chain(&ring, &host_b(), batch_of("x0", &[1]));
    let finding = chain.verify(ring.outline()).unwrap_err().finding;
    assert!(finding.reason.contains("does not name for Genesis"), "{finding}");
}

#[test]
fn a_query_under_another_deal_of_the_same_ring_is_stale() {
    let first = dealt(Copies::Two, false);
    let (_, bytes) = deal_out(&first, &owner(), &planned(Copies::Three, false)).unwrap();
    let second = intact(&bytes);
    assert_eq!((first.digest(), second.revision()), (second.digest(), 2));
    let old = decided(&first);
    verified(&old, &first, Require::AsDealt);
    assert_eq!(refusal(&old, &second), (None, "file", Verdict::Stale));
    assert_eq!(refusal(&decided(&second), &first), (None, "file", Verdict::Stale));
    let plain = intact(&small_ring());
    assert_eq!(refusal(&decided(&first), &plain).2, Verdict::Tampered, "another ring");
}

#[test]
fn the_nonce_of_the_client_is_carried_and_signed() {
    let ring = dealt(Copies::Two, false);
    let nonce = Some(Digest([7; 32]));
    let decision = close(&ring, settled_chain(&ring, &QueryStart { nonce, ..start(1) }));
    assert_eq!(verified(&decision, &ring, Require::AsDealt).nonce(), nonce);
    assert_eq!(verified(&decided(&ring), &ring, Require::AsDealt).nonce(), None);
    let mut raw = RawReceipts::of(&decision.encode());
    raw.opening[152..184].fill(8);
    let other = Decision::decode(&raw.signed_by(&HOST_A_SEED)).unwrap();
    assert_eq!(refusal(&other, &ring), (Some(0), "file", Verdict::Tampered));
}

#[test]
fn a_decision_verifies_with_its_salt_and_without_it_and_not_with_another() {
    let ring = dealt(Copies::Two, false);
    let decision = decided(&ring);
    assert_eq!(verified(&decision, &ring, Require::AsDealt).salt(), Some(&salt()));
    let bare = decision.clone().without_salt();
    assert_eq!(bare.id(), decision.id());
    assert_eq!(verified(&bare, &ring, Require::AsDealt).salt(), None);
    assert_eq!(Decision::decode(&bare.encode()).unwrap(), bare);
    assert_eq!(
        bare.encode()[..],
        [&decision.encode()[..bare.encode().len() - 32], &[0; 32]].concat()
    );
    let mut raw = RawReceipts::of(&decision.encode());
    raw.salt = [1; 32];
    let other = Decision::decode(&raw.file()).unwrap();
    assert_eq!(refusal(&other, &ring), (None, "closure", Verdict::Tampered));
    let other = Salt::from_bytes([1; 32]).unwrap();
    let closed =
        Decision::close(whole_chain(&ring), items(&[1, 2]), other, ring.outline(), &host_a());
    assert!(matches!(closed, Err(ReceiptError::Refused(f)) if f.reason.contains("salt")));
}

#[test]
fn every_flipped_bit_of_a_receipt_file_with_validations_is_refused() {
    let ring = dealt(Copies::Two, false);
    let file = decided(&ring).encode();
    (0..file.len() * 8).into_par_iter().for_each(|bit| {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(decision) = Decision::decode(&flipped) {
            assert_eq!(refusal(&decision, &ring).2, Verdict::Tampered, "bit {bit}");
        }
    });
}

#[test]
fn a_field_of_a_validated_receipt_that_its_host_signs_anew_loses_its_validation() {
    let ring = dealt(Copies::Two, false);
    let mut raw = RawReceipts::of(&decided(&ring).encode());
    let claim: (u8, u32, u16) = (1, 0, 0);
    raw.claim(2, claim, &[&[1]]);
    raw.sign_receipt(2, &HOST_C_SEED);
    let host = Field::Host.read(&raw.receipts[2], 64);
    assert_eq!(host, host_c().public().as_bytes());
    let decision = Decision::decode(&raw.signed_by(&HOST_A_SEED)).unwrap();
    let finding = refused(&decision, &ring, Require::None);
    assert!(finding.reason.contains("about another receipt"), "{finding}");
}
