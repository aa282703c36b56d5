//! Operators that only move elements. Shapes must be constants.

use candle_core::Tensor;

use super::attributes::{float, int, ints, text};
use super::graph::Around;
use super::value::Value;
use crate::attack::context::AttackError;

pub(super) fn run(around: &Around<'_>) -> Result<Value, AttackError> {
    let x = around.value(0)?;
    if around.op() == "Concat" {
        return joined(around);
    }
    let x = x.in_order()?;
    let out = match around.op() {
        "Flatten" => {
            let axis = axis_of(int(around.node, "axis", 1), x.rank() + 1)
                .ok_or_else(|| around.refused())?;
            let rows: usize = x.dims().iter().take(axis).product();
            x.reshape((rows, x.elem_count() / rows.max(1)))?
        }
        "Reshape" => reshaped(around, &x)?,
        "Transpose" => {
            let order: Vec<usize> = match ints(around.node, "perm") {
                Some(order) => order
                    .iter()
                    .map(|a| axis_of(*a, x.rank()))
                    .collect::<Option<_>>()
                    .ok_or_else(|| around.refused())?,
                None => (0..x.rank()).rev().collect(),
            };
            x.permute(order)?.contiguous()?
        }
        "Squeeze" | "Unsqueeze" => squeezed(around, &x)?,
        _ => padded(around, x)?,
    };
    Ok(Value::plain(out))
}

fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    usize::try_from(axis).ok().filter(|a| *a < rank)
}

fn reshaped(around: &Around<'_>, x: &Tensor) -> Result<Tensor, AttackError> {
    let refused = || around.refused();
    let shape = around.ints(1).ok_or_else(refused)?;
    let mut dims = Vec::new();
    for (at, size) in shape.iter().enumerate() {
        dims.push(match size {
            0 => *x.dims().get(at).ok_or_else(refused)?,
            -1 => 0,
            // The file's number of samples stands for however many there are.
            _ if at == 0 && usize::try_from(*size).ok() == around.graph.batch() => around.rows,
            _ => usize::try_from(*size).map_err(|_| refused())?,
        });
    }
    if let Some(at) = shape.iter().position(|s| *s == -1) {
        let rest: usize =
            dims.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, d)| d).product();
        *dims.get_mut(at).ok_or_else(refused)? = x.elem_count() / rest.max(1);
    }
    Ok(x.reshape(dims)?)
}

fn squeezed(around: &Around<'_>, x: &Tensor) -> Result<Tensor, AttackError> {
    let refused = || around.refused();
    let given = ints(around.node, "axes").or_else(|| around.ints(1).map(<[i64]>::to_vec));
    let adds = around.op() == "Unsqueeze";
    let Some(given) = given else {
        if adds {
            return Err(refused());
        }
        // All dimensions of 1, but that of the samples, which is 1 by chance.
        let dims: Vec<usize> = x.dims().iter().skip(1).copied().filter(|d| *d != 1).collect();
        return Ok(x.reshape([&[around.rows], dims.as_slice()].concat())?);
    };
    let rank = x.rank() + if adds { given.len() } else { 0 };
    let mut axes: Vec<usize> =
        given.iter().map(|a| axis_of(*a, rank)).collect::<Option<_>>().ok_or_else(refused)?;
    axes.sort_unstable();
    axes.dedup();
    let mut out = x.clone();
    if adds {
        for axis in axes {
            out = out.unsqueeze(axis)?;
        }
    } else {
        for axis in axes.into_iter().rev() {
            out = out.squeeze(axis)?;
        }
    }
    Ok(out)
}

fn joined(around: &Around<'_>) -> Result<Value, AttackError> {
    let values: Vec<Value> = (0..around.node.input.len())
        .map(|at| around.value(at))
        .collect::<Result<_, AttackError>>()?;
    let first = values.first().ok_or_else(|| around.refused())?;
    let axis = axis_of(int(around.node, "axis", 0), first.tensor.rank())
        .ok_or_else(|| around.refused())?;
    if values.iter().all(|v| v.channels_last) {
        let tensors: Vec<Tensor> = values.iter().map(|v| v.tensor.clone()).collect();
        return Ok(Value::last(Tensor::cat(&tensors, first.place(axis))?));
    }
    let tensors: Vec<Tensor> =
        values.iter().map(Value::in_order).collect::<candle_core::Result<_>>()?;
    Ok(Value::plain(Tensor::cat(&tensors, axis)?))
}

/// With zeros.
fn padded(around: &Around<'_>, x: Tensor) -> Result<Tensor, AttackError> {
    let refused = || around.refused();
    let value = match around.optional(2)? {
        Some(value) => value.tensor.flatten_all()?.to_vec1::<f32>()?,
        None => vec![float(around.node, "value", 0.0)],
    };
    let constant = matches!(text(around.node, "mode"), None | Some("constant"));
    let pads = ints(around.node, "pads").or_else(|| around.ints(1).map(<[i64]>::to_vec));
    let pads = pads.filter(|p| p.len() == 2 * x.rank()).ok_or_else(refused)?;
    if !constant || value.iter().any(|v| *v != 0.0) || around.node.input.len() > 3 {
        return Err(refused());
    }
    let (before, after) = pads.split_at(x.rank());
    let mut out = x;
    for (axis, (before, after)) in before.iter().zip(after).enumerate() {
        let size = |p: &i64| usize::try_from(*p).map_err(|_| refused());
        out = out.pad_with_zeros(axis, size(before)?, size(after)?)?;
    }
    Ok(out)
}
