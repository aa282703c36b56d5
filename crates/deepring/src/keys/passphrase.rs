//! Passphrases that key files are encrypted with.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

/// Most bytes of a passphrase: a few lines, never a file that was taken for one.
pub const MAX_PASSPHRASE: usize = 1024;

/// The text that a person remembers, or a program is handed, to open a key file; wiped when it is dropped,
/// and never printed.
pub struct Passphrase(Zeroizing<String>);

/// A text that is no passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnusablePassphrase {
    /// It has no character: whoever has the file could open it.
    #[error("an empty passphrase protects nothing")]
    Empty,
    /// It is longer than [`MAX_PASSPHRASE`].
    #[error("a passphrase of more than {MAX_PASSPHRASE} bytes")]
    TooLong,
}

impl Passphrase {
    /// The passphrase with these characters, which are taken as they are.
    ///
    /// # Errors
    /// [`UnusablePassphrase`].
    pub fn new(text: Zeroizing<String>) -> Result<Self, UnusablePassphrase> {
        match text.len() {
            0 => Err(UnusablePassphrase::Empty),
            len if len > MAX_PASSPHRASE => Err(UnusablePassphrase::TooLong),
            _ => Ok(Self(text)),
        }
    }

    /// Its characters.
    #[cfg_attr(not(feature = "passphrase"), allow(dead_code, reason = "nothing is opened with it"))]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// Two that were typed are compared, and their maker learns nothing that he does not know.
impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes())
            .is_ok()
    }
}

impl Eq for Passphrase {}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Passphrase, UnusablePassphrase> {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_passphrase_has_a_character_and_an_end_and_is_never_shown() {
        assert_eq!(of(""), Err(UnusablePassphrase::Empty));
        assert_eq!(of(&"x".repeat(MAX_PASSPHRASE + 1)), Err(UnusablePassphrase::TooLong));
        assert!(of(&"x".repeat(MAX_PASSPHRASE)).is_ok());
        assert_eq!(of(" two words ").unwrap().expose(), " two words ");
        assert_eq!(format!("{:?}", of("secret")), "Ok(Passphrase(..))");
        assert_ne!(of("a"), of("b"));
    }
}
