//! `deepring ledger register`: a ring, its upgrade or its newer revision on a ledger, in its owner's name.

use std::path::Path;

use deepring::{AuthenticRing, Host, Owner, PublicKey, SecretKey};
use deepring_ledger::policy::{AdmitError, Refusal};
use deepring_ledger::{Event, Ledger, State};
use serde::Serialize;
use serde_json::json;

use crate::cli::LedgerRegister;
use crate::commands::grant::not_the_owner;
use crate::error::CliError;
use crate::ledgers::Wanted;
use crate::output;
use crate::rings::{TrustPolicy, open_store};
use crate::rotated::signer_of;
use crate::secrets::Secrets;

pub(super) fn register(args: &LedgerRegister, trust: Option<&Path>) -> Result<(), CliError> {
    let owner = Secrets::of(&args.passphrase).key::<Owner>(&args.owner_key)?;
    let way = output::resolved_path(&args.ring)?;
    let wanted = Wanted { dir: &args.ledger, key: args.ledger_key.as_deref() };
    let signer = match args.new_ledger {
        true => owner.public(),
        false => signer_of(&wanted, open_store(trust)?.as_ref(), &way, owner.public())?,
    };
    let mut policy = TrustPolicy::of(signer, trust)?.binding();
    if !args.new_ledger
        && let Ok(vouched) = wanted.read(policy.store())
    {
        policy.learn_of(&vouched, &way);
    }
    let ring = policy.verify_to_use(&way).map_err(|e| not_the_owner(e, &way, &owner))?;
    policy.belongs(&way, ring.owned())?;
    // Only now: what does not verify begins no ledger.
    let mut vouched = match args.new_ledger {
        true => wanted.begin(policy.store(), Some(ring.owned()), None)?,
        false => wanted.append(policy.store())?,
    };
    vouched.holds(policy.store(), &ring.owned())?;
    let done = record(&mut vouched.ledger, &ring, &owner)?;
    // What is refused binds nothing.
    policy.put_to_use(&way, &ring);
    policy.remember_ledger(&vouched, &args.ledger, Some(ring.owned()));
    let revoked = revoked(vouched.ledger.state()?, &ring);
    for host in &revoked {
        let named = match host.is_dealt {
            true => "is in its deal: deal the ring anew without it",
            false => "has its keys: seal a new version to take them from it",
        };
        output::note(format_args!(
            "note: host {} is revoked by entry {} of the ledger, which no later entry takes back, and {named}. Nothing that it says from there on counts",
            host.host.short(),
            host.entry
        ));
    }
    let (version, revision) = (ring.model_version(), ring.revision());
    if args.json {
        return output::json(&json!({
            "registered": done.as_ref().map(|(what, _)| what),
            "entry": done.map(|(_, entry)| entry),
            "ring": ring.ring_id(),
            "digest": ring.digest(),
            "model_version": version,
            "revision": revision,
            "revoked_hosts": revoked,
        }));
    }
    let (did, entry) = match done {
        None => ("registered already", String::new()),
        Some((what, entry)) => (
            match what {
                "upgrade" => "registered the upgrade",
                "revision" => "registered the newer revision",
                _ => "registered",
            },
            format!(", as entry {entry}"),
        ),
    };
    let ring = ring.ring_id();
    output::line(format_args!("{did}: ring {ring}, version {version}, revision {revision}{entry}"))
}

/// A host that a ring names, and that the ledger revokes.
#[derive(Serialize)]
struct RevokedHost {
    host: PublicKey<Host>,
    /// Index of the revocation.
    entry: u64,
    #[serde(rename = "dealt")]
    is_dealt: bool,
}

/// The hosts of the ring that are revoked for it, each once. That the owner names them again after it makes no difference: a
/// revocation holds from its index on.
fn revoked(state: &State, ring: &AuthenticRing) -> Vec<RevokedHost> {
    let outline = ring.outline();
    let dealt = |host: &PublicKey<Host>| {
        outline.deal().is_some_and(|deal| {
            deal.genesis.contains(host) || deal.legs.iter().any(|leg| leg.place_of(host).is_some())
        })
    };
    let mut revoked: Vec<RevokedHost> = Vec::new();
    for host in outline.blocks().iter().flat_map(|block| &block.hosts) {
        let known = revoked.iter().any(|known| known.host == *host);
        if let Some(entry) = state.host_revoked(&outline.ring_id(), host).filter(|_| !known) {
            revoked.push(RevokedHost { host: *host, entry, is_dealt: dealt(host) });
        }
    }
    revoked
}

/// Registers what the ledger does not know yet; gives its kind and its entry.
fn record(
    ledger: &mut Ledger,
    ring: &AuthenticRing,
    owner: &SecretKey<Owner>,
) -> Result<Option<(&'static str, u64)>, CliError> {
    match ledger.admit(ring.outline(), []) {
        // What is not known yet is what this command is for.
        Ok(_) | Err(AdmitError::Refused(Refusal::NotRegistered | Refusal::NewerDeal { .. })) => {}
        Err(e) => return Err(e.into()),
    }
    let Some(entry) = ledger.register(ring.outline(), &owner.clone().into())? else {
        return Ok(None);
    };
    let what = match ledger.entry(entry)?.event() {
        Event::RingUpgraded { .. } => "upgrade",
        Event::Deal { .. } => "revision",
        _ => "ring",
    };
    Ok(Some((what, entry)))
}
