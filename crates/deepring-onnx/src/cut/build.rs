//! From a set of nodes to a block: a model of its own, and the layout of its parameters.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use deepring::{Dim, TensorSpec};
use prost::Message;

use super::sharing::{SHARED_FILE, Sharing, is_in_place};
use super::{CutBlock, Param};
use crate::canonical::{CanonicalModel, Graph, value_info};
use crate::proto::{
    EXTERNAL, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
};
use crate::read::{ImportError, ParamSource};
use crate::scope::{needs, op_types, subgraphs_mut};

/// File name under which a block's graph refers to its parameters; the engine takes no other
/// extension than `data`.
pub const PARAMS_FILE: &str = "params.data";
/// Alignment of each parameter.
pub(super) const ALIGNMENT: u64 = 64;
const PRODUCER: &str = "deepring";
/// First version of the format in which initializers need not be inputs as well is 4; this is the
/// one of opset 17, and what is written uses nothing newer.
const IR_VERSION: i64 = 8;
const IR_VERSION_OPSET_21: i64 = 10;

/// The parts of a block.
pub(super) struct Parts<'a> {
    pub(super) name: String,
    /// Nodes in order.
    pub(super) nodes: Vec<&'a NodeProto>,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
}

/// A block that has all its parameters itself.
pub(super) fn block(model: &CanonicalModel, parts: Parts<'_>) -> Result<CutBlock, ImportError> {
    block_sharing(model, parts, (&Sharing::default(), 0))
}

/// Block `index` of several, some of whose parameters are stored once for all of them.
pub(super) fn block_sharing(
    model: &CanonicalModel,
    parts: Parts<'_>,
    (sharing, index): (&Sharing, usize),
) -> Result<CutBlock, ImportError> {
    let Parts { name, nodes, inputs, outputs } = parts;
    let mut types = BTreeSet::new();
    let mut layout = Layout::new(&model.graph, (sharing, index));
    let mut graph = GraphProto { name: Some(name.clone()), ..GraphProto::default() };
    let mut placed = HashSet::new();
    for node in nodes {
        op_types(node, &mut types);
        for used in needs(node) {
            layout.initializer(&used, &mut placed, &mut graph)?;
        }
        let mut node = node.clone();
        layout.node(&mut node, &name)?;
        graph.node.push(node);
    }
    for output in &outputs {
        layout.initializer(output, &mut placed, &mut graph)?;
    }
    let specs = |names: Vec<String>| names.iter().map(|n| model.spec(n)).collect::<Vec<_>>();
    let (inputs, outputs) = (specs(inputs), specs(outputs));
    let info = |s: &TensorSpec| value_info(&s.name, s.dtype, s.dims.as_deref());
    graph.input = inputs.iter().map(info).collect();
    graph.output = outputs.iter().map(info).collect();
    let proto = envelope(model.opset, model.opsets.clone(), graph);
    Ok(CutBlock {
        name,
        op_types: types.into_iter().collect(),
        inputs,
        outputs,
        graph: proto.encode_to_vec(),
        params: layout.params,
        shared: sharing.used_by(index).collect(),
    })
}

