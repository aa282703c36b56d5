//! One copy's part in one leg of one query.
//!
//! Transitions as in `docs/REPLICATION.md`: COMPUTE and COMMIT in [`LegCopy::computed`], REVEAL in
//! `progress`, ACTIVATE in `activate`, COMPARE in `compare` and [`LegCopy::compared`], VALIDATE and OBJECT
//! in `judged`, ABSENT in [`LegCopy::absent`], SETTLE and DISPUTE in [`LegCopy::outcome`].

mod received;

use thiserror::Error;

use super::message::{Contents, Message, MessageError, commitment};
use super::outcome::CopyFault;
use crate::crypto::Digest;
use crate::deal::DealtLeg;
use crate::keys::{Host, PublicKey, SecretKey};
use crate::outline::AuthenticOutline;
use crate::receipt::{
    Agreement, LegResult, NextRecord, Opening, Receipt, Validation, VerifiedChain,
};

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

/// Another copy, as far as this one knows it.
#[derive(Debug, Default)]
pub(super) struct Peer {
    active: bool,
    /// This copy's commitment, and its reveal, were sent to it.
    committed_to: bool,
    revealed_to: bool,
    /// Number of this copy's records that were sent to it.
    told: usize,
    commitment: Option<Digest>,
    /// Its reveal, where it overtook the commitment.
    early: Option<([u8; 32], Box<Receipt>)>,
    revealed: bool,
    /// The receipts of this leg that it signed, as far as this copy saw them: of an honest one, one.
    pub(super) receipts: Vec<SeenReceipt>,
    pub(super) fault: Option<CopyFault>,
}

/// A receipt of another copy, and how its outputs compare with this copy's.
#[derive(Debug)]
pub(super) struct SeenReceipt {
    pub(super) receipt: Receipt,
    agreement: Option<Agreement>,
}

impl SeenReceipt {
    fn differs(&self) -> bool {
        self.agreement.is_some_and(|agreement| !agreement.validates())
    }
}

impl Peer {
    /// Returns whether nothing that it signed agrees with this copy, or it failed.
    pub(super) fn is_lost(&self) -> bool {
        self.fault.is_some()
            || !self.receipts.is_empty() && self.receipts.iter().all(SeenReceipt::differs)
    }
}

#[derive(Debug)]
struct Own {
    receipt: Receipt,
    nonce: [u8; 32],
}

/// A validation or an objection, and the receipt that it is about.
#[derive(Debug)]
pub(super) struct Known {
    /// The place of its signer.
    pub(super) by: usize,
    pub(super) record: Validation,
    pub(super) about: Receipt,
}

/// A thing that this copy waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// A reveal; outputs that are to be compared; its word about another copy that differs, too.
    Word,
    /// The validation of this copy's receipt, with which its own agrees.
    Validation,
}

/// The state of the chain that the records of the leg continue.
#[derive(Debug)]
struct Before<'r> {
    outline: &'r AuthenticOutline,
    opening: Box<Opening>,
    next_block: u32,
    previous: Digest,
    inputs: Digest,
    leg: &'r DealtLeg,
}

impl<'r> Before<'r> {
    fn new(chain: &VerifiedChain<'_, 'r>) -> Result<Self, NotACopy> {
        Ok(Self {
            outline: chain.outline(),
            opening: Box::new(chain.chain().opening().clone()),
            next_block: chain.next_block(),
            previous: chain.chain().head(),
            inputs: chain.outputs(),
            leg: chain.next_leg().ok_or(NotACopy)?,
        })
    }

    fn expected(&self) -> NextRecord<'_> {
        NextRecord {
            outline: self.outline,
            opening: &self.opening,
            next_block: self.next_block,
            previous: self.previous,
            inputs: self.inputs,
            leg: Some(self.leg),
        }
    }
}

/// One copy's part in one leg of one query. It borrows the outline that the chain before it was
/// verified against, and not the chain.
#[derive(Debug)]
pub struct LegCopy<'r> {
    before: Before<'r>,
    pub(super) hosts: &'r [PublicKey<Host>],
    pub(super) me: usize,
    key: SecretKey<Host>,
    own: Option<Own>,
    pub(super) peers: Vec<Peer>,
    /// Records of all copies, this one's among them.
    pub(super) records: Vec<Known>,
    active: bool,
}

