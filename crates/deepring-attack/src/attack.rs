//! One attack on one network.

use serde::Serialize;
use thiserror::Error;

use crate::catalogue::{Family, Kind};
use crate::defence::DefenceKind;
use crate::judge::{Judge, JudgeError};
use crate::network::{Layer, Network, NetworkError};
use crate::{bits, graph, search, weights};

/// What an attack is told. What is `None` is the attack's own default.
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

/// What an attack made.
#[derive(Debug, Clone, PartialEq)]
pub struct Attacked {
    /// The network after it.
    pub network: Network,
    /// What it did in particular, in a sentence: the layer that was drawn, the class that was chosen.
    pub what: String,
    /// The steps of a search, in their order.
    pub steps: Vec<Step>,
    /// Whether a search reached its aim; `false` where it was cut off, so that the flips it would have needed are not
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
        kind: Kind,
        /// What is missing.
        reason: String,
    },
    /// The attack needs labelled samples.
    #[error("`{kind}` needs labelled samples")]
    NeedsSamples {
        /// The attack.
        kind: Kind,
    },
    /// The attack needs gradients, and this build has none.
    #[error("`{kind}` needs gradients, which this build does not have")]
    NeedsGradients {
        /// The attack.
        kind: Kind,
    },
    /// An option has a value that the network has no place for.
    #[error("`{option}` is {found}: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        reason: String,
    },
    /// The attack is not one on a plain network.
    #[error("`{kind}` attacks a ring, a receipt or a ledger, not a plain network")]
    NotOnNetworks {
        /// The attack.
        kind: Kind,
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
        /// What it said.
        reason: String,
    },
    /// The network has nothing to edit where the defence does not look.
    #[error(
        "`{defence}` is not evaded: the network has nothing that can be edited outside of what it covers"
    )]
    NoEvasion {
        /// The defence.
        defence: DefenceKind,
    },
    /// An edit failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The attacked network cannot be asked.
    #[error(transparent)]
    Judge(#[from] JudgeError),
}

/// Attacks a network. `judge` has the samples for attacks that search; `progress` is called with each step of a
/// search.
///
/// The network itself stays as it is; what is returned is another. A search measures its success among the same
/// samples, in a half that it does not search in where it is to be held out.
pub fn attack(
    network: &Network,
    kind: Kind,
    options: &Options,
    judge: Option<&Judge>,
    progress: &(dyn Fn(&Step) + Sync),
) -> Result<Attacked, AttackError> {
    attack_until(network, kind, options, judge, None, progress)
}

/// As [`attack`], but a search ends by what `stop` says: by the published rule, where that has the whole test set.
pub fn attack_until(
    network: &Network,
    kind: Kind,
    options: &Options,
    judge: Option<&Judge>,
    stop: Option<&Judge>,
    progress: &(dyn Fn(&Step) + Sync),
) -> Result<Attacked, AttackError> {
    let job = Job { network, kind, options, judge, stop, progress };
    match kind.family() {
        Family::Weights => weights::attack(&job),
        Family::Bits => bits::attack(&job),
        Family::Search => search::attack(&job),
        Family::Graph => graph::attack(&job),
        Family::Ring => Err(AttackError::NotOnNetworks { kind }),
    }
}

/// An attack to be made, with what every family needs.
pub(crate) struct Job<'a> {
    pub(crate) network: &'a Network,
    pub(crate) kind: Kind,
    pub(crate) options: &'a Options,
    pub(crate) judge: Option<&'a Judge>,
    /// Measures the success of a search.
    #[cfg_attr(not(feature = "gradients"), expect(dead_code, reason = "only searches look at it"))]
    pub(crate) stop: Option<&'a Judge>,
    pub(crate) progress: &'a (dyn Fn(&Step) + Sync),
}

impl Job<'_> {
    /// The numbers of this attack; others for another kind with the same seed.
    pub(crate) fn random(&self) -> fastrand::Rng {
        let place = Kind::all().iter().position(|k| *k == self.kind).unwrap_or(0) as u64;
        fastrand::Rng::with_seed(self.options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place)
    }

    pub(crate) fn judge(&self) -> Result<&Judge, AttackError> {
        self.judge.ok_or(AttackError::NeedsSamples { kind: self.kind })
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
                false => Err(self.nothing(format!("layer `{name}` does not fit"))),
            };
        }
        let fitting: Vec<Layer> = layers.into_iter().filter(|l| fits(l)).collect();
        random
            .choice(fitting)
            .ok_or_else(|| self.nothing("no layer of the network fits".to_owned()))
    }

    pub(crate) fn nothing(&self, reason: impl Into<String>) -> AttackError {
        AttackError::NotApplicable { kind: self.kind, reason: reason.into() }
    }

    /// What was made, with a sentence about it.
    pub(crate) fn made(&self, network: Network, what: impl Into<String>) -> Attacked {
        Attacked { network, what: what.into(), steps: Vec::new(), reached: None }
    }
}
