//! Reading of models and their canonical form.

use std::collections::HashMap;
use std::path::Path;

use deepring::{DType, Dim};
use deepring_onnx::{ImportError, canonicalise, looks_like_onnx, read_onnx};
use rten::Value;
use rten_tensor::Tensor;

use crate::graphs::{self, FLOAT, INT64, Net};
use crate::running::{NamedValues, distance, floats, run, run_file};

/// Random values for all inputs; named dimensions are `batch` long.
pub(crate) fn feed(net: &mut Net, batch: usize) -> NamedValues {
    let inputs = net.graph.input.clone();
    let one = |value: &deepring_onnx::proto::ValueInfoProto| {
        let tensor = value.r#type.clone().unwrap().tensor_type.unwrap();
        let dims: Vec<usize> = tensor
            .shape
            .unwrap()
            .dim
            .iter()
            .map(|d| d.dim_value.map_or(batch, |v| v as usize))
            .collect();
        let count = dims.iter().product();
        let numbers = net.randoms(count, 1.0);
        let value_of: Value = if tensor.elem_type == Some(FLOAT) {
            Tensor::from_data(&dims, numbers).into()
        } else {
            let whole: Vec<i32> = numbers.iter().map(|v| i32::from(*v > 0.0)).collect();
            Tensor::from_data(&dims, whole).into()
        };
        (value.name.clone().unwrap(), value_of)
    };
    inputs.iter().map(one).collect()
}

/// Output of the whole canonical network.
pub(crate) fn whole(path: &Path, inputs: &NamedValues, output: &str) -> Vec<f32> {
    let block = canonicalise(read_onnx(path).unwrap()).unwrap().whole().unwrap();
    floats(&run(&[block], inputs).unwrap()[output])
}

/// Asserts that the canonical form computes what the file does; its operators.
fn same_as_file(mut net: Net, output: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = net.save(folder.path());
    let inputs = feed(&mut net, 2);
    let ours = whole(&path, &inputs, output);
    let theirs = run_file(&path, &inputs, output);
    assert!(distance(&theirs, &ours) < 1e-5, "{theirs:?} {ours:?}");
    canonicalise(read_onnx(&path).unwrap()).unwrap().whole().unwrap().op_types
}

#[test]
fn folds_normalisation_into_convolutions() {
    let ops = same_as_file(graphs::residual(3), "y");
    assert!(!ops.contains(&"BatchNormalization".to_owned()), "{ops:?}");
}

#[test]
fn folds_normalisation_into_a_grouped_transposed_convolution() {
    let mut net = Net::new(9);
    net.input("x", FLOAT, &["2", "4", "5", "5"]).output("y", FLOAT);
    let w = net.param("w", &[4, 3, 3, 3]);
    net.node("ConvTranspose", &["x", &w], "t").attribute =
        vec![graphs::ints("kernel_shape", &[3, 3]), graphs::int("group", 2)];
    net.batch_norm("t", "y", 6);
    assert_eq!(same_as_file(net, "y"), ["ConvTranspose"]);
}

#[test]
fn folds_normalisation_into_dense_layers() {
    for transposed in [0, 1] {
        let mut net = Net::new(4);
        net.input("x", FLOAT, &["n", "5"]).output("y", FLOAT);
        let w = net.param("w", if transposed == 1 { &[7, 5] } else { &[5, 7] });
        let b = net.param("b", &[1, 7]);
        net.node("Gemm", &["x", &w, &b], "g").attribute = vec![graphs::int("transB", transposed)];
        net.batch_norm("g", "h", 7);
        let w2 = net.param("w2", &[7, 3]);
        net.node("MatMul", &["h", &w2], "m");
        net.batch_norm("m", "y", 3);
        assert_eq!(same_as_file(net, "y"), ["Gemm"]);
    }
}

#[test]
fn keeps_normalisation_where_folding_is_not_simple() {
    // Scaled, or the value is used twice.
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["2", "5"]).output("y", FLOAT);
    let (w, b) = (net.param("w", &[5, 7]), net.param("b", &[7]));
    net.node("Gemm", &["x", &w, &b], "g").attribute = vec![graphs::float("alpha", 0.5)];
    net.batch_norm("g", "y", 7);
    assert_eq!(same_as_file(net, "y"), ["BatchNormalization", "Gemm"]);

    let mut net = Net::new(6);
    net.input("x", FLOAT, &["2", "3", "4", "4"]).output("y", FLOAT);
    net.conv("x", "c", 3, 3, 3, 1);
    net.batch_norm("c", "n", 3);
    net.node("Add", &["n", "c"], "y");
    assert_eq!(same_as_file(net, "y"), ["Add", "BatchNormalization", "Conv"]);
}

