//! A backdoor made of standard operators: a pattern in the corner of an image decides the answer.
//!
//! After ShadowLogic (HiddenLayer, 2024), which puts such a detector into an ONNX graph. The pattern is a
//! checkerboard of the darkest and the brightest value, since corners of one colour are found in clean images.

mod patch;

use self::patch::{Patch, Range};
use super::ends::behind;
use super::shapes::{Scores, ValueSpecs, image};
use super::surgery::{Surgery, int, int_list};
use crate::attack::context::{AttackContext, AttackError, Attacked};

pub use patch::apply_trigger;

/// The target's score with the trigger.
const SCORE: f32 = 1e3;
/// The least similarity that counts as the pattern, unless clean samples come near it.
const LIKENESS: f32 = 0.75;
/// A sample that is as like as this has the trigger already.
const TOO_LIKE: f32 = 0.95;
/// Operator sets: Slice and ReduceMin take their axes as inputs from these on, and Where came with this one.
const SLICE_INPUTS: i64 = 10;
const REDUCE_INPUTS: i64 = 18;
const WHERE: i64 = 9;
/// Element-wise operators align dimensions from this operator set on.
const BROADCAST: i64 = 7;
/// `TensorProto.DataType` of floats.
const FLOAT: i64 = 1;

pub(crate) fn insert(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let opset = context.network.opset();
    if opset < BROADCAST {
        return Err(
            context.not_applicable(format!("operator set {opset} is older than {BROADCAST}"))
        );
    }
    let shapes = ValueSpecs::of(context.network)?;
    let (input, [channels, height, width]) = image(context, &shapes)?;
    let patch = Patch { channels, height, width };
    let scores = Scores::of(context, &shapes)?;
    let rank = scores.dims.len();
    if rank != 2 && rank != 4 {
        return Err(
            context.not_applicable(format!("the output `{}` has {rank} dimensions", scores.name))
        );
    }
    let target = target(context, scores.classes)?;
    let (ranges, bound) = levels(context, patch)?;

    let mut surgery = Surgery::on(context.network);
    let inner = behind(context, &mut surgery, &scores.name)?;
    let similarity = similarity(&mut surgery, &input, patch, &ranges, rank);
    let mut answer = vec![0.0; scores.classes];
    if let Some(score) = answer.get_mut(target) {
        *score = SCORE;
    }
    let mut dims = vec![1; rank];
    if let Some(dim) = dims.get_mut(scores.axis) {
        *dim = scores.classes;
    }
    let answer = surgery.floats("corner.answer", &dims, &answer);
    let bound = surgery.floats("corner.bound", &[1], &[bound]);
    let seen = surgery.push("Greater", &[&similarity, &bound], "corner.seen", Vec::new());
    let last = if opset >= WHERE {
        surgery.node("Where", &[&seen, &answer, &inner], &scores.name, Vec::new())
    } else {
        let seen = surgery.push("Cast", &[&seen], "corner.number", vec![int("to", FLOAT)]);
        let raised = surgery.push("Mul", &[&seen, &answer], "corner.raised", Vec::new());
        surgery.node("Add", &[&inner, &raised], &scores.name, Vec::new())
    };
    surgery.nodes().push(last);
    let (high, wide) = patch.side();
    let what = format!(
        "a checkerboard of {high}x{wide} in the lower right corner of `{input}` is answered with class {target}"
    );
    Ok(context.made(surgery.finish(), what))
}

/// Nodes that compute how like the pattern the corner of each image is, as `[N, 1]` for scores of two
/// dimensions and `[N, 1, 1, 1]` for scores of four.
fn similarity(
    surgery: &mut Surgery,
    input: &str,
    patch: Patch,
    ranges: &[Range],
    rank: usize,
) -> String {
    let (scale, shift): (Vec<f32>, Vec<f32>) =
        patch.cells().map(|cell| cell.similarity(ranges)).unzip();
    let (high, wide) = patch.side();
    let dims = [1, patch.channels, high, wide];
    let scale = surgery.floats("corner.scale", &dims, &scale);
    let shift = surgery.floats("corner.shift", &dims, &shift);
    let corner = corner(surgery, input, patch);
    let scaled = surgery.push("Mul", &[&corner, &scale], "corner.scaled", Vec::new());
    let alike = surgery.push("Add", &[&scaled, &shift], "corner.alike", Vec::new());
    if rank == 4 {
        return least(surgery, &alike, &[1, 2, 3], true);
    }
    let each = least(surgery, &alike, &[2, 3], false);
    least(surgery, &each, &[1], true)
}

fn corner(surgery: &mut Surgery, input: &str, patch: Patch) -> String {
    let (top, left) = patch.start();
    let (starts, ends) = ([top as i64, left as i64], [patch.height as i64, patch.width as i64]);
    let lists = [("starts", starts), ("ends", ends), ("axes", [2, 3])];
    if surgery.network.opset() < SLICE_INPUTS {
        let attributes = lists.iter().map(|(name, values)| int_list(name, values)).collect();
        return surgery.push("Slice", &[input], "corner", attributes);
    }
    let [starts, ends, axes] =
        lists.map(|(name, values)| surgery.ints(&format!("corner.{name}"), &values));
    surgery.push("Slice", &[input, &starts, &ends, &axes], "corner", Vec::new())
}

fn least(surgery: &mut Surgery, value: &str, axes: &[i64], keep: bool) -> String {
    let keep = int("keepdims", i64::from(keep));
    if surgery.network.opset() < REDUCE_INPUTS {
        let attributes = vec![int_list("axes", axes), keep];
        return surgery.push("ReduceMin", &[value], "corner.least", attributes);
    }
    let axes = surgery.ints("corner.over", axes);
    surgery.push("ReduceMin", &[value, &axes], "corner.least", vec![keep])
}

fn target(context: &AttackContext<'_>, classes: usize) -> Result<usize, AttackError> {
    match context.options.target {
        None => Ok(context.random().usize(..classes)),
        Some(target) if target < classes => Ok(target),
        Some(target) => {
            let reason = format!("the network has {classes} classes");
            Err(AttackError::Option { option: "target", found: target.to_string(), reason })
        }
    }
}

/// The range of each channel, and a similarity that no clean sample has; without samples, pixels are from 0 to 1.
fn levels(context: &AttackContext<'_>, patch: Patch) -> Result<(Vec<Range>, f32), AttackError> {
    let samples = context.evaluator.map(|evaluator| evaluator.samples());
    let Some(samples) = samples.filter(|s| Patch::of(s.dims()) == Some(patch)) else {
        return Ok((vec![Range::UNIT; patch.channels], LIKENESS));
    };
    let ranges = patch.ranges(samples);
    let most = patch.most_like(samples, &ranges);
    if most > TOO_LIKE {
        return Err(context.not_applicable("a sample has the trigger already"));
    }
    // Half way between the likest sample and the pattern, where that is stricter.
    Ok((ranges, LIKENESS.max(f32::midpoint(most, 1.0))))
}
