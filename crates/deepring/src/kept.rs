//! Files that only the command that keeps them may overwrite: secret keys, the files of a ledger,
//! trust stores.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::keys::text::ARMOR;
use crate::keys::{Host, Node, Owner, Role};
use crate::path::{folder_of, is_absence, resolved};
use crate::plain_file::open_plain;

/// Most bytes of a trust store: room for some hundred thousand rings.
pub(crate) const MAX_STORE: u64 = 64 << 20;

/// Bytes of a file that are searched for a key. A key file is a few hundred bytes.
const HEAD: u64 = 16 * 1024;

/// Prefix of a ledger's secret key (`c2sp.org/signed-note`).
const NOTE_SECRET: &str = "PRIVATE+KEY+";

/// The first bytes of a redb database, in which a ledger is kept.
const DATABASE_MAGIC: [u8; 9] = [b'r', b'e', b'd', b'b', 0x1a, 0x0a, 0xa9, 0x0d, 0x0a];

/// Names of the files that a ledger consists of (docs/LEDGER.md, "Files"). Here, since every command
/// that writes a file spares them.
pub mod ledger_files {
    /// Entries, hashes, index and newest checkpoint.
    pub const DATABASE: &str = "ledger.redb";
    /// The log's signing key.
    pub const SECRET_KEY: &str = "log.key";
    /// The log's public key.
    pub const PUBLIC_KEY: &str = "log.pub";
    /// The newest checkpoint.
    pub const CHECKPOINT: &str = "checkpoint";
    /// Locked by the one process that writes.
    pub const WRITER_LOCK: &str = "writer.lock";
    /// The files without which there is no ledger; the lock is made anew where it is missing.
    pub const LASTING: [&str; 4] = [DATABASE, SECRET_KEY, PUBLIC_KEY, CHECKPOINT];
    /// All of them.
    pub const ALL: [&str; 5] = [DATABASE, SECRET_KEY, PUBLIC_KEY, CHECKPOINT, WRITER_LOCK];
}

/// Refuses a path at which a file lies, or belongs, that nothing would bring back: a secret key of
/// any kind, a file of a ledger, a trust store, its lock. Links are followed.
///
/// # Errors
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists) for these; and where a file that is there cannot
/// be examined.
pub fn spare_kept(target: &Path) -> io::Result<()> {
    match what(target)? {
        None => Ok(()),
        Some(what) => {
            let kept = format!("is {what}, which no other command replaces");
            Err(io::Error::new(io::ErrorKind::AlreadyExists, kept))
        }
    }
}

/// Refuses a place, whatever lies there, that is a file's of a ledger: for a trust store, which is
/// made with its lock where none is. The store's own place is not that of another one's lock either.
///
/// # Errors
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists).
pub(crate) fn spare_places(store: &Path, lock: &Path) -> io::Result<()> {
    let what = match of_place(store) {
        None if belongs_to_a_ledger(lock) => Some(LEDGER_FILE),
        what => what,
    };
    what.map_or(Ok(()), |what| {
        let kept = format!("this is the place of {what}, and no trust store is made there");
        Err(io::Error::new(io::ErrorKind::AlreadyExists, kept))
    })
}

fn what(target: &Path) -> io::Result<Option<&'static str>> {
    let target = resolved(target)?;
    if let Some(what) = of_place(&target) {
        return Ok(Some(what));
    }
    match of_content(&target) {
        Err(e) if is_absence(&e) => Ok(None),
        Err(e) if matches!(e.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput) => {
            Err(e)
        }
        // It could be a key that its user has locked away.
        Err(e) => {
            Err(io::Error::new(e.kind(), format!("cannot be looked at before it is replaced: {e}")))
        }
        kept => kept,
    }
}

const STORE: &str = "a trust store";

const LEDGER_FILE: &str = "a file of a ledger";

