//! What a reader says of something that may be tampered with: the verdict, the findings, the exit code of the command.

use std::path::Path;

use deepring::{
    AuthenticRing, Decision, Finding, PartName, ReceiptError, Report, RingError, Trust,
    UnverifiedRing, Verdict, tensors_digest,
};
use serde::Serialize;

use super::claim::Claim;

/// A reader's judgement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Intact, or why not.
    pub verdict: Verdict,
    /// The exit code of the `deepring` command that judges it: 0 intact, 3 tampered, 4 untrusted, 5 stale.
    pub exit: u8,
    /// What is wrong and where.
    pub findings: Vec<Finding>,
}

impl Judged {
    pub(super) fn of(findings: Vec<Finding>) -> Self {
        let report = Report::of_findings(findings);
        Self { verdict: report.verdict, exit: exit(report.verdict), findings: report.findings }
    }

    /// The blocks that are named, each once.
    #[must_use]
    pub fn blocks(&self) -> Vec<u32> {
        let named: std::collections::BTreeSet<u32> =
            self.findings.iter().filter_map(|f| f.block).collect();
        named.into_iter().collect()
    }
}

fn exit(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Intact => 0,
        Verdict::Tampered => 3,
        Verdict::Untrusted => 4,
        Verdict::Stale => 5,
    }
}

/// Judges a ring file as `deepring verify` does.
///
/// # Errors
/// [`RingError::Io`] if the file cannot be read; a refusal is no error here.
pub fn judge_ring(path: &Path, trust: &Trust<'_>) -> Result<Judged, RingError> {
    match UnverifiedRing::open(path).and_then(|r| r.verify(trust, &|_| ())) {
        Ok(_) => Ok(Judged::of(Vec::new())),
        Err(RingError::Refused(report)) => Ok(Judged {
            verdict: report.verdict,
            exit: exit(report.verdict),
            findings: report.findings,
        }),
        Err(e) => Err(e),
    }
}

/// Judges a claim as `deepring receipt verify --input --output` does: the receipt against the ring, and question and
/// answer against the receipt.
#[must_use]
pub fn judge_claim(claim: &Claim, ring: &AuthenticRing) -> Judged {
    let refused = |reason: String| Judged::of(vec![Finding::tampered(PartName::File, reason)]);
    let decision = match Decision::decode(&claim.receipt) {
        Ok(decision) => decision,
        Err(e) => return refused(format!("not a receipt: {e}")),
    };
    let verified = match decision.verify(ring) {
        Ok(verified) => verified,
        Err(ReceiptError::Refused(finding)) => return Judged::of(vec![finding]),
        Err(e) => return refused(e.to_string()),
    };
    let (inputs, outputs) = (tensors_digest(&claim.inputs), tensors_digest(&claim.outputs));
    match verified.items.iter().any(|i| i.inputs == inputs && i.outputs == outputs) {
        true => Judged::of(Vec::new()),
        false => {
            refused("the decision is about other inputs or outputs than those given".to_owned())
        }
    }
}