pub(super) fn envelope(
    opset: i64,
    opset_import: Vec<crate::proto::OperatorSetIdProto>,
    graph: GraphProto,
) -> ModelProto {
    ModelProto {
        ir_version: Some(if opset >= 21 { IR_VERSION_OPSET_21 } else { IR_VERSION }),
        producer_name: Some(PRODUCER.to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        opset_import,
        graph: Some(graph),
        ..ModelProto::default()
    }
}

struct Layout<'a> {
    source: &'a Graph,
    sharing: (&'a Sharing, usize),
    params: Vec<Param>,
    names: BTreeMap<String, u32>,
    end: u64,
}

impl<'a> Layout<'a> {
    fn new(source: &'a Graph, sharing: (&'a Sharing, usize)) -> Self {
        Self { source, sharing, params: Vec::new(), names: BTreeMap::new(), end: 0 }
    }

    fn initializer(
        &mut self,
        name: &str,
        placed: &mut HashSet<String>,
        graph: &mut GraphProto,
    ) -> Result<(), ImportError> {
        let Some(tensor) = self.source.constant(Some(name)) else { return Ok(()) };
        if placed.insert(name.to_owned()) {
            let mut tensor = tensor.clone();
            tensor.name = Some(name.to_owned());
            let (sharing, block) = self.sharing;
            match sharing.place(block, name) {
                Some(place) => {
                    let len = self.source.source(&tensor).map_or(0, ParamSource::len);
                    refer(&mut tensor, SHARED_FILE, place, len);
                }
                None => self.tensor(&mut tensor, name)?,
            }
            graph.initializer.push(tensor);
        }
        Ok(())
    }

    /// Places the tensors that the node has inside, in its attributes and subgraphs.
    fn node(&mut self, node: &mut NodeProto, place: &str) -> Result<(), ImportError> {
        for attribute in &mut node.attribute {
            for tensor in attribute.t.as_deref_mut().into_iter().chain(&mut attribute.tensors) {
                self.inline(tensor)?;
            }
        }
        let place = match node.name.as_deref() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => format!("{place}/{}", node.op()),
        };
        for graph in subgraphs_mut(node) {
            for tensor in &mut graph.initializer {
                let name = format!("{place}/{}", tensor.name.as_deref().unwrap_or_default());
                self.tensor(tensor, &name)?;
            }
            for node in &mut graph.node {
                self.node(node, &place)?;
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &mut TensorProto, name: &str) -> Result<(), ImportError> {
        let Some(source) = self.source.source(tensor) else { return Ok(()) };
        let in_place = tensor.dtype().is_some_and(is_in_place);
        let (Some(dtype), true, false) = (tensor.dtype(), in_place, source.is_empty()) else {
            return self.inline(tensor);
        };
        let offset = self.end.next_multiple_of(ALIGNMENT);
        let len = source.len();
        self.end = offset
            .checked_add(len)
            .ok_or(ImportError::TooLarge { what: "bytes of parameters", limit: u64::MAX })?;
        let dims = tensor.sizes().into_iter().map(Dim::Fixed).collect();
        let spec = TensorSpec { name: self.unique(name), dtype, dims: Some(dims) };
        self.params.push(Param { spec, offset, len, source: source.clone() });
        refer(tensor, PARAMS_FILE, offset, len);
        Ok(())
    }

    fn inline(&self, tensor: &mut TensorProto) -> Result<(), ImportError> {
        if let Some(source) = self.source.source(tensor) {
            tensor.raw_data = Some(source.read()?);
        }
        tensor.payload = None;
        Ok(())
    }

    fn unique(&mut self, name: &str) -> String {
        let count = self.names.entry(name.to_owned()).or_insert(0);
        *count += 1;
        if *count == 1 { name.to_owned() } else { format!("{name}#{count}") }
    }
}

/// Makes a tensor one whose elements stand elsewhere.
fn refer(tensor: &mut TensorProto, location: &str, offset: u64, len: u64) {
    tensor.payload = None;
    tensor.raw_data = None;
    tensor.data_location = Some(EXTERNAL);
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    tensor.external_data = vec![
        entry("location", location.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", len.to_string()),
    ];
}

/// Names for blocks, each once.
#[derive(Debug, Default)]
pub(super) struct BlockNames(HashMap<String, usize>);

impl BlockNames {
    pub(super) fn name(&mut self, anchor: Option<&NodeProto>, index: usize) -> String {
        let wish = match anchor {
            None => "graph".to_owned(),
            Some(node) => match node.name.as_deref() {
                Some(name) if !name.is_empty() => name.to_owned(),
                _ => format!("{}_{index}", node.op()),
            },
        };
        let mut name = wish.clone();
        while self.0.contains_key(&name) {
            let n = self.0.entry(wish.clone()).or_insert(0);
            *n += 1;
            name = format!("{wish}_{n}");
        }
        self.0.insert(name.clone(), 0);
        name
    }
}
