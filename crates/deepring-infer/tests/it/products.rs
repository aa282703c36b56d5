//! Checks by what was computed: every shape of operator is covered, edits are detected at their first use, and right
//! answers are never refused.
#![cfg(target_os = "linux")]

use deepring::{Check, Coverage, DType, Finding, SampleRate, TensorValue};
use deepring_infer::{CutPolicy, Session};
use deepring_onnx::proto::{NodeProto, TensorProto};

use crate::graphs::{self, BOOL, FLOAT, INT64, Net};
use crate::live_memory::{asked_with_flip, flip};
use crate::zoo::{Sealed, answer, difference, floats, images, network, tensor};

const UINT8: i32 = 2;
const INT8: i32 = 3;

fn sealed(net: &Net) -> Sealed {
    let folder = tempfile::tempdir().unwrap();
    Sealed::new(&net.save(folder.path()), CutPolicy::Auto)
}

/// What each parameter of the ring had in a query, by name.
fn coverage(session: &Session, input: &TensorValue) -> Vec<(String, Coverage)> {
    let outcome = session.run(vec![input.clone()]).unwrap();
    let decision = outcome.decision.verify(session.ring()).unwrap();
    let receipt = &decision.chain.receipts()[0];
    let layers = session.ring().layers().iter().zip(&receipt.coverage);
    let parts = layers.flat_map(|(header, had)| header.parts.iter().zip(had));
    parts.map(|(part, had)| (part.label().to_owned(), *had)).collect()
}

/// Whether a product was verified; a small tensor's bytes may all have had their turn besides.
fn is_product(coverage: Coverage) -> bool {
    matches!(coverage, Coverage::Product | Coverage::Both)
}

fn place_of(session: &Session, tensor: &str) -> (u32, usize, usize) {
    let headers = session.ring().layers().iter();
    let all = headers.flat_map(|h| h.parts.iter().map(move |p| (h.index, p)));
    let (block, part) = all.into_iter().find(|(_, p)| p.label() == tensor).unwrap();
    (block, part.offset as usize, part.end() as usize)
}

fn refusal(session: &Session, input: &TensorValue) -> Option<Finding> {
    match session.run(vec![input.clone()]) {
        Ok(_) => None,
        Err(e) => {
            Some(e.finding().unwrap_or_else(|| panic!("refused as something else: {e}")).clone())
        }
    }
}

struct Shape {
    x: &'static [u64],
    weight: &'static [i64],
    attributes: fn(&mut NodeProto),
}

const SHAPES: &[Shape] = &[
    Shape { x: &[1, 6, 9, 7], weight: &[10, 6, 1, 1], attributes: |_| () },
    Shape { x: &[3, 6, 9, 7], weight: &[10, 6, 3, 3], attributes: |n| pads(n, &[1, 1, 1, 1]) },
    Shape { x: &[1, 12, 9, 7], weight: &[5, 12, 3, 2], attributes: |n| pads(n, &[2, 0, 1, 1]) },
    Shape {
        x: &[2, 16, 11, 8],
        weight: &[4, 16, 3, 3],
        attributes: |n| {
            pads(n, &[1, 1, 1, 1]);
            set(n, "strides", &[2, 3]);
        },
    },
    Shape {
        x: &[1, 9, 13, 12],
        weight: &[4, 9, 3, 3],
        attributes: |n| {
            pads(n, &[2, 3, 2, 3]);
            set(n, "dilations", &[2, 3]);
        },
    },
    Shape { x: &[1, 12, 8, 8], weight: &[6, 4, 3, 3], attributes: |n| group(n, 3) },
    // Depthwise, twice as many channels out as in.
    Shape {
        x: &[2, 10, 8, 8],
        weight: &[20, 1, 3, 3],
        attributes: |n| {
            group(n, 10);
            pads(n, &[1, 1, 1, 1]);
        },
    },
    // A first layer: few channels, many taps.
    Shape {
        x: &[2, 3, 20, 23],
        weight: &[8, 3, 7, 7],
        attributes: |n| {
            pads(n, &[3, 3, 3, 3]);
            set(n, "strides", &[2, 2]);
        },
    },
    Shape {
        x: &[1, 2, 17, 16],
        weight: &[5, 2, 5, 3],
        attributes: |n| {
            pads(n, &[1, 2, 3, 0]);
            set(n, "strides", &[3, 2]);
            set(n, "dilations", &[2, 1]);
        },
    },
    Shape { x: &[1, 1, 9, 9], weight: &[3, 1, 3, 3], attributes: |n| text(n, "SAME_UPPER") },
    Shape {
        x: &[1, 20, 10, 9],
        weight: &[3, 20, 2, 4],
        attributes: |n| {
            text(n, "SAME_LOWER");
            set(n, "strides", &[2, 2]);
        },
    },
    Shape { x: &[1, 20, 10, 9], weight: &[3, 20, 4, 4], attributes: |n| text(n, "VALID") },
    // One dimension.
    Shape { x: &[2, 5, 30], weight: &[7, 5, 4], attributes: |n| pads(n, &[2, 1]) },
    Shape { x: &[1, 16, 30], weight: &[7, 16, 3], attributes: |n| set(n, "strides", &[2]) },
];

