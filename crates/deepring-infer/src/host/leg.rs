//! A leg of blocks over a batch of queries: which values live how long, which plan each block follows, and what was
//! measured meanwhile.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use deepring::receipt::Checked;
use deepring::{Check, Coverage, Header, TensorSpec, TensorValue};

use super::background::{self, Background};
use super::block::LoadedBlock;
use super::block_use::{BlockUse, Unchecked, VerifiedOutputs};
use super::{RingHost, Timings};
use crate::checks::{CheckFault, PlanKind, ROTATION};
use crate::engine::{Engine, Input};
use crate::error::{Rejected, RunError};

/// Queries that pass a block together, one after the other, and so find its parameters in the cache.
const MOST_MICRO_BATCH: usize = 32;
/// Bytes that values of queries between two blocks may take; fewer queries pass together if theirs are large.
const BETWEEN_BLOCKS: u64 = 64 << 20;

/// Values by name, in the engine's form.
pub(super) type LiveValues<E> = HashMap<String, <E as Engine>::Value>;

/// A block's inputs in the order of its header, and the names of those that are lent for its check alone.
pub(super) type BlockInputs<'v, E> = (Vec<Input<'v, <E as Engine>::Value>>, Vec<String>);

/// A use of the next block, begun before this one's outputs were taken in; `None` where there was nobody to begin it.
type Ahead<'a, E> = Option<Result<BlockUse<'a, E>, RunError>>;

/// The outputs of a leg, and the coverage that every query had of each part of each block.
pub(super) struct Ran {
    pub(super) outputs: Vec<Vec<TensorValue>>,
    pub(super) checked: Checked,
    pub(super) timings: Timings,
}

struct Leg<'a, E: Engine> {
    host: &'a RingHost<E>,
    range: Range<u32>,
    /// The plan of each block: chosen before the batch begins and kept for all of it.
    plans: Vec<Option<PlanKind>>,
    leaving: Vec<&'a TensorSpec>,
    coverage: Vec<Option<Vec<Coverage>>>,
    rejected: Vec<Rejected>,
    timings: Timings,
}

/// One query on its way: its number in the batch, and what later blocks read of it.
struct Query<E: Engine> {
    number: usize,
    values: LiveValues<E>,
}

/// Runs the blocks in `range` on each query.
///
/// # Errors
/// [`RunError::Rejected`] names every query whose inputs are at fault; the others may be asked again without them.
pub(super) fn run<'a, E: Engine>(
    host: &'a RingHost<E>,
    batch: &[Vec<TensorValue>],
    range: Range<u32>,
) -> Result<Ran, RunError> {
    let mut leg = Leg {
        host,
        leaving: leaving(host, &range),
        plans: host.plans(&range)?,
        coverage: vec![None; range.len()],
        range,
        rejected: Vec::new(),
        timings: Timings::default(),
    };
    let mut outputs = Vec::with_capacity(batch.len());
    let micro_batch = leg.micro_batch(batch);
    for (i, queries) in batch.chunks(micro_batch).enumerate() {
        let mut live = leg.import(queries, i * micro_batch)?;
        let mut all_blocks = |beside: Option<&Background<'a, E>>| {
            let mut ready = None;
            for index in leg.range.clone() {
                ready = leg.block(index, &mut live, beside, ready)?;
            }
            Ok::<(), RunError>(())
        };
        match host.background {
            true => background::beside(|beside| all_blocks(Some(beside)))?,
            false => all_blocks(None)?,
        }
        leg.export(live, &mut outputs)?;
    }
    leg.finish(outputs)
}

/// The tensors that leave the last block of a leg.
pub(super) fn leaving<'a, E: Engine>(
    host: &'a RingHost<E>,
    range: &Range<u32>,
) -> Vec<&'a TensorSpec> {
    range.end.checked_sub(1).map(|last| host.ring.live_after(last)).unwrap_or_default()
}

/// A query's tensors in the engine's form.
pub(super) fn imported<E: Engine>(
    engine: &E,
    tensors: &[TensorValue],
) -> Result<LiveValues<E>, RunError> {
    tensors.iter().map(|t| Ok((t.name().to_owned(), engine.import(t)?))).collect()
}

/// These of a query's values, out of the engine's form.
pub(super) fn exported<E: Engine>(
    engine: &E,
    values: &LiveValues<E>,
    specs: &[&TensorSpec],
) -> Result<Vec<TensorValue>, RunError> {
    let export = |spec: &&TensorSpec| match values.get(&spec.name) {
        Some(value) => Ok(engine.export(value, spec)?),
        None => Err(RunError::MissingTensor { name: spec.name.clone() }),
    };
    specs.iter().map(export).collect()
}

