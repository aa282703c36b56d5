//! The state that is kept beside the tree, under a note of the log's key.
//!
//! ```text
//! <origin>/state
//! deepring ledger state v1
//! <number of entries>
//! <base64 of the root over them>
//! <base64 of the SHA-256 of the state's bytes>
//!
//! <signature of the log's key, under the name on the first line>
//! ```
//!
//! One key signs checkpoints and this, so neither text may be the other. A checkpoint's first line is
//! the log's name and its second a number; here the first is another name and the second is words. A
//! reader that takes a state for what it says of entries it has not read trusts the key's holder to
//! have judged them; `verify` judges them itself.

use base64::prelude::{BASE64_STANDARD, Engine};
use signed_note::Note;
use tlog_tiles::tlog::Hash;

use aws_lc_rs::digest::{SHA256, digest};

use crate::backend::MAX_PAGE;
use crate::checkpoint::{CheckpointBody, MAX_CHECKPOINT_TEXT};
use crate::key::{KeyError, LogKey, VerifierKey, state_name};
use crate::state::State;

const FORMAT: &str = "deepring ledger state v1";

/// Most bytes of a state that is kept: with its key it fits the largest page.
const MAX_STATE: usize = MAX_PAGE as usize - 4096;

/// The bytes that are kept of a state, or none where they are too many. No bytes are no state, so
/// readers make it anew from the entries.
pub(crate) fn bytes(state: &State) -> Vec<u8> {
    bounded(state.encode(), MAX_STATE)
}

fn bounded(bytes: Vec<u8>, most: usize) -> Vec<u8> {
    if bytes.len() > most { Vec::new() } else { bytes }
}

/// The text that a log's key signs of a state.
fn text(body: &CheckpointBody, state: &[u8]) -> String {
    let state = BASE64_STANDARD.encode(digest(&SHA256, state));
    let (name, size, root) = (state_name(body.origin()), body.size(), Hash(*body.root()));
    format!("{name}\n{FORMAT}\n{size}\n{root}\n{state}\n")
}

/// Signs that these are the bytes of the state after the entries that `body` commits to.
pub(crate) fn sign(key: &LogKey, body: &CheckpointBody, state: &[u8]) -> Result<String, KeyError> {
    let mut note = Note::new(text(body, state).as_bytes(), &[]).map_err(|_| KeyError::Malformed)?;
    note.add_sigs(&[&key.state]).map_err(|_| KeyError::Malformed)?;
    String::from_utf8(note.to_bytes()).map_err(|_| KeyError::Malformed)
}

/// Whether a note says, by the log's key, that these are the bytes of the state after the entries
/// that `body` commits to.
pub(crate) fn is_signed(
    key: &VerifierKey,
    note: &str,
    body: &CheckpointBody,
    state: &[u8],
) -> bool {
    let Ok(verifier) = key.renamed(&state_name(key.origin())) else { return false };
    let fits = |note: &Note| note.text() == text(body, state).as_bytes();
    note.len() <= MAX_CHECKPOINT_TEXT
        && Note::from_bytes(note.as_bytes())
            .is_ok_and(|note| fits(&note) && note.verify(&verifier).is_ok())
}

/// The state in these bytes, if the log's key signed that it is the one after the entries that `body`
/// commits to.
pub(crate) fn read(
    key: &VerifierKey,
    note: &str,
    body: &CheckpointBody,
    state: &[u8],
) -> Option<State> {
    let signed = is_signed(key, note, body, state);
    let state = State::decode(state, body.size()).ok().filter(|_| signed)?;
    (state.origin() == body.origin()).then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, CheckpointError};

    fn key() -> LogKey {
        LogKey::parse(&LogKey::generate(None).unwrap()).unwrap()
    }

    #[test]
    fn a_note_is_about_one_state_at_one_checkpoint() {
        let key = key();
        let body = |size, root| Checkpoint::sign(&key, size, Hash(root)).unwrap().body().clone();
        let at = body(7, [3; 32]);
        let note = sign(&key, &at, b"state").unwrap();
        assert!(is_signed(&key.verifier, &note, &at, b"state"));
        assert!(!is_signed(&key.verifier, &note, &at, b"other"));
        assert!(!is_signed(&key.verifier, &note, &body(8, [3; 32]), b"state"));
        assert!(!is_signed(&key.verifier, &note, &body(7, [4; 32]), b"state"));
        assert!(!is_signed(&self::key().verifier, &note, &at, b"state"));
        assert!(!is_signed(&key.verifier, "", &at, b"state"));
        let changed = note.replacen("\n7\n", "\n8\n", 1);
        assert!(!is_signed(&key.verifier, &changed, &body(8, [3; 32]), b"state"));
    }

    /// So a ledger that has grown too large for it goes on, and asks its entries.
    #[test]
    fn a_state_that_is_too_large_is_kept_as_nothing_which_is_no_state() {
        let key = key();
        let at = Checkpoint::sign(&key, 7, Hash([3; 32])).unwrap().body().clone();
        let state = State::new(at.origin()).encode();
        for (most, kept) in [(state.len(), state.as_slice()), (state.len() - 1, &[])] {
            let bytes = bounded(state.clone(), most);
            assert_eq!(bytes, kept);
            let note = sign(&key, &at, &bytes).unwrap();
            assert!(is_signed(&key.verifier, &note, &at, &bytes));
            assert_eq!(read(&key.verifier, &note, &at, &bytes).is_some(), !kept.is_empty());
        }
    }

    /// The key, under the state's name or the log's, has signed no checkpoint by signing a state,
    /// and no state by signing a checkpoint.
    #[test]
    fn neither_note_passes_for_the_other() {
        let key = key();
        let signed = Checkpoint::sign(&key, 7, Hash([3; 32])).unwrap();
        let note = sign(&key, signed.body(), b"state").unwrap();
        let other_name = key.verifier.renamed(&state_name(key.verifier.origin())).unwrap();
        for verifier in [&key.verifier, &other_name] {
            let refused = Checkpoint::verify(&note, verifier).unwrap_err();
            let named = matches!(
                refused,
                CheckpointError::NotSigned { .. } | CheckpointError::NotACheckpoint
            );
            assert!(named, "{refused}");
        }
        assert!(!is_signed(&key.verifier, signed.as_str(), signed.body(), b"state"));
        // Not even where a log has the name of another one's states.
        let text = LogKey::generate(Some(&state_name(key.verifier.origin()))).unwrap();
        let other = LogKey::parse(&text).unwrap();
        let signed = Checkpoint::sign(&other, 7, Hash([3; 32])).unwrap();
        assert!(!is_signed(&key.verifier, signed.as_str(), signed.body(), b"state"));
    }
}
