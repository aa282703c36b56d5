//! A host's part in one leg of one query: the leg's machine, this host's work for it, and what it owes and is owed.

use std::ops::Range;
use std::sync::Arc;

use deepring::receipt::{Chain, ChainError, LegResult, Salt, VerifiedPrefix};
use deepring::replication::{CopyFault, FailedCopy, LegCopy, Outgoing};
use deepring::{Digest, Host, PublicKey, TensorValue};

use super::action::{Action, Batch, Remembered, WorkId};
use super::host_message::HostMessage;
use super::scene::{Ground, QueryKey, Scene};
use crate::host::Computed;

/// Tensors, and the digest over them by which records name them.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) digest: Digest,
    pub(super) batch: Arc<Batch>,
}

impl Held {
    /// Bytes of their elements.
    pub(super) fn len(&self) -> usize {
        self.batch.iter().flatten().map(|t| t.data().len()).sum()
    }
}

/// This host's own work on the leg.
#[derive(Debug)]
pub(super) enum Work {
    /// It is not active.
    Idle,
    /// The driver computes.
    Computing { work: WorkId, since: u64 },
    /// It has a result; it took so long.
    Done { outputs: Held, result: Box<LegResult>, took: u64 },
    /// It could not compute, or signed a receipt for this leg and chain before it was restarted.
    CannotCompute,
}

/// The knowledge that this host has of another copy, besides the machine's.
#[derive(Debug, Default)]
struct Peer {
    /// Messages that the machine had said to it, to be said again.
    said: Vec<Arc<[u8]>>,
    /// It is known to hold what enters the leg on this chain.
    holds: bool,
    /// Since when it owes something.
    owes_since: Option<u64>,
    repeat_at: u64,
    tries: u32,
    /// When it was last answered by a repetition, and when last shown outputs.
    answered_at: Option<u64>,
    shown_at: Option<u64>,
}

/// Another copy's outputs, on the way to be compared.
#[derive(Debug)]
struct Comparing {
    with: PublicKey<Host>,
    receipt: Digest,
    outputs: Digest,
    /// The driver compares.
    work: Option<WorkId>,
}

/// A report of how the leg ended, to be repeated while nothing comes of it.
#[derive(Debug)]
struct Reporting {
    to: Vec<PublicKey<Host>>,
    bytes: Arc<[u8]>,
    at: u64,
    tries: u32,
}

/// Most times that a report is sent.
const MAX_REPORTS: u32 = 5;

#[derive(Debug)]
pub(super) struct LegPart<'r> {
    pub(super) query: QueryKey,
    pub(super) leg: usize,
    pub(super) blocks: Range<u32>,
    pub(super) hosts: &'r [PublicKey<Host>],
    /// The chain before the leg, and its head.
    pub(super) chain: Chain,
    pub(super) head: Digest,
    pub(super) inputs: Held,
    salt: Salt,
    pub(super) machine: LegCopy<'r>,
    pub(super) work: Work,
    peers: Vec<Peer>,
    comparing: Option<Comparing>,
    /// Outputs of other copies that this host was shown.
    shown: Vec<Held>,
    /// The chain with the leg, once it is settled.
    pub(super) settled: Option<Chain>,
    pub(super) disputed: bool,
    /// Others settled it without this host: it waits for nobody any more.
    pub(super) overtaken: bool,
    /// The copies that failed, as far as it was told.
    pub(super) named: Vec<FailedCopy>,
    reporting: Option<Reporting>,
    /// Whether it was disputed, and how many had failed, when the host that opened the query was told.
    pub(super) told_end: (bool, usize),
    /// Whether the dispute of this leg was handed out.
    told_dispute: bool,
    /// Chains by which it began.
    pub(super) chains: usize,
}

