//! What is checked of a block at each use, and how.
//!
//! A block's parameters fall into three classes. Those of linear operators can be checked by their *product*:
//! what came out is held against a secret projection, which costs one look at the activations whatever the size of
//! the weights. Of *tables*, only the rows that a run gathers are checked. Of all *others*, and of linear
//! operators for which it is cheaper, every byte is compared with its tag. A product says that the output is right
//! up to rounding; so the bytes under products are compared in rotation besides, a share at each use.

mod anatomy;
mod cost;
mod direct;
mod integer;
mod margin;
mod products;
mod projection;
mod rows;
mod secret;
mod watch;
mod window;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use deepring::{Coverage, DType, Part, PartKind, TensorSpec};

use crate::engine::View;
use crate::mac::{Changed, LiveMac, Place};
use rows::{BadRow, RowTags};
use secret::{Kind, Secret, floats, project};

pub(crate) use anatomy::{Anatomy, Form, Linear, Numbers, Source, exposing};
use cost::Observed;
pub(crate) use margin::Margin;
pub(crate) use products::Products;
pub(crate) use projection::Projection;
pub(crate) use watch::{ROTATION, Slot, Watch, readings};
pub(crate) use window::Window;

/// Uses after which a secret is drawn anew. What an attacker can learn from one is whether a query was refused,
/// which ends his try; still no secret serves for ever.
pub(crate) const SECRET_LIFE: u64 = 4096;

/// How a block is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Every byte.
    Bytes,
    /// Products wherever there are any.
    Compute,
    /// The cheaper of both.
    Auto,
}

/// The tags and secrets of one block.
#[derive(Debug)]
pub(crate) struct BlockCheck {
    mode: Mode,
    tags: LiveMac,
    anatomy: Anatomy,
    secrets: Vec<Mutex<Arc<Secret>>>,
    tables: Vec<RowTags>,
    /// Parts of the block.
    parts: usize,
    uses: AtomicU64,
    observed: Mutex<Observed>,
    watches: [OnceLock<Watch>; Slot::COUNT],
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Live bytes are not what they were: part and range.
    Bytes { part: usize, range: Range<usize> },
    /// An operator's output is not that of its sealed parameters; the part is that of its weights.
    Product { part: usize },
    /// What the check itself keeps in memory is not what it was.
    Secret,
    /// The system gives no randomness.
    NoRandomness,
}

impl From<Changed> for Fault {
    fn from(c: Changed) -> Self {
        Self::Bytes { part: c.part, range: c.range }
    }
}

impl From<BadRow> for Fault {
    fn from(b: BadRow) -> Self {
        Self::Bytes { part: b.part, range: b.range }
    }
}

impl BlockCheck {
    /// Tags the bytes as they are now and draws secrets from them. `None` if the system gives no randomness.
    ///
    /// The caller must compare the bytes with the block's digest *after* this: what changed before is seen by
    /// the digest, what changes later by the tags, and there is no moment in between.
    pub(crate) fn of(
        mode: Mode,
        bytes: &[u8],
        graph: Range<usize>,
        parts: &[Part],
    ) -> Option<Self> {
        let anatomy = match mode {
            Mode::Bytes => Anatomy::default(),
            Mode::Compute | Mode::Auto => Anatomy::of(bytes.get(graph)?, parts),
        };
        let tags = LiveMac::of(bytes, parts)?;
        let mut check = Self {
            mode,
            secrets: Vec::new(),
            tables: Vec::new(),
            parts: parts.len(),
            uses: AtomicU64::new(0),
            observed: Mutex::default(),
            watches: Default::default(),
            anatomy,
            tags,
        };
        for (number, table) in (0..).zip(&check.anatomy.tables) {
            check.tables.push(RowTags::of(check.tags.key(), number, table, parts, bytes)?);
        }
        // Linear operators whose parameters are not laid out as their form says are checked byte by byte.
        let linears = std::mem::take(&mut check.anatomy.linears);
        for linear in linears {
            let Some(secret) = check.draw(check.secrets.len(), &linear, 0, bytes, parts)? else {
                continue;
            };
            check.secrets.push(Mutex::new(Arc::new(secret)));
            check.anatomy.linears.push(linear);
        }
        Some(check)
    }

    /// `None` if the system gives no randomness, `Some(None)` if the parameters are not as the operator says.
    fn draw(
        &self,
        number: usize,
        linear: &Linear,
        drawn: u32,
        bytes: &[u8],
        parts: &[Part],
    ) -> Option<Option<Secret>> {
        let Some(kind) = project(linear, bytes, parts)? else { return Some(None) };
        let place = Place::Secret(u32::try_from(number).ok()?, drawn);
        let tag = self.tags.key().tag(place, kind.bytes())?;
        Some(Some(Secret { kind, tag, drawn }))
    }

