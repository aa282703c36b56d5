//! How much a query computes, and how much of what it makes is held at a time.

use std::collections::{HashMap, HashSet};

use super::Sizes;
use crate::proto::NodeProto;
use crate::scope;

/// Most that a query may compute, in multiplications: a minute or two on two cores (2^43 in products of 8000 by 8000 took 210 s).
pub(super) const MOST_WORK: f64 = (1u64 << 42) as f64;
/// The cost of a node inside of a loop, however small it is, in multiplications.
const NODE: f64 = (1u64 << 14) as f64;
/// The cost of a step of a recurrent layer, likewise.
const STEP: f64 = (1u64 << 17) as f64;
/// Most elements of values that are held at a time; as f32, 1 GiB.
pub(super) const MOST_HELD: f64 = (1u64 << 28) as f64;

impl Sizes<'_> {
    /// The multiplications of a node, or what takes as long, given the number of elements that it makes; at least.
    pub(super) fn multiplications(&self, node: &NodeProto, made: f64) -> f64 {
        let dims = |arg: usize| self.dims(node.arg(arg)).unwrap_or_default();
        let count = |arg: usize| node.arg(arg).map_or(1.0, |x| self.count(x));
        let last = |arg: usize| dims(arg).last().copied().unwrap_or(1.0).max(1.0);
        let each = match node.onnx_op() {
            // Each number of both is multiplied at least once, where the dimensions are not known.
            "MatMul" | "MatMulInteger" => (made * last(0)).max(count(0)).max(count(1)),
            "QLinearMatMul" => (made * last(0)).max(count(0)).max(count(3)),
            "Gemm" => {
                let x = dims(0);
                let inner = if node.attr_int("transA") == Some(1) { x.first() } else { x.get(1) };
                (made * inner.copied().unwrap_or(1.0)).max(count(0)).max(count(1))
            }
            // Each element of the result, or of what is given, meets one filter.
            "Conv" | "ConvInteger" => made * filter(&dims(1)),
            "QLinearConv" => made * filter(&dims(3)),
            "ConvTranspose" => count(0) * filter(&dims(1)),
            "LSTM" | "GRU" | "RNN" => {
                let steps = dims(0).first().copied().unwrap_or(1.0);
                (count(0) / last(0) * (count(1) + count(2))).max(steps * STEP)
            }
            "Einsum" => self.contracted(node),
            _ => made,
        };
        if self.around.is_empty() { each } else { each.max(NODE) }
    }

    /// All letters of an equation at once; no more than two operands' are multiplied at a time.
    fn contracted(&self, node: &NodeProto) -> f64 {
        let Some(equation) = node.attr_str("equation") else { return 1.0 };
        let terms = equation.split("->").next().unwrap_or_default();
        let mut sizes: HashMap<char, f64> = HashMap::new();
        for (i, term) in terms.split(',').enumerate() {
            let Some(dims) = self.dims(node.arg(i)) else { continue };
            let letters: Vec<char> = term.chars().filter(|c| c.is_alphabetic()).collect();
            if letters.len() != dims.len() {
                continue;
            }
            for (letter, dim) in letters.into_iter().zip(dims) {
                let size = sizes.entry(letter).or_insert(1.0);
                *size = size.max(dim);
            }
        }
        match terms.split(',').count() {
            0..=2 => sizes.values().product(),
            _ => 1.0,
        }
    }
}

fn filter(dims: &[f64]) -> f64 {
    dims.iter().skip(1).product()
}

/// The elements that are held while nodes run one after the other.
#[derive(Debug, Default)]
pub(super) struct HeldElements {
    /// After which node a value is not needed any more.
    last: HashMap<String, usize>,
    kept: HashSet<String>,
    now: HashMap<String, f64>,
    sum: f64,
}

impl HeldElements {
    /// Of these nodes; `kept` are needed to the end, and so is what follows from constants alone: whoever runs the graph may
    /// compute it at once.
    pub(super) fn new<'n>(
        nodes: &[NodeProto],
        kept: impl Iterator<Item = &'n str>,
        is_constant: impl Fn(&str) -> bool,
    ) -> Self {
        let (mut last, mut kept) =
            (HashMap::new(), kept.map(str::to_owned).collect::<HashSet<_>>());
        let mut fixed: HashSet<&str> = HashSet::new();
        for (i, node) in nodes.iter().enumerate() {
            let needs = scope::needs(node);
            if needs.iter().all(|name| is_constant(name) || fixed.contains(name.as_str())) {
                fixed.extend(node.output.iter().map(String::as_str));
                kept.extend(node.output.iter().cloned());
            }
            last.extend(needs.into_iter().map(|name| (name, i)));
        }
        Self { last, kept, ..Self::default() }
    }

    /// The number of elements that are held while node `index` runs, whose outputs have so many.
    pub(super) fn while_running(&mut self, made: &[(&str, f64)]) -> f64 {
        for (name, count) in made {
            self.sum += count;
            self.now.insert((*name).to_owned(), *count);
        }
        self.sum
    }

    /// Node `index` is done: drops what no later one needs.
    pub(super) fn after(&mut self, index: usize, node: &NodeProto) {
        let names = scope::needs(node).into_iter().chain(node.output.iter().cloned());
        for name in names {
            let needed = self.last.get(&name).is_some_and(|last| *last > index);
            if !needed && !self.kept.contains(&name) {
                self.sum -= self.now.remove(&name).unwrap_or(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_later_node_needs_is_dropped() {
        let node = |inputs: &[&str], output: &str| NodeProto::new("Add", output, inputs, &[output]);
        let nodes = [node(&["x", "x"], "a"), node(&["a", "x"], "b"), node(&["b", "a"], "c")];
        let mut held = HeldElements::new(&nodes, ["c"].into_iter(), |_| false);
        let mut most = Vec::new();
        for (i, node) in nodes.iter().enumerate() {
            most.push(held.while_running(&[(&node.output[0], 10.0)]));
            held.after(i, node);
        }
        assert_eq!(most, [10.0, 20.0, 30.0]);
        assert_eq!(held.sum, 10.0);
        // Had `x` been a constant, all could be there at once.
        let mut held = HeldElements::new(&nodes, ["c"].into_iter(), |name| name == "x");
        for (i, node) in nodes.iter().enumerate() {
            held.while_running(&[(&node.output[0], 10.0)]);
            held.after(i, node);
        }
        assert_eq!(held.sum, 30.0);
    }
}
