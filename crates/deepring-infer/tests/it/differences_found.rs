//! Differences that random graphs beside onnxruntime found (`conformance/differential.py`): each is right, or an error.

mod bodies;
mod slices;

use deepring::{Check, DType, TensorValue};
use deepring_infer::{CutPolicy, RunError};
use deepring_onnx::{ImportError, OperatorFault, canonicalise, read_onnx};

use crate::differences::{answer, i64s, net, text};
use crate::graphs::{BOOL, FLOAT, INT64, Net, int, int_tensor, ints};
use crate::zoo::{Sealed, floats, tensor};

/// The operators that the engine's optimisation put in their place computed something else, in another shape.
#[test]
fn patterns_that_look_like_other_operators_are_computed_as_they_are() {
    // A mean without its dimension is broadcast over the rows, and not taken from each.
    let mut norm = Net::new(7);
    norm.opset = 17;
    norm.input("x", FLOAT, &["3", "3"]).output("y", FLOAT);
    let node = norm.node("ReduceMean", &["x"], "mean");
    node.attribute = vec![ints("axes", &[-1]), int("keepdims", 0)];
    norm.node("Sub", &["x", "mean"], "d");
    let two = norm.floats("two", &[], &[2.0]);
    norm.node("Pow", &["d", &two], "squares");
    let node = norm.node("ReduceMean", &["squares"], "variance");
    node.attribute = vec![ints("axes", &[-1]), int("keepdims", 0)];
    let epsilon = norm.floats("epsilon", &[], &[0.0]);
    norm.node("Add", &["variance", &epsilon], "more");
    norm.node("Sqrt", &["more"], "root");
    norm.node("Div", &["d", "root"], "y");
    let x = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 0.0, 0.0, 3.0f32];
    let means = [2.0, 6.0, 1.0];
    let d: Vec<f32> = x.iter().enumerate().map(|(i, x)| x - means[i % 3]).collect();
    let roots: Vec<f32> =
        d.chunks(3).map(|row| (row.iter().map(|v| v * v).sum::<f32>() / 3.0).sqrt()).collect();
    for (i, found) in floats(&answer(&norm, vec![tensor("x", &[3, 3], &x)])).iter().enumerate() {
        assert!((found - d[i] / roots[i % 3]).abs() < 1e-5, "{i}: {found}");
    }
    // Rows that are repeated one after the other, not each in turn; and a constant that adds a dimension.
    let mut tiled = Net::new(7);
    tiled.input("x", FLOAT, &["2", "1"]).output("y", FLOAT);
    let axes = tiled.ints("axes", &[0]);
    let (wide, flat) = (tiled.ints("wide", &[2, 2, 1]), tiled.ints("flat", &[1, 4]));
    tiled.node("Unsqueeze", &["x", &axes], "one");
    tiled.node("Expand", &["one", &wide], "two");
    tiled.node("Reshape", &["two", &flat], "four");
    let zero = tiled.floats("zero", &[1, 1, 1], &[0.0]);
    tiled.node("Add", &["four", &zero], "y");
    let y = answer(&tiled, vec![tensor("x", &[2, 1], &[1.0, 2.0])]);
    assert_eq!((y.dims(), floats(&y)), (&[1, 1, 4][..], vec![1.0, 2.0, 1.0, 2.0]));
}

