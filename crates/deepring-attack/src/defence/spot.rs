//! A spot check: each use compares a random share of the chunks of all parameter tensors with their digests.
//!
//! An edit that stays is found within n uses with probability `1 - (1 - share)^n`, one in c chunks with
//! `1 - (1 - share)^(c n)`.

use super::{Defence, DefenceKind, DefenceOptions, DefenceVerdict, Located, Moment};
use crate::network::{Network, Tensor};

/// Bytes of a chunk; the last of a tensor is shorter.
pub(super) const CHUNK: usize = 4096;

#[derive(Debug)]
pub(super) struct SpotCheck {
    share: f64,
    tensors: Vec<Guarded>,
}

#[derive(Debug)]
struct Guarded {
    name: String,
    elements: usize,
    element: usize,
    digests: Vec<blake3::Hash>,
}

impl SpotCheck {
    pub(super) fn of(network: &Network, options: &DefenceOptions) -> Self {
        let baseline = |t: Tensor<'_>| Guarded {
            name: t.name().to_owned(),
            elements: t.len(),
            element: t.dtype().size(),
            digests: t.bytes().chunks(CHUNK).map(blake3::hash).collect(),
        };
        Self { share: options.share, tensors: network.tensors().map(baseline).collect() }
    }
}

impl Guarded {
    fn range(&self, chunk: usize) -> std::ops::Range<usize> {
        let each = CHUNK / self.element.max(1);
        chunk * each..((chunk + 1) * each).min(self.elements)
    }
}

impl Defence for SpotCheck {
    fn kind(&self) -> DefenceKind {
        DefenceKind::SpotCheck
    }

    fn stored_bytes(&self) -> usize {
        self.tensors.iter().map(|t| t.digests.len() * blake3::OUT_LEN).sum()
    }

    fn check(&self, network: &Network, _: Moment, draw: &mut dyn FnMut() -> f64) -> DefenceVerdict {
        let mut located = Vec::new();
        for guarded in &self.tensors {
            let bytes = network.tensor(&guarded.name).map(|t| t.bytes()).unwrap_or_default();
            let mut chunks = bytes.chunks(CHUNK);
            for (at, digest) in guarded.digests.iter().enumerate() {
                let chunk = chunks.next();
                if draw() < self.share && chunk.map(blake3::hash) != Some(*digest) {
                    let tensor = guarded.name.clone();
                    located.push(Located { tensor, range: guarded.range(at) });
                }
            }
        }
        DefenceVerdict::at(located)
    }
}
