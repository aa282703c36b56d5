//! One host: opens the blocks that it was granted, and runs a query's stretch of them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deepring::{
    AuthenticRing, Chain, Check, Decision, Digest, Finding, Header, Host, Item, Manifest,
    OpenError, OpenedBlock, OpeningKey, Parcel, PartKind, PartName, PublicKey, SecretKey,
    TensorSpec, TensorValue, batch_digest, tensors_digest,
};

use crate::engine::{Engine, Input};
use crate::error::RunError;
use crate::mac::{Changed, LiveMac};
use crate::weights::{Buffer, Resident};

/// A block, opened and loaded.
struct Live<E: Engine> {
    resident: Resident<E>,
    opened: OpenedBlock,
    mac: Option<LiveMac>,
}

/// Genesis, opened. Labels and pre-processing decide as much as weights do, so they stay in their checked
/// bytes and are decoded anew whenever somebody asks.
struct Manifested {
    bytes: Buffer,
    opened: OpenedBlock,
    mac: Option<LiveMac>,
}

impl Manifested {
    fn open(ring: &AuthenticRing, key: &SecretKey<Host>, check: Check) -> Result<Self, RunError> {
        let header = ring.genesis();
        let too_large = || OpenError::TooLarge { bytes: header.plain_len };
        let len = usize::try_from(header.plain_len).map_err(|_| too_large())?;
        let mut bytes = Buffer::zeroed(len).ok_or_else(too_large)?;
        let opened = ring.open_block(0, OpeningKey::Host(key), bytes.bytes_mut())?;
        let mac = tags(check, bytes.bytes(), header, &opened)?;
        Ok(Self { bytes, opened, mac })
    }

    fn check(&self, header: &Header) -> Result<(), RunError> {
        let Some(mac) = &self.mac else { return Ok(()) };
        mac.check(std::hint::black_box(self.bytes.bytes())).map_err(|_| {
            let finding = Finding::tampered(PartName::Body, CHANGED_IN_MEMORY)
                .in_block(header.index, Some(&header.name))
                .of_tensor("manifest");
            RunError::Tampered(finding)
        })
    }
}

const CHANGED_IN_MEMORY: &str = "the bytes in memory are not those that were verified";

/// Tags for the bytes of an opened block, where the check asks for them.
///
/// Tags first, digest second: what changes before the tags were made is seen by the digest, what changes
/// after by the tags. There is no moment in between.
fn tags(
    check: Check,
    bytes: &[u8],
    header: &Header,
    opened: &OpenedBlock,
) -> Result<Option<LiveMac>, RunError> {
    if check != Check::Run {
        return Ok(None);
    }
    let mac = LiveMac::of(bytes, &header.parts).ok_or(RunError::NoRandomness)?;
    if opened.still_holds(bytes) {
        return Ok(Some(mac));
    }
    let finding = Finding::tampered(PartName::Body, CHANGED_IN_MEMORY);
    Err(RunError::Tampered(finding.in_block(header.index, Some(&header.name))))
}

/// A party that holds the keys of some blocks. Whether the next host is in this process or across a
/// network, it is given a [`Parcel`] and nothing else.
pub struct RingHost<E: Engine> {
    ring: Arc<AuthenticRing>,
    engine: Arc<E>,
    key: SecretKey<Host>,
    genesis: Manifested,
    blocks: BTreeMap<u32, Live<E>>,
    check: Check,
}

impl<E: Engine> std::fmt::Debug for RingHost<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingHost")
            .field("key", &self.key)
            .field("blocks", &self.blocks.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The live tensors of each query of a batch, in the engine's form.
type Batch<E> = Vec<HashMap<String, <E as Engine>::Value>>;

/// Where the time of a query went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Split {
    /// Computing.
    pub engine: Duration,
    /// Checking parameters.
    pub check: Duration,
    /// Digests, signatures, sealing between hosts.
    pub receipt: Duration,
}

impl std::ops::AddAssign for Split {
    fn add_assign(&mut self, other: Self) {
        self.engine += other.engine;
        self.check += other.check;
        self.receipt += other.receipt;
    }
}

impl<E: Engine> RingHost<E> {
    /// Opens Genesis and the blocks in `range`, which must all be granted to `key`. `progress` is called
    /// with the number of bytes just opened.
    pub fn open(
        ring: Arc<AuthenticRing>,
        engine: Arc<E>,
        key: SecretKey<Host>,
        range: Range<u32>,
        check: Check,
        progress: &dyn Fn(u64),
    ) -> Result<Self, RunError> {
        let genesis = Manifested::open(&ring, &key, check)?;
        let mut host = Self { ring, engine, key, genesis, blocks: BTreeMap::new(), check };
        for index in range {
            host.load_block(index)?;
            progress(host.header(index).map_or(0, |h| h.plain_len));
        }
        Ok(host)
    }

