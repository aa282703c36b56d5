//! What each search wants: the samples it looks at, the loss, and when it is done.

use std::sync::Arc;

use fastrand::Rng;

use crate::attack::{AttackError, Job};
use crate::catalogue::Kind;
use crate::gradient::{Gradients, Objective};
use crate::judge::{Answers, Judge};
use crate::samples::Samples;

/// Samples of the batch that BFA looks at.
const BFA_BATCH: usize = 128;
/// Samples of the batch that a targeted search looks at: of all classes, of the source, and beside it.
const TARGETED_BATCH: usize = 256;
/// The most samples on which a search measures its success.
const MEASURED: usize = 1000;
/// A network is crushed at this multiple of chance (11 % of ten classes).
const CHANCE: f64 = 1.1;

/// The aim of a search.
#[derive(Debug)]
pub(super) struct Aim {
    pub(super) objective: Objective,
    /// 1 if the loss shall rise, -1 if it shall fall.
    pub(super) sign: f64,
    /// The most flips.
    pub(super) flips: usize,
    /// Measures success.
    pub(super) judge: Judge,
    done: Done,
}

#[derive(Debug)]
enum Done {
    Accuracy(f64),
    /// This share of the samples of the source (of all, without one) goes to the target.
    Success {
        share: f64,
        target: usize,
        source: Option<usize>,
    },
}

impl Aim {
    pub(super) fn new(
        job: &Job<'_>,
        gradients: &Gradients,
        random: &mut Rng,
    ) -> Result<Self, AttackError> {
        let lanes = rayon::current_num_threads();
        let all = job.judge()?.samples();
        let (attack, measured) = halves(all, random);
        let classes = gradients.scores(&attack.pick(&[0]))?.first().map_or(0, Vec::len);
        let seed = random.u64(..);
        if job.kind == Kind::Bfa {
            let samples = all.choose(BFA_BATCH, seed);
            // Labels are not needed: the clean network's own answers stand for them.
            let targets = gradients.scores(&samples)?.iter().map(|row| highest(row)).collect();
            let measured = Arc::new(all.choose(MEASURED, seed));
            return Ok(Self {
                objective: mean(samples, targets),
                sign: 1.0,
                flips: job.options.flips.unwrap_or(50),
                judge: Judge::new(measured, lanes),
                done: Done::Accuracy(CHANCE / classes.max(1) as f64),
            });
        }
        let (source, target) = ends(job, classes, random)?;
        let judge = Judge::new(Arc::new(measured), lanes);
        let flips = job.options.flips.unwrap_or(20);
        if job.kind == Kind::TbfaNTo1 {
            let samples = attack.choose(TARGETED_BATCH, seed);
            let targets = vec![target; samples.len()];
            let done = Done::Success { share: 0.9999, target, source: None };
            return Ok(Self { objective: mean(samples, targets), sign: -1.0, flips, judge, done });
        }
        let of = |samples: &Samples, wanted: bool| -> Vec<usize> {
            let labels = samples.labels().iter().enumerate();
            labels.filter(|(_, l)| (**l == source) == wanted).map(|(at, _)| at).collect()
        };
        let mut victims = of(&attack, true);
        if victims.is_empty() || of(judge.samples(), true).is_empty() {
            return Err(job.nothing(format!("too few samples of class {source}")));
        }
        victims.truncate(TARGETED_BATCH);
        let victims = attack.pick(&victims);
        let targets = vec![target; victims.len()];
        let stealthy = job.kind == Kind::TbfaStealthy;
        let share = if stealthy { 0.999 } else { 0.9999 };
        let mut objective = mean(victims, targets);
        if stealthy {
            let others = attack.pick(&of(&attack, false)).choose(TARGETED_BATCH, seed);
            let kept = others.labels().to_vec();
            objective = both(job, objective, mean(others, kept))?;
        }
        let done = Done::Success { share, target, source: Some(source) };
        Ok(Self { objective, sign: -1.0, flips, judge, done })
    }

    pub(super) fn is_reached(&self, answers: &Answers) -> bool {
        match self.done {
            Done::Accuracy(most) => answers.accuracy() <= most,
            Done::Success { share, .. } => self.success(answers).is_some_and(|s| s >= share),
        }
    }

    /// The share of attacked samples that go to the target.
    pub(super) fn success(&self, answers: &Answers) -> Option<f64> {
        match self.done {
            Done::Accuracy(_) => None,
            Done::Success { target, source, .. } => {
                Some(answers.share_given(target, |l| source.is_none_or(|s| s == l)))
            }
        }
    }

    /// The aim in words.
    pub(super) fn text(&self) -> String {
        match self.done {
            Done::Accuracy(_) => "no accuracy".to_owned(),
            Done::Success { target, source: None, .. } => format!("all to class {target}"),
            Done::Success { target, source: Some(source), .. } => {
                format!("class {source} to class {target}")
            }
        }
    }
}

/// What is searched on, and what success is measured on, where there are enough samples for two halves.
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
fn ends(job: &Job<'_>, classes: usize, random: &mut Rng) -> Result<(usize, usize), AttackError> {
    let checked = |option: &'static str, class: Option<usize>| match class {
        Some(class) if class >= classes => Err(AttackError::Option {
            option,
            found: class.to_string(),
            reason: format!("the network has {classes} classes"),
        }),
        class => Ok(class),
    };
    let target = checked("target", job.options.target)?;
    let source = checked("source", job.options.source)?;
    if classes < 2 {
        return Err(job.nothing("the network has one class"));
    }
    let drawn = random.usize(..classes);
    let target = target.unwrap_or_else(|| match source {
        Some(source) if drawn == source => (drawn + 1) % classes,
        _ => drawn,
    });
    let source = source.unwrap_or_else(|| (target + random.usize(1..classes)) % classes);
    if source == target && job.kind != Kind::TbfaNTo1 {
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
fn both(job: &Job<'_>, a: Objective, b: Objective) -> Result<Objective, AttackError> {
    let values = [a.samples.values(0..a.samples.len()), b.samples.values(0..b.samples.len())];
    let labels = [a.samples.labels(), b.samples.labels()].concat();
    let samples = Samples::new(a.samples.dims().to_vec(), values.concat(), labels);
    let samples = samples.ok_or_else(|| job.nothing("no samples"))?;
    let (targets, weights) = ([a.targets, b.targets].concat(), [a.weights, b.weights].concat());
    Ok(Objective { samples, targets, weights })
}

fn highest(row: &[f32]) -> usize {
    let best = row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(at, _)| at)
}
