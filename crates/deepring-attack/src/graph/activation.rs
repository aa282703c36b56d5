//! One activation becomes another.

use deepring_onnx::proto::{AttributeProto, NodeProto};

use super::flow::{Flow, label, op};
use super::surgery::{Surgery, float};
use crate::attack::context::{AttackContext, AttackError, Attacked};

/// Most nodes between a layer and its activation: a bias, a normalisation, a sum.
const REACH: usize = 4;

pub(crate) fn swap(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let flow = Flow::of(context.network);
    let mut random = context.random();
    let nodes = context.network.nodes();
    let fitting = |i: &usize| {
        let node = nodes.get(*i);
        node.is_some_and(|n| is_activation(n) && n.input.first().is_some_and(|x| flow.is_live(x)))
    };
    let all: Vec<usize> = (0..nodes.len()).filter(fitting).collect();
    let chosen = match &context.options.layer {
        None => random.choice(all),
        Some(name) => {
            let named = |n: &NodeProto| label(n) == name || n.output.first() == Some(name);
            let itself = all.into_iter().find(|i| nodes.get(*i).is_some_and(named));
            match itself {
                Some(node) => Some(node),
                None => after(&flow, context.layer(&mut random, |_| true)?.node),
            }
        }
    };
    let chosen = chosen.and_then(|i| Some((i, nodes.get(i)?)));
    let (index, before) = chosen.ok_or_else(|| context.not_applicable("no activation is there"))?;
    let mut others: Vec<(&str, Vec<AttributeProto>)> = vec![("Identity", Vec::new())];
    if op(before) != "Clip" {
        others.push(("LeakyRelu", vec![float("alpha", 0.5)]));
        others.push(("Tanh", Vec::new()));
        others.retain(|(other, _)| *other != op(before));
    }
    let (other, attribute) = random.choice(others).unwrap_or_else(|| ("Identity", Vec::new()));
    let what = format!("`{}`: {} became {other}", label(before), op(before));
    let mut surgery = Surgery::on(context.network);
    if let Some(node) = surgery.nodes().get_mut(index) {
        node.op_type = Some(other.to_owned());
        node.attribute = attribute;
        // The bounds of a Clip are inputs.
        node.input.truncate(1);
    }
    Ok(context.made(surgery.finish(), what))
}

fn is_activation(node: &NodeProto) -> bool {
    let known = matches!(
        op(node),
        "Relu"
            | "Clip"
            | "LeakyRelu"
            | "PRelu"
            | "Elu"
            | "Selu"
            | "Celu"
            | "Sigmoid"
            | "HardSigmoid"
            | "HardSwish"
            | "Tanh"
            | "Softplus"
            | "Gelu"
            | "Mish"
            | "ThresholdedRelu"
    );
    known && node.output.len() == 1
}

/// The activation that a layer's output meets first.
fn after(flow: &Flow<'_>, layer: usize) -> Option<usize> {
    let mut at = layer;
    for _ in 0..=REACH {
        let output = flow.node(at)?.output.first()?;
        let next: Vec<usize> = flow.consumers(output).collect();
        if let Some(found) = next.iter().find(|i| flow.node(**i).is_some_and(is_activation)) {
            return Some(*found);
        }
        let [only] = next.as_slice() else { return None };
        if !matches!(
            op(flow.node(*only)?),
            "BatchNormalization" | "Add" | "Sum" | "Mul" | "Identity"
        ) {
            return None;
        }
        at = *only;
    }
    None
}
