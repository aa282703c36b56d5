//! Plans that the sealer refuses, and the target, which is untouched whenever it does.

use std::path::Path;

use deepring::seal::{BlockPlan, RingPlan, RingSealer, SealError};
use deepring::{PartKind, PublicKey, SecretKey, TensorSpec};

use crate::small_ring::{f32_spec, intact, owner, plaintext, plan, small_ring};

/// Creates a sealer in a folder whose target exists; that must fail and change nothing.
fn refused(plan: &RingPlan) -> SealError {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    std::fs::write(&target, "old").unwrap();
    let err = RingSealer::create(&target, plan, owner()).unwrap_err();
    untouched(dir.path());
    err
}

/// The folder holds the old target and nothing else.
fn untouched(dir: &Path) {
    assert_eq!(std::fs::read_to_string(dir.join("a.ring")).unwrap(), "old");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1);
}

fn edited(edit: impl FnOnce(&mut Vec<BlockPlan>)) -> RingPlan {
    let mut plan = plan();
    edit(&mut plan.blocks);
    plan
}

#[test]
fn a_ring_without_a_layer_or_with_too_many_is_refused() {
    for n in [0, 1] {
        let err = refused(&edited(|b| b.truncate(n)));
        assert!(matches!(err, SealError::BlockCount { .. }), "{err}");
    }
    let err = refused(&edited(|b| b.resize(65_537, b[3].clone())));
    assert!(matches!(err, SealError::BlockCount { found: 65_536 }), "{err}");
}

#[test]
fn a_block_that_no_reader_would_take_is_refused_with_its_number() {
    let long = "n".repeat(4097);
    let many_hosts = |b: &mut Vec<BlockPlan>| {
        b[1].hosts = (0..4096u64)
            .map(|n| {
                let mut bytes = [7; 64];
                bytes[..8].copy_from_slice(&n.to_le_bytes());
                PublicKey::from_bytes(bytes)
            })
            .collect();
    };
    let spec = |dims: usize| TensorSpec {
        dims: Some(vec![deepring::Dim::Fixed(1); dims]),
        ..f32_spec("t", &[])
    };
    let named = deepring::Dim::Named(long.clone());
    let plans = [
        edited(|b| b[1].parts.clear()),
        edited(|b| b[1].parts[2].1 = 0),
        edited(|b| b[1].parts[0].1 = 47),
        edited(|b| b[1].parts[0].1 = u64::MAX),
        edited(|b| b[1].parts.reverse()),
        edited(|b| b[1].parts.push((PartKind::Graph, 1))),
        edited(|b| _ = b[1].parts.pop()),
        edited(|b| b[1].parts[2].0 = PartKind::Manifest),
        edited(|b| b[1].name = long.clone()),
        edited(|b| b[1].inputs[0].name = long.clone()),
        edited(|b| b[1].outputs[0].dims = Some(vec![named])),
        edited(|b| b[1].inputs.push(spec(33))),
        edited(|b| b[1].inputs = vec![spec(1); 4097]),
        edited(many_hosts),
    ];
    for (i, plan) in plans.iter().enumerate() {
        let err = refused(plan);
        assert!(matches!(err, SealError::Layout { block: 1, .. }), "{i}: {err}");
    }
    let err = refused(&edited(|b| b[0].parts.push((PartKind::Graph, 1))));
    assert!(matches!(err, SealError::Layout { block: 0, .. }), "{err}");
}

/// A sealer over an old target, and its folder.
fn sealer(plan: &RingPlan) -> (tempfile::TempDir, RingSealer) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    std::fs::write(&target, "old").unwrap();
    let sealer = RingSealer::create(&target, plan, owner()).unwrap();
    (dir, sealer)
}

#[test]
fn a_block_of_another_length_than_planned_is_refused() {
    let (dir, mut sealer) = sealer(&plan());
    let err = sealer.seal_block(&[0; 3]).unwrap_err();
    assert!(matches!(err, SealError::OutOfPlan { block: 0, given: 3, .. }), "{err}");
    drop(sealer);
    untouched(dir.path());
}