impl<'r> LegPart<'r> {
    /// The part in a leg that follows a verified chain; `None` where this host has none.
    pub(super) fn new(
        scene: &Scene<'_, 'r>,
        (query, leg): (QueryKey, usize),
        (chain, prefix): (Chain, &VerifiedPrefix),
        (salt, inputs): (Salt, Held),
    ) -> Result<Option<Self>, ChainError> {
        let ground = scene.ground;
        let verified = chain.verify_after(ground.outline, Some(prefix))?;
        let Some(dealt) = verified.next_leg() else { return Ok(None) };
        let Ok(machine) = LegCopy::new(&verified, ground.key.clone()) else { return Ok(None) };
        let peers = dealt.hosts.iter().map(|_| Peer::default()).collect();
        Ok(Some(Self {
            query,
            leg,
            blocks: dealt.first..dealt.end,
            hosts: &dealt.hosts,
            head: chain.head(),
            chain,
            inputs,
            salt,
            machine,
            work: Work::Idle,
            peers,
            comparing: None,
            shown: Vec::new(),
            settled: None,
            disputed: false,
            overtaken: false,
            named: Vec::new(),
            reporting: None,
            told_end: (false, 0),
            told_dispute: false,
            chains: 1,
        }))
    }

    /// The part of the same leg on an earlier chain, which takes over what does not depend on the chain: a result, where the same
    /// tensors enter the leg.
    pub(super) fn begin_anew(&mut self, scene: &mut Scene<'_, 'r>, mut new: Self) {
        new.chains = self.chains + 1;
        new.named = std::mem::take(&mut self.named);
        if new.inputs.digest == self.inputs.digest {
            let before = std::mem::replace(&mut self.work, Work::Idle);
            new.shown = std::mem::take(&mut self.shown);
            new.work = match before {
                Work::CannotCompute => Work::Idle,
                work => work,
            };
        }
        *self = new;
        if matches!(self.work, Work::Done { .. }) {
            self.sign(scene);
        }
    }

    /// Bytes of tensors that are kept, or will be.
    pub(super) fn kept(&self, ground: &Ground<'_>) -> usize {
        let after = ground.sizes.cut(self.leg + 1);
        let outputs =
            after.map_or(0, |cut| cut.batch_len(self.inputs.batch.len(), self.inputs.len()));
        self.inputs.len() + outputs + self.shown.iter().map(Held::len).sum::<usize>()
    }

    pub(super) fn place_of(&self, host: &PublicKey<Host>) -> Option<usize> {
        self.hosts.iter().position(|h| h == host)
    }

    /// The tensors of these outputs, if this host has them.
    pub(super) fn held(&self, outputs: Digest) -> Option<Held> {
        let own = match &self.work {
            Work::Done { outputs, .. } => Some(outputs),
            _ => None,
        };
        own.into_iter().chain(&self.shown).find(|held| held.digest == outputs).cloned()
    }

    /// COMPUTE: asks the driver, once the machine is active. A leg for which a receipt was signed before a restart is not
    /// computed: false where that is so.
    pub(super) fn begin_work(&mut self, scene: &mut Scene<'_, 'r>) -> bool {
        if !self.machine.is_active() || !matches!(self.work, Work::Idle) {
            return true;
        }
        if scene.shared.remembered.has(self.query.0, self.blocks.start, self.head) {
            self.work = Work::CannotCompute;
            return false;
        }
        let work = scene.begin_work(self.query, self.leg);
        self.work = Work::Computing { work, since: scene.now };
        let (batch, blocks) = (Arc::clone(&self.inputs.batch), self.blocks.clone());
        scene.out.push(Action::Compute { work, salt: self.salt, batch, blocks });
        true
    }

    /// COMPUTE, COMMIT: this host's result.
    pub(super) fn computed(&mut self, scene: &mut Scene<'_, 'r>, since: u64, computed: Computed) {
        let outputs = Held { digest: computed.result.outputs, batch: Arc::new(computed.outputs) };
        let took = scene.now.saturating_sub(since);
        self.work = Work::Done { outputs, result: Box::new(computed.result), took };
        self.sign(scene);
    }

    /// Signs the receipt, has it remembered, and only then lets go of the commitment.
    fn sign(&mut self, scene: &mut Scene<'_, 'r>) {
        let Work::Done { result, .. } = &self.work else { return };
        let first_block = self.blocks.start;
        let nonce = scene.nonce().ok();
        let before = scene.shared.remembered.has(self.query.0, first_block, self.head);
        let Some(nonce) = nonce.filter(|_| !before) else {
            self.work = Work::CannotCompute;
            return;
        };
        let out = self.machine.computed((**result).clone(), nonce);
        if let Some(receipt) = self.machine.own_receipt() {
            let (query, receipt) = (self.query.0, receipt.digest());
            let signed = Remembered { query, first_block, head: self.head, receipt };
            scene.shared.remembered.add(&signed);
            scene.out.push(Action::Remember(signed));
        }
        self.say(scene, out);
    }