fn set(node: &mut NodeProto, name: &str, values: &[i64]) {
    node.attribute.push(graphs::ints(name, values));
}

fn pads(node: &mut NodeProto, values: &[i64]) {
    set(node, "pads", values);
}

fn group(node: &mut NodeProto, n: i64) {
    node.attribute.push(graphs::int("group", n));
}

fn text(node: &mut NodeProto, auto_pad: &str) {
    let mut attribute = graphs::int("auto_pad", 0);
    (attribute.i, attribute.s, attribute.r#type) = (None, Some(auto_pad.into()), Some(3));
    node.attribute.push(attribute);
}

/// Positive inputs, so that every weight that meets a pixel at all has an effect.
fn positive(name: &str, dims: &[u64], seed: u64) -> TensorValue {
    let count = dims.iter().product::<u64>() as usize;
    let values: Vec<f32> =
        Net::new(seed).randoms(count, 0.5).into_iter().map(|v| 1.0 + v).collect();
    tensor(name, dims, &values)
}

#[test]
fn every_shape_of_convolution_is_checked_by_its_product_and_every_edit_is_detected() {
    for (i, shape) in SHAPES.iter().enumerate() {
        let mut net = Net::new(i as u64 + 1);
        let dims: Vec<String> = shape.x.iter().map(ToString::to_string).collect();
        let dims: Vec<&str> = dims.iter().map(String::as_str).collect();
        net.input("x", FLOAT, &dims).output("y", FLOAT);
        let (w, b) = (net.param("w", shape.weight), net.param("b", &shape.weight[..1]));
        (shape.attributes)(net.node("Conv", &["x", &w, &b], "sum"));
        net.node("Relu", &["sum"], "y");
        let mut session = sealed(&net).session(Check::Compute);
        let input = positive("x", shape.x, 99);
        assert_eq!(refusal(&session, &input), None, "shape {i}: a false alarm");
        let had = coverage(&session, &input);
        assert!(had.iter().any(|(t, c)| t == "w" && is_product(*c)), "{i}: {had:?}");
        let wanted = answer(&session, &input);
        for seed in 0..20 {
            let found = refusal(&session, &positive("x", shape.x, seed));
            assert_eq!(found, None, "shape {i}, seed {seed}: a false alarm");
        }
        let (block, start, end) = place_of(&session, "w");
        // The sign, and the exponent's highest bit, of weights all over the tensor.
        for at in (start..end).step_by(4).step_by(((end - start) / 4 / 40).max(1)) {
            for mask in [0x80, 0x40] {
                let found = asked_with_flip(&mut session, (block, at + 3, mask), &input);
                let found = found.unwrap_or_else(|| panic!("shape {i}, byte {at}: accepted"));
                assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some("w")), "{i}");
                assert_eq!(found.bytes, Some([at as u64 + 3, at as u64 + 4]), "{i}");
            }
        }
        assert_eq!(answer(&session, &input), wanted, "{i}: put back");
    }
}

