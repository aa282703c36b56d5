//! `deepring ledger show`: the entries, a line each.

use std::path::Path;

use deepring::files::InLine;
use deepring::keys::Author;
use deepring::outline::Outline;
use deepring::{Digest, Host, PublicKey, RingId};
use deepring_ledger::{Entry, Event, Ledger};
use serde_json::json;

use super::LedgerMemory;
use crate::cli::{KindArg, LedgerShow};
use crate::error::CliError;
use crate::output;
use crate::rings::read_public;

pub(super) fn show(args: &LedgerShow, trust: Option<&Path>) -> Result<(), CliError> {
    let host = args.host.as_deref().map(read_public::<Host>).transpose()?;
    let ledger = LedgerMemory::open(trust)?.read(&args.args)?;
    let mut entries = Vec::new();
    for row in ledger.iter(args.since_entry.unwrap_or(0)..ledger.len()) {
        let (index, entry) = row?;
        if !is_asked_for(args, host.as_ref(), &entry, &ledger)? {
            continue;
        }
        match args.args.json {
            true => entries.push(json!({ "index": index, "entry": entry })),
            false => output::line(format_args!(
                "{index:>6}  {}  {}",
                time(entry.at()),
                describe(&entry)
            ))?,
        }
    }
    match args.args.json {
        true => output::json(&json!({ "size": ledger.len(), "entries": entries })),
        false => Ok(()),
    }
}

fn is_asked_for(
    args: &LedgerShow,
    host: Option<&PublicKey<Host>>,
    entry: &Entry,
    ledger: &Ledger,
) -> Result<bool, CliError> {
    let event = entry.event();
    if args.kind.is_some_and(|kind| kind_of(event) != Some(kind)) {
        return Ok(false);
    }
    if host.is_some_and(|host| !concerns(entry, host)) {
        return Ok(false);
    }
    if args.decision.is_some() && entry.decision() != args.decision {
        return Ok(false);
    }
    Ok(match args.ring {
        None => true,
        Some(ring) => ring_of(event, ledger)? == Some(ring),
    })
}

/// Returns whether an entry is by a host, or about it.
fn concerns(entry: &Entry, host: &PublicKey<Host>) -> bool {
    let named = match entry.event() {
        Event::Alarm { accused, .. } => Some(accused),
        Event::HostRevoked { host, .. } | Event::QuarantineLifted { host, .. } => Some(host),
        Event::Repair { audit, .. } => audit.countersignature.as_ref().map(|by| &by.host),
        _ => None,
    };
    *entry.author() == Author::Host(*host) || named == Some(host)
}

/// The ring that an entry is about. Decisions name a digest alone; whose it is, the ledger knows.
fn ring_of(event: &Event, ledger: &Ledger) -> Result<Option<RingId>, CliError> {
    Ok(match event {
        Event::RingRegistered { outline }
        | Event::RingUpgraded { outline }
        | Event::Deal { outline } => Some(outline.claimed().ring),
        Event::RingRevoked { ring_id, .. }
        | Event::Alarm { ring_id, .. }
        | Event::Repair { ring_id, .. }
        | Event::QuarantineLifted { ring_id, .. } => Some(*ring_id),
        Event::HostRevoked { ring_id, .. } => *ring_id,
        Event::Decisions { ring_digest, .. } => {
            ledger.state()?.outlines(ring_digest).next().map(|outline| outline.ring_id())
        }
        _ => None,
    })
}

fn kind_of(event: &Event) -> Option<KindArg> {
    Some(match event {
        Event::RingRegistered { .. } => KindArg::RingRegistered,
        Event::RingUpgraded { .. } => KindArg::RingUpgraded,
        Event::RingRevoked { .. } => KindArg::RingRevoked,
        Event::Decisions { .. } => KindArg::Decisions,
        Event::Alarm { .. } => KindArg::Alarm,
        Event::Repair { .. } => KindArg::Repair,
        Event::KeyRevoked { .. } => KindArg::KeyRevoked,
        Event::Deal { .. } => KindArg::Deal,
        Event::ValidatorSet(_) => KindArg::ValidatorSet,
        Event::HostRevoked { .. } => KindArg::HostRevoked,
        Event::OwnerRotated { .. } => KindArg::OwnerRotated,
        Event::QuarantineLifted { .. } => KindArg::QuarantineLifted,
        _ => return None,
    })
}

