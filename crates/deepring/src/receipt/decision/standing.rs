//! The standing of a leg: the copies behind its outputs, and the validation that a reader requires of it.

use serde::Serialize;

use crate::deal::Copies;
use crate::finding::{Finding, Section};
use crate::keys::{Host, PublicKey};
use crate::outline::AuthenticOutline;
use crate::receipt::chain::ChainLeg;
use crate::receipt::validation::Agreement;

/// The validation that a verifier requires of every leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// The promise of the ring's deal: a majority with three copies, a validation with two, nothing
    /// of a ring that is not dealt.
    #[default]
    AsDealt,
    /// At least two of three copies agree.
    Majority,
    /// At least one other copy validated.
    Validated,
    /// Nothing.
    None,
}

/// The copies that stand behind the outputs of a leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "standing")]
pub enum Standing {
    /// The host that signed the receipt, and nobody else.
    Unvalidated,
    /// One of two copies signed, and the other validated.
    Validated {
        /// The copy that validated.
        by: PublicKey<Host>,
    },
    /// At least two of three copies agree.
    Majority {
        /// Those that validated; one or two.
        by: Vec<PublicKey<Host>>,
    },
}

impl Standing {
    fn of(leg: &ChainLeg, copies: Option<Copies>) -> Self {
        match (leg.validations.as_slice(), copies) {
            ([], _) | (_, None) => Self::Unvalidated,
            (all, Some(Copies::Three)) => {
                Self::Majority { by: all.iter().map(|v| v.host).collect() }
            }
            ([first, ..], Some(Copies::Two)) => Self::Validated { by: first.host },
        }
    }
}

/// In words: `validated by drhost1…`, `majority of 3`, `unvalidated`.
impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unvalidated => f.write_str("unvalidated"),
            Self::Validated { by } => write!(f, "validated by {}", by.short()),
            Self::Majority { by } => {
                f.write_str("majority of 3, validated by ")?;
                for (i, host) in by.iter().enumerate() {
                    write!(f, "{}{}", if i > 0 { " and " } else { "" }, host.short())?;
                }
                Ok(())
            }
        }
    }
}

/// The distance between the outputs of a copy that validated and the receipt's, by its own word: it computed with
/// something else than the receipt's host did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Deviation {
    /// The deviation of the element that deviates most against its tolerance.
    pub largest: f32,
    /// The tolerance of that element.
    pub bound: f32,
}

impl Deviation {
    /// The widest that a validation of a leg states; `None` where all outputs are bit for bit the same.
    fn of(leg: &ChainLeg) -> Option<Self> {
        let stated = leg.validations.iter().filter_map(|v| match v.agreement {
            Agreement::Near { largest, bound } => Some(Self { largest, bound }),
            _ => None,
        });
        stated.max_by(|a, b| a.bound.total_cmp(&b.bound))
    }
}

/// In words: `near: deviates by 2.1e-6, where 9.3e-6 is tolerated`.
impl std::fmt::Display for Deviation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "near: deviates by {:.1e}, where {:.1e} is tolerated", self.largest, self.bound)
    }
}

/// A leg of a verified decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecidedLeg {
    /// Index of its first block.
    pub first_block: u32,
    /// Index one past its last block.
    pub end_block: u32,
    /// The host whose receipt stands.
    pub host: PublicKey<Host>,
    /// The copies that stand behind its outputs.
    #[serde(flatten)]
    pub standing: Standing,
    /// The distance between the outputs of a copy that validated and the receipt's, where they are not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near: Option<Deviation>,
}

impl DecidedLeg {
    pub(super) fn of(leg: &ChainLeg, copies: Option<Copies>) -> Self {
        Self {
            first_block: leg.receipt.first_block,
            end_block: leg.receipt.end_block(),
            host: leg.receipt.host,
            standing: Standing::of(leg, copies),
            near: Deviation::of(leg),
        }
    }
}

/// In words: who stands behind it, and how near.
impl std::fmt::Display for DecidedLeg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.standing.fmt(f)?;
        self.near.iter().try_for_each(|near| write!(f, ", {near}"))
    }
}

/// The objection to the first leg that is less validated than required, if there is one.
pub(super) fn refuse_standing(
    legs: &[DecidedLeg],
    outline: &AuthenticOutline,
    require: Require,
) -> Option<Finding> {
    let required = match (require, outline.deal().map(|deal| deal.copies())) {
        (Require::AsDealt, None) => Require::None,
        (Require::AsDealt, Some(Copies::Two)) => Require::Validated,
        (Require::AsDealt, Some(Copies::Three)) => Require::Majority,
        (other, _) => other,
    };
    let enough = |leg: &&DecidedLeg| match required {
        Require::None | Require::AsDealt => true,
        Require::Validated => leg.standing != Standing::Unvalidated,
        Require::Majority => matches!(leg.standing, Standing::Majority { .. }),
    };
    let leg = legs.iter().find(|leg| !enough(leg))?;
    let promised = match require {
        Require::AsDealt => "the ring's deal promises",
        _ => "the reader requires",
    };
    let wanted = if required == Require::Majority { "a majority of three" } else { "a validation" };
    let reason = format!(
        "blocks {} to {} are {}, {promised} {wanted}",
        leg.first_block,
        leg.end_block.saturating_sub(1),
        leg.standing
    );
    let block = outline.layers().get(leg.first_block as usize - 1);
    let name = block.map(|b| b.name.as_str());
    Some(Finding::untrusted(Section::File, reason).in_block(leg.first_block, name))
}
