//! A host's statement about its checks of some blocks: the check, the rotation, and each part's
//! coverage.

use thiserror::Error;

use super::check::Check;
use super::coverage::Coverage;
use crate::block::MAX_PARTS;
use crate::encoding::{DecodeError, Reader, Writer};
use crate::ring_id::MAX_BLOCKS;

/// A host's statement about its checks of some blocks; one that contradicts itself cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    check: Check,
    rotation: u16,
    coverage: Vec<Vec<Coverage>>,
}

/// Why a statement about checks was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckedError {
    /// A part had another coverage than the check claims.
    #[error(
        "part {part} of block {block} of the receipt is `{found}`, which is not what `{check}` claims"
    )]
    NotAsClaimed {
        /// The check.
        check: Check,
        /// Which of the receipt's blocks, counted from 0.
        block: usize,
        /// Which of the block's parts, counted from 0.
        part: usize,
        /// Its coverage.
        found: Coverage,
    },
    /// Parts are under product or either, and no rotation says how often their bytes are compared.
    #[error("product or either without a rotation of the bytes")]
    NoRotation,
    /// There is a rotation, but no part that rotates.
    #[error("a rotation of {rotation} uses without product or either")]
    IdleRotation {
        /// The rotation.
        rotation: u16,
    },
    /// The check does not treat all parts alike.
    #[error("`{check}` does not say what each part had")]
    NotUniform {
        /// The check.
        check: Check,
    },
    /// More blocks or parts than the format writes.
    #[error("more blocks or parts than a ring has")]
    TooMany,
}

impl Checked {
    /// A statement about consecutive blocks: for each, the coverage of its parts, in the order of
    /// its header. Of a batch, the [meet](Coverage::meet) over its queries.
    ///
    /// `rotation` is the number of uses within which every byte under [`Coverage::Product`] or
    /// [`Coverage::Either`] was compared with the sealed one bit by bit; 0 where no part is under
    /// one of the two.
    ///
    /// # Errors
    ///
    /// [`CheckedError`] where the statement contradicts itself or exceeds the format.
    pub fn new(
        check: Check,
        rotation: u16,
        coverage: Vec<Vec<Coverage>>,
    ) -> Result<Self, CheckedError> {
        if coverage.len() > MAX_BLOCKS as usize || coverage.iter().any(|b| b.len() > MAX_PARTS) {
            return Err(CheckedError::TooMany);
        }
        for (block, parts) in coverage.iter().enumerate() {
            if let Some((part, found)) = contradiction(check, parts) {
                return Err(CheckedError::NotAsClaimed { check, block, part, found });
            }
        }
        let rotates = coverage.iter().flatten().any(|c| c.rotates());
        match (rotates, rotation) {
            (true, 0) => Err(CheckedError::NoRotation),
            (false, 1..) => Err(CheckedError::IdleRotation { rotation }),
            _ => Ok(Self { check, rotation, coverage }),
        }
    }

    /// The statement of a check that treats all parts alike: none, load or run.
    ///
    /// # Errors
    /// [`CheckedError::NotUniform`] for another check; [`CheckedError::TooMany`].
    pub fn uniform(
        check: Check,
        parts_per_block: impl IntoIterator<Item = usize>,
    ) -> Result<Self, CheckedError> {
        let coverage = match check {
            Check::None => Coverage::Unchecked,
            Check::Load => Coverage::Opened,
            Check::Run => Coverage::Bytes,
            Check::Spot(_) | Check::Auto | Check::Compute => {
                return Err(CheckedError::NotUniform { check });
            }
        };
        let blocks = parts_per_block.into_iter().map(|parts| match parts {
            0..=MAX_PARTS => Ok(vec![coverage; parts]),
            _ => Err(CheckedError::TooMany),
        });
        Self::new(check, 0, blocks.collect::<Result<_, _>>()?)
    }

    /// The check.
    #[must_use]
    pub fn check(&self) -> Check {
        self.check
    }

