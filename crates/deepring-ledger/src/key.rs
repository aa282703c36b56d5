//! The log's key: Ed25519, in the text forms of `c2sp.org/signed-note`.

use std::fmt;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine};
use ed25519_dalek::VerifyingKey;
use signed_note::{
    StandardSigner, StandardVerifier, VerificationError, Verifier, Verifiers, is_key_name_valid,
    key_id,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// Identifier of Ed25519 in signed-note keys.
const ALG_ED25519: u8 = 1;
const SECRET_PREFIX: &str = "PRIVATE+KEY+";

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text does not have the form `<name>+<hash>+<key>`, or the key is not an Ed25519 key.
    #[error("malformed key text")]
    Malformed,
    /// The hash in the text is not that of the name and the key.
    #[error("key text names another key than it holds")]
    WrongId,
    /// The key is of small order: one signature verifies for every checkpoint under it, so its
    /// holder could show each reader another log and deny all of them, and anybody could forge its
    /// signatures.
    #[error("a key under which one signature fits every checkpoint")]
    Weak,
    /// The name that a new ledger is to have is none that a signed note can name: empty, longer than
    /// 255 bytes, or with white space, control characters or `+` in it.
    #[error("not a name for a log")]
    BadName,
    /// The system has no randomness to make a key from.
    #[error("no randomness available")]
    NoRandomness,
}

/// The public key of a ledger: a signed-note verifier key, `<origin>+<hash>+<key>`.
///
/// A verifier of a checkpoint or a proof decides which key to trust; a key found beside a ledger
/// shows only that the files belong together.
#[derive(Clone)]
pub struct VerifierKey {
    text: String,
    note: StandardVerifier,
}

impl VerifierKey {
    /// Reads the text form; white space around it is ignored.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::WrongId`] and [`KeyError::Weak`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let note = StandardVerifier::new(text).map_err(|e| match e {
            signed_note::VerifierError::Id => KeyError::WrongId,
            _ => KeyError::Malformed,
        })?;
        let key = Self { text: text.to_owned(), note };
        // One key has one text, so that texts can be compared.
        let encoded = text.splitn(3, '+').nth(2).ok_or(KeyError::Malformed)?;
        let canonical = format!("{}+{:08x}+{encoded}", key.origin(), key.note.key_id());
        if canonical != key.text {
            return Err(KeyError::Malformed);
        }
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| KeyError::Malformed)?;
        let point = bytes.get(1..).and_then(|b| b.first_chunk::<32>());
        check_point(point.ok_or(KeyError::Malformed)?)?;
        Ok(key)
    }

    /// Returns whether both have the same public key, whatever they are called.
    pub(crate) fn has_key_of(&self, other: &Self) -> bool {
        let key = |key: &Self| key.text.splitn(3, '+').nth(2).map(str::to_owned);
        key(self) == key(other)
    }

    /// The same key under another name.
    pub(crate) fn renamed(&self, name: &str) -> Result<Self, KeyError> {
        let encoded = self.text.splitn(3, '+').nth(2).ok_or(KeyError::Malformed)?;
        let public = BASE64_STANDARD.decode(encoded).map_err(|_| KeyError::Malformed)?;
        Self::parse(&format!("{name}+{:08x}+{encoded}", key_id(name, &public)))
    }

    /// Name of the log, the first line of its checkpoints.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.note.name()
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for VerifierKey {}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({})", self.text)
    }
}

/// A set of one: signatures of other keys on a note, such as witnesses', are ignored.
impl Verifiers for VerifierKey {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        if name == self.note.name() && id == self.note.key_id() {
            Ok(&self.note)
        } else {
            Err(VerificationError::UnknownKey { name: name.to_owned(), id })
        }
    }
}

/// The signing key of a ledger.
pub(crate) struct LogKey {
    pub(crate) note: StandardSigner,
    /// The same key under the name by which it signs states.
    pub(crate) state: StandardSigner,
    pub(crate) verifier: VerifierKey,
}

impl LogKey {
    /// Makes a key for a log of this name, or of a new random one; returns its secret text form.
    pub(crate) fn generate(origin: Option<&str>) -> Result<Zeroizing<String>, KeyError> {
        let mut name = [0; 4];
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(&mut name).map_err(|_| KeyError::NoRandomness)?;
        rand::fill(seed.as_mut()).map_err(|_| KeyError::NoRandomness)?;
        let origin = match origin {
            Some(origin) if is_name(origin) => origin.to_owned(),
            Some(_) => return Err(KeyError::BadName),
            None => format!("deepring.local/ledger/{:08x}", u32::from_be_bytes(name)),
        };
        let public = public_half(seed.as_ref())?;
        let mut secret = Zeroizing::new([ALG_ED25519; 33]);
        secret[1..].copy_from_slice(seed.as_ref());
        Ok(Zeroizing::new(format!(
            "{SECRET_PREFIX}{origin}+{:08x}+{}\n",
            key_id(&origin, &public),
            Zeroizing::new(BASE64_STANDARD.encode(secret.as_slice())).as_str(),
        )))
    }

