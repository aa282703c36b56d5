//! Sealed blocks open to the same bytes, for whom they were sealed.

use deepring::seal::{RingPlan, RingSealer};
use deepring::{Digest, OpeningKey, PartKind};

use crate::small_ring::{
    f32_spec, host_a, host_b, intact, manifest, next_version, owner, plaintext, plan, seal,
    small_ring, two_versions,
};

/// A sealer that is only asked what the plaintexts are.
fn expected_plaintexts(plan: &RingPlan) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let sealer = RingSealer::create(&dir.path().join("never.ring"), plan, owner()).unwrap();
    (0..plan.blocks.len()).map(|block| plaintext(&sealer, block)).collect()
}

#[test]
fn the_owner_opens_every_block_to_what_was_sealed() {
    let ring = intact(&small_ring());
    for (index, expected) in expected_plaintexts(&plan()).iter().enumerate() {
        let mut out = vec![0xaa; expected.len()];
        let index = u32::try_from(index).unwrap();
        let opened = ring.open_block(index, (&owner()).into(), &mut out).unwrap();
        assert_eq!(&out, expected, "block {index}");
        assert_eq!(opened.index(), index);
        assert_eq!(opened.content_digest(), ring.headers()[index as usize].content_digest);
    }
}

#[test]
fn a_host_opens_its_blocks() {
    let ring = intact(&small_ring());
    let expected = expected_plaintexts(&plan());
    let (a, b) = (host_a(), host_b());
    for (key, blocks) in [(&a, vec![0, 1]), (&b, vec![0, 2, 3])] {
        for index in blocks {
            let mut out = vec![0; expected[index as usize].len()];
            ring.open_block(index, key.into(), &mut out).unwrap();
            assert_eq!(out, expected[index as usize]);
        }
    }
}

#[test]
fn genesis_opens_to_the_manifest() {
    let ring = intact(&small_ring());
    assert_eq!(ring.open_manifest((&host_b()).into()).unwrap(), manifest());
}

#[test]
fn parts_of_several_chunks_of_every_length_around_64_kib_open() {
    let mut plan = plan();
    let lens = [65_536, 65_540, 131_072, 4, 65_532, 200_000];
    plan.blocks[1].parts = lens
        .iter()
        .map(|len| (PartKind::Parameter(f32_spec(&format!("w{len}"), &[len / 4])), *len))
        .chain([(PartKind::Graph, 65_537)])
        .collect();
    let ring = intact(&seal(&plan, &owner()));
    let header = &ring.headers()[1];
    // 1 + 2 + 2 + 1 + 1 + 4 chunks of parameters, 2 of graph.
    let bytes: u64 = lens.iter().sum::<u64>() + 65_537;
    assert_eq!(header.body_len(), bytes + 13 * 16);
    assert_eq!(header.parameter_bytes(), lens.iter().sum::<u64>());
    let expected = expected_plaintexts(&plan);
    let mut out = vec![0xff; expected[1].len()];
    ring.open_block(1, (&host_a()).into(), &mut out).unwrap();
    assert!(out == expected[1], "padding is zero and every chunk is in its place");
}

#[test]
fn a_block_larger_than_a_segment_opens() {
    let mut plan = plan();
    let len = 5 << 20;
    let weight = PartKind::Parameter(f32_spec("w", &[len / 4]));
    plan.blocks[2].parts = vec![(weight, len), (PartKind::Graph, 3)];
    let ring = intact(&seal(&plan, &owner()));
    let mut out = vec![0; ring.headers()[2].plain_len as usize];
    ring.open_block(2, (&host_b()).into(), &mut out).unwrap();
    assert!(out == expected_plaintexts(&plan)[2]);
}

