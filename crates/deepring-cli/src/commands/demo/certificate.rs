//! The end of the road: a decision with its certificate, on the ledger, checked as an auditor would.

use deepring::receipt::Require;
use deepring::{AuthenticRing, Check, Decision, VerifiedDecision};
use deepring_attack::Predictions;
use deepring_ledger::{Ledger, LedgerOptions, Proof, VerifierKey};

use super::fixture::Fixture;
use super::folder::Folder;
use crate::commands::ledger::describe;
use crate::error::{CliError, Exit};

#[derive(Debug)]
pub(super) struct DemoCertificate {
    pub(super) decision: VerifiedDecision,
    pub(super) answers: Predictions,
    /// Index of the decision's ledger entry, shown by the inclusion proof.
    pub(super) entry: u64,
    pub(super) checkpoint: String,
    pub(super) root: [u8; 32],
    /// All entries of the ledger, for people.
    pub(super) entries: Vec<String>,
    /// The findings of recomputing the ledger; empty if it is intact.
    pub(super) ledger_findings: Vec<String>,
}

/// Asks all images once more of the ring as it is now, and keeps the receipt.
pub(super) fn decide(fixture: &mut Fixture) -> Result<Predictions, CliError> {
    let session = fixture.open(Check::Run)?;
    let (answers, outcome, _) = fixture.run_queries(&session)?;
    outcome.decision.write(&fixture.folder.path("decision.receipt"))?;
    Ok(answers)
}

/// Step 5: reads the receipt back from its file, checks it against the ring, and looks it up on the ledger
/// with nothing but the ledger's public key. The recorder must be closed by now.
pub(super) fn certify(
    folder: &Folder,
    ring: &AuthenticRing,
    answers: Predictions,
) -> Result<DemoCertificate, CliError> {
    let receipt = Decision::read(&folder.path("decision.receipt"))?;
    let decision = receipt.verify(ring.outline(), Require::AsDealt)?;
    let dir = folder.path("ledger");
    let ledger = Ledger::open_read(&dir, None)?;
    let missing = || CliError::new(Exit::Failed, "the ledger holds no entry of the decision");
    let index = ledger.find_decision(&receipt)?.ok_or_else(missing)?;
    let proof = ledger.prove(index)?.to_string();
    folder.write("decision.tlog-proof", proof.as_bytes())?;

    // From here on as somebody who has only the proof and the key.
    let bad = |e: &dyn std::fmt::Display| CliError::new(Exit::Failed, format!("proof: {e}"));
    let key = VerifierKey::parse(ledger.key().as_str()).map_err(|e| bad(&e))?;
    let shown = Proof::parse(&proof).and_then(|p| p.verify(&key)).map_err(|e| bad(&e))?;
    shown.entry().records(&decision, ring.outline()).map_err(|e| bad(&e))?;
    let mut entries = Vec::new();
    for row in ledger.iter(0..ledger.len()) {
        entries.push(describe(&row?.1));
    }
    let (checkpoint, root) = (ledger.checkpoint().as_str().to_owned(), *ledger.checkpoint().root());
    drop(ledger);
    let report = LedgerOptions::new().verify(&dir)?;
    let ledger_findings = report.findings.iter().map(|f| f.what.to_string()).collect();
    Ok(DemoCertificate {
        decision,
        answers,
        entry: shown.index(),
        checkpoint,
        root,
        entries,
        ledger_findings,
    })
}

impl DemoCertificate {
    pub(super) fn is_complete(&self) -> bool {
        self.ledger_findings.is_empty() && self.decision.check() == Check::Run
    }
}
