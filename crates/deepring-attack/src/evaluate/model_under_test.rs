//! A network that is evaluated: measured while clean, with its defences set up.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use deepring_infer::PlainModel;
use deepring_measure::{PairSummary, Rounds, in_turn, timed};
use sha2::{Digest as _, Sha256};

use super::record::{Adaptive, DefenceLine, LayerLine, Model};
use super::ring::{self, Trial};
use super::workers::side_by_side;
use super::{EvaluateError, Plan};
use crate::defence::{Defence, DefenceOptions, Moment, evade, false_alarm_bound, protect};
use crate::evaluator::{Evaluator, EvaluatorError};
use crate::network::{Layer, Network};
use crate::sensitivity::sensitivities;

/// Numbers in the samples on which layers' sensitivities are computed: 64 pictures of CIFAR-10. Gradients keep every value in
/// between, which for one picture of ImageNet is half a gigabyte.
const SENSITIVITY_NUMBERS: usize = 64 * 3 * 32 * 32;
const SENSITIVITY_SAMPLES: usize = 64;
/// Most seeds of an adaptive attacker: each tries several edits of the whole network.
const ADAPTIVE_SEEDS: u64 = 5;
/// Checks of the clean network, by which false alarms and cost are measured.
const CLEAN_CHECKS: usize = 100;

/// A network with all that cells need of it.
#[derive(Debug)]
pub(super) struct ModelUnderTest {
    pub(super) line: Model,
    pub(super) network: Network,
    pub(super) layers: Vec<Layer>,
    pub(super) baselines: Vec<Box<dyn Defence>>,
    pub(super) trial: Option<Trial>,
    /// True if its 8-bit form is evaluated too, and takes the attacks on such.
    pub(super) quantised_beside: bool,
}

/// A network that is to be evaluated.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) network: Network,
    /// True if it was quantised for this evaluation.
    pub(super) quantised: bool,
    /// True if its 8-bit form is evaluated too.
    pub(super) beside: bool,
}

/// The context that all networks of an evaluation share.
#[derive(Debug)]
pub(super) struct EvalContext<'a> {
    pub(super) plan: &'a Plan,
    pub(super) settings: &'a str,
    /// On all cores.
    pub(super) test: &'a Evaluator,
    /// On all cores.
    pub(super) search: &'a Evaluator,
    pub(super) shared_samples: bool,
}

