//! From an ONNX file to a ring file: import, cut, try each block in the engine, seal.

use std::collections::{BTreeSet, HashSet};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use deepring::files::Replacement;
use deepring::keys::SigningOwner;
use deepring::seal::{
    BlockPlan, PlannedDeal, Predecessor, RingPlan, RingSealer, SealError, SealedRing,
};
use deepring::{AuthenticRing, Host, Manifest, Owner, PartKind, PublicKey, RingKind};
use deepring_memory::Region;
use deepring_onnx::{CutBlock, CutModel, CutPolicy, SharedParams, cut_sharing, network_files};
use thiserror::Error;

use crate::checks::names_parts_alone;
use crate::dry_run::DryRun;
use crate::engine::Rten;
use crate::error::MAX_TEXT;
pub use crate::error::SealModelError;
use crate::import::import;
use crate::preprocess::Preprocess;
use crate::weights::{scratch, shared_from};

/// Which blocks a host is granted: all, or some by number (Genesis always goes with them).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocks {
    /// Every block.
    All,
    /// These.
    Some(Vec<RangeInclusive<u32>>),
}

/// A text that is no selection of blocks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` selects no blocks; write 3, 1-4 or 1-4,7")]
pub struct ParseBlocksError {
    text: String,
}

impl FromStr for Blocks {
    type Err = ParseBlocksError;

    fn from_str(text: &str) -> Result<Self, ParseBlocksError> {
        let item = |item: &str| {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            (1 <= first && first <= last).then_some(first..=last)
        };
        let ranges: Option<Vec<_>> = text.split(',').map(|i| item(i.trim())).collect();
        ranges.map(Self::Some).ok_or_else(|| ParseBlocksError { text: text.to_owned() })
    }
}

impl Blocks {
    fn contains(&self, index: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(ranges) => ranges.iter().any(|r| r.contains(&index)),
        }
    }

    /// The block numbers up to `last`; `None` stands for all. A number above `last` is kept, so that it
    /// can be refused.
    #[must_use]
    pub fn indices(&self, last: u32) -> Option<Vec<u32>> {
        match self {
            Self::All => None,
            // Of what lies beyond, one number is enough to be refused; a range up to 2^32 is not spelt out.
            Self::Some(ranges) => Some(
                ranges
                    .iter()
                    .flat_map(|r| {
                        *r.start()..=(*r.end()).min(last.saturating_add(1).max(*r.start()))
                    })
                    .collect(),
            ),
        }
    }

    fn last(&self) -> u32 {
        match self {
            Self::All => 0,
            Self::Some(ranges) => ranges.iter().map(|r| *r.end()).max().unwrap_or(0),
        }
    }
}

/// A step of a sealing, for progress bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealProgress {
    /// The network is cut; so many bytes of blocks will follow.
    Planned {
        /// Blocks without Genesis.
        blocks: usize,
        /// Bytes in all.
        bytes: u64,
    },
    /// So many more bytes are sealed.
    Sealed {
        /// Bytes.
        bytes: u64,
    },
}

/// Seals an ONNX network.
///
/// Memory stays near the largest block: parameters are read when their block is sealed.
#[derive(Debug)]
pub struct Seal {
    model: PathBuf,
    owner: SigningOwner,
    hosts: Vec<(Blocks, PublicKey<Host>)>,
    dealt: Option<PlannedDeal>,
    labels: Vec<String>,
    preprocess: Option<Preprocess>,
    cut: CutPolicy,
    model_version: Option<u64>,
    previous: Option<Previous>,
}

/// The result of a sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedModel {
    /// Ring id and ring digest.
    pub sealed: SealedRing,
    /// Version of the model.
    pub model_version: u64,
    /// Names of the blocks, without Genesis.
    pub blocks: Vec<String>,
    /// Bytes of parameters.
    pub parameter_bytes: u64,
    /// Weights that the file has in 16 or 8 bits and the ring as 32-bit floats.
    pub promoted: Promoted,
    /// Bytes of parameters beyond those of the network's files, the widened ones aside: what the network computes of one weight in
    /// several ways is sealed in each.
    pub repeated: u64,
}

/// Bytes of weights that an engine reads in another width than the file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Promoted {
    /// In the file.
    pub file: u64,
    /// In the ring.
    pub ring: u64,
}

impl Promoted {
    fn of(model: &CutModel) -> Self {
        let own = model.blocks.iter().flat_map(|b| &b.params);
        let all = own.chain(model.shared.iter().flat_map(|s| &s.params));
        let mut seen = HashSet::new();
        let wide = all.filter_map(|p| Some((p.narrow()?, p.len)));
        wide.fold(Self::default(), |sum, (stored, ring)| Self {
            // Of one weight, several may be made.
            file: sum.file.saturating_add(if seen.insert(stored) { stored.len } else { 0 }),
            ring: sum.ring.saturating_add(ring),
        })
    }
}