    /// Reads the secret text form.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let note = StandardSigner::new(text).map_err(|e| match e {
            signed_note::SignerError::Id => KeyError::WrongId,
            _ => KeyError::Malformed,
        })?;
        let rest = text.strip_prefix(SECRET_PREFIX).ok_or(KeyError::Malformed)?;
        let mut parts = rest.splitn(3, '+');
        let (Some(origin), Some(_), Some(secret)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(KeyError::Malformed);
        };
        let encoded = Zeroizing::new(secret.to_owned());
        let secret = BASE64_STANDARD.decode(secret).map_err(|_| KeyError::Malformed)?;
        let secret = Zeroizing::new(secret);
        let public = public_half(secret.get(1..).ok_or(KeyError::Malformed)?)?;
        let verifier = VerifierKey::parse(&format!(
            "{origin}+{:08x}+{}",
            key_id(origin, &public),
            BASE64_STANDARD.encode(&public)
        ))?;
        let name = state_name(origin);
        let renamed = Zeroizing::new(format!(
            "{SECRET_PREFIX}{name}+{:08x}+{}",
            key_id(&name, &public),
            encoded.as_str()
        ));
        let state = StandardSigner::new(&renamed).map_err(|_| KeyError::Malformed)?;
        Ok(Self { note, state, verifier })
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.verifier)
    }
}

/// Name under which a log's key signs states.
pub(crate) fn state_name(origin: &str) -> String {
    format!("{origin}/state")
}

/// Whether a ledger can have this name: one of a signed note, of at most 255 bytes and without control characters.
#[must_use]
pub fn is_log_name(origin: &str) -> bool {
    is_name(origin)
}

pub(crate) fn is_name(origin: &str) -> bool {
    is_key_name_valid(origin) && origin.len() <= 255 && !origin.chars().any(char::is_control)
}

/// Checks the curve point of a public key: not of small order, and in its one encoding.
pub(crate) fn check_point(point: &[u8; 32]) -> Result<(), KeyError> {
    let key = VerifyingKey::from_bytes(point).map_err(|_| KeyError::Malformed)?;
    if key.is_weak() {
        return Err(KeyError::Weak);
    }
    if key.to_edwards().compress().as_bytes() != point {
        return Err(KeyError::Malformed);
    }
    Ok(())
}

/// The public key of a seed, with the algorithm's identifier before it.
fn public_half(seed: &[u8]) -> Result<Vec<u8>, KeyError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Malformed)?;
    Ok([&[ALG_ED25519], pair.public_key().as_ref()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_reads_back_and_names_its_public_half() {
        // Often enough to see keys with `+` in their base64.
        for _ in 0..50 {
            let text = LogKey::generate(None).unwrap();
            let key = LogKey::parse(&text).unwrap();
            assert!(key.verifier.origin().starts_with("deepring.local/ledger/"));
            assert_eq!(VerifierKey::parse(key.verifier.as_str()), Ok(key.verifier.clone()));
            assert!(!format!("{key:?}").contains(text.trim()));
        }
    }

    /// Keys of the Go implementation's documentation (sumdb/note).
    #[test]
    fn the_public_half_is_the_one_other_implementations_derive() {
        let key = LogKey::parse(
            "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        )
        .unwrap();
        assert_eq!(
            key.verifier.as_str(),
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        );
    }

    /// A key text of these bytes, made as signed-note says.
    fn text_of(point: [u8; 32]) -> String {
        let public = [&[ALG_ED25519], point.as_slice()].concat();
        let id = key_id("example.com/log", &public);
        format!("example.com/log+{id:08x}+{}", BASE64_STANDARD.encode(&public))
    }

    /// The points of small order have five y coordinates (0, 1, -1 and two more), each with either
    /// sign, and two of them a second encoding beyond the field's order.
    #[test]
    fn a_key_of_small_order_is_refused_in_every_encoding() {
        let hex = |text: &str| -> [u8; 32] {
            let byte = |i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
            std::array::from_fn(byte)
        };
        let weak = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        for text in weak {
            for sign in [0, 0x80] {
                let mut point = hex(text);
                point[31] |= sign;
                let refused = VerifierKey::parse(&text_of(point)).unwrap_err();
                assert!(
                    matches!(refused, KeyError::Weak | KeyError::Malformed),
                    "{text}: {refused}"
                );
            }
            // Without the check they are keys: signed-note accepts them, so they must be refused
            // here.
            assert_eq!(VerifierKey::parse(&text_of(hex(text))), Err(KeyError::Weak), "{text}");
        }
    }

    #[test]
    fn a_second_encoding_of_an_ordinary_point_is_refused() {
        // y = 3 is on the curve, and so is y = 3 + p, which is the same point.
        let (mut once, mut twice) = ([0; 32], [0xff; 32]);
        (once[0], twice[0], twice[31]) = (3, 0xf0, 0x7f);
        VerifierKey::parse(&text_of(once)).unwrap();
        assert_eq!(VerifierKey::parse(&text_of(twice)), Err(KeyError::Malformed));
    }

    #[test]
    fn a_key_is_made_for_a_name_that_notes_can_name() {
        let text = LogKey::generate(Some("example.com/a-log")).unwrap();
        assert_eq!(LogKey::parse(&text).unwrap().verifier.origin(), "example.com/a-log");
        let long = "a".repeat(256);
        for bad in ["", "a log", "a+log", "a\nlog", "a\u{7}log", "a\u{a0}log", &long] {
            assert_eq!(LogKey::generate(Some(bad)).unwrap_err(), KeyError::BadName, "{bad:?}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "a", "a+b+c", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"]
        {
            assert!(VerifierKey::parse(text).is_err(), "{text}");
            assert!(LogKey::parse(text).is_err(), "{text}");
        }
        // The same key with its hash in capitals would be a second text for one key.
        let capitals = "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(VerifierKey::parse(capitals), Err(KeyError::Malformed));
    }
}
