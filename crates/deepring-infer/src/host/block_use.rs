//! One use of a block, as a value: begun, run, verified. What a run computed cannot be had before it is verified.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::block::LoadedBlock;
use super::block_outputs::BlockOutputs;
use super::second_run::{recompute, runs_from_a_copy};
use crate::checks::{CheckFault, Completeness, Measure, PlanKind, UseVerification};
use crate::engine::{Engine, EngineError, Input, View};
use crate::error::{InputError, RunError};

/// A use that has begun. Nothing was computed yet.
pub struct BlockUse<'b, E: Engine> {
    block: &'b LoadedBlock<E>,
    verification: Option<UseVerification<'b>>,
    bytes: ByteCheck,
    took: Duration,
}

/// Who compares the bytes that are due.
enum ByteCheck {
    /// Whoever begins the use; it is done.
    Here,
    /// A thread beside the engine, whose verdict is still out.
    Pending(Receiver<Result<Measure, CheckFault>>),
}

/// The outputs of a run that nobody verified yet. There is no way to its outputs but [`verify`](Self::verify):
///
/// ```compile_fail,E0616
/// use deepring_infer::block::Unchecked;
/// use deepring_infer::Rten;
/// use deepring_infer::engine::Engine;
///
/// fn go_on(unchecked: Unchecked<'_, Rten>) -> Vec<(String, <Rten as Engine>::Value)> {
///     unchecked.outputs.into_outputs().collect() // error: the field is private
/// }
/// ```
///
/// With it:
///
/// ```
/// use deepring_infer::block::{BlockOutputs, Unchecked};
/// use deepring_infer::{Rten, RunError};
/// use deepring_infer::engine::Engine;
///
/// type Value = <Rten as Engine>::Value;
///
/// fn go_on(
///     unchecked: Unchecked<'_, Rten>,
///     inputs: &(dyn Fn(&str) -> Option<&'static Value> + Sync),
/// ) -> Result<BlockOutputs<Value>, RunError> {
///     Ok(unchecked.verify(inputs)?.outputs)
/// }
/// ```
pub struct Unchecked<'b, E: Engine> {
    of: BlockUse<'b, E>,
    outputs: BlockOutputs<E::Value>,
    engine: Duration,
}

/// Outputs that were verified, and the measure of it.
pub struct VerifiedOutputs<V> {
    /// The outputs that the block computed.
    pub outputs: BlockOutputs<V>,
    /// The comparisons made for it; `None` where nothing is compared at a use.
    pub measure: Option<Measure>,
    pub(super) times: UseTimes,
}

/// Where the time of one use went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UseTimes {
    pub(super) engine: Duration,
    pub(super) check: Duration,
}

impl<E: Engine> LoadedBlock<E> {
    /// Begins a use in which every byte and every output is verified, and compares the bytes.
    ///
    /// # Errors
    /// [`RunError::Tampered`] if a byte or the check itself is not what it was; [`RunError::OutOfUse`] after an earlier fault.
    pub fn begin(&self) -> Result<BlockUse<'_, E>, RunError> {
        let kind = self.fixed_plan().or(self.check().map(|_| PlanKind::Both));
        self.begin_as(kind)?.compare_bytes()
    }

    /// Begins a use under a plan; nothing is compared without one.
    pub(super) fn begin_as(&self, kind: Option<PlanKind>) -> Result<BlockUse<'_, E>, RunError> {
        let verification = match (kind, self.check()) {
            (Some(kind), Some(check)) => {
                Some(check.begin(kind).map_err(|fault| self.handle_fault(fault))?)
            }
            (Some(_), None) => return Err(self.handle_fault(CheckFault::Structure)),
            (None, _) => None,
        };
        Ok(BlockUse::new(self, verification))
    }
}

impl<'b, E: Engine> BlockUse<'b, E> {
    pub(super) fn new(
        block: &'b LoadedBlock<E>,
        verification: Option<UseVerification<'b>>,
    ) -> Self {
        Self { block, verification, bytes: ByteCheck::Here, took: Duration::ZERO }
    }

    /// The block that is used.
    #[must_use]
    pub fn block(&self) -> &'b LoadedBlock<E> {
        self.block
    }

    /// Compares the bytes that are due, by the threads of the pool that this is called in.
    ///
    /// # Errors
    /// [`RunError::Tampered`] if one is not what it was.
    pub fn compare_bytes(mut self) -> Result<Self, RunError> {
        let start = Instant::now();
        if let Some(verification) = &mut self.verification {
            let compared = verification.compare_bytes(self.block.bytes());
            compared.map_err(|fault| self.block.handle_fault(fault))?;
        }
        self.took += start.elapsed();
        Ok(self)
    }

    /// Leaves the comparison to another thread, whose verdict is waited for when the outputs are verified.
    pub(super) fn bytes_elsewhere(self, verdict: Receiver<Result<Measure, CheckFault>>) -> Self {
        Self { bytes: ByteCheck::Pending(verdict), ..self }
    }

    /// Computes. `inputs` are in the order of the block's header; where the check looks at outputs, they must be lent.
    ///
    /// # Errors
    /// [`RunError::Engine`]; [`RunError::Input`] where the inputs make integers that the engine cannot hold.
    pub fn run(self, inputs: Vec<Input<'_, E::Value>>) -> Result<Unchecked<'b, E>, RunError> {
        let block = self.block;
        let missing = || RunError::NoGraph { block: block.header().index };
        let program = block.program().ok_or_else(missing)?;
        let start = Instant::now();
        let values = block.engine().run(program, inputs).map_err(|source| {
            // What was written to may be why it fails.
            let changed = block.check().and_then(|check| check.bytes_fit(block.bytes()).err());
            let name = block.header().name.clone();
            let failed = || match source {
                EngineError::Integer { tensor } => {
                    InputError::Integer { block: name, tensor }.into()
                }
                source => RunError::Engine { block: name, source },
            };
            changed.map_or_else(failed, |fault| block.handle_fault(fault))
        })?;
        let engine = start.elapsed();
        if let Some(check) = block.check() {
            check.observed().engine(engine);
        }
        let names = block.given_out().into_iter().map(ToOwned::to_owned).collect();
        let outputs = BlockOutputs::new(names, values, block.header().outputs.len());
        Ok(Unchecked { of: self, outputs, engine })
    }
}

