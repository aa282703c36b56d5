//! Bits of floating-point weights: sampled, or the worst of some.
//!
//! S. Hong, P. Frigo, Y. Kaya, C. Giuffrida, T. Dumitras: Terminal Brain Damage, USENIX Security 2019.

use std::ops::Range;

use crate::attack::context::{AttackContext, AttackError, Attacked, Step};
use crate::network::{Element, Layer, Network};

/// Bits that a search tries.
const TRIED: usize = 64;

/// Bit `bit` (the highest of the exponent by default: 30 of an f32, 14 of an f16 or bf16) of `flips` weights (1 by
/// default), drawn among all, none twice.
pub(crate) fn sample(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let mut random = context.random();
    let bits = Bits::of(context, &mut random, |exponent| exponent.end - 1..exponent.end)?;
    let count = context.flips(1, bits.total, "floating-point weights")?;
    let mut network = context.network.clone();
    for draw in random.choose_multiple(0..bits.total, count) {
        bits.flip(&mut network, draw)?;
    }
    Ok(context.made(network, format!("{} of {count} random weights flipped", bits.words(context))))
}

/// Tries `flips` (64 by default) random exponent bits, or bits `bit` if that is given, and keeps the one after
/// which fewest samples are answered rightly. One that leaves scores that are not finite counts only where none
/// leaves them finite: a careful caller would notice such answers without any check of the network.
///
/// `progress` is called with each bit that is tried.
pub(crate) fn worst(context: &AttackContext<'_>) -> Result<Attacked, AttackError> {
    let evaluator = context.evaluator()?;
    let mut random = context.random();
    let bits = Bits::of(context, &mut random, |exponent| exponent)?;
    let count = context.flips(TRIED, bits.total, "bits that can be tried")?;
    let mut worst: Option<((bool, f64), Network, Step)> = None;
    for draw in random.choose_multiple(0..bits.total, count) {
        let mut network = context.network.clone();
        let (tensor, index, bit) = bits.flip(&mut network, draw)?;
        let answers = evaluator.evaluate(&network)?;
        let finite = answers.rows().flatten().all(|score| score.is_finite());
        let (loss, accuracy) = (answers.loss(answers.labels()), answers.accuracy());
        let step = Step { tensor, index, bit, loss, accuracy };
        (context.progress)(&step);
        let harm = (!finite, accuracy);
        if worst.as_ref().is_none_or(|(least, _, _)| harm < *least) {
            worst = Some((harm, network, step));
        }
    }
    let (_, network, step) = worst.ok_or_else(|| context.not_applicable("no bit was tried"))?;
    let what = format!("bit {} of one weight flipped, the worst of {count} tried", step.bit);
    Ok(Attacked { network, what, steps: vec![step], reached: None })
}

/// The bits of a network's floating-point weights that an attack can flip, counted through: all of the first weight, then
/// all of the second.
struct Bits {
    /// Layers, and which bits of each of their weights.
    layers: Vec<(Layer, Range<u32>)>,
    total: usize,
}

impl Bits {
    /// The bits `of` an exponent, or the bit that is asked for, in the layers whose weights have it.
    fn of(
        context: &AttackContext<'_>,
        random: &mut fastrand::Rng,
        of: impl Fn(Range<u32>) -> Range<u32>,
    ) -> Result<Self, AttackError> {
        let format = |l: &Layer| Element::exponent(context.network.tensor(&l.weight).ok()?.dtype());
        let float = |l: &Layer| format(l).is_some() && !l.is_empty();
        let layers: Vec<Layer> = match &context.options.layer {
            Some(_) => vec![context.layer(random, float)?],
            None => context.network.layers().into_iter().filter(float).collect(),
        };
        if layers.is_empty() {
            let reason = "the network has no floating-point weight, and others have no exponent";
            return Err(context.not_applicable(reason));
        }
        let most = layers.iter().filter_map(|l| Some(format(l)?.0)).max().unwrap_or_default();
        let bits = |layer: Layer| {
            let (width, exponent) = format(&layer)?;
            let bits = match context.options.bit {
                Some(bit) => (bit < width).then(|| bit..bit + 1)?,
                None => of(exponent),
            };
            Some((layer, bits))
        };
        let layers: Vec<_> = layers.into_iter().filter_map(bits).collect();
        let total = layers.iter().map(|(layer, bits)| layer.len() * bits.len()).sum();
        match (total, context.options.bit) {
            (0, Some(bit)) => Err(AttackError::Option {
                option: "bit",
                found: bit.to_string(),
                reason: format!("the weights have the bits 0 to {}", most.saturating_sub(1)),
            }),
            _ => Ok(Self { layers, total }),
        }
    }

    /// Flips the bit with this number; returns its tensor, its place there, and which of its bits it is.
    fn flip(
        &self,
        network: &mut Network,
        number: usize,
    ) -> Result<(String, usize, u32), AttackError> {
        let mut rest = number;
        for (layer, bits) in &self.layers {
            let here = layer.len() * bits.len();
            if rest >= here {
                rest -= here;
                continue;
            }
            let (index, bit) = (rest / bits.len(), bits.start + (rest % bits.len()) as u32);
            let tensor = network.tensor(&layer.weight)?;
            let at = index * tensor.dtype().size() + (bit / 8) as usize;
            let mut bytes = tensor.bytes().to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
            network.set_bytes(&layer.weight, bytes)?;
            return Ok((layer.weight.clone(), index, bit));
        }
        Ok((String::new(), 0, 0))
    }

    /// Which bit of each weight, in words.
    fn words(&self, context: &AttackContext<'_>) -> String {
        let first = self.layers.first().map(|(_, bits)| bits.start);
        let same = self.layers.iter().all(|(_, bits)| Some(bits.start) == first);
        match context.options.bit.or(first.filter(|_| same)) {
            Some(bit) => format!("bit {bit}"),
            None => "the highest bit of the exponent".to_owned(),
        }
    }
}
