//! A file that remembers trusted owners, the newest version seen of each ring, and the ring that
//! each path is bound to.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::TrustError;
use super::file::{Bound, Data, NoStore, RememberedRing, owned, parse};
use super::guard::{guarded, guarded_path};
use super::lock::lock;
use super::place::names_of;
use super::{OwnedRing, RingVersion};
use crate::crypto::Digest;
use crate::kept::{MAX_STORE, spare_places};
use crate::keys::{Owner, PublicKey};
use crate::path::resolved;
use crate::plain_file::open_plain_itself;
use crate::replace::replace_private_file;
use crate::resolved_path::ResolvedPath;

/// Time that a change waits for another process's by default.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// The deal of a version of a ring, as a [`TrustStore`] remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenDeal {
    /// The highest number that was seen; 0 for none.
    Number(u32),
    /// It is not remembered any more whether one was seen: the version is too old.
    Forgotten,
}

/// A trust store, kept in a file.
///
/// Only [`add_owner`](Self::add_owner) gives trust. Every other record takes some away, and is
/// never replaced by a record of another owner, ring or ledger: versions and checkpoints only rise,
/// and a path that is bound stays bound until it is unbound by name.
#[derive(Debug)]
pub struct TrustStore {
    path: PathBuf,
    wait: Duration,
    pub(super) data: Data,
}

impl TrustStore {
    /// Reads the store; a file that does not exist is an empty store. Links are followed once,
    /// here: later changes are written where they lead, too.
    ///
    /// # Errors
    /// [`TrustError::Io`], [`TrustError::Damaged`] and [`TrustError::OldFormat`]: a store that
    /// cannot be read, a pipe among them, is never taken for an empty one. [`TrustError::Loose`],
    /// [`TrustError::Foreign`] and [`TrustError::LooseFolder`] where users other than its own and
    /// root can write it, or put another file in its place, by any folder on the way to it. (On
    /// systems without Unix permissions this is not checked.)
    pub fn open(path: &Path) -> Result<Self, TrustError> {
        let io = |source| TrustError::Io { path: path.into(), source };
        let place = resolved(path).map_err(io)?;
        // A pipe or a deleted file that a descriptor's name leads to has no place, and would pass
        // for an absent store.
        if path.exists() && !place.exists() {
            return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file")));
        }
        guarded_path(path)?;
        let data = read(&place)?;
        Ok(Self { path: place, wait: DEFAULT_WAIT, data })
    }

    /// Sets the time that a change waits for that of another process; 10 seconds by default.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Returns whether the owner is trusted for everything that it signs.
    #[must_use]
    pub fn trusts(&self, owner: &PublicKey<Owner>) -> bool {
        self.data.owners.contains(&owner.to_string())
    }