impl<'b, E: Engine> Unchecked<'b, E> {
    /// Verifies what was computed: what is looked at is drawn only now. `input` finds the values that were lent to the
    /// run.
    ///
    /// # Errors
    /// [`RunError::Tampered`] if the outputs do not follow from the sealed parameters and these inputs;
    /// [`RunError::Input`] if the inputs are so large that nothing can be said, and the block's bytes are what they were.
    pub fn verify<'v>(
        self,
        input: &(dyn Fn(&str) -> Option<&'v E::Value> + Sync),
    ) -> Result<VerifiedOutputs<E::Value>, RunError>
    where
        E::Value: 'v,
    {
        let Self { of, outputs, engine } = self;
        let start = Instant::now();
        let block = of.block;
        let measured = of.verification.map(|verification| {
            let measured = verify(block, verification, of.bytes, &outputs, input);
            measured.map_err(|fault| block.handle_fault(fault))
        });
        let measure = measured.transpose()?;
        // Where nothing is compared, nothing was spent on it.
        let check = measure.as_ref().map_or(Duration::ZERO, |_| of.took + start.elapsed());
        let times = UseTimes { engine, check };
        Ok(VerifiedOutputs { outputs, measure, times })
    }

    /// The outputs that were computed, for measurements and not to go on with.
    pub(super) fn peek(&self) -> &BlockOutputs<E::Value> {
        &self.outputs
    }

    #[cfg(test)]
    pub(super) fn outputs_mut(&mut self) -> &mut BlockOutputs<E::Value> {
        &mut self.outputs
    }

    pub(super) fn verification(&self) -> Option<&UseVerification<'b>> {
        self.of.verification.as_ref()
    }
}

fn verify<'o, 'v: 'o, E: Engine>(
    block: &LoadedBlock<E>,
    mut verification: UseVerification<'_>,
    bytes: ByteCheck,
    outputs: &'o BlockOutputs<E::Value>,
    input: &(dyn Fn(&str) -> Option<&'v E::Value> + Sync),
) -> Result<Measure, CheckFault>
where
    E::Value: 'v,
{
    let live = block.bytes();
    if verification.plan().looks_at_outputs() {
        verify_outputs(block, &mut verification, outputs, input)?;
    }
    verification.compare_after(live)?;
    match bytes {
        ByteCheck::Here => verification.finish(),
        // A thread that ended without a verdict compared nothing.
        ByteCheck::Pending(verdict) => match verdict.recv() {
            Ok(compared) => verification.finish_with(&compared?),
            Err(_) => verification.finish(),
        },
    }
}

/// Draws what is looked at of this use, and verifies it.
fn verify_outputs<'o, 'v: 'o, E: Engine>(
    block: &LoadedBlock<E>,
    verification: &mut UseVerification<'_>,
    outputs: &'o BlockOutputs<E::Value>,
    input: &(dyn Fn(&str) -> Option<&'v E::Value> + Sync),
) -> Result<(), CheckFault>
where
    E::Value: 'v,
{
    let value = |name: &str| -> Option<&'o E::Value> { outputs.find(name).or_else(|| input(name)) };
    let find = |name: &str| -> Option<View<'o>> { block.engine().view(value(name)?) };
    let drawn = UseVerification::draw()?;
    // Where sums say nothing, a second run does: an output that nobody made up comes again, and so does the rest, whether
    // it was drawn or not: what was made up in between may be why the sums say nothing.
    let complete = match verification.verify_outputs(block.bytes(), drawn, &find) {
        Ok(Completeness { complete, doubtful }) => {
            if let Some(part) = doubtful {
                runs_from_a_copy(block, outputs, input, part)?;
            }
            if !complete {
                runs_from_a_copy(block, outputs, input, usize::MAX)?;
            }
            complete
        }
        Err(CheckFault::OutOfRange { part }) => {
            runs_from_a_copy(block, outputs, input, part)?;
            recompute(block, &value)?;
            return Err(CheckFault::OutOfRange { part });
        }
        Err(fault) => return Err(fault),
    };
    // It is claimed only where all that it starts from was verified: where it was drawn, with every product, and at every
    // place.
    let drawn = verification.plan().recomputes(drawn);
    if (drawn || !complete)
        && let Some(values) = recompute(block, &value)?
        && drawn
        && complete
    {
        verification.recomputed(values);
    }
    Ok(())
}

impl<E: Engine> std::fmt::Debug for BlockUse<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockUse").field("block", &self.block).finish_non_exhaustive()
    }
}

impl<E: Engine> std::fmt::Debug for Unchecked<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unchecked").field("block", &self.of.block).finish_non_exhaustive()
    }
}

impl<V> std::fmt::Debug for VerifiedOutputs<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedOutputs").field("measure", &self.measure).finish_non_exhaustive()
    }
}
