//! Which check a part of a block had: what a receipt says layer by layer.

use std::fmt;

use serde::Serialize;

/// How one part of a block was checked when it was used, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Coverage {
    /// Not: as it was opened, or not even that.
    Unchecked = 0,
    /// By digest, when its block was opened, and not since.
    Opened = 1,
    /// The rows of a table that a query read, each by MAC at each use; the other rows not.
    Rows = 2,
    /// By what was computed: the operator's output was held against a secret projection of this
    /// tensor at each use; its bytes by MAC in rotation.
    Product = 3,
    /// Every byte by MAC at each use.
    Bytes = 4,
}

impl Coverage {
    /// Every kind, from the weakest to the strongest.
    pub const ALL: [Self; 5] =
        [Self::Unchecked, Self::Opened, Self::Rows, Self::Product, Self::Bytes];

    /// The word for people and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Opened => "opened",
            Self::Rows => "rows",
            Self::Product => "product",
            Self::Bytes => "bytes",
        }
    }

    /// Whether this is a check of bytes against the sealed ones at each use.
    pub(super) fn is_by_mac(self) -> bool {
        matches!(self, Self::Rows | Self::Bytes)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_ordered_by_strength_and_its_code() {
        assert!(Coverage::ALL.is_sorted_by(|a, b| a < b));
        assert_eq!(Coverage::ALL.map(|c| c as u8), [0, 1, 2, 3, 4]);
    }
}
