//! The choice of each block's plan: fixed by the check, or under `auto` by what uses are observed to cost.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{MutexGuard, PoisonError};

use deepring::Check;

use super::{LoadedBlock, RingHost};
use crate::checks::{BlockCosts, Choice, PlanKind};
use crate::engine::Engine;
use crate::error::RunError;

/// The choice of `auto`, by the first block of a leg and the one after its last.
#[derive(Debug, Default)]
pub(super) struct ChosenPlans {
    auto: HashSet<(u32, u32)>,
    compute: HashSet<(u32, u32)>,
}
impl<E: Engine> RingHost<E> {
    /// The plan of each block of a leg, for a whole batch: under `auto` every check of everything, until it is known what
    /// is cheaper.
    pub(super) fn plans(&self, range: &Range<u32>) -> Result<Vec<Option<PlanKind>>, RunError> {
        let blocks = range.clone().map(|i| self.loaded_block(i)).collect::<Result<Vec<_>, _>>()?;
        if self.check != Check::Auto {
            return Ok(blocks.iter().map(|b| b.fixed_plan()).collect());
        }
        let kind = self.choose(&blocks, (range.start, range.end));
        Ok(vec![Some(kind); blocks.len()])
    }

    fn choose(&self, blocks: &[&LoadedBlock<E>], leg: (u32, u32)) -> PlanKind {
        let mut chosen = self.chosen();
        if chosen.auto.contains(&leg) {
            return PlanKind::Auto;
        }
        if chosen.compute.contains(&leg) {
            return PlanKind::Compute;
        }
        let costs: Option<Vec<BlockCosts>> = blocks.iter().map(|b| b.check()?.costs()).collect();
        let Some(costs) = costs else { return PlanKind::Both };
        match Choice::of(&costs) {
            Choice::Compute => {
                chosen.compute.insert(leg);
                PlanKind::Compute
            }
            Choice::Auto(rates) => {
                for (check, rates) in blocks.iter().filter_map(|b| b.check()).zip(rates) {
                    check.set_auto(|| rates);
                }
                chosen.auto.insert(leg);
                PlanKind::Auto
            }
        }
    }

    /// Forgets what was chosen: costs are observed anew.
    pub(super) fn forget_choices(&self) {
        *self.chosen() = ChosenPlans::default();
    }

    fn chosen(&self) -> MutexGuard<'_, ChosenPlans> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
