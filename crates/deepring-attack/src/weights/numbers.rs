//! Noise on weights, weights drawn anew, weights set to zero.

use fastrand_contrib::RngExt as _;

use crate::attack::context::{AttackContext, AttackError, Attacked};
use crate::network::{Layer, Values};

/// Strength of noise where none is asked for, in standard deviations of the tensor.
const RHO: f64 = 2.0;

/// Type 1 of the paper.
pub(crate) fn noise_on_dense_layers(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    noise_on_layers(context, "dense ", Layer::is_dense)
}

/// Type 2 of the paper.
pub(crate) fn noise_on_all_layers(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    noise_on_layers(context, "", |_| true)
}

/// A tensor that several layers share is changed once.
fn noise_on_layers(
    context: &AttackContext<'_>,
    called: &str,
    wanted: impl Fn(&Layer) -> bool,
) -> Result<Attacked, AttackError> {
    let rho = rho(context)?;
    let (mut random, mut network) = (context.random(), context.network.clone());
    let named = |layer: &Layer| match &context.options.layer {
        Some(name) => layer.name == *name || layer.weight == *name,
        None => true,
    };
    if context.options.layer.is_some() {
        context.layer(&mut random, &wanted)?;
    }
    let layers: Vec<Layer> =
        context.network.layers().into_iter().filter(|l| wanted(l) && named(l)).collect();
    if layers.is_empty() {
        return Err(
            context.not_applicable("the network has no dense layer with a parameter as its weight")
        );
    }
    for layer in &layers {
        let values = context.values(layer)?;
        let strength = rho * values.deviation();
        let noisy: Vec<f64> =
            values.numbers().iter().map(|v| random.f64_normal(*v, strength)).collect();
        values.store(&mut network, &noisy)?;
    }
    let what = format!(
        "Gaussian noise of {rho} standard deviations on the weights of {} {called}layers",
        layers.len()
    );
    Ok(context.made(network, what))
}

pub(crate) fn noise_on_layer(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let rho = rho(context)?;
    let what = |layer: &Layer| {
        format!(
            "Gaussian noise of {rho} standard deviations on the weights of layer `{}`",
            layer.name
        )
    };
    on_one_layer(context, what, |_, values, random| {
        let strength = rho * values.deviation();
        values.numbers().iter().map(|v| random.f64_normal(*v, strength)).collect()
    })
}

/// The unit is the standard deviation of the layer's whole weight, so that filters can be compared.
pub(crate) fn noise_on_filter(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let rho = rho(context)?;
    let what = |layer: &Layer, filter: usize| {
        format!(
            "Gaussian noise of {rho} standard deviations on filter {filter} of layer `{}`",
            layer.name
        )
    };
    let deviation = |_: &Layer, values: &Values| rho * values.deviation();
    on_one_filter(context, what, deviation, |v, deviation, random| random.f64_normal(v, deviation))
}

/// He normal: mean 0, variance 2 / fan-in (He et al. 2015). The bias stays.
pub(crate) fn reinit(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let what = |layer: &Layer| format!("the weights of layer `{}` drawn anew", layer.name);
    on_one_layer(context, what, |layer, values, random| {
        let deviation = he_deviation(layer);
        values.numbers().iter().map(|_| random.f64_normal(0.0, deviation)).collect()
    })
}

/// As `reinit` draws a layer: fan-in is the layer's, and the bias stays.
pub(crate) fn reinit_filter(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let what = |layer: &Layer, filter: usize| {
        format!("the weights of filter {filter} of layer `{}` drawn anew", layer.name)
    };
    let deviation = |layer: &Layer, _: &Values| he_deviation(layer);
    on_one_filter(context, what, deviation, |_, deviation, random| {
        random.f64_normal(0.0, deviation)
    })
}

/// Standard deviation of a layer's weights before training (He et al. 2015).
fn he_deviation(layer: &Layer) -> f64 {
    (2.0 / layer.fan_in().max(1) as f64).sqrt()
}

/// The bias stays.
pub(crate) fn zero(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let what = |layer: &Layer| format!("the weights of layer `{}` set to zero", layer.name);
    on_one_layer(context, what, |_, values, _| vec![0.0; values.numbers().len()])
}

fn on_one_layer(
    context: &AttackContext<'_>,
    what: impl Fn(&Layer) -> String,
    numbers: impl Fn(&Layer, &Values, &mut fastrand::Rng) -> Vec<f64>,
) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let layer = context.layer(&mut random, |l| Values::fit(context.network, l) && !l.is_empty())?;
    let values = context.values(&layer)?;
    let mut network = context.network.clone();
    values.store(&mut network, &numbers(&layer, &values, &mut random))?;
    Ok(context.made(network, what(&layer)))
}

/// A new number for each weight of a drawn filter of a layer, in the order of the tensor: `number` has the weight, and
/// the standard deviation that `deviation` gives.
fn on_one_filter(
    context: &AttackContext<'_>,
    what: impl Fn(&Layer, usize) -> String,
    deviation: impl Fn(&Layer, &Values) -> f64,
    number: impl Fn(f64, f64, &mut fastrand::Rng) -> f64,
) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let layer = context.layer(&mut random, |l| Values::fit(context.network, l) && !l.is_empty())?;
    let values = context.values(&layer)?;
    let filter = random.usize(0..layer.outputs().max(1));
    let deviation = deviation(&layer, &values);
    let numbers: Vec<f64> = (values.numbers().iter().enumerate())
        .map(|(index, v)| match layer.output_of(index) == filter {
            true => number(*v, deviation, &mut random),
            false => *v,
        })
        .collect();
    let mut network = context.network.clone();
    values.store(&mut network, &numbers)?;
    Ok(context.made(network, what(&layer, filter)))
}

fn rho(context: &AttackContext<'_>) -> Result<f64, AttackError> {
    let rho = context.options.rho.unwrap_or(RHO);
    if rho.is_finite() && rho > 0.0 {
        return Ok(rho);
    }
    let reason = "it must be a number above 0".to_owned();
    Err(AttackError::Option { option: "rho", found: rho.to_string(), reason })
}
