//! When a search is done, and the samples that say so.

use std::sync::Arc;

use super::aim::Reached;
use crate::evaluator::{Evaluator, EvaluatorError};
use crate::network::Network;

/// So many samples are asked at once. Where those asked already show that the aim is missed, whatever the rest say, the
/// rest are not asked: a search asks after each flip, and is at its aim once.
const PART: usize = 1000;

/// The condition that ends a search.
#[derive(Debug, Clone, Copy)]
pub(super) enum Done {
    /// Accuracy is no higher.
    Accuracy(f64),
    /// More than this share of the samples of the source (of all, without one) goes to the target.
    Success { above: f64, target: usize, source: Option<usize> },
}

impl Done {
    /// Returns whether the aim is missed, though all that were not asked should answer as it would have them.
    fn is_missed(self, correct: usize, all: usize, astray: usize, attacked: usize) -> bool {
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        match self {
            Self::Accuracy(most) => share(correct, all) > most,
            Self::Success { above, .. } => {
                share(attacked - astray.min(attacked), attacked) <= above
            }
        }
    }

    /// Of these labels, how many are of samples that are attacked.
    fn attacked(self, labels: &[usize]) -> usize {
        match self {
            Self::Success { source: Some(source), .. } => {
                labels.iter().filter(|l| **l == source).count()
            }
            _ => labels.len(),
        }
    }
}

/// Measures success.
#[derive(Debug)]
pub(super) struct SuccessMeasure {
    pub(super) done: Done,
    parts: Vec<Evaluator>,
    all: usize,
    /// Samples of the source; all, without one.
    pub(super) attacked: usize,
}

impl SuccessMeasure {
    pub(super) fn new(evaluator: &Evaluator, done: Done) -> Self {
        let samples = evaluator.samples();
        // The order of a data set may be that of its classes.
        let mut order: Vec<usize> = (0..samples.len()).collect();
        fastrand::Rng::with_seed(1).shuffle(&mut order);
        let part = |places: &[usize]| evaluator.with(Arc::new(samples.pick(places)));
        Self {
            done,
            parts: order.chunks(PART).map(part).collect(),
            all: samples.len(),
            attacked: done.attacked(samples.labels()),
        }
    }

    pub(super) fn of(&self, network: &Network) -> Result<Reached, EvaluatorError> {
        let (mut asked, mut correct, mut tried, mut astray) = (0, 0, 0, 0);
        let mut missed = false;
        for part in &self.parts {
            let answers = part.evaluate(network)?;
            let labels = answers.labels();
            for (given, label) in answers.classes_given().into_iter().zip(labels) {
                asked += 1;
                correct += usize::from(given == Some(*label));
                if let Done::Success { target, source, .. } = self.done {
                    let attacked = source.is_none_or(|s| s == *label);
                    tried += usize::from(attacked);
                    astray += usize::from(attacked && given != Some(target));
                }
            }
            missed = self.done.is_missed(correct, self.all, astray, self.attacked);
            if missed {
                break;
            }
        }
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let targeted = matches!(self.done, Done::Success { .. });
        Ok(Reached {
            accuracy: share(correct, asked),
            success: targeted.then(|| share(tried - astray, tried)),
            done: !missed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_rules_are_kept_to_the_image() {
        let bfa = Done::Accuracy(0.11);
        assert!(!bfa.is_missed(1100, 10_000, 0, 10_000));
        assert!(bfa.is_missed(1101, 10_000, 0, 10_000));
        let all = Done::Success { above: 0.9999, target: 1, source: None };
        assert!(!all.is_missed(0, 10_000, 0, 10_000));
        // 99.99 % is not more than 99.99 %.
        assert!(all.is_missed(0, 10_000, 1, 10_000));
        let nearly = Done::Success { above: 0.999, target: 1, source: Some(0) };
        assert!(nearly.is_missed(0, 10_000, 1, 1000));
        assert!(!nearly.is_missed(0, 10_000, 1, 1001));
        assert_eq!(nearly.attacked(&[0, 1, 2, 0]), 2);
        assert_eq!(all.attacked(&[0, 1, 2, 0]), 4);
    }
}