    /// What to do for queries that pass this block `together` at a time.
    pub(crate) fn watch(&self, together: usize) -> &Watch {
        let all = || vec![true; self.anatomy.linears.len()];
        let slot = match self.mode {
            Mode::Bytes => Slot::BARE,
            Mode::Compute => Slot::ALL,
            Mode::Auto => Slot::of(together),
        };
        if let Some(watch) = self.watches[slot.index()].get() {
            return watch;
        }
        let chosen = match self.mode {
            Mode::Bytes => Some(Vec::new()),
            Mode::Compute => Some(all()),
            Mode::Auto => self.observed().choose(&self.anatomy, &self.tags, together),
        };
        // Until it is known what is cheaper, everything is checked by its product and observed.
        let slot = if chosen.is_some() { slot } else { Slot::ALL };
        let watch = || {
            let chosen = chosen.unwrap_or_else(all);
            Watch::new(slot, &self.anatomy, &chosen, &self.tags, self.parts)
        };
        self.watches[slot.index()].get_or_init(watch)
    }

    /// Where the parameters stand of which a plan checks the bytes, so that an engine must read these very bytes.
    ///
    /// Left out are single numbers and short lists of integers: operators want them as constants, and every
    /// engine makes them something of its own.
    pub(crate) fn read_in_place(&self, watch: &Watch, parts: &[Part]) -> Vec<u64> {
        let by_product = |i: usize, had: Coverage| {
            had == Coverage::Product || self.anatomy.is_bias(i, watch.products())
        };
        let covered = parts.iter().zip(watch.coverage()).enumerate();
        covered
            .filter(|(i, (part, had))| match &part.kind {
                PartKind::Parameter(spec) => !is_constant(spec, part) && !by_product(*i, **had),
                _ => false,
            })
            .map(|(_, (part, _))| part.offset)
            .collect()
    }

    /// Compares, before the engine reads them, the bytes that are due: all that no product covers, and this
    /// use's share of the others. Draws secrets anew when their life is over.
    pub(crate) fn before(
        &self,
        watch: &Watch,
        bytes: &[u8],
        parts: &[Part],
        all_threads: bool,
    ) -> Result<(), Fault> {
        let n = self.uses.fetch_add(1, Ordering::Relaxed);
        if n > 0 && n.is_multiple_of(SECRET_LIFE) {
            self.redraw(bytes, parts)?;
        }
        if watch.slot() != Slot::ALL || self.mode != Mode::Auto {
            self.tags.check_pieces(bytes, watch.due(n), all_threads)?;
            return Ok(());
        }
        let start = Instant::now();
        self.tags.check(bytes)?;
        self.observed().bytes(bytes.len(), start.elapsed());
        Ok(())
    }

    /// Compares once more, after the use, the bytes that no product covers.
    pub(crate) fn after(&self, watch: &Watch, bytes: &[u8]) -> Result<(), Fault> {
        if self.mode == Mode::Compute {
            self.tags.check_pieces(bytes, watch.always(), true)?;
        }
        Ok(())
    }

    /// Compares every byte of one part.
    pub(crate) fn part_fits(&self, bytes: &[u8], part: usize) -> Result<(), Fault> {
        Ok(self.tags.check_pieces(bytes, &self.tags.pieces(|p| p == part), false)?)
    }

    /// Compares every byte.
    pub(crate) fn bytes_fit(&self, bytes: &[u8]) -> Result<(), Fault> {
        Ok(self.tags.check(bytes)?)
    }

    fn redraw(&self, bytes: &[u8], parts: &[Part]) -> Result<(), Fault> {
        self.tags.check(bytes)?;
        for (i, (linear, place)) in self.anatomy.linears.iter().zip(&self.secrets).enumerate() {
            let drawn = self.secret(place).drawn.wrapping_add(1);
            let secret = self.draw(i, linear, drawn, bytes, parts).flatten();
            let secret = Arc::new(secret.ok_or(Fault::NoRandomness)?);
            *place.lock().unwrap_or_else(PoisonError::into_inner) = secret;
        }
        // What was projected are the bytes that have their tags.
        self.tags.check(bytes)?;
        Ok(())
    }

    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn secrets(&self) -> Vec<Vec<u8>> {
        self.secrets.iter().map(|s| self.secret(s).kind.bytes().to_vec()).collect()
    }

    #[cfg(test)]
    pub(crate) fn secret_places(&self) -> Vec<Range<usize>> {
        let place = |s: &Mutex<Arc<Secret>>| {
            let secret = self.secret(s);
            let range = secret.kind.bytes().as_ptr_range();
            range.start as usize..range.end as usize
        };
        self.secrets.iter().map(place).collect()
    }