    /// Opens one of this host's blocks anew from the ring, in place of what is in memory: the repair of
    /// live memory.
    pub fn load_block(&mut self, index: u32) -> Result<(), RunError> {
        let ring = Arc::clone(&self.ring);
        if index == 0 {
            self.genesis = Manifested::open(&ring, &self.key, self.check)?;
            return Ok(());
        }
        let header = ring.headers().get(index as usize).ok_or_else(|| OpenError::NoSuchBlock {
            index,
            count: u32::try_from(ring.headers().len()).unwrap_or(u32::MAX),
        })?;
        let too_large = || OpenError::TooLarge { bytes: header.plain_len };
        let len = usize::try_from(header.plain_len).map_err(|_| too_large())?;
        let mut buffer = Buffer::zeroed(len).ok_or_else(too_large)?;
        let opened = ring.open_block(index, OpeningKey::Host(&self.key), buffer.bytes_mut())?;
        let graph = graph_range(header).ok_or(RunError::NoGraph { block: index })?;
        let resident =
            Resident::load(&*self.engine, buffer, graph, &header.inputs, &header.outputs)
                .map_err(|source| RunError::Engine { block: header.name.clone(), source })?;
        let mac = tags(self.check, resident.bytes(), header, &opened)?;
        self.blocks.insert(index, Live { resident, opened, mac });
        Ok(())
    }

    /// The host's public key.
    #[must_use]
    pub fn public(&self) -> PublicKey<Host> {
        self.key.public()
    }

