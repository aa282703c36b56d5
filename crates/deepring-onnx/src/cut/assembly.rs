//! Nodes, inputs and outputs of every block, given where the network is cut.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::CutBlock;
use super::build::{self, BlockNames, Parts};
use super::live::Boundary;
use super::replicate::Replicated;
use super::schedule::Schedule;
use super::sharing::{SharedParams, Sharing};
use crate::canonical::CanonicalModel;
use crate::proto::NodeProto;
use crate::read::ImportError;
use crate::scope::needs;

/// Most nodes that all blocks may have together, those counted that several repeat.
const NODES_LIMIT: usize = 1 << 21;

/// Blocks while they are put together.
pub(super) struct Assembly<'a> {
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
    pub(super) fn new(
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

    /// The blocks, and what they share: nothing, if each is to have all its parameters itself.
    pub(super) fn blocks(
        &self,
        share: bool,
    ) -> Result<(Vec<CutBlock>, Vec<SharedParams>), ImportError> {
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
        let (mut start, mut left) = (0usize, NODES_LIMIT);
        for (&end, extra) in self.ends.iter().zip(&extra) {
            let indices = self.nodes_of(start, end, extra);
            left = left.checked_sub(indices.len()).ok_or(ImportError::TooLarge {
                what: "nodes of all blocks",
                limit: NODES_LIMIT as u64,
            })?;
            nodes.push(indices);
            start = end;
        }
        let mut wanted: HashSet<String> = self.model.graph.output_names();
        let mut inputs: Vec<Vec<String>> = Vec::with_capacity(nodes.len());
        for (indices, extra) in nodes.iter().zip(&extra) {
            let list = self.inputs_of(indices, extra);
            wanted.extend(list.iter().cloned());
            inputs.push(list);
        }
        let sharing = if share { self.sharing(&nodes, &extra)? } else { Sharing::default() };
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
            let parts = Parts { name, nodes, inputs, outputs };
            blocks.push(build::block_sharing(self.model, parts, (&sharing, index))?);
        }
        Ok((blocks, sharing.groups))
    }

    fn sharing(
        &self,
        nodes: &[Vec<usize>],
        outputs: &[Vec<String>],
    ) -> Result<Sharing, ImportError> {
        let all = nodes.iter().zip(outputs).map(|(indices, outputs)| {
            let node = |i: &usize| self.model.graph.nodes.get(*i);
            (indices.iter().filter_map(node).collect(), outputs.as_slice())
        });
        Sharing::find(self.model, all)
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
