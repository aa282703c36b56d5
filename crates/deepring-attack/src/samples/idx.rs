//! MNIST's idx format: a magic number, 32-bit big-endian dimensions, bytes.

use std::path::Path;

use deepring_infer::inputs::Preprocess;

use super::{Samples, SamplesError, Split, read_file, scaled};

const IMAGES: &str = "images-idx3-ubyte";
const LABELS: &str = "labels-idx1-ubyte";

pub(super) fn read(
    folder: &Path,
    split: Split,
    recipe: Option<&Preprocess>,
) -> Result<Option<Samples>, SamplesError> {
    let wanted = match split {
        Split::Test => ["t10k-", "", "train-"],
        Split::Train => ["train-", "", "t10k-"],
    };
    let there = |prefix: &&str| folder.join(format!("{prefix}{IMAGES}")).is_file();
    let Some(prefix) = wanted.iter().find(|p| there(p)) else { return Ok(None) };
    let (path, labels_path) =
        (folder.join(format!("{prefix}{IMAGES}")), folder.join(format!("{prefix}{LABELS}")));
    let (images, labels) = (read_file(&path)?, read_file(&labels_path)?);
    let malformed = |path: &Path, reason| SamplesError::Malformed { path: path.into(), reason };
    let (dims, pixels) =
        content(&images).ok_or_else(|| malformed(&path, "no idx file of bytes"))?;
    let (counted, labels) =
        content(&labels).ok_or_else(|| malformed(&labels_path, "no idx file of bytes"))?;
    let [count, height, width] = dims.as_slice() else {
        return Err(malformed(&path, "images have three dimensions"));
    };
    if counted != [*count] {
        return Err(malformed(&labels_path, "not as many labels as images"));
    }
    let values = pixels.iter().map(|p| scaled(*p, 0, recipe)).collect();
    let labels = labels.iter().map(|l| usize::from(*l)).collect();
    let samples = Samples::new(vec![1, *height, *width], values, labels);
    samples.map(Some).ok_or_else(|| malformed(&path, "no images"))
}

/// Dimensions and elements, if the file is as long as it says.
fn content(file: &[u8]) -> Option<(Vec<u64>, &[u8])> {
    let (head, rest) = file.split_at_checked(4)?;
    let [0, 0, 8, rank @ 1..=8] = head else { return None };
    let (dims, elements) = rest.split_at_checked(4 * usize::from(*rank))?;
    let dims: Vec<u64> =
        dims.as_chunks().0.iter().map(|b| u64::from(u32::from_be_bytes(*b))).collect();
    let len = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d))?;
    (len == elements.len() as u64).then_some((dims, elements))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_as_long_as_it_says() {
        let file = [&[0, 0, 8, 1, 0, 0, 0, 3][..], b"abc"].concat();
        assert_eq!(content(&file), Some((vec![3], &b"abc"[..])));
        assert_eq!(content(&file[..10]), None);
        assert_eq!(content(&[0, 0, 13, 1, 0, 0, 0, 0]), None);
        assert_eq!(content(&[0, 0, 8, 3]), None);
        assert_eq!(content(&[[0, 0, 8, 2].as_slice(), &[255; 8]].concat()), None);
    }

    #[test]
    fn the_zoos_sample_is_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo/fashion-sample");
        let samples = read(&folder, Split::Test, None).unwrap().unwrap();
        assert_eq!((samples.len(), samples.dims()), (400, &[1, 28, 28][..]));
        assert!(samples.values(0..400).iter().all(|v| (0.0..=1.0).contains(v)));
        assert_eq!(samples.labels().iter().filter(|l| **l == 3).count(), 40);
    }
}
