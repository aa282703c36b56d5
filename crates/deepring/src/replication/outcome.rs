//! The end of a leg for one of its copies: SETTLE and DISPUTE, and who failed.

use super::evidence::Evidence;
use super::leg_copy::{Known, LegCopy};
use crate::keys::{Host, PublicKey};
use crate::receipt::{Receipt, Validation};

/// The fault of a copy in a leg.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CopyFault {
    /// It said nothing for as long as the driver waited, or did not show the outputs that were to be
    /// compared.
    Absent,
    /// It revealed something else than it had committed to, or no receipt of its own of this leg.
    BrokeCommitment,
    /// Its outputs and another's differ, and nobody can tell who is right.
    Disputed(Evidence),
    /// Both other copies object to its receipt, and agree with each other bit for bit.
    Outvoted(Evidence),
    /// It signed two receipts for one leg, or a receipt and a record that names other outputs of its
    /// own.
    Equivocated(Evidence),
}

/// A copy that failed, as this copy saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedCopy {
    /// The copy.
    pub host: PublicKey<Host>,
    /// Its fault.
    pub fault: CopyFault,
}

/// A leg that was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The receipt that the chain goes on with.
    pub receipt: Receipt,
    /// The validations of it that this copy has, one of each host; at least one.
    pub validations: Vec<Validation>,
}

/// The end of a leg, as far as this copy knows.
#[derive(Debug, Clone, PartialEq)]
pub enum LegOutcome {
    /// A receipt is validated.
    Settled(Box<Settled>),
    /// Nothing is decided, and nothing more can come: see [`LegCopy::named`].
    Disputed,
}

impl LegCopy<'_> {
    /// SETTLE, DISPUTE: how the leg ended, as far as this copy knows; `None` while it goes on. More
    /// validations of a settled receipt may come later.
    #[must_use]
    pub fn outcome(&self) -> Option<LegOutcome> {
        let receipts = (0..self.hosts.len()).flat_map(|place| self.receipts_of(place));
        for receipt in receipts {
            let validations = self.one_of_each(receipt, true);
            if !validations.is_empty() {
                let validations = validations.into_iter().map(|v| v.record.clone()).collect();
                let settled = Settled { receipt: receipt.clone(), validations };
                return Some(LegOutcome::Settled(Box::new(settled)));
            }
        }
        self.is_disputed().then_some(LegOutcome::Disputed)
    }

    /// The copies that failed, as far as this copy knows.
    #[must_use]
    pub fn named(&self) -> Vec<FailedCopy> {
        let mut named = Vec::new();
        for (place, host) in self.hosts.iter().enumerate() {
            let fault = self.peers.get(place).and_then(|peer| peer.fault.clone());
            if let Some(fault) = fault.or_else(|| self.objected(place)) {
                named.push(FailedCopy { host: *host, fault });
            }
        }
        named
    }

    /// The fault of a copy to whose receipt others object.
    fn objected(&self, place: usize) -> Option<CopyFault> {
        let mut contradicted = None;
        let mut by_both = false;
        for receipt in self.receipts_of(place) {
            let objections = self.one_of_each(receipt, false);
            if let [first, second, ..] = objections.as_slice() {
                by_both = true;
                if first.record.outputs == second.record.outputs {
                    return Some(CopyFault::Outvoted(Evidence::Majority {
                        receipt: Box::new(receipt.clone()),
                        objections: Box::new([first.record.clone(), second.record.clone()]),
                    }));
                }
            }
            contradicted = contradicted.or_else(|| Some((receipt, *objections.first()?)));
        }
        // With a third copy the majority tells. Without one, or without its word, or where the two
        // that object do not agree with each other, nobody does.
        let (receipt, objection) = contradicted.filter(|_| by_both || self.is_disputed())?;
        Some(CopyFault::Disputed(Evidence::Contradiction {
            receipt: Box::new(receipt.clone()),
            objection: Box::new(objection.record.clone()),
        }))
    }

    /// The validations of a receipt, or the objections to it, one of each signer: a host that says
    /// it twice has one voice.
    fn one_of_each(&self, receipt: &Receipt, validates: bool) -> Vec<&Known> {
        let mut of_each: Vec<&Known> = Vec::new();
        for known in self.records_about(receipt) {
            if known.record.agreement.validates() == validates
                && of_each.iter().all(|other| other.by != known.by)
            {
                of_each.push(known);
            }
        }
        of_each
    }

    /// Returns whether nothing more can come: every other copy failed, or differs from this one, and
    /// no two others can still agree.
    fn is_disputed(&self) -> bool {
        if self.own_receipt().is_none() || !self.others().all(|(_, peer)| peer.is_lost()) {
            return false;
        }
        // Two others may still agree with each other, until one is gone or objects.
        let alive: Vec<usize> = self
            .others()
            .filter(|(_, peer)| peer.fault.is_none())
            .map(|(place, _)| place)
            .collect();
        match alive.as_slice() {
            [a, b] => [(*a, *b), (*b, *a)].into_iter().any(|(by, about)| {
                let mut receipts = self.receipts_of(about);
                receipts.any(|receipt| {
                    self.one_of_each(receipt, false).iter().any(|known| known.by == by)
                })
            }),
            _ => true,
        }
    }
}
