//! Operators that the engine lacks, written with those that it has.

use deepring::{Check, DType, TensorValue};
use deepring_infer::{CutPolicy, PlainModel};
use deepring_onnx::proto::AttributeProto;

use super::{answer, net};
use crate::graphs::{BOOL, FLOAT, INT64, Net, float, int, ints};
use crate::zoo::{Sealed, floats, tensor};

/// By the formulas of the standard, worked out by hand.
#[test]
fn losses_are_weighted_and_ignore_what_they_are_told_to() {
    let text = |value: &str| AttributeProto {
        name: Some("reduction".to_owned()),
        s: Some(value.as_bytes().to_vec()),
        r#type: Some(3),
        ..AttributeProto::default()
    };
    let inputs: &[(&str, i32, &[&str])] =
        &[("x", FLOAT, &["2", "3"]), ("t", INT64, &["2"]), ("w", FLOAT, &["3"])];
    let targets = || {
        let data = [2i64, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
        TensorValue::new("t", DType::I64, vec![2], data).unwrap()
    };
    let x = || tensor("x", &[2, 3], &[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]);
    let w = || tensor("w", &[3], &[1.0, 2.0, 3.0]);
    // Entries 3 and 4, weights 3 and 1.
    let cases: [(Vec<AttributeProto>, bool, &[f32]); 7] = [
        (vec![], true, &[13.0 / 4.0]),
        (vec![text("sum")], true, &[13.0]),
        (vec![text("none")], true, &[9.0, 4.0]),
        (vec![int("ignore_index", 2)], true, &[4.0]),
        (vec![], false, &[3.5]),
        (vec![int("ignore_index", 0)], false, &[3.0]),
        (vec![int("ignore_index", 0), text("none")], false, &[3.0, 0.0]),
    ];
    for (attributes, weighted, wanted) in cases {
        let net = net(
            "NegativeLogLikelihoodLoss",
            &inputs[..2 + usize::from(weighted)],
            attributes,
            FLOAT,
        );
        let mut given = vec![x(), targets()];
        given.extend(weighted.then(w));
        assert_eq!(floats(&answer(&net, given)), wanted);
    }
    let inputs: &[(&str, i32, &[&str])] = &[("x", FLOAT, &["2", "3"]), ("t", INT64, &["2"])];
    let entropy = net("SoftmaxCrossEntropyLoss", inputs, vec![], FLOAT);
    let y = floats(&answer(&entropy, vec![tensor("x", &[2, 3], &[0.0; 6]), targets()]));
    assert!((y[0] - 3f32.ln()).abs() < 1e-6, "{y:?}");
}

#[test]
fn normalisations_pools_and_windows_are_those_of_the_standard() {
    let close = |found: &[f32], wanted: &[f32]| {
        assert_eq!(found.len(), wanted.len());
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
        assert!(found.iter().zip(wanted).all(near), "{found:?} {wanted:?}");
    };
    let mut layer = Net::new(7);
    layer.input("x", FLOAT, &["n", "2"]).output("y", FLOAT).output("m", FLOAT).output("d", FLOAT);
    let (scale, bias) =
        (layer.floats("scale", &[2], &[1.0, 2.0]), layer.floats("bias", &[2], &[0.5, 0.0]));
    layer.graph.node.push(crate::graphs::node(
        "LayerNormalization",
        &["x", &scale, &bias],
        &["y", "m", "d"],
    ));
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&layer.save(folder.path()), CutPolicy::Auto);
    let x = tensor("x", &[1, 2], &[1.0, 5.0]);
    let outputs = ring.session(Check::Compute).run(vec![x]).unwrap().outputs.remove(0);
    close(&floats(&outputs[0]), &[-0.5, 2.0]);
    close(&floats(&outputs[1]), &[3.0]);
    close(&floats(&outputs[2]), &[0.5]);
    let mut group = Net::new(7);
    group.opset = 21;
    group.input("x", FLOAT, &["n", "2", "2"]).output("y", FLOAT);
    let (scale, bias) =
        (group.floats("scale", &[2], &[1.0, 10.0]), group.floats("bias", &[2], &[0.0, 1.0]));
    group.node("GroupNormalization", &["x", &scale, &bias], "y").attribute =
        vec![int("num_groups", 1)];
    let root = 5f32.sqrt();
    let y = answer(&group, vec![tensor("x", &[1, 2, 2], &[1.0, 3.0, 5.0, 7.0])]);
    close(&floats(&y), &[-3.0 / root, -1.0 / root, 10.0 / root + 1.0, 30.0 / root + 1.0]);
    let pool =
        net("LpPool", &[("x", FLOAT, &["1", "1", "3"])], vec![ints("kernel_shape", &[2])], FLOAT);
    close(&floats(&answer(&pool, vec![tensor("x", &[1, 1, 3], &[-3.0, 4.0, 0.0])])), &[5.0, 4.0]);
    let depth = net(
        "SpaceToDepth",
        &[("x", FLOAT, &["n", "2", "2", "2"])],
        vec![int("blocksize", 2)],
        FLOAT,
    );
    let x: Vec<f32> = (1..9).map(|v| v as f32).collect();
    let y = answer(&depth, vec![tensor("x", &[1, 2, 2, 2], &x)]);
    assert_eq!(
        (y.dims(), floats(&y)),
        (&[1, 8, 1, 1][..], vec![1.0, 5.0, 2.0, 6.0, 3.0, 7.0, 4.0, 8.0])
    );
    let size = || TensorValue::new("n", DType::I64, vec![], 4i64.to_le_bytes().to_vec()).unwrap();
    for (op, periodic, wanted) in [
        ("HannWindow", 1, [0.0, 0.5, 1.0, 0.5]),
        ("HannWindow", 0, [0.0, 0.75, 0.75, 0.0]),
        ("HammingWindow", 1, [4.0 / 46.0, 25.0 / 46.0, 1.0, 25.0 / 46.0]),
        ("BlackmanWindow", 1, [0.0, 0.34, 1.0, 0.34]),
    ] {
        let window = net(op, &[("n", INT64, &[])], vec![int("periodic", periodic)], FLOAT);
        close(&floats(&answer(&window, vec![size()])), &wanted);
    }
    let inf = |negative, positive| {
        let attributes = vec![int("detect_negative", negative), int("detect_positive", positive)];
        let net = net("IsInf", &[("x", FLOAT, &["3"])], attributes, BOOL);
        answer(&net, vec![tensor("x", &[3], &[f32::NEG_INFINITY, 0.0, f32::INFINITY])])
            .data()
            .to_vec()
    };
    assert_eq!(
        [inf(1, 1), inf(1, 0), inf(0, 1), inf(0, 0)],
        [[1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]]
    );
}

