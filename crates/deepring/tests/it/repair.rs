//! Repair: what is damaged comes from the copy, everything else stays, or nothing happens at all.

use std::path::PathBuf;

use deepring::maintenance::{RepairError, Repaired, grant, repair};
use deepring::{RingError, Trust, TrustStore, Verdict};

use crate::small_ring::{
    Places, host_c, intact, owner, places, plan, seal, small_ring, splice, stranger, two_versions,
};

struct Fixture {
    dir: tempfile::TempDir,
    target: PathBuf,
    copy: PathBuf,
}

impl Fixture {
    fn new(target: &[u8], copy: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bench = Self {
            target: dir.path().join("target.ring"),
            copy: dir.path().join("copy.ring"),
            dir,
        };
        std::fs::write(&bench.target, target).unwrap();
        std::fs::write(&bench.copy, copy).unwrap();
        bench
    }

    fn repair_under(&self, trust: &Trust<'_>) -> Result<Option<Repaired>, RepairError> {
        let before = std::fs::read(&self.target).unwrap();
        let result = repair(&self.target, &self.copy, trust, &|_| ());
        if !matches!(result, Ok(Some(_))) {
            assert_eq!(std::fs::read(&self.target).unwrap(), before, "the target is untouched");
        }
        assert_eq!(std::fs::read_dir(self.dir.path()).unwrap().count(), 2, "nothing is left over");
        result
    }

    fn repair(&self) -> Result<Option<Repaired>, RepairError> {
        self.repair_under(&Trust::owner(owner().public()))
    }

    fn target(&self) -> Vec<u8> {
        std::fs::read(&self.target).unwrap()
    }
}

/// Damages `ring`, repairs it from an intact copy, and expects the very bytes back.
fn restored(ring: &[u8], damage: impl FnOnce(&mut Vec<u8>)) -> Repaired {
    let mut damaged = ring.to_vec();
    damage(&mut damaged);
    let bench = Fixture::new(&damaged, ring);
    let repaired = bench.repair().unwrap().expect("it was damaged");
    assert_eq!(bench.target(), ring);
    repaired
}

#[test]
fn an_intact_ring_is_not_touched() {
    let ring = small_ring();
    assert_eq!(Fixture::new(&ring, &ring).repair().unwrap(), None);
}

#[test]
fn a_flipped_bit_anywhere_is_restored_and_only_its_block_is_touched() {
    let ring = small_ring();
    let at = Places::of(&ring);
    for block in 0..4 {
        for (kind, range) in at.block(block).into_iter().enumerate() {
            let repaired = restored(&ring, |r| r[range.start + 3] ^= 4);
            assert_eq!((repaired.blocks.as_slice(), repaired.front), (&[block as u32][..], false));
            assert_eq!(repaired.before.verdict, Verdict::Tampered);
            assert_eq!(repaired.before.findings[0].block, Some(block as u32));
            if kind == 0 {
                assert_eq!(repaired.bytes, range.len() as u64, "the header");
            }
        }
    }
}

#[test]
fn only_the_damaged_chunk_comes_from_the_copy() {
    let ring = small_ring();
    let body = Places::of(&ring).bodies[1].clone();
    // The bias is the second chunk: 16 bytes and a tag, after 48 bytes and a tag.
    let repaired = restored(&ring, |r| r[body.start + 64] ^= 1);
    assert_eq!(repaired.bytes, 32);
    assert_eq!(places(&repaired.before), [(Some(1), "body", Some("conv1.bias"))]);
}

#[test]
fn a_damaged_closure_is_restored() {
    let ring = small_ring();
    let closure = Places::of(&ring).closure;
    // Ring id, version, count, owner, a body digest, a row's length, its digest, the signature.
    for at in [0, 16, 24, 60, 132, 264, 280, closure.len() - 1] {
        let repaired = restored(&ring, |r| r[closure.start + at] ^= 1);
        assert!(repaired.front && repaired.blocks.is_empty(), "{at}: {repaired:?}");
    }
}

#[test]
fn a_damaged_preamble_is_restored() {
    let ring = small_ring();
    for at in 0..24 {
        let repaired = restored(&ring, |r| r[at] ^= 2);
        assert!(repaired.front && repaired.blocks.is_empty(), "{at}: {repaired:?}");
        assert_eq!(repaired.bytes, 0, "no header and no body was damaged");
    }
}