/// A plane of the input's size for each tap would be gigabytes.
#[test]
fn a_window_of_very_many_taps_over_many_channels_is_on_bytes() {
    let mut net = Net::new(3);
    net.input("x", FLOAT, &["1", "12", "45", "45"]).output("y", FLOAT);
    let w = net.param("w", &[12, 1, 40, 40]);
    group(net.node("Conv", &["x", &w], "y"), 12);
    let session = sealed(&net).session(Check::Compute);
    let had = coverage(&session, &positive("x", &[1, 12, 45, 45], 1));
    assert!(had.iter().any(|(t, c)| t == "w" && *c == Coverage::Bytes), "{had:?}");
}

#[test]
fn products_of_matrices_are_checked_in_every_form() {
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["2", "3", "8"]).output("y", FLOAT);
    let (a, b, c) = (net.param("a", &[8, 12]), net.param("b", &[12]), net.param("c", &[12, 5]));
    net.node("MatMul", &["x", &a], "xa");
    net.node("Add", &[&b, "xa"], "sum");
    net.node("Relu", &["sum"], "lit");
    net.node("MatMul", &["lit", &c], "z");
    let shape = net.ints("shape", &[6, 5]);
    net.node("Reshape", &["z", &shape], "flat");
    let (d, e) = (net.param("d", &[4, 5]), net.param("e", &[4]));
    net.node("Gemm", &["flat", &d, &e], "y").attribute =
        vec![graphs::int("transB", 1), graphs::float("alpha", 0.5), graphs::float("beta", 2.0)];
    let mut session = sealed(&net).session(Check::Compute);
    let input = positive("x", &[2, 3, 8], 1);
    let had = coverage(&session, &input);
    for (tensor, wanted) in [
        ("a", Coverage::Product),
        ("b", Coverage::Bytes),
        ("c", Coverage::Product),
        ("d", Coverage::Product),
        ("e", Coverage::Bytes),
    ] {
        let as_wanted = |(t, c): &(String, Coverage)| {
            t == tensor && (*c == wanted || wanted == Coverage::Product && is_product(*c))
        };
        assert!(had.iter().any(as_wanted), "{tensor}: {had:?}");
        let (block, start, _) = place_of(&session, tensor);
        let found = asked_with_flip(&mut session, (block, start + 3, 0x40), &input);
        let found = found.unwrap_or_else(|| panic!("{tensor}: accepted"));
        assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some(tensor)));
    }
    for seed in 0..200 {
        session.run(vec![positive("x", &[2, 3, 8], seed)]).unwrap();
    }
}

/// Next to a bias of 10^10 an edit of the weight does not show, so its operator has no product; and then the other
/// operator's product says nothing of what this one read.
#[test]
fn a_weight_that_one_operator_reads_without_a_product_is_on_bytes() {
    for (bias, on_bytes) in [(0.5, false), (-1e10, true)] {
        let mut net = Net::new(44);
        net.input("x", FLOAT, &["2", "8"]).input("z", FLOAT, &["2", "8"]);
        net.output("p", FLOAT).output("y", FLOAT);
        let w = net.param("w", &[8, 6]);
        let b = net.floats("b", &[6], &[bias; 6]);
        net.node("MatMul", &["x", &w], "p");
        net.node("Gemm", &["z", &w, &b], "y");
        let folder = tempfile::tempdir().unwrap();
        let path = net.save(folder.path());
        let ring = Sealed::new(&path, "1".parse().unwrap());
        let session = ring.session(Check::Compute);
        let inputs = || vec![positive("x", &[2, 8], 1), positive("z", &[2, 8], 2)];
        let outcome = session.run(inputs()).unwrap();
        let decision = outcome.decision.verify(session.ring()).unwrap();
        let (block, start, _) = place_of(&session, "w");
        let place = session.ring().layers().iter().position(|h| h.index == block).unwrap();
        let part = session.ring().layers()[place].parts.iter().position(|p| p.label() == "w");
        let had = decision.chain.receipts()[0].coverage[place][part.unwrap()];
        let wanted = if on_bytes { had == Coverage::Bytes } else { is_product(had) };
        assert!(wanted, "bias {bias}: {had}");
        if on_bytes {
            // The lowest bit there is, at the first use.
            flip(session.live_bytes(block).unwrap(), start, 0x01);
            let error = session.run(inputs()).unwrap_err();
            let found = error.finding().unwrap_or_else(|| panic!("{error}"));
            assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some("w")));
        }
    }
}

