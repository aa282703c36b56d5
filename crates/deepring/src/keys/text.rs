//! Text form of keys: Bech32m, so that a mistyped character is detected and the role can be read.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use deepring_memory::SecretBytes;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Host, Node, Owner, PUBLIC_LEN, PublicKey, Role, SECRET_LEN, SecretKey};
use crate::crypto::stack;

/// Most characters of a key's text: 64 bytes are 103 characters, prefix and checksum at most 20
/// more.
const MAX_TEXT: usize = 160;

/// The line that an encrypted key file begins with (c2sp.org/age, section "ASCII armor").
pub(crate) const ARMOR: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// Why a text is not a key of the expected role.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// No line of the text is a key.
    #[error("no key found in the text")]
    Missing,
    /// The text is a key, but of another role or of the other kind.
    #[error("this is {found}, not {expected}")]
    WrongKind {
        /// The kind of key in the text.
        found: &'static str,
        /// The expected kind of key.
        expected: String,
    },
    /// The text is a key file under a passphrase.
    #[error("this secret key is encrypted with a passphrase")]
    Encrypted,
    /// The file is not text, or text in another encoding.
    #[error("this is no UTF-8 text: another kind of file, or saved as UTF-16")]
    NotText,
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
        let mut bytes = [0; PUBLIC_LEN];
        decode(text, R::PUBLIC_PREFIX, "public key", an::<R>(), &mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }
}

impl<R: Role> SecretKey<R> {
    /// The secret's text form; wiped when dropped. For writing to a key file, nothing else.
    #[must_use]
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        // As large as it gets: a string that grows leaves its earlier copies behind, unwiped.
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        if let Ok(hrp) = Hrp::parse(R::SECRET_PREFIX) {
            stack::wiped(|| {
                let secret = self.secret_bytes();
                // Writing to a string does not fail, and a key is shorter than the code's limit.
                let _ = bech32::encode_upper_to_fmt::<Bech32m, _>(&mut *text, hrp, secret);
            });
        }
        text
    }

    /// Reads a secret key from a key file's text (comment lines start with `#`).
    ///
    /// # Errors
    /// [`ParseKeyError::Missing`] where no line is a key; [`ParseKeyError::WrongKind`] for a public
    /// key or another role's; else [`ParseKeyError::Damaged`], also where there is no memory to
    /// keep the key in.
    pub fn from_secret_text(text: &str) -> Result<Self, ParseKeyError> {
        let mut decoded = Err(ParseKeyError::Damaged);
        let secret = SecretBytes::filled(SECRET_LEN, |place| {
            decoded =
                stack::wiped(|| decode(text, R::SECRET_PREFIX, "secret key", an::<R>(), place));
            decoded.is_ok()
        });
        decoded?;
        let secret = secret.ok_or(ParseKeyError::Damaged)?;
        Self::from_secret(secret).map_err(|_| ParseKeyError::Damaged)
    }
}

fn an<R: Role>() -> String {
    let article = if R::NAME.starts_with('o') { "an" } else { "a" };
    format!("{article} {}", R::NAME)
}

/// The line that is the key, or begins it: the first that is neither empty nor a comment.
pub(crate) fn key_line(text: &str) -> Option<&str> {
    // An editor's byte order mark is no character of the key.
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.find(|l| !l.is_empty() && !l.starts_with('#'))
}

/// Decodes the first line that is neither empty nor a comment into `out`, which must be exactly as
/// long.
fn decode(
    text: &str,
    prefix: &str,
    kind: &str,
    role: String,
    out: &mut [u8],
) -> Result<(), ParseKeyError> {
    let line = key_line(text).ok_or(ParseKeyError::Missing)?;
    if line == ARMOR {
        return Err(ParseKeyError::Encrypted);
    }
    let checked = CheckedHrpstring::new::<Bech32m>(line).map_err(|_| ParseKeyError::Damaged)?;
    let hrp = checked.hrp().to_lowercase();
    if hrp != prefix {
        let found = kind_of(&hrp).ok_or(ParseKeyError::Damaged)?;
        return Err(ParseKeyError::WrongKind { found, expected: format!("{role} {kind}") });
    }
    // The same rule as for SegWit addresses: few padding bits, all zero. One key, one text.
    checked.validate_segwit_padding().map_err(|_| ParseKeyError::Damaged)?;
    let mut n = 0;
    for byte in checked.byte_iter() {
        *out.get_mut(n).ok_or(ParseKeyError::Damaged)? = byte;
        n += 1;
    }
    if n == out.len() { Ok(()) } else { Err(ParseKeyError::Damaged) }
}

fn kind_of(hrp: &str) -> Option<&'static str> {
    Some(match hrp {
        _ if hrp == Owner::PUBLIC_PREFIX => "an owner public key",
        _ if hrp == Owner::SECRET_PREFIX => "an owner secret key",
        _ if hrp == Host::PUBLIC_PREFIX => "a host public key",
        _ if hrp == Host::SECRET_PREFIX => "a host secret key",
        _ if hrp == Node::PUBLIC_PREFIX => "a node public key",
        _ if hrp == Node::SECRET_PREFIX => "a node secret key",
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
    fn what_an_editor_puts_around_a_key_is_not_part_of_it() {
        let key = SecretKey::<Owner>::generate().unwrap();
        for (before, after) in
            [("\u{feff}", ""), ("\u{feff}# a comment\r\n", "\r\n"), ("\r\n\t ", " \t\r\n\r\n")]
        {
            let text = format!("{before}{}{after}", key.public());
            assert_eq!(text.parse::<PublicKey<Owner>>().unwrap(), key.public(), "{text:?}");
            let text = format!("{before}{}{after}", *key.to_secret_text());
            assert_eq!(SecretKey::<Owner>::from_secret_text(&text).unwrap().public(), key.public());
        }
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
