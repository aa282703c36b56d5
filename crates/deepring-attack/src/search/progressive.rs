//! Progressive bit search: within each layer, then across the layers.

use crate::attack::context::{AttackContext, AttackError, Attacked, Step};
use crate::gradient::Gradients;

use super::Goal;
use super::aim::Aim;
use super::bits::{Bit, QuantisedLayer};

/// Bits that are tried at once in a layer, where fewer do not help.
const MOST_AT_ONCE: usize = 16;

/// Searches until the aim is reached, the flips are used up, or nothing helps any more.
pub(super) fn search(context: &AttackContext<'_>, goal: Goal) -> Result<Attacked, AttackError> {
    context.evaluator()?;
    let mut random = context.random();
    let mut layers = QuantisedLayer::of(context, &context.network.layers())?;
    if layers.is_empty() {
        return Err(context.not_applicable("quantise first: deepring quantise"));
    }
    let gradients = Gradients::new(context.network)?;
    let aim = Aim::new(context, goal, &gradients, &mut random)?;
    let mut out = context.made(context.network.clone(), "");
    let mut now = aim.reached(&out.network)?;
    let mut flips = 0;
    let mut end = "the flips are used up";
    while flips < aim.flips {
        if now.done {
            break;
        }
        let Some(found) = best(&gradients, &layers, &aim, aim.flips - flips)? else {
            end = "no bit helps any more";
            break;
        };
        let Some(layer) = layers.get_mut(found.layer) else { break };
        layer.flip(&found.bits);
        gradients.set_weight(found.layer, &layer.floats_with(&[]))?;
        out.network.set_int8s(&layer.tensor, &layer.steps)?;
        now = aim.reached(&out.network)?;
        flips += found.bits.len();
        for bit in found.bits {
            let step = Step {
                tensor: layer.tensor.clone(),
                index: bit.index,
                bit: bit.bit,
                loss: found.loss,
                accuracy: now.accuracy,
            };
            (context.progress)(&step);
            out.steps.push(step);
        }
    }
    if now.done {
        end = "reached";
    }
    if out.steps.is_empty() {
        return Err(context.not_applicable("no flip moves the loss where it shall go"));
    }
    let success = now.success.map_or(String::new(), |s| format!(", {:.2} % there", 100.0 * s));
    let (aimed, rule) = (aim.text(), aim.rule());
    out.what = format!("{aimed} after {} flips ({rule}): {end}{success}", out.steps.len());
    out.reached = Some(now.done);
    Ok(out)
}

/// The flips that a round settles on.
struct Found {
    layer: usize,
    bits: Vec<Bit>,
    loss: f64,
}

/// One round: the best bits of each layer by gradient, and of these the ones that move the loss most. If none moves
/// it the right way, one bit more is taken in each layer.
fn best(
    gradients: &Gradients,
    layers: &[QuantisedLayer],
    aim: &Aim,
    left: usize,
) -> Result<Option<Found>, AttackError> {
    let (now, slopes) = gradients.loss_and_gradients(&aim.objective)?;
    let pass = gradients.pass(&aim.objective.samples)?;
    for count in 1..=left.min(MOST_AT_ONCE) {
        let mut found: Option<Found> = None;
        for (layer, (steps, slope)) in layers.iter().zip(&slopes).enumerate() {
            let bits = steps.best(slope, aim.sign, count);
            if bits.len() < count {
                continue;
            }
            let changed = steps.floats_with(&bits);
            let loss = gradients.loss_with(&pass, &aim.objective, layer, &changed)?;
            let best = found.as_ref().map_or(now, |f| f.loss);
            if (loss - best) * aim.sign > 0.0 {
                found = Some(Found { layer, bits, loss });
            }
        }
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod published;
#[cfg(test)]
mod tests;
