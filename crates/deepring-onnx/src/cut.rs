//! Cutting of a canonical network into blocks, each a model of its own.
//!
//! A block begins with a linear operator and takes what follows from it. A value that later blocks
//! need is an output of the block that produces it and an input of each that uses it; whoever runs
//! the blocks carries it in between. Engine-independent: only ONNX comes out.

mod anchors;
mod assembly;
mod build;
mod choose;
mod export;
mod join;
mod live;
mod replicate;
mod schedule;
mod sharing;

use std::num::NonZeroU32;
use std::str::FromStr;

use deepring::TensorSpec;

use self::assembly::Assembly;
use self::build::Parts;
use self::replicate::Replicated;
use self::schedule::Schedule;
use crate::canonical::CanonicalModel;
use crate::proto::NodeProto;
use crate::read::{ImportError, ParamSource, Stored};

pub use build::PARAMS_FILE;
pub use export::{ExportError, begin_export, export, export_into};

pub use join::JoinBlock;
pub use sharing::{SHARED_FILE, SharedParams};

/// How many blocks a network is cut into, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CutPolicy {
    /// Where one tensor crosses: at most 24 blocks of similar size, or as many as have 64 MiB each.
    #[default]
    Auto,
    /// Before every linear operator.
    Op,
    /// So many blocks of similar size.
    Count(NonZeroU32),
}

impl FromStr for CutPolicy {
    type Err = ParseCutError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "op" => Ok(Self::Op),
            number => number
                .parse()
                .map(Self::Count)
                .map_err(|_| ParseCutError { found: number.to_owned() }),
        }
    }
}

impl std::fmt::Display for CutPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Op => f.write_str("op"),
            Self::Count(n) => write!(f, "{n}"),
        }
    }
}

/// A text names no way to cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is none of `auto`, `op` and a number above zero")]
pub struct ParseCutError {
    /// The text.
    pub found: String,
}

/// Why a network could not be cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CutError {
    /// It has fewer places to cut.
    #[error("cannot cut into {requested} blocks: the network allows at most {maximum}")]
    TooMany {
        /// Blocks asked for.
        requested: u32,
        /// Blocks that are possible.
        maximum: u32,
    },
    /// A tensor could not be read.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// A network cut into blocks.
#[derive(Debug)]
#[non_exhaustive]
pub struct CutModel {
    /// Name of the graph.
    pub name: String,
    /// Program that wrote the original, and its version.
    pub producer: String,
    /// Version of the default operator set that all blocks use.
    pub opset: i64,
    /// The inputs of a query.
    pub inputs: Vec<TensorSpec>,
    /// The outputs of a query.
    pub outputs: Vec<TensorSpec>,
    /// The blocks in the order in which they run.
    pub blocks: Vec<CutBlock>,
    /// Parameters that several blocks use; none where each block has its own copy.
    pub shared: Vec<SharedParams>,
}

/// One block: a model, and parameters that it refers to.
#[derive(Debug)]
#[non_exhaustive]
pub struct CutBlock {
    /// Name of its first linear operator; no two blocks of a network share one.
    pub name: String,
    /// Operators inside, each once, in order: `Conv`, or `com.microsoft::Gelu`.
    pub op_types: Vec<String>,
    /// Values that it uses, of the query or of earlier blocks.
    pub inputs: Vec<TensorSpec>,
    /// Values that later blocks or the answer need of it.
    pub outputs: Vec<TensorSpec>,
    /// The encoded model. Its parameters are external data in [`PARAMS_FILE`], those that it shares in [`SHARED_FILE`]: the
    /// groups one behind the other, each from a multiple of 64 KiB on.
    pub graph: Vec<u8>,
    /// Its own parameters in the order of their place.
    pub params: Vec<Param>,
    /// Which of [`CutModel::shared`] it uses, ascending.
    pub shared: Vec<usize>,
}

/// One parameter of a block.
#[derive(Debug)]
#[non_exhaustive]
pub struct Param {
    /// Name, element type and fixed dimensions.
    pub spec: TensorSpec,
    /// Start in the block's parameter region, a multiple of 64.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
    source: ParamSource,
}

impl Param {
    /// The elements in the file, where they are narrower there.
    #[must_use]
    pub fn narrow(&self) -> Option<Stored> {
        self.source.narrow()
    }

    /// Its elements, little-endian and row-major.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, ImportError> {
        self.source.read()
    }
}