#[test]
fn a_cut_ring_is_restored() {
    let ring = small_ring();
    let at = Places::of(&ring);
    let lens = [at.closure.end, at.headers[2].start + 9, at.bodies[1].start + 9, ring.len() - 1];
    for len in lens {
        restored(&ring, |r| r.truncate(len));
    }
    let repaired = restored(&ring, |r| r.truncate(ring.len() - 1));
    assert_eq!(
        (repaired.blocks, repaired.bytes),
        (vec![3], 25),
        "the last chunk: 9 bytes and a tag"
    );
}

#[test]
fn a_padded_ring_is_cut_to_its_length() {
    let repaired = restored(&small_ring(), |r| r.extend([0; 1000]));
    assert_eq!((repaired.blocks, repaired.front, repaired.bytes), (vec![], false, 0));
}

#[test]
fn rearranged_blocks_and_blocks_of_an_older_version_are_restored() {
    let (first, second) = two_versions();
    let at = Places::of(&second);
    let repaired = restored(&second, |r| {
        at.block(2).iter().for_each(|range| splice(r, &first, range));
    });
    assert_eq!(repaired.before.verdict, Verdict::Stale);
    assert_eq!(repaired.blocks, [2]);
    let repaired = restored(&second, |r| {
        let (one, two) = (at.bodies[1].clone(), at.bodies[2].start);
        r.copy_within(one, two);
    });
    assert_eq!(repaired.blocks, [2]);
    restored(&second, |r| {
        let [header, body] = at.block(1);
        r.drain(body);
        r.drain(header);
    });
}

#[test]
fn damage_everywhere_at_once_is_restored() {
    let ring = small_ring();
    let repaired = restored(&ring, |r| r.iter_mut().skip(24).step_by(40).for_each(|b| *b ^= 0x55));
    assert_eq!(repaired.blocks, [0, 1, 2, 3]);
    assert!(repaired.front);
}

#[test]
fn several_chunks_of_a_large_block_are_restored_one_by_one() {
    let mut plan = plan();
    let weight = crate::small_ring::f32_spec("w", &[100_000]);
    plan.blocks[2].parts =
        vec![(deepring::PartKind::Parameter(weight), 400_000), (deepring::PartKind::Graph, 5)];
    let ring = seal(&plan, &owner());
    let body = Places::of(&ring).bodies[2].clone();
    // The second and the third chunk, and the seventh.
    let repaired = restored(&ring, |r| {
        for at in [65_552, 131_104 + 70_000 - 65_552, 6 * 65_552] {
            r[body.start + at] ^= 1;
        }
    });
    assert_eq!(repaired.blocks, [2]);
    assert_eq!(repaired.bytes, 2 * 65_552 + (400_000 - 6 * 65_536 + 16));
}

#[test]
fn a_copy_of_another_revision_repairs_bodies_and_the_front_stays() {
    let ring = small_ring();
    let bench = Fixture::new(&ring, &ring);
    grant(&intact(&ring), &owner(), &host_c().public(), None, &bench.copy).unwrap();
    let mut damaged = ring.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&bench.target, damaged).unwrap();
    let repaired = bench.repair().unwrap().unwrap();
    assert_eq!((repaired.blocks, repaired.front), (vec![3], false));
    assert_eq!(bench.target(), ring);
}

#[test]
fn where_a_copy_of_another_revision_has_not_the_header_its_whole_front_is_taken() {
    let ring = small_ring();
    let bench = Fixture::new(&ring, &ring);
    grant(&intact(&ring), &owner(), &host_c().public(), None, &bench.copy).unwrap();
    let at = Places::of(&ring);
    let mut damaged = ring.clone();
    damaged[at.headers[1].start] ^= 1;
    std::fs::write(&bench.target, damaged).unwrap();
    assert!(bench.repair().unwrap().unwrap().front);
    assert_eq!(bench.target(), std::fs::read(&bench.copy).unwrap());
}

#[test]
fn a_damaged_closure_is_restored_from_a_copy_of_another_revision_too() {
    let ring = small_ring();
    let bench = Fixture::new(&ring, &ring);
    grant(&intact(&ring), &owner(), &host_c().public(), None, &bench.copy).unwrap();
    let mut damaged = ring.clone();
    damaged[24 + 70] ^= 1;
    std::fs::write(&bench.target, damaged).unwrap();
    assert!(bench.repair().unwrap().unwrap().front);
    assert_eq!(bench.target(), std::fs::read(&bench.copy).unwrap());
}

