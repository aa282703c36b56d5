//! `deepring ledger prove`: that an entry is in the ledger, or that the ledger extends an earlier state of itself.

use std::path::{Path, PathBuf};

use deepring::Decision;
use deepring_ledger::Ledger;
use serde_json::json;

use super::{LedgerMemory, wanted};
use crate::begun::Begun;
use crate::cli::LedgerProve;
use crate::error::{CliError, Exit};
use crate::output;

pub(super) fn prove(args: &LedgerProve, trust: Option<&Path>) -> Result<(), CliError> {
    let read = args.receipt.iter().chain(&args.args.ledger_key).map(PathBuf::as_path);
    let begun = args.output.as_deref().map(|path| Begun::at(path, read, trust)).transpose()?;
    let mut memory = LedgerMemory::open(trust)?;
    let vouched = memory.read_vouched(wanted(&args.args))?;
    // The key goes to whoever checks by another way; on this machine the trust store is that way.
    memory.keep(&vouched, Some(&args.args.ledger));
    let ledger = vouched.ledger;
    let key = ledger.key().to_string();
    let (proof, what, json) = match args.since {
        Some(since) => {
            let proof = ledger.prove_extension(since)?.to_string();
            let what = format!("that the ledger extends its first {since} entries");
            let json = json!({ "since": since, "key": key, "extension": proof });
            (proof, what, json)
        }
        None => {
            let index = index(args, &ledger)?;
            let proof = ledger.prove(index)?.to_string();
            let json = json!({ "index": index, "key": key, "proof": proof });
            (proof, format!("of entry {index}"), json)
        }
    };
    if let (Some(begun), Some(path)) = (begun, &args.output) {
        begun.write(proof.as_bytes())?;
        output::note(format_args!("wrote the proof {what} to {}", path.display()));
    }
    if args.args.json {
        return output::json(&json);
    }
    if args.output.is_some() {
        return Ok(());
    }
    output::text(proof.trim_end_matches('\n'))
}

/// The entry that is asked for.
fn index(args: &LedgerProve, ledger: &Ledger) -> Result<u64, CliError> {
    match (&args.receipt, args.entry) {
        (Some(path), _) => {
            let decision = Decision::read(path)?;
            ledger.find_decision(&decision)?.ok_or_else(|| {
                let id = decision.id();
                CliError::new(Exit::Failed, format!("the ledger holds no decision {id}"))
            })
        }
        (None, Some(index)) => Ok(index),
        (None, None) => ledger.len().checked_sub(1).ok_or_else(|| {
            CliError::new(Exit::Failed, "the ledger is empty: there is nothing to prove")
        }),
    }
}
