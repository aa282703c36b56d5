//! One form for all networks: constants apart, nodes in order, what can be folded folded.
//!
//! Everything that the engine would otherwise copy when it loads a network is resolved here, so that
//! it reads parameters in place and a check of the parameters covers the bytes that are multiplied.

mod batchnorm;
mod bias;
mod chosen;
mod differences;
mod fold;
mod graph;
mod halves;
mod integers;
mod invalid;
mod lacking;
mod limits;
mod no_number;
mod padding;
mod places;
mod precision;
mod promote;
mod resample;
mod rewrite;
mod shapes;
mod simplify;
mod sort;
mod tied;
mod turns;
mod twins;
mod upgrade;
mod value_types;

use std::collections::HashMap;

use deepring::{DType, TensorSpec};

use crate::operators;
use crate::proto::{OperatorSetIdProto, ValueInfoProto};
use crate::read::{ImportError, OnnxModel, unsupported};

pub(crate) use graph::Graph;
pub use integers::complaint_of_guard;
pub(crate) use value_types::ValueType;

pub(crate) use shapes::{Shapes, value_info};

/// A network in canonical form; its parameters are still where they were.
#[derive(Debug)]
pub struct CanonicalModel {
    pub(crate) name: String,
    pub(crate) producer: String,
    pub(crate) opset: i64,
    pub(crate) opsets: Vec<OperatorSetIdProto>,
    pub(crate) graph: Graph,
    pub(crate) shapes: Shapes,
    pub(crate) value_types: HashMap<String, ValueType>,
}

/// Brings a model into canonical form.
///
/// # Errors
/// If its graph is inconsistent, or a small constant that decides its form cannot be read.
pub fn canonicalise(model: OnnxModel) -> Result<CanonicalModel, ImportError> {
    let producer = [&model.proto.producer_name, &model.proto.producer_version]
        .into_iter()
        .filter_map(|s| s.as_deref().filter(|s| !s.is_empty()))
        .collect::<Vec<_>>()
        .join(" ");
    let mut opsets = model.proto.opset_import.clone();
    let opset = model.opset;
    let (mut graph, name) = Graph::new(model)?;
    if graph.inputs.is_empty() {
        return Err(unsupported("a network that is asked nothing", name.as_deref()));
    }
    operators::check(&graph.nodes, opset)?;
    graph.sort()?;
    // Rounding and rewriting go by the file's own types, so half precision gives way to single only then. A NaN is followed last:
    // through single precision, and to the `Clip`s that the rewriting wrote, too.
    graph.round_halves();
    let opset = graph.modernise(opset)?;
    graph.promote();
    graph.keep_no_numbers()?;
    opsets.retain(|o| !matches!(o.domain.as_deref(), None | Some("" | "ai.onnx")));
    opsets.insert(0, OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) });
    // Names that the rewriting made must not meet names of the file.
    graph.sort()?;
    // Before constants are folded, each has one name and one node, and transposes of tied matrices are gone: folded, the same
    // elements would be several parameters.
    graph.remove_pass_through()?;
    graph.join_twins();
    graph.keep_tied()?;
    graph.fold_constants()?;
    // Only now are the parameters of a normalisation constants, which go into the operator before it; what is left of scales and
    // shifts gets the shape in which the engine reads it in place.
    let shapes = Shapes::infer(&graph)?;
    graph.fold_batch_norm(&shapes)?;
    graph.fold_conv_bias()?;
    graph.keep_scale_in_place(&shapes);
    // The nodes that no output needs are found in order, and the others named, before any of these is refused by its name.
    graph.sort()?;
    graph.drop_unused();
    graph.name_nodes();
    // The network's own graph is refused or taken; only one that is taken gets guards.
    let shapes = Shapes::infer(&graph)?;
    graph.refuse_oversized(&shapes)?;
    let value_types = value_types::infer(&graph);
    graph.refuse_doubles(&value_types)?;
    graph.refuse_short_sums()?;
    let own = graph.constants.clone();
    graph.guard_integers(&value_types)?;
    // A loop goes into its branch with its guards, whose types it needs.
    let value_types = value_types::infer(&graph);
    graph.spare_loops(&value_types);
    // Nor may those of these last passes: a block would not know which of the two it gives.
    graph.sort()?;
    let made = |name: &str| name.contains(".guard.") || name.contains(".wrap.");
    if let Some((name, _)) =
        own.iter().find(|(name, own)| made(name) && graph.constants.get(*name) != Some(*own))
    {
        return Err(ImportError::Duplicate { value: name.clone() });
    }
    let (shapes, value_types) = (Shapes::infer(&graph)?, value_types::infer(&graph));
    let name = name.unwrap_or_default();
    Ok(CanonicalModel { name, producer, opset, opsets, graph, shapes, value_types })
}

impl CanonicalModel {
    /// Name of the graph, as the file gives it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Program that wrote the file, and its version.
    #[must_use]
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// Version of the default operator set that the canonical graph uses.
    #[must_use]
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// The inputs that a query must give, in the order of the file.
    #[must_use]
    pub fn inputs(&self) -> Vec<TensorSpec> {
        self.graph.inputs.iter().filter_map(|v| self.spec_of(v)).collect()
    }

    /// The outputs of a query, in the order of the file.
    #[must_use]
    pub fn outputs(&self) -> Vec<TensorSpec> {
        self.graph.outputs.iter().filter_map(|v| self.spec_of(v)).collect()
    }

    fn spec_of(&self, value: &ValueInfoProto) -> Option<TensorSpec> {
        Some(self.spec(value.name.as_deref()?))
    }

    pub(crate) fn spec(&self, name: &str) -> TensorSpec {
        let dtype = match self.value_types.get(name) {
            Some(ValueType::Tensor(dtype)) => *dtype,
            _ => DType::F32,
        };
        TensorSpec { name: name.to_owned(), dtype, dims: self.shapes.of(Some(name)).cloned() }
    }
}
