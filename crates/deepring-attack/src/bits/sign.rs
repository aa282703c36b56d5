//! Signs of weights: random ones.

use crate::attack::context::{AttackContext, AttackError, Attacked};
use crate::network::{Layer, Network, Values};

/// As many as the chosen ones of `sign-dnl`, to compare with.
const FLIPS: usize = 10;

/// Drawn among all weights of all layers, none twice. Weights that are zero have no sign.
pub(crate) fn random(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let layers = layers(context, &mut random)?;
    let signed: Vec<(usize, usize)> = layers
        .iter()
        .enumerate()
        .flat_map(|(at, (_, values))| {
            let there = values.numbers().iter().enumerate().filter(|(_, v)| **v != 0.0);
            there.map(move |(index, _)| (at, index))
        })
        .collect();
    if signed.is_empty() {
        return Err(context.not_applicable("every weight is zero"));
    }
    let count = context.flips(FLIPS, signed.len(), "weights that are not zero")?;
    let drawn = random.choose_multiple(signed, count);
    let mut network = context.network.clone();
    for (at, (_, values)) in layers.iter().enumerate() {
        let places = drawn.iter().filter(|(layer, _)| *layer == at).map(|(_, index)| *index);
        negate(&mut network, values, places)?;
    }
    Ok(context.made(network, format!("the signs of {count} random weights flipped")))
}

/// Stores the numbers at these places with the other sign.
pub(super) fn negate(
    network: &mut Network,
    values: &Values,
    places: impl Iterator<Item = usize>,
) -> Result<(), AttackError> {
    let mut numbers = values.numbers().to_vec();
    for place in places {
        if let Some(number) = numbers.get_mut(place) {
            *number = -*number;
        }
    }
    Ok(values.store(network, &numbers)?)
}

/// The layers whose weights can be read, or the one that is asked for.
fn layers(
    context: &AttackContext<'_>,
    random: &mut fastrand::Rng,
) -> Result<Vec<(Layer, Values)>, AttackError> {
    let all = match &context.options.layer {
        Some(_) => vec![context.layer(random, |l| Values::fit(context.network, l))?],
        None => context.network.layers(),
    };
    let read = |l: Layer| Values::of(context.network, &l).map(|values| (l, values));
    let found: Vec<(Layer, Values)> = all.into_iter().filter_map(read).collect();
    match found.is_empty() {
        true => {
            Err(context
                .not_applicable("no layer has f32, half-precision or quantised 8-bit weights"))
        }
        false => Ok(found),
    }
}
