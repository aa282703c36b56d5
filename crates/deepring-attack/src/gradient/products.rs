//! Dense layers: products of matrices.

use super::attributes::{float, int};
use super::graph::Around;
use super::value::Value;
use crate::attack::context::AttackError;

pub(super) fn gemm(around: &Around<'_>) -> Result<Value, AttackError> {
    let (a, b) = (around.value(0)?.in_order()?, around.value(1)?.in_order()?);
    let a = if int(around.node, "transA", 0) != 0 { a.t()? } else { a };
    let b = if int(around.node, "transB", 0) != 0 { b.t()? } else { b };
    let mut out = a.matmul(&b)?;
    let (alpha, beta) = (float(around.node, "alpha", 1.0), float(around.node, "beta", 1.0));
    if alpha != 1.0 {
        out = (out * f64::from(alpha))?;
    }
    if let Some(c) = around.optional(2)? {
        let c = c.in_order()?;
        let c = if beta == 1.0 { c } else { (c * f64::from(beta))? };
        out = out.broadcast_add(&c)?;
    }
    Ok(Value::plain(out))
}

pub(super) fn matrices(around: &Around<'_>) -> Result<Value, AttackError> {
    let (a, b) = (around.value(0)?.in_order()?, around.value(1)?.in_order()?);
    Ok(Value::plain(match (a.rank(), b.rank()) {
        (2, 2) => a.matmul(&b)?,
        (2.., 2..) => a.broadcast_matmul(&b)?,
        _ => return Err(around.refused()),
    }))
}
