//! The outline: what a verifier of decisions needs of a ring, signed by its owner.
//!
//! ```text
//! "DOUTLINE" | format version: u16 | kind 2 | ring id 16 | model version 8 | ring digest 32
//! previous ring digest 32 | owner key 64 | sealed at 8 | revision 4
//! inputs: list of tensor spec | outputs: list of tensor spec
//! hosts:  list of host key 64, each once, in the order of their first use
//! blocks: list of (name | content digest 32 | hosts: list of index 2 | parts: list of kind 1)
//! deal: bytes, empty for none
//! signature 64
//! ```
//!
//! Its size grows with blocks and their tensors, not with parameters: a few kilobytes. Everything
//! in it also stands in the ring's closure and headers, so whoever holds a ring file can make it;
//! its signature stands in the closure.

mod authentic;

use std::collections::HashMap;

use serde::Serialize;
use thiserror::Error;

use crate::block::Header;
use crate::block::header::MAX_RECIPIENTS;
use crate::block::{MAX_PARTS, Part, PartKind};
use crate::crypto::signature::SIGNATURE_LEN;
use crate::crypto::{Digest, label};
use crate::deal::{Deal, MAX_DEAL};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::finding::{Finding, Section};
use crate::keys::{Host, Owner, PublicKey, SignerError, SigningOwner};
use crate::ring_id::{MAX_BLOCKS, RingId, RingKind};
use crate::tensor::{TensorSpec, decode_specs, encode_specs};
use crate::trust::{OwnedRing, Trust};

const MAGIC: [u8; 8] = *b"DOUTLINE";
const FORMAT_VERSION: u16 = 1;
/// Most different hosts of a ring.
const MAX_HOSTS: usize = 1 << 16;
/// Most bytes of an outline that is read.
pub const MAX_OUTLINE: usize = 16 << 20;

/// The kind of a part, without its shape: which checks can stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum PartClass {
    /// The manifest.
    Manifest = 0,
    /// The operators.
    Graph = 1,
    /// A parameter, the block's own or shared.
    Parameter = 2,
}

impl PartClass {
    /// The class of a part.
    #[must_use]
    pub fn of(part: &Part) -> Self {
        match part.kind {
            PartKind::Manifest => Self::Manifest,
            PartKind::Graph => Self::Graph,
            PartKind::Parameter(_) => Self::Parameter,
        }
    }

    fn decode(code: u8) -> Result<Self, DecodeError> {
        match code {
            0 => Ok(Self::Manifest),
            1 => Ok(Self::Graph),
            2 => Ok(Self::Parameter),
            found => Err(DecodeError::BadValue { field: "part kind", found: u64::from(found) }),
        }
    }
}

/// A block, as a verifier of decisions sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineBlock {
    /// Its name.
    pub name: String,
    /// Keyed digest over its plaintext, which receipts name.
    pub content_digest: Digest,
    /// The hosts that can open it.
    pub hosts: Vec<PublicKey<Host>>,
    /// Its parts, in order.
    pub parts: Vec<PartClass>,
}

impl OutlineBlock {
    fn of(header: &Header) -> Self {
        Self {
            name: header.name.clone(),
            content_digest: header.content_digest,
            hosts: header.hosts().collect(),
            parts: header.parts.iter().map(PartClass::of).collect(),
        }
    }

    /// Returns whether a host can open the block.
    #[must_use]
    pub fn has_host(&self, host: &PublicKey<Host>) -> bool {
        self.hosts.contains(host)
    }

    /// Returns whether the block computes: it is neither Genesis nor shared.
    #[must_use]
    pub fn computes(&self) -> bool {
        self.parts.contains(&PartClass::Graph)
    }
}

