//! Dimensions of what convolutions, pools and matrix products produce.

use deepring::Dim;

use super::{Shape, Shapes, broadcast, unknown, unnamed};
use crate::proto::NodeProto;

/// `None` for an operator of another kind; each output's shape where it is known.
pub(super) fn of_node(shapes: &Shapes, node: &NodeProto) -> Option<Vec<Option<Shape>>> {
    let output = node.output.first().map(String::as_str).unwrap_or_default();
    let x = shapes.of(node.arg(0));
    let w = shapes.of(node.arg(1));
    let shape = match node.op() {
        "Conv" | "ConvInteger" => x.zip(w).and_then(|(x, w)| conv(node, x, w, output)),
        "ConvTranspose" => x.zip(w).map(|(x, w)| {
            let mut out = unknown(output, x.len());
            let groups = node.attr_int("group").and_then(|g| u64::try_from(g).ok()).unwrap_or(1);
            let channels = match w.get(1) {
                Some(Dim::Fixed(m)) => Dim::Fixed(m.saturating_mul(groups)),
                _ => unnamed(output, 1),
            };
            set(&mut out, 0, x.first().cloned());
            set(&mut out, 1, Some(channels));
            out
        }),
        "MaxPool" | "AveragePool" | "LpPool" => x.and_then(|x| pool(node, x, output)),
        "GlobalAveragePool" | "GlobalMaxPool" => x.map(|x| {
            let keep = |(i, d): (usize, &Dim)| if i < 2 { d.clone() } else { Dim::Fixed(1) };
            x.iter().enumerate().map(keep).collect()
        }),
        "Gemm" => x.zip(w).and_then(|(a, b)| {
            let flag = |name| usize::from(node.attr_int(name).unwrap_or(0) != 0);
            Some(vec![a.get(flag("transA"))?.clone(), b.get(1 - flag("transB"))?.clone()])
        }),
        "MatMul" | "MatMulInteger" => x.zip(w).and_then(|(a, b)| matmul(a, b, output)),
        "LSTM" | "GRU" | "RNN" => {
            return Some(vec![
                Some(unknown(output, 4)),
                node.output.get(1).map(|o| unknown(o, 3)),
                node.output.get(2).map(|o| unknown(o, 3)),
            ]);
        }
        _ => return None,
    };
    Some(vec![shape])
}

fn set(dims: &mut Shape, axis: usize, dim: Option<Dim>) {
    if let (Some(target), Some(dim)) = (dims.get_mut(axis), dim) {
        *target = dim;
    }
}

fn matmul(a: &[Dim], b: &[Dim], output: &str) -> Option<Shape> {
    let ([a_batch @ .., m, _], [b_batch @ .., _, n]) = (a, b) else { return None };
    let mut out = broadcast(a_batch, b_batch, output);
    out.extend([m.clone(), n.clone()]);
    Some(out)
}

fn conv(node: &NodeProto, x: &[Dim], w: &[Dim], output: &str) -> Option<Shape> {
    let kernel: Option<Vec<u64>> = w.get(2..)?.iter().map(known).collect();
    let mut out = window(node, x, kernel?, output)?;
    set(&mut out, 1, w.first().cloned());
    Some(out)
}

fn pool(node: &NodeProto, x: &[Dim], output: &str) -> Option<Shape> {
    let kernel = node.attr_ints("kernel_shape")?;
    let kernel: Option<Vec<u64>> = kernel.iter().map(|&k| u64::try_from(k).ok()).collect();
    window(node, x, kernel?, output)
}

/// Slides a window over all but the first two axes; these are kept.
fn window(node: &NodeProto, x: &[Dim], kernel: Vec<u64>, output: &str) -> Option<Shape> {
    let spatial = x.get(2..)?;
    if spatial.len() != kernel.len() {
        return None;
    }
    let list = |name: &str, default: u64, len: usize| -> Option<Vec<u64>> {
        match node.attr_ints(name) {
            None => Some(vec![default; len]),
            Some(list) if list.len() == len => {
                list.iter().map(|&v| u64::try_from(v).ok()).collect()
            }
            Some(_) => None,
        }
    };
    let strides = list("strides", 1, kernel.len());
    let dilations = list("dilations", 1, kernel.len());
    let pads = list("pads", 0, kernel.len() * 2);
    let certain = matches!(node.attr_str("auto_pad"), None | Some("NOTSET" | ""))
        && node.attr_int("ceil_mode").unwrap_or(0) == 0;
    let mut out: Shape = x.get(..2)?.to_vec();
    for (axis, (dim, k)) in spatial.iter().zip(&kernel).enumerate() {
        let size = || {
            let (strides, dilations, pads) =
                (strides.as_ref()?, dilations.as_ref()?, pads.as_ref()?);
            let padded = known(dim)?
                .checked_add(*pads.get(axis)?)?
                .checked_add(*pads.get(axis + kernel.len())?)?;
            let reach = k.checked_sub(1)?.checked_mul(*dilations.get(axis)?)?.checked_add(1)?;
            padded.checked_sub(reach)?.checked_div(*strides.get(axis)?)?.checked_add(1)
        };
        let size = if certain { size() } else { None };
        out.push(size.map_or_else(|| unnamed(output, axis + 2), Dim::Fixed));
    }
    Some(out)
}

fn known(dim: &Dim) -> Option<u64> {
    match dim {
        Dim::Fixed(n) => Some(*n),
        Dim::Named(_) => None,
    }
}
