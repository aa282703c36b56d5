//! One value of a batch normalisation, edited.

use deepring_onnx::proto::NodeProto;

use crate::attack::context::{AttackContext, AttackError, Attacked};

/// Scale, shift, mean and variance are inputs 1 to 4 of a `BatchNormalization`.
const SCALE: usize = 1;
const MEAN: usize = 3;
const VARIANCE: usize = 4;

/// For a channel drawn: the variance 10,000 times as large or as small, the scale negated, or the mean raised
/// by ten standard deviations.
pub(crate) fn edit(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let named =
        |n: &NodeProto| context.options.layer.as_ref().is_none_or(|l| Some(l) == n.name.as_ref());
    let norms: Vec<&NodeProto> = context
        .network
        .nodes()
        .iter()
        .filter(|n| {
            n.op_type.as_deref() == Some("BatchNormalization") && vectors(context, n).is_some()
        })
        .collect();
    let Some(node) = random.choice(norms.iter().filter(|n| named(n)).collect::<Vec<_>>()) else {
        let name = |n: &&NodeProto| n.name.clone().unwrap_or_default();
        return Err(match &context.options.layer {
            Some(layer) if !norms.is_empty() => AttackError::NoLayer {
                name: layer.clone(),
                there: norms.iter().map(name).collect(),
            },
            _ => context.not_applicable("the file has no BatchNormalization with f32 parameters"),
        });
    };
    let [scale, mean, variance] = vectors(context, node)
        .ok_or_else(|| context.not_applicable("the normalisation has no parameters"))?;
    // A channel whose scale is zero has no influence, however it is edited.
    let live: Vec<usize> =
        scale.1.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(at, _)| at).collect();
    let Some(channel) = random.choice(live) else {
        return Err(context.not_applicable("every scale of the normalisation is zero"));
    };
    let deviation = variance.1.get(channel).copied().unwrap_or(0.0).max(0.0).sqrt();
    let ((name, mut values), what) = match random.u8(0..4) {
        0 => (variance, "variance times 10000"),
        1 => (variance, "variance divided by 10000"),
        2 => (scale, "scale negated"),
        _ => (mean, "mean plus ten standard deviations"),
    };
    if let Some(value) = values.get_mut(channel) {
        *value = match what {
            "variance times 10000" => *value * 1e4,
            "variance divided by 10000" => *value * 1e-4,
            "scale negated" => -*value,
            _ => *value + 10.0 * deviation,
        };
    }
    let mut network = context.network.clone();
    network.set_floats(&name, &values)?;
    let node = node.name.as_deref().unwrap_or_default();
    Ok(context.made(network, format!("{what}, channel {channel} of normalisation `{node}`")))
}

/// Scale, mean and variance by name, where they are f32 parameters.
fn vectors(context: &AttackContext<'_>, node: &NodeProto) -> Option<[(String, Vec<f32>); 3]> {
    let vector = |at: usize| {
        let name = node.input.get(at)?;
        Some((name.clone(), context.network.floats(name).ok()?))
    };
    Some([vector(SCALE)?, vector(MEAN)?, vector(VARIANCE)?])
}
