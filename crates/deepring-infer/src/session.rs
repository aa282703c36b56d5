//! A session: a ring that stays open, with the hosts whose keys are at hand, and answers queries.

mod answer;
mod replicated;
mod route;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use deepring::replication::FailedCopy;
use deepring::{
    AuthenticRing, Check, Decision, Digest, Finding, Host, Manifest, PublicKey, SecretKey,
    TensorValue,
};

use crate::engine::{Engine, Rten};
use crate::error::{InputError, Rejected, RunError};
use crate::host::{
    BlockProtection, Floor, LayerMargin, Rehearsal, RingHost, Timings, refuse_weights,
};
use crate::query_inputs::{check_inputs, check_ranges, list};
use route::Route;

/// How a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// How parameters are checked.
    pub check: Check,
    /// Threads of the engine; `None` for one a core.
    pub threads: Option<NonZeroUsize>,
    /// True if bytes are compared on a further thread while the engine computes.
    pub background_check: bool,
    /// How the legs of a dealt ring are run.
    pub validation: Validate,
}

/// How the legs of a dealt ring are run. A ring that is not dealt is always run unvalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validate {
    /// As its deal promises: each leg by its copies, which validate each other.
    #[default]
    AsDealt,
    /// By whichever key can go furthest, and unvalidated: a verifier who requires what the deal promises refuses the receipt.
    Nobody,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            check: Check::Auto,
            threads: None,
            background_check: false,
            validation: Validate::AsDealt,
        }
    }
}

/// The result of a query, or of a batch of queries.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// The outputs of each query that was answered, in the order of the network's outputs.
    pub outputs: Vec<Vec<TensorValue>>,
    /// The queries that were not, by their number in the batch: the decision is about the others.
    pub rejected: Vec<Rejected>,
    /// The closed and signed chain of receipts.
    pub decision: Decision,
    /// Copies that failed in a leg that the others settled all the same.
    pub named: Vec<FailedCopy>,
    /// Where the time went.
    pub timings: Timings,
}

/// An open ring with all the hosts that its blocks need.
///
/// Every key plays its own host: where two blocks that follow each other are run by different keys,
/// what passes between them is a sealed [`Parcel`](deepring::receipt::Parcel) of bytes, as it would be across a network.
#[derive(Debug)]
pub struct Session<E: Engine = Rten> {
    ring: Arc<AuthenticRing>,
    hosts: Vec<RingHost<E>>,
    route: Route,
    /// The nonce that openings sign.
    nonce: Option<Digest>,
    /// Inputs of the network that a linear operator reads as they are: their values have a bound.
    ranged: Vec<String>,
}

impl Session<Rten> {
    /// Opens a ring with the keys at hand on the default engine.
    ///
    /// # Errors
    /// As [`open_on`](Self::open_on).
    pub fn open(
        ring: AuthenticRing,
        keys: &[SecretKey<Host>],
        options: SessionOptions,
    ) -> Result<Self, RunError> {
        let engine = Rten::new(options.threads);
        Self::open_on(engine, ring, keys, options, &|_| ())
    }
}

impl<E: Engine> Session<E> {
    /// Opens a ring on an engine, whose threads are its own. `progress` is called with the number of bytes just opened.
    ///
    /// # Errors
    /// [`RunError::Open`] with [`OtherKind`](deepring::opening::OpenError::OtherKind) for a ring of weights; [`RunError::NoKey`] if
    /// some block is sealed for none of the keys; and as [`RingHost::open`] and [`RingHost::load_block`].
    pub fn open_on(
        engine: E,
        ring: AuthenticRing,
        keys: &[SecretKey<Host>],
        options: SessionOptions,
        progress: &dyn Fn(u64),
    ) -> Result<Self, RunError> {
        let engine = Arc::new(engine);
        Self::open_each(&|_| Arc::clone(&engine), ring, keys, options, progress)
    }

