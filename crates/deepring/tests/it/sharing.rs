//! Parameters that several blocks use, stored once: who opens them, what they are bound to, and what is refused.

use deepring::maintenance::grant;
use deepring::opening::OpenError;
use deepring::seal::{RingSealer, SealError};
use deepring::{OpeningKey, PartKind, Verdict, VerifiedRing};

use crate::forge::{RawRing, derive};
use crate::small_ring::{
    OWNER_SEED, Places, f32_spec, host_a, host_b, host_c, intact, owner, places, plaintext, plan,
    plan_with_shared, refused, seal,
};

fn opened(ring: &VerifiedRing, block: u32, key: OpeningKey<'_>) -> Result<Vec<u8>, OpenError> {
    let mut out = vec![0; usize::try_from(ring.headers()[block as usize].plain_len).unwrap()];
    ring.open_block(block, key, &mut out).map(|_| out)
}

#[test]
fn each_block_opens_with_what_it_shares_and_the_body_is_there_once() {
    let bytes = seal(&plan_with_shared(), &owner());
    let ring = intact(&bytes);
    assert_eq!((ring.layers().len(), ring.shared().len()), (3, 2));
    let dir = tempfile::tempdir().unwrap();
    let plan = plan_with_shared();
    let sealer = RingSealer::create(&dir.path().join("other"), &plan, owner()).unwrap();
    let table = plaintext(&sealer, 4);
    let vectors = plaintext(&sealer, 5);
    let owner = owner();
    for (block, shared) in [(1, vec![&table]), (2, vec![&table, &vectors]), (3, vec![&vectors])] {
        let header = &ring.headers()[block as usize];
        let out = opened(&ring, block, (&owner).into()).unwrap();
        let own = usize::try_from(header.own_len()).unwrap();
        assert_eq!(out[..own], plaintext(&sealer, block as usize));
        let mut at = own;
        for bytes in shared {
            let start = at.next_multiple_of(65_536);
            assert!(out[at..start].iter().all(|b| *b == 0));
            at = start + bytes.len();
            assert_eq!(out[start..at], **bytes);
        }
        assert_eq!(out.len(), at);
    }
    // In the file once: three parts and their tags are all that block 2's own body has.
    assert_eq!(ring.headers()[2].body_len(), 48 + 16 + 21 + 3 * 16);
    assert_eq!(ring.headers()[4].body_len(), table.len() as u64 + 16);
    assert_eq!(ring.headers()[2].shared_blocks().collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn a_block_is_for_a_key_only_with_what_it_shares() {
    let mut plan = plan_with_shared();
    // Block 3 is host B's, and what it shares is not.
    plan.blocks[5].hosts.clear();
    let ring = intact(&seal(&plan, &owner()));
    let (b, owner) = (host_b(), owner());
    let is_for = |block: usize, key| ring.is_for(&ring.headers()[block], key);
    assert!(!is_for(3, (&b).into()) && !is_for(2, (&b).into()));
    assert!(is_for(0, (&b).into()) && is_for(4, (&b).into()));
    assert!((0..6).all(|block| is_for(block, (&owner).into())));
    let refused = opened(&ring, 3, (&b).into());
    assert!(matches!(refused, Err(OpenError::NotForThisKey { index: 5, .. })));
}

/// More than a chunk, and a block that shares in two of its places.
#[test]
fn what_is_shared_has_as_many_chunks_as_it_needs() {
    let mut plan = plan_with_shared();
    let table = (PartKind::Parameter(f32_spec("table", &[40_000])), 160_000);
    plan.blocks[4].parts = vec![table.clone(), table];
    let ring = intact(&seal(&plan, &owner()));
    assert_eq!(ring.headers()[4].body_len(), 2 * (160_000 + 3 * 16));
    let owner = owner();
    let (alone, user) = (opened(&ring, 4, (&owner).into()), opened(&ring, 2, (&owner).into()));
    let place = ring.headers()[2].place_of_shared(4);
    assert_eq!(user.unwrap()[place], alone.unwrap());
}

#[test]
fn who_is_granted_a_block_is_granted_what_it_shares_and_nothing_else() {
    let ring = intact(&seal(&plan_with_shared(), &owner()));
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("granted.ring");
    let new = host_c();
    // Genesis, block 3, and the shared block that it uses.
    assert_eq!(grant(&ring, &owner(), &new.public(), Some(&[3]), &target).unwrap(), 3);
    let bytes = std::fs::read(target).unwrap();
    let granted = intact(&bytes);
    assert_eq!(granted.digest(), ring.digest());
    assert!(opened(&granted, 3, (&new).into()).is_ok());
    for block in [1, 2, 4] {
        let refused = opened(&granted, block, (&new).into());
        assert!(matches!(refused, Err(OpenError::NotForThisKey { index, .. }) if index == block));
    }
    let (a, b) = (host_a(), host_b());
    assert!(opened(&granted, 1, (&a).into()).is_ok());
    assert!(opened(&granted, 2, (&b).into()).is_ok() && opened(&granted, 3, (&b).into()).is_ok());
}

#[test]
fn a_changed_byte_of_what_is_shared_is_refused_there_and_by_each_block_that_uses_it() {
    let bytes = seal(&plan_with_shared(), &owner());
    let ring = intact(&bytes);
    let layout = Places::of(&bytes);
    let mut changed = bytes.clone();
    changed[layout.bodies[5].start + 3] ^= 1;
    let report = refused(&changed);
    assert_eq!(places(&report), [(Some(5), "body", Some("gamma"))]);
    // Between verifying and opening: said of the block that is opened.
    let storage = std::sync::Arc::new(changed);
    let authentic = deepring::UnverifiedRing::read(storage).unwrap();
    let trust = deepring::Trust::owner(owner().public());
    let authentic = authentic.authenticate(&trust).unwrap();
    let owner = owner();
    for block in [2, 3] {
        let mut out = vec![7; usize::try_from(ring.headers()[block as usize].plain_len).unwrap()];
        let refused = authentic.open_block(block, (&owner).into(), &mut out).unwrap_err();
        let OpenError::Tampered(finding) = refused else { panic!("{refused}") };
        assert_eq!((finding.block, finding.tensor.as_deref()), (Some(block), Some("gamma")));
        assert!(finding.reason.contains("shared block 5"), "{finding}");
        assert!(out.iter().all(|b| *b == 0));
    }
    let mut out = vec![0; usize::try_from(ring.headers()[1].plain_len).unwrap()];
    assert!(authentic.open_block(1, (&owner).into(), &mut out).is_ok());
}

/// An edit of what block 1's header says of the table that it shares: bytes, counted from the part's first.
pub(crate) type Edit = (usize, &'static [u8]);

const BLOCK: usize = 19;
const OFFSET: usize = 23;

/// Names and descriptions of edits, each signed by the owner.
pub(crate) const SHARING: [(&str, &str, Edit); 6] = [
    ("shared_of_another_block", "block 1 names another shared block", (BLOCK, &[5, 0, 0, 0])),
    (
        "shared_of_a_computing_block",
        "block 1 shares with one that computes",
        (BLOCK, &[2, 0, 0, 0]),
    ),
    ("shared_of_the_block_itself", "block 1 shares with itself", (BLOCK, &[1, 0, 0, 0])),
    ("shared_of_no_block", "block 1 shares with block 6 of 5", (BLOCK, &[6, 0, 0, 0])),
    ("shared_elsewhere", "a shared parameter behind a gap", (OFFSET, &[64, 0, 1, 0])),
    ("shared_under_another_name", "a shared parameter of another name", (3, b"fable")),
];

pub(crate) fn signed_sharing((at, bytes): Edit) -> Vec<u8> {
    let mut raw = RawRing::of(&seal(&plan_with_shared(), &owner()));
    let part = b"\x04\x05\0table";
    let start = raw.headers[1].windows(part.len()).position(|w| w == part).unwrap();
    raw.edit_header(1, start + at, bytes, &OWNER_SEED);
    raw.close(&OWNER_SEED)
}

#[test]
fn shared_parameters_that_are_not_those_of_the_block_that_holds_them_are_refused() {
    for (name, _, edit) in SHARING {
        let report = refused(&signed_sharing(edit));
        assert_eq!(places(&report), [(Some(1), "header", None)], "{name}: {report}");
    }
}

/// A ring whose block 1 has a body digest over its own chunks alone, signed by the owner.
pub(crate) fn body_digest_without_shared() -> Vec<u8> {
    let bytes = seal(&plan_with_shared(), &owner());
    let ring = intact(&bytes);
    let header = &ring.headers()[1];
    let mut raw = RawRing::of(&bytes);
    // 3 chunks of block 1, then its signature.
    let chunks = raw.headers[1].len() - 64 - 3 * 32;
    let of = |shared: &[u8]| {
        let head = [&ring.ring_id().0[..], &1u32.to_le_bytes()].concat();
        let head = [&head[..], &header.plain_len.to_le_bytes(), &3u32.to_le_bytes()].concat();
        let chunks = &raw.headers[1][chunks..chunks + 96];
        derive("deepring v1 body digest", &[&head[..], chunks, shared].concat())
    };
    let shared = [&4u32.to_le_bytes()[..], &ring.headers()[4].body_digest.0].concat();
    assert_eq!(of(&shared), header.body_digest.0, "as FORMAT.md says");
    let without = of(&[]);
    raw.body_digests[1] = without;
    // Its own field, and the links of its neighbours.
    for (block, field) in [(1, 42), (0, 170), (2, 138)] {
        let at = raw.after_name(block, field);
        raw.edit_header(block, at, &without, &OWNER_SEED);
    }
    raw.close(&OWNER_SEED)
}

/// The ring digest covers which shared body a block uses, and not only that both are in the ring.
#[test]
fn a_body_digest_that_leaves_out_what_is_shared_is_refused() {
    let report = refused(&body_digest_without_shared());
    assert_eq!(places(&report), [(Some(1), "header", None)], "{report}");
}

#[test]
fn plans_that_share_what_is_no_shared_block_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("ring");
    let refused = |plan: &deepring::seal::RingPlan| {
        let refused = RingSealer::create(&target, plan, owner()).unwrap_err();
        assert!(matches!(refused, SealError::Layout { .. }), "{refused}");
        assert!(!target.exists());
    };
    // Of a block that computes, of none, of the same twice, backwards, and for a shared block itself.
    for (block, shared) in
        [(1, vec![2]), (1, vec![6]), (1, vec![4, 4]), (2, vec![5, 4]), (4, vec![5]), (0, vec![4])]
    {
        let mut plan = plan_with_shared();
        plan.blocks[block].shared = shared;
        refused(&plan);
    }
    // A block that computes behind a shared one; a shared one that reads a tensor; none that computes.
    let mut swapped = plan_with_shared();
    swapped.blocks.swap(3, 5);
    swapped.blocks.iter_mut().for_each(|b| b.shared.clear());
    refused(&swapped);
    let mut reading = plan_with_shared();
    reading.blocks[4].inputs = reading.blocks[1].inputs.clone();
    refused(&reading);
    let mut idle = plan_with_shared();
    idle.blocks.drain(1..4);
    refused(&idle);
}

#[test]
fn a_ring_is_sealed_with_shared_blocks_before_those_that_use_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut sealer =
        RingSealer::create(&dir.path().join("ring"), &plan_with_shared(), owner()).unwrap();
    let mut order = Vec::new();
    while let Some(block) = sealer.next_block() {
        order.push(block);
        let plaintext = plaintext(&sealer, block);
        sealer.seal_block(&plaintext).unwrap();
    }
    assert_eq!(order, [0, 4, 5, 1, 2, 3]);
    assert!(sealer.seal_block(&[]).is_err());
    sealer.finish().unwrap();
    let plain = seal(&plan(), &owner());
    assert_eq!(intact(&plain).shared().len(), 0);
}

#[test]
fn shared_blocks_are_repaired_from_a_copy() {
    let bytes = seal(&plan_with_shared(), &owner());
    let layout = Places::of(&bytes);
    let dir = tempfile::tempdir().unwrap();
    let (target, copy) = (dir.path().join("ring"), dir.path().join("copy"));
    let mut damaged = bytes.clone();
    damaged[layout.bodies[4].start + 700] ^= 1;
    std::fs::write(&target, &damaged).unwrap();
    std::fs::write(&copy, &bytes).unwrap();
    let trust = deepring::Trust::owner(owner().public());
    let repaired = deepring::maintenance::repair(&target, &copy, &trust, &|_| ()).unwrap().unwrap();
    assert_eq!(repaired.before.verdict, Verdict::Tampered);
    assert_eq!(repaired.blocks, [4]);
    assert_eq!(std::fs::read(target).unwrap(), bytes);
}