/// A parameter that the network gives out is read there too, and neither its rows nor a product say what was given out.
#[test]
fn a_parameter_that_is_given_out_is_on_bytes() {
    let mut net = Net::new(45);
    net.input("ids", INT64, &["1", "n"]).input("x", FLOAT, &["2", "48"]);
    net.output("y", FLOAT).output("z", FLOAT).output("table", FLOAT).output("w", FLOAT);
    let (table, w) = (net.param("table", &[500, 48]), net.param("w", &[48, 6]));
    net.node("Gather", &[&table, "ids"], "y");
    net.node("MatMul", &["x", &w], "z");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), "1".parse().unwrap());
    let inputs = || {
        let ids = [3i64, 7].iter().flat_map(|i| i.to_le_bytes()).collect();
        let ids = TensorValue::new("ids", deepring::DType::I64, vec![1, 2], ids).unwrap();
        vec![ids, positive("x", &[2, 48], 1)]
    };
    for check in [Check::Compute, Check::Auto] {
        for tensor in ["table", "w"] {
            let session = ring.session(check);
            let outcome = session.run(inputs()).unwrap();
            let decision = outcome.decision.verify(session.ring()).unwrap();
            let (block, start, _) = place_of(&session, tensor);
            let header = session.ring().layers().iter().find(|h| h.index == block).unwrap();
            let part = header.parts.iter().position(|p| p.label() == tensor).unwrap();
            let had = decision.chain.receipts()[0].coverage[0][part];
            assert_eq!(had, Coverage::Bytes, "{check} {tensor}");
            // A row that is not gathered, the lowest bit.
            flip(session.live_bytes(block).unwrap(), start + 4 * 48, 0x01);
            let error = session.run(inputs()).unwrap_err();
            let found = error.finding().unwrap_or_else(|| panic!("{check} {tensor}: {error}"));
            assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some(tensor)));
        }
    }
}

/// Branches may read anything, however many there are.
#[test]
fn beside_branches_every_parameter_is_on_bytes() {
    for branches in [1, 3, 4, 5, 8] {
        let mut net = Net::new(46);
        net.input("ids", INT64, &["1", "n"]).input("flag", BOOL, &[]).output("y", FLOAT);
        let table = net.param("table", &[500, 48]);
        net.node("Gather", &[&table, "ids"], "v0");
        for i in 0..branches {
            let branch = |seed, op: &str| {
                let mut branch = Net::new(seed);
                branch.output("b", FLOAT);
                branch.node(op, &[&format!("v{i}")], "b");
                branch.graph
            };
            let (then, other) = (branch(1, "Relu"), branch(2, "Neg"));
            net.node("If", &["flag"], &format!("v{}", i + 1)).attribute =
                vec![graphs::graph("then_branch", then), graphs::graph("else_branch", other)];
        }
        // As many readers as once made the count come out right again.
        let mut sum = format!("v{branches}");
        for i in 0..branches {
            net.node("ReduceMax", &[&table], &format!("m{i}"));
            net.node("Add", &[&sum, &format!("m{i}")], &format!("s{i}"));
            sum = format!("s{i}");
        }
        net.node("Identity", &[&sum], "y");
        let folder = tempfile::tempdir().unwrap();
        let ring = Sealed::new(&net.save(folder.path()), "1".parse().unwrap());
        let session = ring.session(Check::Compute);
        let ids = [3i64, 7].iter().flat_map(|i| i.to_le_bytes()).collect();
        let ids = TensorValue::new("ids", deepring::DType::I64, vec![1, 2], ids).unwrap();
        let flag = TensorValue::new("flag", deepring::DType::Bool, vec![], vec![1]).unwrap();
        let inputs = || vec![ids.clone(), flag.clone()];
        let outcome = session.run(inputs()).unwrap();
        let decision = outcome.decision.verify(session.ring()).unwrap();
        let coverage = decision.chain.receipts()[0].coverage[0].clone();
        assert!(coverage.iter().all(|c| *c == Coverage::Bytes || *c == Coverage::Recomputed));
        let (block, start, _) = place_of(&session, "table");
        flip(session.live_bytes(block).unwrap(), start + 4 * 48 * 100, 0x01);
        let error = session.run(inputs()).unwrap_err();
        assert_eq!(error.finding().unwrap().tensor.as_deref(), Some("table"), "{branches}");
    }
}