#[test]
fn quotients_and_functions_of_large_values_are_rounded_once_and_do_not_overflow() {
    for (dims, x) in [(&["3"][..], &[41.0, 82.0, 123.0][..]), (&["n"], &[41.0])] {
        let mut quotient = Net::new(7);
        quotient.input("x", FLOAT, dims).output("y", FLOAT);
        let by = quotient.floats("by", &[1], &[41.0]);
        quotient.node("Div", &["x", &by], "q");
        quotient.node("Floor", &["q"], "y");
        let y = answer(&quotient, vec![tensor("x", &[x.len() as u64], x)]);
        let wanted: Vec<f32> = x.iter().map(|v| (v / 41.0).floor()).collect();
        assert_eq!(floats(&y), wanted);
    }
    let mut wide = Net::new(7);
    wide.input("x", FLOAT, &["2"]).output("y", FLOAT);
    let by = wide.floats("by", &[1, 1], &[4.0]);
    wide.node("Div", &["x", &by], "y");
    let y = answer(&wide, vec![tensor("x", &[2], &[4.0, 2.0])]);
    assert_eq!((y.dims(), floats(&y)), (&[1, 2][..], vec![1.0, 0.5]));
    let x = [-80.0, -1.0, 0.0, 1.0, 29.0, 31.0, 100.0, 3e38f32];
    let positive = x.map(|v| v.abs() + 1.0);
    type Formula = fn(f64) -> f64;
    let cases: [(&str, [f32; 8], Formula); 4] = [
        ("Softplus", x, |v| v.max(0.0) + (-v.abs()).exp().ln_1p()),
        ("Mish", x, |v| v * (v.max(0.0) + (-v.abs()).exp().ln_1p()).tanh()),
        ("Asinh", x, f64::asinh),
        ("Acosh", positive, f64::acosh),
    ];
    for (op, x, formula) in cases {
        let mut net = net(op, &[("x", FLOAT, &["8"])], vec![], FLOAT);
        net.opset = 18;
        for (found, x) in floats(&answer(&net, vec![tensor("x", &[8], &x)])).iter().zip(x) {
            let due = formula(f64::from(x)) as f32;
            assert!((found - due).abs() <= 1e-5 * due.abs().max(1.0), "{op} {x}: {found} {due}");
        }
    }
}

#[test]
fn elements_are_written_padded_and_cut_where_the_standard_says() {
    // Fewer indices than elements along the other axis.
    let mut scattered = Net::new(7);
    scattered.opset = 18;
    scattered.input("x", FLOAT, &["2", "2", "2"]).input("u", FLOAT, &["2", "1", "1"]);
    scattered.output("y", FLOAT);
    scattered.graph.initializer.push(int_tensor("index", &[2, 1, 1], &[0, -2]));
    scattered.node("ScatterElements", &["x", "index", "u"], "y").attribute = vec![int("axis", 1)];
    let y = answer(
        &scattered,
        vec![tensor("x", &[2, 2, 2], &[0.0; 8]), tensor("u", &[2, 1, 1], &[1.0, 2.0])],
    );
    assert_eq!(floats(&y), [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]);
    // Fewer starts than axes, and no axes.
    let mut sliced = Net::new(7);
    sliced.input("x", FLOAT, &["n", "2"]).output("y", FLOAT);
    let (from, to) = (sliced.ints("from", &[1]), sliced.ints("to", &[3]));
    sliced.node("Slice", &["x", &from, &to], "y");
    let y = answer(&sliced, vec![tensor("x", &[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])]);
    assert_eq!(floats(&y), [2.0, 3.0, 4.0, 5.0]);
    // What lies there, before the last two axes.
    for (mode, due) in [("reflect", [2.0, 1.0, 2.0, 3.0, 2.0]), ("edge", [1.0, 1.0, 2.0, 3.0, 3.0])]
    {
        let mut padded = Net::new(7);
        padded.opset = 18;
        padded.input("x", FLOAT, &["3", "1", "1"]).output("y", FLOAT);
        let pads = padded.ints("pads", &[1, 0, 0, 1, 0, 0]);
        padded.node("Pad", &["x", &pads], "y").attribute = vec![text("mode", mode)];
        let y = answer(&padded, vec![tensor("x", &[3, 1, 1], &[1.0, 2.0, 3.0])]);
        assert_eq!(floats(&y), due, "{mode}");
    }
}

