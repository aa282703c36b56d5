//! The order in which blocks take the nodes: each linear operator, then all that follows from it.

use std::collections::{BTreeSet, HashMap};

use super::anchors;
use super::replicate::{Budget, Replicated};
use crate::canonical::CanonicalModel;
use crate::read::ImportError;
use crate::scope::needs;

/// Nodes in the order of their blocks, those that are repeated left out.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Indices of nodes.
    pub(super) order: Vec<usize>,
    /// Positions in `order` before which a block may begin, the first block's left out.
    pub(super) starts: Vec<usize>,
    /// For each entry of `starts`, and before them for the first block: the operator that names it.
    pub(super) anchors: Vec<usize>,
    /// Values that each position needs, results of repeated nodes replaced by their leaves.
    pub(super) needs: Vec<BTreeSet<String>>,
}

impl Schedule {
    /// A node runs as early as it can, so that a tail is complete before the next operator; only
    /// what prepares an operand waits for its operator.
    pub(super) fn new(
        model: &CanonicalModel,
        replicated: &Replicated,
    ) -> Result<Self, ImportError> {
        let graph = &model.graph;
        let mut budget = Budget::new();
        let is_anchor: Vec<bool> =
            graph.nodes.iter().map(|node| anchors::is_anchor(graph, node)).collect();
        let prefixes = anchors::prefixes(graph, &is_anchor);
        let outside = |index: &usize| !replicated.contains(*index);
        let unit_of = |index: usize| prefixes.get(&index).copied().unwrap_or(index);

        let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut node_needs: Vec<BTreeSet<String>> = Vec::with_capacity(graph.nodes.len());
        for (index, node) in graph.nodes.iter().enumerate() {
            node_needs.push(outer_needs(model, replicated, needs(node), &mut budget)?);
            if outside(&index) {
                members.entry(unit_of(index)).or_default().push(index);
            }
        }
        let producers = graph.producers();
        let mut waiting: HashMap<usize, usize> = HashMap::new();
        let mut followers: HashMap<usize, Vec<usize>> = HashMap::new();
        for index in (0..graph.nodes.len()).filter(outside) {
            let unit = unit_of(index);
            for value in node_needs.get(index).into_iter().flatten() {
                let Some(&producer) = producers.get(value) else { continue };
                if unit_of(producer) != unit {
                    followers.entry(unit_of(producer)).or_default().push(unit);
                    *waiting.entry(unit).or_insert(0) += 1;
                }
            }
        }
        // Linear operators come after all else that is ready.
        let rank = |unit: usize| (is_anchor.get(unit).copied().unwrap_or(false), unit);
        let mut ready: BTreeSet<(bool, usize)> =
            members.keys().filter(|u| !waiting.contains_key(u)).map(|&u| rank(u)).collect();
        let mut schedule = Self { order: vec![], starts: vec![], anchors: vec![], needs: vec![] };
        while let Some((anchor, unit)) = ready.pop_first() {
            if anchor {
                if !schedule.anchors.is_empty() {
                    schedule.starts.push(schedule.order.len());
                }
                schedule.anchors.push(unit);
            }
            for &index in members.get(&unit).into_iter().flatten() {
                schedule.order.push(index);
                schedule.needs.push(node_needs.get(index).cloned().unwrap_or_default());
            }
            for follower in followers.remove(&unit).unwrap_or_default() {
                if let Some(count) = waiting.get_mut(&follower) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(rank(follower));
                    }
                }
            }
        }
        Ok(schedule)
    }
}

/// Values among `names` that are no constants, with results of repeated nodes traced back.
fn outer_needs(
    model: &CanonicalModel,
    replicated: &Replicated,
    names: Vec<String>,
    budget: &mut Budget,
) -> Result<BTreeSet<String>, ImportError> {
    let mut outer = BTreeSet::new();
    for name in names {
        if model.graph.constants.contains_key(&name) {
            continue;
        }
        match replicated.leaves(&name) {
            Some(leaves) => {
                budget.charge(leaves)?;
                outer.extend(leaves.iter().cloned());
            }
            None => {
                outer.insert(name);
            }
        }
    }
    Ok(outer)
}
