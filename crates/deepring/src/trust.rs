//! Whom a reader trusts, and the newest version it saw of each ring.
//!
//! The public key of the owner decides; nothing inside a ring can vouch for itself. The store is
//! also what makes a rollback visible: a ring older than the newest seen is refused.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::crypto::Digest;
use crate::keys::{Owner, PublicKey};
use crate::replace::replace_file;
use crate::ring::closure::Closure;
use crate::ring::{AuthenticRing, Finding, PartName};

/// Version of the store's own format.
const STORE_FORMAT: u32 = 1;

/// Why the trust store could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a trust store. It is not replaced: it may be the only memory of what was seen.
    #[error("{}: not a trust store: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a reader holds a ring against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust<'a> {
    owner: Option<PublicKey<Owner>>,
    store: Option<&'a TrustStore>,
    any_version: bool,
}

impl<'a> Trust<'a> {
    /// Trusts exactly this owner.
    #[must_use]
    pub fn owner(owner: PublicKey<Owner>) -> Self {
        Self { owner: Some(owner), ..Self::default() }
    }

    /// Trusts the owners that the store remembers.
    #[must_use]
    pub fn store(store: &'a TrustStore) -> Self {
        Self { store: Some(store), ..Self::default() }
    }

    /// The same trust, and refuses what is older than the store saw.
    #[must_use]
    pub fn and_store(self, store: &'a TrustStore) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The same trust, and takes old versions too: for who looks back at what an old version decided. To
    /// run or repair a ring with this is to give rollback protection up.
    #[must_use]
    pub fn any_version(self) -> Self {
        Self { any_version: true, ..self }
    }

    /// What speaks against a closure that is consistent in itself.
    pub(crate) fn object_to(&self, closure: &Closure) -> Option<Finding> {
        let owner = closure.owner;
        let trusted = match (&self.owner, self.store) {
            (Some(pinned), _) => *pinned == owner,
            (None, Some(store)) => store.trusts(&owner),
            (None, None) => false,
        };
        if !trusted {
            let reason = format!("signed by an owner that is not trusted here: {owner}");
            return Some(Finding::untrusted(PartName::Closure, reason));
        }
        let seen = self.store?.data.rings.get(&closure.ring_id.to_string())?;
        if seen.owner != owner.to_string() {
            // An owner that the store trusts for one ring cannot take over another owner's. A pinned key
            // can: whoever gives it has decided, and another owner's versions say nothing about this one's.
            let reason = format!("this ring was seen before under another owner: {}", seen.owner);
            return match self.owner {
                None => Some(Finding::untrusted(PartName::Closure, reason)),
                Some(_) => None,
            };
        }
        if self.any_version {
            return None;
        }
        if closure.model_version < seen.model_version {
            let reason = format!(
                "model version {} is older than version {}, seen before",
                closure.model_version, seen.model_version
            );
            return Some(Finding::stale(PartName::Closure, reason));
        }
        if closure.model_version == seen.model_version
            && closure.ring_digest().to_hex() != seen.digest
        {
            let reason = format!(
                "another ring of the same model version {} was seen before",
                closure.model_version
            );
            return Some(Finding::stale(PartName::Closure, reason));
        }
        None
    }
}

/// A file that remembers owner keys and the newest version seen of each ring.
#[derive(Debug)]
pub struct TrustStore {
    path: PathBuf,
    data: Data,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    format: u32,
    owners: Vec<String>,
    rings: BTreeMap<String, Seen>,
    /// Verifier keys of ledgers, by the ledger's origin.
    #[serde(default)]
    ledgers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    owner: String,
    model_version: u64,
    digest: String,
}

impl TrustStore {
    /// Reads the store; a file that does not exist is an empty store.
    pub fn open(path: &Path) -> Result<Self, TrustError> {
        Ok(Self { path: path.into(), data: read(path)? })
    }

    /// Whether the owner was trusted before.
    #[must_use]
    pub fn trusts(&self, owner: &PublicKey<Owner>) -> bool {
        self.data.owners.contains(&owner.to_string())
    }

    /// The newest version seen of a ring.
    #[must_use]
    pub fn newest(&self, ring: crate::ring::RingId) -> Option<(u64, Digest)> {
        let seen = self.data.rings.get(&ring.to_string())?;
        Some((seen.model_version, Digest::from_hex(&seen.digest)?))
    }

