//! The deal: the owner's signed record of who hosts which leg of a ring, in which order, and in how
//! many copies.
//!
//! ```text
//! "RINGDEAL" | format version: u16 | ring id 16 | ring digest 32 | revision 4 | dealt at 8 | eager 1
//! genesis: list of host key 64
//! legs:    list of (first block 4 | end block 4 | hosts: list of host key 64)
//! owner key 64 | signature 64
//! ```

use std::collections::HashSet;
use std::ops::Range;

use serde::Serialize;
use thiserror::Error;

use crate::crypto::signature::SIGNATURE_LEN;
use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::keys::{Host, Owner, PublicKey, SignerError, SigningOwner};
use crate::ring_id::MAX_BLOCKS;
use crate::ring_id::RingId;

const MAGIC: [u8; 8] = *b"RINGDEAL";
const FORMAT_VERSION: u16 = 1;
/// Fewest and most hosts of a leg.
const COPIES: std::ops::RangeInclusive<usize> = 2..=3;
/// Most hosts of Genesis in a deal.
const MAX_GENESIS: usize = 4096;
/// Most bytes of a deal: some 250 legs of three hosts fit.
pub(crate) const MAX_DEAL: usize = 65_535;

/// Number of hosts that compute each leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Copies {
    /// Two: no lie of one host passes; who lied cannot be told.
    Two,
    /// Three: no lie of one host passes, and the other two name it and go on.
    Three,
}

impl Copies {
    /// The number.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    fn of(count: usize) -> Option<Self> {
        [Self::Two, Self::Three].into_iter().find(|copies| copies.count() == count)
    }
}

/// Consecutive blocks, and the hosts that compute them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DealtLeg {
    /// Index of the first block.
    pub first: u32,
    /// Index one past the last block.
    pub end: u32,
    /// The leg's copies in order: its primary, its neighbour (the primary of the next leg), and
    /// with three copies one more. All distinct.
    pub hosts: Vec<PublicKey<Host>>,
}

impl DealtLeg {
    /// The leg's place of a host in its order; `None` if it is no copy.
    #[must_use]
    pub fn place_of(&self, host: &PublicKey<Host>) -> Option<usize> {
        self.hosts.iter().position(|h| h == host)
    }
}

/// The owner's signed record of who hosts what, in how many copies. One that breaks a rule of the
/// format cannot be decoded; that its signature and its ring fit is checked with the
/// [outline](crate::outline) that carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deal {
    /// Ring id.
    pub ring_id: RingId,
    /// Digest of the ring that is dealt.
    pub ring_digest: Digest,
    /// The ring's revision that holds this deal.
    pub revision: u32,
    /// Time by the owner's clock, in seconds since the Unix epoch.
    pub dealt_at: u64,
    /// True if a third copy computes each query, and not only in a dispute or a takeover.
    pub eager: bool,
    /// The hosts of Genesis, in the order in which they step in for each other.
    pub genesis: Vec<PublicKey<Host>>,
    /// The legs, from block 1 to the last that computes.
    pub legs: Vec<DealtLeg>,
    /// The owner that signs.
    pub owner: PublicKey<Owner>,
    #[serde(skip)]
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

/// Why legs and hosts make no deal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DealError {
    /// No leg at all, or more than the format allows.
    #[error("a deal has 1 to {MAX_BLOCKS} legs, not {legs}")]
    Legs {
        /// Number of legs.
        legs: usize,
    },
    /// Two of the keys have one signing half: who holds it would validate himself.
    #[error("host {host} and another one of the deal sign with the same key")]
    OneSigner {
        /// The second, in short form.
        host: String,
    },
    /// No block of the ring computes.
    #[error("no block of this ring computes, as in every ring of weights: there is no leg to deal")]
    NothingComputes,
    /// A leg does not begin where the one before it ends.
    #[error("leg {leg} is of blocks {}, where block {expected} is due", words(.found))]
    Gap {
        /// The leg, counted from 1.
        leg: usize,
        /// Its blocks.
        found: Range<u32>,
        /// The block that it must begin with.
        expected: u32,
    },
    /// The legs do not end with the last block that computes.
    #[error("the legs end with block {found}, the ring with block {last}")]
    End {
        /// Last block of the last leg.
        found: u32,
        /// Last block of the ring that computes.
        last: u32,
    },
    /// Too few hosts around the ring for as many copies of a leg.
    #[error(
        "leg {leg} finds {found} different hosts around the ring, {copies} copies were asked for"
    )]
    TooFewHosts {
        /// The leg, counted from 1.
        leg: usize,
        /// Distinct hosts.
        found: usize,
        /// Copies asked for.
        copies: usize,
    },
    /// Every copy at once needs a third one.
    #[error("an eager deal has three copies")]
    EagerTwo,
    /// More legs or hosts than a ring can hold the record of.
    #[error("a deal of {bytes} bytes; a ring holds one of {MAX_DEAL}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

