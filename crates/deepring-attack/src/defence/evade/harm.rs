//! Harmful edits that an attacker can make without data, from whom an evaluator may choose.

use deepring::DType;

use crate::defence::eight_bit::numbers;
use crate::network::{Layer, Network};

/// Flips of largest weights, as many as Galil et al. 2025 need for nearly any network.
const FLIPS: usize = 10;
/// The layers from which they take them, since errors there reach all that follows.
const FIRST: usize = 10;
/// Layers that are tried one by one.
const SINGLE_LAYERS: usize = 6;
/// Added to a bias. No other score reaches it, and it is far from overflow.
const RAISE: f32 = 1e4;

/// An edit that may be made.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) network: Network,
    pub(super) what: String,
}

/// Edits of the tensors that `allowed` names: signs of the largest weights first, a whole layer last.
pub(super) fn edits(
    network: &Network,
    allowed: impl Fn(&str) -> bool,
    random: &mut fastrand::Rng,
) -> Vec<Edit> {
    let all = network.layers();
    let layers: Vec<Layer> = all.iter().filter(|l| allowed(&l.weight)).cloned().collect();
    let mut out = Vec::new();
    out.extend(largest(network, layers.get(..FIRST.min(layers.len())).unwrap_or_default(), FLIPS));
    for layer in layers.iter().take(SINGLE_LAYERS) {
        out.extend(largest(network, std::slice::from_ref(layer), usize::MAX));
    }
    let biased = all.iter().rev().find(|l| l.bias.as_ref().is_some_and(|b| allowed(b)));
    out.extend(biased.and_then(|layer| raised(network, layer, random)));
    let norms =
        network.nodes().iter().filter(|n| n.op_type.as_deref() == Some("BatchNormalization"));
    let small = [
        norms.filter_map(|n| n.input.get(1)).find(|n| allowed(n)),
        all.iter().filter_map(|l| l.scale.as_ref()).find(|n| allowed(n)),
        all.iter().filter_map(|l| l.bias.as_ref()).find(|n| allowed(n)),
    ];
    out.extend(small.into_iter().flatten().filter_map(|name| all_signs(network, name)));
    out.extend(layers.first().and_then(|layer| all_signs(network, &layer.weight)));
    out
}

/// Edits of a single element.
pub(super) fn single_elements(network: &Network, random: &mut fastrand::Rng) -> Vec<Edit> {
    let layers = network.layers();
    let biased = layers.iter().rev().find(|l| l.bias.is_some());
    let bias = biased.and_then(|layer| raised(network, layer, random));
    let weight = layers.first().and_then(|layer| {
        let (index, _) = largest_of_filters(network, layer).into_iter().next()?;
        let tensor = network.tensor(&layer.weight).ok()?;
        // The top exponent bit of a float, which multiplies by 2^128; the top bit of an integer.
        let bit = if tensor.dtype() == DType::F32 { 30 } else { tensor.dtype().size() * 8 - 1 };
        let network = flipped(network, &layer.weight, &[index], bit)?;
        Some(Edit { network, what: format!("flips bit {bit} of {}[{index}]", layer.weight) })
    });
    bias.into_iter().chain(weight).collect()
}

/// Flips the signs of the largest weights of these layers, at most one a filter: two could cancel.
fn largest(network: &Network, layers: &[Layer], count: usize) -> Option<Edit> {
    let mut ranked: Vec<(&Layer, usize, f64)> = layers
        .iter()
        .flat_map(|l| largest_of_filters(network, l).into_iter().map(move |(i, w)| (l, i, w)))
        .collect();
    ranked.sort_by(|a, b| b.2.total_cmp(&a.2));
    ranked.truncate(count);
    let mut edited = network.clone();
    for layer in layers {
        let here: Vec<usize> =
            ranked.iter().filter(|r| r.0.weight == layer.weight).map(|r| r.1).collect();
        edited = signs_flipped(&edited, &layer.weight, &here)?;
    }
    let place = match layers {
        [only] => only.weight.clone(),
        _ => format!("the first {} layers that can be edited", layers.len()),
    };
    let what = format!("flips the sign bits of the {} largest weights of {place}", ranked.len());
    (!ranked.is_empty()).then_some(Edit { network: edited, what })
}

/// The largest weight of each filter with its magnitude, the largest first.
fn largest_of_filters(network: &Network, layer: &Layer) -> Vec<(usize, f64)> {
    let mut best: Vec<Option<(usize, f64)>> = vec![None; layer.outputs()];
    for (index, weight) in numbers(network, layer).into_iter().enumerate() {
        if let Some(slot) = best.get_mut(layer.output_of(index))
            && slot.is_none_or(|(_, w)| weight.abs() > w)
        {
            *slot = Some((index, weight.abs()));
        }
    }
    let mut out: Vec<(usize, f64)> = best.into_iter().flatten().collect();
    out.sort_by(|a, b| b.1.total_cmp(&a.1));
    out
}

/// Raises one bias, drawn, of an f32 bias tensor.
fn raised(network: &Network, layer: &Layer, random: &mut fastrand::Rng) -> Option<Edit> {
    let name = layer.bias.as_ref()?;
    let mut values = network.floats(name).ok()?;
    let at = random.usize(..values.len().max(1));
    *values.get_mut(at)? += RAISE;
    let mut network = network.clone();
    network.set_floats(name, &values).ok()?;
    Some(Edit { network, what: format!("raises {name}[{at}] by {RAISE}") })
}

/// Flips the sign bits of a whole tensor.
fn all_signs(network: &Network, name: &str) -> Option<Edit> {
    let all: Vec<usize> = (0..network.tensor(name).ok()?.len()).collect();
    let network = signs_flipped(network, name, &all)?;
    Some(Edit { network, what: format!("flips all {} sign bits of {name}", all.len()) })
}

fn signs_flipped(network: &Network, name: &str, indices: &[usize]) -> Option<Network> {
    let bit = network.tensor(name).ok()?.dtype().size() * 8 - 1;
    flipped(network, name, indices, bit)
}

/// Flips a bit of these elements.
fn flipped(network: &Network, name: &str, indices: &[usize], bit: usize) -> Option<Network> {
    let tensor = network.tensor(name).ok()?;
    let (size, mut bytes) = (tensor.dtype().size(), tensor.bytes().to_vec());
    for index in indices {
        // Little-endian: the lowest byte is the first.
        *bytes.get_mut(index * size + bit / 8)? ^= 1 << (bit % 8);
    }
    let mut out = network.clone();
    out.set_bytes(name, bytes).ok()?;
    Some(out)
}
