//! Integers that the engine holds in 32 bits, though the network's are wider: what could leave these is refused or guarded.
//!
//! An interval follows each integer through the graph. Where arithmetic on what a query gives could leave the range that is
//! held, the same is computed in floats beside it, and an index that is out of bounds where it does leave it ends the query
//! with an error. Arithmetic on dimensions is left alone: tensors of so many elements cannot be had.

mod constants;
mod interval;
mod wrap;

use std::collections::{HashMap, HashSet};

use deepring::DType;

use super::chosen::Chosen;
use super::graph::Graph;
use super::value_types::{self, ValueType};
use crate::proto::NodeProto;
use crate::read::{ImportError, ParamSource, unsupported};
use crate::scope;
use interval::{Interval, held, interval, is_arithmetic, is_narrowing};

/// Constants beyond this are no factors and offsets of dimensions.
const LARGE: i128 = 1 << 16;

/// The end of a guard's name, behind that of the tensor: the engine tells it when the guard ends a query.
const COMPLAINT: &str = ": an integer beyond what is held";

/// The tensor that a guard complained of, where that is what the engine says.
pub fn complaint_of_guard(said: &str) -> Option<&str> {
    let (before, _) = said.split_once(COMPLAINT)?;
    // Inside branches and loops, the operators around it are named before.
    Some(before.rsplit_once('"').map_or(before, |(_, tensor)| tensor))
}

/// Knowledge of the values of a graph, or of a branch or loop.
#[derive(Debug, Default)]
struct Known {
    intervals: HashMap<String, Interval>,
    /// Constants that are not held.
    beyond: HashSet<String>,
    constants: HashSet<String>,
    /// Values that follow from constants alone.
    fixed: HashSet<String>,
}

impl Known {
    fn constant(&mut self, name: &str, interval: Option<Interval>) {
        self.constants.insert(name.to_owned());
        self.fixed.insert(name.to_owned());
        if let Some(interval) = interval {
            if !interval.within(Interval::HELD) {
                self.beyond.insert(name.to_owned());
            }
            self.intervals.insert(name.to_owned(), interval);
        }
    }

    fn forget(&mut self, name: &str) {
        self.intervals.remove(name);
        for set in [&mut self.beyond, &mut self.constants, &mut self.fixed] {
            set.remove(name);
        }
    }

    /// Follows constants that are not held to where nothing but their being far matters.
    ///
    /// # Errors
    /// If one reaches anything else.
    fn follow_beyond(&mut self, node: &NodeProto) -> Result<(), ImportError> {
        let Self { intervals: known, beyond, .. } = self;
        if !node.input.iter().any(|x| beyond.contains(x)) {
            return Ok(());
        }
        match node.onnx_op() {
            "Concat" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" => {
                beyond.extend(node.output.iter().cloned());
                Ok(())
            }
            "Slice" if node.arg(0).is_some_and(|x| !beyond.contains(x)) => Ok(()),
            // A bound that is never met is as good where it is nearer; one that always is, is not.
            "Clip" if node.arg(0).is_some_and(|x| !beyond.contains(x)) => {
                let bound = |arg: usize| node.arg(arg).and_then(|x| known.get(x));
                let low = bound(1).is_none_or(|b| b.high <= Interval::HELD.high);
                let high = bound(2).is_none_or(|b| b.low >= Interval::HELD.low);
                if low && high { Ok(()) } else { refuse(&node.label()) }
            }
            "Loop" if node.input.iter().skip(1).all(|x| !beyond.contains(x)) => Ok(()),
            _ => refuse(&node.label()),
        }
    }

    /// The values that a body sees: inputs of the node, and what its bodies take.
    fn seen_by(&self, node: &NodeProto) -> Self {
        let names = scope::needs(node);
        let of = |set: &HashSet<String>| {
            names.iter().filter(|name| set.contains(*name)).cloned().collect()
        };
        let interval = |name: &String| Some((name.clone(), *self.intervals.get(name)?));
        Self {
            intervals: names.iter().filter_map(interval).collect(),
            beyond: of(&self.beyond),
            constants: of(&self.constants),
            fixed: of(&self.fixed),
        }
    }
}

