//! `deepring trust`: who is trusted, and what is remembered; the only command that makes anybody trusted for good.

use std::path::Path;

use deepring::trust::{KeySuccession, KnownRotation, LastVersion, OwnedRing, Speaker};
use deepring::{Digest, Owner, PublicKey, Trust as Against, TrustStore};
use serde_json::json;

use crate::cli::{TrustAdd, TrustBind, TrustCommand, TrustList, TrustRemove};
use crate::error::{CliError, Exit};
use crate::named::origin_of;
use crate::output;
use crate::rings;

pub(crate) fn trust(args: &TrustCommand, store: Option<&Path>) -> Result<(), CliError> {
    let store = rings::open_store(store)?.ok_or_else(|| {
        CliError::new(Exit::Failed, "no home folder, so no trust store")
            .hint("name a file with `--trust trust.json`")
    })?;
    match args {
        TrustCommand::Add(args) => add(args, store),
        TrustCommand::List(args) => list(args, &store),
        TrustCommand::Remove(args) => remove(args, store),
        TrustCommand::Bind(args) => bind(args, store),
    }
}

fn add(args: &TrustAdd, mut store: TrustStore) -> Result<(), CliError> {
    // All are read before any is added.
    let owners = args.owner.iter().map(|path| PublicKey::<Owner>::read(path));
    let owners = owners.collect::<Result<Vec<_>, _>>()?;
    let old = args.successor_of.as_deref().map(rings::read_public::<Owner>).transpose()?;
    if old.is_some() && owners.len() != 1 {
        return Err(CliError::usage("one key takes another's place")
            .hint("give the one that the old key was rotated to, alone"));
    }
    if let (Some(old), [new]) = (&old, owners.as_slice()) {
        return succeed(&mut store, old, new);
    }
    for owner in owners {
        let new = store.add_owner(&owner)?;
        trusted(new, &owner)?;
    }
    Ok(())
}

fn trusted(new: bool, owner: &PublicKey<Owner>) -> Result<(), CliError> {
    match new {
        true => output::line(format_args!("trusted from now on: {owner}")),
        false => output::line(format_args!("trusted already: {owner}")),
    }
}

/// Remembers that an owner's key was given up for another one, by the reader's own word.
fn succeed(
    store: &mut TrustStore,
    old: &PublicKey<Owner>,
    new: &PublicKey<Owner>,
) -> Result<(), CliError> {
    if old == new {
        return Err(CliError::usage("a key does not take its own place")
            .hint("`--successor-of` names the key that was given up, and before it stands the one after it"));
    }
    let was_trusted = store.trusts(new);
    let said = |store: &TrustStore| -> Vec<KnownRotation> { store.rotations().collect() };
    let before = said(store);
    store.add_successor(old, new)?;
    let now = said(store);
    trusted(!was_trusted, new)?;
    output::line(format_args!(
        "it takes the place of {} in all that this one signed",
        old.short()
    ))?;
    for gone in before.iter().filter(|word| !now.contains(word)) {
        output::note(format_args!(
            "your word stands above what {} said: that {} gave its rings over to {}",
            gone.speaker,
            gone.keys.from.short(),
            gone.keys.to.short()
        ));
    }
    if store.trusts(old) {
        output::note(format_args!(
            "the old key is trusted still: whoever has it could sign a ring; `deepring trust remove {old}`"
        ));
    }
    Ok(())
}

