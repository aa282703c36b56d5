//! An audit: two copies of a block answer one challenge alike where they hold the same bytes, and only there.

use deepring::audit::{AuditError, Challenge};
use deepring::deal::Copies;
use deepring::opening::OpenError;
use deepring::{AuthenticRing, Digest, Host, OpeningKey, PublicKey, SecretKey};

use crate::dealt_ring::dealt;
use crate::small_ring::{host_a, host_b, host_c, host_d, intact, two_versions};

const NONCE: [u8; 32] = [7; 32];

/// The answer of `of` from the copy of who holds `key`; `edit` changes the opened bytes.
fn answer(
    ring: &AuthenticRing,
    challenge: &Challenge,
    of: &PublicKey<Host>,
    key: &SecretKey<Host>,
    edit: impl Fn(u32, &mut Vec<u8>),
) -> Result<Digest, AuditError> {
    let key = OpeningKey::Host(key);
    let mut answer = challenge.answer_of(of, ring, key);
    for index in challenge.blocks() {
        let len = ring.headers()[*index as usize].plain_len;
        let mut opened = vec![0; usize::try_from(len).unwrap()];
        ring.open_block(*index, key, &mut opened)?;
        edit(*index, &mut opened);
        answer.block(*index, &opened)?;
    }
    answer.finish()
}

fn copies(ring: &AuthenticRing, index: u32) -> Vec<SecretKey<Host>> {
    let all = [host_a(), host_b(), host_c(), host_d()];
    let is_for =
        |key: &SecretKey<Host>| OpeningKey::Host(key).is_recipient(&ring.headers()[index as usize]);
    all.into_iter().filter(is_for).collect()
}

#[test]
fn copies_that_hold_the_same_bytes_give_the_same_answer_and_no_others_do() {
    let ring = dealt(Copies::Two, false);
    let [one, other] = <[_; 2]>::try_from(copies(&ring, 1)).unwrap();
    let challenge = Challenge::with_nonce(NONCE, &[1]);
    let of = one.public();
    let as_it_is = |_: u32, _: &mut Vec<u8>| ();
    let given = answer(&ring, &challenge, &of, &one, as_it_is).unwrap();
    let expected = answer(&ring, &challenge, &of, &other, as_it_is).unwrap();
    assert_eq!(given, expected);

    // Any byte of it counts, those between parts too.
    let len = ring.headers()[1].plain_len as usize;
    for at in 0..len {
        let flip = |_: u32, opened: &mut Vec<u8>| opened[at] ^= 1;
        assert_ne!(answer(&ring, &challenge, &of, &one, flip).unwrap(), expected, "byte {at}");
    }
    // Another's answer, repeated, is another answer; so is one to an earlier nonce.
    assert_ne!(answer(&ring, &challenge, &other.public(), &one, as_it_is).unwrap(), expected);
    let earlier = Challenge::with_nonce([8; 32], &[1]);
    assert_ne!(answer(&ring, &earlier, &of, &one, as_it_is).unwrap(), expected);
    assert_ne!(Challenge::fresh(&[1]).unwrap(), Challenge::fresh(&[1]).unwrap());
}

#[test]
fn an_answer_is_of_one_version() {
    let (old, new) = two_versions();
    let (old, new) = (intact(&old), intact(&new));
    let key = host_a();
    let index =
        (1..).find(|i| copies(&old, *i).iter().any(|k| k.public() == key.public())).unwrap();
    let challenge = Challenge::with_nonce(NONCE, &[index]);
    let of =
        |ring: &AuthenticRing| answer(ring, &challenge, &key.public(), &key, |_, _| ()).unwrap();
    assert_ne!(of(&old), of(&new));
}

#[test]
fn an_answer_covers_just_what_was_asked() {
    let ring = dealt(Copies::Two, false);
    let one = copies(&ring, 1).remove(0);
    let key = OpeningKey::Host(&one);
    let opened = vec![0; ring.headers()[1].plain_len as usize];
    let not_asked = |result: Result<(), AuditError>| match result {
        Err(AuditError::NotAsked { wanted, given }) => (wanted, given),
        other => panic!("{other:?}"),
    };
    let challenge = Challenge::with_nonce(NONCE, &[2, 1, 2]);
    assert_eq!(challenge.blocks(), [1, 2]);
    let begun = || challenge.answer_of(&one.public(), &ring, key);
    assert_eq!(not_asked(begun().block(2, &opened)), (Some(1), Some(2)));
    let mut short = begun();
    short.block(1, &opened).unwrap();
    assert_eq!(not_asked(short.finish().map(drop)), (Some(2), None));
    let nothing = Challenge::with_nonce(NONCE, &[]);
    let nothing = nothing.answer_of(&one.public(), &ring, key);
    assert_eq!(not_asked(nothing.finish().map(drop)), (None, None));
    let one_block = Challenge::with_nonce(NONCE, &[1]);
    let mut long = one_block.answer_of(&one.public(), &ring, key);
    long.block(1, &opened).unwrap();
    assert_eq!(not_asked(long.block(1, &opened)), (None, Some(1)));
}

#[test]
fn who_cannot_open_a_block_answers_nothing_about_it() {
    let ring = dealt(Copies::Two, false);
    let stranger = host_d();
    let challenge = Challenge::with_nonce(NONCE, &[1]);
    let mut answer = challenge.answer_of(&stranger.public(), &ring, OpeningKey::Host(&stranger));
    let refused = answer.block(1, &[0; 4]);
    assert!(
        matches!(refused, Err(AuditError::Open(OpenError::NotForThisKey { index: 1, .. }))),
        "{refused:?}"
    );
    let beyond = Challenge::with_nonce(NONCE, &[99]);
    let mut answer = beyond.answer_of(&stranger.public(), &ring, OpeningKey::Host(&stranger));
    let refused = answer.block(99, &[]);
    assert!(
        matches!(refused, Err(AuditError::Open(OpenError::NoSuchBlock { index: 99, .. }))),
        "{refused:?}"
    );
}
