//! `deepring revoke`: what must not be trusted any more, said on a ledger by whoever may say it.

use std::path::Path;

use deepring::keys::Author;
use deepring::trust::OwnedRing;
use deepring::{AuthenticRing, Digest, Host, Owner, PublicKey, RingId, SecretKey, Trust};
use deepring_ledger::{Ledger, LedgerError, State};
use serde_json::json;

use super::grant::not_the_owner;
use super::ledger::{LedgerMemory, wanted};
use crate::cli::{EntryTo, RevokeCommand, RevokeHost, RevokeKey, RevokeLift, RevokeRing};
use crate::error::{CliError, Exit};
use crate::ledgers::VouchedLedger;
use crate::output;
use crate::rings::{self, open_store, read_public};
use crate::rotated::signer_of;
use crate::secrets::Secrets;

pub(crate) fn revoke(args: &RevokeCommand, trust: Option<&Path>) -> Result<(), CliError> {
    match args {
        RevokeCommand::Ring(args) => ring(args, trust),
        RevokeCommand::Key(args) => key(args, trust),
        RevokeCommand::Host(args) => host(args, trust),
        RevokeCommand::Lift(args) => lift(args, trust),
    }
}

fn ring(args: &RevokeRing, trust: Option<&Path>) -> Result<(), CliError> {
    let owner = Secrets::of(&args.to.passphrase).key::<Owner>(&args.owner_key)?;
    let named = named(&args.ring, &owner, &args.to, trust)?;
    let its = named.owned(&owner);
    let (ring_id, version) = match named {
        NamedRing::Id(_) if !args.all_versions => {
            let message = "a ring's id names no version of it";
            return Err(CliError::usage(message)
                .hint("give the version's file, or revoke them all with `--all-versions`"));
        }
        NamedRing::Id(id) => (id, None),
        NamedRing::File(ring) if args.all_versions => (ring.ring_id(), None),
        NamedRing::File(ring) => (ring.ring_id(), Some((ring.digest(), ring.model_version()))),
    };
    let ring_digest = version.map(|(digest, _)| digest);
    let what = match version {
        Some((_, version)) => format!("ring {ring_id}, version {version}"),
        None => format!("ring {ring_id}, all versions"),
    };
    let pending = PendingEntry::open(&args.to, Some(its), trust)?;
    let before = pending.state()?.ring_revoked(&ring_id, &ring_digest.unwrap_or(Digest::NONE));
    let reason = args.why.reason.clone();
    let revoke =
        |ledger: &mut Ledger| ledger.revoke_ring(ring_id, ring_digest, reason, &owner.into());
    pending.record(before, revoke, &what, "ring")
}

fn key(args: &RevokeKey, trust: Option<&Path>) -> Result<(), CliError> {
    let key = Secrets::of(&args.to.passphrase).author(&args.key)?;
    let public = key.public();
    let role = match public {
        Author::Owner(_) => "owner",
        Author::Host(_) => "host",
        Author::Node(_) => "node",
    };
    let pending = PendingEntry::open(&args.to, None, trust)?;
    let before = pending.state()?.key_revoked(&public);
    let reason = args.why.reason.clone();
    let revoke = |ledger: &mut Ledger| ledger.revoke_key(reason, &key);
    pending.record(before, revoke, &format!("the key of {role} {public}"), "key")
}

fn host(args: &RevokeHost, trust: Option<&Path>) -> Result<(), CliError> {
    let owner = Secrets::of(&args.to.passphrase).key::<Owner>(&args.owner_key)?;
    let host = read_public::<Host>(&args.host)?;
    let ring = args.ring.as_deref().map(|ring| named(ring, &owner, &args.to, trust)).transpose()?;
    let its = ring.map(|ring| ring.owned(&owner));
    let ring_id = its.map(|its| its.ring);
    let what = match ring_id {
        Some(ring) => format!("host {host}, for ring {ring}"),
        None => format!("host {host}, for all rings of owner {}", owner.public()),
    };
    let pending = PendingEntry::open(&args.to, its, trust)?;
    let state = pending.state()?;
    let before = match ring_id {
        Some(ring) => state.host_revoked(&ring, &host),
        None => state.host_revoked_by(&owner.public(), &host),
    };
    let reason = args.why.reason.clone();
    let revoke = |ledger: &mut Ledger| ledger.revoke_host(host, ring_id, reason, &owner.into());
    pending.record(before, revoke, &what, "host")
}

