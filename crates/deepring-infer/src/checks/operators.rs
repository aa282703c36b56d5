//! Which parameters of a block take part in which operators, as far as checks can use it.
//!
//! An operator is *linear* here if its output is `W·x + b` with constant `W` and `b`: then a secret
//! projection of `W` tells whether an output came from these parameters. A *table* is a parameter of which
//! a run reads single rows. Everything else is parameters of which a check must read every byte.

use std::collections::{BTreeMap, HashMap, HashSet};

use deepring::{DType, Dim, Part, TensorSpec};
use deepring_onnx::SHARED_FILE;
use deepring_onnx::proto::{
    DimensionProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use prost::Message as _;

use super::window::Window;

/// A table with fewer bytes is checked whole: that costs less than looking at indices.
const SMALL_TABLE: u64 = 64 * 1024;

/// So many products of two differences of bytes stay within 32 bits when they are summed.
const MAX_BYTE_TERMS: usize = (i32::MAX / (255 * 255)) as usize;

/// The operators of a block's graph.
#[derive(Debug, Default, Hash)]
pub(crate) struct Operators {
    pub(crate) linears: Vec<Linear>,
    pub(crate) tables: Vec<GatherTable>,
    /// How many operators read a part; one that gives it out as it is counts too. One inside a branch or a loop counts as
    /// more than there can be.
    uses: BTreeMap<usize, usize>,
}

/// An operator with constant parameters, linear in its one input.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Linear {
    /// The value that it reads.
    pub(crate) x: Source,
    /// The value that it gives, bias included.
    pub(crate) y: String,
    /// Part that holds the weights, and whether nothing but linear operators read it.
    pub(crate) weight: usize,
    /// Part that holds the bias.
    pub(crate) bias: Option<usize>,
    pub(crate) form: LinearForm,
    pub(crate) arithmetic: Arithmetic,
}

impl Linear {
    /// How many times what a sum lost where it vanished may be found in an output: the size of the factor on the product
    /// (`Gemm`), and once at least.
    pub(crate) fn magnified(&self) -> f32 {
        match &self.arithmetic {
            Arithmetic::Floats { scales: [alpha, _] } => f32::from_bits(*alpha).abs().max(1.0),
            Arithmetic::Bytes { .. } => 1.0,
        }
    }
}

/// The numbers that an operator computes with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Arithmetic {
    /// 32-bit floats; with the bits of the factors on product and bias (`Gemm`).
    Floats { scales: [u32; 2] },
    /// Bytes, summed exactly in 32 bits. What is subtracted from each input: the value that holds it, a part
    /// or a result; and what is subtracted from each weight: the part that holds it.
    Bytes { input_zero: Option<Zero>, weight_zero: Option<usize> },
}

impl Arithmetic {
    /// Floats without factors.
    pub(crate) const fn unscaled() -> Self {
        Self::Floats { scales: [1f32.to_bits(); 2] }
    }
}

/// Where a zero point is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Zero {
    Part(usize),
    Value(String),
}

/// A value as an operator reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) value: String,
    /// True if what is read is this value with its negatives set to zero. A check that does so itself
    /// spares the engine giving out a second tensor.
    pub(crate) relu: bool,
}

/// How the weights are laid out and applied.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum LinearForm {
    /// A convolution over one or two dimensions, channels first.
    Conv(Window),
    /// Rows of `x` times a matrix: `inner` × `outer`, or its transpose.
    Rows { inner: usize, outer: usize, transposed: bool },
}

impl LinearForm {
    /// Outputs that an operator computes at one place.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Self::Conv(window) => window.outputs,
            Self::Rows { outer, .. } => *outer,
        }
    }
}

/// A parameter of which a run gathers rows.
#[derive(Debug, Clone, Hash)]
pub(crate) struct GatherTable {
    pub(crate) part: usize,
    /// The value that the gathered rows make: bit copies of them.
    pub(crate) rows_value: String,
    /// The value that holds the row numbers.
    pub(crate) indices: String,
    pub(crate) rows: usize,
    /// Bytes of a row, and its dimensions.
    pub(crate) row_len: usize,
    pub(crate) row_dims: Vec<usize>,
}

impl Operators {
    /// Reads a block's graph. What is not understood is left out, and so has every byte checked.
    pub(crate) fn of(graph: &[u8], parts: &[Part]) -> Self {
        let Ok(ModelProto { graph: Some(graph), .. }) = ModelProto::decode(graph) else {
            return Self::default();
        };
        let reader = Reader::new(&graph, parts);
        let mut linears = Vec::new();
        let mut tables = Vec::new();
        for node in &graph.node {
            if let Some(linear) = reader.linear(node) {
                linears.push(linear);
            } else if let Some(table) = reader.table(node) {
                tables.push(table);
            }
        }
        // What is given out anyway, as an operator's output, is read through the Relu that follows it.
        let given: HashSet<String> = linears.iter().map(|l| l.y.clone()).collect();
        for linear in &mut linears {
            let maker = reader.maker.get(linear.x.value.as_str());
            let before = maker.filter(|n| n.onnx_op() == "Relu").and_then(|n| n.arg(0));
            if let Some(value) = before.filter(|v| given.contains(*v)) {
                linear.x = Source { value: value.to_owned(), relu: true };
            }
        }
        // A parameter that something else reads too is not covered by what is checked here.
        let uses = |part: usize| reader.uses.get(&part).copied().unwrap_or(0);
        let by_linears =
            |linears: &[Linear], part: usize| linears.iter().filter(|l| l.weight == part).count();
        let all = linears.clone();
        linears.retain(|l| uses(l.weight) == by_linears(&all, l.weight));
        let gathered = tables.clone();
        tables.retain(|t| {
            uses(t.part) == gathered.iter().filter(|other| other.part == t.part).count()
        });
        Self { linears, tables, uses: reader.uses }
    }