#[test]
fn casts_and_bounds_beyond_what_is_held_are_errors_and_names_stay_the_files_own() {
    let cast = net("Cast", &[("x", FLOAT, &["n"])], vec![int("to", i64::from(INT64))], INT64);
    let y = answer(&cast, vec![tensor("x", &[2], &[-7.9, 16_777_216.0])]);
    assert_eq!(i64s(&y), [-7, 16_777_216]);
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&cast.save(folder.path()), CutPolicy::Auto);
    for beyond in [3e9, -3e9] {
        let error = ring.session(Check::Compute).run(vec![tensor("x", &[1], &[beyond])]);
        assert!(matches!(error.unwrap_err(), RunError::Input(_)));
    }
    let mut like = net("CastLike", &[("x", FLOAT, &["2"]), ("t", BOOL, &["1"])], vec![], BOOL);
    like.opset = 18;
    let t = TensorValue::new("t", DType::Bool, vec![1], vec![1]).unwrap();
    assert_eq!(answer(&like, vec![tensor("x", &[2], &[0.5, 0.0]), t]).data(), [1, 0]);
    let mut clip = Net::new(7);
    clip.input("x", INT64, &["n"]).output("y", INT64);
    clip.graph.initializer.push(int_tensor("least", &[], &[1 << 40]));
    clip.node("Clip", &["x", "least"], "y");
    let error = canonicalise(read_onnx(&clip.save(folder.path())).unwrap()).unwrap_err();
    assert!(matches!(error, ImportError::Unsupported { feature: "an integer beyond 32 bits", .. }));
    // What constants alone give is no dimension.
    let mut product = Net::new(7);
    product.input("x", INT64, &["1"]).output("y", INT64);
    let many = product.ints("many", &[1 << 12; 3]);
    product.node("ReduceProd", &[&many], "p").attribute = vec![int("keepdims", 1)];
    product.node("Add", &["x", "p"], "y");
    let ring = Sealed::new(&product.save(folder.path()), CutPolicy::Auto);
    let x = TensorValue::new("x", DType::I64, vec![1], vec![0; 8]).unwrap();
    let error = ring.session(Check::Compute).run(vec![x]).unwrap_err();
    assert!(error.finding().is_none(), "{error}");
    // A name that rewriting would give to a value of its own.
    let mut taken = Net::new(7);
    taken.input("x", FLOAT, &["2"]).output("y", BOOL);
    taken.node("Neg", &["x"], "y.float");
    taken.node("Cast", &["y.float"], "y").attribute = vec![int("to", 9)];
    let error = canonicalise(read_onnx(&taken.save(folder.path())).unwrap()).unwrap_err();
    assert!(matches!(error, ImportError::Duplicate { .. }), "{error}");
}

/// Its rank is seen when it comes.
#[test]
fn a_vector_where_a_matrix_of_unknown_rank_was_is_an_error() {
    let mut product = Net::new(7);
    product.input("x", FLOAT, &["n"]).input("shape", INT64, &["r"]).input(
        "m",
        FLOAT,
        &["2", "2", "2"],
    );
    product.output("y", FLOAT);
    product.node("Reshape", &["x", "shape"], "v");
    product.node("MatMul", &["m", "v"], "y");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&product.save(folder.path()), CutPolicy::Auto);
    let session = ring.session(Check::Compute);
    let shape = |dims: &[i64]| {
        let data = dims.iter().flat_map(|v| v.to_le_bytes()).collect();
        TensorValue::new("shape", DType::I64, vec![dims.len() as u64], data).unwrap()
    };
    let m = tensor("m", &[2, 2, 2], &[1.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 2.0]);
    let x = tensor("x", &[2], &[3.0, 4.0]);
    let y = session.run(vec![x.clone(), shape(&[2, 1]), m.clone()]).unwrap();
    assert_eq!(floats(&y.outputs[0][0]), [3.0, 4.0, 6.0, 8.0]);
    let error = session.run(vec![x, shape(&[2]), m]).unwrap_err();
    assert!(error.to_string().contains("a vector in a product"), "{error}");
}

#[test]
fn a_scale_that_leaves_an_axis_its_size_is_refused_and_one_of_1_is_not() {
    let scaled = |rows: f32| {
        let mut net = Net::new(7);
        net.opset = 18;
        net.input("x", FLOAT, &["2", "2"]).output("y", FLOAT);
        let scales = net.floats("scales", &[2], &[rows, 2.0]);
        net.node("Resize", &["x", "", &scales], "y").attribute = vec![text("mode", "linear")];
        let folder = tempfile::tempdir().unwrap();
        canonicalise(read_onnx(&net.save(folder.path())).unwrap()).map(drop)
    };
    scaled(1.0).unwrap();
    let error = scaled(1.2).unwrap_err();
    let ImportError::Operator { fault: OperatorFault::Differs { what, .. }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*what, "a scale that leaves an axis its size");
}

