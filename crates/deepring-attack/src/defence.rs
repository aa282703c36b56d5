//! The defences that DeepRing is compared with, each as its paper defines it, and an attacker who knows it.
//!
//! These are for an evaluation, not for a product: their secrets come from a seed, so that an experiment can be
//! repeated, and they lie in the same process as the network. A deployment would draw them from the system and keep
//! them where the attacker cannot read.

mod crc32;
mod eight_bit;
mod evade;
mod file;
mod hashtag;
mod kind;
mod radar;
mod spot;
mod statistics;

use std::fmt::Debug;
use std::ops::Range;

use crate::network::Network;

pub use evade::{Evasion, EvasionError, evade, evade_in_scope};
pub use kind::{DefenceKind, Moment, ParseDefenceError};
pub use statistics::{Summary, false_alarm_bound, wilson};

/// How a defence is set up. Everything but the seed is public: an attacker knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct DefenceOptions {
    /// The secrets of the defence come from it.
    pub seed: u64,
    /// Weights in a group (RADAR). The paper has 8 to 32 for a network of 0.3 million weights, and 128 to 512 for one of
    /// 11 million.
    pub group: usize,
    /// Weight tensors that are covered, the most sensitive first (HASHTAG). The paper has 1 to 3.
    pub layers: usize,
    /// Probability with which each chunk is looked at in a check, 0 to 1 (spot check).
    pub share: f64,
    /// Sensitivity of each weight tensor by name (HASHTAG); the paper's is `(w * dL/dw)^2`, larger being more sensitive, and
    /// a tensor that is not in the list has 0. Without a list, tensors are ranked by the mean of `w^2`, which needs no
    /// data.
    pub sensitivities: Option<Vec<(String, f64)>>,
}

impl Default for DefenceOptions {
    fn default() -> Self {
        Self { seed: 0, group: 512, layers: 3, share: 0.1, sensitivities: None }
    }
}

/// The verdict of a defence's check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefenceVerdict {
    /// True if it raised an alarm.
    pub detected: bool,
    /// Where, as finely as the defence knows. Empty if it knows only that something is wrong.
    pub located: Vec<Located>,
}

/// A place to which an alarm points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The tensor.
    pub tensor: String,
    /// Elements among which the changed ones are, in the row-major tensor.
    pub range: Range<usize>,
}

impl DefenceVerdict {
    /// No alarm.
    #[must_use]
    pub fn silent() -> Self {
        Self::default()
    }

    /// An alarm that names no place.
    #[must_use]
    pub fn alarm() -> Self {
        Self { detected: true, located: Vec::new() }
    }

    /// An alarm if there is a place.
    #[must_use]
    pub fn at(located: Vec<Located>) -> Self {
        Self { detected: !located.is_empty(), located }
    }
}

/// A defence's record of a clean network, and its check of another against it.
pub trait Defence: Send + Sync + Debug {
    /// Which one it is.
    fn kind(&self) -> DefenceKind;

    /// Bytes that must be kept where the attacker cannot write: reference values and keys.
    fn stored_bytes(&self) -> usize;

    /// One check, as before one inference. `draw` returns a number in 0 to 1, drawn afresh at each call.
    ///
    /// It never fails: a network in which a covered tensor is missing, or has another size, raises an alarm.
    fn check(
        &self,
        network: &Network,
        moment: Moment,
        draw: &mut dyn FnMut() -> f64,
    ) -> DefenceVerdict;

    /// The defence's recovery after an alarm; most have nothing, and leave the network as it is.
    fn recover(&self, network: &mut Network, verdict: &DefenceVerdict) {
        let _ = (network, verdict);
    }
}

/// Sets a defence up on a clean network.
#[must_use]
pub fn protect(kind: DefenceKind, network: &Network, options: &DefenceOptions) -> Box<dyn Defence> {
    match kind {
        DefenceKind::None => Box::new(Nothing),
        DefenceKind::Crc32 => Box::new(crc32::Crc32::of(network)),
        DefenceKind::Radar => Box::new(radar::Radar::of(network, options)),
        DefenceKind::Hashtag => Box::new(hashtag::Hashtag::of(network, options)),
        DefenceKind::FileDigest => Box::new(file::FileDigest::of(network)),
        DefenceKind::SpotCheck => Box::new(spot::SpotCheck::of(network, options)),
    }
}

/// No defence: the row that shows what an attack does where nothing is checked.
#[derive(Debug)]
struct Nothing;

impl Defence for Nothing {
    fn kind(&self) -> DefenceKind {
        DefenceKind::None
    }

    fn stored_bytes(&self) -> usize {
        0
    }

    fn check(&self, _: &Network, _: Moment, _: &mut dyn FnMut() -> f64) -> DefenceVerdict {
        DefenceVerdict::silent()
    }
}

#[cfg(test)]
mod tests;
