//! What a product and what a tag costs on this machine, measured once.

use std::sync::OnceLock;
use std::time::Instant;

use super::anatomy::{Anatomy, Form, Numbers};
use super::direct;
use crate::kernels::{Reading, columns};
use crate::mac::{LiveMac, MacKey, Place};

/// Seconds for each unit of work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Costs {
    /// A byte compared with its tag.
    byte: f64,
    /// An element of an activation looked at once.
    element: f64,
    /// The same element held against one further tap.
    tap: f64,
    /// An operator, whatever its size.
    operator: f64,
}

/// Bytes to measure with: more than a core's cache, since weights are not in it when they are due.
const BYTES: usize = 16 << 20;
const CHANNELS: usize = 128;
const PIXELS: usize = 4096;
/// A tag and the bookkeeping of one comparison, in seconds. Too small to be measured reliably at a start.
const OPERATOR: f64 = 3e-6;

impl Costs {
    /// Measured at the first call, in some milliseconds; the caller is where the engine's threads are.
    pub(crate) fn measured() -> &'static Self {
        static COSTS: OnceLock<Costs> = OnceLock::new();
        COSTS.get_or_init(|| Self::measure().unwrap_or(Self::TYPICAL))
    }

    /// 25 GB/s for both, and a quarter of that for each tap.
    const TYPICAL: Self = Self { byte: 4e-11, element: 1.6e-10, tap: 4e-11, operator: OPERATOR };

    fn measure() -> Option<Self> {
        let key = MacKey::random()?;
        let bytes = vec![1u8; BYTES];
        let fastest = |work: &mut dyn FnMut()| {
            (0..3)
                .map(|_| {
                    let start = Instant::now();
                    work();
                    start.elapsed().as_secs_f64()
                })
                .fold(f64::INFINITY, f64::min)
        };
        let byte = fastest(&mut || {
            for (i, piece) in bytes.chunks(256 << 10).enumerate() {
                std::hint::black_box(key.tag(Place::Piece(i), piece));
            }
        }) / BYTES as f64;
        let x = vec![1f32; CHANNELS * PIXELS];
        let planes = vec![0.5f32; CHANNELS * 9];
        let mut sums = vec![0f32; PIXELS * 9];
        let mut square_sums = vec![0f32; PIXELS];
        let mut pass = |taps: usize| {
            fastest(&mut || {
                let mut readings = [Reading {
                    relu: false,
                    planes: planes.get(..CHANNELS * taps).unwrap_or_default(),
                    squares: planes.get(..CHANNELS).unwrap_or_default(),
                    sums: sums.get_mut(..PIXELS * taps).unwrap_or_default(),
                    square_sums: &mut square_sums,
                }];
                columns(std::hint::black_box(&x), CHANNELS, PIXELS, &mut readings);
            }) / x.len() as f64
        };
        let (one, nine) = (pass(1), pass(9));
        let tap = ((nine - one) / 8.0).max(0.0);
        Some(Self { byte, element: one, tap, operator: OPERATOR })
    }

    /// Which linear operators are cheaper to check by their product, if `together` queries share one
    /// comparison of the bytes. `sizes` are elements of input and output.
    pub(super) fn choose(
        &self,
        anatomy: &Anatomy,
        sizes: &[[usize; 2]],
        tags: &LiveMac,
        together: usize,
    ) -> Vec<bool> {
        let one = |(linear, [x, y]): (&super::Linear, &[usize; 2])| {
            let taps = match &linear.form {
                Form::Conv(w) => w.taps() as f64,
                Form::Rows { .. } => 1.0,
            };
            let (x, y) = (*x as f64, *y as f64);
            let taps = match &linear.form {
                // Only as many sums as there are outputs.
                Form::Conv(w) if direct::suits(w) => {
                    y / w.outputs as f64 * w.inputs() as f64 * taps / x
                }
                _ => taps - 1.0,
            };
            let product = self.element * (x + y) + self.tap * x * taps + self.operator;
            // Bytes are summed without vectors of their own.
            let slower = if matches!(linear.numbers, Numbers::Bytes { .. }) { 4.0 } else { 1.0 };
            let product = product * slower;
            let bytes = self.byte * tags.part_len(linear.weight) as f64 / together.max(1) as f64;
            product < bytes
        };
        anatomy.linears.iter().zip(sizes).map(one).collect()
    }
}
