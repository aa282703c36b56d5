//! What products and tags cost this block on this machine, observed in its first uses.

use std::time::Duration;

use super::anatomy::{Anatomy, Form, Linear, Numbers};
use super::direct;
use crate::mac::LiveMac;

/// Uses that are observed. The first ones meet memory that nobody has touched, so the fastest counts.
const USES: u32 = 3;
/// One further tap, as a share of reading an element.
const TAP: f64 = 0.125;
/// Bytes are summed without vectors of their own.
const BYTE_SUMS: f64 = 4.0;
/// Two comparisons and their bookkeeping, in seconds.
const OPERATOR: f64 = 2e-6;

/// What the first uses of a block showed.
#[derive(Debug, Default)]
pub(super) struct Observed {
    uses: u32,
    /// Elements of each linear operator's input and output.
    sizes: Vec<[usize; 2]>,
    /// Seconds for each byte that was compared, and for each unit of a product's work.
    byte: Option<f64>,
    unit: Option<f64>,
}

impl Observed {
    /// What comparing so many bytes took.
    pub(super) fn bytes(&mut self, bytes: usize, took: Duration) {
        let each = took.as_secs_f64() / bytes.max(1) as f64;
        self.byte = Some(self.byte.map_or(each, |b| b.min(each)));
    }

    /// What the products of all operators took.
    pub(super) fn products(&mut self, linears: &[Linear], sizes: Vec<[usize; 2]>, took: Duration) {
        let units: f64 = linears.iter().zip(&sizes).map(|(l, s)| work(l, *s)).sum();
        let each = took.as_secs_f64() / units.max(1.0);
        self.unit = Some(self.unit.map_or(each, |u| u.min(each)));
        self.sizes = sizes;
        self.uses += 1;
    }

    /// Which linear operators are cheaper to check by their product, if `together` queries share one
    /// comparison of the bytes; `None` while there is too little to tell.
    pub(super) fn choose(
        &self,
        anatomy: &Anatomy,
        tags: &LiveMac,
        together: usize,
    ) -> Option<Vec<bool>> {
        let (Some(byte), Some(unit), USES..) = (self.byte, self.unit, self.uses) else {
            return None;
        };
        let one = |(linear, sizes): (&Linear, &[usize; 2])| {
            let bytes = tags.part_len(linear.weight) as f64 / together.max(1) as f64;
            unit * work(linear, *sizes) + OPERATOR < byte * bytes
        };
        Some(anatomy.linears.iter().zip(&self.sizes).map(one).collect())
    }
}

/// A product's work, in elements looked at once.
fn work(linear: &Linear, [x, y]: [usize; 2]) -> f64 {
    let (x, y) = (x as f64, y as f64);
    let further = match &linear.form {
        Form::Rows { .. } => 0.0,
        // As many sums as there are outputs, not inputs.
        Form::Conv(w) if direct::suits(w) => y / w.outputs as f64 * (w.inputs() * w.taps()) as f64,
        Form::Conv(w) => x * (w.taps() - 1) as f64,
    };
    let slower = if matches!(linear.numbers, Numbers::Bytes { .. }) { BYTE_SUMS } else { 1.0 };
    (x + y + TAP * further) * slower
}
