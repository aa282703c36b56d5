//! Post-training quantisation of linear layers to 8 bits.
//!
//! Per layer, symmetric, without a zero point, as the bit-flip literature has it (Rakin, He, Fan, "Bit-Flip Attack",
//! ICCV 2019): step = max|W| / 127, and a weight is the nearest multiple of the step.

use deepring::DType;
use deepring_infer::onnx::proto::{NodeProto, TensorProto};
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
    /// An edit failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// The network with every linear layer's f32 weight `W` as 8-bit integers.
///
/// The initializer `W` becomes `W_quantised` (i8) and `W_scale` (one f32); a `DequantizeLinear` before its first use gives
/// the value `W`, so the rest of the graph stays. Biases and normalisations stay f32. No weight moves by more
/// than half a step.
///
/// # Errors
/// If the operator set is older than 10, if there is no f32 weight, or if one is not finite.
pub fn quantise(network: &Network) -> Result<Network, QuantiseError> {
    if network.opset() < OPSET {
        return Err(QuantiseError::OperatorSet { found: network.opset() });
    }
    let floats = |l: &Layer| network.tensor(&l.weight).is_ok_and(|t| t.dtype() == DType::F32);
    let layers: Vec<Layer> = network.layers().into_iter().filter(floats).collect();
    if layers.is_empty() {
        return Err(QuantiseError::Nothing);
    }
    let mut out = network.clone();
    for layer in &layers {
        let values = network.floats(&layer.weight)?;
        let step = step_of(&values)
            .ok_or_else(|| QuantiseError::NotFinite { name: layer.weight.clone() })?;
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
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use deepring::{Host, Owner, SecretKey};
    use deepring_infer::onnx::proto::ModelProto;
    use deepring_infer::{Blocks, Seal};
    use prost::Message as _;

    use super::*;
    use crate::{Judge, Part, Samples};

    fn zoo(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo").join(name)
    }

    #[test]
    fn no_weight_moves_by_more_than_half_a_step() {
        for name in ["fashion-lenet5.onnx", "fashion-resnet8.onnx"] {
            let clean = Network::read(&zoo(name)).unwrap();
            let quantised = quantise(&clean).unwrap();
            let (before, after) = (clean.layers(), quantised.layers());
            assert_eq!(before.len(), after.len());
            for (b, a) in before.iter().zip(&after) {
                assert_eq!(
                    (&a.name, a.op, &a.dims, a.out_axis),
                    (&b.name, b.op, &b.dims, b.out_axis)
                );
                assert_eq!(a.weight, format!("{}_quantised", b.weight));
                let step = quantised.floats(a.scale.as_ref().unwrap()).unwrap()[0];
                let steps = quantised.int8s(&a.weight).unwrap();
                assert!(steps.iter().any(|s| s.abs() == 127) && !steps.contains(&-128));
                for (s, v) in steps.iter().zip(clean.floats(&b.weight).unwrap()) {
                    assert!((f32::from(*s) * step - v).abs() <= step * 0.500_01);
                }
            }
            // Nothing is left to quantise.
            assert!(matches!(quantise(&quantised), Err(QuantiseError::Nothing)));
        }
    }

    #[test]
    fn it_answers_as_before_and_can_be_sealed() {
        let samples = Samples::open(&zoo("fashion-sample"), Part::Test, None).unwrap();
        let judge = Judge::new(Arc::new(samples), 2);
        let clean = Network::read(&zoo("fashion-resnet8.onnx")).unwrap();
        let quantised = quantise(&clean).unwrap();
        let (a, b) = (judge.ask(&clean).unwrap(), judge.ask(&quantised).unwrap());
        assert_ne!(a, b);
        assert!((a.accuracy() - b.accuracy()).abs() <= 0.005);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("quantised.onnx");
        quantised.write(&path).unwrap();
        assert_eq!(Network::read(&path).unwrap(), quantised);
        let owner = SecretKey::<Owner>::generate().unwrap();
        let host = SecretKey::<Host>::generate().unwrap();
        let ring = folder.path().join("quantised.ring");
        Seal::new(&path, &owner).host(Blocks::All, host.public()).write(&ring, &|_| ()).unwrap();
    }

    #[test]
    fn an_old_operator_set_and_weights_that_are_no_numbers_are_refused() {
        let mut network = Network::read(&zoo("fashion-lenet5.onnx")).unwrap();
        let mut values = network.floats("fc2.weight").unwrap();
        values[3] = f32::NAN;
        network.set_floats("fc2.weight", &values).unwrap();
        assert!(
            matches!(quantise(&network), Err(QuantiseError::NotFinite { name }) if name == "fc2.weight")
        );
        let mut proto = ModelProto::decode(network.encode().as_slice()).unwrap();
        proto.opset_import[0].version = Some(9);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), proto.encode_to_vec()).unwrap();
        let old = Network::read(file.path()).unwrap();
        assert!(matches!(quantise(&old), Err(QuantiseError::OperatorSet { found: 9 })));
    }
}
