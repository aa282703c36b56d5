//! Searches for the fewest bits of 8-bit weights whose flips do an attack's work.
//!
//! BFA: A. S. Rakin, Z. He, D. Fan, "Bit-Flip Attack: Crushing Neural Network with Progressive Bit Search", ICCV
//! 2019. T-BFA: A. S. Rakin and others, "T-BFA: Targeted Bit-Flip Adversarial Weight Attack", TPAMI 2021.

#[cfg(feature = "gradients")]
mod aim;
#[cfg(feature = "gradients")]
mod bits;
#[cfg(feature = "gradients")]
mod measure;
#[cfg(feature = "gradients")]
mod progressive;

use crate::attack::{AttackError, Attacked, Job};

#[cfg(feature = "gradients")]
pub(crate) fn attack(job: &Job<'_>) -> Result<Attacked, AttackError> {
    progressive::search(job)
}

#[cfg(not(feature = "gradients"))]
pub(crate) fn attack(job: &Job<'_>) -> Result<Attacked, AttackError> {
    Err(AttackError::NeedsGradients { kind: job.kind })
}
