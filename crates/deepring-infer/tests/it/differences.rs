//! Forms of operators that the engine computes otherwise than ONNX says: each is right all the same, or refused by name.
//! Expected values follow from the standard's text.

mod lacking;
mod refused;

use deepring::{Check, DType, TensorValue};
use deepring_infer::{CutPolicy, PlainModel, RunError};
use deepring_onnx::proto::AttributeProto;
use deepring_onnx::{ImportError, canonicalise, read_onnx};

use crate::graphs::{BOOL, FLOAT, INT64, Net, graph, int, ints};
use crate::zoo::{Sealed, floats, tensor};

const UINT8: i32 = 2;
const UINT16: i32 = 4;
const FLOAT16: i32 = 10;

/// A network of one operator over inputs of fixed dimensions.
pub(crate) fn net(
    op: &str,
    inputs: &[(&str, i32, &[&str])],
    attributes: Vec<AttributeProto>,
    y: i32,
) -> Net {
    let mut net = Net::new(7);
    for (name, elem, dims) in inputs {
        net.input(name, *elem, dims);
    }
    let names: Vec<&str> = inputs.iter().map(|(name, ..)| *name).collect();
    net.node(op, &names, "y").attribute = attributes;
    net.output("y", y);
    net
}

/// The sealed network's answer under a check that verifies what comes out.
pub(crate) fn answer(net: &Net, inputs: Vec<TensorValue>) -> TensorValue {
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    ring.session(Check::Compute).run(inputs).unwrap().outputs.remove(0).remove(0)
}

pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        s: Some(value.as_bytes().to_vec()),
        r#type: Some(3),
        ..AttributeProto::default()
    }
}

pub(crate) fn i64s(value: &TensorValue) -> Vec<i64> {
    assert_eq!(value.dtype(), DType::I64);
    value.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
}

#[test]
fn of_equal_extremes_the_first_is_named_or_the_last_if_asked() {
    let x = tensor("x", &[2, 4], &[1.0, 3.0, 3.0, 1.0, -2.0, 0.0, -2.0, 0.0]);
    let cases: [(_, &[i64], _); 4] = [
        ("ArgMax", &[1, 1], 0),
        ("ArgMin", &[0, 0], 0),
        ("ArgMax", &[2, 3], 1),
        ("ArgMin", &[3, 2], 1),
    ];
    for (op, wanted, last) in cases {
        for (axis, keep) in [(1, 1), (-1, 0)] {
            let attributes =
                vec![int("axis", axis), int("keepdims", keep), int("select_last_index", last)];
            let mut net = net(op, &[("x", FLOAT, &["n", "4"])], attributes, INT64);
            net.opset = 13;
            let y = answer(&net, vec![x.clone()]);
            assert_eq!(i64s(&y), wanted, "{op} {last}");
            assert_eq!(y.dims().len(), 1 + keep as usize);
        }
    }
}

#[test]
fn whatever_is_not_zero_is_true() {
    let net = net("Cast", &[("x", FLOAT, &["5"])], vec![int("to", BOOL.into())], BOOL);
    let x = tensor("x", &[5], &[0.5, -0.25, 0.0, 1e-30, f32::INFINITY]);
    assert_eq!(answer(&net, vec![x]).data(), [1, 1, 0, 1, 1]);
}

#[test]
fn a_matrix_of_any_rank_times_a_vector_has_no_dimension_of_it() {
    let a = tensor("a", &[2, 2, 3], &[1.0, 2.0, 3.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 2.0, 0.0, 2.0]);
    let v = tensor("v", &[3], &[1.0, 10.0, 100.0]);
    let product =
        net("MatMul", &[("a", FLOAT, &["2", "2", "3"]), ("v", FLOAT, &["3"])], vec![], FLOAT);
    let y = answer(&product, vec![a, v]);
    assert_eq!((y.dims(), floats(&y)), (&[2, 2][..], vec![321.0, 10.0, 111.0, 202.0]));
    let b = tensor("b", &[2, 3, 1], &[1.0, 2.0, 3.0, 0.0, 1.0, 0.0]);
    let v = tensor("v", &[3], &[1.0, 10.0, 100.0]);
    let product =
        net("MatMul", &[("v", FLOAT, &["3"]), ("b", FLOAT, &["2", "3", "1"])], vec![], FLOAT);
    let y = answer(&product, vec![v, b]);
    assert_eq!((y.dims(), floats(&y)), (&[2, 1][..], vec![321.0, 10.0]));
}

