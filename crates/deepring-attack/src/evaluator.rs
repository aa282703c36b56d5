//! How well a network answers labelled samples, in the engine's plain run.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use deepring::{DType, Dim, TensorValue};
use deepring_infer::{PlainError, PlainModel, RunError};
use rayon::prelude::*;
use thiserror::Error;

use crate::network::Network;
use crate::samples::{Samples, SamplesError};

/// Samples that are run at once, where a network takes any number.
const BATCH: usize = 32;

/// Asks networks the same questions.
#[derive(Debug, Clone)]
pub struct Evaluator {
    samples: Arc<Samples>,
    workers: usize,
}

/// Why a network could not be asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvaluatorError {
    /// The engine cannot load it.
    #[error(transparent)]
    Load(#[from] PlainError),
    /// The engine stopped.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The samples do not fit the network.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// The network has another shape than a classifier of one input.
    #[error("the network is no classifier with one f32 input: {reason}")]
    NoClassifier {
        /// The reason.
        reason: String,
    },
    /// No temporary file for the engine to load.
    #[error("cannot write a temporary file: {0}")]
    Temporary(#[from] std::io::Error),
}

/// The answers of a network: a row of scores for each sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    scores: Vec<f32>,
    classes: usize,
    labels: Arc<[usize]>,
}

impl Evaluator {
    /// An evaluator with these samples, on so many cores (at least one).
    #[must_use]
    pub fn new(samples: Arc<Samples>, workers: usize) -> Self {
        Self { samples, workers: workers.max(1) }
    }

    /// An evaluator with other samples on as many cores.
    #[cfg(feature = "gradients")]
    pub(crate) fn with(&self, samples: Arc<Samples>) -> Self {
        Self { samples, workers: self.workers }
    }

    /// The samples.
    #[must_use]
    pub fn samples(&self) -> &Arc<Samples> {
        &self.samples
    }

    /// Runs the network on all samples.
    ///
    /// # Errors
    /// [`EvaluatorError::Temporary`] where no temporary file can be written; [`EvaluatorError::Load`] or [`EvaluatorError::Run`]
    /// where the engine does not load the network, or stops; [`EvaluatorError::NoClassifier`]; [`EvaluatorError::Samples`] where
    /// the samples do not fit it.
    pub fn evaluate(&self, network: &Network) -> Result<Predictions, EvaluatorError> {
        let mut file = tempfile::Builder::new().suffix(".onnx").tempfile()?;
        file.write_all(&network.encode())?;
        let model = || PlainModel::load(file.path(), NonZeroUsize::new(1));
        let models: Vec<PlainModel> =
            (0..self.workers).map(|_| model()).collect::<Result<_, _>>()?;
        let first = models.first().ok_or_else(|| no_classifier("nothing was loaded"))?;
        let (name, batch) = input_of(first)?;
        let starts: Vec<usize> = (0..self.samples.len()).step_by(batch.size()).collect();
        // Each lane has a model with a thread of its own: small batches side by side are faster than one
        // after the other on all cores.
        let share = starts.len().div_ceil(models.len()).max(1);
        let workers: Vec<Vec<f32>> = models
            .par_iter()
            .zip(starts.par_chunks(share))
            .map(|(model, starts)| self.segment(model, &name, batch, starts))
            .collect::<Result<_, EvaluatorError>>()?;
        let scores = workers.concat();
        let classes = scores.len() / self.samples.len().max(1);
        if classes == 0 || scores.len() != classes * self.samples.len() {
            return Err(no_classifier("its first output has no row for each sample"));
        }
        Ok(Predictions { scores, classes, labels: self.samples.labels().into() })
    }

    fn segment(
        &self,
        model: &PlainModel,
        name: &str,
        batch: Batch,
        starts: &[usize],
    ) -> Result<Vec<f32>, EvaluatorError> {
        let mut out = Vec::new();
        for &start in starts {
            let end = (start + batch.size()).min(self.samples.len());
            let rows = match batch {
                Batch::Any => end - start,
                Batch::Fixed(rows) => rows,
            };
            let input = self.samples.batch(name, start..end, rows)?;
            let outputs = model.run(&[input])?;
            let scores = outputs.first().filter(|t| t.dtype() == DType::F32);
            let scores = scores.ok_or_else(|| no_classifier("its first output is not f32"))?;
            let row = floats(scores);
            let width = row.len() / rows.max(1);
            out.extend(row.into_iter().take(width * (end - start)));
        }
        Ok(out)
    }
}

