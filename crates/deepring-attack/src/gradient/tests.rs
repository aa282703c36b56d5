use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::{Evaluator, Split, quantise};

fn zoo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo").join(name)
}

const NETWORKS: [&str; 2] = ["fashion-lenet5.onnx", "fashion-resnet8.onnx"];

fn samples(count: usize) -> Samples {
    let all = Samples::open(&zoo("fashion-sample"), Split::Test, None).unwrap();
    all.choose(count, 3)
}

#[test]
fn scores_are_those_of_the_engine() {
    let samples = samples(40);
    let evaluator = Evaluator::new(Arc::new(samples.clone()), 2);
    for name in NETWORKS {
        let clean = Network::read(&zoo(name)).unwrap();
        for network in [quantise(&clean).unwrap(), clean] {
            let ours = Gradients::new(&network).unwrap().scores(&samples).unwrap();
            let answers = evaluator.evaluate(&network).unwrap();
            for (a, b) in ours.iter().zip(answers.rows()) {
                assert_eq!(a.len(), b.len());
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3), "{name}: {a:?} {b:?}");
            }
            assert_eq!(ours.len(), 40);
        }
    }
}

#[test]
fn gradients_are_differences() {
    // More than one piece.
    let samples = samples(40);
    let targets = samples.labels().iter().map(|l| (l + 1) % 10).collect();
    let weights = (0..40).map(|i| if i % 2 == 0 { 0.05 } else { 0.01 }).collect();
    let objective = Objective { samples, targets, weights };
    for name in NETWORKS {
        let network = quantise(&Network::read(&zoo(name)).unwrap()).unwrap();
        let gradients = Gradients::new(&network).unwrap();
        let (loss, all) = gradients.loss_and_gradients(&objective).unwrap();
        let pass = gradients.pass(&objective.samples).unwrap();
        for (at, (layer, gradient)) in gradients.layers().iter().zip(&all).enumerate() {
            let values = graph::dequantised(&network, layer).unwrap();
            let values = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let same = gradients.loss_with(&pass, &objective, at, &values).unwrap();
            assert!((same - loss).abs() < 1e-4 * loss.abs());
            // The largest gradient, since differences of floats cannot tell small ones.
            let place = |i: &usize| gradient[*i].abs();
            let index = (0..gradient.len()).max_by(|a, b| place(a).total_cmp(&place(b))).unwrap();
            let step = 2e-3 * values.iter().fold(0f32, |m, v| m.max(v.abs()));
            let moved = |by: f32| {
                let mut values = values.clone();
                values[index] += by;
                gradients.loss_with(&pass, &objective, at, &values).unwrap()
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let found = f64::from(gradient[index]);
            assert!(
                (difference - found).abs() < 0.05 * found.abs(),
                "{name} {}: {difference} {found}",
                layer.name
            );
        }
    }
}

#[test]
fn an_operator_without_gradient_is_named() {
    let mut network = Network::read(&zoo("fashion-lenet5.onnx")).unwrap();
    network.graph_mut().node[1].op_type = Some("Erf".to_owned());
    let error = Gradients::new(&network).unwrap_err();
    assert!(
        matches!(&error, AttackError::NoGradient { node, operator } if node == "relu1" && operator == "Erf")
    );
}