#[test]
fn the_ring_tells_what_was_planned() {
    let ring = intact(&small_ring());
    assert_eq!(ring.model_version(), 1);
    assert_eq!(ring.previous(), None);
    assert_eq!(ring.revision(), 0);
    assert_eq!(ring.sealed_at(), 1_700_000_000);
    assert_eq!(ring.owner(), owner().public());
    let names: Vec<_> = ring.headers().iter().map(|h| h.name.as_str()).collect();
    assert_eq!(names, ["genesis", "conv1", "conv2", "tail"]);
    assert_eq!(ring.layers().len(), 3);
    assert_eq!(ring.layers()[0].hosts().collect::<Vec<_>>(), [host_a().public()]);
    for (header, block) in ring.headers().iter().zip(plan().blocks) {
        assert_eq!((&header.inputs, &header.outputs), (&block.inputs, &block.outputs));
    }
}

#[test]
fn the_next_version_names_its_predecessor_and_keeps_the_ring_id() {
    let (first, second) = two_versions();
    let (first, second) = (intact(&first), intact(&second));
    assert_eq!(second.ring_id(), first.ring_id());
    assert_eq!(second.model_version(), 2);
    assert_eq!(second.previous(), Some(first.digest()));
    assert_ne!(second.digest(), first.digest());
}

#[test]
fn two_sealings_of_one_plan_share_no_body_and_no_content_digest() {
    let first = intact(&small_ring());
    let second = intact(&small_ring());
    assert_ne!(first.ring_id(), second.ring_id());
    let digests = |ring: &deepring::VerifiedRing| -> Vec<Digest> {
        ring.headers()
            .iter()
            .flat_map(|h| [h.body_digest, h.content_digest, h.commitment])
            .collect()
    };
    let second = digests(&second);
    assert!(digests(&first).iter().all(|d| !second.contains(d)));
}

#[test]
fn links_name_both_neighbours_and_the_last_block_names_genesis() {
    let ring = intact(&small_ring());
    let n = ring.headers().len();
    for (i, header) in ring.headers().iter().enumerate() {
        assert_eq!(header.next_body, ring.headers()[(i + 1) % n].body_digest);
        assert_eq!(header.previous_body, ring.headers()[(i + n - 1) % n].body_digest);
    }
}

#[test]
fn live_tensors_are_those_that_a_later_block_reads_or_that_return_to_genesis() {
    let mut plan = plan();
    // A residual edge: the tail reads what block 1 gave, over block 2.
    let skipped = plan.blocks[1].outputs[0].clone();
    plan.blocks[3].inputs.push(skipped);
    let ring = intact(&seal(&plan, &owner()));
    let live = |i| ring.live_after(i).iter().map(|t| t.name.as_str()).collect::<Vec<_>>();
    assert_eq!(live(0), ["x0"]);
    assert_eq!(live(1), ["x1"]);
    assert_eq!(live(2), ["x1", "x2"]);
    assert_eq!(live(3), ["y"]);
}

#[test]
fn authenticating_reads_no_body_and_verifying_reports_every_body_byte() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let bytes = small_ring();
    let trust = deepring::Trust::owner(owner().public());
    let read = || deepring::UnverifiedRing::read(std::sync::Arc::new(bytes.clone())).unwrap();
    let seen = AtomicU64::new(0);
    let expected = read().body_bytes();
    read().verify(&trust, &|n| _ = seen.fetch_add(n, Ordering::Relaxed)).unwrap();
    assert_eq!(seen.into_inner(), expected);

    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let ring = deepring::UnverifiedRing::read(std::sync::Arc::new(damaged)).unwrap();
    let ring = ring.authenticate(&trust).unwrap();
    let mut out = vec![0; ring.headers()[3].plain_len as usize];
    let err = ring.open_block(3, OpeningKey::Owner(&owner()), &mut out).unwrap_err();
    assert!(matches!(err, deepring::opening::OpenError::Tampered(f) if f.block == Some(3)));
    assert!(out.iter().all(|b| *b == 0), "nothing of a refused block stays in the buffer");
}

#[test]
fn a_sealing_over_an_old_ring_replaces_it_whole_and_leaves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    crate::small_ring::seal_at(&target, &plan(), &owner());
    let first = std::fs::read(&target).unwrap();
    crate::small_ring::seal_at(&target, &next_version(&intact(&first)), &owner());
    assert_eq!(intact(&std::fs::read(&target).unwrap()).model_version(), 2);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
