//! A parameter as an input of a node sees it: its tensor, and the scale by which it is dequantised on the way.

use super::{Layer, Network, NetworkError};

/// A parameter tensor and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) tensor: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) quantised: Option<Quantised>,
    /// The value that the node takes, where half precision is promoted for it.
    promoted: Option<String>,
}

/// How a tensor is dequantised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quantised {
    pub(crate) scale: String,
    pub(crate) zero: Option<String>,
    /// The axis that has a scale for each index; none, if the tensor has one scale.
    pub(crate) axis: Option<usize>,
    /// The value that the node takes.
    output: String,
}

impl Parameter {
    /// The parameter behind a value, if there is one. One that is dequantised block by block is none.
    pub(crate) fn find(network: &Network, value: &str) -> Option<Self> {
        if let Ok(tensor) = network.tensor(value) {
            let (tensor, dims) = (value.to_owned(), tensor.dims());
            return Some(Self { tensor, dims, quantised: None, promoted: None });
        }
        let node = network.nodes().iter().find(|n| n.output.iter().any(|o| o == value))?;
        if let Some(half) = network.half_behind(node) {
            let (tensor, dims) = (half.to_owned(), network.tensor(half).ok()?.dims());
            return Some(Self { tensor, dims, quantised: None, promoted: Some(value.to_owned()) });
        }
        if node.op_type.as_deref() != Some("DequantizeLinear") {
            return None;
        }
        let input = |at: usize| node.input.get(at).filter(|n| !n.is_empty());
        let (name, scale) = (input(0)?, input(1)?);
        let dims = network.tensor(name).ok()?.dims();
        let scales = network.tensor(scale).ok()?;
        let zero = input(2).cloned();
        if let Some(zero) = &zero {
            network.tensor(zero).ok().filter(|z| z.len() == scales.len())?;
        }
        let axis = match (scales.len(), scales.dims().len()) {
            (1, _) => None,
            (count, 1) => {
                let given = node.attribute.iter().find(|a| a.name.as_deref() == Some("axis"));
                let axis = given.and_then(|a| a.i).unwrap_or(1);
                let axis = if axis < 0 { axis + dims.len() as i64 } else { axis };
                let axis = usize::try_from(axis).ok()?;
                (dims.get(axis) == Some(&count)).then_some(Some(axis))?
            }
            _ => return None,
        };
        let output = value.to_owned();
        let quantised = Some(Quantised { scale: scale.clone(), zero, axis, output });
        Some(Self { tensor: name.clone(), dims, quantised, promoted: None })
    }

    /// The weight of a layer.
    pub(crate) fn of_layer(network: &Network, layer: &Layer) -> Option<Self> {
        let inputs = network.nodes().get(layer.node)?.input.iter();
        inputs.filter_map(|i| Self::find(network, i)).find(|p| p.tensor == layer.weight)
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The values that a permutation along an axis needs for itself alone: tensors, and what lies between
    /// them and the node.
    pub(crate) fn taken(&self, axis: usize) -> Vec<&str> {
        let mut out = vec![self.tensor.as_str()];
        out.extend(self.promoted.as_deref());
        if let Some(quantised) = &self.quantised {
            out.push(&quantised.output);
            if quantised.axis == Some(axis) {
                out.push(&quantised.scale);
                out.extend(quantised.zero.as_deref());
            }
        }
        out
    }

    /// Moves runs of `run` indices along an axis: what was at `order[i]` comes to `i`. Scales go with what
    /// they scale.
    pub(crate) fn permute(
        &self,
        network: &mut Network,
        axis: usize,
        run: usize,
        order: &[usize],
    ) -> Result<(), NetworkError> {
        move_runs(network, &self.tensor, &self.dims, axis, run, order)?;
        if let Some(quantised) = self.quantised.as_ref().filter(|q| q.axis == Some(axis)) {
            let names = std::iter::once(&quantised.scale).chain(&quantised.zero);
            for name in names {
                move_runs(network, name, &[run * order.len()], 0, run, order)?;
            }
        }
        Ok(())
    }
}

fn move_runs(
    network: &mut Network,
    name: &str,
    dims: &[usize],
    axis: usize,
    run: usize,
    order: &[usize],
) -> Result<(), NetworkError> {
    let tensor = network.tensor(name)?;
    let inner: usize = dims.iter().skip(axis + 1).product();
    let unit = inner * run * tensor.dtype().size();
    let bytes = tensor.bytes();
    let mut out = Vec::with_capacity(bytes.len());
    for part in bytes.chunks((unit * order.len()).max(1)) {
        for from in order {
            out.extend_from_slice(part.get(from * unit..(from + 1) * unit).unwrap_or_default());
        }
    }
    network.set_bytes(name, out)
}
