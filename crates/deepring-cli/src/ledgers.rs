//! Which ledger a command takes: that of the pinned key, or the one that was known; none is begun unless that is asked for.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use deepring::files::ledger_files;
use deepring::trust::{KeySuccession, KnownLedger, LastVersion, OwnedRing, TrustError};
use deepring::{AuthenticRing, Host, PublicKey, RingId, TrustStore};
use deepring_ledger::fsck::LedgerReport;
use deepring_ledger::log::KeyError;
use deepring_ledger::{Ledger, LedgerError, LedgerOptions, State, VerifierKey};
use serde::Serialize;

use crate::error::{CliError, Exit};
use crate::named::origin_of;
use crate::output;

/// A ledger as a command line names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) dir: &'a Path,
    /// `--ledger-key`: decides alone which key is right.
    pub(crate) key: Option<&'a Path>,
}

/// Who says that a ledger's key is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Voucher {
    /// The caller, by `--ledger-key`.
    Pinned,
    /// The trust store.
    Remembered,
    /// Nobody: whoever can write the folder may have made it.
    Nobody,
}

impl Voucher {
    /// Says that nobody vouches for a ledger's key, where that is so.
    pub(crate) fn note_nobody(self) {
        if self == Self::Nobody {
            output::note(
                "warning: nobody vouches for this ledger's key: whoever can write its folder may have made it; give the key that you trust with `--ledger-key log.pub`",
            );
        }
    }
}

/// A ledger that fits what is pinned or known.
pub(crate) struct VouchedLedger {
    pub(crate) ledger: Ledger,
    pub(crate) voucher: Voucher,
}

impl<'a> Wanted<'a> {
    /// Of the options `--ledger` and `--ledger-key`.
    pub(crate) fn of(dir: Option<&'a Path>, key: Option<&'a Path>) -> Option<Self> {
        Some(Self { dir: dir?, key })
    }
}

