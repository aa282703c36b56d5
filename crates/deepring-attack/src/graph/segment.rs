//! Stretches of nodes between two values of one shape: dropped, run twice, interchanged.

use std::collections::BTreeSet;

use deepring_onnx::proto::NodeProto;

use super::flow::{Flow, holds_graph, op};
use super::shapes::ValueSpecs;
use super::surgery::{Surgery, rename};
use crate::attack::context::{AttackContext, AttackError, Attacked};

/// Nodes that take one computed value and leave one.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    input: String,
    output: String,
    nodes: BTreeSet<usize>,
}

pub(crate) fn drop(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let segment = chosen(context)?;
    let Segment { input, output, nodes } = &segment;
    let mut surgery = Surgery::on(context.network);
    remove(&mut surgery, nodes);
    surgery.reconnect(output, input);
    if surgery.is_output(output) {
        let node = surgery.node("Identity", &[input], output, Vec::new());
        surgery.nodes().push(node);
    }
    Ok(context.made(surgery.finish(), format!("dropped {}", segment.told())))
}

pub(crate) fn duplicate(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let segment = chosen(context)?;
    let Segment { input, output, nodes } = &segment;
    let mut surgery = Surgery::on(context.network);
    let between = surgery.fresh(&format!("{output}.first"));
    let mut copies: Vec<NodeProto> =
        nodes.iter().filter_map(|i| context.network.nodes().get(*i).cloned()).collect();
    for node in &mut copies {
        let name = node.name.clone().filter(|n| !n.is_empty());
        node.name = name.map(|n| surgery.fresh(&format!("{n}.again")));
    }
    let made: Vec<String> = copies.iter().flat_map(|n| n.output.clone()).collect();
    for value in made.iter().filter(|v| *v != output && !v.is_empty()) {
        let again = surgery.fresh(&format!("{value}.again"));
        rename(&mut copies, value, &again, true);
    }
    rename(&mut copies, input, &between, false);
    // The copy makes the value that what follows takes; the original makes the one between them.
    let last = nodes.last().copied().unwrap_or_default();
    if let Some(node) = surgery.nodes().get_mut(last) {
        rename(std::slice::from_mut(node), output, &between, true);
    }
    let after = (last + 1).min(surgery.nodes().len());
    surgery.nodes().splice(after..after, copies);
    Ok(context.made(surgery.finish(), format!("runs twice {}", segment.told())))
}

pub(crate) fn swap(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let flow = Flow::of(context.network);
    let all = segments(context, &flow)?;
    let wanted = layer_node(context)?;
    let follows = |a: &Segment, b: &Segment| {
        let within =
            |v: &str| !flow.is_output(v) && flow.consumers(v).all(|c| b.nodes.contains(&c));
        let named = |w: usize| a.nodes.contains(&w) || b.nodes.contains(&w);
        a.output == b.input && within(&a.output) && wanted.is_none_or(named)
    };
    let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (a, b)));
    let pairs: Vec<(&Segment, &Segment)> = pairs.filter(|(a, b)| follows(a, b)).collect();
    let (first, second) = context.random().choice(pairs).ok_or_else(|| {
        context.not_applicable(
            "no two stretches of nodes with a linear layer and of one shape follow each other",
        )
    })?;
    let mut surgery = Surgery::on(context.network);
    let between = surgery.fresh(&format!("{}.swapped", first.output));
    let of = |segment: &Segment| -> Vec<NodeProto> {
        segment.nodes.iter().filter_map(|i| context.network.nodes().get(*i).cloned()).collect()
    };
    let (mut one, mut two) = (of(first), of(second));
    rename(&mut two, &second.output, &between, true);
    rename(&mut two, &second.input, &first.input, false);
    rename(&mut one, &first.input, &between, false);
    rename(&mut one, &first.output, &second.output, true);
    // Where the second ended, all that both take is made already.
    let last = second.nodes.last().copied().unwrap_or_default();
    let both: BTreeSet<usize> = first.nodes.union(&second.nodes).copied().collect();
    let place = last + 1 - both.len();
    remove(&mut surgery, &both);
    two.append(&mut one);
    let place = place.min(surgery.nodes().len());
    surgery.nodes().splice(place..place, two);
    let what = format!("interchanged {} and {}", first.told(), second.told());
    Ok(context.made(surgery.finish(), what))
}

impl Segment {
    fn told(&self) -> String {
        let count = match self.nodes.len() {
            1 => "node".to_owned(),
            n => format!("{n} nodes"),
        };
        format!("the {count} from `{}` to `{}`", self.input, self.output)
    }
}

fn chosen(context: &AttackContext<'_>) -> Result<Segment, AttackError> {
    let wanted = layer_node(context)?;
    let mut all = segments(context, &Flow::of(context.network))?;
    all.retain(|s| wanted.is_none_or(|w| s.nodes.contains(&w)));
    context.random().choice(all).ok_or_else(|| {
        context.not_applicable(
            "no stretch of nodes with a linear layer takes one value and leaves one of its shape",
        )
    })
}

fn layer_node(context: &AttackContext<'_>) -> Result<Option<usize>, AttackError> {
    let named = context.options.layer.is_some();
    named.then(|| context.layer(&mut context.random(), |_| true).map(|l| l.node)).transpose()
}

fn remove(surgery: &mut Surgery, nodes: &BTreeSet<usize>) {
    let mut index = 0;
    surgery.nodes().retain(|_| {
        index += 1;
        !nodes.contains(&(index - 1))
    });
}

fn segments(context: &AttackContext<'_>, flow: &Flow<'_>) -> Result<Vec<Segment>, AttackError> {
    let shapes = ValueSpecs::of(context.network)?;
    Ok((0..context.network.nodes().len()).flat_map(|last| ending(flow, &shapes, last)).collect())
}

/// The stretches whose last node this is.
///
/// Nodes are taken in backwards, the latest first. Whenever all that they still need is one value, that value
/// dominates the output: no path from the inputs goes around it. The walk ends where something else uses what
/// is made inside: such a user comes later in the order than what it uses, so it can no longer be taken in.
fn ending(flow: &Flow<'_>, shapes: &ValueSpecs, last: usize) -> Vec<Segment> {
    let mut found = Vec::new();
    let Some(output) = flow.node(last).and_then(|n| n.output.first()) else { return found };
    let (mut nodes, mut needed) = (BTreeSet::new(), BTreeSet::new());
    let mut next = last;
    loop {
        let Some(node) = flow.node(next).filter(|n| !holds_graph(n)) else { return found };
        nodes.insert(next);
        let inner = node.output.iter().filter(|o| !o.is_empty() && *o != output);
        let leaks =
            |v: &String| flow.is_output(v) || flow.consumers(v).any(|c| !nodes.contains(&c));
        if inner.clone().any(leaks) {
            return found;
        }
        for made in &node.output {
            needed.remove(made.as_str());
        }
        needed.extend(flow.live_inputs(next));
        let linear = |i: &usize| flow.node(*i).is_some_and(|n| is_linear(op(n)));
        if let Some(input) = needed.first().filter(|_| needed.len() == 1)
            && shapes.same(input, output)
            && nodes.iter().any(linear)
        {
            let (input, output) = ((*input).to_owned(), output.clone());
            found.push(Segment { input, output, nodes: nodes.clone() });
        }
        let latest = needed.iter().map(|v| flow.producer(v)).max().flatten();
        let Some(latest) = latest else { return found };
        next = latest;
    }
}

fn is_linear(op: &str) -> bool {
    matches!(op, "Conv" | "ConvTranspose" | "Gemm" | "MatMul")
}
