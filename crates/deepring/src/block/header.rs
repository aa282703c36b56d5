//! A block's public header: the values that it binds, its bytes, and the owner's signature over
//! them.
//!
//! ```text
//!  ring id 16 | model version 8 | index 4 | count 4 | name
//!  plaintext length 8 | body digest 32 | content digest 32 | key commitment 32
//!  previous body 32 | next body 32
//!  inputs: tensor specs | outputs: tensor specs
//!  parts: kind, spec, offset 8, length 8
//!  recipients: role 1, public key 64, encapsulated key 32, wrapped block key 48
//!  deal: bytes, of Genesis alone, empty for none
//!  chunk digests: 32 each
//!  signature 64
//! ```
//!
//! Everything but the chunk digests and the recipients is explained in `docs/FORMAT.md`. A header
//! is decoded only after its digest was found in a signed closure, or to explain why it was not.

use std::ops::Range;

use serde::Serialize;

use super::chunks::{chunk_count, chunk_spans};
use super::part::{Part, PartKind, decode_parts, encode_parts, own, shared_blocks};
use zeroize::Zeroizing;

use crate::crypto::aead::BlockKey;
use crate::crypto::signature::SIGNATURE_LEN;
use crate::crypto::{Digest, label, wrap};
use crate::deal::{Deal, MAX_DEAL};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::keys::{
    Host, Opens, Owner, OwnerOpening, PublicKey, Role, SecretKey, SignerError, SigningOwner,
};
use crate::ring_id::RingId;
use crate::tensor::{TensorSpec, decode_specs, encode_specs};

/// Most recipients of one block.
pub(crate) const MAX_RECIPIENTS: usize = 4096;
/// Most chunks of one block (64 GiB of plaintext).
const MAX_CHUNKS: usize = 1 << 20;
const WRAPPED_LEN: usize = 32 + wrap::TAG_LEN;

/// The recipient that a block key is wrapped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "role", content = "key")]
pub enum RecipientRole {
    /// The ring's owner, the first recipient of every block.
    Owner(PublicKey<Owner>),
    /// A host that may run the block.
    Host(PublicKey<Host>),
}

/// A block key, wrapped for one recipient with HPKE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The key that can unwrap it.
    pub role: RecipientRole,
    pub(crate) enc: [u8; wrap::ENC_LEN],
    pub(crate) wrapped: [u8; WRAPPED_LEN],
}

/// A block's public header. Its fields can be trusted as far as the value that it comes from: see
/// [`AuthenticRing`](crate::AuthenticRing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Ring that the block belongs to.
    pub ring_id: RingId,
    /// Version of the model.
    pub model_version: u64,
    /// Place in the ring; Genesis is 0.
    pub index: u32,
    /// Number of blocks in the ring, Genesis included.
    pub count: u32,
    /// Name of the block: its linear operator's, or `genesis`.
    pub name: String,
    /// Length of the plaintext in bytes: of the body before encryption, and of the parameters that
    /// other blocks hold.
    pub plain_len: u64,
    /// Digest over the encrypted body.
    pub body_digest: Digest,
    /// Keyed digest over the plaintext; only the holder of a key that opens the block can compute
    /// it.
    pub content_digest: Digest,
    /// Commitment to the block key, which AES-GCM alone does not give.
    pub commitment: Digest,
    /// Link to the block before (for Genesis: the last block).
    pub previous_body: Digest,
    /// Link to the block after (for the last block: Genesis).
    pub next_body: Digest,
    /// Tensors that the block reads. For Genesis: the network's outputs, which return to it.
    pub inputs: Vec<TensorSpec>,
    /// Tensors that the block outputs. For Genesis: the network's inputs, which start from it.
    pub outputs: Vec<TensorSpec>,
    /// The parts of the plaintext.
    pub parts: Vec<Part>,
    /// The keys that can open the block.
    pub recipients: Vec<Recipient>,
    /// Of Genesis: who hosts which leg; `None` for a ring that is not dealt.
    pub deal: Option<Deal>,
    pub(crate) chunks: Vec<Digest>,
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

/// The body digest: over the block's place, every chunk's digest, and index and body digest of each
/// shared block that it uses. `None` if one of these is not known.
/// `BLAKE3.derive_key["deepring v1 body digest"](ring id 16 || index 4 || plaintext length 8 ||
/// count 4 || chunk digests 32 × count || (index 4 || body digest 32) for each shared block)`
pub(crate) fn body_digest(header: &Header, body: impl Fn(u32) -> Option<Digest>) -> Option<Digest> {
    let mut w = Writer::new();
    w.raw(&header.ring_id.0).u32(header.index).u64(header.plain_len).count(header.chunks.len());
    for chunk in &header.chunks {
        w.raw(&chunk.0);
    }
    for block in header.shared_blocks() {
        w.u32(block).raw(&body(block)?.0);
    }
    Some(Digest::of(label::BODY, &[&w.finish()]))
}

