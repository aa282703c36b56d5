//! Bytes that someone made to break the importer.

use std::path::Path;

use deepring_infer::CutPolicy;
use deepring_onnx::{canonicalise, cut, read_onnx};

use crate::graphs::{self, FLOAT, Net};

/// Whatever the bytes are, the way from file to blocks ends in a value.
fn digest(path: &Path, bytes: &[u8]) -> bool {
    std::fs::write(path, bytes).unwrap();
    let Ok(model) = read_onnx(path).and_then(canonicalise) else { return false };
    let Ok(cut) = cut(model, CutPolicy::Op) else { return false };
    for block in &cut.blocks {
        if block.params_len() < 1 << 24 {
            let _ = block.read_params(&mut vec![0; block.params_len() as usize]);
        }
    }
    true
}

/// Has a large tensor, external data, subgraphs and integer shapes, in few bytes.
fn sample() -> Net {
    let mut net = Net::new(1);
    net.opset = 11;
    net.input("x", FLOAT, &["n", "3", "4", "4"]).output("y", FLOAT);
    net.conv("x", "c", 3, 4, 3, 1);
    net.batch_norm("c", "n", 4);
    net.node("Shape", &["n"], "shape");
    net.node("Reshape", &["n", "shape"], "r");
    net.node("Softmax", &["r"], "s").attribute = vec![graphs::int("axis", 1)];
    net.node("LRN", &["n"], "h").attribute = vec![graphs::int("size", 3)];
    net.node("Add", &["s", "h"], "l");
    let mut w = graphs::float_tensor("q", &[64, 3], &[]);
    w.data_type = Some(2);
    w.raw_data = Some(vec![9; 192]);
    net.graph.initializer.push(w);
    let scale = net.floats("scale", &[], &[0.1]);
    net.node("DequantizeLinear", &["q", &scale], "w");
    net.node("Transpose", &["w"], "wt");
    net.node("Flatten", &["l"], "f");
    net.node("MatMul", &["f", "w"], "y");
    let mut body = Net::new(2);
    body.output("t", FLOAT);
    body.node("Relu", &["n"], "t");
    net.node("If", &["x"], "cond").attribute = vec![
        graphs::graph("then_branch", body.graph.clone()),
        graphs::graph("else_branch", body.graph),
    ];
    net
}

#[test]
fn the_sample_is_fine_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    assert!(digest(&folder.path().join("m.onnx"), &sample().bytes()));
}

#[test]
fn truncation_at_every_byte_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let bytes = sample().bytes();
    for end in 0..bytes.len() {
        // What follows the graph is the operator set, without which nothing is read.
        assert!(!digest(&path, &bytes[..end]), "{end}");
    }
}

#[test]
fn no_changed_byte_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let bytes = sample().bytes();
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= change;
            digest(&path, &bytes);
        }
    }
}

#[test]
fn no_mix_of_random_changes_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let original = sample().bytes();
    let mut random = Net::new(77);
    let mut below = |n: usize| ((random.random() + 1.0) / 2.0 * n as f32) as usize % n;
    for _ in 0..3000 {
        let mut bytes = original.clone();
        for _ in 0..1 + below(8) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] = below(256) as u8,
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)],
                2 => drop(bytes.drain(at..(at + 1 + below(20)).min(bytes.len()))),
                _ => {
                    let end = (at + 1 + below(40)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    let to = below(bytes.len());
                    bytes.splice(to..to, part);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        digest(&path, &bytes);
    }
}

#[test]
fn a_huge_announced_length_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    // Field 7 of the model, then field 1 of the graph, each announcing 2^62 bytes.
    let mut bytes = vec![0x3a];
    bytes.extend([0x80; 8]);
    bytes.push(0x40);
    bytes.push(0x0a);
    assert!(!digest(&path, &bytes));
}