/// The graph, or branch or loop, whose nodes are guarded.
struct Around<'a> {
    value_types: &'a HashMap<String, ValueType>,
    /// Names what is added.
    prefix: &'a str,
    chosen: Chosen,
}

fn refuse(name: &str) -> Result<(), ImportError> {
    Err(unsupported("an integer beyond 32 bits", Some(name)))
}

impl Graph {
    /// Guards every operator, those of branches and loops among them, whose result may leave what is held. Nodes must be in order.
    ///
    /// # Errors
    /// If a constant beyond 32 bits reaches more than a bound, which is as good there when it is nearer.
    pub(super) fn guard_integers(
        &mut self,
        value_types: &HashMap<String, ValueType>,
    ) -> Result<(), ImportError> {
        let mut known = Known::default();
        for name in self.constants.keys() {
            let tensor = self.constant(Some(name));
            known.constant(name, tensor.map_or(Ok(None), |t| self.interval_of(t))?);
        }
        let mut around = Around { value_types, prefix: "", chosen: Chosen::of(self) };
        let nodes = std::mem::take(&mut self.nodes);
        self.nodes = self.guarding(nodes, &mut known, &mut around)?;
        let outputs = self.outputs.iter().filter_map(|v| v.name.as_deref());
        outputs.filter(|y| known.beyond.contains(*y)).try_for_each(refuse)
    }

    /// As [`guard_integers`](Self::guard_integers), inside the node's branches and loops: what turns carry may be any number.
    fn guard_bodies(
        &mut self,
        node: &mut NodeProto,
        value_types: &HashMap<String, ValueType>,
        known: &Known,
        prefix: &str,
    ) -> Result<(), ImportError> {
        if scope::subgraphs(node).next().is_none() {
            return Ok(());
        }
        let is_loop = node.onnx_op() == "Loop";
        let of = node.output.iter().find(|y| !y.is_empty()).cloned().unwrap_or_default();
        let (seen, types) = (known.seen_by(node), value_types::given(node, value_types));
        for (i, body) in scope::subgraphs_mut(node).enumerate() {
            let mut inner = Known {
                intervals: seen.intervals.clone(),
                beyond: seen.beyond.clone(),
                constants: seen.constants.clone(),
                fixed: seen.fixed.clone(),
            };
            // A value of a body's own hides the one around it that is called the same.
            let own = body.input.iter().filter_map(|v| v.name.as_ref());
            own.for_each(|name| inner.forget(name));
            for tensor in &body.initializer {
                let interval = self.interval_of(tensor)?;
                inner.constant(tensor.name.as_deref().unwrap_or_default(), interval);
            }
            if let Some(turn) = body.input.first().and_then(|v| v.name.clone()).filter(|_| is_loop)
            {
                let interval = Interval { low: 0, high: i32::MAX.into(), of_shape: true };
                inner.intervals.insert(turn, interval);
            }
            let inside = value_types::inside(body, value_types, &types);
            let nodes = std::mem::take(&mut body.node);
            // Names are one graph's own, and two branches may have the same.
            let prefix = format!("{prefix}{of}.{i}.");
            // What is chosen from there is guarded where it is made.
            let chosen = Chosen::default();
            let mut around = Around { value_types: &inside, prefix: &prefix, chosen };
            body.node = self.guarding(nodes, &mut inner, &mut around)?;
            let outputs = body.output.iter().filter_map(|v| v.name.as_deref());
            outputs.filter(|y| inner.beyond.contains(*y)).try_for_each(refuse)?;
        }
        Ok(())
    }

