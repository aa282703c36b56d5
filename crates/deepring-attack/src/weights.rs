//! Attacks on the values of parameters.
//!
//! Noise, re-initialisation and zeroing work on the numbers that a weight stands for: a quantised one is
//! dequantised, changed, rounded to its steps and clamped (i8 to -127..=127, u8 to 0..=255).

mod bias;
mod channels;
mod norms;
mod numbers;
mod parameter;
mod permute;
mod scales;
mod values;

use crate::attack::{AttackError, Attacked, Job};
use crate::catalogue::Kind;

pub(crate) use values::Values;

pub(crate) fn attack(job: &Job<'_>) -> Result<Attacked, AttackError> {
    let attacked = match job.kind {
        Kind::NoiseDense | Kind::NoiseAll => numbers::noise_on_layers(job),
        Kind::NoiseLayer => numbers::noise_on_layer(job),
        Kind::NoiseFilter => numbers::noise_on_filter(job),
        Kind::Reinit => numbers::reinit(job),
        Kind::Zero => numbers::zero(job),
        Kind::LabelSwap => permute::label_swap(job),
        Kind::PermuteUnpaired => permute::unpaired(job),
        Kind::PermutePaired => permute::paired(job),
        Kind::SwapTensors => permute::swap_tensors(job),
        Kind::NormEdit => norms::edit(job),
        Kind::ScaleEdit => scales::edit(job),
        Kind::SingleBias => bias::raise(job),
        kind => Err(job.nothing(format!("`{kind}` is no attack on values"))),
    }?;
    changed(job, attacked)
}

/// What an attack made, unless it left everything as it was: an evaluation must not count that as an attack.
pub(crate) fn changed(job: &Job<'_>, attacked: Attacked) -> Result<Attacked, AttackError> {
    match attacked.network == *job.network {
        true => Err(job.nothing(format!("{}, and that changes nothing", attacked.what))),
        false => Ok(attacked),
    }
}
