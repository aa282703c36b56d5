//! The input side of a convolution of few channels, summed tap by tap for each output row.
//!
//! A plane for each tap would be far more to write than there is to read: a first layer of 7×7 taps has 49 of
//! them for 3 channels. Here the picture is first laid out by its phases under the stride, with its padding, so
//! that what a tap meets along an output row is one stretch of memory.

use zeroize::Zeroizing;

use super::window::Window;
use crate::kernels::weighted;

/// Channels up to which this is the faster way.
const MOST_CHANNELS: usize = 8;

/// Returns whether a convolution is summed here.
pub(super) fn suits(window: &Window) -> bool {
    window.inputs() <= MOST_CHANNELS && window.taps() > 1
}

/// The sums of one picture `x: [channel][row][column]` under `planes: [tap][channel]`, and those of its squares under
/// `squares: [channel]`, each `[row][column]` of the output. `size` and `out` are height and width of picture and output.
pub(super) fn sums(
    window: &Window,
    (x, size): (&[f32], [usize; 2]),
    out: [usize; 2],
    (planes, squares): (&[f32], &[f32]),
    relu: bool,
) -> Option<[Vec<f32>; 2]> {
    let channels = window.inputs();
    let pixels = size[0] * size[1];
    let read = |x: f32| if relu && x < 0.0 { 0.0 } else { x };
    // `laid: [channel]`, and `square: [row][column]` of the picture.
    let mut laid = Vec::with_capacity(channels);
    let mut square = vec![0.0; pixels];
    for (c, q) in (0..channels).zip(squares) {
        let plane: Vec<f32> =
            x.get(c * pixels..)?.get(..pixels)?.iter().map(|x| read(*x)).collect();
        square.iter_mut().zip(&plane).for_each(|(s, x)| *s += q * x * x);
        laid.push(Phases::of(window, &plane, size, out));
    }
    let square = Phases::of(window, &square, size, out);
    let (mut met, mut met2) = (vec![0.0; out[0] * out[1]], vec![0.0; out[0] * out[1]]);
    let taps = window.taps();
    // In the order of the lines below: `[tap][channel]`.
    let weights: Zeroizing<Vec<f32>> =
        Zeroizing::new(planes.chunks_exact(channels).flatten().copied().collect());
    let ones = vec![1.0; taps];
    for (y, (met, met2)) in
        met.chunks_exact_mut(out[1]).zip(met2.chunks_exact_mut(out[1])).enumerate()
    {
        // `lines: [tap][channel]` and `lines2: [tap]`, each a row's worth of places.
        let mut lines = Vec::with_capacity(taps * channels);
        let mut lines2 = Vec::with_capacity(taps);
        for tap in 0..taps {
            for phases in &laid {
                lines.push(phases.line(window, tap, y)?);
            }
            lines2.push(square.line(window, tap, y)?);
        }
        weighted(&lines, &weights, met);
        weighted(&lines2, &ones, met2);
    }
    Some([met, met2])
}

/// A padded plane, its pixels ordered by row and column modulo the stride.
struct Phases {
    /// `[row modulo the stride][column modulo the stride][row / stride][column / stride]`
    values: Vec<f32>,
    /// Height and width of one phase.
    rows: usize,
    width: usize,
}

impl Phases {
    /// Of `plane: [row][column]`, with `size` its height and width and `out` those of the output.
    fn of(window: &Window, plane: &[f32], size: [usize; 2], out: [usize; 2]) -> Self {
        let [sy, sx] = window.strides();
        let [top, left] = window.pads(size, out);
        let [reach_y, reach_x] = window.reach_of_taps();
        let (rows, width) = (out[0] + reach_y / sy, out[1] + reach_x / sx);
        let mut values = vec![0.0; sy * sx * rows * width];
        for (y, line) in plane.chunks_exact(size[1].max(1)).enumerate() {
            let (row, phase_y) = ((y + top) / sy, (y + top) % sy);
            if row >= rows {
                break;
            }
            for phase_x in 0..sx {
                let start = ((phase_y * sx + phase_x) * rows + row) * width;
                let Some(to) = values.get_mut(start..start + width) else { continue };
                // The first pixel of this phase, and where it stands.
                let first = (phase_x + sx - left % sx) % sx;
                let at = (first + left) / sx;
                let pixels = line.iter().skip(first).step_by(sx);
                to.iter_mut().skip(at).zip(pixels).for_each(|(to, x)| *to = *x);
            }
        }
        Self { values, rows, width }
    }

    /// The input elements of a tap along an output row: `[column]`, and what lies behind.
    fn line(&self, window: &Window, tap: usize, y: usize) -> Option<&[f32]> {
        let [sy, sx] = window.strides();
        let [ay, ax] = window.ahead(tap);
        let phase = (ay % sy) * sx + ax % sx;
        let start = (phase * self.rows + y + ay / sy) * self.width;
        self.values.get(start + ax / sx..start + self.width)
    }
}