/// How many samples a network takes at once.
#[derive(Debug, Clone, Copy)]
enum Batch {
    Any,
    Fixed(usize),
}

impl Batch {
    fn size(self) -> usize {
        match self {
            Self::Any => BATCH,
            Self::Fixed(size) => size.max(1),
        }
    }
}

fn input_of(model: &PlainModel) -> Result<(String, Batch), EvaluatorError> {
    let [input] = model.inputs() else {
        return Err(no_classifier(&format!("{} inputs", model.inputs().len())));
    };
    if input.dtype != DType::F32 {
        return Err(no_classifier("its input is of another type"));
    }
    let batch = match input.dims.as_deref().and_then(|d| d.first()) {
        Some(Dim::Fixed(n)) => Batch::Fixed(usize::try_from(*n).unwrap_or(1)),
        _ => Batch::Any,
    };
    Ok((input.name.clone(), batch))
}

fn floats(tensor: &TensorValue) -> Vec<f32> {
    tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn no_classifier(reason: &str) -> EvaluatorError {
    EvaluatorError::NoClassifier { reason: reason.to_owned() }
}

impl Predictions {
    /// The answers in the first f32 output of each query, one sample a query. `None` if they are not as many as the
    /// labels, or some have another number of scores.
    #[must_use]
    pub fn of_outputs(outputs: &[Vec<TensorValue>], labels: &[usize]) -> Option<Self> {
        let scores = outputs.iter().map(|query| query.first().filter(|t| t.dtype() == DType::F32));
        let rows: Vec<Vec<f32>> = scores.map(|tensor| tensor.map(floats)).collect::<Option<_>>()?;
        let classes = rows.first()?.len();
        let fits = rows.len() == labels.len() && rows.iter().all(|row| row.len() == classes);
        fits.then(|| Self { scores: rows.concat(), classes, labels: labels.into() })
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The scores of each sample.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.scores.chunks(self.classes.max(1))
    }

    /// The class of the highest score of each sample; `None` where a score is not a number, since which one
    /// is then the highest is the implementation's choice.
    #[must_use]
    pub fn classes_given(&self) -> Vec<Option<usize>> {
        self.rows().map(highest).collect()
    }

    /// The share of samples whose answer is their label, 0 to 1. Answers that are not numbers are wrong.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        share(self.right(), self.labels.len())
    }

    /// How many samples are answered with their label.
    #[must_use]
    pub fn right(&self) -> usize {
        let pairs = self.classes_given().into_iter().zip(&*self.labels);
        pairs.filter(|(given, label)| *given == Some(**label)).count()
    }

    /// How many samples get one class in both.
    #[must_use]
    pub fn agreeing(&self, other: &Self) -> usize {
        let pairs = self.classes_given().into_iter().zip(other.classes_given());
        pairs.filter(|(a, b)| a == b).count()
    }

    /// The largest difference of any score.
    #[must_use]
    pub fn max_difference(&self, other: &Self) -> f32 {
        let pairs = self.scores.iter().zip(&other.scores);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    /// Returns whether all scores are the same bit for bit.
    #[must_use]
    pub fn is_identical(&self, other: &Self) -> bool {
        let bits = |a: &Self| a.scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        self.classes == other.classes && bits(self) == bits(other)
    }

    /// The share of samples of which `of` holds (given their label) that are answered with `class`.
    #[must_use]
    pub fn share_given(&self, class: usize, of: impl Fn(usize) -> bool) -> f64 {
        let asked = self.classes_given().into_iter().zip(&*self.labels).filter(|(_, l)| of(**l));
        let (mut hits, mut all) = (0, 0);
        for (given, _) in asked {
            all += 1;
            hits += usize::from(given == Some(class));
        }
        share(hits, all)
    }

    /// Mean cross-entropy against `targets`, in nats; infinite where a score is not a number.
    #[must_use]
    pub fn loss(&self, targets: &[usize]) -> f64 {
        let losses = self.rows().zip(targets).map(|(row, target)| cross_entropy(row, *target));
        losses.sum::<f64>() / targets.len().max(1) as f64
    }

    /// The right answers.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }
}

fn share(part: usize, all: usize) -> f64 {
    part as f64 / all.max(1) as f64
}

fn highest(row: &[f32]) -> Option<usize> {
    if row.iter().any(|v| v.is_nan()) {
        return None;
    }
    // The first of equals, as engines have it.
    let best = row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
    best.map(|(at, _)| at)
}

fn cross_entropy(row: &[f32], target: usize) -> f64 {
    let Some(score) = row.get(target).map(|v| f64::from(*v)) else { return f64::INFINITY };
    let top = row.iter().map(|v| f64::from(*v)).fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() || row.iter().any(|v| v.is_nan()) {
        return f64::INFINITY;
    }
    let total: f64 = row.iter().map(|v| (f64::from(*v) - top).exp()).sum();
    total.ln() + top - score
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(scores: &[f32], labels: &[usize]) -> Predictions {
        let classes = scores.len() / labels.len();
        Predictions { scores: scores.to_vec(), classes, labels: labels.into() }
    }

    #[test]
    fn a_score_that_is_no_number_is_a_wrong_answer() {
        let a = answers(&[1.0, 0.0, f32::NAN, 1.0, 0.0, f32::INFINITY], &[0, 1, 1]);
        assert_eq!(a.classes_given(), [Some(0), None, Some(1)]);
        assert!((a.accuracy() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(a.loss(&[0, 1, 1]), f64::INFINITY);
    }

    #[test]
    fn the_first_of_equal_scores_is_the_answer() {
        assert_eq!(answers(&[2.0, 2.0, 1.0], &[0]).classes_given(), [Some(0)]);
    }

    #[test]
    fn answers_are_made_of_outputs_that_fit_the_labels() {
        let output = |scores: &[f32]| {
            let data = scores.iter().flat_map(|s| s.to_le_bytes()).collect();
            vec![TensorValue::new("y", DType::F32, vec![1, scores.len() as u64], data).unwrap()]
        };
        let outputs = [output(&[1.0, 2.0]), output(&[0.5, 0.0])];
        assert_eq!(
            Predictions::of_outputs(&outputs, &[1, 1]),
            Some(answers(&[1.0, 2.0, 0.5, 0.0], &[1, 1]))
        );
        assert_eq!(Predictions::of_outputs(&outputs, &[1]), None);
        assert_eq!(Predictions::of_outputs(&[output(&[1.0]), output(&[1.0, 2.0])], &[0, 0]), None);
        assert_eq!(Predictions::of_outputs(&[vec![]], &[0]), None);
    }

    #[test]
    fn two_networks_answers_are_compared_by_class_by_score_and_by_bit() {
        let a = answers(&[1.0, 2.0, 0.0, 0.5], &[1, 0]);
        let b = answers(&[1.0, 2.5, 0.0, 0.0], &[1, 0]);
        assert_eq!((a.max_difference(&b), a.agreeing(&b)), (0.5, 1));
        assert_eq!((a.right(), b.right()), (1, 2));
        assert!(a.is_identical(&a) && !a.is_identical(&b));
        let nan = answers(&[f32::NAN, 0.0], &[0]);
        assert!(nan.is_identical(&nan.clone()) && nan != nan.clone());
        assert!(!answers(&[0.0, 1.0], &[1]).is_identical(&answers(&[-0.0, 1.0], &[1])));
    }

    #[test]
    fn loss_is_the_cross_entropy() {
        let a = answers(&[0.0, 0.0, 0.0, 1000.0], &[0, 1]);
        assert!((a.loss(&[0, 1]) - 0.5 * 2f64.ln()).abs() < 1e-9);
        assert!((a.share_given(0, |l| l == 0) - 1.0).abs() < 1e-12);
    }
}