impl<'a, E: Engine> Leg<'a, E> {
    fn finish(self, outputs: Vec<Vec<TensorValue>>) -> Result<Ran, RunError> {
        if !self.rejected.is_empty() {
            return Err(RunError::Rejected(self.rejected));
        }
        let coverage: Vec<Vec<Coverage>> =
            self.coverage.into_iter().map(Option::unwrap_or_default).collect();
        let in_rotation = |c: &Coverage| matches!(c, Coverage::Product | Coverage::Either);
        let rotation = if coverage.iter().flatten().any(in_rotation) { ROTATION } else { 0 };
        let checked = Checked::new(self.host.check, rotation, coverage)?;
        Ok(Ran { outputs, checked, timings: self.timings })
    }

    /// How many queries pass together.
    fn micro_batch(&self, batch: &[Vec<TensorValue>]) -> usize {
        let bytes = |tensors: &Vec<TensorValue>| {
            tensors.iter().map(|t| t.data().len() as u64).sum::<u64>().max(1)
        };
        let entering = batch.iter().map(bytes).max().unwrap_or(1);
        let widest = self.range.clone().filter_map(|i| {
            let live = self.host.ring.live_after(i);
            live.iter().map(|s| Some(s.len()?.saturating_mul(s.dtype.size() as u64))).sum()
        });
        let widest = widest.max().unwrap_or(0).max(entering);
        usize::try_from(BETWEEN_BLOCKS / widest)
            .unwrap_or(MOST_MICRO_BATCH)
            .clamp(1, MOST_MICRO_BATCH)
    }

    fn import(
        &mut self,
        queries: &[Vec<TensorValue>],
        first: usize,
    ) -> Result<Vec<Query<E>>, RunError> {
        let start = Instant::now();
        let query = |(number, tensors): (usize, &Vec<TensorValue>)| {
            Ok(Query { number, values: imported(&*self.host.engine, tensors)? })
        };
        let live = (first..).zip(queries).map(query).collect::<Result<_, RunError>>()?;
        self.timings.receipt += start.elapsed();
        Ok(live)
    }

    fn export(
        &mut self,
        live: Vec<Query<E>>,
        outputs: &mut Vec<Vec<TensorValue>>,
    ) -> Result<(), RunError> {
        let start = Instant::now();
        for query in live {
            outputs.push(exported(&*self.host.engine, &query.values, &self.leaving)?);
        }
        self.timings.receipt += start.elapsed();
        Ok(())
    }

