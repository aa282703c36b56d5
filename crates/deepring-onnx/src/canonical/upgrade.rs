//! Older operators rewritten so that they mean the same in opset 9 and in what the engine runs.

mod before_nine;

use std::collections::{BTreeMap, HashMap, HashSet};

use deepring::{DType, Dim};

use super::differences::{self, ENGINE};
use super::graph::Graph;
use super::padding;
use super::shapes::Shapes;
use super::value_types::{self, ValueType};
use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::read::{ElementStore, ImportError, OperatorFault, ParamSource};
use crate::scope;

/// Since this version `Softmax` normalises one axis; before, it flattened the input to a matrix.
const SOFTMAX_ONE_AXIS: i64 = 13;
/// Since this version the axes of `Squeeze` and `Unsqueeze` are an input.
const AXES_AS_INPUT: i64 = 13;
/// Since this version those of `ReduceMean` are.
const REDUCE_AXES_AS_INPUT: i64 = 18;
/// Nothing older is written.
const OLDEST_WRITTEN: i64 = 9;

impl Graph {
    /// Rewrites all nodes, subgraphs included; the opset that they then are of.
    pub(crate) fn modernise(&mut self, opset: i64) -> Result<i64, ImportError> {
        let shapes = Shapes::infer(self)?;
        let value_types = value_types::infer(self);
        let mut taken = HashSet::new();
        names_of(&self.nodes, &mut taken);
        taken.extend(self.constants.keys().cloned());
        taken.extend(self.inputs.iter().filter_map(|v| v.name.clone()));
        let nodes = std::mem::take(&mut self.nodes);
        let mut upgrade = Upgrade {
            opset,
            taken: &taken,
            shapes: &shapes,
            value_types: &value_types,
            constants: &self.constants,
            store: &mut self.store,
            nodes: vec![],
            added: vec![],
        };
        upgrade.all(nodes)?;
        let Upgrade { nodes, added, .. } = upgrade;
        self.nodes = nodes;
        for tensor in added {
            let name = tensor.name.clone().unwrap_or_default();
            if self.constants.insert(name.clone(), tensor).is_some() {
                return Err(ImportError::Duplicate { value: name });
            }
        }
        Ok(opset.max(OLDEST_WRITTEN))
    }
}

/// The names of all values that nodes give, those in branches and loops among them, and of what these are given.
fn names_of(nodes: &[NodeProto], names: &mut HashSet<String>) {
    for node in nodes {
        names.extend(node.output.iter().cloned());
        for graph in scope::subgraphs(node) {
            names.extend(graph.initializer.iter().filter_map(|t| t.name.clone()));
            names.extend(graph.input.iter().filter_map(|v| v.name.clone()));
            names_of(&graph.node, names);
        }
    }
}

/// Has a body give values of its own: those around it that it gives as they are, ONNX would have it give through a node.
fn give_own(graph: &mut GraphProto, taken: &HashSet<String>) {
    let inputs = graph.input.iter().filter_map(|v| v.name.as_ref());
    let constants = graph.initializer.iter().filter_map(|t| t.name.as_ref());
    let made = graph.node.iter().flat_map(|n| &n.output);
    let mut own: HashSet<String> = inputs.chain(constants).chain(made).cloned().collect();
    for value in &mut graph.output {
        let Some(from) = value.name.clone().filter(|x| !x.is_empty() && !own.contains(x)) else {
            continue;
        };
        let mut to = format!("{from}.given");
        while taken.contains(&to) || !own.insert(to.clone()) {
            to.push('_');
        }
        graph.node.push(NodeProto::new("Identity", &to, &[&from], &[&to]));
        value.name = Some(to);
    }
}

/// One graph's nodes while they are rewritten.
pub(super) struct Upgrade<'a> {
    opset: i64,
    /// Every name in the file: a value that is added under one of them would be taken for the file's, or hide it.
    taken: &'a HashSet<String>,
    pub(super) shapes: &'a Shapes,
    value_types: &'a HashMap<String, ValueType>,
    constants: &'a BTreeMap<String, TensorProto>,
    store: &'a mut ElementStore,
    pub(super) nodes: Vec<NodeProto>,
    added: Vec<TensorProto>,
}

