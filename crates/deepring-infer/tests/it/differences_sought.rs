//! Differences that somebody sought who was paid to break the importer: each is right, or an error by name.

use deepring::{Check, DType, TensorValue};
use deepring_infer::CutPolicy;
use deepring_onnx::proto::{AttributeProto, TensorProto};
use deepring_onnx::{canonicalise, read_onnx};

use crate::differences::{answer, net, text};
use crate::graphs::{self, BOOL, FLOAT, INT32, INT64, Net, graph, int, int_tensor, ints};
use crate::zoo::{Sealed, floats, tensor};

const UINT8: i32 = 2;
const INT8: i32 = 3;
const UINT16: i32 = 4;
const INT16: i32 = 5;
const UINT32: i32 = 12;
const UINT64: i32 = 13;
const INTEGERS: [i32; 8] = [UINT8, INT8, UINT16, INT16, INT32, INT64, UINT32, UINT64];

/// Least and largest of a type.
fn range(elem: i32) -> (i128, i128) {
    match elem {
        UINT8 => (0, u8::MAX.into()),
        INT8 => (i8::MIN.into(), i8::MAX.into()),
        UINT16 => (0, u16::MAX.into()),
        INT16 => (i16::MIN.into(), i16::MAX.into()),
        INT32 => (i32::MIN.into(), i32::MAX.into()),
        INT64 => (i64::MIN.into(), i64::MAX.into()),
        UINT32 => (0, u32::MAX.into()),
        _ => (0, u64::MAX.into()),
    }
}

fn wrapped(value: i128, elem: i32) -> i128 {
    let (low, high) = range(elem);
    (value - low).rem_euclid(high - low + 1) + low
}

fn integers(name: &str, elem: i32, values: &[i128]) -> TensorValue {
    let dtype = DType::from_onnx(elem).unwrap();
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()[..dtype.size()].to_vec()).collect();
    TensorValue::new(name, dtype, vec![values.len() as u64], bytes).unwrap()
}

fn values(of: &TensorValue, elem: i32) -> Vec<i128> {
    assert_eq!(of.dtype(), DType::from_onnx(elem).unwrap());
    let number = |bytes: &[u8]| {
        let mut wide = [0; 16];
        wide[..bytes.len()].copy_from_slice(bytes);
        wrapped(i128::from_le_bytes(wide), elem)
    };
    of.data().chunks(of.dtype().size()).map(number).collect()
}

/// Of what the engine holds of both types, a cast that leaves the narrower one is what is left of it.
#[test]
fn casts_between_integers_wrap_or_are_errors_wherever_they_stand() {
    let inside = |from: i32, to: i32| {
        let mut then = Net::new(1);
        then.node("Cast", &["x"], "short").attribute = vec![int("to", to.into())];
        then.node("Cast", &["short"], "t").attribute = vec![int("to", INT32.into())];
        then.output("t", INT32);
        let mut other = Net::new(1);
        other.node("Cast", &["x"], "o").attribute = vec![int("to", INT32.into())];
        other.output("o", INT32);
        let mut net = Net::new(7);
        net.input("x", from, &["n"]).input("c", BOOL, &[]).output("y", INT32);
        net.node("If", &["c"], "y").attribute =
            vec![graph("then_branch", then.graph), graph("else_branch", other.graph)];
        net
    };
    for (from, to) in INTEGERS.iter().flat_map(|a| INTEGERS.map(|b| (*a, b))) {
        let held =
            |v: &i128| (range(from).0..=range(from).1).contains(v) && i32::try_from(*v).is_ok();
        let given: Vec<i128> =
            [70_000, -70_000, 5, -1, 0, 40_000, 65_535, 32_768, -32_769, 200, 1_000_000_007]
                .into_iter()
                .filter(held)
                .collect();
        let due: Vec<i128> = given.iter().map(|v| wrapped(*v, to)).collect();
        let direct = net("Cast", &[("x", from, &["n"])], vec![int("to", to.into())], to);
        let mut read = Net::new(7);
        read.input("x", from, &["n"]).output("y", FLOAT);
        read.node("Cast", &["x"], "short").attribute = vec![int("to", to.into())];
        read.node("Cast", &["short"], "y").attribute = vec![int("to", FLOAT.into())];
        let held = due.iter().all(|v| i32::try_from(*v).is_ok());
        let x = integers("x", from, &given);
        let c = TensorValue::new("c", DType::Bool, vec![], vec![1]).unwrap();
        if !held {
            for (net, inputs) in
                [(direct, vec![x.clone()]), (read, vec![x.clone()]), (inside(from, to), vec![x, c])]
            {
                let folder = tempfile::tempdir().unwrap();
                let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
                let error = ring.session(Check::Compute).run(inputs).unwrap_err().to_string();
                assert!(error.contains("integer"), "{from} {to}: {error}");
            }
            continue;
        }
        assert_eq!(values(&answer(&direct, vec![x.clone()]), to), due, "{from} {to}");
        let read = floats(&answer(&read, vec![x.clone()]));
        let wanted: Vec<f32> = due.iter().map(|v| *v as f32).collect();
        assert_eq!(read, wanted, "{from} {to}");
        let y = answer(&inside(from, to), vec![x, c]);
        assert_eq!(values(&y, INT32), due, "{from} {to} in a branch");
    }
}

