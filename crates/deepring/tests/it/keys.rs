//! Key files and key texts.

use std::path::Path;

use bech32::{Bech32, Bech32m, Hrp};
use deepring::files::{KeyFileError, write_key_pair};
use deepring::keys::ParseKeyError;
use deepring::{Host, Owner, PublicKey, SecretKey};

use crate::small_ring::{host_a, owner};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_key_pair_survives_its_files() {
    let dir = folder();
    write_key_pair(dir.path(), &owner()).unwrap();
    write_key_pair(dir.path(), &host_a()).unwrap();
    let read = |name: &str| dir.path().join(name);
    assert_eq!(PublicKey::<Owner>::read(&read("owner.pub")).unwrap(), owner().public());
    assert_eq!(PublicKey::<Host>::read(&read("host.pub")).unwrap(), host_a().public());
    let secret = SecretKey::<Owner>::read(&read("owner.key")).unwrap();
    assert_eq!(*secret.to_secret_text(), *owner().to_secret_text());
    assert_eq!(SecretKey::<Host>::read(&read("host.key")).unwrap().public(), host_a().public());
}

#[cfg(unix)]
#[test]
fn nobody_but_the_user_may_read_a_secret_key_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    write_key_pair(dir.path(), &owner()).unwrap();
    let mode =
        |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("owner.key"), 0o600);
    assert_eq!(mode("owner.pub") & 0o600, 0o600);
}

#[cfg(unix)]
#[test]
fn a_secret_key_file_that_others_can_read_or_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    write_key_pair(dir.path(), &owner()).unwrap();
    let path = dir.path().join("owner.key");
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o666, 0o777] {
        set(&path, mode);
        let err = SecretKey::<Owner>::read(&path).unwrap_err();
        assert!(matches!(err, KeyFileError::Loose { mode: m, .. } if m == mode), "{mode:o}: {err}");
    }
    for mode in [0o600, 0o400, 0o700] {
        set(&path, mode);
        SecretKey::<Owner>::read(&path).unwrap();
    }
    // A public key is everybody's; where a secret one is due, that is what is wrong with it.
    let public = dir.path().join("owner.pub");
    set(&public, 0o666);
    PublicKey::<Owner>::read(&public).unwrap();
    let err = SecretKey::<Owner>::read(&public).unwrap_err();
    assert!(matches!(err, KeyFileError::Parse { .. }), "{err}");
}

#[test]
fn existing_keys_are_never_overwritten() {
    for existing in ["owner.key", "owner.pub"] {
        let dir = folder();
        let path = dir.path().join(existing);
        std::fs::write(&path, "precious").unwrap();
        let err = write_key_pair(dir.path(), &owner()).unwrap_err();
        assert!(matches!(err, KeyFileError::Exists { path: p } if p == path));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no half of a pair");
    }
}

#[test]
fn nothing_is_written_in_a_secret_keys_place() {
    let dir = folder();
    write_key_pair(dir.path(), &owner()).unwrap();
    let (secret, public) = (dir.path().join("owner.key"), dir.path().join("owner.pub"));
    let before = std::fs::read(&secret).unwrap();
    let err = deepring::files::replace_file(&secret, b"a receipt").unwrap_err();
    assert_eq!(err.kind(), std::io::ErrorKind::AlreadyExists, "{err}");
    assert_eq!(std::fs::read(&secret).unwrap(), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
    deepring::files::replace_file(&public, b"what is not a secret key is replaced").unwrap();
}

#[cfg(unix)]
#[test]
fn a_dangling_link_is_not_written_through() {
    let dir = folder();
    let elsewhere = dir.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, dir.path().join("owner.key")).unwrap();
    let err = write_key_pair(dir.path(), &owner()).unwrap_err();
    assert!(matches!(err, KeyFileError::Exists { .. }));
    assert!(!elsewhere.exists());
}

#[test]
fn a_key_file_may_have_comments_and_white_space() {
    let dir = folder();
    let path = dir.path().join("k");
    let key = owner().public();
    std::fs::write(&path, format!("\n# mine\r\n\t {key} \r\nignored\n")).unwrap();
    assert_eq!(PublicKey::<Owner>::read(&path).unwrap(), key);
}

