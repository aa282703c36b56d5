//! The networks that `experiments/checkpoint.py` makes of checkpoints of the authors' layout can be asked and searched.
//!
//! `DEEPRING_ONNXRUNTIME_PYTHON` names an interpreter with onnx and numpy; without it nothing is tested.

use std::process::Command;
use std::sync::Arc;

use deepring_attack::{AttackError, Evaluator, Kind, Network, Options, Samples, attack_until};

fn floats(path: &std::path::Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn converted_checkpoints_answer_as_they_should_and_are_searched() {
    let Ok(python) = std::env::var("DEEPRING_ONNXRUNTIME_PYTHON") else {
        crate::skip::skip("packages", "DEEPRING_ONNXRUNTIME_PYTHON names no interpreter with onnx");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = super::zoo().join("../experiments/checkpoint_test.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let inputs = floats(&folder.path().join("inputs"));
    for name in ["tbfa", "radar"] {
        let network = Network::read(&folder.path().join(name).with_extension("onnx")).unwrap();
        // 19 convolutions and the classifier; the shortcuts have no weights.
        assert_eq!(network.layers().iter().filter(|l| l.scale.is_some()).count(), 20);
        let due = floats(&folder.path().join(name).with_extension("answers"));
        let samples = Samples::new(vec![3, 32, 32], inputs.clone(), vec![0; 4]).unwrap();
        let evaluator = Evaluator::new(Arc::new(samples), 1);
        let answers = evaluator.evaluate(&network).unwrap();
        for (ours, theirs) in answers.rows().zip(due.chunks(10)) {
            assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-2));
        }
        let options = Options { flips: Some(1), target: Some(3), ..Options::default() };
        let (kind, evaluator) = (Kind::TbfaNTo1, Some(&evaluator));
        match attack_until(&network, kind, &options, evaluator, evaluator, &|_| ()) {
            Ok(done) => assert_eq!(done.steps.len(), 1),
            Err(AttackError::NeedsGradients { .. }) => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
}
