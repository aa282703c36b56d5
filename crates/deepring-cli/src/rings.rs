//! Reading rings and keys as every command does it: trust store, downgrade, remembering.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use deepring::Section;
use deepring::files::{ResolvedPath, Turn, resolved};
use deepring::keys::Role;
use deepring::outline::AuthenticOutline;
use deepring::trust::{OwnedRing, SeenDeal, TrustError};
use deepring::{
    AuthenticRing, Finding, Owner, PublicKey, Report, RingError, Trust, TrustStore, UnverifiedRing,
    VerifiedRing,
};

use crate::cli::{OwnerArg, RequireArg};
use crate::error::{CliError, Exit};
use crate::ledgers::{VouchedLedger, Voucher, keep_ledger, known_ledgers, learn};
use crate::named::origin_of;
use crate::output;
use crate::progress::Progress;

/// Whom this invocation trusts: `--owner`, and what the store remembers.
pub(crate) struct TrustPolicy {
    owner: Option<PublicKey<Owner>>,
    store: Option<TrustStore>,
    /// True if the owner is added to the store once a ring of his was seen (`--remember`).
    adds_owner: bool,
    /// True if paths are bound to the rings that were seen there.
    binds: bool,
}

impl TrustPolicy {
    /// `store` is the `--trust` option; without it the store is in the user's configuration folder.
    pub(crate) fn new(given: &OwnerArg, store: Option<&Path>) -> Result<Self, CliError> {
        let owner = given.owner.as_deref().map(PublicKey::<Owner>::read).transpose()?;
        let store = open_store(store)?;
        if store.is_none() {
            output::note(
                "warning: no home folder, so no trust store: an old ring would not be noticed",
            );
            if owner.is_none() {
                let message = "no owner given, and no trust store to ask";
                return Err(CliError::new(Exit::Untrusted, message)
                    .hint("give the owner's public key with `--owner owner.pub`"));
            }
        }
        Ok(Self { owner, store, adds_owner: given.remember, binds: false })
    }

    /// Trusts one owner whose key is at hand.
    pub(crate) fn of(owner: PublicKey<Owner>, store: Option<&Path>) -> Result<Self, CliError> {
        let store = open_store(store)?;
        Ok(Self { owner: Some(owner), store, adds_owner: false, binds: false })
    }

    /// Where an owner's key was given: binds each path to the ring that is seen there, so that another ring in its
    /// place is refused from then on.
    pub(crate) fn binding(self) -> Self {
        Self { binds: self.owner.is_some(), ..self }
    }

    /// Adds the owner to the store, as `--remember` does.
    #[cfg(feature = "attacks")]
    pub(crate) fn remembering(self) -> Self {
        Self { adds_owner: true, ..self }
    }

    pub(crate) fn store(&self) -> Option<&TrustStore> {
        self.store.as_ref()
    }

    /// The trust that a ring at this path is verified against.
    pub(crate) fn trust_by<'a>(&'a self, way: &'a ResolvedPath) -> Trust<'a> {
        let trust = match (self.owner, &self.store) {
            (Some(owner), Some(store)) => Trust::owner(owner).and_store(store),
            (Some(owner), None) => Trust::owner(owner),
            (None, Some(store)) => Trust::store(store),
            (None, None) => Trust::default(),
        };
        trust.by(way)
    }

    /// Checks closure, headers and links, and remembers the ring.
    pub(crate) fn authenticate(&mut self, way: &ResolvedPath) -> Result<AuthenticRing, RingError> {
        let ring = open_at(way)?.authenticate(&self.trust_by(way))?;
        self.remember_seen(way, &ring);
        Ok(ring)
    }

    /// Checks closure, headers and links. What is known of the ring already, its version, is remembered at once: a newer
    /// one was seen, whether it opens or not. Path and owner are for [`put_to_use`](Self::put_to_use).
    pub(crate) fn authenticate_to_use(
        &mut self,
        way: &ResolvedPath,
    ) -> Result<AuthenticRing, RingError> {
        let ring = open_at(way)?.authenticate(&self.trust_by(way))?;
        if let Some(store) = &mut self.store
            && is_known(store, &ring.owned())
        {
            warn(store.remember(&ring));
        }
        Ok(ring)
    }

    /// Remembers a ring that opened: binds its path and adds its owner, where this command does.
    pub(crate) fn put_to_use(&mut self, way: &ResolvedPath, ring: &AuthenticRing) {
        self.remember_seen(way, ring);
    }

    /// Checks closure, headers and links of a ring of any version, to look back at what it decided.
    pub(crate) fn authenticate_any_version(
        &mut self,
        way: &ResolvedPath,
    ) -> Result<AuthenticRing, RingError> {
        let ring = open_at(way)?.authenticate(&self.trust_by(way).any_version())?;
        self.remember_seen(way, &ring);
        Ok(ring)
    }