    /// Number of uses within which every byte under [`Coverage::Product`] or [`Coverage::Either`]
    /// was compared bit by bit; 0 if there is no such part.
    #[must_use]
    pub fn rotation(&self) -> u16 {
        self.rotation
    }

    /// For each block, the coverage of its parts.
    #[must_use]
    pub fn coverage(&self) -> &[Vec<Coverage>] {
        &self.coverage
    }

    pub(crate) fn into_parts(self) -> (Check, u16, Vec<Vec<Coverage>>) {
        (self.check, self.rotation, self.coverage)
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let check = Check::decode(r)?;
        let rotation = r.u16("rotation")?;
        let n = r.count("coverage", MAX_BLOCKS as usize, 4)?;
        let coverage = (0..n).map(|_| decode_block(r)).collect::<Result<_, _>>()?;
        Self::new(check, rotation, coverage).map_err(|e| match e {
            CheckedError::NoRotation | CheckedError::IdleRotation { .. } => {
                DecodeError::Contradiction { field: "rotation", with: "coverage" }
            }
            _ => DecodeError::Contradiction { field: "coverage", with: "check" },
        })
    }
}

/// `check code 1 | share 4 | rotation 2 | coverage: list of (list of code 1)`
pub(crate) fn encode(check: Check, rotation: u16, coverage: &[Vec<Coverage>], w: &mut Writer) {
    check.encode(w);
    w.u16(rotation).count(coverage.len());
    for parts in coverage {
        w.count(parts.len());
        for part in parts {
            w.u8(*part as u8);
        }
    }
}

fn decode_block(r: &mut Reader<'_>) -> Result<Vec<Coverage>, DecodeError> {
    let codes = r.bytes("coverage of a block", MAX_PARTS)?;
    let coverage = |code: &u8| {
        let found = Coverage::ALL.into_iter().find(|c| *c as u8 == *code);
        found.ok_or(DecodeError::BadValue { field: "coverage", found: u64::from(*code) })
    };
    codes.iter().map(coverage).collect()
}

/// The first part of a block whose coverage is not what the check claims.
fn contradiction(check: Check, parts: &[Coverage]) -> Option<(usize, Coverage)> {
    use Coverage::{Both, Bytes, Either, Opened, Product, Recomputed, Rows, Unchecked};
    let holds = |c: Coverage| match check {
        Check::None => c == Unchecked,
        // A floor: what an engine derived, which the other checks do not speak of, stands here too.
        Check::Load => c != Unchecked,
        // A block is drawn whole or not at all.
        Check::Spot(_) if parts.first() == Some(&Opened) => c == Opened,
        Check::Spot(_) | Check::Run => c == Bytes,
        Check::Auto | Check::Compute => {
            matches!(c, Rows | Product | Bytes | Either | Both | Recomputed)
        }
    };
    parts.iter().copied().enumerate().find(|(_, c)| !holds(*c))
}

#[cfg(test)]
mod tests {
    use super::Coverage::{
        Both, Bytes, Derived, Either, Opened, Product, Recomputed, Rows, Unchecked,
    };
    use super::*;
    use crate::receipt::SampleRate;

    const ALL: [Coverage; 9] = Coverage::ALL;

    fn checks() -> [Check; 6] {
        let spot = Check::Spot(SampleRate::from_millionths(100_000).unwrap());
        [Check::None, Check::Load, spot, Check::Run, Check::Auto, Check::Compute]
    }

    /// One part, with the rotation that it needs.
    fn one(check: Check, part: Coverage) -> Result<Checked, CheckedError> {
        Checked::new(check, u16::from(matches!(part, Product | Either)), vec![vec![part]])
    }

