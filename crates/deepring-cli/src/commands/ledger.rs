//! `deepring ledger`: init, register, show, verify, checkpoint, prove.

mod owners;
mod register;
mod show;

use std::path::{Path, PathBuf};

use deepring::{Decision, TrustStore};
use deepring_ledger::{Ledger, LedgerFinding};
use serde_json::json;

use crate::begun::Begun;
use crate::cli::{LedgerArgs, LedgerCommand, LedgerInit, LedgerProve, LedgerVerify};
use crate::error::{CliError, Exit};
use crate::ledgers::{VouchedLedger, Wanted, read_shown, seen};
use crate::output;
use crate::rings::open_store;

#[cfg(feature = "attacks")]
pub(super) use show::describe;

pub(crate) fn ledger(args: &LedgerCommand, trust: Option<&Path>) -> Result<(), CliError> {
    match args {
        LedgerCommand::Init(args) => init(args, trust),
        LedgerCommand::Register(args) => register::register(args, trust),
        LedgerCommand::Show(args) => show::show(args, trust),
        LedgerCommand::Verify(args) => verify(args, trust),
        LedgerCommand::Checkpoint(args) => checkpoint(args, trust),
        LedgerCommand::Prove(args) => prove(args, trust),
        LedgerCommand::RotateOwner(args) => owners::rotate(args, trust),
        LedgerCommand::ValidatorSet(args) => owners::validators(args, trust),
    }
}

fn init(args: &LedgerInit, trust: Option<&Path>) -> Result<(), CliError> {
    let mut memory = LedgerMemory::open(trust)?;
    let ledger = Wanted { dir: &args.dir, key: None }.begin(memory.store(), None)?.ledger;
    memory.keep(&ledger, Some(&args.dir));
    output::line(ledger.checkpoint().origin())?;
    output::line(ledger.key().as_str())?;
    output::note(format_args!(
        "made {}; give the key above to those who verify, by another way than this machine's files",
        args.dir.display()
    ));
    Ok(())
}

/// The memory of ledgers; none where there is no trust store.
pub(super) struct LedgerMemory(Option<TrustStore>);

impl LedgerMemory {
    pub(super) fn open(trust: Option<&Path>) -> Result<Self, CliError> {
        let store = open_store(trust)?;
        if store.is_none() {
            output::note(
                "warning: no home folder, so no trust store: no ledger is remembered, and one that is gone, new or old is not noticed",
            );
        }
        Ok(Self(store))
    }

    pub(super) fn store(&self) -> Option<&TrustStore> {
        self.0.as_ref()
    }

    /// Opens a ledger that fits what is pinned or known, and remembers how far it has grown if it is known.
    fn read(&mut self, args: &LedgerArgs) -> Result<Ledger, CliError> {
        let ledger = wanted(args).read(self.store())?.ledger;
        self.keep_growth(&ledger);
        Ok(ledger)
    }

    /// Opens a ledger that fits what is pinned or known, to append to it.
    pub(super) fn append(&self, wanted: &Wanted<'_>) -> Result<VouchedLedger, CliError> {
        wanted.append(self.store())
    }

    /// Remembers how far a ledger has grown, if it is one that is remembered.
    pub(super) fn keep_growth(&mut self, ledger: &Ledger) {
        if self.store().is_some_and(|store| store.ledger(ledger.key().as_str()).is_some()) {
            self.keep(ledger, None);
        }
    }

    fn keep(&mut self, ledger: &Ledger, dir: Option<&Path>) {
        if let Some(store) = &mut self.0
            && let Err(e) = store.remember_ledger(&seen(ledger), dir, None)
        {
            output::note(format_args!("warning: the ledger will not be remembered: {e}"));
        }
    }
}

fn wanted(args: &LedgerArgs) -> Wanted<'_> {
    Wanted { dir: &args.ledger, key: args.ledger_key.as_deref() }
}

fn verify(args: &LedgerVerify, trust: Option<&Path>) -> Result<(), CliError> {
    let mut memory = LedgerMemory::open(trust)?;
    let report =
        wanted(&args.args).recompute(memory.store()).map_err(|e| refused(e, args.args.json))?;
    if report.is_intact() {
        // Whole in itself; and not less than was seen before.
        memory.read(&args.args).map_err(|e| refused(e, args.args.json))?;
    }
    let mut extends = None;
    if let (Some(path), true) = (&args.against, report.is_intact()) {
        let text = read_shown(path)?;
        let checked = memory.read(&args.args)?.verify_against(&text);
        extends = Some(checked.map(|_| ()).map_err(CliError::from));
    }
    let intact = report.is_intact() && !matches!(extends, Some(Err(_)));
    let verdict = match &extends {
        Some(Err(e)) => e.verdict(),
        _ if intact => Some("intact"),
        _ => Some(Exit::Tampered.word()),
    };
    if args.args.json {
        let against = extends.as_ref().map(Result::is_ok);
        output::json(&json!({
            "verdict": verdict,
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
        Err(CliError::new(Exit::Tampered, "the ledger does not verify:")
            .lines(report.findings.iter().map(finding))
            .hint("do not append to it; restore it from a kept copy, and compare with a kept checkpoint"))
    }
}

/// Prints the verdict of a ledger that could not even be looked at, and hands its error on.
fn refused(e: CliError, json: bool) -> CliError {
    if json && matches!(e.exit, Exit::Tampered | Exit::Untrusted | Exit::Stale) {
        let verdict =
            json!({ "verdict": e.exit.word(), "report": null, "extends_checkpoint": null });
        if let Err(unwritten) = output::json(&verdict) {
            return unwritten;
        }
    }
    e
}

fn checkpoint(args: &LedgerArgs, trust: Option<&Path>) -> Result<(), CliError> {
    let ledger = LedgerMemory::open(trust)?.read(args)?;
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
    output::text(checkpoint.as_str().trim_end_matches('\n'))
}

fn prove(args: &LedgerProve, trust: Option<&Path>) -> Result<(), CliError> {
    let read = args.receipt.iter().chain(&args.args.ledger_key).map(PathBuf::as_path);
    let begun = args.output.as_deref().map(|path| Begun::at(path, read, trust)).transpose()?;
    let mut memory = LedgerMemory::open(trust)?;
    let ledger = memory.read(&args.args)?;
    // The key goes to whoever checks by another way; on this machine the trust store is that way.
    memory.keep(&ledger, Some(&args.args.ledger));
    let index = match (&args.receipt, args.entry) {
        (Some(path), _) => {
            let decision = Decision::read(path)?;
            ledger.find_decision(&decision)?.ok_or_else(|| {
                let id = decision.id();
                CliError::new(Exit::Failed, format!("the ledger holds no decision {id}"))
            })?
        }
        (None, Some(index)) => index,
        (None, None) => ledger.len().checked_sub(1).ok_or_else(|| {
            CliError::new(Exit::Failed, "the ledger is empty: there is nothing to prove")
        })?,
    };
    let proof = ledger.prove(index)?.to_string();
    if let (Some(begun), Some(path)) = (begun, &args.output) {
        begun.write(proof.as_bytes())?;
        output::note(format_args!("wrote the proof of entry {index} to {}", path.display()));
    }
    if args.args.json {
        let key = ledger.key().to_string();
        return output::json(&json!({ "index": index, "key": key, "proof": proof }));
    }
    if args.output.is_some() {
        return Ok(());
    }
    output::text(proof.trim_end_matches('\n'))
}

fn finding(finding: &LedgerFinding) -> String {
    match finding.index {
        Some(index) => format!("entry {index}: {}", finding.what),
        None => finding.what.to_string(),
    }
}
