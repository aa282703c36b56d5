//! The attacker who knows the defence, but not its secrets.

mod crc;
mod harm;
mod radar;

use std::collections::HashSet;

use thiserror::Error;

use super::hashtag::covered;
use super::{DefenceKind, DefenceOptions, Moment};
use crate::evaluator::{Evaluator, EvaluatorError};
use crate::network::{Network, NetworkError};
use harm::Edit;

pub use radar::evade_in_scope;

/// A network that was edited so that a defence stays silent.
#[derive(Debug, Clone, PartialEq)]
pub struct Evasion {
    /// The network after it.
    pub network: Network,
    /// Where the edit is made.
    pub moment: Moment,
    /// The action, in a sentence.
    pub what: String,
}

/// Why a defence was not evaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvasionError {
    /// The network has nothing to edit where the defence does not look.
    #[error(
        "`{defence}` is not evaded: the network has nothing that can be edited outside of what it covers"
    )]
    Nothing {
        /// The defence.
        defence: DefenceKind,
    },
    /// An edit failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The edited network cannot be asked.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
}

/// Edits a network so that it does harm and `kind` stays silent. The attacker knows the scheme and `options`, but not
/// the secrets: `options.seed` is not read. `seed` begins the attacker's own numbers.
///
/// With an evaluator, the most harmful of several candidates is chosen by its samples; without one it is the first. A spot
/// check is evaded only with probability `1 - share`, for one inference: a deterministic attacker has no better.
///
/// # Errors
/// [`EvasionError::Nothing`] where the network has nothing to edit where the defence does not look; [`EvasionError::Network`]
/// where an edit fails; [`EvasionError::Evaluator`] where the edited network cannot be run.
pub fn evade(
    kind: DefenceKind,
    network: &Network,
    options: &DefenceOptions,
    seed: u64,
    evaluator: Option<&Evaluator>,
) -> Result<Evasion, EvasionError> {
    let random = &mut fastrand::Rng::with_seed(seed);
    let everywhere = |_: &str| true;
    let (edits, moment, how) = match kind {
        DefenceKind::None => (
            harm::edits(network, everywhere, random),
            Moment::AtRest,
            "nothing to evade".to_owned(),
        ),
        DefenceKind::FileDigest => {
            let how = "in memory after loading, where no digest is taken";
            (harm::edits(network, everywhere, random), Moment::Live, how.to_owned())
        }
        DefenceKind::Crc32 => {
            let edits = harm::edits(network, everywhere, random).into_iter();
            let edits = edits.filter_map(|edit| crc::restored(network, edit)).collect();
            let how = "low bits of other elements chosen so that every tensor keeps its CRC";
            (edits, Moment::Live, how.to_owned())
        }
        DefenceKind::Radar => {
            let weights: HashSet<String> = network.layers().into_iter().map(|l| l.weight).collect();
            let edits = harm::edits(network, |name| !weights.contains(name), random);
            (
                edits,
                Moment::Live,
                "in a tensor that is no weight, so it has no signature".to_owned(),
            )
        }
        DefenceKind::Hashtag => {
            let covered = covered(network, options);
            let edits = harm::edits(network, |name| covered.iter().all(|c| c != name), random);
            let how = format!("outside of the {} tensors that are hashed", covered.len());
            (edits, Moment::Live, how)
        }
        DefenceKind::SpotCheck => {
            let how = format!(
                "in one chunk, for one inference, then put back: found with probability {}",
                options.share.clamp(0.0, 1.0)
            );
            (harm::single_elements(network, random), Moment::Live, how)
        }
    };
    let chosen = most_harmful(kind, edits, evaluator)?;
    Ok(Evasion { network: chosen.network, moment, what: format!("{}; {how}", chosen.what) })
}

/// The edit that leaves the least accuracy; of equals, and without an evaluator, the first.
fn most_harmful(
    kind: DefenceKind,
    edits: Vec<Edit>,
    evaluator: Option<&Evaluator>,
) -> Result<Edit, EvasionError> {
    let mut best: Option<(Edit, f64)> = None;
    for edit in edits {
        let accuracy = match evaluator {
            Some(evaluator) => evaluator.evaluate(&edit.network)?.accuracy(),
            None => 1.0,
        };
        if best.as_ref().is_none_or(|(_, least)| accuracy < *least) {
            best = Some((edit, accuracy));
        }
    }
    best.map(|(edit, _)| edit).ok_or(EvasionError::Nothing { defence: kind })
}

#[cfg(test)]
mod tests;