/// Whatever its strides are, as much as lies between its elements is not agreed on.
#[test]
fn equal_padding_of_a_kernel_that_is_smaller_than_its_strides_is_refused() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["1", "1", "3", "3"]).output("y", FLOAT);
    let w = net.param("w", &[1, 1, 1, 1]);
    net.node("ConvTranspose", &["x", &w], "y").attribute =
        vec![text("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])];
    let folder = tempfile::tempdir().unwrap();
    let error = canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap_err();
    assert!(error.to_string().contains("strides are larger than its kernel"), "{error}");
}

fn refusal(net: &Net) -> String {
    let folder = tempfile::tempdir().unwrap();
    canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap_err().to_string()
}

fn values(name: &str, dtype: DType, data: Vec<u8>) -> TensorValue {
    TensorValue::new(name, dtype, vec![(data.len() / dtype.size()) as u64], data).unwrap()
}

#[test]
fn what_is_cast_to_half_precision_is_rounded_to_even_and_overflows() {
    let x = [1.0001, 0.1, 65504.0, 65519.99, 65520.0, -1e6, 2.9e-8, 1e-5, 2049.0, 2051.0, -0.3f32];
    type Rounding = fn(f32) -> f32;
    let forms: [(i32, Rounding); 2] =
        [(10, |v| half::f16::from_f32(v).to_f32()), (16, |v| half::bf16::from_f32(v).to_f32())];
    for (code, round) in forms {
        let mut net = Net::new(7);
        net.input("x", FLOAT, &["n"]).output("y", FLOAT);
        net.node("Cast", &["x"], "h").attribute = vec![int("to", code.into())];
        net.node("Cast", &["h"], "y").attribute = vec![int("to", 1)];
        let y = answer(&net, vec![tensor("x", &[x.len() as u64], &x)]);
        assert_eq!(floats(&y), x.map(round), "{code}");
    }
    // Computed in half precision, and then compared.
    let mut more = Net::new(7);
    more.input("x", 10, &["2"]).output("y", BOOL);
    let half = |v: f32| half::f16::from_f32(v).to_le_bytes();
    let mut part = crate::graphs::float_tensor("part", &[], &[]);
    (part.data_type, part.raw_data) = (Some(10), Some(half(0.5).to_vec()));
    more.graph.initializer.push(part);
    more.node("Add", &["x", "part"], "sum");
    more.node("Greater", &["sum", "x"], "y");
    let x = values("x", DType::F16, [half(2048.0), half(1.0)].concat());
    assert_eq!(answer(&more, vec![x]).data(), [0, 1]);
}

#[test]
fn truths_that_a_file_writes_as_other_numbers_are_truths() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["3"]).output("y", FLOAT);
    let mut raw = crate::graphs::float_tensor("raw", &[3], &[]);
    (raw.data_type, raw.raw_data) = (Some(BOOL), Some(vec![0, 2, 255]));
    let mut listed = crate::graphs::float_tensor("listed", &[3], &[]);
    (listed.data_type, listed.raw_data) = (Some(BOOL), None);
    listed.int32_data = vec![256, 0, -1];
    net.graph.initializer.extend([raw, listed]);
    for (from, to) in [("raw", "a"), ("listed", "b")] {
        net.node("Cast", &[from], to).attribute = vec![int("to", 1)];
    }
    net.node("Add", &["x", "a"], "s");
    let ten = net.floats("ten", &[], &[10.0]);
    net.node("Mul", &["b", &ten], "tens");
    net.node("Add", &["s", "tens"], "y");
    assert_eq!(floats(&answer(&net, vec![tensor("x", &[3], &[0.0; 3])])), [10.0, 1.0, 11.0]);
}

#[test]
fn training_forms_of_old_versions_masks_of_nothing_and_products_of_integers_are_refused() {
    let mut old = net("Dropout", &[("x", FLOAT, &["2"])], vec![], FLOAT);
    old.opset = 6;
    assert!(refusal(&old).contains("training mode"));
    let vectors = [("x", FLOAT, &["1", "2"][..])].into_iter();
    let inputs: Vec<_> =
        vectors.chain(["s", "b", "m", "v"].map(|n| (n, FLOAT, &["2"][..]))).collect();
    for (opset, outputs) in [(6, 1), (7, 5), (9, 5)] {
        let mut norm = net("BatchNormalization", &inputs, vec![], FLOAT);
        norm.opset = opset;
        let names = (1..outputs).map(|i| format!("more{i}"));
        norm.graph.node[0].output.extend(names);
        assert!(refusal(&norm).contains("training mode"), "{opset}");
    }
    let mut mask = net("Dropout", &[("x", FLOAT, &["2"])], vec![], FLOAT);
    mask.opset = 10;
    mask.graph.node[0].output.push("mask".into());
    assert!(refusal(&mask).contains("a mask of what was left"));
    for op in ["MatMul", "ReduceLogSumExp", "ReduceMean"] {
        let one: &[_] = &[("x", INT64, &["2", "2"][..])];
        let both: &[_] = &[("x", INT64, &["2", "2"][..]), ("w", INT64, &["2", "2"][..])];
        let of = net(op, if op == "MatMul" { both } else { one }, vec![], INT64);
        assert!(refusal(&of).contains("integers"), "{op}");
    }
    let positive = net("Relu", &[("x", INT64, &["2"])], vec![], INT64);
    let x = values("x", DType::I64, [-3i64, 4].iter().flat_map(|v| v.to_le_bytes()).collect());
    assert_eq!(i64s(&answer(&positive, vec![x])), [0, 4]);
}