fn words(blocks: &Range<u32>) -> String {
    format!("{}-{}", blocks.start, blocks.end.saturating_sub(1))
}

impl Deal {
    /// Deals legs around a ring: leg k goes to its own host and to those of the legs that follow,
    /// each once, until there are as many copies. Genesis goes to the copies of leg 1, but for the
    /// hosts that `genesis` names, if any, each once. Not signed.
    ///
    /// # Errors
    /// [`DealError`] where the legs leave a block out, there are too few hosts, or too many.
    pub(crate) fn around(
        of: (RingId, Digest, u32),
        legs: &[(Range<u32>, PublicKey<Host>)],
        last: u32,
        plan: &DealPlan,
        owner: PublicKey<Owner>,
    ) -> Result<Self, DealError> {
        if last == 0 {
            return Err(DealError::NothingComputes);
        }
        if legs.is_empty() || legs.len() > MAX_BLOCKS as usize {
            return Err(DealError::Legs { legs: legs.len() });
        }
        if plan.eager && plan.copies == Copies::Two {
            return Err(DealError::EagerTwo);
        }
        let named: Vec<PublicKey<Host>> =
            legs.iter().map(|(_, host)| *host).chain(plan.genesis.iter().copied()).collect();
        for (n, host) in named.iter().enumerate() {
            let twin = named.iter().take(n).find(|known| known.signs_as(host) && *known != host);
            if twin.is_some() {
                return Err(DealError::OneSigner { host: host.short() });
            }
        }
        let copies = plan.copies.count();
        let mut expected = 1;
        let mut dealt = Vec::with_capacity(legs.len());
        for (i, (blocks, _)) in legs.iter().enumerate() {
            let leg = i + 1;
            if blocks.start != expected || blocks.is_empty() {
                return Err(DealError::Gap { leg, found: blocks.clone(), expected });
            }
            expected = blocks.end;
            let mut hosts: Vec<PublicKey<Host>> = Vec::with_capacity(copies);
            for (_, host) in legs.iter().cycle().skip(i).take(legs.len()) {
                if hosts.len() < copies && !hosts.contains(host) {
                    hosts.push(*host);
                }
            }
            if hosts.len() < copies {
                return Err(DealError::TooFewHosts { leg, found: hosts.len(), copies });
            }
            dealt.push(DealtLeg { first: blocks.start, end: blocks.end, hosts });
        }
        if expected != last + 1 {
            return Err(DealError::End { found: expected - 1, last });
        }
        let first = dealt.first().map(|leg| leg.hosts.clone()).unwrap_or_default();
        let mut genesis = if plan.genesis.is_empty() { first } else { plan.genesis.clone() };
        let mut seen = HashSet::new();
        genesis.retain(|host| seen.insert(*host));
        let (ring_id, ring_digest, revision) = of;
        let deal = Self {
            ring_id,
            ring_digest,
            revision,
            dealt_at: plan.dealt_at,
            eager: plan.eager,
            genesis,
            legs: dealt,
            owner,
            signature: [0; SIGNATURE_LEN],
        };
        // A deal that cannot be read back must not be written.
        let bytes = deal.encode().len();
        if bytes > MAX_DEAL || deal.genesis.len() > MAX_GENESIS {
            return Err(DealError::TooLarge { bytes });
        }
        Ok(deal)
    }

    /// Number of hosts that compute each leg.
    #[must_use]
    pub fn copies(&self) -> Copies {
        let hosts = self.legs.first().map_or(0, |leg| leg.hosts.len());
        // No other number is decoded or made.
        Copies::of(hosts).unwrap_or(Copies::Two)
    }

    /// The leg that holds a block, with its number from 0.
    #[must_use]
    pub fn leg_of(&self, block: u32) -> Option<(usize, &DealtLeg)> {
        self.legs.iter().enumerate().find(|(_, leg)| (leg.first..leg.end).contains(&block))
    }

