//! Sizes that a graph computes: what follows from dimensions by arithmetic, as far as it can be told.

use super::{Sizes, size};
use crate::proto::NodeProto;
use crate::read::ImportError;
use deepring::Dim;

/// More numbers than this are no shape.
const MOST: usize = 64;

/// Numbers of a small tensor: exactly these, or, where an open dimension is among what they follow from, no less.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShapeNumbers {
    pub(super) numbers: Vec<f64>,
    pub(super) exact: bool,
}

impl Sizes<'_> {
    /// The numbers that a node computes of constants and dimensions; `None` where they cannot be told.
    pub(super) fn computed(&self, node: &NodeProto) -> Result<Option<ShapeNumbers>, ImportError> {
        let of = |arg: usize| self.values(node.arg(arg));
        let values = match node.onnx_op() {
            "Shape" => self.dimensions(node, |dims| dims),
            "Size" => self.dimensions(node, |dims| vec![dims.iter().product()]),
            "Identity" | "Cast" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => of(0)?,
            "Concat" => self.all(node, |parts| parts.concat())?,
            // More of what is added up, multiplied or compared gives more, where none is below nothing.
            "Add" | "Sum" => self.all(node, |parts| elementwise(&parts, |a, b| a + b))?,
            "Mul" => self.all(node, |parts| elementwise(&parts, |a, b| a * b))?,
            "Max" => self.all(node, |parts| elementwise(&parts, f64::max))?,
            "Min" => self.all(node, |parts| elementwise(&parts, f64::min))?,
            "Pow" => self.all(node, |parts| elementwise(&parts, f64::powf))?,
            "Sub" => exactly(self.all(node, |parts| elementwise(&parts, |a, b| a - b))?),
            "Div" => {
                let quotient = |a: f64, b: f64| (a / b).floor();
                exactly(self.all(node, |parts| elementwise(&parts, quotient))?)
            }
            "ReduceProd" => of(0)?.map(|v| v.reduced(|n| n.iter().product())),
            "ReduceSum" => of(0)?.map(|v| v.reduced(|n| n.iter().sum())),
            "ReduceMax" => of(0)?.map(|v| v.reduced(|n| n.iter().copied().fold(0.0, f64::max))),
            "Gather" => match (of(0)?, self.numbers(node.arg(1))?) {
                (Some(from), Some(at)) => from.at(&at),
                _ => None,
            },
            "Slice" => match (of(0)?, self.numbers(node.arg(1))?, self.numbers(node.arg(2))?) {
                (Some(from), Some(start), Some(end)) if node.arg(4).is_none() => {
                    from.between(&start, &end)
                }
                _ => None,
            },
            _ => None,
        };
        Ok(values.filter(|v| v.numbers.len() <= MOST && v.numbers.iter().all(|n| *n >= 0.0)))
    }

    /// Numbers that constants or dimensions tell.
    pub(super) fn values(&self, name: Option<&str>) -> Result<Option<ShapeNumbers>, ImportError> {
        if let Some(numbers) = self.constants_of(name)? {
            return Ok(Some(ShapeNumbers { numbers, exact: true }));
        }
        Ok(name.and_then(|name| self.computed.iter().rev().find_map(|c| c.get(name)).cloned()))
    }

    /// Of no node but one all of whose inputs are told.
    fn all(
        &self,
        node: &NodeProto,
        of: impl FnOnce(Vec<Vec<f64>>) -> Vec<f64>,
    ) -> Result<Option<ShapeNumbers>, ImportError> {
        let inputs = (0..node.input.len()).map(|arg| self.values(node.arg(arg)));
        let Some(inputs) = inputs.collect::<Result<Option<Vec<_>>, _>>()? else { return Ok(None) };
        let exact = inputs.iter().all(|v| v.exact);
        let numbers = of(inputs.into_iter().map(|v| v.numbers).collect());
        Ok(Some(ShapeNumbers { numbers, exact }))
    }

    fn dimensions(
        &self,
        node: &NodeProto,
        of: impl FnOnce(Vec<f64>) -> Vec<f64>,
    ) -> Option<ShapeNumbers> {
        // Inside branches and loops, no shapes are known but those of constants.
        let dims = self.around.is_empty().then(|| self.shapes.of(node.arg(0))).flatten()?;
        let rank = i64::try_from(dims.len()).ok()?;
        let place = |name: &str, or: i64| {
            let at = node.attr_int(name).unwrap_or(or);
            usize::try_from((if at < 0 { at + rank } else { at }).clamp(0, rank)).ok()
        };
        let dims = dims.get(place("start", 0)?..place("end", rank)?).unwrap_or_default();
        let exact = dims.iter().all(|d| matches!(d, Dim::Fixed(_)));
        Some(ShapeNumbers { numbers: of(dims.iter().map(size).collect()), exact })
    }
}

