//! The plan of a ring, and the headers that follow from it before any byte is known.

use std::ops::Range;

use super::SealError;
use crate::block::chunks::chunk_count;
use crate::block::header::{MAX_RECIPIENTS, chunk_context};
use crate::block::{Header, PartKind, RecipientRole, lay_out, shared_at};
use crate::crypto::Digest;
use crate::deal::{Deal, DealPlan};
use crate::encoding::MAX_STRING;
use crate::keys::{Host, Owner, PublicKey};
use crate::ring::AuthenticRing;
use crate::ring_id::{RingId, RingKind};
use crate::tensor::TensorSpec;

/// The plan of a block, made before its bytes are known.
#[derive(Debug, Clone)]
pub struct BlockPlan {
    /// Name for people: the linear operator's.
    pub name: String,
    /// Tensors that it reads. For Genesis: the network's outputs.
    pub inputs: Vec<TensorSpec>,
    /// Tensors that it outputs. For Genesis: the network's inputs.
    pub outputs: Vec<TensorSpec>,
    /// Kind and length in bytes of each part, in order, without the shared ones.
    pub parts: Vec<(PartKind, u64)>,
    /// Indices of the shared blocks that it uses, ascending: all their parameters follow its own
    /// parts. Empty for Genesis and for shared blocks.
    pub shared: Vec<u32>,
    /// Hosts that may open it, besides the owner.
    pub hosts: Vec<PublicKey<Host>>,
}

/// The plan of a ring.
#[derive(Debug, Clone)]
pub struct RingPlan {
    /// Network or weights.
    pub kind: RingKind,
    /// Version of the model; a reader refuses a lower one than it has seen.
    pub model_version: u64,
    /// The version before, of the same kind; `None` starts a new ring.
    pub previous: Option<Predecessor>,
    /// Time of sealing in seconds since the Unix epoch, for people.
    pub sealed_at: u64,
    /// All blocks: Genesis, those that compute, then the shared ones, which have parameters and
    /// nothing else.
    pub blocks: Vec<BlockPlan>,
    /// The legs with their hosts, to seal a ring that is dealt; `None` for one that is not. A leg's blocks, and the shared blocks that
    /// they use, are granted to its copies, and Genesis to those that stand in for it, besides the hosts that the blocks name.
    pub deal: Option<PlannedDeal>,
}

/// The version that another follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// Ring id of both.
    pub ring_id: RingId,
    /// Its ring digest.
    pub digest: Digest,
    /// Network or weights, and what follows is of the same kind: whoever takes a new version for the
    /// old one must be able to do the same with it.
    pub kind: RingKind,
}

impl From<&AuthenticRing> for Predecessor {
    fn from(ring: &AuthenticRing) -> Self {
        Self { ring_id: ring.ring_id(), digest: ring.digest(), kind: ring.kind() }
    }
}

/// The deal of a ring that is to be sealed.
#[derive(Debug, Clone)]
pub struct PlannedDeal {
    /// The legs in order, each with its own host.
    pub legs: Vec<(Range<u32>, PublicKey<Host>)>,
    /// Copies and the rest.
    pub plan: DealPlan,
}

/// The blocks, granted to the hosts that a deal names for them besides their own.
pub(super) fn with_deal(blocks: &[BlockPlan], deal: &Deal) -> Vec<BlockPlan> {
    let mut out = blocks.to_vec();
    let mut grant = |block: usize, hosts: &[PublicKey<Host>]| {
        let Some(plan) = out.get_mut(block) else { return };
        for host in hosts {
            if !plan.hosts.contains(host) {
                plan.hosts.push(*host);
            }
        }
    };
    grant(0, &deal.genesis);
    for leg in &deal.legs {
        for block in leg.first as usize..leg.end as usize {
            grant(block, &leg.hosts);
            for shared in blocks.get(block).iter().flat_map(|plan| &plan.shared) {
                grant(*shared as usize, &leg.hosts);
            }
        }
    }
    out
}

