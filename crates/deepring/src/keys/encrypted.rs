//! The text of a key file under a passphrase: an armored age file (c2sp.org/age) with one scrypt
//! recipient.

use std::io::Read as _;
use std::iter;

use age::armor::ArmoredReader;
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, scrypt};
use thiserror::Error;
use zeroize::Zeroizing;

use super::Passphrase;
use crate::crypto::stack;

/// scrypt's N is 2 to this power in what is written: 256 MiB, and about a second.
const WORK_WRITTEN: u8 = 18;

/// The same in what is read: 1 GiB, and some seconds. A file can ask for any N, and whoever planted
/// it would have the reader's memory and hours of its time.
pub const MAX_WORK: u8 = 20;

/// Most bytes of the text inside.
const MAX_PLAIN: u64 = 16 * 1024;

/// Why an encrypted key file does not open, or was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncryptedKeyError {
    /// The passphrase is another one. (A file whose wrapped key is damaged cannot be told apart.)
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// It asks for more work than a key file may.
    #[error("it asks for scrypt with N = 2^{asked}, more than the 2^{MAX_WORK} allowed")]
    TooMuchWork {
        /// Logarithm of the N that it asks for.
        asked: u8,
    },
    /// It is encrypted for keys, not with a passphrase.
    #[error("it is encrypted for other keys, not with a passphrase")]
    NotByPassphrase,
    /// It is no armored age file, or not the one that was written.
    #[error("the encrypted text is damaged")]
    Damaged,
    /// The library did not encrypt.
    #[error("it could not be encrypted")]
    NotEncrypted,
}

/// Encrypts a key file's text.
pub(crate) fn encrypt(text: &str, passphrase: &Passphrase) -> Result<String, EncryptedKeyError> {
    encrypt_with(text, passphrase, WORK_WRITTEN)
}

/// The same, with this work; `work` is between 1 and 63.
pub(crate) fn encrypt_with(
    text: &str,
    passphrase: &Passphrase,
    work: u8,
) -> Result<String, EncryptedKeyError> {
    stack::wiped(|| {
        let mut recipient = scrypt::Recipient::new(secret(passphrase));
        recipient.set_work_factor(work);
        age::encrypt_and_armor(&recipient, text.as_bytes())
            .map_err(|_| EncryptedKeyError::NotEncrypted)
    })
}

/// Decrypts a key file's text; the work that it may ask for is bounded by [`MAX_WORK`].
pub(crate) fn decrypt(
    armored: &str,
    passphrase: &Passphrase,
) -> Result<Zeroizing<String>, EncryptedKeyError> {
    decrypt_within(armored, passphrase, MAX_WORK)
}

/// The same, with another bound.
pub(crate) fn decrypt_within(
    armored: &str,
    passphrase: &Passphrase,
    max_work: u8,
) -> Result<Zeroizing<String>, EncryptedKeyError> {
    stack::wiped(|| {
        let reader = ArmoredReader::new(armored.as_bytes());
        let decryptor = Decryptor::new_buffered(reader).map_err(|_| EncryptedKeyError::Damaged)?;
        if !decryptor.is_scrypt() {
            return Err(EncryptedKeyError::NotByPassphrase);
        }
        let mut identity = scrypt::Identity::new(secret(passphrase));
        identity.set_max_work_factor(max_work);
        let opened = decryptor.decrypt(iter::once(&identity as &dyn age::Identity));
        let reader = opened.map_err(|e| refused(&e, max_work))?;
        // As large as it may get: a buffer that grows leaves its earlier copies behind, unwiped.
        let mut plain = Zeroizing::new(Vec::with_capacity(MAX_PLAIN as usize + 64));
        reader
            .take(MAX_PLAIN + 1)
            .read_to_end(&mut plain)
            .map_err(|_| EncryptedKeyError::Damaged)?;
        let text = std::str::from_utf8(&plain).map_err(|_| EncryptedKeyError::Damaged)?;
        if plain.len() as u64 > MAX_PLAIN {
            return Err(EncryptedKeyError::Damaged);
        }
        let mut out = Zeroizing::new(String::with_capacity(text.len()));
        out.push_str(text);
        Ok(out)
    })
}

// The library's own text of an error is not asked for: it computes with what the file says.
fn refused(e: &DecryptError, max_work: u8) -> EncryptedKeyError {
    match e {
        DecryptError::DecryptionFailed => EncryptedKeyError::WrongPassphrase,
        DecryptError::ExcessiveWork { required, .. } if *required > max_work => {
            EncryptedKeyError::TooMuchWork { asked: *required }
        }
        _ => EncryptedKeyError::Damaged,
    }
}

