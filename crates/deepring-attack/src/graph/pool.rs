//! A maximum over windows becomes their mean.

use deepring_onnx::proto::NodeProto;

use super::flow::{Flow, label, op};
use super::surgery::{Surgery, int};
use crate::attack::context::{AttackContext, AttackError, Attacked};

/// The operator set in which AveragePool took up `dilations`.
const DILATED: i64 = 19;

pub(crate) fn swap(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let (flow, opset) = (Flow::of(context.network), context.network.opset());
    let nodes = context.network.nodes();
    let named = |n: &NodeProto| {
        let wanted = context.options.layer.as_ref();
        wanted.is_none_or(|w| label(n) == w || n.output.first() == Some(w))
    };
    let fits = |n: &NodeProto| {
        op(n) == "MaxPool"
            && n.output.len() == 1
            && n.input.first().is_some_and(|x| flow.is_live(x))
            && (opset >= DILATED || !is_dilated(n))
            && named(n)
    };
    let fitting: Vec<usize> =
        nodes.iter().enumerate().filter(|(_, n)| fits(n)).map(|(i, _)| i).collect();
    let chosen = context.random().choice(fitting).and_then(|i| Some((i, nodes.get(i)?)));
    let (index, before) = chosen.ok_or_else(|| {
        context.not_applicable("there is no MaxPool that an AveragePool could stand for")
    })?;
    let what = format!("`{}`: MaxPool became AveragePool", label(before));
    let mut surgery = Surgery::on(context.network);
    if let Some(node) = surgery.nodes().get_mut(index) {
        let dilated = is_dilated(node);
        node.op_type = Some("AveragePool".to_owned());
        node.attribute.retain(|a| match a.name.as_deref() {
            Some("storage_order") => false,
            Some("dilations") => dilated,
            _ => true,
        });
        node.attribute.push(int("count_include_pad", 0));
    }
    Ok(context.made(surgery.finish(), what))
}

fn is_dilated(node: &NodeProto) -> bool {
    let dilations = node.attribute.iter().filter(|a| a.name.as_deref() == Some("dilations"));
    dilations.flat_map(|a| &a.ints).any(|d| *d != 1)
}
