//! Dimensions of all values of a network, as the importer infers them.

use std::collections::HashMap;
use std::io::Write as _;

use deepring::{DType, Dim, TensorSpec};
use deepring_onnx::proto::{TensorTypeProto, TypeProto, ValueInfoProto};
use deepring_onnx::{canonicalise, read_onnx};

use super::flow::{Flow, is_output};
use crate::attack::context::{AttackContext, AttackError};
use crate::evaluator::EvaluatorError;
use crate::network::{Network, NetworkError};

/// Type and dimensions of the values that are known.
pub(super) struct ValueSpecs(HashMap<String, TensorSpec>);

impl ValueSpecs {
    /// Asks the importer: a copy of the network that gives every value away as an output has it tell what
    /// it knows of each.
    pub(super) fn of(network: &Network) -> Result<Self, AttackError> {
        let flow = Flow::of(network);
        let mut open = network.clone();
        let produced = network.nodes().iter().filter_map(|n| n.output.first());
        let inner: Vec<ValueInfoProto> = produced
            .filter(|v| flow.is_live(v) && !is_output(network.graph(), v))
            .map(|v| unknown(v))
            .collect();
        open.graph_mut().output.extend(inner);
        let mut file = tempfile::NamedTempFile::new().map_err(EvaluatorError::Temporary)?;
        file.write_all(&open.encode()).map_err(EvaluatorError::Temporary)?;
        let model = read_onnx(file.path()).and_then(canonicalise).map_err(NetworkError::Import)?;
        let specs = model.inputs().into_iter().chain(model.outputs());
        Ok(Self(specs.map(|s| (s.name.clone(), s)).collect()))
    }

    /// Dimensions of a value of floats, if at least their number is known.
    pub(super) fn floats(&self, value: &str) -> Option<&[Dim]> {
        let spec = self.0.get(value).filter(|s| s.dtype == DType::F32)?;
        spec.dims.as_deref()
    }

    /// Returns whether two values are floats, and each dimension of one is known to be that of the other.
    pub(super) fn same(&self, a: &str, b: &str) -> bool {
        self.floats(a).zip(self.floats(b)).is_some_and(|(a, b)| a == b)
    }
}

/// The first output of a network: the first output's name, dimensions, and the axis of its classes.
pub(super) struct Scores {
    pub(super) name: String,
    pub(super) dims: Vec<Dim>,
    pub(super) axis: usize,
    pub(super) classes: usize,
}

impl Scores {
    pub(super) fn of(
        context: &AttackContext<'_>,
        shapes: &ValueSpecs,
    ) -> Result<Self, AttackError> {
        let name = context.network.graph().output.first().and_then(|o| o.name.clone());
        let name = name.ok_or_else(|| context.not_applicable("the network has no output"))?;
        let dims = shapes.floats(&name).map(<[Dim]>::to_vec);
        let dims = dims.ok_or_else(|| {
            context.not_applicable(format!(
                "the dimensions of the output `{name}` are not known, or it is no f32"
            ))
        })?;
        // What is behind the batch and is not 1 counts the classes: [N, K], and [N, K, 1, 1] of a network
        // that ends in a pool.
        let mut wide = dims.iter().enumerate().skip(1).filter(|(_, d)| **d != Dim::Fixed(1));
        match (wide.next(), wide.next()) {
            (Some((axis, Dim::Fixed(k))), None) if (2..1 << 24).contains(k) => {
                let classes = *k as usize;
                Ok(Self { name, axis, classes, dims })
            }
            _ => Err(context
                .not_applicable(format!("the output `{name}` is not one score for each class"))),
        }
    }
}

/// The one image input: its name, and channels, height and width.
pub(super) fn image(
    context: &AttackContext<'_>,
    shapes: &ValueSpecs,
) -> Result<(String, [usize; 3]), AttackError> {
    let mut inputs = super::flow::inputs(context.network).filter_map(|v| v.name.as_deref());
    let (Some(name), None) = (inputs.next(), inputs.next()) else {
        return Err(context.not_applicable("the network has not just one input"));
    };
    let no_image = || {
        context.not_applicable(format!(
            "the input `{name}` is no f32 image [N, C, H, W] of known size"
        ))
    };
    let dims = shapes.floats(name).ok_or_else(no_image)?;
    let [_, inner @ ..] = dims else { return Err(no_image()) };
    // Where the file leaves a size open, the samples have it.
    let given =
        context.evaluator.map(|j| j.samples().dims().to_vec()).filter(|d| d.len() == inner.len());
    let size = |at: usize| match inner.get(at) {
        Some(Dim::Fixed(n)) => usize::try_from(*n).ok(),
        _ => given.as_ref().and_then(|d| usize::try_from(*d.get(at)?).ok()),
    };
    match (inner.len(), size(0), size(1), size(2)) {
        (3, Some(c @ 1..=4), Some(h @ 1..), Some(w @ 1..)) => Ok((name.to_owned(), [c, h, w])),
        _ => Err(no_image()),
    }
}

/// A value of which nothing is stated; the type is what the format demands, and what is inferred goes first.
fn unknown(name: &str) -> ValueInfoProto {
    let tensor_type = Some(TensorTypeProto { elem_type: Some(DType::F32.onnx()), shape: None });
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type, ..TypeProto::default() }),
    }
}
