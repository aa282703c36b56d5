//! Entry points of the fuzz targets; exists only under the feature `fuzzing`.
#![allow(missing_docs, reason = "each function feeds the decoder that it names")]

use crate::state::State;

/// A state that is accepted encodes to the same bytes, and has the size that its note states.
pub fn state(bytes: &[u8]) {
    let size = 1 << 20;
    if let Ok(state) = State::decode(bytes, size) {
        assert_eq!(state.encode(), bytes, "accepted bytes are not canonical");
        assert_eq!(state.size(), size);
        let _ = (state.origin(), state.validators());
    }
}
