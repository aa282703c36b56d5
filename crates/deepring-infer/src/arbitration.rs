//! Ruling on a dispute: what entered the leg is computed again, by a host that the parties are not.

use std::ops::Range;

use deepring::receipt::{Agreement, ComputedWith};
use deepring::replication::{ClaimedOutputs, OpenedDispute};
use deepring::{Host, PublicKey};

use crate::engine::Engine;
use crate::error::RunError;
use crate::host::RingHost;
use crate::participant::seed;

/// The outcome of computing a disputed leg again.
#[derive(Debug, Clone)]
pub struct Ruling {
    blocks: Range<u32>,
    computed_with: ComputedWith,
    claims: Vec<RuledClaim>,
}

/// One side's signed claim, beside what the arbiter computed.
#[derive(Debug, Clone)]
pub struct RuledClaim {
    /// The claim that it signed.
    pub claim: ClaimedOutputs,
    /// How that compares with the arbiter's outputs; `None` where it cannot be told: the bits differ, it computed with
    /// something else than the arbiter, and its outputs are not in the dispute, or differ in an element that has no tolerance.
    pub agreement: Option<Agreement>,
}

impl Ruling {
    /// The blocks that were computed.
    #[must_use]
    pub fn blocks(&self) -> Range<u32> {
        self.blocks.clone()
    }

    /// The engine, library, processor and threads that the arbiter computed with.
    #[must_use]
    pub fn computed_with(&self) -> &ComputedWith {
        &self.computed_with
    }

    /// Each claim, in the order of the signed records.
    #[must_use]
    pub fn claims(&self) -> &[RuledClaim] {
        &self.claims
    }

    /// The hosts that signed outputs which the blocks do not give, each once.
    #[must_use]
    pub fn wrong(&self) -> Vec<PublicKey<Host>> {
        let mut wrong = Vec::new();
        for RuledClaim { claim, agreement } in &self.claims {
            let differs = agreement.is_some_and(|agreement| !agreement.validates());
            if differs && !wrong.contains(&claim.host) {
                wrong.push(claim.host);
            }
        }
        wrong
    }

    /// Returns whether this decides the dispute. It does not where a claim could not be compared; nor where two that state the
    /// same engine, library, processor and threads name different outputs, and both are near the arbiter's: one of the two is
    /// wrong, and only an arbiter that computes with the same sees which.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        let compared = self.claims.iter().all(|claim| claim.agreement.is_some());
        let contradict = self.claims.iter().enumerate().any(|(n, a)| {
            self.claims.iter().take(n).any(|b| {
                a.claim.computed_with == b.claim.computed_with && a.claim.outputs != b.claim.outputs
            })
        });
        !self.claims.is_empty() && compared && (!contradict || !self.wrong().is_empty())
    }
}

impl<E: Engine> RingHost<E> {
    /// Computes a disputed leg again from the tensors that all sides signed as what entered it, and compares each side's outputs
    /// with what comes out: by their bits with whoever states the same engine, library, processor and threads as this host, and
    /// else element by element, where the outputs are in the dispute. This host must have opened the leg's blocks.
    ///
    /// # Errors
    /// As [`compute`](Self::compute): [`RunError::NotLoaded`] for a block that is not open, [`RunError::Tampered`] where this host's
    /// own copy is not what the owner sealed.
    pub fn arbitrate(&self, dispute: &OpenedDispute) -> Result<Ruling, RunError> {
        let (inputs, blocks) = (dispute.inputs(), dispute.blocks());
        let computed = self.compute(dispute.salt(), inputs, blocks.clone())?;
        let with = &computed.result.computed_with;
        let query = dispute.evidence().receipt().query;
        let seed = seed(query, blocks.start);
        let mut claims = Vec::new();
        for claim in dispute.claims() {
            let agreement = if claim.outputs == computed.result.outputs {
                Some(Agreement::Same)
            } else if claim.computed_with == *with {
                Some(Agreement::UNMEASURED)
            } else {
                let theirs = dispute.outputs(claim.outputs);
                let compare =
                    |theirs| self.compare(inputs, &blocks, &computed.outputs, theirs, seed);
                // An element without a tolerance (it overflows for errors within it, or is no float) accuses nobody.
                let measured = |agreement: &Agreement| *agreement != Agreement::UNMEASURED;
                theirs.map(compare).transpose()?.filter(measured)
            };
            claims.push(RuledClaim { claim, agreement });
        }
        Ok(Ruling { blocks, computed_with: computed.result.computed_with, claims })
    }
}