fn bytes_tensor(name: &str, dims: &[i64], elem: i32, values: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(elem),
        raw_data: Some(values),
        ..TensorProto::default()
    }
}

/// A dynamically quantised network: its weights are bytes, and its sums are exact.
fn quantised() -> Net {
    let mut net = Net::new(31);
    net.input("x", FLOAT, &["1", "4", "10", "10"]).output("y", FLOAT);
    let mut bytes = |name: &str, dims: &[i64], elem: i32| {
        let count = dims.iter().product::<i64>() as usize;
        // Seven bits, with which no instruction set saturates.
        let values = net.randoms(count, 63.0).into_iter().map(|v| (v as i8) as u8);
        let values = if elem == UINT8 {
            values.map(|v| v.wrapping_add(64)).collect()
        } else {
            values.collect()
        };
        net.graph.initializer.push(bytes_tensor(name, dims, elem, values));
    };
    bytes("w", &[6, 4, 3, 3], INT8);
    bytes("m", &[6, 5], UINT8);
    net.graph.initializer.push(bytes_tensor("w.zero", &[], INT8, vec![3]));
    net.graph.initializer.push(bytes_tensor("m.zero", &[5], UINT8, vec![60, 61, 62, 63, 64]));
    let quantise = |net: &mut Net, x: &str| {
        let outputs = ["q", "scale", "zero"].map(|o| format!("{x}.{o}"));
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        net.graph.node.push(graphs::node("DynamicQuantizeLinear", &[x], &outputs));
    };
    quantise(&mut net, "x");
    let conv = net.node("ConvInteger", &["x.q", "w", "x.zero", "w.zero"], "c");
    conv.attribute = vec![graphs::ints("pads", &[1, 1, 1, 1]), graphs::ints("strides", &[2, 2])];
    let cast = net.node("Cast", &["c"], "cf");
    cast.attribute = vec![graphs::int("to", FLOAT.into())];
    net.node("Mul", &["cf", "x.scale"], "cs");
    net.node("GlobalAveragePool", &["cs"], "g");
    let shape = net.ints("shape", &[1, 6]);
    net.node("Reshape", &["g", &shape], "flat");
    quantise(&mut net, "flat");
    net.node("MatMulInteger", &["flat.q", "m", "flat.zero", "m.zero"], "p");
    let cast = net.node("Cast", &["p"], "pf");
    cast.attribute = vec![graphs::int("to", FLOAT.into())];
    net.node("Mul", &["pf", "flat.scale"], "y");
    net
}

