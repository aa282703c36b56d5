//! What attacks, defences and their measures make of the edges: constant weights, weights that are no numbers, one sample, one class.

use std::sync::Arc;

use deepring_attack::defence::{DefenceKind, DefenceOptions, Moment, protect};
use deepring_attack::evaluator::EvaluatorError;
use deepring_attack::quantise::{QuantiseError, Steps, quantise_with};
use deepring_attack::{
    AttackError, Attacked, Differences, Evaluator, Family, Kind, Network, Options, Samples, attack,
    quantise,
};

use crate::graph::edited;
use crate::{evaluator, kinds, network, options};

/// LeNet with every weight of its layers replaced, by its place in the tensor.
fn filled(value: impl Fn(usize) -> f32) -> Network {
    let mut network = network("fashion-lenet5");
    for layer in network.layers() {
        let values: Vec<f32> = (0..layer.len()).map(&value).collect();
        network.set_floats(&layer.weight, &values).unwrap();
    }
    network
}

fn on(network: &Network, kind: Kind, evaluator: &Evaluator) -> Result<Attacked, AttackError> {
    let flips = (kind == Kind::ExponentWorst).then_some(3);
    let options = Options { flips, ..options(1) };
    attack(network, kind, &options, Some(evaluator), &|_| ())
}

/// So that an evaluation counts no attack that changed nothing.
#[test]
fn what_would_change_nothing_is_no_attack() {
    let evaluator = evaluator(4);
    let refused = |network: &Network, kind: Kind, says: &str| match on(network, kind, &evaluator) {
        Err(AttackError::NotApplicable { kind: said, reason }) => {
            assert_eq!(said, kind.name());
            assert!(reason.contains(says), "{kind}: {reason}");
        }
        other => panic!("{kind}: {:?}", other.map(|made| made.what)),
    };
    let constant = filled(|_| 0.25);
    // Noise is a share of a deviation that is none.
    for kind in [Kind::NoiseDense, Kind::NoiseAll, Kind::NoiseLayer, Kind::NoiseFilter] {
        refused(&constant, kind, "changes nothing");
    }
    let zero = filled(|_| 0.0);
    refused(&zero, Kind::Zero, "changes nothing");
    refused(&zero, Kind::SignRandom, "every weight is zero");
    // What is drawn anew is spread by the fan-in.
    for kind in [Kind::Reinit, Kind::ReinitFilter] {
        let made = on(&zero, kind, &evaluator).unwrap();
        assert!(!Differences::between(&zero, &made.network).is_empty(), "{kind}");
    }
}

/// No attack panics over such weights, nor makes a file that is none; what it says it changed, it changed.
#[test]
fn weights_that_are_no_numbers_are_attacked_or_refused_by_name() {
    let evaluator = evaluator(4);
    let plain = network("fashion-lenet5");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE / 2.0] {
        let mut before = plain.clone();
        for layer in before.layers() {
            let mut values = before.floats(&layer.weight).unwrap();
            values[0] = bad;
            before.set_floats(&layer.weight, &values).unwrap();
        }
        let mut made = 0;
        for kind in kinds() {
            match on(&before, kind, &evaluator) {
                Ok(attacked) => {
                    made += 1;
                    let found = Differences::between(&before, &attacked.network);
                    assert!(!found.is_empty(), "{kind} with {bad}");
                    if kind.family() == Family::Bits {
                        assert_eq!(found.graph, [], "{kind} with {bad}");
                        assert!((1..=10).contains(&found.bits()), "{kind} with {bad}");
                    }
                }
                Err(AttackError::NotApplicable { kind: said, reason }) => {
                    assert_eq!((said, reason.is_empty()), (kind.name(), false));
                }
                Err(AttackError::NeedsGradients { .. }) if !cfg!(feature = "gradients") => {}
                Err(AttackError::Gradient { .. }) if bad.is_nan() || bad.is_infinite() => {}
                Err(e) => panic!("{kind} with {bad}: {e}"),
            }
        }
        assert!(made >= 10, "{made} with {bad}");
        match quantise(&before) {
            Err(QuantiseError::NotFinite { name }) => {
                assert!(!bad.is_finite() && name == before.layers()[0].weight);
            }
            Ok(quantised) => {
                assert!(bad.is_finite());
                // The largest weight has the largest step, whatever it is.
                let first = format!("{}_quantised", before.layers()[0].weight);
                let steps = quantised.int8s(&first).unwrap();
                let most = steps.iter().map(|s| s.unsigned_abs()).max();
                assert_eq!((most, steps[0] == 127), (Some(127), bad == f32::MAX));
            }
            Err(e) => panic!("{bad}: {e}"),
        }
    }
}

