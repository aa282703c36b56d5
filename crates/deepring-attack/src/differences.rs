//! Differences between two networks, found from the networks alone and not from what an attack says of itself.

use deepring_onnx::proto::{AttributeProto, NodeProto};
use prost::Message as _;
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
    let domain = node.domain.as_deref().filter(|d| !matches!(*d, "" | "ai.onnx"));
    let op = domain.into_iter().chain(node.op_type.as_deref()).collect::<Vec<_>>().join(".");
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
        AttributeProto { strings, .. } if !strings.is_empty() => {
            let strings: Vec<_> = strings.iter().map(|s| String::from_utf8_lossy(s)).collect();
            format!("{strings:?}")
        }
        // A tensor or a graph would fill pages: its digest tells it from another.
        a => blake3::hash(&a.encode_to_vec()).to_hex().chars().take(16).collect(),
    };
    format!("{name}={value}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use deepring::DType;
    use proptest::prelude::*;

    use super::*;
    use crate::network::made::{float, floats, int, ints, made, node, tensor, with};

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

    fn graph_differences(before: &Network, after: &Network) -> Vec<[Option<String>; 2]> {
        let found = Differences::between(before, after);
        assert_eq!(found.tensors, []);
        found.graph.into_iter().map(|g| [g.before, g.after]).collect()
    }

    /// A network of one node with this attribute.
    fn attributed(attribute: AttributeProto) -> Network {
        let node = with(node("Conv", &["x", "w"], "y"), "a", attribute);
        made(&[0, 2, 1, 1], vec![node], vec![floats("w", &[1, 2, 1, 1], &[1.0, 2.0])])
    }

    #[test]
    fn an_attribute_of_any_type_that_is_another_is_a_difference() {
        let constant = |v: f32| AttributeProto {
            t: Some(Box::new(floats("t", &[1], &[v]))),
            ..AttributeProto::default()
        };
        let text = |s: &str| AttributeProto { s: Some(s.into()), ..AttributeProto::default() };
        let texts =
            |s: &str| AttributeProto { strings: vec![s.into()], ..AttributeProto::default() };
        let numbers = |f: f32| AttributeProto { floats: vec![f], ..AttributeProto::default() };
        let inner = |op: &str| AttributeProto {
            g: Some(Box::new(deepring_onnx::proto::GraphProto {
                node: vec![node(op, &["x"], "inner")],
                ..Default::default()
            })),
            ..AttributeProto::default()
        };
        let pairs = [
            (int(1), int(2)),
            (float(1.0), float(1.5)),
            (ints(&[1, 2]), ints(&[2, 1])),
            (numbers(0.0), numbers(1.0)),
            (text("a"), text("b")),
            (texts("a"), texts("b")),
            (constant(1.0), constant(2.0)),
            (inner("Relu"), inner("Tanh")),
        ];
        for (old, new) in pairs {
            let (before, after) = (attributed(old), attributed(new));
            let found = graph_differences(&before, &after);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].iter().flatten().all(|told| told.starts_with("Conv(x, w) -> y [a=")));
            assert_eq!(graph_differences(&before, &before), Vec::<[_; 2]>::new());
        }
    }

    #[test]
    fn an_operator_of_another_domain_is_another() {
        let before = attributed(int(1));
        let mut after = before.clone();
        after.graph_mut().node[0].domain = Some("com.example".to_owned());
        let found = graph_differences(&before, &after);
        assert!(found[0][1].as_ref().unwrap().starts_with("com.example.Conv("), "{found:?}");
        // The default domain has two names.
        after.graph_mut().node[0].domain = Some("ai.onnx".to_owned());
        assert_eq!(graph_differences(&before, &after), Vec::<[_; 2]>::new());
    }

    #[test]
    fn tensors_that_come_go_or_have_another_shape_are_changes_of_the_graph() {
        let before = attributed(int(1));
        let with_tensors = |tensors: Vec<deepring_onnx::proto::TensorProto>| {
            let mut network = before.clone();
            network.graph_mut().initializer = tensors;
            network
        };
        let told = |s: &str| Some(s.to_owned());
        let flat = with_tensors(vec![floats("w", &[2], &[1.0, 2.0])]);
        assert_eq!(
            graph_differences(&before, &flat),
            [[told("F32 [1, 2, 1, 1]"), told("F32 [2]")]]
        );
        let bytes = [1.0f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let typed = with_tensors(vec![tensor("w", DType::U32, &[1, 2, 1, 1], bytes)]);
        assert_eq!(
            graph_differences(&before, &typed),
            [[told("F32 [1, 2, 1, 1]"), told("U32 [1, 2, 1, 1]")]]
        );
        let none = with_tensors(vec![]);
        assert_eq!(graph_differences(&before, &none), [[told("F32 [1, 2, 1, 1]"), None]]);
        assert_eq!(graph_differences(&none, &before), [[None, told("F32 [1, 2, 1, 1]")]]);
    }

    #[test]
    fn inputs_and_outputs_that_are_others_are_told_by_name() {
        let before = attributed(int(1));
        let mut after = before.clone();
        after.graph_mut().output[0].name = Some("z".to_owned());
        after.graph_mut().input.clear();
        let found = Differences::between(&before, &after);
        let names: Vec<&str> = found.graph.iter().map(|g| g.name.as_str()).collect();
        assert_eq!(names, ["inputs", "outputs"]);
        assert_eq!(found.graph[1].before.as_deref(), Some("y"));
        assert_eq!(found.graph[1].after.as_deref(), Some("z"));
        assert!(!found.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Every difference put into the network makes the other, whatever the type: nothing is left out, nor misplaced.
        #[test]
        fn what_is_told_is_the_whole_edit(
            dtype in prop::sample::select(vec![DType::F32, DType::F16, DType::I8, DType::F64]),
            places in prop::collection::btree_map(0usize..24, any::<u8>(), 0..8),
        ) {
            let size = dtype.size();
            let bytes: Vec<u8> = (0..24 * size).map(|i| i as u8).collect();
            let network = |bytes| {
                let nodes = vec![node("MatMul", &["x", "w"], "y")];
                made(&[0, 4], nodes, vec![tensor("w", dtype, &[4, 3, 2], bytes)])
            };
            let mut edited = bytes.clone();
            for (index, byte) in &places {
                edited[index * size + index % size] = *byte;
            }
            let found = Differences::between(&network(bytes.clone()), &network(edited.clone()));
            prop_assert!(found.graph.is_empty());
            let flipped: u32 = bytes.iter().zip(&edited).map(|(a, b)| (a ^ b).count_ones()).sum();
            prop_assert_eq!(found.bits(), u64::from(flipped));
            let mut again = bytes.clone();
            for difference in found.tensors.iter().flat_map(|t| &t.elements) {
                let at = difference.index * size;
                prop_assert_eq!(&again[at..at + size], &difference.before.bits().to_le_bytes()[..size]);
                again[at..at + size].copy_from_slice(&difference.after.bits().to_le_bytes()[..size]);
            }
            prop_assert_eq!(again, edited);
            for tensor in &found.tensors {
                for element in &tensor.elements {
                    let place = tensor.place(element.index);
                    prop_assert_eq!((place[0] * 3 + place[1]) * 2 + place[2], element.index);
                }
            }
        }
    }
}