#[test]
fn operators_on_bytes_are_checked_exactly() {
    let ring = sealed(&quantised());
    let mut session = ring.session(Check::Compute);
    let input = positive("x", &[1, 4, 10, 10], 4);
    let had = coverage(&session, &input);
    // The convolution is one of floats that hold integers: the engine has none of bytes that heeds zero points.
    for tensor in ["c.weight", "m"] {
        let by_product = |(t, c): &(String, Coverage)| t == tensor && is_product(*c);
        assert!(had.iter().any(by_product), "{tensor}: {had:?}");
    }
    assert_eq!(answer(&session, &input), answer(&ring.session(Check::None), &input));
    for seed in 0..300 {
        session.run(vec![positive("x", &[1, 4, 10, 10], seed)]).unwrap();
    }
    // The smallest edit there is, of every weight.
    let (block, start, end) = place_of(&session, "m");
    let (mut met, mut dead) = (0, 0);
    for at in start..end {
        match asked_with_flip(&mut session, (block, at, 0x01), &input) {
            Some(found) => {
                assert_eq!(found.tensor.as_deref(), Some("m"));
                met += 1;
            }
            None => dead += 1,
        }
    }
    // An input that is just its zero point leaves its weights without effect.
    println!("{met} met, {dead} without effect");
    assert!(met >= 4 * dead && met > 0, "{met} met, {dead} accepted");
}

/// What is right must not be called tampering: sums that wrap in 32 bits are beyond what the product of bytes verifies. A zero
/// point for each row is not: the engine is given two products with single ones.
#[test]
fn zero_points_of_rows_have_products_and_sums_that_may_wrap_are_on_bytes() {
    for (rows, inner, zeros) in [(2, 8, 2), (1, 40_000, 1)] {
        let mut net = Net::new(49);
        net.input("x", UINT8, &[&rows.to_string(), &inner.to_string()]);
        net.input("zero", UINT8, &[&zeros.to_string()]).output("y", graphs::INT32);
        let values = (0..inner * 2).map(|i| (i % 7 + 249) as u8).collect();
        net.graph.initializer.push(bytes_tensor("w", &[inner, 2], UINT8, values));
        net.node("MatMulInteger", &["x", "w", "zero"], "y");
        let ring = sealed(&net);
        let session = ring.session(Check::Compute);
        // Of ones, so that this sum does not.
        let x = vec![1; (rows * inner) as usize];
        let x = TensorValue::new("x", DType::U8, vec![rows as u64, inner as u64], x).unwrap();
        let zero = (0..zeros).map(|i| 3 * i as u8).collect();
        let zero = TensorValue::new("zero", DType::U8, vec![zeros as u64], zero).unwrap();
        for _ in 0..3 {
            let outcome = session.run(vec![x.clone(), zero.clone()]).unwrap();
            let decision = outcome.decision.verify(session.ring()).unwrap();
            let had = &decision.chain.receipts()[0].coverage[0];
            assert_eq!(had.iter().any(|c| is_product(*c)), zeros > 1, "{had:?}");
            assert!(zeros > 1 || had.contains(&Coverage::Bytes), "{had:?}");
        }
    }
}

/// The engine takes `SAME_LOWER` for `SAME_UPPER`; this check is what showed it.
#[test]
fn padding_at_the_lower_end_is_padding_at_the_lower_end() {
    let (x, weight) = ([1, 3, 10, 9], [4, 3, 2, 4]);
    let build = |attributes: &dyn Fn(&mut NodeProto)| {
        let mut net = Net::new(6);
        net.input("x", FLOAT, &["1", "3", "10", "9"]).output("y", FLOAT);
        let w = net.param("w", &weight);
        attributes(net.node("Conv", &["x", &w], "y"));
        sealed(&net).session(Check::Compute)
    };
    let lower = build(&|n| text(n, "SAME_LOWER"));
    let explicit = build(&|n| pads(n, &[1, 2, 0, 1]));
    let upper = build(&|n| text(n, "SAME_UPPER"));
    let input = positive("x", &x, 3);
    assert_eq!(answer(&lower, &input), answer(&explicit, &input));
    assert!(difference(&answer(&upper, &input), &answer(&explicit, &input)) > 0.01);
}

