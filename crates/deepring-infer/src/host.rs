//! One host: opens the blocks that it was granted, and runs a query's leg of them.

mod alarms;
mod auditing;
mod background;
mod block;
mod block_fault;
mod block_outputs;
mod block_use;
mod choice;
mod fault;
mod genesis;
mod leg;
mod margins;
mod opening;
mod rehearsal;
mod rounding;
mod second_run;
mod shared;
mod shared_blocks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deepring::opening::OpenError;
use deepring::receipt::{
    Agreement, Chain, Delivered, Item, LegResult, Parcel, QueryStart, Salt, SampleRate,
    VerifiedPrefix, batch_digest, tensors_digest,
};
use deepring::{
    AuthenticRing, Check, Decision, Digest, Finding, Header, Host, Manifest, OpeningKey, PublicKey,
    RingKind, SecretKey, TensorValue,
};

use crate::engine::Engine;
use crate::error::RunError;
use alarms::Alarms;
pub use block::{BlockProtection, LoadedBlock};
pub use block_outputs::BlockOutputs;
pub use block_use::{BlockUse, Unchecked, VerifiedOutputs};
use choice::ChosenPlans;
use genesis::GenesisBlock;
pub use margins::LayerMargin;
pub use rehearsal::{Floor, Rehearsal};
use shared_blocks::SharedBlocks;

/// A party that holds the keys of some blocks. Whether the next host is in this process or across a
/// network, it is given a [`Parcel`] and nothing else.
pub struct RingHost<E: Engine> {
    ring: Arc<AuthenticRing>,
    engine: Arc<E>,
    key: SecretKey<Host>,
    /// `None` for a host that was dealt legs and not Genesis.
    genesis: Option<GenesisBlock>,
    blocks: BTreeMap<u32, LoadedBlock<E>>,
    shared: SharedBlocks,
    /// Blocks that are to be opened anew with the next one, because an earlier try did not get to them.
    overdue: BTreeSet<u32>,
    check: Check,
    background: bool,
    /// Legs for which it is known what is cheaper, and of these, those for which that is every product.
    chosen: Mutex<ChosenPlans>,
    alarms: Arc<Alarms>,
}

impl<E: Engine> std::fmt::Debug for RingHost<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingHost")
            .field("key", &self.key)
            .field("blocks", &self.blocks.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Where the time of a query went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Computing.
    pub engine: Duration,
    /// Checking parameters.
    pub check: Duration,
    /// Digests, signatures, sealing between hosts.
    pub receipt: Duration,
}

/// A leg of blocks that a host computed, and has not signed.
#[derive(Debug, Clone)]
pub struct Computed {
    /// For each query, the live tensors after the last block.
    pub outputs: Vec<Vec<TensorValue>>,
    /// The digest of each query's outputs, under the query's salt.
    pub digests: Vec<Digest>,
    /// The result that a receipt states of it.
    pub result: LegResult,
    /// Where the time went.
    pub timings: Timings,
}

impl std::ops::AddAssign for Timings {
    fn add_assign(&mut self, other: Self) {
        self.engine += other.engine;
        self.check += other.check;
        self.receipt += other.receipt;
    }
}

/// Refuses a ring that has nothing to run.
pub(crate) fn refuse_weights(ring: &AuthenticRing) -> Result<(), RunError> {
    match ring.kind() {
        RingKind::Network => Ok(()),
        kind @ RingKind::Weights => Err(RunError::Open(OpenError::OtherKind { kind })),
    }
}

impl<E: Engine> RingHost<E> {
    /// Opens Genesis (but for a host that was dealt legs and not Genesis) and the blocks in `range`, which must all be granted to `key`.
    /// `progress` is called with the number of bytes just opened.
    ///
    /// # Errors
    /// [`RunError::Open`] with [`OpenError::OtherKind`] for a ring of weights; [`RunError::CheckNeedsBytes`] where the engine computes
    /// with copies and the check compares bytes; and as [`load_block`](Self::load_block).
    pub fn open(
        ring: Arc<AuthenticRing>,
        engine: Arc<E>,
        key: SecretKey<Host>,
        range: Range<u32>,
        check: Check,
        progress: &dyn Fn(u64),
    ) -> Result<Self, RunError> {
        if !E::IN_PLACE && !matches!(check, Check::None | Check::Load | Check::Compute) {
            return Err(RunError::CheckNeedsBytes { check });
        }
        refuse_weights(&ring)?;
        let alarms = Arc::<Alarms>::default();
        // Under a deal, hosts that do not stand in for Genesis cannot open it.
        let without =
            ring.outline().deal().is_some_and(|deal| !deal.genesis.contains(&key.public()))
                && !ring.is_for(ring.genesis(), OpeningKey::Host(&key));
        let genesis = match without {
            true => None,
            false => Some(GenesisBlock::open(&ring, &key, check > Check::Load, &alarms)?),
        };
        let mut host = Self {
            ring,
            engine,
            key,
            genesis,
            blocks: BTreeMap::new(),
            shared: SharedBlocks::default(),
            overdue: BTreeSet::new(),
            check,
            background: false,
            chosen: Mutex::default(),
            alarms,
        };
        for index in range {
            host.load_block(index)?;
            progress(host.header(index).map_or(0, |h| h.plain_len));
        }
        Ok(host)
    }

