//! Which parameters of a block take part in which operators, as far as checks can use it.
//!
//! An operator is *linear* here if its output is `W·x + b` with constant `W` and `b`: then a secret
//! projection of `W` tells whether an output came from these parameters. A *table* is a parameter of which
//! a run reads single rows. Everything else is parameters of which a check must read every byte.

mod reader;

use std::collections::{BTreeMap, HashSet};

use deepring::{Part, TensorSpec};
use deepring_onnx::SHARED_FILE;
use deepring_onnx::proto::{
    DimensionProto, ModelProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use prost::Message as _;

use super::window::Window;
use reader::GraphReader;

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
        let reader = GraphReader::new(&graph, parts);
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