/// A value that a loop carries is of the type of what it is given, stated or not.
#[test]
fn casts_in_loops_wrap() {
    let mut body = Net::new(1);
    body.input("i", INT64, &[]).input("on", BOOL, &[]);
    body.graph.input.push(deepring_onnx::proto::ValueInfoProto {
        name: Some("v".into()),
        ..Default::default()
    });
    body.node("Identity", &["on"], "still");
    body.node("Cast", &["v"], "short").attribute = vec![int("to", INT16.into())];
    body.node("Cast", &["short"], "w").attribute = vec![int("to", INT32.into())];
    body.output("still", BOOL).output("w", INT32);
    let mut net = Net::new(7);
    net.input("x", INT32, &["n"]).output("y", INT32);
    let two = net.ints("two", &[2]);
    net.node("Loop", &[&two, "", "x"], "y").attribute = vec![graph("body", body.graph)];
    let y = answer(&net, vec![integers("x", INT32, &[70_000, -70_000, 5])]);
    assert_eq!(values(&y, INT32), [4464, -4464, 5]);
}

fn refusal(net: &Net) -> String {
    let folder = tempfile::tempdir().unwrap();
    canonicalise(read_onnx(&net.save(folder.path())).unwrap()).unwrap_err().to_string()
}

/// Beyond 32 bits: the engine would take the nearest that it has.
#[test]
fn integers_beyond_32_bits_are_refused_wherever_a_file_has_them() {
    let filled = |value: TensorProto, elem: i32| {
        let mut net = Net::new(7);
        net.input("x", elem, &["n"]).input("s", INT64, &["1"]).output("y", BOOL);
        net.node("ConstantOfShape", &["s"], "w").attribute = vec![graphs::tensor("value", value)];
        net.node("Less", &["w", "x"], "y");
        net
    };
    let unsigned = |elem: i32, value: u64| TensorProto {
        data_type: Some(elem),
        uint64_data: vec![value],
        ..int_tensor("v", &[1], &[])
    };
    for (value, elem) in [
        (int_tensor("v", &[1], &[i64::MIN]), INT64),
        (int_tensor("v", &[1], &[1 << 31]), INT64),
        (unsigned(UINT64, 1 << 40), UINT64),
        (unsigned(UINT32, 3_000_000_000), UINT32),
    ] {
        let refused = refusal(&filled(value, elem));
        assert!(refused.contains("an integer beyond 32 bits"), "{refused}");
    }
    let folder = tempfile::tempdir().unwrap();
    let fits = filled(int_tensor("v", &[1], &[-5]), INT64).save(folder.path());
    canonicalise(read_onnx(&fits).unwrap()).unwrap();
    // In a large table, in a type without a sign, and in an attribute.
    let mut table = Net::new(7);
    table.input("i", INT64, &["1"]).output("y", INT64);
    let mut large = vec![0; (1 << 20) + 1];
    large[77] = 1 << 33;
    table.ints("table", &large);
    table.node("Gather", &["table", "i"], "y");
    let mut wide = Net::new(7);
    wide.input("x", UINT64, &["1"]).output("y", BOOL);
    wide.graph.initializer.push(unsigned(UINT64, 1 << 40));
    wide.node("Less", &["x", "v"], "y");
    let eye: AttributeProto = int("k", 1 << 33);
    let diagonal = net("EyeLike", &[("x", FLOAT, &["2", "2"])], vec![eye], FLOAT);
    for net in [table, wide, diagonal] {
        let refused = refusal(&net);
        assert!(refused.contains("an integer beyond 32 bits"), "{refused}");
    }
}

