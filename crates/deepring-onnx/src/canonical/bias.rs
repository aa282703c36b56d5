//! Constants per channel given the shape in which the engine reads them in place.

use deepring::DType;

use super::graph::Graph;
use super::shapes::Shapes;
use crate::proto::NodeProto;
use crate::read::ImportError;

impl Graph {
    /// Makes `Conv` without a bias, then `Add` of one value per channel, a `Conv` with a bias.
    ///
    /// The engine does the same, with a copy of the bias.
    pub(crate) fn fold_conv_bias(&mut self) -> Result<(), ImportError> {
        let uses = self.uses();
        let producers = self.producers();
        let mut removed = vec![false; self.nodes.len()];
        for index in 0..self.nodes.len() {
            let Some(add) = self.nodes.get(index).filter(|n| n.onnx_op() == "Add").cloned() else {
                continue;
            };
            let Some((x, constant)) = self.value_and_constant(&add) else { continue };
            let Some(&conv) = producers.get(x).filter(|_| uses.get(x) == Some(&1)) else {
                continue;
            };
            let Some(mut node) = self.nodes.get(conv).cloned() else { continue };
            if node.onnx_op() != "Conv" || node.arg(2).is_some() {
                continue;
            }
            let Some(weight) = self.constant(node.arg(1)) else { continue };
            let (weight_dims, bias) = (weight.sizes(), self.constant(Some(constant)));
            let Some((bias, source)) = bias.and_then(|b| Some((b, self.source(b)?.clone()))) else {
                continue;
            };
            let Some(channels) = channels_of(&bias.sizes())
                .filter(|c| bias.dims.len() == weight_dims.len() && weight_dims.first() == Some(c))
            else {
                continue;
            };
            if bias.dtype() != Some(DType::F32) {
                continue;
            }
            let constant = constant.to_owned();
            let name = self.reshaped_name(&constant, &uses);
            self.set_constant(&name, DType::F32, &[channels], source);
            node.input.truncate(2);
            node.input.push(name);
            node.output.clone_from(&add.output);
            if let (Some(old), Some(new)) = (removed.get_mut(conv), self.nodes.get_mut(index)) {
                *old = true;
                *new = node;
            }
        }
        let mut removed = removed.into_iter();
        self.nodes.retain(|_| !removed.next().unwrap_or(false));
        Ok(())
    }

    /// In `x * s + b` with `s` and `b` of shape `[1, c, 1 ...]`, drops the leading one.
    ///
    /// Broadcasting gives the same result for an `x` of that rank or more, and the engine no longer
    /// takes the pair for a batch normalisation with parameters of its own.
    pub(crate) fn keep_scale_in_place(&mut self, shapes: &Shapes) {
        let uses = self.uses();
        let producers = self.producers();
        let mut found = Vec::new();
        for add in self.nodes.iter().filter(|n| n.onnx_op() == "Add") {
            let Some((product, b)) = self.value_and_constant(add) else { continue };
            let Some(mul) = producers.get(product).and_then(|&i| self.nodes.get(i)) else {
                continue;
            };
            if mul.onnx_op() != "Mul" {
                continue;
            }
            if let Some((x, s)) = self.value_and_constant(mul)
                && let Some(rank) = shapes.rank(Some(x))
            {
                found.extend([(s.to_owned(), rank), (b.to_owned(), rank)]);
            }
        }
        for (name, rank) in found {
            let Some(tensor) = self.constants.get_mut(&name) else { continue };
            let applies = uses.get(&name) == Some(&1)
                && tensor.dims.len() <= rank
                && channels_of(&tensor.sizes()).is_some();
            if applies {
                tensor.dims.remove(0);
            }
        }
    }

    fn value_and_constant<'a>(&self, node: &'a NodeProto) -> Option<(&'a str, &'a str)> {
        let (a, b) = (node.arg(0)?, node.arg(1)?);
        match (self.constants.contains_key(a), self.constants.contains_key(b)) {
            (false, true) => Some((a, b)),
            (true, false) => Some((b, a)),
            _ => None,
        }
    }

    fn reshaped_name(&self, name: &str, uses: &std::collections::HashMap<String, usize>) -> String {
        if uses.get(name) == Some(&1) {
            name.to_owned()
        } else {
            self.fresh(&format!("{name}_vector"))
        }
    }
}

/// `c` of dimensions `[1, c, 1 ...]`.
fn channels_of(dims: &[u64]) -> Option<u64> {
    match dims {
        [1, c, rest @ ..] if rest.iter().all(|&d| d == 1) => Some(*c),
        _ => None,
    }
}
