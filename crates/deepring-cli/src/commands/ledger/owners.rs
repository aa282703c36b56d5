//! `deepring ledger rotate-owner` and `validator-set`: who owns rings on a ledger, and who keeps it.

use std::ffi::OsString;
use std::path::Path;

use deepring::keys::{Node, Role};
use deepring::{Owner, PublicKey};
use deepring_ledger::Ledger;
use serde_json::json;

use super::LedgerMemory;
use crate::begun::Begun;
use crate::cli::{EntryTo, LedgerRotateOwner, LedgerValidatorSet};
use crate::error::{CliError, Exit};
use crate::output;
use crate::rings::read_public;
use crate::secrets::Secrets;

pub(super) fn rotate(args: &LedgerRotateOwner, trust: Option<&Path>) -> Result<(), CliError> {
    let secrets = Secrets::of(&args.to.passphrase);
    let old = secrets.key::<Owner>(&args.owner_key)?;
    let new = secrets.key::<Owner>(&args.new_owner_key)?;
    let (from, to) = (old.public(), new.public());
    let (entry, _) = record(&args.to, trust, |ledger| Ok(ledger.rotate_owner(old, new)?))?;
    if args.to.args.json {
        return output::json(&json!({ "entry": entry, "owner": from, "new_owner": to }));
    }
    output::line(format_args!("rotated by entry {entry}: {} to {}", from.short(), to.short()))?;
    output::note(
        "the new key registers, revokes, and seals the next version (`seal --previous RING --owner NEW.key --ledger DIR`); versions \
         that the old key sealed keep its signature, so nobody deals or grants them with this ledger any more; readers need the new \
         key, by `--owner` or `trust add`, and `trust bind` where a path is bound to the old key's ring; let them `trust remove` the old \
         one: whoever has it could still sign a ring for them",
    );
    Ok(())
}

pub(super) fn validators(args: &LedgerValidatorSet, trust: Option<&Path>) -> Result<(), CliError> {
    let owner = Secrets::of(&args.to.passphrase).key::<Owner>(&args.owner_key)?;
    let owners = keys::<Owner>(&args.owner)?;
    let nodes = keys::<Node>(&args.node)?;
    let read = std::iter::once(args.owner_key.as_path())
        .chain(args.owner.iter().chain(&args.node).map(Path::new));
    let begun = args.output.as_deref().map(|path| Begun::at(path, read, trust)).transpose()?;
    let mut epoch = 0;
    let (entry, bytes) = record(&args.to, trust, |ledger| {
        let next = ledger.state()?.next_validators(owners.clone(), nodes.clone());
        let set = next.map_err(|e| CliError::new(Exit::Failed, e))?;
        epoch = set.epoch;
        Ok(ledger.set_validators(set, &owner.into())?)
    })?;
    if let Some(begun) = begun {
        begun.write(&bytes)?;
    }
    if args.to.args.json {
        return output::json(
            &json!({ "entry": entry, "epoch": epoch, "owners": owners, "nodes": nodes }),
        );
    }
    output::line(format_args!(
        "validator set {epoch} by entry {entry}: {}, {}",
        output::count(owners.len(), "owner", "owners"),
        output::count(nodes.len(), "node", "nodes")
    ))
}

/// In the order of their bytes, each once.
fn keys<R: Role>(given: &[OsString]) -> Result<Vec<PublicKey<R>>, CliError> {
    let keys = given.iter().map(|key| read_public::<R>(key));
    let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
    keys.sort_by_key(|key| *key.as_bytes());
    keys.dedup();
    Ok(keys)
}

/// The index of the entry that `append` adds, and its bytes.
fn record(
    to: &EntryTo,
    trust: Option<&Path>,
    append: impl FnOnce(&mut Ledger) -> Result<u64, CliError>,
) -> Result<(u64, Vec<u8>), CliError> {
    let mut memory = LedgerMemory::open(trust)?;
    let mut vouched = memory.append(&to.args)?;
    let entry = append(&mut vouched.ledger)?;
    memory.keep_growth(&vouched);
    let bytes = vouched.ledger.entry(entry)?.as_bytes().to_vec();
    Ok((entry, bytes))
}
