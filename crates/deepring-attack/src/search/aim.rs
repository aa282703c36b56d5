//! The aim of each search: the samples it looks at, the loss, and when it is done.

use std::sync::Arc;

use fastrand::Rng;

use super::Goal;
use super::measure::{Done, SuccessMeasure};
use crate::attack::context::{AttackContext, AttackError};
use crate::evaluator::{Evaluator, EvaluatorError};
use crate::gradient::{Gradients, Objective};
use crate::network::Network;
use crate::samples::Samples;

/// Samples of the batch that BFA looks at.
const BFA_BATCH: usize = 128;
/// Samples of the batch that a targeted search looks at: of all classes, of the source, and beside it.
const TARGETED_BATCH: usize = 256;
/// The most samples on which a search measures its success, where it is given none to measure it on.
const MEASURED: usize = 1000;
/// A network is crushed at this multiple of chance (11 % of ten classes).
const CHANCE: f64 = 1.1;
/// More than this share must be at the target; of a test set of 10,000 that is every image.
const ALL: f64 = 0.9999;
/// The same where the others shall keep their answers.
const NEARLY_ALL: f64 = 0.999;
/// The most flips, unless told: so many that searches end by their own rule. A count that was cut off says only how
/// many flips are not enough.
const BFA_FLIPS: usize = 100;
const TARGETED_FLIPS: usize = 60;

/// The aim of a search.
#[derive(Debug)]
pub(super) struct Aim {
    pub(super) objective: Objective,
    /// 1 if the loss shall rise, -1 if it shall fall.
    pub(super) sign: f64,
    /// The most flips.
    pub(super) flips: usize,
    success: SuccessMeasure,
}

/// How far a search is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    pub(super) accuracy: f64,
    /// The share of attacked samples that go to the target.
    pub(super) success: Option<f64>,
    pub(super) done: bool,
}

impl Aim {
    pub(super) fn new(
        context: &AttackContext<'_>,
        goal: Goal,
        gradients: &Gradients,
        random: &mut Rng,
    ) -> Result<Self, AttackError> {
        let workers = rayon::current_num_threads();
        let all = context.evaluator()?.samples();
        // Where success is measured on samples of its own, none need be kept from the search.
        let (attack, held_out) = match context.stop {
            Some(_) => (Samples::clone(all), None),
            None => {
                let (attack, held_out) = halves(all, random);
                (attack, Some(held_out))
            }
        };
        let classes = gradients.scores(&attack.pick(&[0]))?.first().map_or(0, Vec::len);
        let seed = random.u64(..);
        let evaluator = |otherwise: Samples| match context.stop {
            Some(stop) => stop.clone(),
            None => Evaluator::new(Arc::new(otherwise), workers),
        };
        if goal == Goal::NoAccuracy {
            let samples = all.choose(BFA_BATCH, seed);
            // Labels are not needed: the clean network's own answers stand for them.
            let targets = gradients.scores(&samples)?.iter().map(|row| highest(row)).collect();
            let done = Done::Accuracy(CHANCE / classes.max(1) as f64);
            return Ok(Self {
                objective: mean(samples, targets),
                sign: 1.0,
                flips: context.options.flips.unwrap_or(BFA_FLIPS),
                success: SuccessMeasure::new(&evaluator(all.choose(MEASURED, seed)), done),
            });
        }
        let (source, target) = ends(context, goal, classes, random)?;
        let evaluator = evaluator(held_out.unwrap_or_else(|| attack.clone()));
        let flips = context.options.flips.unwrap_or(TARGETED_FLIPS);
        if goal == Goal::AllToTarget {
            let samples = attack.choose(TARGETED_BATCH, seed);
            let targets = vec![target; samples.len()];
            let success =
                SuccessMeasure::new(&evaluator, Done::Success { above: ALL, target, source: None });
            return Ok(Self { objective: mean(samples, targets), sign: -1.0, flips, success });
        }
        let of = |samples: &Samples, wanted: bool| -> Vec<usize> {
            let labels = samples.labels().iter().enumerate();
            labels.filter(|(_, l)| (**l == source) == wanted).map(|(at, _)| at).collect()
        };
        let mut victims = of(&attack, true);
        if victims.is_empty() || of(evaluator.samples(), true).is_empty() {
            return Err(context.not_applicable(format!("too few samples of class {source}")));
        }
        victims.truncate(TARGETED_BATCH);
        let victims = attack.pick(&victims);
        let targets = vec![target; victims.len()];
        let stealthy = goal == Goal::ClassToTargetAlone;
        let above = if stealthy { NEARLY_ALL } else { ALL };
        let mut objective = mean(victims, targets);
        if stealthy {
            let others = attack.pick(&of(&attack, false)).choose(TARGETED_BATCH, seed);
            let kept = others.labels().to_vec();
            objective = both(context, objective, mean(others, kept))?;
        }
        let done = Done::Success { above, target, source: Some(source) };
        Ok(Self { objective, sign: -1.0, flips, success: SuccessMeasure::new(&evaluator, done) })
    }

