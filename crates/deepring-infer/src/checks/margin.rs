//! How close a right output comes to being refused, and how small an edit of a weight is detected.

use super::operators::{Linear, LinearForm};
use super::products::{Products, matrix, picture};
use super::projection::{Projection, Residual};
use crate::engine::{Elements, View};

/// The smallest difference that one operator's check can tell apart, on one input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Margin {
    pub(crate) part: usize,
    /// Places that were compared.
    pub(crate) places: usize,
    /// The largest residual of a right output, as a share of what is allowed.
    pub(crate) max_residual: f32,
    /// For each weight that was sampled, the smallest change that is detected for certain; infinite if the input
    /// never excites the weight.
    pub(crate) detection_thresholds: Vec<f32>,
    /// Root mean square of the operator's weights.
    pub(crate) rms: f32,
}

/// Weights sampled of each operator.
const SAMPLES: usize = 64;

/// Measures an operator whose sums are in `products`. `random` gives numbers to sample with.
pub(super) fn measure<'v>(
    products: &Products<'_>,
    number: usize,
    linear: &Linear,
    projection: &Projection<'_>,
    weights: &[f32],
    value: &(dyn Fn(&str) -> Option<View<'v>> + Sync),
    random: &mut dyn FnMut() -> usize,
) -> Option<Margin> {
    let x = &value(&linear.x.value)?;
    let mut pictures: Vec<Vec<Residual>> = Vec::new();
    products.sides(number, projection, value, |y, y2, x, x2| {
        pictures.push(projection.residuals([y, y2, x, x2], linear.magnified()));
        Some(())
    })?;
    let max_residual = pictures.iter().flatten().map(|g| g.value / g.bound).fold(0.0, f32::max);
    let Elements::F32(elements) = &x.elements else { return None };
    let squares: f64 = weights.iter().map(|w| f64::from(*w).powi(2)).sum();
    let mut detection_thresholds = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let met = excited(linear, x, elements, products.output_size(number)?, random)?;
        let threshold = met
            .values
            .iter()
            .zip(pictures.iter().flatten())
            .map(|(x, residual)| {
                (residual.bound + residual.value)
                    / (projection.size(met.output) * met.relu(*x).abs())
            })
            .fold(f32::INFINITY, f32::min);
        detection_thresholds.push(threshold);
    }
    Some(Margin {
        part: linear.weight,
        places: pictures.iter().map(Vec::len).sum(),
        max_residual,
        detection_thresholds,
        rms: (squares / weights.len().max(1) as f64).sqrt() as f32,
    })
}

/// The activations that a sampled weight is multiplied with.
struct Excited {
    output: usize,
    values: Vec<f32>,
    relu: bool,
}

impl Excited {
    fn relu(&self, x: f32) -> f32 {
        if self.relu && x < 0.0 { 0.0 } else { x }
    }
}

fn excited(
    linear: &Linear,
    x: &View<'_>,
    elements: &[f32],
    out: [usize; 2],
    random: &mut dyn FnMut() -> usize,
) -> Option<Excited> {
    let relu = linear.x.relu;
    match &linear.form {
        LinearForm::Rows { inner, outer, .. } => {
            matrix(&x.dims)?;
            let (output, input) = (random() % outer, random() % inner);
            let values = elements.iter().skip(input).step_by(*inner).copied().collect();
            Some(Excited { output, values, relu })
        }
        LinearForm::Conv(w) => {
            let (images, channels, size) = picture(&x.dims)?;
            let pixels = size[0] * size[1];
            let (output, tap) = (random() % w.outputs, random() % w.taps());
            let group = output / (w.outputs / w.group).max(1);
            let input = group * w.inputs_per_group + random() % w.inputs_per_group;
            let mut values = Vec::new();
            for image in 0..images {
                let plane = elements.get((image * channels + input) * pixels..)?.get(..pixels)?;
                let mut met = vec![0.0; out[0] * out[1]];
                w.gather(tap, (plane, size), (&mut met, out), |_, x| x);
                values.extend(met);
            }
            Some(Excited { output, values, relu })
        }
    }
}
