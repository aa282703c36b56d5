//! A query around a dealt ring: each leg by its copies, which commit, reveal, compare and validate each other.
//!
//! Every key plays its own host, and what they say to each other are the bytes that a network would carry. The driver here has no
//! patience to lose: a copy that has nothing more to say while others wait for it is absent.

use std::collections::VecDeque;
use std::time::Instant;

use deepring::receipt::{
    Chain, Item, Parcel, ParcelError, Salt, VerifiedPrefix, batch_digest, tensors_digest,
};
use deepring::replication::{FailedCopy, LegCopy, LegOutcome, Outgoing, Settled};
use deepring::{Digest, Host, PublicKey, TensorValue};

use super::route::Leg;
use super::{RunOutcome, Session};
use crate::engine::Engine;
use crate::error::RunError;
use crate::host::{Computed, RingHost, Timings, digest_of};
use crate::participant::seed;

/// A batch as one host holds it: the live tensors and the digest of each query's.
#[derive(Clone)]
struct Held {
    batch: Vec<Vec<TensorValue>>,
    digests: Vec<Digest>,
}

/// A query on its way.
struct Query {
    chain: Chain,
    salt: Salt,
    /// For each host of the session, the prefix of the chain that it verified.
    known: Vec<Option<VerifiedPrefix>>,
    /// For each host of the session, the tensors that the chain's newest record names, if it holds them.
    held: Vec<Option<Held>>,
    named: Vec<FailedCopy>,
    timings: Timings,
}

/// A copy whose key is at hand: which of the session's hosts it is, its machine, its result.
struct Copy<'a> {
    host: usize,
    machine: LegCopy<'a>,
    computed: Option<Computed>,
    failed: bool,
}

impl<E: Engine> Session<E> {
    /// Answers a batch whose inputs were checked, with every leg validated.
    pub(super) fn answer_dealt(
        &self,
        batch: Vec<Vec<TensorValue>>,
    ) -> Result<RunOutcome, RunError> {
        let nothing = || RunError::NotLoaded { block: 0 };
        let opener = self.route.genesis.first().copied().ok_or_else(nothing)?;
        let first = self.hosts.get(opener).ok_or_else(nothing)?;
        let clock = Instant::now();
        let start = self.start()?;
        let digests: Vec<_> = batch.iter().map(|t| tensors_digest(&start.salt, t)).collect();
        let chain = first.begin_on(batch_digest(&digests), &start, true)?;
        let mut query = Query {
            chain,
            salt: start.salt,
            known: vec![None; self.hosts.len()],
            held: vec![None; self.hosts.len()],
            named: Vec::new(),
            timings: Timings { receipt: clock.elapsed(), ..Timings::default() },
        };
        let input_digests = digests.clone();
        if let Some(place) = query.held.get_mut(opener) {
            *place = Some(Held { batch, digests });
        }
        for leg in &self.route.legs {
            let copies: Vec<usize> = leg.hosts.iter().flatten().copied().collect();
            self.pass_on(&mut query, &copies)?;
            self.run_leg(&mut query, leg)?;
        }
        let clock = Instant::now();
        self.pass_on(&mut query, &self.route.genesis)?;
        let (closer, held) = self
            .route
            .genesis
            .iter()
            .find_map(|host| Some((*host, query.held.get_mut(*host)?.take()?)))
            .ok_or_else(nothing)?;
        let pairs = input_digests.into_iter().zip(held.digests);
        let items = pairs.map(|(inputs, outputs)| Item { inputs, outputs }).collect();
        let host = self.hosts.get(closer).ok_or_else(nothing)?;
        let known = query.known.get(closer).copied().flatten();
        let decision = host.close(query.chain, items, query.salt, known.as_ref())?;
        query.timings.receipt += clock.elapsed();
        let outputs = self.in_declared_order(held.batch);
        let (named, timings) = (query.named, query.timings);
        Ok(RunOutcome { outputs, rejected: Vec::new(), decision, named, timings })
    }