/// Forms that ONNX does not have, and those that the engine does not compute, by words of their own.
#[test]
fn forms_that_onnx_does_not_have_are_refused_by_name() {
    let pairs = |elem: i32| [("a", elem, &["2"][..]), ("b", elem, &["2"])];
    let cell: &[(&str, i32, &[&str])] = &[
        ("x", FLOAT, &["2", "1", "1"]),
        ("w", FLOAT, &["1", "8", "1"]),
        ("r", FLOAT, &["1", "8", "2"]),
    ];
    let slope = |rows: &'static str, columns: &'static str| {
        let slope: &'static [&'static str] = Box::leak(Box::new([rows, columns]));
        net("PRelu", &[("x", FLOAT, &["3", "1", "4"]), ("s", FLOAT, slope)], vec![], FLOAT)
    };
    let volume: &[&str] = &["1", "1", "4", "4", "4"];
    let conv: &[(&str, i32, &[&str])] =
        &[("x", FLOAT, volume), ("w", FLOAT, &["1", "1", "2", "2", "2"])];
    let grid: &[(&str, i32, &[&str])] =
        &[("x", FLOAT, &["1", "1", "4", "4"]), ("g", FLOAT, &["1", "2", "2", "2"])];
    let open: &[(&str, i32, &[&str])] = &[("x", FLOAT, &["1", "c", "4", "4"])];
    let nothing = |rows: &'static str| {
        let dims: &'static [&'static str] = Box::leak(Box::new([rows, "3", "5", "0"]));
        let three: &[&str] = &["3"];
        let inputs =
            ["x", "s", "b", "m", "v"].map(|n| (n, FLOAT, if n == "x" { dims } else { three }));
        net("BatchNormalization", &inputs, vec![], FLOAT)
    };
    let thin: &[(&str, i32, &[&str])] =
        &[("x", FLOAT, &["1", "4", "0", "4"]), ("w", FLOAT, &["2", "4", "3", "3"])];
    let mut sampled = net("GridSample", grid, vec![text("padding_mode", "border")], FLOAT);
    sampled.opset = 16;
    let mut cases = vec![
        ("a hidden_size", net("LSTM", cell, vec![int("hidden_size", 77)], FLOAT)),
        ("a slope", slope("2", "1")),
        ("three or more axes", net("Conv", conv, vec![], FLOAT)),
        (
            "three or more axes",
            net("MaxPool", &conv[..1], vec![ints("kernel_shape", &[2, 2, 2])], FLOAT),
        ),
        ("open number of channels", net("LRN", open, vec![int("size", 3)], FLOAT)),
        ("padding_mode `border`", sampled),
        ("a tensor without elements", nothing("0")),
        ("a tensor without elements", net("Conv", thin, vec![ints("pads", &[1; 4])], FLOAT)),
    ];
    for op in ["Add", "Sub", "Mul", "Div", "Mod"] {
        cases.push(("truths", net(op, &pairs(BOOL), vec![], BOOL)));
    }
    for (wanted, net) in cases {
        let refused = refusal(&net);
        assert!(refused.contains(wanted), "{wanted}: {refused}");
    }
    let folder = tempfile::tempdir().unwrap();
    canonicalise(read_onnx(&slope("1", "4").save(folder.path())).unwrap()).unwrap();
    canonicalise(
        read_onnx(&net("LSTM", cell, vec![int("hidden_size", 2)], FLOAT).save(folder.path()))
            .unwrap(),
    )
    .unwrap();
}

