//! Whom a verifier trusts to keep a log.

use crate::entry::ValidatorSet;
use crate::key::VerifierKey;

/// Whom a verifier trusts to keep the log.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum LogTrust<'a> {
    /// Whoever holds this key.
    Key(&'a VerifierKey),
    /// A quorum of the nodes of this set: of `n`, all but the `(n - 1) / 3` that may be faulty.
    Validators(&'a ValidatorSet),
}
