//! The ground that every part of a participant stands on: the ring and the key, and what one event may use and add to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use deepring::deal::{Deal, DealtLeg};
use deepring::keys::NoRandomness;
use deepring::outline::AuthenticOutline;
use deepring::receipt::{Chain, Parcel, Salt, SealedTensors, TensorValue};
use deepring::replication::{Dispute, Evidence};
use deepring::{Digest, Host, PublicKey, SecretKey};

use super::action::{Action, Batch, Remembered, WorkId};
use super::bounds::{Bounds, Patience, Sizes};
use super::host_message::HostMessage;

/// Names a query for this host: its id, and the host that opened it. Who opens another query of an id that it saw is told
/// apart from the one that had it first.
pub(super) type QueryKey = (Digest, [u8; 64]);

/// So many times the floor are given at least to a host that is cut off, and without which a leg cannot be settled.
const COMING_BACK: u64 = 4;

/// Everything that no query changes.
#[derive(Debug)]
pub(super) struct Ground<'r> {
    pub(super) outline: &'r AuthenticOutline,
    pub(super) deal: &'r Deal,
    pub(super) key: SecretKey<Host>,
    pub(super) me: PublicKey<Host>,
    /// Every other host of the deal, each once.
    pub(super) others: Vec<PublicKey<Host>>,
    pub(super) patience: Patience,
    pub(super) bounds: Bounds,
    pub(super) sizes: Sizes,
    /// For whom disputed legs are kept; nobody without it.
    pub(super) arbiter: Option<PublicKey<Host>>,
    /// The hosts with which the transport has no connection, and since when.
    pub(super) cut_off: BTreeMap<[u8; 64], u64>,
}

impl<'r> Ground<'r> {
    pub(super) fn is_cut_off(&self, host: &PublicKey<Host>) -> bool {
        self.cut_off.contains_key(host.as_bytes())
    }

    /// Until when another host is waited for that has been waited for since so long ago, where this one computed for so long. Of one
    /// that is cut off nothing can come: where it can be spared, it is given the time in which a connection is made again, and no
    /// more; where it cannot, longer than others.
    pub(super) fn waits_until(
        &self,
        (host, spared): (&PublicKey<Host>, bool),
        since: u64,
        took: u64,
    ) -> u64 {
        let patience = self.patience.with_copy(took);
        let usual = since.saturating_add(patience);
        match (self.cut_off.get(host.as_bytes()), spared) {
            (None, _) => usual,
            (Some(cut), true) => {
                usual.min(since.max(*cut).saturating_add(self.patience.reconnecting()))
            }
            (Some(_), false) => {
                let longer = self.patience.floor.saturating_mul(COMING_BACK);
                since.saturating_add(patience.max(longer))
            }
        }
    }

    /// Until when these hosts are waited for, one after the other.
    pub(super) fn waits_for_all_until(
        &self,
        hosts: &[PublicKey<Host>],
        since: u64,
        took: u64,
    ) -> u64 {
        hosts.iter().fold(since, |since, host| self.waits_until((host, true), since, took))
    }

    /// The number of legs; a chain so long returns to Genesis.
    pub(super) fn legs(&self) -> usize {
        self.deal.legs.len()
    }

    pub(super) fn leg(&self, leg: usize) -> Option<&'r DealtLeg> {
        self.deal.legs.get(leg)
    }

    /// The hosts that what enters a leg is for: its copies; behind the last leg those of Genesis, and of the first leg both.
    pub(super) fn entering(&self, leg: usize) -> Vec<PublicKey<Host>> {
        let mut hosts = self.leg(leg).map(|leg| leg.hosts.clone()).unwrap_or_default();
        if leg == 0 || leg == self.legs() {
            let more = self.deal.genesis.iter().filter(|host| !hosts.contains(host));
            let more: Vec<_> = more.copied().collect();
            hosts.extend(more);
        }
        hosts
    }

    /// The hosts that could pass on what enters a leg; of the first leg that is who opened the query.
    pub(super) fn before(&self, leg: usize, opener: PublicKey<Host>) -> Vec<PublicKey<Host>> {
        match leg.checked_sub(1).and_then(|before| self.leg(before)) {
            Some(before) => before.hosts.clone(),
            None => vec![opener],
        }
    }
}

/// Work that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) query: QueryKey,
    pub(super) leg: usize,
}

/// Where a participant draws random bytes: keys of what it seals, nonces of its commitments.
pub type RandomBytes = Box<dyn FnMut(&mut [u8]) -> Result<(), NoRandomness> + Send>;

/// The state that all queries share.
pub(super) struct Shared {
    random: RandomBytes,
    next_work: u64,
    pub(super) work: BTreeMap<WorkId, Due>,
    pub(super) remembered: SignedReceipts,
    pub(super) aside: Aside,
}

impl Shared {
    pub(super) fn new(random: RandomBytes, remembered: SignedReceipts) -> Self {
        let (work, aside) = (BTreeMap::new(), Aside::default());
        Self { random, next_work: 0, work, remembered, aside }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("work", &self.work).finish_non_exhaustive()
    }
}