/// An outline as it was read; nothing about it is trusted before [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outline {
    kind: RingKind,
    ring_id: RingId,
    model_version: u64,
    ring_digest: Digest,
    previous: Digest,
    owner: PublicKey<Owner>,
    sealed_at: u64,
    revision: u32,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    blocks: Vec<OutlineBlock>,
    deal: Option<Deal>,
    #[serde(skip)]
    signature: [u8; SIGNATURE_LEN],
}

/// An outline that its owner signed, and whose deal fits it; made by [`Outline::verify`] and by the
/// verification of a ring alone.
///
/// ```compile_fail,E0451
/// use deepring::outline::AuthenticOutline;
///
/// fn made(of: AuthenticOutline) -> AuthenticOutline {
///     AuthenticOutline { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthenticOutline {
    #[serde(flatten)]
    outline: Outline,
    /// Kept, since each verified chain asks for it.
    digest: Digest,
}

/// Why an outline was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OutlineError {
    /// The bytes are no outline.
    #[error("not an outline: {0}")]
    Malformed(#[from] DecodeError),
    /// Signature, deal, owner or version are refused.
    #[error("{0}")]
    Refused(Finding),
}

/// The statements of a closure, without bodies and rows.
#[derive(Debug, Clone)]
pub(crate) struct Stated {
    pub(crate) kind: RingKind,
    pub(crate) ring_id: RingId,
    pub(crate) model_version: u64,
    pub(crate) ring_digest: Digest,
    pub(crate) previous: Digest,
    pub(crate) owner: PublicKey<Owner>,
    pub(crate) sealed_at: u64,
    pub(crate) revision: u32,
    pub(crate) outline_signature: [u8; SIGNATURE_LEN],
}

impl Outline {
    /// The outline of what a closure states and its headers. Both are consistent with each other
    /// where the caller checked it; nothing is signed here.
    pub(crate) fn of(stated: Stated, headers: &[&Header]) -> Self {
        let genesis = headers.first();
        Self {
            kind: stated.kind,
            ring_id: stated.ring_id,
            model_version: stated.model_version,
            ring_digest: stated.ring_digest,
            previous: stated.previous,
            owner: stated.owner,
            sealed_at: stated.sealed_at,
            revision: stated.revision,
            // Genesis passes the network's inputs on, and takes its outputs.
            inputs: genesis.map(|g| g.outputs.clone()).unwrap_or_default(),
            outputs: genesis.map(|g| g.inputs.clone()).unwrap_or_default(),
            blocks: headers.iter().map(|h| OutlineBlock::of(h)).collect(),
            deal: genesis.and_then(|g| g.deal.clone()),
            signature: stated.outline_signature,
        }
    }

    pub(crate) fn sign(
        &mut self,
        owner: &SigningOwner,
    ) -> Result<[u8; SIGNATURE_LEN], SignerError> {
        self.signature = owner.sign(label::SIGN_OUTLINE, &self.digest().0)?;
        Ok(self.signature)
    }

