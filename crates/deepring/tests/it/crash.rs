//! Killed while sealing, or on a full disk: the target is the old one or the new one, and whole.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use deepring::files::{KeyFileError, write_key_pair};
use deepring::receipt::ReceiptError;
use deepring::seal::{RingPlan, RingSealer, SealError};
use deepring::{PartKind, TrustStore};

use crate::child;
use crate::small_query::decision;
use crate::small_ring::{
    f32_spec, intact, next_version, owner, plaintext, plan, seal_at, small_ring,
};

/// Block 2 is large enough for the kill to fall into its writing.
fn larger(mut plan: RingPlan) -> RingPlan {
    let weight = PartKind::Parameter(f32_spec("w", &[1 << 18]));
    plan.blocks[2].parts = vec![(weight, 1 << 20), (PartKind::Graph, 3)];
    plan
}

fn version_at(target: &Path) -> u64 {
    intact(&std::fs::read(target).unwrap()).model_version()
}

/// A small generator with a fixed seed, so that a failure can be run again.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn a_seal_killed_at_any_moment_leaves_the_old_ring_or_the_new_one_whole() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    seal_at(&target, &larger(plan()), &owner());
    let mut state = 20_261_123;
    for _ in 0..25 {
        let before = version_at(&target);
        let mut child = child::command("crash::child_seals_for_ever", &target).spawn().unwrap();
        // Each line is a step that was just done; the kill falls somewhere into the next ones.
        let wait_for = 1 + next_random(&mut state) % 23;
        let mut finished = before;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let steps = lines.map(Result::unwrap).filter(|l| l.starts_with("step"));
        for step in steps.take(wait_for as usize) {
            if let Some(version) = step.strip_prefix("step finished ") {
                finished = version.parse().unwrap();
            }
        }
        for _ in 0..next_random(&mut state) % 200_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let after = version_at(&target);
        assert!(after >= finished, "version {finished} was finished, {after} is there");
    }
    assert!(version_at(&target) > 1, "some version was finished");
}

#[test]
#[ignore = "the process that a_seal_killed_at_any_moment_leaves_the_old_ring_or_the_new_one_whole kills"]
fn child_seals_for_ever() {
    let target = child::path();
    let step = |what: &str| {
        let mut out = std::io::stdout();
        writeln!(out, "\nstep {what}").and_then(|()| out.flush()).is_ok()
    };
    loop {
        let plan = larger(next_version(&intact(&std::fs::read(&target).unwrap())));
        let mut sealer = RingSealer::create(&target, &plan, owner()).unwrap();
        step("created");
        for block in 0..plan.blocks.len() {
            let plaintext = plaintext(&sealer, block);
            sealer.seal_block(&plaintext).unwrap();
            step("block");
        }
        sealer.finish().unwrap();
        if !step(&format!("finished {}", plan.model_version)) {
            return; // the parent is gone
        }
    }
}

/// Runs the child on a disk that holds `kib` more KiB a file, and expects its assertions to hold.
#[cfg(target_os = "linux")]
fn on_full_disk(name: &str, dir: &Path, kib: u32) {
    let child = child::command_on_full_disk(name, dir, kib).output().unwrap();
    let text = String::from_utf8_lossy(&child.stdout).into_owned()
        + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_nothing_is_lost_and_nothing_is_left_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    seal_at(&target, &plan(), &owner());
    let before = std::fs::read(&target).unwrap();
    // Fails while the body is written; while the front is written; at the first byte.
    for kib in [64, 1, 0] {
        on_full_disk("crash::child_seals_on_a_full_disk", &target, kib);
        assert_eq!(std::fs::read(&target).unwrap(), before);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no partial file");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_no_half_key_receipt_or_store_is_written() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("small.ring"), small_ring()).unwrap();
    on_full_disk("crash::child_writes_small_files_on_a_full_disk", dir.path(), 0);
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    let lock = Path::new("trust.json.lock").as_os_str();
    assert!(names.iter().all(|n| n == "small.ring" || n == lock), "{names:?}");
}

#[test]
#[ignore = "the process that on_a_full_disk_nothing_is_lost_and_nothing_is_left_half_written limits"]
fn child_seals_on_a_full_disk() {
    let target = child::path();
    let plan = larger(plan());
    let seal = || -> Result<(), SealError> {
        let mut sealer = RingSealer::create(&target, &plan, owner())?;
        for block in 0..plan.blocks.len() {
            let plaintext = plaintext(&sealer, block);
            sealer.seal_block(&plaintext)?;
        }
        sealer.finish().map(|_| ())
    };
    let err = seal().unwrap_err();
    assert!(matches!(err, SealError::Io { .. }), "{err}");
}

#[test]
#[ignore = "the process that on_a_full_disk_no_half_key_receipt_or_store_is_written limits"]
fn child_writes_small_files_on_a_full_disk() {
    let dir = child::path();
    let ring = intact(&std::fs::read(dir.join("small.ring")).unwrap());
    let err = write_key_pair(&dir, &owner()).unwrap_err();
    assert!(matches!(err, KeyFileError::Io { .. }), "{err}");
    let err = decision(&ring).write(&dir.join("a.receipt")).unwrap_err();
    assert!(matches!(err, ReceiptError::Io { .. }), "{err}");
    let mut store = TrustStore::open(&dir.join("trust.json")).unwrap();
    store.remember(&ring).unwrap_err();
}