impl Wanted<'_> {
    /// Opens the ledger for appending.
    pub(crate) fn append(&self, store: Option<&TrustStore>) -> Result<VouchedLedger, CliError> {
        self.vouched(store, |options| options.open(self.dir))
    }

    /// Opens the ledger for reading.
    pub(crate) fn read(&self, store: Option<&TrustStore>) -> Result<VouchedLedger, CliError> {
        self.vouched(store, |options| options.open_read(self.dir))
    }

    /// Recomputes the ledger, also one that is too damaged to be opened.
    pub(crate) fn recompute(&self, store: Option<&TrustStore>) -> Result<LedgerReport, CliError> {
        let expected = self.expected(store)?;
        expected.options.verify(self.dir).map_err(|e| self.explain(e, &expected))
    }

    /// Makes a ledger where there is none, and none is known: neither at this place nor for this ring.
    pub(crate) fn begin(
        &self,
        store: Option<&TrustStore>,
        ring: Option<OwnedRing>,
        origin: Option<&str>,
    ) -> Result<VouchedLedger, CliError> {
        let bound = store.map(|s| s.bindings_at(self.dir)).transpose()?.unwrap_or_default();
        if let Some(bound) = bound.first() {
            return Err(CliError::bound(self.dir, *bound));
        }
        let known = store.map(|s| s.ledgers_at(self.dir)).transpose()?.unwrap_or_default();
        if let Some(key) = known.first() {
            let message = format!(
                "ledger {}: {} was known here, and a new one in its place would not know what it held",
                self.dir.display(),
                origin_of(key)
            );
            return Err(CliError::new(Exit::Untrusted, message).hint(self.forget_hint()));
        }
        if let (Some(store), Some(ring)) = (store, ring) {
            recorded_elsewhere(store, &ring, None)?;
        }
        if let Some(store) = store {
            let files = store.files();
            for name in ledger_files::ALL {
                output::keep(&self.dir.join(name), files.iter().map(PathBuf::as_path))?;
            }
        }
        let there = |name: &str| self.dir.join(name).symlink_metadata().is_ok();
        match ledger_files::LASTING.into_iter().find(|name| there(name)) {
            None => {}
            Some(ledger_files::DATABASE) => {
                let message = format!("ledger {}: there is one already", self.dir.display());
                return Err(CliError::new(Exit::Failed, message).hint("leave `--new-ledger` out"));
            }
            // A key that somebody else put there would sign, and he could too.
            Some(name) => {
                let message = format!(
                    "ledger {}: `{name}` is there already, and no ledger",
                    self.dir.display()
                );
                return Err(CliError::new(Exit::Failed, message).hint(
                    "make the ledger in an empty folder; what an interrupted `ledger init` left can be removed",
                ));
            }
        }
        let options = LedgerOptions::new();
        let options = origin.iter().fold(options, |options, name| options.origin(*name));
        let ledger = options.open_or_create(self.dir)?;
        if !ledger.is_empty() {
            let message = format!("ledger {}: another process began it", self.dir.display());
            return Err(CliError::new(Exit::Failed, message).hint("leave `--new-ledger` out"));
        }
        // Who makes a ledger knows its key.
        Ok(VouchedLedger { ledger, voucher: Voucher::Pinned })
    }

    /// Refuses what this ledger says must not be used any more, or does not know: for who is about to let hosts in. Gives the ledger.
    pub(crate) fn admits(
        &self,
        store: Option<&TrustStore>,
        ring: &AuthenticRing,
        hosts: impl IntoIterator<Item = PublicKey<Host>>,
    ) -> Result<VouchedLedger, CliError> {
        let vouched = self.read(store)?;
        vouched.holds(store, &ring.owned())?;
        if let Some(entry) = vouched.ledger.state()?.rotated_away(&ring.owner()) {
            let owner = ring.owner().short();
            let message = format!(
                "owner {owner} gave its rings over to another key, by entry {entry} of the ledger"
            );
            return Err(CliError::new(Exit::Untrusted, message).hint(
                "that key seals the ring's next version: `deepring seal NET.onnx --previous RING --owner NEW.key --ledger DIR`",
            ));
        }
        vouched.ledger.admit(ring.outline(), hosts)?;
        vouched.note_unvouched();
        Ok(vouched)
    }

    fn vouched(
        &self,
        store: Option<&TrustStore>,
        open: impl FnOnce(&LedgerOptions) -> Result<Ledger, LedgerError>,
    ) -> Result<VouchedLedger, CliError> {
        let expected = self.expected(store)?;
        let ledger = open(&expected.options).map_err(|e| self.explain(e, &expected))?;
        let key = ledger.key().as_str();
        let mut voucher = expected.voucher;
        if let Some(store) = store {
            if voucher != Voucher::Pinned {
                let origin = ledger.checkpoint().origin();
                let named = store.ledgers_named(origin);
                match named.contains(&key) {
                    true => voucher = Voucher::Remembered,
                    false if named.is_empty() => {}
                    false => {
                        let message = format!("ledger {origin} was seen before with another key");
                        return Err(
                            CliError::new(Exit::Untrusted, message).hint(self.forget_hint())
                        );
                    }
                }
            }
            if let Some(known) = store.ledger(key) {
                self.extends(&ledger, &known)?;
            }
        }
        Ok(VouchedLedger { ledger, voucher })
    }

    /// Refuses a ledger that was rolled back, all its files at once, since it was last seen.
    fn extends(&self, ledger: &Ledger, known: &KnownLedger) -> Result<(), CliError> {
        match ledger.verify_against(&known.checkpoint) {
            Ok(_) => Ok(()),
            Err(LedgerError::RolledBack { size, known }) => {
                let message = format!(
                    "ledger {} was rolled back: it holds {size} entries, and {known} were seen before",
                    self.dir.display()
                );
                Err(CliError::new(Exit::Stale, message).hint(self.known_hint()))
            }
            Err(e) => Err(CliError::from(e).hint(self.known_hint())),
        }
    }

    fn expected(&self, store: Option<&TrustStore>) -> Result<Expected, CliError> {
        let known = store.map(|s| s.ledgers_at(self.dir)).transpose()?.unwrap_or_default();
        let (key, voucher) = match (self.key, known.as_slice()) {
            (Some(path), _) => (Some(read_key(path)?), Voucher::Pinned),
            (None, []) => (None, Voucher::Nobody),
            (None, [key]) => (Some((*key).to_owned()), Voucher::Remembered),
            (None, _) => {
                let message = format!(
                    "ledger {}: the path leads to another ledger than was known under it",
                    self.dir.display()
                );
                return Err(CliError::new(Exit::Untrusted, message).hint(PIN));
            }
        };
        let options = LedgerOptions::new();
        let options = key.iter().fold(options, |options, key| options.pinned_key(key));
        Ok(Expected { options, known_here: !known.is_empty(), voucher })
    }

    fn explain(&self, e: LedgerError, expected: &Expected) -> CliError {
        let dir = self.dir.display();
        let gone = matches!(e, LedgerError::NotALedger { .. }) && expected.known_here;
        if gone {
            let message = format!("ledger {dir}: the ledger that was known here is gone");
            return CliError::new(Exit::Untrusted, message).hint(self.forget_hint());
        }
        if expected.voucher == Voucher::Remembered {
            let known = match &e {
                LedgerError::OtherKey { found, pinned } => Some(format!(
                    "ledger {dir} has the key `{found}`, and was known with `{pinned}`"
                )),
                _ => None,
            };
            if let Some(message) = known {
                return CliError::new(Exit::Untrusted, message).hint(self.forget_hint());
            }
        }
        CliError::from(e)
    }

    fn forget_hint(&self) -> String {
        format!("give the key you trust with `--ledger-key log.pub`, or {}", self.known_hint())
    }

    /// A pinned key does not help where the ledger of that key is not as it was.
    fn known_hint(&self) -> String {
        format!(
            "put the ledger back that was known; `deepring trust remove --ledger {}` forgets it, and all that it revoked",
            self.dir.display()
        )
    }
}

