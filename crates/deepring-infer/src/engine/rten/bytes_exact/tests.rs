use deepring_onnx::proto::{ModelProto, OperatorSetIdProto};
use prost::Message as _;
use rten::{ModelOptions, Value};
use rten_tensor::Tensor;

use super::super::prepared::prepare;
use super::*;

fn product(zeros: bool) -> Vec<u8> {
    let value = |name: &str| deepring_onnx::proto::ValueInfoProto {
        name: Some(name.to_owned()),
        ..Default::default()
    };
    let all: &[&str] = if zeros { &["a", "b", "z", "w"] } else { &["a", "b"] };
    let graph = GraphProto {
        node: vec![made("MatMulInteger", all, "y".to_owned())],
        input: all.iter().map(|n| value(n)).collect(),
        output: vec![value("y")],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: None, version: Some(17) };
    let model = ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        opset_import: vec![opset],
        ..ModelProto::default()
    };
    model.encode_to_vec()
}

/// Bytes from end to end of their range, and random ones between.
fn bytes(n: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 29 {
            0 => 255,
            1 => 0,
            2 => 127,
            3 => 128,
            _ => (state >> 16) as u8,
        }
    };
    (0..n).map(step).collect()
}

fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|b| *b as i8).collect()
}

/// On whatever machine: in the exact form every product is that of integers. (In the engine's own form it is so with VNNI alone.)
#[test]
fn products_of_bytes_in_the_exact_form_are_those_of_integers() {
    let (rows, inner, columns) = (5, 77, 13);
    for (seed, zeros) in [(1, false), (2, true), (3, true), (4, false)] {
        for (a_signed, b_signed) in [(false, false), (false, true), (true, false), (true, true)] {
            let (a, b) = (bytes(rows * inner, seed), bytes(inner * columns, seed + 9));
            let (z, w) = (bytes(1, seed + 40)[0], bytes(1, seed + 41)[0]);
            let number = |byte: u8, signed: bool| {
                if signed { i64::from(byte as i8) } else { i64::from(byte) }
            };
            let model = prepare(&product(zeros), true).unwrap().graph;
            let model =
                ModelOptions::with_all_ops().enable_optimization(false).load(model).unwrap();
            let value = |bytes: &[u8], shape: &[usize], as_signed: bool| -> Value {
                if as_signed {
                    Tensor::try_from_data(shape, signed(bytes)).unwrap().into()
                } else {
                    Tensor::try_from_data(shape, bytes.to_vec()).unwrap().into()
                }
            };
            let mut given = vec![
                ("a", value(&a, &[rows, inner], a_signed)),
                ("b", value(&b, &[inner, columns], b_signed)),
            ];
            if zeros {
                given.push(("z", value(&[z], &[], a_signed)));
                given.push(("w", value(&[w], &[], b_signed)));
            }
            let given =
                given.into_iter().map(|(n, v)| (model.find_node(n).unwrap(), v.into())).collect();
            let out = model.run(given, &[model.find_node("y").unwrap()], None).unwrap();
            let Value::Int32Tensor(y) = &out[0] else { panic!("no integers") };
            let (z, w) = if zeros { (number(z, a_signed), number(w, b_signed)) } else { (0, 0) };
            for i in 0..rows {
                for j in 0..columns {
                    let term = |k: usize| {
                        (number(a[i * inner + k], a_signed) - z)
                            * (number(b[k * columns + j], b_signed) - w)
                    };
                    let due: i64 = (0..inner).map(term).sum();
                    assert_eq!(i64::from(y[[i, j]]), due, "{a_signed} {b_signed} {zeros} {i} {j}");
                }
            }
        }
    }
}
