//! Topological order of nodes, and the proof that each value is produced once and before its use.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::graph::Graph;
use crate::read::ImportError;
use crate::scope;

impl Graph {
    /// Orders the nodes so that each follows what it needs; nodes that are in order stay so.
    pub(crate) fn sort(&mut self) -> Result<(), ImportError> {
        let mut available: HashSet<String> = self.constants.keys().cloned().collect();
        for input in self.inputs.iter().filter_map(|v| v.name.as_ref()) {
            if !available.insert(input.clone()) {
                return Err(ImportError::Duplicate { value: input.clone() });
            }
        }
        let mut producers: HashMap<&str, usize> = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for output in node.output.iter().filter(|n| !n.is_empty()) {
                if available.contains(output) || producers.insert(output, index).is_some() {
                    return Err(ImportError::Duplicate { value: output.clone() });
                }
            }
        }
        let mut waiting = vec![0usize; self.nodes.len()];
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for value in scope::needs(node) {
                if available.contains(&value) {
                    continue;
                }
                let Some(&producer) = producers.get(value.as_str()) else {
                    return Err(ImportError::Undefined { node: node.label(), value });
                };
                if let (Some(count), Some(list)) =
                    (waiting.get_mut(index), followers.get_mut(producer))
                {
                    *count += 1;
                    list.push(index);
                }
            }
        }
        for output in self.outputs.iter().filter_map(|v| v.name.as_ref()) {
            if !available.contains(output) && !producers.contains_key(output.as_str()) {
                return Err(ImportError::Undefined {
                    node: "graph output".to_owned(),
                    value: output.clone(),
                });
            }
        }
        let mut ready: BTreeSet<usize> =
            waiting.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| i).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(index) = ready.pop_first() {
            order.push(index);
            for &follower in followers.get(index).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(follower) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(follower);
                    }
                }
            }
        }
        if order.len() < self.nodes.len() {
            let stuck = waiting.iter().position(|&n| n > 0).and_then(|i| self.nodes.get(i));
            return Err(ImportError::Cycle { node: stuck.map(|n| n.label()).unwrap_or_default() });
        }
        let mut nodes: Vec<_> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.nodes =
            order.into_iter().filter_map(|i| nodes.get_mut(i).and_then(Option::take)).collect();
        Ok(())
    }
}
