//! Deep Neural Lesion: the signs of the few weights that matter most, found without data.
//!
//! I. Galil, M. Kimhi, R. El-Yaniv: No Data, No Optimization: A Lightweight Method To Disrupt Neural Networks
//! With Sign-Flips, 2025 (arXiv 2502.07408).

use super::sign::negate;
use crate::attack::context::{AttackContext, AttackError, Attacked};
use crate::network::{Layer, Network, Values};

/// Layers from the input on in which weights are sought.
const LAYERS: usize = 10;
const FLIPS: usize = 10;

/// Ranked by magnitude.
pub(crate) fn largest(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let magnitudes =
        |_: &Layer, values: &[f32]| values.iter().map(|v| f64::from(v.abs())).collect();
    let (network, count) = flip_best(context, &first_layers(context)?, &magnitudes)?;
    let what = format!("the signs of the {count} largest weights of the first layers flipped");
    Ok(context.made(network, what))
}

/// The first ten linear layers, or the one that is asked for.
pub(crate) fn first_layers(context: &AttackContext<'_>) -> Result<Vec<Layer>, AttackError> {
    if context.options.layer.is_some() {
        let layer = context.layer(&mut context.random(), |l| Values::fit(context.network, l))?;
        return Ok(vec![layer]);
    }
    Ok(context.network.layers().into_iter().take(LAYERS).collect())
}

/// Flips the signs of the weights with the highest scores, at most one in a filter: a second one could undo the
/// first. `scores` gives a score for each weight of a layer, from the numbers that the weights stand for,
/// row-major. Options: `flips`, 10 by default. Returns the network, and how many were flipped.
///
/// A quantised weight is negated, and one that is zero is left out.
///
/// # Errors
/// If more flips are asked for than there are filters, or no layer can be read.
pub(crate) fn flip_best(
    context: &AttackContext<'_>,
    layers: &[Layer],
    scores: &dyn Fn(&Layer, &[f32]) -> Vec<f64>,
) -> Result<(Network, usize), AttackError> {
    let read = |l: &Layer| Some((l.clone(), Values::of(context.network, l)?));
    let layers: Vec<(Layer, Values)> = layers.iter().filter_map(read).collect();
    let mut best: Vec<(f64, usize, usize)> = Vec::new();
    for (at, (layer, values)) in layers.iter().enumerate() {
        let floats: Vec<f32> = values.numbers().iter().map(|v| *v as f32).collect();
        let mut of_filter: Vec<Option<(f64, usize)>> = vec![None; layer.outputs()];
        for (index, score) in scores(layer, &floats).into_iter().enumerate() {
            let zero = floats.get(index).is_none_or(|v| *v == 0.0);
            let Some(held) = of_filter.get_mut(layer.output_of(index)) else { continue };
            if !zero && !score.is_nan() && held.is_none_or(|(most, _)| score > most) {
                *held = Some((score, index));
            }
        }
        best.extend(of_filter.into_iter().flatten().map(|(score, index)| (score, at, index)));
    }
    if best.is_empty() {
        return Err(context.not_applicable(
            "no layer has f32, half-precision or quantised 8-bit weights that are not zero",
        ));
    }
    let count = context.flips(FLIPS, best.len(), "filters of the layers attacked")?;
    // Of equals the first in the network comes first: the sort is stable.
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    best.truncate(count);
    let mut network = context.network.clone();
    for (at, (_, values)) in layers.iter().enumerate() {
        let places = best.iter().filter(|(_, l, _)| *l == at).map(|(_, _, index)| *index);
        negate(&mut network, values, places)?;
    }
    Ok((network, count))
}
