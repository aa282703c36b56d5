//! One attack on one target: the way in for every kind.

pub(crate) mod context;

use deepring::Check;

use crate::catalogue::{EntryPoint, Family, Kind};
use crate::evaluator::Evaluator;
use crate::network::Network;
use crate::ring::{
    FilesTampered, LiveRing, RACED_CHECKS, RingAttackError, RingFiles, RingTrialError, ToctouResult,
};
use context::AttackContext;

pub use context::{AttackError, Attacked, Options, Step};

/// The options of an attack beside its target.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "it holds a function, and lives for one call")]
pub struct Request<'a> {
    options: &'a Options,
    evaluator: Option<&'a Evaluator>,
    stop: Option<&'a Evaluator>,
    progress: &'a (dyn Fn(&Step) + Sync),
}

/// A target of attacks: a plain [`Network`], [files](RingFiles) that DeepRing wrote, a [host's memory](LiveRing).
pub trait Target: private::Sealed {
    /// The result of an attack on it.
    type Made;
    /// Why one could not be made.
    type Error;

    /// Makes the attack.
    #[doc(hidden)]
    fn attacked(self, kind: Kind, request: Request<'_>) -> Result<Self::Made, Self::Error>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for &crate::network::Network {}
    impl Sealed for &crate::ring::RingFiles<'_> {}
    impl Sealed for &crate::ring::LiveRing<'_> {}
}

/// Makes an attack. `evaluator` has the samples for attacks that search; `progress` is called with each step of a search.
///
/// The target itself stays as it is; what is made is another. A search measures its success among the same samples, in a
/// half that it does not search in where it is to be held out.
///
/// # Errors
/// If the attack is one on other targets, or finds nothing to take hold of, or is told what cannot be.
pub fn attack<T: Target>(
    target: T,
    kind: Kind,
    options: &Options,
    evaluator: Option<&Evaluator>,
    progress: &(dyn Fn(&Step) + Sync),
) -> Result<T::Made, T::Error> {
    attack_until(target, kind, options, evaluator, None, progress)
}

/// As [`attack`], but a search ends by what `stop` says: by the published rule, where that has the whole test set.
///
/// # Errors
/// As [`attack`].
pub fn attack_until<T: Target>(
    target: T,
    kind: Kind,
    options: &Options,
    evaluator: Option<&Evaluator>,
    stop: Option<&Evaluator>,
    progress: &(dyn Fn(&Step) + Sync),
) -> Result<T::Made, T::Error> {
    target.attacked(kind, Request { options, evaluator, stop, progress })
}

impl Target for &Network {
    type Made = Attacked;
    type Error = AttackError;

    fn attacked(self, kind: Kind, request: Request<'_>) -> Result<Attacked, AttackError> {
        let EntryPoint::Network(begin) = kind.entry() else {
            return Err(AttackError::NotOnNetworks { kind: kind.name() });
        };
        let Request { options, evaluator, stop, progress } = request;
        let (name, stream) = (kind.name(), kind.stream());
        let context =
            AttackContext { network: self, kind: name, stream, options, evaluator, stop, progress };
        let attacked = begin(&context)?;
        match kind.family() {
            Family::Weights | Family::Bits => context.changed(attacked),
            _ => Ok(attacked),
        }
    }
}

impl Target for &RingFiles<'_> {
    type Made = FilesTampered;
    type Error = RingAttackError;

    fn attacked(self, kind: Kind, request: Request<'_>) -> Result<FilesTampered, RingAttackError> {
        match kind.entry() {
            EntryPoint::Files(begin) => begin(self, request.options),
            _ => Err(RingAttackError::NotOnFiles { kind: kind.name() }),
        }
    }
}

/// A race is run under each check that looks at memory; nothing is made where memory cannot be written.
impl Target for &LiveRing<'_> {
    type Made = Vec<ToctouResult>;
    type Error = RingTrialError;

    fn attacked(self, kind: Kind, _: Request<'_>) -> Result<Vec<ToctouResult>, RingTrialError> {
        let EntryPoint::Memory(begin) = kind.entry() else {
            return Err(RingTrialError::NotInMemory { kind: kind.name() });
        };
        let under = |check: &Check| begin(self, *check).transpose();
        RACED_CHECKS.iter().filter_map(under).collect()
    }
}

#[cfg(test)]
mod tests;
