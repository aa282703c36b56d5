//! Labelled inputs, from the forms in which data sets come.
//!
//! | found in the folder | is read as |
//! |---|---|
//! | `inputs.npy`, `labels.npy` | inputs as they are (the first dimension counts them), integer labels |
//! | `t10k-` or `train-images-idx3-ubyte` with labels, or without the prefix | MNIST's format |
//! | `test_batch.bin` or `data_batch_1.bin` ... | CIFAR-10's binary format |
//! | `*_LABEL.jpg` (png, bmp) | pictures by a recipe |

mod cifar;
mod idx;
mod npy;
mod pictures;

use std::ops::Range;
use std::path::{Path, PathBuf};

use deepring::files::read_plain;
use deepring::receipt::ValueError;
use deepring::{DType, TensorValue};
use deepring_infer::inputs::{NpyError, PictureError, Preprocess};
use thiserror::Error;

/// Inputs of one shape, and the right answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Without the batch.
    dims: Vec<u64>,
    values: Vec<f32>,
    labels: Vec<usize>,
}

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// The samples that accuracy is measured on.
    Test,
    /// The samples that an attack searches on.
    Train,
}

/// Why a folder gave no samples.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SamplesError {
    /// Nothing in it is known.
    #[error("{}: no data set that is known", path.display())]
    Unknown {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// A file is not of its format.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: &'static str,
    },
    /// Pictures, and no recipe by which they become inputs.
    #[error("{}: pictures need a recipe", path.display())]
    NoRecipe {
        /// The folder.
        path: PathBuf,
    },
    /// A picture could not be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// An array could not be read.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// The inputs exceed a limit of the format.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Samples {
    /// Reads a part of the data set in a folder. Where the set has no such part, its only one is read.
    ///
    /// `recipe` gives scale, mean and standard deviation of pixels; without one they are divided by 255.
    ///
    /// # Errors
    /// [`SamplesError::Unknown`] where nothing in the folder is known; [`SamplesError::Io`] and [`SamplesError::Malformed`] where
    /// a file cannot be read; [`SamplesError::NoRecipe`] where there are pictures and no recipe.
    pub fn open(
        folder: &Path,
        split: Split,
        recipe: Option<&Preprocess>,
    ) -> Result<Self, SamplesError> {
        let readers = [npy::read, idx::read, cifar::read, pictures::read];
        for read in readers {
            if let Some(samples) = read(folder, split, recipe)? {
                return Ok(samples);
            }
        }
        Err(SamplesError::Unknown { path: folder.into() })
    }

    /// From inputs of these dimensions (without the batch), row-major, and their labels.
    ///
    /// `None` if they are not as many.
    #[must_use]
    pub fn new(dims: Vec<u64>, values: Vec<f32>, labels: Vec<usize>) -> Option<Self> {
        let size = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d))?;
        let fits = size > 0 && (labels.len() as u64).checked_mul(size) == Some(values.len() as u64);
        (fits && !labels.is_empty()).then_some(Self { dims, values, labels })
    }

    /// Number of samples; never zero.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The right answers.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Dimensions of one input.
    #[must_use]
    pub fn dims(&self) -> &[u64] {
        &self.dims
    }

    /// The inputs of a stretch of samples, row-major.
    #[must_use]
    pub fn values(&self, range: Range<usize>) -> &[f32] {
        let size = self.size();
        self.values.get(range.start * size..range.end * size).unwrap_or_default()
    }

    /// A seeded choice of `count` samples, in their order, as many of each class as can be; all, if there are
    /// no more.
    #[must_use]
    pub fn choose(&self, count: usize, seed: u64) -> Self {
        if count == 0 || count >= self.len() {
            return self.clone();
        }
        let mut random = fastrand::Rng::with_seed(seed);
        let mut order: Vec<usize> = (0..self.len()).collect();
        random.shuffle(&mut order);
        // How many of its class come before it decides who is taken: one of each class, then the next.
        let mut seen = vec![0usize; self.labels.iter().max().map_or(0, |m| m + 1)];
        let mut ranked: Vec<(usize, usize)> = Vec::with_capacity(order.len());
        for at in order {
            let class = self.labels.get(at).and_then(|l| seen.get_mut(*l));
            if let Some(class) = class {
                ranked.push((*class, at));
                *class += 1;
            }
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let mut chosen: Vec<usize> = ranked.into_iter().take(count).map(|(_, at)| at).collect();
        chosen.sort_unstable();
        self.pick(&chosen)
    }

    /// The samples at these places, as many as are there.
    #[must_use]
    pub fn pick(&self, places: &[usize]) -> Self {
        let there = places.iter().filter(|at| **at < self.len());
        let values = there.clone().flat_map(|at| self.values(*at..at + 1)).copied().collect();
        let labels = there.filter_map(|at| self.labels.get(*at)).copied().collect();
        Self { dims: self.dims.clone(), values, labels }
    }

    /// A stretch of samples as the input `name` of `rows` rows; where there are fewer samples, the last is repeated.
    ///
    /// # Errors
    /// [`SamplesError`] where the samples make no tensor of this many rows.
    pub fn batch(
        &self,
        name: &str,
        range: Range<usize>,
        rows: usize,
    ) -> Result<TensorValue, SamplesError> {
        let mut data: Vec<u8> =
            self.values(range.clone()).iter().flat_map(|v| v.to_le_bytes()).collect();
        let last = range.end.saturating_sub(1);
        for _ in range.len()..rows {
            data.extend(self.values(last..range.end).iter().flat_map(|v| v.to_le_bytes()));
        }
        let dims = std::iter::once(rows as u64).chain(self.dims.iter().copied()).collect();
        Ok(TensorValue::new(name, DType::F32, dims, data)?)
    }

    fn size(&self) -> usize {
        self.dims.iter().product::<u64>() as usize
    }
}

