//! Decisions that hold: over several hosts, in batches, in files; and what `close` refuses.

use deepring::maintenance::grant;
use deepring::receipt::{
    LegResult, Parcel, QueryStart, ReceiptError, Require, batch_digest, tensors_digest,
};
use deepring::{Check, Decision, Report, Verdict};

use crate::small_query::{
    batch_of, chain, content, decision, items, open_chain, open_chain_with, ran, salt, tensor,
};
use crate::small_ring::{host_a, host_b, host_c, intact, owner, small_ring, two_versions};

/// The block and part that a decision is refused for, and the verdict.
pub(crate) fn refusal(
    decision: &Decision,
    ring: &deepring::VerifiedRing,
) -> (Option<u32>, &'static str, Verdict) {
    match decision.verify(ring.outline(), Require::AsDealt) {
        Err(ReceiptError::Refused(f)) => {
            let place = (f.block, f.part.name());
            (place.0, place.1, Report::of_findings(vec![f]).verdict)
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn a_decision_over_two_hosts_verifies_and_tells_what_it_is_about() {
    let ring = intact(&small_ring());
    let decision = decision(&ring);
    let verified = decision.verify(ring.outline(), Require::AsDealt).unwrap();
    assert_eq!(verified.id(), decision.id());
    assert_eq!(verified.ring_digest(), ring.digest());
    assert_eq!(verified.model_version(), 1);
    assert_eq!(verified.opened_at(), 1_700_000_000_000);
    assert_eq!(verified.check(), Check::Load, "the weakest of run and load");
    assert_eq!(verified.items(), items(&[1, 2]));
    assert_eq!(verified.chain().receipts().len(), 2);
    assert_eq!((verified.nonce(), verified.salt()), (None, Some(&salt())));
}

#[test]
fn a_query_hops_from_host_to_host_in_parcels_and_returns_to_genesis() {
    let ring = intact(&small_ring());
    let (a, b) = (host_a(), host_b());
    let batch = |name: &str, values: [u8; 2]| -> Vec<_> {
        values.iter().map(|n| vec![tensor(name, *n)]).collect()
    };
    let digest_of = |batch: &[Vec<_>]| {
        batch_digest(&batch.iter().map(|t| tensors_digest(&salt(), t)).collect::<Vec<_>>())
    };

    // Host A opens the query, runs block 1, and sends the result to host B.
    let mut chain = open_chain(&ring, &a, batch_of("x0", &[1, 2]));
    let x1 = batch("x1", [5, 6]);
    chain.extend(&a, ran(&ring, 1..2, Check::Run, digest_of(&x1)));
    let travels = Parcel::seal(chain, &salt(), &x1, &[b.public()]).unwrap().encode();

    // Host B opens it, runs blocks 2 and 3, and sends the result back.
    let delivered = Parcel::decode(&travels).unwrap().open(ring.outline(), &b).unwrap();
    let (mut chain, received) = (delivered.chain, delivered.batch);
    assert_eq!(received, x1);
    assert_eq!(chain.verify(ring.outline()).unwrap().next_block(), 2);
    let y = batch("y", [101, 102]);
    chain.extend(&b, ran(&ring, 2..4, Check::Run, digest_of(&y)));
    let returns = Parcel::seal(chain, &salt(), &y, &[a.public()]).unwrap().encode();

    let delivered = Parcel::decode(&returns).unwrap().open(ring.outline(), &a).unwrap();
    let (chain, received) = (delivered.chain, delivered.batch);
    assert_eq!(received, y);
    let decision = Decision::close(chain, items(&[1, 2]), salt(), ring.outline(), &a).unwrap();
    assert_eq!(decision.verify(ring.outline(), Require::AsDealt).unwrap().check(), Check::Run);
}

#[test]
fn a_decision_survives_its_file() {
    let ring = intact(&small_ring());
    let decision = decision(&ring);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.receipt");
    decision.write(&path).unwrap();
    decision.write(&path).unwrap();
    let read = Decision::read(&path).unwrap();
    assert_eq!(read, decision);
    assert_eq!(std::fs::read(&path).unwrap(), decision.encode());
    read.verify(ring.outline(), Require::AsDealt).unwrap();
}

#[test]
fn a_file_that_is_no_receipt_is_malformed_and_one_that_does_not_exist_an_io_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.receipt");
    assert!(matches!(Decision::read(&path), Err(ReceiptError::Io { .. })));
    for bytes in [vec![], small_ring(), vec![0; 1000], b"DRECEIPT".to_vec()] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(Decision::read(&path), Err(ReceiptError::Malformed(_))));
    }
}