impl<'r> LegCopy<'r> {
    /// A copy's part in the leg that follows a verified chain.
    ///
    /// # Errors
    /// [`NotACopy`] where the deal names the key for no copy of it, and where nothing is dealt.
    pub fn new(chain: &VerifiedChain<'_, 'r>, key: SecretKey<Host>) -> Result<Self, NotACopy> {
        let before = Before::new(chain)?;
        let leg = before.leg;
        let me = leg.place_of(&key.public()).ok_or(NotACopy)?;
        let eager = chain.outline().deal().is_some_and(|deal| deal.eager);
        let starts = |place: usize| place < 2 || eager;
        let peers = (0..leg.hosts.len())
            .map(|place| Peer { active: starts(place), ..Peer::default() })
            .collect();
        let active = starts(me);
        let (hosts, records) = (leg.hosts.as_slice(), Vec::new());
        Ok(Self { before, hosts, me, key, own: None, peers, records, active })
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
            .filter(move |(place, peer)| !done && peer.active && self.owed(*place).is_some())
            .filter_map(|(place, _)| self.hosts.get(place).copied())
    }

    /// The copy that is activated once an active one is absent; `None` where each is active or failed.
    #[must_use]
    pub fn reserve(&self) -> Option<PublicKey<Host>> {
        let (place, _) = self.reserve_place()?;
        self.hosts.get(place).copied()
    }

    fn reserve_place(&self) -> Option<(usize, &Peer)> {
        self.others().find(|(_, peer)| !peer.active && peer.fault.is_none())
    }

    /// Returns whether this host owes its validation alone, without which the leg is settled as well.
    #[must_use]
    pub fn owes_validation(&self, host: &PublicKey<Host>) -> bool {
        let place = self.hosts.iter().position(|h| h == host);
        place.is_some_and(|place| matches!(self.owed(place), Some(Owed::Validation)))
    }

    /// COMPUTE, COMMIT: this copy's result. `nonce` is random and used once. A second result for
    /// the leg changes nothing: a host signs one receipt.
    pub fn computed(&mut self, result: LegResult, nonce: [u8; 32]) -> Vec<Outgoing> {
        if self.own.is_none() {
            let receipt = self.before.expected().receipt(&self.key, result);
            self.own = Some(Own { receipt, nonce });
            self.active = true;
        }
        self.progress()
    }