/// The version that a sealing follows.
#[derive(Debug, Clone, Copy)]
struct Previous {
    ring: Predecessor,
    version: u64,
    /// The key under which what follows may be sealed.
    owner: PublicKey<Owner>,
}

impl Previous {
    fn of(ring: &AuthenticRing, owner: PublicKey<Owner>) -> Self {
        Self { ring: ring.into(), version: ring.model_version(), owner }
    }
}

impl Seal {
    /// A sealing of this ONNX file by this owner, version 1 (or the one after the previous ring's), cut
    /// automatically, for no host yet.
    #[must_use]
    pub fn new(model: &Path, owner: impl Into<SigningOwner>) -> Self {
        Self {
            model: model.into(),
            owner: owner.into(),
            hosts: Vec::new(),
            dealt: None,
            labels: Vec::new(),
            preprocess: None,
            cut: CutPolicy::default(),
            model_version: None,
            previous: None,
        }
    }

    /// Grants blocks to a host.
    #[must_use]
    pub fn host(mut self, blocks: Blocks, host: PublicKey<Host>) -> Self {
        self.hosts.push((blocks, host));
        self
    }

    /// Deals the ring: each leg goes to its own host and to those of the legs that follow, as many as there are copies.
    #[must_use]
    pub fn deal(mut self, deal: PlannedDeal) -> Self {
        self.dealt = Some(deal);
        self
    }

    /// Class labels, sealed in Genesis.
    #[must_use]
    pub fn labels(mut self, labels: Vec<String>) -> Self {
        self.labels = labels;
        self
    }

    /// How pictures become inputs, sealed in Genesis.
    #[must_use]
    pub fn preprocess(mut self, recipe: Preprocess) -> Self {
        self.preprocess = Some(recipe);
        self
    }

    /// How to cut.
    #[must_use]
    pub fn cut(mut self, policy: CutPolicy) -> Self {
        self.cut = policy;
        self
    }

    /// The model's version.
    #[must_use]
    pub fn model_version(mut self, version: u64) -> Self {
        self.model_version = Some(version);
        self
    }

    /// Makes the ring an upgrade of `ring`: same ring id, and its closure names that ring's digest.
    #[must_use]
    pub fn upgrade_of(mut self, ring: &AuthenticRing) -> Self {
        self.previous = Some(Previous::of(ring, ring.owner()));
        self
    }

    /// As [`upgrade_of`](Self::upgrade_of), for a ring that another key of the same owner signed. The caller has seen that this
    /// key was rotated to the one that seals; readers who know the ring under the other key have to be told so, too.
    #[must_use]
    pub fn upgrade_after_rotation(mut self, ring: &AuthenticRing) -> Self {
        self.previous = Some(Previous::of(ring, self.owner.public()));
        self
    }

    /// Seals into `target`, whole or not at all.
    ///
    /// # Errors
    /// Any [`SealModelError`]; `target` is as it was.
    pub fn write(
        &self,
        target: &Path,
        progress: &dyn Fn(SealProgress),
    ) -> Result<SealedModel, SealModelError> {
        let io = |source| SealError::Io { path: target.into(), source };
        self.write_in(Replacement::of(target).map_err(io)?, progress)
    }