    /// Digest of the record, by which an opening names the deal:
    /// `BLAKE3.derive_key["deepring v1 deal digest"](record without signature)`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(label::DEAL, &[&self.encode_unsigned()])
    }

    pub(crate) fn sign(&mut self, owner: &SigningOwner) -> Result<(), SignerError> {
        self.signature = owner.sign(label::SIGN_DEAL, &self.digest().0)?;
        Ok(())
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.owner.has_signed(label::SIGN_DEAL, &self.digest().0, &self.signature)
    }

    fn encode_unsigned(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&MAGIC).u16(FORMAT_VERSION).raw(&self.ring_id.0).raw(&self.ring_digest.0);
        w.u32(self.revision).u64(self.dealt_at).u8(u8::from(self.eager));
        encode_hosts(&self.genesis, &mut w);
        w.count(self.legs.len());
        for leg in &self.legs {
            w.u32(leg.first).u32(leg.end);
            encode_hosts(&leg.hosts, &mut w);
        }
        w.raw(self.owner.as_bytes());
        w.finish()
    }

    /// The record's bytes, also those of a `.deal` file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_unsigned();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Decodes a deal strictly, and holds it to the rules of the format: legs that follow each
    /// other from block 1 on, 2 or 3 distinct hosts each, the same number in all; a third copy for
    /// an eager one. Verifies no signature.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        r.header(&MAGIC, FORMAT_VERSION)?;
        let ring_id = RingId(r.array("ring id")?);
        let ring_digest = Digest(r.array("ring digest")?);
        let revision = r.u32("revision")?;
        let dealt_at = r.u64("dealt at")?;
        let eager = r.bool("eager")?;
        let genesis = decode_hosts(&mut r, MAX_GENESIS)?;
        let n = r.count("legs", MAX_BLOCKS as usize, 12)?;
        let mut legs: Vec<DealtLeg> = Vec::with_capacity(n);
        let mut expected = 1;
        for _ in 0..n {
            let (first, end) = (r.u32("first block")?, r.u32("end block")?);
            if first != expected || end <= first || end > MAX_BLOCKS {
                return Err(DecodeError::BadValue { field: "legs", found: u64::from(first) });
            }
            expected = end;
            let hosts = decode_hosts(&mut r, *COPIES.end())?;
            let copies = legs.first().map_or(hosts.len(), |leg| leg.hosts.len());
            if !COPIES.contains(&hosts.len()) || hosts.len() != copies {
                return Err(DecodeError::BadValue { field: "copies", found: hosts.len() as u64 });
            }
            legs.push(DealtLeg { first, end, hosts });
        }
        let copies = legs.first().map_or(0, |leg| leg.hosts.len());
        if legs.is_empty() || genesis.is_empty() {
            return Err(DecodeError::BadValue { field: "legs", found: legs.len() as u64 });
        }
        if eager && copies != *COPIES.end() {
            return Err(DecodeError::Contradiction { field: "eager", with: "copies" });
        }
        let owner = PublicKey::from_bytes(r.array("owner key")?);
        let signature = r.array("signature")?;
        r.finish()?;
        Ok(Self {
            ring_id,
            ring_digest,
            revision,
            dealt_at,
            eager,
            genesis,
            legs,
            owner,
            signature,
        })
    }
}

/// The settings of a deal, besides legs and hosts.
#[derive(Debug, Clone)]
pub struct DealPlan {
    /// Hosts of each leg.
    pub copies: Copies,
    /// True if a third copy computes each query.
    pub eager: bool,
    /// Hosts of Genesis; none for the copies of leg 1.
    pub genesis: Vec<PublicKey<Host>>,
    /// Time by the owner's clock, in seconds since the Unix epoch.
    pub dealt_at: u64,
}

fn encode_hosts(hosts: &[PublicKey<Host>], w: &mut Writer) {
    w.count(hosts.len());
    for host in hosts {
        w.raw(host.as_bytes());
    }
}

fn decode_hosts(r: &mut Reader<'_>, limit: usize) -> Result<Vec<PublicKey<Host>>, DecodeError> {
    let n = r.count("hosts", limit, 64)?;
    let mut hosts: Vec<PublicKey<Host>> = Vec::with_capacity(n);
    for i in 0..n {
        let host = PublicKey::from_bytes(r.array("host key")?);
        // One who signs for two copies would validate himself.
        if hosts.iter().any(|known: &PublicKey<Host>| known.signs_as(&host)) {
            return Err(DecodeError::BadValue { field: "hosts", found: i as u64 });
        }
        hosts.push(host);
    }
    Ok(hosts)
}
