//! A query's chain of records: how it grows, and how the next host verifies it before it opens
//! anything.

mod next_record;

use serde::Serialize;
use thiserror::Error;

use super::checked::Checked;
use super::computed_with::ComputedWith;
use super::record::{Opening, Receipt};
use super::validation::Validation;
use super::value::Salt;
use crate::crypto::{Digest, NoRandomness, label};
use crate::deal::DealtLeg;
use crate::encoding::{DecodeError, Reader, Writer};
use crate::finding::{Finding, Section};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::outline::AuthenticOutline;
use crate::ring::OpenedBlock;
use crate::ring_id::MAX_BLOCKS;
pub(crate) use next_record::NextRecord;
use next_record::unknown_host;

/// Most validations of one leg: those of the copies that did not sign its receipt.
const MAX_VALIDATIONS: usize = 2;

/// A leg of a chain: the standing receipt, and the validations of the leg's other copies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChainLeg {
    pub(crate) receipt: Receipt,
    pub(crate) validations: Vec<Validation>,
}

impl ChainLeg {
    /// The standing receipt.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The validations, in ascending order of their hosts' keys; none where the ring is not dealt.
    #[must_use]
    pub fn validations(&self) -> &[Validation] {
        &self.validations
    }
}

/// The opening of a query and the legs run so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chain {
    pub(crate) opening: Opening,
    pub(crate) legs: Vec<ChainLeg>,
}

/// The beginning of a query, besides its inputs.
#[derive(Debug, Clone, Copy)]
pub struct QueryStart {
    /// Its name; no two queries share it.
    pub query: Digest,
    /// The salt of its digests.
    pub salt: Salt,
    /// The client's nonce, if it gave one; not all zero.
    pub nonce: Option<Digest>,
    /// Time by the host's clock, in milliseconds since the Unix epoch.
    pub opened_at: u64,
}

impl QueryStart {
    /// A name and a salt from the system's generator.
    ///
    /// # Errors
    /// [`NoRandomness`] where that fails.
    pub fn random(nonce: Option<Digest>, opened_at: u64) -> Result<Self, NoRandomness> {
        Ok(Self { query: Digest::random()?, salt: Salt::random()?, nonce, opened_at })
    }
}

/// A host's result of a leg, to be signed.
#[derive(Debug, Clone)]
pub struct LegResult {
    /// Content digests of the bytes that ran, block by block.
    pub blocks: Vec<Digest>,
    /// How each of their parts was checked.
    pub checked: Checked,
    /// Engine, library, processor kind and threads that the host computed with.
    pub computed_with: ComputedWith,
    /// Digest over the outputs, for the whole batch.
    pub outputs: Digest,
}

impl LegResult {
    /// The receipt that a host signs for this result: of the leg that begins with `first_block` and
    /// continues `previous` with `inputs`.
    fn signed(
        self,
        opening: &Opening,
        (first_block, previous, inputs): (u32, Digest, Digest),
        host: &SecretKey<Host>,
    ) -> Receipt {
        let (check, rotation, coverage) = self.checked.into_parts();
        let mut receipt = Receipt {
            query: opening.query,
            ring_digest: opening.ring_digest,
            first_block,
            blocks: self.blocks,
            check,
            rotation,
            coverage,
            computed_with: self.computed_with,
            inputs,
            outputs: self.outputs,
            previous,
            host: host.public(),
            signature: [0; 64],
        };
        receipt.sign(host);
        receipt
    }
}

/// A chain that does not fit the ring, or is not consistent in itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{finding}")]
pub struct ChainError {
    /// The mismatch. Its verdict is stale if the chain is about another version or deal of the
    /// ring, or signed by a host that this revision of the ring does not name.
    pub finding: Finding,
}

/// A chain of which every signature, digest and step was checked against an authentic outline.
///
/// ```compile_fail,E0451
/// use deepring::receipt::VerifiedChain;
///
/// fn made<'c, 'r>(of: VerifiedChain<'c, 'r>) -> VerifiedChain<'c, 'r> {
///     VerifiedChain { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct VerifiedChain<'c, 'r> {
    chain: &'c Chain,
    outline: &'r AuthenticOutline,
    next_block: u32,
    outputs: Digest,
}

/// The beginning of a chain that a host verified before, so that it need not again: the same bytes,
/// validations too, against the same outline.
///
/// ```compile_fail,E0451
/// use deepring::receipt::VerifiedPrefix;
///
/// fn made(of: VerifiedPrefix) -> VerifiedPrefix {
///     VerifiedPrefix { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedPrefix {
    legs: usize,
    digest: Digest,
}

impl<'c, 'r> VerifiedChain<'c, 'r> {
    /// The part of the chain that need not be verified again.
    #[must_use]
    pub fn prefix(&self) -> VerifiedPrefix {
        let legs = self.chain.legs.len();
        VerifiedPrefix { legs, digest: self.chain.prefix_digest(self.outline, legs) }
    }

    /// The block that runs next; the ring's count of computing blocks plus one if all have run.
    #[must_use]
    pub fn next_block(&self) -> u32 {
        self.next_block
    }

