//! The single bias attack: one bias of the last layer, raised until every sample goes to one class.
//!
//! Y. Liu, L. Wei, B. Luo, Q. Xu: Fault Injection Attack on Deep Neural Network, ICCAD 2017.

use super::permute::last_layer;
use crate::attack::context::{AttackError, Attacked, Job};
use crate::judge::Answers;

/// How often the raise is doubled, where what follows the bias shrinks it.
const DOUBLINGS: u32 = 40;

pub(crate) fn raise(job: &Job<'_>) -> Result<Attacked, AttackError> {
    let (layer, channels) = last_layer(job)?;
    let judge = job.judge()?;
    let bias = channels.bias.filter(|b| b.quantised.is_none());
    let values = bias.and_then(|b| Some((job.network.floats(&b.tensor).ok()?, b.tensor)));
    let (values, name) = values.ok_or_else(|| {
        job.nothing(format!("layer `{}` has no f32 bias for each class", layer.name))
    })?;
    let classes = channels.count;
    let target = job.options.target.unwrap_or_else(|| job.random().usize(0..classes));
    let Some(before) = values.get(target).copied() else {
        let reason = format!("the network has {classes} classes, counted from 0");
        return Err(AttackError::Option { option: "target", found: target.to_string(), reason });
    };
    let mut raise = lead(&judge.ask(job.network)?, target) + 1.0;
    if !raise.is_finite() {
        return Err(job.nothing("the network's scores are not finite"));
    }
    for _ in 0..DOUBLINGS {
        let mut values = values.clone();
        let after = (f64::from(before) + raise) as f32;
        if let Some(value) = values.get_mut(target) {
            *value = after;
        }
        let mut network = job.network.clone();
        network.set_floats(&name, &values)?;
        let answers = judge.ask(&network)?.classes_given();
        if answers.iter().all(|given| *given == Some(target)) {
            let what = format!("the bias of class {target} raised from {before} to {after}");
            return Ok(job.made(network, what));
        }
        raise *= 2.0;
    }
    Err(job
        .nothing(format!("no bias of layer `{}` sends every sample to class {target}", layer.name)))
}

/// By how much the class is behind the highest score, where it is farthest behind.
fn lead(answers: &Answers, target: usize) -> f64 {
    let behind = |row: &[f32]| {
        let own = row.get(target).copied().map_or(f64::NAN, f64::from);
        row.iter().map(|v| f64::from(*v) - own).fold(f64::NEG_INFINITY, f64::max)
    };
    answers.rows().map(behind).fold(0.0, f64::max)
}
