//! A reader's verdict on something that may be tampered with: the verdict, the findings, the exit code of the command.

use std::path::Path;

use deepring::Section;
use deepring::receipt::{ReceiptError, Require, tensors_digest};
use deepring::{
    AuthenticRing, Decision, Finding, Report, RingError, Trust, UnverifiedRing, Verdict,
};
use serde::Serialize;

use super::claim::Claim;

/// The verification by a reader.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Intact, or why not.
    pub verdict: Verdict,
    /// The exit code of the `deepring` command that verifies it: 0 intact, 3 tampered, 4 untrusted, 5 stale.
    pub exit: u8,
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Verification {
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

/// Verifies a ring file as `deepring verify` does.
///
/// # Errors
/// [`RingError::Io`] if the file cannot be read; a refusal is no error here.
pub fn verify_ring(path: &Path, trust: &Trust<'_>) -> Result<Verification, RingError> {
    match UnverifiedRing::open(path).and_then(|r| r.verify(trust, &|_| ())) {
        Ok(_) => Ok(Verification::of(Vec::new())),
        Err(RingError::Refused(report)) => Ok(Verification {
            verdict: report.verdict,
            exit: exit(report.verdict),
            findings: report.findings,
        }),
        Err(e) => Err(e),
    }
}

/// Verifies a claim as `deepring receipt verify --input --output` does: the receipt against the ring, and question and
/// answer against the receipt.
#[must_use]
pub fn verify_claim(claim: &Claim, ring: &AuthenticRing) -> Verification {
    let refused = |reason: String| Verification::of(vec![Finding::tampered(Section::File, reason)]);
    let decision = match Decision::decode(&claim.receipt) {
        Ok(decision) => decision,
        Err(e) => return refused(format!("not a receipt: {e}")),
    };
    let verified = match decision.verify(ring.outline(), Require::AsDealt) {
        Ok(verified) => verified,
        Err(ReceiptError::Refused(finding)) => return Verification::of(vec![finding]),
        Err(e) => return refused(e.to_string()),
    };
    let Some(salt) = &verified.salt() else {
        return refused("the receipt has no salt: nothing can be compared with it".to_owned());
    };
    let inputs = tensors_digest(salt, &claim.inputs);
    let outputs = tensors_digest(salt, &claim.outputs);
    match verified.items().iter().any(|i| i.inputs == inputs && i.outputs == outputs) {
        true => Verification::of(Vec::new()),
        false => {
            refused("the decision is about other inputs or outputs than those given".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_has_the_exit_code_of_the_command() {
        assert_eq!(exit(Verdict::Intact), 0);
        assert_eq!(exit(Verdict::Tampered), 3);
        assert_eq!(exit(Verdict::Untrusted), 4);
        assert_eq!(exit(Verdict::Stale), 5);
        let none = Verification::of(Vec::new());
        assert_eq!((none.verdict, none.exit, none.blocks()), (Verdict::Intact, 0, vec![]));
    }

    #[test]
    fn blocks_are_named_once_and_in_their_order() {
        let finding = |block: Option<u32>| {
            let finding = Finding::tampered(Section::Body, "bits differ");
            match block {
                Some(block) => finding.in_block(block, None),
                None => finding,
            }
        };
        let findings = [Some(4), None, Some(1), Some(4)].map(finding);
        let verified = Verification::of(findings.to_vec());
        assert_eq!((verified.exit, verified.blocks()), (3, vec![1, 4]));
        assert_eq!(verified.findings.len(), 4);
    }
}