    /// The digest of the tensors that the next block must be given.
    #[must_use]
    pub fn outputs(&self) -> Digest {
        self.outputs
    }

    /// The chain itself.
    #[must_use]
    pub fn chain(&self) -> &'c Chain {
        self.chain
    }

    /// The outline that it was verified against.
    #[must_use]
    pub fn outline(&self) -> &'r AuthenticOutline {
        self.outline
    }

    /// The dealt leg that runs next; `None` where all have run, and where the query is not under a
    /// deal.
    #[must_use]
    pub fn next_leg(&self) -> Option<&'r DealtLeg> {
        let deal = self.outline.deal().filter(|_| self.chain.is_dealt())?;
        deal.leg_of(self.next_block).map(|(_, leg)| leg)
    }
}

impl Chain {
    /// Begins a query: a host of Genesis commits to the inputs. `genesis` is the evidence that it
    /// has opened Genesis. The query runs under the outline's deal, if there is one and `dealt`.
    pub fn begin(
        outline: &AuthenticOutline,
        genesis: &OpenedBlock,
        host: &SecretKey<Host>,
        inputs: Digest,
        start: &QueryStart,
        dealt: bool,
    ) -> Self {
        let deal = outline.deal().filter(|_| dealt);
        let mut opening = Opening {
            query: start.query,
            ring_id: outline.ring_id(),
            ring_digest: outline.ring_digest(),
            model_version: outline.model_version(),
            genesis: genesis.content_digest(),
            deal: deal.map_or(Digest::NONE, |deal| deal.digest()),
            nonce: start.nonce.unwrap_or(Digest::NONE),
            salt: start.salt.commitment(),
            inputs,
            opened_at: start.opened_at,
            host: host.public(),
            signature: [0; 64],
        };
        opening.sign(host);
        Self { opening, legs: Vec::new() }
    }

    /// Adds a receipt for the blocks that follow the last one, signed by `host` and validated by
    /// nobody. The reader of the receipt verifies that content digests and coverage fit the ring.
    pub fn extend(&mut self, host: &SecretKey<Host>, result: LegResult) {
        let (inputs, previous, first_block) = match self.legs.last() {
            Some(ChainLeg { receipt: last, .. }) => (last.outputs, last.digest(), last.end_block()),
            None => (self.opening.inputs, self.opening.digest(), 1),
        };
        let receipt = result.signed(&self.opening, (first_block, previous, inputs), host);
        self.legs.push(ChainLeg { receipt, validations: Vec::new() });
    }

    /// Adds a leg that its copies settled; see [`LegCopy::outcome`](crate::replication::LegCopy::outcome).
    /// Of several validations of one host, the first is taken.
    pub fn extend_settled(&mut self, receipt: Receipt, mut validations: Vec<Validation>) {
        validations.sort_by_key(|v| *v.host.as_bytes());
        validations.dedup_by_key(|v| v.host);
        self.legs.push(ChainLeg { receipt, validations });
    }

    /// The opening.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Returns whether the query runs under a deal.
    #[must_use]
    pub fn is_dealt(&self) -> bool {
        self.opening.deal != Digest::NONE
    }

    /// The legs, in the order of their blocks.
    #[must_use]
    pub fn legs(&self) -> &[ChainLeg] {
        &self.legs
    }

    /// The standing receipts, in the order of their blocks.
    pub fn receipts(&self) -> impl ExactSizeIterator<Item = &Receipt> + DoubleEndedIterator {
        self.legs.iter().map(|leg| &leg.receipt)
    }

    /// Every host that signed something in it, each once: who opened the query, ran a leg, or
    /// validated one; not verified here.
    #[must_use]
    pub fn signers(&self) -> Vec<PublicKey<Host>> {
        let legs = self.legs.iter().flat_map(|leg| {
            std::iter::once(leg.receipt.host).chain(leg.validations.iter().map(|v| v.host))
        });
        let mut signers: Vec<PublicKey<Host>> = Vec::new();
        for host in std::iter::once(self.opening.host).chain(legs) {
            if !signers.contains(&host) {
                signers.push(host);
            }
        }
        signers
    }

