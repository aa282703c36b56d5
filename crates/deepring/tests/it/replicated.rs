//! A leg that its copies compute, compare and settle, and one of them lies: the others never settle on a wrong output,
//! and with three copies they go on and name who lied.

use deepring::deal::Copies;
use deepring::receipt::{Agreement, Chain, ComputedWith, LegResult};
use deepring::replication::{CopyFault, Evidence, LegCopy, LegOutcome, MessageError, NotACopy};
use deepring::{Check, Digest, Host, PublicKey, VerifiedRing};
use rayon::prelude::*;

use crate::dealt_ring::{conclude, dealt, hosts, opened, outputs_of, right, whole_chain};
use crate::driver::{ACTIVATE, COMMIT, Driver, Liar, RECORD, REVEAL, Run, kind};
use crate::forge_record::{RecordField, edit_record, receipt_digest};
use crate::small_query::{batch_of, checked, start};
use crate::small_ring::{HOST_B_SEED, host_a, host_b, host_c, host_d, intact, small_ring};

const SEEDS: u64 = 50;

/// A deal: copies, and whether it is eager.
const DEALS: [(Copies, bool); 3] =
    [(Copies::Two, false), (Copies::Three, false), (Copies::Three, true)];

/// Other outputs than block 1 gives.
fn wrong(ring: &VerifiedRing) -> LegResult {
    LegResult { outputs: batch_of("x1", &[66, 67]), ..right(ring, 1) }
}

fn of_another_engine(result: LegResult) -> LegResult {
    let computed_with = ComputedWith::new("engine 9", Digest::NONE, "aarch64 neon", 2).unwrap();
    LegResult { computed_with, ..result }
}

/// The outcome that the honest copies must come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// With two copies, nothing is decided; with three, the liar is named.
    Caught,
    /// As [`Caught`](Self::Caught), but for a liar that nobody waits for: an eager third, or one that is not called.
    MissedIfNeeded,
    /// All copies settle, or with two the leg may end without a decision; the liar is named at most.
    Harmless,
    /// All copies settle and nobody is named.
    Unnoticed,
}

