//! The plan of a block's check: which operators by product, which bytes at each use, which in rotation.

use std::collections::HashSet;

use deepring::Coverage;

use super::anatomy::{Anatomy, Form, Linear, Numbers, Source};
use super::integer;
use crate::mac::LiveMac;

/// Uses within which every byte under a product is compared.
pub(crate) const ROTATION: u16 = 64;

/// Which of a block's plans, and of its loaded programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(usize);

impl Slot {
    /// Nothing exposed.
    pub(crate) const BARE: Self = Self(0);
    /// Everything that any product needs is exposed.
    pub(crate) const ALL: Self = Self(1);
    pub(crate) const COUNT: usize = 8;
    /// What the next host looks at is exposed besides; a program, and no plan.
    pub(crate) const WITNESS: Self = Self(Self::COUNT);

    /// Plans for one query, two, four ... up to 32 and more at a time.
    pub(crate) fn of(together: usize) -> Self {
        Self(2 + (together.max(1).ilog2() as usize).min(Self::COUNT - 3))
    }

    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// One way of reading a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) linear: usize,
    pub(crate) role: Role,
    pub(crate) relu: bool,
}

/// Whether a value is an operator's input or its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Input,
    Output,
}

/// All readings of one value; they share one pass over it.
#[derive(Debug)]
pub(crate) struct Readings {
    pub(crate) value: String,
    /// Whether channels come first (a convolution's) or last.
    pub(crate) channels_first: bool,
    pub(crate) of: Vec<Reading>,
}

/// What to check of a block, and what the engine must give out for it.
#[derive(Debug)]
pub(crate) struct Watch {
    slot: Slot,
    products: Vec<usize>,
    readings: Vec<Readings>,
    /// Values that are looked at otherwise: row numbers, and what operators on bytes read and give.
    others: Vec<String>,
    always: Vec<usize>,
    due: Vec<Vec<usize>>,
    coverage: Vec<Coverage>,
}

impl Watch {
    /// `chosen` says for each linear operator whether it is checked by its product.
    pub(super) fn new(
        slot: Slot,
        anatomy: &Anatomy,
        chosen: &[bool],
        tags: &LiveMac,
        parts: usize,
    ) -> Self {
        let linears = || anatomy.linears.iter().enumerate();
        // A weight is covered only if every operator that reads it is checked by its product.
        let left: HashSet<usize> = linears()
            .filter(|(i, _)| chosen.get(*i) != Some(&true))
            .map(|(_, l)| l.weight)
            .collect();
        let products: Vec<usize> =
            linears().filter(|(_, l)| !left.contains(&l.weight)).map(|(i, _)| i).collect();
        let covered: HashSet<usize> =
            products.iter().filter_map(|i| Some(anatomy.linears.get(*i)?.weight)).collect();
        let tables: HashSet<usize> = anatomy.tables.iter().map(|t| t.part).collect();
        let always = tags.pieces(|part| !covered.contains(&part) && !tables.contains(&part));
        let mut turns =
            vec![Vec::new(); if covered.is_empty() { 1 } else { usize::from(ROTATION) }];
        // In an order that nobody outside knows, so that nobody can wait for a tensor's turn to have passed.
        for (i, piece) in shuffled(tags.pieces(|p| covered.contains(&p))).into_iter().enumerate() {
            let n = turns.len();
            if let Some(turn) = turns.get_mut(i % n) {
                turn.push(piece);
            }
        }
        let turns = shuffled(turns);
        let due = turns
            .into_iter()
            .map(|turn| {
                let mut due = [always.as_slice(), turn.as_slice()].concat();
                due.sort_unstable();
                due
            })
            .collect();
        let coverage = (0..parts)
            .map(|part| match (covered.contains(&part), tables.contains(&part)) {
                (true, _) => Coverage::Product,
                (false, true) => Coverage::Rows,
                (false, false) => Coverage::Bytes,
            })
            .collect();
        let readings = readings(&anatomy.linears, &products);
        let mut others: Vec<String> = anatomy.tables.iter().map(|t| t.indices.clone()).collect();
        for linear in products.iter().filter_map(|i| anatomy.linears.get(*i)) {
            if matches!(linear.numbers, Numbers::Bytes { .. }) {
                let zero = integer::input_zero(linear).map(ToOwned::to_owned);
                others.extend([linear.x.value.clone(), linear.y.clone()].into_iter().chain(zero));
            }
        }
        let slot = if products.is_empty() && anatomy.tables.is_empty() { Slot::BARE } else { slot };
        Self { slot, products, readings, others, always, due, coverage }
    }

    /// Which program to run.
    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    pub(crate) fn products(&self) -> &[usize] {
        &self.products
    }

    pub(crate) fn readings(&self) -> &[Readings] {
        &self.readings
    }

    /// The values that the check looks at.
    pub(crate) fn looks_at(&self) -> impl Iterator<Item = &str> {
        self.readings.iter().map(|r| r.value.as_str()).chain(self.others.iter().map(String::as_str))
    }

    /// Pieces compared at every use.
    pub(crate) fn always(&self) -> &[usize] {
        &self.always
    }

    /// Pieces to compare at use `n`: all that no product covers, and a share of the others.
    pub(crate) fn due(&self, n: u64) -> &[usize] {
        let turns = self.due.len().max(1) as u64;
        self.due.get((n % turns) as usize).map_or(&[], Vec::as_slice)
    }

    /// What each part of the block had.
    pub(crate) fn coverage(&self) -> &[Coverage] {
        &self.coverage
    }
}

/// The values that some products look at.
pub(crate) fn readings(linears: &[Linear], products: &[usize]) -> Vec<Readings> {
    let mut all: Vec<Readings> = Vec::new();
    let mut add = |source: &Source, channels_first: bool, linear: usize, role: Role| {
        let reading = Reading { linear, role, relu: source.relu };
        let same =
            |r: &&mut Readings| r.value == source.value && r.channels_first == channels_first;
        match all.iter_mut().find(same) {
            Some(found) => found.of.push(reading),
            None => all.push(Readings {
                value: source.value.clone(),
                channels_first,
                of: vec![reading],
            }),
        }
    };
    for i in products {
        let Some(linear) = linears.get(*i) else { continue };
        if !matches!(linear.numbers, Numbers::Floats { .. }) {
            continue;
        }
        let channels_first = matches!(linear.form, Form::Conv(_));
        add(&linear.x, channels_first, *i, Role::Input);
        let y = Source { value: linear.y.clone(), relu: false };
        add(&y, channels_first, *i, Role::Output);
    }
    all
}

/// Shuffled by the system's generator; left as it is where there is none, which gives away an order and
/// nothing else.
fn shuffled<T>(mut items: Vec<T>) -> Vec<T> {
    let mut random = vec![0u8; items.len() * 8];
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        return items;
    }
    let numbers = random.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b));
    for (i, number) in numbers.enumerate().skip(1) {
        items.swap(i, (number % (i as u64 + 1)) as usize);
    }
    items
}
