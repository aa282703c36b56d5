//! The defences by name: what each is, where it is described, what it cannot see.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

/// When an edit was made, as a defence can tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// In the stored file, before it was loaded.
    AtRest,
    /// In memory, after loading; the file is what it was.
    Live,
}

macro_rules! kinds {
    ($($kind:ident $name:literal $summary:literal $misses:literal;)*) => {
        /// A defence that DeepRing is compared with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is documented by its summary")]
        pub enum DefenceKind { $(#[doc = $summary] $kind,)* }

        impl DefenceKind {
            /// All of them.
            #[must_use]
            pub fn all() -> &'static [Self] {
                &[$(Self::$kind,)*]
            }

            /// Name, as the command takes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// Its method and its source, in a sentence.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $(Self::$kind => $summary,)* }
            }

            /// The changes that it cannot see, in a sentence.
            #[must_use]
            pub fn misses(self) -> &'static str {
                match self { $(Self::$kind => $misses,)* }
            }
        }
    };
}

kinds! {
    None "none"
        "No defence"
        "Everything";
    Crc32 "crc32"
        "CRC-32 of every parameter tensor, computed at each use (the usual check against memory faults)"
        "An edit that restores the CRC, which has no key; edits of the graph";
    Radar "radar"
        "2-bit signatures of masked, interleaved sums of 8-bit weights, computed at each use; a group that differs is set to zero (RADAR, Li et al., DATE 2021)"
        "Biases, BatchNormalization and quantisation scales, the graph; flips below the top bit that do not carry into bit 7 or 8 of a group's sum; top bits that cancel in one";
    Hashtag "hashtag"
        "8-bit keyed Pearson hashes of the most sensitive weight tensors, computed at each use (HASHTAG, Javaheripi and Koushanfar, ICCAD 2021)"
        "Every tensor that is not among the most sensitive ones, the graph, and 1 of 256 edits of several bytes in those that are";
    FileDigest "file-digest"
        "SHA-256 of the whole file, computed once at load, as model signing does it (OpenSSF Model Signing)"
        "Everything that is edited in memory after loading";
    SpotCheck "spot-check"
        "BLAKE3 digests of 4 KiB chunks of every parameter tensor, of which each use checks a random share"
        "An edit in one chunk that is put back after one inference, with the probability that the chunk is not drawn; edits of the graph";
}

/// No defence has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no defence `{name}`")]
pub struct ParseDefenceError {
    /// The name.
    pub name: String,
}

impl FromStr for DefenceKind {
    type Err = ParseDefenceError;

    fn from_str(name: &str) -> Result<Self, ParseDefenceError> {
        let found = Self::all().iter().find(|k| k.name() == name);
        found.copied().ok_or_else(|| ParseDefenceError { name: name.to_owned() })
    }
}

impl fmt::Display for DefenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for DefenceKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_are_one_of_a_kind() {
        for kind in DefenceKind::all() {
            assert_eq!(kind.name().parse(), Ok(*kind));
            assert!(!kind.summary().ends_with('.') && !kind.misses().ends_with('.'));
        }
        assert!("nothing".parse::<DefenceKind>().is_err());
    }
}
