//! How many witnesses a reader asks for: a policy file of `c2sp.org/tlog-policy`, and its check.

mod parse;

use thiserror::Error;

use super::cosignature::{Cosignature, CosignatureError};
use super::key::WitnessKey;
use crate::checkpoint::Checkpoint;
use crate::key::VerifierKey;

pub use parse::{LineFault, WitnessPolicyError};

/// Which logs a reader takes checkpoints of, and which witnesses must have cosigned them.
///
/// ```
/// use deepring_ledger::witness::WitnessPolicy;
///
/// let policy = WitnessPolicy::parse(b"quorum none\n")?;
/// assert!(policy.witnesses().is_empty());
/// // A policy that asks for nothing must say so.
/// assert!(WitnessPolicy::parse(b"").is_err());
/// # Ok::<(), deepring_ledger::witness::WitnessPolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct WitnessPolicy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<WitnessKey>,
    /// Each of its members comes before it.
    groups: Vec<Group>,
    /// `None` for `quorum none`.
    quorum: Option<Member>,
}

/// Witnesses of which at least `threshold` must have cosigned.
#[derive(Debug, Clone)]
struct Group {
    threshold: usize,
    members: Vec<Member>,
}

/// Whoever can be one of a group: an index into the witnesses, or into the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// Why a checkpoint does not meet a policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotWitnessed {
    /// None of the policy's logs signed it.
    #[error("checkpoint of `{origin}` is not signed by a log of the policy")]
    OtherLog {
        /// Name of the checkpoint's log.
        origin: String,
    },
    /// A cosignature of a witness of the policy is not of this checkpoint.
    #[error(transparent)]
    Cosignature(#[from] CosignatureError),
    /// Those that cosigned are too few, or not those that the policy asks for.
    #[error("{found} of {known} witnesses cosigned the checkpoint: the policy's quorum is not met")]
    NoQuorum {
        /// Witnesses of the policy that cosigned.
        found: usize,
        /// Witnesses that the policy names.
        known: usize,
    },
}

/// A checkpoint that meets a policy, with the cosignatures by which it does; only
/// [`WitnessPolicy::check`] makes one.
///
/// ```compile_fail,E0451
/// use deepring_ledger::witness::Witnessed;
///
/// fn made(of: Witnessed) -> Witnessed {
///     Witnessed { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    cosignatures: Vec<Cosignature>,
}

impl Witnessed {
    /// One cosignature of each witness of the policy that cosigned; none for `quorum none`.
    #[must_use]
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }
}

impl WitnessPolicy {
    /// The logs whose checkpoints it takes; of none, those of any log that the reader knows
    /// otherwise.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The witnesses that it names.
    #[must_use]
    pub fn witnesses(&self) -> &[WitnessKey] {
        &self.witnesses
    }

    /// Checks that one of the policy's logs signed a checkpoint, and enough of its witnesses cosigned
    /// it. When that was is by the witnesses' clocks, and is not judged.
    ///
    /// # Errors
    /// [`NotWitnessed`].
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<Witnessed, NotWitnessed> {
        let signed = |log: &VerifierKey| Checkpoint::verify(checkpoint.as_str(), log).is_ok();
        if !self.logs.is_empty() && !self.logs.iter().any(signed) {
            return Err(NotWitnessed::OtherLog { origin: checkpoint.origin().to_owned() });
        }
        let mut cosignatures: Vec<Cosignature> = Vec::new();
        for cosignature in checkpoint.cosignatures(&self.witnesses)? {
            if cosignatures.iter().all(|known| known.witness() != cosignature.witness()) {
                cosignatures.push(cosignature);
            }
        }
        if self.is_met(&cosignatures) {
            return Ok(Witnessed { cosignatures });
        }
        let (found, known) = (cosignatures.len(), self.witnesses.len());
        Err(NotWitnessed::NoQuorum { found, known })
    }

    fn is_met(&self, cosignatures: &[Cosignature]) -> bool {
        let Some(quorum) = self.quorum else { return true };
        let cosigned = |index: usize| {
            let witness = self.witnesses.get(index);
            witness.is_some_and(|witness| cosignatures.iter().any(|c| c.witness() == witness))
        };
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let met = group.members.iter().filter(|member| match member {
                Member::Witness(index) => cosigned(*index),
                Member::Group(index) => groups.get(*index).is_some_and(|met| *met),
            });
            let met = met.count() >= group.threshold;
            groups.push(met);
        }
        match quorum {
            Member::Witness(index) => cosigned(index),
            Member::Group(index) => groups.get(index).is_some_and(|met| *met),
        }
    }
}
