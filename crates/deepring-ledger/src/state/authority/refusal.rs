//! Why an entry has no authority.

use deepring::keys::Author;
use deepring::outline::OutlineError;
use deepring::replication::EvidenceError;
use deepring::{Digest, Host, Owner, PublicKey, RingId, RingKind};
use thiserror::Error;

/// Why an entry has no authority in a ledger: it is not appended, and one that stands in a ledger
/// nevertheless has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoAuthority {
    /// The entry was signed for another log.
    #[error("it was signed for another log")]
    OtherLog,
    /// The author said something of this number or a higher one before: the entry is said again.
    #[error(
        "it has number {sequence} of its author, whose newest entry here has {newest}: it is said again, or too late"
    )]
    Repeated {
        /// Its number.
        sequence: u64,
        /// The author's newest.
        newest: u64,
    },
    /// The entry's number is too far above its author's newest.
    #[error(
        "it has number {sequence} of its author, whose newest entry here has {newest}: too far ahead"
    )]
    TooFarAhead {
        /// Its number.
        sequence: u64,
        /// The author's newest.
        newest: u64,
    },
    /// The first validator set does not name an owner whose ring is registered.
    #[error("the validator set leaves out owner {}, whose ring is registered", .owner.short())]
    LeftOut {
        /// The owner.
        owner: PublicKey<Owner>,
    },
    /// The decisions were made under another deal than the newest that is registered.
    #[error(
        "the decisions were made under deal {dealt} (0: none), and the newest that is registered is {newest}"
    )]
    OtherDeal {
        /// The deal's number.
        dealt: u32,
        /// The newest one's.
        newest: u32,
    },
    /// The author's key revoked itself.
    #[error("{} revoked its own key by entry {entry}", .author.short())]
    AuthorRevoked {
        /// The author.
        author: Author,
        /// Index of the revocation.
        entry: u64,
    },
    /// The author's key gave its rings over to another.
    #[error("owner {} gave its rings over to another key by entry {entry}", .owner.short())]
    RotatedAway {
        /// The author.
        owner: PublicKey<Owner>,
        /// Index of the rotation.
        entry: u64,
    },
    /// Such an entry is not signed by a key of this role.
    #[error("{} is not a key of the role {needed}, which such an entry needs", .author.short())]
    WrongRole {
        /// The author.
        author: Author,
        /// Name of the role that may.
        needed: &'static str,
    },
    /// The outline is not consistent, or not signed by the owner that it names.
    #[error("{0}")]
    Outline(#[from] OutlineError),
    /// The outline is another owner's.
    #[error("the outline is of owner {}, who is not the entry's author", .named.short())]
    OutlineOfAnother {
        /// The owner that the outline names.
        named: PublicKey<Owner>,
    },
    /// The ring, or this version of it, is not registered.
    #[error("ring {ring} is not registered in this version")]
    NotRegistered {
        /// The ring, or its digest where the entry says no more.
        ring: String,
    },
    /// The ring is registered already; what comes after is an upgrade or a deal.
    #[error("ring {ring} is registered already")]
    AlreadyRegistered {
        /// The ring.
        ring: RingId,
    },
    /// Another registered version has this digest.
    #[error("a registered ring has the digest {digest} already")]
    DigestInUse {
        /// The digest.
        digest: Digest,
    },
    /// The ring was registered by another owner.
    #[error("ring {ring} is another owner's")]
    NotTheOwner {
        /// The ring.
        ring: RingId,
    },
    /// The validator set does not take this owner's rings.
    #[error("the validator set does not name owner {}", .owner.short())]
    NotAdmitted {
        /// The owner.
        owner: PublicKey<Owner>,
    },
    /// The version is not newer than the newest that is registered.
    #[error("model version {version} is not newer than {newest}, which is registered")]
    NotNewer {
        /// Version of the outline.
        version: u64,
        /// The newest that is registered.
        newest: u64,
    },
    /// The version names another predecessor than the newest that is registered.
    #[error("the version before is not the newest that is registered, {expected}")]
    OtherPrevious {
        /// The newest registered version's digest.
        expected: Digest,
    },
    /// The version is of the other kind than the ring: of weights behind a network, or the reverse.
    #[error("it holds {}, and the versions before do not", match .kind {
        RingKind::Network => "a network",
        RingKind::Weights => "weights",
    })]
    OtherKind {
        /// Kind of the version.
        kind: RingKind,
    },
    /// The revision is not newer than the newest that is registered.
    #[error("revision {revision} is not newer than {newest}, which is registered")]
    NotNewerRevision {
        /// Revision of the outline.
        revision: u32,
        /// The newest that is registered.
        newest: u32,
    },
    /// The outline has the digest of a registered version, and describes another ring.
    #[error("the outline describes another ring than the registered one of the same digest")]
    OtherRing,
    /// The ring, or this version of it, is revoked.
    #[error("the ring is revoked by entry {entry}")]
    RingRevoked {
        /// Index of the revocation.
        entry: u64,
    },
    /// The author is a host that is revoked for this ring.
    #[error("the host is revoked by entry {entry}")]
    HostRevoked {
        /// Index of the revocation.
        entry: u64,
    },
    /// The author, or the accused, is no host of the block, or of the ring where no block is named.
    #[error("{} is no host of {}", .host.short(), match .block {
        Some(block) => format!("block {block}"),
        None => "this ring".to_owned(),
    })]
    NotAHost {
        /// The key.
        host: PublicKey<Host>,
        /// The block; Genesis is 0.
        block: Option<u32>,
    },
    /// The ring has no such block.
    #[error("the ring has no block {block}")]
    NoSuchBlock {
        /// The index.
        block: u32,
    },
    /// The alarm's evidence proves nothing under any registered deal of this version.
    #[error("the evidence: {0}")]
    Evidence(#[from] EvidenceError),
    /// The alarm's evidence names somebody else than the alarm, or another block.
    #[error("the evidence is not about the host and block that the alarm names")]
    EvidenceOfAnother,
    /// Another host has the block, and none says that the repaired copy is as its own.
    #[error("block {block} has other hosts, and none countersigned its repair")]
    NotCountersigned {
        /// The first such block.
        block: u32,
    },
    /// The countersigner has no say: it is the author, no host of the block, revoked, or its own
    /// copy is quarantined.
    #[error("the countersigner has no sound copy of block {block} beside the author's")]
    Countersigner {
        /// The first such block.
        block: u32,
    },
    /// The countersignature is not over this repair.
    #[error("the countersignature does not fit")]
    Countersignature,
    /// The first validator set is signed by one of its own owners, each later one by an owner of
    /// the set before.
    #[error("owner {} has no say about the validator set", .owner.short())]
    NotOfTheSet {
        /// The author.
        owner: PublicKey<Owner>,
    },
    /// A set of which one party would count twice.
    #[error(
        "node {node} shares half of its key with another of the set, or has one half twice: one party would count twice"
    )]
    CountsTwice {
        /// The node, in short form.
        node: String,
    },
    /// A set names a node that revoked its own key.
    #[error("node {node} of the set revoked its own key by entry {entry}")]
    NodeRevoked {
        /// The node, in short form.
        node: String,
        /// Index of the revocation.
        entry: u64,
    },
    /// A first set whose epochs could run out.
    #[error("a first validator set has an epoch of at most {most}, and this one {found}")]
    FirstEpoch {
        /// Its epoch.
        found: u64,
        /// The highest that a first set may have.
        most: u64,
    },
    /// The set's epoch is not the next.
    #[error("validator set {found} does not follow the present one; {expected} would")]
    OtherEpoch {
        /// Epoch of the entry.
        found: u64,
        /// The epoch that is due.
        expected: u64,
    },
    /// The validator set is another log's.
    #[error("the validator set is of `{found}`, this ledger is `{expected}`")]
    OtherOrigin {
        /// Name in the entry.
        found: String,
        /// Name of the ledger.
        expected: String,
    },
    /// The author owns nothing here.
    #[error("owner {} has no ring here", .owner.short())]
    NoRing {
        /// The author.
        owner: PublicKey<Owner>,
    },
    /// The key that is to take over did not sign that it does.
    #[error("the new key did not sign that it takes over")]
    RotationNotSigned,
    /// The key that is to take over is known here already.
    #[error("the new key is known in this ledger already")]
    KeyInUse,
    /// There is no such quarantine.
    #[error("block {block} of this host is not quarantined")]
    NotQuarantined {
        /// The block.
        block: u32,
    },
}
