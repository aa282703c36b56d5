//! Events, which entries record.

use deepring::codec::Writer;
use deepring::keys::{Author, Node, SignerError, SigningOwner};
use deepring::outline::{AuthenticOutline, Outline};
use deepring::replication::Evidence;
use deepring::{Decision, Digest, Finding, Host, Owner, PublicKey, RingId, SecretKey};
use serde::Serialize;

use super::{Binding, hex};

/// The event that an [`Entry`](super::Entry) records; who may record it is said in
/// `docs/LEDGER.md`, "Authority".
///
/// Strings longer than 4096 bytes are cut at a character boundary when the entry is made, so that
/// an alarm is never lost because a name in it is long. Blocks are put in ascending order, each
/// once; Genesis is block 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A ring was sealed and put to use: its first version that this ledger sees.
    RingRegistered {
        /// Its outline, as its owner signed it.
        outline: Box<Outline>,
    },
    /// A ring was replaced by a newer version of itself.
    RingUpgraded {
        /// Of the new version.
        outline: Box<Outline>,
    },
    /// A ring, or one version of it, must not be used any more.
    RingRevoked {
        /// The ring, through all its versions.
        ring_id: RingId,
        /// The version that is revoked; `None` for all there are and will be.
        ring_digest: Option<Digest>,
        /// The reason, for people.
        reason: String,
    },
    /// A batch of decisions was made.
    Decisions {
        /// Digest of the ring that decided.
        ring_digest: Digest,
        /// The decision's id; of several, the root over them.
        decision_id: Digest,
        /// Number of queries that were decided.
        count: u32,
        /// Number of the deal under which they were decided
        /// ([`deal_number`](deepring::outline::AuthenticOutline::deal_number)). It is the newest that
        /// the ledger knows, so that nobody goes back to an earlier one.
        dealt: u32,
    },
    /// A check failed: a stored or live part of a ring is not what the owner sealed, or a host did
    /// not compute what it was to.
    Alarm {
        /// The ring, through all its versions.
        ring_id: RingId,
        /// Digest of the version that was checked.
        ring_digest: Digest,
        /// The host whose copy, or whose work, is at fault.
        accused: PublicKey<Host>,
        /// Index of the block at fault, if one can be named.
        block: Option<u32>,
        /// Name of the block, or of the ring.
        name: String,
        /// Part at fault: `header`, `body`, `link`, `closure`, `file`, ...
        part: String,
        /// Tensor at fault, if one can be named.
        tensor: Option<String>,
        /// First byte at fault and the byte after the last, if known.
        bytes: Option<[u64; 2]>,
        /// The defect that the check found, for people.
        reason: String,
        /// Signed records that contradict each other, where there are some.
        evidence: Option<Box<Evidence>>,
    },
    /// A host restored its copy of blocks from an intact one.
    Repair {
        /// The ring, through all its versions.
        ring_id: RingId,
        /// Digest of the version that was repaired.
        ring_digest: Digest,
        /// Indices of the restored blocks; at least one.
        blocks: Vec<u32>,
        /// Origin of the intact copy, for people.
        source: String,
        /// The comparison of the repaired copy with another host's.
        #[serde(flatten)]
        audit: Audit,
    },
    /// The author's own key must not be trusted any more.
    KeyRevoked {
        /// The reason, for people.
        reason: String,
    },
    /// A newer revision of a registered version: hosts were granted, or legs dealt.
    Deal {
        /// Of that revision.
        outline: Box<Outline>,
    },
    /// Who keeps the ledger from now on, and whose rings it takes.
    ValidatorSet(ValidatorSet),
    /// A host must not be trusted with an owner's rings any more.
    HostRevoked {
        /// The host.
        host: PublicKey<Host>,
        /// The ring; `None` for all rings of the author.
        ring_id: Option<RingId>,
        /// The reason, for people.
        reason: String,
    },
    /// The author's key gives its rings over to another key of the same owner, and signs nothing
    /// after this.
    OwnerRotated {
        /// The key that takes over.
        new_owner: PublicKey<Owner>,
        /// That key's signature that it does: see [`Event::rotation`].
        #[serde(serialize_with = "hex")]
        signature: [u8; 64],
    },
    /// The owner lifts a quarantine.
    QuarantineLifted {
        /// The ring, through all its versions.
        ring_id: RingId,
        /// Digest of the version.
        ring_digest: Digest,
        /// The host whose copies are let in again.
        host: PublicKey<Host>,
        /// Indices of the blocks; at least one.
        blocks: Vec<u32>,
        /// The reason, for people.
        reason: String,
    },
}

/// A comparison of a host's copy of some blocks with another host's: both answer a random nonce
/// with a digest over the opened blocks, and the answers are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Random.
    #[serde(rename = "audit_nonce", serialize_with = "hex")]
    pub nonce: [u8; 32],
    /// The answer to it.
    #[serde(rename = "audit_digest")]
    pub digest: Digest,
    /// The other host's word that its own copy gave the same; `None` where there is no other.
    pub countersignature: Option<Countersignature>,
}

