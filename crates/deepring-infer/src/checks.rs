//! The checks of a block at each use.
//!
//! A block's parameters fall into three classes. Those of linear operators can be checked by their *product*: the
//! output is verified against a secret projection, which costs one look at the activations whatever the size of the weights.
//! Of *tables*, the rows that a run gathers are verified as they were gathered. Of all *others*, and of linear operators for
//! which it is cheaper, every byte is compared with its tag. A product says that the output is right up to rounding; so
//! the bytes under products are compared in rotation besides, a share at each use. The *rest*, operators without
//! parameters of these classes, is computed a second time.
//!
//! A use is [begun](BlockCheck::begin) under a plan, compared and verified, and ends in a [`Measure`]: what was really
//! compared, and nothing that was only planned.

mod block_check;
mod cost;
mod direct;
mod external;
mod integer;
mod margin;
mod measure;
mod operators;
mod plan;
mod products;
mod projection;
mod recomputed;
mod reductions;
mod rotation;
mod rows;
mod secret;
mod shared_tags;
mod terms;
mod transcript;
mod usage;
mod vault;
mod window;

use std::ops::Range;

pub(crate) use block_check::BlockCheck;
#[cfg(test)]
pub(crate) use block_check::SECRET_LIFE;
pub(crate) use cost::{BlockCosts, Choice};
pub(crate) use external::names_parts_alone;
pub use measure::{Measure, PartMeasure};
pub(crate) use operators::{Arithmetic, Operators, exposing};
#[cfg(test)]
pub(crate) use plan::CheckPlan;
pub(crate) use plan::PlanKind;
pub(crate) use projection::LIMIT;
pub(crate) use recomputed::Recomputed;
pub(crate) use rotation::ROTATION;
pub(crate) use shared_tags::{SharedPieces, SharedTags};
pub(crate) use usage::{Completeness, UseVerification};
pub(crate) use vault::Draft;

/// How a block is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// Every byte.
    Bytes,
    /// Products wherever there are any.
    Compute,
    /// The same, for an engine that gives the same bits for a whole graph alone, and not for a part of it.
    ComputeWhole,
    /// The cheaper of both, and a draw.
    Auto,
}

/// A failure that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CheckFault {
    /// Live bytes are not what they were: part and range.
    Bytes { part: usize, range: Range<usize> },
    /// A row that was gathered is not that of the table.
    Row { part: usize, row: Option<usize> },
    /// An operator's output is not that of its sealed parameters; the part is that of its weights.
    Product { part: usize },
    /// A value that no product covers is not what a second program computes.
    Recomputed { value: String },
    /// Activations are so large that nothing can be said of an operator's output; the part is that of its weights. No
    /// fault if the block's bytes fit.
    OutOfRange { part: usize },
    /// The memory of the check itself is not what it was.
    Structure,
    /// Nothing was compared of a part of which the plan promises something.
    NothingCompared { part: usize },
    /// An earlier use found a fault; the block must be opened anew.
    Retired,
    /// There is no memory for the check's secrets or copies. Nothing can be said, which is no tampering.
    NoMemory,
    /// The system gives no randomness. Nothing can be said, which is no tampering.
    NoRandomness,
    /// The engine did not load or run what is computed a second time. Nothing can be said, which is no tampering.
    Engine { reason: String },
}