    /// The blocks that are loaded.
    pub fn loaded(&self) -> impl Iterator<Item = u32> + '_ {
        self.blocks.keys().copied()
    }

    /// The live bytes of a loaded block; Genesis, block 0, is always loaded.
    #[must_use]
    pub fn live_bytes(&self, index: u32) -> Option<&[u8]> {
        if index == 0 {
            return Some(self.genesis.bytes.bytes());
        }
        Some(self.blocks.get(&index)?.resident.bytes())
    }

    /// The manifest, decoded from its bytes as they are now; with [`Check::Run`] only if these are still the
    /// verified ones.
    pub fn manifest(&self) -> Result<Manifest, RunError> {
        self.genesis.check(self.ring.genesis())?;
        let decoded = Manifest::decode(self.genesis.bytes.bytes());
        Ok(decoded.map_err(|source| OpenError::Malformed { index: 0, source })?)
    }

    /// Begins a query as the host of Genesis: commits to the batch's inputs.
    pub fn begin(&self, batch: &[Vec<TensorValue>], opened_at: u64) -> Result<Chain, RunError> {
        self.genesis.check(self.ring.genesis())?;
        let inputs = digest_of(batch);
        Chain::open(&self.ring, &self.genesis.opened, &self.key, inputs, opened_at)
            .map_err(|_| RunError::NoRandomness)
    }

    /// Takes a parcel from the host before: verifies the chain so far, then opens the tensors.
    pub fn accept(&self, parcel: Parcel) -> Result<(Chain, Vec<Vec<TensorValue>>), RunError> {
        Ok(parcel.open(&self.ring, &self.key)?)
    }

    /// Runs the blocks in `range` on a batch, and signs one receipt for it.
    pub fn run(
        &self,
        chain: &mut Chain,
        batch: &[Vec<TensorValue>],
        range: Range<u32>,
    ) -> Result<(Vec<Vec<TensorValue>>, Split), RunError> {
        let mut split = Split::default();
        let out = self.engine.within(|| self.run_blocks(batch, range.clone(), &mut split))?;
        let start = Instant::now();
        let digests = range.map(|i| self.block(i).map(|b| b.opened.content_digest()));
        let digests = digests.collect::<Result<Vec<_>, _>>()?;
        chain.extend(&self.key, digests, self.check, digest_of(&out));
        split.receipt += start.elapsed();
        Ok((out, split))
    }

    /// Closes a chain that this host began and that has returned from the last block.
    pub fn close(&self, chain: Chain, items: Vec<Item>) -> Result<Decision, RunError> {
        Ok(Decision::close(chain, items, &self.ring, &self.key)?)
    }

    fn run_blocks(
        &self,
        batch: &[Vec<TensorValue>],
        range: Range<u32>,
        split: &mut Split,
    ) -> Result<Vec<Vec<TensorValue>>, RunError> {
        let Some(last) = range.end.checked_sub(1) else { return Ok(Vec::new()) };
        let leaving = self.ring.live_after(last);
        let mut live: Batch<E> = Vec::with_capacity(batch.len());
        for tensors in batch {
            live.push(self.import(tensors)?);
        }
        // Queries one after the other, and every check anew for each: a check is good for one use.
        live.into_iter()
            .map(|mut values| {
                for index in range.clone() {
                    self.run_block(index, &leaving, range.end, &mut values, split)?;
                }
                let start = Instant::now();
                let out = leaving
                    .iter()
                    .map(|spec| match values.get(&spec.name) {
                        Some(value) => Ok(self.engine.export(value, spec)?),
                        None => Err(RunError::MissingTensor { name: spec.name.clone() }),
                    })
                    .collect();
                split.receipt += start.elapsed();
                out
            })
            .collect()
    }

    fn run_block(
        &self,
        index: u32,
        leaving: &[&TensorSpec],
        end: u32,
        values: &mut HashMap<String, E::Value>,
        split: &mut Split,
    ) -> Result<(), RunError> {
        let block = self.block(index)?;
        let header = self.header(index).ok_or(RunError::NoGraph { block: index })?;
        if let Some(mac) = &block.mac {
            let start = Instant::now();
            let checked = mac.check(block.resident.bytes());
            split.check += start.elapsed();
            checked.map_err(|changed| RunError::Tampered(self.describe(header, &changed)))?;
        }
        let start = Instant::now();
        // What nothing after this block reads is given away, so that the engine may work in place.
        let later = |name: &str| {
            leaving.iter().any(|t| t.name == name)
                || (index + 1..end)
                    .filter_map(|i| self.header(i))
                    .any(|h| h.inputs.iter().any(|t| t.name == name))
        };
        let mut given: Vec<Option<E::Value>> = Vec::with_capacity(header.inputs.len());
        for (i, spec) in header.inputs.iter().enumerate() {
            let again = header.inputs.iter().skip(i + 1).any(|t| t.name == spec.name);
            given.push(if later(&spec.name) || again { None } else { values.remove(&spec.name) });
        }
        let inputs = header
            .inputs
            .iter()
            .zip(given)
            .map(|(spec, given)| match given {
                Some(value) => Ok(Input::Given(value)),
                None => values
                    .get(&spec.name)
                    .map(Input::Lent)
                    .ok_or_else(|| RunError::MissingTensor { name: spec.name.clone() }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = self
            .engine
            .run(block.resident.program(), inputs)
            .map_err(|source| RunError::Engine { block: header.name.clone(), source })?;
        values.extend(header.outputs.iter().map(|t| t.name.clone()).zip(outputs));
        split.engine += start.elapsed();
        Ok(())
    }

    fn import(&self, tensors: &[TensorValue]) -> Result<HashMap<String, E::Value>, RunError> {
        tensors.iter().map(|t| Ok((t.name().to_owned(), self.engine.import(t)?))).collect()
    }

    fn header(&self, index: u32) -> Option<&Header> {
        self.ring.headers().get(index as usize)
    }

    fn block(&self, index: u32) -> Result<&Live<E>, RunError> {
        self.blocks.get(&index).ok_or(RunError::NotLoaded { block: index })
    }

    /// Says what changed in live memory. The ring's own copy tells just which bytes; where it cannot be
    /// read any more, the piece that the MAC refused is named.
    fn describe(&self, header: &Header, changed: &Changed) -> Finding {
        let index = header.index;
        let finding = Finding::tampered(PartName::Body, CHANGED_IN_MEMORY)
            .in_block(index, Some(&header.name));
        let exact = self.blocks.get(&index).and_then(|b| {
            let mut sealed = Buffer::zeroed(b.resident.bytes().len())?;
            self.ring.open_block(index, OpeningKey::Host(&self.key), sealed.bytes_mut()).ok()?;
            differing(sealed.bytes(), b.resident.bytes(), changed.range.clone())
        });
        let range = exact.unwrap_or_else(|| changed.range.clone());
        let finding = finding.at(range.start as u64..range.end as u64);
        match header.parts.get(changed.part) {
            Some(part) => finding.of_tensor(part.label()),
            None => finding,
        }
    }
}

/// First and one past the last byte of `range` in which the two differ.
fn differing(a: &[u8], b: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let start = range.start;
    let pairs = || {
        a.get(range.clone()).into_iter().flatten().zip(b.get(range.clone()).into_iter().flatten())
    };
    let first = pairs().position(|(x, y)| x != y)?;
    let last = pairs().enumerate().filter(|(_, (x, y))| x != y).last()?.0;
    Some(start + first..start + last + 1)
}

fn graph_range(header: &Header) -> Option<Range<usize>> {
    let part = header.parts.iter().find(|p| p.kind == PartKind::Graph)?;
    Some(usize::try_from(part.offset).ok()?..usize::try_from(part.end()).ok()?)
}

/// The digest over a batch of tensor sets.
pub(crate) fn digest_of(batch: &[Vec<TensorValue>]) -> Digest {
    batch_digest(&batch.iter().map(|t| tensors_digest(t)).collect::<Vec<_>>())
}