    /// Checks every byte, and remembers the ring.
    pub(crate) fn verify(&mut self, way: &ResolvedPath) -> Result<VerifiedRing, RingError> {
        let ring = self.verify_to_use(way)?;
        self.remember_seen(way, &ring);
        Ok(ring)
    }

    /// Checks every byte, and remembers nothing: for who may refuse the ring yet, and else [puts it to use](Self::put_to_use).
    pub(crate) fn verify_to_use(&self, way: &ResolvedPath) -> Result<VerifiedRing, RingError> {
        let ring = open_at(way)?;
        let progress = Progress::bytes("verifying", ring.body_bytes());
        ring.verify(&self.trust_by(way), &|n| progress.add(n))
    }

    /// Refuses to put a ring where another one is bound, or to take it from there.
    pub(crate) fn belongs(&self, way: &ResolvedPath, found: OwnedRing) -> Result<(), CliError> {
        match self.bound(way).into_iter().find(|bound| *bound != found) {
            Some(bound) => Err(TrustError::BoundToAnother {
                path: way.given().into(),
                bound: bound.into(),
                found: found.into(),
            }
            .into()),
            None => Ok(()),
        }
    }

    /// Refuses to put a ring that is not known yet where one is bound: whoever runs it would refuse it.
    pub(crate) fn spares(&self, way: &ResolvedPath) -> Result<(), CliError> {
        self.bound(way).first().map_or(Ok(()), |bound| Err(CliError::bound(way.given(), *bound)))
    }

    fn bound(&self, way: &ResolvedPath) -> Vec<OwnedRing> {
        self.store.as_ref().map(|store| store.bindings_by(way)).unwrap_or_default()
    }

    /// Remembers what this command is to remember of a ring. A store that cannot be written takes protection away from
    /// later runs, not from this one: said, not fatal.
    fn remember_seen(&mut self, way: &ResolvedPath, ring: &AuthenticRing) {
        let Some(store) = &mut self.store else { return };
        let added = if self.adds_owner { store.add_owner(&ring.owner()).map(drop) } else { Ok(()) };
        let kept = added.and_then(|()| match self.binds {
            true => store.bind_by(way, ring),
            false if is_known(store, &ring.owned()) => store.remember(ring),
            false => {
                output::note(
                    "note: this version is not remembered, since the owner is not in the trust store (`deepring trust add`)",
                );
                Ok(())
            }
        });
        warn(kept);
    }

    /// Says that a ring of this id is recorded in a ledger that this command was not given, and so does not ask.
    pub(crate) fn note_ledgers_of(&self, ring: &OwnedRing) {
        let known = self.store.as_ref().map(|store| known_ledgers(store, ring)).unwrap_or_default();
        if !known.is_empty() {
            let origins: Vec<&str> = known.iter().map(|key| origin_of(key)).collect();
            output::note(format_args!(
                "note: this ring is recorded in {}, which is not asked and records nothing without `--ledger`",
                origins.join(", ")
            ));
        }
    }

    /// Remembers a ledger, that it lies at `dir` and, where a ring is given, that it holds it.
    pub(crate) fn remember_ledger(
        &mut self,
        ledger: &VouchedLedger,
        dir: &Path,
        ring: Option<OwnedRing>,
    ) {
        self.keep_ledger(ledger, Some(dir), ring);
    }

    /// Remembers how far a ledger has grown, if it is one that is remembered.
    pub(crate) fn remember_growth(&mut self, vouched: &VouchedLedger) {
        let known = |store: &TrustStore| store.ledger(vouched.ledger.key().as_str()).is_some();
        if self.store.as_ref().is_some_and(known) {
            self.keep_ledger(vouched, None, None);
        }
    }

    fn keep_ledger(&mut self, ledger: &VouchedLedger, dir: Option<&Path>, ring: Option<OwnedRing>) {
        if let Some(store) = &mut self.store {
            keep_ledger(store, ledger, dir, ring.as_ref());
        }
    }

    /// Remembers which keys the owner of the ring at a path had, as a ledger says whose key is given or remembered: before the ring
    /// is authenticated, since a version by a key that was given up counts no further than that ledger says. Nothing of a ring
    /// that is not known yet; nor where the ledger is refused for it, which is said once it is asked.
    pub(crate) fn learn_of(&mut self, vouched: &VouchedLedger, way: &ResolvedPath) {
        let (Some(store), Ok(ring)) = (&self.store, open_at(way)) else { return };
        let claimed = ring.claimed();
        if vouched.holds(Some(store), &claimed).is_ok() {
            self.learn(vouched, &claimed);
        }
    }