    /// PASS_ON: whoever holds the tensors seals them once for all of `hosts` that lack them. Each verifies the chain, and that
    /// the tensors are those that its newest record names.
    fn pass_on(&self, query: &mut Query, hosts: &[usize]) -> Result<(), RunError> {
        let clock = Instant::now();
        let holds = |host: &usize| query.held.get(*host).is_some_and(Option::is_some);
        let lacking: Vec<usize> = hosts.iter().copied().filter(|host| !holds(host)).collect();
        let holder = query.held.iter().flatten().next();
        let sealed = match (holder, lacking.is_empty()) {
            (Some(held), false) => {
                let keys: Vec<PublicKey<Host>> =
                    lacking.iter().filter_map(|h| Some(self.hosts.get(*h)?.public())).collect();
                let chain = query.chain.clone();
                Some(Parcel::seal(chain, &query.salt, &held.batch, &keys)?.encode())
            }
            _ => None,
        };
        for host in lacking {
            let (Some(sealed), Some(receiver)) = (&sealed, self.hosts.get(host)) else { continue };
            let parcel = Parcel::decode(sealed).map_err(ParcelError::from)?;
            let before = query.known.get(host).copied().flatten();
            let delivered = receiver.accept_after(parcel, before.as_ref())?;
            let digests =
                delivered.batch.iter().map(|t| tensors_digest(&delivered.salt, t)).collect();
            if let (Some(held), Some(known)) = (query.held.get_mut(host), query.known.get_mut(host))
            {
                *held = Some(Held { batch: delivered.batch, digests });
                *known = Some(delivered.prefix);
            }
        }
        // Who computed the tensors itself verifies the chain that goes on all the same.
        for host in hosts {
            let Some(known) = query.known.get_mut(*host) else { continue };
            let verified = query.chain.verify_after(self.ring.outline(), known.as_ref());
            *known = Some(verified.map_err(ParcelError::from)?.prefix());
        }
        query.timings.receipt += clock.elapsed();
        Ok(())
    }

