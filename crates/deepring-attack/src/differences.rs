//! Differences between two networks, found from the networks alone and not from what an attack says of itself.

use deepring_onnx::proto::{AttributeProto, NodeProto};
use serde::Serialize;

use crate::network::{Element, Network, Tensor};

/// The differences in `after`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Differences {
    /// Parameter tensors with other values.
    pub tensors: Vec<TensorDifference>,
    /// Everything else: nodes, edges, inputs, outputs, parameters that came or went.
    pub graph: Vec<GraphDifference>,
}

/// A parameter tensor with other values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorDifference {
    /// Name.
    pub tensor: String,
    /// Dimensions.
    pub dims: Vec<usize>,
    /// Every changed element.
    pub elements: Vec<ElementDifference>,
}

/// A changed element.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ElementDifference {
    /// Place in the row-major tensor.
    pub index: usize,
    /// Value before.
    pub before: Element,
    /// Value after.
    pub after: Element,
}

/// A change of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GraphDifference {
    /// Name of the node, tensor or value.
    pub name: String,
    /// How it was; nothing, if it was not there.
    pub before: Option<String>,
    /// How it is; nothing, if it is gone.
    pub after: Option<String>,
}

impl Differences {
    /// Compares two networks.
    #[must_use]
    pub fn between(before: &Network, after: &Network) -> Self {
        let mut out = Self { tensors: Vec::new(), graph: Vec::new() };
        for old in before.tensors() {
            match after.tensor(old.name()) {
                Ok(new) if new.dtype() == old.dtype() && new.dims() == old.dims() => {
                    let elements = elements(&old, &new);
                    if !elements.is_empty() {
                        let (tensor, dims) = (old.name().to_owned(), old.dims());
                        out.tensors.push(TensorDifference { tensor, dims, elements });
                    }
                }
                Ok(new) => out.note(old.name(), Some(shape(&old)), Some(shape(&new))),
                Err(_) => out.note(old.name(), Some(shape(&old)), None),
            }
        }
        for new in after.tensors().filter(|t| before.tensor(t.name()).is_err()) {
            out.note(new.name(), None, Some(shape(&new)));
        }
        out.nodes(before.nodes(), after.nodes());
        let ends = |n: &Network, what: &str| {
            let graph = n.graph();
            let values = if what == "inputs" { &graph.input } else { &graph.output };
            values.iter().filter_map(|v| v.name.clone()).collect::<Vec<_>>().join(", ")
        };
        for what in ["inputs", "outputs"] {
            let (old, new) = (ends(before, what), ends(after, what));
            if old != new {
                out.note(what, Some(old), Some(new));
            }
        }
        out
    }

    /// Returns whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty() && self.graph.is_empty()
    }

    /// Changed elements of parameters.
    #[must_use]
    pub fn values(&self) -> usize {
        self.tensors.iter().map(|t| t.elements.len()).sum()
    }

    /// Flipped bits of parameters: the Hamming distance.
    #[must_use]
    pub fn bits(&self) -> u64 {
        let flipped =
            |e: &ElementDifference| u64::from((e.before.bits() ^ e.after.bits()).count_ones());
        self.tensors.iter().flat_map(|t| &t.elements).map(flipped).sum()
    }

    fn nodes(&mut self, before: &[NodeProto], after: &[NodeProto]) {
        // A node is known by its first output, which no two have.
        let known = |nodes: &[NodeProto], key: &str| {
            nodes.iter().find(|n| n.output.first().is_some_and(|o| o == key)).map(described)
        };
        let label = |node: &NodeProto, key: &str| {
            node.name.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| key.to_owned())
        };
        for node in before {
            let Some(key) = node.output.first() else { continue };
            let (old, new) = (described(node), known(after, key));
            if new.as_ref() != Some(&old) {
                self.note(&label(node, key), Some(old), new);
            }
        }
        for node in after {
            let Some(key) = node.output.first() else { continue };
            if known(before, key).is_none() {
                self.note(&label(node, key), None, Some(described(node)));
            }
        }
    }

    fn note(&mut self, name: &str, before: Option<String>, after: Option<String>) {
        self.graph.push(GraphDifference { name: name.to_owned(), before, after });
    }
}

