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

use crate::attack::context::{AttackContext, AttackError, Attacked};

/// The aim of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// That none is right.
    NoAccuracy,
    /// That all are the target.
    AllToTarget,
    /// That those to one class are the target.
    ClassToTarget,
    /// The same, and that the others stay.
    ClassToTargetAlone,
}

pub(crate) fn bfa(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    search(context, Goal::NoAccuracy)
}

pub(crate) fn tbfa_n_to_1(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    search(context, Goal::AllToTarget)
}

pub(crate) fn tbfa_1_to_1(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    search(context, Goal::ClassToTarget)
}

pub(crate) fn tbfa_stealthy(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    search(context, Goal::ClassToTargetAlone)
}

#[cfg(feature = "gradients")]
fn search(context: &AttackContext<'_>, goal: Goal) -> Result<Attacked, AttackError> {
    progressive::search(context, goal)
}

#[cfg(not(feature = "gradients"))]
fn search(context: &AttackContext<'_>, _: Goal) -> Result<Attacked, AttackError> {
    Err(AttackError::NeedsGradients { kind: context.kind })
}
