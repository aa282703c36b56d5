//! Evading RADAR on its own ground: edits of weights that have a signature.

use super::harm::Edit;
use super::{Evasion, EvasionError, most_harmful};
use crate::defence::eight_bit::EightBitView;
use crate::defence::{DefenceKind, DefenceOptions, Moment};
use crate::evaluator::Evaluator;
use crate::network::{Layer, Network};

/// Edits only weights that RADAR has signatures of, where [`evade`](super::evade) edits what it has none of. As there,
/// `options.seed` is not read.
///
/// There are two ways. Floats are moved within the step to which the defence rounds them, which no secret makes visible.
/// And in the first tensor that fits into one group, top bits (of the 8-bit view) are flipped: each moves the sum by
/// 128, up or down as the secret mask has it, so for an even number the signature stays the same with probability 1/2,
/// however many they are. Where neither can be had, one bit 6 is flipped, which passes with probability 1/2 too, and
/// does little harm.
///
/// # Errors
/// As [`evade`](super::evade).
pub fn evade_in_scope(
    network: &Network,
    options: &DefenceOptions,
    seed: u64,
    evaluator: Option<&Evaluator>,
) -> Result<Evasion, EvasionError> {
    let random = &mut fastrand::Rng::with_seed(seed);
    let layers = network.layers();
    let within = [1.0, -1.0].into_iter().filter_map(|side| within_steps(network, &layers, side));
    let mut edits: Vec<Edit> = within.collect();
    edits.extend(even_flips(network, &layers, options.group, random));
    if edits.is_empty() {
        edits.extend(one_flip(network, &layers, random));
    }
    let chosen = most_harmful(DefenceKind::Radar, edits, evaluator)?;
    Ok(Evasion { network: chosen.network, moment: Moment::Live, what: chosen.what })
}

/// Moves every float weight to the edge of its step. `None` where a weight is no float.
fn within_steps(network: &Network, layers: &[Layer], side: f32) -> Option<Edit> {
    let mut edited = network.clone();
    for layer in layers {
        let tensor = network.tensor(&layer.weight).ok()?;
        let (Some(view @ EightBitView::Float { step }), floats) =
            (EightBitView::of(&tensor), tensor.floats()?)
        else {
            return None;
        };
        let integers = view.integers(&tensor);
        // A little less than half a step, so that rounding errors do not carry it over.
        let moved = integers.iter().zip(floats).map(|(q, w)| match q {
            // Not beyond the largest: it is what the step is known from.
            127 | -127 => w,
            q => (f32::from(*q) + 0.498 * side) * step,
        });
        edited.set_floats(&layer.weight, &moved.collect::<Vec<_>>()).ok()?;
    }
    let what = "moves every weight within the step to which its 8-bit view rounds it".to_owned();
    (!layers.is_empty()).then_some(Edit { network: edited, what })
}

/// Flips of the top bits of all, half and ten of the weights of a tensor that is one group.
fn even_flips(
    network: &Network,
    layers: &[Layer],
    group: usize,
    random: &mut fastrand::Rng,
) -> Vec<Edit> {
    let Some(layer) = layers.iter().find(|l| (2..=group).contains(&l.len())) else {
        return Vec::new();
    };
    let mut order: Vec<usize> = (0..layer.len()).collect();
    random.shuffle(&mut order);
    let counts = [layer.len(), layer.len() / 2, 10].map(|n| n.min(layer.len()) / 2 * 2);
    let chosen = counts.into_iter().filter_map(|n| order.get(..n));
    chosen.filter_map(|indices| flipped(network, layer, indices, 7)).collect()
}

fn one_flip(network: &Network, layers: &[Layer], random: &mut fastrand::Rng) -> Option<Edit> {
    let layer = layers.iter().find(|l| !l.is_empty())?;
    flipped(network, layer, &[random.usize(..layer.len())], 6)
}

/// Flips a bit of the 8-bit view of these weights.
fn flipped(network: &Network, layer: &Layer, indices: &[usize], bit: u32) -> Option<Edit> {
    let tensor = network.tensor(&layer.weight).ok()?;
    let (view, size) = (EightBitView::of(&tensor)?, tensor.dtype().size());
    let (integers, mut bytes) = (view.integers(&tensor), tensor.bytes().to_vec());
    for index in indices {
        let element = view.element(integers.get(*index)? ^ (1u8 << bit) as i8);
        bytes.get_mut(index * size..(index + 1) * size)?.copy_from_slice(&element);
    }
    let mut edited = network.clone();
    edited.set_bytes(&layer.weight, bytes).ok()?;
    let (count, name) = (indices.len(), &layer.weight);
    let what = format!("flips bit {bit} of {count} weights of {name}; passes with probability 1/2");
    Some(Edit { network: edited, what })
}
