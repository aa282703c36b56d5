//! A scale or a zero point of a quantised weight, edited.

use deepring::DType;

use crate::attack::context::{AttackContext, AttackError, Attacked};
use crate::network::{Layer, Parameter};

/// Steps by which a zero point is moved.
const MOVED: u8 = 32;

/// One scale doubled or negated, or one zero point moved by 32 (around the end of its type); drawn among what
/// the file has.
pub(crate) fn edit(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let quantised = |l: &Layer| {
        let parameter = Parameter::of_layer(context.network, l)?;
        let quantised = parameter.quantised?;
        let scales = context.network.floats(&quantised.scale).ok()?;
        (!scales.is_empty()).then_some((quantised, scales))
    };
    if context.network.layers().iter().all(|l| quantised(l).is_none()) {
        return Err(context.not_applicable("the network has no quantised weight"));
    }
    let layer = context.layer(&mut random, |l| quantised(l).is_some())?;
    let (parameter, mut scales) =
        quantised(&layer).ok_or_else(|| context.not_applicable("the layer is not quantised"))?;
    let zero = parameter.zero.and_then(|name| {
        let tensor = context.network.tensor(&name).ok()?;
        let eight_bit = matches!(tensor.dtype(), DType::I8 | DType::U8);
        eight_bit.then(|| (name, tensor.bytes().to_vec()))
    });
    let at = random.usize(0..scales.len());
    let mut network = context.network.clone();
    let kinds = if zero.is_some() { 3 } else { 2 };
    let what = match (random.u8(0..kinds), zero) {
        (2, Some((name, mut bytes))) => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = byte.wrapping_add(MOVED);
            }
            network.set_bytes(&name, bytes)?;
            format!("zero point {at} raised by {MOVED}")
        }
        (draw, _) => {
            let factor = if draw == 0 { 2.0 } else { -1.0 };
            if let Some(scale) = scales.get_mut(at) {
                *scale *= factor;
            }
            network.set_floats(&parameter.scale, &scales)?;
            format!("scale {at} {}", if draw == 0 { "doubled" } else { "negated" })
        }
    };
    Ok(context.made(network, format!("{what}, layer `{}`", layer.name)))
}
