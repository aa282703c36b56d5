//! The graph that the canonical passes work on: nodes in order, constants by name.

use std::collections::{BTreeMap, HashMap, HashSet};

use deepring::DType;

use crate::proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::read::{ElementStore, ImportError, OnnxModel, ParamSource, unsupported};
use crate::scope;

/// Most elements of a constant that a pass reads to decide something.
const READ_LIMIT: u64 = 1 << 20;

/// Nodes, constants, inputs and outputs of the outermost graph.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) constants: BTreeMap<String, TensorProto>,
    pub(crate) inputs: Vec<ValueInfoProto>,
    pub(crate) outputs: Vec<ValueInfoProto>,
    pub(crate) value_info: HashMap<String, ValueInfoProto>,
    pub(crate) store: ElementStore,
}

impl Graph {
    pub(crate) fn new(model: OnnxModel) -> Result<(Self, Option<String>), ImportError> {
        let OnnxModel { graph, store, .. } = model;
        let GraphProto { node, name, initializer, input, output, value_info, .. } = graph;
        let mut constants = BTreeMap::new();
        for tensor in initializer {
            let name = tensor.name.clone().unwrap_or_default();
            if constants.insert(name.clone(), tensor).is_some() {
                return Err(ImportError::Duplicate { value: name });
            }
        }
        // Before IR version 4 every initializer was listed as an input as well.
        let inputs = input
            .into_iter()
            .filter(|v| !constants.contains_key(v.name.as_deref().unwrap_or_default()))
            .collect::<Vec<_>>();
        for value in inputs.iter().chain(&output) {
            check_tensor(value)?;
        }
        let value_info = value_info
            .into_iter()
            .filter_map(|v| Some((v.name.clone()?, v)))
            .collect::<HashMap<_, _>>();
        let mut graph = Self { nodes: node, constants, inputs, outputs: output, value_info, store };
        graph.take_constant_nodes()?;
        Ok((graph, name))
    }

    /// Names every node that has no name after its operator, so that an engine's complaint can name it.
    pub(super) fn name_nodes(&mut self) {
        let named = |n: &NodeProto| n.name.clone().filter(|name| !name.is_empty());
        let mut taken: HashSet<String> = self.nodes.iter().filter_map(named).collect();
        for (i, node) in self.nodes.iter_mut().enumerate() {
            if named(node).is_some() {
                continue;
            }
            let mut name = format!("{}_{i}", node.op());
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            node.name = Some(name);
        }
    }

    /// Names that the graph's outputs have.
    pub(crate) fn output_names(&self) -> HashSet<String> {
        self.outputs.iter().filter_map(|v| v.name.clone()).collect()
    }

    pub(crate) fn is_input(&self, name: &str) -> bool {
        self.inputs.iter().any(|v| v.name.as_deref() == Some(name))
    }

    /// How often each value is used, a graph output counting as a use.
    pub(crate) fn uses(&self) -> HashMap<String, usize> {
        let mut uses = HashMap::new();
        for name in self.nodes.iter().flat_map(scope::needs).chain(self.output_names()) {
            *uses.entry(name).or_insert(0) += 1;
        }
        uses
    }