#[test]
fn a_block_too_many_is_refused_and_the_ring_can_still_be_finished() {
    let (dir, mut sealer) = sealer(&plan());
    for block in 0..4 {
        let plaintext = plaintext(&sealer, block);
        sealer.seal_block(&plaintext).unwrap();
    }
    let err = sealer.seal_block(&[0]).unwrap_err();
    assert!(matches!(err, SealError::OutOfPlan { block: 4, planned: 0, given: 1 }), "{err}");
    sealer.finish().unwrap();
    intact(&std::fs::read(dir.path().join("a.ring")).unwrap());
}

#[test]
fn a_ring_with_a_block_missing_is_not_finished() {
    let (dir, mut sealer) = sealer(&plan());
    for block in 0..3 {
        let plaintext = plaintext(&sealer, block);
        sealer.seal_block(&plaintext).unwrap();
    }
    let err = sealer.finish().unwrap_err();
    assert!(matches!(err, SealError::OutOfPlan { block: 3, given: 0, .. }), "{err}");
    untouched(dir.path());
}

#[test]
fn bytes_between_parts_that_are_not_zero_are_refused() {
    // They are not stored, so such a block would never open again.
    let (dir, mut sealer) = sealer(&plan());
    let genesis = plaintext(&sealer, 0);
    sealer.seal_block(&genesis).unwrap();
    let good = plaintext(&sealer, 1);
    for at in [48, 63, 80, 127] {
        let mut bad = good.clone();
        assert_eq!(bad[at], 0);
        bad[at] = 1;
        let err = sealer.seal_block(&bad).unwrap_err();
        assert!(matches!(err, SealError::Layout { block: 1, .. }), "{err}");
    }
    sealer.seal_block(&good).unwrap();
    drop(sealer);
    untouched(dir.path());
}

#[test]
fn a_host_whose_key_is_no_curve_point_is_refused() {
    let plan = edited(|b| b[0].hosts.push(PublicKey::from_bytes([0; 64])));
    let (dir, mut sealer) = sealer(&plan);
    let genesis = plaintext(&sealer, 0);
    let err = sealer.seal_block(&genesis).unwrap_err();
    assert!(matches!(err, SealError::UnusableRecipient { block: 0 }), "{err}");
    drop(sealer);
    untouched(dir.path());
}

#[test]
fn a_target_in_a_folder_that_does_not_exist_or_that_is_a_folder_is_an_io_error() {
    let dir = tempfile::tempdir().unwrap();
    for target in [dir.path().join("no/a.ring"), dir.path().into()] {
        let err = RingSealer::create(&target, &plan(), owner()).unwrap_err();
        assert!(matches!(err, SealError::Io { path, .. } if path == target));
    }
}

#[cfg(unix)]
#[test]
fn a_target_that_is_no_plain_file_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    let _listener = std::os::unix::net::UnixListener::bind(&target).unwrap();
    let err = RingSealer::create(&target, &plan(), owner()).unwrap_err();
    assert!(matches!(err, SealError::Io { .. }), "{err}");
    assert!(deepring::files::replace_file(&target, b"x").is_err());
}

#[cfg(unix)]
#[test]
fn a_replaced_file_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    std::fs::write(&target, "old").unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
    crate::small_ring::seal_at(&target, &plan(), &owner());
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_sealed_ring_names_what_it_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    let key = SecretKey::generate().unwrap();
    let mut sealer = RingSealer::create(&target, &plan(), &key).unwrap();
    for block in 0..4 {
        let plaintext = plaintext(&sealer, block);
        sealer.seal_block(&plaintext).unwrap();
    }
    let sealed = sealer.finish().unwrap();
    let trust = deepring::Trust::owner(key.public());
    let ring = deepring::UnverifiedRing::open(&target).unwrap().verify(&trust, &|_| ()).unwrap();
    assert_eq!((sealed.ring_id, sealed.digest), (ring.ring_id(), ring.digest()));
    assert!(crate::small_ring::verify(&small_ring()).is_ok());
}
