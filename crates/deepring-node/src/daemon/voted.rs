//! Whether a node may vote with its key: a journal of votes that is gone must not be begun anew with a key that has voted.
//!
//! A node that forgot what it voted could vote for something else at the same turn, which is the worst that a validator can
//! do. So the engine's storage is given a name when it is begun, and the same name is kept beside the key. A key whose name is
//! not that of the storage follows the others, and votes no more; so does one whose storage holds no votes beside a ledger that
//! has grown. What this does not show: storage that was put back to an earlier state or damaged, name and all, and a key that was
//! put back without the file beside it, with nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use commonware_utils::sys_rng;
use deepring::Digest;
use deepring::files::{read_plain_text, replace_file};
use rand_core::Rng as _;

use super::error::NodeError;

const NAME: &str = "storage-name";
/// In the names of the folders that the engine keeps votes in.
const VOTES: &str = "-votes-";
/// Most bytes of a name and its line feed: 64 digits.
const MAX_NAME: u64 = 128;

/// Whether a key voted, and where, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Voted {
    /// It votes, and what it voted is in the storage.
    Here,
    /// It voted, and what it voted is not in the storage. The file that says so.
    Elsewhere(PathBuf),
}

/// The file beside a key that says in which storage its votes are.
fn marker_of(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".voted");
    name.into()
}

/// Asks whether the key votes with this storage, and ties both together where neither voted before. `grown` is whether the ledger has a
/// height: it came by an agreement in which this node took part.
pub(crate) fn may_vote(key: &Path, storage: &Path, grown: bool) -> Result<Voted, NodeError> {
    let marker = marker_of(key);
    let in_storage = storage.join(NAME);
    let io = |source| NodeError::Io { path: storage.into(), source };
    if grown && !has_votes(storage).map_err(io)? {
        // For good: who follows keeps votes there, too, though none of its own.
        match fs::remove_file(&in_storage) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e)),
            _ => return Ok(Voted::Elsewhere(marker)),
        }
    }
    let known = name_in(&marker)?;
    let here = name_in(&in_storage)?;
    let write = |path: &Path, name: &str| {
        replace_file(path, format!("{name}\n").as_bytes())
            .map_err(|source| NodeError::Io { path: path.to_owned(), source })
    };
    match (known, here) {
        (Some(known), Some(here)) if known == here => Ok(Voted::Here),
        (Some(_), _) => Ok(Voted::Elsewhere(marker)),
        // Begun, and not tied yet: nothing was voted.
        (None, Some(here)) => write(&marker, &here).map(|()| Voted::Here),
        (None, None) => {
            // Votes without a name are of a storage that was begun otherwise.
            if has_anything(storage).map_err(io)? {
                return Ok(Voted::Elsewhere(marker));
            }
            let mut drawn = [0; 32];
            sys_rng().fill_bytes(&mut drawn);
            let name = Digest(drawn).to_string();
            write(&in_storage, &name)?;
            write(&marker, &name).map(|()| Voted::Here)
        }
    }
}

fn name_in(path: &Path) -> Result<Option<String>, NodeError> {
    match read_plain_text(path, MAX_NAME) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(NodeError::Io { path: path.to_owned(), source }),
    }
}

/// Whether the engine has kept anything there.
pub(super) fn has_anything(storage: &Path) -> io::Result<bool> {
    match fs::read_dir(storage) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether the engine has kept votes there, of any epoch.
fn has_votes(storage: &Path) -> io::Result<bool> {
    let folders = match fs::read_dir(storage) {
        Ok(folders) => folders,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    for folder in folders {
        let folder = folder?;
        let of_votes = folder.file_name().to_string_lossy().contains(VOTES);
        if of_votes && holds_bytes(&folder.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn holds_bytes(folder: &Path) -> io::Result<bool> {
    for file in fs::read_dir(folder)? {
        if file?.metadata()?.len() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("engine")).unwrap();
            Self { folder }
        }

        fn key(&self) -> PathBuf {
            self.folder.path().join("node.key")
        }

        fn engine(&self) -> PathBuf {
            self.folder.path().join("engine")
        }

        fn look(&self) -> Voted {
            may_vote(&self.key(), &self.engine(), false).unwrap()
        }

        fn look_grown(&self) -> Voted {
            may_vote(&self.key(), &self.engine(), true).unwrap()
        }

        fn vote(&self) {
            fs::create_dir_all(self.engine().join("agreement-votes-0")).unwrap();
            fs::write(self.engine().join("agreement-votes-0/01"), b"votes").unwrap();
        }

        fn elsewhere(&self) -> Voted {
            Voted::Elsewhere(marker_of(&self.key()))
        }
    }

    #[test]
    fn a_key_votes_with_the_storage_that_it_began_and_with_no_other() {
        let place = Place::new();
        assert_eq!(place.look(), Voted::Here);
        place.vote();
        assert_eq!(place.look(), Voted::Here);
        fs::remove_dir_all(place.engine()).unwrap();
        assert_eq!(place.look(), place.elsewhere());
        fs::create_dir(place.engine()).unwrap();
        assert_eq!(place.look(), place.elsewhere());
        // A storage that another key began.
        let other = Place::new();
        other.look();
        fs::copy(other.engine().join(NAME), place.engine().join(NAME)).unwrap();
        assert_eq!(place.look(), place.elsewhere());
    }

    #[test]
    fn beside_a_ledger_that_has_grown_there_are_votes_or_the_key_votes_no_more() {
        for emptied in [false, true] {
            let place = Place::new();
            assert_eq!(place.look(), Voted::Here);
            place.vote();
            assert_eq!(place.look_grown(), Voted::Here);
            match emptied {
                true => fs::write(place.engine().join("agreement-votes-0/01"), b"").unwrap(),
                false => fs::remove_dir_all(place.engine().join("agreement-votes-0")).unwrap(),
            }
            assert_eq!(place.look_grown(), place.elsewhere());
            // Following, it keeps what others voted.
            place.vote();
            assert_eq!(place.look_grown(), place.elsewhere());
        }
        let place = Place::new();
        assert_eq!(place.look_grown(), place.elsewhere(), "neither storage nor marker");
        place.vote();
        assert_eq!(place.look_grown(), place.elsewhere());
    }

    #[test]
    fn a_start_that_was_cut_short_is_gone_on_with() {
        let place = Place::new();
        place.look();
        fs::remove_file(marker_of(&place.key())).unwrap();
        assert_eq!(place.look(), Voted::Here);
        assert!(marker_of(&place.key()).exists());
    }

    #[test]
    fn votes_without_a_name_and_names_that_cannot_be_read_are_nobodys() {
        let place = Place::new();
        place.vote();
        assert_eq!(place.look(), place.elsewhere());
        let place = Place::new();
        place.look();
        fs::write(marker_of(&place.key()), [b'a'; 200]).unwrap();
        assert!(may_vote(&place.key(), &place.engine(), false).is_err());
        fs::write(marker_of(&place.key()), b"").unwrap();
        assert_eq!(place.look(), place.elsewhere());
    }
}