    fn guarding(
        &mut self,
        nodes: Vec<NodeProto>,
        seen: &mut Known,
        around: &mut Around<'_>,
    ) -> Result<Vec<NodeProto>, ImportError> {
        let value_types = around.value_types;
        let mut guarded = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            self.guard_bodies(&mut node, value_types, seen, around.prefix)?;
            if constants::is_beyond(&node) {
                refuse(&node.label())?;
            }
            seen.follow_beyond(&node)?;
            if let Some(filled) = self.filled_with(&node)? {
                for y in &node.output {
                    seen.constant(y, Some(filled));
                }
                guarded.push(node);
                continue;
            }
            let Known { intervals: known, constants, fixed, .. } = &mut *seen;
            let Some(range) = node.output.first().and_then(|y| held(value_types.get(y))) else {
                self.guard_chosen(&mut node, around, &mut guarded);
                guarded.push(node);
                continue;
            };
            // A dimension times a number that is none is no dimension.
            let far = |x: &String| {
                constants.contains(x)
                    && known.get(x).is_some_and(|i| i.low < -LARGE || i.high > LARGE)
            };
            // Nor is what follows from constants alone.
            let alone = node.input.iter().all(|x| x.is_empty() || fixed.contains(x));
            if alone {
                fixed.extend(node.output.iter().cloned());
            }
            let of_shape = !(alone || is_arithmetic(node.onnx_op()) && node.input.iter().any(far));
            let from = node.arg(0).and_then(|x| match value_types.get(x) {
                Some(ValueType::Tensor(dtype)) => Some(*dtype),
                _ => None,
            });
            let given = node.arg(0).and_then(|x| known.get(x)).copied();
            let result = match interval(&node, known, range) {
                _ if wrap::is_wrapping(&node, from, given) => {
                    let named = format!("{}{}", around.prefix, node.output.join(""));
                    self.wrap(&mut node, &named, &mut guarded);
                    range
                }
                Some(found) if found.of_shape && of_shape || found.within(range) => found,
                _ => {
                    if is_arithmetic(node.onnx_op()) || is_narrowing(&node, value_types, range) {
                        self.guard(&mut node, range, around, &mut guarded);
                    }
                    range
                }
            };
            for output in node.output.iter().filter(|y| !y.is_empty()) {
                known.insert(output.clone(), result);
            }
            self.guard_chosen(&mut node, around, &mut guarded);
            guarded.push(node);
        }
        Ok(guarded)
    }

    /// Has a node wait for a guard, whose nodes are added: the same in floats, compared with the range, and an index that is out
    /// of bounds if any of it is outside. Where its result is chosen from, what chooses waits instead.
    fn guard(
        &mut self,
        node: &mut NodeProto,
        range: Interval,
        around: &mut Around<'_>,
        nodes: &mut Vec<NodeProto>,
    ) {
        let Some((x, y)) = node.edge() else { return };
        let (value_types, prefix) = (around.value_types, around.prefix);
        let part = |suffix: &str| format!("{prefix}{y}.guard.{suffix}");
        let float = i64::from(DType::F32.onnx());
        // The engine adds no bytes.
        if value_types.get(&x) == Some(&ValueType::Tensor(DType::I8)) && node.onnx_op() == "Cast" {
            nodes.push(cast(&x, i64::from(DType::I64.onnx()), &part("wide")));
            node.set_input(0, part("wide"));
        }
        let mut twin = match node.onnx_op() {
            // What is cast, and not what it is cast to.
            "Cast" => cast(&x, float, ""),
            _ => node.clone(),
        };
        // What follows the first input of these says along which axes.
        let along = matches!(node.onnx_op(), "CumSum") || node.onnx_op().starts_with("Reduce");
        let operands = if along { 1 } else { node.input.len() };
        for (i, input) in twin.input.iter_mut().enumerate().take(operands) {
            if held(value_types.get(input)).is_some() {
                let name = part(&format!("float{i}"));
                nodes.push(cast(input, float, &name));
                *input = name;
            }
        }
        twin.output = vec![part("in_floats")];
        twin.name = Some(part("in_floats"));
        nodes.push(twin);
        // Floats hold what is below 2^24 exactly; of larger ones, what is nearly too large is too large.
        let bound = |end: i128| match end.unsigned_abs() < 1 << 23 {
            true => end as f64 + if end > 0 { 0.5 } else { -0.5 },
            false => end as f64 * (1.0 - 2f64.powi(-20)),
        };
        let mut number = |name: &str, value: f64| {
            let name = part(name);
            let bytes = (value as f32).to_le_bytes().to_vec();
            self.set_constant(&name, DType::F32, &[], ParamSource::owned(bytes));
            name
        };
        let low = number("low", bound(range.low));
        let high = number("high", bound(range.high));
        let mut step = |op: &str, inputs: &[&str], to: &str| {
            nodes.push(NodeProto::new(op, &part(to), inputs, &[&part(to)]));
        };
        step("Less", &[&part("in_floats"), &low], "below");
        step("Greater", &[&part("in_floats"), &high], "above");
        step("Or", &[&part("below"), &part("above")], "outside");
        if !around.chosen.leave_open(&y) {
            let complaint = format!("{prefix}{y}{COMPLAINT}");
            let named = format!("{prefix}{y}");
            self.stop(node, (0, &named), &complaint, &part("outside"), value_types, nodes);
        }
    }

    /// Has a node that chooses wait for the guards of what it chooses from.
    fn guard_chosen(
        &mut self,
        node: &mut NodeProto,
        Around { value_types, chosen: open, .. }: &Around<'_>,
        nodes: &mut Vec<NodeProto>,
    ) {
        if node.onnx_op() != "Where" {
            return;
        }
        let (Some(by), Some(condition)) = (node.output.first().cloned(), node.arg(0)) else {
            return;
        };
        let condition = condition.to_owned();
        for arg in [1, 2] {
            for value in open.open_at(&by, arg) {
                // The same may be open at several places.
                let part = |suffix: &str| format!("{value}.guard.{suffix}.{arg}.{by}");
                let chosen = match arg {
                    1 => condition.clone(),
                    _ => {
                        let not = part("not");
                        nodes.push(NodeProto::new("Not", &not, &[&condition], &[&not]));
                        not
                    }
                };
                let (outside, both) = (format!("{value}.guard.outside"), part("chosen"));
                nodes.push(NodeProto::new("And", &both, &[&outside, &chosen], &[&both]));
                let complaint = format!("{value}{COMPLAINT}, {arg} of {by}");
                self.stop(node, (arg, &part("at")), &complaint, &both, value_types, nodes);
            }
        }
    }

    /// Has a node's input wait for a guard: an index that is out of bounds if any of `outside` is true. `y` names what is added.
    fn stop(
        &mut self,
        node: &mut NodeProto,
        (arg, y): (usize, &str),
        complaint: &str,
        outside: &str,
        value_types: &HashMap<String, ValueType>,
        nodes: &mut Vec<NodeProto>,
    ) {
        let Some(x) = node.arg(arg).map(str::to_owned) else { return };
        let part = |suffix: &str| format!("{y}.guard.{suffix}");
        let float = i64::from(DType::F32.onnx());
        let none = part("none");
        self.set_constant(&none, DType::F32, &[], ParamSource::owned(vec![0; 4]));
        let table = part("zero");
        self.set_constant(&table, DType::I64, &[1], ParamSource::owned(vec![0; 8]));
        nodes.push(cast(outside, float, &part("outside_float")));
        let (some, any) = (part("outside_float"), part("any"));
        let mut most = NodeProto::new("ReduceMax", &any, &[&some], &[&any]);
        most.set_int("keepdims", 0);
        nodes.push(most);
        // Of no elements, none is outside.
        let index = part("index");
        let any_or_none = part("any_or_none");
        nodes.push(NodeProto::new("Max", &any_or_none, &[&any, &none], &[&any_or_none]));
        nodes.push(cast(&any_or_none, i64::from(DType::I64.onnx()), &index));
        let (mut nothing, checked) = (part("nothing"), part("guarded"));
        nodes.push(NodeProto::new("Gather", complaint, &[&table, &index], &[&nothing]));
        if let Some(ValueType::Tensor(dtype)) = value_types.get(&x)
            && held(value_types.get(&x)).is_none()
        {
            let of_its_type = part("nothing_of_its_type");
            nodes.push(cast(&nothing, i64::from(dtype.onnx()), &of_its_type));
            nothing = of_its_type;
        }
        nodes.push(NodeProto::new("Add", &checked, &[&x, &nothing], &[&checked]));
        node.set_input(arg, checked);
    }
}

fn cast(x: &str, to: i64, y: &str) -> NodeProto {
    let mut cast = NodeProto::new("Cast", y, &[x], &[y]);
    cast.set_int("to", to);
    cast
}
