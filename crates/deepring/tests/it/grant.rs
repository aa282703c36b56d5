//! Granting a host: headers change, no body does, and only the owner can.

use std::path::PathBuf;

use deepring::files::Replacement;
use deepring::maintenance::{GrantError, grant, grant_in};
use deepring::receipt::Require;
use deepring::seal::SealError;
use deepring::{PublicKey, Trust, UnverifiedRing, VerifiedRing};

use crate::small_query::decision;
use crate::small_ring::{Places, host_a, host_b, host_c, owner, small_ring, stranger};

struct Folder {
    _dir: tempfile::TempDir,
    source: PathBuf,
    target: PathBuf,
}

/// A folder with the small ring in a file.
fn folder() -> Folder {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source.ring"), dir.path().join("target.ring"));
    std::fs::write(&source, small_ring()).unwrap();
    Folder { _dir: dir, source, target }
}

fn open(path: &std::path::Path) -> VerifiedRing {
    let trust = Trust::owner(owner().public());
    UnverifiedRing::open(path).unwrap().verify(&trust, &|_| ()).unwrap()
}

/// The blocks that a host can open.
fn opened_by(ring: &VerifiedRing, host: &deepring::SecretKey<deepring::Host>) -> Vec<u32> {
    (0..4)
        .filter(|i| {
            let mut out = vec![0; ring.headers()[*i as usize].plain_len as usize];
            ring.open_block(*i, host.into(), &mut out).is_ok()
        })
        .collect()
}

#[test]
fn a_grant_changes_no_body_byte_and_not_the_ring_digest() {
    let f = folder();
    let before = std::fs::read(&f.source).unwrap();
    let ring = open(&f.source);
    let new = host_c().public();
    assert_eq!(grant(&ring, &owner(), &new, None, &f.target).unwrap(), 4);
    let granted = open(&f.target);
    assert_eq!(granted.digest(), ring.digest());
    assert_eq!((ring.revision(), granted.revision()), (0, 1));
    let after = std::fs::read(&f.target).unwrap();
    let bodies = |bytes: &[u8]| bytes[Places::of(bytes).bodies[0].start..].to_vec();
    assert_eq!(bodies(&before), bodies(&after));
    assert_ne!(before, after);
    assert_eq!(before, std::fs::read(&f.source).unwrap(), "the source is as it was");
}

#[test]
fn the_new_host_opens_genesis_and_what_it_was_granted_and_the_others_open_what_they_did() {
    let f = folder();
    let ring = open(&f.source);
    let n = grant(&ring, &owner(), &host_c().public(), Some(&[2]), &f.target).unwrap();
    assert_eq!(n, 2, "Genesis and block 2");
    let granted = open(&f.target);
    assert_eq!(opened_by(&granted, &host_c()), [0, 2]);
    assert_eq!(opened_by(&granted, &host_a()), [0, 1]);
    assert_eq!(opened_by(&granted, &host_b()), [0, 2, 3]);
    assert_eq!(opened_by(&ring, &host_c()), [0; 0]);
}

#[test]
fn a_grant_in_place_replaces_the_file() {
    let f = folder();
    grant(&open(&f.source), &owner(), &host_c().public(), None, &f.source).unwrap();
    assert_eq!(opened_by(&open(&f.source), &host_c()), [0, 1, 2, 3]);
}

#[test]
fn receipts_from_before_a_grant_verify_after_it_and_the_other_way_round() {
    let f = folder();
    let ring = open(&f.source);
    grant(&ring, &owner(), &host_c().public(), None, &f.target).unwrap();
    let granted = open(&f.target);
    decision(&ring).verify(granted.outline(), Require::AsDealt).unwrap();
    decision(&granted).verify(ring.outline(), Require::AsDealt).unwrap();
}

#[test]
fn a_host_that_has_everything_already_changes_nothing() {
    let f = folder();
    let n = grant(&open(&f.source), &owner(), &host_a().public(), Some(&[1]), &f.target).unwrap();
    assert_eq!(n, 0);
    assert!(!f.target.exists());
}

/// Another grant that is put there between the look at the target and the end would be lost.
#[test]
fn a_grant_does_not_replace_what_came_after_it_was_begun() {
    let f = folder();
    let ring = open(&f.source);
    let file = Replacement::of(&f.target).unwrap();
    grant(&ring, &owner(), &host_c().public(), None, &f.target).unwrap();
    let there = std::fs::read(&f.target).unwrap();
    let other = deepring::SecretKey::generate().unwrap().public();
    let refused = grant_in(file, &ring, &owner(), &other, None).unwrap_err();
    assert!(matches!(
        &refused,
        GrantError::Seal(SealError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists
    ));
    assert!(std::fs::read(&f.target).unwrap() == there);
}

#[test]
fn who_is_not_the_owner_cannot_grant() {
    let f = folder();
    let err = grant(&open(&f.source), &stranger(), &host_c().public(), None, &f.target);
    assert!(matches!(err, Err(GrantError::NotTheOwner)));
    assert!(!f.target.exists());
}

#[test]
fn a_block_that_does_not_exist_cannot_be_granted() {
    let f = folder();
    let ring = open(&f.source);
    let err = grant(&ring, &owner(), &host_c().public(), Some(&[1, 4]), &f.target);
    assert!(matches!(err, Err(GrantError::NoSuchBlock { index: 4, last: 3 })));
    assert!(!f.target.exists());
}

#[test]
fn a_key_that_is_no_curve_point_cannot_be_granted() {
    let f = folder();
    let unusable = PublicKey::from_bytes([0; 64]);
    let err = grant(&open(&f.source), &owner(), &unusable, None, &f.target).unwrap_err();
    assert!(matches!(err, GrantError::Seal(SealError::UnusableRecipient { block: 0 })), "{err}");
    assert!(!f.target.exists());
}

#[test]
fn a_header_of_before_the_grant_in_the_file_of_after_it_is_refused() {
    let f = folder();
    let ring = open(&f.source);
    // Granted twice: both files have headers of one size.
    let one = f.target.with_file_name("one.ring");
    grant(&ring, &owner(), &host_c().public(), None, &one).unwrap();
    grant(&ring, &owner(), &host_c().public(), None, &f.target).unwrap();
    let mut mixed = std::fs::read(&f.target).unwrap();
    let header = Places::of(&mixed).headers[1].clone();
    crate::small_ring::splice(&mut mixed, &std::fs::read(&one).unwrap(), &header);
    let report = crate::small_ring::refused(&mixed);
    assert_eq!(report.verdict, deepring::Verdict::Stale, "{report}");
    assert_eq!(report.findings[0].block, Some(1));
}
