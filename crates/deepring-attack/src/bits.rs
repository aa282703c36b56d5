//! Attacks on single bits of weights.
//!
//! The sign of a quantised weight is no bit of its own: there, "flip the sign" means to negate the number.

mod dnl;
#[cfg(feature = "gradients")]
mod dnl_pass;
mod exponent;
mod int8;
mod sign;

use crate::attack::{AttackError, Attacked, Job};
use crate::catalogue::Kind;
use crate::weights::changed;

pub(crate) fn attack(job: &Job<'_>) -> Result<Attacked, AttackError> {
    let attacked = match job.kind {
        Kind::SignRandom => sign::random(job),
        Kind::SignDnl => dnl::largest(job),
        #[cfg(feature = "gradients")]
        Kind::SignDnlPass => dnl_pass::attack(job),
        #[cfg(not(feature = "gradients"))]
        Kind::SignDnlPass => Err(AttackError::NeedsGradients { kind: job.kind }),
        Kind::ExponentSample => exponent::sample(job),
        Kind::ExponentWorst => exponent::worst(job),
        Kind::Int8Random => int8::random(job),
        kind => Err(job.nothing(format!("`{kind}` is no attack on bits"))),
    }?;
    changed(job, attacked)
}

/// How many flips are asked for, of so many that there can be.
fn flips(job: &Job<'_>, default: usize, most: usize, of: &str) -> Result<usize, AttackError> {
    let flips = job.options.flips.unwrap_or_else(|| default.min(most));
    if (1..=most).contains(&flips) {
        return Ok(flips);
    }
    let reason = format!("it must be 1 to {most}, the number of {of}");
    Err(AttackError::Option { option: "flips", found: flips.to_string(), reason })
}
