//! Answers to other hosts about this host's copies: chunks as they are in the file, answers to challenges, countersignatures.
//!
//! The attacker is another host of the ring. It is told nothing that it could not read in its own copy: chunks are given encrypted,
//! to hosts that hold the block, and digests are under the block's key. What it says is no evidence: an answer that differs from
//! this copy's makes this host look at its own, and say what it finds there. How often it is answered is bounded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use commonware_runtime::Clock;
use commonware_utils::channel::mpsc;
use deepring::audit::Challenge;
use deepring::maintenance::ChunkPlace;
use deepring::{AuthenticRing, Digest, Host, PublicKey, SecretKey};
use deepring_infer::RunError;
use deepring_infer::engine::Engine;
use deepring_ledger::Binding;
use deepring_ledger::entry::Audit;

use super::exchange::{CopyExchange, Question};
use super::message::{CopyAudit, CopyRefusal, MendBody, MendMessage};
use crate::hosting::handle::Notice;
use crate::hosting::live_host::LiveHost;
use crate::hosting::quarantine::Quarantine;

/// Chunks that one host is given in a second.
const CHUNKS: u32 = 64;
/// Answers that one host is given in eight seconds: each reads a whole block.
const AUDITS: u32 = 8;
const AUDITS_IN: Duration = Duration::from_secs(8);
/// How often another's word makes this host look at its own copies.
const LOOKED: Duration = Duration::from_secs(30);

/// The task that answers.
pub(crate) struct CopyServer<R, E: Engine> {
    pub(crate) context: R,
    pub(crate) ring: Arc<AuthenticRing>,
    pub(crate) live: LiveHost<E>,
    pub(crate) key: SecretKey<Host>,
    pub(crate) quarantine: Quarantine,
    /// The log that this host signs for; none without it.
    pub(crate) log: Option<Digest>,
    pub(crate) exchange: CopyExchange,
    pub(crate) questions: mpsc::Receiver<Question>,
}

/// The chunks and answers that one host may be given, less those it was given lately.
struct Allowances {
    chunks: Allowance,
    audits: Allowance,
}

impl<R: Clock, E: Engine> CopyServer<R, E> {
    /// Runs until nobody can ask any more.
    pub(crate) async fn run(mut self) {
        let mut given: BTreeMap<[u8; 64], Allowances> = BTreeMap::new();
        let mut looks = Allowance::new(1, LOOKED);
        while let Some(question) = self.questions.recv().await {
            let now = self.context.current();
            // As many as the deal has hosts: no others are heard.
            let given = given.entry(*question.from.as_bytes()).or_insert_with(|| Allowances {
                chunks: Allowance::new(CHUNKS, Duration::from_secs(1)),
                audits: Allowance::new(AUDITS, AUDITS_IN),
            });
            let allowed = match question.message.body {
                MendBody::AskChunk { .. } => given.chunks.take(now),
                _ => given.audits.take(now),
            };
            let (body, doubted) = match allowed {
                true => self.answer(&question.from, &question.message.body),
                false => (MendBody::Refused(CopyRefusal::TooOften), None),
            };
            let number = question.message.number;
            self.exchange.send(&question.from, &MendMessage { number, body });
            if let Some(block) = doubted
                && looks.take(now)
            {
                self.look(block);
            }
        }
    }

    /// The answer, and the block of this host's that it is to look at.
    fn answer(&self, from: &PublicKey<Host>, asked: &MendBody) -> (MendBody, Option<u32>) {
        let told = match asked {
            MendBody::AskChunk { ring, place } => self.chunk(from, ring, *place),
            MendBody::AskCountersignature { audit, log, sequence } => {
                self.countersign(from, audit, Binding { log: *log, sequence: *sequence })
            }
            MendBody::AskAnswer(audit) => return self.compare(from, audit),
            _ => Err(CopyRefusal::NotShared),
        };
        let block = match asked {
            MendBody::AskChunk { place, .. } => place.block,
            MendBody::AskCountersignature { audit, .. } | MendBody::AskAnswer(audit) => audit.block,
            _ => 0,
        };
        match told {
            Ok(body) => (body, None),
            Err(refusal @ (CopyRefusal::Differs | CopyRefusal::NotWhole)) => {
                (MendBody::Refused(refusal), Some(block))
            }
            Err(refusal) => (MendBody::Refused(refusal), None),
        }
    }

    fn chunk(
        &self,
        from: &PublicKey<Host>,
        ring: &Digest,
        place: ChunkPlace,
    ) -> Result<MendBody, CopyRefusal> {
        self.refuse_unshared(from, ring, place.block)?;
        let chunk = self.ring.sealed_chunk(place).ok_or(CopyRefusal::NotWhole)?;
        Ok(MendBody::Chunk(chunk.bytes().to_vec()))
    }

