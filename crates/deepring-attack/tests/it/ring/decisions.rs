//! Attacks on decisions and on ledgers.

use deepring::keys::AuthorKey;
use deepring::{Check, Digest, TensorValue};
use deepring_attack::ring::{
    Claim, SwapForm, ledger_fork, output_swap, receipt_replay, verify_claim, verify_ledger,
};
use deepring_infer::{Session, SessionOptions};
use deepring_ledger::{Entry, Event, Ledger};

use super::files::Rings;
use super::{NETWORKS, samples};

/// Two questions, each with its answer and receipt.
fn claims(rings: &Rings) -> [Claim; 2] {
    let options = SessionOptions { check: Check::Auto, ..SessionOptions::default() };
    let session = Session::open(rings.ring(), std::slice::from_ref(&rings.host), options).unwrap();
    let name = session.ring().inputs()[0].name.clone();
    [0, 1].map(|at| {
        let inputs: Vec<TensorValue> = vec![samples(4).batch(&name, at..at + 1, 1).unwrap()];
        let outcome = session.run(inputs.clone()).unwrap();
        Claim::honest(&outcome.decision, inputs, outcome.outputs[0].clone())
    })
}

#[test]
fn a_receipt_fits_its_own_question_and_answer_only() {
    for name in NETWORKS {
        let rings = Rings::of(name);
        let (ring, claims) = (rings.ring(), claims(&rings));
        for claim in &claims {
            assert_eq!(verify_claim(claim, &ring).exit, 0);
        }
        let [first, second] = claims;
        assert_ne!(first.outputs, second.outputs);

        let replayed = receipt_replay(&first, second.inputs.clone());
        let verified = verify_claim(&replayed, &ring);
        assert_eq!((verified.exit, verified.findings.len()), (3, 1));
        assert!(verified.findings[0].reason.contains("other inputs"));

        let beside = output_swap(&first, second.outputs.clone(), SwapForm::Beside);
        assert_eq!(beside.receipt, first.receipt);
        let verified = verify_claim(&beside, &ring);
        assert_eq!(verified.exit, 3);
        assert!(verified.findings[0].reason.contains("other inputs or outputs"));

        let inside = output_swap(&first, second.outputs.clone(), SwapForm::Inside);
        assert_ne!(inside.receipt, first.receipt);
        assert_eq!(inside.receipt.len(), first.receipt.len());
        let verified = verify_claim(&inside, &ring);
        assert_eq!(verified.exit, 3);
        assert!(verified.findings[0].reason.contains("items' outputs"), "{:?}", verified.findings);

        let cut = Claim { receipt: first.receipt[..50].to_vec(), ..first };
        assert_eq!(verify_claim(&cut, &ring).exit, 3);
    }
}

#[test]
fn a_forked_ledger_is_found_by_who_kept_a_checkpoint_of_the_other_branch() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("ledger");
    let rings = Rings::of(NETWORKS[0]);
    let (ring, host) = (rings.ring(), AuthorKey::from(rings.host.clone()));
    let mut ledger = Ledger::open_or_create(&original).unwrap();
    let binding = ledger.state().unwrap().binding(&host.public());
    let entry = |n: u8| {
        let (ring_digest, decision_id) = (ring.digest(), Digest([n; 32]));
        let event = Event::Decisions { ring_digest, decision_id, count: 1, dealt: 0 };
        Entry::sign(binding, u64::from(n), &event, &host).unwrap()
    };
    ledger.register(ring.outline(), &rings.owner.clone().into()).unwrap();
    ledger.append(&[entry(1), entry(2)]).unwrap();
    let before = ledger.checkpoint().as_str().to_owned();
    drop(ledger);

    let out = folder.path().join("fork");
    let fork = ledger_fork(&original, &out, [&[entry(4)], &[entry(5)]]).unwrap();
    assert_eq!((fork.common, fork.sizes), (3, [4, 4]));
    assert_ne!(fork.roots[0], fork.roots[1]);
    for i in [0, 1] {
        // Each branch is intact in itself, and extends the beginning that both have.
        let branch = Ledger::open_read(&fork.folders[i], None).unwrap();
        assert!(branch.verify().unwrap().is_intact());
        assert_eq!(verify_ledger(&fork.folders[i], &before).unwrap().exit, 0);
        assert_eq!(verify_ledger(&fork.folders[i], &fork.checkpoints[i]).unwrap().exit, 0);
        // Only what the other branch showed speaks against it.
        let verified = verify_ledger(&fork.folders[i], &fork.checkpoints[1 - i]).unwrap();
        assert_eq!((verified.exit, verified.findings.len()), (3, 1));
    }
    assert_eq!(Ledger::open_read(&original, None).unwrap().len(), 3);
}
