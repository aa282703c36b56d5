//! Another engine opens every attacked file, and answers as ours does.
//!
//! `DEEPRING_ONNXRUNTIME_PYTHON` names an interpreter with onnx, onnxruntime and numpy; without it nothing is tested.

use std::process::Command;

use crate::{NETWORKS, evaluator, kinds, made, network};

/// Checks each network named, runs it on the inputs, and writes its answers beside it as f32.
const SCRIPT: &str = "
import sys, numpy, onnx, onnxruntime
shape = [int(n) for n in sys.argv[2].split(',')]
inputs = numpy.fromfile(sys.argv[1], numpy.float32).reshape(shape)
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = 1
for path in sys.argv[3:]:
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    answers = session.run(None, {session.get_inputs()[0].name: inputs})[0]
    answers.astype(numpy.float32).tofile(path + '.answers')
";

#[test]
fn onnxruntime_answers_as_we_do() {
    let Ok(python) = std::env::var("DEEPRING_ONNXRUNTIME_PYTHON") else {
        crate::skip::skip(
            "packages",
            "DEEPRING_ONNXRUNTIME_PYTHON names no interpreter with onnxruntime",
        );
        return;
    };
    let (evaluator, folder) = (evaluator(100), tempfile::tempdir().unwrap());
    let samples = evaluator.samples();
    let inputs = folder.path().join("inputs");
    let values = samples.values(0..samples.len());
    std::fs::write(&inputs, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
        .unwrap();
    let dims = std::iter::once(samples.len() as u64).chain(samples.dims().iter().copied());
    let shape = dims.map(|d| d.to_string()).collect::<Vec<_>>().join(",");
    let mut files = Vec::new();
    for name in NETWORKS {
        let mut attack = |title: String, network: &deepring_attack::Network| {
            let path = folder.path().join(format!("{title}.onnx"));
            network.write(&path).unwrap();
            files.push((title, path, evaluator.evaluate(network).unwrap()));
        };
        let plain = network(name);
        attack(format!("{name}-plain"), &plain);
        let quantised = crate::quantised::network(name, true);
        attack(format!("{name}-quantised"), &quantised);
        for kind in kinds() {
            for (network, form) in [(&plain, "plain"), (&quantised, "quantised")] {
                if let Some(attacked) = made(network, kind, 1, &evaluator) {
                    attack(format!("{name}-{form}-{kind}"), &attacked.network);
                }
            }
        }
    }
    assert!(files.len() > 40);
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).arg(inputs).arg(shape).args(files.iter().map(|f| &f.1));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (title, path, ours) in files {
        let bytes = std::fs::read(path.with_extension("onnx.answers")).unwrap();
        let theirs: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        for (our, their) in ours.rows().zip(theirs.chunks(ours.classes())) {
            compare(&title, our, their);
        }
    }
}

/// Equal up to 1e-3 of the largest score. Scores that overflow do so wherever an engine's order of summation
/// has it: there both must be far outside.
fn compare(title: &str, ours: &[f32], theirs: &[f32]) {
    let largest = ours.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let sound = ours.iter().chain(theirs).all(|v| v.is_finite()) && largest < 1e30;
    if !sound {
        let wild = |row: &[f32]| row.iter().any(|v| !v.is_finite() || v.abs() > 1e6);
        assert!(wild(ours) && wild(theirs), "{title}: {ours:?} and {theirs:?}");
        return;
    }
    let gap = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(gap <= 1e-3 * largest.max(1.0), "{title}: {ours:?} and {theirs:?}");
    let best = |row: &[f32]| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
    let (a, b) = (best(ours), best(theirs));
    // Two scores nearer than the tolerance may stand in either order.
    assert!(a == b || ours[a] - ours[b] <= 2.0 * gap, "{title}: {ours:?} and {theirs:?}");
}
