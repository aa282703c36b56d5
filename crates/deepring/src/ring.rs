//! The ring: file layout, closure, and the path from bytes to verified types.
//!
//! Each step returns a type that nothing else can make: [`UnverifiedRing`] (a file with the frame
//! of a ring) → [`AuthenticRing`] (closure, headers and links are the trusted owner's, and not
//! older than a version seen before) → [`VerifiedRing`] (every byte of every body, too).

pub(crate) mod closure;
pub(crate) mod layout;
mod opened;
mod part_reader;
mod remembered;
mod unverified;
mod verified;
mod wiring;

pub use opened::{DecryptedBlock, OpenedBlock};
pub use part_reader::PartReader;
pub use unverified::UnverifiedRing;
pub use verified::{AuthenticRing, RingError, VerifiedRing};
pub(crate) use wiring::verify_sharing;