    /// The same, of a ring of which the ledger was asked.
    pub(crate) fn learn(&mut self, vouched: &VouchedLedger, ring: &OwnedRing) {
        if let Some(store) = &mut self.store
            && vouched.voucher != Voucher::Nobody
            && is_known(store, ring)
        {
            warn(learn(store, vouched, Some(ring.ring)));
        }
    }
}

fn warn(kept: Result<(), TrustError>) {
    if let Err(e) = kept {
        output::note(format_args!("warning: this ring will not be remembered: {e}"));
    }
}

/// Returns whether a ring's versions are remembered: those of trusted owners, and of rings that were bound.
fn is_known(store: &TrustStore, ring: &OwnedRing) -> bool {
    store.trusts(&ring.owner) || store.saw(ring)
}

/// Refuses a decision of an outline that only whoever has a key that its owner gave up can have made; and, for who does not say which
/// validation is asked of it, where a later deal of its version was seen, or where that is forgotten: under the earlier one fewer hosts
/// validate, or none.
pub(crate) fn refuse_decision_of(
    store: Option<&TrustStore>,
    outline: &AuthenticOutline,
    require: RequireArg,
) -> Result<(), CliError> {
    let Some(store) = store else { return Ok(()) };
    let looking_back = Trust::owner(outline.owner()).and_store(store).any_version();
    if let Some(finding) = outline.refused_by(&looking_back) {
        return Err(RingError::Refused(Report::of_findings(vec![finding])).into());
    }
    if require != RequireArg::AsDealt {
        return Ok(());
    }
    let version = outline.model_version();
    let message = match store.deal_of(&outline.owned(), version) {
        SeenDeal::Number(deal) if deal <= outline.deal_number() => return Ok(()),
        SeenDeal::Number(deal) => {
            format!("this is the ring before its deal {deal}, which was seen here")
        }
        SeenDeal::Forgotten => format!(
            "whether a later deal of version {version} was seen here is forgotten: it is too old"
        ),
    };
    Err(CliError::new(Exit::Stale, message).hint(
        "get the newest revision from its owner, or state with `--require` what you ask of an earlier decision",
    ))
}

/// The version that the store knows of a ring beyond that of an outline.
pub(crate) fn newer_than(store: Option<&TrustStore>, outline: &AuthenticOutline) -> Option<u64> {
    let (version, _) = store?.newest(&outline.owned())?;
    (version > outline.model_version()).then_some(version)
}

/// The store at this path, or the user's; `None` where there is no home folder.
pub(crate) fn open_store(given: Option<&Path>) -> Result<Option<TrustStore>, CliError> {
    let path = given.map(PathBuf::from).or_else(default_store);
    Ok(path.map(|path| TrustStore::open(&path)).transpose()?)
}

/// Refuses to write a file of whatever kind where a ring is bound.
pub(crate) fn spare_bound(target: &ResolvedPath, store: Option<&Path>) -> Result<(), CliError> {
    spare_all_bound(std::slice::from_ref(target), store)
}

/// The same, of several files.
pub(crate) fn spare_all_bound(
    targets: &[ResolvedPath],
    store: Option<&Path>,
) -> Result<(), CliError> {
    let Some(store) = open_store(store)? else { return Ok(()) };
    for target in targets {
        if let Some(bound) = store.bindings_by(target).first() {
            return Err(CliError::bound(target.given(), *bound));
        }
    }
    Ok(())
}

/// For a look that trusts nobody: remembers the version of a ring that is known, and nothing of others. Gives the ring that
/// the path is bound to, where that is another one.
pub(crate) fn glance(path: &Path, ring: &AuthenticRing, store: Option<&Path>) -> Option<OwnedRing> {
    let bound = open_store(store).map(|store| {
        let mut store = store?;
        let other = store.bindings_at(path);
        let other = other.map(|all| all.into_iter().find(|bound| *bound != ring.owned()));
        if is_known(&store, &ring.owned()) {
            warn(store.remember(ring));
        }
        Some(other)
    });
    bound.and_then(|other| Ok(other.transpose()?.flatten())).unwrap_or_else(|e| {
        output::note(format_args!("warning: this ring will not be remembered: {e}"));
        None
    })
}

/// The files that are the trust store's, there or not: no command writes another file in their place.
pub(crate) fn store_files(given: Option<&Path>) -> Vec<PathBuf> {
    let Some(store) = given.map(PathBuf::from).or_else(default_store) else { return Vec::new() };
    // A store that leads nowhere is refused when it is opened.
    let mut lock = resolved(&store).unwrap_or_else(|_| store.clone()).into_os_string();
    lock.push(".lock");
    vec![store, lock.into()]
}

/// Opens a file as a ring. A plain network in its place is named as what it is: a downgrade.
pub(crate) fn open(path: &Path) -> Result<UnverifiedRing, RingError> {
    open_at(&resolved_path(path)?)
}

