//! Cutting of a canonical network into blocks, each a model of its own.
//!
//! A block begins with a linear operator and takes what follows from it. A value that later blocks
//! need is an output of the block that produces it and an input of each that uses it; whoever runs
//! the blocks carries it in between. Engine-independent: only ONNX comes out.

mod anchors;
mod build;
mod choose;
mod export;
mod join;
mod live;
mod replicate;
mod schedule;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroU32;
use std::str::FromStr;

use deepring::TensorSpec;

use self::build::{BlockNames, Parts};
use self::live::Boundary;
use self::replicate::Replicated;
use self::schedule::Schedule;
use crate::canonical::{CanonicalModel, needs};
use crate::onnx::proto::NodeProto;
use crate::onnx::{ImportError, ParamSource};

pub use build::PARAMS_FILE;
pub use export::{ExportError, export};
pub use join::JoinBlock;

/// How many blocks a network is cut into, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CutPolicy {
    /// Where one tensor crosses, at most 24 blocks of similar size.
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
    /// What a query gives.
    pub inputs: Vec<TensorSpec>,
    /// What a query gets.
    pub outputs: Vec<TensorSpec>,
    /// The blocks in the order in which they run.
    pub blocks: Vec<CutBlock>,
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
    /// The encoded model. Its parameters are external data in [`PARAMS_FILE`].
    pub graph: Vec<u8>,
    /// Its parameters in the order of their place.
    pub params: Vec<Param>,
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
        let found = region.len() as u64;
        let wrong = || ImportError::RegionLength { expected: self.params_len(), found };
        if found != self.params_len() {
            return Err(wrong());
        }
        let mut end = 0usize;
        for param in &self.params {
            let range = usize::try_from(param.offset)
                .ok()
                .zip(usize::try_from(param.offset + param.len).ok());
            let (start, stop) = range.ok_or_else(wrong)?;
            region.get_mut(end..start).ok_or_else(wrong)?.fill(0);
            param.source.read_into(region.get_mut(start..stop).ok_or_else(wrong)?)?;
            end = stop;
        }
        Ok(())
    }
}

/// Cuts a network.
///
/// # Errors
/// [`CutError::TooMany`] if it has not that many places to cut; else a tensor cannot be read.
pub fn cut(model: CanonicalModel, policy: CutPolicy) -> Result<CutModel, CutError> {
    let replicated = Replicated::find(&model);
    let schedule = Schedule::new(&model, &replicated);
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
    let blocks = Assembly::new(&model, &replicated, &schedule, &boundaries).blocks()?;
    let (inputs, outputs) = (model.inputs(), model.outputs());
    let CanonicalModel { name, producer, opset, .. } = model;
    Ok(CutModel { name, producer, opset, inputs, outputs, blocks })
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

/// Blocks while they are put together.
struct Assembly<'a> {
    model: &'a CanonicalModel,
    replicated: &'a Replicated,
    schedule: &'a Schedule,
    /// Positions where blocks end.
    ends: Vec<usize>,
    producers: HashMap<String, usize>,
    /// Block in which each value that crosses is made; the inputs of the graph are absent.
    made_in: HashMap<String, usize>,
}

impl<'a> Assembly<'a> {
    fn new(
        model: &'a CanonicalModel,
        replicated: &'a Replicated,
        schedule: &'a Schedule,
        boundaries: &[Boundary],
    ) -> Self {
        let ends: Vec<usize> =
            boundaries.iter().map(|b| b.position).chain([schedule.order.len()]).collect();
        let mut made_in = HashMap::new();
        let mut block = 0usize;
        for (position, &index) in schedule.order.iter().enumerate() {
            while ends.get(block).is_some_and(|&end| position >= end) {
                block += 1;
            }
            for output in model.graph.nodes.get(index).into_iter().flat_map(|n| &n.output) {
                made_in.insert(output.clone(), block);
            }
        }
        let producers = model.graph.producers();
        Self { model, replicated, schedule, ends, producers, made_in }
    }