#[test]
fn pools_without_strides_take_each_place() {
    for op in ["MaxPool", "AveragePool"] {
        let pool = net(
            op,
            &[("x", FLOAT, &["1", "1", "2", "3"])],
            vec![ints("kernel_shape", &[2, 2])],
            FLOAT,
        );
        let x = tensor("x", &[1, 1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let wanted = if op == "MaxPool" { [5.0, 6.0] } else { [3.0, 4.0] };
        let y = answer(&pool, vec![x]);
        assert_eq!((y.dims(), floats(&y)), (&[1, 1, 1, 2][..], wanted.to_vec()));
    }
}

#[test]
fn quantisation_divides_rounds_ties_to_even_and_takes_the_second_axis() {
    // A scale for each of two channels, in a picture of two columns and three rows; without zero point.
    let inputs: &[(&str, i32, &[&str])] =
        &[("x", FLOAT, &["1", "2", "3", "2"]), ("s", FLOAT, &["2"])];
    let quantise = net("QuantizeLinear", inputs, vec![], UINT8);
    let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let y = answer(&quantise, vec![tensor("x", &[1, 2, 3, 2], &x), tensor("s", &[2], &[2.0, 4.0])]);
    // 0, 1, 2, 3, 4, 5 by 2 and 6, 7, 8, 9, 10, 11 by 4.
    assert_eq!(y.data(), [0, 0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
    // One scale in a list of one; and division, since 0.1 is not what its reciprocal is of.
    let inputs: &[(&str, i32, &[&str])] =
        &[("x", FLOAT, &["n", "1"]), ("s", FLOAT, &["1"]), ("z", UINT8, &["1"])];
    let quantise = net("QuantizeLinear", inputs, vec![], UINT8);
    let scale = 0.1f32;
    let x: Vec<f32> = (0..200).map(|i| (i as f32 + 0.5) * scale).collect();
    let wanted: Vec<u8> =
        x.iter().map(|x| ((x / scale).round_ties_even() as u8).saturating_add(3)).collect();
    let zero = TensorValue::new("z", DType::U8, vec![1], vec![3]).unwrap();
    let y = answer(&quantise, vec![tensor("x", &[200, 1], &x), tensor("s", &[1], &[scale]), zero]);
    assert_eq!(y.data(), wanted);
}

/// The first of the three examples that the standard gives.
#[test]
fn dynamic_quantisation_is_that_of_the_standard() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["6"]).output("y", UINT8).output("s", FLOAT).output("z", UINT8);
    net.graph.node.push(crate::graphs::node("DynamicQuantizeLinear", &["x"], &["y", "s", "z"]));
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let x = tensor("x", &[6], &[0.0, 2.0, -3.0, -2.5, 1.34, 0.5]);
    let outputs = ring.session(Check::Compute).run(vec![x]).unwrap().outputs.remove(0);
    assert_eq!(outputs[0].data(), [153, 255, 0, 26, 221, 179]);
    assert_eq!((floats(&outputs[1]), outputs[2].data()), (vec![5.0 / 255.0], &[153][..]));
}

#[test]
fn a_reduction_of_no_axes_that_says_so_reduces_nothing() {
    let mut net = Net::new(7);
    net.opset = 18;
    net.input("x", FLOAT, &["2", "2"]).output("y", FLOAT);
    let axes = net.ints("axes", &[]);
    net.node("ReduceMean", &["x", &axes], "y").attribute = vec![int("noop_with_empty_axes", 1)];
    let x = tensor("x", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(floats(&answer(&net, vec![x.clone()])), [1.0, 2.0, 3.0, 4.0]);
    net.graph.node[0].attribute = vec![];
    let y = answer(&net, vec![x]);
    assert_eq!((y.dims(), floats(&y)), (&[1, 1][..], vec![2.5]));
}

#[test]
fn an_integer_is_an_exponent_of_floats() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["3"]).output("y", FLOAT);
    let two = net.ints("two", &[2]);
    net.node("Pow", &["x", &two], "y");
    let y = answer(&net, vec![tensor("x", &[3], &[-2.0, 0.5, 3.0])]);
    assert_eq!(floats(&y), [4.0, 0.25, 9.0]);
}

#[test]
fn half_precision_and_short_integers_come_and_go_as_they_are() {
    let relu = net("Relu", &[("x", FLOAT16, &["4"])], vec![], FLOAT16);
    // 1, -2, the smallest number above zero, and one that has no exact neighbour in tenths.
    let x: Vec<u8> =
        [0x3c00u16, 0xc000, 0x0001, 0x2e66].iter().flat_map(|b| b.to_le_bytes()).collect();
    let x = TensorValue::new("x", DType::F16, vec![4], x).unwrap();
    let wanted: Vec<u8> =
        [0x3c00u16, 0, 0x0001, 0x2e66].iter().flat_map(|b| b.to_le_bytes()).collect();
    assert_eq!(answer(&relu, vec![x]).data(), wanted);
    let max = net("Max", &[("a", UINT16, &["2"]), ("b", UINT16, &["2"])], vec![], UINT16);
    let u16s = |name: &str, values: [u16; 2]| {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        TensorValue::new(name, DType::U16, vec![2], data).unwrap()
    };
    let y = answer(&max, vec![u16s("a", [1, 65_535]), u16s("b", [40_000, 7])]);
    assert_eq!(y.data(), u16s("y", [40_000, 65_535]).data());
}

/// Expected values are onnxruntime's.
#[test]
fn cubic_interpolation_between_known_sizes_is_right() {
    let x = tensor("x", &[1, 1, 2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let row =
        [0.894_531_25, 1.191_406_2, 1.667_968_8, 2.296_875, 2.703_125, 3.332_031_2, 3.808_593_8];
    let wanted: Vec<f32> = row.into_iter().chain([4.105_468_8]).collect();
    for by_sizes in [false, true] {
        let mut net = Net::new(7);
        net.input("x", FLOAT, &["1", "1", "2", "4"]).output("y", FLOAT);
        let inputs = if by_sizes {
            let sizes = net.ints("sizes", &[1, 1, 2, 8]);
            ["x".to_owned(), String::new(), String::new(), sizes]
        } else {
            let scales = net.floats("scales", &[4], &[1.0, 1.0, 1.0, 2.0]);
            ["x".to_owned(), String::new(), scales, String::new()]
        };
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let inputs = if by_sizes { &inputs[..] } else { &inputs[..3] };
        net.node("Resize", inputs, "y").attribute = vec![text("mode", "cubic")];
        let y = answer(&net, vec![x.clone()]);
        assert_eq!(y.dims(), [1, 1, 2, 8]);
        let y = floats(&y);
        let (first, second) = y.split_at(8);
        for (i, wanted) in wanted.iter().enumerate() {
            assert!((first[i] - wanted).abs() < 1e-5, "{i}: {first:?}");
            assert!((second[i] - wanted - 4.0).abs() < 1e-5, "{i}: {second:?}");
        }
    }
}

/// The engine holds integers in 32 bits; what leaves them is an error, and nothing else.
#[test]
fn integers_are_right_or_an_error() {
    let i64s_of = |name: &str, values: &[i64]| {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        TensorValue::new(name, DType::I64, vec![values.len() as u64], data).unwrap()
    };
    let refused = |net: &Net, inputs: Vec<TensorValue>| {
        let folder = tempfile::tempdir().unwrap();
        let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
        let error = ring.session(Check::Compute).run(inputs).unwrap_err();
        assert!(matches!(error, RunError::Input(_) | RunError::Value(_)), "{error}");
    };
    let square = |elem| net("Mul", &[("a", elem, &["n"]), ("b", elem, &["n"])], vec![], elem);
    let large = 40_000;
    let (a, b) = (i64s_of("a", &[3, -large]), i64s_of("b", &[-5, large]));
    assert_eq!(i64s(&answer(&square(INT64), vec![a, b])), [-15, -large * large]);
    let (a, b) = (i64s_of("a", &[3, 100_000]), i64s_of("b", &[-5, 100_000]));
    refused(&square(INT64), vec![a, b]);
    refused(&square(INT64), vec![i64s_of("a", &[1 << 40]), i64s_of("b", &[1])]);
    let u16s = |name: &str, value: u16| {
        TensorValue::new(name, DType::U16, vec![1], value.to_le_bytes().to_vec()).unwrap()
    };
    let sum = net("Add", &[("a", UINT16, &["1"]), ("b", UINT16, &["1"])], vec![], UINT16);
    let y = answer(&sum, vec![u16s("a", 65_530), u16s("b", 5)]);
    assert_eq!(y.data(), 65_535u16.to_le_bytes());
    refused(&sum, vec![u16s("a", 65_530), u16s("b", 6)]);
    // Of types without a sign, nothing is below zero.
    let u32s = |name: &str, value: u32| {
        TensorValue::new(name, DType::U32, vec![1], value.to_le_bytes().to_vec()).unwrap()
    };
    let difference = net("Sub", &[("a", 12, &["1"]), ("b", 12, &["1"])], vec![], 12);
    let y = answer(&difference, vec![u32s("a", 9), u32s("b", 9)]);
    assert_eq!(y.data(), 0u32.to_le_bytes());
    refused(&difference, vec![u32s("a", 9), u32s("b", 10)]);
    // A running sum, and a constant that no 32 bits hold.
    let mut running = Net::new(7);
    running.input("x", INT64, &["n"]).output("y", INT64);
    let axis = running.ints("axis", &[0]);
    running.node("CumSum", &["x", &axis], "y");
    let y = answer(&running, vec![i64s_of("x", &[1 << 30, 1, -7])]);
    assert_eq!(i64s(&y), [1 << 30, (1 << 30) + 1, (1 << 30) - 6]);
    refused(&running, vec![i64s_of("x", &[1 << 30, 1 << 30])]);
    let mut offset = Net::new(7);
    offset.input("x", INT64, &["n"]).output("y", INT64);
    let far = offset.ints("far", &[1 << 33]);
    offset.node("Add", &["x", &far], "y");
    let folder = tempfile::tempdir().unwrap();
    let error = canonicalise(read_onnx(&offset.save(folder.path())).unwrap()).unwrap_err();
    assert!(matches!(error, ImportError::Unsupported { feature: "an integer beyond 32 bits", .. }));
}

/// The engine's planner calls itself for each node that follows another.
#[test]
fn many_nodes_in_a_row_overflow_no_stack() {
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["2"]).output("y", FLOAT);
    let mut from = "x".to_owned();
    for i in 0..5000 {
        let to = if i == 4999 { "y".to_owned() } else { format!("v{i}") };
        net.node("Neg", &[&from], &to);
        from = to;
    }
    let y = answer(&net, vec![tensor("x", &[2], &[1.0, -2.0])]);
    assert_eq!(floats(&y), [1.0, -2.0]);
}

#[test]
fn doubles_and_short_sums_are_refused_and_conversions_are_right() {
    const DOUBLE: i32 = 11;
    const BFLOAT16: i32 = 16;
    let folder = tempfile::tempdir().unwrap();
    let unsupported = |net: &Net| match canonicalise(read_onnx(&net.save(folder.path())).unwrap()) {
        Err(ImportError::Unsupported { feature, .. }) => feature,
        other => panic!("{other:?}"),
    };
    let doubled = net("Add", &[("a", DOUBLE, &["2"]), ("b", DOUBLE, &["2"])], vec![], DOUBLE);
    assert_eq!(unsupported(&doubled), "double precision");
    let matrix: &[&str] = &["2", "2"];
    let short =
        net("MatMul", &[("a", BFLOAT16, matrix), ("b", BFLOAT16, matrix)], vec![], BFLOAT16);
    assert_eq!(unsupported(&short), "sums given as bfloat16");
    let mut asked_nothing = Net::new(7);
    asked_nothing.floats("k", &[1], &[1.0]);
    asked_nothing.output("k", FLOAT);
    assert_eq!(unsupported(&asked_nothing), "a network that is asked nothing");
    let widened = net("Cast", &[("x", FLOAT, &["1"])], vec![int("to", DOUBLE.into())], DOUBLE);
    let y = answer(&widened, vec![tensor("x", &[1], &[0.1])]);
    assert_eq!(y.data(), f64::from(0.1f32).to_le_bytes());
}

/// A loop that goes on while its own condition, which nothing changes, is true.
#[test]
fn loops_without_end_are_refused_and_others_run() {
    let body = |goes_on: &str| {
        let mut body = Net::new(1);
        body.input("i", INT64, &[]).input("on", BOOL, &[]).input("v", FLOAT, &["1"]);
        body.node("Identity", &["on"], "still_on");
        let one = body.floats("one", &[1], &[1.0]);
        body.node("Add", &["v", &one], "more");
        let five = body.floats("five", &[], &[5.0]);
        body.node("Less", &["more", &five], "few");
        body.node("Squeeze", &["few"], "fewer");
        body.output(goes_on, BOOL).output("more", FLOAT);
        body.graph
    };
    let counted = |turns: Option<i64>, goes_on: &str| {
        let mut net = Net::new(1);
        net.opset = 13;
        net.input("x", FLOAT, &["1"]).output("y", FLOAT);
        let count = turns.map(|n| net.ints("count", &[n])).unwrap_or_default();
        net.node("Loop", &[&count, "", "x"], "y").attribute = vec![graph("body", body(goes_on))];
        net
    };
    let folder = tempfile::tempdir().unwrap();
    for turns in [None, Some(1 << 31), Some(i64::MAX)] {
        let path = counted(turns, "still_on").save(folder.path());
        let error = canonicalise(read_onnx(&path).unwrap()).unwrap_err();
        let endless =
            matches!(error, ImportError::Unsupported { feature, .. } if feature.contains("turns"));
        assert!(endless, "{turns:?}: {error}");
    }
    let y = answer(&counted(Some(3), "still_on"), vec![tensor("x", &[1], &[0.5])]);
    assert_eq!(floats(&y), [3.5]);
    let y = answer(&counted(Some(1 << 31), "fewer"), vec![tensor("x", &[1], &[0.5])]);
    assert_eq!(floats(&y), [5.5]);
}

fn bytes_of(name: &str, dims: &[u64], dtype: DType, data: &[u8]) -> TensorValue {
    TensorValue::new(name, dtype, dims.to_vec(), data.to_vec()).unwrap()
}

#[test]
fn a_list_of_one_scale_or_zero_point_is_the_one() {
    let inputs: &[(&str, i32, &[&str])] =
        &[("x", UINT8, &["2", "2"]), ("s", FLOAT, &["1"]), ("z", UINT8, &["1"])];
    let dequantise = net("DequantizeLinear", inputs, vec![], FLOAT);
    let (x, z) =
        (bytes_of("x", &[2, 2], DType::U8, &[2, 4, 0, 6]), bytes_of("z", &[1], DType::U8, &[2]));
    let y = answer(&dequantise, vec![x, tensor("s", &[1], &[0.5]), z]);
    assert_eq!(floats(&y), [0.0, 1.0, -1.0, 2.0]);
    let inputs: &[(&str, i32, &[&str])] = &[
        ("x", UINT8, &["1", "2"]),
        ("w", UINT8, &["2", "1"]),
        ("a", UINT8, &["1"]),
        ("b", UINT8, &["1"]),
    ];
    let product = net("MatMulInteger", inputs, vec![], 6);
    let y = answer(
        &product,
        vec![
            bytes_of("x", &[1, 2], DType::U8, &[3, 4]),
            bytes_of("w", &[2, 1], DType::U8, &[5, 6]),
            bytes_of("a", &[1], DType::U8, &[1]),
            bytes_of("b", &[1], DType::U8, &[2]),
        ],
    );
    assert_eq!(y.data(), 18i32.to_le_bytes());
}

#[test]
fn pools_and_reductions_of_bytes_and_truths_are_those_of_their_numbers() {
    let attributes = vec![ints("kernel_shape", &[2, 2])];
    let pool = net("MaxPool", &[("x", UINT8, &["1", "1", "2", "2"])], attributes, UINT8);
    let y = answer(&pool, vec![bytes_of("x", &[1, 1, 2, 2], DType::U8, &[7, 200, 0, 255])]);
    assert_eq!(y.data(), [255]);
    for (op, of_some, of_none) in [("ReduceMax", [1, 0], [0, 0]), ("ReduceMin", [0, 0], [1, 1])] {
        let mut net = Net::new(7);
        net.opset = 20;
        net.input("x", BOOL, &["2", "n"]).output("y", BOOL);
        let axes = net.ints("axes", &[1]);
        net.node(op, &["x", &axes], "y").attribute = vec![int("keepdims", 0)];
        let y = answer(&net, vec![bytes_of("x", &[2, 2], DType::Bool, &[1, 0, 0, 0])]);
        assert_eq!(y.data(), of_some, "{op}");
        let y = answer(&net, vec![bytes_of("x", &[2, 0], DType::Bool, &[])]);
        assert_eq!(y.data(), of_none, "{op}");
    }
}

#[test]
fn axes_in_no_list_and_indices_that_are_floats() {
    let mut squeezed = Net::new(7);
    squeezed.opset = 13;
    squeezed.input("x", FLOAT, &["1", "2"]).output("y", FLOAT);
    squeezed.graph.initializer.push(crate::graphs::int_tensor("axes", &[], &[0]));
    squeezed.node("Squeeze", &["x", "axes"], "y");
    let y = answer(&squeezed, vec![tensor("x", &[1, 2], &[3.0, 4.0])]);
    assert_eq!((y.dims(), floats(&y)), (&[2][..], vec![3.0, 4.0]));
    let mut hot = Net::new(7);
    hot.input("x", FLOAT, &["2"]).output("y", FLOAT);
    let (depth, values) =
        (hot.floats("depth", &[], &[3.0]), hot.floats("values", &[2], &[0.0, 5.0]));
    hot.node("OneHot", &["x", &depth, &values], "y");
    let y = answer(&hot, vec![tensor("x", &[2], &[1.0, -1.0])]);
    assert_eq!(floats(&y), [0.0, 5.0, 0.0, 0.0, 0.0, 5.0]);
}

/// Neither is what the engine's own loader computes, or takes.
#[test]
fn plain_networks_answer_as_sealed_ones_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut softmax = net("Softmax", &[("x", FLOAT, &["1", "2", "1", "1"])], vec![], FLOAT);
    softmax.opset = 12;
    let path = softmax.save(folder.path());
    let x = tensor("x", &[1, 2, 1, 1], &[0.0, 0.0]);
    let y = PlainModel::load(&path, None).unwrap().run(std::slice::from_ref(&x)).unwrap();
    assert_eq!(floats(&y[0]), [0.5, 0.5]);
    let unaltered = PlainModel::unaltered(&path, None).unwrap().run(&[x]).unwrap();
    assert_eq!(floats(&unaltered[0]), [1.0, 1.0], "the engine's own loader knows versions now");

    let stack = deepring_onnx::synthetic::Stack { layers: 2, width: 8 };
    let path = folder.path().join("stack.onnx");
    stack.write(&path, 1).unwrap();
    let renamed = folder.path().join("renamed.onnx");
    std::fs::rename(path, &renamed).unwrap();
    PlainModel::load(&renamed, None).unwrap();
}