/// A host's signature under an [`Audit`] of another host's copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Countersignature {
    /// The host that signed.
    pub host: PublicKey<Host>,
    /// Its signature over [`Audit::statement`].
    #[serde(serialize_with = "hex")]
    pub signature: [u8; 64],
}

impl Audit {
    /// The bytes that a countersigner signs:
    /// `log 32 | sequence 8 | ring digest 32 | nonce 32 | audit digest 32 | repaired host key 64 | blocks: list of index 4`,
    /// blocks in ascending order, each once. Log and sequence are those of the repair's entry, so that
    /// the host that was repaired cannot show the countersignature again after its next alarm.
    #[must_use]
    pub fn statement(
        &self,
        binding: Binding,
        ring_digest: &Digest,
        blocks: &[u32],
        repaired: &PublicKey<Host>,
    ) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&binding.log.0).u64(binding.sequence);
        w.raw(&ring_digest.0).raw(&self.nonce).raw(&self.digest.0).raw(repaired.as_bytes());
        let blocks = ascending(blocks);
        w.count(blocks.len());
        blocks.iter().for_each(|block| _ = w.u32(*block));
        w.finish()
    }

    /// Signs, as another host of these blocks, that its own copy answers the nonce with the same
    /// digest.
    #[must_use]
    pub fn countersign(
        &self,
        binding: Binding,
        ring_digest: &Digest,
        blocks: &[u32],
        repaired: &PublicKey<Host>,
        key: &SecretKey<Host>,
    ) -> Countersignature {
        let statement = self.statement(binding, ring_digest, blocks, repaired);
        let signature = key.sign_audit(&statement);
        Countersignature { host: key.public(), signature }
    }
}

impl Countersignature {
    /// Returns whether the host signed this statement.
    #[must_use]
    pub fn is_over(&self, statement: &[u8]) -> bool {
        Author::Host(self.host).has_signed_audit(statement, &self.signature)
    }
}

impl Event {
    /// The alarm about one host that signed records tell of.
    #[must_use]
    pub fn accusation(
        ring_id: RingId,
        evidence: &Evidence,
        accused: PublicKey<Host>,
        reason: &str,
    ) -> Self {
        let receipt = evidence.receipt();
        Self::Alarm {
            ring_id,
            ring_digest: receipt.ring_digest,
            accused,
            block: Some(receipt.first_block),
            name: String::new(),
            part: "outputs".to_owned(),
            tensor: None,
            bytes: None,
            reason: reason.to_owned(),
            evidence: Some(Box::new(evidence.clone())),
        }
    }

    /// The alarm of a host about a copy of a version's block that a check found tampered with.
    #[must_use]
    pub fn alarm(
        (ring_id, ring_digest): (RingId, Digest),
        accused: PublicKey<Host>,
        finding: &Finding,
    ) -> Self {
        Self::Alarm {
            ring_id,
            ring_digest,
            accused,
            block: finding.block,
            name: finding.name.clone().unwrap_or_default(),
            part: finding.part.name().to_owned(),
            tensor: finding.tensor.clone(),
            bytes: finding.bytes,
            reason: finding.reason.clone(),
            evidence: None,
        }
    }

    /// The event that records a decision under the deal of `outline`.
    #[must_use]
    pub fn decided(decision: &Decision, outline: &AuthenticOutline) -> Self {
        Self::Decisions {
            ring_digest: decision.chain().opening().ring_digest,
            decision_id: decision.id(),
            count: u32::try_from(decision.items().len()).unwrap_or(u32::MAX),
            dealt: outline.deal_number(),
        }
    }

    /// The rotation of an owner's key to another one that is at hand; signed as an entry by the old
    /// key.
    ///
    /// # Errors
    /// [`SignerError`] of the new key's signer.
    pub fn rotation(
        old: &PublicKey<Owner>,
        new: impl Into<SigningOwner>,
    ) -> Result<Self, SignerError> {
        let new = new.into();
        let signature = new.sign_rotation(old)?;
        Ok(Self::OwnerRotated { new_owner: new.public(), signature })
    }
}

/// Most nodes of a validator set. A note has at most 100 signature lines: a quorum of 67, the log's own and those of 32 others
/// fit. (Who collects lines leaves out those beyond a quorum.)
pub const MAX_VALIDATORS: usize = 100;

/// The nodes that keep a ledger together, and the owners whose rings it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValidatorSet {
    /// Number of the set; each follows the one before.
    pub epoch: u64,
    /// Name of the log that the set keeps.
    pub origin: String,
    /// Owners whose rings may be registered, in ascending order of their keys' bytes; at least one.
    pub owners: Vec<PublicKey<Owner>>,
    /// The nodes, in ascending order of their keys' bytes; at least one, and at most [`MAX_VALIDATORS`].
    pub nodes: Vec<PublicKey<Node>>,
}

/// In ascending order, each once.
pub(super) fn ascending(blocks: &[u32]) -> Vec<u32> {
    let mut blocks = blocks.to_vec();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}
