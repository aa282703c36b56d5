//! One cell: the attack is made, and the network, the baselines and the ring are asked what they make of it.

use std::sync::Arc;
use std::time::Instant;

use super::EvaluateError;
use super::configuration::Configuration;
use super::model_under_test::ModelUnderTest;
use super::record::{BaselineResult, Measured, Outcome};
use crate::attack::{AttackError, Attacked, Step, attack_until};
use crate::catalogue::{Family, Kind, Targeted};
use crate::defence::{Defence, DefenceVerdict, Moment};
use crate::differences::Differences;
use crate::evaluator::{Evaluator, EvaluatorError, Predictions};
use crate::graph::apply_trigger;
use crate::network::Network;

/// After how many flips accuracy is looked at on the test samples, beside the last.
const LOOKS: [usize; 13] = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 75, 100];

/// Measures a cell. What an attack, or the engine after it, refuses is a result and no error.
pub(super) fn measure(
    subject: &ModelUnderTest,
    cell: &Configuration,
    key: &str,
    test: &Evaluator,
    search: &Evaluator,
) -> Result<Outcome, EvaluateError> {
    let began = Instant::now();
    let options = cell.options(subject.line.classes);
    // A search ends by the published rule: by what the test samples say.
    let searched = cell.kind.family() == Family::Search;
    let stop = searched.then_some(test);
    let network = &subject.network;
    let made = match attack_until(network, cell.kind, &options, Some(search), stop, &|_| ()) {
        Ok(made) => made,
        Err(AttackError::Evaluator(e)) => return unusable(e),
        Err(e) => return Ok(Outcome::NotApplicable(e.to_string())),
    };
    let seconds = began.elapsed().as_secs_f64();
    let answers = match test.evaluate(&made.network) {
        Ok(answers) => answers,
        Err(e) => return unusable(e),
    };
    let differences = Differences::between(&subject.network, &made.network);
    let changed: Vec<&str> = differences.tensors.iter().map(|t| t.tensor.as_str()).collect();
    let mut random = random_of(key);
    let mut defences = Vec::with_capacity(subject.baselines.len());
    for baseline in &subject.baselines {
        defences.push(ring_result(baseline.as_ref(), &made.network, &changed, &mut random, test)?);
    }
    let ring = subject.trial.as_ref().map(|t| t.detect(&made.network));
    Ok(Outcome::Measured(Box::new(Measured {
        clean: subject.line.accuracy,
        attacked: answers.accuracy(),
        recovered: ring
            .as_ref()
            .and_then(|r| (r.recovered == Some(true)).then_some(subject.line.accuracy)),
        success: success(cell.kind, options.source, options.target, &answers, &made, test)?,
        values: differences.values(),
        bits: differences.bits(),
        tensors: differences.tensors.len(),
        graph: differences.graph.len(),
        seconds,
        reached: made.reached,
        trace: match searched {
            true => searched_trace(&made.steps, answers.accuracy()),
            false => trace(network, &made, answers.accuracy(), test)?,
        },
        what: made.what,
        defences,
        ring,
    })))
}

/// No file to write is an obstacle of this machine; everything else is the attacked network's own.
fn unusable(e: EvaluatorError) -> Result<Outcome, EvaluateError> {
    match e {
        EvaluatorError::Temporary(_) => Err(e.into()),
        e => Ok(Outcome::Unusable(e.to_string())),
    }
}

/// Numbers that belong to the cell, whatever was computed before it.
fn random_of(key: &str) -> fastrand::Rng {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(key.as_bytes());
    let first = digest.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
    fastrand::Rng::with_seed(first)
}

fn ring_result(
    baseline: &dyn Defence,
    network: &Network,
    changed: &[&str],
    random: &mut fastrand::Rng,
    test: &Evaluator,
) -> Result<BaselineResult, EvaluateError> {
    let began = Instant::now();
    let at_rest = baseline.check(network, Moment::AtRest, &mut || random.f64());
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let live = baseline.check(network, Moment::Live, &mut || random.f64());
    let seen = if live.detected { &live } else { &at_rest };
    let mut restored = network.clone();
    baseline.recover(&mut restored, seen);
    let recovered = match seen.detected && restored != *network {
        true => test.evaluate(&restored).ok().map(|a| a.accuracy()),
        false => None,
    };
    Ok(BaselineResult {
        defence: baseline.kind().name().to_owned(),
        at_rest: at_rest.detected,
        live: live.detected,
        located: seen.detected.then(|| names_only(seen, changed)),
        ms,
        recovered,
    })
}

/// Returns whether it names a tensor, and none that was left as it is.
fn names_only(verdict: &DefenceVerdict, changed: &[&str]) -> bool {
    !verdict.located.is_empty()
        && verdict.located.iter().all(|l| changed.contains(&l.tensor.as_str()))
}

fn success(
    kind: Kind,
    source: Option<usize>,
    target: Option<usize>,
    answers: &Predictions,
    made: &Attacked,
    test: &Evaluator,
) -> Result<Option<f64>, EvaluateError> {
    let Some(target) = target else { return Ok(None) };
    Ok(match kind.targeted() {
        Targeted::AllInputs => Some(answers.share_given(target, |l| l != target)),
        Targeted::OneClass => source.map(|source| answers.share_given(target, |l| l == source)),
        Targeted::Triggered => {
            let triggered = Evaluator::new(Arc::new(apply_trigger(test.samples())), 1);
            let answers = triggered.evaluate(&made.network)?;
            Some(answers.share_given(target, |l| l != target))
        }
        Targeted::No => None,
    })
}

/// Accuracy along a search, which looked itself. The flips of one round were made at once: they have one place.
fn searched_trace(steps: &[Step], last: f64) -> Vec<(usize, f64)> {
    let mut out: Vec<(usize, f64)> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let same = |next: &Step| (next.loss, next.accuracy) == (step.loss, step.accuracy);
        if !steps.get(at + 1).is_some_and(same) {
            out.push((at + 1, step.accuracy));
        }
    }
    if let Some(end) = out.last_mut() {
        end.1 = last;
    }
    out
}

/// Accuracy on the test samples along other attacks that tell their steps.
fn trace(
    before: &Network,
    made: &Attacked,
    last: f64,
    test: &Evaluator,
) -> Result<Vec<(usize, f64)>, EvaluateError> {
    let all = made.steps.len();
    // Only where the steps are the whole edit can it be made again step by step.
    if all == 0 || flipped(before, &made.steps).as_ref() != Some(&made.network) {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for count in LOOKS.into_iter().filter(|n| *n < all) {
        let part = made.steps.get(..count).unwrap_or_default();
        if let Some(network) = flipped(before, part) {
            out.push((count, test.evaluate(&network)?.accuracy()));
        }
    }
    out.push((all, last));
    Ok(out)
}

fn flipped(before: &Network, steps: &[Step]) -> Option<Network> {
    let mut network = before.clone();
    for step in steps {
        let tensor = network.tensor(&step.tensor).ok()?;
        let mut bytes = tensor.bytes().to_vec();
        let at = step.index.checked_mul(tensor.dtype().size())? + step.bit as usize / 8;
        *bytes.get_mut(at)? ^= 1 << (step.bit % 8);
        network.set_bytes(&step.tensor, bytes).ok()?;
    }
    Some(network)
}

#[cfg(test)]
mod tests;
