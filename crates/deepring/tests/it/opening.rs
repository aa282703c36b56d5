//! Opening blocks: the wrong key, the wrong buffer, and content that is not what was sealed.

use deepring::Section;
use deepring::opening::OpenError;
use deepring::{Host, OpeningKey, SecretKey, VerifiedRing};

use crate::forge::RawRing;
use crate::small_ring::{OWNER_SEED, host_a, host_b, host_c, intact, owner, small_ring, stranger};

/// Whoever keeps nothing of a block finds the same.
fn open(ring: &VerifiedRing, index: u32, key: OpeningKey<'_>) -> Result<Vec<u8>, OpenError> {
    let mut out = vec![0; ring.headers()[index as usize].plain_len as usize];
    let opened = ring.open_block(index, key, &mut out).map(|_| out);
    let verified = ring.verify_block(index, key);
    let said = |e: Option<&OpenError>| e.map(ToString::to_string);
    assert_eq!(said(verified.as_ref().err()), said(opened.as_ref().err()));
    opened
}

/// Block 1's header edited at an offset that FORMAT.md gives without the name's length, and signed.
pub(crate) fn signed_edit(ring: &[u8], after_name: usize) -> Vec<u8> {
    let mut raw = RawRing::of(ring);
    let at = raw.after_name(1, after_name);
    let byte = raw.headers[1][at] ^ 1;
    raw.edit_header(1, at, &[byte], &OWNER_SEED);
    raw.close(&OWNER_SEED)
}

/// Offsets without the name: content digest, commitment, host A's wrapped key (second recipient).
pub(crate) const CONTENT_DIGEST: usize = 74;
pub(crate) const COMMITMENT: usize = 106;
pub(crate) const HOST_WRAP: usize = 202 + 54 + 112 + 4 + 145 + 97;

/// Block 2's key, wrapped for the owner and a host, stands in block 1's header for the same two.
pub(crate) fn wrapped_for_another_block() -> Vec<u8> {
    let mut plan = crate::small_ring::plan();
    plan.blocks[1].hosts = vec![host_b().public()];
    let mut raw = RawRing::of(&crate::small_ring::seal(&plan, &owner()));
    let from = raw.after_name(2, HOST_WRAP - 97 - 145);
    let recipients = raw.headers[2][from..from + 2 * 145].to_vec();
    let to = raw.after_name(1, HOST_WRAP - 97 - 145);
    raw.edit_header(1, to, &recipients, &OWNER_SEED);
    raw.close(&OWNER_SEED)
}

#[test]
fn a_host_does_not_open_blocks_of_others() {
    let ring = intact(&small_ring());
    let (a, b, c) = (host_a(), host_b(), host_c());
    let foreign: [(&SecretKey<Host>, &[u32]); 3] = [(&a, &[2, 3]), (&b, &[1]), (&c, &[0, 1, 2, 3])];
    for (key, blocks) in foreign {
        for index in blocks {
            let err = open(&ring, *index, key.into()).unwrap_err();
            assert!(matches!(err, OpenError::NotForThisKey { index: i, .. } if i == *index));
            assert!(!OpeningKey::from(key).is_recipient(&ring.headers()[*index as usize]));
        }
    }
}

#[test]
fn another_owner_opens_nothing() {
    let ring = intact(&small_ring());
    let err = open(&ring, 0, (&stranger()).into()).unwrap_err();
    assert!(matches!(err, OpenError::NotForThisKey { .. }));
    let err = ring.open_manifest((&stranger()).into()).unwrap_err();
    assert!(matches!(err, OpenError::NotForThisKey { .. }));
}

#[test]
fn a_host_key_with_the_owners_bytes_is_not_the_owner() {
    let ring = intact(&small_ring());
    let same_bytes = SecretKey::<Host>::from_halves(&OWNER_SEED, &[0x12; 32]).unwrap();
    let err = open(&ring, 1, (&same_bytes).into()).unwrap_err();
    assert!(matches!(err, OpenError::NotForThisKey { .. }));
}

#[test]
fn a_key_with_the_right_name_and_the_wrong_secret_is_refused() {
    // The signing half is host A's, the opening half is not, so the public key differs.
    let half = SecretKey::<Host>::from_halves(&crate::small_ring::HOST_A_SEED, &[9; 32]).unwrap();
    let err = open(&intact(&small_ring()), 1, (&half).into()).unwrap_err();
    assert!(matches!(err, OpenError::NotForThisKey { .. }));
}

