//! The single bias attack: one bias of the last layer, raised until every sample goes to one class.
//!
//! Y. Liu, L. Wei, B. Luo, Q. Xu: Fault Injection Attack on Deep Neural Network, ICCAD 2017.

use super::permute::last_layer;
use crate::attack::context::{AttackContext, AttackError, Attacked};
use crate::evaluator::Predictions;

/// How often the raise is doubled, where what follows the bias shrinks it.
const DOUBLINGS: u32 = 40;

pub(crate) fn raise(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let (layer, channels) = last_layer(context)?;
    let evaluator = context.evaluator()?;
    let bias = channels.bias.filter(|b| b.quantised.is_none());
    let values = bias.and_then(|b| Some((context.network.floats(&b.tensor).ok()?, b.tensor)));
    let (values, name) = values.ok_or_else(|| {
        context.not_applicable(format!("layer `{}` has no f32 bias for each class", layer.name))
    })?;
    let classes = channels.count;
    let target = context.options.target.unwrap_or_else(|| context.random().usize(0..classes));
    let Some(before) = values.get(target).copied() else {
        let reason = format!("the network has {classes} classes, counted from 0");
        return Err(AttackError::Option { option: "target", found: target.to_string(), reason });
    };
    let mut raise = lead(&evaluator.evaluate(context.network)?, target) + 1.0;
    if !raise.is_finite() {
        return Err(context.not_applicable("the network's scores are not finite"));
    }
    for _ in 0..DOUBLINGS {
        let mut values = values.clone();
        let after = (f64::from(before) + raise) as f32;
        if let Some(value) = values.get_mut(target) {
            *value = after;
        }
        let mut network = context.network.clone();
        network.set_floats(&name, &values)?;
        let answers = evaluator.evaluate(&network)?.classes_given();
        if answers.iter().all(|given| *given == Some(target)) {
            let what = format!("the bias of class {target} raised from {before} to {after}");
            return Ok(context.made(network, what));
        }
        raise *= 2.0;
    }
    Err(context.not_applicable(format!(
        "no bias of layer `{}` sends every sample to class {target}",
        layer.name
    )))
}

/// By how much the class is behind the highest score, where it is farthest behind.
fn lead(answers: &Predictions, target: usize) -> f64 {
    let behind = |row: &[f32]| {
        let own = row.get(target).copied().map_or(f64::NAN, f64::from);
        row.iter().map(|v| f64::from(*v) - own).fold(f64::NEG_INFINITY, f64::max)
    };
    answers.rows().map(behind).fold(0.0, f64::max)
}
