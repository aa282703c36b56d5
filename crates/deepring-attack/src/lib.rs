//! Tampering with networks: the attacks, the defences against them, and their evaluation.
//!
//! A [`Network`] is a plain ONNX file that can be edited and stays valid. [`attack()`] makes one [`Kind`] of the
//! [catalogue](Kind::all) on it with a seed; [`Differences`] tells, from the two networks alone, what was
//! changed. [`Samples`] are labelled inputs, and a [`Evaluator`] says how well a network answers them.
//! [`protect`](defence::protect) builds one of the [defences](defence::DefenceKind) that DeepRing is compared with, and
//! [`evade`](defence::evade) is the attacker who knows that defence.
//!
//! # Crate features
//!
//! - `gradients`: attacks that search by gradients, and the networks' sensitivity by layer. Off by default: it compiles candle.
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use deepring_attack::{Differences, Kind, Network, Options, attack};
//!
//! # let file = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../zoo/fashion-lenet5.onnx"));
//! let network = Network::read(file)?;
//! let options = Options { seed: 1, flips: Some(3), ..Options::default() };
//! let attacked = attack(&network, Kind::SignDnl, &options, None, &|_| ())?;
//! let differences = Differences::between(&network, &attacked.network);
//! assert_eq!(differences.tensors.iter().map(|t| t.elements.len()).sum::<usize>(), 3);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make and damage files of their own")
)]

mod attack;
mod bits;
pub mod catalogue;
pub mod defence;
pub mod differences;
pub mod evaluate;
pub mod evaluator;
#[cfg(feature = "gradients")]
pub mod gradient;
mod graph;
pub mod network;
pub mod quantise;
pub mod report;
pub mod ring;
pub mod samples;
mod search;
pub mod sensitivity;
mod weights;

pub use attack::{AttackError, Attacked, Options, Step, Target, attack, attack_until};
pub use catalogue::{Family, Kind, Needs, Scope};
pub use differences::Differences;
pub use evaluator::{Evaluator, Predictions};
pub use graph::apply_trigger;
pub use network::Network;
pub use quantise::quantise;
pub use samples::{Samples, Split};