#[test]
fn zeros_are_quantised_with_a_scale_of_one_and_convolutions_say_how_many_dimensions() {
    let mut zeros = Net::new(7);
    zeros.input("x", FLOAT, &["2"]).output("s", FLOAT);
    let node = zeros.node("DynamicQuantizeLinear", &["x"], "q");
    node.output.extend(["s".into(), "z".into()]);
    assert_eq!(floats(&answer(&zeros, vec![tensor("x", &[2], &[0.0, 0.0])])), [1.0]);
    // A kernel that a query brings, in one dimension.
    let inputs: &[_] = &[("x", FLOAT, &["1", "1", "n"][..]), ("w", FLOAT, &["1", "1", "k"][..])];
    let line = net("ConvTranspose", inputs, vec![], FLOAT);
    let given = || vec![tensor("x", &[1, 1, 2], &[1.0, 2.0]), tensor("w", &[1, 1, 2], &[1.0, 1.0])];
    assert_eq!(floats(&answer(&line, given())), [1.0, 3.0, 2.0]);
    let mut open = Net::new(7);
    open.graph.input.push(crate::graphs::value("x", FLOAT, None));
    open.graph.input.push(crate::graphs::value("w", FLOAT, None));
    open.output("y", FLOAT).node("ConvTranspose", &["x", "w"], "y");
    assert!(refusal(&open).contains("an unknown number of dimensions"));
}

#[test]
fn what_is_no_number_is_none_behind_bounds() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["4"]).output("y", FLOAT).output("z", FLOAT).output("w", FLOAT);
    net.node("Log", &["x"], "n");
    net.node("Relu", &["n"], "y");
    let (low, high) = (net.floats("low", &[], &[-1.0]), net.floats("high", &[], &[0.5]));
    net.node("Clip", &["n", &low, &high], "z");
    net.node("Clip", &["n", "", &high], "w");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let x = tensor("x", &[4], &[-1.0, 0.0, 1.0, 4.0]);
    let y = ring.session(Check::Run).run(vec![x]).unwrap();
    let due = [[0.0, 0.0, 4f32.ln()], [-1.0, 0.0, 0.5], [f32::MIN, 0.0, 0.5]];
    for (found, due) in y.outputs[0].iter().zip(due) {
        let found = floats(found);
        assert!(found[0].is_nan(), "{found:?}");
        assert!(found[1..].iter().zip(due).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        assert!(found.iter().all(|v| *v != 0.0 || v.is_sign_positive()));
    }
    // Behind a linear operator nothing is written otherwise.
    let mut linear = Net::new(7);
    linear.input("x", FLOAT, &["1", "4"]).output("y", FLOAT);
    linear.dense("x", "d", 4, 4);
    linear.node("Relu", &["d"], "y");
    let model = canonicalise(read_onnx(&linear.save(folder.path())).unwrap()).unwrap();
    assert_eq!(model.whole().unwrap().op_types, ["Gemm", "Relu"]);
}

#[test]
fn a_diagonal_that_no_matrix_reaches_leaves_all_or_nothing() {
    for (k, due) in [(i64::from(i32::MAX), 0.0), (-i64::from(i32::MAX), 1.0)] {
        let mut net = Net::new(7);
        net.input("x", FLOAT, &["2", "2"]).output("y", FLOAT);
        let k = net.ints("k", &[k]);
        net.node("Squeeze", &[&k], "diagonal");
        net.node("Trilu", &["x", "diagonal"], "y");
        assert_eq!(floats(&answer(&net, vec![tensor("x", &[2, 2], &[1.0; 4])])), [due; 4]);
    }
}

