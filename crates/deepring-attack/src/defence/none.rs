//! No defence: the row that shows what an attack does where nothing is checked.

use super::{Defence, DefenceKind, DefenceVerdict, Moment};
use crate::network::Network;

#[derive(Debug)]
pub(super) struct Nothing;

impl Defence for Nothing {
    fn kind(&self) -> DefenceKind {
        DefenceKind::None
    }

    fn stored_bytes(&self) -> usize {
        0
    }

    fn check(&self, _: &Network, _: Moment, _: &mut dyn FnMut() -> f64) -> DefenceVerdict {
        DefenceVerdict::silent()
    }
}
