//! Key files under a passphrase: made, opened, and written anew; the refused beside each.
#![cfg(feature = "passphrase")]

use std::path::{Path, PathBuf};

use deepring::files::{
    KeyFileError, Rewriting, SecretKeyFile, Turn, write_encrypted_key_pair, write_key_pair,
};
use deepring::keys::{EncryptedKeyError, Node, ParseKeyError, Passphrase, Role};
use deepring::{Host, Owner, PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::small_ring::{host_a, owner};

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn open<R: Role>(path: &Path, with: &str) -> Result<SecretKey<R>, KeyFileError> {
    SecretKeyFile::read(path)?.decrypt(&passphrase(with))?.key()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// `owner.key` under the passphrase `right`.
fn encrypted_owner(dir: &Path) -> PathBuf {
    write_encrypted_key_pair(dir, &owner(), &passphrase("right")).unwrap();
    dir.join("owner.key")
}

#[test]
fn an_encrypted_key_file_opens_with_its_passphrase_and_shows_nothing_without() {
    let dir = tempfile::tempdir().unwrap();
    let path = encrypted_owner(dir.path());
    assert_eq!(PublicKey::<Owner>::read(&dir.path().join("owner.pub")).unwrap(), owner().public());
    let written = text(&path);
    assert!(written.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    assert!(!written.to_lowercase().contains("drowner"));
    assert!(SecretKeyFile::read(&path).unwrap().is_encrypted());

    let key = open::<Owner>(&path, "right").unwrap();
    assert_eq!(*key.to_secret_text(), *owner().to_secret_text());
    let wrong = open::<Owner>(&path, "Right").unwrap_err();
    assert!(matches!(
        wrong,
        KeyFileError::Passphrase { source: EncryptedKeyError::WrongPassphrase, .. }
    ));
    // Who knows of no passphrases says so, and takes it for no public key either.
    let is_encrypted =
        |e| matches!(e, KeyFileError::Parse { source: ParseKeyError::Encrypted, .. });
    assert!(is_encrypted(SecretKey::<Owner>::read(&path).unwrap_err()));
    assert!(is_encrypted(PublicKey::<Owner>::read(&path).unwrap_err()));
    // Another role is named once it is open.
    let other = open::<Host>(&path, "right").unwrap_err();
    assert!(other.to_string().contains("an owner secret key, not a host secret key"), "{other}");
}

#[test]
fn an_encrypted_key_file_is_its_users_alone_and_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = encrypted_owner(dir.path());
    let again = write_encrypted_key_pair(dir.path(), &owner(), &passphrase("x")).unwrap_err();
    assert!(matches!(again, KeyFileError::Exists { .. }));
    assert!(deepring::files::replace_file(&path, b"x").is_err(), "nothing else replaces it");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        // Before anybody is asked for a passphrase.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let loose = SecretKeyFile::read(&path).unwrap_err();
        assert!(matches!(loose, KeyFileError::Loose { mode: 0o644, .. }));
    }
}

#[test]
fn a_passphrase_is_added_changed_and_removed_and_the_key_stays() {
    let dir = tempfile::tempdir().unwrap();
    write_key_pair(dir.path(), &host_a()).unwrap();
    let path = dir.path().join("host.key");
    let plain = text(&path);
    let rewrite = |old: Option<&str>, new: Option<&str>| {
        let (old, new) = (old.map(passphrase), new.map(passphrase));
        Rewriting::begin(&path).unwrap().write(old.as_ref(), new.as_ref())
    };
    rewrite(None, Some("one")).unwrap();
    assert_eq!(open::<Host>(&path, "one").unwrap().public(), host_a().public());
    rewrite(Some("one"), Some("two")).unwrap();
    let old = open::<Host>(&path, "one").unwrap_err();
    assert!(matches!(
        old,
        KeyFileError::Passphrase { source: EncryptedKeyError::WrongPassphrase, .. }
    ));
    let before = text(&path);
    // Refused: the file is as it was, and nothing lies beside it.
    assert!(rewrite(Some("one"), Some("three")).is_err());
    assert!(rewrite(None, None).is_err());
    assert!(rewrite(None, Some("three")).is_err(), "what is encrypted is not encrypted again");
    assert_eq!(text(&path), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    rewrite(Some("two"), None).unwrap();
    assert_eq!(text(&path), plain, "comments and all");
    let none = rewrite(Some("two"), Some("three")).unwrap_err();
    assert!(matches!(none, KeyFileError::NotEncrypted { .. }));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn only_a_secret_key_gets_a_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    write_key_pair(dir.path(), &SecretKey::<Node>::generate().unwrap()).unwrap();
    let node = dir.path().join("node.key");
    Rewriting::begin(&node).unwrap().write(None, Some(&passphrase("one"))).unwrap();
    open::<Node>(&node, "one").unwrap();
    for (name, content) in [
        ("public", owner().public().to_string()),
        ("letter", "Dear Sir".to_owned()),
        ("empty", String::new()),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, &content).unwrap();
        let refused = Rewriting::begin(&path).unwrap().write(None, Some(&passphrase("one")));
        assert!(matches!(refused, Err(KeyFileError::Parse { .. })), "{name}: {refused:?}");
        assert_eq!(text(&path), content);
    }
}

#[test]
fn what_is_put_there_while_a_passphrase_is_asked_for_stays() {
    let dir = tempfile::tempdir().unwrap();
    write_key_pair(dir.path(), &owner()).unwrap();
    let path = dir.path().join("owner.key");
    let rewriting = Rewriting::begin(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "another key").unwrap();
    let refused = rewriting.write(None, Some(&passphrase("one")));
    assert!(matches!(refused, Err(KeyFileError::Io { .. })), "{refused:?}");
    assert_eq!(text(&path), "another key");
}

/// A process that is killed just before the key without its passphrase takes the file's place.
#[test]
fn the_plain_text_that_a_killed_process_left_beside_a_key_is_removed_with_the_next_change() {
    let dir = tempfile::tempdir().unwrap();
    write_key_pair(dir.path(), &owner()).unwrap();
    let path = dir.path().join("owner.key");
    let plain = text(&path);
    let left = |name: &str| dir.path().join(name);
    let (gone, name, other, longer) = (
        left(".owner.key.partial-aB3xY9"),
        left("owner.key.partial-aB3xY9"),
        left(".owner.key.partial-aB3xY8"),
        left(".owner.key.partial-aB3xY91"),
    );
    for path in [&gone, &name, &longer] {
        std::fs::write(path, &plain).unwrap();
    }
    std::fs::write(&other, "another key").unwrap();
    let [one, two] = ["one", "two"].map(passphrase);
    Rewriting::begin(&path).unwrap().write(None, Some(&one)).unwrap();
    assert!(!gone.exists() && name.exists() && other.exists() && longer.exists());
    // Nor by a change that is refused.
    std::fs::write(&gone, &plain).unwrap();
    assert!(Rewriting::begin(&path).unwrap().write(Some(&two), Some(&one)).is_err());
    assert!(gone.exists());
    Rewriting::begin(&path).unwrap().write(Some(&one), Some(&two)).unwrap();
    assert!(!gone.exists());
}

/// Not even root removes a file that is immutable.
#[cfg(target_os = "linux")]
#[test]
fn a_key_that_is_left_beside_and_cannot_be_removed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    write_key_pair(dir.path(), &owner()).unwrap();
    let path = dir.path().join("owner.key");
    let left = [".owner.key.partial-aB3xY9", ".owner.key.partial-aB3xY8"];
    let left = left.map(|name| dir.path().join(name));
    for left in &left {
        std::fs::copy(&path, left).unwrap();
    }
    let chattr = |flag: &str| {
        let run = std::process::Command::new("chattr").arg(flag).arg(&left[0]).output();
        run.is_ok_and(|ran| ran.status.success())
    };
    if !chattr("+i") {
        crate::skip::skip("system", "no file can be made immutable here");
        return;
    }
    let told = Rewriting::begin(&path).unwrap().write(None, Some(&passphrase("one")));
    assert!(chattr("-i"));
    assert!(matches!(told, Err(KeyFileError::LeftBehind { left: told, .. }) if told == left[0]));
    assert_eq!(open::<Owner>(&path, "one").unwrap().public(), owner().public());
    assert!(left[0].exists() && !left[1].exists());
}