    /// One block on all queries: each use computed and verified; with the last, the next block's begun. `ready` is a use of this
    /// one that was begun so, and what comes back is one of the next.
    fn block(
        &mut self,
        index: u32,
        live: &mut Vec<Query<E>>,
        beside: Option<&Background<'a, E>>,
        mut ready: Option<BlockUse<'a, E>>,
    ) -> Result<Option<BlockUse<'a, E>>, RunError> {
        let block = self.host.loaded_block(index)?;
        let kept = self.kept(index, block.header());
        let mut ahead = None;
        let mut answered = Vec::with_capacity(live.len());
        let count = live.len();
        for (i, mut query) in live.drain(..).enumerate() {
            let begun = match ready.take() {
                Some(ready) => ready,
                None => self.begin(block, beside)?,
            };
            let next = self.next_block(index, beside).filter(|_| i + 1 == count);
            match self.run_use(begun, next, &kept, &mut query.values) {
                Ok(begun) => {
                    ahead = begun.transpose()?;
                    answered.push(query);
                }
                Err(RunError::Input(error)) => {
                    self.rejected.push(Rejected { query: query.number, error });
                }
                Err(e) => return Err(e),
            }
        }
        *live = answered;
        Ok(ahead)
    }

    /// One use on one query's values, its outputs in the place of what only it read; and the use of `next`, begun meanwhile.
    fn run_use(
        &mut self,
        begun: BlockUse<'a, E>,
        next: Option<&'a LoadedBlock<E>>,
        kept: &[bool],
        values: &mut LiveValues<E>,
    ) -> Result<Ahead<'a, E>, RunError> {
        let block = begun.block();
        let (inputs, lent) = inputs_of(block, kept, values)?;
        let unchecked = begun.run(inputs)?;
        let (verified, ahead) = self.verify_beside(unchecked, next, values)?;
        self.take_in(block, verified, &lent, values);
        Ok(ahead)
    }

    /// Verifies a use while that of `next` is begun: one thread looks at what this block computed, the other at what the next one
    /// will read.
    fn verify_beside(
        &self,
        unchecked: Unchecked<'a, E>,
        next: Option<&'a LoadedBlock<E>>,
        values: &LiveValues<E>,
    ) -> Result<(VerifiedOutputs<E::Value>, Ahead<'a, E>), RunError> {
        let input = |name: &str| values.get(name);
        let Some(next) = next else { return Ok((unchecked.verify(&input)?, None)) };
        let begin = || self.begin(next, None);
        let (verified, begun) = rayon::join(|| unchecked.verify(&input), begin);
        Ok((verified?, Some(begun)))
    }

    /// The block whose bytes can be compared while this one's outputs are verified.
    fn next_block(
        &self,
        index: u32,
        beside: Option<&Background<'a, E>>,
    ) -> Option<&'a LoadedBlock<E>> {
        let idle = beside.is_none() && rayon::current_num_threads() > 1;
        let next = (idle && index + 1 < self.range.end).then_some(index + 1)?;
        self.host.loaded_block(next).ok().filter(|block| block.keeps_inputs())
    }

    /// Begins one use: of a spot check, if it is drawn.
    fn begin(
        &self,
        block: &'a LoadedBlock<E>,
        beside: Option<&Background<'a, E>>,
    ) -> Result<BlockUse<'a, E>, RunError> {
        let at = (block.header().index - self.range.start) as usize;
        let plan = self.plans.get(at).copied().flatten();
        let plan = match self.host.check {
            Check::None | Check::Load => None,
            Check::Spot(share) if !self.host.samples(share)? => None,
            // Fails closed: a list that says otherwise than the check is not this leg's.
            check => match plan.filter(|kind| kind.keeps(check)) {
                Some(kind) => Some(kind),
                None => return Err(block.handle_fault(CheckFault::Structure)),
            },
        };
        let begun = block.begin_as(plan)?;
        match (beside, plan) {
            (Some(beside), Some(kind)) => Ok(begun.bytes_elsewhere(beside.compare(block, kind))),
            _ => begun.compare_bytes(),
        }
    }

    /// A use's verified outputs, in the place of what was lent for its check alone; its measure and its times.
    fn take_in(
        &mut self,
        block: &LoadedBlock<E>,
        verified: VerifiedOutputs<E::Value>,
        lent: &[String],
        values: &mut LiveValues<E>,
    ) {
        let VerifiedOutputs { outputs, measure, times } = verified;
        self.timings.engine += times.engine;
        self.timings.check += times.check;
        lent.iter().for_each(|name| drop(values.remove(name)));
        values.extend(outputs.into_outputs());
        let header = block.header();
        let coverage = measure.map_or_else(|| self.unmeasured(header), |m| m.coverage());
        self.note(header.index, coverage);
    }

    /// The coverage of a block's parts for a query for which nothing was compared.
    fn unmeasured(&self, header: &Header) -> Vec<Coverage> {
        let had = match self.host.check {
            Check::None => Coverage::Unchecked,
            _ => Coverage::Opened,
        };
        vec![had; header.parts.len()]
    }

    /// Of the block's inputs, those that a later block reads or that leave the leg.
    fn kept(&self, index: u32, header: &Header) -> Vec<bool> {
        let later = |name: &str| {
            self.leaving.iter().any(|t| t.name == name)
                || (index + 1..self.range.end)
                    .filter_map(|i| self.host.header(i))
                    .any(|h| h.inputs.iter().any(|t| t.name == name))
        };
        header.inputs.iter().map(|spec| later(&spec.name)).collect()
    }

    /// Remembers what every query had so far.
    fn note(&mut self, index: u32, had: Vec<Coverage>) {
        let Some(place) = self.coverage.get_mut((index - self.range.start) as usize) else {
            return;
        };
        match place {
            Some(before) => before.iter_mut().zip(had).for_each(|(b, h)| *b = b.meet(h)),
            None => *place = Some(had),
        }
    }
}

/// The inputs of a block, of one query's values. What nothing after it reads, its check neither, is given away, so that
/// the engine may work in place; the names of what is lent for the check alone come back.
pub(super) fn inputs_of<'v, E: Engine>(
    block: &LoadedBlock<E>,
    kept: &[bool],
    values: &'v mut LiveValues<E>,
) -> Result<BlockInputs<'v, E>, RunError> {
    let header = block.header();
    let mut lent = Vec::new();
    let mut given: Vec<Option<E::Value>> = Vec::with_capacity(header.inputs.len());
    for (i, (spec, kept)) in header.inputs.iter().zip(kept).enumerate() {
        let again = header.inputs.iter().skip(i + 1).any(|t| t.name == spec.name);
        let looked_at = block.keeps_inputs();
        if !kept && looked_at {
            lent.push(spec.name.clone());
        }
        let stays = *kept || again || looked_at;
        given.push(if stays { None } else { values.remove(&spec.name) });
    }
    let values: &'v LiveValues<E> = values;
    let inputs = header
        .inputs
        .iter()
        .zip(given)
        .map(|(spec, given)| match given {
            Some(value) => Ok(Input::Owned(value)),
            None => values
                .get(&spec.name)
                .map(Input::Borrowed)
                .ok_or_else(|| RunError::MissingTensor { name: spec.name.clone() }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((inputs, lent))
}