#[test]
fn equal_bits_are_no_difference_and_other_zeros_and_numbers_that_are_none_are() {
    let before = filled(|i| if i % 2 == 0 { f32::NAN } else { 0.0 });
    assert!(Differences::between(&before, &before.clone()).is_empty());
    let weight = before.layers()[0].weight.clone();
    let mut after = before.clone();
    let mut values = before.floats(&weight).unwrap();
    (values[0], values[1]) = (f32::from_bits(f32::NAN.to_bits() ^ 1), -0.0);
    after.set_floats(&weight, &values).unwrap();
    let found = Differences::between(&before, &after);
    assert_eq!((found.values(), found.bits(), found.graph.len()), (2, 2, 0));
    // There and back.
    let back = Differences::between(&after, &before);
    let pair = |d: &Differences| {
        let of = |e: &deepring_attack::differences::ElementDifference| (e.index, e.before, e.after);
        d.tensors[0].elements.iter().map(of).collect::<Vec<_>>()
    };
    let turned: Vec<_> =
        pair(&back).into_iter().map(|(i, before, after)| (i, after, before)).collect();
    assert_eq!(pair(&found), turned);
}

fn one(dims: &[u64], labels: &[usize]) -> Evaluator {
    let size = dims.iter().product::<u64>() as usize * labels.len();
    let values = (0..size).map(|i| (i % 7) as f32 / 7.0).collect();
    let samples = Samples::new(dims.to_vec(), values, labels.to_vec()).unwrap();
    Evaluator::new(Arc::new(samples), 3)
}

#[test]
fn one_sample_or_one_class_is_enough_for_what_needs_samples() {
    let before = network("fashion-lenet5");
    for evaluator in [one(&[1, 28, 28], &[3]), one(&[1, 28, 28], &[3; 5])] {
        let clean = evaluator.evaluate(&before).unwrap();
        let given = clean.classes_given()[0].unwrap();
        for target in 0..10 {
            let options = Options { target: Some(target), ..options(1) };
            let made = attack(&before, Kind::SingleBias, &options, Some(&evaluator), &|_| ());
            match made {
                Ok(made) => {
                    let answers = evaluator.evaluate(&made.network).unwrap();
                    assert!(answers.share_given(target, |_| true) >= 1.0, "{target}");
                    assert_eq!(Differences::between(&before, &made.network).values(), 1);
                }
                // All of them go there already.
                Err(AttackError::NotApplicable { .. }) => assert_eq!(target, given),
                Err(e) => panic!("{target}: {e}"),
            }
        }
        let worst = on(&before, Kind::ExponentWorst, &evaluator).unwrap();
        let told = worst.steps[0].accuracy;
        assert_eq!(evaluator.evaluate(&worst.network).unwrap().accuracy(), told);
    }
}

