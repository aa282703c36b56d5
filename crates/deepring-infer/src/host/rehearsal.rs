//! The least that a check costs: the engine giving out what is looked at, the comparison of the bytes that are due, and
//! that of what came out, each alone. Measured, never answered with: what these runs compute is dropped.

use std::ops::Range;
use std::time::{Duration, Instant};

use deepring::TensorValue;

use super::RingHost;
use super::leg::{LiveValues, exported, imported, leaving};
use crate::engine::{Engine, Input};
use crate::error::RunError;

/// The values that enter and leave the blocks of one host for one query, all verified.
pub struct Rehearsal<E: Engine> {
    pub(crate) range: Range<u32>,
    values: LiveValues<E>,
}

/// The cost of the parts of a check alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Floor {
    /// The engine computes, and gives out all that the check looks at. Nothing is verified.
    pub engine: Duration,
    /// The bytes that are due before a use are compared. Nothing is computed.
    pub bytes: Duration,
    /// Every product is verified, what has none is computed a second time, and what is small is compared once more.
    pub outputs: Duration,
}

impl<E: Engine> Rehearsal<E> {
    /// Answers a query, every use verified whole, and keeps what passes between blocks. Gives what leaves the last one.
    pub(super) fn of(
        host: &RingHost<E>,
        query: &[TensorValue],
        range: Range<u32>,
    ) -> Result<(Vec<TensorValue>, Self), RunError> {
        let mut values = imported(&*host.engine, query)?;
        for index in range.clone() {
            let block = host.loaded_block(index)?;
            let unchecked = block.begin()?.run(inputs_of(block.header(), &values)?)?;
            let verified = unchecked.verify(&|name: &str| values.get(name))?;
            values.extend(verified.outputs.into_outputs());
        }
        let outputs = exported(&*host.engine, &values, &leaving(host, &range))?;
        Ok((outputs, Self { range, values }))
    }

    /// Runs every block's program on what entered it, and compares what is due, block by block.
    pub(super) fn floor(&self, host: &RingHost<E>) -> Result<Floor, RunError> {
        let mut floor = Floor::default();
        for (index, plan) in self.range.clone().zip(host.plans(&self.range)?) {
            let block = host.loaded_block(index)?;
            let start = Instant::now();
            drop(block.begin_as(plan)?.compare_bytes()?);
            floor.bytes += start.elapsed();
            let start = Instant::now();
            drop(block.begin_as(None)?.run(inputs_of(block.header(), &self.values)?)?);
            floor.engine += start.elapsed();
            let unchecked = block.begin()?.run(inputs_of(block.header(), &self.values)?)?;
            let start = Instant::now();
            drop(unchecked.verify(&|name: &str| self.values.get(name))?);
            floor.outputs += start.elapsed();
        }
        Ok(floor)
    }
}

fn inputs_of<'v, V>(
    header: &deepring::Header,
    values: &'v std::collections::HashMap<String, V>,
) -> Result<Vec<Input<'v, V>>, RunError> {
    let lent = |spec: &deepring::TensorSpec| {
        let missing = || RunError::MissingTensor { name: spec.name.clone() };
        values.get(&spec.name).map(Input::Borrowed).ok_or_else(missing)
    };
    header.inputs.iter().map(lent).collect()
}

impl<E: Engine> std::fmt::Debug for Rehearsal<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsal").field("range", &self.range).finish_non_exhaustive()
    }
}