type Lie = (&'static str, Wanted, fn(&VerifiedRing, &Chain) -> Liar);

const LIES: &[Lie] = &[
    ("lies in its outputs", Wanted::Caught, |ring, _| Liar::with(vec![wrong(ring)])),
    ("lies in its outputs and shows them", Wanted::Caught, |ring, _| {
        Liar::with(vec![of_another_engine(wrong(ring))])
    }),
    ("computes with another engine and shows nothing", Wanted::MissedIfNeeded, |ring, _| {
        let lie = Liar::with(vec![of_another_engine(wrong(ring))]);
        Liar { shows: None, ..lie }
            .saying(|_, _, message| [COMMIT, REVEAL].contains(&kind(message)))
    }),
    ("commits and never reveals", Wanted::MissedIfNeeded, |ring, _| {
        Liar::with(vec![right(ring, 1)]).saying(|_, _, message| kind(message) == COMMIT)
    }),
    ("never commits", Wanted::MissedIfNeeded, |ring, _| {
        Liar::with(vec![right(ring, 1)]).saying(|_, _, _| false)
    }),
    ("reveals without a commitment", Wanted::MissedIfNeeded, |ring, _| {
        Liar::with(vec![right(ring, 1)]).saying(|_, _, message| kind(message) != COMMIT)
    }),
    ("reveals something else", Wanted::Caught, |ring, _| {
        Liar::with(vec![wrong(ring), right(ring, 1)])
            .saying(|machine, _, message| (machine == 0) == (kind(message) == COMMIT))
    }),
    ("repeats the other's commitment and reveal", Wanted::Caught, |ring, _| {
        // Its first word makes it active where it would not be.
        let lie = Liar::with(vec![right(ring, 1)]).saying(|_, _, _| false);
        let first = vec![activation(ring, 1)];
        let echoes = |message: &[u8]| {
            vec![message.to_vec()]
                .into_iter()
                .filter(|m| [COMMIT, REVEAL].contains(&kind(m)))
                .collect()
        };
        Liar { echoes: Box::new(echoes), first, ..lie }
    }),
    ("signs a right and a wrong receipt", Wanted::Caught, |ring, _| {
        Liar::with(vec![wrong(ring), right(ring, 1)]).saying(|machine, other, _| machine == other)
    }),
    ("signs two wrong receipts", Wanted::Caught, |ring, _| {
        let other = LegResult { outputs: batch_of("x1", &[5, 5]), ..right(ring, 1) };
        Liar::with(vec![wrong(ring), other]).saying(|machine, other, _| machine == other)
    }),
    ("signs two receipts of the same wrong outputs", Wanted::Caught, |ring, _| {
        let other = LegResult { checked: checked(ring, 1..2, Check::Load), ..wrong(ring) };
        Liar::with(vec![wrong(ring), other]).saying(|machine, other, _| machine == other)
    }),
    ("lies to the second of the others alone", Wanted::Caught, |ring, _| {
        Liar::with(vec![wrong(ring)]).saying(|_, other, _| other == 1)
    }),
    ("lies to the first of the others alone", Wanted::Caught, |ring, _| {
        Liar::with(vec![wrong(ring)]).saying(|_, other, _| other == 0)
    }),
    ("objects falsely", Wanted::Harmless, |ring, _| {
        Liar::with(vec![right(ring, 1), wrong(ring)])
            .saying(|machine, _, message| (machine == 1) == (kind(message) == RECORD))
    }),
    ("objects and never reveals", Wanted::MissedIfNeeded, |ring, _| {
        Liar::with(vec![wrong(ring)])
            .saying(|_, _, message| ![REVEAL, ACTIVATE].contains(&kind(message)))
    }),
    ("objects twice", Wanted::Caught, |ring, _| {
        let claims = Agreement::Differs { largest: 3.0, bound: 1.0 };
        let results = vec![wrong(ring), of_another_engine(wrong(ring))];
        Liar { claims, ..Liar::with(results) }
            .saying(|machine, _, message| machine == 0 || kind(message) == RECORD)
    }),
    ("validates what it never computed", Wanted::MissedIfNeeded, |ring, _| {
        Liar::with(vec![right(ring, 1)]).saying(|_, _, message| kind(message) != REVEAL)
    }),
    ("commits to a lie and validates what it saw", Wanted::Caught, |ring, _| {
        Liar::with(vec![wrong(ring), right(ring, 1)])
            .saying(|machine, _, message| (machine == 1) == (kind(message) == RECORD))
    }),
    ("validates twice", Wanted::Unnoticed, |ring, _| {
        let again = LegResult { checked: checked(ring, 1..2, Check::Load), ..right(ring, 1) };
        Liar::with(vec![right(ring, 1), again])
            .saying(|machine, _, message| machine == 0 || kind(message) == RECORD)
    }),
    ("keeps its validations to itself", Wanted::Unnoticed, |ring, _| {
        Liar::with(vec![right(ring, 1)]).saying(|_, _, message| kind(message) != RECORD)
    }),
    ("calls the third copy without need", Wanted::Unnoticed, |ring, _| Liar {
        first: vec![activation(ring, 1)],
        ..Liar::with(vec![right(ring, 1)])
    }),
    ("sends noise, foreign messages and everything twice", Wanted::Unnoticed, |ring, chain| {
        let first = noise(ring, chain);
        Liar { first, times: 2, ..Liar::with(vec![right(ring, 1)]) }
    }),
];

/// The call of a third copy in query `n`.
fn activation(ring: &VerifiedRing, n: u8) -> Vec<u8> {
    let chain = opened(ring, &start(n));
    [&chain.opening().query.0[..], &chain.head().0, &[ACTIVATE]].concat()
}

/// Bytes that are no message, and messages of another query and of another leg.
fn noise(ring: &VerifiedRing, chain: &Chain) -> Vec<Vec<u8>> {
    let settled = conclude(ring, chain, |_| right(ring, 1));
    let mut later = chain.clone();
    later.extend_settled(settled.receipt, settled.validations);
    let sent = |chain: &Chain, block| {
        let verified = chain.verify(ring.outline()).unwrap();
        let keys = hosts().into_iter().filter_map(|key| LegCopy::new(&verified, key).ok());
        let mut copies: Vec<LegCopy<'_>> = keys.take(2).collect();
        copies.iter_mut().flat_map(|c| c.computed(right(ring, block), [7; 32])).collect::<Vec<_>>()
    };
    let foreign = [sent(&opened(ring, &start(2)), 1), sent(&later, 2)].concat();
    let mut out: Vec<Vec<u8>> = foreign.into_iter().map(|out| out.bytes).collect();
    out.extend([vec![], vec![0; 64], vec![0xff; 300], activation(ring, 9)]);
    out
}

/// Runs a lie at a place over all seeds.
fn runs(ring: &VerifiedRing, lie: Option<(usize, &Liar)>, chain: &Chain) -> Vec<Run> {
    let run = |seed| {
        let verified = chain.verify(ring.outline()).unwrap();
        Driver::new(&verified, right(ring, 1), lie, seed).run()
    };
    (0..SEEDS).into_par_iter().map(run).collect()
}

/// Returns whether somebody must name the liar.
fn must_be_named(wanted: Wanted, place: usize, (copies, eager): (Copies, bool)) -> bool {
    match wanted {
        Wanted::Caught => true,
        // With two copies somebody waits for it; with three, where it is one of the first two of three.
        Wanted::MissedIfNeeded => copies == Copies::Two || !eager && place < 2,
        Wanted::Harmless | Wanted::Unnoticed => false,
    }
}

#[test]
fn honest_copies_settle_on_their_outputs_whatever_comes_first() {
    for (copies, eager) in DEALS {
        let ring = dealt(copies, eager);
        let chain = opened(&ring, &start(1));
        for run in runs(&ring, None, &chain) {
            let computed = run.ends.iter().flatten().count();
            assert_eq!(computed, if eager { 3 } else { 2 }, "no third copy without need");
            for (outcome, named) in run.ends.iter().flatten() {
                let Some(LegOutcome::Settled(settled)) = outcome else { panic!("{outcome:?}") };
                assert_eq!(settled.receipt.outputs, outputs_of(1, &[1, 2]));
                assert_eq!(settled.receipt.host, host_a().public(), "the first stands");
                assert_eq!(settled.validations.len(), computed - 1);
                assert_eq!(named, &[]);
            }
        }
    }
}

#[test]
fn one_liar_never_passes_a_wrong_output_and_three_copies_name_it_and_go_on() {
    for deal in DEALS {
        let ring = dealt(deal.0, deal.1);
        let chain = opened(&ring, &start(1));
        for (what, wanted, lie) in LIES {
            let lie = lie(&ring, &chain);
            for place in 0..deal.0.count() {
                for (seed, run) in runs(&ring, Some((place, &lie)), &chain).iter().enumerate() {
                    let what = format!("{what}, copy {place} of {deal:?}, seed {seed}");
                    verify_ending(&ring, &chain, run, place, &what);
                    expect(run, *wanted, place, deal, &what);
                }
            }
        }
    }
}

/// Checks what holds whatever one copy does.
fn verify_ending(ring: &VerifiedRing, chain: &Chain, run: &Run, liar: usize, what: &str) {
    let leg = &ring.outline().deal().unwrap().legs[0];
    for (outcome, named) in run.ends.iter().flatten() {
        match outcome {
            Some(LegOutcome::Settled(settled)) => {
                assert_eq!(settled.receipt.outputs, outputs_of(1, &[1, 2]), "{what}");
                let mut next = chain.clone();
                next.extend_settled(settled.receipt.clone(), settled.validations.clone());
                next.verify(ring.outline()).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(next.legs()[0].validations().len(), settled.validations.len(), "{what}");
            }
            Some(LegOutcome::Disputed) => {
                assert_eq!(leg.hosts.len(), 2, "three copies go on: {what}");
                assert!(!named.is_empty(), "somebody is to blame: {what}");
            }
            None => panic!("it waits for ever: {what}"),
        }
        let hosts: Vec<_> = named.iter().map(|named| named.host).collect();
        let blamed = hosts.is_empty() || hosts.contains(&leg.hosts[liar]);
        assert!(blamed, "an honest copy alone is named: {what}: {named:?}");
        if leg.hosts.len() == 3 {
            assert!(hosts.iter().all(|host| *host == leg.hosts[liar]), "{what}: {named:?}");
        }
        for named in named {
            let (evidence, proof) = match &named.fault {
                CopyFault::Disputed(evidence) => (evidence, false),
                CopyFault::Outvoted(evidence) | CopyFault::Equivocated(evidence) => {
                    (evidence, true)
                }
                _ => continue,
            };
            // A liar that states another engine is named, and nothing is proven against it.
            let proof = proof && computed_alike(evidence);
            evidence.verify(ring.outline()).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(Evidence::from_bytes(&evidence.to_bytes()).as_ref(), Ok(evidence));
            assert_eq!(evidence.is_proof(), proof, "{what}");
            assert!(evidence.names().contains(&leg.hosts[liar]), "{what}: {evidence:?}");
            assert!(evidence.names().contains(&named.host), "{what}: {evidence:?}");
        }
    }
}

fn computed_alike(evidence: &Evidence) -> bool {
    let with = &evidence.receipt().computed_with;
    match evidence {
        Evidence::Equivocation { second, .. } => second.computed_with == *with,
        Evidence::Contradiction { objection, .. } => objection.computed_with == *with,
        Evidence::Majority { objections, .. } => {
            objections.iter().all(|o| o.computed_with == *with)
        }
        Evidence::Perjury { record, .. } => record.computed_with == *with,
    }
}

/// Checks the outcome of this lie.
fn expect(run: &Run, wanted: Wanted, place: usize, deal: (Copies, bool), what: &str) {
    let settled = |outcome: &Option<LegOutcome>| matches!(outcome, Some(LegOutcome::Settled(_)));
    let ends: Vec<_> = run.ends.iter().flatten().collect();
    let named = ends.iter().any(|(_, named)| !named.is_empty());
    if must_be_named(wanted, place, deal) {
        assert!(named, "{what}");
        if deal.0 == Copies::Two {
            assert!(ends.iter().all(|(outcome, _)| !settled(outcome)), "{what}");
        }
    }
    if wanted == Wanted::Unnoticed {
        assert!(!named, "{what}");
        assert!(ends.iter().all(|(outcome, _)| settled(outcome)), "{what}");
    }
}

#[test]
fn a_third_copy_that_is_called_without_need_validates_and_changes_nothing_else() {
    let ring = dealt(Copies::Three, false);
    let chain = opened(&ring, &start(1));
    let lie = Liar { first: vec![activation(&ring, 1)], ..Liar::with(vec![right(&ring, 1)]) };
    for run in runs(&ring, Some((1, &lie)), &chain) {
        let [first, None, third] = &run.ends[..] else { panic!() };
        for (outcome, named) in [first, third].into_iter().flatten() {
            let Some(LegOutcome::Settled(settled)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(settled.receipt.host, host_a().public());
            let validators: Vec<_> = settled.validations.iter().map(|v| v.host).collect();
            assert_eq!(validators.len(), 2, "{validators:?}");
            assert_eq!(named, &[]);
        }
    }
}

#[test]
fn equal_seeds_give_equal_bytes_and_others_another_order() {
    for (copies, eager) in DEALS {
        let ring = dealt(copies, eager);
        let chain = opened(&ring, &start(1));
        let lie = Liar::with(vec![wrong(&ring)]);
        for lie in [None, Some((1, &lie))] {
            let (one, again) = (runs(&ring, lie, &chain), runs(&ring, lie, &chain));
            assert!(one == again);
            assert!(one.iter().any(|run| run.delivered != one[0].delivered));
        }
    }
}

#[test]
fn outputs_that_are_near_settle_a_leg_of_copies_that_compute_with_other_things() {
    for (copies, eager) in [DEALS[0], DEALS[2]] {
        let ring = dealt(copies, eager);
        let chain = opened(&ring, &start(1));
        let near = Agreement::Near { largest: 0.25, bound: 0.5 };
        let other =
            of_another_engine(LegResult { outputs: batch_of("x1", &[1, 3]), ..right(&ring, 1) });
        let lie = Liar { shows: Some(near), claims: near, ..Liar::with(vec![other.clone()]) };
        for run in runs(&ring, Some((1, &lie)), &chain) {
            let (outcome, named) = run.ends[0].as_ref().unwrap();
            let Some(LegOutcome::Settled(settled)) = outcome else { panic!("{outcome:?}") };
            assert_eq!((settled.receipt.outputs, named.len()), (outputs_of(1, &[1, 2]), 0));
            let of_b = settled.validations.iter().find(|v| v.host == host_b().public()).unwrap();
            assert_eq!((of_b.agreement, of_b.outputs), (near, other.outputs));
            let mut next = chain.clone();
            next.extend_settled(settled.receipt.clone(), settled.validations.clone());
            next.verify(ring.outline()).unwrap();
        }
    }
}

/// The two copies of leg 1, and what they committed with.
fn two_copies<'a>(chain: &'a Chain, ring: &'a VerifiedRing) -> ([LegCopy<'a>; 2], [Vec<u8>; 2]) {
    let verified = chain.verify(ring.outline()).unwrap();
    let mut copies = [host_a(), host_b()].map(|key| LegCopy::new(&verified, key).unwrap());
    let commitments = [0, 1].map(|i| {
        let out = copies[i].computed(right(ring, 1), [7 + i as u8; 32]);
        let [out] = <[_; 1]>::try_from(out).unwrap();
        out.bytes
    });
    (copies, commitments)
}