    /// As [`write`](Self::write), in a file that was begun before: what has been put at its target since is not replaced.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_in(
        &self,
        file: Replacement,
        progress: &dyn Fn(SealProgress),
    ) -> Result<SealedModel, SealModelError> {
        let model_version = self.check_version()?;
        let engine = Rten::new(None);
        let model = import(&self.model, &engine)?;
        let model = cut_sharing(model, self.cut)?;
        self.check_hosts(model.blocks.len())?;
        let manifest = self.manifest(&model)?;
        let plan = self.plan(&model, &manifest, model_version);
        let own = model.blocks.iter().map(|b| b.params_len() + b.graph.len() as u64);
        let bytes = own.chain(model.shared.iter().map(SharedParams::len)).sum();
        progress(SealProgress::Planned { blocks: model.blocks.len(), bytes });

        let mut sealer = RingSealer::create_in(file, &plan, &self.owner)?;
        sealer.seal_block(&manifest)?;
        let mut parameter_bytes = self.seal_shared(&mut sealer, &model, progress)?;
        let mut dry_run = DryRun::new(engine, &model);
        // One buffer for all blocks, as long as the longest.
        let (block, bytes) = (1..=model.blocks.len())
            .map(|i| (i, sealer.plain_len(i)))
            .max_by_key(|(_, len)| *len)
            .unwrap_or_default();
        let too_large = || SealModelError::TooLarge { block, bytes };
        let longest = usize::try_from(bytes).map_err(|_| too_large())?;
        let mut buffer = scratch(longest).ok_or_else(too_large)?;
        for (i, block) in model.blocks.iter().enumerate() {
            let (plaintext, graph) = plaintext_of(&sealer, i + 1, (block, &model), buffer)?;
            let plaintext = (plaintext, shared_from(sealer.parts_of(i + 1)));
            let loaded = dry_run.load(i, plaintext, graph).map_err(|source| {
                let (name, operators) = (block.name.clone(), block.op_types.join(", "));
                SealModelError::Engine { block: i + 1, name, operators, source }
            })?;
            let own = usize::try_from(sealer.own_len(i + 1)).unwrap_or(usize::MAX);
            let own = loaded.bytes().get(..own).unwrap_or_default();
            sealer.seal_block(own)?;
            parameter_bytes += block.params.iter().map(|p| p.len).sum::<u64>();
            progress(SealProgress::Sealed { bytes: own.len() as u64 });
            buffer = loaded.into_buffer();
        }
        let sealed = sealer.finish()?;
        let blocks = model.blocks.iter().map(|b| b.name.clone()).collect();
        let promoted = Promoted::of(&model);
        let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |m| m.len());
        let files: u64 = network_files(&self.model).iter().map(size).sum();
        let once = files.saturating_sub(promoted.file).saturating_add(promoted.ring);
        let repeated = parameter_bytes.saturating_sub(once);
        Ok(SealedModel { sealed, model_version, blocks, parameter_bytes, promoted, repeated })
    }

    /// Seals what blocks share; returns how many bytes of parameters that is.
    fn seal_shared(
        &self,
        sealer: &mut RingSealer,
        model: &CutModel,
        progress: &dyn Fn(SealProgress),
    ) -> Result<u64, SealModelError> {
        let mut parameter_bytes = 0;
        for (group, block) in model.shared.iter().zip(1 + model.blocks.len()..) {
            let too_large = || SealModelError::TooLarge { block, bytes: group.len() };
            let buffer = usize::try_from(group.len()).ok().and_then(scratch);
            let mut buffer = buffer.ok_or_else(too_large)?;
            group.read(buffer.bytes_mut())?;
            sealer.seal_block(buffer.bytes())?;
            parameter_bytes += group.params.iter().map(|p| p.len).sum::<u64>();
            progress(SealProgress::Sealed { bytes: group.len() });
        }
        Ok(parameter_bytes)
    }

    fn check_version(&self) -> Result<u64, SealModelError> {
        let Some(Previous { ring, version: previous, owner }) = self.previous else {
            return Ok(self.model_version.unwrap_or(1));
        };
        if ring.kind != RingKind::Network {
            let (previous, planned) = (ring.kind, RingKind::Network);
            return Err(SealError::OtherKind { previous, planned }.into());
        }
        if owner != self.owner.public() {
            return Err(SealModelError::ForeignPrevious);
        }
        let given = self.model_version.unwrap_or(previous.saturating_add(1));
        if given <= previous {
            return Err(SealModelError::Version { given, previous });
        }
        Ok(given)
    }

    fn check_hosts(&self, count: usize) -> Result<(), SealModelError> {
        for (blocks, _) in &self.hosts {
            if blocks.last() as usize > count {
                return Err(SealModelError::NoSuchBlock { block: blocks.last(), count });
            }
        }
        // A deal covers all blocks, or is refused for the first that it leaves out.
        if self.dealt.is_some() {
            return Ok(());
        }
        let covered = |i: usize| {
            self.hosts.iter().any(|(b, _)| b.contains(u32::try_from(i).unwrap_or(u32::MAX)))
        };
        match (1..=count).find(|i| !covered(*i)) {
            Some(block) => Err(SealModelError::NoHost { block }),
            None => Ok(()),
        }
    }

    fn manifest(&self, model: &CutModel) -> Result<Vec<u8>, SealModelError> {
        let too_long = |what: &str| Err(SealModelError::TooLong { what: what.to_owned() });
        if let Some(i) = self.labels.iter().position(|l| l.len() > MAX_TEXT) {
            return too_long(&format!("label {}", i + 1));
        }
        if model.name.len() > MAX_TEXT || model.producer.len() > MAX_TEXT {
            return too_long("the network's name");
        }
        Ok(Manifest {
            model_name: model.name.clone(),
            producer: model.producer.clone(),
            opset: u64::try_from(model.opset).unwrap_or(0),
            preprocess: self.preprocess.as_ref().map(ToString::to_string).unwrap_or_default(),
            labels: self.labels.clone(),
        }
        .encode())
    }

    fn plan(&self, model: &CutModel, manifest: &[u8], model_version: u64) -> RingPlan {
        let all_hosts: BTreeSet<_> = self.hosts.iter().map(|(_, h)| *h.as_bytes()).collect();
        let mut blocks = vec![BlockPlan {
            name: "genesis".to_owned(),
            inputs: model.outputs.clone(),
            outputs: model.inputs.clone(),
            parts: vec![(PartKind::Manifest, manifest.len() as u64)],
            shared: Vec::new(),
            hosts: all_hosts.into_iter().map(PublicKey::from_bytes).collect(),
        }];
        let granted = |runs: &dyn Fn(&Blocks) -> bool| -> Vec<PublicKey<Host>> {
            let hosts = self.hosts.iter().filter(|(b, _)| runs(b)).map(|(_, h)| *h.as_bytes());
            hosts.collect::<BTreeSet<_>>().into_iter().map(PublicKey::from_bytes).collect()
        };
        let number = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
        for (block, index) in model.blocks.iter().zip(1..) {
            let parameters =
                block.params.iter().map(|p| (PartKind::Parameter(p.spec.clone()), p.len));
            let graph = (PartKind::Graph, block.graph.len() as u64);
            blocks.push(BlockPlan {
                name: block.name.clone(),
                inputs: block.inputs.clone(),
                outputs: block.outputs.clone(),
                parts: parameters.chain([graph]).collect(),
                shared: block.shared.iter().map(|i| number(1 + model.blocks.len() + i)).collect(),
                hosts: granted(&|blocks| blocks.contains(index)),
            });
        }
        for (group, i) in model.shared.iter().zip(1..) {
            let parameters = group.params.iter();
            let runs = |blocks: &Blocks| group.users.iter().any(|u| blocks.contains(number(u + 1)));
            blocks.push(BlockPlan {
                name: format!("shared_{i}"),
                inputs: Vec::new(),
                outputs: Vec::new(),
                parts: parameters.map(|p| (PartKind::Parameter(p.spec.clone()), p.len)).collect(),
                shared: Vec::new(),
                hosts: granted(&runs),
            });
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        RingPlan {
            model_version,
            kind: RingKind::Network,
            previous: self.previous.map(|previous| previous.ring),
            sealed_at: since.as_secs(),
            blocks,
            deal: self.dealt.clone(),
        }
    }
}

