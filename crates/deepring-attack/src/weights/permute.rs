//! Permutations: of the classes, of filters with and without what reads them, of two layers' weights.

use super::channels::Channels;
use crate::attack::context::{AttackContext, AttackError, Attacked};
use crate::network::{Layer, Parameter};

/// Type 0 of the paper, on all that gives the last layer its rows: weight, bias, scales, and what is added or
/// normalised after it.
pub(crate) fn label_swap(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let (layer, channels) = last_layer(context)?;
    // Of an odd number of classes the last keeps its place.
    let swapped = |class: usize| if class ^ 1 < channels.count { class ^ 1 } else { class };
    let order: Vec<usize> = (0..channels.count).map(swapped).collect();
    let mut network = context.network.clone();
    channels.permute(&mut network, &order)?;
    let what = format!(
        "classes 0 and 1, 2 and 3, and so on interchanged in layer `{}`, weights and bias",
        layer.name
    );
    Ok(context.made(network, what))
}

/// The layer whose outputs are the scores of the network, and what belongs to them.
pub(super) fn last_layer(context: &AttackContext<'_>) -> Result<(Layer, Channels), AttackError> {
    let layers = context.network.layers();
    let mut why: Option<String> = None;
    for layer in layers.into_iter().rev() {
        let reason = match Channels::follow(context.network, &layer) {
            Ok(found) if found.scores && found.consumers == 0 && found.count > 1 => {
                if context
                    .options
                    .layer
                    .as_ref()
                    .is_some_and(|n| *n != layer.name && *n != layer.weight)
                {
                    return Err(
                        context.not_applicable(format!("the last layer is `{}`", layer.name))
                    );
                }
                return Ok((layer, found));
            }
            Ok(_) => "its outputs are not the network's scores".to_owned(),
            Err(reason) => reason,
        };
        why = why.or(Some(format!("layer `{}`: {reason}", layer.name)));
    }
    Err(context.not_applicable(why.unwrap_or_else(|| "the network has no layer".to_owned())))
}

/// A filter's weights move with its bias and its scale; whatever reads the outputs stays.
pub(crate) fn unpaired(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let fits = |l: &Layer| l.outputs() > 1 && Parameter::of_layer(context.network, l).is_some();
    let layer = context.layer(&mut random, fits)?;
    let order = cycle(&mut random, layer.outputs());
    let mut network = context.network.clone();
    if let Some(weight) = Parameter::of_layer(context.network, &layer) {
        weight.permute(&mut network, layer.out_axis, 1, &order)?;
    }
    let input = context.network.nodes().get(layer.node).and_then(|n| n.input.get(2));
    let bias = layer.bias.as_ref().and(input).and_then(|n| Parameter::find(context.network, n));
    if let Some(bias) = bias.filter(|b| b.len() == layer.outputs())
        && let Some(axis) = bias.dims.len().checked_sub(1)
    {
        bias.permute(&mut network, axis, 1, &order)?;
    }
    let what = format!("the {} filters of layer `{}` permuted", layer.outputs(), layer.name);
    Ok(context.made(network, what))
}

/// A symmetry of the network: neurons have no order. Valid only where all that reads the outputs is known.
pub(crate) fn paired(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let follow = |layer: &Layer| {
        let found = Channels::follow(context.network, layer)?;
        match (found.count, found.seen, found.consumers) {
            (..2, _, _) => Err("it has a single filter".to_owned()),
            (_, true, _) => Err("its outputs leave the network".to_owned()),
            (_, _, 0) => Err("no layer takes its outputs".to_owned()),
            _ => Ok(found),
        }
    };
    let layer =
        context.layer(&mut random, |l| context.options.layer.is_some() || follow(l).is_ok())?;
    let found = follow(&layer)
        .map_err(|reason| context.not_applicable(format!("layer `{}`: {reason}", layer.name)))?;
    let order = cycle(&mut random, found.count);
    let mut network = context.network.clone();
    found.permute(&mut network, &order)?;
    let what = format!(
        "the {} filters of layer `{}` permuted, and what reads them: {} parameters in all",
        found.count,
        layer.name,
        found.tensors()
    );
    Ok(context.made(network, what))
}

/// Each tensor is authentic and stands in the wrong place. Biases and scales stay.
pub(crate) fn swap_tensors(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let layers = context.network.layers();
    let differ = |a: &Layer, b: &Layer| {
        let tensors = (context.network.tensor(&a.weight), context.network.tensor(&b.weight));
        let (Ok(x), Ok(y)) = tensors else { return false };
        a.dims == b.dims && x.dtype() == y.dtype() && x.bytes() != y.bytes()
    };
    let first = context.layer(&mut random, |a| layers.iter().any(|b| differ(a, b))).map_err(
        |e| match e {
            AttackError::NotApplicable { .. } => {
                context.not_applicable("no two layers have weights of equal shape")
            }
            other => other,
        },
    )?;
    let others: Vec<&Layer> = layers.iter().filter(|b| differ(&first, b)).collect();
    let second = random
        .choice(others)
        .ok_or_else(|| context.not_applicable("no other layer has its shape"))?;
    let bytes = |name: &str| context.network.tensor(name).map(|t| t.bytes().to_vec());
    let mut network = context.network.clone();
    network.set_bytes(&first.weight, bytes(&second.weight)?)?;
    network.set_bytes(&second.weight, bytes(&first.weight)?)?;
    let what = format!("the weights of layers `{}` and `{}` interchanged", first.name, second.name);
    Ok(context.made(network, what))
}

/// A random cycle through all places, so that none stays (Sattolo's algorithm).
fn cycle(random: &mut fastrand::Rng, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        order.swap(at, random.usize(0..at));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_where_it_was() {
        for seed in 0..50 {
            let order = cycle(&mut fastrand::Rng::with_seed(seed), 9);
            assert!(order.iter().enumerate().all(|(to, from)| to != *from));
            let mut all = order.clone();
            all.sort_unstable();
            assert_eq!(all, (0..9).collect::<Vec<_>>());
        }
    }
}
