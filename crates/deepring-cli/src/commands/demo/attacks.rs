//! The paper's parameter tampering attacks, as edits: label swap, noise on the dense layers, noise on all.
//!
//! These are the minimum that the demo needs; the full set, with baselines and an evaluation, is a crate
//! of its own.

use std::f64::consts::TAU;

use super::edits::{Edit, Tensor};
use crate::error::{CliError, Exit};

/// Strength of the noise, in standard deviations of the tensor that it is added to.
pub(super) const RHO: f64 = 2.0;
/// Begins the pseudo-random numbers of an attack, so that it can be repeated.
pub(super) const SEED: u64 = 2019;

/// An attack, worked out for the network at hand.
#[derive(Debug, Clone)]
pub(super) struct Attack {
    /// Names files.
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
    /// The title where there is little room.
    pub(super) short: &'static str,
    /// What it does, in a sentence.
    pub(super) what: String,
    pub(super) edits: Vec<Edit>,
}

impl Attack {
    /// Values that it changes.
    pub(super) fn changed(&self) -> usize {
        self.edits.iter().map(|e| e.changes().count()).sum()
    }

    /// The blocks that it touches, each once.
    pub(super) fn blocks(&self) -> Vec<u32> {
        let mut blocks: Vec<u32> = self.edits.iter().map(|e| e.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        blocks
    }
}

/// Type 0: classes 0 and 1, 2 and 3, ... interchanged in the last layer, weights and bias.
pub(super) fn label_swap(tensors: &[Tensor], labels: &[String]) -> Result<Attack, CliError> {
    let classes = labels.len();
    let last = tensors.iter().map(|t| t.block).max();
    let edits: Vec<Edit> = tensors
        .iter()
        .filter(|t| Some(t.block) == last && t.dims.first() == Some(&(classes as u64)))
        .map(|t| t.becoming(swap_rows(&t.values, classes)))
        .collect();
    if edits.is_empty() {
        return Err(CliError::new(Exit::Failed, "the last block has no row for each class"));
    }
    Ok(Attack {
        slug: "label-swap",
        title: "label swap",
        short: "label swap",
        what:
            "classes 0 and 1, 2 and 3, and so on interchanged in the last layer, weights and bias"
                .to_owned(),
        edits,
    })
}

/// Type 1: Gaussian noise on the weights of the dense layers.
pub(super) fn noise_on_dense(tensors: &[Tensor]) -> Attack {
    Attack {
        slug: "noise-dense",
        title: "noise, dense layers",
        short: "noise, dense",
        what: format!(
            "Gaussian noise of {RHO} standard deviations on each weight of the dense layers"
        ),
        edits: noise(tensors.iter().filter(|t| t.is_dense())),
    }
}

/// Type 2: the same noise on the weights of every layer.
pub(super) fn noise_on_all(tensors: &[Tensor]) -> Attack {
    Attack {
        slug: "noise-all",
        title: "noise, every layer",
        short: "noise, every",
        what: format!("Gaussian noise of {RHO} standard deviations on each weight of every layer"),
        edits: noise(tensors.iter().filter(|t| t.is_weight())),
    }
}

fn swap_rows(values: &[f32], rows: usize) -> Vec<f32> {
    let width = (values.len() / rows.max(1)).max(1);
    let mut out = Vec::with_capacity(values.len());
    for pair in values.chunks(2 * width) {
        let (first, second) = pair.split_at(width.min(pair.len()));
        out.extend_from_slice(second);
        out.extend_from_slice(first);
    }
    out
}

fn noise<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Vec<Edit> {
    let mut random = fastrand::Rng::with_seed(SEED);
    tensors
        .map(|t| {
            let strength = RHO * standard_deviation(&t.values);
            let noisy = |v: &f32| (f64::from(*v) + strength * gauss(&mut random)) as f32;
            t.becoming(t.values.iter().map(noisy).collect())
        })
        .collect()
}

/// A normally distributed number (Box and Muller).
fn gauss(random: &mut fastrand::Rng) -> f64 {
    // 1 - [0, 1) is never zero, whose logarithm is infinite.
    let (radius, angle) = (1.0 - random.f64(), random.f64());
    (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
}

fn standard_deviation(values: &[f32]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(block: u32, dims: &[u64], values: Vec<f32>) -> Tensor {
        Tensor { block, name: format!("t{block}"), dims: dims.to_vec(), offset: 0, values }
    }

    #[test]
    fn rows_are_interchanged_in_pairs() {
        assert_eq!(
            swap_rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 4),
            [3.0, 4.0, 1.0, 2.0, 7.0, 8.0, 5.0, 6.0]
        );
        // An odd row out stays where it is.
        assert_eq!(swap_rows(&[1.0, 2.0, 3.0], 3), [2.0, 1.0, 3.0]);
    }

    #[test]
    fn a_label_swap_touches_the_last_block_only() {
        let tensors = [
            tensor(1, &[2, 1], vec![0.0, 1.0]),
            tensor(2, &[2, 1], vec![5.0, 6.0]),
            tensor(2, &[2], vec![7.0, 8.0]),
        ];
        let labels = ["a".to_owned(), "b".to_owned()];
        let attack = label_swap(&tensors, &labels).unwrap();
        assert_eq!(attack.blocks(), [2]);
        assert_eq!(attack.edits[0].after, [6.0, 5.0]);
        assert_eq!(attack.edits[1].after, [8.0, 7.0]);
        assert_eq!(attack.changed(), 4);
        assert!(label_swap(&tensors, &[]).is_err());
    }

    #[test]
    fn noise_is_seeded_and_has_the_strength_asked_for() {
        let values: Vec<f32> = (0..20_000).map(|i| (i % 100) as f32 / 100.0).collect();
        let tensors = [tensor(1, &[200, 100], values.clone()), tensor(2, &[5], vec![1.0; 5])];
        let attack = noise_on_all(&tensors);
        assert_eq!(attack.edits, noise_on_all(&tensors).edits);
        assert_eq!(attack.blocks(), [1]);
        let added: Vec<f32> =
            attack.edits[0].after.iter().zip(&values).map(|(a, b)| a - b).collect();
        let ratio = standard_deviation(&added) / standard_deviation(&values);
        assert!((ratio - RHO).abs() < 0.05, "{ratio}");
    }
}