    /// A message of another copy. `from` is who the transport says sent it. Messages of one copy
    /// may overtake each other.
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
        if message.query != self.before.opening.query || message.head != self.before.previous {
            return Err(MessageError::OtherLeg);
        }
        let peer = self.peers.get_mut(place).ok_or(MessageError::NotACopy)?;
        if peer.fault.is_some() {
            return Err(MessageError::TooLate);
        }
        match message.contents {
            Contents::Commit(_) if peer.commitment.is_some() => return Err(MessageError::TooLate),
            Contents::Commit(digest) => {
                peer.commitment = Some(digest);
                if let Some((nonce, receipt)) = peer.early.take() {
                    self.revealed(place, &nonce, *receipt);
                }
            }
            Contents::Reveal { .. } if peer.revealed || peer.early.is_some() => {
                return Err(MessageError::TooLate);
            }
            Contents::Reveal { nonce, receipt } if peer.commitment.is_none() => {
                peer.early = Some((nonce, receipt));
            }
            Contents::Reveal { nonce, receipt } => self.revealed(place, &nonce, *receipt),
            Contents::Record { record, about } => self.recorded(place, *record, about)?,
            Contents::Activate => self.active = true,
        }
        if let Some(peer) = self.peers.get_mut(place) {
            peer.active = true;
        }
        Ok(self.progress())
    }

    /// ABSENT: the driver's patience with a copy ended. Nothing that it sends afterwards is looked
    /// at. A copy that revealed the same and owes nothing but its validation is not at fault: this
    /// one validates its receipt instead. Of a copy that owes nothing it changes nothing.
    pub fn absent(&mut self, who: &PublicKey<Host>) -> Vec<Outgoing> {
        let place = self.hosts.iter().position(|h| h == who).filter(|p| *p != self.me);
        let owed = place.and_then(|place| Some((place, self.owed(place)?)));
        match owed {
            Some((place, Owed::Word)) => {
                if let Some(peer) = self.peers.get_mut(place) {
                    peer.fault = Some(CopyFault::Absent);
                }
            }
            Some((place, Owed::Validation)) => {
                let first = self.peers.get(place).and_then(|peer| peer.receipts.first());
                let agreed = first.and_then(|c| Some((c.receipt.clone(), c.agreement?)));
                if let Some((receipt, agreement)) = agreed {
                    self.sign_record(receipt, agreement);
                }
            }
            None => {}
        }
        self.progress()
    }

    /// The copy whose outputs are to be compared element by element: its digest is another one, and
    /// it computed with something else. The driver gets them, sees that their digest is the one that
    /// the receipt names, compares, and calls [`compared`](Self::compared); where they do not come,
    /// the copy is [absent](Self::absent).
    #[must_use]
    pub fn wants_outputs(&self) -> Option<(PublicKey<Host>, &Receipt)> {
        let own = self.own.as_ref()?;
        self.others().find_map(|(place, peer)| {
            let first = peer.receipts.first().filter(|c| c.agreement.is_none());
            let open = first.filter(|c| c.receipt.outputs != own.receipt.outputs)?;
            let host = self.hosts.get(place).filter(|_| peer.fault.is_none())?;
            Some((*host, &open.receipt))
        })
    }

    /// COMPARE, where elements had to be compared. An agreement that cannot be, as that other
    /// outputs are the same, changes nothing.
    pub fn compared(&mut self, who: &PublicKey<Host>, agreement: Agreement) -> Vec<Outgoing> {
        let place = self.hosts.iter().position(|h| h == who);
        let wanted = self.wants_outputs().map(|(host, _)| host);
        let possible = agreement != Agreement::Same && agreement.is_possible();
        if let Some(place) = place.filter(|_| wanted.as_ref() == Some(who) && possible) {
            self.judged(place, 0, agreement);
        }
        self.progress()
    }

    pub(super) fn others(&self) -> impl Iterator<Item = (usize, &Peer)> {
        self.peers.iter().enumerate().filter(|(place, _)| *place != self.me)
    }

    /// Returns whether a copy, as far as this one knows, came to these outputs: a receipt that it
    /// signed names them.
    #[must_use]
    pub fn came_to(&self, host: &PublicKey<Host>, outputs: Digest) -> bool {
        let place = self.hosts.iter().position(|h| h == host);
        place.is_some_and(|place| self.receipts_of(place).any(|r| r.outputs == outputs))
    }

    /// This copy's own receipt; `None` before it gave its result.
    #[must_use]
    pub fn own_receipt(&self) -> Option<&Receipt> {
        self.own.as_ref().map(|own| &own.receipt)
    }

    /// The receipts of a copy, of this one its own.
    pub(super) fn receipts_of(&self, place: usize) -> impl Iterator<Item = &Receipt> {
        let own = self.own_receipt().filter(|_| place == self.me);
        let theirs = self.peers.get(place).map_or(&[][..], |peer| peer.receipts.as_slice());
        own.into_iter().chain(theirs.iter().map(|c| &c.receipt))
    }

    /// The records about a receipt that count: their signers stand behind them with receipts of
    /// their own. Who never said what it computed, or said something else, has no voice, so that a
    /// copy cannot validate what it only saw.
    pub(super) fn records_about(&self, receipt: &Receipt) -> impl Iterator<Item = &Known> {
        let digest = receipt.digest();
        let counts = |known: &Known| {
            self.receipts_of(known.by).any(|own| own.outputs == known.record.outputs)
        };
        self.records.iter().filter(move |known| known.record.receipt == digest && counts(known))
    }

    /// The thing that another copy owes to this one.
    fn owed(&self, place: usize) -> Option<Owed> {
        let peer = self.peers.get(place).filter(|peer| peer.fault.is_none())?;
        let Some(first) = peer.receipts.first() else { return Some(Owed::Word) };
        self.own.as_ref()?;
        match first.agreement {
            None => Some(Owed::Word),
            _ if self.outcome().is_some() => None,
            Some(agreement) if agreement.validates() => Some(Owed::Validation),
            // Both others differ from this copy: they tell whether they agree with each other.
            Some(_) => self.others().all(|(_, peer)| peer.is_lost()).then_some(Owed::Word),
        }
    }

    /// VALIDATE, OBJECT: signs what follows from a comparison.
    fn judged(&mut self, place: usize, nth: usize, agreement: Agreement) {
        let compared = self.peers.get_mut(place).and_then(|peer| peer.receipts.get_mut(nth));
        let Some(compared) = compared else { return };
        compared.agreement = Some(agreement);
        let receipt = compared.receipt.clone();
        // Of two that agree, the later validates the earlier; who differs objects, either way.
        if !agreement.validates() || place < self.me {
            self.sign_record(receipt, agreement);
        }
    }

    fn sign_record(&mut self, about: Receipt, agreement: Agreement) {
        let Some(own) = &self.own else { return };
        let record = Validation::sign(&own.receipt, &about, agreement, &self.key);
        self.records.push(Known { by: self.me, record, about });
    }

    /// COMPARE, where the digests tell: each receipt once.
    fn compare(&mut self) {
        let Some(own) = self.own_receipt() else { return };
        let mut told = Vec::new();
        for (place, peer) in self.others() {
            for (nth, theirs) in peer.receipts.iter().enumerate() {
                let same = theirs.receipt.outputs == own.outputs;
                let alike = theirs.receipt.computed_with == own.computed_with;
                match theirs.agreement {
                    None if same => told.push((place, nth, Agreement::Same)),
                    None if alike => {
                        told.push((place, nth, Agreement::UNMEASURED));
                    }
                    _ => {}
                }
            }
        }
        for (place, nth, agreement) in told {
            self.judged(place, nth, agreement);
        }
    }

    /// Everything that this copy owes the others now.
    fn progress(&mut self) -> Vec<Outgoing> {
        self.compare();
        let mut out = Vec::new();
        let Some(own) = &self.own else { return out };
        let (digest, nonce) = (commitment(&own.nonce, &own.receipt), own.nonce);
        let receipt = Box::new(own.receipt.clone());
        self.activate(&mut out);
        let mine: Vec<Contents> = self
            .records
            .iter()
            .filter(|known| known.by == self.me)
            .map(|known| Contents::Record {
                record: Box::new(known.record.clone()),
                about: Some(Box::new(known.about.clone())),
            })
            .collect();
        for place in 0..self.peers.len() {
            let Some(peer) = self.peers.get(place).filter(|_| place != self.me) else { continue };
            if !peer.active || peer.fault.is_some() {
                continue;
            }
            if !peer.committed_to {
                out.extend(self.message(place, Contents::Commit(digest)));
            }
            // REVEAL: nothing to who has not committed, and no record either, which names outputs.
            let commits = peer.commitment.is_some();
            if commits && !peer.revealed_to {
                let receipt = receipt.clone();
                out.extend(self.message(place, Contents::Reveal { nonce, receipt }));
            }
            let untold = mine.iter().skip(peer.told).filter(|_| commits);
            out.extend(untold.filter_map(|record| self.message(place, record.clone())));
            if let Some(peer) = self.peers.get_mut(place) {
                peer.committed_to = true;
                peer.revealed_to |= commits;
                peer.told = if commits { mine.len() } else { peer.told };
            }
        }
        out
    }

    /// ACTIVATE: a third copy that is not active is called once an active one failed or differs.
    fn activate(&mut self, out: &mut Vec<Outgoing>) {
        let failed =
            |peer: &Peer| peer.fault.is_some() || peer.receipts.iter().any(SeenReceipt::differs);
        let called = self.others().any(|(_, peer)| peer.active && failed(peer));
        let Some((place, _)) = self.reserve_place().filter(|_| called) else { return };
        out.extend(self.message(place, Contents::Activate));
        if let Some(peer) = self.peers.get_mut(place) {
            peer.active = true;
        }
    }

    fn message(&self, to: usize, contents: Contents) -> Option<Outgoing> {
        let message =
            Message { query: self.before.opening.query, head: self.before.previous, contents };
        Some(Outgoing { to: *self.hosts.get(to)?, bytes: message.encode() })
    }
}