#[test]
fn deep_nesting_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut inner = Net::new(1).graph;
    for _ in 0..60 {
        let mut node = graphs::node("If", &["c"], &["o"]);
        node.attribute = vec![graphs::graph("then_branch", inner)];
        inner = Net::new(1).graph;
        inner.node.push(node);
    }
    let mut net = Net::new(1);
    net.graph = inner;
    let error = read_onnx(&net.save(folder.path())).unwrap_err().to_string();
    assert!(error.contains("deep"), "{error}");
}

#[test]
fn dimensions_whose_product_overflows_are_too_large() {
    let mut net = Net::new(1);
    net.input("x", FLOAT, &["1099511627776", "1099511627776"]).output("y", FLOAT);
    let shape = net.ints("shape", &[-1]);
    net.node("Reshape", &["x", &shape], "y");
    assert!(refusal(&net).unwrap_err().contains("2^27"));
}

#[test]
fn no_elements_do_not_hide_dimensions_whose_product_overflows() {
    for op in ["Flatten", "Identity", "Reshape", "Transpose"] {
        let mut net = Net::new(1);
        net.input("x", FLOAT, &["4"]).output("y", FLOAT);
        let shape = net.ints("shape", &[1 << 30, 1 << 30, 1 << 30, 0]);
        net.node("ConstantOfShape", &[&shape], "none");
        let node = net.node(op, &["none", &shape], "z");
        if op == "Flatten" {
            node.attribute = vec![graphs::int("axis", 3)];
        }
        net.node("Concat", &["x", "z"], "y").attribute = vec![graphs::int("axis", 0)];
        let folder = tempfile::tempdir().unwrap();
        assert!(digest(&folder.path().join("m.onnx"), &net.bytes()), "{op}");
    }
}

#[test]
fn what_nodes_make_of_one_constant_is_bounded_together() {
    let channels = 1 << 16;
    let mut zeros = Net::new(1);
    zeros.input("x", 2, &["1", "1", "2", "2"]).input("z", 2, &["65536"]).output("y 0", 6);
    zeros.input("w", 2, &["65536", "1", "1", "1"]);
    let mut norms = Net::new(1);
    norms.input("x", FLOAT, &["1", "1", "2", "2"]).output("y 0", FLOAT);
    norms.floats("w", &[channels, 1, 1, 1], &vec![1.0; channels as usize]);
    norms.floats("v", &[channels], &vec![1.0; channels as usize]);
    let mut scales = Net::new(1);
    scales.input("x", FLOAT, &["1"]).output("y 0", FLOAT);
    scales.floats("s", &[channels], &vec![1.0; channels as usize]);
    let mut w = graphs::float_tensor("w", &[channels], &[]);
    (w.data_type, w.raw_data) = (Some(2), Some(vec![9; channels as usize]));
    scales.graph.initializer.push(w);
    for i in 0..1100 {
        zeros.node("ConvInteger", &["x", "w", "", "z"], &format!("y {i}"));
        norms.node("Conv", &["x", "w"], &format!("c {i}"));
        norms.node(
            "BatchNormalization",
            &[&format!("c {i}"), "v", "v", "v", "v"],
            &format!("y {i}"),
        );
        scales.node("DequantizeLinear", &["w", "s"], &format!("d {i}")).attribute =
            vec![graphs::int("axis", 0)];
        scales.node("Add", &["x", &format!("d {i}")], &format!("y {i}"));
    }
    for net in [zeros, norms] {
        let folder = tempfile::tempdir().unwrap();
        let model = read_onnx(&net.save(folder.path())).unwrap();
        let error = canonicalise(model).unwrap_err().to_string();
        assert!(error.contains("shared constants"), "{error}");
    }
    // Nodes that make the same are one.
    let folder = tempfile::tempdir().unwrap();
    canonicalise(read_onnx(&scales.save(folder.path())).unwrap()).unwrap();
}

