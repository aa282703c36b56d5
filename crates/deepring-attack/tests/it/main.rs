//! Integration tests, in one binary.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly"
)]

mod checkpoint;
mod data_sets;
mod edges;
mod evaluate;
mod golden;
mod graph;
mod half;
mod kinds;
mod neutral;
mod onnxruntime;
mod quantised;
mod refusals;
mod ring;
#[path = "../../../deepring-testkit/src/skip.rs"]
mod skip;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deepring_attack::{
    AttackError, Attacked, Evaluator, Family, Kind, Network, Options, Samples, Split, attack,
};

/// The networks that are tracked with the project.
const NETWORKS: [&str; 2] = ["fashion-lenet5", "fashion-resnet8"];

fn zoo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo")
}

fn network(name: &str) -> Network {
    Network::read(&zoo().join(name).with_extension("onnx")).unwrap()
}

/// So many of the tracked pictures.
fn evaluator(count: usize) -> Evaluator {
    let samples = Samples::open(&zoo().join("fashion-sample"), Split::Test, None).unwrap();
    Evaluator::new(Arc::new(samples.choose(count, 1)), 2)
}

fn options(seed: u64) -> Options {
    Options { seed, ..Options::default() }
}

/// The attacks that search need minutes, and have tests of their own.
fn kinds() -> impl Iterator<Item = Kind> {
    Kind::all().iter().copied().filter(|k| !matches!(k.family(), Family::Search | Family::Ring))
}

/// The attack, with few tries where it searches; `None`, where it finds nothing or cannot be built.
fn made(network: &Network, kind: Kind, seed: u64, evaluator: &Evaluator) -> Option<Attacked> {
    let flips = (kind == Kind::ExponentWorst).then_some(4);
    let options = Options { flips, ..options(seed) };
    match attack(network, kind, &options, Some(evaluator), &|_| ()) {
        Ok(attacked) => Some(attacked),
        Err(AttackError::NotApplicable { .. } | AttackError::NeedsGradients { .. }) => None,
        Err(error) => panic!("{kind}: {error}"),
    }
}
