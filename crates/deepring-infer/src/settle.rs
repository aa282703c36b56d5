//! Constants that only the engine can compute, computed once when sealing.
//!
//! What follows from constants alone (weights added, joined, normalised by their length ...) the engine
//! would compute whenever it loads a block, into memory of its own; the check of the live parameters
//! would then cover bytes that nothing multiplies with. After this pass such results are parameters like
//! any other. `canonical` folds what can be folded without an engine, lazily; this is the rest.

use deepring::DType;

use crate::canonical::{CanonicalModel, needs};
use crate::cut::single;
use crate::engine::{Engine as _, Rten};
use crate::onnx::ImportError;
use crate::onnx::proto::NodeProto;
use crate::weights::Resident;

/// What is computed from constants may be so many times as long as they are, and so much longer: of a file of a few bytes
/// no more memory is taken than that.
const GROWTH: u64 = 8;
const SMALL: u64 = 1 << 27;

/// Operators whose result does not follow from their inputs.
const RANDOM: [&str; 6] = [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
];

/// Replaces nodes that have nothing but constants as inputs, a parameter among them, by their results.
///
/// A node that the engine cannot compute alone stays; sealing tries it again with its block.
pub(crate) fn settle(
    mut model: CanonicalModel,
    engine: &Rten,
) -> Result<CanonicalModel, ImportError> {
    let outputs = model.graph.output_names();
    let nodes = std::mem::take(&mut model.graph.nodes);
    let before = nodes.len();
    let limit = GROWTH.saturating_mul(model.graph.store.bytes()).saturating_add(SMALL);
    let mut left = limit;
    for node in nodes {
        let keeps_outputs = node.output.iter().any(|o| outputs.contains(o));
        if keeps_outputs || !follows_from_parameters(&model, &node) {
            model.graph.nodes.push(node);
            continue;
        }
        match compute(&model, &node, engine)? {
            Some(results) => {
                for (name, dtype, dims, bytes) in results {
                    let what = "bytes computed from constants";
                    left = left
                        .checked_sub(bytes.len() as u64)
                        .ok_or(ImportError::TooLarge { what, limit })?;
                    model.graph.set_constant(
                        &name,
                        dtype,
                        &dims,
                        crate::onnx::ParamSource::owned(bytes),
                    );
                }
            }
            None => model.graph.nodes.push(node),
        }
    }
    if model.graph.nodes.len() < before {
        model.graph.drop_unused();
    }
    Ok(model)
}

fn follows_from_parameters(model: &CanonicalModel, node: &NodeProto) -> bool {
    let inputs: Vec<String> = needs(node).into_iter().collect();
    let constants = inputs.iter().map(|name| model.graph.constant(Some(name)));
    let Some(constants) = constants.collect::<Option<Vec<_>>>() else { return false };
    let in_place =
        |d: Option<DType>| matches!(d, Some(DType::F32 | DType::I32 | DType::I8 | DType::U8));
    let plain = node.attribute.iter().all(|a| a.g.is_none() && a.graphs.is_empty());
    plain && !RANDOM.contains(&node.op()) && constants.iter().any(|t| in_place(t.dtype()))
}

/// Name, element type, dimensions, bytes.
type Computed = (String, DType, Vec<u64>, Vec<u8>);

fn compute(
    model: &CanonicalModel,
    node: &NodeProto,
    engine: &Rten,
) -> Result<Option<Vec<Computed>>, ImportError> {
    let block = single(model, node)?;
    let Ok(loaded) = Resident::of(engine, &block)? else { return Ok(None) };
    let Some(program) = loaded.program(0) else { return Ok(None) };
    let Ok(values) = engine.run(program, Vec::new()) else { return Ok(None) };
    let results: Option<Vec<Computed>> = values
        .iter()
        .zip(&block.outputs)
        .map(|(value, spec)| {
            let t = engine.export(value, spec).ok()?;
            Some((spec.name.clone(), t.dtype(), t.dims().to_vec(), t.data().to_vec()))
        })
        .collect();
    Ok(results)
}