fn parse_error(path: &Path) -> ParseKeyError {
    match PublicKey::<Owner>::read(path).unwrap_err() {
        KeyFileError::Parse { source, .. } => source,
        other => panic!("{other}"),
    }
}

#[test]
fn a_file_that_holds_no_key_is_refused() {
    let dir = folder();
    let path = dir.path().join("k");
    for (text, expected) in [
        (String::new(), ParseKeyError::Missing),
        ("# only\n\n# comments\n".into(), ParseKeyError::Missing),
        ("hello".into(), ParseKeyError::Damaged),
        ("drowner1".into(), ParseKeyError::Damaged),
        ("#".repeat(16 * 1024) + "\n" + &owner().public().to_string(), ParseKeyError::Missing),
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(parse_error(&path), expected);
    }
    std::fs::write(&path, [0xff; 100]).unwrap();
    assert_eq!(parse_error(&path), ParseKeyError::NotText);
}

#[test]
fn a_missing_file_and_a_folder_are_io_errors() {
    let dir = folder();
    for path in [dir.path().join("none"), dir.path().to_owned()] {
        let err = SecretKey::<Owner>::read(&path).unwrap_err();
        assert!(matches!(err, KeyFileError::Io { path: p, .. } if p == path));
    }
}

#[test]
fn a_host_key_is_not_taken_for_an_owner_key_nor_a_secret_for_a_public_one() {
    let texts = [host_a().public().to_string(), owner().to_secret_text().to_string()];
    for text in texts {
        let err = text.parse::<PublicKey<Owner>>().unwrap_err();
        assert!(matches!(err, ParseKeyError::WrongKind { .. }), "{err}");
    }
}

fn damaged(text: &str) {
    assert_eq!(text.parse::<PublicKey<Owner>>(), Err(ParseKeyError::Damaged), "{text}");
}

#[test]
fn both_cases_are_taken_and_mixed_case_is_not() {
    let key = owner().public();
    let text = key.to_string();
    assert_eq!(text.to_uppercase().parse::<PublicKey<Owner>>().unwrap(), key);
    damaged(&text.replacen("dr", "DR", 1));
}

#[test]
fn another_checksum_and_another_length_are_refused() {
    let hrp = Hrp::parse("drowner").unwrap();
    let bytes = owner().public().as_bytes().to_vec();
    damaged(&bech32::encode::<Bech32>(hrp, &bytes).unwrap());
    damaged(&bech32::encode::<Bech32m>(hrp, &bytes[..63]).unwrap());
    damaged(&bech32::encode::<Bech32m>(hrp, &[bytes.as_slice(), &[0]].concat()).unwrap());
    damaged(&bech32::encode::<Bech32m>(hrp, &[]).unwrap());
    damaged(&bech32::encode::<Bech32m>(Hrp::parse("age").unwrap(), &bytes).unwrap());
    assert!(bech32::encode::<Bech32m>(hrp, &bytes).unwrap().parse::<PublicKey<Owner>>().is_ok());
}

#[test]
fn padding_bits_that_are_not_zero_are_refused() {
    use bech32::Fe32;
    use bech32::primitives::iter::{ByteIterExt as _, Fe32IterExt as _};
    let hrp = Hrp::parse("drowner").unwrap();
    let bytes = *owner().public().as_bytes();
    let with_last = |last: Option<u8>| -> String {
        let mut symbols: Vec<Fe32> = bytes.iter().copied().bytes_to_fes().collect();
        assert_eq!(symbols.len(), 103, "512 bits and 3 of padding");
        if let Some(bits) = last {
            let place = symbols.last_mut().unwrap();
            *place = Fe32::try_from(place.to_u8() | bits).unwrap();
        }
        symbols.into_iter().with_checksum::<Bech32m>(&hrp).chars().collect()
    };
    assert_eq!(with_last(None), owner().public().to_string());
    for bits in 1..8 {
        damaged(&with_last(Some(bits)));
    }
}