#[test]
fn names_of_dimensions_are_bounded_however_many_values_have_them() {
    let mut net = Net::new(1);
    net.input("x", FLOAT, &[&"n".repeat(1 << 20), "4"]).output("299", FLOAT);
    for i in 0..300 {
        let x = if i == 0 { "x".to_owned() } else { format!("{}", i - 1) };
        net.node("Relu", &[&x], &i.to_string());
    }
    let folder = tempfile::tempdir().unwrap();
    let error = canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap_err().to_string();
    assert!(error.contains("bytes of dimensions"), "{error}");
}

#[test]
fn shapes_that_depend_on_everything_are_bounded() {
    let mut net = Net::new(1);
    net.output("s0", graphs::INT64);
    for i in 0..6000 {
        net.input(&format!("i{i}"), FLOAT, &["2"]);
        net.node("Shape", &[&format!("i{i}")], &format!("s{i}"));
        let sum = if i < 2 { "s0".to_owned() } else { format!("a{}", i - 1) };
        net.node("Add", &[&format!("s{i}"), &sum], &format!("a{i}"));
    }
    net.output("a5999", graphs::INT64);
    let folder = tempfile::tempdir().unwrap();
    let model = canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap();
    let error = cut(model, CutPolicy::Op).unwrap_err().to_string();
    assert!(error.contains("shapes depend on"), "{error}");
}

/// A hundred bytes must not be able to exhaust memory.
#[test]
fn constants_that_ask_for_oversized_tensors_are_refused_by_name() {
    let vast = |op: &str, inputs: &[&str]| {
        let mut net = Net::new(91);
        net.input("x", FLOAT, &["1"]).output("y", FLOAT);
        net.ints("vast", &[1 << 40]);
        net.ints("both", &[1 << 40, 1 << 40]);
        net.floats("zero", &[], &[0.0]);
        net.floats("far", &[], &[1e12]);
        net.floats("one", &[], &[1.0]);
        net.floats("pair", &[2], &[0.0, 1.0]);
        net.ints("some", &[10_000; 4]);
        net.ints("rows", &[1, 2]);
        net.input("m", FLOAT, &["2", "3"]);
        net.input("column", FLOAT, &["100000", "1"]).input("row", FLOAT, &["1", "100000"]);
        net.node(op, inputs, "y");
        let folder = tempfile::tempdir().unwrap();
        let read = deepring_onnx::read_onnx(&net.save(folder.path())).unwrap();
        deepring_onnx::canonicalise(read).map(|_| ()).unwrap_err().to_string()
    };
    for (op, inputs) in [
        ("Expand", vec!["x", "vast"]),
        ("Tile", vec!["x", "vast"]),
        ("Pad", vec!["x", "both"]),
        // No one of them is vast.
        ("Pad", vec!["m", "some"]),
        ("OneHot", vec!["rows", "vast", "pair"]),
        ("MatMul", vec!["column", "row"]),
        ("Mul", vec!["column", "row"]),
        ("ConstantOfShape", vec!["vast"]),
        ("Range", vec!["zero", "far", "one"]),
        ("Resize", vec!["x", "", "far"]),
    ] {
        let refusal = vast(op, &inputs);
        assert!(refusal.contains(op) && refusal.contains("2^27"), "{op}: {refusal}");
    }
}

fn refusal(net: &Net) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let read = read_onnx(&net.save(folder.path())).unwrap();
    canonicalise(read).map(drop).map_err(|error| error.to_string())
}

