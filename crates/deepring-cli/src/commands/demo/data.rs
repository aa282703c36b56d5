//! The network, its labels and the test images, which the command carries in itself.

use deepring::{DType, TensorValue};

use crate::error::{CliError, Exit};

pub(super) const NETWORK: &[u8] = include_bytes!("../../../../../zoo/fashion-resnet8.onnx");
pub(super) const LABELS: &[u8] = include_bytes!("../../../../../zoo/labels.txt");
pub(super) const IMAGES: &[u8] =
    include_bytes!("../../../../../zoo/fashion-sample/images-idx3-ubyte");
pub(super) const ANSWERS: &[u8] =
    include_bytes!("../../../../../zoo/fashion-sample/labels-idx1-ubyte");

/// Pixels in a row and in a column.
pub(super) const SIDE: usize = 28;

/// The test images with the right answers.
#[derive(Debug)]
pub(super) struct Sample {
    /// Grey bytes, row by row.
    pub(super) pixels: Vec<&'static [u8]>,
    pub(super) truth: Vec<usize>,
    pub(super) labels: Vec<String>,
}

impl Sample {
    pub(super) fn embedded() -> Result<Self, CliError> {
        Self::parse(IMAGES, ANSWERS, LABELS)
            .ok_or_else(|| CliError::new(Exit::Failed, "the built-in test images are malformed"))
    }

    /// Reads the idx format: a magic number, the dimensions as 32-bit big-endian numbers, the bytes.
    fn parse(images: &'static [u8], answers: &[u8], labels: &[u8]) -> Option<Self> {
        let side = u32::try_from(SIDE).ok()?.to_be_bytes();
        let (head, images) = images.split_at_checked(16)?;
        let (count, dims) = head.strip_prefix(&[0, 0, 8, 3])?.split_at_checked(4)?;
        let (answers_head, answers) = answers.split_at_checked(8)?;
        let labels: Vec<String> =
            std::str::from_utf8(labels).ok()?.lines().map(str::to_owned).collect();
        let truth: Vec<usize> = answers.iter().map(|b| usize::from(*b)).collect();
        let fits = dims == [side, side].concat()
            && answers_head == [&[0, 0, 8, 1], count].concat()
            && images.len() == truth.len() * SIDE * SIDE
            && truth.iter().all(|t| *t < labels.len());
        fits.then(|| Self { pixels: images.chunks(SIDE * SIDE).collect(), truth, labels })
    }

    pub(super) fn len(&self) -> usize {
        self.truth.len()
    }

    /// Each image as a query: grey byte / 255 in the input of this name.
    pub(super) fn queries(&self, input: &str) -> Result<Vec<Vec<TensorValue>>, CliError> {
        let side = SIDE as u64;
        let query = |pixels: &&[u8]| {
            let data = pixels.iter().flat_map(|p| (f32::from(*p) / 255.0).to_le_bytes()).collect();
            TensorValue::new(input, DType::F32, vec![1, 1, side, side], data)
                .map(|tensor| vec![tensor])
                .map_err(|e| CliError::new(Exit::Failed, e))
        };
        self.pixels.iter().map(query).collect()
    }

    pub(super) fn label(&self, class: usize) -> &str {
        self.labels.get(class).map_or("?", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_sample_is_well_formed() {
        let sample = Sample::embedded().unwrap();
        assert_eq!(sample.len(), 400);
        assert_eq!(sample.labels.len(), 10);
        let queries = sample.queries("image").unwrap();
        assert_eq!(queries[399][0].data().len(), 4 * SIDE * SIDE);
    }

    #[test]
    fn a_sample_cut_short_is_refused() {
        assert!(Sample::parse(&IMAGES[..1000], ANSWERS, LABELS).is_none());
        assert!(Sample::parse(IMAGES, &ANSWERS[..20], LABELS).is_none());
    }
}
