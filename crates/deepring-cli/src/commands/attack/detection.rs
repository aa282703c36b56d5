//! `--ring`: whether the sealed network detects the tampering.

use deepring::Check;
use deepring_attack::ring::TamperTarget;
use deepring_attack::ring::{Detection, RingTrial};
use deepring_attack::{Network, Samples};

use super::Data;
use crate::error::{CliError, Exit};
use crate::output;

/// Samples that are queries of the ring.
const QUERIES: usize = 8;

pub(super) fn detect(
    clean: &Network,
    attacked: &Network,
    data: Option<&Data>,
    check: Check,
) -> Result<Detection, CliError> {
    let samples: Samples = data
        .map(|d| d.test.samples().choose(QUERIES, 0))
        .ok_or_else(|| CliError::usage("`--ring` needs queries to ask").hint("give `--data`"))?;
    let failed = |e| CliError::new(Exit::Failed, e);
    RingTrial::seal(clean, check).and_then(|mut t| t.detect(attacked, &samples)).map_err(failed)
}

pub(super) fn text(detection: &Detection) -> Result<(), CliError> {
    let place = match detection.place {
        TamperTarget::LiveMemory => "in the open ring's memory",
        TamperTarget::AtRest => "in the stored ring",
        _ => "as a whole other ring",
    };
    if detection.touched.is_empty() {
        return output::line(
            "the ring: sealed, both networks are the same; there is nothing to see",
        );
    }
    if !detection.detected {
        output::line(format_args!("the ring: {place}, NOT noticed"))?;
    } else {
        output::line(format_args!("the ring: {place}, refused: {}", detection.refusal))?;
    }
    let named = match (detection.located, detection.place) {
        (true, _) => "every touched block named, and no other",
        (false, TamperTarget::LiveMemory | TamperTarget::AtRest) => "NOT every touched block named",
        (false, _) => "its closure is refused, so no block is named",
    };
    let restored = if detection.recovered { "restored bit for bit" } else { "NOT restored" };
    let answers = output::count(detection.answers_given, "answer", "answers");
    output::line(format_args!("          {named}; {answers} given meanwhile; {restored}"))
}
