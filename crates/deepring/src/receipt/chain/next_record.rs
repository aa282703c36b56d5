//! The next record of a chain: the checks of one receipt, and of one validation, against the outline and the record
//! before.

use super::{ChainLeg, LegResult};
use crate::crypto::Digest;
use crate::deal::DealtLeg;
use crate::finding::{Finding, Section};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::outline::{AuthenticOutline, OutlineBlock};
use crate::receipt::coverage::Coverage;
use crate::receipt::record::{Opening, Receipt};
use crate::receipt::validation::{Agreement, Validation};

/// The state of a chain that its next record must continue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NextRecord<'a> {
    pub(crate) outline: &'a AuthenticOutline,
    pub(crate) opening: &'a Opening,
    pub(crate) next_block: u32,
    pub(crate) previous: Digest,
    pub(crate) inputs: Digest,
    /// The dealt leg that is due; `None` where the query is not under a deal.
    pub(crate) leg: Option<&'a DealtLeg>,
}

impl<'a> NextRecord<'a> {
    /// The receipt of this leg that a host signs for a result.
    pub(crate) fn receipt(&self, host: &SecretKey<Host>, result: LegResult) -> Receipt {
        result.signed(self.opening, (self.next_block, self.previous, self.inputs), host)
    }

    /// A finding about the file, in the block that is due.
    fn bad(&self, reason: &str) -> Finding {
        let finding = Finding::tampered(Section::File, reason);
        match self.outline.layers().get(self.next_block as usize - 1) {
            Some(block) => finding.in_block(self.next_block, Some(&block.name)),
            None => finding,
        }
    }

    /// The first reason why a receipt is not the one that is due; `None` where it is.
    pub(crate) fn refuse_receipt(&self, receipt: &Receipt) -> Option<Finding> {
        if !receipt.is_signed() {
            return Some(self.bad("the receipt's signature does not fit"));
        }
        let opening = self.opening;
        if receipt.query != opening.query || receipt.ring_digest != opening.ring_digest {
            return Some(self.bad("the receipt is about another query or ring"));
        }
        if receipt.previous != self.previous {
            return Some(self.bad("the receipt does not follow the record before it"));
        }
        if receipt.inputs != self.inputs {
            return Some(
                self.bad("the receipt's inputs are not the outputs of the record before it"),
            );
        }
        if receipt.first_block != self.next_block || receipt.blocks.is_empty() {
            return Some(self.bad("the receipt's blocks do not follow those before"));
        }
        if receipt.coverage.len() != receipt.blocks.len() {
            return Some(self.bad("the receipt does not say for each block how it was checked"));
        }
        let Some(run) = self.blocks(receipt.first_block, receipt.end_block()) else {
            return Some(self.bad("the receipt names blocks that the ring has not"));
        };
        if opening.deal != Digest::NONE {
            match self.leg {
                Some(leg) if leg.end == receipt.end_block() => {
                    if leg.place_of(&receipt.host).is_none() {
                        return Some(self.bad("signed by a host that is no copy of the leg"));
                    }
                }
                _ => return Some(self.bad("the receipt is not of a leg of the deal")),
            }
        }
        refuse_blocks(run, receipt.first_block, &receipt.blocks, &receipt.coverage, &receipt.host)
    }

    /// The first reason why a leg's validations are not what its deal asks for; `None` where they
    /// are. A query that is under no deal has none.
    pub(super) fn refuse_validations(&self, leg: &ChainLeg) -> Option<Finding> {
        let due = self.opening.deal != Digest::NONE;
        match (due, leg.validations.is_empty()) {
            (false, true) => return None,
            (false, false) => return Some(self.bad("validations of a leg that nobody dealt")),
            (true, true) => {
                return Some(self.bad("no other copy of the leg validated the receipt"));
            }
            (true, false) => {}
        }
        if !leg.validations.is_sorted_by(|a, b| a.host.as_bytes() < b.host.as_bytes()) {
            return Some(self.bad("validations out of order, or two of one host"));
        }
        leg.validations.iter().find_map(|validation| {
            if !validation.agreement.validates() {
                return Some(self.bad("an objection stands in the place of a validation"));
            }
            let near = matches!(validation.agreement, Agreement::Near { .. });
            if near && validation.computed_with == leg.receipt.computed_with {
                return Some(self.bad("near, of copies that compute with the same"));
            }
            self.refuse_validation(validation, &leg.receipt)
        })
    }

    /// The first reason why a record is no validation of, nor an objection to, a receipt that was
    /// checked by [`refuse_receipt`](Self::refuse_receipt); `None` where it is one.
    pub(crate) fn refuse_validation(
        &self,
        validation: &Validation,
        receipt: &Receipt,
    ) -> Option<Finding> {
        if !validation.is_signed() {
            return Some(self.bad("the validation's signature does not fit"));
        }
        if let Some(reason) = validation.refuse_for(receipt) {
            return Some(self.bad(reason));
        }
        if self.leg.is_none_or(|leg| leg.place_of(&validation.host).is_none()) {
            return Some(self.bad("validated by a host that is no copy of the leg"));
        }
        if validation.coverage.len() != validation.blocks.len() {
            return Some(self.bad("the validation does not say for each block how it was checked"));
        }
        let v = validation;
        let run = self.blocks(v.first_block, receipt.end_block()).unwrap_or_default();
        refuse_blocks(run, v.first_block, &v.blocks, &v.coverage, &v.host)
    }

    /// The blocks from `first` to before `end`, where all of them compute.
    fn blocks(&self, first: u32, end: u32) -> Option<&'a [OutlineBlock]> {
        let start = (first as usize).checked_sub(1)?;
        self.outline.layers().get(start..(end as usize).checked_sub(1)?)
    }
}

/// A finding about the first of some blocks whose content, host or coverage does not fit.
fn refuse_blocks(
    run: &[OutlineBlock],
    first: u32,
    digests: &[Digest],
    coverage: &[Vec<Coverage>],
    host: &PublicKey<Host>,
) -> Option<Finding> {
    for (index, ((block, digest), coverage)) in (first..).zip(run.iter().zip(digests).zip(coverage))
    {
        let bad = |reason: &str| {
            Some(Finding::tampered(Section::Body, reason).in_block(index, Some(&block.name)))
        };
        if block.content_digest != *digest {
            return bad("other content ran than was sealed");
        }
        if !block.has_host(host) {
            return Some(unknown_host(Section::Body, host).in_block(index, Some(&block.name)));
        }
        if coverage.len() != block.parts.len() {
            return bad("the receipt does not say for each part how it was checked");
        }
        if coverage.iter().zip(&block.parts).any(|(c, part)| !c.stands_for(*part)) {
            return bad("the receipt claims a check that a part of this kind cannot have");
        }
    }
    None
}

/// A signature by a key that the block is not sealed for. Anybody can make one; but so did an
/// honest host that was granted the block after this copy of the ring was made (a grant changes
/// headers and revision, not the version). From this revision the two cannot be told apart. It is
/// refused either way, and not called tampering.
pub(super) fn unknown_host(part: Section, host: &PublicKey<Host>) -> Finding {
    let reason = format!(
        "signed by a host that this revision of the ring does not name for the block: {host}; if it was granted later, \
         verify against the newer revision"
    );
    Finding::stale(part, reason)
}
