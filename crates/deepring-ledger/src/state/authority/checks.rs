//! Single facts that judgements rest on.

use deepring::keys::Author;
use deepring::outline::{AuthenticOutline, Outline};
use deepring::replication::Evidence;
use deepring::{Host, Owner, PublicKey};

use super::{NoAuthority, Version};

pub(super) fn owner(author: &Author) -> Result<&PublicKey<Owner>, NoAuthority> {
    match author {
        Author::Owner(owner) => Ok(owner),
        other => Err(NoAuthority::WrongRole { author: *other, needed: "owner" }),
    }
}

pub(super) fn host(author: &Author) -> Result<&PublicKey<Host>, NoAuthority> {
    match author {
        Author::Host(host) => Ok(host),
        other => Err(NoAuthority::WrongRole { author: *other, needed: "host" }),
    }
}

pub(super) fn authentic(outline: &Outline) -> Result<AuthenticOutline, NoAuthority> {
    Ok(outline.clone().verify_consistent()?)
}

pub(super) fn not_registered(ring: &impl std::fmt::Display) -> NoAuthority {
    NoAuthority::NotRegistered { ring: ring.to_string() }
}

pub(super) fn is_host(outline: &AuthenticOutline, host: &PublicKey<Host>) -> bool {
    outline.blocks().iter().any(|block| block.has_host(host))
}

pub(super) fn is_host_of(
    outline: &AuthenticOutline,
    block: u32,
    host: &PublicKey<Host>,
) -> Result<(), NoAuthority> {
    let of = outline.blocks().get(block as usize).ok_or(NoAuthority::NoSuchBlock { block })?;
    match of.has_host(host) {
        true => Ok(()),
        false => Err(NoAuthority::NotAHost { host: *host, block: Some(block) }),
    }
}

/// Evidence holds under the deal that its query ran under, which may be an earlier one.
pub(super) fn verify_evidence(evidence: &Evidence, version: &Version) -> Result<(), NoAuthority> {
    let mut refused = None;
    for (_, outline) in version.outlines.iter().rev() {
        match evidence.verify(outline) {
            Ok(()) => return Ok(()),
            Err(e) => _ = refused.get_or_insert(e),
        }
    }
    Err(refused.map_or_else(|| not_registered(&version.digest()), NoAuthority::from))
}

/// Whether two outlines of one digest describe the same ring, but for its hosts and its deal.
pub(super) fn is_same_ring(a: &AuthenticOutline, b: &AuthenticOutline) -> bool {
    let same_blocks = a.blocks().len() == b.blocks().len()
        && a.blocks().iter().zip(b.blocks()).all(|(a, b)| {
            (&a.name, a.content_digest, &a.parts) == (&b.name, b.content_digest, &b.parts)
        });
    same_blocks
        && (a.kind(), a.model_version(), a.previous(), a.owner())
            == (b.kind(), b.model_version(), b.previous(), b.owner())
        && (a.inputs(), a.outputs()) == (b.inputs(), b.outputs())
}