    /// How far the search is with this network.
    pub(super) fn reached(&self, network: &Network) -> Result<Reached, EvaluatorError> {
        self.success.of(network)
    }

    /// The aim in words.
    pub(super) fn text(&self) -> String {
        match self.success.done {
            Done::Accuracy(_) => "no accuracy".to_owned(),
            Done::Success { target, source: None, .. } => format!("all to class {target}"),
            Done::Success { target, source: Some(source), .. } => {
                format!("class {source} to class {target}")
            }
        }
    }

    /// When it ends, in words.
    pub(super) fn rule(&self) -> String {
        let (most, samples) = (self.success.done, self.success.attacked);
        match most {
            Done::Accuracy(most) => format!("at most {:.0} % of {samples}", 100.0 * most),
            Done::Success { above, .. } => format!("more than {:.2} % of {samples}", 100.0 * above),
        }
    }
}

/// The samples of the search, and those that success is measured on, where there are enough for two halves.
fn halves(all: &Samples, random: &mut Rng) -> (Samples, Samples) {
    let mut order: Vec<usize> = (0..all.len()).collect();
    random.shuffle(&mut order);
    let (first, second) = order.split_at(order.len().div_ceil(2));
    let second = if second.is_empty() { first } else { second };
    let sorted = |places: &[usize]| {
        let mut places = places.to_vec();
        places.sort_unstable();
        all.pick(&places)
    };
    let measured = sorted(second);
    let seed = random.u64(..);
    (sorted(first), measured.choose(MEASURED, seed))
}

/// Source and target: as asked, else drawn.
fn ends(
    context: &AttackContext<'_>,
    goal: Goal,
    classes: usize,
    random: &mut Rng,
) -> Result<(usize, usize), AttackError> {
    let checked = |option: &'static str, class: Option<usize>| match class {
        Some(class) if class >= classes => Err(AttackError::Option {
            option,
            found: class.to_string(),
            reason: format!("the network has {classes} classes"),
        }),
        class => Ok(class),
    };
    let target = checked("target", context.options.target)?;
    let source = checked("source", context.options.source)?;
    if classes < 2 {
        return Err(context.not_applicable("the network has one class"));
    }
    let drawn = random.usize(..classes);
    let target = target.unwrap_or_else(|| match source {
        Some(source) if drawn == source => (drawn + 1) % classes,
        _ => drawn,
    });
    let source = source.unwrap_or_else(|| (target + random.usize(1..classes)) % classes);
    if source == target && goal != Goal::AllToTarget {
        return Err(AttackError::Option {
            option: "source",
            found: source.to_string(),
            reason: "it must differ from the target".to_owned(),
        });
    }
    Ok((source, target))
}

/// The mean cross-entropy.
fn mean(samples: Samples, targets: Vec<usize>) -> Objective {
    let weights = vec![1.0 / samples.len() as f32; samples.len()];
    Objective { samples, targets, weights }
}

/// The sum of two objectives.
fn both(context: &AttackContext<'_>, a: Objective, b: Objective) -> Result<Objective, AttackError> {
    let values = [a.samples.values(0..a.samples.len()), b.samples.values(0..b.samples.len())];
    let labels = [a.samples.labels(), b.samples.labels()].concat();
    let samples = Samples::new(a.samples.dims().to_vec(), values.concat(), labels);
    let samples = samples.ok_or_else(|| context.not_applicable("no samples"))?;
    let (targets, weights) = ([a.targets, b.targets].concat(), [a.weights, b.weights].concat());
    Ok(Objective { samples, targets, weights })
}

fn highest(row: &[f32]) -> usize {
    let best = row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(at, _)| at)
}