/// SHA-256 of the network's file, in hexadecimal.
pub(super) fn digest(network: &Network) -> String {
    hex(&Sha256::digest(network.encode()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The file's name without its folders and `.onnx`.
pub(super) fn name_of(path: &Path) -> String {
    path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

impl ModelUnderTest {
    /// Sets the defences up; measures, where `known` does not tell already.
    pub(super) fn prepare(
        context: &EvalContext<'_>,
        given: Candidate,
        known: &[Model],
    ) -> Result<Self, EvaluateError> {
        let Candidate { name, network, quantised, beside } = given;
        let options = context.options(&network);
        let kinds = &context.plan.defences;
        let baselines: Vec<Box<dyn Defence>> =
            kinds.iter().map(|kind| protect(*kind, &network, &options)).collect();
        let (trial, no_ring) = ring::seal(context, &network);
        let (layers, sha256) = (network.layers(), digest(&network));
        let found = known.iter().find(|m| m.sha256 == sha256 && m.settings == context.settings);
        let line = match found {
            Some(line) => line.clone(),
            None => {
                let answers = context.test.evaluate(&network)?;
                let search_accuracy = context.search.evaluate(&network)?.accuracy();
                let (defences, ring) = match context.plan.beside {
                    true => (
                        context.defences(&network, &baselines, &options)?,
                        trial.as_ref().map(|t| t.measure(context)).transpose()?,
                    ),
                    false => (Vec::new(), None),
                };
                Model {
                    settings: context.settings.to_owned(),
                    name,
                    sha256,
                    quantised,
                    parameters: network.tensors().map(|t| t.len()).sum(),
                    layers: layers.iter().map(layer_line).collect(),
                    classes: answers.classes(),
                    accuracy: answers.accuracy(),
                    search_accuracy,
                    test: context.test.samples().len(),
                    search: context.search.samples().len(),
                    shared_samples: context.shared_samples,
                    defences,
                    ring,
                    no_ring,
                }
            }
        };
        Ok(Self { line, network, layers, baselines, trial, quantised_beside: beside })
    }
}

fn layer_line(layer: &Layer) -> LayerLine {
    LayerLine { name: layer.name.clone(), weights: layer.len(), dense: layer.is_dense() }
}

/// What a check costs in per cent of a plain run. What JSON has no number for is none.
fn share_of(check: f64, plain: Option<f64>) -> Option<f64> {
    let percent = 100.0 * check / plain?;
    percent.is_finite().then_some(percent)
}

impl EvalContext<'_> {
    /// RADAR's groups as its paper has them for networks of this size, and HASHTAG's sensitivities where this build has
    /// gradients and they go through the network; else it ranks layers without them.
    fn options(&self, network: &Network) -> DefenceOptions {
        let weights: usize = network.layers().iter().map(Layer::len).sum();
        let group = if weights < 1_000_000 { 16 } else { 512 };
        let samples = self.search.samples();
        let fit = SENSITIVITY_NUMBERS / samples.values(0..1).len().max(1);
        let samples = samples.choose(fit.clamp(1, SENSITIVITY_SAMPLES), 1);
        let sensitivities = sensitivities(network, &samples).ok();
        DefenceOptions { group, sensitivities, ..DefenceOptions::default() }
    }

    fn defences(
        &self,
        network: &Network,
        baselines: &[Box<dyn Defence>],
        options: &DefenceOptions,
    ) -> Result<Vec<DefenceLine>, EvaluateError> {
        let mut lines = Vec::with_capacity(baselines.len());
        for baseline in baselines {
            let (plain, check, false_alarms) = self.clean(network, baseline.as_ref())?;
            let kind = baseline.kind();
            lines.push(DefenceLine {
                defence: kind.name().to_owned(),
                misses: kind.misses().to_owned(),
                stored_bytes: baseline.stored_bytes(),
                ms: check,
                percent: share_of(check, plain),
                clean_checks: CLEAN_CHECKS,
                false_alarms,
                false_alarm_bound: false_alarm_bound(false_alarms, CLEAN_CHECKS),
                adaptive: self.adaptive(network, baseline.as_ref(), options)?,
            });
        }
        Ok(lines)
    }

    /// Milliseconds of a plain run of one sample (`None` where it is not run on one) and of a check, medians of runs in turn,
    /// and false alarms.
    fn clean(
        &self,
        network: &Network,
        baseline: &dyn Defence,
    ) -> Result<(Option<f64>, f64, usize), EvaluateError> {
        let mut file =
            tempfile::Builder::new().suffix(".onnx").tempfile().map_err(EvaluatorError::from)?;
        file.write_all(&network.encode()).map_err(EvaluatorError::from)?;
        let model =
            PlainModel::load(file.path(), NonZeroUsize::new(1)).map_err(EvaluatorError::from)?;
        let name = model.inputs().first().map(|i| i.name.clone()).unwrap_or_default();
        let samples = self.test.samples();
        let mut random = fastrand::Rng::with_seed(0);
        let (mut at, mut alone, mut alarms) = (0, true, 0);
        let mut run_plain = || -> Result<Duration, EvaluateError> {
            let one = at..at + 1;
            at = (at + 1) % samples.len().max(1);
            let input = samples.batch(&name, one, 1).map_err(EvaluatorError::from)?;
            let (took, ran) = timed(|| Ok::<_, EvaluateError>(model.run(&[input]).is_ok()))?;
            alone &= ran;
            Ok(took)
        };
        let mut check = || {
            let at_rest = timed(|| {
                Ok::<_, EvaluateError>(
                    baseline.check(network, Moment::AtRest, &mut || random.f64()),
                )
            });
            let (took, verdict) = at_rest?;
            let live = baseline.check(network, Moment::Live, &mut || random.f64());
            alarms += usize::from(verdict.detected || live.detected);
            Ok(took)
        };
        let rounds = Rounds { warm_up: 0, pairs: CLEAN_CHECKS, more_of_short: false };
        let pairs = in_turn(&mut run_plain, &mut check, rounds)?;
        let PairSummary { base_ms, measured_ms, .. } = PairSummary::of(&pairs, 1);
        // A network of a fixed batch is not run alone; its cost then has no share.
        Ok((alone.then_some(base_ms), measured_ms, alarms))
    }

    fn adaptive(
        &self,
        network: &Network,
        baseline: &dyn Defence,
        options: &DefenceOptions,
    ) -> Result<Option<Adaptive>, EvaluateError> {
        let (test, search) = self.single();
        let seeds: Vec<u64> = (0..self.plan.grid.seeds.clamp(1, ADAPTIVE_SEEDS)).collect();
        let tries = side_by_side(rayon::current_num_threads(), &seeds, |seed| {
            let Ok(evasion) = evade(baseline.kind(), network, options, *seed, Some(&search)) else {
                return Ok::<_, EvaluateError>(None);
            };
            let mut random = fastrand::Rng::with_seed(*seed);
            let verdict = baseline.check(&evasion.network, evasion.moment, &mut || random.f64());
            let accuracy = test.evaluate(&evasion.network).map_or(0.0, |a| a.accuracy());
            Ok(Some((evasion.what, verdict.detected, accuracy)))
        })?;
        let tries: Vec<_> = tries.into_iter().flatten().collect();
        Ok(tries.first().map(|(what, ..)| Adaptive {
            what: what.clone(),
            tried: tries.len(),
            detected: tries.iter().filter(|(_, seen, _)| *seen).count(),
            accuracy: tries.iter().map(|(.., accuracy)| *accuracy).collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_no_number_is_none() {
        assert_eq!(share_of(0.5, Some(2.0)), Some(25.0));
        assert_eq!(share_of(0.0, Some(2.0)), Some(0.0));
        // A network that is not run alone, and one that took no time.
        for plain in [None, Some(0.0)] {
            assert_eq!(share_of(0.5, plain), None);
        }
    }

    #[test]
    fn a_network_is_called_as_its_file() {
        assert_eq!(name_of(Path::new("/a/b.c/net.v2.onnx")), "net.v2");
        assert_eq!(name_of(Path::new("/")), "");
        assert_eq!(hex(&[0, 0x0f, 0xa0]), "000fa0");
    }
}