    /// Digest of the newest record; it fixes the whole chain but for its validations.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.legs.last().map_or_else(|| self.opening.digest(), |leg| leg.receipt.digest())
    }

    /// Verifies the chain against the ring's outline: every signature, that each signer is a host
    /// of the blocks it signed for, that blocks follow each other from 1 on, that their content
    /// digests are the ring's, that each of their parts is said to be checked in a way that it can
    /// be, and that each record continues the one before. Under a deal, that it is this outline's,
    /// that each leg is one of the deal's, run by one of its copies and validated by another.
    ///
    /// # Errors
    /// [`ChainError`] with the first mismatch.
    pub fn verify<'c, 'r>(
        &'c self,
        outline: &'r AuthenticOutline,
    ) -> Result<VerifiedChain<'c, 'r>, ChainError> {
        self.verify_after(outline, None)
    }

    /// As [`verify`](Self::verify), without the legs that `known` says were verified before. Where
    /// the chain does not begin with these, all of it is verified.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_after<'c, 'r>(
        &'c self,
        outline: &'r AuthenticOutline,
        known: Option<&VerifiedPrefix>,
    ) -> Result<VerifiedChain<'c, 'r>, ChainError> {
        let known = known.filter(|known| {
            known.legs <= self.legs.len() && self.prefix_digest(outline, known.legs) == known.digest
        });
        if known.is_none() {
            self.verify_opening(outline)?;
        }
        let known = known.map_or(0, |known| known.legs);
        let mut verified =
            VerifiedChain { chain: self, outline, next_block: 1, outputs: self.opening.inputs };
        let mut previous = self.opening.digest();
        for (i, leg) in self.legs.iter().enumerate() {
            let expected = NextRecord {
                outline,
                opening: &self.opening,
                next_block: verified.next_block,
                previous,
                inputs: verified.outputs,
                leg: verified.next_leg(),
            };
            if i >= known {
                let found = expected.refuse_receipt(&leg.receipt);
                if let Some(finding) = found.or_else(|| expected.refuse_validations(leg)) {
                    return Err(ChainError { finding });
                }
            }
            verified.next_block = leg.receipt.end_block();
            verified.outputs = leg.receipt.outputs;
            previous = leg.receipt.digest();
        }
        Ok(verified)
    }

    fn verify_opening(&self, outline: &AuthenticOutline) -> Result<(), ChainError> {
        let refuse = |finding| Err(ChainError { finding });
        let (o, genesis) = (&self.opening, outline.genesis());
        let bad = |reason: &str| {
            Finding::tampered(Section::File, reason).in_block(0, Some(&genesis.name))
        };
        if !o.is_signed() {
            return refuse(bad("the opening's signature does not fit"));
        }
        if o.ring_digest != outline.ring_digest() {
            return refuse(about_another_ring(o, outline));
        }
        if o.ring_id != outline.ring_id() || o.model_version != outline.model_version() {
            return refuse(bad("the opening's ring id or version is not the ring's"));
        }
        if !genesis.has_host(&o.host) {
            let finding = unknown_host(Section::File, &o.host);
            return refuse(finding.in_block(0, Some(&genesis.name)));
        }
        if o.genesis != genesis.content_digest {
            return refuse(bad("the opening names another content of Genesis"));
        }
        if !self.is_dealt() {
            return Ok(());
        }
        match outline.deal() {
            Some(deal) if deal.digest() == o.deal => match deal.genesis.contains(&o.host) {
                true => Ok(()),
                false => refuse(bad("opened by a host that the deal does not name for Genesis")),
            },
            _ => refuse(Finding::stale(
                Section::File,
                "the query ran under another deal than this revision of the ring holds; verify against the revision with that deal",
            )),
        }
    }

    /// Digest of the outline, the opening and the first legs, whole. Never leaves the process, so that
    /// it needs no label of the format.
    fn prefix_digest(&self, outline: &AuthenticOutline, legs: usize) -> Digest {
        let mut w = Writer::new();
        w.raw(&outline.digest().0);
        self.opening.encode(&mut w);
        encode_legs(self.legs.get(..legs).unwrap_or_default(), &mut w);
        Digest::of(label::PREFIX, &[&w.finish()])
    }

    /// The chain's bytes, as parcels and decisions begin with them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.encode(&mut w);
        w.finish()
    }

    /// Decodes a chain strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let chain = Self::decode(&mut r)?;
        r.finish()?;
        Ok(chain)
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        self.opening.encode(w);
        encode_legs(&self.legs, w);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let opening = Opening::decode(r)?;
        let n = r.count("receipts", MAX_BLOCKS as usize, 64)?;
        let legs = (0..n).map(|_| ChainLeg::decode(r)).collect::<Result<_, _>>()?;
        Ok(Self { opening, legs })
    }
}

fn encode_legs(legs: &[ChainLeg], w: &mut Writer) {
    w.count(legs.len());
    for leg in legs {
        leg.receipt.encode(w);
        w.count(leg.validations.len());
        for validation in &leg.validations {
            validation.encode(w);
        }
    }
}

impl ChainLeg {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let receipt = Receipt::decode(r)?;
        let n = r.count("validations", MAX_VALIDATIONS, 64)?;
        let mut validations: Vec<Validation> = Vec::with_capacity(n);
        for i in 0..n {
            let validation = Validation::decode(r)?;
            if validations.last().is_some_and(|v| v.host.as_bytes() >= validation.host.as_bytes()) {
                return Err(DecodeError::BadValue { field: "validations", found: i as u64 });
            }
            validations.push(validation);
        }
        Ok(Self { receipt, validations })
    }
}

fn about_another_ring(opening: &Opening, outline: &AuthenticOutline) -> Finding {
    if opening.ring_id == outline.ring_id() && opening.model_version != outline.model_version() {
        let reason = format!(
            "about model version {}, the ring is version {}",
            opening.model_version,
            outline.model_version()
        );
        return Finding::stale(Section::File, reason);
    }
    Finding::tampered(Section::File, "about another ring than the one given")
}