#[test]
fn what_is_not_looked_at_is_refused_by_name_and_changes_nothing() {
    let ring = dealt(Copies::Two, false);
    let chain = opened(&ring, &start(1));
    let ([mut a, mut b], [of_a, of_b]) = two_copies(&chain, &ring);
    let [key_a, key_b] = [host_a(), host_b()].map(|key| key.public());
    let said = format!("{a:?}");
    for bytes in noise(&ring, &chain) {
        let refused = a.receive(&key_b, &bytes).unwrap_err();
        let wanted = matches!(refused, MessageError::OtherLeg | MessageError::Malformed(_));
        assert!(wanted, "{refused}");
    }
    // From who is no copy, and from itself.
    for from in [host_c().public(), host_d().public(), key_a] {
        assert_eq!(a.receive(&from, &of_b), Err(MessageError::NotACopy));
    }
    assert_eq!(format!("{a:?}"), said);
    let reveal_of_a = a.receive(&key_b, &of_b).unwrap().remove(0).bytes;
    let reveal_of_b = b.receive(&key_a, &of_a).unwrap().remove(0).bytes;
    let said = format!("{a:?}");
    assert_eq!(a.receive(&key_b, &of_b), Err(MessageError::TooLate));
    assert_eq!(format!("{a:?}"), said);
    let record = b.receive(&key_a, &reveal_of_a).unwrap().remove(0).bytes;
    assert_eq!((kind(&reveal_of_b), kind(&record)), (REVEAL, RECORD));
    a.receive(&key_b, &reveal_of_b).unwrap();
    assert_eq!(a.receive(&key_b, &reveal_of_b), Err(MessageError::TooLate));
    assert_eq!(a.waits_for().collect::<Vec<_>>(), [key_b], "for its validation");
    assert_eq!(a.outcome(), None);

    // A record about no receipt, one that another key signed, and one about its signer's own receipt.
    let len = crate::forge::validation_len(&record[65..]);
    let with = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut validation = record[65..65 + len].to_vec();
        edit(&mut validation);
        [&record[..65], &validation, &record[65 + len..]].concat()
    };
    let said = format!("{a:?}");
    let own = receipt_digest(&reveal_of_b[97..]);
    let refused = |a: &mut LegCopy<'_>, bytes: &[u8]| match a.receive(&key_b, bytes) {
        Err(MessageError::Refused(finding)) => finding.reason,
        other => panic!("{other:?}"),
    };
    let bytes = with(&|v| edit_record(v, RecordField::Receipt, &own, &HOST_B_SEED));
    assert!(refused(&mut a, &bytes).contains("its own receipt"));
    let bytes = with(&|v| edit_record(v, RecordField::Receipt, &[9; 32], &HOST_B_SEED));
    assert!(refused(&mut a, &bytes).contains("another receipt"));
    let bytes = with(&|v| v[0] ^= 1);
    assert!(refused(&mut a, &bytes).contains("signature"));
    let bytes = with(&|v| edit_record(v, RecordField::Host, key_a.as_bytes(), &HOST_B_SEED));
    assert_eq!(a.receive(&key_b, &bytes), Err(MessageError::NotACopy));
    assert_eq!(format!("{a:?}"), said);
    a.receive(&key_b, &record).unwrap();
    assert_eq!(a.receive(&key_b, &record), Err(MessageError::TooLate));
    assert!(matches!(a.outcome(), Some(LegOutcome::Settled(_))));
    assert_eq!(a.waits_for().count(), 0);
}

