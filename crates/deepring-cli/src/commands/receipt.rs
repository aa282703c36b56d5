//! `deepring receipt verify`: a decision against its ring, and a ledger or a proof.

mod coverage;
mod recorded;

pub(super) use recorded::subject;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use deepring::Section;
use deepring::receipt::tensors_digest;
use deepring::trust::OwnedRing;
use deepring::{Decision, Digest, Finding, TensorSpec, TensorValue, VerifiedDecision};
use deepring_ledger::state::Revocation;
use serde_json::{Value, json};

use crate::cli::{ReceiptCommand, ReceiptVerify};
use crate::error::CliError;
use crate::inputs::{Pictures, read_queries};
use crate::output;
use crate::rings::{TrustPolicy, newer_than, refuse_decision_of};

use recorded::Recorded;

pub(crate) fn receipt(args: &ReceiptCommand, trust: Option<&Path>) -> Result<(), CliError> {
    let ReceiptCommand::Verify(args) = args;
    let outcome = verify(args, trust);
    if args.json {
        output::verdict(outcome.as_ref(), document)?;
    } else if let Ok(verified) = &outcome {
        print(verified)?;
    }
    outcome.map(|_| ())
}

/// The parts that verified.
struct Verified {
    decision: VerifiedDecision,
    ring: OwnedRing,
    /// Names of the ring's blocks.
    blocks: Vec<String>,
    /// How many questions, and answers, were compared with what the caller has.
    compared: ComparedTensors,
    /// The version that the trust store knows, where it is newer than the one that decided.
    newer: Option<u64>,
    /// The decision's entry, where a ledger or a proof was given.
    recorded: Option<Recorded>,
}

/// How many queries of a decision were compared with tensors that the caller gave.
pub(super) struct ComparedTensors {
    inputs: usize,
    outputs: usize,
    /// All of them.
    queries: usize,
}

fn verify(args: &ReceiptVerify, trust: Option<&Path>) -> Result<Verified, CliError> {
    let mut policy = TrustPolicy::new(&args.owner, trust)?;
    // An auditor asks about the past: that a newer version was seen since takes nothing away, and is said.
    let ring = policy.authenticate_any_version(&output::resolved_path(&args.ring)?)?;
    refuse_decision_of(policy.store(), ring.outline(), args.require)?;
    let given = Decision::read(&args.receipt)?;
    let decision = given.verify(ring.outline(), args.require.into())?;
    check_nonce(args.nonce.as_deref(), &decision)?;
    let specs = (ring.inputs(), ring.outputs());
    let compared = about_these((&args.input, &args.output), specs, &decision)?;
    let recorded = recorded::recorded(args, &ring, (&given, &decision), &mut policy)?;
    Ok(Verified {
        decision,
        ring: ring.owned(),
        blocks: ring.headers().iter().map(|h| h.name.clone()).collect(),
        compared,
        newer: newer_than(policy.store(), ring.outline()),
        recorded,
    })
}

/// The JSON promised to scripts, beside verdict and findings; all of it null where nothing verified.
fn document(verified: Option<&Verified>) -> Value {
    let recorded = verified.and_then(|verified| verified.recorded.as_ref());
    json!({
        "decision": verified.map(|v| &v.decision),
        "owner": verified.map(|v| v.ring.owner),
        "ring": verified.map(|v| v.ring.ring),
        "model_version": verified.map(|v| v.decision.model_version()),
        "compared": verified.map(|v| v.compared.json()),
        "newer_version": verified.and_then(|v| v.newer),
        "entry": recorded.map(|r| r.entry),
        "ledger_key": recorded.map(|r| r.voucher),
        "recorded_after": recorded.and_then(|r| r.after).map(|(entry, version)| {
            json!({ "entry": entry, "model_version": version })
        }),
        "revoked_since": recorded.and_then(|r| r.revoked_since).map(|revocation| {
            json!({ "entry": revocation.entry, "what": recorded::subject(&revocation.what) })
        }),
        "witnesses": recorded.map(|r| r.witnesses.json()),
    })
}

impl ComparedTensors {
    pub(super) fn json(&self) -> Value {
        json!({ "inputs": self.inputs, "outputs": self.outputs, "queries": self.queries })
    }

    /// Warnings for the reader before taking the receipt for an answer.
    pub(super) fn line(&self) -> String {
        let given = |n: usize| match n == self.queries {
            true => "as given".to_owned(),
            false => format!("{n} of {} as given, the others NOT compared", self.queries),
        };
        match (self.inputs, self.outputs) {
            (0, 0) => "question and answer: NOT compared (`--input`, `--output`)".to_owned(),
            (n, 0) => format!("question: {}; answer: NOT compared (`--output`)", given(n)),
            (0, n) => format!("question: NOT compared (`--input`); answer: {}", given(n)),
            // Given together, they are compared in pairs.
            (n, _) => format!("question and answer: {}", given(n)),
        }
    }
}

/// A nonce as it is given: 64 hexadecimal digits, not all zero.
pub(super) fn parse_nonce(text: &str) -> Result<Digest, CliError> {
    let nonce = Digest::from_hex(text).filter(|nonce| *nonce != Digest::NONE);
    nonce.ok_or_else(|| CliError::usage("a nonce is 64 hexadecimal digits, not all zero"))
}

