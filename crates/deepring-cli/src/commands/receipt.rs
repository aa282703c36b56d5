//! `deepring receipt verify`: a decision against its ring, and a ledger or a proof.

mod coverage;

use std::path::Path;

use deepring::{
    AuthenticRing, Decision, Digest, Finding, PartName, VerifiedDecision, tensors_digest,
};
use deepring_ledger::{Event, Ledger, Proof, VerifiedInclusion, VerifierKey};
use serde_json::json;

use crate::cli::{Receipt, ReceiptVerify};
use crate::error::{CliError, Exit};
use crate::inputs::read_queries;
use crate::output;
use crate::rings::Trusting;

pub(crate) fn receipt(args: &Receipt, trust: Option<&Path>) -> Result<(), CliError> {
    let Receipt::Verify(args) = args;
    let outcome = verify(args, trust);
    if args.json {
        match &outcome {
            Ok(Verified { decision, entry, .. }) => output::json(&json!({
                "verdict": "intact",
                "findings": [],
                "decision": decision,
                "entry": entry,
            }))?,
            Err(e) if matches!(e.exit, Exit::Tampered | Exit::Untrusted | Exit::Stale) => {
                output::json(&json!({
                    "verdict": e.exit.word(),
                    "findings": e.findings,
                    "decision": null,
                    "entry": null,
                }))?;
            }
            Err(_) => {}
        }
    } else if let Ok(verified) = &outcome {
        print(verified)?;
    }
    outcome.map(|_| ())
}

/// What held.
struct Verified {
    decision: VerifiedDecision,
    /// Index of its ledger entry, where one was asked for.
    entry: Option<u64>,
    /// Names of the ring's blocks.
    blocks: Vec<String>,
}

fn verify(args: &ReceiptVerify, trust: Option<&Path>) -> Result<Verified, CliError> {
    let trusting = Trusting::new(args.owner.owner.as_deref(), trust)?;
    // An auditor asks about the past: that a newer version was seen since takes nothing away.
    let ring = trusting.look_back(&args.ring)?;
    let decision = Decision::read(&args.receipt)?.verify(&ring)?;
    about_these(args, &ring, &decision)?;
    let pinned = args.ledger_key.as_deref().map(read_key).transpose()?;
    let shown = if let Some(dir) = &args.ledger {
        let ledger = Ledger::open_read(dir, pinned.as_deref())?;
        // Whoever can replace a ledger whole can replace the key in it: what was seen first counts.
        let origin = ledger.checkpoint().origin();
        let seen = trusting.ledger_key(origin).filter(|_| pinned.is_none());
        if seen.is_some_and(|key| key != ledger.key().to_string()) {
            let message = format!("ledger {origin} was seen before with another key");
            return Err(CliError::new(Exit::Untrusted, message)
                .hint("give the key that you trust with `--ledger-key log.pub`"));
        }
        if let Some(revoked) = revoked(&ledger, &ring, &decision)? {
            return Err(CliError::new(Exit::Untrusted, revoked));
        }
        let index = ledger.find_decision(&decision.id.0)?.ok_or_else(|| {
            CliError::new(Exit::Tampered, "the ledger holds no entry of this decision")
        })?;
        Some(ledger.prove(index)?.verify(ledger.key()).map_err(bad_proof)?)
    } else if let Some(path) = &args.proof {
        let bytes = std::fs::read(path)
            .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", path.display())))?;
        // What is no text is no proof either; the parser says so.
        let text = String::from_utf8_lossy(&bytes);
        Some(check_proof(&text, pinned, &trusting)?)
    } else {
        None
    };
    if let Some(shown) = &shown {
        match &shown.entry().event {
            Event::Decisions { decision_id, .. } if *decision_id == decision.id.0 => {}
            _ => {
                let message = "the proof is about another entry than this decision's";
                return Err(CliError::new(Exit::Tampered, message));
            }
        }
    }
    let blocks = ring.headers().iter().map(|h| h.name.clone()).collect();
    Ok(Verified { decision, entry: shown.map(|s| s.index()), blocks })
}