struct Expected {
    options: LedgerOptions,
    /// True if a ledger was seen at this place, whichever key is pinned.
    known_here: bool,
    voucher: Voucher,
}

const PIN: &str = "give the ledger's key that you trust with `--ledger-key log.pub`";

impl VouchedLedger {
    /// As it is now, for the trust store.
    fn seen(&self) -> KnownLedger {
        KnownLedger {
            key: self.ledger.key().to_string(),
            size: self.ledger.len(),
            checkpoint: self.ledger.checkpoint().as_str().to_owned(),
            pinned: self.voucher == Voucher::Pinned,
        }
    }

    /// Says so where nobody vouches for the key of a ledger whose word counts.
    pub(crate) fn note_unvouched(&self) {
        self.voucher.note_nobody();
    }

    /// Refuses another ledger than those that are known to hold the ring, unless its key is pinned; and, pinned or not, one that
    /// says of the ring's keys what contradicts what is known of them: nobody but the reader can tell who is right.
    pub(crate) fn holds(
        &self,
        store: Option<&TrustStore>,
        ring: &OwnedRing,
    ) -> Result<(), CliError> {
        let Some(store) = store else { return Ok(()) };
        let key = self.ledger.key().as_str();
        if self.voucher != Voucher::Pinned {
            recorded_elsewhere(store, ring, Some(key))?;
        }
        let said = successions(self.ledger.state()?, &ring.ring);
        match store.contradicts(key, &ring.ring, &said) {
            Some(found) => Err(TrustError::OtherSuccessor(Box::new(found)).into()),
            None => Ok(()),
        }
    }
}

/// Refuses a key (or a new ledger, for `None`) that is none of those that are known to hold the ring.
pub(crate) fn recorded_elsewhere(
    store: &TrustStore,
    ring: &OwnedRing,
    key: Option<&str>,
) -> Result<(), CliError> {
    let known = known_ledgers(store, ring);
    if known.is_empty() || key.is_some_and(|key| known.contains(&key)) {
        return Ok(());
    }
    let origins: Vec<&str> = known.iter().map(|key| origin_of(key)).collect();
    let (origins, id) = (origins.join(", "), ring.ring);
    let message = match store.ledgers_of(ring).is_empty() {
        false => format!("ring {id} is recorded in another ledger: {origins}"),
        true => format!("a ring of this id, {id}, is recorded in another ledger: {origins}"),
    };
    Err(CliError::new(Exit::Untrusted, message).hint(match key {
        Some(_) => "record it there; to use another ledger too, give its key once with `--ledger-key log.pub`".to_owned(),
        None => format!("record it there; `deepring trust remove --ledger {}` forgets that one, and all that it revoked", known.first().map_or("ORIGIN", |key| origin_of(key))),
    }))
}