/// Pixels by a recipe; divided by 255 without one.
fn scaled(pixel: u8, channel: usize, recipe: Option<&Preprocess>) -> f32 {
    recipe.map_or_else(|| f32::from(pixel) / 255.0, |r| r.value(pixel, channel))
}

/// Most bytes of a file of samples.
const MAX_SAMPLES: u64 = 8 << 30;

fn read_file(path: &Path) -> Result<Vec<u8>, SamplesError> {
    read_plain(path, MAX_SAMPLES).map_err(|source| SamplesError::Io { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(labels: &[usize]) -> Samples {
        let values = (0..labels.len()).flat_map(|i| [i as f32, -(i as f32)]).collect();
        Samples::new(vec![2], values, labels.to_vec()).unwrap()
    }

    #[test]
    fn a_choice_is_seeded_and_has_as_many_of_each_class() {
        let all = samples(&[0, 0, 0, 0, 0, 0, 1, 1, 1, 2]);
        let few = all.choose(6, 7);
        assert_eq!(few, all.choose(6, 7));
        let of = |class| few.labels().iter().filter(|l| **l == class).count();
        assert_eq!((few.len(), of(2)), (6, 1));
        assert!(of(0) >= 2 && of(1) >= 2);
        assert!((0..20).any(|seed| all.choose(6, seed) != few));
        assert_eq!(all.choose(99, 1), all);
    }

    #[test]
    fn a_batch_is_filled_up_with_its_last_sample() {
        let tensor = samples(&[0, 1, 2]).batch("x", 1..3, 3).unwrap();
        assert_eq!(tensor.dims(), [3, 2]);
        let values: Vec<f32> =
            tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(values, [1.0, -1.0, 2.0, -2.0, 2.0, -2.0]);
    }

    #[test]
    fn inputs_and_labels_must_be_as_many() {
        assert!(Samples::new(vec![2], vec![0.0; 4], vec![0, 1]).is_some());
        assert!(Samples::new(vec![2], vec![0.0; 5], vec![0, 1]).is_none());
        assert!(Samples::new(vec![2], vec![], vec![]).is_none());
        assert!(Samples::new(vec![0], vec![], vec![0]).is_none());
    }
}
