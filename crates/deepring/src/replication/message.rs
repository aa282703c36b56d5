//! The messages between the copies of a leg.
//!
//! ```text
//! query 32 | chain head 32 | kind 1 | contents
//!   1 commit:   commitment 32
//!   2 reveal:   nonce 32 | receipt
//!   3 record:   validation or objection | receipt that it is about, or nothing: list of at most 1
//!   4 activate: nothing
//! ```

use thiserror::Error;

use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::receipt::{Receipt, Validation};

/// One message about one leg of one query: the leg that follows the chain of this head.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The query.
    pub query: Digest,
    /// Digest of the newest record before the leg.
    pub head: Digest,
    pub(super) contents: Contents,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Contents {
    Commit(Digest),
    Reveal { nonce: [u8; 32], receipt: Box<Receipt> },
    Record { record: Box<Validation>, about: Option<Box<Receipt>> },
    Activate,
}

/// Why a message is not looked at. Nothing changes by it: who sends such a thing counts as absent
/// once the driver's patience ends.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The bytes are no message.
    #[error("not a message of a leg: {0}")]
    Malformed(#[from] DecodeError),
    /// It is about another query or another place in its chain.
    #[error("the message is about another query or leg")]
    OtherLeg,
    /// The sender is no other copy of the leg.
    #[error("the sender is no other copy of the leg")]
    NotACopy,
    /// The sender was given up, or said the same before.
    #[error("the sender has nothing more to say about this leg")]
    TooLate,
    /// The record or receipt is not what it must be.
    #[error("{0}")]
    Refused(crate::Finding),
}

/// Digest by which a copy commits to its receipt before it sees another's:
/// `BLAKE3.derive_key["deepring v1 reveal commitment"](nonce 32 || signed receipt)`. The receipt
/// names its signer, so that another's commitment, repeated, opens to nothing of one's own.
pub(super) fn commitment(nonce: &[u8; 32], receipt: &Receipt) -> Digest {
    let mut w = Writer::new();
    receipt.encode(&mut w);
    Digest::of(label::REVEAL, &[nonce, &w.finish()])
}

impl Message {
    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&self.query.0).raw(&self.head.0);
        match &self.contents {
            Contents::Commit(digest) => {
                w.u8(1).raw(&digest.0);
            }
            Contents::Reveal { nonce, receipt } => {
                w.u8(2).raw(nonce);
                receipt.encode(&mut w);
            }
            Contents::Record { record, about } => {
                w.u8(3);
                record.encode(&mut w);
                w.count(usize::from(about.is_some()));
                about.iter().for_each(|receipt| receipt.encode(&mut w));
            }
            Contents::Activate => {
                w.u8(4);
            }
        }
        w.finish()
    }

    /// Decodes a message strictly; verifies nothing.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let query = Digest(r.array("query")?);
        let head = Digest(r.array("chain head")?);
        let contents = match r.u8("message kind")? {
            1 => Contents::Commit(Digest(r.array("commitment")?)),
            2 => {
                let nonce = r.array("nonce")?;
                Contents::Reveal { nonce, receipt: Box::new(Receipt::decode(&mut r)?) }
            }
            3 => {
                let record = Box::new(Validation::decode(&mut r)?);
                let about = match r.count("receipts", 1, 64)? {
                    0 => None,
                    _ => Some(Box::new(Receipt::decode(&mut r)?)),
                };
                Contents::Record { record, about }
            }
            4 => Contents::Activate,
            found => {
                let found = u64::from(found);
                return Err(DecodeError::BadValue { field: "message kind", found });
            }
        };
        r.finish()?;
        Ok(Self { query, head, contents })
    }
}