#[test]
fn a_file_that_shares_nothing_with_the_copy_is_not_replaced() {
    let (first, second) = two_versions();
    let mut other_version = first.clone();
    other_version[24 + 70] ^= 1;
    let cut_in_closure = second[..100].to_vec();
    for target in [b"a photograph".to_vec(), Vec::new(), cut_in_closure, other_version] {
        let err = Fixture::new(&target, &second).repair().unwrap_err();
        assert!(matches!(err, RepairError::NothingInCommon), "{err}");
    }
}

#[test]
fn a_damaged_copy_is_refused() {
    let ring = small_ring();
    let mut damaged = ring.clone();
    let at = Places::of(&ring);
    damaged[at.bodies[1].start] ^= 1;
    for bad in [0, 30, at.headers[2].start, at.bodies[3].start] {
        let mut copy = ring.clone();
        copy[bad] ^= 1;
        let err = Fixture::new(&damaged, &copy).repair().unwrap_err();
        assert!(matches!(err, RepairError::Copy(RingError::Refused(_))), "{bad}: {err}");
    }
}

#[test]
fn a_copy_of_another_version_or_another_ring_is_refused() {
    let (first, second) = two_versions();
    let other = small_ring();
    for copy in [&first, &other] {
        let mut damaged = second.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let err = Fixture::new(&damaged, copy).repair().unwrap_err();
        let RepairError::AnotherRing { copy: c, damaged: d } = err else { panic!("{err}") };
        assert_eq!((c, d), (intact(copy).digest(), intact(&second).digest()));
    }
}

#[test]
fn a_copy_whose_owner_is_not_trusted_is_refused() {
    let mut damaged = small_ring();
    *damaged.last_mut().unwrap() ^= 1;
    let err = Fixture::new(&damaged, &seal(&plan(), &stranger())).repair().unwrap_err();
    let RepairError::Copy(RingError::Refused(report)) = err else { panic!("{err}") };
    assert_eq!(report.verdict, Verdict::Untrusted);
}

#[test]
fn a_ring_that_is_stale_or_not_trusted_cannot_be_mended() {
    let (first, second) = two_versions();
    let dir = tempfile::tempdir().unwrap();
    let mut store = TrustStore::open(&dir.path().join("trust.json")).unwrap();
    store.add_owner(&owner().public()).unwrap();
    store.remember(&intact(&second)).unwrap();
    let trust = Trust::store(&store);
    let cases = [(first, Verdict::Stale), (seal(&plan(), &stranger()), Verdict::Untrusted)];
    for (target, verdict) in cases {
        let err = Fixture::new(&target, &second).repair_under(&trust).unwrap_err();
        let RepairError::NotRepairable(report) = err else { panic!("{err}") };
        assert_eq!(report.verdict, verdict);
    }
}

#[test]
fn an_old_copy_is_refused_even_where_the_damaged_file_cannot_tell_its_version() {
    let (first, second) = two_versions();
    let dir = tempfile::tempdir().unwrap();
    let mut store = TrustStore::open(&dir.path().join("trust.json")).unwrap();
    store.add_owner(&owner().public()).unwrap();
    store.remember(&intact(&second)).unwrap();
    let mut damaged = second.clone();
    damaged[24 + 70] ^= 1;
    let err = Fixture::new(&damaged, &first).repair_under(&Trust::store(&store)).unwrap_err();
    let RepairError::Copy(RingError::Refused(report)) = err else { panic!("{err}") };
    assert_eq!(report.verdict, Verdict::Stale);
}

#[test]
fn a_target_or_copy_that_does_not_exist_is_told_apart() {
    let bench = Fixture::new(b"x", &small_ring());
    let (none, trust) = (bench.dir.path().join("none"), Trust::owner(owner().public()));
    let err = repair(&none, &bench.copy, &trust, &|_| ()).unwrap_err();
    assert!(matches!(err, RepairError::Io { path, .. } if path == none));
    let err = repair(&bench.target, &none, &trust, &|_| ()).unwrap_err();
    assert!(matches!(err, RepairError::Copy(RingError::Io { .. })));
}
