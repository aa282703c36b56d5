//! A stretch of blocks over a batch of queries: which values live how long, and what was checked meanwhile.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use deepring::{Check, Checked, Coverage, DType, Header, TensorSpec, TensorValue};

use super::live::{Given, Live};
use super::shadow::{self, Shadow};
use super::{RingHost, Split};
use crate::checks::{Fault, ROTATION};
use crate::engine::{Elements, Engine, EngineError, Input, View};
use crate::error::RunError;

/// Queries that pass a block together, one after the other: so many share one look at its bytes where the
/// check allows that, and find its parameters in the cache.
const TOGETHER: usize = 32;
/// Bytes that values of queries between two blocks may take; fewer queries pass together if theirs are large.
const BETWEEN_BLOCKS: u64 = 64 << 20;

/// Values by name, in the engine's form.
pub(super) type Values<E> = HashMap<String, <E as Engine>::Value>;

/// What ran, and what each part of each block had for every query.
pub(super) struct Ran {
    pub(super) outputs: Vec<Vec<TensorValue>>,
    pub(super) checked: Checked,
    /// For each query what the next host is shown; empty where it could not check it.
    pub(super) witness: Vec<Vec<TensorValue>>,
    pub(super) split: Split,
}

struct Stretch<'a, E: Engine> {
    host: &'a RingHost<E>,
    range: Range<u32>,
    leaving: Vec<&'a TensorSpec>,
    coverage: Vec<Option<Vec<Coverage>>>,
    /// What was shown so far, if it is wanted.
    witness: Option<Vec<Vec<TensorValue>>>,
    split: Split,
}

/// Runs the blocks in `range` on each query; `shown` if the next host is to see what the last one computed.
pub(super) fn run<E: Engine>(
    host: &RingHost<E>,
    batch: &[Vec<TensorValue>],
    range: Range<u32>,
    shown: bool,
) -> Result<Ran, RunError> {
    let leaving = range.end.checked_sub(1).map(|last| host.ring.live_after(last));
    let mut stretch = Stretch {
        host,
        leaving: leaving.unwrap_or_default(),
        coverage: vec![None; range.len()],
        range,
        witness: shown.then(Vec::new),
        split: Split::default(),
    };
    let mut outputs = Vec::with_capacity(batch.len());
    for queries in batch.chunks(stretch.together(batch)) {
        stretch.pass(queries, &mut outputs)?;
    }
    let coverage: Vec<Vec<Coverage>> =
        stretch.coverage.into_iter().map(Option::unwrap_or_default).collect();
    let rotates = coverage.iter().flatten().any(|c| c.rotates());
    let rotation = if rotates { ROTATION } else { 0 };
    let checked = Checked::new(host.check, rotation, coverage)?;
    let mut witness = stretch.witness.unwrap_or_default();
    // A single block's host shows all that it was given: that has a digest in the record before.
    if stretch.range.len() == 1 {
        for (shown, given) in witness.iter_mut().zip(batch) {
            shown.extend(given.iter().cloned());
        }
    }
    Ok(Ran { outputs, checked, witness, split: stretch.split })
}

impl<'a, E: Engine> Stretch<'a, E> {
    /// How many queries pass together.
    fn together(&self, batch: &[Vec<TensorValue>]) -> usize {
        let bytes = |tensors: &Vec<TensorValue>| {
            tensors.iter().map(|t| t.data().len() as u64).sum::<u64>().max(1)
        };
        let entering = batch.iter().map(bytes).max().unwrap_or(1);
        let widest = self.range.clone().filter_map(|i| {
            let live = self.host.ring.live_after(i);
            live.iter().map(|s| Some(s.len()?.saturating_mul(s.dtype.size() as u64))).sum()
        });
        let widest = widest.max().unwrap_or(0).max(entering);
        usize::try_from(BETWEEN_BLOCKS / widest).unwrap_or(TOGETHER).clamp(1, TOGETHER)
    }