/// Sizes that are a product of what is given and of what constants ask for.
#[test]
fn operators_that_multiply_what_they_are_given_are_refused_by_name() {
    let vast =
        |op: &str, inputs: &[&str], attributes: Vec<deepring_onnx::proto::AttributeProto>| {
            let mut net = Net::new(91);
            net.input("x", FLOAT, &["1", "1", "10", "10"]).output("y", FLOAT);
            net.ints("times", &[1, 1, 6000, 6000]);
            net.floats("scales", &[4], &[1.0, 1.0, 6000.0, 6000.0]);
            net.param("k", &[1, 1, 1, 1]);
            net.param("m", &[40, 40]);
            net.node(op, inputs, "y").attribute = attributes;
            refusal(&net).unwrap_err()
        };
    let list = graphs::ints;
    let pads = list("pads", &[30_000; 4]);
    for (op, inputs, attributes, feature) in [
        ("Tile", vec!["x", "times"], vec![], "2^27"),
        ("Resize", vec!["x", "", "scales"], vec![], "2^27"),
        ("ConvTranspose", vec!["x", "k"], vec![list("strides", &[20_000; 2])], "2^27"),
        ("Conv", vec!["x", "k"], vec![pads.clone()], "2^27"),
        (
            "Einsum",
            vec!["m", "m", "m"],
            vec![crate::differences::text("equation", "ab,cd,ef->abcdef")],
            "2^27",
        ),
        ("LRN", vec!["x"], vec![graphs::int("size", (1 << 31) - 1)], "window"),
        ("MaxPool", vec!["x"], vec![list("kernel_shape", &[30_001; 2]), pads.clone()], "2^27"),
        ("AveragePool", vec!["x"], vec![list("kernel_shape", &[60_001; 2]), pads.clone()], "2^27"),
        (
            "AveragePool",
            vec!["x"],
            vec![list("kernel_shape", &[4_001; 2]), list("pads", &[4_000; 4])],
            "windows",
        ),
    ] {
        let refusal = vast(op, &inputs, attributes);
        assert!(refusal.contains(feature), "{op}: {refusal}");
    }
    // What one makes, the next one is given: also inside a branch.
    let mut twice = Net::new(1);
    twice.input("x", FLOAT, &["10", "10"]).output("y", FLOAT);
    let times = twice.ints("times", &[100, 100]);
    twice.node("Tile", &["x", &times], "a");
    twice.node("Relu", &["a"], "b");
    let mut then = Net::new(2);
    then.node("Tile", &["b", "times"], "t");
    then.output("t", FLOAT);
    twice.input("c", graphs::BOOL, &[]);
    twice.node("If", &["c"], "y").attribute = vec![
        graphs::graph("then_branch", then.graph.clone()),
        graphs::graph("else_branch", then.graph),
    ];
    assert!(refusal(&twice).unwrap_err().contains("2^27"));
}

/// A loop of a hundred bytes whose value doubles, or is added to, in each turn.
#[test]
fn loops_whose_values_grow_are_refused_by_name() {
    let grown = |turns: Option<i64>, added: &str, cuts: bool| {
        let mut body = Net::new(1);
        body.input("i", graphs::INT64, &[]).input("on", graphs::BOOL, &[]).input(
            "a",
            FLOAT,
            &["n"],
        );
        body.node("Identity", &["on"], "still");
        body.floats("ten", &[10], &[0.0; 10]);
        body.node("Concat", &["a", added], "b").attribute = vec![graphs::int("axis", 0)];
        let (from, to) = (body.ints("from", &[0]), body.ints("to", &[1]));
        body.node("Slice", &["b", &from, &to], "c");
        body.output("still", graphs::BOOL).output(if cuts { "c" } else { "b" }, FLOAT);
        let mut net = Net::new(1);
        net.input("x", FLOAT, &["4"]).input("n", graphs::INT64, &[]).output("y", FLOAT);
        let count = turns.map_or("n".to_owned(), |n| net.ints("turns", &[n]));
        net.node("Loop", &[&count, "", "x"], "y").attribute =
            vec![graphs::graph("body", body.graph)];
        refusal(&net)
    };
    for (turns, added) in [(Some(30), "a"), (None, "a"), (Some(1 << 24), "ten")] {
        let refused = grown(turns, added, false).unwrap_err();
        assert!(refused.contains("a loop whose values grow"), "{turns:?} {added}: {refused}");
        grown(turns, added, true).unwrap();
    }
    grown(Some(20), "a", false).unwrap();
    grown(Some(1 << 20), "ten", false).unwrap();
    grown(None, "ten", false).unwrap();
}

