//! Nodes that keep one log together cosign its checkpoints as witnesses do: what is signed is the body,
//! which is equal at all of them, so that each one's lines fit every other's checkpoint.

use deepring::SecretKey;
use deepring::keys::Node;
use signed_note::Signature;
use thiserror::Error;

use super::cosignature::{Cosignature, CosignatureError, cosignature, signature};
use super::key::{WitnessKey, WitnessKeyError};
use crate::checkpoint::CheckpointBody;

/// Why a node cannot cosign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CosignError {
    /// The time is zero, by which a cosigner says nothing about what it saw last, or beyond 2^63 - 1.
    #[error("no cosignature has the time {timestamp}")]
    Time {
        /// The time, in seconds since the Unix epoch.
        timestamp: u64,
    },
    /// The node's key is none that readers take.
    #[error("the node's key is not a witness's: {0}")]
    Key(#[from] WitnessKeyError),
    /// There was no memory to sign with.
    #[error("the checkpoint could not be signed")]
    NotSigned,
}

impl CheckpointBody {
    /// Cosigns this as a node, at a time in seconds since the Unix epoch (`c2sp.org/tlog-cosignature`,
    /// type 0x04): the signature line, with the line feed that ends it. A node must have
    /// this body's entries on stable storage, and have cosigned no other body of its size.
    ///
    /// # Errors
    /// [`CosignError`].
    pub fn cosign(&self, node: &SecretKey<Node>, timestamp: u64) -> Result<String, CosignError> {
        if timestamp == 0 || i64::try_from(timestamp).is_err() {
            return Err(CosignError::Time { timestamp });
        }
        let key = WitnessKey::of_node(&node.public())?;
        let signed = node.cosign(timestamp, &self.to_string());
        if signed == [0; 64] {
            return Err(CosignError::NotSigned);
        }
        let signed = [timestamp.to_be_bytes().as_slice(), &signed].concat();
        let line = Signature::new(key.name().to_owned(), key.id(), signed);
        let line = line.map_err(|_| WitnessKeyError::Malformed)?;
        Ok(String::from_utf8_lossy(&line.to_bytes()).into_owned())
    }

    /// Verifies that a signature line (with or without its line feed) is one of these keys' cosignature
    /// of this body.
    ///
    /// # Errors
    /// [`CosignatureError`].
    pub fn cosignature(
        &self,
        line: &str,
        keys: &[WitnessKey],
    ) -> Result<Cosignature, CosignatureError> {
        let line = signature(0, line.strip_suffix('\n').unwrap_or(line))?;
        let found = cosignature(self, &self.to_string(), &line, keys)?;
        found.ok_or(CosignatureError::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};

    use super::*;

    fn node(n: u8) -> SecretKey<Node> {
        SecretKey::from_halves(&[n; 32], &[n + 100; 32]).unwrap()
    }

    fn body(size: u64) -> CheckpointBody {
        CheckpointBody::parse(&format!(
            "example.com/log\n{size}\n{}\n",
            BASE64_STANDARD.encode([size as u8; 32])
        ))
        .unwrap()
    }

    #[test]
    fn what_a_node_cosigned_verifies_and_nothing_near_it_does() {
        let keys = [1, 2].map(|n| WitnessKey::of_node(&node(n).public()).unwrap());
        let line = body(7).cosign(&node(1), 1_700_000_000).unwrap();
        let found = body(7).cosignature(&line, &keys).unwrap();
        assert_eq!((found.witness(), found.timestamp()), (&keys[0], 1_700_000_000));

        let wrong = CosignatureError::Wrong { witness: keys[0].name().to_owned() };
        assert_eq!(body(8).cosignature(&line, &keys), Err(wrong));
        assert_eq!(body(7).cosignature(&line, &keys[1..]), Err(CosignatureError::Unknown));
        assert_eq!(
            body(7).cosignature("seven", &keys),
            Err(CosignatureError::NotALine { line: 1 })
        );
        for timestamp in [0, 1 << 63] {
            let refused = body(7).cosign(&node(1), timestamp);
            assert_eq!(refused, Err(CosignError::Time { timestamp }));
        }
    }

    #[test]
    fn a_body_has_one_text() {
        let text = body(7).to_string();
        assert_eq!(CheckpointBody::parse(&text), Ok(body(7)));
        for other in [
            text.trim_end().to_owned(),
            format!("{text}extension\n"),
            text.replacen("\n7\n", "\n07\n", 1),
            text.replacen("\n7\n", "\n+7\n", 1),
            text.replacen("\n7\n", "\n0\n", 1),
            format!("\n{text}"),
            String::new(),
        ] {
            assert!(CheckpointBody::parse(&other).is_err(), "{other:?}");
        }
    }
}