    /// Signs only what this host's own copy, which nothing is held against, gives.
    fn countersign(
        &self,
        from: &PublicKey<Host>,
        audit: &CopyAudit,
        binding: Binding,
    ) -> Result<MendBody, CopyRefusal> {
        self.refuse_unshared(from, &audit.ring, audit.block)?;
        if self.log != Some(binding.log) {
            return Err(CopyRefusal::OtherLog);
        }
        let challenge = self.challenge(audit)?;
        let expected = self.live.read().audit(&challenge, from);
        if expected.map_err(|_| CopyRefusal::NotShared)? != audit.answer {
            return Err(CopyRefusal::Differs);
        }
        let signed = Audit { nonce: audit.nonce, digest: audit.answer, countersignature: None };
        let signed =
            signed.countersign(binding, &audit.ring, &[audit.block], from, &self.key).signature;
        Ok(MendBody::Countersigned(signed))
    }

    /// This copy's answer, which the asker compares; and whether the asker's differs from what it should be.
    fn compare(&self, from: &PublicKey<Host>, audit: &CopyAudit) -> (MendBody, Option<u32>) {
        let compared = || {
            self.refuse_unshared(from, &audit.ring, audit.block)?;
            let (challenge, host) = (self.challenge(audit)?, self.live.read());
            let of = |host: Result<Digest, RunError>| host.map_err(|_| CopyRefusal::NotShared);
            let expected = of(host.audit(&challenge, from))?;
            let own = of(host.audit(&challenge, &self.key.public()))?;
            let doubted = (expected != audit.answer).then_some(audit.block);
            Ok((MendBody::Answer(own), doubted))
        };
        compared().unwrap_or_else(|refusal| (MendBody::Refused(refusal), None))
    }

    /// The challenge, where nothing is held against this host's own copy.
    fn challenge(&self, audit: &CopyAudit) -> Result<Challenge, CopyRefusal> {
        let held_against = self.quarantine.has(audit.block)
            || self.live.read().out_of_use().contains(&audit.block);
        match held_against {
            true => Err(CopyRefusal::NotWhole),
            false => Ok(Challenge::with_nonce(audit.nonce, &[audit.block])),
        }
    }

    /// Refuses what is not about a block of this version that both hosts hold.
    fn refuse_unshared(
        &self,
        from: &PublicKey<Host>,
        ring: &Digest,
        block: u32,
    ) -> Result<(), CopyRefusal> {
        if *ring != self.ring.digest() {
            return Err(CopyRefusal::OtherRing);
        }
        let block = self.ring.outline().blocks().get(block as usize);
        let both = |block: &deepring::outline::OutlineBlock| {
            block.has_host(from) && block.has_host(&self.key.public())
        };
        block.is_some_and(both).then_some(()).ok_or(CopyRefusal::NotShared)
    }

    fn look(&self, block: u32) {
        let held = self.live.read();
        if !held.holds(block) {
            return;
        }
        match held.verify_copy(block) {
            Ok(()) => tracing::info!(block, "another copy differs; this one is as it was sealed"),
            Err(RunError::Tampered(finding)) => self.exchange.tell(Notice::Tampered(finding)),
            Err(why) => tracing::debug!(block, %why, "a copy cannot be looked at"),
        }
    }
}

/// So many in a time, evenly: whoever used them up waits for the next.
struct Allowance {
    each: Duration,
    most: Duration,
    /// When all of it is there again.
    full_at: Option<SystemTime>,
}

impl Allowance {
    fn new(count: u32, time: Duration) -> Self {
        Self { each: time / count.max(1), most: time, full_at: None }
    }

    fn take(&mut self, now: SystemTime) -> bool {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + self.each;
        // A clock that was set back gives the whole of it again, so that nobody waits for the time that it was off.
        let owed = full_at.duration_since(now).unwrap_or_default();
        if owed > self.most {
            if owed > self.most.saturating_mul(2) {
                self.full_at = None;
            }
            return false;
        }
        self.full_at = Some(full_at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_allowed_in_a_time_and_one_more_for_each_share_of_it() {
        let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + ms);
        let mut allowance = Allowance::new(4, Duration::from_secs(1));
        assert!((0..4).all(|_| allowance.take(at(0))) && !allowance.take(at(0)));
        assert!(!allowance.take(at(249)));
        assert!(allowance.take(at(250)) && !allowance.take(at(250)));
        assert!(allowance.take(at(5000)), "what is not used is not saved up");
        assert_eq!((0..10).filter(|_| allowance.take(at(5000))).count(), 3);
        // Set back: refused once, and then allowed.
        assert!(!allowance.take(at(0)) && allowance.take(at(0)));
    }
}