    #[test]
    fn a_part_that_had_something_else_than_the_check_claims_is_refused() {
        let [none, load, spot, run, auto, compute] = checks();
        let allowed: [(Check, &[Coverage]); 6] = [
            (none, &[Unchecked]),
            (load, &[Opened, Rows, Product, Bytes, Either, Both, Recomputed, Derived]),
            (spot, &[Opened, Bytes]),
            (run, &[Bytes]),
            (auto, &[Rows, Product, Bytes, Either, Both, Recomputed]),
            (compute, &[Rows, Product, Bytes, Either, Both, Recomputed]),
        ];
        for (check, allowed) in allowed {
            for found in ALL {
                let wanted = if allowed.contains(&found) {
                    None
                } else {
                    Some(CheckedError::NotAsClaimed { check, block: 0, part: 0, found })
                };
                assert_eq!(one(check, found).err(), wanted, "{check} {found}");
            }
        }
    }

    #[test]
    fn the_part_that_contradicts_is_named_also_behind_others() {
        let coverage = vec![vec![Bytes], vec![], vec![Bytes, Bytes, Opened, Opened]];
        let refused = Checked::new(Check::Run, 0, coverage).unwrap_err();
        let wanted =
            CheckedError::NotAsClaimed { check: Check::Run, block: 2, part: 2, found: Opened };
        assert_eq!(refused, wanted);
    }

    #[test]
    fn a_spot_check_meets_a_block_whole_or_not_at_all() {
        let spot = checks()[2];
        let of = |blocks: &[&[Coverage]]| {
            Checked::new(spot, 0, blocks.iter().map(|b| b.to_vec()).collect())
        };
        of(&[&[Opened, Opened], &[Bytes, Bytes], &[]]).unwrap();
        for mixed in [
            &[Opened, Bytes],
            &[Bytes, Opened],
            &[Rows, Bytes],
            &[Opened, Unchecked],
            &[Opened, Recomputed],
            &[Opened, Derived],
            &[Bytes, Both],
            &[Derived, Derived],
        ] {
            assert!(of(&[&[Bytes], mixed]).is_err(), "{mixed:?}");
        }
    }

    #[test]
    fn there_is_a_rotation_exactly_where_there_is_product_or_either() {
        let new = |rotation, parts: &[Coverage]| {
            Checked::new(Check::Auto, rotation, vec![vec![], parts.to_vec()])
        };
        for rotation in [1, 16, u16::MAX] {
            let idle = Err(CheckedError::IdleRotation { rotation });
            assert_eq!(new(rotation, &[]), idle);
            // Every byte at each use: nothing rotates.
            for part in [Rows, Both, Recomputed] {
                assert_eq!(new(rotation, &[Bytes, part]), idle, "{part}");
            }
            for part in [Product, Either] {
                assert_eq!(new(rotation, &[Bytes, part]).unwrap().rotation(), rotation, "{part}");
            }
        }
        for part in [Product, Either] {
            assert_eq!(new(0, &[Bytes, part]), Err(CheckedError::NoRotation), "{part}");
        }
        new(0, &[Bytes, Rows, Both, Recomputed]).unwrap();
    }

    #[test]
    fn checks_that_treat_all_parts_alike_need_no_list() {
        let [none, load, spot, run, auto, compute] = checks();
        for (check, part) in [(none, Unchecked), (load, Opened), (run, Bytes)] {
            let checked = Checked::uniform(check, [2, 0, 1]).unwrap();
            assert_eq!(checked.coverage(), [vec![part; 2], vec![], vec![part]]);
            assert_eq!((checked.check(), checked.rotation()), (check, 0));
        }
        for check in [spot, auto, compute] {
            assert_eq!(Checked::uniform(check, [1]), Err(CheckedError::NotUniform { check }));
        }
    }

    #[test]
    fn more_than_the_format_writes_is_refused_before_it_is_signed() {
        let blocks = MAX_BLOCKS as usize;
        Checked::new(Check::Run, 0, vec![vec![]; blocks]).unwrap();
        for too_many in [
            Checked::new(Check::Run, 0, vec![vec![]; blocks + 1]),
            Checked::new(Check::Run, 0, vec![vec![Bytes; MAX_PARTS + 1]]),
            Checked::uniform(Check::Run, [1, MAX_PARTS + 1]),
            Checked::uniform(Check::Run, [usize::MAX]),
        ] {
            assert_eq!(too_many, Err(CheckedError::TooMany));
        }
    }
}
