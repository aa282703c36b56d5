//! Deep Neural Lesion in one pass: the gradient for one random input joins the magnitude.
//!
//! I. Galil, M. Kimhi, R. El-Yaniv: No Data, No Optimization: A Lightweight Method To Disrupt Neural Networks
//! With Sign-Flips, 2025 (arXiv 2502.07408).

use super::dnl::{first_layers, flip_best};
use crate::attack::context::{AttackContext, AttackError, Attacked};
use crate::gradient::Gradients;
use crate::network::Layer;

/// Ranked by `|w| + |w g + (w g)^2 / 2|`, with g the gradient of the sum of the scores for one input of N(0, 1).
pub(crate) fn attack(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let gradients = Gradients::new(context.network)?;
    let size = gradients.input_size();
    let size = size.ok_or_else(|| context.not_applicable("the input has no fixed dimensions"))?;
    let mut random = context.random();
    let input: Vec<f32> = (0..size).map(|_| normal(&mut random)).collect();
    let slopes = gradients.of_scores(&input)?;
    let scores = |layer: &Layer, values: &[f32]| {
        let at = gradients.layers().iter().position(|l| l.weight == layer.weight);
        let Some(slope) = at.and_then(|at| slopes.get(at)) else { return Vec::new() };
        values.iter().zip(slope).map(|(w, g)| score(f64::from(*w), f64::from(*g))).collect()
    };
    let (network, count) = flip_best(context, &first_layers(context)?, &scores)?;
    let what = format!(
        "the signs of {count} weights of the first layers flipped, ranked with the gradient of one pass"
    );
    Ok(context.made(network, what))
}

fn score(weight: f64, gradient: f64) -> f64 {
    let moved = weight * gradient;
    weight.abs() + (moved + 0.5 * moved * moved).abs()
}

/// By Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f32 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * random.f64()).cos()) as f32
}
