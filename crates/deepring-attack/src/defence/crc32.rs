//! A CRC-32 of each parameter tensor: weights, biases, BatchNormalization, scales.

use super::{Defence, DefenceKind, DefenceVerdict, Located, Moment};
use crate::network::Network;

/// The CRC of IEEE 802.3, as zlib has it, which error-detecting memories and archives use.
#[derive(Debug)]
pub(super) struct Crc32 {
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    tensor: String,
    elements: usize,
    crc: u32,
}

impl Crc32 {
    pub(super) fn of(network: &Network) -> Self {
        let kept = network.tensors().map(|t| Kept {
            tensor: t.name().to_owned(),
            elements: t.len(),
            crc: crc32fast::hash(t.bytes()),
        });
        Self { kept: kept.collect() }
    }
}

impl Defence for Crc32 {
    fn kind(&self) -> DefenceKind {
        DefenceKind::Crc32
    }

    fn stored_bytes(&self) -> usize {
        4 * self.kept.len()
    }

    fn check(&self, network: &Network, _: Moment, _: &mut dyn FnMut() -> f64) -> DefenceVerdict {
        let same = |kept: &Kept| {
            network.tensor(&kept.tensor).is_ok_and(|t| crc32fast::hash(t.bytes()) == kept.crc)
        };
        let wrong = self.kept.iter().filter(|kept| !same(kept));
        DefenceVerdict::at(
            wrong.map(|k| Located { tensor: k.tensor.clone(), range: 0..k.elements }).collect(),
        )
    }
}