    /// Takes out every operator of a weight that something else reads too, an operator that was taken out among them.
    pub(crate) fn keep_covered(&mut self) {
        let count = |part: usize| self.linears.iter().filter(|l| l.weight == part).count();
        let covered: Vec<bool> = self
            .linears
            .iter()
            .map(|l| self.uses.get(&l.weight).copied() == Some(count(l.weight)))
            .collect();
        let mut covered = covered.into_iter();
        self.linears.retain(|_| covered.next() == Some(true));
    }

    /// The values that a check looks at, block inputs included: what linear operators read and give, what is gathered
    /// and by which numbers.
    pub(crate) fn looks_at(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let linears = self.linears.iter().flat_map(|l| {
            let zero = super::integer::input_zero(l);
            [l.x.value.as_str(), l.y.as_str()].into_iter().chain(zero)
        });
        let tables = self.tables.iter().flat_map(|t| [t.indices.as_str(), t.rows_value.as_str()]);
        for name in linears.chain(tables) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Of these values, those that are neither inputs nor outputs of the block, so that the engine must give them out besides.
    pub(crate) fn exposed(&self, inputs: &[TensorSpec], outputs: &[TensorSpec]) -> Vec<String> {
        let known = |name: &&str| inputs.iter().chain(outputs).any(|s| s.name == *name);
        self.looks_at().into_iter().filter(|n| !known(n)).map(str::to_owned).collect()
    }

    /// Returns whether products tell if what was added is this part, and nothing else reads it.
    pub(crate) fn is_bias(&self, part: usize, products: &[usize]) -> bool {
        let added = products
            .iter()
            .filter(|i| self.linears.get(**i).is_some_and(|l| l.bias == Some(part)))
            .count();
        added > 0 && self.uses.get(&part) == Some(&added)
    }
}

/// A graph with its values indexed.
struct Reader<'a> {
    parts: &'a [Part],
    /// Part of each initializer.
    place: HashMap<&'a str, usize>,
    /// As in [`Operators`].
    uses: BTreeMap<usize, usize>,
    /// Who makes a value.
    maker: HashMap<&'a str, &'a NodeProto>,
    /// Who reads a value, the graph's outputs not counted.
    readers: HashMap<&'a str, Vec<&'a NodeProto>>,
    outputs: HashSet<&'a str>,
    /// Values that are stated to have one element.
    single: HashSet<&'a str>,
}

impl<'a> Reader<'a> {
    fn new(graph: &'a GraphProto, parts: &'a [Part]) -> Self {
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
            deepring::PartKind::Parameter(spec) if spec.dtype == dtype => spec,
            _ => return None,
        };
        Some((part, fixed(spec)?))
    }

    fn linear(&self, node: &NodeProto) -> Option<Linear> {
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

    fn table(&self, node: &NodeProto) -> Option<GatherTable> {
        if node.onnx_op() != "Gather" || node.attr_int("axis").unwrap_or(0) != 0 {
            return None;
        }
        let part = *self.place.get(node.arg(0)?)?;
        let deepring::PartKind::Parameter(spec) = &self.parts.get(part)?.kind else { return None };
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

/// Where a parameter begins in the plaintext of a block that has these parts.
pub(super) fn offset_of(tensor: &TensorProto, parts: &[Part]) -> Option<u64> {
    let entry = |key| {
        let entry = tensor.external_data.iter().find(|e| e.key.as_deref() == Some(key))?;
        entry.value.as_deref()
    };
    let offset: u64 = entry("offset")?.parse().ok()?;
    match entry("location") {
        Some(SHARED_FILE) => parts.iter().find(|p| p.shared.is_some())?.offset.checked_add(offset),
        _ => Some(offset),
    }
}

/// The same graph with more of its values given out, and with the parameters at these offsets as inputs that a run
/// may be given. `None` if the graph is none, or has no such parameter outside of branches.
pub(crate) fn exposing(
    graph: &[u8],
    names: &[String],
    (lent, parts): (&[u64], &[Part]),
) -> Option<Vec<u8>> {
    let mut model = ModelProto::decode(graph).ok()?;
    let graph = model.graph.as_mut()?;
    for name in names {
        if !graph.output.iter().any(|o| o.name.as_ref() == Some(name)) {
            let output = ValueInfoProto { name: Some(name.clone()), ..ValueInfoProto::default() };
            graph.output.push(output);
        }
    }
    for offset in lent {
        let mut found =
            graph.initializer.iter().filter(|t| offset_of(t, parts) == Some(*offset)).peekable();
        found.peek()?;
        graph.input.extend(found.map(typed));
    }
    Some(model.encode_to_vec())
}

/// A tensor as an input of its type.
fn typed(tensor: &TensorProto) -> ValueInfoProto {
    let dim = |n: &i64| DimensionProto { dim_value: Some(*n), dim_param: None };
    let tensor_type = TensorTypeProto {
        elem_type: tensor.data_type,
        shape: Some(TensorShapeProto { dim: tensor.dims.iter().map(dim).collect() }),
    };
    ValueInfoProto {
        name: tensor.name.clone(),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }),
    }
}