    /// Index of the node that produces each value.
    pub(crate) fn producers(&self) -> HashMap<String, usize> {
        let mut producers = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for output in node.output.iter().filter(|n| !n.is_empty()) {
                producers.insert(output.clone(), index);
            }
        }
        producers
    }

    /// All names that branches and loops give to values of their own.
    pub(crate) fn names_within(&self) -> HashSet<String> {
        let mut names = HashSet::new();
        self.nodes.iter().for_each(|node| crate::scope::names_within(node, &mut names));
        names
    }

    /// A name like `wish` that nothing has yet.
    pub(crate) fn fresh(&self, wish: &str) -> String {
        let taken = |name: &str| {
            self.constants.contains_key(name)
                || self.is_input(name)
                || self.nodes.iter().any(|n| n.output.iter().any(|o| o == name))
        };
        let mut name = wish.to_owned();
        let mut n = 1u32;
        while taken(&name) {
            name = format!("{wish}_{n}");
            n += 1;
        }
        name
    }

    pub(crate) fn constant(&self, name: Option<&str>) -> Option<&TensorProto> {
        self.constants.get(name?)
    }

    pub(crate) fn source(&self, tensor: &TensorProto) -> Option<&ParamSource> {
        self.store.of(tensor)
    }

    /// Adds a constant, or replaces the one of that name.
    pub(crate) fn set_constant(
        &mut self,
        name: &str,
        dtype: DType,
        dims: &[u64],
        source: ParamSource,
    ) {
        let tensor = self.store.tensor(name, dtype, dims, source);
        self.constants.insert(name.to_owned(), tensor);
    }

    /// Values of a constant of integers that is small enough to decide by.
    pub(crate) fn ints(&self, name: Option<&str>) -> Result<Option<Vec<i64>>, ImportError> {
        self.constant(name).map_or(Ok(None), |tensor| self.ints_of(tensor))
    }

    /// Likewise of any tensor, of a branch's or a loop's own.
    pub(crate) fn ints_of(&self, tensor: &TensorProto) -> Result<Option<Vec<i64>>, ImportError> {
        let readable = self.source(tensor).filter(|source| source.len() <= READ_LIMIT * 8);
        let Some(source) = readable else { return Ok(None) };
        let bytes = || source.read();
        Ok(match tensor.dtype() {
            Some(DType::I64) => {
                Some(bytes()?.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
            }
            Some(DType::I32) => Some(
                bytes()?
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| i64::from(i32::from_le_bytes(*b)))
                    .collect(),
            ),
            Some(DType::I8) => Some(bytes()?.iter().map(|&b| i64::from(b as i8)).collect()),
            Some(DType::U8) => Some(bytes()?.into_iter().map(i64::from).collect()),
            _ => None,
        })
    }

    /// Values of an f32 constant that is small enough to decide by.
    pub(crate) fn floats(&self, name: Option<&str>) -> Result<Option<Vec<f32>>, ImportError> {
        let Some((tensor, source)) = self.readable(name) else { return Ok(None) };
        if tensor.dtype() != Some(DType::F32) {
            return Ok(None);
        }
        let bytes = source.read()?;
        Ok(Some(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
    }

    fn readable(&self, name: Option<&str>) -> Option<(&TensorProto, &ParamSource)> {
        let tensor = self.constant(name)?;
        let source = self.source(tensor)?;
        (source.len() <= READ_LIMIT * 8).then_some((tensor, source))
    }

    /// Removes nodes and constants that no output depends on.
    pub(crate) fn drop_unused(&mut self) {
        let mut needed = self.output_names();
        let mut keep = vec![false; self.nodes.len()];
        for (node, keep) in self.nodes.iter().zip(&mut keep).rev() {
            if node.output.iter().any(|o| needed.contains(o)) {
                *keep = true;
                needed.extend(scope::needs(node));
            }
        }
        let mut keep = keep.into_iter();
        self.nodes.retain(|_| keep.next().unwrap_or(true));
        self.constants.retain(|name, _| needed.contains(name));
    }

    /// Turns `Constant` nodes into constants, in subgraphs into initializers of these.
    fn take_constant_nodes(&mut self) -> Result<(), ImportError> {
        for mut node in std::mem::take(&mut self.nodes) {
            if node.onnx_op() == "Constant" {
                let (name, tensor) = constant_of(node, &mut self.store)?;
                if self.constants.insert(name.clone(), tensor).is_some() {
                    return Err(ImportError::Duplicate { value: name });
                }
            } else {
                for graph in scope::subgraphs_mut(&mut node) {
                    take_in_subgraph(graph, &mut self.store)?;
                }
                self.nodes.push(node);
            }
        }
        Ok(())
    }
}

fn take_in_subgraph(graph: &mut GraphProto, store: &mut ElementStore) -> Result<(), ImportError> {
    for mut node in std::mem::take(&mut graph.node) {
        if node.onnx_op() == "Constant" {
            let (_, tensor) = constant_of(node, store)?;
            graph.initializer.push(tensor);
        } else {
            for graph in scope::subgraphs_mut(&mut node) {
                take_in_subgraph(graph, store)?;
            }
            graph.node.push(node);
        }
    }
    Ok(())
}

fn constant_of(
    mut node: NodeProto,
    store: &mut ElementStore,
) -> Result<(String, TensorProto), ImportError> {
    let label = node.label();
    let Some(name) = node.output.first().filter(|n| !n.is_empty()).cloned() else {
        return Err(unsupported("constant without a name", Some(&label)));
    };
    if let Some(tensor) = node.take_attr("value").and_then(|a| a.t) {
        return Ok((name.clone(), TensorProto { name: Some(name), ..*tensor }));
    }
    let (dtype, dims, bytes) = if let Some(value) = node.attr_float("value_float") {
        (DType::F32, vec![], value.to_le_bytes().to_vec())
    } else if let Some(value) = node.attr_int("value_int") {
        (DType::I64, vec![], value.to_le_bytes().to_vec())
    } else if let Some(list) = node.attr_ints("value_ints") {
        (DType::I64, vec![list.len() as u64], list.iter().flat_map(|v| v.to_le_bytes()).collect())
    } else if let Some(list) = node.attr("value_floats").map(|a| &a.floats) {
        (DType::F32, vec![list.len() as u64], list.iter().flat_map(|v| v.to_le_bytes()).collect())
    } else {
        return Err(unsupported("constant of this kind", Some(&label)));
    };
    let tensor = store.tensor(&name, dtype, &dims, ParamSource::owned(bytes));
    Ok((name, tensor))
}

fn check_tensor(value: &ValueInfoProto) -> Result<(), ImportError> {
    let name = value.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err(unsupported("input or output without a name", Some(name)));
    }
    let Some(tensor) = value.r#type.as_ref().map(|t| &t.tensor_type) else { return Ok(()) };
    let Some(tensor) = tensor else {
        return Err(unsupported("input or output that is no tensor", Some(name)));
    };
    match tensor.elem_type {
        None | Some(0) => Ok(()),
        Some(code) if DType::from_onnx(code).is_some() => Ok(()),
        Some(code) => Err(ImportError::ElementType { name: name.to_owned(), code }),
    }
}
