use super::*;
use crate::network::made::{floats, int, made, node, tensor, with};

/// One dense layer behind a `DequantizeLinear`, with a scale for each index of `axis`, or one.
fn quantised(
    dtype: DType,
    dims: [i64; 2],
    stored: &[u8],
    scales: &[f32],
    zeros: Option<&[u8]>,
    axis: i64,
) -> Network {
    let along = if scales.len() == 1 { vec![] } else { vec![scales.len() as i64] };
    let mut tensors = vec![tensor("q", dtype, &dims, stored.to_vec()), floats("s", &along, scales)];
    let mut inputs = vec!["q", "s"];
    if let Some(zeros) = zeros {
        tensors.push(tensor("z", dtype, &along, zeros.to_vec()));
        inputs.push("z");
    }
    let nodes = vec![
        with(node("DequantizeLinear", &inputs, "w"), "axis", int(axis)),
        node("MatMul", &["x", "w"], "y"),
    ];
    made(&[0, dims[0]], nodes, tensors)
}

fn values(network: &Network) -> Values {
    Values::of(network, &network.layers()[0]).unwrap()
}

#[test]
fn each_weight_is_scaled_by_its_own_row_or_column() {
    let stored = [1u8, 2, 3, 4, 5, 0xff];
    let columns = quantised(DType::I8, [2, 3], &stored, &[1.0, 10.0, 100.0], None, 1);
    assert_eq!(values(&columns).numbers(), [1.0, 20.0, 300.0, 4.0, 50.0, -100.0]);
    // Counted from the end, the axis is the same one.
    let last = quantised(DType::I8, [2, 3], &stored, &[1.0, 10.0, 100.0], None, -1);
    assert_eq!(values(&last).numbers(), values(&columns).numbers());
    let rows = quantised(DType::I8, [2, 3], &stored, &[1.0, 10.0], Some(&[1, 0xfe]), 0);
    assert_eq!(values(&rows).numbers(), [0.0, 1.0, 2.0, 60.0, 70.0, 10.0]);
    let unsigned = quantised(DType::U8, [2, 3], &stored, &[0.5], Some(&[4]), 1);
    assert_eq!(values(&unsigned).numbers(), [-1.5, -1.0, -0.5, 0.0, 0.5, 125.5]);
    // As many scales as the axis has not.
    let unfit = quantised(DType::I8, [2, 3], &stored, &[1.0, 10.0], None, 1);
    assert!(Values::of(&unfit, &unfit.layers()[0]).is_none());
}

#[test]
fn a_number_is_stored_at_its_nearest_step_and_within_the_type() {
    let mut signed = quantised(DType::I8, [1, 4], &[1, 2, 0x80, 4], &[0.5, 1.0, 2.0, 4.0], None, 1);
    let before = values(&signed);
    assert_eq!(before.numbers(), [0.5, 2.0, -256.0, 16.0]);
    // The first is not moved, 1.6 is nearest to 2, and what has no opposite becomes the largest.
    before.store(&mut signed, &[0.5, 1.6, 256.0, 1e9]).unwrap();
    assert_eq!(signed.int8s("q").unwrap(), [1, 2, 127, 127]);
    before.store(&mut signed, &[-1e9, 2.0, -256.0, -16.0]).unwrap();
    assert_eq!(signed.int8s("q").unwrap(), [-127, 2, 127, -4]);
    let mut unsigned = quantised(DType::U8, [1, 3], &[100, 0, 255], &[1.0], Some(&[128]), 1);
    let before = values(&unsigned);
    before.store(&mut unsigned, &[28.0, 128.0, -127.0]).unwrap();
    assert_eq!(unsigned.tensor("q").unwrap().bytes(), [156, 255, 1]);
}

/// What an attack does not touch stays, bit for bit, also where it is no number.
#[test]
fn what_is_no_number_keeps_its_bits_beside_an_edit() {
    let quiet = 0x7fc0_0123u32;
    let signalling = 0x7f80_0001u32;
    let bits = [quiet, signalling, 0x8000_0000, 1.5f32.to_bits()];
    let bytes = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
    let single = [tensor("w", DType::F32, &[2, 2], bytes)];
    let halves = |dtype| {
        let bits = [0x7fc1u16, 0xff81, 0x8000, 0x3f80];
        tensor("w", dtype, &[2, 2], bits.iter().flat_map(|b| b.to_le_bytes()).collect())
    };
    let half = [halves(DType::F16), halves(DType::Bf16)];
    for weight in single.into_iter().chain(half) {
        let mut network = made(&[0, 2], vec![node("MatMul", &["x", "w"], "y")], vec![weight]);
        let before = network.tensor("w").unwrap().bytes().to_vec();
        let size = before.len() / 4;
        let read = values(&network);
        let mut numbers = read.numbers().to_vec();
        numbers[3] = -numbers[3];
        read.store(&mut network, &numbers).unwrap();
        let after = network.tensor("w").unwrap().bytes();
        assert_eq!(after[..3 * size], before[..3 * size]);
        let mut last = before[3 * size..].to_vec();
        *last.last_mut().unwrap() ^= 0x80;
        assert_eq!(after[3 * size..], last);
    }
    // Of a scale that is no number all weights are none.
    let stored = [1u8, 2, 3, 4];
    let mut network = quantised(DType::I8, [2, 2], &stored, &[f32::NAN], None, 1);
    let read = values(&network);
    read.store(&mut network, read.numbers()).unwrap();
    assert_eq!(network.tensor("q").unwrap().bytes(), stored);
}

#[test]
fn the_deviation_is_that_of_all_numbers() {
    let weight = floats("w", &[2, 2], &[1.0, 3.0, 5.0, 7.0]);
    let network = made(&[0, 2], vec![node("MatMul", &["x", "w"], "y")], vec![weight]);
    assert!((values(&network).deviation() - 5f64.sqrt()).abs() < 1e-12);
}

#[test]
fn whole_numbers_without_a_scale_and_doubles_are_no_weights_of_an_attack_on_numbers() {
    for dtype in [DType::I8, DType::U8, DType::I32, DType::F64] {
        let weight = tensor("w", dtype, &[2, 2], vec![1; 4 * dtype.size()]);
        let network = made(&[0, 2], vec![node("MatMul", &["x", "w"], "y")], vec![weight]);
        let layer = &network.layers()[0];
        assert!(Values::of(&network, layer).is_none(), "{dtype:?}");
        assert!(!Values::fit(&network, layer), "{dtype:?}");
    }
    let fits = quantised(DType::U8, [2, 2], &[1; 4], &[1.0], None, 1);
    assert!(Values::fit(&fits, &fits.layers()[0]));
}