/// An empty batch that a query brings is an error that says so.
#[test]
fn a_query_without_elements_is_answered_or_refused_by_name() {
    let mut norm = Net::new(7);
    norm.input("x", FLOAT, &["n", "3", "h", "w"]).output("y", FLOAT);
    norm.node("Relu", &["x"], "r");
    norm.batch_norm("r", "y", 3);
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&norm.save(folder.path()), CutPolicy::Auto);
    match ring.session(Check::Run).run(vec![tensor("x", &[0, 3, 5, 5], &[])]) {
        Ok(y) => assert_eq!(y.outputs[0][0].dims(), [0, 3, 5, 5]),
        Err(error) => {
            let mut said = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                said += &error.to_string();
                source = error.source();
            }
            assert!(said.contains("without elements") && !said.contains("panick"), "{said}");
        }
    }
}

#[test]
fn what_is_padded_is_first_cut_off() {
    for (mode, pads, due) in [
        ("wrap", [1, -2], vec![2.0, 1.0, 2.0]),
        ("wrap", [-2, 3], vec![3.0, 4.0, 3.0, 4.0, 3.0]),
        ("reflect", [1, -2], vec![2.0, 1.0, 2.0]),
        ("edge", [-1, 2], vec![2.0, 3.0, 4.0, 4.0, 4.0]),
    ] {
        let mut padded = Net::new(7);
        padded.opset = 19;
        padded.input("x", FLOAT, &["4"]).output("y", FLOAT);
        let pads = padded.ints("pads", &pads);
        padded.node("Pad", &["x", &pads], "y").attribute = vec![text("mode", mode)];
        let y = answer(&padded, vec![tensor("x", &[4], &[1.0, 2.0, 3.0, 4.0])]);
        assert_eq!(floats(&y), due, "{mode}");
    }
    // Of some axes.
    let mut some = Net::new(7);
    some.opset = 18;
    some.input("x", FLOAT, &["2", "2"]).output("y", FLOAT);
    let (pads, axes) = (some.ints("pads", &[1, 0]), some.ints("axes", &[-1]));
    let nine = some.floats("nine", &[], &[9.0]);
    some.node("Pad", &["x", &pads, &nine, &axes], "y");
    let y = answer(&some, vec![tensor("x", &[2, 2], &[1.0, 2.0, 3.0, 4.0])]);
    assert_eq!((y.dims(), floats(&y)), (&[2, 3][..], vec![9.0, 1.0, 2.0, 9.0, 3.0, 4.0]));
}