#[test]
fn a_transposed_convolution_is_cut_off_at_the_lower_end() {
    let build = |attributes: &dyn Fn(&mut NodeProto)| {
        let mut net = Net::new(6);
        net.input("x", FLOAT, &["1", "2", "h", "w"]).output("y", FLOAT);
        let w = net.param("w", &[2, 3, 3, 4]);
        let node = net.node("ConvTranspose", &["x", &w], "y");
        set(node, "strides", &[2, 3]);
        attributes(node);
        sealed(&net).session(Check::Compute)
    };
    let lower = build(&|n| text(n, "SAME_LOWER"));
    let explicit = build(&|n| pads(n, &[1, 1, 0, 0]));
    let input = positive("x", &[1, 2, 4, 5], 3);
    assert_eq!(answer(&lower, &input), answer(&explicit, &input));
}

#[test]
fn of_a_table_the_rows_that_are_read_are_checked() {
    let mut net = Net::new(12);
    net.input("ids", INT64, &["1", "n"]).output("y", FLOAT);
    let (table, w) = (net.param("table", &[500, 48]), net.param("w", &[48, 6]));
    net.node("Gather", &[&table, "ids"], "rows");
    net.node("MatMul", &["rows", &w], "y");
    let ring = sealed(&net);
    let ids = |ids: &[i64]| {
        let data = ids.iter().flat_map(|i| i.to_le_bytes()).collect();
        TensorValue::new("ids", DType::I64, vec![1, ids.len() as u64], data).unwrap()
    };
    for check in [Check::Auto, Check::Compute] {
        let mut session = ring.session(check);
        let had = coverage(&session, &ids(&[3, 3, 499]));
        assert!(had.contains(&("table".to_owned(), Coverage::Rows)), "{check}: {had:?}");
        (0..4).for_each(|_| drop(session.run(vec![ids(&[1])]).unwrap()));
        let (block, start, _) = place_of(&session, "table");
        let row = start + 7 * 48 * 4;
        // The lowest bit of a fraction: only the tag sees it.
        let edit = (block, row + 20, 0x01);
        let unread = asked_with_flip(&mut session, edit, &ids(&[6, 8]));
        assert!(unread.is_none(), "rows that are not read do not matter");
        for query in [&[7][..], &[1, 7, 2], &[-493]] {
            let found = asked_with_flip(&mut session, edit, &ids(query)).unwrap();
            assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some("table")));
        }
        session.run(vec![ids(&[7])]).unwrap();
    }
    // `run` promises every byte.
    let session = ring.session(Check::Run);
    let (block, start, _) = place_of(&session, "table");
    flip(session.live_bytes(block).unwrap(), start, 0x01);
    assert!(refusal(&session, &ids(&[6, 8])).is_some());
}

#[test]
fn beside_the_engine_every_change_is_detected_too() {
    let ring = Sealed::new(&network("fashion-resnet8"), CutPolicy::Auto);
    let input = images(0, 1);
    let wanted = answer(&ring.session(Check::Run), &input);
    for check in [Check::Run, Check::Auto, Check::Compute] {
        let mut session = ring.session_of(&[1], check, 1);
        session.set_background_check(true);
        (0..5).for_each(|_| assert_eq!(answer(&session, &input), wanted, "{check}"));
        for header in ring.ring().layers() {
            for part in &header.parts {
                let edit = (header.index, part.offset as usize + 3, 0x40);
                let found = asked_with_flip(&mut session, edit, &input);
                // Such a change of a weight shows in what is computed; of all else, in its tag.
                let found = found.unwrap_or_else(|| panic!("{check}, {}: accepted", part.label()));
                assert_eq!(found.block, Some(header.index), "{check}, {}", part.label());
            }
        }
        assert_eq!(answer(&session, &input), wanted, "{check}");
    }
}