/// Loops in loops, each with a value that gets an element more in each of its 60 turns.
#[test]
fn loops_that_are_too_deep_to_be_followed_are_refused_as_that() {
    fn body_of(depth: usize) -> Net {
        let name = |part: &str| format!("{part}{depth}");
        let mut body = Net::new(1);
        body.input(&name("i"), graphs::INT64, &[]).input(&name("on"), graphs::BOOL, &[]).input(
            &name("a"),
            FLOAT,
            &["n"],
        );
        body.node("Identity", &[&name("on")], &name("still"));
        let one = body.floats(&name("one"), &[1], &[0.0]);
        body.node("Concat", &[&name("a"), &one], &name("b")).attribute =
            vec![graphs::int("axis", 0)];
        if depth > 0 {
            let turns = body.ints(&name("turns"), &[60]);
            body.node("Loop", &[&turns, "", &one], &name("made")).attribute =
                vec![graphs::graph("body", body_of(depth - 1).graph)];
        }
        body.output(&name("still"), graphs::BOOL).output(&name("b"), FLOAT);
        body
    }
    let deep = |depth: usize| {
        let mut net = Net::new(1);
        net.input("x", FLOAT, &["1"]).output("y", FLOAT);
        let turns = net.ints("turns", &[60]);
        net.node("Loop", &[&turns, "", "x"], "y").attribute =
            vec![graphs::graph("body", body_of(depth).graph)];
        refusal(&net)
    };
    deep(1).unwrap();
    let refused = deep(4).unwrap_err();
    assert!(refused.contains("loops within loops of so many turns"), "{refused}");
}

/// Sizes that arithmetic makes of a dimension, known or open.
#[test]
fn sizes_that_are_computed_of_dimensions_are_limited_too() {
    let made = |dim: &str, doubled: usize, of: &dyn Fn(&mut Net, &str)| {
        let mut net = Net::new(1);
        net.input("x", FLOAT, &[dim]).output("y", FLOAT);
        net.node("Shape", &["x"], "s0");
        for i in 0..doubled {
            net.node("Add", &[&format!("s{i}"), &format!("s{i}")], &format!("s{}", i + 1));
        }
        of(&mut net, &format!("s{doubled}"));
        let all = net.ints("all", &[0]);
        net.node("ReduceSum", &["e", &all], "k");
        net.node("Add", &["x", "k"], "y");
        refusal(&net)
    };
    let expand = |net: &mut Net, size: &str| {
        net.node("Expand", &["x", size], "e");
    };
    let filled = |net: &mut Net, size: &str| {
        net.node("ConstantOfShape", &[size], "e");
    };
    let times = |net: &mut Net, size: &str| {
        let many = net.ints("many", &[1 << 30]);
        net.node("Mul", &[size, &many], "product");
        net.node("ConstantOfShape", &["product"], "e");
    };
    for dim in ["1", "n"] {
        for refused in [made(dim, 30, &expand), made(dim, 28, &filled), made(dim, 0, &times)] {
            assert!(refused.unwrap_err().contains("2^27"), "{dim}");
        }
        made(dim, 20, &expand).unwrap();
    }
}