/// Where the path of a ring leads.
pub(crate) fn resolved_path(path: &Path) -> Result<ResolvedPath, RingError> {
    ResolvedPath::of(path).map_err(|source| RingError::Io { path: Some(path.into()), source })
}

/// The same, of a path that was walked.
pub(crate) fn open_at(way: &ResolvedPath) -> Result<UnverifiedRing, RingError> {
    open_as_it_is(way).map_err(|e| match e {
        RingError::Refused(_) if deepring_onnx::looks_like_onnx(way.place()) => {
            let reason = "a plain ONNX network stands where a sealed ring is due";
            RingError::Refused(Report::of_findings(vec![Finding::stale(Section::File, reason)]))
        }
        other => other,
    })
}

/// The same, with no regard to what else it may be.
pub(crate) fn open_as_it_is(way: &ResolvedPath) -> Result<UnverifiedRing, RingError> {
    UnverifiedRing::open(way.place()).map_err(|e| match e {
        // Shown as it was named.
        RingError::Io { path: Some(_), source } => {
            RingError::Io { path: Some(way.given().into()), source }
        }
        other => other,
    })
}

/// Waits for the turn to rewrite the ring that a path leads to. Held from before the ring is read until what becomes of it
/// is written, so that of two commands at once none takes back what the other did.
pub(crate) fn turn(way: &ResolvedPath) -> Result<Turn, CliError> {
    Ok(Turn::take(way.place(), Turn::WAIT)?)
}

/// [`turn`], of a ring that is read and of the file that becomes of it; of one alone where they are the same. In one order
/// whichever is which, so that two commands do not wait for each other.
pub(crate) fn turns(
    read: &ResolvedPath,
    written: &ResolvedPath,
) -> Result<[Option<Turn>; 2], CliError> {
    if is_one_file(read, written)? {
        return Ok([Some(turn(read)?), None]);
    }
    // By the files' numbers, which hard links have in common; where one is absent, nobody is waited for there.
    let order = |way: &ResolvedPath| (number(way.place()), way.place().to_owned());
    let (first, second) =
        if order(read) < order(written) { (read, written) } else { (written, read) };
    Ok([Some(turn(first)?), Some(turn(second)?)])
}

/// Returns whether two ways lead to one file: by whatever path, and by whichever of its hard links.
pub(crate) fn is_one_file(a: &ResolvedPath, b: &ResolvedPath) -> Result<bool, CliError> {
    let one = || number(a.place()).is_some_and(|a| number(b.place()) == Some(a));
    Ok(output::is_one_place(a, b)? || one())
}

/// The identity of a file, whatever it is called.
#[cfg(unix)]
fn number(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    path.metadata().ok().map(|m| (m.dev(), m.ino()))
}

#[cfg(not(unix))]
fn number(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Refuses to write a version and revision of a ring over one that is as new, or newer: what that one was made for, a host
/// that was granted among it, would be gone. Whichever key signed that one: it may be another of the same owner's, and who
/// cannot tell spares it. To be asked in the [`turn`] of `target`.
pub(crate) fn spare_newer(
    target: &ResolvedPath,
    ring: &AuthenticRing,
    new: (u64, u32),
) -> Result<(), CliError> {
    let Ok(there) = open_at(target) else { return Ok(()) };
    let whoever = Trust::owner(there.claimed_owner()).any_version();
    let Ok(there) = there.authenticate(&whoever) else { return Ok(()) };
    let has = (there.model_version(), there.revision());
    if there.ring_id() != ring.ring_id() || has < new {
        return Ok(());
    }
    let of = |(version, revision)| format!("version {version}, revision {revision}");
    let by = match there.owner() == ring.owner() {
        true => String::new(),
        false => format!(" by owner {}", there.owner().short()),
    };
    let message = format!(
        "{} holds {} of this ring{by}, and would become {}",
        target.given().display(),
        of(has),
        of(new)
    );
    Err(CliError::new(Exit::Stale, message)
        .hint("begin with the newer ring, or write to another file"))
}

/// A public key, as its text or as a file.
pub(crate) fn read_public<R: Role>(given: &OsStr) -> Result<PublicKey<R>, CliError> {
    match given.to_str().and_then(|text| text.parse().ok()) {
        Some(key) => Ok(key),
        None => Ok(PublicKey::read(Path::new(given))?),
    }
}

pub(crate) fn default_store() -> Option<PathBuf> {
    // One that is not absolute is none (XDG Base Directory Specification): what is remembered would depend on the working folder.
    let set =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = set("XDG_CONFIG_HOME")
        .or_else(|| Some(set("HOME")?.join(".config")))
        .or_else(|| set("APPDATA"))?;
    Some(config.join("deepring").join("trust.json"))
}