/// An entry in a line, for people: who says what. What somebody else wrote into an entry stays in that line.
pub(in crate::commands) fn describe(entry: &Entry) -> String {
    InLine(format_args!("{}: {}", entry.author().short(), words(entry))).to_string()
}

fn words(entry: &Entry) -> String {
    match entry.event() {
        Event::RingRegistered { outline } => {
            format!("{} registered, {}", ring(outline), of(outline))
        }
        Event::RingUpgraded { outline } => format!("{} upgraded to {}", ring(outline), of(outline)),
        Event::Deal { outline } => format!("{} has other hosts, {}", ring(outline), of(outline)),
        Event::RingRevoked { ring_id, ring_digest, reason } => {
            let which = match ring_digest {
                None => "in all versions".to_owned(),
                Some(digest) => format!("in the version of digest {}…", hex(&digest.0)),
            };
            format!("ring {} revoked {which}: {reason}", hex(&ring_id.0))
        }
        Event::Decisions { decision_id: Digest(id), count, .. } => {
            let queries = if *count == 1 { "query" } else { "queries" };
            format!("decision {}… about {count} {queries}", hex(id))
        }
        Event::Alarm { accused, block, name, part, tensor, reason, evidence, .. } => {
            let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
            let block = block.map(|b| format!("block {b}{name}, ")).unwrap_or_default();
            let tensor = tensor.as_ref().map(|t| format!(", tensor {t}")).unwrap_or_default();
            let evidence = if evidence.is_some() { ", with evidence" } else { "" };
            let whose = match *entry.author() == Author::Host(*accused) {
                true => "its own copy".to_owned(),
                false => format!("host {}", accused.short()),
            };
            format!("ALARM: {block}{part}{tensor} of {whose}: {reason}{evidence}")
        }
        Event::Repair { blocks, source, audit, .. } => {
            let by = audit.countersignature.as_ref();
            let by = by.map(|by| format!(", countersigned by {}", by.host.short()));
            format!("repair of blocks {blocks:?} from {source}{}", by.unwrap_or_default())
        }
        Event::KeyRevoked { reason } => format!("this key revoked: {reason}"),
        Event::ValidatorSet(set) => format!(
            "ledger kept by {} from now on, for {}: set {}",
            output::count(set.nodes.len(), "node", "nodes"),
            output::count(set.owners.len(), "owner", "owners"),
            set.epoch
        ),
        Event::HostRevoked { host, ring_id, reason } => {
            let ring = match ring_id {
                Some(ring) => format!("ring {}", hex(&ring.0)),
                None => "all rings of this owner".to_owned(),
            };
            format!("host {} revoked for {ring}: {reason}", host.short())
        }
        Event::OwnerRotated { new_owner, .. } => {
            format!("rings given over to the key {}", new_owner.short())
        }
        Event::QuarantineLifted { host, blocks, reason, .. } => {
            format!("quarantine of blocks {blocks:?} of host {} lifted: {reason}", host.short())
        }
        _ => "an entry of a kind that this version does not know".to_owned(),
    }
}

fn ring(outline: &Outline) -> String {
    format!("ring {}", hex(&outline.claimed().ring.0))
}

/// Version and revision; the first revision needs no mention.
fn of(outline: &Outline) -> String {
    match outline.claimed_version() {
        (version, 0) => format!("version {version}"),
        (version, revision) => format!("version {version}, revision {revision}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(6).map(|b| format!("{b:02x}")).collect()
}

/// Date and time in UTC, as RFC 3339 writes them, of milliseconds since 1970.
pub(super) fn time(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, ms) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a number of days since 1970. Years are counted from March, so that the leap
/// day is the last: month lengths then follow `(153 m + 2) / 5`.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // Since 1 March of year 0.
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_dated_as_a_calendar_would() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(951_868_800_000), "2000-03-01T00:00:00.000Z");
        assert_eq!(time(1_795_416_129_856), "2026-11-23T06:42:09.856Z");
        assert_eq!(time(4_107_542_399_000), "2100-02-28T23:59:59.000Z");
        assert_eq!(time(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }
}
