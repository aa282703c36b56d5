//! Reading rings and keys as every command does it: trust store, downgrade, remembering.

use std::path::{Path, PathBuf};

use deepring::{
    AuthenticRing, Finding, Host, KeyFileError, Owner, PartName, PublicKey, Report, RingError,
    SecretKey, Trust, TrustStore, UnverifiedRing, VerifiedRing,
};

use crate::error::{CliError, Exit};
use crate::output;
use crate::progress::Progress;

/// Whom this invocation trusts: `--owner`, and what the store remembers.
pub(crate) struct Trusting {
    owner: Option<PublicKey<Owner>>,
    store: Option<TrustStore>,
}

impl Trusting {
    /// `store` is the `--trust` option; without it the store is in the user's configuration folder.
    pub(crate) fn new(owner: Option<&Path>, store: Option<&Path>) -> Result<Self, CliError> {
        let owner = owner.map(PublicKey::<Owner>::read).transpose()?;
        let store = match store.map(PathBuf::from).or_else(default_store) {
            Some(path) => Some(TrustStore::open(&path)?),
            None => {
                output::note(
                    "warning: no home folder, so no trust store: an old ring would not be noticed",
                );
                None
            }
        };
        if owner.is_none() && store.is_none() {
            return Err(CliError::new(
                Exit::Untrusted,
                "no owner given, and no trust store to ask",
            )
            .hint("give the owner's public key with `--owner owner.pub`"));
        }
        Ok(Self { owner, store })
    }

    /// Trusts one owner whose key is at hand.
    pub(crate) fn of(owner: PublicKey<Owner>, store: Option<&Path>) -> Result<Self, CliError> {
        let store = store.map(PathBuf::from).or_else(default_store);
        let store = store.map(|path| TrustStore::open(&path)).transpose()?;
        Ok(Self { owner: Some(owner), store })
    }

    pub(crate) fn trust(&self) -> Trust<'_> {
        match (self.owner, &self.store) {
            (Some(owner), Some(store)) => Trust::owner(owner).and_store(store),
            (Some(owner), None) => Trust::owner(owner),
            (None, Some(store)) => Trust::store(store),
            (None, None) => Trust::default(),
        }
    }

    /// Checks closure, headers and links, and remembers the ring.
    pub(crate) fn authenticate(&mut self, path: &Path) -> Result<AuthenticRing, RingError> {
        let ring = open(path)?.authenticate(&self.trust())?;
        self.remember(&ring);
        Ok(ring)
    }

    /// Checks closure, headers and links of a ring of any version, to look back at what it decided.
    pub(crate) fn look_back(&self, path: &Path) -> Result<AuthenticRing, RingError> {
        open(path)?.authenticate(&self.trust().any_version())
    }

    /// Checks every byte, and remembers the ring.
    pub(crate) fn verify(&mut self, path: &Path) -> Result<VerifiedRing, RingError> {
        let ring = open(path)?;
        let progress = Progress::bytes("verifying", ring.body_bytes());
        let ring = ring.verify(&self.trust(), &|n| progress.add(n))?;
        drop(progress);
        self.remember(&ring);
        Ok(ring)
    }

    /// A store that cannot be written takes protection away from later runs, not from this one: said,
    /// not fatal.
    fn remember(&mut self, ring: &AuthenticRing) {
        if let Some(store) = &mut self.store
            && let Err(e) = store.remember(ring)
        {
            output::note(format_args!("warning: this ring will not be remembered: {e}"));
        }
    }

    pub(crate) fn remember_ledger(&mut self, origin: &str, key: &str) {
        if let Some(store) = &mut self.store
            && let Err(e) = store.remember_ledger(origin, key)
        {
            output::note(format_args!("warning: the ledger's key will not be remembered: {e}"));
        }
    }

    pub(crate) fn ledger_key(&self, origin: &str) -> Option<String> {
        self.store.as_ref()?.ledger_key(origin).map(str::to_owned)
    }
}

/// Opens a file as a ring. A plain network in its place is named as what it is: a downgrade.
pub(crate) fn open(path: &Path) -> Result<UnverifiedRing, RingError> {
    UnverifiedRing::open(path).map_err(|e| match e {
        RingError::Refused(_) if deepring_infer::looks_like_onnx(path) => {
            let reason = "a plain ONNX network stands where a sealed ring is due";
            RingError::Refused(Report::of_findings(vec![Finding::stale(PartName::File, reason)]))
        }
        other => other,
    })
}

/// A secret key of either role.
pub(crate) enum AnyKey {
    Owner(SecretKey<Owner>),
    Host(SecretKey<Host>),
}

impl AnyKey {
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        match SecretKey::<Host>::read(path) {
            Ok(key) => Ok(Self::Host(key)),
            Err(KeyFileError::Parse {
                source: deepring::ParseKeyError::WrongKind { .. }, ..
            }) => Ok(Self::Owner(SecretKey::<Owner>::read(path)?)),
            Err(e) => Err(e.into()),
        }
    }

    pub(crate) fn opening(&self) -> deepring::OpeningKey<'_> {
        match self {
            Self::Owner(key) => key.into(),
            Self::Host(key) => key.into(),
        }
    }
}

pub(crate) fn default_store() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME")
        .or_else(|| Some(set("HOME")?.join(".config")))
        .or_else(|| set("APPDATA"))?;
    Some(config.join("deepring").join("trust.json"))
}