    /// Digest of the outline:
    /// `BLAKE3.derive_key["deepring v1 outline digest"](outline without signature)`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(label::OUTLINE, &[&self.encode_unsigned()])
    }

    /// Owner and ring id that it names; not verified.
    #[must_use]
    pub fn claimed(&self) -> OwnedRing {
        OwnedRing { owner: self.owner, ring: self.ring_id }
    }

    /// Model version and revision that it names; not verified.
    #[must_use]
    pub fn claimed_version(&self) -> (u64, u32) {
        (self.model_version, self.revision)
    }

    /// Verifies that the owner whom it names signed it, that its deal fits, and that the reader
    /// trusts that owner and this version.
    ///
    /// # Errors
    /// [`OutlineError::Refused`]: tampered for signature and deal, untrusted for the owner, stale
    /// for a version older than one that the trust store has seen.
    pub fn verify(self, trust: &Trust<'_>) -> Result<AuthenticOutline, OutlineError> {
        let outline = self.verify_consistent()?;
        match outline.refused_by(trust) {
            Some(finding) => Err(OutlineError::Refused(finding)),
            None => Ok(outline),
        }
    }

    /// Verifies that the owner whom it names signed it, and that its deal fits it. Says nothing of
    /// trust in that owner: for whoever decides about it by other means, as a ledger does.
    ///
    /// # Errors
    /// [`OutlineError::Refused`], tampered.
    pub fn verify_consistent(self) -> Result<AuthenticOutline, OutlineError> {
        let refuse =
            |reason: &str| Err(OutlineError::Refused(Finding::tampered(Section::Closure, reason)));
        if !self.is_signed() {
            return refuse("the owner's signature does not fit the outline");
        }
        match self.refuse_blocks().or_else(|| self.refuse_deal()) {
            Some(reason) => refuse(reason),
            None => Ok(AuthenticOutline::of_checked(self)),
        }
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.owner.has_signed(label::SIGN_OUTLINE, &self.digest().0, &self.signature)
    }

    /// Genesis with the manifest alone, and behind it the blocks that compute; in a ring of weights
    /// none computes.
    pub(crate) fn refuse_blocks(&self) -> Option<&'static str> {
        let (genesis, rest) = self.blocks.split_first()?;
        if genesis.parts != [PartClass::Manifest] {
            return Some("the outline's first block is not Genesis");
        }
        if rest.iter().any(|b| b.parts.contains(&PartClass::Manifest)) {
            return Some("the outline has two blocks with a manifest");
        }
        let computing = rest.iter().take_while(|b| b.computes()).count();
        if rest.iter().skip(computing).any(OutlineBlock::computes) {
            return Some("a block that computes stands behind one that does not");
        }
        match self.kind {
            RingKind::Network if computing == 0 => Some("no block of the outline computes"),
            RingKind::Weights if computing > 0 => {
                Some("a ring of weights has a block that computes")
            }
            _ => None,
        }
    }

    /// Why the deal is not one of this ring; `None` where it is, and where there is none.
    pub(crate) fn refuse_deal(&self) -> Option<&'static str> {
        let deal = self.deal.as_ref()?;
        if deal.owner != self.owner || !deal.is_signed() {
            return Some("the deal is not signed by the ring's owner");
        }
        if deal.ring_id != self.ring_id || deal.ring_digest != self.ring_digest {
            return Some("the deal is about another ring");
        }
        if deal.revision > self.revision {
            return Some("the deal is of a later revision than the ring");
        }
        let computing = self.layers().len();
        if deal.legs.last().map(|leg| leg.end as usize) != Some(computing + 1) {
            return Some("the deal does not end with the last block that computes");
        }
        let opens = |block: usize, hosts: &[PublicKey<Host>]| {
            self.blocks.get(block).is_some_and(|b| hosts.iter().all(|h| b.has_host(h)))
        };
        let granted = deal
            .legs
            .iter()
            .all(|leg| (leg.first..leg.end).all(|block| opens(block as usize, &leg.hosts)));
        if !granted || !opens(0, &deal.genesis) {
            return Some("the deal names a host for a block that it cannot open");
        }
        None
    }

    fn layers(&self) -> &[OutlineBlock] {
        let after = self.blocks.iter().skip(1).take_while(|b| b.computes()).count();
        self.blocks.get(1..=after).unwrap_or_default()
    }

    fn encode_unsigned(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&MAGIC).u16(FORMAT_VERSION).u16(self.kind.code()).raw(&self.ring_id.0);
        w.u64(self.model_version).raw(&self.ring_digest.0).raw(&self.previous.0);
        w.raw(self.owner.as_bytes()).u64(self.sealed_at).u32(self.revision);
        encode_specs(&self.inputs, &mut w);
        encode_specs(&self.outputs, &mut w);
        let mut places: HashMap<PublicKey<Host>, u16> = HashMap::new();
        let mut hosts: Vec<PublicKey<Host>> = Vec::new();
        for host in self.blocks.iter().flat_map(|b| &b.hosts) {
            if !places.contains_key(host) {
                places.insert(*host, u16::try_from(hosts.len()).unwrap_or(u16::MAX));
                hosts.push(*host);
            }
        }
        w.count(hosts.len());
        hosts.iter().for_each(|host| _ = w.raw(host.as_bytes()));
        w.count(self.blocks.len());
        for block in &self.blocks {
            w.string(&block.name).raw(&block.content_digest.0).count(block.hosts.len());
            for host in &block.hosts {
                w.u16(places.get(host).copied().unwrap_or(u16::MAX));
            }
            w.count(block.parts.len());
            block.parts.iter().for_each(|part| _ = w.u8(*part as u8));
        }
        w.bytes(&self.deal.as_ref().map(Deal::encode).unwrap_or_default());
        w.finish()
    }

    /// The outline's bytes, also those of an outline file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_unsigned();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Decodes an outline strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        r.header(&MAGIC, FORMAT_VERSION)?;
        let kind = RingKind::decode(&mut r)?;
        let ring_id = RingId(r.array("ring id")?);
        let model_version = r.u64("model version")?;
        let ring_digest = Digest(r.array("ring digest")?);
        let previous = Digest(r.array("previous ring digest")?);
        let owner = PublicKey::from_bytes(r.array("owner key")?);
        let sealed_at = r.u64("sealed at")?;
        let revision = r.u32("revision")?;
        let inputs = decode_specs(&mut r, "inputs")?;
        let outputs = decode_specs(&mut r, "outputs")?;
        let blocks = decode_blocks(&mut r)?;
        let deal = match r.bytes("deal", MAX_DEAL)? {
            [] => None,
            bytes => Some(Deal::decode(bytes)?),
        };
        let signature = r.array("signature")?;
        r.finish()?;
        Ok(Self {
            kind,
            ring_id,
            model_version,
            ring_digest,
            previous,
            owner,
            sealed_at,
            revision,
            inputs,
            outputs,
            blocks,
            deal,
            signature,
        })
    }
}

