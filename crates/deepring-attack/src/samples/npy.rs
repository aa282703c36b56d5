//! Arrays: `inputs.npy` as it is, `labels.npy` of integers.

use std::path::Path;

use deepring::{DType, TensorValue};
use deepring_infer::inputs::{Preprocess, read_npy};

use super::{Samples, SamplesError, Split};

pub(super) fn read(
    folder: &Path,
    _: Split,
    _: Option<&Preprocess>,
) -> Result<Option<Samples>, SamplesError> {
    let (path, labels_path) = (folder.join("inputs.npy"), folder.join("labels.npy"));
    if !path.is_file() {
        return Ok(None);
    }
    let malformed = |path: &Path, reason| SamplesError::Malformed { path: path.into(), reason };
    let inputs = read_npy(&path, "inputs")?;
    if inputs.dtype() != DType::F32 {
        return Err(malformed(&path, "inputs are not f32"));
    }
    let labels = integers(&read_npy(&labels_path, "labels")?);
    let labels = labels.ok_or_else(|| malformed(&labels_path, "labels are no integers from 0"))?;
    let values = inputs.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let dims = inputs.dims().iter().skip(1).copied().collect();
    let samples = Samples::new(dims, values, labels);
    samples.map(Some).ok_or_else(|| malformed(&path, "not as many inputs as labels"))
}

fn integers(tensor: &TensorValue) -> Option<Vec<usize>> {
    fn all<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> i64) -> Option<Vec<usize>> {
        data.as_chunks().0.iter().map(|b| usize::try_from(read(*b)).ok()).collect()
    }
    // A label is an index into the scores; a vast one would make room for as many classes.
    let bounded = |labels: &Vec<usize>| labels.iter().all(|l| *l < 1 << 20);
    match tensor.dtype() {
        DType::U8 => all(tensor.data(), |[b]| i64::from(b)),
        DType::I32 => all(tensor.data(), |b| i64::from(i32::from_le_bytes(b))),
        DType::I64 => all(tensor.data(), i64::from_le_bytes),
        _ => None,
    }
    .filter(bounded)
}