#[test]
fn older_forms_are_what_they_were() {
    let mut sliced = Net::new(7);
    sliced.opset = 9;
    sliced.input("x", FLOAT, &["4", "2"]).output("y", FLOAT);
    sliced.node("Slice", &["x"], "y").attribute =
        vec![ints("starts", &[1]), ints("ends", &[i64::MAX])];
    let x = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    let y = answer(&sliced, vec![tensor("x", &[4, 2], &x)]);
    assert_eq!((y.dims(), floats(&y)), (&[3, 2][..], x[2..].to_vec()));
    let resized = |scale: f32, mode: &str| {
        let mut net = Net::new(7);
        net.opset = 10;
        net.input("x", FLOAT, &["1", "1", "2", "2"]).output("y", FLOAT);
        let scales = net.floats("scales", &[4], &[1.0, 1.0, scale, scale]);
        net.node("Resize", &["x", &scales], "y").attribute = vec![text("mode", mode)];
        net
    };
    let y = answer(&resized(2.0, "nearest"), vec![tensor("x", &[1, 1, 2, 2], &x[..4])]);
    assert_eq!(
        floats(&y),
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 2.0, 2.0, 3.0, 3.0]
    );
    let y = answer(&resized(2.0, "linear"), vec![tensor("x", &[1, 1, 2, 2], &x[..4])]);
    assert_eq!(floats(&y)[..4], [0.0, 0.5, 1.0, 1.0]);
    assert!(refusal(&resized(0.5, "nearest")).contains("to fewer places"));
}

#[test]
fn there_is_no_acosh_of_what_is_below_one() {
    let acosh = net("Acosh", &[("x", FLOAT, &["6"])], vec![], FLOAT);
    let x = [f32::NEG_INFINITY, -3e38, -2e19, -1e10, -2.0, 0.5];
    let y = floats(&answer(&acosh, vec![tensor("x", &[6], &x)]));
    assert!(y.iter().all(|v| v.is_nan()), "{y:?}");
}

/// As exporters write a condition under which nothing is done.
#[test]
fn a_branch_may_give_what_is_around_it() {
    let mut then = Net::new(1);
    then.output("x", FLOAT);
    let mut other = Net::new(1);
    other.node("Neg", &["x"], "e");
    other.output("e", FLOAT);
    let mut net = Net::new(7);
    net.input("x", FLOAT, &["2"]).input("c", BOOL, &[]).output("y", FLOAT);
    net.node("If", &["c"], "y").attribute =
        vec![graph("then_branch", then.graph), graph("else_branch", other.graph)];
    for (c, due) in [(1, [1.0, -2.0]), (0, [-1.0, 2.0])] {
        let c = TensorValue::new("c", DType::Bool, vec![], vec![c]).unwrap();
        let y = answer(&net, vec![tensor("x", &[2], &[1.0, -2.0]), c]);
        assert_eq!(floats(&y), due);
    }
}