/// The table of hosts, and the blocks that point into it: each host is used, and first used in the
/// table's order.
fn decode_blocks(r: &mut Reader<'_>) -> Result<Vec<OutlineBlock>, DecodeError> {
    let n = r.count("hosts", MAX_HOSTS, 64)?;
    let hosts = (0..n)
        .map(|_| r.array("host key").map(PublicKey::<Host>::from_bytes))
        .collect::<Result<Vec<_>, _>>()?;
    let distinct: std::collections::HashSet<_> = hosts.iter().collect();
    if distinct.len() != hosts.len() {
        return Err(DecodeError::BadValue { field: "hosts", found: n as u64 });
    }
    let n = r.count("blocks", MAX_BLOCKS as usize, 42)?;
    if n < 2 {
        return Err(DecodeError::BadValue { field: "blocks", found: n as u64 });
    }
    let mut blocks = Vec::with_capacity(n);
    let mut used = 0;
    for _ in 0..n {
        let name = r.string("name")?;
        let content_digest = Digest(r.array("content digest")?);
        let n = r.count("hosts of a block", MAX_RECIPIENTS, 2)?;
        let mut its_hosts = Vec::with_capacity(n);
        for _ in 0..n {
            let place = usize::from(r.u16("host")?);
            let host = hosts.get(place).filter(|_| place <= used);
            let bad = DecodeError::BadValue { field: "host", found: place as u64 };
            its_hosts.push(*host.ok_or(bad)?);
            used = used.max(place + 1);
        }
        let parts = r.bytes("parts", MAX_PARTS)?;
        let parts = parts.iter().map(|code| PartClass::decode(*code)).collect::<Result<_, _>>()?;
        blocks.push(OutlineBlock { name, content_digest, hosts: its_hosts, parts });
    }
    if used != hosts.len() {
        return Err(DecodeError::BadValue { field: "hosts", found: hosts.len() as u64 });
    }
    Ok(blocks)
}
