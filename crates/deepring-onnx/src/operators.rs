//! The specification of each operator of ONNX's default set, and the check that a graph keeps to it.
//!
//! An attribute that is misspelt, or written in another type than the standard's, would be read as absent or as zero, and
//! the network would compute something else than its author's runtime does. So it is refused, by node and attribute.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::proto::{AttributeProto, NodeProto, attribute_type};
use crate::read::{ImportError, OperatorFault};
use crate::scope::subgraphs;

/// A line for each operator, written by `conformance/schema.py`.
const ONNX: &str = include_str!("operators/onnx.txt");

/// Operators whose result does not follow from their inputs.
pub(crate) const RANDOM: [&str; 6] = [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
];

/// The specification of one operator.
struct Operator {
    /// Versions of the operator set in which it got another form or other types, ascending.
    since: Vec<i64>,
    attributes: HashMap<&'static str, Attribute>,
}

/// The specification of one attribute.
struct Attribute {
    /// Its type in letters.
    letters: &'static str,
    /// The versions of the operator that have it; empty if all do.
    of: Vec<i64>,
}

fn operators() -> &'static HashMap<&'static str, Operator> {
    static OPERATORS: OnceLock<HashMap<&'static str, Operator>> = OnceLock::new();
    OPERATORS.get_or_init(|| ONNX.lines().filter_map(parsed).collect())
}

fn parsed(line: &'static str) -> Option<(&'static str, Operator)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let versions = |list: &str| list.split(',').filter_map(|v| v.parse().ok()).collect();
    let since = versions(words.next()?);
    let attribute = |word: &'static str| {
        let (name, rest) = word.split_once(':')?;
        let (letters, of) = rest.split_once(':').unwrap_or((rest, ""));
        Some((name, Attribute { letters, of: versions(of) }))
    };
    Some((name, Operator { since, attributes: words.filter_map(attribute).collect() }))
}

/// Checks every node of the default set, those of branches and loops among them.
///
/// # Errors
/// [`ImportError::Operator`] for an operator that the set does not have, and for an attribute that it does not have, or
/// that is of another type.
pub(crate) fn check(nodes: &[NodeProto], opset: i64) -> Result<(), ImportError> {
    for node in nodes {
        if node.in_default_domain() {
            check_node(node, opset).map_err(|fault| ImportError::Operator {
                node: node.label(),
                operator: node.op().to_owned(),
                fault,
            })?;
        }
        for graph in subgraphs(node) {
            check(&graph.node, opset)?;
        }
    }
    Ok(())
}

fn check_node(node: &NodeProto, opset: i64) -> Result<(), OperatorFault> {
    let unknown = OperatorFault::Unknown { opset };
    let operator = operators().get(node.op()).ok_or_else(|| unknown.clone())?;
    let Some(version) = operator.since.iter().rfind(|since| **since <= opset) else {
        return Err(unknown);
    };
    let mut names = Vec::with_capacity(node.attribute.len());
    for attribute in &node.attribute {
        let name = attribute.name.as_deref().unwrap_or_default();
        let fault = |what| OperatorFault::Attribute { name: name.to_owned(), what };
        if names.contains(&name) {
            return Err(fault("is there twice"));
        }
        names.push(name);
        if attribute.ref_attr_name.as_deref().is_some_and(|n| !n.is_empty()) {
            return Err(fault("refers to a function's"));
        }
        let wanted = operator.attributes.get(name).ok_or_else(|| fault("is not known"))?;
        if !(wanted.of.is_empty() || wanted.of.contains(version)) {
            return Err(fault("is not one of this version of the operator"));
        }
        if !is_of(attribute, wanted.letters) {
            return Err(fault("is of another type than ONNX says"));
        }
    }
    Ok(())
}

