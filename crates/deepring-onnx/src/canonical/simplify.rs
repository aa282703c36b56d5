//! Removal of nodes that only pass a value on: `Identity`, and `Dropout` outside training.

use std::collections::HashMap;

use super::graph::Graph;
use crate::proto::NodeProto;
use crate::read::ImportError;
use crate::scope;

impl Graph {
    /// Removes nodes that pass their input on, wherever each graph output keeps its name.
    pub(crate) fn remove_pass_through(&mut self) -> Result<(), ImportError> {
        let uses = self.uses();
        let outputs = self.output_names();
        let producers = self.producers();
        let within = self.names_within();
        // Values that are called otherwise from here on; chains are resolved as they are added.
        let mut names: HashMap<String, String> = HashMap::new();
        let mut produced_as: HashMap<String, String> = HashMap::new();
        let mut keep = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let Some((from, to)) = self.passes_on(node, &uses)? else {
                keep.push(true);
                continue;
            };
            let from = names.get(from).cloned().unwrap_or_else(|| from.to_owned());
            // A branch or loop that has a value of that name would read its own instead.
            if within.contains(&from) || within.contains(to) {
                keep.push(true);
                continue;
            }
            if !outputs.contains(to) {
                names.insert(to.to_owned(), from);
                keep.push(false);
            } else if producers.contains_key(&from)
                && !outputs.contains(&from)
                && !produced_as.contains_key(&from)
                && !produced_as.values().any(|v| *v == from)
            {
                // The producer takes the output's name instead.
                for target in names.values_mut().filter(|v| **v == from) {
                    to.clone_into(target);
                }
                produced_as.insert(from.clone(), to.to_owned());
                names.insert(from, to.to_owned());
                keep.push(false);
            } else {
                keep.push(true);
            }
        }
        let mut keep = keep.into_iter();
        self.nodes.retain(|_| keep.next().unwrap_or(true));
        if names.is_empty() {
            return Ok(());
        }
        for node in &mut self.nodes {
            scope::rename_uses(node, &names);
            for output in &mut node.output {
                if let Some(name) = produced_as.get(output) {
                    output.clone_from(name);
                }
            }
        }
        Ok(())
    }

    fn passes_on<'a>(
        &self,
        node: &'a NodeProto,
        uses: &HashMap<String, usize>,
    ) -> Result<Option<(&'a str, &'a str)>, ImportError> {
        let passes = match node.onnx_op() {
            "Identity" => true,
            "Dropout" => {
                let mask_used = node.output.get(1).is_some_and(|m| uses.contains_key(m));
                !mask_used && !self.may_train(node)?
            }
            _ => false,
        };
        let edge = node.arg(0).zip(node.output.first().map(String::as_str));
        Ok(if passes { edge.filter(|(_, to)| !to.is_empty()) } else { None })
    }

    fn may_train(&self, dropout: &NodeProto) -> Result<bool, ImportError> {
        let Some(flag) = self.constant(dropout.arg(2)) else {
            return Ok(dropout.arg(2).is_some());
        };
        let Some(source) = self.source(flag).filter(|s| s.len() <= 8) else { return Ok(true) };
        Ok(source.read()?.iter().any(|&b| b != 0))
    }
}
