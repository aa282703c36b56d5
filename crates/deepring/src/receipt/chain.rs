//! A query's chain of records: how it grows, and how the next host verifies it before it opens
//! anything.

use serde::Serialize;
use thiserror::Error;

use super::checked::Checked;
use super::record::{Opening, Receipt};
use crate::crypto::{Digest, NoRandomness, random};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::finding::{Finding, Section};
use crate::keys::{Host, PublicKey, SecretKey};
use crate::ring::layout::MAX_BLOCKS;
use crate::ring::{AuthenticRing, OpenedBlock};

/// The opening of a query and the receipts signed so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    pub(crate) opening: Opening,
    pub(crate) receipts: Vec<Receipt>,
}

/// A chain that does not fit the ring, or is not consistent in itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{finding}")]
pub struct ChainError {
    /// The mismatch. Its verdict is stale if the chain is about another version of the ring, or
    /// signed by a host that this revision of the ring does not name.
    pub finding: Finding,
}

/// A chain of which every signature, digest and step was checked against an authentic ring.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedChain<'a> {
    chain: &'a Chain,
    next_block: u32,
    outputs: Digest,
}

impl VerifiedChain<'_> {
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
    pub fn chain(&self) -> &Chain {
        self.chain
    }
}

impl Chain {
    /// Begins a query: Genesis' host commits to the inputs. `genesis` is the evidence that it has
    /// opened Genesis; `opened_at` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`NoRandomness`] where the system's generator fails.
    pub fn begin(
        ring: &AuthenticRing,
        genesis: &OpenedBlock,
        host: &SecretKey<Host>,
        inputs: Digest,
        opened_at: u64,
    ) -> Result<Self, NoRandomness> {
        let mut opening = Opening {
            query: Digest(random()?),
            ring_id: ring.ring_id(),
            ring_digest: ring.digest(),
            model_version: ring.model_version(),
            genesis: genesis.content_digest(),
            inputs,
            opened_at,
            host: host.public(),
            signature: [0; 64],
        };
        opening.sign(host);
        Ok(Self { opening, receipts: Vec::new() })
    }

    /// Adds a receipt for the blocks that follow the last one.
    ///
    /// `blocks` are the content digests of the bytes that ran, `checked` says how each of their
    /// parts was checked; the reader of the receipt verifies that both fit the ring.
    pub fn extend(
        &mut self,
        host: &SecretKey<Host>,
        blocks: Vec<Digest>,
        checked: Checked,
        outputs: Digest,
    ) {
        let (check, rotation, coverage) = checked.into_parts();
        let (inputs, previous, first_block) = match self.receipts.last() {
            Some(last) => (last.outputs, last.digest(), last.end_block()),
            None => (self.opening.inputs, self.opening.digest(), 1),
        };
        let mut receipt = Receipt {
            query: self.opening.query,
            ring_digest: self.opening.ring_digest,
            first_block,
            blocks,
            check,
            rotation,
            coverage,
            inputs,
            outputs,
            previous,
            host: host.public(),
            signature: [0; 64],
        };
        receipt.sign(host);
        self.receipts.push(receipt);
    }

    /// The opening.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The receipts, in the order of their blocks.
    #[must_use]
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// Digest of the newest record; it fixes the whole chain.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.receipts.last().map_or_else(|| self.opening.digest(), Receipt::digest)
    }

    /// Verifies the chain against the ring: every signature, that each signer is a host of the
    /// blocks it signed for, that blocks follow each other from 1 on, that their content digests
    /// are the ring's, that each of their parts is said to be checked in a way that it can be, and
    /// that each record continues the one before.
    ///
    /// # Errors
    /// [`ChainError`] with the first mismatch.
    pub fn verify(&self, ring: &AuthenticRing) -> Result<VerifiedChain<'_>, ChainError> {
        let refuse = |finding| Err(ChainError { finding });
        let o = &self.opening;
        let genesis = ring.genesis();
        let bad = |reason: &str| {
            Finding::tampered(Section::File, reason).in_block(0, Some(&genesis.name))
        };
        if !o.is_signed() {
            return refuse(bad("the opening's signature does not fit"));
        }
        if o.ring_digest != ring.digest() {
            return refuse(about_another_ring(o, ring));
        }
        if o.ring_id != ring.ring_id() || o.model_version != ring.model_version() {
            return refuse(bad("the opening's ring id or version is not the ring's"));
        }
        if !genesis.hosts().any(|h| h == o.host) {
            let finding = unknown_host(Section::File, &o.host);
            return refuse(finding.in_block(0, Some(&genesis.name)));
        }
        if o.genesis != genesis.content_digest {
            return refuse(bad("the opening names another content of Genesis"));
        }
        let mut next_block = 1;
        let mut previous = o.digest();
        let mut outputs = o.inputs;
        for receipt in &self.receipts {
            if let Some(finding) = check_receipt(receipt, ring, o, next_block, previous, outputs) {
                return refuse(finding);
            }
            next_block = receipt.end_block();
            previous = receipt.digest();
            outputs = receipt.outputs;
        }
        Ok(VerifiedChain { chain: self, next_block, outputs })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        self.opening.encode(w);
        w.count(self.receipts.len());
        for receipt in &self.receipts {
            receipt.encode(w);
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let opening = Opening::decode(r)?;
        let n = r.count("receipts", MAX_BLOCKS as usize, 64)?;
        let receipts = (0..n).map(|_| Receipt::decode(r)).collect::<Result<_, _>>()?;
        Ok(Self { opening, receipts })
    }
}