/// One event: when it is, and what it leads to.
pub(super) struct Scene<'p, 'r> {
    pub(super) ground: &'p Ground<'r>,
    pub(super) shared: &'p mut Shared,
    pub(super) now: u64,
    pub(super) out: &'p mut Vec<Action>,
}

impl Scene<'_, '_> {
    pub(super) fn send(&mut self, to: PublicKey<Host>, message: &HostMessage) {
        self.send_bytes(to, message.encode().into());
    }

    pub(super) fn send_bytes(&mut self, to: PublicKey<Host>, bytes: Arc<[u8]>) {
        if to != self.ground.me {
            self.out.push(Action::Send { to, bytes });
        }
    }

    /// Sends chain and tensors, sealed once for all of `hosts`. Where they cannot be sealed nothing is sent, and who lacks them is
    /// waited for in vain.
    pub(super) fn send_parcel(
        &mut self,
        (chain, salt, batch): (&Chain, &Salt, &Batch),
        hosts: &[PublicKey<Host>],
    ) {
        let random = &mut *self.shared.random;
        let sealed = Parcel::seal_with(chain.clone(), salt, batch, hosts, random);
        let Ok(parcel) = sealed else { return };
        let bytes: Arc<[u8]> = HostMessage::Parcel(Box::new(parcel)).encode().into();
        hosts.iter().for_each(|host| self.send_bytes(*host, Arc::clone(&bytes)));
    }

    /// The tensors that a record names, sealed for one host.
    pub(super) fn sealed(
        &mut self,
        record: Digest,
        (salt, batch): (&Salt, &Batch),
        host: PublicKey<Host>,
    ) -> Option<SealedTensors> {
        SealedTensors::seal(record, salt, batch, &[host], &mut *self.shared.random).ok()
    }

    /// A disputed leg, sealed for the arbiter; `None` where there is none, or it cannot be sealed.
    pub(super) fn dispute(
        &mut self,
        evidence: &Evidence,
        entered: (Chain, &Salt, &Batch),
        outputs: &[(Digest, &[Vec<TensorValue>])],
    ) -> Option<Dispute> {
        let arbiter = self.ground.arbiter?;
        let (chain, salt, inputs) = entered;
        let entered = (chain, salt, inputs.as_slice());
        let random = &mut *self.shared.random;
        Dispute::seal(evidence.clone(), entered, outputs, &arbiter, random).ok()
    }

    pub(super) fn nonce(&mut self) -> Result<[u8; 32], NoRandomness> {
        let mut nonce = [0; 32];
        (self.shared.random)(&mut nonce)?;
        Ok(nonce)
    }

    /// A new name for work on a leg of a query.
    pub(super) fn begin_work(&mut self, query: QueryKey, leg: usize) -> WorkId {
        let work = WorkId(self.shared.next_work);
        self.shared.next_work += 1;
        self.shared.work.insert(work, Due { query, leg });
        work
    }
}

/// The receipts that this host is known to have signed, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct SignedReceipts {
    known: BTreeSet<(Digest, u32, Digest)>,
    order: VecDeque<(Digest, u32, Digest)>,
    limit: usize,
}

impl SignedReceipts {
    pub(super) fn new(limit: usize, signed: impl IntoIterator<Item = Remembered>) -> Self {
        let mut memory = Self { limit: limit.max(1), ..Self::default() };
        signed.into_iter().for_each(|receipt| memory.add(&receipt));
        memory
    }

    pub(super) fn has(&self, query: Digest, first_block: u32, head: Digest) -> bool {
        self.known.contains(&(query, first_block, head))
    }

    pub(super) fn add(&mut self, signed: &Remembered) {
        let key = (signed.query, signed.first_block, signed.head);
        if !self.known.insert(key) {
            return;
        }
        self.order.push_back(key);
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

/// Messages about a leg that did not begin here, or not on their chain; of each peer its own number, so that none displaces
/// another's.
#[derive(Debug, Default)]
pub(super) struct Aside {
    of: BTreeMap<[u8; 64], VecDeque<Early>>,
}

#[derive(Debug)]
struct Early {
    query: Digest,
    head: Digest,
    bytes: Vec<u8>,
}

impl Aside {
    pub(super) fn put(
        &mut self,
        from: &PublicKey<Host>,
        (query, head): (Digest, Digest),
        bytes: Vec<u8>,
        limit: usize,
    ) {
        let kept = self.of.entry(*from.as_bytes()).or_default();
        if kept.iter().any(|early| early.bytes == bytes) {
            return;
        }
        kept.push_back(Early { query, head, bytes });
        while kept.len() > limit {
            kept.pop_front();
        }
    }

    /// Takes what waits for a leg, in the order in which each peer sent it.
    pub(super) fn take(&mut self, query: Digest, head: Digest) -> Vec<(PublicKey<Host>, Vec<u8>)> {
        let mut taken = Vec::new();
        for (from, kept) in &mut self.of {
            for early in std::mem::take(kept) {
                match (early.query, early.head) == (query, head) {
                    true => taken.push((PublicKey::from_bytes(*from), early.bytes)),
                    false => kept.push_back(early),
                }
            }
        }
        taken
    }

    pub(super) fn drop_query(&mut self, query: Digest) {
        self.of.values_mut().for_each(|kept| kept.retain(|early| early.query != query));
    }
}
