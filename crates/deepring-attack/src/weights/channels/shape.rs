//! Nodes that move the channels to another place, or take axes beside them away.

use deepring::DType;
use deepring_onnx::proto::NodeProto;

use super::{Place, Run, Walk, number};

impl Walk<'_> {
    /// Where the channels are after a node that only moves elements or reduces other axes; `None`, if that is
    /// not certain.
    pub(super) fn moved(&self, node: &NodeProto, op: &str, place: Place) -> Option<Place> {
        let rank = place.rank?;
        let channel = rank.checked_sub(place.from_end)?;
        match op {
            "Flatten" => {
                let axis = number(node, "axis").unwrap_or(1);
                (channel == 1 && (axis == 1 || axis + rank as i64 == 1)).then(|| flat(place))
            }
            "Reshape" => self.reshaped(node, place, channel),
            "Transpose" => {
                let order = ints(node, "perm").filter(|o| o.len() == rank)?;
                let to = order.iter().position(|from| usize::try_from(*from) == Ok(channel))?;
                Some(Place { from_end: rank - to, single: false, ..place })
            }
            "Pad" => {
                let pads = ints(node, "pads").or_else(|| self.integers(node, 1))?;
                let alone = pads.len() == 2 * rank && node.input.get(3).is_none();
                let none = |at: usize| pads.get(at) == Some(&0);
                (alone && none(channel) && none(rank + channel))
                    .then_some(Place { single: place.from_end == 1, ..place })
            }
            "ReduceMean" | "ReduceMax" | "ReduceSum" | "ReduceMin" | "ReduceL2" => {
                let axes = self.axes(node, rank)?;
                let after = axes.iter().filter(|a| **a > channel).count();
                let single = place.single || after + 1 == place.from_end;
                let place = Place { single, ..place };
                let keep = number(node, "keepdims").unwrap_or(1) != 0;
                if axes.contains(&channel) {
                    None
                } else if keep {
                    Some(place)
                } else {
                    Some(without(place, rank, axes.len(), after))
                }
            }
            "Squeeze" => {
                let axes = self.axes(node, rank)?;
                let after = axes.iter().filter(|a| **a > channel).count();
                (!axes.contains(&channel)).then(|| without(place, rank, axes.len(), after))
            }
            _ => None,
        }
    }

    /// To a matrix with a row for each sample.
    fn reshaped(&self, node: &NodeProto, place: Place, channel: usize) -> Option<Place> {
        let [rows, columns] = self.integers(node, 1)?[..] else { return None };
        let samples = self.rows();
        let known = match place.run {
            Run::Known(run) | Run::MultipleOf(run) => (run * self.found.count) as i64,
        };
        let whole = if rows == 0 || (rows > 0 && Some(rows) == samples) {
            columns == -1 || (columns > 0 && columns % known == 0)
        } else if place.single {
            columns == known
        } else {
            // Rows of as many columns as there are channels would as well be rows of pixels.
            rows == -1 && columns > known && columns % known == 0
        };
        (whole && channel == 1).then(|| flat(place))
    }

    /// The fixed number of samples that the network takes.
    fn rows(&self) -> Option<i64> {
        let input = self.network.graph().input.first()?;
        input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?.dim.first()?.dim_value
    }

    fn axes(&self, node: &NodeProto, rank: usize) -> Option<Vec<usize>> {
        let axes = ints(node, "axes").or_else(|| self.integers(node, 1))?;
        let counted = |a: &i64| usize::try_from(if *a < 0 { *a + rank as i64 } else { *a }).ok();
        axes.iter().map(counted).collect::<Option<Vec<_>>>().filter(|a| !a.is_empty())
    }

    /// An input that is a parameter of 64-bit integers.
    fn integers(&self, node: &NodeProto, at: usize) -> Option<Vec<i64>> {
        let tensor = self.network.tensor(node.input.get(at)?).ok()?;
        let read = || tensor.bytes().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
        (tensor.dtype() == DType::I64).then(read)
    }
}

fn flat(place: Place) -> Place {
    let run = match place.run {
        Run::Known(run) if !place.single => Run::MultipleOf(run),
        run => run,
    };
    Place { from_end: 1, rank: Some(2), run, single: true }
}

fn without(place: Place, rank: usize, axes: usize, after: usize) -> Place {
    Place {
        from_end: place.from_end.saturating_sub(after).max(1),
        rank: Some(rank.saturating_sub(axes)),
        ..place
    }
}

fn ints(node: &NodeProto, name: &str) -> Option<Vec<i64>> {
    let found = node.attribute.iter().find(|a| a.name.as_deref() == Some(name))?;
    (!found.ints.is_empty()).then(|| found.ints.clone())
}