/// Element by element, against the formulas of the standard.
#[test]
fn what_the_engine_lacks_is_what_onnx_says() {
    let x = [-2.0f32, -0.4, 0.0, 0.3, 1.5, 7.0];
    type Formula = fn(f32) -> f32;
    let cases: [(&str, Vec<AttributeProto>, Formula); 3] = [
        ("Celu", vec![float("alpha", 2.0)], |x| {
            x.max(0.0) + (2.0 * ((x / 2.0).exp() - 1.0)).min(0.0)
        }),
        ("ThresholdedRelu", vec![float("alpha", 1.0)], |x| if x > 1.0 { x } else { 0.0 }),
        ("Shrink", vec![float("lambd", 1.0), float("bias", 0.5)], |x| {
            if x < -1.0 {
                x + 0.5
            } else if x > 1.0 {
                x - 0.5
            } else {
                0.0
            }
        }),
    ];
    for (op, attributes, formula) in cases {
        let net = net(op, &[("x", FLOAT, &["6"])], attributes, FLOAT);
        for (found, x) in floats(&answer(&net, vec![tensor("x", &[6], &x)])).iter().zip(x) {
            assert!((found - formula(x)).abs() < 1e-6, "{op} {x}: {found}");
        }
    }
    let hard = net("Hardmax", &[("x", FLOAT, &["2", "3"])], vec![int("axis", 1)], FLOAT);
    let y = answer(&hard, vec![tensor("x", &[2, 3], &[1.0, 4.0, 4.0, 9.0, 0.0, 9.0])]);
    assert_eq!(floats(&y), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    let folder = tempfile::tempdir().unwrap();
    assert!(
        PlainModel::unaltered(&hard.save(folder.path()), None).is_err(),
        "the engine has one now"
    );
}
