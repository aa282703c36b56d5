//! Format, keys, rings, verification and receipts of DeepRing.
#![forbid(unsafe_code)]

mod block;
mod copy;
mod crypto;
mod encoding;
mod grant;
mod keys;
mod manifest;
mod open;
mod receipt;
mod repair;
mod replace;
mod ring;
mod seal;
mod tensor;
mod trust;

pub use block::{Header, Part, PartKind, Recipient, RecipientRole};
pub use crypto::{Digest, NoRandomness};
pub use encoding::{DecodeError, Reader, Writer};
pub use grant::{GrantError, grant};
pub use keys::{
    Host, KeyFileError, Owner, ParseKeyError, PublicKey, Role, SecretKey, UnusableKey,
    write_key_pair,
};
pub use manifest::Manifest;
pub use open::{OpenError, OpeningKey};
pub use receipt::{
    Chain, ChainError, Check, Decision, Item, Opening, Parcel, ParcelError, Receipt, ReceiptError,
    TensorValue, ValueError, VerifiedChain, VerifiedDecision, batch_digest, tensors_digest,
};
pub use repair::{RepairError, Repaired, repair};
pub use replace::replace_file;
pub use ring::{
    AuthenticRing, Finding, OpenedBlock, PartName, Report, RingError, RingId, Storage,
    UnverifiedRing, Verdict, VerifiedRing,
};
pub use seal::{BlockPlan, RingPlan, RingSealer, SealError, Sealed};
pub use tensor::{DType, Dim, TensorSpec};
pub use trust::{Trust, TrustError, TrustStore};
