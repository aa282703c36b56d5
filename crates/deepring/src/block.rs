//! What a block is: a public header and an encrypted body made of named parts.

pub(crate) mod chunks;
pub(crate) mod header;
mod part;

pub use header::{Header, Recipient, RecipientRole};
pub(crate) use part::{MAX_PARTS, SHARED_ALIGNMENT, lay_out, own, shared_at};
pub use part::{Part, PartKind, checked_by};