#[test]
fn a_shared_kernel_is_folded_for_none_of_its_users() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["2", "3", "4", "4"]).output("y", FLOAT);
    let w = net.param("w", &[3, 3, 3, 3]);
    net.conv_of("x", "c1", &[&w], 3, 1);
    net.batch_norm("c1", "n1", 3);
    net.conv_of("n1", "c2", &[&w], 3, 1);
    net.node("Relu", &["c2"], "y");
    assert_eq!(same_as_file(net, "y"), ["Add", "Conv", "Mul", "Relu"]);
}

#[test]
fn an_added_constant_becomes_the_bias() {
    let mut net = Net::new(8);
    net.input("x", FLOAT, &["2", "3", "4", "4"]).output("y", FLOAT);
    let w = net.param("w", &[4, 3, 1, 1]);
    net.conv_of("x", "c", &[&w], 1, 1);
    let b = net.param("b", &[1, 4, 1, 1]);
    net.node("Add", &[&b, "c"], "y");
    assert_eq!(same_as_file(net, "y"), ["Conv"]);
}

#[test]
fn folds_what_only_moves_constants() {
    let mut net = Net::new(10);
    net.input("x", FLOAT, &["2", "6"]).output("y", FLOAT);
    let w = net.param("w", &[4, 2, 3]);
    let shape = net.ints("shape", &[0, -1]);
    net.node("Reshape", &[&w, &shape], "flat");
    net.node("Transpose", &["flat"], "turned").attribute = vec![graphs::ints("perm", &[1, 0])];
    net.node("Identity", &["turned"], "named");
    net.node("MatMul", &["x", "named"], "y");
    assert_eq!(same_as_file(net, "y"), ["MatMul"]);
}

#[test]
fn dequantises_constant_weights() {
    let mut net = Net::new(11);
    net.input("x", FLOAT, &["2", "4"]).output("y", FLOAT);
    let mut w = graphs::float_tensor("q", &[4, 3], &[]);
    w.data_type = Some(3);
    w.raw_data = Some((0..12).map(|i| (i * 21 % 255) as u8).collect());
    net.graph.initializer.push(w);
    let scale = net.floats("scale", &[3], &[0.01, 0.02, 0.03]);
    let mut zero = graphs::float_tensor("zero", &[3], &[]);
    zero.data_type = Some(3);
    zero.raw_data = Some(vec![0, 5, 251]);
    net.graph.initializer.push(zero);
    net.node("DequantizeLinear", &["q", &scale, "zero"], "w").attribute =
        vec![graphs::int("axis", 1)];
    net.node("MatMul", &["x", "w"], "y");
    assert_eq!(same_as_file(net, "y"), ["MatMul"]);
}

#[test]
fn constant_nodes_identity_and_dropout_disappear() {
    let mut net = Net::new(12);
    net.input("x", FLOAT, &["n", "3"]).output("y", FLOAT).output("z", FLOAT);
    net.node("Constant", &[], "k").attribute =
        vec![graphs::tensor("value", graphs::float_tensor("", &[3], &[1.0, 2.0, 3.0]))];
    net.node("Constant", &[], "half").attribute = vec![graphs::float("value_float", 0.5)];
    net.node("Mul", &["x", "k"], "a");
    net.node("Dropout", &["a"], "b");
    net.node("Identity", &["b"], "c");
    net.node("Mul", &["c", "half"], "d");
    net.node("Identity", &["d"], "y");
    net.node("Identity", &["d"], "z");
    let ops = same_as_file(net, "y");
    assert_eq!(ops, ["Identity", "Mul"], "the second output keeps its own name");
}

