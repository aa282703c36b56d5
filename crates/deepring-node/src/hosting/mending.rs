//! Keeping a host's copies whole while it runs: repairs from other hosts' copies, and audits between queries.
//!
//! ```text
//!  alarm of its own on the ledger ──► file: chunks of other copies, each against the owner's digest ──► memory opened anew
//!       ▲                                  ──► verified whole ──► countersigned by another copy ──► repair on the ledger
//!       └── every so often: one block in memory and on disk, and an answer exchanged with a copy
//! ```
//!
//! The attacker is whoever changed the copy, and may go on; and every other host. Others can withhold chunks and signatures, and
//! nothing else: what they give is compared with what the owner signed, and what they say of this host's copy only makes it look.
//! What a proof against this host quarantined no repair lets in again.

mod exchange;
mod message;
mod record;
mod repairing;
mod serving;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use commonware_runtime::Clock;
use deepring::audit::Challenge;
use deepring::{AuthenticRing, Host, SecretKey};
use deepring_infer::RunError;
use deepring_infer::engine::Engine;

use super::handle::Notice;
use super::live_host::LiveHost;
use super::ring_copy::RingCopy;
pub use exchange::CopyExchange;
pub(crate) use exchange::Question;
use message::{CopyAudit, CopyRefusal, MendBody};
pub(crate) use message::{MAX_MEND_BYTES, MendMessage};
pub use record::{CopyStanding, RecordError, RepairRecord};
pub use repairing::MendError;
pub(crate) use serving::CopyServer;

/// How often it is looked what is due.
const EVERY: Duration = Duration::from_secs(1);
/// How long another copy is waited for, beside the time that its block's bytes take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes a second that any host reads and hashes.
const HASHED: u64 = 64 << 20;
/// After how long a repair is tried again: twice as long each time, up to the longest.
const AGAIN: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(600);
/// Looks after which a finding that is not on the ledger is said again.
const SAID_AGAIN: u32 = 30;

/// Keeps the copies of one host whole.
#[derive(Debug)]
pub struct Mender<E: Engine, L> {
    /// The way to the other copies: [`HostHandle::exchange`](super::HostHandle::exchange).
    pub exchange: CopyExchange,
    /// The ring, which reads through `file`.
    pub ring: Arc<AuthenticRing>,
    /// The host's file of it.
    pub file: Arc<RingCopy>,
    /// The host's opened blocks.
    pub live: LiveHost<E>,
    /// The host's key.
    pub key: SecretKey<Host>,
    /// The ledger that repairs go on.
    pub record: L,
    /// Time between two audits, of one block each; none without it.
    pub audits: Option<Duration>,
}

impl<E: Engine, L: RepairRecord> Mender<E, L> {
    /// Runs until the ledger is kept no more. It blocks its thread while it reads, writes and opens blocks: give it one.
    pub async fn run(self, context: impl Clock) {
        let mut tries = 0;
        let (mut repair_at, mut audit_at) = (context.current(), self.after(&context));
        let (mut turn, mut unsaid, mut told_of_proof) = (0_usize, 0, BTreeSet::new());
        loop {
            context.sleep(EVERY).await;
            let standing = match self.record.standing().await {
                Ok(standing) => standing,
                Err(RecordError::Stopped) => return,
                Err(why) => {
                    tracing::debug!(%why, "it is not known what the ledger says of copies");
                    continue;
                }
            };
            if told_of_proof != standing.proven {
                told_of_proof.clone_from(&standing.proven);
                let blocks = &told_of_proof;
                tracing::warn!(?blocks, "only the ring's owner can let these copies in again");
            }
            if standing.own.is_empty() {
                tries = 0;
                repair_at = context.current();
            } else if context.current() >= repair_at {
                match self.repair(&context, &standing).await {
                    Ok(()) => tries = 0,
                    Err(MendError::Record(RecordError::Stopped)) => return,
                    Err(why) => {
                        let wait = AGAIN.saturating_mul(1 << tries.min(16)).min(LONGEST);
                        tracing::warn!(%why, ?wait, "a repair is tried again later");
                        tries += 1;
                        repair_at = context.current() + wait;
                    }
                }
            }
            unsaid = self.say_again(&standing, unsaid);
            if audit_at.is_some_and(|at| context.current() >= at) {
                self.audit_next(&context, &standing, turn).await;
                turn = turn.wrapping_add(1);
                audit_at = self.after(&context);
            }
        }
    }

