//! Text form of keys: Bech32m, so that a mistyped character is noticed and the role can be read.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Host, Owner, PublicKey, Role, SecretKey};

/// Why a text is not a key of the role asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// No line of the text is a key.
    #[error("no key found in the text")]
    Missing,
    /// The text is a key, but of another role or of the other kind.
    #[error("this is {found}, not {expected}")]
    WrongKind {
        /// What the text holds.
        found: &'static str,
        /// What was asked for.
        expected: String,
    },
    /// The text is damaged: bad characters, checksum or length.
    #[error("the key's text is damaged")]
    Damaged,
}

impl<R: Role> fmt::Display for PublicKey<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hrp = Hrp::parse(R::PUBLIC_PREFIX).map_err(|_| fmt::Error)?;
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, hrp, self.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl<R: Role> FromStr for PublicKey<R> {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let bytes = decode(text, R::PUBLIC_PREFIX, || format!("{} public key", an::<R>()))?;
        Ok(Self::from_bytes(*bytes))
    }
}

impl<R: Role> SecretKey<R> {
    /// The secret's text form; wiped when dropped. For writing to a key file, nothing else.
    #[must_use]
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let text = Hrp::parse(R::SECRET_PREFIX).ok().and_then(|hrp| {
            bech32::encode_upper::<Bech32m>(hrp, self.secret_bytes().as_ref()).ok()
        });
        Zeroizing::new(text.unwrap_or_default())
    }

    /// Reads a secret key from a key file's text (comment lines start with `#`).
    pub fn from_secret_text(text: &str) -> Result<Self, ParseKeyError> {
        let bytes = decode(text, R::SECRET_PREFIX, || format!("{} secret key", an::<R>()))?;
        let (mut seed, mut opening) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        seed.copy_from_slice(&bytes[..32]);
        opening.copy_from_slice(&bytes[32..]);
        Self::from_halves(&seed, &opening).map_err(|_| ParseKeyError::Damaged)
    }
}

fn an<R: Role>() -> String {
    let article = if R::NAME.starts_with('o') { "an" } else { "a" };
    format!("{article} {}", R::NAME)
}

/// The 64 bytes of the first line that is neither empty nor a comment.
fn decode(
    text: &str,
    prefix: &str,
    expected: impl Fn() -> String,
) -> Result<Zeroizing<[u8; 64]>, ParseKeyError> {
    let line = text
        .lines()
        .map(str::trim)
        .find(|l| !l.is_empty() && !l.starts_with('#'))
        .ok_or(ParseKeyError::Missing)?;
    let checked = CheckedHrpstring::new::<Bech32m>(line).map_err(|_| ParseKeyError::Damaged)?;
    let hrp = checked.hrp().to_lowercase();
    if hrp != prefix {
        let found = kind_of(&hrp).ok_or(ParseKeyError::Damaged)?;
        return Err(ParseKeyError::WrongKind { found, expected: expected() });
    }
    // The same rule as for SegWit addresses: few padding bits, all zero. One key, one text.
    checked.validate_segwit_padding().map_err(|_| ParseKeyError::Damaged)?;
    let mut out = Zeroizing::new([0; 64]);
    let mut n = 0;
    for byte in checked.byte_iter() {
        *out.get_mut(n).ok_or(ParseKeyError::Damaged)? = byte;
        n += 1;
    }
    if n == out.len() { Ok(out) } else { Err(ParseKeyError::Damaged) }
}

fn kind_of(hrp: &str) -> Option<&'static str> {
    Some(match hrp {
        _ if hrp == Owner::PUBLIC_PREFIX => "an owner public key",
        _ if hrp == Owner::SECRET_PREFIX => "an owner secret key",
        _ if hrp == Host::PUBLIC_PREFIX => "a host public key",
        _ if hrp == Host::SECRET_PREFIX => "a host secret key",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_text_form() {
        let key = SecretKey::<Owner>::generate().unwrap();
        let text = format!("# a comment\n\n{}\n", *key.to_secret_text());
        let back = SecretKey::<Owner>::from_secret_text(&text).unwrap();
        assert_eq!(back.public(), key.public());
        assert_eq!(key.public().to_string().parse::<PublicKey<Owner>>().unwrap(), key.public());
    }

    #[test]
    fn a_key_of_the_other_role_or_kind_is_named() {
        let key = SecretKey::<Host>::generate().unwrap();
        let err = key.public().to_string().parse::<PublicKey<Owner>>().unwrap_err();
        assert_eq!(err.to_string(), "this is a host public key, not an owner public key");
        let err = SecretKey::<Host>::from_secret_text(&key.public().to_string()).unwrap_err();
        assert_eq!(err.to_string(), "this is a host public key, not a host secret key");
    }

    #[test]
    fn a_changed_character_is_noticed() {
        let text = SecretKey::<Host>::generate().unwrap().public().to_string();
        for (i, c) in text.char_indices().skip("drhost1".len()) {
            let other = if c == 'q' { 'p' } else { 'q' };
            let mut bad = text.clone();
            bad.replace_range(i..=i, &other.to_string());
            assert_eq!(bad.parse::<PublicKey<Host>>(), Err(ParseKeyError::Damaged));
        }
    }

    #[test]
    fn debug_does_not_show_secrets() {
        let key = SecretKey::<Host>::generate().unwrap();
        let shown = format!("{key:?}");
        assert!(!shown.to_lowercase().contains("secret1"));
        assert!(!shown.contains(key.to_secret_text().as_str()));
    }
}
