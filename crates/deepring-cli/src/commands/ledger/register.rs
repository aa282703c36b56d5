//! `deepring ledger register`: a ring, its upgrade or its newer revision on a ledger, in its owner's name.

use std::path::Path;

use deepring::{AuthenticRing, Owner, SecretKey};
use deepring_ledger::{AdmitError, Event, Ledger, Refusal};
use serde_json::json;

use crate::cli::LedgerRegister;
use crate::commands::grant::not_the_owner;
use crate::error::CliError;
use crate::ledgers::Wanted;
use crate::output;
use crate::rings::TrustPolicy;
use crate::secrets::Secrets;

pub(super) fn register(args: &LedgerRegister, trust: Option<&Path>) -> Result<(), CliError> {
    let owner = Secrets::of(&args.passphrase).key::<Owner>(&args.owner_key)?;
    let way = output::resolved_path(&args.ring)?;
    let mut policy = TrustPolicy::of(owner.public(), trust)?.binding();
    let ring = policy.verify_to_use(&way).map_err(|e| not_the_owner(e, &way, &owner))?;
    policy.belongs(&way, ring.owned())?;
    // Only now: what does not verify begins no ledger.
    let wanted = Wanted { dir: &args.ledger, key: args.ledger_key.as_deref() };
    let mut vouched = match args.new_ledger {
        true => wanted.begin(policy.store(), Some(ring.owned()))?,
        false => wanted.append(policy.store())?,
    };
    vouched.holds(policy.store(), &ring.owned())?;
    let done = record(&mut vouched.ledger, &ring, &owner)?;
    // What is refused binds nothing.
    policy.put_to_use(&way, &ring);
    policy.remember_ledger(&vouched.ledger, &args.ledger, Some(ring.owned()));
    let (version, revision) = (ring.model_version(), ring.revision());
    if args.json {
        return output::json(&json!({
            "registered": done.as_ref().map(|(what, _)| what),
            "entry": done.map(|(_, entry)| entry),
            "ring": ring.ring_id(),
            "digest": ring.digest(),
            "model_version": version,
            "revision": revision,
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
