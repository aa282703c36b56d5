//! Products of bytes on machines whose instructions saturate: right all the same.
//!
//! Without VNNI, rten 0.27 multiplies pairs of unsigned and signed bytes with `VPMADDUBSW`, whose sums of two products stay in 16
//! bits: beyond 32767 they are cut off, and a `MatMulInteger` is silently wrong. Pairs of which the unsigned bytes are at most 127
//! never are: 2 · 127 · 128 < 2^15. So the first operand is taken apart, `a = 128·h + l` with `0 <= l < 128` and `h` in -1, 0 and 1, its
//! zero point likewise, and
//!
//! ```text
//! Σ (a - z)(b - w)  =  Σ (l - zl)(b - w)  +  128 · Σ (h - zh)(b - w)
//! ```
//!
//! with `h + 1` in place of `h`, and of its zero point, so that both are unsigned.

use std::collections::{BTreeSet, HashSet};

use deepring::DType;
use deepring_onnx::proto::{GraphProto, NodeProto, TensorProto};
use deepring_onnx::subgraphs_mut;
use rten_gemm::GemmExecutor;

/// Returns whether the engine's products of bytes can saturate on this machine.
pub(super) fn is_needed() -> bool {
    GemmExecutor::<u8, i8, i32>::default().may_saturate()
}

/// Puts four operators and two products in each product's place. Returns whether there was any.
pub(super) fn with_exact_products(graph: &mut GraphProto) -> bool {
    let mut names = BTreeSet::new();
    collect(graph, &mut names);
    let mut names = Names(names.into_iter().collect());
    rewrite(graph, &mut names)
}

/// All names that a graph and what is in it have: none of them is given anew.
fn collect(graph: &mut GraphProto, into: &mut BTreeSet<String>) {
    let inputs = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
    into.extend(inputs.filter_map(|v| v.name.clone()));
    into.extend(graph.initializer.iter().filter_map(|t| t.name.clone()));
    for node in &mut graph.node {
        into.extend(node.input.iter().chain(&node.output).cloned());
        subgraphs_mut(node).for_each(|graph| collect(graph, into));
    }
}

struct Names(HashSet<String>);

impl Names {
    fn fresh(&mut self, of: &str, what: &str) -> String {
        let mut name = format!("{of}/{what}");
        while !self.0.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

fn rewrite(graph: &mut GraphProto, names: &mut Names) -> bool {
    let mut any = false;
    let mut constants: Option<[String; 3]> = None;
    let mut nodes = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        for within in subgraphs_mut(&mut node) {
            any |= rewrite(within, names);
        }
        let product = node.onnx_op() == "MatMulInteger";
        let (Some(a), Some(b), Some(y), true) =
            (node.arg(0), node.arg(1), node.output.first(), product)
        else {
            nodes.push(node);
            continue;
        };
        any = true;
        let known = constants.get_or_insert_with(|| {
            let mut name = |what| names.fresh("deepring/bytes", what);
            [name("128"), name("1"), name("zero_of_high")]
        });
        let [base, one, zero_of_high] = known.each_ref().map(String::as_str);
        let mut taken = Taken { names, nodes: &mut nodes, y, base, one };
        let [low, high] = taken.apart(a, "a");
        let zeros = node.arg(2).map(|zero| taken.apart(zero, "a_zero"));
        let [low_zero, high_zero] = match &zeros {
            Some([low, high]) => [low.as_str(), high.as_str()],
            None => ["", zero_of_high],
        };
        let w = node.arg(3).unwrap_or_default();
        let low = taken.made("MatMulInteger", &[&low, b, low_zero, w], "low_product");
        let high = taken.made("MatMulInteger", &[&high, b, high_zero, w], "high_product");
        let high = taken.made("Mul", &[&high, base], "high_sum");
        let y = y.clone();
        nodes.push(made("Add", &[&low, &high], y));
    }
    graph.node = nodes;
    if let Some([base, one, zero_of_high]) = constants {
        let number = |name, value: i32| scalar(name, DType::I32, value.to_le_bytes().to_vec());
        graph.initializer.extend([
            number(base, 128),
            number(one, 1),
            scalar(zero_of_high, DType::U8, vec![1]),
        ]);
    }
    any
}

/// The names that a product is taken apart with.
struct Taken<'a> {
    names: &'a mut Names,
    nodes: &'a mut Vec<NodeProto>,
    y: &'a str,
    base: &'a str,
    one: &'a str,
}

impl Taken<'_> {
    fn made(&mut self, op: &str, inputs: &[&str], what: &str) -> String {
        let name = self.names.fresh(self.y, what);
        self.nodes.push(made(op, inputs, name.clone()));
        name
    }

    fn cast(&mut self, value: &str, to: DType, what: &str) -> String {
        let name = self.made("Cast", &[value], what);
        if let Some(node) = self.nodes.last_mut() {
            node.set_int("to", i64::from(to.onnx()));
        }
        name
    }

    /// The lower seven bits of a value of bytes, and what is above them and one, as unsigned bytes.
    fn apart(&mut self, value: &str, what: &str) -> [String; 2] {
        let (base, one) = (self.base.to_owned(), self.one.to_owned());
        let wide = self.cast(value, DType::I32, &format!("{what}_wide"));
        // Of the divisor's sign, so never negative.
        let low = self.made("Mod", &[&wide, &base], &format!("{what}_low"));
        let rest = self.made("Sub", &[&wide, &low], &format!("{what}_rest"));
        let high = self.made("Div", &[&rest, &base], &format!("{what}_high"));
        let high = self.made("Add", &[&high, &one], &format!("{what}_high_one"));
        [
            self.cast(&low, DType::U8, &format!("{what}_low_bytes")),
            self.cast(&high, DType::U8, &format!("{what}_high_bytes")),
        ]
    }
}

fn made(op: &str, inputs: &[&str], output: String) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        input: inputs.iter().map(|s| (*s).to_owned()).collect(),
        output: vec![output],
        ..NodeProto::default()
    }
}

fn scalar(name: String, dtype: DType, bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name),
        data_type: Some(dtype.onnx()),
        raw_data: Some(bytes),
        ..TensorProto::default()
    }
}

#[cfg(test)]
mod tests;