/// Else one would take the other's new file for what a killed process left, while both change places.
#[test]
fn of_two_that_change_a_passphrase_one_waits_and_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    write_key_pair(dir.path(), &owner()).unwrap();
    let path = dir.path().join("owner.key");
    let plain = text(&path);
    let one = passphrase("one");
    let held = Turn::take(&path, Turn::WAIT).unwrap();
    let rewriting = Rewriting::begin(&path).unwrap().wait(std::time::Duration::ZERO);
    assert!(matches!(rewriting.write(None, Some(&one)), Err(KeyFileError::Turn(_))));
    assert_eq!(text(&path), plain);
    drop(held);
    // Who waited finds another file than he began with.
    let late = Rewriting::begin(&path).unwrap();
    Rewriting::begin(&path).unwrap().write(None, Some(&one)).unwrap();
    assert!(matches!(late.write(None, Some(&passphrase("two"))), Err(KeyFileError::Io { .. })));
    assert_eq!(open::<Owner>(&path, "one").unwrap().public(), owner().public());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_key_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    write_key_pair(dir.path(), &owner()).unwrap();
    let (place, link) = (dir.path().join("owner.key"), dir.path().join("link"));
    std::os::unix::fs::symlink("owner.key", &link).unwrap();
    Rewriting::begin(&link).unwrap().write(None, Some(&passphrase("one"))).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(open::<Owner>(&place, "one").unwrap().public(), owner().public());
}