    /// Sends what the machine says, and keeps it to be said again.
    pub(super) fn say(&mut self, scene: &mut Scene<'_, 'r>, out: Vec<Outgoing>) {
        for Outgoing { to, bytes } in out {
            let message = HostMessage::Leg { query: self.query.0, head: self.head, bytes };
            let bytes: Arc<[u8]> = message.encode().into();
            let peer = self.place_of(&to).and_then(|place| self.peers.get_mut(place));
            if let Some(peer) = peer {
                peer.said.push(Arc::clone(&bytes));
            }
            scene.send_bytes(to, bytes);
        }
    }

    /// A copy said something on this chain: it holds what enters the leg, and its time begins anew.
    pub(super) fn heard_from(&mut self, now: u64, place: usize) {
        let Some(peer) = self.peers.get_mut(place) else { return };
        peer.holds = true;
        peer.owes_since = peer.owes_since.map(|_| now);
    }

    /// A copy says that it holds what enters the leg on this chain.
    pub(super) fn holds(&mut self, host: &PublicKey<Host>) {
        if let Some(peer) = self.place_of(host).and_then(|place| self.peers.get_mut(place)) {
            peer.holds = true;
        }
    }

    /// A copy waits for this one: something did not reach it. It is told again what it was told, and, once the leg is settled, how.
    pub(super) fn answer(&mut self, scene: &mut Scene<'_, 'r>, place: usize) {
        let (Some(peer), Some(host)) = (self.peers.get_mut(place), self.hosts.get(place)) else {
            return;
        };
        let soon = |at: u64| scene.now < at.saturating_add(scene.ground.patience.repeat(0));
        if peer.answered_at.is_some_and(soon) {
            return;
        }
        peer.answered_at = Some(scene.now);
        if !self.named.iter().any(|named| named.host == *host) {
            peer.said.iter().for_each(|bytes| scene.send_bytes(*host, Arc::clone(bytes)));
        }
        if let Some(chain) = &self.settled {
            scene.send(*host, &HostMessage::Settled(Box::new(chain.clone())));
        }
    }

    /// Gives a copy what enters the leg, with its chain.
    pub(super) fn give(&self, scene: &mut Scene<'_, 'r>, host: PublicKey<Host>) {
        scene.send_parcel((&self.chain, &self.salt, &self.inputs.batch), &[host]);
    }

    /// COMPARE: asks for outputs that are to be compared element by element.
    pub(super) fn want_outputs(&mut self, scene: &mut Scene<'_, 'r>) {
        let Some((with, receipt)) = self.machine.wants_outputs() else {
            self.comparing = None;
            return;
        };
        let (receipt, outputs) = (receipt.digest(), receipt.outputs);
        if self.comparing.as_ref().is_some_and(|c| c.with == with && c.receipt == receipt) {
            return;
        }
        self.comparing = Some(Comparing { with, receipt, outputs, work: None });
        match self.held(outputs) {
            Some(held) => self.compare(scene, held),
            None => scene.send(with, &HostMessage::Wants { query: self.query.0, receipt }),
        }
    }

    /// Whether these outputs were asked for of this host; their digest.
    pub(super) fn asked_for(&self, from: &PublicKey<Host>, receipt: Digest) -> Option<Digest> {
        let open = self.comparing.as_ref().filter(|c| c.work.is_none());
        open.filter(|c| c.with == *from && c.receipt == receipt).map(|c| c.outputs)
    }

    /// The outputs that were asked for, which are those of the receipt.
    pub(super) fn was_shown(&mut self, scene: &mut Scene<'_, 'r>, theirs: Held) {
        self.shown.push(theirs.clone());
        self.compare(scene, theirs);
    }

