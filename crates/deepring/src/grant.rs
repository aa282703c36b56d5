//! Grants and deals: wraps block keys for other hosts, and records who hosts which leg; no body is
//! re-encrypted.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use thiserror::Error;

use crate::block::header::{unwrap_for_owner, wrap_key};
use crate::block::{Header, RecipientRole};
use crate::crypto::Digest;
use crate::deal::{Deal, DealError};
use crate::keys::{Host, Owner, OwnerOpening, PublicKey, SecretKey, SignerError, SigningOwner};
use crate::replace::Replacement;
use crate::ring::{AuthenticRing, RingError, VerifiedRing};
use crate::seal::{PlannedDeal, SealError, close};
use crate::storage::Storage;

/// Why a host was not granted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The key is not that of the ring's owner.
    #[error("this key is not the one that signed the ring: only its owner can do this")]
    NotTheOwner,
    /// The ring has no block of this index.
    #[error("there is no block {index}: the ring has blocks 1 to {last}")]
    NoSuchBlock {
        /// Requested index.
        index: u32,
        /// Index of the last block that can be granted.
        last: u32,
    },
    /// The owner's own wrapped key does not open.
    #[error("the owner's key for block {index} does not open")]
    NoBlockKey {
        /// Index of the block; Genesis is 0.
        index: u32,
    },
    /// Legs and hosts make no deal.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// The owner did not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The ring could not be read.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The new file could not be made.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// An owner who lets hosts in: signs headers and closure anew, and opens the block keys that are
/// wrapped for the owner, to wrap them for a host. A token that holds the signing half alone is
/// joined here with the other one, wherever that is kept.
#[derive(Debug, Clone)]
pub struct Granter<'a> {
    owner: SigningOwner,
    opening: OwnerOpening<'a>,
}

impl<'a> Granter<'a> {
    /// Both halves of an owner's key. That they belong together shows when a block key opens.
    #[must_use]
    pub fn new(owner: SigningOwner, opening: OwnerOpening<'a>) -> Self {
        Self { owner, opening }
    }
}

impl<'a> From<&'a SecretKey<Owner>> for Granter<'a> {
    fn from(key: &'a SecretKey<Owner>) -> Self {
        Self::new(key.into(), key.into())
    }
}

/// Writes `target` as the same ring with `host` as a recipient of Genesis, of `blocks` (all, if
/// `None`) and of the shared blocks that these use; returns the number of blocks for which the host
/// is new. If that is zero, nothing is written.
///
/// The ring digest stays, so receipts stay valid; the revision goes up by one. `target` may be the
/// file that the ring was read from; a caller that shares it with other processes holds its
/// [`Turn`](crate::files::Turn) from before it is read.
///
/// # Errors
/// As [`grant_in`], and [`GrantError::Seal`] where `target` cannot be replaced.
pub fn grant<'a>(
    ring: &VerifiedRing,
    granter: impl Into<Granter<'a>>,
    host: &PublicKey<Host>,
    blocks: Option<&[u32]>,
    target: &Path,
) -> Result<u32, GrantError> {
    let file =
        Replacement::of(target).map_err(|source| SealError::Io { path: target.into(), source })?;
    grant_in(file, ring, granter, host, blocks)
}

/// [`grant`] into a file that the caller began before it looked at the target: a file that is put
/// there later is not replaced.
///
/// # Errors
/// [`GrantError::NotTheOwner`], [`GrantError::NoSuchBlock`] and [`GrantError::NoBlockKey`];
/// [`GrantError::Signer`]; [`GrantError::Seal`] where the host's key is not usable, the ring cannot
/// be read or the file not written. The target is as it was.
pub fn grant_in<'a>(
    file: Replacement,
    ring: &VerifiedRing,
    granter: impl Into<Granter<'a>>,
    host: &PublicKey<Host>,
    blocks: Option<&[u32]>,
) -> Result<u32, GrantError> {
    let granter = granter.into();
    if granter.owner.public() != ring.owner() {
        return Err(GrantError::NotTheOwner);
    }
    let last = ring.last_to_grant();
    if let Some(index) = blocks.unwrap_or_default().iter().find(|i| **i > last) {
        return Err(GrantError::NoSuchBlock { index: *index, last });
    }
    let named = |h: &&Header| blocks.is_none_or(|b| b.contains(&h.index));
    let mut headers = ring.headers().to_vec();
    let granted = grant_blocks(&mut headers, &granter, host, |h| h.index == 0 || named(&h))?;
    if granted > 0 {
        rewrite_front(ring, &headers, &granter.owner, file)?;
    }
    Ok(granted)
}