    /// Some queries through all blocks, block by block.
    fn pass(
        &mut self,
        queries: &[Vec<TensorValue>],
        outputs: &mut Vec<Vec<TensorValue>>,
    ) -> Result<(), RunError> {
        let start = Instant::now();
        let engine = &*self.host.engine;
        let import = |tensors: &Vec<TensorValue>| {
            tensors.iter().map(|t| Ok((t.name().to_owned(), engine.import(t)?))).collect()
        };
        let mut live: Vec<Values<E>> =
            queries.iter().map(import).collect::<Result<_, RunError>>()?;
        self.split.receipt += start.elapsed();
        if self.host.shadow {
            let host = self.host;
            shadow::beside(host, |shadow| self.blocks(&mut live, Some(shadow)))?;
        } else {
            self.blocks(&mut live, None)?;
        }
        let start = Instant::now();
        for values in live {
            let given = self.leaving.iter().map(|spec| match values.get(&spec.name) {
                Some(value) => Ok(engine.export(value, spec)?),
                None => Err(RunError::MissingTensor { name: spec.name.clone() }),
            });
            outputs.push(given.collect::<Result<_, RunError>>()?);
        }
        self.split.receipt += start.elapsed();
        Ok(())
    }

    fn blocks(&mut self, live: &mut [Values<E>], shadow: Option<&Shadow>) -> Result<(), RunError> {
        let mut seen = false;
        for index in self.range.clone() {
            seen = self.block(index, live, shadow, seen)?;
        }
        Ok(())
    }

    /// One block on all queries. `seen` says that its bytes have been compared for this use already; the answer
    /// says so of the next block.
    fn block(
        &mut self,
        index: u32,
        live: &mut [Values<E>],
        shadow: Option<&Shadow>,
        seen: bool,
    ) -> Result<bool, RunError> {
        let host = self.host;
        let (block, header) = self.at(index)?;
        let refuse = |fault: Fault| block.describe(&host.ring, &host.key, header, fault);
        // `run` promises every byte for each query, `spot` decides for each; the others share a look.
        let shared = matches!(host.check, Check::Auto | Check::Compute);
        let together = if shared { live.len() } else { 1 };
        let watch = block.watch(together);
        let before = |watch| match shadow {
            Some(shadow) => {
                shadow.look_at(index, together);
                Ok(())
            }
            None => block.before(header, watch, true).map_err(refuse),
        };
        if let (Some(watch), true, false) = (watch, shared, seen) {
            self.timed(|| before(watch))?;
        }
        let (kept, last) = (self.kept(index, header), live.len().saturating_sub(1));
        let last_block = index + 1 == self.range.end;
        let shows = block.shows().filter(|_| last_block && self.witness.is_some());
        let mut seen_next = false;
        for (number, values) in live.iter_mut().enumerate() {
            let looked_at = match (watch, host.check) {
                (Some(watch), Check::Run) => Some(watch),
                (Some(watch), Check::Spot(share)) => host.picks(share)?.then_some(watch),
                _ => None,
            };
            if let Some(watch) = looked_at {
                self.timed(|| before(watch))?;
            }
            let shown = if shared { watch } else { None };
            let mut witness = match shows {
                Some(_) if self.range.len() > 1 => entering(host, header, values)?,
                _ => Vec::new(),
            };
            let start = Instant::now();
            let (given, lent) =
                compute(host, block, header, shown, shows.unwrap_or_default(), &kept, values)?;
            self.split.engine += start.elapsed();
            if let (Some(names), Some(all)) = (shows, &mut self.witness) {
                for name in names {
                    let value = given.find(name).and_then(|v| host.engine.view(v));
                    let missing = || RunError::MissingTensor { name: name.clone() };
                    witness.push(as_held(name, &value.ok_or_else(missing)?)?);
                }
                all.push(witness);
            }
            if let Some(watch) = shown {
                let input = |name: &str| values.get(name);
                let fit =
                    || block.outputs_fit(&*host.engine, watch, &given, &input).map_err(refuse);
                // One thread looks at what this block gave, the other at what the next one will read.
                let ahead = number == last && shadow.is_none() && rayon::current_num_threads() > 1;
                match self.at(index + 1) {
                    Ok(next) if ahead && index + 1 < self.range.end => {
                        let look = || self.look_ahead(next, together);
                        let start = Instant::now();
                        let (fit, looked) = rayon::join(fit, look);
                        self.split.check += start.elapsed();
                        fit?;
                        looked?;
                        seen_next = true;
                    }
                    _ => self.timed(fit)?,
                }
            }
            lent.iter().for_each(|name| drop(values.remove(name)));
            values.extend(given.into_outputs());
            let spared = matches!(host.check, Check::Spot(_)) && looked_at.is_none();
            let watched = if spared { None } else { watch };
            self.note(index, block.coverage(header, watched, host.check));
        }
        if let (Some(watch), true) = (watch, shared) {
            self.timed(|| block.after(watch)).map_err(refuse)?;
        }
        Ok(seen_next)
    }