    fn compare(&mut self, scene: &mut Scene<'_, 'r>, theirs: Held) {
        let (Work::Done { outputs, .. }, Some(comparing)) = (&self.work, &mut self.comparing)
        else {
            return;
        };
        let work = scene.begin_work(self.query, self.leg);
        comparing.work = Some(work);
        scene.out.push(Action::Compare {
            work,
            inputs: Arc::clone(&self.inputs.batch),
            blocks: self.blocks.clone(),
            own: Arc::clone(&outputs.batch),
            theirs: theirs.batch,
            seed: seed(self.query.0, self.blocks.start),
        });
    }

    /// The copy that this work compares with.
    pub(super) fn compares_with(&self, work: WorkId) -> Option<PublicKey<Host>> {
        self.comparing.as_ref().filter(|c| c.work == Some(work)).map(|c| c.with)
    }

    /// Shows a copy, to whom this one revealed its receipt, the outputs that it names. Who can name that receipt was shown it.
    pub(super) fn show(&mut self, scene: &mut Scene<'_, 'r>, place: usize, receipt: Digest) {
        let own = self.machine.own_receipt().filter(|own| own.digest() == receipt);
        let (Some(own), Work::Done { outputs, .. }) = (own, &self.work) else { return };
        let own = own.digest();
        let (Some(peer), Some(host)) = (self.peers.get_mut(place), self.hosts.get(place)) else {
            return;
        };
        let soon = |at: u64| scene.now < at.saturating_add(scene.ground.patience.repeat(0));
        if peer.shown_at.is_some_and(soon) {
            return;
        }
        peer.shown_at = Some(scene.now);
        if let Some(tensors) = scene.sealed(own, (&self.salt, &outputs.batch), *host) {
            scene.send(*host, &HostMessage::Outputs { query: self.query.0, receipt, tensors });
        }
    }

    /// Hands out, once, what an arbiter needs where the leg ended in a contradiction that proves nobody wrong. Of two copies that is
    /// a dispute; of three, two that outvote one and state something else than it does.
    pub(super) fn tell_dispute(&mut self, scene: &mut Scene<'_, 'r>) {
        let undecided = |failed: &FailedCopy| match &failed.fault {
            CopyFault::Disputed(evidence) if self.disputed => Some(evidence.clone()),
            CopyFault::Outvoted(evidence) | CopyFault::Equivocated(evidence)
                if !evidence.is_proof() =>
            {
                Some(evidence.clone())
            }
            _ => None,
        };
        if self.told_dispute || scene.ground.arbiter.is_none() {
            return;
        }
        let Some(evidence) = self.machine.named().iter().find_map(undecided) else { return };
        let Work::Done { outputs: own, .. } = &self.work else { return };
        self.told_dispute = true;
        let claims = evidence.claims();
        let mut outputs: Vec<(Digest, &[Vec<TensorValue>])> = Vec::new();
        for held in std::iter::once(own).chain(&self.shown) {
            let claimed = claims.iter().any(|claim| claim.outputs == held.digest);
            if claimed && !outputs.iter().any(|(known, _)| *known == held.digest) {
                outputs.push((held.digest, held.batch.as_slice()));
            }
        }
        let entered = (self.chain.clone(), &self.salt, &*self.inputs.batch);
        let (query, first_block) = (self.query.0, self.blocks.start);
        if let Some(dispute) = scene.dispute(&evidence, entered, &outputs) {
            let dispute = Box::new(dispute);
            scene.out.push(Action::Disputed { query, first_block, dispute });
        }
    }

    /// How long this host computed.
    pub(super) fn took(&self) -> u64 {
        match &self.work {
            Work::Done { took, .. } => *took,
            _ => 0,
        }
    }

    /// Notes since when each copy owes something. One whose outputs this host itself compares owes nothing meanwhile.
    pub(super) fn watch(&mut self, scene: &Scene<'_, 'r>) {
        let busy = self.comparing.as_ref().filter(|c| c.work.is_some()).map(|c| c.with);
        let over = self.settled.is_some() || self.disputed || self.overtaken;
        let owing: Vec<PublicKey<Host>> = match over {
            true => Vec::new(),
            false => self.machine.waits_for().filter(|host| Some(*host) != busy).collect(),
        };
        for (host, peer) in self.hosts.iter().zip(&mut self.peers) {
            match (owing.contains(host), peer.owes_since) {
                (false, _) => peer.owes_since = None,
                (true, Some(_)) => {}
                (true, None) => {
                    peer.owes_since = Some(scene.now);
                    peer.repeat_at = scene.now.saturating_add(scene.ground.patience.repeat(0));
                    peer.tries = 0;
                }
            }
        }
    }