#[test]
fn a_host_that_is_no_copy_of_the_leg_that_is_due_has_no_part_in_it() {
    let ring = dealt(Copies::Two, false);
    let plain = intact(&small_ring());
    let undealt = crate::small_query::open_chain(&plain, &host_a(), batch_of("x0", &[1]));
    let (begun, whole) = (opened(&ring, &start(1)), whole_chain(&ring));
    let none = |chain: &Chain, ring: &VerifiedRing, key| {
        let verified = chain.verify(ring.outline()).unwrap();
        matches!(LegCopy::new(&verified, key), Err(NotACopy))
    };
    assert!(none(&begun, &ring, host_c()) && none(&begun, &ring, host_d()));
    assert!(!none(&begun, &ring, host_b()));
    assert!(none(&whole, &ring, host_a()), "all have run");
    assert!(none(&undealt, &plain, host_a()), "nothing is dealt");
}

#[test]
fn a_second_result_and_a_patience_that_ends_too_late_change_nothing() {
    let ring = dealt(Copies::Two, false);
    let chain = opened(&ring, &start(1));
    let ([mut a, mut b], [of_a, of_b]) = two_copies(&chain, &ring);
    let [key_a, key_b] = [host_a(), host_b()].map(|key| key.public());
    assert_eq!(a.computed(wrong(&ring), [9; 32]), []);
    let mut sent = a.receive(&key_b, &of_b).unwrap();
    let reveal_of_b = b.receive(&key_a, &of_a).unwrap().remove(0).bytes;
    let reveal = sent.remove(0).bytes;
    let record = b.receive(&key_a, &reveal).unwrap().remove(0).bytes;
    assert!(matches!(b.outcome(), Some(LegOutcome::Settled(_))));
    assert_eq!((b.absent(&key_a), b.named()), (vec![], vec![]), "it revealed");
    a.receive(&key_b, &reveal_of_b).unwrap();
    a.receive(&key_b, &record).unwrap();
    let before = a.outcome();
    assert_eq!((a.absent(&key_b), a.absent(&key_a)), (vec![], vec![]));
    assert_eq!((a.outcome(), a.named()), (before, vec![]));
}