/// Which thread asks which samples makes no difference, nor does a number that the samples do not divide into.
#[test]
fn answers_do_not_depend_on_who_asks() {
    let samples = evaluator(37).samples().clone();
    let before = network("fashion-lenet5");
    let answers = |workers| Evaluator::new(samples.clone(), workers).evaluate(&before).unwrap();
    let alone = answers(1);
    assert_eq!(alone.rows().count(), 37);
    for workers in [0, 2, 5, 64] {
        assert!(answers(workers).is_identical(&alone), "{workers}");
    }
    let few = samples.pick(&[5, 36, 1000, 5]);
    assert_eq!((few.len(), few.labels()[0]), (3, samples.labels()[5]));
    let rows: Vec<Vec<f32>> = alone.rows().map(<[f32]>::to_vec).collect();
    let picked = Evaluator::new(Arc::new(few), 2).evaluate(&before).unwrap();
    for (row, at) in picked.rows().zip([5, 36, 5]) {
        assert!(row.iter().zip(&rows[at]).all(|(a, b)| (a - b).abs() < 1e-5), "{at}");
    }
}

#[test]
fn what_cannot_be_asked_is_refused_and_not_answered() {
    let before = network("fashion-lenet5");
    // Samples of another shape, in number of dimensions or in one of them.
    for dims in [&[784][..], &[1, 28], &[3, 28, 28], &[1, 5, 5]] {
        assert!(one(dims, &[0, 1]).evaluate(&before).is_err(), "{dims:?}");
    }
    let evaluator = one(&[1, 28, 28], &[0, 1]);
    let classifier = |edit: &dyn Fn(&mut deepring_onnx::proto::ModelProto)| {
        evaluator.evaluate(&edited("fashion-lenet5", edit)).unwrap_err()
    };
    let two = classifier(&|model| {
        let graph = model.graph.as_mut().unwrap();
        let mut second = graph.input[0].clone();
        second.name = Some("second".to_owned());
        graph.input.push(second);
    });
    assert!(matches!(two, EvaluatorError::NoClassifier { .. }), "{two}");
    assert!(two.to_string().contains("2 inputs"), "{two}");
    // An operator that the engine does not know.
    let unknown = classifier(&|model| {
        let graph = model.graph.as_mut().unwrap();
        graph.node[0].op_type = Some("Frobnicate".to_owned());
    });
    assert!(matches!(unknown, EvaluatorError::Load(_)), "{unknown}");
}

/// A label that the network has no class for is never the answer, and its loss is beyond every number.
#[test]
fn labels_beyond_the_classes_are_wrong_and_no_panic() {
    let before = network("fashion-lenet5");
    let answers = one(&[1, 28, 28], &[10, 999]).evaluate(&before).unwrap();
    assert_eq!((answers.accuracy(), answers.right(), answers.classes()), (0.0, 0, 10));
    assert_eq!(answers.loss(answers.labels()), f64::INFINITY);
    assert_eq!(answers.loss(&[]), 0.0);
    assert_eq!(answers.share_given(3, |label| label == 3), 0.0);
}

#[test]
fn defences_take_any_setting_and_stay_silent_on_what_they_were_set_up_on() {
    let clean = network("fashion-lenet5");
    let settings = [
        DefenceOptions { group: 0, layers: 0, share: 0.0, ..DefenceOptions::default() },
        DefenceOptions { group: 1, layers: 1, share: 1.0, ..DefenceOptions::default() },
        DefenceOptions {
            group: usize::MAX,
            layers: usize::MAX,
            share: f64::NAN,
            sensitivities: Some(vec![("none".to_owned(), f64::NAN)]),
            ..DefenceOptions::default()
        },
    ];
    let nothing = edited("fashion-lenet5", |model| {
        let graph = model.graph.as_mut().unwrap();
        let (input, output) = (graph.input[0].name.clone(), graph.output[0].name.clone());
        let relu = graph.node.iter().find(|n| n.op_type.as_deref() == Some("Relu"));
        let mut relu = relu.unwrap().clone();
        (relu.input, relu.output) = (vec![input.unwrap()], vec![output.unwrap()]);
        graph.node = vec![relu];
        graph.initializer.clear();
    });
    for setting in &settings {
        for kind in DefenceKind::all() {
            for network in [&clean, &nothing] {
                let defence = protect(*kind, network, setting);
                for moment in [Moment::AtRest, Moment::Live] {
                    let verdict = defence.check(network, moment, &mut || 0.5);
                    assert!(!verdict.detected, "{kind:?} with {setting:?}");
                    let mut after = network.clone();
                    defence.recover(&mut after, &verdict);
                    assert_eq!(after, *network, "{kind:?} recovers from nothing");
                }
            }
        }
    }
    // A network that lost everything covered is an alarm where anything was, and nobody panics over it.
    let options = DefenceOptions { share: 1.0, ..DefenceOptions::default() };
    for kind in DefenceKind::all().iter().filter(|kind| **kind != DefenceKind::None) {
        let defence = protect(*kind, &clean, &options);
        let verdict = defence.check(&nothing, Moment::AtRest, &mut || 0.0);
        assert!(verdict.detected, "{kind:?}");
        let mut after = nothing.clone();
        defence.recover(&mut after, &verdict);
        assert_eq!(after, nothing, "{kind:?}");
    }
}