/// Identifies the block of a chunk:
/// `ring id 16 || model version 8 || index 4 || zeros 4`, integers little-endian.
pub(crate) fn chunk_context(ring_id: RingId, model_version: u64, index: u32) -> [u8; 32] {
    let mut context = [0; 32];
    context[..16].copy_from_slice(&ring_id.0);
    context[16..24].copy_from_slice(&model_version.to_le_bytes());
    context[24..28].copy_from_slice(&index.to_le_bytes());
    context
}

impl Header {
    /// Length of the encrypted body in the file, in bytes.
    #[must_use]
    pub fn body_len(&self) -> u64 {
        chunk_spans(&self.parts).last().map_or(0, |span| span.body.end)
    }

    /// Bytes of the plaintext that the block's own body holds; the rest is shared with other
    /// blocks.
    #[must_use]
    pub fn own_len(&self) -> u64 {
        own(&self.parts).last().map_or(0, Part::end)
    }

    /// Indices of the shared blocks whose parameters this block uses, in the order of their place
    /// in its plaintext.
    pub fn shared_blocks(&self) -> impl Iterator<Item = u32> + '_ {
        shared_blocks(&self.parts)
    }

    /// The byte range of this block's plaintext that holds a shared block's; empty if it does not
    /// use that block.
    #[must_use]
    pub fn place_of_shared(&self, block: u32) -> Range<usize> {
        let mut parts = self.parts.iter().filter(|p| p.shared == Some(block));
        let Some(first) = parts.next() else { return 0..0 };
        let last = parts.next_back().unwrap_or(first);
        let fits = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        fits(first.offset)..fits(last.end())
    }

    /// Returns whether the block computes nothing, and holds parameters that several blocks use.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.index != 0 && !self.parts.iter().any(|p| p.kind == PartKind::Graph)
    }

    /// Bytes of parameters in the block, shared ones included.
    #[must_use]
    pub fn parameter_bytes(&self) -> u64 {
        self.parts.iter().filter(|p| p.parameter_name().is_some()).map(|p| p.len).sum()
    }

    /// The hosts that can open the block.
    pub fn hosts(&self) -> impl Iterator<Item = PublicKey<Host>> {
        self.recipients.iter().filter_map(|r| match r.role {
            RecipientRole::Host(key) => Some(key),
            RecipientRole::Owner(_) => None,
        })
    }

    pub(crate) fn context(&self) -> [u8; 32] {
        chunk_context(self.ring_id, self.model_version, self.index)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_unsigned();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    fn encode_unsigned(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&self.ring_id.0).u64(self.model_version).u32(self.index).u32(self.count);
        w.string(&self.name).u64(self.plain_len);
        for digest in [
            self.body_digest,
            self.content_digest,
            self.commitment,
            self.previous_body,
            self.next_body,
        ] {
            w.raw(&digest.0);
        }
        encode_specs(&self.inputs, &mut w);
        encode_specs(&self.outputs, &mut w);
        encode_parts(&self.parts, &mut w);
        w.count(self.recipients.len());
        for recipient in &self.recipients {
            match recipient.role {
                RecipientRole::Owner(key) => w.u8(0).raw(key.as_bytes()),
                RecipientRole::Host(key) => w.u8(1).raw(key.as_bytes()),
            };
            w.raw(&recipient.enc).raw(&recipient.wrapped);
        }
        w.bytes(&self.deal.as_ref().map(Deal::encode).unwrap_or_default());
        w.count(self.chunks.len());
        for chunk in &self.chunks {
            w.raw(&chunk.0);
        }
        w.finish()
    }

    /// Decodes a header strictly; does not check the signature.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let ring_id = RingId(r.array("ring id")?);
        let model_version = r.u64("model version")?;
        let index = r.u32("index")?;
        let count = r.u32("count")?;
        let name = r.string("name")?;
        let plain_len = r.u64("plaintext length")?;
        let mut digest = |field| r.array(field).map(Digest);
        let body_digest = digest("body digest")?;
        let content_digest = digest("content digest")?;
        let commitment = digest("key commitment")?;
        let previous_body = digest("previous body")?;
        let next_body = digest("next body")?;
        let inputs = decode_specs(&mut r, "inputs")?;
        let outputs = decode_specs(&mut r, "outputs")?;
        let parts = decode_parts(&mut r, index, count, plain_len)?;
        let n = r.count("recipients", MAX_RECIPIENTS, 1 + 64 + wrap::ENC_LEN + WRAPPED_LEN)?;
        let recipients = (0..n).map(|_| Recipient::decode(&mut r)).collect::<Result<_, _>>()?;
        let deal = match r.bytes("deal", if index == 0 { MAX_DEAL } else { 0 })? {
            [] => None,
            bytes => Some(Deal::decode(bytes)?),
        };
        let n = r.count("chunks", MAX_CHUNKS, 32)?;
        if n as u64 != chunk_count(&parts) {
            return Err(DecodeError::BadValue { field: "chunks", found: n as u64 });
        }
        let chunks =
            (0..n).map(|_| r.array("chunk digest").map(Digest)).collect::<Result<_, _>>()?;
        let signature = r.array("signature")?;
        r.finish()?;
        Ok(Self {
            ring_id,
            model_version,
            index,
            count,
            name,
            plain_len,
            body_digest,
            content_digest,
            commitment,
            previous_body,
            next_body,
            inputs,
            outputs,
            parts,
            recipients,
            deal,
            chunks,
            signature,
        })
    }

    pub(crate) fn sign(&mut self, owner: &SigningOwner) -> Result<(), SignerError> {
        let digest = Digest::of(label::HEADER, &[&self.encode_unsigned()]);
        self.signature = owner.sign(label::SIGN_HEADER, &digest.0)?;
        Ok(())
    }

    pub(crate) fn is_signed_by(&self, owner: &PublicKey<Owner>) -> bool {
        let digest = Digest::of(label::HEADER, &[&self.encode_unsigned()]);
        owner.has_signed(label::SIGN_HEADER, &digest.0, &self.signature)
    }
}