    /// As [`open_on`](Self::open_on), with an engine for each host, as they would have on machines of their own: copies of a leg
    /// whose engines state something else validate each other within a tolerance.
    ///
    /// # Errors
    /// As [`open_on`](Self::open_on).
    pub fn open_each(
        engine_of: &dyn Fn(&PublicKey<Host>) -> Arc<E>,
        ring: AuthenticRing,
        keys: &[SecretKey<Host>],
        options: SessionOptions,
        progress: &dyn Fn(u64),
    ) -> Result<Self, RunError> {
        refuse_weights(&ring)?;
        let planned = route::plan(&ring, keys, options.validation)?;
        let ring = Arc::new(ring);
        let mut hosts: Vec<RingHost<E>> = Vec::new();
        for key in keys {
            // A key that is given twice plays one host.
            let known = hosts.iter().any(|host| host.public() == key.public());
            let Some(blocks) = planned.blocks_of(&key.public()).filter(|_| !known) else {
                continue;
            };
            let (ring, engine) = (Arc::clone(&ring), engine_of(&key.public()));
            let mut host =
                RingHost::open(ring, engine, key.clone(), 0..0, options.check, progress)?;
            host.set_background_check(options.background_check);
            for index in blocks {
                host.load_block(index)?;
                progress(host.plain_len(index));
            }
            hosts.push(host);
        }
        let route = planned.placed(&hosts)?;
        let ranged = hosts.iter().flat_map(RingHost::read_by_linear_operators).collect();
        Ok(Self { ring, hosts, route, ranged, nonce: None })
    }

    /// Sets whether bytes are compared on a thread of its own while the engine computes; for machines on which the
    /// engine leaves a core free.
    pub fn set_background_check(&mut self, background_check: bool) {
        self.hosts.iter_mut().for_each(|host| host.set_background_check(background_check));
    }

    /// Sets the nonce that the opening of each query signs from now on; `None` for none. An answer with it was not there
    /// before it was given.
    pub fn set_nonce(&mut self, nonce: Option<Digest>) {
        self.nonce = nonce.filter(|nonce| *nonce != Digest::NONE);
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &AuthenticRing {
        &self.ring
    }

    /// The manifest that Genesis seals: labels, pre-processing, names. Decoded anew at each call from bytes that are
    /// checked like parameters, so ask after a query for the labels of its answer.
    ///
    /// # Errors
    /// As [`RingHost::manifest`].
    pub fn manifest(&self) -> Result<Manifest, RunError> {
        self.host(self.route.opener)?.manifest()
    }

    /// Answers one query.
    ///
    /// # Errors
    /// As [`run_batch`](Self::run_batch).
    pub fn run(&self, inputs: Vec<TensorValue>) -> Result<RunOutcome, RunError> {
        self.run_batch(vec![inputs])
    }

    /// Answers a batch of queries with one chain of receipts.
    ///
    /// Each query is checked and computed on its own; signatures are shared. The first tampering that is found ends the batch,
    /// and nothing is signed for it. A query whose inputs are at fault is rejected, and the others are answered without it.
    ///
    /// # Errors
    /// Any [`RunError`]; [`RunError::Input`] where no query is left to answer.
    pub fn run_batch(&self, batch: Vec<Vec<TensorValue>>) -> Result<RunOutcome, RunError> {
        let declared = self.ring.inputs();
        if batch.is_empty() {
            return Err(InputError::Nothing { expected: list(declared) }.into());
        }
        for inputs in &batch {
            check_inputs(declared, inputs)?;
        }
        let mut rejected: Vec<Rejected> = Vec::new();
        let mut left: Vec<(usize, Vec<TensorValue>)> = Vec::with_capacity(batch.len());
        for (query, inputs) in batch.into_iter().enumerate() {
            match check_ranges(&self.ranged, &inputs) {
                Ok(()) => left.push((query, inputs)),
                Err(error) => rejected.push(Rejected { query, error }),
            }
        }
        // Each round ends with fewer queries, and there are as many rounds as legs at most, and one more: a leg rejects
        // all that it must at once.
        loop {
            let inputs: Vec<_> = left.iter().map(|(_, inputs)| inputs.clone()).collect();
            if inputs.is_empty() {
                rejected.sort_by_key(|r| r.query);
                let first = rejected.into_iter().next().map(|r| r.error);
                let nothing = InputError::Nothing { expected: list(declared) };
                return Err(first.unwrap_or(nothing).into());
            }
            let answered = match self.route.dealt {
                true => self.answer_dealt(inputs),
                false => self.answer_alone(inputs),
            };
            match answered {
                Err(RunError::Rejected(some)) if !some.is_empty() => {
                    let number = |r: &Rejected| left.get(r.query).map_or(r.query, |(n, _)| *n);
                    rejected.extend(
                        some.iter().map(|r| Rejected { query: number(r), error: r.error.clone() }),
                    );
                    left.retain(|(n, _)| !rejected.iter().any(|r| r.query == *n));
                }
                Ok(outcome) => {
                    rejected.sort_by_key(|r| r.query);
                    return Ok(RunOutcome { rejected, ..outcome });
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Tampering that was detected in live memory since the session was opened, host by host. Whoever embeds a
    /// session records these where they outlive it.
    #[must_use]
    pub fn alarms(&self) -> Vec<Finding> {
        self.hosts.iter().flat_map(RingHost::alarms).collect()
    }

    /// The same, each host's beside its key.
    pub fn alarms_by_host(&self) -> impl Iterator<Item = (PublicKey<Host>, Vec<Finding>)> + '_ {
        self.hosts.iter().map(|host| (host.public(), host.alarms()))
    }

    /// The protection of each block's memory, by its index.
    pub fn protections(&self) -> impl Iterator<Item = (u32, BlockProtection)> + '_ {
        self.hosts.iter().flat_map(RingHost::protections)
    }

    /// Answers one query, and measures what the product of each layer could tell apart on it: how close the
    /// right output came to being refused, and how small an edit would have been met. For a session that checks
    /// with [`Check::Compute`]; nothing is signed.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn margins(
        &self,
        inputs: Vec<TensorValue>,
        random: &mut (dyn FnMut() -> usize + Send),
    ) -> Result<Vec<LayerMargin>, RunError> {
        check_inputs(self.ring.inputs(), &inputs)?;
        let (mut current, mut all) = (inputs, Vec::new());
        for leg in self.legs() {
            let (host, blocks) = leg?;
            let (out, margins) = host.margins(&current, blocks, random)?;
            all.extend(margins);
            current = out;
        }
        Ok(all)
    }

    /// Answers one query, and keeps what passed between its blocks, to measure with [`floor`](Self::floor); signs nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn rehearse(&self, inputs: Vec<TensorValue>) -> Result<Vec<Rehearsal<E>>, RunError> {
        check_inputs(self.ring.inputs(), &inputs)?;
        let (mut current, mut all) = (inputs, Vec::new());
        for leg in self.legs() {
            let (host, blocks) = leg?;
            let (out, rehearsal) = host.rehearse(&current, blocks)?;
            all.push(rehearsal);
            current = out;
        }
        Ok(all)
    }

    /// The cost of the parts of this session's check alone on a query that was [rehearsed](Self::rehearse): the least that a
    /// query under it can cost. Nothing is verified, and nothing answered.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn floor(&self, rehearsed: &[Rehearsal<E>]) -> Result<Floor, RunError> {
        let mut sum = Floor::default();
        for (leg, rehearsal) in self.legs().zip(rehearsed) {
            let floor = leg?.0.floor(rehearsal)?;
            sum.engine += floor.engine;
            sum.bytes += floor.bytes;
            sum.outputs += floor.outputs;
        }
        Ok(sum)
    }