/// Holds the decision against the inputs and outputs that the caller has. Without them a receipt says that
/// somebody was answered, not that this was the answer.
fn about_these(
    args: &ReceiptVerify,
    ring: &AuthenticRing,
    decision: &VerifiedDecision,
) -> Result<(), CliError> {
    let genesis = ring.genesis();
    let digests = |files: &[String], specs| -> Result<Vec<Digest>, CliError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        Ok(read_queries(files, specs, None)?.iter().map(|q| tensors_digest(q)).collect())
    };
    let inputs = digests(&args.input, &genesis.outputs)?;
    let outputs = digests(&args.output, &genesis.inputs)?;
    if !inputs.is_empty() && !outputs.is_empty() && inputs.len() != outputs.len() {
        return Err(CliError::usage("inputs and outputs are of different numbers of queries"));
    }
    for k in 0..inputs.len().max(outputs.len()) {
        let fits = |asked: Option<&Digest>, found: Digest| asked.is_none_or(|d| *d == found);
        let answered = decision
            .items
            .iter()
            .any(|i| fits(inputs.get(k), i.inputs) && fits(outputs.get(k), i.outputs));
        if !answered {
            let reason = "the decision is about other inputs or outputs than those given";
            let finding = Finding::tampered(PartName::File, reason);
            return Err(CliError::refused(reason, vec![finding]));
        }
    }
    Ok(())
}

/// Says what of the decision the ledger revokes: the ring, its owner, a host.
fn revoked(
    ledger: &Ledger,
    ring: &AuthenticRing,
    decision: &VerifiedDecision,
) -> Result<Option<String>, CliError> {
    if let Some(entry) = ledger.ring_revocation(&decision.ring_digest.0)? {
        return Ok(Some(format!("the ring is revoked by entry {entry}")));
    }
    if let Some(entry) = ledger.key_revocation(ring.owner().as_bytes())? {
        return Ok(Some(format!("the owner is revoked by entry {entry}")));
    }
    let opening = std::iter::once(decision.chain.opening().host);
    for host in opening.chain(decision.chain.receipts().iter().map(|r| r.host)) {
        if let Some(entry) = ledger.key_revocation(host.as_bytes())? {
            return Ok(Some(format!("host {} is revoked by entry {entry}", host.short())));
        }
    }
    Ok(None)
}

fn check_proof(
    text: &str,
    pinned: Option<String>,
    trusting: &Trusting,
) -> Result<VerifiedInclusion, CliError> {
    let proof = Proof::parse(text).map_err(bad_proof)?;
    let key = pinned.or_else(|| trusting.ledger_key(proof.claimed_origin())).ok_or_else(|| {
        CliError::new(
            Exit::Untrusted,
            format!("the key of ledger {} is not known", proof.claimed_origin()),
        )
        .hint("give the ledger's public key with `--ledger-key LEDGER/log.pub`")
    })?;
    let key = VerifierKey::parse(key.trim()).map_err(|e| CliError::new(Exit::Failed, e))?;
    proof.verify(&key).map_err(bad_proof)
}

fn bad_proof(e: deepring_ledger::ProofError) -> CliError {
    CliError::new(Exit::Tampered, format!("proof: {e}"))
}

fn read_key(path: &Path) -> Result<String, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", path.display())))?;
    Ok(text.trim().to_owned())
}

fn print(Verified { decision, entry, blocks: names }: &Verified) -> Result<(), CliError> {
    output::line(format_args!("intact: decision {}", decision.id))?;
    output::line(format_args!(
        "model version {}, {}, parameters checked: {}",
        decision.model_version,
        output::count(decision.items.len(), "query", "queries"),
        decision.check
    ))?;
    for receipt in decision.chain.receipts() {
        let (first, last) = (receipt.first_block, receipt.end_block().saturating_sub(1));
        let blocks =
            if first == last { format!("block {first}") } else { format!("blocks {first}-{last}") };
        output::line(format_args!("{blocks} by {}: {}", receipt.host.short(), receipt.check))?;
        coverage::lines(receipt, names).iter().try_for_each(output::line)?;
    }
    coverage::legend(decision.chain.receipts()).iter().try_for_each(output::line)?;
    match entry {
        Some(index) => output::line(format_args!("on the ledger as entry {index}")),
        None => Ok(()),
    }
}
