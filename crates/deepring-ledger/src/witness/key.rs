//! The public key of a witness: a signed-note verifier key of a type that cosigns.

use std::fmt;

use aws_lc_rs::signature::{ED25519, ML_DSA_44, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use deepring::PublicKey;
use deepring::keys::Node;
use signed_note::key_id;
use thiserror::Error;

use crate::checkpoint::CheckpointBody;
use crate::key::{KeyError, check_point, is_name};

/// Types of cosignatures in signed-note keys (`c2sp.org/tlog-cosignature`, "Format").
pub(super) const ED25519_COSIGNATURE: u8 = 0x04;
const ML_DSA_44_COSIGNATURE: u8 = 0x06;
/// Length of an encoded public key of ML-DSA-44 (FIPS 204, section 4).
const ML_DSA_44_KEY: usize = 1312;
/// Longest key text that is read, in bytes; one of ML-DSA-44 has 2100.
const MAX_TEXT: usize = 4096;

/// Why a text is not a witness's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WitnessKeyError {
    /// The text does not have the form `<name>+<hash>+<key>`, or the key is none of its type.
    #[error("malformed key text")]
    Malformed,
    /// The hash in the text is not that of the name and the key.
    #[error("key text names another key than it holds")]
    WrongId,
    /// The key signs, but not cosignatures; a log's key is of type 1.
    #[error("key is of type {found}; a witness's is of type 4 (Ed25519) or 6 (ML-DSA-44)")]
    OtherType {
        /// The type's byte.
        found: u8,
    },
    /// An Ed25519 key of small order, under which one signature fits every checkpoint.
    #[error("a key under which one signature fits every checkpoint")]
    Weak,
}

/// A witness's public key: its name, and an Ed25519 or ML-DSA-44 key of a cosigner.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessKey {
    text: String,
    name: String,
    id: u32,
    public: Public,
}

/// The bytes that verify, by their type. Witnesses of one key under several names are one witness.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Public {
    Ed25519([u8; 32]),
    MlDsa44(Box<[u8; ML_DSA_44_KEY]>),
}

impl WitnessKey {
    /// Reads the text form (`c2sp.org/signed-note`, "Verifier keys"); white space around it is
    /// ignored. The base64 may contain `+`, the name may not.
    ///
    /// # Errors
    /// [`WitnessKeyError`].
    pub fn parse(text: &str) -> Result<Self, WitnessKeyError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(WitnessKeyError::Malformed);
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(WitnessKeyError::Malformed);
        };
        let key = BASE64_STANDARD.decode(encoded).map_err(|_| WitnessKeyError::Malformed)?;
        let Some((kind, public)) = key.split_first().filter(|_| is_name(name)) else {
            return Err(WitnessKeyError::Malformed);
        };
        let id = key_id(name, &key);
        // One key has one text: eight digits in small letters.
        if format!("{id:08x}") != hash {
            let is_hash =
                hash.len() == 8 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            return Err(if is_hash {
                WitnessKeyError::WrongId
            } else {
                WitnessKeyError::Malformed
            });
        }
        let public = match *kind {
            ED25519_COSIGNATURE => {
                let point = public.try_into().map_err(|_| WitnessKeyError::Malformed)?;
                check_point(&point).map_err(|e| match e {
                    KeyError::Weak => WitnessKeyError::Weak,
                    _ => WitnessKeyError::Malformed,
                })?;
                Public::Ed25519(point)
            }
            ML_DSA_44_COSIGNATURE => {
                let public = public.try_into().map_err(|_| WitnessKeyError::Malformed)?;
                Public::MlDsa44(Box::new(public))
            }
            found => return Err(WitnessKeyError::OtherType { found }),
        };
        Ok(Self { text: text.to_owned(), name: name.to_owned(), id, public })
    }

    /// The key under which a node of a validator set cosigns checkpoints; its name is the text of the node's public key.
    ///
    /// # Errors
    /// [`WitnessKeyError::Weak`] and [`WitnessKeyError::Malformed`] where its second half is no Ed25519 key.
    pub fn of_node(node: &PublicKey<Node>) -> Result<Self, WitnessKeyError> {
        let name = node.to_string();
        let key = [&[ED25519_COSIGNATURE], node.cosigner().as_slice()].concat();
        let encoded = BASE64_STANDARD.encode(&key);
        Self::parse(&format!("{name}+{:08x}+{encoded}", key_id(&name, &key)))
    }

    /// Name of the witness, as in its signature lines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Returns whether both have the same public key, whatever they are called.
    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        self.public == other.public
    }

    /// Bytes of a signature of its type, without the timestamp.
    pub(super) fn signature_len(&self) -> usize {
        match self.public {
            Public::Ed25519(_) => 64,
            Public::MlDsa44(_) => 2420,
        }
    }

    /// Verifies a cosignature's signature (`c2sp.org/tlog-cosignature`, "signed message").
    pub(super) fn verifies(
        &self,
        body: &CheckpointBody,
        note_text: &str,
        timestamp: u64,
        signature: &[u8],
    ) -> bool {
        match &self.public {
            Public::Ed25519(key) => {
                let message = format!("cosignature/v1\ntime {timestamp}\n{note_text}");
                UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), signature).is_ok()
            }
            Public::MlDsa44(key) => subtree(&self.name, body, timestamp).is_some_and(|message| {
                UnparsedPublicKey::new(&ML_DSA_44, key.as_slice())
                    .verify(&message, signature)
                    .is_ok()
            }),
        }
    }
}

