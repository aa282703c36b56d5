//! An entry of the ledger as the page shows it: what happened, to whom, by whom, in words.

use deepring::outline::Outline;
use deepring_ledger::{Entry, Event};
use serde::Serialize;
use utoipa::ToSchema;

/// An entry of the ledger.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Entry)]
pub(crate) struct EntryPage {
    /// Its index.
    index: u64,
    /// When its author made it, in milliseconds since the Unix epoch, by the author's clock.
    at: u64,
    /// The author's public key.
    author: String,
    /// The kind of event, in a word or two.
    event: &'static str,
    /// Id of the ring; its digest, where decisions name that.
    #[serde(skip_serializing_if = "Option::is_none")]
    ring: Option<String>,
    /// The decision's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    /// Version of a ring, epoch of a validator set, or number of queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    /// The host that is accused, revoked or let in again, or the key that takes over.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    /// The blocks that it is about; none for an alarm about the whole ring.
    blocks: Vec<u32>,
    /// Where in a block the fault is.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<FaultPlace>,
    /// The reason, or where a repair came from, as the author says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Where in a block a fault was found.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FaultPlace {
    /// Name of the block.
    name: String,
    /// The part.
    part: String,
    /// The tensor, where one can be named.
    tensor: Option<String>,
    /// First byte at fault and the byte after the last, where they are known.
    bytes: Option<[u64; 2]>,
}

impl EntryPage {
    pub(crate) fn of(index: u64, entry: &Entry) -> Self {
        Self { index, at: entry.at(), author: entry.author().to_string(), ..said(entry.event()) }
    }
}

fn some(value: &impl ToString) -> Option<String> {
    Some(value.to_string())
}

/// The page of an event, without its entry.
fn said(event: &Event) -> EntryPage {
    match event {
        Event::RingRegistered { outline } => of_outline("ring registered", outline),
        Event::RingUpgraded { outline } => of_outline("ring upgraded", outline),
        Event::Deal { outline } => of_outline("deal", outline),
        Event::RingRevoked { ring_id, reason, .. } => EntryPage {
            event: "ring revoked",
            ring: some(ring_id),
            text: some(reason),
            ..EntryPage::default()
        },
        Event::Decisions { ring_digest, decision_id, count, .. } => EntryPage {
            event: "decision",
            ring: some(ring_digest),
            decision: some(decision_id),
            number: Some((*count).into()),
            ..EntryPage::default()
        },
        Event::Alarm { ring_id, accused, block, name, part, tensor, bytes, reason, .. } => {
            EntryPage {
                event: "alarm",
                ring: some(ring_id),
                about: some(accused),
                blocks: block.iter().copied().collect(),
                place: Some(FaultPlace {
                    name: name.clone(),
                    part: part.clone(),
                    tensor: tensor.clone(),
                    bytes: *bytes,
                }),
                text: some(reason),
                ..EntryPage::default()
            }
        }
        Event::Repair { ring_id, blocks, source, .. } => EntryPage {
            event: "repair",
            ring: some(ring_id),
            blocks: blocks.clone(),
            text: some(source),
            ..EntryPage::default()
        },
        Event::KeyRevoked { reason } => {
            EntryPage { event: "key revoked", text: some(reason), ..EntryPage::default() }
        }
        Event::ValidatorSet(set) => {
            EntryPage { event: "validator set", number: Some(set.epoch), ..EntryPage::default() }
        }
        Event::HostRevoked { host, ring_id, reason } => EntryPage {
            event: "host revoked",
            ring: ring_id.map(|ring| ring.to_string()),
            about: some(host),
            text: some(reason),
            ..EntryPage::default()
        },
        Event::OwnerRotated { new_owner, .. } => {
            EntryPage { event: "owner key rotated", about: some(new_owner), ..EntryPage::default() }
        }
        Event::QuarantineLifted { ring_id, host, blocks, reason, .. } => EntryPage {
            event: "quarantine lifted",
            ring: some(ring_id),
            about: some(host),
            blocks: blocks.clone(),
            text: some(reason),
            ..EntryPage::default()
        },
        // A newer kind than this page knows.
        _ => EntryPage { event: "other", ..EntryPage::default() },
    }
}

fn of_outline(event: &'static str, outline: &Outline) -> EntryPage {
    EntryPage {
        event,
        ring: some(&outline.claimed().ring),
        number: Some(outline.claimed_version().0),
        ..EntryPage::default()
    }
}