impl TensorDifference {
    /// Indices of an element by dimension.
    #[must_use]
    pub fn place(&self, index: usize) -> Vec<usize> {
        let (mut rest, mut place) = (index, Vec::with_capacity(self.dims.len()));
        for dim in self.dims.iter().rev() {
            place.push(rest % dim.max(&1));
            rest /= dim.max(&1);
        }
        place.reverse();
        place
    }
}

fn elements(old: &Tensor<'_>, new: &Tensor<'_>) -> Vec<ElementDifference> {
    let (dtype, size) = (old.dtype(), old.dtype().size());
    let pairs = old.bytes().chunks(size).zip(new.bytes().chunks(size)).enumerate();
    pairs
        .filter(|(_, (before, after))| before != after)
        .map(|(index, (before, after))| ElementDifference {
            index,
            before: Element::from_le_bytes(dtype, before),
            after: Element::from_le_bytes(dtype, after),
        })
        .collect()
}

fn shape(tensor: &Tensor<'_>) -> String {
    format!("{:?} {:?}", tensor.dtype(), tensor.dims())
}

/// A node as text: operator, edges, attributes.
fn described(node: &NodeProto) -> String {
    let attributes: Vec<String> = node.attribute.iter().map(attribute).collect();
    let op = node.op_type.as_deref().unwrap_or_default();
    let edges = format!("{op}({}) -> {}", node.input.join(", "), node.output.join(", "));
    if attributes.is_empty() { edges } else { format!("{edges} [{}]", attributes.join(", ")) }
}

fn attribute(a: &AttributeProto) -> String {
    let name = a.name.as_deref().unwrap_or_default();
    let value = match a {
        AttributeProto { i: Some(i), .. } => i.to_string(),
        AttributeProto { f: Some(f), .. } => f.to_string(),
        AttributeProto { s: Some(s), .. } => String::from_utf8_lossy(s).into_owned(),
        AttributeProto { ints, .. } if !ints.is_empty() => format!("{ints:?}"),
        AttributeProto { floats, .. } if !floats.is_empty() => format!("{floats:?}"),
        _ => "...".to_owned(),
    };
    format!("{name}={value}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn lenet() -> Network {
        let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo");
        Network::read(&zoo.join("fashion-lenet5.onnx")).unwrap()
    }

    #[test]
    fn nothing_differs_from_itself() {
        assert!(Differences::between(&lenet(), &lenet()).is_empty());
    }

    #[test]
    fn each_changed_value_is_told_with_its_place() {
        let (before, mut after) = (lenet(), lenet());
        let mut values = before.floats("conv1.weight").unwrap();
        values[30] = -values[30];
        values[31] += 1.0;
        after.set_floats("conv1.weight", &values).unwrap();
        let found = Differences::between(&before, &after);
        assert_eq!((found.values(), found.graph.len()), (2, 0));
        let tensor = &found.tensors[0];
        assert_eq!((tensor.tensor.as_str(), tensor.place(30)), ("conv1.weight", vec![1, 0, 1, 0]));
        assert_eq!((tensor.elements[0].before.bits() ^ tensor.elements[0].after.bits()), 1 << 31);
        assert!(found.bits() > 1);
    }

    #[test]
    fn a_changed_node_is_told_and_a_missing_one() {
        let (before, mut after) = (lenet(), lenet());
        after.graph_mut().node[1].op_type = Some("Tanh".to_owned());
        after.graph_mut().node.pop();
        let found = Differences::between(&before, &after);
        assert!(found.tensors.is_empty());
        assert_eq!(found.graph.len(), 2);
        assert!(found.graph[0].after.as_ref().unwrap().starts_with("Tanh("));
        assert_eq!(found.graph[1].after, None);
    }
}
