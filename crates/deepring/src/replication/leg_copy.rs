//! One copy's part in one leg of one query.
//!
//! Transitions as in `docs/REPLICATION.md`: COMPUTE and COMMIT in [`LegCopy::computed`], REVEAL and
//! ACTIVATE in `progress`, COMPARE in `revealed` and [`LegCopy::compared`], VALIDATE and OBJECT in
//! `judged`, ABSENT in [`LegCopy::absent`], SETTLE and DISPUTE in [`LegCopy::outcome`].

use thiserror::Error;

use super::evidence::Evidence;
use super::message::{Contents, Message, MessageError, commitment};
use crate::crypto::Digest;
use crate::keys::{Host, PublicKey, SecretKey};
use crate::receipt::{Agreement, Expected, LegResult, Receipt, Validation, VerifiedChain};

/// Bytes for another copy of the leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The copy that they are for.
    pub to: PublicKey<Host>,
    /// A [`Message`].
    pub bytes: Vec<u8>,
}

/// The key is of no copy of the leg, or the chain has no leg to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this host is no copy of the leg that is due")]
pub struct NotACopy;

/// How a copy failed in a leg.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CopyFault {
    /// It said nothing for as long as the driver waited.
    Absent,
    /// It revealed something else than it had committed to, or no receipt of its own of this leg.
    BrokeCommitment,
    /// Its outputs and another's differ, and nobody can tell who is right.
    Disputed(Evidence),
    /// Both other copies object to its receipt.
    Outvoted(Evidence),
    /// It signed two receipts for one leg.
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
    /// The validations of it that this copy has; at least one.
    pub validations: Vec<Validation>,
}

/// How a leg ended, as far as this copy knows.
#[derive(Debug, Clone, PartialEq)]
pub enum LegOutcome {
    /// A receipt is validated.
    Settled(Box<Settled>),
    /// Nothing is decided, and nothing more can come: see [`LegCopy::named`].
    Disputed,
}

/// What this copy knows of another one.
#[derive(Debug, Default)]
struct Peer {
    active: bool,
    /// This copy's commitment, and its reveal, were sent to it.
    committed_to: bool,
    revealed_to: bool,
    commitment: Option<Digest>,
    receipt: Option<Receipt>,
    agreement: Option<Agreement>,
    fault: Option<CopyFault>,
}

#[derive(Debug)]
struct Own {
    receipt: Receipt,
    nonce: [u8; 32],
}

/// One copy's part in one leg of one query.
#[derive(Debug)]
pub struct LegCopy<'a> {
    expected: Expected<'a>,
    hosts: &'a [PublicKey<Host>],
    me: usize,
    key: SecretKey<Host>,
    own: Option<Own>,
    peers: Vec<Peer>,
    /// Records of all copies, this one's among them: the place of the signer, the record.
    records: Vec<(usize, Validation)>,
    active: bool,
}

/// Most records that are kept of one signer: one about each other copy, twice where it equivocates.
const MAX_RECORDS: usize = 4;

impl<'a> LegCopy<'a> {
    /// A copy's part in the leg that follows a verified chain.
    ///
    /// # Errors
    /// [`NotACopy`] where the deal names the key for no copy of it, and where nothing is dealt.
    pub fn new(chain: &VerifiedChain<'a>, key: SecretKey<Host>) -> Result<Self, NotACopy> {
        let expected = Expected::after(chain);
        let leg = expected.leg.ok_or(NotACopy)?;
        let me = leg.place_of(&key.public()).ok_or(NotACopy)?;
        let eager = chain.outline().deal().is_some_and(|deal| deal.eager);
        let starts = |place: usize| place < 2 || eager;
        let peers = (0..leg.hosts.len())
            .map(|place| Peer { active: starts(place), ..Peer::default() })
            .collect();
        let active = starts(me);
        let (hosts, records) = (leg.hosts.as_slice(), Vec::new());
        Ok(Self { expected, hosts, me, key, own: None, peers, records, active })
    }

    /// Returns whether this copy is to compute: from the start, or since it was activated.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Returns whether this copy gave its result.
    #[must_use]
    pub fn has_computed(&self) -> bool {
        self.own.is_some()
    }

