//! The arguments and results of attacks: the contract below every family of them.
//!
//! It names no attack: who starts one says what it is called and which stream of numbers is its own.

use serde::Serialize;
use thiserror::Error;

use crate::evaluator::{Evaluator, EvaluatorError};
use crate::network::{Layer, Network, NetworkError, Values};

/// The options of an attack. `None` stands for the attack's own default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// The layer that is attacked; drawn by the seed, where an attack is on one layer and none is given.
    pub layer: Option<String>,
    /// Strength of noise, in standard deviations of the tensor that it is added to.
    pub rho: Option<f64>,
    /// Bits to flip, or, for a search, the most that it may flip.
    pub flips: Option<usize>,
    /// Which bit of a weight, the lowest being 0.
    pub bit: Option<u32>,
    /// Class to which inputs shall go.
    pub target: Option<usize>,
    /// Class whose inputs shall go there.
    pub source: Option<usize>,
    /// Begins the pseudo-random numbers: the same seed makes the same attack.
    pub seed: u64,
}

/// The result of an attack.
#[derive(Debug, Clone, PartialEq)]
pub struct Attacked {
    /// The network after it.
    pub network: Network,
    /// The particulars, in a sentence: the layer that was drawn, the class that was chosen.
    pub what: String,
    /// The steps of a search, in their order.
    pub steps: Vec<Step>,
    /// True if a search reached its aim; `false` where it was cut off, so that the flips it would have needed are not
    /// known but for a lower bound. `None` where nothing was searched for.
    pub reached: Option<bool>,
}

/// A step of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Tensor with the flipped bit.
    pub tensor: String,
    /// Place in the row-major tensor.
    pub index: usize,
    /// The bit, the lowest being 0.
    pub bit: u32,
    /// The objective after it.
    pub loss: f64,
    /// Accuracy after it, 0 to 1, on the samples that success is measured on; on some of them where these suffice to
    /// see that the aim is not reached.
    pub accuracy: f64,
}

/// Why an attack could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttackError {
    /// No such layer.
    #[error("the network has no layer `{name}`")]
    NoLayer {
        /// Name asked for.
        name: String,
        /// The layers that it has.
        there: Vec<String>,
    },
    /// The network has nothing that this attack takes hold of.
    #[error("`{kind}` finds nothing to attack: {reason}")]
    NotApplicable {
        /// The attack.
        kind: &'static str,
        /// The reason.
        reason: String,
    },
    /// The attack needs labelled samples.
    #[error("`{kind}` needs labelled samples")]
    NeedsSamples {
        /// The attack.
        kind: &'static str,
    },
    /// The attack needs gradients, and this build has none.
    #[error("`{kind}` needs gradients, which this build does not have")]
    NeedsGradients {
        /// The attack.
        kind: &'static str,
    },
    /// An option has a value that the network has no place for.
    #[error("`{option}` is {found}: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        found: String,
        /// The values that are allowed.
        reason: String,
    },
    /// The attack is none on a plain network.
    #[error("`{kind}` attacks a ring, a receipt or a ledger, not a plain network")]
    NotOnNetworks {
        /// The attack.
        kind: &'static str,
    },
    /// Gradients cannot be had through an operator.
    #[error("no gradients through {operator} (node `{node}`)")]
    NoGradient {
        /// Node.
        node: String,
        /// Its operator.
        operator: String,
    },
    /// The library that computes gradients failed.
    #[error("computing gradients failed: {reason}")]
    Gradient {
        /// The message.
        reason: String,
    },
    /// An edit failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The attacked network cannot be asked.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
}

/// An attack to be made, with what every family needs.
pub(crate) struct AttackContext<'a> {
    pub(crate) network: &'a Network,
    /// Name of the attack, for errors.
    pub(crate) kind: &'static str,
    /// Which numbers of the seed are the attack's own.
    pub(crate) stream: u64,
    pub(crate) options: &'a Options,
    pub(crate) evaluator: Option<&'a Evaluator>,
    /// Measures the success of a search.
    #[cfg_attr(not(feature = "gradients"), expect(dead_code, reason = "only searches look at it"))]
    pub(crate) stop: Option<&'a Evaluator>,
    pub(crate) progress: &'a (dyn Fn(&Step) + Sync),
}

impl AttackContext<'_> {
    /// The numbers of this attack; others for another kind with the same seed.
    pub(crate) fn random(&self) -> fastrand::Rng {
        let seed = self.options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.stream;
        fastrand::Rng::with_seed(seed)
    }

    pub(crate) fn evaluator(&self) -> Result<&Evaluator, AttackError> {
        self.evaluator.ok_or(AttackError::NeedsSamples { kind: self.kind })
    }

    /// The layer that is asked for; else one of those that fit, drawn.
    pub(crate) fn layer(
        &self,
        random: &mut fastrand::Rng,
        fits: impl Fn(&Layer) -> bool,
    ) -> Result<Layer, AttackError> {
        let layers = self.network.layers();
        if let Some(name) = &self.options.layer {
            let found = layers.iter().find(|l| l.name == *name || l.weight == *name);
            let found = found.cloned().ok_or_else(|| AttackError::NoLayer {
                name: name.clone(),
                there: layers.iter().map(|l| l.name.clone()).collect(),
            })?;
            return match fits(&found) {
                true => Ok(found),
                false => Err(self.not_applicable(format!("layer `{name}` does not fit"))),
            };
        }
        let fitting: Vec<Layer> = layers.into_iter().filter(|l| fits(l)).collect();
        random
            .choice(fitting)
            .ok_or_else(|| self.not_applicable("no layer of the network fits".to_owned()))
    }

    pub(crate) fn not_applicable(&self, reason: impl Into<String>) -> AttackError {
        AttackError::NotApplicable { kind: self.kind, reason: reason.into() }
    }

    /// The result, with a sentence about it.
    pub(crate) fn made(&self, network: Network, what: impl Into<String>) -> Attacked {
        Attacked { network, what: what.into(), steps: Vec::new(), reached: None }
    }

    /// The weights of a layer as numbers.
    pub(crate) fn values(&self, layer: &Layer) -> Result<Values, AttackError> {
        Values::of(self.network, layer).ok_or_else(|| {
            self.not_applicable(format!(
                "layer `{}` has neither f32, half-precision nor quantised 8-bit weights",
                layer.name
            ))
        })
    }

    /// How many flips are asked for, of so many that there can be.
    pub(crate) fn flips(
        &self,
        default: usize,
        most: usize,
        of: &str,
    ) -> Result<usize, AttackError> {
        let flips = self.options.flips.unwrap_or_else(|| default.min(most));
        if (1..=most).contains(&flips) {
            return Ok(flips);
        }
        let reason = format!("it must be 1 to {most}, the number of {of}");
        Err(AttackError::Option { option: "flips", found: flips.to_string(), reason })
    }

    /// The result of an attack, unless it left everything as it was: an evaluation must not count that as an attack.
    pub(crate) fn changed(&self, attacked: Attacked) -> Result<Attacked, AttackError> {
        match attacked.network == *self.network {
            true => {
                Err(self.not_applicable(format!("{}, and that changes nothing", attacked.what)))
            }
            false => Ok(attacked),
        }
    }
}
