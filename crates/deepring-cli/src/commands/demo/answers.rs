//! What a network answered to the sample, and how two sets of answers compare.

use deepring::TensorValue;

/// The scores of each class, an image a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answers {
    scores: Vec<Vec<f32>>,
}

impl Answers {
    /// The answers in the first output of each query.
    pub(super) fn of(outputs: &[Vec<TensorValue>]) -> Self {
        let row = |query: &Vec<TensorValue>| {
            let data = query.first().map_or(&[][..], TensorValue::data);
            data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        Self { scores: outputs.iter().map(row).collect() }
    }

    /// The class with the highest score, an image an element; `None` where every score is NaN.
    pub(super) fn classes(&self) -> Vec<Option<usize>> {
        let best = |row: &Vec<f32>| {
            let numbers = row.iter().enumerate().filter(|(_, s)| !s.is_nan());
            // Of equals the first.
            numbers.rev().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(class, _)| class)
        };
        self.scores.iter().map(best).collect()
    }

    /// How many are right.
    pub(super) fn right(&self, truth: &[usize]) -> usize {
        self.classes().iter().zip(truth).filter(|(class, truth)| **class == Some(**truth)).count()
    }

    /// The share that is right, in percent.
    pub(super) fn accuracy(&self, truth: &[usize]) -> f64 {
        100.0 * self.right(truth) as f64 / truth.len().max(1) as f64
    }

    /// How many images get the same class in both.
    pub(super) fn agreeing(&self, other: &Self) -> usize {
        self.classes().iter().zip(other.classes()).filter(|(a, b)| **a == *b).count()
    }

    /// The largest difference of any score.
    pub(super) fn max_difference(&self, other: &Self) -> f32 {
        let pairs = self.scores.iter().flatten().zip(other.scores.iter().flatten());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    /// Whether no score is NaN or infinite.
    pub(super) fn are_finite(&self) -> bool {
        self.scores.iter().flatten().all(|s| s.is_finite())
    }

    /// The same scores bit for bit.
    pub(super) fn equal(&self, other: &Self) -> bool {
        let bits = |a: &Self| -> Vec<Vec<u32>> {
            a.scores.iter().map(|row| row.iter().map(|s| s.to_bits()).collect()).collect()
        };
        bits(self) == bits(other)
    }
}

#[cfg(test)]
pub(super) fn made_of(scores: &[&[f32]]) -> Answers {
    Answers { scores: scores.iter().map(|r| r.to_vec()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_never_wins_and_the_first_of_equals_does() {
        let answers =
            made_of(&[&[1.0, f32::NAN, 1.0], &[f32::NAN, f32::NAN, f32::NAN], &[0.0, 2.0, 1.0]]);
        assert_eq!(answers.classes(), [Some(0), None, Some(1)]);
        assert_eq!(answers.right(&[0, 0, 1]), 2);
        assert!(!answers.are_finite());
    }

    #[test]
    fn differences_are_the_largest_of_all() {
        let (a, b) = (made_of(&[&[1.0, 2.0], &[0.0, 0.5]]), made_of(&[&[1.0, 2.5], &[0.0, 0.0]]));
        assert_eq!(a.max_difference(&b), 0.5);
        assert_eq!(a.agreeing(&b), 1);
        assert!(a.equal(&a) && !a.equal(&b));
    }
}
