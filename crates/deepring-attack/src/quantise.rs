//! Post-training quantisation of linear layers to 8 bits.
//!
//! Per layer, symmetric, without a zero point, as the bit-flip literature has it (Rakin, He, Fan, "Bit-Flip Attack",
//! ICCV 2019): step = max|W| / 127, and a weight is the nearest multiple of the step. T-BFA's program (Rakin and others,
//! TPAMI 2021) has a step of 2 max|W| / 127, so that a flipped bit moves a weight twice as far: [`Steps`] says which.

use deepring::DType;
use deepring_onnx::proto::{NodeProto, TensorProto};
use thiserror::Error;

use crate::network::{Layer, Network, NetworkError};

/// The first version of the default operator set with `DequantizeLinear`.
const OPSET: i64 = 10;

/// Why a network could not be quantised.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QuantiseError {
    /// The network's operator set has no `DequantizeLinear`.
    #[error("operator set {found} cannot hold 8-bit weights: {OPSET} or later is needed")]
    OperatorSet {
        /// Version that the network asks for.
        found: i64,
    },
    /// No linear layer has an f32 weight.
    #[error("no linear layer has an f32 weight")]
    Nothing,
    /// A weight is not a number, or is infinite.
    #[error("tensor `{name}` has elements that are not finite")]
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// The network already has a value of the name that a new tensor would get.
    #[error("the network already has a value `{name}`")]
    Taken {
        /// The name.
        name: String,
    },
    /// No layer has the name for which a step is asked.
    #[error("the network has no layer `{name}` with f32 weights")]
    NoLayer {
        /// Its name.
        name: String,
    },
    /// A step is asked for with which 127 of them do not reach the largest weight.
    #[error(
        "a top bit of layer `{name}` must move a weight by {least:.2} standard deviations at least: with {found} its largest weight has no place in 8 bits"
    )]
    Fine {
        /// The layer.
        name: String,
        /// The step that was asked for, in standard deviations.
        found: f64,
        /// The smallest step that its weights allow, in standard deviations.
        least: f64,
    },
    /// An edit failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// How large the steps of weights are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Steps {
    /// 2 max|W| / 127 instead of max|W| / 127: weights lie in -64 to 64, and half of the range is for flipped bits.
    pub half_range: bool,
    /// Layers (or their weight tensors) of which a top bit, 128 steps, shall move a weight by so many standard deviations
    /// of the layer's weights; what a single large weight makes of a layer, without that weight.
    pub coarse: Vec<(String, f64)>,
}

/// As [`quantise_with`], with a step of max|W| / 127 in every layer.
///
/// # Errors
/// As there.
pub fn quantise(network: &Network) -> Result<Network, QuantiseError> {
    quantise_with(network, &Steps::default())
}

/// The network with every linear layer's f32 weight `W` as 8-bit integers.
///
/// The initializer `W` becomes `W_quantised` (i8) and `W_scale` (one f32); a `DequantizeLinear` before its first use gives
/// the value `W`, so the rest of the graph stays. Biases and normalisations stay f32. No weight moves by more
/// than half a step.
///
/// # Errors
/// If the operator set is older than 10, if there is no f32 weight, if one is not finite, or if a layer cannot have the
/// step that is asked for.
pub fn quantise_with(network: &Network, how: &Steps) -> Result<Network, QuantiseError> {
    if network.opset() < OPSET {
        return Err(QuantiseError::OperatorSet { found: network.opset() });
    }
    let floats = |l: &Layer| network.tensor(&l.weight).is_ok_and(|t| t.dtype() == DType::F32);
    let layers: Vec<Layer> = network.layers().into_iter().filter(floats).collect();
    if layers.is_empty() {
        return Err(QuantiseError::Nothing);
    }
    let is = |layer: &Layer, name: &str| layer.name == name || layer.weight == name;
    if let Some((name, _)) = how.coarse.iter().find(|(n, _)| !layers.iter().any(|l| is(l, n))) {
        return Err(QuantiseError::NoLayer { name: name.clone() });
    }
    let mut out = network.clone();
    for layer in &layers {
        let values = network.floats(&layer.weight)?;
        let finest = step_of(&values)
            .ok_or_else(|| QuantiseError::NotFinite { name: layer.weight.clone() })?;
        let step = match how.coarse.iter().find(|(name, _)| is(layer, name)) {
            Some((_, deviations)) => coarse(layer, &values, *deviations, finest)?,
            None if how.half_range => 2.0 * finest,
            None => finest,
        };
        let steps = values.iter().map(|v| (v / step).round().clamp(-127.0, 127.0) as i8 as u8);
        insert(&mut out, &layer.weight, step, steps.collect())?;
    }
    Ok(out)
}

/// The step of a layer: one of all zeros has any.
fn step_of(values: &[f32]) -> Option<f32> {
    if values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let step = values.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0;
    Some(if step > 0.0 { step } else { 1.0 })
}

/// The step with which 128 of them are so many standard deviations of the weights.
fn coarse(
    layer: &Layer,
    values: &[f32],
    deviations: f64,
    finest: f32,
) -> Result<f32, QuantiseError> {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let sd = (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt();
    let least = 128.0 * f64::from(finest) / sd;
    // A layer whose weights are all equal has no deviation, and no step by it.
    match deviations >= least && deviations.is_finite() {
        true => Ok((deviations * sd / 128.0) as f32),
        false => Err(QuantiseError::Fine { name: layer.name.clone(), found: deviations, least }),
    }
}

/// Puts the integers in place of the initializer, with the node that makes floats of them.
fn insert(
    network: &mut Network,
    weight: &str,
    step: f32,
    steps: Vec<u8>,
) -> Result<(), QuantiseError> {
    let (quantised, scale) = (format!("{weight}_quantised"), format!("{weight}_scale"));
    for name in [&quantised, &scale] {
        if is_taken(network, name) {
            return Err(QuantiseError::Taken { name: name.clone() });
        }
    }
    let graph = network.graph_mut();
    // Initializers may be inputs of the graph as well (IR version 3); a node's output may not.
    graph.input.retain(|i| i.name.as_deref() != Some(weight));
    let node = NodeProto {
        input: vec![quantised.clone(), scale.clone()],
        output: vec![weight.to_owned()],
        name: Some(format!("{weight}_dequantise")),
        op_type: Some("DequantizeLinear".to_owned()),
        ..NodeProto::default()
    };
    let first = graph.node.iter().position(|n| n.input.iter().any(|i| i == weight));
    graph.node.insert(first.unwrap_or(0), node);
    if let Some(tensor) = graph.initializer.iter_mut().find(|t| t.name.as_deref() == Some(weight)) {
        tensor.name = Some(quantised);
        tensor.data_type = Some(DType::I8.onnx());
        tensor.raw_data = Some(steps);
    }
    graph.initializer.push(TensorProto {
        data_type: Some(DType::F32.onnx()),
        name: Some(scale),
        raw_data: Some(step.to_le_bytes().to_vec()),
        ..TensorProto::default()
    });
    Ok(())
}

fn is_taken(network: &Network, name: &str) -> bool {
    let graph = network.graph();
    graph.initializer.iter().any(|t| t.name.as_deref() == Some(name))
        || graph.input.iter().any(|i| i.name.as_deref() == Some(name))
        || graph.node.iter().any(|n| n.output.iter().any(|o| o == name))
}

#[cfg(test)]
mod tests;