    fn blocks(&self) -> Result<Vec<CutBlock>, ImportError> {
        let last = self.ends.len() - 1;
        // Results of shape arithmetic that the answer holds are computed where they first can be.
        let mut extra: Vec<Vec<String>> = vec![Vec::new(); self.ends.len()];
        for output in self.model.graph.outputs.iter().filter_map(|v| v.name.as_ref()) {
            let block = match self.replicated.leaves(output) {
                Some(leaves) => {
                    leaves.iter().filter_map(|l| self.made_in.get(l)).max().copied().unwrap_or(0)
                }
                None if self.made_in.contains_key(output) => continue,
                None => last,
            };
            if let Some(list) = extra.get_mut(block) {
                list.push(output.clone());
            }
        }
        let mut nodes = Vec::with_capacity(self.ends.len());
        let mut start = 0usize;
        for (&end, extra) in self.ends.iter().zip(&extra) {
            nodes.push(self.nodes_of(start, end, extra));
            start = end;
        }
        let mut wanted: HashSet<String> = self.model.graph.output_names();
        let mut inputs: Vec<Vec<String>> = Vec::with_capacity(nodes.len());
        for (indices, extra) in nodes.iter().zip(&extra) {
            let list = self.inputs_of(indices, extra);
            wanted.extend(list.iter().cloned());
            inputs.push(list);
        }
        let mut names = BlockNames::default();
        let mut anchor = self.schedule.anchors.iter();
        let mut starts = std::iter::once(0).chain(self.schedule.starts.iter().copied()).peekable();
        let mut blocks = Vec::with_capacity(nodes.len());
        let parts = nodes.into_iter().zip(inputs).zip(extra).zip(&self.ends);
        for (index, (((indices, inputs), extra), &end)) in parts.enumerate() {
            // The first operator of the block names it, the others are passed over.
            let mut first = None;
            while starts.next_if(|&s| s < end).is_some() {
                let node = anchor.next().and_then(|&a| self.model.graph.nodes.get(a));
                first = first.or(node);
            }
            let nodes: Vec<&NodeProto> =
                indices.iter().filter_map(|&i| self.model.graph.nodes.get(i)).collect();
            let made = indices.iter().filter(|i| !self.replicated.contains(**i));
            let made = made.filter_map(|&i| self.model.graph.nodes.get(i));
            let mut outputs: Vec<String> = made
                .flat_map(|n| &n.output)
                .filter(|o| !o.is_empty() && wanted.contains(*o))
                .cloned()
                .collect();
            outputs.extend(extra);
            let name = names.name(first, index);
            blocks.push(build::block(self.model, Parts { name, nodes, inputs, outputs })?);
        }
        Ok(blocks)
    }

    /// Nodes of a block with the shape arithmetic that they need, in order.
    fn nodes_of(&self, start: usize, end: usize, extra: &[String]) -> Vec<usize> {
        let own = self.schedule.order.get(start..end).unwrap_or_default();
        let mut shapes: BTreeSet<usize> = BTreeSet::new();
        let mut pending: Vec<String> = extra.to_vec();
        let node = |index: usize| self.model.graph.nodes.get(index);
        pending.extend(own.iter().filter_map(|&i| node(i)).flat_map(needs));
        while let Some(value) = pending.pop() {
            let Some(&producer) = self.producers.get(&value) else { continue };
            if self.replicated.contains(producer) && shapes.insert(producer) {
                pending.extend(node(producer).into_iter().flat_map(needs));
            }
        }
        if shapes.is_empty() {
            return own.to_vec();
        }
        self.merged(own, shapes)
    }

    /// Shape arithmetic placed before the first node that needs it.
    fn merged(&self, own: &[usize], shapes: BTreeSet<usize>) -> Vec<usize> {
        let node = |index: usize| self.model.graph.nodes.get(index);
        let mut order = Vec::with_capacity(own.len() + shapes.len());
        let mut done: HashSet<usize> = HashSet::new();
        // Repeated nodes keep their order among themselves, so a stack of what is missing suffices.
        let before = |index: usize, done: &HashSet<usize>| {
            let mut missing = BTreeSet::new();
            let mut pending: Vec<String> = node(index).into_iter().flat_map(needs).collect();
            while let Some(value) = pending.pop() {
                if let Some(&producer) = self.producers.get(&value)
                    && shapes.contains(&producer)
                    && !done.contains(&producer)
                    && missing.insert(producer)
                {
                    pending.extend(node(producer).into_iter().flat_map(needs));
                }
            }
            missing
        };
        for &index in own {
            for shape in before(index, &done) {
                done.insert(shape);
                order.push(shape);
            }
            order.push(index);
        }
        order.extend(shapes.iter().filter(|i| !done.contains(i)));
        order
    }

    fn inputs_of(&self, indices: &[usize], extra: &[String]) -> Vec<String> {
        let nodes: Vec<&NodeProto> =
            indices.iter().filter_map(|&i| self.model.graph.nodes.get(i)).collect();
        let made: HashSet<&String> = nodes.iter().flat_map(|n| &n.output).collect();
        let mut used: BTreeSet<String> = nodes.iter().flat_map(|n| needs(n)).collect();
        used.extend(extra.iter().cloned());
        let outside = |v: &String| {
            !v.is_empty() && !made.contains(v) && !self.model.graph.constants.contains_key(v)
        };
        // Inputs of the graph first, in the file's order, then the rest as it was made.
        let rank = |v: &String| {
            let input = self.model.graph.inputs.iter().position(|i| i.name.as_ref() == Some(v));
            (input.unwrap_or(usize::MAX), self.producers.get(v).copied())
        };
        let mut inputs: Vec<String> = used.into_iter().filter(outside).collect();
        inputs.sort_by_key(rank);
        inputs
    }
}

#[cfg(test)]
mod tests;