#[test]
fn a_block_that_does_not_exist_is_refused() {
    let ring = intact(&small_ring());
    let err = ring.open_block(4, (&owner()).into(), &mut []).unwrap_err();
    assert!(matches!(err, OpenError::NoSuchBlock { index: 4, count: 4 }));
}

#[test]
fn a_buffer_of_another_length_is_refused() {
    let ring = intact(&small_ring());
    for len in [0, 148, 150] {
        let err = ring.open_block(1, (&owner()).into(), &mut vec![0; len]).unwrap_err();
        let OpenError::WrongBuffer { index: 1, needed: 149, given } = err else { panic!("{err}") };
        assert_eq!(given, len as u64);
    }
}

#[test]
fn a_signed_but_wrong_content_digest_is_refused_when_opened() {
    let ring = intact(&signed_edit(&small_ring(), CONTENT_DIGEST));
    let err = open(&ring, 1, (&host_a()).into()).unwrap_err();
    let OpenError::Tampered(f) = err else { panic!("{err}") };
    assert_eq!((f.block, f.part), (Some(1), Section::Body));
}

#[test]
fn a_block_key_other_than_the_committed_one_is_refused() {
    let ring = intact(&signed_edit(&small_ring(), COMMITMENT));
    for key in [OpeningKey::from(&owner()), OpeningKey::from(&host_a())] {
        let OpenError::Tampered(f) = open(&ring, 1, key).unwrap_err() else { panic!() };
        assert_eq!((f.block, f.part), (Some(1), Section::Header));
    }
}

#[test]
fn a_damaged_wrap_is_refused_for_its_recipient_and_not_for_others() {
    let ring = intact(&signed_edit(&small_ring(), HOST_WRAP));
    let OpenError::Tampered(f) = open(&ring, 1, (&host_a()).into()).unwrap_err() else { panic!() };
    assert_eq!((f.block, f.part), (Some(1), Section::Header));
    open(&ring, 1, (&owner()).into()).unwrap();
}

#[test]
fn a_key_wrapped_for_another_block_of_the_ring_is_refused() {
    let ring = intact(&wrapped_for_another_block());
    let OpenError::Tampered(f) = open(&ring, 1, (&host_b()).into()).unwrap_err() else { panic!() };
    assert_eq!((f.block, f.part), (Some(1), Section::Header));
}

#[test]
fn a_file_cut_after_it_was_verified_is_tampering_and_not_an_io_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ring");
    std::fs::write(&path, small_ring()).unwrap();
    let trust = deepring::Trust::owner(owner().public());
    let ring = deepring::UnverifiedRing::open(&path).unwrap().verify(&trust, &|_| ()).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
    let OpenError::Tampered(f) = open(&ring, 3, (&owner()).into()).unwrap_err() else { panic!() };
    assert_eq!((f.block, f.part), (Some(3), Section::Body));
}

#[test]
fn a_body_changed_after_it_was_verified_is_refused_with_tensor_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ring");
    let mut bytes = small_ring();
    std::fs::write(&path, &bytes).unwrap();
    let trust = deepring::Trust::owner(owner().public());
    let ring = deepring::UnverifiedRing::open(&path).unwrap().verify(&trust, &|_| ()).unwrap();
    let body = crate::small_ring::Places::of(&bytes).bodies[1].clone();
    bytes[body.start + 64] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let OpenError::Tampered(f) = open(&ring, 1, (&host_a()).into()).unwrap_err() else { panic!() };
    assert_eq!(f.tensor.as_deref(), Some("conv1.bias"));
    assert_eq!(f.bytes, Some([body.start as u64 + 64, body.start as u64 + 96]));
}

#[test]
fn a_byte_that_changes_between_decryption_and_confirmation_is_refused() {
    let ring = intact(&small_ring());
    let key = host_a();
    let mut out = vec![0; ring.headers()[1].plain_len as usize];
    for bit in 0..out.len() * 8 {
        let decrypted = ring.decrypt_block(1, (&key).into(), &mut out, &|_| ()).unwrap();
        out[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(decrypted.confirm(&out, &[]), Err(OpenError::Tampered(_))), "bit {bit}");
    }
    let decrypted = ring.decrypt_block(1, (&key).into(), &mut out, &|_| ()).unwrap();
    assert!(decrypted.confirm(&out[1..], &[]).is_err());
    let decrypted = ring.decrypt_block(1, (&key).into(), &mut out, &|_| ()).unwrap();
    let opened = decrypted.confirm(&out, &[]).unwrap();
    assert_eq!(opened.content_digest(), ring.headers()[1].content_digest);
}