/// The `cosigned_message` of a whole checkpoint; none where a name is too long for it.
fn subtree(cosigner: &str, checkpoint: &CheckpointBody, timestamp: u64) -> Option<Vec<u8>> {
    let mut message = b"subtree/v1\n\0".to_vec();
    message.push(u8::try_from(cosigner.len()).ok()?);
    message.extend_from_slice(cosigner.as_bytes());
    message.extend_from_slice(&timestamp.to_be_bytes());
    message.push(u8::try_from(checkpoint.origin().len()).ok()?);
    message.extend_from_slice(checkpoint.origin().as_bytes());
    message.extend_from_slice(&0u64.to_be_bytes());
    message.extend_from_slice(&checkpoint.size().to_be_bytes());
    message.extend_from_slice(checkpoint.root());
    Some(message)
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessKey({}+{:08x})", self.name, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, key: &[u8]) -> String {
        format!("{name}+{:08x}+{}", key_id(name, key), BASE64_STANDARD.encode(key))
    }

    /// y = 3 is on the curve.
    fn point() -> [u8; 32] {
        let mut point = [0; 32];
        point[0] = 3;
        point
    }

    #[test]
    fn a_witness_key_is_of_a_type_that_cosigns() {
        let key = [&[4], point().as_slice()].concat();
        let read = WitnessKey::parse(&text("witness.example/w", &key)).unwrap();
        assert_eq!(read.name(), "witness.example/w");
        let key = [&[6], [7; ML_DSA_44_KEY].as_slice()].concat();
        WitnessKey::parse(&text("witness.example/w", &key)).unwrap();
        for found in [0, 1, 2, 5, 7, 0xff] {
            let key = [&[found], point().as_slice()].concat();
            let refused = WitnessKey::parse(&text("w", &key));
            assert_eq!(refused.unwrap_err(), WitnessKeyError::OtherType { found });
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let key = [&[4], point().as_slice()].concat();
        let good = text("w", &key);
        let hash = &good[2..10];
        let longer = [key.as_slice(), &[0]].concat();
        let weak = [&[4, 1], [0; 31].as_slice()].concat();
        let off_curve = [&[4, 2], [0; 31].as_slice()].concat();
        let short = [6; ML_DSA_44_KEY];
        for (bad, error) in [
            ("", WitnessKeyError::Malformed),
            ("w+00000000", WitnessKeyError::Malformed),
            (&good.replace(hash, &hash.to_uppercase()), WitnessKeyError::Malformed),
            (&good.replace(hash, "00000000"), WitnessKeyError::WrongId),
            (&good.replacen('w', "v", 1), WitnessKeyError::WrongId),
            (&text("a w", &key), WitnessKeyError::Malformed),
            (&text("", &key), WitnessKeyError::Malformed),
            (&text(&"w".repeat(256), &key), WitnessKeyError::Malformed),
            (&text("w", &longer), WitnessKeyError::Malformed),
            (&text("w", &short), WitnessKeyError::Malformed),
            (&text("w", &off_curve), WitnessKeyError::Malformed),
            (&text("w", &weak), WitnessKeyError::Weak),
            (&format!("{good}{}", "=".repeat(MAX_TEXT)), WitnessKeyError::Malformed),
        ] {
            // A hash without letters has no capitals.
            if bad == good {
                continue;
            }
            assert_eq!(WitnessKey::parse(bad).unwrap_err(), error, "{bad}");
        }
    }
}
