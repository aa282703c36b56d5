//! Differences that random graphs beside onnxruntime found (`conformance/differential.py`): each is right, or an error.

use deepring::{Check, DType, TensorValue};
use deepring_infer::{CutPolicy, ImportError, OperatorFault, RunError, canonicalise, read_onnx};

use crate::differences::{answer, i64s, net, text};
use crate::graphs::{BOOL, FLOAT, INT64, Net, int, int_tensor, ints};
use crate::zoo::{Sealed, floats, tensor};

/// What optimisation of the engine put in their place computed something else, in another shape.
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
