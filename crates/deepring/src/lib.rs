//! Format, keys, rings, verification and receipts of DeepRing: no async, network or ML.
//!
//! A **ring** is a trained network cut into sealed **blocks**. This crate seals blocks whose bytes
//! it is given, verifies and opens them, and checks the receipts of the hosts that ran them. The
//! meaning of the bytes to a tensor runtime belongs to `deepring-infer`; `docs/FORMAT.md` specifies
//! every byte.
//!
//! # Which type when
//!
//! | to | start with | and get |
//! |---|---|---|
//! | make keys | [`SecretKey::generate`], [`write_key_pair`](files::write_key_pair) | `owner.key owner.pub host.key host.pub` |
//! | seal | [`RingPlan`](seal::RingPlan), [`RingSealer::create`](seal::RingSealer::create) | a ring file, or nothing |
//! | check a ring | [`UnverifiedRing::open`] then [`verify`](UnverifiedRing::verify) | [`VerifiedRing`], or a [`Report`] of findings |
//! | use a ring | [`UnverifiedRing::open`] then [`authenticate`](UnverifiedRing::authenticate) | [`AuthenticRing`], whose blocks are checked as they are [opened](AuthenticRing::open_block) |
//! | let a host in | [`grant()`](maintenance::grant) | the same ring, one recipient more |
//! | mend a ring | [`repair()`](maintenance::repair) | the damaged chunks, from a copy |
//! | run as a host | [`Chain::begin`](receipt::Chain::begin), [`Chain::extend`](receipt::Chain::extend), [`Parcel`](receipt::Parcel) | signed receipts |
//! | attest what was checked | [`Svr::of`](attestation::Svr::of) | a signed bundle for other programs |
//! | check a decision | [`Decision::read`] then [`verify`](Decision::verify) | [`VerifiedDecision`] |
//!
//! # Crate features
//!
//! - `passphrase`: secret key files under a passphrase ([`files`]; age's format). Off by default: who only verifies compiles none of it.
//!
//! # Trust
//!
//! Nothing inside a ring can vouch for itself. A [`Trust`] says which owner's key to accept, and
//! through a [`TrustStore`] also which versions were seen before, so that an old ring is refused as
//! stale. Only a verification makes the types of verified things; an unverified ring can do
//! nothing.
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use deepring::{DType, Dim, Host, OpeningKey, Owner, PartKind, RingKind, SecretKey, TensorSpec, Trust, UnverifiedRing};
//! use deepring::seal::{BlockPlan, RingPlan, RingSealer};
//!
//! let (owner, host) = (SecretKey::<Owner>::generate()?, SecretKey::<Host>::generate()?);
//! let tensor = |name: &str| TensorSpec {
//!     name: name.into(),
//!     dtype: DType::F32,
//!     dims: Some(vec![Dim::Fixed(2)]),
//! };
//! let block = |name: &str, inputs, outputs, parts| BlockPlan {
//!     name: name.into(),
//!     inputs: vec![inputs],
//!     outputs: vec![outputs],
//!     parts,
//!     shared: vec![],
//!     hosts: vec![host.public()],
//! };
//! let plan = RingPlan {
//!     kind: RingKind::Network,
//!     model_version: 1,
//!     previous: None,
//!     sealed_at: 0,
//!     blocks: vec![
//!         block("genesis", tensor("y"), tensor("x"), vec![(PartKind::Manifest, 8)]),
//!         block(
//!             "layer",
//!             tensor("x"),
//!             tensor("y"),
//!             vec![(PartKind::Parameter(tensor("w")), 8), (PartKind::Graph, 3)],
//!         ),
//!     ],
//!     deal: None,
//! };
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("tiny.ring");
//! let mut sealer = RingSealer::create(&path, &plan, &owner)?;
//! sealer.seal_block(b"manifest")?;
//! let mut layer = vec![0; 67]; // parts start at multiples of 64
//! layer[..8].copy_from_slice(&[0, 0, 128, 63, 0, 0, 0, 64]);
//! layer[64..].copy_from_slice(b"op!");
//! sealer.seal_block(&layer)?;
//! sealer.finish()?;
//!
//! let ring = UnverifiedRing::open(&path)?.verify(&Trust::owner(owner.public()), &|_| ())?;
//! let mut opened = vec![0; 67];
//! ring.open_block(1, OpeningKey::Host(&host), &mut opened)?;
//! assert_eq!(opened, layer);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make and damage files of their own")
)]

#[cfg(test)]
mod arbitrary;
pub mod attestation;
pub mod audit;
pub mod block;
mod crypto;
pub mod deal;
mod encoding;
mod finding;
#[cfg(test)]
mod frozen;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod in_line;
mod kept;
mod key_file;
pub mod keys;
mod manifest;
mod open;
pub mod outline;
mod path;
mod plain_file;
#[cfg(test)]
mod properties;
pub mod receipt;
mod repair;
mod replace;
pub mod replication;
mod resolved_path;
mod ring;
mod ring_id;
pub mod seal;
#[cfg(test)]
#[path = "../../deepring-testkit/src/skip.rs"]
mod skip;
mod storage;
mod tensor;
pub mod trust;
mod turn;
pub mod weights;
mod write_back;

/// Canonical bytes: what a format that stands on this one is written and read with.
pub mod codec {
    pub use crate::encoding::{DecodeError, Reader, Writer};
}

/// Key files, and files that are replaced whole, read plainly, taken in turns, and spared where others keep them.
pub mod files {
    pub use crate::in_line::{InLine, InMarkup, disturbs_line};
    pub use crate::kept::{ledger_files, spare_kept};
    pub use crate::key_file::{KeyFileError, SecretKeyFile, write_key_pair};
    #[cfg(feature = "passphrase")]
    pub use crate::key_file::{Rewriting, write_encrypted_key_pair};
    pub use crate::path::{Place, resolved};
    pub use crate::plain_file::{open_plain, open_plain_with, read_plain, read_plain_text};
    pub use crate::replace::{Replacement, replace_file};
    pub use crate::resolved_path::ResolvedPath;
    pub use crate::storage::Storage;
    pub use crate::turn::{Turn, TurnError};
}

/// A block that is opened: its decrypted chunks as they come, the memory that they go to, and what is refused.
pub mod opening {
    pub use crate::open::{ChunkObserver, DecryptedChunk, OpenError};
    pub use crate::ring::{DecryptedBlock, PartReader};
    pub use deepring_memory::Protection;
}

/// Changes to a sealed ring that seal nothing anew: grants to more hosts, repairs from an intact copy.
pub mod maintenance {
    pub use crate::grant::{GrantError, Granter, deal_in, grant, grant_in};
    pub use crate::repair::chunks::{
        ChunkPlace, ChunkRepair, ChunkRepairError, MAX_CHUNK_BYTES, SealedChunk,
    };
    pub use crate::repair::{
        PreparedRepair, RepairError, Repaired, ToRepair, prepare_repair, repair,
    };
}

// Keys and trust.
pub use keys::{Host, Owner, PublicKey, SecretKey};
pub use trust::{Trust, TrustStore};

// Rings.
pub use block::{Header, Part, PartKind};
pub use crypto::Digest;
pub use finding::{Finding, Report, Section, Verdict};
pub use manifest::Manifest;
pub use open::OpeningKey;
pub use ring::{AuthenticRing, OpenedBlock, RingError, UnverifiedRing, VerifiedRing};
pub use ring_id::{RingId, RingKind};
pub use tensor::{DType, Dim, TensorSpec};

// What was computed.
pub use receipt::{Check, Coverage, Decision, TensorValue, VerifiedDecision};
