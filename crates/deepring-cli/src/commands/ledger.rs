//! `deepring ledger`: init, show, verify, checkpoint, prove.

use std::path::{Path, PathBuf};

use deepring::files::InLine;
use deepring::{Decision, TrustStore};
use deepring_ledger::{Event, Ledger, LedgerFinding};
use serde_json::json;

use crate::begun::Begun;
use crate::cli::{LedgerArgs, LedgerCommand, LedgerInit, LedgerProve, LedgerVerify};
use crate::error::{CliError, Exit};
use crate::ledgers::{Wanted, read_shown, seen};
use crate::output;
use crate::rings::open_store;

pub(crate) fn ledger(args: &LedgerCommand, trust: Option<&Path>) -> Result<(), CliError> {
    match args {
        LedgerCommand::Init(args) => init(args, trust),
        LedgerCommand::Show(args) => show(args, trust),
        LedgerCommand::Verify(args) => verify(args, trust),
        LedgerCommand::Checkpoint(args) => checkpoint(args, trust),
        LedgerCommand::Prove(args) => prove(args, trust),
    }
}

fn init(args: &LedgerInit, trust: Option<&Path>) -> Result<(), CliError> {
    let mut memory = Memory::open(trust)?;
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
struct Memory(Option<TrustStore>);

impl Memory {
    fn open(trust: Option<&Path>) -> Result<Self, CliError> {
        let store = open_store(trust)?;
        if store.is_none() {
            output::note(
                "warning: no home folder, so no trust store: no ledger is remembered, and one that is gone, new or old is not noticed",
            );
        }
        Ok(Self(store))
    }

    fn store(&self) -> Option<&TrustStore> {
        self.0.as_ref()
    }

    /// Opens a ledger that fits what is pinned or known, and remembers how far it has grown if it is known.
    fn read(&mut self, args: &LedgerArgs) -> Result<Ledger, CliError> {
        let ledger = wanted(args).read(self.store())?.ledger;
        if self.store().is_some_and(|store| store.ledger(ledger.key().as_str()).is_some()) {
            self.keep(&ledger, None);
        }
        Ok(ledger)
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

fn show(args: &LedgerArgs, trust: Option<&Path>) -> Result<(), CliError> {
    let ledger = Memory::open(trust)?.read(args)?;
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

fn verify(args: &LedgerVerify, trust: Option<&Path>) -> Result<(), CliError> {
    let mut memory = Memory::open(trust)?;
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
    let ledger = Memory::open(trust)?.read(args)?;
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
    let mut memory = Memory::open(trust)?;
    let ledger = memory.read(&args.args)?;
    // The key goes to whoever checks by another way; on this machine the trust store is that way.
    memory.keep(&ledger, Some(&args.args.ledger));
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

/// An event in a line, for people. What somebody else wrote into an entry stays in that line.
pub(super) fn describe(event: &Event) -> String {
    InLine(words(event)).to_string()
}

fn words(event: &Event) -> String {
    let hex = |bytes: &[u8]| bytes.iter().take(6).map(|b| format!("{b:02x}")).collect::<String>();
    match event {
        Event::RingRegistered { ring_id, model_version, .. } => {
            format!("ring {} registered, version {model_version}", hex(ring_id))
        }
        Event::RingUpgraded { ring_id, model_version, .. } => {
            format!("ring {} upgraded to version {model_version}", hex(ring_id))
        }
        Event::RingRevoked { ring_id, reason, .. } => {
            format!("ring {} revoked: {reason}", hex(ring_id))
        }
        Event::Decisions { decision_id, count, .. } => {
            let queries = if *count == 1 { "query" } else { "queries" };
            format!("decision {}… about {count} {queries}", hex(decision_id))
        }
        Event::Alarm { block, name, part, tensor, reason, .. } => {
            let block = block.map(|b| format!("block {b} ({name}), ")).unwrap_or_default();
            let tensor = tensor.as_ref().map(|t| format!(", tensor {t}")).unwrap_or_default();
            format!("ALARM: {block}{part}{tensor}: {reason}")
        }
        Event::Repair { blocks, source, .. } => {
            format!("repair of blocks {blocks:?} from {source}")
        }
        Event::KeyRevoked { key, reason } => format!("key {} revoked: {reason}", hex(key)),
        _ => "an entry of a kind that this version does not know".to_owned(),
    }
}

fn finding(finding: &LedgerFinding) -> String {
    match finding.index {
        Some(index) => format!("entry {index}: {}", finding.what),
        None => finding.what.to_string(),
    }
}

/// Date and time in UTC, as RFC 3339 writes them, of milliseconds since 1970.
fn time(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, ms) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a number of days since 1970. Years are counted from March, so that the leap
/// day is the last: month lengths then follow `(153 m + 2) / 5`.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // Since 1 March of year 0.
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_dated_as_a_calendar_would() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(951_868_800_000), "2000-03-01T00:00:00.000Z");
        assert_eq!(time(1_795_416_129_856), "2026-11-23T06:42:09.856Z");
        assert_eq!(time(4_107_542_399_000), "2100-02-28T23:59:59.000Z");
        assert_eq!(time(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }
}
