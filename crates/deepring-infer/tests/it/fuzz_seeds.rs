//! Writes `fuzz/corpus/` for the targets that feed this crate: networks, tensors, pictures, recipes.

use std::collections::HashMap;
use std::path::Path;

use deepring::{DType, TensorValue};
use deepring_infer::inputs::write_npy;
use deepring_onnx::proto::{GraphProto, ModelProto, NodeProto};
use image::{DynamicImage, ImageFormat, RgbImage};
use prost::Message;

use crate::graphs::{self, BOOL, FLOAT, INT64, Net};

/// Longer seeds only make the fuzzer slow.
const MAX_SEED: usize = 4096;

fn write(target: &str, name: &str, bytes: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(name), bytes).unwrap();
}

fn write_net(name: &str, net: &Net) {
    let bytes = net.bytes();
    assert!(bytes.len() <= MAX_SEED, "{name} has {} bytes", bytes.len());
    write("onnx_file", name, &bytes);
}

/// One operator between an input of four dimensions and the output, with constants for its others.
fn alone(op: &str, opset: i64, constants: &[&str], change: impl FnOnce(&mut NodeProto)) {
    let mut net = Net::new(3);
    net.opset = opset;
    net.input("x", FLOAT, &["n", "2", "4", "4"]).output("y", FLOAT);
    net.floats("w", &[2, 2, 3, 3], &[0.5; 36]);
    net.floats("m", &[4, 3], &[0.5; 12]);
    net.floats("v", &[2], &[1.0, 2.0]);
    net.floats("c", &[1, 2, 1, 1], &[1.0, 2.0]);
    net.floats("s", &[], &[0.5]);
    net.ints("i", &[1, -1]);
    net.ints("a", &[0]);
    let mut q = graphs::float_tensor("q", &[2, 3], &[]);
    (q.data_type, q.raw_data) = (Some(3), Some(vec![9; 6]));
    net.graph.initializer.push(q);
    change(net.node(op, constants, "z"));
    net.node("Relu", &["z"], "y");
    net.graph.initializer.retain(|t| constants.contains(&t.name.as_deref().unwrap()));
    write_net(&format!("{op}-{opset}"), &net);
}

fn operators() {
    let none = |_: &mut NodeProto| ();
    for op in ["Relu", "Identity", "Shape", "GlobalAveragePool", "ReduceMean", "Dropout", "NonZero"]
    {
        alone(op, 17, &["x"], none);
    }
    for (op, inputs) in [
        ("Add", ["x", "c"]),
        ("Mul", ["s", "c"]),
        ("Reshape", ["x", "i"]),
        ("Unsqueeze", ["x", "a"]),
        ("Squeeze", ["c", "a"]),
        ("Gather", ["x", "i"]),
        ("Expand", ["v", "i"]),
        ("MatMul", ["x", "m"]),
        ("DequantizeLinear", ["q", "s"]),
        ("Split", ["x", "i"]),
        ("TopK", ["x", "a"]),
        ("Tile", ["x", "i"]),
    ] {
        alone(op, 17, &inputs, none);
    }
    alone("ConstantOfShape", 17, &["i"], none);
    alone("Dropout", 7, &["x"], |n| n.attribute = vec![graphs::int("is_test", 1)]);
    alone("Transpose", 17, &["w"], |n| n.attribute = vec![graphs::ints("perm", &[1, 0, 3, 2])]);
    alone("Flatten", 17, &["c"], |n| n.attribute = vec![graphs::int("axis", 2)]);
    alone("Cast", 17, &["q"], |n| n.attribute = vec![graphs::int("to", 1)]);
    alone("Concat", 17, &["x", "c"], |n| n.attribute = vec![graphs::int("axis", 1)]);
    alone("Softmax", 11, &["x"], |n| n.attribute = vec![graphs::int("axis", 1)]);
    alone("Selu", 17, &["x"], |n| n.attribute = vec![graphs::float("alpha", 2.0)]);
    alone("LRN", 13, &["x"], |n| n.attribute = vec![graphs::int("size", 3)]);
    alone("MaxPool", 17, &["x"], |n| n.attribute = vec![graphs::ints("kernel_shape", &[2, 2])]);
    alone("Conv", 17, &["x", "w", "v"], none);
    alone("ConvTranspose", 17, &["x", "w", "v"], |n| n.attribute = vec![graphs::int("group", 1)]);
    alone("ConvInteger", 17, &["x", "w"], none);
    alone("BatchNormalization", 17, &["x", "v", "v", "v", "v"], none);
    alone("Gemm", 17, &["m", "m"], |n| n.attribute = vec![graphs::int("transB", 1)]);
    alone("LSTM", 17, &["x", "w", "w"], |n| n.output.push("h".into()));
    alone("Upsample", 7, &["x"], |n| n.attribute = vec![graphs::ints("scales", &[1, 1])]);
    alone("Add", 6, &["x", "v"], |n| {
        n.attribute = vec![graphs::int("broadcast", 1), graphs::int("axis", 1)];
    });
    alone("Constant", 17, &[], |n| n.attribute = vec![graphs::ints("value_ints", &[1, 2])]);
}

