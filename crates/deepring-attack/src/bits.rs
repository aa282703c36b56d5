//! Attacks on single bits of weights.
//!
//! The sign of a quantised weight is no bit of its own: there, "flip the sign" means to negate the number.

mod dnl;
#[cfg(feature = "gradients")]
mod dnl_pass;
mod exponent;
mod int8;
mod sign;

#[cfg(not(feature = "gradients"))]
use crate::attack::context::{AttackContext, AttackError, Attacked};

pub(crate) use dnl::largest as sign_dnl;
#[cfg(feature = "gradients")]
pub(crate) use dnl_pass::attack as sign_dnl_pass;
pub(crate) use exponent::{sample as exponent_sample, worst as exponent_worst};
pub(crate) use int8::random as int8_random;
pub(crate) use sign::random as sign_random;

/// This build has no gradients.
#[cfg(not(feature = "gradients"))]
pub(crate) fn sign_dnl_pass(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    Err(AttackError::NeedsGradients { kind: context.kind })
}

#[cfg(test)]
mod tests;