impl CutBlock {
    /// Bytes of the block's parameter region: the end of its last parameter.
    #[must_use]
    pub fn params_len(&self) -> u64 {
        self.params.last().map_or(0, |p| p.offset + p.len)
    }

    /// Fills the parameter region, the gaps between parameters with zeros.
    ///
    /// # Errors
    /// If `region` is not [`params_len`](Self::params_len) long or a source cannot be read.
    pub fn read_params(&self, region: &mut [u8]) -> Result<(), ImportError> {
        read_params(&self.params, region)
    }
}

impl SharedParams {
    /// Fills a region of [`len`](Self::len) bytes, the gaps between parameters with zeros.
    ///
    /// # Errors
    /// If `region` is of another length or a source cannot be read.
    pub fn read(&self, region: &mut [u8]) -> Result<(), ImportError> {
        read_params(&self.params, region)
    }
}

fn read_params(params: &[Param], region: &mut [u8]) -> Result<(), ImportError> {
    let (found, expected) = (region.len() as u64, params.last().map_or(0, |p| p.offset + p.len));
    let wrong = || ImportError::RegionLength { expected, found };
    if found != expected {
        return Err(wrong());
    }
    let mut end = 0usize;
    for param in params {
        let range =
            usize::try_from(param.offset).ok().zip(usize::try_from(param.offset + param.len).ok());
        let (start, stop) = range.ok_or_else(wrong)?;
        region.get_mut(end..start).ok_or_else(wrong)?.fill(0);
        param.source.read_into(region.get_mut(start..stop).ok_or_else(wrong)?)?;
        end = stop;
    }
    Ok(())
}

/// A block of one node that needs no input.
pub(crate) fn single(model: &CanonicalModel, node: &NodeProto) -> Result<CutBlock, ImportError> {
    let outputs = node.output.iter().filter(|o| !o.is_empty()).cloned().collect();
    let name = node.op().to_owned();
    build::block(model, Parts { name, nodes: vec![node], inputs: Vec::new(), outputs })
}

/// Cuts a network into blocks each of which has all its parameters: what several use is repeated.
///
/// # Errors
/// [`CutError::TooMany`] if it has not that many places to cut; else a tensor cannot be read.
pub fn cut(model: CanonicalModel, policy: CutPolicy) -> Result<CutModel, CutError> {
    cut_either(model, policy, false)
}

/// Cuts a network into blocks; parameters that several of them use are in [`CutModel::shared`].
///
/// # Errors
/// As [`cut`].
pub fn cut_sharing(model: CanonicalModel, policy: CutPolicy) -> Result<CutModel, CutError> {
    cut_either(model, policy, true)
}

fn cut_either(model: CanonicalModel, policy: CutPolicy, share: bool) -> Result<CutModel, CutError> {
    let replicated = Replicated::find(&model)?;
    let schedule = Schedule::new(&model, &replicated)?;
    let (all, total) = live::boundaries(&model, &schedule);
    let boundaries = match policy {
        CutPolicy::Auto => choose::automatic(&all, total),
        CutPolicy::Op => all,
        CutPolicy::Count(requested) => {
            let maximum = u32::try_from(all.len() + 1).unwrap_or(u32::MAX);
            if requested.get() > maximum {
                return Err(CutError::TooMany { requested: requested.get(), maximum });
            }
            choose::spread(&all, total, requested.get() as usize)
        }
    };
    let assembly = Assembly::new(&model, &replicated, &schedule, &boundaries);
    let (blocks, shared) = assembly.blocks(share)?;
    let (inputs, outputs) = (model.inputs(), model.outputs());
    let CanonicalModel { name, producer, opset, .. } = model;
    Ok(CutModel { name, producer, opset, inputs, outputs, blocks, shared })
}

impl CanonicalModel {
    /// The uncut network as one block.
    ///
    /// # Errors
    /// If a tensor that stays in the graph cannot be read.
    pub fn whole(&self) -> Result<CutBlock, ImportError> {
        let names = |specs: Vec<TensorSpec>| specs.into_iter().map(|s| s.name).collect();
        let parts = Parts {
            name: if self.name.is_empty() { "graph".to_owned() } else { self.name.clone() },
            nodes: self.graph.nodes.iter().collect(),
            inputs: names(self.inputs()),
            outputs: names(self.outputs()),
        };
        build::block(self, parts)
    }
}