    /// The trusted owners, in the order in which they were added.
    pub fn owners(&self) -> impl Iterator<Item = PublicKey<Owner>> + '_ {
        self.data.owners.iter().filter_map(|text| text.parse().ok())
    }

    /// Trusts an owner for everything that it signs; `false` if it was trusted already.
    ///
    /// # Errors
    /// As every change: [`TrustError::Busy`] where another process holds the lock too long, else as
    /// [`open`](Self::open).
    pub fn add_owner(&mut self, owner: &PublicKey<Owner>) -> Result<bool, TrustError> {
        let owner = owner.to_string();
        self.update(|data| {
            let new = !data.owners.contains(&owner);
            if new {
                data.owners.push(owner);
            }
            new
        })
    }

    /// Stops trusting an owner; `false` if it was not trusted. Versions seen of its rings and paths
    /// bound to them stay: forgetting them would let an old version pass later.
    ///
    /// # Errors
    /// As [`add_owner`](Self::add_owner).
    pub fn remove_owner(&mut self, owner: &PublicKey<Owner>) -> Result<bool, TrustError> {
        let owner = owner.to_string();
        self.update(|data| {
            let before = data.owners.len();
            data.owners.retain(|o| *o != owner);
            data.owners.len() < before
        })
    }

    /// The newest version known of a ring: seen under its owner's key, or under one that is known to have come after it. Where the
    /// owner's key was given up, and a ledger whose key the reader gave says so, that ledger's newest version by it counts in
    /// place of those that were seen: whoever has such a key makes newer ones.
    #[must_use]
    pub fn newest(&self, ring: &OwnedRing) -> Option<(u64, Digest)> {
        let version =
            |seen: &RememberedRing| Some((seen.model_version, Digest::from_hex(&seen.digest)?));
        let own = match self.limit(ring) {
            Some(limit) => limit.last.map(|last| (last.model_version, last.digest)),
            None => self.seen(ring).and_then(version),
        };
        let later = self.seen_later(ring).and_then(|(_, seen)| version(seen));
        own.into_iter().chain(later).max_by_key(|(version, _)| *version)
    }

    /// Returns whether a version of a ring was seen, under its owner's key or a later one.
    #[must_use]
    pub fn saw(&self, ring: &OwnedRing) -> bool {
        self.seen(ring).is_some() || self.seen_later(ring).is_some()
    }

    /// The deal that was seen of a version of a ring, also of one before the newest. Of the newest by a key that was given up, none
    /// counts that the ledger does not record which says so, where the reader gave its key.
    #[must_use]
    pub fn deal_of(&self, ring: &OwnedRing, model_version: u64) -> SeenDeal {
        let seen = self.seen(ring).map_or(Some(0), |seen| seen.deal_of(model_version));
        let seen = match self.recorded_deal(ring, model_version) {
            Some(recorded) => Some(seen.map_or(recorded, |seen| seen.min(recorded))),
            None => seen,
        };
        seen.map_or(SeenDeal::Forgotten, SeenDeal::Number)
    }

    /// The rings of which a version was seen, with that version and its digest.
    pub fn rings(&self) -> impl Iterator<Item = (OwnedRing, u64, Digest)> + '_ {
        self.data.rings.iter().flat_map(|(owner, rings)| {
            rings.iter().filter_map(|(id, seen)| {
                Some((owned(owner, id)?, seen.model_version, Digest::from_hex(&seen.digest)?))
            })
        })
    }

    /// Where the store and its lock lie, or will.
    #[must_use]
    pub fn files(&self) -> [PathBuf; 2] {
        [self.path.clone(), lock_of(&self.path)]
    }

    pub(crate) fn resolve(path: &Path) -> Result<ResolvedPath, TrustError> {
        ResolvedPath::of(path).map_err(|source| TrustError::Io { path: path.into(), source })
    }

    /// [`remember`](Self::remember), for a version that was authenticated.
    pub(crate) fn remember_version(&mut self, seen: &RingVersion) -> Result<(), TrustError> {
        if self.knows(seen) {
            return Ok(());
        }
        self.update(|data| remember(data, seen))
    }

    /// Returns whether nothing of this version would be new.
    fn knows(&self, seen: &RingVersion) -> bool {
        self.seen(&seen.ring).is_some_and(|known| {
            (known.model_version, known.digest.as_str())
                == (seen.model_version, seen.digest.to_hex().as_str())
                && known.deal >= seen.deal
        })
    }

    /// The rings that a path is bound to: by the name given and, where it is a link, by where it
    /// leads; two, where a link that was bound leads to another bound file now.
    ///
    /// # Errors
    /// [`TrustError::Io`] where nobody can say where the path leads.
    pub fn bindings_at(&self, path: &Path) -> Result<Vec<OwnedRing>, TrustError> {
        Ok(self.bindings_by(&Self::resolve(path)?))
    }

    /// As [`bindings_at`](Self::bindings_at), for a path that was walked.
    #[must_use]
    pub fn bindings_by(&self, way: &ResolvedPath) -> Vec<OwnedRing> {
        let mut bound: Vec<OwnedRing> = Vec::new();
        for name in names_of(way) {
            let ring = self.data.paths.get(&name).and_then(Bound::ring);
            bound.extend(ring.filter(|ring| !bound.contains(ring)));
        }
        bound
    }

    /// Every bound path, with its ring.
    pub fn bindings(&self) -> impl Iterator<Item = (&str, OwnedRing)> + '_ {
        self.data.paths.iter().filter_map(|(path, bound)| Some((path.as_str(), bound.ring()?)))
    }

    /// [`bind_by`](Self::bind_by), to a version that was authenticated.
    pub(crate) fn bind_version(
        &mut self,
        way: &ResolvedPath,
        seen: &RingVersion,
    ) -> Result<(), TrustError> {
        let (names, found) = (names_of(way), seen.ring);
        let bound = Bound::of(&found);
        let known = names.iter().all(|name| self.data.paths.get(name) == Some(&bound));
        if known && self.knows(seen) {
            return Ok(());
        }
        let other = self.update(|data| {
            let other = names.iter().filter_map(|name| data.paths.get(name)).find(|b| **b != bound);
            if let Some(other) = other {
                return other.ring();
            }
            data.paths.extend(names.into_iter().map(|name| (name, bound.clone())));
            remember(data, seen);
            None
        })?;
        match other {
            Some(bound) => Err(TrustError::BoundToAnother {
                path: way.given().into(),
                bound: bound.into(),
                found: found.into(),
            }),
            None => Ok(()),
        }
    }

    /// Forgets the ring that a path is bound to, and returns it. Where the path is a link, the
    /// binding of its target is forgotten too if it is to the same ring, and stays if to another.
    /// Versions seen stay.
    ///
    /// # Errors
    /// As [`add_owner`](Self::add_owner).
    pub fn unbind(&mut self, path: &Path) -> Result<Option<OwnedRing>, TrustError> {
        let names = names(path)?;
        self.update(|data| {
            let first = names.iter().find_map(|name| data.paths.get(name)).cloned()?;
            data.paths.retain(|name, bound| *bound != first || !names.contains(name));
            first.ring()
        })
    }

    /// [`rebind`](Self::rebind), to a version that was authenticated.
    pub(crate) fn rebind_version(
        &mut self,
        way: &ResolvedPath,
        seen: &RingVersion,
    ) -> Result<Vec<OwnedRing>, TrustError> {
        let (names, found) = (names_of(way), seen.ring);
        let bound = Bound::of(&found);
        let before = self.bindings_by(way);
        self.update(|data| {
            data.paths.extend(names.into_iter().map(|name| (name, bound.clone())));
            remember(data, seen);
        })?;
        Ok(before.into_iter().filter(|b| *b != found).collect())
    }

    /// Another owner under whom a ring of this id was seen.
    pub(super) fn other_owner_of(&self, ring: &OwnedRing) -> Option<&str> {
        let (owner, id) = (ring.owner.to_string(), ring.ring.to_string());
        let mut others = self.data.rings.iter().filter(|(o, _)| **o != owner);
        others.find(|(_, rings)| rings.contains_key(&id)).map(|(o, _)| o.as_str())
    }

    pub(super) fn seen(&self, ring: &OwnedRing) -> Option<&RememberedRing> {
        self.seen_under(&ring.owner.to_string(), ring)
    }

    /// The record of a ring of this id under a key.
    pub(super) fn seen_under(&self, key: &str, ring: &OwnedRing) -> Option<&RememberedRing> {
        self.data.rings.get(key)?.get(&ring.ring.to_string())
    }

    /// Changes the file under a lock, on top of what another process wrote meanwhile.
    pub(super) fn update<T>(
        &mut self,
        change: impl FnOnce(&mut Data) -> T,
    ) -> Result<T, TrustError> {
        let io = |source| TrustError::Io { path: self.path.clone(), source };
        if let Some(folder) = self.path.parent() {
            create_private_folder(folder).map_err(io)?;
        }
        let name = lock_of(&self.path);
        if fs::symlink_metadata(&self.path).is_err() {
            spare_places(&self.path, &name).map_err(io)?;
        }
        let locked = lock(&name, self.wait)
            .map_err(|source| TrustError::Io { path: name.clone(), source })?;
        let Some(_locked) = locked else {
            return Err(TrustError::Busy { lock: name, waited: self.wait });
        };
        let mut data = read(&self.path)?;
        let before = data.clone();
        let result = change(&mut data);
        if data != before {
            let text = serde_json::to_string_pretty(&data).map_err(|e| TrustError::Damaged {
                path: self.path.clone(),
                reason: e.to_string(),
            })?;
            if text.len() as u64 > MAX_STORE {
                return Err(io(io::ErrorKind::FileTooLarge.into()));
            }
            replace_private_file(&self.path, text.as_bytes()).map_err(io)?;
        }
        self.data = data;
        Ok(result)
    }
}

