//! Networks of known size with random weights, for measuring.
//!
//! The cost of a check does not depend on the values of the weights, so a network of the right shape measures as
//! well as a trained one, and anybody can make it again: the same seed gives the same bits on every
//! machine. Weights are scaled so that activations neither vanish nor grow; nothing saturates, and outputs
//! that are compared bit by bit say something.

mod builder;
mod efficientnet;
mod lenet;
mod minilm;
mod resnet;
mod stack;

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use deepring::{DType, TensorValue};
use thiserror::Error;

pub use stack::Stack;

use builder::Builder;

/// Tokens of one query of [`SyntheticNetwork::MiniLm`].
const SEQUENCE: u32 = 64;
/// Entries of the vocabulary of [`SyntheticNetwork::MiniLm`].
const VOCABULARY: u32 = 30_522;

/// A network with the shape of a known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyntheticNetwork {
    /// ResNet-50, BatchNorm folded: 25.5 million parameters, input `image` 1x3x224x224.
    ResNet50,
    /// EfficientNet-B0, BatchNorm folded: 5.3 million parameters, input `image` 1x3x224x224.
    EfficientNet,
    /// A transformer like MiniLM-L6, 22.4 million parameters, input `input_ids` 1x64.
    MiniLm,
    /// LeNet-5: 62 thousand parameters, input `image` 1x1x28x28.
    LeNet,
}

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{found}` is none of resnet50, efficientnet, minilm, lenet")]
pub struct ParseNetworkError {
    /// The text.
    pub found: String,
}

impl FromStr for SyntheticNetwork {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|n| n.name() == text);
        found.ok_or_else(|| ParseNetworkError { found: text.to_owned() })
    }
}

impl std::fmt::Display for SyntheticNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl SyntheticNetwork {
    /// All of them, the largest first.
    pub const ALL: [Self; 4] = [Self::ResNet50, Self::EfficientNet, Self::MiniLm, Self::LeNet];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ResNet50 => "resnet50",
            Self::EfficientNet => "efficientnet",
            Self::MiniLm => "minilm",
            Self::LeNet => "lenet",
        }
    }

    /// Writes `NAME.onnx` into the folder and gives its path.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(self, folder: &Path, seed: u64) -> io::Result<PathBuf> {
        let path = folder.join(format!("{}.onnx", self.name()));
        let mut net = Builder::new(self.name(), seed);
        match self {
            Self::ResNet50 => resnet::build(&mut net),
            Self::EfficientNet => efficientnet::build(&mut net),
            Self::MiniLm => minilm::build(&mut net, SEQUENCE, VOCABULARY),
            Self::LeNet => lenet::build(&mut net),
        }
        net.write(&path)?;
        Ok(path)
    }

    /// A random query. Different seeds give different queries.
    #[must_use]
    pub fn query(self, seed: u64) -> Vec<TensorValue> {
        let mut random = fastrand::Rng::with_seed(seed);
        let tensor = match self {
            Self::ResNet50 | Self::EfficientNet => {
                floats(&mut random, "image", vec![1, 3, 224, 224])
            }
            Self::LeNet => floats(&mut random, "image", vec![1, 1, 28, 28]),
            Self::MiniLm => {
                let ids = (0..SEQUENCE).map(|_| i64::from(random.u32(0..VOCABULARY)));
                let data = ids.flat_map(i64::to_le_bytes).collect();
                TensorValue::new("input_ids", DType::I64, vec![1, SEQUENCE.into()], data).ok()
            }
        };
        tensor.into_iter().collect()
    }
}

/// A tensor of numbers as [`Builder`] draws them, with variance 1.
fn floats(random: &mut fastrand::Rng, name: &str, dims: Vec<u64>) -> Option<TensorValue> {
    let data = (0..dims.iter().product()).flat_map(|_| builder::normal(random).to_le_bytes());
    let data = data.collect();
    TensorValue::new(name, DType::F32, dims, data).ok()
}