/// The passphrase as the library takes it, which wipes it.
fn secret(passphrase: &Passphrase) -> SecretString {
    let text = passphrase.expose();
    // With no room to spare: making a box of it must not copy it.
    let mut copy = String::with_capacity(text.len());
    copy.push_str(text);
    SecretString::from(copy)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use age::armor::{ArmoredWriter, Format};

    use super::*;

    /// 1 MiB and a few milliseconds.
    const LITTLE: u8 = 10;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    /// The bytes of an age file, in armor.
    fn armored(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        let mut writer = ArmoredWriter::wrap_output(&mut out, Format::AsciiArmor).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    /// An age file for the passphrase `right`, without armor.
    fn bytes_of(text: &[u8]) -> Vec<u8> {
        let mut recipient = scrypt::Recipient::new(secret(&passphrase("right")));
        recipient.set_work_factor(LITTLE);
        age::encrypt(&recipient, text).unwrap()
    }

    fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    }

    fn open(text: &str) -> Result<String, EncryptedKeyError> {
        decrypt(text, &passphrase("right")).map(|plain| plain.to_string())
    }

    #[test]
    fn what_is_encrypted_opens_with_its_passphrase_and_no_other() {
        let right = passphrase("rïght 🔑");
        let text = encrypt_with("# a comment\nKEY\n", &right, LITTLE).unwrap();
        assert_eq!(*decrypt(&text, &right).unwrap(), "# a comment\nKEY\n");
        for wrong in ["rïght 🔑 ", "Rïght 🔑", "x"] {
            let refused = decrypt(&text, &passphrase(wrong)).unwrap_err();
            assert_eq!(refused, EncryptedKeyError::WrongPassphrase);
        }
    }

    #[test]
    fn more_work_than_is_allowed_is_refused_before_any_is_done() {
        let bytes = bytes_of(b"KEY");
        assert_eq!(open(&armored(&bytes)).as_deref(), Ok("KEY"));
        for asked in [21, 22, 31, 40, 63, 64, 255] {
            let more = replaced(&bytes, b" 10\n", format!(" {asked}\n").as_bytes());
            assert_eq!(open(&armored(&more)), Err(EncryptedKeyError::TooMuchWork { asked }));
        }
        for no_number in [" 0\n", " 00\n", " 010\n", " 256\n", " -1\n", " x\n", "\n"] {
            let other = replaced(&bytes, b" 10\n", no_number.as_bytes());
            assert_eq!(open(&armored(&other)), Err(EncryptedKeyError::Damaged), "{no_number:?}");
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let bytes = bytes_of(b"KEY");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let text = armored(&changed);
            // Not more than the true amount of work, many times over.
            let refused = decrypt_within(&text, &passphrase("right"), LITTLE + 1);
            assert!(refused.is_err(), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert!(open(&armored(&bytes[..len])).is_err(), "the first {len} bytes");
        }
        let more = [&bytes[..], b"x"].concat();
        assert!(open(&armored(&more)).is_err());
    }

    #[test]
    fn what_is_no_armored_text_is_damaged() {
        let good = armored(&bytes_of(b"KEY"));
        for text in ["", "-----BEGIN AGE ENCRYPTED FILE-----", "KEY", &good[1..], &good[..80]] {
            assert_eq!(open(text), Err(EncryptedKeyError::Damaged), "{text:?}");
        }
        assert_eq!(open(&format!("{good}more")), Err(EncryptedKeyError::Damaged));
        // Other bytes than text, and more than any key file has.
        assert_eq!(open(&armored(&bytes_of(&[0xff; 4]))), Err(EncryptedKeyError::Damaged));
        let long = bytes_of(&vec![b'x'; MAX_PLAIN as usize + 1]);
        assert_eq!(open(&armored(&long)), Err(EncryptedKeyError::Damaged));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_done_to_a_file_it_opens_as_it_was_or_not_at_all(
            at in proptest::prelude::any::<proptest::sample::Index>(),
            removed in 0..40_usize,
            put in proptest::collection::vec(proptest::prelude::any::<char>(), 0..20),
        ) {
            static FILE: std::sync::LazyLock<String> =
                std::sync::LazyLock::new(|| encrypt_with("KEY", &passphrase("right"), 1).unwrap());
            let at = FILE.floor_char_boundary(at.index(FILE.len() + 1));
            let end = (at + removed).min(FILE.len());
            let put: String = put.into_iter().collect();
            let edited = [&FILE[..at], &put, &FILE[end..]].concat();
            if let Ok(plain) = decrypt_within(&edited, &passphrase("right"), 2) {
                assert_eq!(*plain, "KEY", "{edited}");
            }
        }
    }

    #[test]
    fn what_is_encrypted_for_a_key_is_said_to_be() {
        let recipient = age::x25519::Identity::generate().to_public();
        let text = age::encrypt_and_armor(&recipient, b"KEY").unwrap();
        assert_eq!(open(&text), Err(EncryptedKeyError::NotByPassphrase));
    }
}