#[test]
fn a_defence_is_its_seeds_and_an_edit_that_is_taken_back_is_none() {
    let clean = network("fashion-lenet5");
    let layer = clean.layers()[2].clone();
    let mut edited = clean.clone();
    let mut values = clean.floats(&layer.weight).unwrap();
    values[7] = -4.0 * values[7] - 1.0;
    edited.set_floats(&layer.weight, &values).unwrap();
    let mut back = edited.clone();
    back.set_floats(&layer.weight, &clean.floats(&layer.weight).unwrap()).unwrap();
    assert_eq!(back, clean);
    let whole = DefenceOptions { share: 1.0, layers: 9, ..DefenceOptions::default() };
    for kind in DefenceKind::all().iter().filter(|kind| **kind != DefenceKind::None) {
        for seed in [0, 1, u64::MAX] {
            let options = DefenceOptions { seed, ..whole.clone() };
            let [a, b] = [0, 1].map(|_| protect(*kind, &clean, &options));
            let seen = |network: &Network| a.check(network, Moment::AtRest, &mut || 0.0);
            assert_eq!(seen(&edited), b.check(&edited, Moment::AtRest, &mut || 0.0), "{kind:?}");
            assert!(!seen(&back).detected, "{kind:?}");
            let places = seen(&edited).located;
            let right = |l: &deepring_attack::defence::Located| {
                l.tensor == layer.weight && l.range.end <= layer.len()
            };
            assert!(places.iter().all(right), "{kind:?}: {places:?}");
        }
    }
}

#[test]
fn steps_that_no_layer_can_have_are_refused() {
    let before = network("fashion-lenet5");
    let with = |name: &str, deviations: f64| {
        let coarse = vec![(name.to_owned(), deviations)];
        quantise_with(&before, &Steps { half_range: false, coarse })
    };
    let layer = before.layers()[0].name.clone();
    for deviations in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e-9] {
        let refused = with(&layer, deviations);
        assert!(matches!(refused, Err(QuantiseError::Fine { .. })), "{deviations}");
    }
    assert!(with(&layer, 50.0).is_ok());
    assert!(matches!(with("none", 50.0), Err(QuantiseError::NoLayer { .. })));
    let again = quantise(&quantise(&before).unwrap());
    assert!(matches!(again, Err(QuantiseError::Nothing)), "{:?}", again.map(drop));
    // Equal weights have no deviation to measure a step by, and all the same a step.
    let constant = filled(|_| 0.5);
    let coarse = vec![(constant.layers()[0].name.clone(), 50.0)];
    let refused = quantise_with(&constant, &Steps { half_range: false, coarse });
    assert!(matches!(refused, Err(QuantiseError::Fine { .. })));
    let quantised = quantise(&constant).unwrap();
    let steps = quantised.int8s(&format!("{}_quantised", constant.layers()[0].weight)).unwrap();
    assert!(steps.iter().all(|step| *step == 127));
}