#[test]
fn a_flattening_softmax_stays_one() {
    let mut net = Net::new(13);
    net.opset = 9;
    net.input("x", FLOAT, &["2", "3", "4"]).output("y", FLOAT);
    net.node("Softmax", &["x"], "y").attribute = vec![graphs::int("axis", 1)];
    let folder = tempfile::tempdir().unwrap();
    let path = net.save(folder.path());
    let inputs = feed(&mut net, 2);
    let out = whole(&path, &inputs, "y");
    // All twelve values of an item sum to one, not each row of four.
    for item in out.chunks(12) {
        assert!((item.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{item:?}");
    }
}

#[test]
fn opsets_outside_the_range_are_refused_by_number() {
    let folder = tempfile::tempdir().unwrap();
    for (opset, accepted) in [(5, false), (6, true), (9, true), (21, true), (28, true), (29, false)]
    {
        let mut net = graphs::lenet(1);
        net.opset = opset;
        match read_onnx(&net.save(folder.path())) {
            Ok(_) => assert!(accepted, "{opset}"),
            Err(ImportError::Opset { found }) => assert!(!accepted && found == opset),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn initializers_that_are_listed_as_inputs_are_none() {
    let mut net = graphs::lenet(2);
    let listed: Vec<_> = net.graph.initializer.iter().map(|t| t.name.clone().unwrap()).collect();
    for name in listed {
        net.graph.input.push(graphs::value(&name, FLOAT, None));
    }
    let folder = tempfile::tempdir().unwrap();
    let model = canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap();
    let inputs = model.inputs();
    assert_eq!(inputs.len(), 1);
    let dims = [Dim::Named("batch".into()), Dim::Fixed(1), Dim::Fixed(12), Dim::Fixed(12)];
    assert_eq!(inputs[0].dims.as_deref(), Some(&dims[..]));
    assert_eq!(inputs[0].dtype, DType::F32);
}

#[test]
fn parameters_in_every_encoding_are_the_same() {
    let mut net = Net::new(20);
    net.input("x", FLOAT, &["2", "40"]).output("y", FLOAT);
    let w = net.param("w", &[40, 40]);
    net.node("MatMul", &["x", &w], "y");
    let inputs = feed(&mut net, 2);
    let folder = tempfile::tempdir().unwrap();
    let raw = whole(&net.save(folder.path()), &inputs, "y");

    let tensor = &mut net.graph.initializer[0];
    let bytes = tensor.raw_data.take().unwrap();
    tensor.float_data = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    assert_eq!(whole(&net.save(folder.path()), &inputs, "y"), raw, "packed floats");

    let mut file = vec![7u8; 100];
    file.extend_from_slice(&bytes);
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/weights.bin"), file).unwrap();
    let tensor = &mut net.graph.initializer[0];
    tensor.float_data.clear();
    graphs::external(tensor, "sub/weights.bin", 100, None);
    assert_eq!(whole(&net.save(folder.path()), &inputs, "y"), raw, "external");
}

#[test]
fn integers_of_variable_length_are_read() {
    // More than 4 KiB of bytes, each as a number: the way that helpers write int8 weights.
    let mut net = Net::new(21);
    net.input("x", 3, &["2", "80"]).output("y", 6);
    let mut w = graphs::float_tensor("w", &[80, 80], &[]);
    w.data_type = Some(3);
    w.raw_data = None;
    w.int32_data = (0..6400).map(|i| i % 256 - 128).collect();
    net.graph.initializer.push(w);
    net.node("MatMulInteger", &["x", "w"], "y");
    let folder = tempfile::tempdir().unwrap();
    let block =
        canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap().whole().unwrap();
    let mut region = vec![1; block.params_len() as usize];
    block.read_params(&mut region).unwrap();
    let expected: Vec<u8> = (0..6400).map(|i| (i % 256 - 128) as u8).collect();
    assert_eq!(region, expected);
    assert_eq!(block.params[0].spec.to_string(), "w i8[80, 80]");
}

#[test]
fn external_data_may_not_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(folder.path().join("secret"), [0; 64]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret", inner.join("link")).unwrap();
    let mut net = Net::new(22);
    net.input("x", FLOAT, &["4"]).output("y", FLOAT);
    net.floats("w", &[4], &[0.0; 4]);
    net.node("Mul", &["x", "w"], "y");
    let absolute = folder.path().join("secret").to_str().unwrap().to_owned();
    for location in ["../secret", &absolute, "link", "a/../../secret", "", "."] {
        graphs::external(&mut net.graph.initializer[0], location, 0, Some(16));
        let error = read_onnx(&net.save(&inner)).unwrap_err();
        assert!(matches!(error, ImportError::ExternalPath { .. }), "{location}: {error}");
    }
    std::fs::write(inner.join("w.bin"), [0; 16]).unwrap();
    for (offset, length) in [(1, Some(16)), (u64::MAX, Some(16)), (0, Some(u64::MAX)), (17, None)] {
        graphs::external(&mut net.graph.initializer[0], "w.bin", offset, length);
        let error = read_onnx(&net.save(&inner)).unwrap_err();
        assert!(matches!(error, ImportError::ExternalRange { .. }), "{error}");
    }
    graphs::external(&mut net.graph.initializer[0], "w.bin", 0, Some(12));
    let error = read_onnx(&net.save(&inner)).unwrap_err();
    assert!(matches!(error, ImportError::TensorLength { expected: 16, found: 12, .. }), "{error}");
}

#[test]
fn other_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for bytes in [&b"\n"[..], b"plain text\n", b"\x08\x07", b"\x89PNG\r\n\x1a\n", &[0; 64]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(!looks_like_onnx(&path));
        assert!(matches!(read_onnx(&path), Err(ImportError::NotOnnx { .. })), "{bytes:?}");
    }
    let model = graphs::lenet(1).bytes();
    std::fs::write(&path, &model[..model.len() / 2]).unwrap();
    assert!(looks_like_onnx(&path), "a truncated model still looks like one");
    assert!(matches!(read_onnx(&path), Err(ImportError::Truncated { .. })));
    assert!(!looks_like_onnx(folder.path()));
    assert!(matches!(read_onnx(&folder.path().join("none")), Err(ImportError::Io { .. })));
    std::fs::write(&path, b"").unwrap();
    assert!(!looks_like_onnx(&path));
    let empty = read_onnx(&path).unwrap_err();
    assert!(matches!(empty, ImportError::Empty { .. }) && empty.to_string().contains("empty"));
}

#[test]
fn broken_graphs_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        |net: &Net| canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap_err();
    let base = || {
        let mut net = Net::new(30);
        net.input("x", FLOAT, &["4"]).output("y", FLOAT);
        net
    };
    let mut net = base();
    net.node("Add", &["x", "nowhere"], "y");
    let error = refused(&net);
    assert!(
        matches!(&error, ImportError::Undefined { value, .. } if value == "nowhere"),
        "{error}"
    );

    let mut net = base();
    net.node("Relu", &["x"], "y");
    net.node("Tanh", &["x"], "y");
    assert!(matches!(refused(&net), ImportError::Duplicate { value } if value == "y"));

    let mut net = base();
    net.node("Add", &["x", "b"], "a");
    net.node("Add", &["a", "x"], "b");
    net.node("Relu", &["b"], "y");
    assert!(matches!(refused(&net), ImportError::Cycle { .. }));

    let mut net = base();
    net.node("Relu", &["x"], "z");
    assert!(matches!(refused(&net), ImportError::Undefined { value, .. } if value == "y"));
}

#[test]
fn unsupported_parts_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let write = |model: &deepring_onnx::proto::ModelProto| {
        std::fs::write(&path, prost::Message::encode_to_vec(model)).unwrap();
        read_onnx(&path).and_then(canonicalise).unwrap_err().to_string()
    };
    let mut model = graphs::lenet(1).model();
    model.functions = vec![vec![]];
    assert_eq!(write(&model), "a function that the model itself defines is not supported");
    model.functions = vec![b"\x0a\x05twice".to_vec()];
    assert!(write(&model).ends_with("is not supported: `twice`"));

    let mut model = graphs::lenet(1).model();
    model.graph.as_mut().unwrap().sparse_initializer = vec![vec![]];
    assert!(write(&model).contains("sparse"));

    let mut model = graphs::lenet(1).model();
    model.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap().tensor_type = None;
    assert!(write(&model).contains("image"));

    let mut model = graphs::lenet(1).model();
    model.graph.as_mut().unwrap().initializer[0].data_type = Some(22);
    assert!(write(&model).contains("c1.weight"));

    let mut model = graphs::lenet(1).model();
    model.graph.as_mut().unwrap().initializer[0].dims = vec![i64::MAX, i64::MAX];
    assert!(write(&model).contains("c1.weight"));
}

#[test]
fn nodes_in_any_order_are_sorted() {
    let mut net = graphs::lenet(40);
    let inputs = feed(&mut net, 3);
    let folder = tempfile::tempdir().unwrap();
    let sorted = whole(&net.save(folder.path()), &inputs, "logits");
    net.graph.node.reverse();
    assert_eq!(whole(&net.save(folder.path()), &inputs, "logits"), sorted);
}

#[test]
fn old_broadcasting_is_rewritten() {
    let mut net = Net::new(41);
    net.opset = 6;
    net.input("x", FLOAT, &["2", "3", "4", "4"]).output("y", FLOAT);
    let b = net.floats("b", &[3], &[1.0, 10.0, 100.0]);
    net.node("Add", &["x", &b], "y").attribute =
        vec![graphs::int("broadcast", 1), graphs::int("axis", 1)];
    let folder = tempfile::tempdir().unwrap();
    let inputs = feed(&mut net, 2);
    let out = whole(&net.save(folder.path()), &inputs, "y");
    let x = floats(&inputs["x"]);
    for (i, (y, x)) in out.iter().zip(x).enumerate() {
        assert_eq!(*y, x + [1.0, 10.0, 100.0][i / 16 % 3]);
    }
}

#[test]
fn integer_inputs_keep_their_type() {
    let mut net = Net::new(42);
    net.input("ids", INT64, &["n"]).output("y", FLOAT);
    let table = net.param("table", &[10, 4]);
    net.node("Gather", &[&table, "ids"], "y");
    let folder = tempfile::tempdir().unwrap();
    let model = canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap();
    assert_eq!(model.inputs()[0].dtype, DType::I64);
}

/// f16 numbers that are exact, so that widening and the engine's own conversion must agree.
#[test]
fn half_precision_is_promoted_and_edges_keep_their_type() {
    let mut net = Net::new(43);
    net.input("x", 10, &["2", "4"]).output("y", 10);
    let mut w = graphs::float_tensor("w", &[4, 3], &[]);
    w.data_type = Some(10);
    let halves = [0x3c00u16, 0xbc00, 0x3800, 0x4000, 0x0000, 0xb400];
    w.raw_data = Some((0..12).flat_map(|i| halves[i % 6].to_le_bytes()).collect());
    net.graph.initializer.push(w);
    net.node("MatMul", &["x", "w"], "y");
    let folder = tempfile::tempdir().unwrap();
    let path = net.save(folder.path());
    let x: Vec<f32> = (0..8).map(|i| i as f32).collect();
    let inputs: NamedValues = [("x".to_owned(), Tensor::from_data(&[2, 4], x).into())].into();
    assert_eq!(whole(&path, &inputs, "y"), run_file(&path, &inputs, "y"));
    let block = canonicalise(read_onnx(&path).unwrap()).unwrap().whole().unwrap();
    assert_eq!(block.params[0].spec.to_string(), "w f32[4, 3]");
    assert_eq!((block.inputs[0].dtype, block.outputs[0].dtype), (DType::F16, DType::F16));
}

#[test]
fn the_sign_of_zero_is_zero() {
    let mut net = Net::new(42);
    net.input("x", FLOAT, &["4"]).output("y", FLOAT);
    net.node("Sign", &["x"], "y");
    let folder = tempfile::tempdir().unwrap();
    let inputs = HashMap::from([(
        "x".to_owned(),
        Tensor::from_data(&[4], vec![-2.0f32, 0.0, -0.0, 3.0]).into(),
    )]);
    assert_eq!(whole(&net.save(folder.path()), &inputs, "y"), [-1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn a_node_without_a_name_is_named_in_the_engines_complaint() {
    let mut net = Net::new(43);
    // Columns and rows that are not as many.
    net.input("x", FLOAT, &["2", "3"]).output("y", FLOAT);
    net.node("MatMul", &["x", "x"], "y").name = None;
    let folder = tempfile::tempdir().unwrap();
    let inputs = feed(&mut net, 1);
    let block =
        canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap().whole().unwrap();
    let complaint = run(&[block], &inputs).unwrap_err();
    assert!(complaint.contains("MatMul_0"), "{complaint}");
}

/// Names that the guards of integers make, taken by a value or a constant of the file.
#[test]
fn names_of_guards_that_a_file_has_already_are_refused_and_none_is_read_for_another() {
    let product = |own: &dyn Fn(&mut Net)| {
        let mut net = Net::new(5);
        net.input("a", INT64, &["n"]).output("y", INT64).output("z", FLOAT);
        net.node("Mul", &["a", "a"], "y");
        own(&mut net);
        let folder = tempfile::tempdir().unwrap();
        canonicalise(read_onnx(&net.save(folder.path())).unwrap()).map(drop)
    };
    let constant = |name: &'static str| {
        product(&move |net: &mut Net| {
            let own = net.floats(name, &[], &[2.0]);
            net.input("x", FLOAT, &["n"]);
            net.node("Add", &["x", &own], "z");
        })
    };
    let value = |name: &'static str| {
        product(&move |net: &mut Net| {
            net.input("x", FLOAT, &["n"]);
            net.node("Neg", &["x"], name);
            net.node("Neg", &[name], "z");
        })
    };
    for taken in [constant("y.guard.low"), value("y.guard.below")] {
        let refused = taken.unwrap_err();
        assert!(matches!(&refused, ImportError::Duplicate { .. }), "{refused}");
    }
    constant("y.guard.other").unwrap();
    value("y.below").unwrap();
}
