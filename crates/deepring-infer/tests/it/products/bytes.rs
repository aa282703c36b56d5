//! Products of bytes, whose sums are exact.

use deepring::receipt::Require;
use deepring::{Check, Coverage, DType, TensorValue};
use deepring_onnx::proto::TensorProto;

use super::{INT8, UINT8, coverage, is_product, place_of, positive, sealed};
use crate::graphs::{self, FLOAT, Net};
use crate::live_memory::asked_with_flip;
use crate::zoo::answer;

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

/// Right outputs must not be called tampering: sums that wrap in 32 bits are beyond what the product of bytes verifies. A zero
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
            let decision =
                outcome.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
            let had = &decision.chain().legs()[0].receipt().coverage[0];
            assert_eq!(had.iter().any(|c| is_product(*c)), zeros > 1, "{had:?}");
            assert!(zeros > 1 || had.contains(&Coverage::Bytes), "{had:?}");
        }
    }
}