/// Remembers a ledger as it is now, and the keys that the owners of the rings have that it is known to hold.
pub(crate) fn keep_ledger(
    store: &mut TrustStore,
    vouched: &VouchedLedger,
    dir: Option<&Path>,
    ring: Option<&OwnedRing>,
) {
    let kept = store.remember_ledger(&vouched.seen(), dir, ring);
    if let Err(e) = kept.and_then(|()| learn(store, vouched, None)) {
        output::note(format_args!("warning: the ledger will not be remembered: {e}"));
    }
}

/// The ledgers that are known to hold a ring; where none is, those that hold one of its id: its owner may have had another key.
pub(crate) fn known_ledgers<'a>(store: &'a TrustStore, ring: &OwnedRing) -> Vec<&'a str> {
    match store.ledgers_of(ring) {
        own if !own.is_empty() => own,
        _ => store.ledgers_of_id(&ring.ring),
    }
}

/// Remembers which keys followed each other, as a ledger says that they signed for the rings that it is known to hold, and for this
/// one: a version under a later one counts for all before it. A ledger that cannot be asked teaches nothing, and is refused where
/// its answer is needed; so is one that contradicts what is known.
pub(crate) fn learn(
    store: &mut TrustStore,
    vouched: &VouchedLedger,
    ring: Option<RingId>,
) -> Result<(), TrustError> {
    let mut rings = store.rings_in(vouched.ledger.key().as_str());
    rings.extend(ring.filter(|ring| !rings.contains(ring)));
    let said = match rings.as_slice() {
        [] => Vec::new(),
        rings => {
            let Ok(state) = vouched.ledger.state() else { return Ok(()) };
            rings.iter().map(|ring| (*ring, successions(state, ring))).collect()
        }
    };
    for found in store.remember_rotations(&vouched.seen(), &said)? {
        output::note(format_args!("warning: not remembered: {found}"));
    }
    Ok(())
}

/// Which keys of a ring's owner a ledger says were given up, the first of them first.
fn successions(state: &State, ring: &RingId) -> Vec<KeySuccession> {
    let keys = state.keys_of(ring);
    let pairs = keys.iter().zip(keys.iter().skip(1));
    let last = |key| {
        let newest = state.newest_by(ring, key)?;
        let (model_version, digest) = (newest.model_version(), newest.ring_digest());
        Some(LastVersion { model_version, digest, deal: newest.deal_number() })
    };
    pairs.map(|(from, to)| KeySuccession { from: *from, to: *to, last: last(from) }).collect()
}

/// Most bytes of a ledger's key.
const MAX_KEY: u64 = 4096;
/// Most bytes of a proof, or of a checkpoint: more than any has.
const MAX_SHOWN: u64 = 4 << 20;

/// The text of a proof or a checkpoint. What is no text, or more than there can be, is none; whoever parses it says so.
pub(crate) fn read_shown(path: &Path) -> Result<String, CliError> {
    match deepring::files::read_plain(path, MAX_SHOWN) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == ErrorKind::FileTooLarge => {
            Err(CliError::new(Exit::Tampered, format!("{}: {e}", path.display())))
        }
        Err(e) => Err(CliError::new(Exit::Failed, format!("{}: {e}", path.display()))),
    }
}

/// The text of a public key file.
pub(crate) fn read_key(path: &Path) -> Result<String, CliError> {
    let text = deepring::files::read_plain_text(path, MAX_KEY)
        .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", path.display())))?;
    // An editor's byte order mark is no character of the key.
    Ok(text.trim_start_matches('\u{feff}').trim().to_owned())
}

/// A ledger's public key of its text.
pub(crate) fn parse_key(text: &str) -> Result<VerifierKey, CliError> {
    VerifierKey::parse(text).map_err(|e| {
        let exit = if e == KeyError::Weak { Exit::Untrusted } else { Exit::Failed };
        CliError::new(exit, format!("the ledger's key: {e}"))
            .hint("get the ledger's public key (log.pub) from whoever keeps it")
    })
}
