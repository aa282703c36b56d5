//! Refusal of operators that ask for vast tensors by a constant: a file of a hundred bytes must not be able
//! to exhaust memory while it is sealed.

use deepring::DType;

use super::graph::Graph;
use crate::onnx::proto::NodeProto;
use crate::onnx::{ImportError, unsupported};

/// Most elements that one such operator may make; a tensor of 1 GiB as f32.
const LIMIT: f64 = (1u64 << 28) as f64;

impl Graph {
    /// Checks every operator whose result's size is a constant's to decide.
    pub(super) fn refuse_vast(&self) -> Result<(), ImportError> {
        for node in &self.nodes {
            if self.elements_asked_for(node)?.is_some_and(|n| n.is_nan() || n > LIMIT) {
                return Err(unsupported(
                    "a tensor of more than 2^28 elements",
                    node.name.as_deref(),
                ));
            }
        }
        Ok(())
    }

    /// A lower bound of the number of elements, where constants tell one.
    fn elements_asked_for(&self, node: &NodeProto) -> Result<Option<f64>, ImportError> {
        let product =
            |values: Option<Vec<f64>>| values.map(|v| v.iter().map(|x| x.abs()).product());
        Ok(match node.onnx_op() {
            "Expand" | "Tile" => product(self.numbers(node.arg(1))?),
            "ConstantOfShape" => product(self.numbers(node.arg(0))?),
            "Pad" => self.numbers(node.arg(1))?.map(|pads| pads.iter().map(|x| x.abs()).sum()),
            "Upsample" => product(self.numbers(node.arg(1))?),
            "Resize" => match product(self.numbers(node.arg(2))?) {
                Some(by) if by > 0.0 => Some(by),
                _ => product(self.numbers(node.arg(3))?),
            },
            "Range" => {
                let ends = [0, 1, 2].map(|i| self.numbers(node.arg(i)));
                let [start, limit, step] = ends;
                let one = |v: Option<Vec<f64>>| v.and_then(|v| v.first().copied());
                match (one(start?), one(limit?), one(step?)) {
                    (Some(start), Some(limit), Some(step)) => {
                        Some(((limit - start) / step).max(0.0))
                    }
                    _ => None,
                }
            }
            _ => None,
        })
    }

    /// The values of a small constant of integers or floats.
    fn numbers(&self, name: Option<&str>) -> Result<Option<Vec<f64>>, ImportError> {
        if let Some(ints) = self.ints(name)? {
            return Ok(Some(ints.into_iter().map(|v| v as f64).collect()));
        }
        let Some(tensor) = self.constant(name) else { return Ok(None) };
        match (tensor.dtype(), self.source(tensor)) {
            (Some(DType::F32), Some(source)) if source.len() <= 4096 => {
                let bytes = source.read()?;
                let floats = bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)));
                Ok(Some(floats.collect()))
            }
            _ => Ok(None),
        }
    }
}
