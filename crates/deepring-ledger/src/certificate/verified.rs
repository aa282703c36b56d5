//! A verified certificate: what it shows, and what it does not.

use std::fmt;

use deepring::outline::AuthenticOutline;
use deepring::receipt::Require;
use deepring::{Digest, VerifiedDecision};

use crate::checkpoint::Checkpoint;
use crate::entry::{Entry, ValidatorSet};
use crate::proof::VerifiedInclusion;
use crate::witness::Cosignature;

/// A certificate of which everything was verified; see
/// [`Certificate::verify`](super::Certificate::verify). Its text form says what it shows and what
/// not.
///
/// ```compile_fail,E0451
/// use deepring_ledger::certificate::VerifiedCertificate;
///
/// fn made(of: VerifiedCertificate) -> VerifiedCertificate {
///     VerifiedCertificate { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedCertificate {
    pub(super) outline: AuthenticOutline,
    pub(super) decision: VerifiedDecision,
    pub(super) inclusion: VerifiedInclusion,
    pub(super) validators: Option<ValidatorSet>,
    pub(super) require: Require,
    pub(super) nonce: Option<Digest>,
}

impl VerifiedCertificate {
    /// The outline of the ring, as the owner signed it.
    #[must_use]
    pub fn outline(&self) -> &AuthenticOutline {
        &self.outline
    }

    /// The decision.
    #[must_use]
    pub fn decision(&self) -> &VerifiedDecision {
        &self.decision
    }

    /// The entry that records it.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        self.inclusion.entry()
    }

    /// Index of that entry.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.inclusion.index()
    }

    /// The checkpoint under which the entry is.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        self.inclusion.checkpoint()
    }

    /// The nodes whose cosignatures the verifier relied on; none where he relied on the log's key.
    #[must_use]
    pub fn cosigned_by(&self) -> &[Cosignature] {
        self.inclusion.cosigned_by()
    }

    /// The validator set that came along, signed by an owner. The verifier's own key or set was
    /// relied on, and not this.
    #[must_use]
    pub fn validators(&self) -> Option<&ValidatorSet> {
        self.validators.as_ref()
    }

    /// The validation that was required of every leg.
    #[must_use]
    pub fn require(&self) -> Require {
        self.require
    }
}

impl fmt::Display for VerifiedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ring, decision) = (&self.outline, &self.decision);
        let checkpoint = self.checkpoint();
        writeln!(f, "shown:")?;
        writeln!(f, "  ring {} version {}, as its owner", ring.ring_id(), ring.model_version())?;
        writeln!(f, "  {} signed it, decided {}", ring.owner(), decision.id())?;
        match ring.deal() {
            Some(deal) => {
                let (copies, number) = (deal.copies().count(), ring.deal_number());
                match decision.chain().opening().deal == Digest::NONE {
                    true => writeln!(f, "  on one copy of each leg, outside its deal {number}")?,
                    false => {
                        writeln!(f, "  under its deal {number}, of {copies} copies of each leg")?
                    }
                }
            }
            None => writeln!(f, "  not dealt: its owner asked for no validation")?,
        }
        writeln!(f, "  about {} inputs and outputs, by digest", decision.items().len())?;
        for leg in decision.legs() {
            let last = leg.end_block.saturating_sub(1);
            write!(f, "  blocks {} to {last} ran on ", leg.first_block)?;
            writeln!(f, "{}, {}", leg.host.short(), leg)?;
        }
        if let Some(nonce) = &self.nonce {
            writeln!(f, "  the query was made with the nonce {nonce}")?;
        }
        writeln!(f, "  a host of Genesis recorded it as entry {}", self.index())?;
        writeln!(f, "  of {}, which held {}", checkpoint.origin(), checkpoint.size())?;
        if !self.cosigned_by().is_empty() {
            let count = self.cosigned_by().len();
            writeln!(f, "  {count} nodes of the validator set cosigned that, which are enough")?;
        }
        writeln!(f, "not shown:")?;
        writeln!(
            f,
            "  whether the ring, its owner, a host or a node was revoked: before the entry,"
        )?;
        writeln!(
            f,
            "  only the ledger knows; after the checkpoint, not even this certificate's log"
        )?;
        writeln!(
            f,
            "  whether it was dealt anew: that this deal was the newest is the log's word"
        )?;
        if decision
            .legs()
            .iter()
            .any(|leg| leg.standing == deepring::receipt::Standing::Unvalidated)
        {
            writeln!(f, "  that the parameters of a leg that nobody validated were the ring's")?;
        }
        if !self.cosigned_by().is_empty() {
            writeln!(f, "  whether another validator set has taken over since")?;
        }
        if self.nonce.is_none() {
            writeln!(f, "  that the answer is a new one: no nonce was asked for")?;
        }
        write!(f, "  when: the times in it are what clocks of its authors said")
    }
}