/// Parameters of a training that diverged.
#[test]
fn what_is_no_number_among_parameters_comes_out_as_none() {
    let due = |op: &str, weight: [f32; 4], bounds: Option<[f32; 2]>| {
        let mut net = Net::new(1);
        net.input("x", FLOAT, &["1", "2"]).output("y", FLOAT);
        let w = net.floats("w", &[2, 2], &weight);
        net.node("MatMul", &["x", &w], "m");
        let bounds = bounds
            .map(|[low, high]| [net.floats("low", &[], &[low]), net.floats("high", &[], &[high])]);
        let inputs: Vec<&str> =
            std::iter::once("m").chain(bounds.iter().flatten().map(String::as_str)).collect();
        net.node(op, &inputs, "y");
        floats(&answer(&net, vec![tensor("x", &[1, 2], &[1.0, 0.5])]))
    };
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for weight in [[nan, 1.0, 1.0, -4.0], [inf, 1.0, -inf, -4.0]] {
        for (op, bounds) in [("Relu", None), ("Clip", Some([0.0, 6.0])), ("Asinh", None)] {
            let y = due(op, weight, bounds);
            assert!(y[0].is_nan() && !y[1].is_nan(), "{op} of {weight:?}: {y:?}");
        }
    }
    let of_constants = |op: &str, value: f32| {
        let mut net = Net::new(1);
        net.input("x", FLOAT, &["2"]).output("y", FLOAT);
        let c = net.floats("c", &[2], &[value, 1.0]);
        net.node(op, &[&c], "folded");
        net.node("Add", &["x", "folded"], "y");
        floats(&answer(&net, vec![tensor("x", &[2], &[0.0; 2])]))
    };
    for op in ["Relu", "Asinh"] {
        let y = of_constants(op, nan);
        assert!(y[0].is_nan() && !y[1].is_nan(), "{op}: {y:?}");
    }
    // Nothing by nothing, of a constant divisor; infinities of a query, in a product without weights.
    let mut divided = Net::new(1);
    divided.input("x", FLOAT, &["3"]).output("y", FLOAT);
    let by = divided.floats("by", &[3], &[0.0, 1.0, -0.0]);
    divided.node("Div", &["x", &by], "d");
    divided.node("Relu", &["d"], "y");
    let y = floats(&answer(&divided, vec![tensor("x", &[3], &[0.0; 3])]));
    assert!(y[0].is_nan() && y[1] == 0.0 && y[2].is_nan(), "{y:?}");
    let mut product = Net::new(1);
    product.input("x", FLOAT, &["1", "2"]).input("w", FLOAT, &["2", "1"]).output("y", FLOAT);
    product.node("MatMul", &["x", "w"], "m");
    product.node("Relu", &["m"], "y");
    let given = vec![tensor("x", &[1, 2], &[inf, -inf]), tensor("w", &[2, 1], &[1.0; 2])];
    assert!(floats(&answer(&product, given))[0].is_nan());
    // A variance below nothing; and a fill.
    let mut normalised = Net::new(1);
    normalised.input("x", FLOAT, &["1", "2"]).output("y", FLOAT);
    let w = normalised.floats("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0]);
    normalised.node("MatMul", &["x", &w], "m");
    let ones = normalised.floats("ones", &[2], &[1.0; 2]);
    let variance = normalised.floats("variance", &[2], &[-1.0, 1.0]);
    normalised.node("BatchNormalization", &["m", &ones, &ones, &ones, &variance], "n");
    normalised.node("Relu", &["n"], "y");
    let y = floats(&answer(&normalised, vec![tensor("x", &[1, 2], &[2.0, 2.0])]));
    assert!(y[0].is_nan() && !y[1].is_nan(), "{y:?}");
    let mut filled = Net::new(1);
    filled.input("x", FLOAT, &["n"]).output("y", FLOAT);
    filled.node("Shape", &["x"], "s");
    filled.node("ConstantOfShape", &["s"], "k").attribute =
        vec![graphs::tensor("value", graphs::float_tensor("fill", &[1], &[nan]))];
    filled.node("Add", &["k", "x"], "a");
    filled.node("Relu", &["a"], "y");
    let y = floats(&answer(&filled, vec![tensor("x", &[2], &[1.0; 2])]));
    assert!(y.iter().all(|v| v.is_nan()), "{y:?}");
}

#[test]
fn the_sign_of_the_least_integer_is_negative_whatever_its_type() {
    for elem in INTEGERS {
        let (low, high) = range(elem);
        let (low, high) = (low.max(range(INT32).0), high.min(range(INT32).1));
        let given = [low, low + 1, -1, 0, 1, high].map(|v| v.clamp(low, high));
        let sign = net("Sign", &[("x", elem, &["6"])], vec![], elem);
        let found = values(&answer(&sign, vec![integers("x", elem, &given)]), elem);
        assert_eq!(found, given.map(i128::signum), "{elem}");
    }
}

#[test]
fn what_is_reflected_more_than_once_is_reflected_each_time() {
    let mut net = Net::new(18);
    net.input("x", FLOAT, &["1", "3"]).output("y", FLOAT);
    let pads = net.ints("pads", &[0, 5, 0, 4]);
    net.node("Pad", &["x", &pads], "y").attribute = vec![text("mode", "reflect")];
    let y = floats(&answer(&net, vec![tensor("x", &[1, 3], &[0.0, 1.0, 2.0])]));
    assert_eq!(y, [1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0]);
}