#[test]
fn a_decision_about_another_version_is_stale_and_about_another_ring_tampering() {
    let (first, second) = two_versions();
    let (first, second) = (intact(&first), intact(&second));
    let old = decision(&first);
    assert_eq!(refusal(&old, &second), (None, "file", Verdict::Stale));
    let other = intact(&small_ring());
    assert_eq!(refusal(&old, &other), (None, "file", Verdict::Tampered));
}

#[test]
fn only_the_host_that_opened_a_chain_closes_it() {
    let ring = intact(&small_ring());
    let result =
        Decision::close(chain(&ring, &[1]), items(&[1]), salt(), ring.outline(), &host_b());
    assert!(
        matches!(result, Err(ReceiptError::Refused(f)) if f.reason.contains("does not stand in for Genesis"))
    );
}

#[test]
fn a_chain_that_ends_early_does_not_close() {
    let ring = intact(&small_ring());
    let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
    let close = |chain| Decision::close(chain, items(&[1]), salt(), ring.outline(), &host_a());
    assert!(close(chain.clone()).is_err());
    chain.extend(&host_a(), ran(&ring, 1..2, Check::Run, batch_of("x1", &[1])));
    assert!(close(chain.clone()).is_err());
    chain.extend(&host_b(), ran(&ring, 2..3, Check::Run, batch_of("x2", &[1])));
    assert!(close(chain.clone()).is_err());
    chain.extend(&host_b(), ran(&ring, 3..4, Check::Run, batch_of("y", &[101])));
    close(chain).unwrap();
}

#[test]
fn items_that_are_not_those_of_the_chain_do_not_close() {
    let ring = intact(&small_ring());
    let close =
        |items| Decision::close(chain(&ring, &[1, 2]), items, salt(), ring.outline(), &host_a());
    let [one, two] = items(&[1, 2])[..] else { panic!() };
    let crossed = deepring::receipt::Item { inputs: one.inputs, outputs: two.outputs };
    let back = deepring::receipt::Item { inputs: two.inputs, outputs: one.outputs };
    for wrong in [vec![], vec![one], vec![two, one], vec![one, two, two], vec![crossed, back]] {
        let result = close(wrong);
        assert!(matches!(result, Err(ReceiptError::Refused(f)) if f.part.name() == "closure"));
    }
    close(vec![one, two]).unwrap();
}

#[test]
fn a_batch_of_no_query_does_not_close_even_where_the_chain_is_about_none() {
    let ring = intact(&small_ring());
    let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[]));
    chain.extend(&host_a(), ran(&ring, 1..2, Check::Run, batch_of("x1", &[])));
    chain.extend(&host_b(), ran(&ring, 2..4, Check::Run, batch_of("y", &[])));
    let result = Decision::close(chain, vec![], salt(), ring.outline(), &host_a());
    assert!(matches!(result, Err(ReceiptError::Refused(f)) if f.reason.contains("no query")));
}

#[test]
fn a_receipt_signed_by_who_is_no_host_of_the_block_is_refused() {
    let verdict = |finding| Report::of_findings(vec![finding]).verdict;
    let ring = intact(&small_ring());
    for (host, blocks) in [(host_c(), 1..2), (host_b(), 1..2)] {
        let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
        chain.extend(&host, ran(&ring, blocks, Check::Run, batch_of("x1", &[1])));
        let err = chain.verify(ring.outline()).unwrap_err();
        assert_eq!((err.finding.block, err.finding.part.name()), (Some(1), "body"));
        assert!(err.finding.reason.contains(&host.public().to_string()), "{err}");
        assert_eq!(verdict(err.finding), Verdict::Stale);
    }
    // Host A may run block 1, but not the block after it.
    let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
    chain.extend(&host_a(), ran(&ring, 1..3, Check::Run, batch_of("x2", &[1])));
    assert_eq!(chain.verify(ring.outline()).unwrap_err().finding.block, Some(2));
}

