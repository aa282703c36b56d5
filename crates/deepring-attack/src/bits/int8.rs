//! Random bits of 8-bit weights, to compare searches with.

use std::collections::BTreeSet;

use deepring::DType;

use crate::attack::context::{AttackContext, AttackError, Attacked};
use crate::network::Layer;

const FLIPS: usize = 10;

/// A layer, a weight of it and a bit of that are drawn, each alike likely, and no bit twice: the baseline that
/// Rakin et al. (2019) hold their search against.
pub(crate) fn random(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let eight_bit = |l: &Layer| {
        let dtype = context.network.tensor(&l.weight).map(|t| t.dtype());
        matches!(dtype, Ok(DType::I8 | DType::U8)) && !l.is_empty()
    };
    let layers: Vec<Layer> = match &context.options.layer {
        Some(_) => vec![context.layer(&mut random, eight_bit)?],
        None => context.network.layers().into_iter().filter(eight_bit).collect(),
    };
    if layers.is_empty() {
        return Err(context.not_applicable("the network has no 8-bit weight; quantise it first"));
    }
    let bits = layers.iter().map(|l| 8 * l.len()).sum();
    let count = context.flips(FLIPS, bits, "bits of 8-bit weights")?;
    let mut open: Vec<(&Layer, BTreeSet<usize>)> =
        layers.iter().map(|l| (l, BTreeSet::new())).collect();
    let mut network = context.network.clone();
    let mut done = 0;
    while done < count && !open.is_empty() {
        let at = random.usize(0..open.len());
        let Some((layer, taken)) = open.get_mut(at) else { continue };
        let bit = random.usize(0..8 * layer.len());
        done += usize::from(taken.insert(bit));
        if taken.len() == 8 * layer.len() {
            let (layer, taken) = open.swap_remove(at);
            flip(&mut network, layer, &taken)?;
        }
    }
    for (layer, taken) in &open {
        flip(&mut network, layer, taken)?;
    }
    Ok(context.made(network, format!("{count} random bits of 8-bit weights flipped")))
}

fn flip(
    network: &mut crate::Network,
    layer: &Layer,
    bits: &BTreeSet<usize>,
) -> Result<(), AttackError> {
    let mut bytes = network.tensor(&layer.weight)?.bytes().to_vec();
    for bit in bits {
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
    }
    Ok(network.set_bytes(&layer.weight, bytes)?)
}
