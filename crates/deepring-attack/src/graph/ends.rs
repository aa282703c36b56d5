//! Edits right behind the input and right before the output.

use super::shapes::{Scores, ValueSpecs, image};
use super::surgery::{Surgery, int};
use crate::attack::context::{AttackContext, AttackError, Attacked};

/// Mirrors the channels of an image, or inverts the only one.
pub(crate) fn input_edit(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let (input, [channels, ..]) = image(context, &ValueSpecs::of(context.network)?)?;
    let mut surgery = Surgery::on(context.network);
    let edited = surgery.fresh(&format!("{input}.edited"));
    surgery.reconnect(&input, &edited);
    let (node, what) = if channels > 1 {
        let mirrored: Vec<i64> = (0..channels as i64).rev().collect();
        let order = surgery.ints(&format!("{input}.order"), &mirrored);
        let node = surgery.node("Gather", &[&input, &order], &edited, vec![int("axis", 1)]);
        (node, format!("mirrors the {channels} channels of `{input}`"))
    } else if context.random().bool() {
        (surgery.node("Neg", &[&input], &edited, Vec::new()), format!("negates `{input}`"))
    } else {
        let one = surgery.floats(&format!("{input}.one"), &[1, 1, 1, 1], &[1.0]);
        let node = surgery.node("Sub", &[&one, &input], &edited, Vec::new());
        (node, format!("takes `{input}` from 1"))
    };
    surgery.nodes().insert(0, node);
    Ok(context.made(surgery.finish(), what))
}

/// Interchanges classes 0 and 1, 2 and 3, ...; the last of an odd number stays.
pub(crate) fn label_map(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let scores = Scores::of(context, &ValueSpecs::of(context.network)?)?;
    let mut surgery = Surgery::on(context.network);
    let inner = behind(context, &mut surgery, &scores.name)?;
    let partner = |k: usize| if k ^ 1 < scores.classes { k ^ 1 } else { k } as i64;
    let order: Vec<i64> = (0..scores.classes).map(partner).collect();
    let order = surgery.ints(&format!("{}.order", scores.name), &order);
    let axis = int("axis", scores.axis as i64);
    let node = surgery.node("Gather", &[&inner, &order], &scores.name, vec![axis]);
    surgery.nodes().push(node);
    let what = format!("interchanges {} classes of `{}` by pairs", scores.classes, scores.name);
    Ok(context.made(surgery.finish(), what))
}

/// Gives what an output was another name, so that nodes can be put between.
pub(super) fn behind(
    context: &AttackContext<'_>,
    surgery: &mut Surgery,
    output: &str,
) -> Result<String, AttackError> {
    let made = context.network.nodes().iter().any(|n| n.output.iter().any(|o| o == output));
    if !made {
        return Err(context.not_applicable(format!("no node makes the output `{output}`")));
    }
    let inner = surgery.fresh(&format!("{output}.inner"));
    surgery.rename(output, &inner);
    Ok(inner)
}