    /// Opens one of this host's blocks anew from the ring, in place of what is in memory: the repair of
    /// live memory. Also reopens shared blocks that changed, and all other users of these.
    ///
    /// # Errors
    /// [`RunError::Open`] where the key does not open the block, [`RunError::Tampered`] where its bytes are not what the owner
    /// signed, [`RunError::Engine`] where the engine does not load it.
    pub fn load_block(&mut self, index: u32) -> Result<(), RunError> {
        if index == 0 {
            let checked = self.check > Check::Load;
            let genesis = GenesisBlock::open(&self.ring, &self.key, checked, &self.alarms);
            self.genesis = Some(self.alarmed(genesis)?);
            self.alarms.is_anew(0);
            return Ok(());
        }
        let used: Vec<u32> =
            self.header(index).into_iter().flat_map(Header::shared_blocks).collect();
        let again = self.blocks.contains_key(&index) || !self.alarms.all().is_empty();
        let replaced = match again {
            true => {
                let (ring, key) = (&self.ring, OpeningKey::Host(&self.key));
                self.shared.renew(&used, |i, bytes| ring.confirm_opened(i, key, bytes).is_ok())
            }
            false => Vec::new(),
        };
        let others = self.blocks.iter().filter(|(other, block)| {
            **other != index && block.header().shared_blocks().any(|b| replaced.contains(&b))
        });
        let others: Vec<u32> = others.map(|(other, _)| *other).collect();
        if !replaced.is_empty() {
            self.overdue.extend(others);
            self.overdue.insert(index);
        }
        self.forget_choices();
        let due: Vec<u32> = self.overdue.iter().copied().filter(|due| *due != index).collect();
        for index in std::iter::once(index).chain(due) {
            self.open_block(index)?;
            self.overdue.remove(&index);
        }
        Ok(())
    }

    fn open_block(&mut self, index: u32) -> Result<(), RunError> {
        let tagged = self.check > Check::Load;
        let user = self.ring.headers().get(index as usize);
        let shared = self.shared.of((&self.ring, &self.key), user, tagged);
        let shared = self.alarmed(shared)?;
        let (place, key) = ((&self.ring, &self.engine), &self.key);
        let block = LoadedBlock::open(place, key, index, (self.check, &shared), &self.alarms);
        let block = self.alarmed(block)?;
        self.alarms.is_anew(index);
        block.header().shared_blocks().for_each(|shared| self.alarms.is_anew(shared));
        self.blocks.insert(index, block);
        Ok(())
    }

    fn alarmed<T>(&self, opened: Result<T, RunError>) -> Result<T, RunError> {
        if let Err(RunError::Tampered(finding)) = &opened {
            self.alarms.raise(finding);
        }
        opened
    }

    /// Tampering that was detected in this host's memory since it was opened, or in what was opened anew, oldest first,
    /// of more than 1024 the first. A block that is named here is out of use until it is loaded anew. Whoever embeds a host
    /// records these where they outlive it.
    #[must_use]
    pub fn alarms(&self) -> Vec<Finding> {
        self.alarms.all()
    }