/// Writes `target` as the same ring, dealt: each leg's blocks, and the shared blocks that they use,
/// are granted to its copies, Genesis to those that stand in for it, and the ring holds the deal;
/// returns it. Hosts that the deal does not name keep what they were granted.
///
/// The ring digest stays, so receipts stay valid; the revision goes up by one. `file` was begun
/// before the caller looked at the target: a file that is put there later is not replaced.
///
/// # Errors
/// [`GrantError::NotTheOwner`], [`GrantError::NoBlockKey`], [`GrantError::Deal`],
/// [`GrantError::Signer`];
/// [`GrantError::Seal`] where a host's key is not usable, the ring cannot be read or the file not
/// written. The target is as it was.
pub fn deal_in<'a>(
    file: Replacement,
    ring: &VerifiedRing,
    granter: impl Into<Granter<'a>>,
    planned: &PlannedDeal,
) -> Result<Deal, GrantError> {
    let granter = granter.into();
    let owner = &granter.owner;
    if owner.public() != ring.owner() {
        return Err(GrantError::NotTheOwner);
    }
    let PlannedDeal { legs, plan } = planned;
    let last = u32::try_from(ring.layers().len()).unwrap_or(u32::MAX);
    let of = (ring.ring_id(), ring.digest(), ring.revision().saturating_add(1));
    let mut deal = Deal::around(of, legs, last, plan, owner.public())?;
    deal.sign(owner)?;
    let mut headers = ring.headers().to_vec();
    for host in &deal.genesis {
        grant_blocks(&mut headers, &granter, host, |h| h.index == 0)?;
    }
    for leg in &deal.legs {
        for host in &leg.hosts {
            grant_blocks(&mut headers, &granter, host, |h| {
                (leg.first..leg.end).contains(&h.index)
            })?;
        }
    }
    if let Some(genesis) = headers.first_mut() {
        genesis.deal = Some(deal.clone());
        genesis.sign(owner)?;
    }
    rewrite_front(ring, &headers, owner, file)?;
    Ok(deal)
}

/// Wraps the keys of the wanted blocks, and of the shared blocks that these use, for a host, and
/// signs the headers anew; returns for how many the host is new.
fn grant_blocks(
    headers: &mut [Header],
    granter: &Granter<'_>,
    host: &PublicKey<Host>,
    wanted: impl Fn(&Header) -> bool,
) -> Result<u32, GrantError> {
    let used: HashSet<u32> =
        headers.iter().filter(|h| wanted(h)).flat_map(Header::shared_blocks).collect();
    let mut granted = 0;
    for header in headers.iter_mut().filter(|h| wanted(h) || used.contains(&h.index)) {
        if header.hosts().any(|h| h == *host) {
            continue;
        }
        let index = header.index;
        let key = unwrap_for_owner(header, granter.owner.public(), granter.opening);
        let key = key.ok_or(GrantError::NoBlockKey { index })?;
        let role = RecipientRole::Host(*host);
        let wrapped = wrap_key(&key, role, header.ring_id, index);
        header.recipients.push(wrapped.ok_or(SealError::UnusableRecipient { block: index })?);
        header.sign(&granter.owner)?;
        granted += 1;
    }
    Ok(granted)
}

fn rewrite_front(
    ring: &AuthenticRing,
    headers: &[Header],
    owner: &SigningOwner,
    file: Replacement,
) -> Result<(), GrantError> {
    let target = file.target().to_owned();
    let mut closure = ring.closure().clone();
    closure.revision = closure.revision.saturating_add(1);
    let digest: Digest = closure.ring_digest();
    let front = close(&mut closure, headers, owner)?;
    debug_assert_eq!(digest, closure.ring_digest(), "a grant does not change the content");
    let io = |source| SealError::Io { path: target.clone(), source };
    let mut file = BufWriter::new(file);
    file.write_all(&front).map_err(io)?;
    for body in &ring.layout().bodies {
        copy_range(ring.storage(), body.clone(), &mut file).map_err(io)?;
    }
    let file = file.into_inner().map_err(|e| io(e.into_error()))?;
    file.commit().map_err(io)?;
    Ok(())
}

const BUFFER_LEN: u64 = 1 << 20;

/// Copies `range` of `from` to `to` with a bounded buffer.
fn copy_range(from: &dyn Storage, range: Range<u64>, to: &mut impl Write) -> io::Result<()> {
    let mut buf = vec![0; usize::try_from(BUFFER_LEN.min(range.end - range.start)).unwrap_or(0)];
    let mut at = range.start;
    while at < range.end {
        let n = usize::try_from((range.end - at).min(BUFFER_LEN)).unwrap_or(0);
        from.read_at(at, &mut buf[..n])?;
        to.write_all(&buf[..n])?;
        at += n as u64;
    }
    Ok(())
}
