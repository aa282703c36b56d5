//! RADAR: 2-bit signatures of masked and interleaved sums of 8-bit weights (Li et al., DATE 2021).
//!
//! The weights of a layer are put into groups of G in a secret order. Each is added to the sum M of its group, or
//! subtracted, as a bit of a secret key of 16 bits says that repeats along the group. The signature is
//! `floor(M / 128) mod 2` and `floor(M / 256) mod 2`. A flip of a top bit moves M by 128, so one of them in a group is
//! always seen; of two, those that cancel are not. A flip of bit b below it is seen if it carries: in 2^b of 128 cases.
//!
//! The order is drawn anew for each tensor. The paper interleaves with a fixed distance, which the authors' program replaces
//! by a permutation; drawn in secret it is the stronger of both, and an attacker has no pairs to aim at.
//!
//! The paper has 8-bit networks. Where the weights are floats, the sums are over their [8-bit view](EightBitView).

use super::eight_bit::EightBitView;
use super::{Defence, DefenceKind, DefenceOptions, DefenceVerdict, Located, Moment};
use crate::network::{Network, Tensor};

const KEY_BITS: usize = 16;

#[derive(Debug)]
pub(super) struct Radar {
    tensors: Vec<Guarded>,
}

#[derive(Debug)]
struct Guarded {
    name: String,
    view: EightBitView,
    /// Group of each weight, and whether it is subtracted. They follow from the secrets; kept to be fast.
    places: Vec<(u32, bool)>,
    signatures: Vec<u8>,
}

impl Radar {
    pub(super) fn of(network: &Network, options: &DefenceOptions) -> Self {
        let mut random = fastrand::Rng::with_seed(options.seed);
        let baseline = |layer: crate::network::Layer| {
            let tensor = network.tensor(&layer.weight).ok()?;
            Guarded::of(&tensor, options.group.max(1), &mut random)
        };
        Self { tensors: network.layers().into_iter().filter_map(baseline).collect() }
    }
}

impl Guarded {
    fn of(tensor: &Tensor<'_>, group: usize, random: &mut fastrand::Rng) -> Option<Self> {
        let view = EightBitView::of(tensor)?;
        let key = random.u16(..);
        let mut order: Vec<usize> = (0..tensor.len()).collect();
        random.shuffle(&mut order);
        let mut places = vec![(0, false); order.len()];
        for (at, index) in order.into_iter().enumerate() {
            if let Some(place) = places.get_mut(index) {
                let in_group = at % group;
                *place = ((at / group) as u32, key >> (in_group % KEY_BITS) & 1 == 1);
            }
        }
        let mut out = Self { name: tensor.name().to_owned(), view, places, signatures: Vec::new() };
        out.signatures = vec![0; tensor.len().div_ceil(group)];
        out.signatures = out.signatures(tensor);
        Some(out)
    }

    fn signatures(&self, tensor: &Tensor<'_>) -> Vec<u8> {
        let mut sums = vec![0i32; self.signatures.len()];
        for (q, (group, minus)) in self.view.integers(tensor).into_iter().zip(&self.places) {
            if let Some(sum) = sums.get_mut(*group as usize) {
                // Modulo 2^32, of which 512 is a divisor: the signature is the same in a group of any size.
                *sum = sum.wrapping_add(if *minus { -i32::from(q) } else { i32::from(q) });
            }
        }
        sums.into_iter().map(signature).collect()
    }

    /// The weights of all groups whose signature differs; all, if the tensor is no longer what it was.
    fn differing(&self, network: &Network) -> Vec<Located> {
        let whole = || vec![Located { tensor: self.name.clone(), range: 0..self.places.len() }];
        let Ok(tensor) = network.tensor(&self.name) else { return whole() };
        if tensor.len() != self.places.len() || EightBitView::of(&tensor).is_none() {
            return whole();
        }
        let now = self.signatures(&tensor);
        if now == self.signatures {
            return Vec::new();
        }
        let wrong = |group: u32| now.get(group as usize) != self.signatures.get(group as usize);
        let mut out: Vec<Located> = Vec::new();
        for (index, _) in self.places.iter().enumerate().filter(|(_, (group, _))| wrong(*group)) {
            match out.last_mut() {
                Some(last) if last.range.end == index => last.range.end += 1,
                _ => out.push(Located { tensor: self.name.clone(), range: index..index + 1 }),
            }
        }
        out
    }
}

/// Bits 7 and 8 of the sum, as floor and remainder have them for negative sums too.
fn signature(sum: i32) -> u8 {
    sum.div_euclid(128).rem_euclid(4) as u8
}

impl Defence for Radar {
    fn kind(&self) -> DefenceKind {
        DefenceKind::Radar
    }

    /// Two bits a group; of each tensor, the key, 8 bytes from which the order is drawn, and the step of floats.
    fn stored_bytes(&self) -> usize {
        let of =
            |t: &Guarded| t.signatures.len().div_ceil(4) + KEY_BITS / 8 + 8 + t.view.stored_bytes();
        self.tensors.iter().map(of).sum()
    }

    fn check(&self, network: &Network, _: Moment, _: &mut dyn FnMut() -> f64) -> DefenceVerdict {
        DefenceVerdict::at(self.tensors.iter().flat_map(|t| t.differing(network)).collect())
    }

    /// Sets all weights of the groups that differ to zero.
    fn recover(&self, network: &mut Network, verdict: &DefenceVerdict) {
        for guarded in &self.tensors {
            let Ok(tensor) = network.tensor(&guarded.name) else { continue };
            let (zero, mut bytes) = (guarded.view.element(0), tensor.bytes().to_vec());
            if tensor.dtype().size() != zero.len() {
                continue;
            }
            for place in verdict.located.iter().filter(|l| l.tensor == guarded.name) {
                let range = place.range.start * zero.len()..place.range.end * zero.len();
                for element in bytes.get_mut(range).unwrap_or_default().chunks_mut(zero.len()) {
                    element.copy_from_slice(&zero);
                }
            }
            // As many bytes as before: it cannot fail.
            let _ = network.set_bytes(&guarded.name, bytes);
        }
    }
}

#[cfg(test)]
mod tests;