    /// One leg by its copies, until it is settled or nothing more can come.
    fn run_leg(&self, query: &mut Query, leg: &Leg) -> Result<(), RunError> {
        let chain = query.chain.clone();
        let mut copies: Vec<Copy<'_>> = Vec::with_capacity(leg.hosts.len());
        for host in leg.hosts.iter().flatten() {
            let Some(key) = self.hosts.get(*host).map(RingHost::key) else { continue };
            let known = query.known.get(*host).copied().flatten();
            let verified = chain.verify_after(self.ring.outline(), known.as_ref());
            let verified = verified.map_err(ParcelError::from)?;
            let machine = LegCopy::new(&verified, key.clone());
            let machine = machine.map_err(|_| RunError::NotLoaded { block: leg.blocks.start })?;
            copies.push(Copy { host: *host, machine, computed: None, failed: false });
        }
        let mut messages: VecDeque<(PublicKey<Host>, Outgoing)> = VecDeque::new();
        let mut refused = None;
        loop {
            for copy in &mut copies {
                if copy.machine.is_active() && copy.computed.is_none() && !copy.failed {
                    match self.compute(query, copy, leg) {
                        Ok(sent) => messages.extend(sent),
                        // Inputs that cannot be answered are the query's fault, and no copy's.
                        Err(e @ RunError::Rejected(_)) => return Err(e),
                        Err(e) => {
                            copy.failed = true;
                            refused.get_or_insert(e);
                        }
                    }
                }
            }
            let clock = Instant::now();
            while let Some((from, Outgoing { to, bytes })) = messages.pop_front() {
                let receiver = copies.iter_mut().find(|copy| self.is_host(copy.host, &to));
                let Some(receiver) = receiver.filter(|copy| !copy.failed) else { continue };
                // A message that is not looked at changes nothing; who sent it is waited for in vain.
                if let Ok(sent) = receiver.machine.receive(&from, &bytes) {
                    messages.extend(sent.into_iter().map(|sent| (to, sent)));
                }
            }
            query.timings.receipt += clock.elapsed();
            let due = |copy: &Copy<'_>| {
                copy.machine.is_active() && copy.computed.is_none() && !copy.failed
            };
            if copies.iter().any(due) {
                continue;
            }
            for place in 0..copies.len() {
                match self.compare(query, &mut copies, place, leg) {
                    Ok(sent) => messages.extend(sent),
                    Err(e) => {
                        if let Some(copy) = copies.get_mut(place) {
                            copy.failed = true;
                        }
                        refused.get_or_insert(e);
                    }
                }
            }
            if !messages.is_empty() {
                continue;
            }
            // Everything was delivered: a copy that is still waited for has nothing more to say.
            for copy in copies.iter_mut().filter(|copy| !copy.failed) {
                let gone: Vec<PublicKey<Host>> = copy.machine.waits_for().collect();
                let Some(me) = self.hosts.get(copy.host).map(RingHost::public) else { continue };
                for who in gone {
                    let sent = copy.machine.absent(&who);
                    messages.extend(sent.into_iter().map(|sent| (me, sent)));
                }
            }
            if messages.is_empty() {
                break;
            }
        }
        self.conclude(query, copies, leg, refused)
    }

    /// COMPUTE: a copy's result, and the commitments that it sends.
    fn compute(
        &self,
        query: &mut Query,
        copy: &mut Copy<'_>,
        leg: &Leg,
    ) -> Result<Vec<(PublicKey<Host>, Outgoing)>, RunError> {
        let lacking = || RunError::NotLoaded { block: leg.blocks.start };
        let host = self.hosts.get(copy.host).ok_or_else(lacking)?;
        let held = query.held.get(copy.host).and_then(Option::as_ref).ok_or_else(lacking)?;
        let computed = host.compute(&query.salt, &held.batch, leg.blocks.clone())?;
        query.timings += computed.timings;
        let clock = Instant::now();
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| RunError::NoRandomness)?;
        let sent = copy.machine.computed(computed.result.clone(), nonce);
        copy.computed = Some(computed);
        query.timings.receipt += clock.elapsed();
        Ok(sent.into_iter().map(|sent| (host.public(), sent)).collect())
    }

    /// COMPARE, where bits differ of copies that state other engines: the tensors of the one, if they are those that its receipt
    /// names, against those of the copy in this place.
    fn compare(
        &self,
        query: &mut Query,
        copies: &mut [Copy<'_>],
        place: usize,
        leg: &Leg,
    ) -> Result<Vec<(PublicKey<Host>, Outgoing)>, RunError> {
        let mut messages = Vec::new();
        // One other copy after the other: each is compared once, or absent.
        for _ in 0..copies.len() {
            let Some(copy) = copies.get(place).filter(|copy| !copy.failed) else { break };
            let Some((other, receipt)) = copy.machine.wants_outputs() else { break };
            let shown = copies
                .iter()
                .filter(|copy| self.is_host(copy.host, &other))
                .find_map(|copy| copy.computed.as_ref())
                .map(|computed| &computed.outputs)
                .filter(|outputs| digest_of(&query.salt, outputs) == receipt.outputs);
            let host = self.hosts.get(copy.host);
            let held = query.held.get(copy.host).and_then(Option::as_ref);
            let own = copy.computed.as_ref().map(|computed| &computed.outputs);
            let clock = Instant::now();
            let agreement = match (host, held, own, shown) {
                (Some(host), Some(held), Some(own), Some(shown)) => {
                    let seed = seed(query.chain.opening().query, leg.blocks.start);
                    Some(host.compare(&held.batch, &leg.blocks, own, shown, seed)?)
                }
                _ => None,
            };
            query.timings.check += clock.elapsed();
            let (Some(copy), Some(me)) = (copies.get_mut(place), host.map(RingHost::public)) else {
                break;
            };
            let sent = match agreement {
                Some(agreement) => copy.machine.compared(&other, agreement),
                None => copy.machine.absent(&other),
            };
            messages.extend(sent.into_iter().map(|sent| (me, sent)));
        }
        Ok(messages)
    }

    /// SETTLE or DISPUTE: the chain goes on with the standing receipt, and with the tensors of those who came to the same.
    fn conclude(
        &self,
        query: &mut Query,
        copies: Vec<Copy<'_>>,
        leg: &Leg,
        refused: Option<RunError>,
    ) -> Result<(), RunError> {
        let clock = Instant::now();
        let working = || copies.iter().filter(|copy| !copy.failed);
        let settled = working().find_map(|copy| match copy.machine.outcome() {
            Some(LegOutcome::Settled(settled)) => Some(*settled),
            _ => None,
        });
        let mut named: Vec<FailedCopy> = Vec::new();
        for copy in working() {
            for failed in copy.machine.named() {
                if !named.iter().any(|known| known.host == failed.host) {
                    named.push(failed);
                }
            }
        }
        let Some(Settled { receipt, mut validations }) = settled else {
            let name = self.ring.headers().get(leg.blocks.start as usize).map(|h| h.name.clone());
            // Tampering that one copy found in its own memory says more than that the other was left alone.
            return Err(refused.unwrap_or(RunError::Disputed {
                block: leg.blocks.start,
                name: name.unwrap_or_default(),
                named,
            }));
        };
        for copy in working() {
            if let Some(LegOutcome::Settled(more)) = copy.machine.outcome()
                && more.receipt == receipt
            {
                let new = more.validations.into_iter();
                let new = new.filter(|v| !validations.iter().any(|known| known.host == v.host));
                let new: Vec<_> = new.collect();
                validations.extend(new);
            }
        }
        let outputs = receipt.outputs;
        query.held.iter_mut().for_each(|held| *held = None);
        for copy in copies {
            let computed = copy.computed.filter(|c| !copy.failed && c.result.outputs == outputs);
            if let (Some(computed), Some(held)) = (computed, query.held.get_mut(copy.host)) {
                *held = Some(Held { batch: computed.outputs, digests: computed.digests });
            }
        }
        query.chain.extend_settled(receipt, validations);
        query.named.extend(named);
        query.timings.receipt += clock.elapsed();
        Ok(())
    }

    fn is_host(&self, host: usize, key: &PublicKey<Host>) -> bool {
        self.hosts.get(host).is_some_and(|host| host.public() == *key)
    }
}