    fn secret(&self, place: &Mutex<Arc<Secret>>) -> Arc<Secret> {
        Arc::clone(&place.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Holds what a run gave against the secrets, and the rows that it gathered against their tags.
    ///
    /// `value` finds a value of the run by its name: an input, an output or an exposed one.
    pub(crate) fn outputs_fit<'a>(
        &self,
        watch: &Watch,
        bytes: &[u8],
        value: &(dyn Fn(&str) -> Option<View<'a>> + Sync),
    ) -> Result<(), Fault> {
        for table in &self.tables {
            let indices = value(table.indices());
            let whole = Fault::Product { part: table.part() };
            table.check(self.tags.key(), bytes, &indices.ok_or(whole)?)?;
        }
        let secrets = self.secrets_of(watch)?;
        for (i, linear) in self.anatomy.linears.iter().enumerate() {
            let kind = secrets.get(i).and_then(|s| s.as_ref()).map(|s| &s.kind);
            if let Some(Kind::Bytes(projection)) = kind {
                let (x, y) = (value(&linear.x.value), value(&linear.y));
                let zero = integer::input_zero(linear).map(value);
                let wrong = Fault::Product { part: linear.weight };
                let (Some(x), Some(y), None | Some(Some(_))) = (x, y, &zero) else {
                    return Err(wrong);
                };
                projection.fits(&x, &y, zero.flatten().as_ref()).ok_or(wrong)?;
            }
        }
        let projection = |i: usize| match &secrets.get(i)?.as_ref()?.kind {
            Kind::Floats(projection) => Some(projection),
            Kind::Bytes(_) => None,
        };
        let mut products = Products::new(&self.anatomy.linears);
        let start = Instant::now();
        let fit = products.fit(watch.readings(), watch.products(), &projection, value);
        if self.mode == Mode::Auto && watch.slot() == Slot::ALL && fit.is_ok() {
            let took = start.elapsed();
            self.observed().products(&self.anatomy.linears, products.sizes(), took);
        }
        fit.map_err(|linear| Fault::Product {
            part: self.anatomy.linears.get(linear).map_or(0, |l| l.weight),
        })
    }
}

impl BlockCheck {
    /// The secrets of a plan's products, each held against its tag.
    fn secrets_of(&self, watch: &Watch) -> Result<Vec<Option<Arc<Secret>>>, Fault> {
        let mut secrets = vec![None; self.secrets.len()];
        for i in watch.products() {
            let (Some(place), Some(slot)) = (self.secrets.get(*i), secrets.get_mut(*i)) else {
                return Err(Fault::Secret);
            };
            let secret = self.secret(place);
            let number = Place::Secret(*i as u32, secret.drawn);
            if !self.tags.key().fits(number, secret.kind.bytes(), &secret.tag) {
                return Err(Fault::Secret);
            }
            *slot = Some(secret);
        }
        Ok(secrets)
    }

    /// Measures what the products of a run can tell apart. Operators on bytes are exact and not measured.
    pub(crate) fn margins<'a>(
        &self,
        watch: &Watch,
        bytes: &[u8],
        parts: &[Part],
        value: &(dyn Fn(&str) -> Option<View<'a>> + Sync),
        random: &mut dyn FnMut() -> usize,
    ) -> Result<Vec<Margin>, Fault> {
        let secrets = self.secrets_of(watch)?;
        let projection = |i: usize| match &secrets.get(i)?.as_ref()?.kind {
            Kind::Floats(projection) => Some(projection),
            Kind::Bytes(_) => None,
        };
        let mut products = Products::new(&self.anatomy.linears);
        let wrong =
            |i: usize| Fault::Product { part: self.anatomy.linears.get(i).map_or(0, |l| l.weight) };
        products.fit(watch.readings(), watch.products(), &projection, value).map_err(wrong)?;
        let mut margins = Vec::new();
        for i in watch.products() {
            let (Some(projection), Some(linear)) = (projection(*i), self.anatomy.linears.get(*i))
            else {
                continue;
            };
            let weights = floats(bytes, parts, linear.weight).ok_or_else(|| wrong(*i))?;
            let margin = margin::measure(&products, *i, linear, projection, weights, value, random);
            margins.push(margin.ok_or_else(|| wrong(*i))?);
        }
        Ok(margins)
    }
}

/// Integers up to this many are a shape, axes, or the like.
const FEW: u64 = 64;

fn is_constant(spec: &TensorSpec, part: &Part) -> bool {
    let count = part.len / (spec.dtype.size() as u64).max(1);
    let float = matches!(spec.dtype, DType::F32 | DType::F64 | DType::F16 | DType::Bf16);
    let byte = matches!(spec.dtype, DType::I8 | DType::U8);
    count <= if float || byte { 1 } else { FEW }
}
