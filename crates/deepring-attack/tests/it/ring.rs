//! Rings under attack: each is refused by name, its honest twin is not.

mod decisions;
mod files;
mod race;
mod trial;

use std::path::{Path, PathBuf};

use deepring_attack::{Network, Samples, Split};

const NETWORKS: [&str; 2] = ["fashion-lenet5.onnx", "fashion-resnet8.onnx"];

fn zoo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo")
}

fn network(name: &str) -> Network {
    Network::read(&zoo().join(name)).unwrap()
}

fn samples(count: usize) -> Samples {
    Samples::open(&zoo().join("fashion-sample"), Split::Test, None).unwrap().choose(count, 1)
}
