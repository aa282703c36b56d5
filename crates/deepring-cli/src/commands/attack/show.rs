//! The changes of an attack, for people and as JSON.

use deepring_attack::differences::{ElementDifference, TensorDifference};
use deepring_attack::ring::Detection;
use deepring_attack::{Differences, Step};
use serde::Serialize;

use super::{Made, detection};
use crate::error::CliError;
use crate::output;

/// Changed values of a tensor that are printed for people.
const FEW: usize = 10;
/// Changed values of a tensor that are listed in JSON: noise on a large layer changes millions.
const MANY: usize = 1000;

pub(super) fn text(made: &Made<'_>, differences: &Differences) -> Result<(), CliError> {
    output::line(format_args!("{} [{}]", made.kind, made.kind.atlas()))?;
    output::line(format_args!("  {}", made.attacked.what))?;
    for tensor in &differences.tensors {
        let changed = output::count(tensor.elements.len(), "value", "values");
        output::line(format_args!("  {} {:?}: {changed} changed", tensor.tensor, tensor.dims))?;
        for element in tensor.elements.iter().take(FEW) {
            output::line(format_args!("    {}", element_text(tensor, element)))?;
        }
        if let Some(more @ 1..) = tensor.elements.len().checked_sub(FEW) {
            output::line(format_args!("    and {more} more"))?;
        }
    }
    for change in &differences.graph {
        let was = change.before.as_deref().unwrap_or("nothing");
        let is = change.after.as_deref().unwrap_or("nothing");
        output::line(format_args!("  {}: {was}", change.name))?;
        output::line(format_args!("    is now {is}"))?;
    }
    let (values, bits) = (differences.values() as u64, differences.bits());
    output::line(format_args!("{values} values and {bits} bits of parameters changed"))?;
    if let Some(a) = made.accuracy {
        let (before, after) = (100.0 * a.before, 100.0 * a.after);
        output::line(format_args!(
            "accuracy on {}: {before:.2} % before, {after:.2} % after",
            output::count(a.samples, "sample", "samples")
        ))?;
    }
    if let Some(detection) = &made.detection {
        detection::text(detection)?;
    }
    output::line(format_args!("wrote {}", made.target.display()))
}

fn element_text(tensor: &TensorDifference, e: &ElementDifference) -> String {
    let flipped = e.before.bits() ^ e.after.bits();
    let bit = match flipped.is_power_of_two() {
        true => format!(" (bit {})", flipped.trailing_zeros()),
        false => String::new(),
    };
    format!("{:?} {} -> {}{bit}", tensor.place(e.index), e.before, e.after)
}

#[derive(Serialize)]
struct Json<'a> {
    kind: &'static str,
    atlas: &'static str,
    what: &'a str,
    written: String,
    values_changed: usize,
    bits_changed: u64,
    tensors: Vec<JsonTensor<'a>>,
    graph: &'a [deepring_attack::differences::GraphDifference],
    steps: &'a [Step],
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<JsonAccuracy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ring: Option<&'a Detection>,
}

#[derive(Serialize)]
struct JsonTensor<'a> {
    tensor: &'a str,
    dims: &'a [usize],
    values_changed: usize,
    /// The first of them.
    elements: &'a [ElementDifference],
}

#[derive(Serialize)]
struct JsonAccuracy {
    samples: usize,
    before: f64,
    after: f64,
}

pub(super) fn json(made: &Made<'_>, differences: &Differences) -> Result<(), CliError> {
    let tensor = |t: &'_ TensorDifference| t.elements.len();
    let tensors = differences.tensors.iter().map(|t| JsonTensor {
        tensor: &t.tensor,
        dims: &t.dims,
        values_changed: tensor(t),
        elements: t.elements.get(..MANY).unwrap_or(&t.elements),
    });
    output::json(&Json {
        kind: made.kind.name(),
        atlas: made.kind.atlas(),
        what: &made.attacked.what,
        written: made.target.display().to_string(),
        values_changed: differences.values(),
        bits_changed: differences.bits(),
        tensors: tensors.collect(),
        graph: &differences.graph,
        steps: &made.attacked.steps,
        accuracy: made.accuracy.map(|a| JsonAccuracy {
            samples: a.samples,
            before: a.before,
            after: a.after,
        }),
        ring: made.detection.as_ref(),
    })
}
