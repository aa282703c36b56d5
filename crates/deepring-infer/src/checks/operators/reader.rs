//! Reading a graph: which of its nodes are linear operators, and which gather rows of a table.

use std::collections::{BTreeMap, HashMap, HashSet};

use deepring::{DType, Dim, Part, PartKind, TensorSpec};
use deepring_onnx::proto::{GraphProto, NodeProto, ValueInfoProto};

use super::{Arithmetic, GatherTable, Linear, LinearForm, Source, Zero, offset_of};
use crate::checks::window::Window;

/// A table with fewer bytes is checked whole: that costs less than looking at indices.
const SMALL_TABLE: u64 = 64 * 1024;

/// So many products of two differences of bytes stay within 32 bits when they are summed.
const MAX_BYTE_TERMS: usize = (i32::MAX / (255 * 255)) as usize;

/// A graph with its values indexed.
pub(super) struct GraphReader<'a> {
    parts: &'a [Part],
    /// Part of each initializer.
    place: HashMap<&'a str, usize>,
    /// As in [`Operators`](super::Operators).
    pub(super) uses: BTreeMap<usize, usize>,
    /// Who makes a value.
    pub(super) maker: HashMap<&'a str, &'a NodeProto>,
    /// Who reads a value, the graph's outputs not counted.
    readers: HashMap<&'a str, Vec<&'a NodeProto>>,
    outputs: HashSet<&'a str>,
    /// Values that are stated to have one element.
    single: HashSet<&'a str>,
}

