//! `deepring ledger verify`: a whole ledger, or offline that one checkpoint extends another.

use std::path::Path;

use deepring_ledger::extension::VerifiedExtension;
use deepring_ledger::fsck::{LedgerFinding, LedgerReport};
use deepring_ledger::log::CheckpointError;
use deepring_ledger::proof::ProofError;
use deepring_ledger::{Checkpoint, ExtensionProof};
use serde_json::{Value, json};

use super::LedgerMemory;
use crate::cli::LedgerVerify;
use crate::error::{CliError, Exit};
use crate::ledgers::{Wanted, parse_key, read_key, read_shown};
use crate::output;
use crate::witnesses::{RequiredWitnesses, Witnesses};

pub(super) fn verify(args: &LedgerVerify, trust: Option<&Path>) -> Result<(), CliError> {
    let required = RequiredWitnesses::of(args.witness_policy.as_deref())?;
    match (&args.ledger, &args.extension, &args.against, &args.ledger_key) {
        (Some(dir), ..) => whole(args, dir, &required, trust),
        (None, Some(extension), Some(against), Some(key)) => {
            let outcome = extended(extension, against, key, &required);
            if args.json
                && let Some(json) = extended_json(&outcome)
            {
                output::json(&json)?;
            }
            let (shown, witnesses) = outcome?;
            if !args.json {
                let (old, new) = (shown.earlier(), shown.later());
                output::line(format_args!(
                    "intact: {} entries of {} extend the {} of the kept checkpoint",
                    new.size(),
                    new.origin(),
                    old.size()
                ))?;
                output::line(format_args!("root {}", deepring::Digest(*new.root())))?;
                witnesses.print()?;
            }
            Ok(())
        }
        _ => Err(CliError::usage(
            "give `--ledger`, or `--extension` with `--against` and `--ledger-key`",
        )),
    }
}

/// Recomputes a ledger; holds it against a kept checkpoint and the witnesses that are asked for.
fn whole(
    args: &LedgerVerify,
    dir: &Path,
    required: &RequiredWitnesses,
    trust: Option<&Path>,
) -> Result<(), CliError> {
    let wanted = Wanted { dir, key: args.ledger_key.as_deref() };
    let mut memory = LedgerMemory::open(trust)?;
    let report = wanted.recompute(memory.store()).map_err(|e| refused(e, args.json))?;
    let (mut extends, mut witnesses) = (None, None);
    if report.is_intact() {
        // Whole in itself; and not less than was seen before.
        let ledger = memory.read_wanted(wanted).map_err(|e| refused(e, args.json))?;
        if let Some(path) = &args.against {
            let checked = ledger.verify_against(&read_shown(path)?);
            extends = Some(checked.map(|_| ()).map_err(CliError::from));
        }
        witnesses = Some(required.check(ledger.checkpoint()));
    }
    let bad = match (extends, witnesses) {
        (Some(Err(e)), _) => Some((Some(false), e)),
        (extends, Some(Err(e))) => Some((extends.map(|_| true), e)),
        (extends, witnesses) => {
            let witnesses = witnesses.and_then(Result::ok);
            return told(args, &report, extends.map(|_| true), witnesses);
        }
    };
    let Some((extends, e)) = bad else { return Ok(()) };
    if args.json {
        output::json(&json!({
            "verdict": e.verdict(),
            "report": report,
            "extends_checkpoint": extends,
            "witnesses": null,
        }))?;
    }
    Err(e)
}

/// The report on a ledger against which nothing else speaks.
fn told(
    args: &LedgerVerify,
    report: &LedgerReport,
    extends: Option<bool>,
    witnesses: Option<Witnesses>,
) -> Result<(), CliError> {
    let intact = report.is_intact();
    let witnesses = witnesses.unwrap_or_default();
    if args.json {
        output::json(&json!({
            "verdict": if intact { "intact" } else { Exit::Tampered.word() },
            "report": report,
            "extends_checkpoint": extends,
            "witnesses": witnesses.json(),
        }))?;
    } else if intact {
        output::line(format_args!("intact: {} entries", report.size))?;
        output::line(format_args!("root {}", deepring::Digest(report.root)))?;
        witnesses.print()?;
    }
    if intact {
        return Ok(());
    }
    Err(CliError::new(Exit::Tampered, "the ledger does not verify:")
        .lines(report.findings.iter().map(finding))
        .hint(
            "do not append to it; restore it from a kept copy, and compare with a kept checkpoint",
        ))
}

/// Verifies an extension proof with nothing but the ledger's public key.
fn extended(
    extension: &Path,
    against: &Path,
    key: &Path,
    required: &RequiredWitnesses,
) -> Result<(VerifiedExtension, Witnesses), CliError> {
    let key = parse_key(&read_key(key)?)?;
    let old = Checkpoint::verify(&read_shown(against)?, &key)
        .map_err(|e| unsigned("the kept checkpoint", &e))?;
    let proof = ExtensionProof::parse(&read_shown(extension)?).map_err(bad_extension)?;
    let shown = proof.verify(&old, &key).map_err(bad_extension)?;
    let witnesses = required.check(shown.later())?;
    Ok((shown, witnesses))
}

fn extended_json(outcome: &Result<(VerifiedExtension, Witnesses), CliError>) -> Option<Value> {
    match outcome {
        Ok((shown, witnesses)) => Some(json!({
            "verdict": "intact",
            "origin": shown.later().origin(),
            "old_size": shown.earlier().size(),
            "size": shown.later().size(),
            "root": deepring::Digest(*shown.later().root()),
            "witnesses": witnesses.json(),
        })),
        Err(e) => e.verdict().map(|verdict| {
            json!({
                "verdict": verdict,
                "origin": null,
                "old_size": null,
                "size": null,
                "root": null,
                "witnesses": null,
            })
        }),
    }
}

fn unsigned(whose: &str, e: &CheckpointError) -> CliError {
    CliError::new(Exit::Tampered, format!("{whose} does not verify: {e}"))
}

fn bad_extension(e: ProofError) -> CliError {
    let refused = CliError::new(Exit::Tampered, format!("extension: {e}"));
    match e {
        ProofError::OtherSize { expected, .. } => refused
            .hint(format!("ask for a proof from there: `deepring ledger prove --since {expected}`")),
        ProofError::NotAnExtension { .. } => refused.hint(
            "keep both checkpoints: signed by one key, they show that the ledger's keeper told two histories",
        ),
        _ => refused.hint("ask for a new proof: `deepring ledger prove --since N`"),
    }
}

/// Prints the verdict of a ledger that could not even be looked at, and hands its error on.
fn refused(e: CliError, json: bool) -> CliError {
    if json && matches!(e.exit, Exit::Tampered | Exit::Untrusted | Exit::Stale) {
        let verdict = json!({
            "verdict": e.exit.word(),
            "report": null,
            "extends_checkpoint": null,
            "witnesses": null,
        });
        if let Err(unwritten) = output::json(&verdict) {
            return unwritten;
        }
    }
    e
}

fn finding(finding: &LedgerFinding) -> String {
    match finding.index {
        Some(index) => format!("entry {index}: {}", finding.what),
        None => finding.what.to_string(),
    }
}