#[test]
fn a_copy_whose_validation_does_not_come_is_validated_in_its_place() {
    let ring = dealt(Copies::Two, false);
    let chain = opened(&ring, &start(1));
    let ([mut a, mut b], [of_a, of_b]) = two_copies(&chain, &ring);
    let [key_a, key_b] = [host_a(), host_b()].map(|key| key.public());
    let reveal_of_b = b.receive(&key_a, &of_a).unwrap().remove(0).bytes;
    a.receive(&key_b, &of_b).unwrap();
    a.receive(&key_b, &reveal_of_b).unwrap();
    let out = a.absent(&key_b);
    assert_eq!(out.iter().map(|out| kind(&out.bytes)).collect::<Vec<_>>(), [RECORD]);
    let Some(LegOutcome::Settled(settled)) = a.outcome() else { panic!() };
    assert_eq!((settled.receipt.host, settled.validations[0].host), (key_b, key_a));
    assert_eq!(a.named(), []);
}

#[test]
fn an_agreement_that_cannot_be_is_not_signed() {
    let ring = dealt(Copies::Two, false);
    let chain = opened(&ring, &start(1));
    let verified = chain.verify(ring.outline()).unwrap();
    let [mut a, mut b] = [host_a(), host_b()].map(|key| LegCopy::new(&verified, key).unwrap());
    let [key_a, key_b] = [host_a(), host_b()].map(|key| key.public());
    let of_a = a.computed(right(&ring, 1), [1; 32]).remove(0).bytes;
    let of_b = b.computed(of_another_engine(wrong(&ring)), [2; 32]).remove(0).bytes;
    let reveal_of_a = a.receive(&key_b, &of_b).unwrap().remove(0).bytes;
    b.receive(&key_a, &of_a).unwrap();
    b.receive(&key_a, &reveal_of_a).unwrap();
    assert_eq!(b.wants_outputs().map(|(host, _)| host), Some(key_a));
    for agreement in [
        Agreement::Same,
        Agreement::Near { largest: 2.0, bound: 1.0 },
        Agreement::Near { largest: f32::NAN, bound: 1.0 },
        Agreement::Differs { largest: 1.0, bound: 2.0 },
        Agreement::Differs { largest: 1.0, bound: f32::INFINITY },
    ] {
        assert_eq!(b.compared(&key_a, agreement), [], "{agreement:?}");
    }
    assert_eq!(b.compared(&key_b, Agreement::Differs { largest: 2.0, bound: 1.0 }), []);
    let out = b.compared(&key_a, Agreement::Differs { largest: 2.0, bound: 1.0 });
    assert_eq!(kind(&out[0].bytes), RECORD);
    assert_eq!((b.wants_outputs(), b.outcome()), (None, Some(LegOutcome::Disputed)));
}

