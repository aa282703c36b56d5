//! Two words about a key that contradict each other, and who said them.

use std::fmt;

use crate::in_line::InLine;
use crate::keys::{Owner, PublicKey};

/// The reader or the ledger that said which key came after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker {
    /// The reader himself.
    Reader,
    /// The ledger of this verifier key.
    Ledger(String),
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reader => f.write_str("your own word"),
            Self::Ledger(key) => write!(f, "ledger {}", InLine(origin_of(key))),
        }
    }
}

/// Two words about a key, of which one at most is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The key that was given up.
    pub key: PublicKey<Owner>,
    /// The key that is said to come after it.
    pub said: PublicKey<Owner>,
    /// The one who says so.
    pub speaker: Speaker,
    /// The key that is known to come after it; where it is `key` itself, `said` came before it.
    pub known: PublicKey<Owner>,
    /// By whose word that is known.
    pub by: Speaker,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, said, speaker, known, by } = self;
        let [key_short, said, known_short] = [key, said, known].map(PublicKey::short);
        write!(f, "by {speaker}, owner {key_short} gave its rings over to {said}, ")?;
        match known == key {
            true => write!(f, "and by {by}, {said} came before it"),
            false => write!(f, "and by {by}, to {known_short}"),
        }
    }
}

/// The name of a ledger, in its key.
pub(super) fn origin_of(key: &str) -> &str {
    key.split('+').next().unwrap_or(key)
}
