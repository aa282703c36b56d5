//! The check that a part of a block had, as a receipt states it layer by layer.

use std::fmt;

use serde::Serialize;

use crate::outline::PartClass;

/// The check of one part of a block when it was used, by each query.
///
/// Not a scale: `product` and `bytes` are evidence of different things, and neither contains the
/// other. The coverage that several queries have in common is their [meet](Self::meet). Codes and
/// meanings as in FORMAT.md, section 14.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Coverage {
    /// Not checked: as it was opened, or not even that.
    Unchecked = 0,
    /// By digest, when its block was opened, and not since.
    Opened = 1,
    /// Of a table, the rows that each query gathered, as they were gathered, each against a tag
    /// that binds its row number; no other row.
    Rows = 2,
    /// The operator's output was verified against a secret projection of this tensor for each
    /// query; its bytes by MAC in rotation.
    Product = 3,
    /// Every byte by MAC for each query, before it computed.
    Bytes = 4,
    /// Every query had its bytes compared or its product verified, but not all of them the same
    /// one.
    Either = 5,
    /// Every query had every byte compared and the product verified.
    Both = 6,
    /// Of a graph: every byte of it was compared, and what its operators compute from verified
    /// values (everything that no product and no row tag covers) was computed a second time by a
    /// separately loaded program and was the same bit for bit.
    Recomputed = 7,
    /// Every byte that the engine derived, when it loaded it, from the part's block (or from a run of
    /// blocks that it loaded together) was compared for each query, before it computed. Says nothing
    /// of the sealed part's own bytes at this use, and rests on the derivation.
    Derived = 8,
}

impl Coverage {
    /// Every kind, in the order of the codes.
    pub const ALL: [Self; 9] = [
        Self::Unchecked,
        Self::Opened,
        Self::Rows,
        Self::Product,
        Self::Bytes,
        Self::Either,
        Self::Both,
        Self::Recomputed,
        Self::Derived,
    ];

    /// Its name, in FORMAT.md and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Opened => "opened",
            Self::Rows => "rows",
            Self::Product => "product",
            Self::Bytes => "bytes",
            Self::Either => "either",
            Self::Both => "both",
            Self::Recomputed => "recomputed",
            Self::Derived => "derived",
        }
    }

    /// The coverage of every query, where some had this and the others that: the strongest coverage
    /// that claims nothing beyond either.
    ///
    /// Commutative, associative and idempotent; `Unchecked` with anything is `Unchecked`.
    #[must_use]
    pub fn meet(self, other: Self) -> Self {
        use Coverage::{
            Both, Bytes, Derived, Either, Opened, Product, Recomputed, Rows, Unchecked,
        };
        match (self, other) {
            (a, b) if a == b => a,
            (Unchecked, _) | (_, Unchecked) => Unchecked,
            // What an engine made of a block is other bytes than the sealed ones, which all other
            // words are about: the digest at opening is all that they share.
            (Opened | Derived, _) | (_, Opened | Derived) => Opened,
            // A product is about the operators that multiply by a tensor, rows are of a table that
            // is gathered: the digest at opening is all that they share.
            (Rows, Product | Either) | (Product | Either, Rows) => Opened,
            // Every byte, and the rows among them.
            (Rows, _) | (_, Rows) => Rows,
            (Product, Both) | (Both, Product) => Product,
            (Product | Either, _) | (_, Product | Either) => Either,
            (Bytes | Both | Recomputed, Bytes | Both | Recomputed) => Bytes,
        }
    }

    /// Returns whether some query did not have every byte of the part compared, so that a receipt
    /// states the rotation of its bytes.
    #[must_use]
    pub fn rotates(self) -> bool {
        matches!(self, Self::Product | Self::Either)
    }

    /// Returns whether a part of this class can have this coverage.
    pub(super) fn stands_for(self, class: PartClass) -> bool {
        match self {
            Self::Unchecked | Self::Opened | Self::Bytes => true,
            Self::Rows | Self::Product | Self::Either | Self::Both => class == PartClass::Parameter,
            Self::Recomputed => class == PartClass::Graph,
            Self::Derived => class != PartClass::Manifest,
        }
    }
}