#[test]
fn three_copies_with_three_results_are_disputed_and_none_is_outvoted() {
    let ring = dealt(Copies::Three, true);
    let chain = opened(&ring, &start(1));
    let verified = chain.verify(ring.outline()).unwrap();
    let hosts = verified.next_leg().unwrap().hosts.clone();
    let keys = [host_a(), host_b(), host_c(), host_d()];
    let key = |host: &PublicKey<Host>| keys.iter().find(|k| k.public() == *host).unwrap().clone();
    let mut copies: Vec<_> =
        hosts.iter().map(|host| LegCopy::new(&verified, key(host)).unwrap()).collect();
    let mut sent = Vec::new();
    for (place, copy) in copies.iter_mut().enumerate() {
        let value = 60 + u8::try_from(place).unwrap();
        let result = LegResult { outputs: batch_of("x1", &[value]), ..right(&ring, 1) };
        sent.extend(copy.computed(result, [value; 32]).into_iter().map(|out| (place, out)));
    }
    while let Some((from, out)) = sent.pop() {
        let to = hosts.iter().position(|host| *host == out.to).unwrap();
        let answers = copies[to].receive(&hosts[from], &out.bytes).unwrap();
        sent.extend(answers.into_iter().map(|out| (to, out)));
    }
    for copy in &copies {
        assert_eq!(copy.outcome(), Some(LegOutcome::Disputed));
        let named = copy.named();
        assert_eq!(named.len(), 3, "{named:?}");
        for one in named {
            let CopyFault::Disputed(evidence) = &one.fault else { panic!("{:?}", one.fault) };
            assert!(!evidence.is_proof());
            evidence.verify(ring.outline()).unwrap();
        }
    }
}

