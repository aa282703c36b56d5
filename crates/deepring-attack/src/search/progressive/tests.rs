use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::super::Goal;
use super::super::aim::Aim;
use crate::attack::context::AttackContext;
use crate::gradient::{Gradients, Objective};
use crate::{
    AttackError, Attacked, Evaluator, Kind, Network, Options, Samples, Split, attack, attack_until,
    quantise,
};

fn zoo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo").join(name)
}

fn evaluator() -> Evaluator {
    let samples = Samples::open(&zoo("fashion-sample"), Split::Train, None).unwrap();
    Evaluator::new(Arc::new(samples), 2)
}

fn attacked(kind: Kind, options: &Options) -> (Network, Attacked) {
    let network = quantise(&Network::read(&zoo("fashion-lenet5.onnx")).unwrap()).unwrap();
    let seen = Mutex::new(Vec::new());
    let progress = |step: &crate::Step| seen.lock().unwrap().push(step.clone());
    let done = attack(&network, kind, options, Some(&evaluator()), &progress).unwrap();
    assert_eq!(seen.into_inner().unwrap(), done.steps);
    (network, done)
}

/// The steps are what was changed, bit by bit.
fn replayed(mut network: Network, done: &Attacked) -> Network {
    for step in &done.steps {
        let mut steps = network.int8s(&step.tensor).unwrap();
        steps[step.index] ^= (1u8 << step.bit) as i8;
        network.set_int8s(&step.tensor, &steps).unwrap();
    }
    network
}

#[test]
fn bfa_leaves_no_accuracy_and_is_repeated_by_its_seed() {
    let options = Options { seed: 1, ..Options::default() };
    let (network, done) = attacked(Kind::Bfa, &options);
    assert!(evaluator().evaluate(&network).unwrap().accuracy() > 0.85);
    assert!(evaluator().evaluate(&done.network).unwrap().accuracy() <= 0.11, "{}", done.what);
    assert!(done.steps.len() < 50);
    assert!(done.steps.windows(2).all(|w| w[0].loss <= w[1].loss));
    assert_eq!(replayed(network, &done), done.network);
    let few = Options { flips: Some(3), ..options };
    assert_eq!(attacked(Kind::Bfa, &few).1.steps, done.steps[..3]);
    let other = Options { seed: 2, flips: Some(3), ..Options::default() };
    assert_ne!(attacked(Kind::Bfa, &other).1.steps, done.steps[..3]);
}

#[test]
fn a_search_ends_by_the_samples_that_it_is_told_to_and_says_if_it_was_cut_off() {
    let network = quantise(&Network::read(&zoo("fashion-lenet5.onnx")).unwrap()).unwrap();
    let all = evaluator();
    let some: Vec<usize> = (0..40).collect();
    let few = Evaluator::new(Arc::new(all.samples().pick(&some)), 2);
    let run = |stop: &Evaluator, flips| {
        let options = Options { target: Some(4), flips, ..Options::default() };
        let (kind, search) = (Kind::TbfaNTo1, Some(&all));
        attack_until(&network, kind, &options, search, Some(stop), &|_| ()).unwrap()
    };
    let (early, late) = (run(&few, None), run(&all, None));
    assert_eq!((early.reached, late.reached), (Some(true), Some(true)));
    // The same search, and looked at otherwise.
    assert!(early.steps.len() <= late.steps.len());
    let place = |s: &crate::Step| (s.tensor.clone(), s.index, s.bit);
    for (a, b) in early.steps.iter().zip(&late.steps) {
        assert_eq!(place(a), place(b));
    }
    let there = |network| all.evaluate(network).unwrap().share_given(4, |_| true);
    assert_eq!(there(&late.network), 1.0);
    let cut = run(&all, Some(2));
    assert_eq!((cut.reached, cut.steps.len()), (Some(false), 2));
    assert!(cut.what.contains("used up") && there(&cut.network) < 1.0, "{}", cut.what);
}

#[test]
fn every_input_goes_to_the_target() {
    let options = Options { target: Some(4), ..Options::default() };
    let (network, done) = attacked(Kind::TbfaNTo1, &options);
    let answers = evaluator().evaluate(&done.network).unwrap();
    assert!(answers.share_given(4, |_| true) > 0.98, "{}", done.what);
    assert!(done.steps.windows(2).all(|w| w[0].loss >= w[1].loss));
    assert_eq!(replayed(network, &done), done.network);
}

#[test]
fn the_source_goes_to_the_target_and_the_rest_mostly_stays() {
    let options = Options { target: Some(4), source: Some(9), ..Options::default() };
    let (_, done) = attacked(Kind::TbfaStealthy, &options);
    let answers = evaluator().evaluate(&done.network).unwrap();
    assert!(answers.share_given(4, |l| l == 9) > 0.9, "{}", done.what);
    assert!(answers.accuracy() > 0.6);
}

#[test]
fn stealth_is_in_the_loss() {
    let network = quantise(&Network::read(&zoo("fashion-lenet5.onnx")).unwrap()).unwrap();
    let options = Options { target: Some(4), source: Some(9), ..Options::default() };
    let evaluator = evaluator();
    let gradients = Gradients::new(&network).unwrap();
    let objective = |goal| {
        let context = AttackContext {
            network: &network,
            kind: "stealth",
            stream: 0,
            options: &options,
            evaluator: Some(&evaluator),
            stop: None,
            progress: &|_| (),
        };
        Aim::new(&context, goal, &gradients, &mut context.random()).unwrap().objective
    };
    let weight = |o: &Objective, of: &dyn Fn(usize) -> bool| {
        let pairs = o.samples.labels().iter().zip(&o.weights);
        pairs.filter(|(l, _)| of(**l)).map(|(_, w)| f64::from(*w)).sum::<f64>()
    };
    for (goal, rest) in [(Goal::ClassToTarget, 0.0), (Goal::ClassToTargetAlone, 1.0)] {
        let o = objective(goal);
        assert!((weight(&o, &|l| l == 9) - 1.0).abs() < 1e-4);
        assert!((weight(&o, &|l| l != 9) - rest).abs() < 1e-4);
        let mut pairs = o.samples.labels().iter().zip(&o.targets);
        assert!(pairs.all(|(label, target)| *target == if *label == 9 { 4 } else { *label }));
    }
}

#[test]
fn floats_are_quantised_first() {
    let network = Network::read(&zoo("fashion-lenet5.onnx")).unwrap();
    let result = attack(&network, Kind::Bfa, &Options::default(), Some(&evaluator()), &|_| ());
    assert!(
        matches!(result, Err(AttackError::NotApplicable { reason, .. }) if reason.contains("quantise"))
    );
    let result = attack(&network, Kind::Bfa, &Options::default(), None, &|_| ());
    assert!(matches!(result, Err(AttackError::NeedsSamples { .. })));
}