    /// Until when another copy is waited for that owes something since then. It can be spared where one that is not cut off is to take
    /// its place.
    fn waits_until(&self, ground: &Ground<'_>, host: &PublicKey<Host>, since: u64) -> u64 {
        let reserve = self.machine.reserve().is_some_and(|host| !ground.is_cut_off(&host));
        let spared = reserve || self.machine.owes_validation(host);
        ground.waits_until((host, spared), since, self.took())
    }

    /// When something is due next.
    pub(super) fn wake_at(&self, ground: &Ground<'_>) -> Option<u64> {
        let owing = self.hosts.iter().zip(&self.peers).filter_map(|(host, peer)| {
            Some(self.waits_until(ground, host, peer.owes_since?).min(peer.repeat_at))
        });
        owing.chain(self.reporting.iter().map(|r| r.at)).min()
    }

    /// Does what is due: says again what was said. Returns the copies with which the patience is over.
    pub(super) fn tick(&mut self, scene: &mut Scene<'_, 'r>) -> Vec<PublicKey<Host>> {
        let now = scene.now;
        let mut lost = Vec::new();
        for (place, host) in self.hosts.iter().enumerate() {
            let Some(since) = self.peers.get(place).and_then(|peer| peer.owes_since) else {
                continue;
            };
            let until = self.waits_until(scene.ground, host, since);
            let Some(peer) = self.peers.get_mut(place) else { continue };
            if now >= until {
                lost.push(*host);
            } else if now >= peer.repeat_at {
                peer.tries += 1;
                // Evenly, so that much is tried before it counts as absent.
                peer.repeat_at = now.saturating_add(scene.ground.patience.repeat(0));
                // Who said that it holds it may have been started anew since.
                let (lacks, said) = (!peer.holds || peer.tries == 2, peer.said.clone());
                if lacks {
                    self.give(scene, *host);
                }
                said.into_iter().for_each(|bytes| scene.send_bytes(*host, bytes));
                let asks = HostMessage::Asks { query: self.query.0, head: self.head };
                scene.send(*host, &asks);
                let wanted = self.comparing.as_ref().filter(|c| c.with == *host);
                if let Some(receipt) = wanted.filter(|c| c.work.is_none()).map(|c| c.receipt) {
                    scene.send(*host, &HostMessage::Wants { query: self.query.0, receipt });
                }
            }
        }
        if let Some(reporting) = self.reporting.as_mut().filter(|r| now >= r.at) {
            reporting.tries += 1;
            reporting.at = now.saturating_add(scene.ground.patience.repeat(reporting.tries));
            for host in &reporting.to {
                scene.send_bytes(*host, Arc::clone(&reporting.bytes));
            }
            if reporting.tries >= MAX_REPORTS {
                self.reporting = None;
            }
        }
        lost
    }

    /// Sends a report; again and again for a while, where the query waits for it.
    pub(super) fn report(
        &mut self,
        scene: &mut Scene<'_, 'r>,
        to: Vec<PublicKey<Host>>,
        report: &HostMessage,
        again: bool,
    ) {
        let bytes: Arc<[u8]> = report.encode().into();
        to.iter().for_each(|host| scene.send_bytes(*host, Arc::clone(&bytes)));
        if again {
            let at = scene.now.saturating_add(scene.ground.patience.repeat(0));
            self.reporting = Some(Reporting { to, bytes, at, tries: 1 });
        }
    }
}

/// Chooses the errors by which a leg's tolerances are measured: the same for whoever measures it again.
pub(crate) fn seed(query: Digest, first_block: u32) -> u64 {
    let start = query.0.first_chunk().copied().map_or(0, u64::from_le_bytes);
    start.rotate_left(first_block)
}
