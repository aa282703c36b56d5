//! Differences that trained networks of other people found (`conformance/networks.py`): each kind is right.

use deepring::{Check, DType, TensorValue};
use deepring_infer::{CutPolicy, RunError};

use crate::differences::{answer, i64s, text};
use crate::graphs::{FLOAT, INT64, Net, int, int_tensor};
use crate::zoo::{Sealed, floats, tensor};

const UINT16: i32 = 4;

/// Converters write names for all inputs that an operator may have, empty for those that are left out.
#[test]
fn inputs_left_out_behind_the_last_are_none() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["1", "1", "1"]).output("y", FLOAT);
    let w = net.floats("w", &[1, 4, 1], &[0.5, 0.25, -0.5, 1.0]);
    let r = net.floats("r", &[1, 4, 1], &[0.0; 4]);
    let names = ["x", &w, &r, "", "", "", "", ""];
    net.node("LSTM", &names, "y").attribute = vec![int("hidden_size", 1)];
    let y = answer(&net, vec![tensor("x", &[1, 1, 1], &[1.0])]);
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    // Input, output, forget and cell gate.
    let wanted = sigmoid(0.25) * (sigmoid(0.5) * 1f32.tanh()).tanh();
    assert!((floats(&y)[0] - wanted).abs() < 1e-6, "{} {wanted}", floats(&y)[0]);
}

/// The dimensions in a list are not known, but how many they are.
#[test]
fn tensors_whose_dimensions_a_query_decides_have_a_known_rank() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["n", "2"]).input("to", INT64, &["n"]).output("y", FLOAT);
    // Rows of `x`, added up where `to` says: how graph networks gather messages.
    net.node("Shape", &["x"], "shape");
    net.node("ConstantOfShape", &["shape"], "sums");
    let last = net.ints("last", &[-1]);
    net.node("Unsqueeze", &["to", &last], "column");
    net.node("Expand", &["column", "shape"], "places");
    net.node("ScatterElements", &["sums", "places", "x"], "y").attribute =
        vec![int("axis", 0), text("reduction", "add")];
    net.opset = 18;
    let x = tensor("x", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let y = answer(&net, vec![x, places("to", &[2, 0, 2])]);
    assert_eq!((y.dims(), floats(&y)), (&[3, 2][..], vec![3.0, 4.0, 0.0, 0.0, 6.0, 8.0]));
}

/// Relative positions of T5: near ones as they are, far ones by their logarithm, which is none where they are near.
#[test]
fn an_integer_out_of_range_that_is_not_chosen_is_no_error() {
    let mut net = Net::new(7);
    net.input("distance", INT64, &["n"]).output("bucket", INT64);
    let (near, most) = (net.ints("near", &[8]), net.ints("most", &[15]));
    let (eight, step) = (net.floats("eight", &[1], &[8.0]), net.floats("step", &[1], &[2.0]));
    net.node("Less", &["distance", &near], "is_near");
    net.node("Cast", &["distance"], "far").attribute = vec![int("to", FLOAT.into())];
    net.node("Div", &["far", &eight], "ratio");
    net.node("Log", &["ratio"], "log");
    net.node("Mul", &["log", &step], "steps");
    net.node("Cast", &["steps"], "whole").attribute = vec![int("to", INT64.into())];
    net.node("Add", &["whole", &near], "from_near");
    net.node("Min", &["from_near", &most], "at_most");
    net.node("Where", &["is_near", "distance", "at_most"], "bucket");
    let y = answer(&net, vec![places("distance", &[0, 1, 7, 8, 80, 4000])]);
    assert_eq!(i64s(&y), [0, 1, 7, 8, 12, 15]);
    // One that is chosen is an error as before.
    let index = net.graph.node.len() - 1;
    net.graph.node[index].input = vec!["is_near".into(), "at_most".into(), "distance".into()];
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let session = ring.session(Check::Compute);
    let y = session.run(vec![places("distance", &[8, 9])]).unwrap().outputs.remove(0).remove(0);
    assert_eq!(i64s(&y), [8, 9]);
    let error = session.run(vec![places("distance", &[0, 9])]).unwrap_err();
    assert!(matches!(error, RunError::Input(_)), "{error}");
}

/// Of sums that are held, a sum need not be; nor what it is cast to.
#[test]
fn what_follows_from_integers_that_are_held_is_right_or_an_error() {
    let refused = |net: &Net, x: &[i64]| {
        let folder = tempfile::tempdir().unwrap();
        let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
        let error = ring.session(Check::Compute).run(vec![places("x", x)]).unwrap_err();
        assert!(matches!(error, RunError::Input(_)), "{error}");
    };
    for (op, beyond) in [("ReduceSum", 1 << 29), ("ReduceProd", 1 << 20)] {
        let mut net = Net::new(7);
        net.input("x", INT64, &["n"]).output("y", INT64);
        net.node("Add", &["x", "x"], "twice");
        net.node(op, &["twice"], "y");
        let due = if op == "ReduceSum" { 10 } else { 24 };
        assert_eq!(i64s(&answer(&net, vec![places("x", &[2, 3])])), [due]);
        refused(&net, &[beyond, beyond]);
    }
    let mut cast = Net::new(7);
    cast.input("x", INT64, &["n"]).output("y", UINT16);
    cast.node("Add", &["x", "x"], "twice");
    cast.node("Cast", &["twice"], "y").attribute = vec![int("to", UINT16.into())];
    assert_eq!(answer(&cast, vec![places("x", &[3])]).data(), [6, 0]);
    assert_eq!(answer(&cast, vec![places("x", &[40_000])]).data(), 14_464u16.to_le_bytes());
    refused(&cast, &[1 << 30]);
}

#[test]
fn a_place_from_behind_in_a_sequence_is_before_the_last() {
    for (at, due) in [(-1, 1), (-2, 0), (0, 0), (2, 2)] {
        let mut net = Net::new(7);
        net.input("x", FLOAT, &["1"]).output("y", FLOAT);
        let (one, two) = (net.floats("one", &[1], &[1.0]), net.floats("two", &[1], &[2.0]));
        net.graph.initializer.push(int_tensor("at", &[], &[at]));
        net.graph.initializer.push(int_tensor("due", &[], &[due]));
        net.node("SequenceConstruct", &[&one, &two], "both");
        net.node("SequenceInsert", &["both", "x", "at"], "all");
        net.node("SequenceAt", &["all", "due"], "y");
        assert_eq!(floats(&answer(&net, vec![tensor("x", &[1], &[7.0])])), [7.0], "{at}");
    }
}

fn places(name: &str, values: &[i64]) -> TensorValue {
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorValue::new(name, DType::I64, vec![values.len() as u64], data).unwrap()
}
