//! Quantised weights as bits, and which of them a gradient would have flipped.

use crate::attack::context::{AttackContext, AttackError};
use crate::network::Layer;

/// One bit of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bit {
    pub(super) index: usize,
    /// The lowest is 0.
    pub(super) bit: u32,
}

/// The weights of one layer.
#[derive(Debug, Clone)]
pub(super) struct QuantisedLayer {
    pub(super) tensor: String,
    pub(super) steps: Vec<i8>,
    scale: f32,
}

impl QuantisedLayer {
    /// Of each layer.
    pub(super) fn of(
        context: &AttackContext<'_>,
        layers: &[Layer],
    ) -> Result<Vec<Self>, AttackError> {
        layers.iter().map(|l| Self::of_layer(context, l)).collect()
    }

    fn of_layer(context: &AttackContext<'_>, layer: &Layer) -> Result<Self, AttackError> {
        let tensor = layer.weight.clone();
        let steps = context.network.tensor(&tensor)?.int8s().zip(layer.scale.as_ref());
        let Some((steps, scale)) = steps else {
            return Err(context.not_applicable("quantise first: deepring quantise"));
        };
        // A zero point moves all weights alike, and changes no gradient; but ours has none.
        match context.network.floats(scale)?.as_slice() {
            [scale] if scale.is_finite() => Ok(Self { tensor, steps, scale: *scale }),
            _ => Err(context.not_applicable(format!(
                "`{tensor}` is not quantised with one scale for the layer: deepring quantise"
            ))),
        }
    }

    /// As floats, with these bits flipped.
    pub(super) fn floats_with(&self, bits: &[Bit]) -> Vec<f32> {
        let mut flipped = self.clone();
        flipped.flip(bits);
        flipped.steps.iter().map(|s| f32::from(*s) * self.scale).collect()
    }

    pub(super) fn flip(&mut self, bits: &[Bit]) {
        for Bit { index, bit } in bits {
            if let Some(step) = self.steps.get_mut(*index) {
                *step ^= (1u8 << (bit & 7)) as i8;
            }
        }
    }

    /// The bits with the largest gradients, of those whose flip moves the loss in the direction of `sign`; the
    /// largest first, and of equals the first in the tensor.
    pub(super) fn best(&self, gradient: &[f32], sign: f64, count: usize) -> Vec<Bit> {
        let mut best: Vec<(f64, Bit)> = Vec::with_capacity(count + 1);
        for (index, (step, gradient)) in self.steps.iter().zip(gradient).enumerate() {
            let slope = f64::from(*gradient) * f64::from(self.scale) * sign;
            // No bit of this weight is better than its highest.
            let floor = if best.len() < count { 0.0 } else { best.last().map_or(0.0, |b| b.0) };
            if slope.is_nan() || slope.abs() * 128.0 <= floor {
                continue;
            }
            for bit in 0..8 {
                let gain = slope * change(*step, bit);
                if gain > 0.0 && (best.len() < count || best.last().is_some_and(|b| gain > b.0)) {
                    let at = best.partition_point(|b| b.0 >= gain);
                    best.insert(at, (gain, Bit { index, bit }));
                    best.truncate(count);
                }
            }
        }
        best.into_iter().map(|(_, bit)| bit).collect()
    }
}

/// By how many steps a flip moves a weight, in two's complement.
fn change(step: i8, bit: u32) -> f64 {
    let flipped = step ^ (1u8 << bit) as i8;
    f64::from(flipped) - f64::from(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(steps: &[i8]) -> QuantisedLayer {
        QuantisedLayer { tensor: "w".to_owned(), steps: steps.to_vec(), scale: 0.5 }
    }

    #[test]
    fn the_highest_bit_is_negative() {
        assert_eq!(change(0, 7), -128.0);
        assert_eq!(change(-1, 7), 128.0);
        assert_eq!(change(5, 0), -1.0);
        assert_eq!(steps(&[1, 2]).floats_with(&[Bit { index: 1, bit: 7 }]), [0.5, -63.0]);
    }

    #[test]
    fn only_flips_in_the_direction_of_the_loss_are_candidates() {
        let of = |bits: Vec<Bit>| -> Vec<(usize, u32)> {
            bits.iter().map(|b| (b.index, b.bit)).collect()
        };
        let s = steps(&[3, -1, 0]);
        // 3 = 00000011: raising it sets bits 6 to 2; -1 is raised by clearing bit 7.
        assert_eq!(of(s.best(&[1.0, 0.0, 0.0], 1.0, 3)), [(0, 6), (0, 5), (0, 4)]);
        assert_eq!(of(s.best(&[1.0, 2.0, 0.0], 1.0, 2)), [(1, 7), (0, 6)]);
        assert_eq!(of(s.best(&[1.0, 0.0, 0.0], -1.0, 9)), [(0, 7), (0, 1), (0, 0)]);
        assert_eq!(of(s.best(&[0.0, 0.0, f32::NAN], 1.0, 9)), []);
    }
}