/// Of a list of zero points the engine takes the wrong ones beyond the first sixteen.
#[test]
fn zero_points_for_each_row_or_column_are_theirs() {
    const BYTES: i32 = 2;
    const WIDE: i32 = 6;
    let (rows, inner, columns) = (40usize, 24usize, 50usize);
    let bytes =
        |n: usize, step: usize| -> Vec<u8> { (0..n).map(|i| (i * step + i / 7) as u8).collect() };
    let constant = |name: &str, dims: &[i64], data: &[u8]| {
        let mut tensor = crate::graphs::float_tensor(name, dims, &[]);
        (tensor.data_type, tensor.raw_data) = (Some(BYTES), Some(data.to_vec()));
        tensor
    };
    let (a, b) = (bytes(rows * inner, 37), bytes(inner * columns, 91));
    for of_rows in [false, true] {
        let count = if of_rows { rows } else { columns };
        let list = bytes(count, 53);
        let mut net = Net::new(1);
        net.input("a", BYTES, &["40", "24"]).output("y", WIDE);
        net.graph.initializer.extend([
            constant("b", &[inner as i64, columns as i64], &b),
            constant("list", &[count as i64], &list),
            constant("one", &[], &[7]),
        ]);
        let zeros = if of_rows { ["list", "one"] } else { ["one", "list"] };
        net.node("MatMulInteger", &["a", "b", zeros[0], zeros[1]], "y");
        let folder = tempfile::tempdir().unwrap();
        let ring = Sealed::new(&net.save(folder.path()), "1".parse().unwrap());
        let dims = vec![rows as u64, inner as u64];
        let input = TensorValue::new("a", DType::U8, dims, a.clone()).unwrap();
        for check in [deepring::Check::Run, deepring::Check::Compute] {
            let found = crate::zoo::answer(&ring.session(check), &input);
            let found = found.data().as_chunks().0.iter().map(|b| i32::from_le_bytes(*b));
            let due = (0..rows * columns).map(|at| {
                let (i, j) = (at / columns, at % columns);
                let zero =
                    |row: bool, at: usize| i32::from(if row == of_rows { list[at] } else { 7 });
                let term = |k: usize| {
                    (i32::from(a[i * inner + k]) - zero(true, i))
                        * (i32::from(b[k * columns + j]) - zero(false, j))
                };
                (0..inner).map(term).sum::<i32>()
            });
            assert!(found.eq(due), "{of_rows} {check}");
        }
    }
}

/// A power by one number has the shape that base and exponent are broadcast to, whether the exponent's rank is known or not.
#[test]
fn a_power_by_one_number_of_higher_rank_has_that_rank() {
    let constant = |net: &mut Net| net.floats("e", &[1, 1, 1], &[2.0]);
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["2", "3"]).output("y", FLOAT);
    let e = constant(&mut net);
    net.node("Pow", &["x", &e], "y");
    let x: Vec<f32> = (0..6).map(|v| v as f32).collect();
    let squares: Vec<f32> = x.iter().map(|v| v * v).collect();
    let y = answer(&net, vec![tensor("x", &[2, 3], &x)]);
    assert_eq!((y.dims(), floats(&y)), (&[1, 2, 3][..], squares.clone()));

    // Integers of the query, in open dimensions.
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["1"]).input("e", INT64, &["n", "m"]).output("y", FLOAT);
    net.node("Pow", &["x", "e"], "y");
    for (dims, e) in [([1, 1], &[3i64][..]), ([2, 1], &[1, 2])] {
        let bytes = e.iter().flat_map(|e: &i64| e.to_le_bytes()).collect();
        let exponents = TensorValue::new("e", DType::I64, dims.to_vec(), bytes).unwrap();
        let y = answer(&net, vec![tensor("x", &[1], &[2.0]), exponents]);
        let wanted: Vec<f32> = e.iter().map(|e| 2f32.powi(*e as i32)).collect();
        assert_eq!((y.dims(), floats(&y)), (&dims[..], wanted));
    }
}

/// Of two equal values the first is the largest: cosines of x and -x are equal to the last bit.
#[test]
fn a_cosine_is_even_to_the_last_bit() {
    let x: Vec<f32> = (1..=64).flat_map(|i| [-(i as f32) / 8.0, i as f32 / 8.0]).collect();
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["64", "2"]).output("y", FLOAT);
    net.node("Cos", &["x"], "y");
    let y = floats(&answer(&net, vec![tensor("x", &[64, 2], &x)]));
    for (x, y) in x.chunks(2).zip(y.chunks(2)) {
        assert_eq!(y[0].to_bits(), y[1].to_bits(), "{x:?}");
        assert!((y[0] - x[0].cos()).abs() < 1e-6, "{x:?}: {y:?}");
    }
}
