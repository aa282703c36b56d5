//! The difference between the answers of two networks.

use deepring::{DType, TensorValue};
use serde::Serialize;

/// How like the answers of ring and plain network are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct OutputDiff {
    pub(super) same_bits: bool,
    /// The largest difference of two elements over the largest element of that output; `None` where outputs
    /// cannot be compared so.
    pub(super) largest_difference: Option<f64>,
}

impl OutputDiff {
    /// Nothing was compared.
    pub(super) const UNKNOWN: Self = Self { same_bits: false, largest_difference: None };

    /// The one that says less good of the networks.
    pub(super) fn or_worse(self, other: Self) -> Self {
        // What cannot be compared is worse than any difference.
        let rank = |l: &Self| l.largest_difference.unwrap_or(f64::INFINITY);
        let worse = if rank(&other) > rank(&self) { other } else { self };
        Self { same_bits: self.same_bits && other.same_bits, ..worse }
    }

    pub(super) fn of(plain: &[Vec<TensorValue>], ring: &[Vec<TensorValue>]) -> Self {
        if plain == ring {
            return Self { same_bits: true, largest_difference: Some(0.0) };
        }
        let tensors = || plain.iter().flatten().zip(ring.iter().flatten());
        let count = |all: &[Vec<TensorValue>]| all.iter().map(Vec::len).sum::<usize>();
        let comparable = count(plain) == count(ring);
        let worst = tensors()
            .map(|(a, b)| difference(a, b))
            .try_fold(0.0, |worst: f64, d| d.filter(|d| d.is_finite()).map(|d| worst.max(d)));
        Self { same_bits: false, largest_difference: worst.filter(|_| comparable) }
    }
}

fn difference(a: &TensorValue, b: &TensorValue) -> Option<f64> {
    if a == b {
        return Some(0.0);
    }
    if a.dtype() != DType::F32 || b.dtype() != DType::F32 || a.dims() != b.dims() {
        return None;
    }
    let floats = |t: &TensorValue| -> Vec<f64> {
        t.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
    };
    let (a, b) = (floats(a), floats(b));
    let peak = a.iter().fold(0.0, |peak: f64, x| peak.max(x.abs()));
    // A NaN must not pass for the smaller of two numbers.
    let apart = a.iter().zip(&b).map(|(x, y)| (x - y).abs());
    let apart = apart.fold(0.0, |m: f64, d| if d > m || d.is_nan() { d } else { m });
    Some(apart / peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(values: &[f32]) -> Vec<Vec<TensorValue>> {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        vec![vec![TensorValue::new("y", DType::F32, vec![values.len() as u64], data).unwrap()]]
    }

    #[test]
    fn a_difference_is_relative_to_the_largest_element() {
        let of = |a: &[f32], b: &[f32]| OutputDiff::of(&outputs(a), &outputs(b));
        assert!(of(&[1.0, -4.0], &[1.0, -4.0]).same_bits);
        let off = of(&[1.0, -4.0], &[1.5, -4.0]);
        assert_eq!((off.same_bits, off.largest_difference), (false, Some(0.125)));
        assert_eq!(of(&[1.0, 2.0], &[f32::NAN, 2.0]).largest_difference, None);
        assert_eq!(of(&[0.0], &[1.0]).largest_difference, None);
        assert_eq!(of(&[0.0], &[1.0, 2.0]).largest_difference, None);
        assert_eq!(OutputDiff::of(&outputs(&[1.0]), &[]).largest_difference, None);
    }

    #[test]
    fn the_worse_of_two_wins() {
        let off = |d| OutputDiff { same_bits: false, largest_difference: d };
        let same = OutputDiff { same_bits: true, largest_difference: Some(0.0) };
        assert_eq!(same.or_worse(same), same);
        assert_eq!(same.or_worse(off(Some(0.0))), off(Some(0.0)));
        assert_eq!(off(Some(0.5)).or_worse(off(Some(0.25))), off(Some(0.5)));
        assert_eq!(off(None).or_worse(off(Some(9.0))), off(None));
        assert_eq!(same.or_worse(OutputDiff::UNKNOWN), off(None));
    }
}
