//! A block: a public header and an encrypted body made of named parts.

mod chunk_check;
pub(crate) mod chunks;
pub(crate) mod header;
mod part;

pub use header::{Header, Recipient, RecipientRole};
pub(crate) use part::{MAX_PARTS, lay_out, own, shared_at};
pub use part::{Part, PartKind, SHARED_ALIGNMENT};