#[test]
fn a_spot_check_detects_what_was_changed_as_often_as_its_rate_says() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let mut session = ring.session(Check::Spot(SampleRate::new(0.3).unwrap()));
    let queries = 400;
    let mut asked = |_| asked_with_flip(&mut session, (2, 3, 0x01), &images(0, 1)).is_some();
    let met = (0..queries).map(&mut asked).filter(|met| *met).count();
    // Five standard deviations of 400 draws with probability 0.3.
    assert!((75..=165).contains(&met), "{met} of {queries}");
}

#[test]
fn a_receipt_says_of_a_spot_check_which_blocks_were_looked_at() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let session = ring.session(Check::Spot(SampleRate::new(0.5).unwrap()));
    let (mut looked_at, mut not) = (0, 0);
    for _ in 0..40 {
        for (_, had) in coverage(&session, &images(0, 1)) {
            match had {
                Coverage::Bytes => looked_at += 1,
                Coverage::Opened => not += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(looked_at > 0 && not > 0);
}

#[test]
fn sums_that_are_no_numbers_are_never_accepted() {
    let mut net = Net::new(3);
    net.input("x", FLOAT, &["1", "8"]).output("y", FLOAT);
    let w = net.param("w", &[8, 3]);
    net.node("Sqrt", &["x"], "root");
    net.node("MatMul", &["root", &w], "y");
    let ring = sealed(&net);
    // The network itself computes NaN: its answer, whatever is checked.
    let bad = tensor("x", &[1, 8], &[1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0]);
    assert!(floats(&answer(&ring.session(Check::Run), &bad))[0].is_nan());
    let session = ring.session(Check::Compute);
    assert!(floats(&answer(&session, &bad)).iter().all(|v| v.is_nan()));
    let had = coverage(&session, &bad);
    assert!(had.contains(&("w".to_owned(), Coverage::Product)), "{had:?}");
    // Roots whose squares fit are checked.
    session.run(vec![tensor("x", &[1, 8], &[1e37; 8])]).unwrap();
    // Where they overflow, sums of scaled values are.
    session.run(vec![tensor("x", &[1, 8], &[f32::MAX; 8])]).unwrap();
    assert!(session.alarms().is_empty());
    session.run(vec![positive("x", &[1, 8], 1)]).unwrap();
}

#[test]
fn right_answers_stay_far_from_the_bound_and_the_detection_thresholds_are_real() {
    let ring = Sealed::new(&network("fashion-resnet8"), CutPolicy::Auto);
    let mut session = ring.session(Check::Compute);
    let mut state = 7usize;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut worst = 0f32;
    let mut floors = std::collections::BTreeMap::new();
    for image in 0..100 {
        for margin in session.margins(vec![images(image, image + 1)], &mut random).unwrap() {
            worst = worst.max(margin.max_residual);
            assert!(margin.places > 0 && margin.rms > 0.0);
            if image == 0 {
                let mut found = margin.detection_thresholds;
                found.sort_by(f32::total_cmp);
                floors.insert((margin.block, margin.tensor), (found[found.len() / 2], margin.rms));
            }
        }
    }
    println!("largest gap: {worst} of what is allowed");
    assert!(worst > 0.0 && worst < 0.5, "{worst}");
    // An edit a hundred times the median threshold is detected in every layer, for the weight whose threshold is near it.
    let input = images(0, 1);
    for ((block, name), (floor, rms)) in floors {
        println!("{name}: floor {:e} of the weights' root mean square", floor / rms);
        if !floor.is_finite() {
            continue;
        }
        let (_, start, end) = place_of(&session, &name);
        let step = 4 * ((end - start) / 4 / 24).max(1);
        let met = (start..end).step_by(step).filter(|at| {
            let live = session.live_bytes(block).unwrap();
            let old: [u8; 4] = live[*at..at + 4].try_into().unwrap();
            let new = (f32::from_le_bytes(old) + 100.0 * floor).to_le_bytes();
            assert!(deepring_infer::tamper(live, *at, &new));
            let found = refusal(&session, &input);
            session.reload_block(block).unwrap();
            found.is_some()
        });
        let met = met.count();
        assert!(met >= 12, "{name}: {met}");
    }
}