    /// The live bytes of a block, as they are now, at the places that its header's parts name. For whoever
    /// audits live memory, or attacks it.
    #[must_use]
    pub fn live_bytes(&self, index: u32) -> Option<&[u8]> {
        self.hosts.get(self.host_of(index)?)?.live_bytes(index)
    }

    /// Opens one block anew from the ring, in place of what is in memory.
    ///
    /// # Errors
    /// [`RunError::NotLoaded`] where no host of the session runs the block; and as [`RingHost::load_block`].
    pub fn reload_block(&mut self, index: u32) -> Result<(), RunError> {
        let host = self.host_of(index).and_then(|host| self.hosts.get_mut(host));
        host.ok_or(RunError::NotLoaded { block: index })?.load_block(index)
    }

    /// A host by its place among the session's, as the route has it.
    fn host(&self, place: usize) -> Result<&RingHost<E>, RunError> {
        // The hosts are those among which the route was placed, so that there is one.
        self.hosts.get(place).ok_or(RunError::NotLoaded { block: 0 })
    }

    /// Leg by leg, the first host that runs it, and its blocks.
    fn legs(&self) -> impl Iterator<Item = Result<(&RingHost<E>, Range<u32>), RunError>> {
        self.route.legs.iter().map(|leg| Ok((self.host(leg.host)?, leg.blocks.clone())))
    }

    /// The host that runs a block; Genesis is played by the host of the first block.
    fn host_of(&self, index: u32) -> Option<usize> {
        let index = index.max(1);
        self.route.legs.iter().find(|leg| leg.blocks.contains(&index)).map(|leg| leg.host)
    }

    /// The live tensors are kept in the order of their names; a caller wants the network's.
    fn in_declared_order(&self, batch: Vec<Vec<TensorValue>>) -> Vec<Vec<TensorValue>> {
        let order = self.ring.outputs();
        let place = |t: &TensorValue| order.iter().position(|s| s.name == t.name());
        batch
            .into_iter()
            .map(|mut tensors| {
                tensors.sort_by_key(place);
                tensors
            })
            .collect()
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