/// Refuses a decision that does not answer to the nonce that the caller gave when it asked.
fn check_nonce(nonce: Option<&str>, decision: &VerifiedDecision) -> Result<(), CliError> {
    let Some(text) = nonce else { return Ok(()) };
    let given = parse_nonce(text)?;
    if decision.nonce() == Some(given) {
        return Ok(());
    }
    let reason = match decision.nonce() {
        Some(_) => "the decision answers to another nonce: it was made for another question",
        None => "the decision answers to no nonce: it may be older than the question",
    };
    Err(CliError::refused(reason, vec![Finding::stale(Section::File, reason)]))
}

/// Holds the decision against the inputs and outputs that the caller has. Without them a receipt says that
/// somebody was answered, not that this was the answer. Returns how many of its queries are among those given.
pub(super) fn about_these(
    (input, output): (&[OsString], &[OsString]),
    (takes, gives): (&[TensorSpec], &[TensorSpec]),
    decision: &VerifiedDecision,
) -> Result<ComparedTensors, CliError> {
    let read = |files: &[OsString], specs: &[TensorSpec]| match files {
        [] => Ok(Vec::new()),
        // Without the salt nothing can be compared, and no file is read.
        _ if decision.salt().is_none() => Err(without_salt()),
        files => read_queries(files, specs, Pictures::Sealed),
    };
    about_tensors(&read(input, takes)?, &read(output, gives)?, decision)
}

fn without_salt() -> CliError {
    CliError::usage("this receipt is without the salt of its digests, so that tensors cannot be compared with it")
        .hint("ask for the receipt as the host wrote it")
}

/// The same of tensors: those of each query.
pub(super) fn about_tensors(
    inputs: &[Vec<TensorValue>],
    outputs: &[Vec<TensorValue>],
    decision: &VerifiedDecision,
) -> Result<ComparedTensors, CliError> {
    let queries = decision.items().len();
    let salt = match decision.salt() {
        Some(salt) => salt,
        None if inputs.is_empty() && outputs.is_empty() => {
            return Ok(ComparedTensors { inputs: 0, outputs: 0, queries });
        }
        None => return Err(without_salt()),
    };
    let digests = |queries: &[Vec<TensorValue>]| -> Vec<Digest> {
        queries.iter().map(|q| tensors_digest(salt, q)).collect()
    };
    let (inputs, outputs) = (digests(inputs), digests(outputs));
    if !inputs.is_empty() && !outputs.is_empty() && inputs.len() != outputs.len() {
        return Err(CliError::usage("inputs and outputs are of different numbers of queries"));
    }
    let fits = |asked: Option<&Digest>, found: Digest| asked.is_none_or(|d| *d == found);
    let mut met = vec![false; queries];
    for k in 0..inputs.len().max(outputs.len()) {
        let mut answered = false;
        for (item, met) in decision.items().iter().zip(&mut met) {
            if fits(inputs.get(k), item.inputs) && fits(outputs.get(k), item.outputs) {
                (answered, *met) = (true, true);
            }
        }
        if !answered {
            let reason = "the decision is about other inputs or outputs than those given";
            let finding = Finding::tampered(Section::File, reason);
            return Err(CliError::refused(reason, vec![finding]).hint(
                "give the very tensors: `run --save-inputs DIR --output-dir DIR` writes them",
            ));
        }
    }
    let compared = met.iter().filter(|met| **met).count();
    let of = |given: &[Digest]| if given.is_empty() { 0 } else { compared };
    Ok(ComparedTensors { inputs: of(&inputs), outputs: of(&outputs), queries })
}

pub(super) fn is_old(version: u64, newer: u64) -> String {
    format!("version {version} is OLD: version {newer} was seen here")
}

fn print(verified: &Verified) -> Result<(), CliError> {
    let Verified { decision, ring, blocks: names, compared, newer, recorded } = verified;
    output::line(format_args!("intact: decision {}", decision.id()))?;
    output::line(format_args!("by ring {}, version {}", ring.ring, decision.model_version()))?;
    output::line(format_args!("of owner {}", ring.owner))?;
    output::line(format_args!(
        "{} at {} by the host's clock, parameters checked: {}",
        output::count(decision.items().len(), "query", "queries"),
        output::date(Duration::from_millis(decision.opened_at())),
        decision.check()
    ))?;
    output::line(compared.line())?;
    for leg in decision.legs() {
        output::line(format_args!(
            "blocks {}-{}: {}",
            leg.first_block,
            leg.end_block.saturating_sub(1),
            leg
        ))?;
    }
    for receipt in decision.chain().receipts() {
        let (first, last) = (receipt.first_block, receipt.end_block().saturating_sub(1));
        let blocks =
            if first == last { format!("block {first}") } else { format!("blocks {first}-{last}") };
        output::line(format_args!("{blocks} by {}: {}", receipt.host.short(), receipt.check))?;
        coverage::lines(receipt, names).iter().try_for_each(output::line)?;
    }
    coverage::legend(decision.chain().receipts()).iter().try_for_each(output::line)?;
    if let Some(newer) = newer {
        output::line(is_old(decision.model_version(), *newer))?;
    }
    let Some(recorded) = recorded else { return Ok(()) };
    output::line(format_args!("on the ledger as entry {}", recorded.entry))?;
    if let Some((entry, version)) = recorded.after {
        output::line(format_args!(
            "recorded AFTER version {version}, which is entry {entry}: the host went on with an old one"
        ))?;
    }
    if let Some(Revocation { what, entry, .. }) = &recorded.revoked_since {
        output::line(format_args!(
            "{} was REVOKED SINCE, by entry {entry}: what was decided before it stays valid",
            recorded::subject(what)
        ))?;
    }
    recorded.witnesses.print()?;
    recorded.voucher.note_nobody();
    Ok(())
}
