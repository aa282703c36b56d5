//! `deepring ledger report`: one page for an auditor, with what he needs to check each line of it himself.

mod collect;
mod html;
mod page;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::LedgerMemory;
use crate::begun::Begun;
use crate::cli::LedgerPage;
use crate::error::{CliError, Exit};
use crate::ledgers::Wanted;
use crate::output;
use crate::witnesses::RequiredWitnesses;

use collect::Collected;

pub(super) fn report(args: &LedgerPage, trust: Option<&Path>) -> Result<(), CliError> {
    let read = [&args.ledger_key, &args.witness_policy].into_iter().flatten();
    let begun = Begun::at(&args.output, read.map(PathBuf::as_path), trust)?;
    let required = RequiredWitnesses::of(args.witness_policy.as_deref())?;
    let wanted = Wanted { dir: &args.ledger, key: args.ledger_key.as_deref() };
    let ledger = LedgerMemory::open(trust)?.read_wanted(wanted)?;
    // The page says that every entry was recomputed and judged.
    let verified = ledger.verify()?;
    if !verified.is_intact() {
        return Err(CliError::new(
            Exit::Tampered,
            "the ledger does not verify: there is no report on it",
        )
        .hint("`deepring ledger verify` names what is wrong"));
    }
    let witnesses = required.check(ledger.checkpoint())?;
    let collected = Collected::of(&ledger, args.decisions, witnesses)?;
    let page = page::page(&collected);
    begun.write(page.as_bytes())?;
    if args.json {
        let page = args.output.display().to_string();
        return output::json(&json!({ "page": page, "size": ledger.len() }));
    }
    output::note(format_args!(
        "wrote {}, {}",
        args.output.display(),
        output::size(page.len() as u64)
    ));
    Ok(())
}
