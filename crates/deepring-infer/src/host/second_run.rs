//! Computing once more what was computed, and comparing it bit for bit.

use std::time::Instant;

use deepring::TensorSpec;

use super::block::LoadedBlock;
use super::block_outputs::BlockOutputs;
use crate::checks::CheckFault;
use crate::engine::{Engine, EngineError, Input};

/// Runs the block anew on the same inputs, with parameters that were just copied and compared with their tags; what differs
/// is a fault of the weights that are `part`. Whoever had the engine read other bytes for a moment would have to find the
/// copy, and do so there too.
pub(super) fn runs_from_a_copy<'v, E: Engine>(
    block: &LoadedBlock<E>,
    outputs: &BlockOutputs<E::Value>,
    input: &(dyn Fn(&str) -> Option<&'v E::Value> + Sync),
    part: usize,
) -> Result<(), CheckFault>
where
    E::Value: 'v,
{
    let (copy, program) = block.copied()?;
    let program = copy.program(program).ok_or(CheckFault::Structure)?;
    compare(block, program, outputs, input, part)
}

fn compare<'v, E: Engine>(
    block: &LoadedBlock<E>,
    program: &E::Program,
    outputs: &BlockOutputs<E::Value>,
    input: &(dyn Fn(&str) -> Option<&'v E::Value> + Sync),
    part: usize,
) -> Result<(), CheckFault>
where
    E::Value: 'v,
{
    let wrong = || CheckFault::Product { part };
    let lent = |spec: &TensorSpec| input(&spec.name).map(Input::Borrowed).ok_or_else(wrong);
    let inputs = block.header().inputs.iter().map(lent).collect::<Result<Vec<_>, _>>()?;
    let again = block.engine().run(program, inputs).map_err(not_run)?;
    let same = |(a, b): (&E::Value, &E::Value)| block.engine().same(a, b);
    // What is shown to the next host besides comes after these.
    let all = outputs.all();
    let as_many = again.len() == block.given_out().len() && all.len() >= again.len();
    if as_many && all.iter().zip(&again).all(same) { Ok(()) } else { Err(wrong()) }
}

/// The fault of a second run that fails where the first did not: it lacks something that is no parameter.
fn not_run(e: EngineError) -> CheckFault {
    CheckFault::Engine { reason: e.to_string() }
}

/// Computes the rest of the block a second time, and compares. Returns how many values; `None` where there is no such
/// program.
pub(super) fn recompute<'v, E: Engine>(
    block: &LoadedBlock<E>,
    value: &(dyn Fn(&str) -> Option<&'v E::Value> + Sync),
) -> Result<Option<usize>, CheckFault>
where
    E::Value: 'v,
{
    let Some((recomputed, program)) = block.recomputed() else { return Ok(None) };
    let Some(program) = program else {
        return if recomputed.outputs.is_empty() {
            Ok(Some(0))
        } else {
            Err(CheckFault::Structure)
        };
    };
    let start = Instant::now();
    let differs = |name: &str| CheckFault::Recomputed { value: name.to_owned() };
    let given = |name: &String| value(name).map(Input::Borrowed).ok_or_else(|| differs(name));
    let inputs = recomputed.inputs.iter().map(given).collect::<Result<Vec<_>, _>>()?;
    let again = block.engine().run(program, inputs).map_err(not_run)?;
    if again.len() != recomputed.outputs.len() {
        return Err(CheckFault::Structure);
    }
    for (name, again) in recomputed.outputs.iter().zip(&again) {
        if !value(name).is_some_and(|first| block.engine().same(first, again)) {
            return Err(differs(name));
        }
    }
    if let Some(check) = block.check() {
        check.observed().recomputed(start.elapsed());
    }
    Ok(Some(again.len()))
}