impl ShapeNumbers {
    fn reduced(self, of: impl FnOnce(&[f64]) -> f64) -> Self {
        Self { numbers: vec![of(&self.numbers)], exact: self.exact }
    }

    fn at(self, places: &[f64]) -> Option<Self> {
        let len = self.numbers.len() as f64;
        let of = |at: &f64| {
            let at = if *at < 0.0 { at + len } else { *at };
            (0.0..len).contains(&at).then(|| self.numbers.get(at as usize).copied()).flatten()
        };
        Some(Self { numbers: places.iter().map(of).collect::<Option<_>>()?, exact: self.exact })
    }

    fn between(self, start: &[f64], end: &[f64]) -> Option<Self> {
        let ([start], [end]) = (start, end) else { return None };
        let len = self.numbers.len() as f64;
        let within = |at: f64| (if at < 0.0 { at + len } else { at }).clamp(0.0, len) as usize;
        let numbers = self.numbers.get(within(*start)..within(*end)).unwrap_or_default().to_vec();
        Some(Self { numbers, exact: self.exact })
    }
}

fn exactly(values: Option<ShapeNumbers>) -> Option<ShapeNumbers> {
    values.filter(|v| v.exact)
}

/// Number by number; one number stands for as many as there are.
fn elementwise(parts: &[Vec<f64>], of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let len = parts.iter().map(Vec::len).max().unwrap_or(0);
    let at = |part: &Vec<f64>, i: usize| match part.as_slice() {
        [one] => Some(*one),
        all => all.get(i).copied(),
    };
    let each = |i: usize| {
        let numbers = parts.iter().map(|part| at(part, i));
        numbers.reduce(|a, b| Some(of(a?, b?))).flatten()
    };
    (0..len).map_while(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_stands_for_as_many_as_there_are() {
        let of = |parts: &[&[f64]]| {
            let parts: Vec<_> = parts.iter().map(|p| p.to_vec()).collect();
            elementwise(&parts, |a, b| a * b)
        };
        assert_eq!(of(&[&[2.0, 3.0], &[10.0]]), [20.0, 30.0]);
        assert_eq!(of(&[&[2.0, 3.0], &[4.0, 5.0], &[2.0]]), [16.0, 30.0]);
        assert!(of(&[&[2.0, 3.0], &[]]).is_empty());
    }

    #[test]
    fn places_and_stretches_are_counted_from_both_ends() {
        let values = || ShapeNumbers { numbers: vec![2.0, 3.0, 5.0], exact: true };
        let numbers = |v: Option<ShapeNumbers>| v.map(|v| v.numbers);
        assert_eq!(numbers(values().at(&[-1.0, 0.0])), Some(vec![5.0, 2.0]));
        assert_eq!(numbers(values().at(&[3.0])), None);
        assert_eq!(numbers(values().between(&[1.0], &[9e18])), Some(vec![3.0, 5.0]));
        assert_eq!(numbers(values().between(&[2.0], &[-2.0])), Some(vec![]));
    }
}