    fn at(&self, index: u32) -> Result<(&'a Live<E>, &'a Header), RunError> {
        let header = self.host.header(index).ok_or(RunError::NoGraph { block: index })?;
        Ok((self.host.block(index)?, header))
    }

    fn look_ahead(
        &self,
        (block, header): (&Live<E>, &Header),
        together: usize,
    ) -> Result<(), RunError> {
        let Some(watch) = block.watch(together) else { return Ok(()) };
        let refuse = |fault: Fault| block.describe(&self.host.ring, &self.host.key, header, fault);
        block.before(header, watch, true).map_err(refuse)
    }

    fn timed<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.split.check += start.elapsed();
        done
    }

    /// Of the block's inputs, those that a later block reads or that leave the stretch.
    fn kept(&self, index: u32, header: &Header) -> Vec<bool> {
        let later = |name: &str| {
            self.leaving.iter().any(|t| t.name == name)
                || (index + 1..self.range.end)
                    .filter_map(|i| self.host.header(i))
                    .any(|h| h.inputs.iter().any(|t| t.name == name))
        };
        header.inputs.iter().map(|spec| later(&spec.name)).collect()
    }

    /// Remembers what each part had for every query so far.
    fn note(&mut self, index: u32, had: Vec<Coverage>) {
        let Some(place) = self.coverage.get_mut((index - self.range.start) as usize) else {
            return;
        };
        match place {
            Some(before) => before.iter_mut().zip(had).for_each(|(b, h)| *b = (*b).meet(h)),
            None => *place = Some(had),
        }
    }
}

/// What a block reads, as the ring declares it.
fn entering<E: Engine>(
    host: &RingHost<E>,
    header: &Header,
    values: &Values<E>,
) -> Result<Vec<TensorValue>, RunError> {
    let one = |spec: &TensorSpec| match values.get(&spec.name) {
        Some(value) => Ok(host.engine.export(value, spec)?),
        None => Err(RunError::MissingTensor { name: spec.name.clone() }),
    };
    header.inputs.iter().map(one).collect()
}

/// A value inside a block, for which the ring declares nothing: in the type in which the engine holds it.
fn as_held(name: &str, view: &View<'_>) -> Result<TensorValue, RunError> {
    let (dtype, data) = match &view.elements {
        Elements::F32(v) => (DType::F32, bytemuck::cast_slice(v).to_vec()),
        Elements::I32(v) => (DType::I32, bytemuck::cast_slice(v).to_vec()),
        Elements::I8(v) => (DType::I8, bytemuck::cast_slice(v).to_vec()),
        Elements::U8(v) => (DType::U8, v.to_vec()),
    };
    let dims = view.dims.iter().map(|d| *d as u64).collect();
    TensorValue::new(name, dtype, dims, data)
        .map_err(|e| EngineError::Value { name: name.to_owned(), reason: e.to_string() }.into())
}

/// Runs a block on one query's values. What nothing after it reads, its check neither, is given away, so that
/// the engine may work in place; the names of what was lent for the check alone come back.
pub(super) fn compute<E: Engine>(
    host: &RingHost<E>,
    block: &Live<E>,
    header: &Header,
    watch: Option<&crate::checks::Watch>,
    shown: &[String],
    kept: &[bool],
    values: &mut Values<E>,
) -> Result<(Given<E::Value>, Vec<String>), RunError> {
    let looks_at = |name: &str| watch.is_some_and(|w| w.looks_at().any(|n| n == name));
    let mut lent = Vec::new();
    let mut given: Vec<Option<E::Value>> = Vec::with_capacity(header.inputs.len());
    for (i, (spec, kept)) in header.inputs.iter().zip(kept).enumerate() {
        let again = header.inputs.iter().skip(i + 1).any(|t| t.name == spec.name);
        if !kept && looks_at(&spec.name) {
            lent.push(spec.name.clone());
        }
        let stays = *kept || again || looks_at(&spec.name);
        given.push(if stays { None } else { values.remove(&spec.name) });
    }
    let inputs = header
        .inputs
        .iter()
        .zip(given)
        .map(|(spec, given)| match given {
            Some(value) => Ok(Input::Given(value)),
            None => values
                .get(&spec.name)
                .map(Input::Lent)
                .ok_or_else(|| RunError::MissingTensor { name: spec.name.clone() }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((block.compute(&host.engine, header, watch, shown, inputs)?, lent))
}
