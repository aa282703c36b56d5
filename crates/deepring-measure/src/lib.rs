//! Times of two things beside each other: runs in turn, and what many of them come to.
//!
//! A time on its own says as much of the machine as of the program. So every number that DeepRing states of its cost is
//! of pairs ([`in_turn`]): what is measured beside what it is compared with, a few milliseconds apart, by turns first.
//! [`PairSummary`] has the medians and the ratio; [`Quantiles`] those of any numbers.
//! docs/PERFORMANCE.md says which numbers are published and why these.
#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]

mod pairs;
mod summary;

pub use pairs::{Pair, Rounds, Timed, in_turn, timed};
pub use summary::{PairSummary, Quantiles, Ratio, median, milliseconds};
