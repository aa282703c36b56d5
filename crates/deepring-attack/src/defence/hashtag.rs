//! HASHTAG: keyed 8-bit Pearson hashes of the most sensitive weight tensors (Javaheripi and Koushanfar, ICCAD 2021).
//!
//! The key is the table of the hash, a permutation of the 256 bytes, and the order in which the weights go into it. An
//! edit of one byte is always seen, since each step is a bijection; one of several bytes collides in 1 of 256 cases.

use super::eight_bit::numbers;
use super::{Defence, DefenceKind, DefenceOptions, DefenceVerdict, Located, Moment};
use crate::network::{Network, Tensor};

#[derive(Debug)]
pub(super) struct Hashtag {
    table: [u8; 256],
    tensors: Vec<Guarded>,
}

#[derive(Debug)]
struct Guarded {
    name: String,
    /// Follows from the key; kept to be fast.
    order: Vec<u32>,
    hash: u8,
}

/// The weight tensors that are covered, the most sensitive first. No secret is in it.
///
/// Without sensitivities they are ranked by the mean of `w^2`: the paper's score `(w * dL/dw)^2` with all gradients
/// equal, which needs no data.
pub(super) fn covered(network: &Network, options: &DefenceOptions) -> Vec<String> {
    let given = |name: &str| {
        let all = options.sensitivities.as_ref()?;
        Some(all.iter().find(|(n, _)| n == name).map_or(0.0, |(_, s)| *s))
    };
    let mut ranked: Vec<(String, f64)> = network
        .layers()
        .iter()
        .map(|layer| {
            let mean_square = || {
                let weights = numbers(network, layer);
                weights.iter().map(|w| w * w).sum::<f64>() / weights.len().max(1) as f64
            };
            (layer.weight.clone(), given(&layer.weight).unwrap_or_else(mean_square))
        })
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.into_iter().take(options.layers).map(|(name, _)| name).collect()
}

impl Hashtag {
    pub(super) fn of(network: &Network, options: &DefenceOptions) -> Self {
        let mut random = fastrand::Rng::with_seed(options.seed);
        let mut table = std::array::from_fn(|i| i as u8);
        random.shuffle(&mut table);
        let baseline = |name: String| {
            let tensor = network.tensor(&name).ok()?;
            let mut order: Vec<u32> = (0..tensor.len() as u32).collect();
            random.shuffle(&mut order);
            let hash = pearson(&table, &order, &tensor);
            Some(Guarded { name, order, hash })
        };
        let tensors = covered(network, options).into_iter().filter_map(baseline).collect();
        Self { table, tensors }
    }
}

/// The hash of Pearson 1990 over the elements' bytes in this order.
fn pearson(table: &[u8; 256], order: &[u32], tensor: &Tensor<'_>) -> u8 {
    let (bytes, size) = (tensor.bytes(), tensor.dtype().size());
    let mut hash = 0u8;
    for index in order {
        let start = *index as usize * size;
        for byte in bytes.get(start..start + size).unwrap_or_default() {
            hash = table.get(usize::from(hash ^ byte)).copied().unwrap_or_default();
        }
    }
    hash
}

impl Defence for Hashtag {
    fn kind(&self) -> DefenceKind {
        DefenceKind::Hashtag
    }

    /// One byte a tensor; the table, and 8 bytes from which the orders are drawn.
    fn stored_bytes(&self) -> usize {
        self.tensors.len() + self.table.len() + 8
    }

    fn check(&self, network: &Network, _: Moment, _: &mut dyn FnMut() -> f64) -> DefenceVerdict {
        let same = |guarded: &Guarded| {
            network.tensor(&guarded.name).is_ok_and(|t| {
                t.len() == guarded.order.len()
                    && pearson(&self.table, &guarded.order, &t) == guarded.hash
            })
        };
        let wrong = self.tensors.iter().filter(|t| !same(t));
        DefenceVerdict::at(
            wrong.map(|t| Located { tensor: t.name.clone(), range: 0..t.order.len() }).collect(),
        )
    }
}
