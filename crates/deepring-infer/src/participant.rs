//! One host's part in the queries around a dealt ring, as a machine without clock, network, threads or engine.
//!
//! A [`Participant`] is told what happens (a query is opened, bytes of another host came, work is done, time went by) and
//! answers with [`Action`]s: bytes to send, legs to compute, receipts to remember, answers. Who carries the bytes and computes
//! is its driver's business; time is a number that the driver gives. The same events and random bytes lead to the same
//! actions. `docs/REPLICATION.md` is the protocol, and [`LegCopy`](deepring::replication::LegCopy) the machine of each leg.
//!
//! The attacker is every other host of the ring: what it sends is bounded before it is decoded, verified before it is kept,
//! kept within [`Bounds`], and changes nothing where it is refused.

mod action;
mod bounds;
mod ended;
mod host_message;
mod incoming;
mod leg_part;
mod not_accepted;
mod order;
mod passing;
mod query;
mod scene;
#[cfg(test)]
mod tests;

/// Entry points of the fuzz targets; exists only under the feature `fuzzing`.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    use super::host_message::HostMessage;

    /// A message that is accepted encodes to the same bytes.
    pub fn host_message(bytes: &[u8]) {
        if let Ok(message) = HostMessage::decode(bytes) {
            assert_eq!(message.encode(), bytes, "accepted bytes are not canonical");
        }
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;

use deepring::receipt::{Agreement, Chain, Salt, VerifiedPrefix, batch_digest, tensors_digest};
use deepring::{AuthenticRing, Digest, Host, PublicKey, SecretKey};

use crate::error::RunError;
use crate::host::Computed;
pub use action::{Action, Batch, Closed, Remembered, WhyFailed, WorkId};
use bounds::Sizes;
pub use bounds::{Bounds, Patience};
use ended::Ended;
use leg_part::Held;
pub(crate) use leg_part::seed;
pub use not_accepted::{NoParticipant, NotAccepted};
use query::{Entering, Query, key_of};
pub use scene::RandomBytes;
use scene::{Ground, QueryKey, Scene, Shared, SignedReceipts};

/// One host's part in all queries around a ring.
#[derive(Debug)]
pub struct Participant<'r> {
    ground: Ground<'r>,
    shared: Shared,
    queries: BTreeMap<QueryKey, Query<'r>>,
    ended: Ended,
    refused: BTreeMap<[u8; 64], u64>,
}

impl<'r> Participant<'r> {
    /// The part of the host with this key in the queries around a ring. `signed` is what it was to
    /// [remember](Action::Remember) before it was restarted.
    ///
    /// # Errors
    /// [`NoParticipant`] where nothing is dealt, or nothing to this host.
    pub fn new(
        ring: &'r AuthenticRing,
        key: SecretKey<Host>,
        (patience, bounds): (Patience, Bounds),
        signed: impl IntoIterator<Item = Remembered>,
        random: RandomBytes,
    ) -> Result<Self, NoParticipant> {
        let outline = ring.outline();
        let deal = outline.deal().ok_or(NoParticipant::NotDealt)?;
        let me = key.public();
        let mut others: Vec<PublicKey<Host>> = Vec::new();
        for host in deal.legs.iter().flat_map(|leg| &leg.hosts).chain(&deal.genesis) {
            if !others.contains(host) {
                others.push(*host);
            }
        }
        if !others.contains(&me) {
            return Err(NoParticipant::NotInDeal);
        }
        others.retain(|host| *host != me);
        let sizes = Sizes::of(ring, deal, &bounds);
        let ended = Ended::new(bounds.ended);
        let shared = Shared::new(random, SignedReceipts::new(bounds.remembered, signed));
        let arbiter = None;
        let cut_off = BTreeMap::new();
        let ground =
            Ground { outline, deal, key, me, others, patience, bounds, sizes, arbiter, cut_off };
        Ok(Self { ground, shared, queries: BTreeMap::new(), ended, refused: BTreeMap::new() })
    }

    /// As this, with an arbiter, for whom the tensors of disputed legs are sealed ([`Action::Disputed`]): it sees what entered
    /// them.
    #[must_use]
    pub fn with_arbiter(mut self, arbiter: Option<PublicKey<Host>>) -> Self {
        self.ground.arbiter = arbiter;
        self
    }

    /// The hosts with which the transport has no connection, from now on: where a leg can be settled without them they are waited for
    /// half the floor more at most, and otherwise for longer. It is for the driver to say, and no other host's word.
    pub fn set_cut_off(&mut self, now: u64, hosts: &[PublicKey<Host>]) {
        let known = std::mem::take(&mut self.ground.cut_off);
        let since = |host: &[u8; 64]| known.get(host).copied().unwrap_or(now);
        let hosts = hosts.iter().map(|host| (*host.as_bytes(), since(host.as_bytes())));
        self.ground.cut_off = hosts.collect();
    }

