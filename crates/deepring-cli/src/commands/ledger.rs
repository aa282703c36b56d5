//! `deepring ledger`: show, verify, checkpoint, prove.

use std::path::Path;

use deepring::Decision;
use deepring_ledger::{Event, Ledger, LedgerFinding, LedgerOptions};
use serde_json::json;

use crate::cli::{Ledger as Args, LedgerArgs, LedgerProve, LedgerVerify};
use crate::error::{CliError, Exit};
use crate::output;
use crate::rings::Trusting;

pub(crate) fn ledger(args: &Args, trust: Option<&Path>) -> Result<(), CliError> {
    match args {
        Args::Show(args) => show(args),
        Args::Verify(args) => verify(args),
        Args::Checkpoint(args) => checkpoint(args),
        Args::Prove(args) => prove(args, trust),
    }
}

fn show(args: &LedgerArgs) -> Result<(), CliError> {
    let ledger = Ledger::open_read(&args.ledger, None)?;
    if args.json {
        let mut entries = Vec::new();
        for (index, entry) in (0..ledger.len()).map(|i| (i, ledger.entry(i))) {
            entries.push(json!({ "index": index, "entry": entry? }));
        }
        return output::json(&json!({ "size": ledger.len(), "entries": entries }));
    }
    for index in 0..ledger.len() {
        let entry = ledger.entry(index)?;
        output::line(format_args!("{index:>6}  {}  {}", time(entry.at), describe(&entry.event)))?;
    }
    Ok(())
}

fn verify(args: &LedgerVerify) -> Result<(), CliError> {
    let dir = &args.args.ledger;
    let report = LedgerOptions::new().verify(dir)?;
    let mut extends = None;
    if let (Some(path), true) = (&args.against, report.is_intact()) {
        let text = std::fs::read_to_string(path)
            .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", path.display())))?;
        let checked = Ledger::open_read(dir, None)?.verify_against(&text);
        extends = Some(checked.map(|_| ()).map_err(CliError::from));
    }
    let intact = report.is_intact() && !matches!(extends, Some(Err(_)));
    if args.args.json {
        let against = extends.as_ref().map(Result::is_ok);
        output::json(&json!({
            "verdict": if intact { "intact" } else { "tampered" },
            "report": report,
            "extends_checkpoint": against,
        }))?;
    } else if intact {
        output::line(format_args!("intact: {} entries", report.size))?;
        output::line(format_args!("root {}", deepring::Digest(report.root)))?;
    }
    if let Some(Err(e)) = extends {
        return Err(e);
    }
    if intact {
        Ok(())
    } else {
        let findings: Vec<String> = report.findings.iter().map(finding).collect();
        let message = format!("the ledger does not verify:{}", findings.concat());
        Err(CliError::new(Exit::Tampered, message))
    }
}

fn checkpoint(args: &LedgerArgs) -> Result<(), CliError> {
    let ledger = Ledger::open_read(&args.ledger, None)?;
    let checkpoint = ledger.checkpoint();
    if args.json {
        return output::json(&json!({
            "origin": checkpoint.origin(),
            "size": checkpoint.size(),
            "root": deepring::Digest(*checkpoint.root()),
            "key": ledger.key().to_string(),
            "checkpoint": checkpoint.as_str(),
        }));
    }
    output::line(checkpoint.as_str().trim_end_matches('\n'))
}

fn prove(args: &LedgerProve, trust: Option<&Path>) -> Result<(), CliError> {
    let ledger = Ledger::open_read(&args.args.ledger, None)?;
    // The key goes to whoever checks by another way; on this machine the trust store is that way.
    if let Ok(mut trusting) = Trusting::new(None, trust) {
        trusting.remember_ledger(ledger.checkpoint().origin(), &ledger.key().to_string());
    }
    let index = match (&args.receipt, args.entry) {
        (Some(path), _) => {
            let id = Decision::read(path)?.id();
            ledger.find_decision(&id.0)?.ok_or_else(|| {
                CliError::new(Exit::Failed, format!("the ledger holds no decision {id}"))
            })?
        }
        (None, Some(index)) => index,
        (None, None) => ledger.len().checked_sub(1).ok_or_else(|| {
            CliError::new(Exit::Failed, "the ledger is empty: there is nothing to prove")
        })?,
    };
    let proof = ledger.prove(index)?.to_string();
    if let Some(path) = &args.output {
        deepring::replace_file(path, proof.as_bytes())
            .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", path.display())))?;
        output::note(format_args!("wrote the proof of entry {index} to {}", path.display()));
        return Ok(());
    }
    if args.args.json {
        let key = ledger.key().to_string();
        return output::json(&json!({ "index": index, "key": key, "proof": proof }));
    }
    output::line(proof.trim_end_matches('\n'))
}

fn describe(event: &Event) -> String {
    let hex = |bytes: &[u8]| bytes.iter().take(6).map(|b| format!("{b:02x}")).collect::<String>();
    match event {
        Event::RingRegistered { ring_id, model_version, .. } => {
            format!("ring {} registered, version {model_version}", hex(ring_id))
        }
        Event::RingUpgraded { ring_id, model_version, .. } => {
            format!("ring {} upgraded to version {model_version}", hex(ring_id))
        }
        Event::RingRevoked { ring_id, reason, .. } => format!("ring {} revoked: {reason}", hex(ring_id)),
        Event::Decisions { decision_id, count, .. } => {
            format!("decision {}… about {count} queries", hex(decision_id))
        }
        Event::Alarm { block, name, part, tensor, reason, .. } => {
            let block = block.map(|b| format!("block {b} ({name}), ")).unwrap_or_default();
            let tensor = tensor.as_ref().map(|t| format!(", tensor {t}")).unwrap_or_default();
            format!("ALARM: {block}{part}{tensor}: {reason}")
        }
        Event::Repair { blocks, source, .. } => format!("repair of blocks {blocks:?} from {source}"),
        Event::KeyRevoked { key, reason } => format!("key {} revoked: {reason}", hex(key)),
        _ => "an entry of a kind that this version does not know".to_owned(),
    }
}

fn finding(finding: &LedgerFinding) -> String {
    match finding.index {
        Some(index) => format!("\n  entry {index}: {}", finding.what),
        None => format!("\n  {}", finding.what),
    }
}

/// Seconds since 1970 with milliseconds: what the entry holds, without a calendar in between.
fn time(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