    /// Remembers a ring's owner and version; a record under another owner, which only a pinned key gets past,
    /// is replaced. What another process remembered meanwhile stays; a
    /// version never goes back.
    pub fn remember(&mut self, ring: &AuthenticRing) -> Result<(), TrustError> {
        if self.knows(ring) {
            return Ok(());
        }
        self.update(|data| {
            let owner = ring.owner().to_string();
            if !data.owners.contains(&owner) {
                data.owners.push(owner.clone());
            }
            let now =
                Seen { owner, model_version: ring.model_version(), digest: ring.digest().to_hex() };
            let seen = data.rings.entry(ring.ring_id().to_string()).or_insert_with(|| now.clone());
            if seen.owner != now.owner || seen.model_version < now.model_version {
                *seen = now;
            }
        })
    }

    /// The verifier key of the ledger with this origin, if it was remembered.
    #[must_use]
    pub fn ledger_key(&self, origin: &str) -> Option<&str> {
        self.data.ledgers.get(origin).map(String::as_str)
    }

    /// Remembers a ledger's verifier key. The first one seen for an origin stays.
    pub fn remember_ledger(&mut self, origin: &str, key: &str) -> Result<(), TrustError> {
        if self.data.ledgers.contains_key(origin) {
            return Ok(());
        }
        self.update(|data| {
            data.ledgers.entry(origin.to_owned()).or_insert_with(|| key.to_owned());
        })
    }

    /// Changes the file under a lock, on top of what another process wrote meanwhile.
    fn update(&mut self, change: impl FnOnce(&mut Data)) -> Result<(), TrustError> {
        let io = |source| TrustError::Io { path: self.path.clone(), source };
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        // Beside the store under a name of its own, and never truncated: whatever a link there points to
        // stays as it is.
        let mut name = self.path.clone().into_os_string();
        name.push(".lock");
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(name).map_err(io)?;
        lock.lock().map_err(io)?;
        let mut data = read(&self.path)?;
        change(&mut data);
        let text = serde_json::to_string_pretty(&data)
            .map_err(|e| TrustError::Damaged { path: self.path.clone(), reason: e.to_string() })?;
        replace_file(&self.path, text.as_bytes()).map_err(io)?;
        self.data = data;
        Ok(())
    }

    fn knows(&self, ring: &AuthenticRing) -> bool {
        self.trusts(&ring.owner())
            && self.newest(ring.ring_id()) == Some((ring.model_version(), ring.digest()))
    }
}

fn read(path: &Path) -> Result<Data, TrustError> {
    let damaged = |reason: String| TrustError::Damaged { path: path.into(), reason };
    match fs::read(path) {
        Ok(bytes) => parse(&bytes).map_err(damaged),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Data {
            format: STORE_FORMAT,
            owners: Vec::new(),
            rings: BTreeMap::new(),
            ledgers: BTreeMap::new(),
        }),
        Err(source) => Err(TrustError::Io { path: path.into(), source }),
    }
}

/// What the store's text says, or why it says nothing. Keys and digests are later compared as texts,
/// so each must be in its one canonical form.
fn parse(bytes: &[u8]) -> Result<Data, String> {
    let data: Data = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if data.format != STORE_FORMAT {
        return Err(format!("format {} is not known", data.format));
    }
    let is_owner =
        |text: &String| text.parse::<PublicKey<Owner>>().is_ok_and(|key| key.to_string() == *text);
    let is_hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if let Some(owner) = data.owners.iter().find(|o| !is_owner(o)) {
        return Err(format!("`{owner}` is no owner key"));
    }
    for (ring, seen) in &data.rings {
        if !is_hex(ring, 32) || !is_hex(&seen.digest, 64) || !is_owner(&seen.owner) {
            return Err(format!("the record of ring `{ring}` is malformed"));
        }
    }
    Ok(data)
}

/// Parses a store's bytes and prints what they say.
#[cfg(any(test, fuzzing))]
pub(crate) fn reprint(bytes: &[u8]) -> Result<String, String> {
    parse(bytes).and_then(|data| serde_json::to_string_pretty(&data).map_err(|e| e.to_string()))
}
