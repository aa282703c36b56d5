//! A network as large as asked: a chain of matrix products, written as ONNX field by field.

use std::fs;
use std::path::Path;

/// Writes `layers` products with matrices of `width` by `width`; the input is `x`, one row.
pub(crate) fn matrices(path: &Path, layers: u32, width: u64) {
    let mut graph = Vec::new();
    for i in 0..layers {
        let from = if i == 0 { "x".to_owned() } else { format!("t{i}") };
        let to = if i + 1 == layers { "y".to_owned() } else { format!("t{}", i + 1) };
        let matrix = format!("w{i}");
        let mut node = Vec::new();
        text(&mut node, 1, &from);
        text(&mut node, 1, &matrix);
        text(&mut node, 2, &to);
        text(&mut node, 3, &format!("product{i}"));
        text(&mut node, 4, "MatMul");
        bytes(&mut graph, 1, &node);
    }
    text(&mut graph, 2, "matrices");
    for i in 0..layers {
        let mut tensor = Vec::new();
        number(&mut tensor, 1, width);
        number(&mut tensor, 1, width);
        number(&mut tensor, 2, 1);
        text(&mut tensor, 8, &format!("w{i}"));
        let mut state = i + 1;
        let values = (0..width * width).flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1u32 << 24) as f32 - 0.5).to_le_bytes()
        });
        bytes(&mut tensor, 9, &values.collect::<Vec<_>>());
        bytes(&mut graph, 5, &tensor);
    }
    bytes(&mut graph, 11, &value("x", width));
    bytes(&mut graph, 12, &value("y", width));
    let mut opset = Vec::new();
    number(&mut opset, 2, 13);
    let mut model = Vec::new();
    number(&mut model, 1, 7);
    bytes(&mut model, 7, &graph);
    bytes(&mut model, 8, &opset);
    fs::write(path, model).unwrap();
}

/// A float tensor of one row.
fn value(name: &str, width: u64) -> Vec<u8> {
    let mut shape = Vec::new();
    for n in [1, width] {
        let mut dim = Vec::new();
        number(&mut dim, 1, n);
        bytes(&mut shape, 1, &dim);
    }
    let mut tensor = Vec::new();
    number(&mut tensor, 1, 1);
    bytes(&mut tensor, 2, &shape);
    let mut kind = Vec::new();
    bytes(&mut kind, 1, &tensor);
    let mut out = Vec::new();
    text(&mut out, 1, name);
    bytes(&mut out, 2, &kind);
    out
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn number(out: &mut Vec<u8>, field: u64, n: u64) {
    varint(out, field << 3);
    varint(out, n);
}

fn bytes(out: &mut Vec<u8>, field: u64, data: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

fn text(out: &mut Vec<u8>, field: u64, data: &str) {
    bytes(out, field, data.as_bytes());
}
