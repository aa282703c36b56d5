//! Operators that look at each element by itself, or at pairs of them.

use candle_core::{D, Result, Tensor};

use super::attributes::{float, int};
use super::graph::Around;
use super::value::Value;
use crate::attack::context::AttackError;

pub(super) const OPERATORS: &[&str] = &[
    "Relu",
    "LeakyRelu",
    "Clip",
    "Sigmoid",
    "Tanh",
    "HardSigmoid",
    "HardSwish",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Softmax",
    "LogSoftmax",
    "Identity",
    "Dropout",
];

pub(super) fn run(around: &Around<'_>) -> std::result::Result<Value, AttackError> {
    let x = around.value(0)?;
    let node = around.node;
    Ok(match around.op() {
        "Identity" | "Dropout" => x,
        "Relu" => x.map(Tensor::relu)?,
        "LeakyRelu" => {
            let slope = f64::from(float(node, "alpha", 0.01));
            x.map(|t| t.relu()? - (t.neg()?.relu()? * slope)?)?
        }
        "Clip" => {
            let (low, high) = bounds(around)?;
            x.map(|t| t.clamp(low, high))?
        }
        "Sigmoid" => x.map(sigmoid)?,
        "Tanh" => x.map(Tensor::tanh)?,
        "HardSigmoid" => {
            let (a, b) = (float(node, "alpha", 0.2), float(node, "beta", 0.5));
            x.map(|t| hard_sigmoid(t, a, b))?
        }
        "HardSwish" => x.map(|t| t * hard_sigmoid(t, 1.0 / 6.0, 0.5)?)?,
        "Add" => pair(x, around.value(1)?, Tensor::broadcast_add)?,
        "Sub" => pair(x, around.value(1)?, Tensor::broadcast_sub)?,
        "Mul" => pair(x, around.value(1)?, Tensor::broadcast_mul)?,
        "Div" => pair(x, around.value(1)?, Tensor::broadcast_div)?,
        "Softmax" | "LogSoftmax" => Value::plain(softmax(around, &x.in_order()?)?),
        _ => return Err(around.refused()),
    })
}

/// By the tangent: an exponential would overflow, and its gradient would be no number.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    (x * 0.5)?.tanh()?.affine(0.5, 0.5)
}

fn hard_sigmoid(x: &Tensor, alpha: f32, beta: f32) -> Result<Tensor> {
    x.affine(f64::from(alpha), f64::from(beta))?.clamp(0f32, 1f32)
}

/// Bounds are attributes up to operator set 10, inputs from 11 on.
fn bounds(around: &Around<'_>) -> std::result::Result<(f32, f32), AttackError> {
    let (low, high) = (float(around.node, "min", f32::MIN), float(around.node, "max", f32::MAX));
    let of = |at, default| match around.optional(at)? {
        Some(value) => Ok::<_, AttackError>(value.tensor.flatten_all()?.to_vec1::<f32>()?),
        None => Ok(vec![default]),
    };
    match (of(1, low)?.as_slice(), of(2, high)?.as_slice()) {
        ([low], [high]) => Ok((*low, *high)),
        _ => Err(around.refused()),
    }
}

/// Both in one order, then with their dimensions of 1 stretched.
fn pair(
    a: Value,
    b: Value,
    of: fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> std::result::Result<Value, AttackError> {
    if a.tensor.dims() == b.tensor.dims() && a.channels_last == b.channels_last {
        return Ok(Value { tensor: of(&a.tensor, &b.tensor)?, channels_last: a.channels_last });
    }
    if !a.channels_last && !b.channels_last {
        return Ok(Value::plain(of(&a.tensor, &b.tensor)?));
    }
    let rank = a.tensor.rank().max(b.tensor.rank());
    let stretched = |v: &Value| -> Result<Tensor> {
        let mut dims = vec![1; rank - v.tensor.rank()];
        let tensor = v.in_order()?;
        dims.extend(tensor.dims());
        match v.channels_last {
            true => Ok(v.tensor.clone()),
            false => Value::plain(tensor.reshape(dims)?).with_channels_last(),
        }
    };
    if [&a, &b].iter().any(|v| v.channels_last && v.tensor.rank() != rank) {
        return Ok(Value::plain(of(&a.in_order()?, &b.in_order()?)?));
    }
    Ok(Value::last(of(&stretched(&a)?, &stretched(&b)?)?))
}

fn softmax(around: &Around<'_>, x: &Tensor) -> std::result::Result<Tensor, AttackError> {
    let rank = x.rank() as i64;
    let axis = int(around.node, "axis", if around.graph.opset < 13 { 1 } else { -1 });
    let axis = if axis < 0 { axis + rank } else { axis };
    if axis != rank - 1 {
        return Err(around.refused());
    }
    let above = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?;
    let total = above.exp()?.sum_keepdim(D::Minus1)?;
    Ok(match around.op() {
        "Softmax" => above.exp()?.broadcast_div(&total)?,
        _ => above.broadcast_sub(&total.log()?)?,
    })
}
