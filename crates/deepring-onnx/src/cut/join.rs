//! From opened blocks back to one graph.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use prost::Message;

use super::build::PARAMS_FILE;
use super::export::ExportError;
use super::sharing::SHARED_FILE;
use crate::proto::{EXTERNAL, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};
use crate::read::byte_len;
use crate::scope::{needs, subgraphs_mut};

/// A block as it was opened: its encoded model, and its parameters.
#[derive(Debug, Clone, Copy)]
pub struct JoinBlock<'a> {
    /// The encoded model.
    pub graph: &'a [u8],
    /// The parameter region.
    pub region: &'a [u8],
    /// Where in it what the block shares with others begins.
    pub shared: usize,
}

/// One graph, whose large tensors are still in the blocks' regions.
#[derive(Debug, Default)]
pub(super) struct Joined<'a> {
    pub(super) graph: GraphProto,
    /// Headers of tensors, and their elements.
    pub(super) tensors: Vec<(TensorProto, &'a [u8])>,
    pub(super) opsets: Vec<OperatorSetIdProto>,
    nodes: HashMap<String, usize>,
    inline: HashMap<String, usize>,
    placed: HashMap<String, usize>,
}

impl<'a> Joined<'a> {
    pub(super) fn add(&mut self, block: JoinBlock<'a>) -> Result<(), ExportError> {
        let proto = ModelProto::decode(block.graph).map_err(ExportError::Decode)?;
        let graph = proto.graph.unwrap_or_default();
        if self.opsets.is_empty() {
            self.opsets = proto.opset_import;
        } else if self.opsets != proto.opset_import {
            return Err(ExportError::Opsets);
        }
        for tensor in graph.initializer {
            self.initializer(tensor, block)?;
        }
        for node in graph.node {
            self.node(node, block)?;
        }
        Ok(())
    }

    /// Checks that every node finds what it needs, given the inputs of the whole.
    pub(super) fn check(&self, inputs: &HashSet<&str>) -> Result<(), ExportError> {
        let mut made: HashSet<&str> = inputs.clone();
        for node in &self.graph.node {
            for value in needs(node) {
                let known = made.contains(value.as_str())
                    || self.inline.contains_key(&value)
                    || self.placed.contains_key(&value);
                if !known {
                    return Err(ExportError::Undefined { value });
                }
            }
            made.extend(node.output.iter().map(String::as_str));
        }
        Ok(())
    }

    fn initializer(
        &mut self,
        tensor: TensorProto,
        block: JoinBlock<'a>,
    ) -> Result<(), ExportError> {
        let name = tensor.name.clone().unwrap_or_default();
        let conflict = || ExportError::Conflict { name: name.clone() };
        if tensor.data_location != Some(EXTERNAL) {
            return match self.inline.get(&name).and_then(|&i| self.graph.initializer.get(i)) {
                Some(known) if *known == tensor => Ok(()),
                Some(_) => Err(conflict()),
                None if self.placed.contains_key(&name) => Err(conflict()),
                None => {
                    self.inline.insert(name, self.graph.initializer.len());
                    self.graph.initializer.push(tensor);
                    Ok(())
                }
            };
        }
        let elements = elements(&tensor, block)?;
        let header = TensorProto {
            dims: tensor.dims,
            data_type: tensor.data_type,
            name: tensor.name,
            ..TensorProto::default()
        };
        match self.placed.get(&name).and_then(|&i| self.tensors.get(i)) {
            Some((known, bytes)) if *known == header && *bytes == elements => Ok(()),
            Some(_) => Err(conflict()),
            None if self.inline.contains_key(&name) => Err(conflict()),
            None => {
                self.placed.insert(name, self.tensors.len());
                self.tensors.push((header, elements));
                Ok(())
            }
        }
    }

    fn node(&mut self, mut node: NodeProto, block: JoinBlock<'_>) -> Result<(), ExportError> {
        inline_subgraphs(&mut node, block)?;
        let outputs: Vec<String> = node.output.iter().filter(|o| !o.is_empty()).cloned().collect();
        for output in &outputs {
            match self.nodes.get(output).and_then(|&i| self.graph.node.get(i)) {
                // Arithmetic of shapes that several blocks repeat.
                Some(known) if *known == node => return Ok(()),
                Some(_) => return Err(ExportError::Conflict { name: output.clone() }),
                None => {}
            }
        }
        for output in outputs {
            self.nodes.insert(output, self.graph.node.len());
        }
        self.graph.node.push(node);
        Ok(())
    }
}

fn inline_subgraphs(node: &mut NodeProto, block: JoinBlock<'_>) -> Result<(), ExportError> {
    for graph in subgraphs_mut(node) {
        for tensor in &mut graph.initializer {
            if tensor.data_location == Some(EXTERNAL) {
                tensor.raw_data = Some(elements(tensor, block)?.to_vec());
                tensor.data_location = None;
                tensor.external_data.clear();
            }
        }
        for node in &mut graph.node {
            inline_subgraphs(node, block)?;
        }
    }
    Ok(())
}

/// The bytes that an external tensor of a block refers to.
fn elements<'a>(tensor: &TensorProto, block: JoinBlock<'a>) -> Result<&'a [u8], ExportError> {
    let field = |key: &str| {
        let entry = tensor.external_data.iter().find(|e| e.key.as_deref() == Some(key));
        entry.and_then(|e| e.value.as_deref())
    };
    let number = |key: &str| field(key).and_then(|v| v.parse::<usize>().ok());
    let range = || -> Option<Range<usize>> {
        let start = number("offset")?;
        Some(start..start.checked_add(number("length")?)?)
    };
    let expected = tensor.dtype().and_then(|d| byte_len(&tensor.dims, d));
    let region = match field("location") {
        Some(PARAMS_FILE) => Some(block.region),
        Some(SHARED_FILE) => block.region.get(block.shared..),
        _ => None,
    };
    range()
        .and_then(|r| region?.get(r))
        .filter(|bytes| Some(bytes.len() as u64) == expected)
        .ok_or_else(|| ExportError::Parameter { name: tensor.name.clone().unwrap_or_default() })
}
