//! Branches and loops.

use deepring::{Check, DType, TensorValue};
use deepring_infer::{CutPolicy, RunError};

use super::values;
use crate::differences::i64s;
use crate::graphs::{BOOL, FLOAT, INT64, Net, int_tensor, ints};
use crate::zoo::{Sealed, floats, tensor};

/// As in the outermost graph: right, or the query ends with an error.
#[test]
fn integers_in_branches_and_loops_do_not_leave_what_is_held() {
    use crate::graphs::{graph, node, value};
    use deepring_onnx::proto::GraphProto;
    let given = |n: i64| {
        let condition = TensorValue::new("c", DType::Bool, vec![], vec![1]).unwrap();
        vec![condition, values("x", DType::I64, n.to_le_bytes().to_vec())]
    };
    let branch = |op: &str| GraphProto {
        name: Some(op.into()),
        node: vec![node(op, if op == "Mul" { &["x", "x"] } else { &["x"] }, &["t"])],
        output: vec![value("t", INT64, None)],
        ..GraphProto::default()
    };
    let mut either = Net::new(7);
    either.input("c", BOOL, &[]).input("x", INT64, &["1"]).output("y", INT64);
    either.node("If", &["c"], "y").attribute =
        vec![graph("then_branch", branch("Mul")), graph("else_branch", branch("Identity"))];
    let body = GraphProto {
        name: Some("body".into()),
        node: vec![node("Add", &["a", "a"], &["o"]), node("Identity", &["c"], &["d"])],
        input: vec![
            value("i", INT64, Some(&[])),
            value("c", BOOL, Some(&[])),
            value("a", INT64, None),
        ],
        output: vec![value("d", BOOL, Some(&[])), value("o", INT64, None)],
        ..GraphProto::default()
    };
    let mut turns = Net::new(7);
    turns.input("c", BOOL, &[]).input("x", INT64, &["1"]).output("y", INT64);
    turns.graph.initializer.push(int_tensor("n", &[], &[2]));
    turns.node("Loop", &["n", "c", "x"], "y").attribute = vec![graph("body", body)];
    for (net, due) in [(either, 9), (turns, 12)] {
        let folder = tempfile::tempdir().unwrap();
        let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
        let session = ring.session(Check::Compute);
        assert_eq!(i64s(&session.run(given(3)).unwrap().outputs[0][0]), [due]);
        let error = session.run(given(1 << 30)).unwrap_err();
        assert!(matches!(error, RunError::Input(_)), "{error}");
    }
}

#[test]
fn a_loop_without_a_turn_gives_empty_lists() {
    use crate::graphs::{graph, node, value};
    use deepring_onnx::proto::GraphProto;
    let body = GraphProto {
        name: Some("body".into()),
        node: vec![
            node("Add", &["a", "x"], &["o"]),
            node("Identity", &["c"], &["d"]),
            node("Neg", &["o"], &["s"]),
        ],
        input: vec![
            value("i", INT64, Some(&[])),
            value("c", BOOL, Some(&[])),
            value("a", FLOAT, Some(&["2"])),
        ],
        output: vec![
            value("d", BOOL, Some(&[])),
            value("o", FLOAT, Some(&["2"])),
            value("s", FLOAT, Some(&["2"])),
        ],
        ..GraphProto::default()
    };
    let mut net = Net::new(7);
    net.input("n", INT64, &[]).input("x", FLOAT, &["2"]).output("y", FLOAT).output("z", FLOAT);
    let turns = net.node("Loop", &["n", "", "x"], "y");
    turns.output.push("z".into());
    turns.attribute = vec![graph("body", body)];
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let session = ring.session(Check::Compute);
    for (n, y, z) in [(0, [1.0, 2.0], vec![]), (2, [3.0, 6.0], vec![-2.0, -4.0, -3.0, -6.0])] {
        let n = i64::to_le_bytes(n).to_vec();
        let n = TensorValue::new("n", DType::I64, vec![], n).unwrap();
        let found = session.run(vec![n, tensor("x", &[2], &[1.0, 2.0])]).unwrap();
        let found: Vec<&TensorValue> = found.outputs[0].iter().collect();
        assert_eq!(floats(found[0]), y);
        assert_eq!((floats(found[1]), found[1].dims()[1]), (z, 2));
    }
}

/// A branch that has a value of its own reads that, also where nodes before it were joined.
#[test]
fn a_branch_reads_its_own_value_where_others_of_that_name_are_joined() {
    use crate::graphs::{float_tensor, graph, node, value};
    use deepring_onnx::proto::GraphProto;
    let mut net = Net::new(1);
    net.input("x", FLOAT, &["2", "2"]).input("c", BOOL, &[]).output("y", FLOAT);
    net.floats("s", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    for name in ["t1", "t2"] {
        net.node("Transpose", &["s"], name).attribute = vec![ints("perm", &[1, 0])];
    }
    net.node("Add", &["x", "t1"], "z");
    let branch = |name: &str| GraphProto {
        name: Some(name.to_owned()),
        node: vec![
            node("Add", &["z", "t1"], &["u"]),
            node("Add", &["u", "t2"], &[&format!("{name}_y")]),
        ],
        initializer: vec![float_tensor("t1", &[2, 2], &[10.0, 20.0, 30.0, 40.0])],
        output: vec![value(&format!("{name}_y"), FLOAT, Some(&["2", "2"]))],
        ..GraphProto::default()
    };
    net.node("If", &["c"], "y").attribute =
        vec![graph("then_branch", branch("a")), graph("else_branch", branch("b"))];
    let folder = tempfile::tempdir().unwrap();
    let path = net.save(folder.path());
    let ring = Sealed::new(&path, "1".parse().unwrap());
    let condition = TensorValue::new("c", DType::Bool, vec![], vec![1]).unwrap();
    let x = tensor("x", &[2, 2], &[0.0; 4]);
    let session = ring.session(deepring::Check::Run);
    let outcome = session.run_batch(vec![vec![x, condition]]).unwrap();
    // x + tᵀ, and the branch's own, and tᵀ once more.
    assert_eq!(floats(&outcome.outputs[0][0]), [12.0, 26.0, 34.0, 48.0]);
}