impl Upgrade<'_> {
    fn all(&mut self, nodes: Vec<NodeProto>) -> Result<(), ImportError> {
        for mut node in nodes {
            // The engine counts what is left out behind the last input.
            let given = node.input.iter().rposition(|x| !x.is_empty()).map_or(0, |last| last + 1);
            node.input.truncate(given);
            for graph in scope::subgraphs_mut(&mut node) {
                let mut inner = Upgrade {
                    opset: self.opset,
                    taken: self.taken,
                    shapes: self.shapes,
                    value_types: self.value_types,
                    constants: self.constants,
                    store: self.store,
                    nodes: vec![],
                    added: vec![],
                };
                inner.all(std::mem::take(&mut graph.node))?;
                graph.node = inner.nodes;
                graph.initializer.append(&mut inner.added);
                give_own(graph, self.taken);
            }
            self.node(node)?;
        }
        Ok(())
    }

    fn node(&mut self, mut node: NodeProto) -> Result<(), ImportError> {
        if !node.in_default_domain() {
            self.nodes.push(node);
            return Ok(());
        }
        node.domain = None;
        let (before, as_it_was) = (self.nodes.len(), node.clone());
        let constants = self.added.len();
        self.in_default_domain(node)?;
        let nodes = self.nodes.get(before..).unwrap_or_default().iter().flat_map(|n| &n.output);
        let constants = self.added.get(constants..).unwrap_or_default();
        let added = nodes.chain(constants.iter().filter_map(|t| t.name.as_ref()));
        let mut added = added.filter(|name| !as_it_was.output.contains(name));
        if let Some(name) = added.find(|name| self.taken.contains(*name)) {
            return Err(ImportError::Duplicate { value: name.clone() });
        }
        if self.nodes.get(before..) != Some(std::slice::from_ref(&as_it_was)) {
            // `conformance/node_tests.py` reads this.
            tracing::debug!(operator = as_it_was.op(), "written otherwise");
        }
        Ok(())
    }

    fn in_default_domain(&mut self, mut node: NodeProto) -> Result<(), ImportError> {
        if self.opset < OLDEST_WRITTEN {
            self.before_nine(&mut node)?;
        }
        let Some(mut node) = differences::apply(self, node)? else { return Ok(()) };
        match node.op() {
            "Softmax" | "LogSoftmax" if self.opset < SOFTMAX_ONE_AXIS => self.softmax(node),
            "Conv" | "ConvTranspose" | "ConvInteger" => {
                self.state_window(&mut node)?;
                self.nodes.push(node);
            }
            "MaxPool" | "AveragePool" | "LpPool" => {
                padding::explicit(self.shapes, &mut node)?;
                self.nodes.push(node);
            }
            _ => self.nodes.push(node),
        }
        Ok(())
    }

    /// States the kernel of a convolution, and its padding in numbers.
    pub(super) fn state_window(&self, node: &mut NodeProto) -> Result<(), ImportError> {
        self.state_kernel(node)?;
        padding::explicit(self.shapes, node)
    }

    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), ImportError> {
        self.store.charge(bytes)
    }

    /// Version of the default operator set that the file is of.
    pub(super) fn opset(&self) -> i64 {
        self.opset
    }

    /// The type of a value; `None` inside branches and loops, whose values are not looked into.
    pub(super) fn kind(&self, name: Option<&str>) -> Option<ValueType> {
        self.value_types.get(name?).copied()
    }

    /// How many elements a value has, where that is known.
    pub(super) fn elements(&self, name: Option<&str>) -> Option<u64> {
        let one = |n: u64, d: &Dim| match d {
            Dim::Fixed(d) => n.checked_mul(*d),
            Dim::Named(_) => None,
        };
        self.shapes.of(name)?.iter().try_fold(1, one)
    }

    pub(super) fn is_list_of_one(&self, name: &str) -> bool {
        self.shapes.of(Some(name)).is_some_and(|s| s.as_slice() == [Dim::Fixed(1)])
    }

    /// The elements of a small constant.
    pub(super) fn constant_bytes(&self, name: Option<&str>) -> Option<Vec<u8>> {
        let source = self.store.of(self.constants.get(name?)?)?;
        if source.len() <= 4096 { source.read().ok() } else { None }
    }

    /// The refusal of a form that the engine does not compute as ONNX says.
    pub(super) fn differs(&self, node: &NodeProto, what: &'static str) -> ImportError {
        ImportError::Operator {
            node: node.label(),
            operator: node.op().to_owned(),
            fault: OperatorFault::Differs { what, engine: ENGINE },
        }
    }

    /// `Squeeze` or `Unsqueeze`, whose axes were an attribute before version 13.
    pub(super) fn reshaped(&mut self, op: &str, x: &str, axes: &[i64], y: &str) {
        if self.opset < AXES_AS_INPUT {
            self.push(op, &[x], y).set_ints("axes", axes.to_vec());
        } else {
            let axes = self.ints(y, axes);
            self.push(op, &[x, &axes], y);
        }
    }

    /// `x`, which is no vector: of one, an index is out of bounds when the network runs.
    pub(super) fn no_vector(&mut self, x: &str, y: &str) -> String {
        let part = |suffix: &str| format!("{y}.{suffix}");
        let (two, table) = (self.int(&part("two"), 2), self.ints(&part("zero"), &[0]));
        self.push("Shape", &[x], &part("shape"));
        self.push("Size", &[&part("shape")], &part("rank"));
        self.push("Min", &[&part("rank"), &two], &part("least"));
        self.push("Sub", &[&two, &part("least")], &part("missing"));
        let gather = self.push("Gather", &[&table, &part("missing")], &part("nothing"));
        gather.name = Some(format!("{y}: a vector in a product of tensors of unknown rank"));
        let float = i64::from(DType::F32.onnx());
        self.push("Cast", &[&part("nothing")], &part("nothing_float")).set_int("to", float);
        self.push("Add", &[x, &part("nothing_float")], y);
        y.to_owned()
    }

    /// `x / divisor`, rounded once: of a single divisor the engine multiplies by the reciprocal, so it gets as many as `x`
    /// has columns, or elements.
    pub(super) fn divided(&mut self, x: &str, divisor: &str, y: &str) {
        if self.elements(Some(divisor)).is_some_and(|n| n > 1) {
            self.push("Div", &[x, divisor], y);
            return;
        }
        let (shape, many) = (format!("{y}.shape"), format!("{y}.divisors"));
        let columns = match self.shapes.of(Some(x)).and_then(|s| s.last()) {
            Some(Dim::Fixed(n)) if *n > 1 => i64::try_from(*n).ok(),
            _ => None,
        };
        let shape = match columns {
            Some(columns) => self.ints(&shape, &[columns]),
            None => {
                // Twice, since there may be a single element, and one of both is taken.
                let (first, twice) =
                    (self.int(&format!("{y}.first"), 0), self.ints(&format!("{y}.two"), &[2]));
                let (of_x, both) = (format!("{y}.of_x"), format!("{y}.both"));
                self.push("Shape", &[x], &of_x);
                self.push("Concat", &[&twice, &of_x], &shape).set_int("axis", 0);
                self.push("Expand", &[divisor, &shape], &many);
                self.push("Div", &[x, &many], &both);
                self.push("Gather", &[&both, &first], y).set_int("axis", 0);
                return;
            }
        };
        self.push("Expand", &[divisor, &shape], &many);
        self.push("Div", &[x, &many], y);
    }

    /// As [`divided`](Self::divided), of two numbers.
    pub(super) fn divided_number(&mut self, x: &str, divisor: &str, y: &str) {
        let part = |suffix: &str| format!("{y}.{suffix}");
        let two = self.ints(&part("two"), &[2]);
        self.push("Expand", &[divisor, &two], &part("divisors"));
        self.push("Div", &[x, &part("divisors")], &part("twice"));
        self.push("ReduceMax", &[&part("twice")], y).set_int("keepdims", 0);
    }

    /// The mean over these axes, which stay as ones.
    pub(super) fn mean(&mut self, x: &str, axes: &[i64], y: &str) {
        if self.opset < REDUCE_AXES_AS_INPUT {
            self.push("ReduceMean", &[x], y).set_ints("axes", axes.to_vec());
        } else {
            let axes = self.ints(y, axes);
            self.push("ReduceMean", &[x, &axes], y);
        }
    }

    /// A scale or zero point of `x` so that it broadcasts: a single one as it is, one for each channel along `axis`. `None`
    /// where ranks are not known.
    pub(super) fn along_axis(
        &mut self,
        value: &str,
        x: &str,
        axis: i64,
        wish: &str,
    ) -> Option<String> {
        match self.shapes.rank(Some(value))? {
            0 => Some(value.to_owned()),
            _ if self.is_list_of_one(value) => {
                self.reshaped("Squeeze", value, &[0], wish);
                Some(wish.to_owned())
            }
            1 => {
                let rank = i64::try_from(self.shapes.rank(Some(x))?).ok()?;
                let axis = if axis < 0 { axis.checked_add(rank)? } else { axis };
                let after = rank.checked_sub(1)?.checked_sub(axis).filter(|n| *n >= 0)?;
                if axis < 0 {
                    return None;
                }
                if after == 0 {
                    return Some(value.to_owned());
                }
                let axes: Vec<i64> = (1..=after).collect();
                self.reshaped("Unsqueeze", value, &axes, wish);
                Some(wish.to_owned())
            }
            _ => None,
        }
    }

    /// A constant beside the nodes, named after `wish`.
    pub(super) fn constant(
        &mut self,
        wish: &str,
        dtype: DType,
        dims: &[u64],
        bytes: Vec<u8>,
    ) -> String {
        let name = format!("{wish}.const");
        self.added.push(self.store.tensor(&name, dtype, dims, ParamSource::owned(bytes)));
        name
    }

    pub(super) fn float(&mut self, wish: &str, value: f32) -> String {
        self.constant(wish, DType::F32, &[], value.to_le_bytes().to_vec())
    }

    pub(super) fn ints(&mut self, wish: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(wish, DType::I64, &[values.len() as u64], bytes)
    }

    pub(super) fn int(&mut self, wish: &str, value: i64) -> String {
        self.constant(wish, DType::I64, &[], value.to_le_bytes().to_vec())
    }

    /// Adds a node whose output is named after that of the node it serves.
    pub(super) fn push(&mut self, op: &str, inputs: &[&str], output: &str) -> &mut NodeProto {
        self.nodes.push_mut(NodeProto::new(op, output, inputs, &[output]))
    }

    fn softmax(&mut self, mut node: NodeProto) {
        let axis = node.attr_int("axis").unwrap_or(1);
        let (Some(x), Some(y)) = (node.arg(0).map(str::to_owned), node.output.first().cloned())
        else {
            self.nodes.push(node);
            return;
        };
        let rank = self.shapes.rank(Some(&x)).and_then(|r| i64::try_from(r).ok());
        if axis == -1 || rank.is_some_and(|r| axis == r - 1) {
            node.set_int("axis", -1);
            self.nodes.push(node);
            return;
        }
        let part = |suffix: &str| format!("{y}.{suffix}");
        self.push("Shape", &[&x], &part("shape"));
        self.push("Flatten", &[&x], &part("flat")).set_int("axis", axis);
        node.input = vec![part("flat")];
        node.output = vec![part("rows")];
        node.set_int("axis", -1);
        self.nodes.push(node);
        self.push("Reshape", &[&part("rows"), &part("shape")], &y);
    }

    /// States a convolution's kernel where only the weights show it: the engine asks the attribute. Where not even these do,
    /// since a query brings them, what else the engine would take from it.
    fn state_kernel(&self, node: &mut NodeProto) -> Result<(), ImportError> {
        if node.attr("kernel_shape").is_some() {
            return Ok(());
        }
        let stated = |name: &str, each: usize| {
            node.attr_ints(name).map(|l| l.len() / each).filter(|n| *n > 0)
        };
        let rank = [1, 0].iter().find_map(|arg| self.shapes.rank(node.arg(*arg)));
        let count = rank
            .and_then(|rank| rank.checked_sub(2))
            .or_else(|| stated("strides", 1))
            .or_else(|| stated("dilations", 1))
            .or_else(|| stated("pads", 2));
        let Some(count) = count else {
            return Err(self.differs(node, "a convolution of an unknown number of dimensions"));
        };
        let state = |node: &mut NodeProto, name: &str, value: i64, count: usize| {
            if node.attr_ints(name).is_none_or(<[i64]>::is_empty) && count > 0 {
                node.set_ints(name, vec![value; count]);
            }
        };
        state(node, "strides", 1, count);
        state(node, "dilations", 1, count);
        if matches!(node.attr_str("auto_pad"), None | Some("NOTSET" | "VALID")) {
            if node.take_attr("auto_pad").is_some_and(|a| a.s.as_deref() == Some(b"VALID")) {
                node.take_attr("pads");
            }
            state(node, "pads", 0, 2 * count);
        }
        let Some(weight) = self.shapes.of(node.arg(1)).and_then(|w| w.get(2..)) else {
            return Ok(());
        };
        let kernel: Option<Vec<i64>> = weight
            .iter()
            .map(|d| match d {
                Dim::Fixed(n) => i64::try_from(*n).ok(),
                Dim::Named(_) => None,
            })
            .collect();
        if let Some(kernel) = kernel {
            node.set_ints("kernel_shape", kernel);
        }
        Ok(())
    }
}
