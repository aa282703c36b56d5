//! Bits of f32 weights: sampled, or the worst of some.
//!
//! S. Hong, P. Frigo, Y. Kaya, C. Giuffrida, T. Dumitras: Terminal Brain Damage, USENIX Security 2019.

use deepring::DType;

use super::flips;
use crate::attack::{AttackError, Attacked, Job, Step};
use crate::network::{Layer, Network};

/// The highest bit of the exponent.
const BIT: u32 = 30;
/// Exponent bits of an f32.
const EXPONENT: std::ops::Range<u32> = 23..31;
/// Bits that a search tries.
const TRIED: usize = 64;

/// Bit `bit` (30 by default) of `flips` weights (1 by default), drawn among all, none twice.
pub(super) fn sample(job: &Job<'_>) -> Result<Attacked, AttackError> {
    let mut random = job.random();
    let bit = bit(job)?.unwrap_or(BIT);
    let weights = Weights::of(job, &mut random)?;
    let count = flips(job, 1, weights.total, "f32 weights")?;
    let mut network = job.network.clone();
    for place in random.choose_multiple(0..weights.total, count) {
        weights.flip(&mut network, place, bit)?;
    }
    Ok(job.made(network, format!("bit {bit} of {count} random weights flipped")))
}

/// Tries `flips` (64 by default) random exponent bits, or bits `bit` if that is given, and keeps the one after
/// which fewest samples are answered rightly. One that leaves scores that are not finite counts only where none
/// leaves them finite: a careful caller would notice such answers without any check of the network.
///
/// `progress` is called with each bit that is tried.
pub(super) fn worst(job: &Job<'_>) -> Result<Attacked, AttackError> {
    let judge = job.judge()?;
    let mut random = job.random();
    let bits: Vec<u32> = match bit(job)? {
        Some(bit) => vec![bit],
        None => EXPONENT.collect(),
    };
    let weights = Weights::of(job, &mut random)?;
    let count = flips(job, TRIED, weights.total * bits.len(), "bits that can be tried")?;
    let mut worst: Option<((bool, f64), Network, Step)> = None;
    for draw in random.choose_multiple(0..weights.total * bits.len(), count) {
        let bit = bits.get(draw % bits.len()).copied().unwrap_or(BIT);
        let mut network = job.network.clone();
        let (tensor, index) = weights.flip(&mut network, draw / bits.len(), bit)?;
        let answers = judge.ask(&network)?;
        let finite = answers.rows().flatten().all(|score| score.is_finite());
        let (loss, accuracy) = (answers.loss(answers.labels()), answers.accuracy());
        let step = Step { tensor, index, bit, loss, accuracy };
        (job.progress)(&step);
        let harm = (!finite, accuracy);
        if worst.as_ref().is_none_or(|(least, _, _)| harm < *least) {
            worst = Some((harm, network, step));
        }
    }
    let (_, network, step) = worst.ok_or_else(|| job.nothing("no bit was tried"))?;
    let what = format!("bit {} of one weight flipped, the worst of {count} tried", step.bit);
    Ok(Attacked { network, what, steps: vec![step] })
}

fn bit(job: &Job<'_>) -> Result<Option<u32>, AttackError> {
    match job.options.bit {
        Some(bit) if bit > 31 => Err(AttackError::Option {
            option: "bit",
            found: bit.to_string(),
            reason: "an f32 has the bits 0 to 31".to_owned(),
        }),
        bit => Ok(bit),
    }
}

/// The f32 weights of a network, counted through.
struct Weights {
    layers: Vec<Layer>,
    total: usize,
}

impl Weights {
    fn of(job: &Job<'_>, random: &mut fastrand::Rng) -> Result<Self, AttackError> {
        let float = |l: &Layer| {
            let dtype = job.network.tensor(&l.weight).map(|t| t.dtype());
            matches!(dtype, Ok(DType::F32)) && !l.is_empty()
        };
        let layers: Vec<Layer> = match &job.options.layer {
            Some(_) => vec![job.layer(random, float)?],
            None => job.network.layers().into_iter().filter(float).collect(),
        };
        let total = layers.iter().map(Layer::len).sum();
        match total {
            0 => Err(job.nothing("the network has no f32 weight, and others have no exponent")),
            _ => Ok(Self { layers, total }),
        }
    }

    /// Flips a bit of the weight with this number; returns its tensor and its place there.
    fn flip(
        &self,
        network: &mut Network,
        place: usize,
        bit: u32,
    ) -> Result<(String, usize), AttackError> {
        let mut index = place;
        let mut name = String::new();
        for layer in &self.layers {
            name.clone_from(&layer.weight);
            if index < layer.len() {
                break;
            }
            index -= layer.len();
        }
        let mut values = network.floats(&name)?;
        if let Some(value) = values.get_mut(index) {
            *value = f32::from_bits(value.to_bits() ^ (1 << bit));
        }
        network.set_floats(&name, &values)?;
        Ok((name, index))
    }
}