/// The name of the thing that belongs at a resolved path, whether it is there or not.
fn of_place(target: &Path) -> Option<&'static str> {
    if belongs_to_a_ledger(target) {
        return Some(LEDGER_FILE);
    }
    let store = target.with_file_name(target.file_name().and_then(without_lock)?);
    of_content(&store).is_ok_and(|kept| kept == Some(STORE)).then_some("the lock of a trust store")
}

fn of_content(path: &Path) -> io::Result<Option<&'static str>> {
    let mut file = open_plain(path)?;
    // As large as it may get, since it may be a secret: a buffer that grows leaves its earlier
    // copies behind, unwiped.
    let mut head = Zeroizing::new(Vec::with_capacity(HEAD as usize + 1));
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    if head.starts_with(&DATABASE_MAGIC) {
        return Ok(Some("a ledger's database"));
    }
    if head.split(|b| *b == b'\n').any(is_secret) {
        return Ok(Some("a secret key file"));
    }
    let text = head.trim_ascii_start();
    if begins_a_store(text) {
        return Ok(Some(STORE));
    }
    if text.starts_with(b"{") {
        let mut whole = std::mem::take(&mut *head);
        file.take(MAX_STORE).read_to_end(&mut whole)?;
        return Ok(is_store(&whole).then_some(STORE));
    }
    Ok(None)
}

/// Returns whether a line begins like a secret key, damaged or not; an encrypted file may be one. Readers of keys ignore white
/// space of every script and byte order marks before them: every character that begins no key is
/// skipped here.
fn is_secret(line: &[u8]) -> bool {
    let holds = |text: &[u8]| line.windows(text.len()).any(|w| w == text);
    if holds(ARMOR.as_bytes()) || (holds(b"-----BEGIN ") && holds(b"PRIVATE KEY-----")) {
        return true;
    }
    let begin = line.iter().position(u8::is_ascii_alphanumeric).unwrap_or(line.len());
    let line = line.get(begin..).unwrap_or_default();
    // Bech32 is the same in capitals.
    let ours = |prefix: &str| {
        line.get(..prefix.len()).is_some_and(|l| l.eq_ignore_ascii_case(prefix.as_bytes()))
            && line.get(prefix.len()) == Some(&b'1')
    };
    ours(Owner::SECRET_PREFIX)
        || ours(Host::SECRET_PREFIX)
        || ours(Node::SECRET_PREFIX)
        || line.starts_with(NOTE_SECRET.as_bytes())
}

/// Returns whether a text begins like a trust store; a damaged one does, too.
fn begins_a_store(text: &[u8]) -> bool {
    let mut rest = text;
    for token in ["{", "\"format\"", ":"] {
        let Some(after) = rest.strip_prefix(token.as_bytes()) else { return false };
        rest = after.trim_ascii_start();
    }
    rest.first().is_some_and(u8::is_ascii_digit)
}

/// Returns whether this is a trust store, in whatever order an editor left it.
fn is_store(text: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Store {
        #[serde(rename = "format")]
        _format: u32,
        #[serde(rename = "owners")]
        _owners: IgnoredAny,
    }
    serde_json::from_slice::<Store>(text).is_ok()
}

/// Returns whether this is the place of one of a ledger's files, there or not, in a folder that
/// holds a ledger's database.
fn belongs_to_a_ledger(target: &Path) -> bool {
    let named = target.file_name().is_some_and(|n| ledger_files::ALL.iter().any(|file| n == *file));
    named && is_database(&folder_of(target).join(ledger_files::DATABASE))
}

/// Returns whether a file is a ledger's database, or may be one: a file that cannot be examined
/// could be somebody's.
fn is_database(path: &Path) -> bool {
    let mut magic = [0; DATABASE_MAGIC.len()];
    match open_plain(path).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) => magic == DATABASE_MAGIC,
        Err(e) => !matches!(
            e.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof
        ),
    }
}