fn list(args: &TrustList, store: &TrustStore) -> Result<(), CliError> {
    if args.json {
        let of = |ring: &OwnedRing| json!({ "owner": ring.owner, "ring": ring.ring });
        let ring = |(ring, version, digest): (OwnedRing, u64, Digest)| {
            let ledgers: Vec<_> = store.ledgers_of(&ring).into_iter().map(origin_of).collect();
            json!({ "owner": ring.owner, "ring": ring.ring, "model_version": version, "digest": digest, "ledgers": ledgers })
        };
        let last = |last: LastVersion| json!({ "model_version": last.model_version, "digest": last.digest, "deal": last.deal });
        let rotation = |known: KnownRotation| {
            let ledger = match &known.speaker {
                Speaker::Reader => None,
                Speaker::Ledger(key) => Some(origin_of(key)),
            };
            json!({ "ring": known.ring, "owner": known.keys.from, "new_owner": known.keys.to, "ledger": ledger, "last": known.keys.last.map(last) })
        };
        let ledger = |known: deepring::trust::KnownLedger| {
            let paths: Vec<_> = store.paths_of_ledger(&known.key).collect();
            json!({ "origin": origin_of(&known.key), "key": known.key, "pinned": known.pinned, "size": known.size, "paths": paths })
        };
        return output::json(&json!({
            "owners": store.owners().collect::<Vec<_>>(),
            "rings": store.rings().map(ring).collect::<Vec<_>>(),
            "rotations": store.rotations().map(rotation).collect::<Vec<_>>(),
            "paths": store.bindings().map(|(path, bound)| json!({ "path": path, "bound_to": of(&bound) })).collect::<Vec<_>>(),
            "ledgers": store.ledgers().map(ledger).collect::<Vec<_>>(),
        }));
    }
    if store.owners().next().is_none() {
        output::note("no owner is trusted; `deepring trust add owner.pub` adds one");
    }
    for owner in store.owners() {
        output::line(format_args!("owner  {owner}"))?;
    }
    for (ring, version, _) in store.rings() {
        let untrusted = if store.trusts(&ring.owner) { "" } else { ", who is not trusted" };
        output::line(format_args!(
            "ring   {}, version {version} seen, of {}{untrusted}",
            ring.ring, ring.owner
        ))?;
    }
    for known in store.rotations() {
        let KeySuccession { from, to, last } = known.keys;
        let what = known.ring.map_or("its rings".to_owned(), |ring| format!("ring {ring}"));
        let last = match (last, known.ring) {
            (Some(last), _) => format!(", behind version {}", last.model_version),
            (None, Some(_)) => ", and no version by it".to_owned(),
            (None, None) => String::new(),
        };
        output::line(format_args!(
            "key    {from} gave {what} over to {to}, by {}{last}",
            known.speaker
        ))?;
    }
    for (path, bound) in store.bindings() {
        output::line(format_args!("path   {path}: ring {} of {}", bound.ring, bound.owner))?;
    }
    for known in store.ledgers() {
        let paths: Vec<_> = store.paths_of_ledger(&known.key).collect();
        let at =
            if paths.is_empty() { String::new() } else { format!(", at {}", paths.join(", ")) };
        output::line(format_args!(
            "ledger {}, {} seen{at}",
            origin_of(&known.key),
            output::count(usize::try_from(known.size).unwrap_or(usize::MAX), "entry", "entries"),
        ))?;
    }
    Ok(())
}

fn remove(args: &TrustRemove, mut store: TrustStore) -> Result<(), CliError> {
    if let Some(owner) = &args.owner {
        let key = rings::read_public::<Owner>(owner)?;
        if !store.remove_owner(&key)? {
            return Err(unknown(format_args!("owner {key} is not trusted here")));
        }
        output::line(format_args!("trusted no more: {key}"))?;
        output::note(
            "what was seen of this owner's rings stays remembered: should the owner be trusted again, or a command be given the key, older versions are still refused",
        );
    }
    if let Some(path) = &args.path {
        let Some(bound) = store.unbind(path)? else {
            return Err(unknown(format_args!("{} is not bound", path.display())));
        };
        output::line(format_args!(
            "{} is no longer bound to ring {} of {}",
            path.display(),
            bound.ring,
            bound.owner
        ))?;
    }
    if let Some(name) = &args.ledger {
        let mut keys: Vec<String> =
            store.ledgers_at(Path::new(name))?.into_iter().map(str::to_owned).collect();
        if keys.is_empty() {
            let named = name.to_str().map(|name| store.ledgers_named(name)).unwrap_or_default();
            keys = named.into_iter().map(str::to_owned).collect();
        }
        if keys.is_empty() {
            return Err(unknown(format_args!("ledger {} is not known", name.display())));
        }
        for key in keys {
            store.forget_ledger(&key)?;
            output::line(format_args!("forgotten: ledger {}", origin_of(&key)))?;
        }
        output::note(
            "what it recorded (versions, rotations, revocations, alarms) is not known here any more",
        );
    }
    if let Some(old) = &args.successor_of {
        let old = rings::read_public::<Owner>(old)?;
        let Some(new) = store.remove_successor(&old)? else {
            return Err(unknown(format_args!("you said nothing of what came after owner {old}")));
        };
        output::line(format_args!("taken back: that {new} takes the place of {}", old.short()))?;
        if store.trusts(&new) {
            output::note(format_args!(
                "the key that you named is trusted still; `deepring trust remove {new}`"
            ));
        }
    }
    Ok(())
}

fn unknown(what: impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Failed, what).hint("`deepring trust list` shows what is remembered")
}

fn bind(args: &TrustBind, mut store: TrustStore) -> Result<(), CliError> {
    let owner = PublicKey::<Owner>::read(&args.owner)?;
    // Verified against all that is remembered but the binding itself.
    let ring = rings::open(&args.ring)?.authenticate(&Against::owner(owner).and_store(&store))?;
    let before = store.rebind(&args.ring, &ring)?;
    output::line(format_args!(
        "{} is bound to ring {} of {}",
        args.ring.display(),
        ring.ring_id(),
        ring.owner()
    ))?;
    for before in before {
        output::note(format_args!("it was bound to ring {} of {}", before.ring, before.owner));
    }
    Ok(())
}
