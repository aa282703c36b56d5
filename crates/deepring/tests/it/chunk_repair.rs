//! Chunks that a running host lacks: only what was sealed there goes into the file, and it is replaced whole or not at all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deepring::files::Replacement;
use deepring::maintenance::{ChunkPlace, ChunkRepair, ChunkRepairError};
use deepring::opening::OpenError;
use deepring::{AuthenticRing, OpeningKey, Trust, UnverifiedRing};

use crate::small_ring::{
    Places, host_a, host_b, intact, owner, plan_with_shared, seal, small_ring,
};

struct Damaged {
    _dir: tempfile::TempDir,
    path: PathBuf,
    ring: AuthenticRing,
}

impl Damaged {
    /// A ring that was opened intact and damaged afterwards, as a node's is.
    fn new(sealed: &[u8], damage: impl FnOnce(&mut Vec<u8>)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.ring");
        std::fs::write(&path, sealed).unwrap();
        let ring = open(&path);
        let mut bytes = sealed.to_vec();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        Self { _dir: dir, path, ring }
    }

    fn repair(&self, blocks: &[u32]) -> Result<ChunkRepair<'_>, ChunkRepairError> {
        let blocks: BTreeSet<u32> = blocks.iter().copied().collect();
        ChunkRepair::begin(&self.ring, Replacement::of(&self.path).unwrap(), &blocks)
    }
}

fn open(path: &Path) -> AuthenticRing {
    UnverifiedRing::open(path).unwrap().authenticate(&Trust::owner(owner().public())).unwrap()
}

fn body(sealed: &[u8], block: usize) -> std::ops::Range<usize> {
    Places::of(sealed).block(block)[1].clone()
}

#[test]
fn the_chunks_that_are_missing_are_named_and_the_file_is_whole_with_them() {
    let sealed = seal(&plan_with_shared(), &owner());
    let copy = intact(&sealed);
    for block in 0..6_u32 {
        let at = body(&sealed, block as usize);
        let damaged = Damaged::new(&sealed, |bytes| bytes[at.end - 1] ^= 1);
        let named = damaged.ring.damaged_chunks(block).unwrap();
        assert_eq!(named.len(), 1, "{block}");
        assert_eq!(damaged.ring.sealed_chunk(named[0]), None, "what is damaged is not given away");
        let mut repair = damaged.repair(&[block]).unwrap();
        while let Some(place) = repair.missing() {
            assert_eq!(place, named[0]);
            repair.put(&copy.sealed_chunk(place).unwrap()).unwrap();
        }
        drop(repair.commit().unwrap());
        assert_eq!(std::fs::read(&damaged.path).unwrap(), sealed);
    }
}

#[test]
fn a_front_that_was_damaged_and_a_file_that_was_cut_short_are_written_as_they_were() {
    let sealed = small_ring();
    let copy = intact(&sealed);
    let (first, last) = (body(&sealed, 1), body(&sealed, 3));
    let damaged = Damaged::new(&sealed, |bytes| {
        bytes[..first.start].fill(0xAB);
        bytes.truncate(last.start - 1);
    });
    let mut repair = damaged.repair(&[2, 3]).unwrap();
    while let Some(place) = repair.missing() {
        repair.put(&copy.sealed_chunk(place).unwrap()).unwrap();
    }
    drop(repair.commit().unwrap());
    // The damage reached into Genesis' body, which was not asked for and stays as it was.
    let genesis = body(&sealed, 0);
    let mut expected = sealed.clone();
    expected[genesis].fill(0xAB);
    assert_eq!(std::fs::read(&damaged.path).unwrap(), expected);
}

#[test]
fn other_bytes_and_another_place_are_no_chunk_and_nothing_is_committed_without_all() {
    let sealed = small_ring();
    let copy = intact(&sealed);
    let at = body(&sealed, 1);
    let damaged = Damaged::new(&sealed, |bytes| bytes[at].fill(7));
    let before = std::fs::read(&damaged.path).unwrap();
    let mut repair = damaged.repair(&[1]).unwrap();
    let place = repair.missing().unwrap();
    let good = copy.sealed_chunk(place).unwrap();
    let mut bad = good.bytes().to_vec();
    bad[0] ^= 1;
    let (ring, bytes) = (&damaged.ring, good.bytes().to_vec());
    assert_eq!(ring.as_sealed_chunk(place, bad), None);
    assert_eq!(ring.as_sealed_chunk(place, bytes[1..].to_vec()), None);
    assert_eq!(ring.as_sealed_chunk(place, Vec::new()), None);
    for (block, chunk) in [(1, 1), (2, 0), (9, 0), (1, u64::MAX)] {
        assert_eq!(ring.as_sealed_chunk(ChunkPlace { block, chunk }, bytes.clone()), None);
    }
    assert_eq!(ring.as_sealed_chunk(place, bytes), Some(good.clone()));
    repair.put(&good).unwrap();
    let missing = repair.commit().unwrap_err();
    assert!(
        matches!(missing, ChunkRepairError::Missing { place } if place.chunk == 1),
        "{missing}"
    );
    assert_eq!(std::fs::read(&damaged.path).unwrap(), before);
    let none = damaged.repair(&[4]).unwrap_err();
    assert!(matches!(none, ChunkRepairError::Open(OpenError::NoSuchBlock { index: 4, .. })));
    assert!(damaged.ring.damaged_chunks(4).is_err());
}

#[test]
fn a_chunk_of_another_ring_is_not_put_and_a_file_that_came_meanwhile_is_not_replaced() {
    let sealed = small_ring();
    let other = intact(&small_ring());
    let at = body(&sealed, 1);
    let damaged = Damaged::new(&sealed, |bytes| bytes[at.start] ^= 1);
    let mut repair = damaged.repair(&[1]).unwrap();
    let place = repair.missing().unwrap();
    assert!(repair.put(&other.sealed_chunk(place).unwrap()).is_err(), "sealed under another key");
    repair.put(&intact(&sealed).sealed_chunk(place).unwrap()).unwrap();
    std::fs::remove_file(&damaged.path).unwrap();
    std::fs::write(&damaged.path, b"another").unwrap();
    assert!(matches!(repair.commit(), Err(ChunkRepairError::Io(_))));
    assert_eq!(std::fs::read(&damaged.path).unwrap(), b"another");
}

#[test]
fn opened_bytes_are_confirmed_wherever_they_lie_and_others_are_not() {
    let sealed = seal(&plan_with_shared(), &owner());
    let ring = UnverifiedRing::read(Arc::new(sealed)).unwrap();
    let ring = ring.authenticate(&Trust::owner(owner().public())).unwrap();
    let (a, b) = (host_a(), host_b());
    for header in ring.headers() {
        let key = if header.index == 1 { OpeningKey::Host(&a) } else { OpeningKey::Host(&b) };
        let mut opened = vec![0; usize::try_from(header.plain_len).unwrap()];
        ring.open_block(header.index, key, &mut opened).unwrap();
        let own = usize::try_from(header.own_len()).unwrap();
        ring.confirm_opened(header.index, key, &opened[..own]).unwrap();
        assert!(ring.confirm_opened(header.index, key, &opened[..own - 1]).is_err());
        for at in [0, own / 2, own - 1] {
            opened[at] ^= 4;
            let refused = ring.confirm_opened(header.index, key, &opened[..own]);
            assert!(matches!(refused, Err(OpenError::Tampered(_))), "{} {at}", header.index);
            opened[at] ^= 4;
        }
    }
    let not_its = ring.confirm_opened(2, OpeningKey::Host(&a), &[]);
    assert!(matches!(not_its, Err(OpenError::NotForThisKey { .. })));
}
