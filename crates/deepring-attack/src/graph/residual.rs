//! The shortcut of a residual sum is cut.

use std::collections::HashMap;

use super::flow::{Flow, label, op};
use super::shapes::ValueSpecs;
use super::surgery::Surgery;
use crate::attack::context::{AttackContext, AttackError, Attacked};

/// A sum, and its operands: which is cut, which stays.
struct Residual {
    node: usize,
    shortcut: String,
    kept: String,
}

pub(crate) fn cut(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let (flow, shapes) = (Flow::of(context.network), ValueSpecs::of(context.network)?);
    let found = (0..context.network.nodes().len()).filter_map(|i| residual(&flow, &shapes, i));
    let wanted = |r: &Residual| {
        let node = flow.node(r.node);
        context.options.layer.as_ref().is_none_or(|w| node.is_some_and(|n| label(n) == w))
    };
    let chosen = context.random().choice(found.filter(wanted).collect::<Vec<_>>());
    let Residual { node, shortcut, kept } = chosen.ok_or_else(|| {
        context.not_applicable("there is no sum of two computed values of one shape")
    })?;
    let name = flow.node(node).map(label).unwrap_or_default();
    let what = format!("`{name}`: `{shortcut}` is left out, `{kept}` passes alone");
    let mut surgery = Surgery::on(context.network);
    if let Some(sum) = surgery.nodes().get_mut(node) {
        sum.op_type = Some("Identity".to_owned());
        sum.attribute.clear();
        sum.input = vec![kept];
    }
    Ok(context.made(surgery.finish(), what))
}

fn residual(flow: &Flow<'_>, shapes: &ValueSpecs, index: usize) -> Option<Residual> {
    let node = flow.node(index).filter(|n| matches!(op(n), "Add" | "Sum"))?;
    let [left, right] = node.input.as_slice() else { return None };
    let computed = |v: &str| flow.is_live(v);
    if left == right || !computed(left) || !computed(right) || !shapes.same(left, right) {
        return None;
    }
    let (from_left, from_right) = (distances(flow, left), distances(flow, right));
    // Where the two paths part: what both come from and is made last; an input of the network is made first.
    let common = from_left.iter().filter_map(|(v, l)| Some((*v, *l, *from_right.get(v)?)));
    let made = |v: &str| flow.producer(v).map_or(0, |p| p + 1);
    let (_, left_path, right_path) = common.max_by_key(|(v, l, r)| (made(v), l + r, *v))?;
    let (shortcut, kept) = if left_path <= right_path { (left, right) } else { (right, left) };
    Some(Residual { node: index, shortcut: shortcut.clone(), kept: kept.clone() })
}

/// The fewest nodes from each value that `value` comes from.
fn distances<'a>(flow: &Flow<'a>, value: &'a str) -> HashMap<&'a str, usize> {
    let mut found = HashMap::from([(value, 0)]);
    let mut edge = vec![value];
    for steps in 1.. {
        let producers = edge.iter().filter_map(|v| flow.producer(v));
        let next: Vec<&str> = producers.flat_map(|p| flow.live_inputs(p)).collect();
        edge = next.into_iter().filter(|v| !found.contains_key(v)).collect();
        if edge.is_empty() {
            break;
        }
        found.extend(edge.iter().map(|v| (*v, steps)));
        edge.sort_unstable();
        edge.dedup();
    }
    found
}