/// A signature by a key that the block is not sealed for. Anybody can make one; but so did an
/// honest host that was granted the block after this copy of the ring was made (a grant changes
/// headers and revision, not the version). From this revision the two cannot be told apart. It is
/// refused either way, and not called tampering.
fn unknown_host(part: Section, host: &PublicKey<Host>) -> Finding {
    let reason = format!(
        "signed by a host that this revision of the ring does not name for the block: {host}; if it was granted later, \
         verify against the newer revision"
    );
    Finding::stale(part, reason)
}

fn about_another_ring(opening: &Opening, ring: &AuthenticRing) -> Finding {
    if opening.ring_id == ring.ring_id() && opening.model_version != ring.model_version() {
        let reason = format!(
            "about model version {}, the ring is version {}",
            opening.model_version,
            ring.model_version()
        );
        return Finding::stale(Section::File, reason);
    }
    Finding::tampered(Section::File, "about another ring than the one given")
}

fn check_receipt(
    receipt: &Receipt,
    ring: &AuthenticRing,
    opening: &Opening,
    next_block: u32,
    previous: Digest,
    outputs: Digest,
) -> Option<Finding> {
    // The block that runs next; the receipt's own claim may be anything.
    let computing = ring.headers().get(..=ring.layers().len()).unwrap_or_default();
    let expected = computing.get(next_block as usize);
    let bad = |reason: &str| {
        let finding = Finding::tampered(Section::File, reason);
        Some(match expected {
            Some(header) => finding.in_block(header.index, Some(&header.name)),
            None => finding,
        })
    };
    if !receipt.is_signed() {
        return bad("the receipt's signature does not fit");
    }
    if receipt.query != opening.query || receipt.ring_digest != opening.ring_digest {
        return bad("the receipt is about another query or ring");
    }
    if receipt.previous != previous {
        return bad("the receipt does not follow the record before it");
    }
    if receipt.inputs != outputs {
        return bad("the receipt's inputs are not the outputs of the record before it");
    }
    if receipt.first_block != next_block || receipt.blocks.is_empty() {
        return bad("the receipt's blocks do not follow those before");
    }
    if receipt.coverage.len() != receipt.blocks.len() {
        return bad("the receipt does not say for each block how it was checked");
    }
    let run = computing.get(next_block as usize..receipt.end_block() as usize);
    let Some(run) = run else {
        return bad("the receipt names blocks that the ring has not");
    };
    for ((header, digest), coverage) in run.iter().zip(&receipt.blocks).zip(&receipt.coverage) {
        let bad = |reason: &str| {
            let finding = Finding::tampered(Section::Body, reason);
            Some(finding.in_block(header.index, Some(&header.name)))
        };
        if header.content_digest != *digest {
            return bad("other content ran than was sealed");
        }
        if !header.hosts().any(|h| h == receipt.host) {
            let finding = unknown_host(Section::Body, &receipt.host);
            return Some(finding.in_block(header.index, Some(&header.name)));
        }
        if header.parts.len() != coverage.len() {
            return bad("the receipt does not say for each part how it was checked");
        }
        let mut parts = header.parts.iter().zip(coverage);
        if parts.any(|(p, c)| !c.stands_for(&p.kind)) {
            return bad("the receipt claims a check that a part of this kind cannot have");
        }
    }
    None
}
