use std::path::Path;

use deepring::{DType, TensorValue};

use super::*;
use crate::defence::Located;
use crate::{Samples, Split};

fn lenet() -> Network {
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo");
    Network::read(&zoo.join("fashion-lenet5.onnx")).unwrap()
}

fn test(count: usize) -> Evaluator {
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo");
    let samples = Samples::open(&zoo.join("fashion-sample"), Split::Test, None).unwrap();
    Evaluator::new(Arc::new(samples.choose(count, 1)), 1)
}

fn step(index: usize, bit: u32, loss: f64, accuracy: f64) -> Step {
    Step { tensor: "conv1.weight".to_owned(), index, bit, loss, accuracy }
}

#[test]
fn flips_of_one_round_have_one_place_and_the_last_is_of_all_samples() {
    let steps =
        [step(0, 7, 1.0, 0.9), step(1, 7, 2.0, 0.5), step(2, 7, 2.0, 0.5), step(3, 7, 3.0, 0.2)];
    assert_eq!(searched_trace(&steps, 0.25), [(1, 0.9), (3, 0.5), (4, 0.25)]);
    // Rounds that come to the same accuracy by another loss are two.
    let steps = [step(0, 7, 1.0, 0.5), step(1, 7, 1.5, 0.5)];
    assert_eq!(searched_trace(&steps, 0.5), [(1, 0.5), (2, 0.5)]);
    assert_eq!(searched_trace(&[], 0.5), []);
}

#[test]
fn a_place_is_named_rightly_if_every_tensor_named_was_changed() {
    let at = |tensor: &str| Located { tensor: tensor.to_owned(), range: 0..1 };
    let named = |tensors: &[&str]| DefenceVerdict::at(tensors.iter().map(|t| at(t)).collect());
    assert!(names_only(&named(&["a", "a"]), &["a", "b"]));
    assert!(!names_only(&named(&["a", "c"]), &["a", "b"]));
    assert!(!names_only(&named(&["c"]), &["a", "b"]));
    // An alarm without a place names nothing.
    assert!(!names_only(&DefenceVerdict::alarm(), &["a"]));
}

#[test]
fn steps_are_made_again_bit_by_bit_or_not_at_all() {
    let before = lenet();
    let steps = [step(0, 31, 0.0, 0.0), step(299, 8, 0.0, 0.0), step(0, 0, 0.0, 0.0)];
    let after = flipped(&before, &steps).unwrap();
    let found = Differences::between(&before, &after);
    let places: Vec<(usize, u64)> = found.tensors[0]
        .elements
        .iter()
        .map(|e| (e.index, e.before.bits() ^ e.after.bits()))
        .collect();
    assert_eq!((found.tensors.len(), places), (1, vec![(0, 1 << 31 | 1), (299, 1 << 8)]));
    assert_eq!(flipped(&after, &steps).unwrap(), before);
    let beyond = before.tensor("conv1.weight").unwrap().len();
    assert_eq!(flipped(&before, &[step(beyond, 0, 0.0, 0.0)]), None);
    assert_eq!(flipped(&before, &[step(beyond - 1, 32, 0.0, 0.0)]), None);
    assert_eq!(flipped(&before, &[step(usize::MAX, 0, 0.0, 0.0)]), None);
    let nowhere = Step { tensor: "none".to_owned(), ..step(0, 0, 0.0, 0.0) };
    assert_eq!(flipped(&before, &[nowhere]), None);
}

#[test]
fn accuracy_along_an_attack_is_looked_at_where_its_steps_are_the_whole_edit() {
    let (before, test) = (lenet(), test(20));
    let steps: Vec<Step> = (0..8).map(|i| step(i, 30, 0.0, 0.0)).collect();
    let network = flipped(&before, &steps).unwrap();
    let made = Attacked { network, what: String::new(), steps: steps.clone(), reached: None };
    let found = trace(&before, &made, 0.125, &test).unwrap();
    let counts: Vec<usize> = found.iter().map(|(n, _)| *n).collect();
    assert_eq!(counts, [1, 2, 3, 4, 5, 7, 8]);
    assert_eq!(found.last(), Some(&(8, 0.125)));
    let after_two = flipped(&before, &steps[..2]).unwrap();
    assert_eq!(found[1].1, test.evaluate(&after_two).unwrap().accuracy());
    // The network is another than its steps make: nothing is said of them.
    let more = Attacked { network: after_two, ..made.clone() };
    assert_eq!(trace(&before, &more, 0.1, &test).unwrap(), []);
    let none = Attacked { steps: Vec::new(), ..made };
    assert_eq!(trace(&before, &none, 0.1, &test).unwrap(), []);
}

#[test]
fn what_a_defence_draws_is_the_cells_own() {
    let first = |key: &str| random_of(key).u64(..);
    assert_eq!(first("a|b|seed=0"), first("a|b|seed=0"));
    let keys = ["", "a|b|seed=0", "a|b|seed=1", "b|a|seed=0"];
    let drawn: std::collections::BTreeSet<u64> = keys.iter().map(|k| first(k)).collect();
    assert_eq!(drawn.len(), keys.len());
}

/// Which inputs count for a targeted attack: those that are not at its target yet, of one class, or stamped.
#[test]
fn success_is_the_share_of_the_inputs_that_an_attack_aims_at() {
    let (network, test) = (lenet(), test(20));
    let output = |given: usize| {
        let scores = (0..7).flat_map(|class| f32::from(u8::from(class == given)).to_le_bytes());
        let data = scores.collect();
        vec![TensorValue::new("y", DType::F32, vec![1, 7], data).unwrap()]
    };
    let outputs = [6, 1, 6, 6].map(output);
    let answers = Predictions::of_outputs(&outputs, &[0, 0, 1, 6]).unwrap();
    let made = Attacked { network, what: String::new(), steps: Vec::new(), reached: None };
    let of = |kind, source, target| success(kind, source, target, &answers, &made, &test).unwrap();
    assert_eq!(of(Kind::SingleBias, None, Some(6)), Some(2.0 / 3.0));
    assert_eq!(of(Kind::Tbfa1To1, Some(0), Some(6)), Some(0.5));
    assert_eq!(of(Kind::Tbfa1To1, Some(1), Some(6)), Some(1.0));
    assert_eq!(of(Kind::Tbfa1To1, None, Some(6)), None);
    assert_eq!(of(Kind::SingleBias, None, None), None);
    assert_eq!(of(Kind::Zero, None, Some(6)), None);
    // With the trigger stamped on the samples, that of a network that has one.
    let options = crate::Options { target: Some(6), ..crate::Options::default() };
    let attacked = crate::attack(&made.network, Kind::Trigger, &options, None, &|_| ()).unwrap();
    let hit = success(Kind::Trigger, None, Some(6), &answers, &attacked, &test).unwrap();
    assert_eq!(hit, Some(1.0));
    assert!(of(Kind::Trigger, None, Some(6)).unwrap() < 0.5);
}