/// Its name for people: the [name](Coverage::name), but for what was derived, which says when.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Derived => "derived at loading",
            _ => self.name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Coverage::{
        Both, Bytes, Derived, Either, Opened, Product, Recomputed, Rows, Unchecked,
    };
    use super::*;

    const ALL: [Coverage; 9] = Coverage::ALL;

    /// The claims of each code about every query, one bit for each kind of evidence.
    fn evidence(coverage: Coverage) -> u8 {
        const DIGEST: u8 = 1;
        const ROWS: u8 = 2;
        const PRODUCT_OR_BYTES: u8 = 4;
        const PRODUCT: u8 = 8;
        const BYTES: u8 = 16;
        const SECOND_PROGRAM: u8 = 32;
        const DERIVED: u8 = 64;
        // A comparison of every byte includes the rows' bytes, and is one of the two.
        let bytes = DIGEST | ROWS | PRODUCT_OR_BYTES | BYTES;
        match coverage {
            Unchecked => 0,
            Opened => DIGEST,
            Rows => DIGEST | ROWS,
            Product => DIGEST | PRODUCT_OR_BYTES | PRODUCT,
            Bytes => bytes,
            Either => DIGEST | PRODUCT_OR_BYTES,
            Both => bytes | PRODUCT,
            Recomputed => bytes | SECOND_PROGRAM,
            Derived => DIGEST | DERIVED,
        }
    }

    fn pairs() -> impl Iterator<Item = (Coverage, Coverage)> {
        ALL.into_iter().flat_map(|a| ALL.into_iter().map(move |b| (a, b)))
    }

    #[test]
    fn codes_are_those_of_the_format() {
        assert_eq!(ALL.map(|c| c as u8), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn what_was_derived_says_when_and_has_one_word_in_json() {
        assert_eq!(Derived.to_string(), "derived at loading");
        for c in ALL {
            assert_eq!(serde_json::to_value(c).unwrap(), c.name());
        }
    }

    #[test]
    fn a_meet_claims_what_both_claim_and_nothing_that_one_of_them_does_not() {
        for (a, b) in pairs() {
            let common = evidence(a) & evidence(b);
            assert_eq!(evidence(a.meet(b)), common, "{a} and {b} are {}", a.meet(b));
        }
    }

    #[test]
    fn a_meet_depends_neither_on_the_order_of_the_queries_nor_on_how_they_are_grouped() {
        for (a, b) in pairs() {
            assert_eq!(a.meet(b), b.meet(a), "{a} {b}");
            for c in ALL {
                assert_eq!(a.meet(b).meet(c), a.meet(b.meet(c)), "{a} {b} {c}");
            }
        }
    }

    #[test]
    fn a_meet_with_the_same_is_the_same_and_with_unchecked_is_unchecked() {
        for a in ALL {
            assert_eq!(a.meet(a), a);
            assert_eq!(a.meet(Unchecked), Unchecked, "{a}");
        }
    }

    #[test]
    fn meets_are_those_of_the_format() {
        for (a, b, wanted) in [
            (Bytes, Product, Either),
            (Both, Bytes, Bytes),
            (Both, Product, Product),
            (Both, Either, Either),
            (Either, Bytes, Either),
            (Either, Product, Either),
            (Rows, Bytes, Rows),
            (Rows, Both, Rows),
            (Rows, Product, Opened),
            (Rows, Either, Opened),
            (Recomputed, Bytes, Bytes),
            (Recomputed, Both, Bytes),
            (Recomputed, Product, Either),
            (Recomputed, Rows, Rows),
            (Recomputed, Opened, Opened),
            (Derived, Bytes, Opened),
            (Derived, Product, Opened),
            (Derived, Recomputed, Opened),
            (Derived, Opened, Opened),
        ] {
            assert_eq!(a.meet(b), wanted, "{a} {b}");
        }
    }

    #[test]
    fn what_only_tensors_or_only_graphs_have_stands_for_nothing_else() {
        let all: &[Coverage] = &[Unchecked, Opened, Bytes];
        for (class, besides) in [
            (PartClass::Parameter, &[Rows, Product, Either, Both, Derived][..]),
            (PartClass::Graph, &[Recomputed, Derived]),
            (PartClass::Manifest, &[]),
        ] {
            for c in ALL {
                let wanted = all.contains(&c) || besides.contains(&c);
                assert_eq!(c.stands_for(class), wanted, "{c} of {class:?}");
            }
        }
    }
}