/// Whoever states another engine cannot be proven to lie by other bits. It is named for them all the same.
#[test]
fn a_host_that_states_another_engine_is_named_all_the_same() {
    for (copies, eager) in DEALS {
        let ring = dealt(copies, eager);
        let chain = opened(&ring, &start(1));
        let unmeasured = Agreement::UNMEASURED;
        let result = of_another_engine(wrong(&ring));
        let lie = Liar { shows: Some(unmeasured), claims: unmeasured, ..Liar::with(vec![result]) };
        for run in runs(&ring, Some((1, &lie)), &chain) {
            for (outcome, named) in run.ends.iter().flatten() {
                let of_liar = named.iter().find(|named| named.host == host_b().public());
                let fault = &of_liar.unwrap_or_else(|| panic!("{named:?}")).fault;
                match (fault, copies) {
                    (CopyFault::Disputed(evidence), Copies::Two) => {
                        assert!(!evidence.is_proof());
                        assert_eq!(outcome, &Some(LegOutcome::Disputed));
                    }
                    (CopyFault::Outvoted(evidence), Copies::Three) => {
                        evidence.verify(ring.outline()).unwrap();
                        assert!(!evidence.is_proof(), "other bits of another engine prove no lie");
                        assert!(matches!(outcome, Some(LegOutcome::Settled(_))));
                        assert_eq!(named.len(), 1);
                    }
                    (other, _) => panic!("{other:?}"),
                }
            }
        }
    }
}