/// Makes `buffer` the block's plaintext, parameters and graph each at the place that the sealer gives it;
/// gives it back, and where the graph is.
fn plaintext_of(
    sealer: &RingSealer,
    index: usize,
    (block, model): (&CutBlock, &CutModel),
    buffer: Region,
) -> Result<(Region, Range<usize>), SealModelError> {
    let len = sealer.plain_len(index);
    let too_large = || SealModelError::TooLarge { block: index, bytes: len };
    let plain_len = usize::try_from(len).map_err(|_| too_large())?;
    let mut out = buffer.resized(plain_len).ok_or_else(too_large)?;
    let layout = || SealError::Layout {
        block: u32::try_from(index).unwrap_or(u32::MAX),
        reason: "parameters are not where the graph looks for them",
    };
    let parts = sealer.parts_of(index);
    // The graph refers to parameters by offset; they must be where it looks. A host asks the same.
    if !names_parts_alone(&block.graph, parts) {
        return Err(layout().into());
    }
    let own_len = parts.iter().filter(|p| p.shared.is_none()).map(|p| p.end() as usize).max();
    let mut end = own_len.unwrap_or_default();
    for used in &block.shared {
        let group = model.shared.get(*used).ok_or_else(layout)?;
        let number = u32::try_from(1 + model.blocks.len() + used).ok();
        let first = parts.iter().find(|p| p.shared.is_some() && p.shared == number);
        let start = first.ok_or_else(layout)?.offset as usize;
        let stop = start.saturating_add(usize::try_from(group.len()).unwrap_or(usize::MAX));
        out.bytes_mut().get_mut(end..start).ok_or_else(layout)?.fill(0);
        group.read(out.bytes_mut().get_mut(start..stop).ok_or_else(layout)?)?;
        end = stop;
    }
    let params_len = usize::try_from(block.params_len()).map_err(|_| too_large())?;
    block.read_params(out.bytes_mut().get_mut(..params_len).ok_or_else(layout)?)?;
    let graph = parts.iter().find(|p| p.kind == PartKind::Graph).ok_or_else(layout)?;
    // Both ends are at most `len`, which fits.
    let place = graph.offset as usize..graph.end() as usize;
    // What another block left between the last parameter and the graph.
    out.bytes_mut().get_mut(params_len..place.start).ok_or_else(layout)?.fill(0);
    out.bytes_mut().get_mut(place.clone()).ok_or_else(layout)?.copy_from_slice(&block.graph);
    Ok((out, place))
}
