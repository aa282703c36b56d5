//! Refusal of operators that ask for vast tensors, and of loops that do not end: a file of a hundred bytes must not be able
//! to exhaust memory or time while it is sealed.

use deepring::{DType, Dim};

use super::graph::Graph;
use super::shapes::Shapes;
use crate::proto::NodeProto;
use crate::read::{ImportError, unsupported};

/// Most elements that one operator may make; a tensor of 512 MiB as f32.
const LIMIT: f64 = (1u64 << 27) as f64;
/// Most iterations that a constant may ask of a loop.
const ITERATIONS: i64 = 1 << 24;

impl Graph {
    /// Checks every operator whose result's size follows from constants or shapes; a dimension that a query decides counts
    /// as one.
    pub(super) fn refuse_vast(&self, shapes: &Shapes) -> Result<(), ImportError> {
        let vast = |n: f64| n.is_nan() || n > LIMIT;
        let one = |d: &Dim| match d {
            Dim::Fixed(n) => *n as f64,
            Dim::Named(_) => 1.0,
        };
        let elements = |name: &String| -> f64 {
            shapes.of(Some(name)).map_or(1.0, |dims| dims.iter().map(one).product())
        };
        for node in &self.nodes {
            if self.elements_asked_for(node, &elements)?.is_some_and(vast)
                || node.output.iter().map(elements).any(vast)
            {
                return Err(unsupported(
                    "a tensor of more than 2^27 elements",
                    node.name.as_deref(),
                ));
            }
            if node.onnx_op() == "Loop" && self.is_endless(node)? {
                return Err(unsupported("a loop of more than 2^24 turns", node.name.as_deref()));
            }
        }
        Ok(())
    }

    /// Whether nothing but a vast number, or nothing at all, ends a loop.
    fn is_endless(&self, node: &NodeProto) -> Result<bool, ImportError> {
        let count = self.ints(node.arg(0))?.and_then(|v| v.first().copied());
        if node.arg(0).is_some() && count.is_none_or(|n| n <= ITERATIONS) {
            return Ok(false);
        }
        let Some(body) = node.attr("body").and_then(|a| a.g.as_deref()) else { return Ok(false) };
        // The body's condition: its second input, and its first output.
        let given = body.input.get(1).and_then(|v| v.name.as_deref());
        let mut goes_on = body.output.first().and_then(|v| v.name.as_deref());
        for node in body.node.iter().rev() {
            if node.onnx_op() == "Identity" && node.output.first().map(String::as_str) == goes_on {
                goes_on = node.arg(0);
            }
        }
        let constant = body.initializer.iter().any(|t| t.name.as_deref() == goes_on);
        let outside = goes_on.is_some_and(|name| self.constants.contains_key(name));
        Ok(goes_on == given || constant || outside)
    }

    /// A lower bound of the number of elements, where constants tell one.
    fn elements_asked_for(
        &self,
        node: &NodeProto,
        elements: &impl Fn(&String) -> f64,
    ) -> Result<Option<f64>, ImportError> {
        let given = || node.input.first().map_or(1.0, elements);
        let product =
            |values: Option<Vec<f64>>| values.map(|v| v.iter().map(|x| x.abs()).product());
        Ok(match node.onnx_op() {
            "Expand" | "Tile" => product(self.numbers(node.arg(1))?),
            "ConstantOfShape" => product(self.numbers(node.arg(0))?),
            "Pad" => {
                let pads = match node.attr_ints("pads") {
                    Some(pads) => Some(pads.iter().map(|p| *p as f64).collect()),
                    None => self.numbers(node.arg(1))?,
                };
                let padded = |pads: Vec<f64>| {
                    let (before, after) = pads.split_at(pads.len() / 2);
                    let added = before.iter().zip(after).map(|(b, a)| (b + a).max(0.0));
                    // Dimensions that are not known count as one, and the least that all is made of is what is given.
                    added.map(|n| n + 1.0).product::<f64>().max(given())
                };
                pads.map(padded)
            }
            "OneHot" => product(self.numbers(node.arg(1))?).map(|n| n * given()),
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
