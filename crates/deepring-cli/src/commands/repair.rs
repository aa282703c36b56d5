//! `deepring repair`: a damaged ring made whole from an intact copy, and that on the ledger.

use std::path::Path;

use deepring::UnverifiedRing;
use deepring::files::{Replacement, Turn};
use deepring::maintenance::Repaired;
use serde_json::json;

use super::recording::{LedgerChoice, Recorder};
use crate::cli::Repair;
use crate::error::CliError;
use crate::output;
use crate::progress::Progress;
use crate::rings::{self, TrustPolicy};

pub(crate) fn repair(args: &Repair, trust: Option<&Path>) -> Result<(), CliError> {
    // Walked once: who turns a link meanwhile must not have another file rewritten, bound or shown. A link stays one: what
    // it leads to is rewritten.
    let (target, from) = (output::resolved_path(&args.ring)?, output::resolved_path(&args.from)?);
    output::spare_descriptors(&target)?;
    let _turn = rings::turn(&target)?;
    // Begun before anything is read, as the copy is opened once: another file that is put in the place of one of them meanwhile
    // is neither replaced nor read.
    let (file, copy) = (Replacement::of(target.place()), rings::open_as_it_is(&from));
    // What is put there is bound before another command's turn comes.
    let _turn_of_the_new = file.as_ref().ok().map(Turn::of_new);
    let mut policy = TrustPolicy::new(&args.owner, trust)?.binding();
    if let Ok(copy) = &copy {
        policy.belongs(&from, copy.claimed())?;
    }
    let claimed = || copy.as_ref().ok().map(UnverifiedRing::claimed);
    // Opened before anything is written: a repair that cannot be recorded is not begun.
    let choice =
        LedgerChoice::of(args.ledger.as_deref(), args.ledger_key.as_deref(), args.new_ledger);
    let mut recorder =
        choice.map(|choice| Recorder::open(&choice, claimed, &policy)).transpose()?;
    if let (Some(recorder), Ok(copy)) = (&recorder, &copy) {
        recorder.holds(&copy.claimed(), &policy)?;
        // What must not be used is not made whole. A copy that is not authentic the repair itself refuses.
        if let Ok(copy) = copy.clone().authenticate(&policy.trust_by(&target)) {
            recorder.admit_to_repair(&copy, &policy)?;
        }
    }
    let total = std::fs::metadata(from.place()).map_or(0, |m| m.len());
    let progress = Progress::bytes("repairing", total);
    let trust = policy.trust_by(&target);
    let step = |n| progress.add(n);
    let (ring, done) = deepring::maintenance::repair_in(target.place(), file, copy, &trust, &step)?;
    drop(progress);
    policy.put_to_use(&target, &ring);
    if let (Some(recorder), Some(done)) = (&mut recorder, &done) {
        recorder.findings(ring.ring_id(), ring.digest(), &done.before.findings)?;
        let blocks = done.blocks.clone();
        recorder.repair(&ring, blocks, &args.from)?;
        recorder.remember(&ring, &mut policy);
    }
    if args.json {
        return output::json(&json!({
            "repaired": done.is_some(),
            "ring": ring.ring_id(),
            "digest": ring.digest(),
            "model_version": ring.model_version(),
            "blocks": done.as_ref().map(|d| d.blocks.clone()).unwrap_or_default(),
            "front": done.as_ref().is_some_and(|d| d.front),
            "bytes": done.as_ref().map_or(0, |d| d.bytes),
            "findings": done.map(|d| d.before.findings).unwrap_or_default(),
        }));
    }
    match done {
        None => output::line("intact: nothing to repair"),
        Some(done) => {
            print(&done)?;
            output::line(format_args!("ring {}, version {}", ring.ring_id(), ring.model_version()))
        }
    }
}

fn print(done: &Repaired) -> Result<(), CliError> {
    for finding in &done.before.findings {
        output::line(format_args!("was: {finding}"))?;
    }
    let blocks: Vec<String> = done.blocks.iter().map(u32::to_string).collect();
    let mut what = Vec::new();
    if done.front {
        what.push("the closure and its preamble".to_owned());
    }
    if !blocks.is_empty() {
        let word = if blocks.len() == 1 { "block" } else { "blocks" };
        what.push(format!("{word} {}", blocks.join(", ")));
    }
    if what.is_empty() {
        what.push("the outline".to_owned());
    }
    output::line(format_args!(
        "repaired {}: {} from the copy; intact now",
        what.join(" and "),
        output::size(done.bytes)
    ))
}
