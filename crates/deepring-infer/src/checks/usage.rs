//! One use of a block under its check: what is compared before, what after, and the measure of it.

use std::time::Instant;

use deepring_memory::Region;

use super::block_check::{BlockCheck, Keys, SECRET_LIFE, compare};
use super::integer::{self, IntegerProjection};
use super::margin::{self, Margin};
use super::measure::Measure;
use super::operators::{Arithmetic, Linear};
use super::plan::{CheckPlan, PlanKind};
use super::products::{Compared, Misfit, Products, fits_shape};
use super::projection::Projection;
use super::reductions::reduction_passes;
use super::terms::{self, TermVerdict};
use super::{CheckFault, Mode};
use crate::engine::View;
use crate::weights::secret_room;

/// Finds a value of the run by its name: an input, an output or an exposed one.
pub(crate) type Find<'f, 'v> = &'f (dyn Fn(&str) -> Option<View<'v>> + Sync);

/// How far products were verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Completeness {
    /// At every place. Otherwise some operator's sums leave 32-bit floats somewhere, so that there is nothing to compare
    /// there, and every byte of its weights was compared instead.
    pub(crate) complete: bool,
    /// Weights of an operator whose outputs are somewhere further off than independent rounding errors, and within what
    /// some order of adding up gives. That is wide where many terms are added: whoever takes these outputs has them computed
    /// anew from a verified copy of the weights, and the same bits come.
    pub(crate) doubtful: Option<usize>,
}

/// A use that has begun. Its measure grows with what is compared, and with nothing else.
pub(crate) struct UseVerification<'c> {
    check: &'c BlockCheck,
    plan: &'c CheckPlan,
    keys: Keys,
    measure: Measure,
    /// The number that decided which outputs were verified.
    drawn: Option<u64>,
    /// Weights whose bytes were compared because nothing can be said of an output.
    instead: Vec<usize>,
}

impl<'c> UseVerification<'c> {
    pub(super) fn new(check: &'c BlockCheck, plan: &'c CheckPlan, keys: Keys) -> Self {
        let mut measure = Measure::new(check.parts());
        check.operators().linears.iter().for_each(|l| measure.read_by(l.weight));
        Self { check, plan, keys, measure, drawn: None, instead: Vec::new() }
    }

    pub(crate) fn plan(&self) -> &CheckPlan {
        self.plan
    }

    /// Compares the bytes that are due before the engine reads them: all that no product covers, and this use's share of
    /// the others. Draws secrets anew when their life is over.
    pub(crate) fn compare_bytes(&mut self, bytes: &[u8]) -> Result<(), CheckFault> {
        let turn = self.check.rotation()?.next().ok_or(CheckFault::NoRandomness)?;
        if turn.dealt != self.check.in_rotation() {
            return Err(CheckFault::Structure);
        }
        if turn.use_number > 0 && turn.use_number.is_multiple_of(SECRET_LIFE) {
            self.check.redraw(bytes)?;
            self.keys = self.check.keys()?;
        }
        let before = self.plan.before();
        let due = turn.pieces.into_iter().filter(|i| before.binary_search(i).is_err());
        let start = Instant::now();
        self.compare(bytes, before.iter().copied().chain(due), true)?;
        if self.plan.kind() == PlanKind::Both {
            self.check.observed().bytes(bytes.len(), start.elapsed());
        }
        Ok(())
    }

    /// Compares these pieces by MAC; those that count go into the measure.
    fn compare(
        &mut self,
        bytes: &[u8],
        numbers: impl Iterator<Item = u32>,
        counted: bool,
    ) -> Result<(), CheckFault> {
        let all = self.check.pieces();
        let mut pieces = Vec::with_capacity(numbers.size_hint().0);
        for number in numbers {
            // A piece that is missing was never compared.
            let piece = all.get(number as usize).ok_or(CheckFault::Structure)?;
            pieces.push((number, piece));
        }
        let measure = &mut self.measure;
        compare(self.keys.tags(), bytes, pieces.into_iter(), |piece| {
            if counted {
                measure.bytes(piece.part, piece.range.len());
            }
        })
    }