/// Returns whether the attribute holds what the letters say, and nothing else. Its stated type may be missing, as old files have it.
fn is_of(attribute: &AttributeProto, letters: &str) -> bool {
    let stated = attribute.r#type.filter(|t| *t != 0);
    let holds = [
        ("f", attribute_type::FLOAT, attribute.f.is_some()),
        ("i", attribute_type::INT, attribute.i.is_some()),
        ("s", attribute_type::STRING, attribute.s.is_some()),
        ("t", attribute_type::TENSOR, attribute.t.is_some()),
        ("g", attribute_type::GRAPH, attribute.g.is_some()),
        ("ff", attribute_type::FLOATS, !attribute.floats.is_empty()),
        ("ii", attribute_type::INTS, !attribute.ints.is_empty()),
        ("ss", attribute_type::STRINGS, !attribute.strings.is_empty()),
        ("tt", attribute_type::TENSORS, !attribute.tensors.is_empty()),
        ("gg", attribute_type::GRAPHS, !attribute.graphs.is_empty()),
    ];
    let Some((_, code, held)) = holds.iter().find(|(letter, ..)| *letter == letters) else {
        // Sparse tensors and types: operators that have them are refused by name.
        return true;
    };
    let others = holds.iter().any(|(letter, _, held)| *letter != letters && *held);
    // A zero, an empty text and an empty list may be written as nothing at all, by files that state the type.
    (*held || stated == Some(*code)) && stated.is_none_or(|t| t == *code) && !others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::GraphProto;

    fn node(op: &str, attribute: Vec<AttributeProto>) -> NodeProto {
        let mut node = NodeProto::new(op, "n", &["x"], &["y"]);
        node.attribute = attribute;
        node
    }

    fn float(name: &str, code: Option<i32>) -> AttributeProto {
        let name = Some(name.to_owned());
        AttributeProto { name, f: Some(0.5), r#type: code, ..AttributeProto::default() }
    }

    fn integer(name: &str) -> AttributeProto {
        let (name, r#type) = (Some(name.to_owned()), Some(attribute_type::INT));
        AttributeProto { name, i: Some(1), r#type, ..AttributeProto::default() }
    }

    fn fault(node: NodeProto, opset: i64) -> Option<OperatorFault> {
        match check(&[node], opset) {
            Ok(()) => None,
            Err(ImportError::Operator { fault, .. }) => Some(fault),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_line_is_read() {
        assert_eq!(operators().len(), ONNX.lines().count());
        assert!(operators().values().all(|o| !o.since.is_empty() && o.since.is_sorted()));
        let letters = ["f", "i", "s", "t", "g", "ff", "ii", "ss", "tt", "gg", "?"];
        let types = operators().values().flat_map(|o| o.attributes.values());
        types.for_each(|t| assert!(letters.contains(&t.letters), "{}", t.letters));
    }

    #[test]
    fn attributes_are_those_of_the_standard_in_its_types() {
        assert_eq!(fault(node("LeakyRelu", vec![float("alpha", Some(1))]), 17), None);
        assert_eq!(fault(node("LeakyRelu", vec![float("alpha", None)]), 17), None, "old files");
        let attribute = |what| {
            let name = "alpha".to_owned();
            Some(OperatorFault::Attribute { name, what })
        };
        let other = "is of another type than ONNX says";
        assert_eq!(fault(node("LeakyRelu", vec![integer("alpha")]), 17), attribute(other));
        let liar = float("alpha", Some(attribute_type::INT));
        assert_eq!(fault(node("LeakyRelu", vec![liar]), 17), attribute(other));
        let both = AttributeProto { i: Some(1), ..float("alpha", Some(1)) };
        assert_eq!(fault(node("LeakyRelu", vec![both]), 17), attribute(other));
        assert_eq!(
            fault(node("Relu", vec![float("alpha", Some(1))]), 17),
            attribute("is not known")
        );
        let twice = vec![float("alpha", Some(1)), float("alpha", Some(1))];
        assert_eq!(fault(node("LeakyRelu", twice), 17), attribute("is there twice"));
        let later = "is not one of this version of the operator";
        for (op, name, without, with) in
            [("ArgMax", "select_last_index", 11, 12), ("ReduceMax", "axes", 18, 17)]
        {
            let of = |opset| match fault(node(op, vec![integer(name)]), opset) {
                Some(OperatorFault::Attribute { what, .. }) => Some(what),
                _ => None,
            };
            assert_eq!(of(without), Some(later));
            assert_ne!(of(with), Some(later));
        }
        let refers = AttributeProto { ref_attr_name: Some("a".into()), ..float("alpha", Some(1)) };
        let wanted = attribute("refers to a function's");
        assert_eq!(fault(node("LeakyRelu", vec![refers]), 17), wanted);
    }

    #[test]
    fn operators_are_those_of_the_set_also_in_branches() {
        assert_eq!(fault(node("Gelu", vec![]), 20), None);
        let unknown = |opset| Some(OperatorFault::Unknown { opset });
        assert_eq!(fault(node("Gelu", vec![]), 19), unknown(19));
        assert_eq!(fault(node("Reluu", vec![]), 19), unknown(19));
        let mut custom = node("Reluu", vec![float("anything", None)]);
        custom.domain = Some("com.example".into());
        assert_eq!(fault(custom, 19), None);
        let body = GraphProto { node: vec![node("Reluu", vec![])], ..GraphProto::default() };
        let branch = AttributeProto {
            name: Some("then_branch".into()),
            g: Some(Box::new(body)),
            r#type: Some(attribute_type::GRAPH),
            ..AttributeProto::default()
        };
        assert_eq!(fault(node("If", vec![branch]), 17), unknown(17));
    }
}
