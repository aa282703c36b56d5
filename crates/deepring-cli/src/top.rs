//! The highest elements of an output, with labels.

use deepring::files::InLine;
use deepring::{DType, TensorValue};
use serde::Serialize;

use crate::error::CliError;
use crate::output;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Top {
    pub(crate) index: usize,
    pub(crate) label: Option<String>,
    pub(crate) score: f64,
}

/// One output as a person reads it: for a matrix, the first row's top, and all rows' where there are several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OutputSummary {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) top: Vec<Top>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rows: Vec<Vec<Top>>,
}

impl OutputSummary {
    /// Its name and shape, and a line for each element.
    pub(crate) fn print(&self) -> Result<(), CliError> {
        output::line(format_args!("{} {:?}", InLine(&self.name), self.shape))?;
        let rows = if self.rows.is_empty() { std::slice::from_ref(&self.top) } else { &self.rows };
        for top in rows.iter().flatten() {
            let label = InLine(top.label.as_deref().unwrap_or(""));
            output::line(format_args!("{:>6}  {:>12.6}  {label}", top.index, top.score))?;
        }
        Ok(())
    }
}

/// The top `k` of each row of an output of at most two dimensions; of others, none.
pub(crate) fn output_summary(output: &TensorValue, labels: &[String], k: usize) -> OutputSummary {
    let dims = output.dims();
    let width = dims.last().map_or(1, |n| usize::try_from(*n).unwrap_or(0));
    let mut rows = Vec::new();
    if dims.len() <= 2 && width > 0 {
        rows = scores(output).chunks(width).map(|row| top(row, labels, k)).collect();
    }
    let first = rows.first().cloned().unwrap_or_default();
    if rows.len() == 1 {
        rows.clear();
    }
    OutputSummary { name: output.name().to_owned(), shape: dims.to_vec(), top: first, rows }
}

fn top(row: &[f64], labels: &[String], k: usize) -> Vec<Top> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    let score = |i: usize| row.get(i).copied().unwrap_or(f64::NEG_INFINITY);
    // NaN last, and the lower index first among equals.
    order.sort_by(|a, b| {
        let (x, y) = (score(*a), score(*b));
        x.is_nan().cmp(&y.is_nan()).then(y.total_cmp(&x)).then(a.cmp(b))
    });
    // Labels are used only where there is one for each element.
    let label = |i: usize| (labels.len() == row.len()).then(|| labels.get(i).cloned()).flatten();
    order
        .into_iter()
        .take(k)
        .map(|index| Top { index, label: label(index), score: score(index) })
        .collect()
}

fn scores(tensor: &TensorValue) -> Vec<f64> {
    fn all<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks().0.iter().map(|b| read(*b)).collect()
    }
    let data = tensor.data();
    match tensor.dtype() {
        DType::F32 => all(data, |b| f64::from(f32::from_le_bytes(b))),
        DType::F64 => all(data, f64::from_le_bytes),
        DType::I32 => all(data, |b| f64::from(i32::from_le_bytes(b))),
        DType::I64 => all(data, |b| i64::from_le_bytes(b) as f64),
        DType::U8 | DType::Bool => all(data, |[b]| f64::from(b)),
        DType::I8 => all(data, |b| f64::from(i8::from_le_bytes(b))),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(dims: &[u64], values: &[f32]) -> TensorValue {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        TensorValue::new("y", DType::F32, dims.to_vec(), data).unwrap()
    }

    #[test]
    fn the_highest_come_first_and_nan_last() {
        let out = output_summary(&floats(&[1, 4], &[0.5, f32::NAN, 2.0, 0.5]), &[], 4);
        assert_eq!(out.top.iter().map(|t| t.index).collect::<Vec<_>>(), [2, 0, 3, 1]);
        assert!(out.rows.is_empty());
    }

    #[test]
    fn labels_are_used_only_if_there_is_one_for_each() {
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let two = output_summary(&floats(&[2, 2], &[0.0, 1.0, 1.0, 0.0]), &labels, 1);
        assert_eq!(two.rows.len(), 2);
        assert_eq!(two.top[0].label.as_deref(), Some("b"));
        let three = output_summary(&floats(&[3], &[0.0, 1.0, 2.0]), &labels, 1);
        assert_eq!(three.top[0].label, None);
    }
}