    /// Draws, after the engine ran, what is verified of this use: a number that nobody could know before.
    pub(crate) fn draw() -> Result<u64, CheckFault> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| CheckFault::NoRandomness)?;
        Ok(u64::from_le_bytes(random))
    }

    /// Verifies what came out: the rows that were gathered, and the outputs of the operators that `drawn` picks.
    pub(crate) fn verify_outputs(
        &mut self,
        bytes: &[u8],
        drawn: u64,
        find: Find<'_, '_>,
    ) -> Result<Completeness, CheckFault> {
        self.verify_rows(find)?;
        self.drawn = Some(drawn);
        let picked = self.plan.products(drawn, self.check.operators().linears.len());
        let start = Instant::now();
        let compared = self.verify_products(&picked, find)?;
        let mut found = Completeness { complete: true, doubtful: None };
        for one in &compared {
            let linear =
                self.check.operators().linears.get(one.linear).ok_or(CheckFault::Structure)?;
            let part = linear.weight;
            // Rounding errors that are not independent, as those of equal terms are, can be larger than is allowed.
            let differing = self.verify_terms(bytes, linear, &one.differing, find)?;
            let places = (one.places + one.differing.len() + one.open.len()) as u64;
            let outcome = self.verify_terms(bytes, linear, &one.open, find)?.or_worse(differing);
            if outcome == TermVerdict::Doubtful || !one.differing.is_empty() {
                found.doubtful = Some(part);
            }
            match outcome {
                TermVerdict::Right | TermVerdict::Doubtful => self.measure.product(part, places),
                TermVerdict::Wrong => return Err(CheckFault::Product { part }),
                // A layer on bytes is known to be right without its product.
                TermVerdict::OutOfRange if !self.is_on_bytes(part) => {
                    return Err(CheckFault::OutOfRange { part });
                }
                TermVerdict::OutOfRange => {
                    found.complete = false;
                    self.compare_instead(bytes, part)?;
                }
            }
        }
        if self.plan.kind() == PlanKind::Both && compared.len() == picked.len() {
            self.check.observed().products(start.elapsed());
        }
        Ok(found)
    }

    /// Verifies, term by term and against verified copies of weights and bias, the places at which an operator has no sums.
    fn verify_terms(
        &self,
        bytes: &[u8],
        linear: &Linear,
        open: &[usize],
        find: Find<'_, '_>,
    ) -> Result<TermVerdict, CheckFault> {
        if open.is_empty() {
            return Ok(TermVerdict::Right);
        }
        let copy = |part: usize| -> Result<Region, CheckFault> {
            let len = self.check.parts().get(part).and_then(|p| usize::try_from(p.len).ok());
            let mut region = len.and_then(secret_room).ok_or(CheckFault::NoMemory)?;
            self.check.copy_into(bytes, part, region.bytes_mut())?;
            region.freeze();
            Ok(region)
        };
        fn floats(region: &Region) -> Result<&[f32], CheckFault> {
            bytemuck::try_cast_slice(region.bytes()).map_err(|_| CheckFault::Structure)
        }
        let weights = copy(linear.weight)?;
        let bias = linear.bias.map(copy).transpose()?;
        let bias = bias.as_ref().map(floats).transpose()?;
        let (Some(x), Some(y)) = (find(&linear.x.value), find(&linear.y)) else {
            return Err(CheckFault::Product { part: linear.weight });
        };
        Ok(terms::verify(linear, [&x, &y], open, floats(&weights)?, bias))
    }

    fn verify_rows(&mut self, find: Find<'_, '_>) -> Result<(), CheckFault> {
        for (number, table) in self.check.operators().tables.iter().enumerate() {
            let missing = CheckFault::NothingCompared { part: table.part };
            let (indices, rows) =
                find(&table.indices).zip(find(&table.rows_value)).ok_or(missing)?;
            let compared = table.verify(number, &self.keys.vault, &self.keys.mac, &indices, &rows);
            let rows = compared.map_err(|bad| CheckFault::Row { part: bad.part, row: bad.row })?;
            self.measure.rows(table.part, rows);
        }
        Ok(())
    }

    fn verify_products(
        &self,
        picked: &[usize],
        find: Find<'_, '_>,
    ) -> Result<Vec<Compared>, CheckFault> {
        let linears = &self.check.operators().linears;
        let (mut floats, mut compared) = (Vec::new(), Vec::new());
        let mut projections: Vec<Option<Projection<'_>>> = linears.iter().map(|_| None).collect();
        for i in picked {
            let linear = linears.get(*i).ok_or(CheckFault::Structure)?;
            if let Arithmetic::Bytes { .. } = linear.arithmetic {
                compared.push(self.verify_integers(*i, linear, find)?);
                continue;
            }
            let projection = Projection::borrowed(&linear.form, self.keys.vault.projection(*i));
            *projections.get_mut(*i).ok_or(CheckFault::Structure)? =
                Some(projection.ok_or(CheckFault::Structure)?);
            floats.push(*i);
        }
        let projection = |i: usize| projections.get(i)?.as_ref();
        let mut products = Products::new(linears);
        let verified =
            products.verify(&reduction_passes(linears, &floats), &floats, &projection, find);
        if self.plan.kind() == PlanKind::Both && verified.is_ok() {
            self.check.observed().sizes(products.sizes());
        }
        compared.extend(verified.map_err(|Misfit(i)| CheckFault::Product {
            part: linears.get(i).map_or(usize::MAX, |l| l.weight),
        })?);
        Ok(compared)
    }

    fn verify_integers(
        &self,
        number: usize,
        linear: &Linear,
        find: Find<'_, '_>,
    ) -> Result<Compared, CheckFault> {
        let projection =
            IntegerProjection::borrowed(&linear.form, self.keys.vault.projection(number));
        let projection = projection.ok_or(CheckFault::Structure)?;
        let zero = integer::input_zero(linear).map(find);
        let wrong = CheckFault::Product { part: linear.weight };
        let (Some(x), Some(y), None | Some(Some(_))) =
            (find(&linear.x.value), find(&linear.y), &zero)
        else {
            return Err(wrong);
        };
        if !fits_shape(linear, &x.dims, &y.dims) {
            return Err(wrong);
        }
        let places = projection.verify(&x, &y, zero.flatten().as_ref()).ok_or(wrong)?;
        Ok(Compared::everywhere(number, places as usize))
    }

    /// Compares every byte of a part whose product says nothing about this query, because its input is not finite.
    fn compare_instead(&mut self, bytes: &[u8], part: usize) -> Result<(), CheckFault> {
        self.instead.push(part);
        let known = self.has_all_bytes(part);
        let pieces = self.check.pieces();
        let numbers = (0u32..).zip(pieces).filter(|(_, p)| p.part == part).map(|(i, _)| i);
        let numbers: Vec<u32> = numbers.collect();
        if !known {
            // Those that had their turn are counted once.
            self.measure.forget_bytes(part);
        }
        self.compare(bytes, numbers.into_iter(), !known)
    }

    /// Returns whether the plan has every byte of a part compared at each use.
    fn is_on_bytes(&self, part: usize) -> bool {
        let mut its = (0u32..).zip(self.check.pieces()).filter(|(_, p)| p.part == part);
        its.all(|(number, _)| self.plan.before().binary_search(&number).is_ok())
    }

    fn has_all_bytes(&self, part: usize) -> bool {
        self.measure.parts().get(part).is_some_and(|p| p.bytes == p.len)
    }

    /// Compares once more, after the use, the bytes that the plan says.
    pub(crate) fn compare_after(&mut self, bytes: &[u8]) -> Result<(), CheckFault> {
        let after = self.plan.after();
        self.compare(bytes, after.iter().copied(), false)
    }

    /// Notes that so many values were computed a second time and were the same.
    pub(crate) fn recomputed(&mut self, values: usize) {
        self.measure.recomputed(values as u64);
    }

    /// Returns what was compared. Fails closed: a part of which the plan promises something and nothing was compared is a fault,
    /// and so is a plan that is not what it was, or that was not followed.
    pub(crate) fn finish(self) -> Result<Measure, CheckFault> {
        self.promised()?;
        self.check.is_plan(self.plan, &self.keys.mac)?;
        self.followed()?;
        Ok(self.measure)
    }

    /// Verifies that all was verified of the outputs that the plan, as it is now, names: it may have been another one meanwhile.
    fn followed(&self) -> Result<(), CheckFault> {
        if !self.plan.looks_at_outputs() {
            return Ok(());
        }
        let drawn = self.drawn.ok_or(CheckFault::Structure)?;
        let linears = &self.check.operators().linears;
        let picked = self.plan.products(drawn, linears.len());
        for linear in picked.iter().filter_map(|i| linears.get(*i)) {
            let part = linear.weight;
            let due = picked.iter().filter(|i| linears.get(**i).is_some_and(|l| l.weight == part));
            let had = self.measure.parts().get(part).map_or(0, |p| p.verified as usize);
            if had < due.count() && !self.instead.contains(&part) {
                return Err(CheckFault::NothingCompared { part });
            }
        }
        let due = self.plan.recomputes(drawn) && self.check.recomputed().is_some();
        let had = || self.measure.parts().iter().any(|p| p.recomputed.is_some());
        let graph = self.check.parts().iter().position(|p| p.kind == deepring::PartKind::Graph);
        match graph {
            Some(part) if due && self.instead.is_empty() && !had() => {
                Err(CheckFault::NothingCompared { part })
            }
            _ => Ok(()),
        }
    }

    /// As [`finish`](Self::finish), for a use whose bytes another thread compares.
    pub(crate) fn finish_with(mut self, bytes: &Measure) -> Result<Measure, CheckFault> {
        self.measure.with_bytes_of(bytes);
        self.finish()
    }

    /// The comparisons so far.
    pub(crate) fn into_measure(self) -> Measure {
        self.measure
    }

    fn promised(&self) -> Result<(), CheckFault> {
        let nothing =
            self.measure.coverage().into_iter().position(|c| {
                matches!(c, deepring::Coverage::Opened | deepring::Coverage::Unchecked)
            });
        match nothing {
            Some(part) => Err(CheckFault::NothingCompared { part }),
            None => Ok(()),
        }
    }

    /// Measures what the products of a run can tell apart. Operators on bytes are exact and not measured.
    pub(crate) fn margins(
        &self,
        bytes: &[u8],
        find: Find<'_, '_>,
        random: &mut dyn FnMut() -> usize,
    ) -> Result<Vec<Margin>, CheckFault> {
        let linears = &self.check.operators().linears;
        let lent = |(i, l): (usize, &Linear)| match l.arithmetic {
            Arithmetic::Floats { .. } => {
                Projection::borrowed(&l.form, self.keys.vault.projection(i))
            }
            Arithmetic::Bytes { .. } => None,
        };
        let projections: Vec<_> = linears.iter().enumerate().map(lent).collect();
        let all: Vec<usize> = (0..linears.len()).filter(|i| projections[*i].is_some()).collect();
        let projection = |i: usize| projections.get(i)?.as_ref();
        let wrong = |i: usize| CheckFault::Product { part: linears.get(i).map_or(0, |l| l.weight) };
        let mut products = Products::new(linears);
        let verified = products.verify(&reduction_passes(linears, &all), &all, &projection, find);
        verified.map_err(|Misfit(i)| wrong(i))?;
        let mut margins = Vec::new();
        for i in all {
            let (Some(projection), Some(linear)) = (projection(i), linears.get(i)) else {
                continue;
            };
            let part = self.check.parts().get(linear.weight).ok_or_else(|| wrong(i))?;
            let weights = bytes.get(part.offset as usize..part.end() as usize);
            let weights = weights.and_then(|b| bytemuck::try_cast_slice(b).ok());
            let weights = weights.ok_or_else(|| wrong(i))?;
            let margin = margin::measure(&products, i, linear, projection, weights, find, random);
            margins.push(margin.ok_or_else(|| wrong(i))?);
        }
        Ok(margins)
    }
}

impl std::fmt::Debug for UseVerification<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verification").field("plan", &self.plan.kind()).finish_non_exhaustive()
    }
}

impl Mode {
    /// The mode of a check; `None` for one that compares nothing at a use. `parts_alike` is what the engine says of itself.
    pub(crate) fn of(check: deepring::Check, parts_alike: bool) -> Option<Self> {
        use deepring::Check;
        match check {
            Check::None | Check::Load => None,
            Check::Spot(_) | Check::Run => Some(Self::Bytes),
            Check::Auto => Some(Self::Auto),
            Check::Compute if parts_alike => Some(Self::Compute),
            Check::Compute => Some(Self::ComputeWhole),
        }
    }
}
