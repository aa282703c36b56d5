//! The contents of a report: each entry in the section that it belongs to, with its proof.

use std::collections::BTreeMap;

use deepring::Digest;
use deepring::outline::Outline;
use deepring_ledger::{Entry, Event, Ledger};

use super::super::show::{describe, time};
use crate::error::{CliError, Exit};
use crate::output;
use crate::witnesses::Witnesses;

/// Everything on the page; texts in it may be an attacker's.
pub(super) struct Collected {
    pub(super) origin: String,
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) root: String,
    pub(super) checkpoint: String,
    /// Signature lines on the checkpoint but for the log's own; not verified.
    pub(super) other_lines: usize,
    pub(super) witnesses: Witnesses,
    pub(super) versions: Vec<ToldVersion>,
    pub(super) revocations: Vec<ToldEntry>,
    pub(super) alarms: Vec<ToldEntry>,
    pub(super) repairs: Vec<ToldEntry>,
    pub(super) others: Vec<ToldEntry>,
    pub(super) decisions: u64,
}

/// An entry, and the text that proves it.
pub(super) struct ToldEntry {
    pub(super) index: u64,
    pub(super) at: String,
    pub(super) words: String,
    pub(super) proof: String,
}

/// A registered version of a ring, and what was decided with it.
pub(super) struct ToldVersion {
    pub(super) ring: String,
    pub(super) owner: String,
    pub(super) version: u64,
    pub(super) revision: u32,
    pub(super) row: ToldEntry,
    /// Index of the first entry that revokes it, its ring or its owner.
    pub(super) revoked: Option<u64>,
    pub(super) decided: Decided,
}

/// The decisions of one version.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) entries: u64,
    pub(super) queries: u64,
    /// The newest of them, newest last.
    pub(super) newest: Vec<ToldEntry>,
}

impl Collected {
    /// Reads every entry, each of which is shown to be under the checkpoint. Of the decisions of a version the
    /// newest `most` are told one by one.
    pub(super) fn of(ledger: &Ledger, most: usize, witnesses: Witnesses) -> Result<Self, CliError> {
        let checkpoint = ledger.checkpoint();
        let mut collected = Self {
            origin: checkpoint.origin().to_owned(),
            key: ledger.key().to_string(),
            size: checkpoint.size(),
            root: Digest(*checkpoint.root()).to_string(),
            checkpoint: checkpoint.as_str().to_owned(),
            other_lines: checkpoint
                .as_str()
                .lines()
                .filter(|l| l.starts_with('\u{2014}'))
                .count()
                .saturating_sub(1),
            witnesses,
            versions: Vec::new(),
            revocations: Vec::new(),
            alarms: Vec::new(),
            repairs: Vec::new(),
            others: Vec::new(),
            decisions: 0,
        };
        // Of each version, its digest's place among the versions, and the indices of its newest decisions.
        let mut places: BTreeMap<Digest, usize> = BTreeMap::new();
        let mut newest: Vec<Vec<u64>> = Vec::new();
        for entry in ledger.iter(0..ledger.len()) {
            let (index, entry) = entry?;
            match entry.event() {
                Event::RingRegistered { outline } | Event::RingUpgraded { outline } => {
                    let (digest, version) = version(ledger, outline, row(ledger, index, &entry)?)?;
                    places.insert(digest, collected.versions.len());
                    collected.versions.push(version);
                    newest.push(Vec::new());
                }
                Event::Decisions { ring_digest, count, .. } => {
                    collected.decisions += 1;
                    let place = places.get(ring_digest).copied();
                    let known =
                        place.and_then(|p| collected.versions.get_mut(p).zip(newest.get_mut(p)));
                    if let Some((version, newest)) = known {
                        version.decided.entries += 1;
                        version.decided.queries += u64::from(*count);
                        newest.push(index);
                        if newest.len() > most {
                            newest.remove(0);
                        }
                    }
                }
                Event::RingRevoked { .. }
                | Event::KeyRevoked { .. }
                | Event::HostRevoked { .. } => {
                    collected.revocations.push(row(ledger, index, &entry)?);
                }
                Event::Alarm { .. } => collected.alarms.push(row(ledger, index, &entry)?),
                Event::Repair { .. } | Event::QuarantineLifted { .. } => {
                    collected.repairs.push(row(ledger, index, &entry)?);
                }
                _ => collected.others.push(row(ledger, index, &entry)?),
            }
        }
        for (version, newest) in collected.versions.iter_mut().zip(newest) {
            let rows = newest.into_iter().map(|index| row(ledger, index, &ledger.entry(index)?));
            version.decided.newest = rows.collect::<Result<_, _>>()?;
        }
        Ok(collected)
    }
}

fn row(ledger: &Ledger, index: u64, entry: &Entry) -> Result<ToldEntry, CliError> {
    let words = match entry.event() {
        // The whole id, by which its receipt is found.
        Event::Decisions { decision_id, count, .. } => format!(
            "{}: decision {decision_id} about {}",
            entry.author().short(),
            output::count(usize::try_from(*count).unwrap_or(usize::MAX), "query", "queries")
        ),
        _ => describe(entry),
    };
    Ok(ToldEntry { index, at: time(entry.at()), words, proof: ledger.prove(index)?.to_string() })
}

fn version(
    ledger: &Ledger,
    outline: &Outline,
    row: ToldEntry,
) -> Result<(Digest, ToldVersion), CliError> {
    let outline = outline.clone().verify_consistent();
    let outline =
        outline.map_err(|e| CliError::new(Exit::Tampered, format!("entry {}: {e}", row.index)))?;
    let revoked = ledger.state()?.revoked_before(u64::MAX, &outline, std::iter::empty());
    let version = ToldVersion {
        ring: outline.ring_id().to_string(),
        owner: outline.owner().to_string(),
        version: outline.model_version(),
        revision: outline.revision(),
        row,
        revoked: revoked.map(|revocation| revocation.entry),
        decided: Decided::default(),
    };
    Ok((outline.ring_digest(), version))
}