/// The same headers, each with the parameters of the shared blocks that it uses.
pub(super) fn with_shared(
    kind: RingKind,
    headers: Vec<Header>,
    plans: &[BlockPlan],
) -> Result<Vec<Header>, SealError> {
    let planned = headers.clone();
    let mut out = Vec::with_capacity(headers.len());
    for (mut header, plan) in headers.into_iter().zip(plans) {
        let refuse = |reason| SealError::Layout { block: header.index, reason };
        let used = || refuse("it uses as shared what is no shared block behind it");
        for block in &plan.shared {
            let shared = planned.get(*block as usize).filter(|h| h.is_shared()).ok_or_else(used)?;
            let parts = shared_at(header.plain_len, *block, &shared.parts);
            let parts = parts.ok_or_else(|| refuse("the block is too large"))?;
            header.plain_len = parts.last().map_or(header.plain_len, crate::block::Part::end);
            header.parts.extend(parts);
        }
        out.push(header);
    }
    // A header that cannot be read back must not be written.
    let headers: Vec<&Header> = out.iter().collect();
    for header in &headers {
        let refuse = |reason| SealError::Layout { block: header.index, reason };
        if Header::decode(&header.encode()).is_err() {
            return Err(refuse("the header exceeds a limit of the format"));
        }
    }
    if let Some(finding) = crate::ring::verify_sharing(kind, &headers).first() {
        let block = finding.block.unwrap_or_default();
        return Err(SealError::Layout { block, reason: "blocks and shared blocks do not fit" });
    }
    Ok(out)
}

/// A header with everything that has a length, and with digests, keys and signature zero. Without
/// the shared parts.
pub(super) fn plan_header(
    block: &BlockPlan,
    ring_id: RingId,
    model_version: u64,
    index: u32,
    count: u32,
    owner: PublicKey<Owner>,
) -> Result<Header, SealError> {
    let refuse = |reason| Err(SealError::Layout { block: index, reason });
    if !fits_strings(block) {
        return refuse("a name is longer than 4096 bytes");
    }
    let mut hosts = block.hosts.clone();
    hosts.dedup();
    if hosts.len() >= MAX_RECIPIENTS {
        return refuse("too many hosts");
    }
    let Some((parts, plain_len)) = lay_out(block.parts.clone()) else {
        return refuse("a part is empty, or the sizes do not fit");
    };
    let Ok(chunks) = usize::try_from(chunk_count(&parts)) else {
        return refuse("the block is too large");
    };
    let roles = std::iter::once(RecipientRole::Owner(owner))
        .chain(hosts.into_iter().map(RecipientRole::Host));
    let header = Header {
        ring_id,
        model_version,
        index,
        count,
        name: block.name.clone(),
        plain_len,
        body_digest: Digest::NONE,
        content_digest: Digest::NONE,
        commitment: Digest::NONE,
        previous_body: Digest::NONE,
        next_body: Digest::NONE,
        inputs: block.inputs.clone(),
        outputs: block.outputs.clone(),
        parts,
        recipients: roles.map(crate::block::Recipient::planned).collect(),
        deal: None,
        chunks: vec![Digest::NONE; chunks],
        signature: [0; 64],
    };
    debug_assert_eq!(header.context(), chunk_context(ring_id, model_version, index));
    Ok(header)
}

fn fits_strings(block: &BlockPlan) -> bool {
    let specs = block.inputs.iter().chain(&block.outputs);
    let parameters = block.parts.iter().filter_map(|(kind, _)| match kind {
        PartKind::Parameter(spec) => Some(spec),
        _ => None,
    });
    let dims = |spec: &TensorSpec| {
        spec.dims.iter().flatten().all(|d| match d {
            crate::tensor::Dim::Named(name) => name.len() <= MAX_STRING,
            crate::tensor::Dim::Fixed(_) => true,
        })
    };
    block.name.len() <= MAX_STRING
        && specs.chain(parameters).all(|s| s.name.len() <= MAX_STRING && dims(s))
}