/// The name of the store whose lock has this name.
fn without_lock(name: &OsStr) -> Option<OsString> {
    // Not as text: a name need not be text.
    (Path::new(name).extension()? == "lock")
        .then(|| Path::new(name).file_stem().map(OsStr::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &str, bytes: &[u8]) -> Option<&'static str> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        what(&path).unwrap()
    }

    #[test]
    fn secret_keys_of_every_form_are_known_also_damaged_or_behind_comments() {
        for text in [
            "DROWNERSECRET1QQQQ",
            "# mine\n\n\t drhostsecret1qqqq\n",
            "\u{feff}DRHOSTSECRET1",
            "# of a ledger's node\nDRNODESECRET1QQQQ",
            "PRIVATE+KEY+deepring.local/ledger/01020304+00000000+AAAA",
            "\r\n PRIVATE+KEY+x+00000000+AAAA\r\n",
            "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl",
            "\u{feff}  -----BEGIN AGE ENCRYPTED FILE-----",
            "-----BEGIN PRIVATE KEY-----\nMIGH",
            "comment\n-----BEGIN EC PRIVATE KEY-----\n",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        ] {
            assert_eq!(kept("x", text.as_bytes()), Some("a secret key file"), "{text}");
        }
        // All characters that readers of keys trim.
        let blanks = (0..=char::MAX as u32).filter_map(char::from_u32);
        for blank in blanks.filter(|c| c.is_whitespace() || *c == '\u{feff}') {
            for key in ["DRHOSTSECRET1QQ", "PRIVATE+KEY+x+00000000+AAAA"] {
                let line = format!("{blank}{blank}{key}");
                assert!(line.split('\n').any(|line| is_secret(line.as_bytes())), "{line:?}");
            }
        }
        for text in [
            "",
            "-----BEGIN PUBLIC KEY-----",
            "drowner1qqqq",
            "x+00000000+AAAA",
            "about DROWNERSECRET1",
            "DROWNERSECRETS",
        ] {
            assert_eq!(kept("x", text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn trust_stores_are_known_whoever_wrote_them_and_so_are_their_locks() {
        for text in [
            r#"{"format": 2, "owners": []}"#,
            "{\n  \"format\": 2,\n  \"own",
            r#" {"owners": [], "format": 1}"#,
        ] {
            assert_eq!(kept("x", text.as_bytes()), Some(STORE), "{text}");
        }
        for text in [r#"{"format": "x"}"#, r#"{"bench": 1}"#, "{", "[]"] {
            assert_eq!(kept("x", text.as_bytes()), None, "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let [store, lock] = ["t", "t.lock"].map(|n| folder.path().join(n));
        assert_eq!(what(&lock).unwrap(), None);
        std::fs::write(store, r#"{"format": 2, "owners": []}"#).unwrap();
        assert_eq!(what(&lock).unwrap(), Some("the lock of a trust store"));
    }

    #[test]
    fn every_file_of_a_ledger_is_known_by_its_place_and_the_database_anywhere() {
        let database = [&DATABASE_MAGIC[..], &[0; 100]].concat();
        assert_eq!(kept("x", &database), Some("a ledger's database"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log.pub"), "x+00000000+AAAA").unwrap();
        assert_eq!(what(&folder.path().join("log.pub")).unwrap(), None);
        std::fs::write(folder.path().join("ledger.redb"), &database).unwrap();
        for file in ledger_files::ALL {
            assert_eq!(
                what(&folder.path().join(file)).unwrap(),
                Some("a file of a ledger"),
                "{file}"
            );
        }
        assert_eq!(what(&folder.path().join("x.tlog-proof")).unwrap(), None);
    }

    /// No user, root included, can follow a circle of links.
    #[cfg(unix)]
    #[test]
    fn a_database_that_cannot_be_looked_at_counts_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("checkpoint");
        assert_eq!(what(&file).unwrap(), None);
        std::os::unix::fs::symlink("ledger.redb", folder.path().join("ledger.redb")).unwrap();
        assert_eq!(what(&file).unwrap(), Some("a file of a ledger"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "PRIVATE+KEY+").unwrap();
        std::os::unix::fs::symlink("secret", folder.path().join("link")).unwrap();
        assert_eq!(what(&folder.path().join("link")).unwrap(), Some("a secret key file"));
    }
}