    /// The copies that this one waits for, to be given up by [`absent`](Self::absent) when the
    /// driver's patience ends.
    pub fn waits_for(&self) -> impl Iterator<Item = PublicKey<Host>> + '_ {
        let done = self.own.is_none() || self.outcome().is_some();
        self.others()
            .filter(move |(_, peer)| {
                !done && peer.active && peer.fault.is_none() && peer.receipt.is_none()
            })
            .filter_map(|(place, _)| self.hosts.get(place).copied())
    }

    /// COMPUTE, COMMIT: this copy's result. `nonce` is random and used once. A second result for
    /// the leg changes nothing: a host signs one receipt.
    pub fn computed(&mut self, result: LegResult, nonce: [u8; 32]) -> Vec<Outgoing> {
        if self.own.is_none() {
            let receipt = self.expected.receipt(&self.key, result);
            self.own = Some(Own { receipt, nonce });
            self.active = true;
        }
        self.progress()
    }

    /// A message of another copy. `from` is who the transport says sent it.
    ///
    /// # Errors
    /// [`MessageError`]; nothing changes by such a message.
    pub fn receive(
        &mut self,
        from: &PublicKey<Host>,
        bytes: &[u8],
    ) -> Result<Vec<Outgoing>, MessageError> {
        let place = self.hosts.iter().position(|h| h == from).filter(|p| *p != self.me);
        let place = place.ok_or(MessageError::NotACopy)?;
        let message = Message::decode(bytes)?;
        if message.query != self.expected.opening.query || message.head != self.expected.previous {
            return Err(MessageError::OtherLeg);
        }
        let peer = self.peers.get_mut(place).ok_or(MessageError::NotACopy)?;
        if peer.fault.is_some() {
            return Err(MessageError::TooLate);
        }
        peer.active = true;
        match message.contents {
            Contents::Commit(_) if peer.commitment.is_some() => return Err(MessageError::TooLate),
            Contents::Commit(digest) => peer.commitment = Some(digest),
            Contents::Reveal { .. } if peer.receipt.is_some() => return Err(MessageError::TooLate),
            Contents::Reveal { nonce, receipt } => self.revealed(place, &nonce, *receipt),
            Contents::Record { record, about } => self.recorded(place, *record, about)?,
            Contents::Activate => self.active = true,
        }
        Ok(self.progress())
    }

    /// ABSENT: the driver's patience with a copy ended. Nothing that it sends afterwards is looked
    /// at. Of a copy that has revealed it changes nothing.
    pub fn absent(&mut self, who: &PublicKey<Host>) -> Vec<Outgoing> {
        let place = self.hosts.iter().position(|h| h == who).filter(|p| *p != self.me);
        if let Some(peer) = place.and_then(|place| self.peers.get_mut(place))
            && peer.receipt.is_none()
            && peer.fault.is_none()
        {
            peer.fault = Some(CopyFault::Absent);
        }
        self.progress()
    }

    /// The copy whose outputs are to be compared element by element: its digest is another one, and
    /// it computed with something else. The driver gets them, sees that their digest is the one that
    /// the receipt names, compares, and calls [`compared`](Self::compared).
    #[must_use]
    pub fn wants_outputs(&self) -> Option<(PublicKey<Host>, &Receipt)> {
        let own = self.own.as_ref()?;
        self.others().find_map(|(place, peer)| {
            let receipt = peer.receipt.as_ref().filter(|_| peer.agreement.is_none())?;
            let open = receipt.outputs != own.receipt.outputs;
            Some((*self.hosts.get(place).filter(|_| open)?, receipt))
        })
    }

    /// COMPARE, where elements had to be compared.
    pub fn compared(&mut self, who: &PublicKey<Host>, agreement: Agreement) -> Vec<Outgoing> {
        let place = self.hosts.iter().position(|h| h == who);
        let mut out = Vec::new();
        let wanted = self.wants_outputs().map(|(host, _)| host);
        if let Some(place) = place.filter(|_| wanted.as_ref() == Some(who)) {
            self.judged(place, agreement, &mut out);
        }
        out.extend(self.progress());
        out
    }

    /// SETTLE, DISPUTE: how the leg ended, as far as this copy knows; `None` while it goes on. More
    /// validations of a settled receipt may come later.
    #[must_use]
    pub fn outcome(&self) -> Option<LegOutcome> {
        for place in 0..self.hosts.len() {
            let Some(receipt) = self.receipt_of(place) else { continue };
            let validations: Vec<Validation> = self
                .records_about(receipt)
                .filter(|(_, record)| record.agreement.validates())
                .map(|(_, record)| record.clone())
                .collect();
            if !validations.is_empty() {
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
        let receipt = self.receipt_of(place)?;
        let objections: Vec<&Validation> = self
            .records_about(receipt)
            .filter(|(_, record)| !record.agreement.validates())
            .map(|(_, record)| record)
            .collect();
        match objections.as_slice() {
            [first, second, ..] => Some(CopyFault::Outvoted(Evidence::Majority {
                receipt: Box::new(receipt.clone()),
                objections: Box::new([(*first).clone(), (*second).clone()]),
            })),
            // With a third copy the majority tells; without one, or without its word, nobody does.
            [first] if self.is_disputed() => Some(CopyFault::Disputed(Evidence::Contradiction {
                receipt: Box::new(receipt.clone()),
                objection: Box::new((*first).clone()),
            })),
            _ => None,
        }
    }

    fn others(&self) -> impl Iterator<Item = (usize, &Peer)> {
        self.peers.iter().enumerate().filter(|(place, _)| *place != self.me)
    }

    /// The receipt of a copy, this one's own among them.
    fn receipt_of(&self, place: usize) -> Option<&Receipt> {
        match place == self.me {
            true => self.own.as_ref().map(|own| &own.receipt),
            false => self.peers.get(place)?.receipt.as_ref(),
        }
    }

    fn records_about(&self, receipt: &Receipt) -> impl Iterator<Item = &(usize, Validation)> {
        let digest = receipt.digest();
        self.records.iter().filter(move |(_, record)| record.receipt == digest)
    }

    /// COMPARE: a reveal is held to its commitment and to the chain, and its outputs to this copy's.
    fn revealed(&mut self, place: usize, nonce: &[u8; 32], receipt: Receipt) {
        let host = self.hosts.get(place).copied();
        let expected = self.expected;
        let Some(peer) = self.peers.get_mut(place) else { return };
        let fits = peer.commitment == Some(commitment(nonce, &receipt))
            && Some(receipt.host) == host
            && expected.refuse_receipt(&receipt).is_none();
        match fits {
            true => peer.receipt = Some(receipt),
            false => peer.fault = Some(CopyFault::BrokeCommitment),
        }
    }

    /// A validation or an objection by another copy, about a receipt of this one or of the third.
    fn recorded(
        &mut self,
        place: usize,
        record: Validation,
        about: Option<Box<Receipt>>,
    ) -> Result<(), MessageError> {
        if Some(&record.host) != self.hosts.get(place) {
            return Err(MessageError::NotACopy);
        }
        let kept = self.records.iter().filter(|(by, _)| *by == place).count();
        if kept >= MAX_RECORDS || self.records.iter().any(|(_, known)| *known == record) {
            return Err(MessageError::TooLate);
        }
        let known = (0..self.hosts.len())
            .filter_map(|p| Some((p, self.receipt_of(p)?)))
            .find(|(_, receipt)| receipt.digest() == record.receipt)
            .map(|(_, receipt)| receipt.clone());
        let receipt = match (known, about) {
            (Some(receipt), _) => receipt,
            (None, Some(receipt)) => {
                self.shown(&receipt)?;
                *receipt
            }
            (None, None) => return Err(MessageError::OtherLeg),
        };
        if let Some(finding) = self.expected.refuse_validation(&record, &receipt) {
            return Err(MessageError::Refused(finding));
        }
        self.records.push((place, record));
        Ok(())
    }

    /// A receipt that another copy shows: of a third one that this copy has no receipt of, or
    /// another one than it has, which is an equivocation.
    fn shown(&mut self, receipt: &Receipt) -> Result<(), MessageError> {
        if let Some(finding) = self.expected.refuse_receipt(receipt) {
            return Err(MessageError::Refused(finding));
        }
        let place = self.hosts.iter().position(|h| *h == receipt.host);
        let place = place.filter(|place| *place != self.me).ok_or(MessageError::NotACopy)?;
        let Some(peer) = self.peers.get_mut(place) else { return Err(MessageError::NotACopy) };
        match &peer.receipt {
            Some(first) if first.outputs != receipt.outputs => {
                peer.fault = Some(CopyFault::Equivocated(Evidence::Equivocation {
                    first: Box::new(first.clone()),
                    second: Box::new(receipt.clone()),
                }));
            }
            _ => {}
        }
        Ok(())
    }

    /// VALIDATE, OBJECT: signs what follows from a comparison, and sends it to every active copy.
    fn judged(&mut self, place: usize, agreement: Agreement, out: &mut Vec<Outgoing>) {
        let Some(own) = &self.own else { return };
        let Some(peer) = self.peers.get_mut(place) else { return };
        let Some(receipt) = peer.receipt.clone() else { return };
        peer.agreement = Some(agreement);
        // Of two that agree, the later validates the earlier; who differs objects, either way.
        if agreement.validates() && place > self.me {
            return;
        }
        let record = Validation::sign(&own.receipt, &receipt, agreement, &self.key);
        self.records.push((self.me, record.clone()));
        let about = (!agreement.validates()).then(|| Box::new(receipt));
        let contents = Contents::Record { record: Box::new(record), about };
        for (to, peer) in self.others() {
            if peer.active && peer.fault.is_none() {
                out.extend(self.message(to, contents.clone()));
            }
        }
    }

    /// Everything that this copy owes the others now.
    fn progress(&mut self) -> Vec<Outgoing> {
        let mut out = Vec::new();
        let Some(own) = &self.own else { return out };
        let (digest, nonce) = (commitment(&own.nonce, &own.receipt), own.nonce);
        let receipt = own.receipt.clone();
        // COMPARE, where the digests tell: each reveal once.
        for place in 0..self.peers.len() {
            let Some(peer) = self.peers.get(place) else { continue };
            let Some(theirs) = peer.receipt.as_ref().filter(|_| peer.agreement.is_none()) else {
                continue;
            };
            let agreement = match theirs.outputs == receipt.outputs {
                true => Agreement::Same,
                false if theirs.computed_with == receipt.computed_with => {
                    Agreement::Differs { largest: f32::INFINITY, bound: 0.0 }
                }
                false => continue,
            };
            self.judged(place, agreement, &mut out);
        }
        self.activate(&mut out);
        for place in 0..self.peers.len() {
            let Some(peer) = self.peers.get(place).filter(|_| place != self.me) else { continue };
            if !peer.active || peer.fault.is_some() {
                continue;
            }
            let (mut committed, mut revealed) = (peer.committed_to, peer.revealed_to);
            if !committed {
                committed = true;
                out.extend(self.message(place, Contents::Commit(digest)));
            }
            // REVEAL: nothing to who has not committed.
            if !revealed && peer.commitment.is_some() {
                revealed = true;
                let receipt = Box::new(receipt.clone());
                out.extend(self.message(place, Contents::Reveal { nonce, receipt }));
            }
            if let Some(peer) = self.peers.get_mut(place) {
                (peer.committed_to, peer.revealed_to) = (committed, revealed);
            }
        }
        out
    }

    /// ACTIVATE: a third copy that is not active is called once an active one failed or differs.
    fn activate(&mut self, out: &mut Vec<Outgoing>) {
        let called = self.others().any(|(_, peer)| {
            peer.active && (peer.fault.is_some() || peer.agreement.is_some_and(|a| !a.validates()))
        });
        let idle = self.others().find(|(_, peer)| !peer.active && peer.fault.is_none());
        let Some((place, _)) = idle.filter(|_| called) else { return };
        out.extend(self.message(place, Contents::Activate));
        if let Some(peer) = self.peers.get_mut(place) {
            peer.active = true;
        }
    }

    fn message(&self, to: usize, contents: Contents) -> Option<Outgoing> {
        let message =
            Message { query: self.expected.opening.query, head: self.expected.previous, contents };
        Some(Outgoing { to: *self.hosts.get(to)?, bytes: message.encode() })
    }

    /// Returns whether nothing more can come: every other copy failed, or differs from this one, and
    /// no two others can still agree.
    fn is_disputed(&self) -> bool {
        if self.own.is_none() {
            return false;
        }
        let lost = |place: usize| {
            let Some(peer) = self.peers.get(place) else { return true };
            peer.fault.is_some() || peer.agreement.is_some_and(|a| !a.validates())
        };
        if !self.others().all(|(place, _)| lost(place)) {
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
                self.receipt_of(about).is_some_and(|receipt| {
                    self.records_about(receipt)
                        .any(|(place, record)| *place == by && !record.agreement.validates())
                })
            }),
            _ => true,
        }
    }
}