fn lift(args: &RevokeLift, trust: Option<&Path>) -> Result<(), CliError> {
    let owner = Secrets::of(&args.to.passphrase).key::<Owner>(&args.owner_key)?;
    let host = read_public::<Host>(&args.host)?;
    let ring = read_ring(&args.ring, &owner, &args.to, trust)?;
    let (ring_id, ring_digest) = (ring.ring_id(), ring.digest());
    let pending = PendingEntry::open(&args.to, Some(ring.owned()), trust)?;
    let last = u32::try_from(ring.headers().len()).unwrap_or(u32::MAX);
    let asked = args.blocks.as_ref().and_then(|blocks| blocks.indices(last));
    let blocks = match asked {
        Some(blocks) => blocks,
        None => quarantined(pending.state()?, &ring_digest, &host),
    };
    if blocks.is_empty() {
        let message = format!("no block of host {} is quarantined", host.short());
        return Err(CliError::new(Exit::Failed, message).hint(
            "`deepring ledger show --ledger DIR --host HOST.pub` shows what is on the ledger",
        ));
    }
    let list = blocks.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let what = format!("quarantine of blocks {list} of host {host}");
    let reason = args.why.reason.clone();
    let version = (ring_id, ring_digest);
    let lift =
        |ledger: &mut Ledger| ledger.lift_quarantine(version, host, blocks, reason, &owner.into());
    pending.record(None, lift, &what, "quarantine")
}

fn quarantined(state: &State, ring: &Digest, host: &PublicKey<Host>) -> Vec<u32> {
    state.quarantined(ring).filter(|q| q.host == *host).map(|q| q.block).collect()
}

/// A ring as a command line names it.
enum NamedRing {
    Id(RingId),
    File(Box<AuthenticRing>),
}

impl NamedRing {
    /// The ring, of whichever of the owner's keys has signed the file.
    fn owned(&self, owner: &SecretKey<Owner>) -> OwnedRing {
        match self {
            Self::Id(ring) => OwnedRing { owner: owner.public(), ring: *ring },
            Self::File(ring) => ring.owned(),
        }
    }
}

/// Reads a ring's id or file; text that reads as an id is one, whatever files lie about.
fn named(
    given: &Path,
    owner: &SecretKey<Owner>,
    to: &EntryTo,
    trust: Option<&Path>,
) -> Result<NamedRing, CliError> {
    match given.to_str().and_then(RingId::from_hex) {
        Some(id) => Ok(NamedRing::Id(id)),
        None => Ok(NamedRing::File(Box::new(read_ring(given, owner, to, trust)?))),
    }
}

/// The owner's own ring, of any version, also one that an earlier key of the same owner signed: what is revoked is often old, and
/// need not lie where it belongs.
fn read_ring(
    path: &Path,
    owner: &SecretKey<Owner>,
    to: &EntryTo,
    trust: Option<&Path>,
) -> Result<AuthenticRing, CliError> {
    let way = output::resolved_path(path)?;
    let signer = signer_of(&wanted(&to.args), open_store(trust)?.as_ref(), &way, owner.public())?;
    let whoever_owns_it = Trust::owner(signer).any_version();
    let ring = rings::open_at(&way).and_then(|ring| ring.authenticate(&whoever_owns_it));
    ring.map_err(|e| not_the_owner(e, &way, owner))
}

/// A ledger that is about to take a revocation.
struct PendingEntry<'a> {
    memory: LedgerMemory,
    vouched: VouchedLedger,
    to: &'a EntryTo,
}

impl<'a> PendingEntry<'a> {
    /// Opens the ledger; refuses another than the ring is known to be recorded in, where no one would look for it.
    fn open(
        to: &'a EntryTo,
        ring: Option<OwnedRing>,
        trust: Option<&Path>,
    ) -> Result<Self, CliError> {
        let memory = LedgerMemory::open(trust)?;
        let vouched = memory.append(&to.args)?;
        if let Some(owned) = ring {
            vouched.holds(memory.store(), &owned)?;
        }
        Ok(Self { memory, vouched, to })
    }

    fn state(&self) -> Result<&State, CliError> {
        Ok(self.vouched.ledger.state()?)
    }

    /// Appends the entry, unless it is on the ledger `before`, and says so.
    fn record(
        mut self,
        before: Option<u64>,
        append: impl FnOnce(&mut Ledger) -> Result<u64, LedgerError>,
        what: &str,
        kind: &str,
    ) -> Result<(), CliError> {
        let entry = match before {
            Some(entry) => entry,
            None => append(&mut self.vouched.ledger)?,
        };
        self.memory.keep_growth(&self.vouched);
        let did = if kind == "quarantine" { "lifted" } else { "revoked" };
        if self.to.args.json {
            let already = before.is_some();
            return output::json(&json!({ did: kind, "entry": entry, "already": already }));
        }
        let did = if before.is_some() { "revoked already" } else { did };
        output::line(format_args!("{did} by entry {entry}: {what}"))?;
        if before.is_none() {
            output::note(
                "what was recorded before this entry stays as it was; readers see it who ask this ledger",
            );
        }
        Ok(())
    }
}