    fn after(&self, context: &impl Clock) -> Option<std::time::SystemTime> {
        self.audits.map(|audits| context.current() + audits)
    }

    /// The blocks that this host has opened.
    fn held(&self) -> Vec<u32> {
        let live = self.live.read();
        live.holds(0).then_some(0).into_iter().chain(live.loaded()).collect()
    }

    /// A finding that never came onto the ledger is said again: without its alarm nothing is repaired. Returns for how many looks
    /// there has been one.
    fn say_again(&self, standing: &CopyStanding, unsaid: u32) -> u32 {
        let live = self.live.read();
        let known = |block: &u32| standing.own.contains(block) || standing.proven.contains(block);
        let Some(block) = live.out_of_use().into_iter().find(|block| !known(block)) else {
            return 0;
        };
        if unsaid < SAID_AGAIN {
            return unsaid + 1;
        }
        let alarms = live.alarms();
        if let Some(finding) = alarms.into_iter().rev().find(|f| f.block == Some(block)) {
            self.exchange.tell(Notice::Tampered(finding));
        }
        0
    }

    /// Verifies the block whose turn it is, in memory and on disk, and compares its answer to a challenge with another copy's.
    async fn audit_next(&self, context: &impl Clock, standing: &CopyStanding, turn: usize) {
        let held = self.held();
        let Some(block) = held.get(turn % held.len().max(1)).copied() else { return };
        if standing.own.contains(&block) || standing.proven.contains(&block) {
            return;
        }
        if !self.verify(block) {
            return;
        }
        let sound = |host: &deepring::PublicKey<Host>| standing.is_sound(host, block);
        let reached = |host: &deepring::PublicKey<Host>| self.exchange.reaches(host);
        let others: Vec<_> = self.other_hosts(block).filter(sound).filter(reached).collect();
        // Each block meets each copy: the next one when all blocks had their turn.
        let round = turn / held.len().max(1);
        let Some(host) = others.get(round % others.len().max(1)) else { return };
        let Ok(challenge) = Challenge::fresh(&[block]) else { return };
        let own = self.live.read().audit(&challenge, &self.key.public());
        let expected = self.live.read().audit(&challenge, host);
        let (Ok(answer), Ok(expected)) = (own, expected) else { return };
        let (ring, nonce) = (self.ring.digest(), *challenge.nonce());
        let ask = MendBody::AskAnswer(CopyAudit { ring, block, nonce, answer });
        match self.exchange.inquire(context, host, ask, self.patience(block)).await {
            Some(MendBody::Answer(theirs)) if theirs == expected => {
                tracing::debug!(block, host = host.short(), "two copies are equal");
            }
            Some(MendBody::Answer(_) | MendBody::Refused(CopyRefusal::Differs)) => {
                tracing::warn!(
                    block,
                    host = host.short(),
                    "two copies differ; this one is looked at"
                );
                self.verify(block);
            }
            Some(MendBody::Refused(why)) => {
                tracing::debug!(block, host = host.short(), %why, "a copy gives no answer");
            }
            _ => tracing::debug!(block, host = host.short(), "a copy gives no answer in time"),
        }
    }

    /// Whether this host's copy of a block is what was sealed. What is found goes to who records it.
    fn verify(&self, block: u32) -> bool {
        match self.live.read().verify_copy(block) {
            Ok(()) => return true,
            Err(RunError::Tampered(finding)) => {
                tracing::error!(%finding, "an audit found tampering in this host's copy");
                self.exchange.tell(Notice::Tampered(finding));
            }
            Err(why) => tracing::warn!(block, %why, "a copy cannot be audited"),
        }
        false
    }

    /// How long a copy is waited for that reads a block before it answers.
    fn patience(&self, block: u32) -> Duration {
        let bytes = self.ring.headers().get(block as usize).map_or(0, |header| header.plain_len);
        PATIENCE + Duration::from_secs(bytes / HASHED)
    }
}