    /// Opens a query as a host of Genesis: `chain` is what [`RingHost::begin`](crate::RingHost::begin) gave for this batch and
    /// salt. Its end is a [`Closed`] or an [`Action::Failed`].
    ///
    /// # Errors
    /// [`NotAccepted`] where the chain is not one that this host just opened for this batch under the deal, or a bound is reached.
    pub fn open(
        &mut self,
        now: u64,
        chain: Chain,
        salt: Salt,
        batch: Batch,
    ) -> Result<Vec<Action>, NotAccepted> {
        let opening = chain.opening().clone();
        if opening.host != self.ground.me || !chain.legs().is_empty() {
            return Err(NotAccepted::NotOpener);
        }
        let key = key_of(&opening);
        if self.queries.contains_key(&key) || self.ended.has(&key) {
            return Err(NotAccepted::Known);
        }
        let prefix = self.verified(&chain, None)?;
        let cut = self.ground.sizes.cut(0).ok_or(NotAccepted::OtherDeal)?;
        cut.refuse_batch(&batch, self.ground.bounds.batch)?;
        let inputs: Vec<Digest> = batch.iter().map(|t| tensors_digest(&salt, t)).collect();
        let digest = batch_digest(&inputs);
        if digest != opening.inputs || salt.commitment() != opening.salt {
            return Err(NotAccepted::NotOpener);
        }
        let held = Held { digest, batch: Arc::new(batch) };
        let mut out = Vec::new();
        let (mut scene, queries) = self.scene(now, &mut out);
        incoming::admit(scene.ground, queries, &key, (0, inputs.len(), held.len()))?;
        let mut query = Query::new(&scene, &opening, salt);
        query.was_given_inputs(inputs);
        // The other hosts are given the inputs first: should this one be lost, the query is not.
        query.give_inputs(&mut scene, chain.clone(), held.clone());
        if scene.ground.leg(0).is_some_and(|leg| leg.place_of(&scene.ground.me).is_some()) {
            query.enter(&mut scene, Entering { leg: 0, chain, prefix, held })?;
        }
        queries.insert(key, query);
        self.sweep();
        Ok(out)
    }

    /// Bytes that another host sent. `from` is who the transport says sent them.
    ///
    /// # Errors
    /// [`NotAccepted`]; nothing changes by such a message but the sender's [count](Self::refused).
    pub fn receive(
        &mut self,
        now: u64,
        from: &PublicKey<Host>,
        bytes: &[u8],
    ) -> Result<Vec<Action>, NotAccepted> {
        if !self.ground.others.contains(from) {
            return Err(NotAccepted::Stranger);
        }
        let mut out = Vec::new();
        let looked = self.look_at(now, *from, bytes, &mut out);
        self.sweep();
        if let Err(refused) = looked {
            let count = self.refused.entry(*from.as_bytes()).or_default();
            *count = count.saturating_add(1);
            return Err(refused);
        }
        Ok(out)
    }

    /// The result of a [`Compute`](Action::Compute).
    pub fn computed(
        &mut self,
        now: u64,
        work: WorkId,
        result: Result<Computed, RunError>,
    ) -> Vec<Action> {
        self.worked(now, work, |query, scene, leg| query.computed(scene, leg, work, result))
    }

    /// The result of a [`Compare`](Action::Compare).
    pub fn compared(
        &mut self,
        now: u64,
        work: WorkId,
        result: Result<Agreement, RunError>,
    ) -> Vec<Action> {
        self.worked(now, work, |query, scene, leg| query.compared(scene, leg, work, result))
    }

    /// Time went by: does what is due.
    pub fn tick(&mut self, now: u64) -> Vec<Action> {
        let mut out = Vec::new();
        let (mut scene, queries) = self.scene(now, &mut out);
        for query in queries.values_mut() {
            if query.wake_at(scene.ground) <= now {
                query.tick(&mut scene);
            }
        }
        self.sweep();
        out
    }

    /// When [`tick`](Self::tick) has something to do next; `None` while there is no query.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        self.queries.values().map(|query| query.wake_at(&self.ground)).min()
    }

    /// Most bytes of a message that another host of this ring sends; longer ones are refused undecoded.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.ground.sizes.message(&self.ground.deal.genesis, &self.ground.bounds)
    }

    /// Queries that are under way here.
    #[must_use]
    pub fn live(&self) -> usize {
        self.queries.len()
    }

    /// Messages of a host that were refused.
    #[must_use]
    pub fn refused(&self, host: &PublicKey<Host>) -> u64 {
        self.refused.get(host.as_bytes()).copied().unwrap_or(0)
    }
}

impl<'r> Participant<'r> {
    fn scene<'p>(
        &'p mut self,
        now: u64,
        out: &'p mut Vec<Action>,
    ) -> (Scene<'p, 'r>, &'p mut BTreeMap<QueryKey, Query<'r>>) {
        let scene = Scene { ground: &self.ground, shared: &mut self.shared, now, out };
        (scene, &mut self.queries)
    }

    fn worked(
        &mut self,
        now: u64,
        work: WorkId,
        given: impl FnOnce(&mut Query<'r>, &mut Scene<'_, 'r>, usize),
    ) -> Vec<Action> {
        let mut out = Vec::new();
        // Of a query that ended meanwhile nobody wants the result.
        if let Some(due) = self.shared.work.remove(&work) {
            let (mut scene, queries) = self.scene(now, &mut out);
            if let Some(query) = queries.get_mut(&due.query) {
                given(query, &mut scene, due.leg);
            }
            self.sweep();
        }
        out
    }

    /// Verifies that a chain is one of this ring's deal.
    fn verified(
        &self,
        chain: &Chain,
        known: Option<&VerifiedPrefix>,
    ) -> Result<VerifiedPrefix, NotAccepted> {
        if !chain.is_dealt() {
            return Err(NotAccepted::OtherDeal);
        }
        Ok(chain.verify_after(self.ground.outline, known)?.prefix())
    }

    /// Forgets what ended.
    fn sweep(&mut self) {
        let over: Vec<QueryKey> =
            self.queries.iter().filter(|(_, q)| q.end().is_some()).map(|(key, _)| *key).collect();
        for key in over {
            let Some(end) = self.queries.remove(&key).and_then(Query::into_end) else { continue };
            self.shared.work.retain(|_, due| due.query != key);
            if !self.queries.keys().any(|(query, _)| *query == key.0) {
                self.shared.aside.drop_query(key.0);
            }
            self.ended.add(key, end);
        }
    }
}