    /// The protection of each loaded block's memory, by its index.
    pub fn protections(&self) -> impl Iterator<Item = (u32, BlockProtection)> + '_ {
        self.blocks.iter().map(|(index, block)| (*index, block.protection()))
    }

    /// A loaded block.
    ///
    /// # Errors
    /// [`RunError::NotLoaded`].
    pub fn loaded_block(&self, index: u32) -> Result<&LoadedBlock<E>, RunError> {
        self.blocks.get(&index).ok_or(RunError::NotLoaded { block: index })
    }

    /// Returns whether this host has opened a block; Genesis is block 0.
    #[must_use]
    pub fn holds(&self, index: u32) -> bool {
        if index == 0 { self.genesis.is_some() } else { self.blocks.contains_key(&index) }
    }

    /// Inputs of the network that linear operators of loaded blocks read as they are.
    pub(crate) fn read_by_linear_operators(&self) -> Vec<String> {
        let declared = self.ring.inputs();
        let read = |name: &String| self.blocks.values().any(|b| b.reads_linearly(name));
        declared.iter().map(|s| &s.name).filter(|n| read(n)).cloned().collect()
    }

    /// The host's public key.
    #[must_use]
    pub fn public(&self) -> PublicKey<Host> {
        self.key.public()
    }

    /// Sets whether bytes are compared on a thread of its own while the engine computes; for machines on which the
    /// engine leaves a core free. Off at first.
    pub fn set_background_check(&mut self, background_check: bool) {
        self.background = background_check && self.check > Check::Load;
    }

    /// The blocks that are loaded.
    pub fn loaded(&self) -> impl Iterator<Item = u32> + '_ {
        self.blocks.keys().copied()
    }

    /// The live bytes of a loaded block; Genesis, block 0, is always loaded.
    #[must_use]
    pub fn live_bytes(&self, index: u32) -> Option<&[u8]> {
        if index == 0 {
            return self.genesis.as_ref().map(GenesisBlock::bytes);
        }
        Some(self.blocks.get(&index)?.bytes())
    }

    /// The manifest, decoded from its bytes as they are now; where live memory is checked, only if these are
    /// still the verified ones.
    ///
    /// # Errors
    /// [`RunError::Tampered`] where live memory is checked and the bytes are not the verified ones.
    pub fn manifest(&self) -> Result<Manifest, RunError> {
        self.genesis_block()?.manifest(self.ring.genesis())
    }

    /// Begins a query as a host of Genesis: commits to the batch's inputs. Under the ring's deal, if it has one and `dealt`.
    ///
    /// # Errors
    /// [`RunError::Tampered`] where the live bytes of Genesis are not the verified ones.
    pub fn begin(
        &self,
        batch: &[Vec<TensorValue>],
        start: &QueryStart,
        dealt: bool,
    ) -> Result<Chain, RunError> {
        self.begin_on(digest_of(&start.salt, batch), start, dealt)
    }

    /// As [`begin`](Self::begin), where the digest over the inputs is known already.
    pub(crate) fn begin_on(
        &self,
        inputs: Digest,
        start: &QueryStart,
        dealt: bool,
    ) -> Result<Chain, RunError> {
        let genesis = self.genesis_block()?;
        genesis.check(self.ring.genesis())?;
        let (outline, genesis) = (self.ring.outline(), genesis.opened());
        Ok(Chain::begin(outline, genesis, &self.key, inputs, start, dealt))
    }

    /// Takes a parcel from the host before: verifies the chain so far, then opens the tensors. That they are what the
    /// sealed parameters give is that host's word.
    ///
    /// # Errors
    /// [`RunError::Parcel`] where the parcel does not open, its chain does not verify, or its tensors are not those that the
    /// last receipt names.
    pub fn accept(&self, parcel: Parcel) -> Result<Delivered, RunError> {
        self.accept_after(parcel, None)
    }

    /// As [`accept`](Self::accept), without verifying again what `known` says this host verified before.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn accept_after(
        &self,
        parcel: Parcel,
        known: Option<&VerifiedPrefix>,
    ) -> Result<Delivered, RunError> {
        Ok(parcel.open_after(self.ring.outline(), &self.key, known)?)
    }

    /// Runs the blocks in `range` on a batch, and signs one receipt for it.
    ///
    /// # Errors
    /// [`RunError::Tampered`] where a check detects tampering, and [`RunError::OutOfUse`] afterwards; [`RunError::NotLoaded`];
    /// [`RunError::MissingTensor`]; [`RunError::Rejected`] where queries cannot be answered for their inputs;
    /// [`RunError::Engine`] where the engine stops.
    pub fn run(
        &self,
        chain: &mut Chain,
        salt: &Salt,
        batch: &[Vec<TensorValue>],
        range: Range<u32>,
    ) -> Result<Computed, RunError> {
        let mut computed = self.compute(salt, batch, range)?;
        let start = Instant::now();
        chain.extend(&self.key, computed.result.clone());
        computed.timings.receipt += start.elapsed();
        Ok(computed)
    }

    /// Runs the blocks in `range` on a batch, and signs nothing: what a copy of a leg does before it commits.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn compute(
        &self,
        salt: &Salt,
        batch: &[Vec<TensorValue>],
        range: Range<u32>,
    ) -> Result<Computed, RunError> {
        let mut ran = self.engine.within(|| leg::run(self, batch, range.clone()))?;
        let start = Instant::now();
        let blocks = range.map(|i| self.loaded_block(i).map(|b| b.opened().content_digest()));
        let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
        let digests: Vec<Digest> = ran.outputs.iter().map(|t| tensors_digest(salt, t)).collect();
        let result = LegResult {
            blocks,
            checked: ran.checked,
            computed_with: self.engine.computed_with(),
            outputs: batch_digest(&digests),
        };
        ran.timings.receipt += start.elapsed();
        Ok(Computed { outputs: ran.outputs, digests, result, timings: ran.timings })
    }

    /// Compares what another copy of a leg got with what this host got, element by element: each within its tolerance, which
    /// is measured for this very query (`docs/REPLICATION.md`). `inputs` entered the leg; of two copies that state the same
    /// engine, library, processor and threads nothing but the same bits will do, which is for the caller to see. `seed` chooses
    /// the errors of the measurement; one seed gives one answer.
    ///
    /// # Errors
    /// As [`compute`](Self::compute), which it calls several times.
    pub fn compare(
        &self,
        inputs: &[Vec<TensorValue>],
        range: &Range<u32>,
        own: &[Vec<TensorValue>],
        theirs: &[Vec<TensorValue>],
        seed: u64,
    ) -> Result<Agreement, RunError> {
        rounding::compare(self, inputs, range, (own, theirs), seed)
    }

    /// The tolerance of each element of each tensor that leaves a leg, for one query of which `inputs` entered it here and `own`
    /// left it; no elements for tensors that are no floats, infinity for an element that has no tolerance.
    ///
    /// # Errors
    /// As [`compute`](Self::compute), which it calls several times.
    pub fn tolerances(
        &self,
        inputs: &[TensorValue],
        range: &Range<u32>,
        own: &[TensorValue],
        seed: u64,
    ) -> Result<Vec<Vec<f64>>, RunError> {
        rounding::tolerances(self, inputs, range, own, &mut fastrand::Rng::with_seed(seed))
    }

    /// Runs the blocks in `range` on one query and measures what the product of each layer could tell apart. Of
    /// use for a host whose check is [`Check::Compute`]; signs nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn margins(
        &self,
        query: &[TensorValue],
        range: Range<u32>,
        random: &mut (dyn FnMut() -> usize + Send),
    ) -> Result<(Vec<TensorValue>, Vec<LayerMargin>), RunError> {
        self.engine.within(|| margins::margins(self, query, range, random))
    }

    /// Answers one query with the blocks in `range`, and keeps what passes between them for [`floor`](Self::floor).
    pub(crate) fn rehearse(
        &self,
        query: &[TensorValue],
        range: Range<u32>,
    ) -> Result<(Vec<TensorValue>, Rehearsal<E>), RunError> {
        self.engine.within(|| Rehearsal::of(self, query, range))
    }

    /// The cost of the parts of a check alone, on that query.
    pub(crate) fn floor(&self, rehearsal: &Rehearsal<E>) -> Result<Floor, RunError> {
        self.engine.within(|| rehearsal.floor(self))
    }

    /// Closes a chain that has returned from the last block: one that this host began, or under a deal another host of
    /// Genesis. `known` is what this host verified of it.
    ///
    /// # Errors
    /// [`RunError::Receipt`] where the chain is incomplete, a dealt leg is not validated, or this host may not close it.
    pub fn close(
        &self,
        chain: Chain,
        items: Vec<Item>,
        salt: Salt,
        known: Option<&VerifiedPrefix>,
    ) -> Result<Decision, RunError> {
        Ok(Decision::close_after(chain, items, salt, self.ring.outline(), &self.key, known)?)
    }

    fn genesis_block(&self) -> Result<&GenesisBlock, RunError> {
        self.genesis.as_ref().ok_or(RunError::NotLoaded { block: 0 })
    }

    pub(crate) fn key(&self) -> &SecretKey<Host> {
        &self.key
    }

    /// Bytes of a block's plaintext; 0 where the ring has no such block.
    pub(crate) fn plain_len(&self, index: u32) -> u64 {
        self.header(index).map_or(0, |header| header.plain_len)
    }

    fn header(&self, index: u32) -> Option<&Header> {
        self.ring.headers().get(index as usize)
    }

    /// Draws whether a block is looked at.
    fn samples(&self, share: SampleRate) -> Result<bool, RunError> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| RunError::NoRandomness)?;
        // A remainder of 64 bits is even to one part in 10^13.
        Ok(u64::from_le_bytes(random) % 1_000_000 < u64::from(share.millionths()))
    }
}

/// The digest over a batch of tensor sets.
pub(crate) fn digest_of(salt: &Salt, batch: &[Vec<TensorValue>]) -> Digest {
    batch_digest(&batch.iter().map(|t| tensors_digest(salt, t)).collect::<Vec<_>>())
}