#[test]
fn what_is_held_at_a_time_and_what_is_computed_is_limited_by_name() {
    // Each of eight tensors is within the limit, and one after the other they are, too.
    let eight = |together: bool| {
        let mut net = Net::new(1);
        net.input("x", FLOAT, &["1"]).output("y", FLOAT);
        let size = net.ints("size", &[1 << 26]);
        let all = net.ints("all", &[0]);
        let mut sum = "x".to_owned();
        for i in 0..8 {
            let (made, reduced) = (format!("made{i}"), format!("reduced{i}"));
            net.node("Expand", &["x", &size], &made);
            if !together {
                net.node("ReduceSum", &[&made, &all], &reduced);
            }
        }
        for i in 0..8 {
            let next = if i == 7 { "y".to_owned() } else { format!("sum{i}") };
            let reduced = format!("reduced{i}");
            if together {
                net.node("ReduceSum", &[&format!("made{i}"), &all], &reduced);
            }
            net.node("Add", &[&sum, &reduced], &next);
            sum = next;
        }
        refusal(&net)
    };
    eight(false).unwrap();
    let refused = eight(true).unwrap_err();
    assert!(refused.contains("2^28 elements that are held at a time"), "{refused}");

    let products = |count: usize| {
        let mut net = Net::new(1);
        net.input("x", FLOAT, &["1"]).output("y", FLOAT);
        let size = net.ints("size", &[8000, 8000]);
        net.node("Expand", &["x", &size], "m0");
        for i in 0..count {
            net.node("MatMul", &[&format!("m{i}"), &format!("m{i}")], &format!("m{}", i + 1));
        }
        let all = net.ints("all", &[0, 1]);
        net.node("ReduceSum", &[&format!("m{count}"), &all], "y");
        refusal(&net)
    };
    products(4).unwrap();
    let refused = products(10).unwrap_err();
    assert!(refused.contains("2^42 multiplications"), "{refused}");

    // A loop of few nodes in a loop.
    let steps = |turns: [i64; 2]| {
        let of =
            |depth: usize| {
                let mut body = Net::new(1);
                let name = |part: &str| format!("{part}{depth}");
                body.input(&name("i"), graphs::INT64, &[])
                    .input(&name("on"), graphs::BOOL, &[])
                    .input(&name("a"), FLOAT, &["1"]);
                body.node("Identity", &[&name("on")], &name("still"));
                body
            };
        let mut inner = of(1);
        inner.node("Add", &["a1", "a1"], "b1");
        inner.output("still1", graphs::BOOL).output("b1", FLOAT);
        let mut outer = of(0);
        let count = outer.ints("inner_turns", &[turns[1]]);
        outer.node("Loop", &[&count, "", "a0"], "b0").attribute =
            vec![graphs::graph("body", inner.graph)];
        outer.output("still0", graphs::BOOL).output("b0", FLOAT);
        let mut net = Net::new(1);
        net.input("x", FLOAT, &["1"]).output("y", FLOAT);
        let count = net.ints("turns", &[turns[0]]);
        net.node("Loop", &[&count, "", "x"], "y").attribute =
            vec![graphs::graph("body", outer.graph)];
        refusal(&net)
    };
    steps([1 << 8, 1 << 8]).unwrap();
    let refused = steps([1 << 12, 1 << 20]).unwrap_err();
    assert!(refused.contains("2^42 multiplications"), "{refused}");
}

/// A file of a hundred bytes whose constant is doubled until it is half a gigabyte.
#[test]
fn what_is_computed_from_constants_is_in_proportion_to_them() {
    let doubled = |times: usize| {
        let mut net = Net::new(1);
        net.input("x", FLOAT, &["1"]).output("y", FLOAT);
        let mut from = net.floats("a", &[4], &[1.0; 4]);
        for i in 0..times {
            let to = format!("a{i}");
            net.node("Concat", &[&from, &from], &to).attribute = vec![graphs::int("axis", 0)];
            from = to;
        }
        let all = net.ints("all", &[0]);
        net.node("ReduceSum", &[&from, &all], "k");
        net.node("Add", &["x", "k"], "y");
        let folder = tempfile::tempdir().unwrap();
        let owner = crate::zoo::owner(1);
        let path = net.save(folder.path());
        let host = crate::zoo::host(1).public();
        let seal = deepring_infer::Seal::new(&path, &owner)
            .host(deepring_infer::sealing::Blocks::All, host);
        seal.write(&folder.path().join("net.ring"), &|_| ()).map(drop)
    };
    doubled(16).unwrap();
    let error = doubled(24).unwrap_err().to_string();
    assert!(error.contains("bytes computed from constants"), "{error}");
}