/// Graphs that reach what one operator alone does not.
fn combinations() {
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["n", "2", "4", "4"]).output("y", FLOAT);
    net.conv("x", "c", 2, 2, 1, 1);
    net.batch_norm("c", "b", 2);
    let (scale, shift) = (net.param("s", &[1, 2, 1, 1]), net.param("t", &[1, 2, 1, 1]));
    net.node("Mul", &["b", &scale], "p");
    net.node("Add", &["p", &shift], "r");
    net.conv("r", "y", 2, 2, 1, 1);
    write_net("normalised", &net);

    let mut net = Net::new(6);
    net.input("x", 10, &["2", "3"]).input("flag", BOOL, &[]).output("y", 10);
    let mut branch = Net::new(7);
    branch.output("t", 10);
    branch.node("Neg", &["x"], "t");
    net.node("If", &["flag"], "y").attribute = vec![
        graphs::graph("then_branch", branch.graph.clone()),
        graphs::graph("else_branch", branch.graph),
    ];
    write_net("branches", &net);

    let mut net = Net::new(8);
    net.input("x", FLOAT, &["n", "2", "2"]).output("y", FLOAT).output("k", INT64);
    net.node("Shape", &["x"], "k");
    net.ints("first", &[0]);
    net.ints("rest", &[-1]);
    net.node("Gather", &["k", "first"], "batch");
    net.node("Concat", &["batch", "rest"], "target").attribute = vec![graphs::int("axis", 0)];
    net.node("Reshape", &["x", "target"], "flat");
    net.dense("flat", "d", 4, 2);
    net.node("Identity", &["d"], "y");
    write_net("shapes", &net);

    let mut net = Net::new(9);
    net.input("x", FLOAT, &["1", "4"]).output("y", FLOAT);
    net.param("w", &[4, 4]);
    // The inputs of the target are files of this name.
    graphs::external(&mut net.graph.initializer[0], "input", 8, Some(64));
    net.node("MatMul", &["x", "w"], "y");
    write_net("external", &net);
}

/// The zoo's networks; parameters of more than a few elements are made by the graph instead.
fn zoo() {
    for name in ["fashion-lenet5", "fashion-resnet8"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo").join(name);
        let bytes = std::fs::read(path.with_extension("onnx")).unwrap();
        let mut model = ModelProto::decode(bytes.as_slice()).unwrap();
        let graph = model.graph.as_mut().unwrap();
        let mut made = Vec::new();
        for tensor in std::mem::take(&mut graph.initializer) {
            if tensor.dims.iter().product::<i64>() <= 4 {
                graph.initializer.push(tensor);
                continue;
            }
            let param = tensor.name.unwrap();
            let shape = format!("{:?}", tensor.dims);
            if graph.initializer.iter().all(|t| t.name.as_deref() != Some(&shape)) {
                let dims = [tensor.dims.len() as i64];
                graph.initializer.push(graphs::int_tensor(&shape, &dims, &tensor.dims));
            }
            made.push(graphs::node("ConstantOfShape", &[&shape], &[&param]));
        }
        graph.node.splice(..0, made);
        graph.value_info.clear();
        shorten(graph);
        let short = model.encode_to_vec();
        assert!(short.len() <= MAX_SEED, "{name} has {} bytes", short.len());
        write("onnx_file", name, &short);
        write("onnx_file", &format!("{name}-truncated"), &bytes[..MAX_SEED]);
    }
}

/// Numbers in the place of names.
fn shorten(graph: &mut GraphProto) {
    let mut names = HashMap::new();
    let mut rename = |name: &mut String| {
        let next = names.len();
        *name = names.entry(std::mem::take(name)).or_insert(next).to_string();
    };
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        value.name.iter_mut().for_each(&mut rename);
    }
    for tensor in &mut graph.initializer {
        tensor.name.iter_mut().for_each(&mut rename);
    }
    for node in &mut graph.node {
        node.name = None;
        node.input.iter_mut().chain(&mut node.output).for_each(&mut rename);
    }
}

fn tensors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    for (name, dtype) in [("f32", DType::F32), ("i64", DType::I64), ("u8", DType::U8)] {
        let data = vec![1; 6 * dtype.size()];
        write_npy(&path, &TensorValue::new("x", dtype, vec![2, 3], data).unwrap()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        write("npy", name, &bytes);
        // The same length, so that the header stays as long as it says.
        let at = bytes.windows(6).position(|w| w == b"False,").unwrap();
        let fortran = [&bytes[..at], b"True ,", &bytes[at + 6..]].concat();
        write("npy", &format!("{name}-fortran"), &fortran);
    }
}

fn pictures() {
    let picture = RgbImage::from_fn(7, 5, |x, y| image::Rgb([x as u8 * 30, y as u8 * 40, 7]));
    let rgb = DynamicImage::ImageRgb8(picture);
    for (name, format) in
        [("png", ImageFormat::Png), ("jpeg", ImageFormat::Jpeg), ("bmp", ImageFormat::Bmp)]
    {
        for (depth, picture) in [
            ("rgb", rgb.clone()),
            ("gray", DynamicImage::ImageLuma8(rgb.to_luma8())),
            ("deep", DynamicImage::ImageRgb16(rgb.to_rgb16())),
            ("alpha", DynamicImage::ImageRgba8(rgb.to_rgba8())),
        ] {
            let mut bytes = std::io::Cursor::new(Vec::new());
            if picture.write_to(&mut bytes, format).is_ok() {
                write("picture", &format!("{depth}.{name}"), bytes.get_ref());
            }
        }
    }
}

#[test]
#[ignore = "writes fuzz/corpus/, which git ignores; run it before fuzzing"]
fn fuzz_seeds() {
    operators();
    combinations();
    zoo();
    tensors();
    pictures();
    for (n, message) in crate::participants::messages().iter().enumerate() {
        write("host_message", &n.to_string(), message);
    }
    for (i, text) in [
        "resize=224,color=rgb,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,layout=NCHW",
        "resize=32x48,crop=28,color=gray,scale=1,layout=NHWC",
        "color=bgr,scale=1e-3/-7,mean=.5",
        "",
    ]
    .iter()
    .enumerate()
    {
        write("preprocess", &i.to_string(), text.as_bytes());
    }
}