impl<'a> GraphReader<'a> {
    pub(super) fn new(graph: &'a GraphProto, parts: &'a [Part]) -> Self {
        let mut place = HashMap::new();
        for tensor in &graph.initializer {
            let part = offset_of(tensor, parts).and_then(|at| {
                parts.iter().position(|p| p.offset == at && p.parameter_name().is_some())
            });
            if let (Some(name), Some(part)) = (tensor.name.as_deref(), part) {
                place.insert(name, part);
            }
        }
        let mut uses: BTreeMap<usize, usize> = BTreeMap::new();
        let mut read = |part: usize, times: usize| {
            let uses = uses.entry(part).or_default();
            *uses = uses.saturating_add(times);
        };
        let mut maker = HashMap::new();
        let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        for node in &graph.node {
            let nested = node.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty());
            for name in &node.input {
                readers.entry(name).or_default().push(node);
                if let Some(part) = place.get(name.as_str()) {
                    read(*part, 1);
                }
            }
            if nested {
                // What a branch reads is not looked into: it may read anything.
                place.values().for_each(|part| read(*part, usize::MAX));
            }
            maker.extend(node.output.iter().map(|name| (name.as_str(), node)));
        }
        let outputs: HashSet<&str> =
            graph.output.iter().filter_map(|o| o.name.as_deref()).collect();
        outputs.iter().filter_map(|name| place.get(name)).for_each(|part| read(*part, 1));
        let stated = graph.input.iter().chain(&graph.value_info);
        let constants = graph.initializer.iter().filter(|t| t.dims.iter().all(|d| *d == 1));
        let single = stated
            .filter(|v| has_one_element(v))
            .filter_map(|v| v.name.as_deref())
            .chain(constants.filter_map(|t| t.name.as_deref()))
            .collect();
        Self { parts, place, uses, maker, readers, outputs, single }
    }

    fn parameter(&self, name: Option<&str>, dtype: DType) -> Option<(usize, Vec<usize>)> {
        let part = *self.place.get(name?)?;
        let spec = match &self.parts.get(part)?.kind {
            PartKind::Parameter(spec) if spec.dtype == dtype => spec,
            _ => return None,
        };
        Some((part, fixed(spec)?))
    }

    pub(super) fn linear(&self, node: &NodeProto) -> Option<Linear> {
        let y = node.output.first()?;
        match node.onnx_op() {
            "Conv" => {
                let (weight, dims) = self.parameter(node.arg(1), DType::F32)?;
                let window = Window::of(node, &dims)?;
                let bias = self.vector(node.arg(2), window.outputs)?;
                let form = LinearForm::Conv(window);
                self.made(node.arg(0)?, y, (weight, bias), Arithmetic::unscaled(), form)
            }
            "MatMulInteger" => {
                let (weight, dims) = self.byte_parameter(node.arg(1))?;
                let form = rows(&dims, false)?;
                // Longer sums may wrap in the engine's 32 bits, and ours are of 64.
                let exact =
                    matches!(form, LinearForm::Rows { inner, .. } if inner <= MAX_BYTE_TERMS);
                let numbers = self.zeros(node).filter(|_| exact)?;
                self.made(node.arg(0)?, y, (weight, None), numbers, form)
            }
            "Gemm" => {
                if node.attr_int("transA").unwrap_or(0) != 0 {
                    return None;
                }
                let (weight, dims) = self.parameter(node.arg(1), DType::F32)?;
                let transposed = node.attr_int("transB").unwrap_or(0) != 0;
                let form = rows(&dims, transposed)?;
                let LinearForm::Rows { outer, .. } = form else { return None };
                let bias = self.vector(node.arg(2), outer)?;
                let scale = |name| node.attr_float(name).unwrap_or(1.0).to_bits();
                let numbers = Arithmetic::Floats { scales: [scale("alpha"), scale("beta")] };
                self.made(node.arg(0)?, y, (weight, bias), numbers, form)
            }
            "MatMul" => {
                let (weight, dims) = self.parameter(node.arg(1), DType::F32)?;
                let form = rows(&dims, false)?;
                let LinearForm::Rows { outer, .. } = form else { return None };
                // The engine may merge a product with the vector that is added to it; asking for the sum
                // keeps that possible.
                let (y, bias) = match self.added_vector(y, outer) {
                    Some((sum, bias)) => (sum, Some(bias)),
                    None => (y.as_str(), None),
                };
                self.made(node.arg(0)?, y, (weight, bias), Arithmetic::unscaled(), form)
            }
            _ => None,
        }
    }

    fn made(
        &self,
        x: &str,
        y: &str,
        (weight, bias): (usize, Option<usize>),
        arithmetic: Arithmetic,
        form: LinearForm,
    ) -> Option<Linear> {
        if self.place.contains_key(x) || y.is_empty() {
            return None;
        }
        let x = Source { value: x.to_owned(), relu: false };
        Some(Linear { x, y: y.to_owned(), weight, bias, form, arithmetic })
    }

    fn byte_parameter(&self, name: Option<&str>) -> Option<(usize, Vec<usize>)> {
        self.parameter(name, DType::I8).or_else(|| self.parameter(name, DType::U8))
    }

    /// The zero points of an operator on bytes. `None` where the input's may be one for each row.
    fn zeros(&self, node: &NodeProto) -> Option<Arithmetic> {
        let input_zero = match node.arg(2) {
            None => None,
            Some(name) if self.place.contains_key(name) => {
                let (part, dims) = self.byte_parameter(Some(name))?;
                Some(Zero::Part(part)).filter(|_| dims.iter().all(|d| *d == 1))
            }
            Some(name) => Some(Zero::Value(self.is_single(name, 0).then(|| name.to_owned())?)),
        };
        if input_zero.is_none() && node.arg(2).is_some() {
            return None;
        }
        let weight_zero = match node.arg(3) {
            Some(name) => Some(self.byte_parameter(Some(name))?.0),
            None => None,
        };
        Some(Arithmetic::Bytes { input_zero, weight_zero })
    }

    /// Returns whether a value has one element, as far as a few steps back tell: of the zero points that quantised networks compute.
    fn is_single(&self, name: &str, depth: u32) -> bool {
        if depth > 8 || self.single.contains(name) {
            return self.single.contains(name);
        }
        let Some(node) = self.maker.get(name) else { return false };
        let all = || node.input.iter().all(|x| self.is_single(x, depth + 1));
        match node.onnx_op() {
            "DynamicQuantizeLinear" => node.output.first().is_none_or(|y| y != name),
            "ReduceMin" | "ReduceMax" => {
                node.input.len() == 1
                    && node.attr("axes").is_none()
                    && node.attr_int("keepdims") == Some(0)
            }
            "Min" | "Max" | "Sub" | "Div" | "Neg" | "Round" | "Clip" | "Cast" => all(),
            _ => false,
        }
    }

    /// A bias: absent, or a parameter with one float for each output. `None` if it is something else.
    fn vector(&self, name: Option<&str>, len: usize) -> Option<Option<usize>> {
        let Some(name) = name else { return Some(None) };
        let (part, dims) = self.parameter(Some(name), DType::F32)?;
        (dims.iter().product::<usize>() == len && dims.last() == Some(&len)).then_some(Some(part))
    }

    /// The sum of `product` and a parameter of `len` floats, if that is all that happens to `product`.
    fn added_vector(&self, product: &str, len: usize) -> Option<(&'a str, usize)> {
        let [node] = self.readers.get(product)?.as_slice() else { return None };
        if node.onnx_op() != "Add" || self.outputs.contains(product) {
            return None;
        }
        let other = match (node.arg(0)?, node.arg(1)?) {
            (a, b) if a == product && b != product => b,
            (a, b) if b == product && a != product => a,
            _ => return None,
        };
        let (part, dims) = self.parameter(Some(other), DType::F32)?;
        (dims == [len]).then_some((node.output.first()?.as_str(), part))
    }

    pub(super) fn table(&self, node: &NodeProto) -> Option<GatherTable> {
        if node.onnx_op() != "Gather" || node.attr_int("axis").unwrap_or(0) != 0 {
            return None;
        }
        let part = *self.place.get(node.arg(0)?)?;
        let PartKind::Parameter(spec) = &self.parts.get(part)?.kind else { return None };
        let dims = fixed(spec)?;
        let indices = node.arg(1)?.to_owned();
        let rows = *dims.first()?;
        let len = usize::try_from(self.parts.get(part)?.len).ok()?;
        let row_len = len.checked_div(rows)?;
        let worth = self.parts.get(part)?.len >= SMALL_TABLE && row_len >= 64;
        // Of other types the engine holds a row in another form than the sealed one.
        let bit_copies = matches!(spec.dtype, DType::F32 | DType::I32 | DType::I8 | DType::U8);
        let rows_value = node.output.first().filter(|o| !o.is_empty())?.clone();
        (worth && bit_copies && !self.place.contains_key(indices.as_str())).then_some(GatherTable {
            part,
            rows_value,
            indices,
            rows,
            row_len,
            row_dims: dims.get(1..)?.to_vec(),
        })
    }
}

fn has_one_element(value: &ValueInfoProto) -> bool {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let shape = tensor.and_then(|t| t.shape.as_ref());
    shape.is_some_and(|s| s.dim.iter().all(|d| d.dim_value == Some(1)))
}

fn rows(dims: &[usize], transposed: bool) -> Option<LinearForm> {
    match (dims, transposed) {
        (&[inner, outer], false) | (&[outer, inner], true) => {
            Some(LinearForm::Rows { inner, outer, transposed })
        }
        _ => None,
    }
}

fn fixed(spec: &TensorSpec) -> Option<Vec<usize>> {
    let one = |d: &Dim| match d {
        Dim::Fixed(n) => usize::try_from(*n).ok().filter(|n| *n > 0),
        Dim::Named(_) => None,
    };
    spec.dims.as_ref()?.iter().map(one).collect()
}