/// The digest by which a closure names a header, over all its bytes, signature included:
/// `BLAKE3.derive_key["deepring v1 header digest"](header)`.
pub(crate) fn header_digest(bytes: &[u8]) -> Digest {
    Digest::of(label::HEADER, &[bytes])
}

impl Recipient {
    /// A recipient for whom no key is wrapped yet.
    pub(crate) fn planned(role: RecipientRole) -> Self {
        Self { role, enc: [0; wrap::ENC_LEN], wrapped: [0; WRAPPED_LEN] }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let role = r.u8("recipient role")?;
        let key = r.array("recipient key")?;
        let role = match role {
            0 => RecipientRole::Owner(PublicKey::from_bytes(key)),
            1 => RecipientRole::Host(PublicKey::from_bytes(key)),
            found => {
                return Err(DecodeError::BadValue {
                    field: "recipient role",
                    found: u64::from(found),
                });
            }
        };
        Ok(Self { role, enc: r.array("encapsulated key")?, wrapped: r.array("wrapped key")? })
    }
}

/// Wraps a block key for one recipient; `None` if nothing can be encrypted to that key. The
/// wrapping is bound to ring, block and recipient:
/// `HPKE.SealBase(pkR, info, aad = public key 64, block key)`, where
/// `info = "deepring v1 wrap block key" || 0x00 || ring id 16 || index 4`.
pub(crate) fn wrap_key(
    key: &BlockKey,
    role: RecipientRole,
    ring_id: RingId,
    index: u32,
) -> Option<Recipient> {
    let info = wrap_info(ring_id, index);
    let sealed = match role {
        RecipientRole::Owner(public) => public.seal_for(&info, public.as_bytes(), key.as_bytes()),
        RecipientRole::Host(public) => public.seal_for(&info, public.as_bytes(), key.as_bytes()),
    };
    let (enc, wrapped) = sealed.ok()?;
    Some(Recipient { role, enc, wrapped: wrapped.try_into().ok()? })
}

/// Unwraps the block key with a secret key, if the header names that key and its wrapping opens to
/// the key that the header commits to.
pub(crate) fn unwrap_key<R: Opens>(header: &Header, secret: &SecretKey<R>) -> Option<BlockKey> {
    unwrap_with(header, secret.public(), |enc, info, aad, wrapped| {
        secret.open_sealed(enc, info, aad, wrapped)
    })
}

/// The same with the opening half of an owner's key alone.
pub(crate) fn unwrap_for_owner(
    header: &Header,
    owner: PublicKey<Owner>,
    opening: OwnerOpening<'_>,
) -> Option<BlockKey> {
    unwrap_with(header, owner, |enc, info, aad, wrapped| {
        wrap::open(opening.expose(), enc, info, aad, wrapped)
    })
}

fn unwrap_with<R: Role>(
    header: &Header,
    public: PublicKey<R>,
    open: impl FnOnce(
        &[u8; wrap::ENC_LEN],
        &[u8],
        &[u8],
        &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, wrap::HpkeFailed>,
) -> Option<BlockKey> {
    let recipient = header.recipients.iter().find(|r| match r.role {
        RecipientRole::Owner(key) => key.as_bytes() == public.as_bytes(),
        RecipientRole::Host(key) => key.as_bytes() == public.as_bytes(),
    })?;
    let info = wrap_info(header.ring_id, header.index);
    let opened = open(&recipient.enc, &info, public.as_bytes(), &recipient.wrapped).ok()?;
    let key = BlockKey::from_bytes(&opened)?;
    (key.commitment() == header.commitment).then_some(key)
}

fn wrap_info(ring_id: RingId, index: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(label::WRAP_BLOCK_KEY.as_bytes()).raw(&[0]).raw(&ring_id.0).u32(index);
    w.finish()
}