#[test]
fn an_opening_signed_by_who_is_no_host_of_genesis_is_refused() {
    let ring = intact(&small_ring());
    let chain = open_chain(&ring, &host_c(), batch_of("x0", &[1]));
    let err = chain.verify(ring.outline()).unwrap_err();
    assert_eq!((err.finding.block, err.finding.part.name()), (Some(0), "file"));
    assert_eq!(Report::of_findings(vec![err.finding]).verdict, Verdict::Stale);
}

/// An older revision of the same version is authentic, and its headers do not name who was granted since. Whoever puts
/// it before an auditor must not make an honest host look like a forger.
#[test]
fn a_receipt_of_a_host_granted_since_is_stale_against_the_older_revision_and_holds_against_the_newer()
 {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("granted.ring");
    let older = intact(&small_ring());
    grant(&older, &owner(), &host_c().public(), None, &target).unwrap();
    let newer = intact(&std::fs::read(&target).unwrap());
    let mut chain = open_chain(&newer, &host_c(), batch_of("x0", &[1]));
    chain.extend(&host_c(), ran(&newer, 1..4, Check::Run, batch_of("y", &[101])));
    let decision = Decision::close(chain, items(&[1]), salt(), newer.outline(), &host_c()).unwrap();
    decision.verify(newer.outline(), Require::AsDealt).unwrap();
    assert_eq!(refusal(&decision, &older), (Some(0), "file", Verdict::Stale));
}

#[test]
fn a_receipt_about_other_content_than_was_sealed_names_the_block() {
    let ring = intact(&small_ring());
    let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
    chain.extend(&host_a(), ran(&ring, 1..2, Check::Run, batch_of("x1", &[1])));
    let mut blocks = content(&ring, 2..4);
    blocks[1].0[0] ^= 1;
    let result = ran(&ring, 2..4, Check::Run, batch_of("y", &[1]));
    chain.extend(&host_b(), LegResult { blocks, ..result });
    let err = chain.verify(ring.outline()).unwrap_err();
    assert_eq!((err.finding.block, err.finding.part.name()), (Some(3), "body"));
}

#[test]
fn a_receipt_for_more_blocks_than_the_ring_has_is_refused() {
    let ring = intact(&small_ring());
    let mut chain = chain(&ring, &[1]);
    let blocks = vec![crate::small_ring::some_digest(1)];
    let result = ran(&ring, 1..2, Check::Run, batch_of("z", &[1]));
    chain.extend(&host_b(), LegResult { blocks, ..result });
    let err = chain.verify(ring.outline()).unwrap_err();
    assert_eq!((err.finding.block, err.finding.part.name()), (None, "file"));
}

#[test]
fn two_chains_share_no_query_id() {
    let ring = intact(&small_ring());
    let [one, two] = [0; 2].map(|_| {
        let start = QueryStart::random(None, 1_700_000_000_000).unwrap();
        open_chain_with(&ring, &host_a(), batch_of("x0", &[1]), &start)
    });
    assert_ne!(one.opening().query, two.opening().query);
    assert_ne!(one.opening().salt, two.opening().salt);
    assert_ne!(one.head(), two.head());
}

#[test]
fn a_chain_knows_what_comes_next() {
    let ring = intact(&small_ring());
    let mut chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
    let verified = chain.verify(ring.outline()).unwrap();
    assert_eq!((verified.next_block(), verified.outputs()), (1, batch_of("x0", &[1])));
    chain.extend(&host_a(), ran(&ring, 1..2, Check::Run, batch_of("x1", &[7])));
    let verified = chain.verify(ring.outline()).unwrap();
    assert_eq!((verified.next_block(), verified.outputs()), (2, batch_of("x1", &[7])));
}
