//! Receipts and records of other copies, each held to its commitment, to the chain and to the others of its signer.

use super::{Known, LegCopy, SeenReceipt};
use crate::receipt::{Receipt, Validation};
use crate::replication::evidence::Evidence;
use crate::replication::message::{MessageError, commitment};
use crate::replication::outcome::CopyFault;

/// Most records that are kept of one signer, and most receipts: one about each other copy, and twice
/// that where these equivocate.
const MAX_RECORDS: usize = 4;
const MAX_RECEIPTS: usize = 2;

impl LegCopy<'_> {
    /// COMPARE: a reveal is held to its commitment and to the chain.
    pub(super) fn revealed(&mut self, place: usize, nonce: &[u8; 32], receipt: Receipt) {
        let host = self.hosts.get(place).copied();
        let committed = self.peers.get(place).and_then(|peer| peer.commitment);
        let fits = committed == Some(commitment(nonce, &receipt))
            && Some(receipt.host) == host
            && self.before.expected().refuse_receipt(&receipt).is_none();
        let Some(peer) = self.peers.get_mut(place) else { return };
        peer.revealed = true;
        match fits {
            true => self.saw(place, receipt),
            false => peer.fault = Some(CopyFault::BrokeCommitment),
        }
    }

    /// A receipt that a copy signed for this leg, revealed by it or shown by another. Two with
    /// different outputs are an equivocation.
    fn saw(&mut self, place: usize, receipt: Receipt) {
        let Some(peer) = self.peers.get_mut(place) else { return };
        if peer.receipts.iter().any(|known| known.receipt == receipt) {
            return;
        }
        let first = peer.receipts.first().filter(|c| c.receipt.outputs != receipt.outputs);
        if let (Some(first), None) = (first, &peer.fault) {
            peer.fault = Some(CopyFault::Equivocated(Evidence::Equivocation {
                first: Box::new(first.receipt.clone()),
                second: Box::new(receipt.clone()),
            }));
        }
        if peer.receipts.len() < MAX_RECEIPTS {
            peer.receipts.push(SeenReceipt { receipt, agreement: None });
        }
        self.find_perjury(place);
    }

    /// A validation or an objection by another copy, about a receipt of this one or of the third.
    pub(super) fn recorded(
        &mut self,
        place: usize,
        record: Validation,
        about: Option<Box<Receipt>>,
    ) -> Result<(), MessageError> {
        if Some(&record.host) != self.hosts.get(place) {
            return Err(MessageError::NotACopy);
        }
        let kept = self.records.iter().filter(|known| known.by == place).count();
        if kept >= MAX_RECORDS || self.records.iter().any(|known| known.record == record) {
            return Err(MessageError::TooLate);
        }
        let known = (0..self.hosts.len())
            .flat_map(|place| self.receipts_of(place))
            .find(|receipt| receipt.digest() == record.receipt)
            .cloned();
        let about = match (known, about) {
            (Some(receipt), _) => receipt,
            (None, Some(shown)) => {
                if let Some(finding) = self.before.expected().refuse_receipt(&shown) {
                    return Err(MessageError::Refused(finding));
                }
                *shown
            }
            (None, None) => return Err(MessageError::OtherLeg),
        };
        if let Some(finding) = self.before.expected().refuse_validation(&record, &about) {
            return Err(MessageError::Refused(finding));
        }
        let of = self.hosts.iter().position(|h| *h == about.host).ok_or(MessageError::NotACopy)?;
        if of != self.me {
            self.saw(of, about.clone());
        } else if self.own_receipt() != Some(&about) {
            return Err(MessageError::NotACopy);
        }
        self.records.push(Known { by: place, record, about });
        self.find_perjury(place);
        Ok(())
    }

    /// A copy whose receipt and record of this leg name different outputs of its own.
    fn find_perjury(&mut self, place: usize) {
        let found = self.receipts_of(place).find_map(|receipt| {
            let by_it = self.records.iter().filter(|known| known.by == place);
            let other = by_it.into_iter().find(|known| known.record.outputs != receipt.outputs)?;
            Some(Evidence::Perjury {
                receipt: Box::new(receipt.clone()),
                record: Box::new(other.record.clone()),
                about: Box::new(other.about.clone()),
            })
        });
        let peer = self.peers.get_mut(place).filter(|peer| peer.fault.is_none());
        if let Some((evidence, peer)) = found.zip(peer) {
            peer.fault = Some(CopyFault::Equivocated(evidence));
        }
    }
}
