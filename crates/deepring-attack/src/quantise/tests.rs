use std::path::{Path, PathBuf};
use std::sync::Arc;

use deepring::{Host, Owner, SecretKey};
use deepring_infer::Seal;
use deepring_infer::sealing::Blocks;
use deepring_onnx::proto::ModelProto;
use prost::Message as _;

use super::*;
use crate::{Evaluator, Samples, Split};

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
            assert_eq!((&a.name, a.op, &a.dims, a.out_axis), (&b.name, b.op, &b.dims, b.out_axis));
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
    let samples = Samples::open(&zoo("fashion-sample"), Split::Test, None).unwrap();
    let evaluator = Evaluator::new(Arc::new(samples), 2);
    let clean = Network::read(&zoo("fashion-resnet8.onnx")).unwrap();
    let quantised = quantise(&clean).unwrap();
    let (a, b) = (evaluator.evaluate(&clean).unwrap(), evaluator.evaluate(&quantised).unwrap());
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

/// Integers of a layer's weight, and the step.
fn quantised(network: &Network, weight: &str) -> (Vec<i8>, f32) {
    let layers = network.layers();
    let layer = layers.iter().find(|l| l.weight == format!("{weight}_quantised")).unwrap();
    let step = network.floats(layer.scale.as_ref().unwrap()).unwrap()[0];
    (network.int8s(&layer.weight).unwrap(), step)
}

#[test]
fn half_of_the_range_is_left_free_and_a_flip_moves_a_weight_twice_as_far() {
    let clean = Network::read(&zoo("fashion-lenet5.onnx")).unwrap();
    let whole = quantise(&clean).unwrap();
    let half = quantise_with(&clean, &Steps { half_range: true, ..Steps::default() }).unwrap();
    for layer in clean.layers() {
        let (steps, step) = quantised(&half, &layer.weight);
        let (_, finer) = quantised(&whole, &layer.weight);
        assert_eq!(step, 2.0 * finer);
        // 63.5 steps are the largest weight: the nearest integers are 63 and 64.
        let most = steps.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!((63..=64).contains(&most), "{most}");
        for (s, v) in steps.iter().zip(clean.floats(&layer.weight).unwrap()) {
            assert!((f32::from(*s) * step - v).abs() <= step * 0.500_01);
        }
    }
}

#[test]
fn a_layer_is_made_coarse_and_the_others_stay() {
    let clean = Network::read(&zoo("fashion-lenet5.onnx")).unwrap();
    let coarse = |layer: &str, deviations| {
        let how = Steps { coarse: vec![(layer.to_owned(), deviations)], ..Steps::default() };
        quantise_with(&clean, &how)
    };
    let layers = clean.layers();
    let last = layers.last().unwrap();
    let values = clean.floats(&last.weight).unwrap();
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
    let made = coarse(&last.name, 46.0).unwrap();
    let (steps, step) = quantised(&made, &last.weight);
    assert!((128.0 * step / sd - 46.0).abs() < 0.01);
    assert!(steps.iter().all(|s| s.abs() < 20));
    let others = quantise(&clean).unwrap();
    for layer in layers.iter().filter(|l| l.name != last.name) {
        assert_eq!(quantised(&made, &layer.weight), quantised(&others, &layer.weight));
    }
    assert_eq!(coarse(&last.weight, 46.0).unwrap(), made);
    assert!(matches!(coarse("none", 46.0), Err(QuantiseError::NoLayer { name }) if name == "none"));
    assert!(
        matches!(coarse(&last.name, 1.0), Err(QuantiseError::Fine { least, .. }) if least > 1.0)
    );
}