/// The file that who changes a store locks.
fn lock_of(store: &Path) -> PathBuf {
    let mut name = store.to_owned().into_os_string();
    name.push(".lock");
    name.into()
}

fn remember(data: &mut Data, version: &RingVersion) {
    let rings = data.rings.entry(version.ring.owner.to_string()).or_default();
    let (model_version, digest) = (version.model_version, version.digest.to_hex());
    let seen = rings.entry(version.ring.ring.to_string()).or_insert_with(|| RememberedRing {
        model_version,
        digest: digest.clone(),
        deal: version.deal,
        earlier_deals: BTreeMap::new(),
        deals_since: 0,
        ledgers: Vec::new(),
    });
    seen.see(model_version, digest, version.deal);
}

fn read(path: &Path) -> Result<Data, TrustError> {
    let io = |source| TrustError::Io { path: path.into(), source };
    guarded_path(path)?;
    // There is no link here: `path` was resolved. One that appears now is not the user's.
    let file = match open_plain_itself(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Data::default()),
        opened => opened.map_err(io)?,
    };
    guarded(path, &file)?;
    let mut bytes = Vec::new();
    file.take(MAX_STORE + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_STORE {
        let reason = format!("longer than the {MAX_STORE} bytes that one may have");
        return Err(TrustError::Damaged { path: path.into(), reason });
    }
    parse(&bytes).map_err(|e| match e {
        NoStore::Old => TrustError::OldFormat { path: path.into() },
        NoStore::Damaged(reason) => TrustError::Damaged { path: path.into(), reason },
    })
}

/// The names under which a path is remembered.
pub(super) fn names(path: &Path) -> Result<Vec<String>, TrustError> {
    Ok(names_of(&TrustStore::resolve(path)?))
}

/// Makes a folder, and those above it, for its user only; one that is there stays as it is.
fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// In a folder like /tmp, another user can put a link there between the check of the way and
    /// the opening.
    #[test]
    fn a_link_in_the_stores_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (store, link) = (dir.join("store"), dir.join("link"));
        replace_private_file(&store, b"{\"format\": 2}").unwrap();
        std::os::unix::fs::symlink(&store, &link).unwrap();
        assert!(!matches!(read(&store), Err(TrustError::Io { .. })));
        assert!(matches!(read(&link), Err(TrustError::Io { .. })));
    }
}
