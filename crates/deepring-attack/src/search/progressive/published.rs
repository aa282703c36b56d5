//! Searches that must come out as another program's, or as the literature has it. A search that is broken in any place ends
//! otherwise.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::quantise::{Steps, quantise_with};
use crate::{Attacked, Evaluator, Kind, Network, Options, Samples, Split, attack_until, quantise};

/// The results of `tests/bit_search.py`, another implementation, in another language, of the papers.
const FOUND: &str = include_str!("../../../tests/bit_search.json");

#[derive(Deserialize)]
struct Found {
    network: String,
    target: Option<usize>,
    pictures: usize,
    flips: Vec<Flip>,
}

#[derive(Deserialize)]
struct Flip {
    tensor: String,
    index: usize,
    bit: u32,
    loss: f64,
}

fn zoo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo").join(name)
}

fn evaluator(pictures: usize) -> Evaluator {
    let samples = Samples::open(&zoo("fashion-sample"), Split::Test, None).unwrap();
    Evaluator::new(Arc::new(samples.pick(&(0..pictures).collect::<Vec<_>>())), 2)
}

fn searched(network: &Network, kind: Kind, options: &Options, evaluator: &Evaluator) -> Attacked {
    attack_until(network, kind, options, Some(evaluator), Some(evaluator), &|_| ()).unwrap()
}

#[test]
fn an_independent_search_flips_the_same_bits() {
    let all: Vec<Found> = serde_json::from_str(FOUND).unwrap();
    assert_eq!(all.len(), 4);
    for found in all {
        let network = Network::read(&zoo(&found.network).with_extension("onnx")).unwrap();
        let network = quantise(&network).unwrap();
        let kind = if found.target.is_some() { Kind::TbfaNTo1 } else { Kind::Bfa };
        let flips = Some(found.flips.len());
        let options = Options { target: found.target, flips, ..Options::default() };
        let done = searched(&network, kind, &options, &evaluator(found.pictures));
        // Ours stops at its aim, theirs does not.
        assert!(done.reached == Some(true) || done.steps.len() == found.flips.len());
        assert!(done.steps.len() >= 4, "{}", done.what);
        for (at, (ours, theirs)) in done.steps.iter().zip(&found.flips).enumerate() {
            let place = |tensor: &str, index, bit| format!("{tensor}[{index}] bit {bit}");
            assert_eq!(
                place(&ours.tensor, ours.index, ours.bit),
                place(&theirs.tensor, theirs.index, theirs.bit),
                "flip {at} of {kind} on {}",
                found.network
            );
            // Single beside double precision.
            assert!((ours.loss - theirs.loss).abs() <= 1e-4 * theirs.loss.max(0.01));
        }
    }
}

/// One large weight in the classifier makes its step so coarse that a flipped top bit moves a weight by 46 standard
/// deviations, as in the checkpoint that T-BFA was published with: a few flips there outvote every input.
#[test]
fn a_coarse_classifier_falls_to_a_few_flips() {
    let clean = Network::read(&zoo("fashion-resnet8.onnx")).unwrap();
    let how = Steps { coarse: vec![("logits".to_owned(), 46.0)], ..Steps::default() };
    let network = quantise_with(&clean, &how).unwrap();
    let evaluator = evaluator(128);
    let accuracy = |n: &Network| evaluator.evaluate(n).unwrap().accuracy();
    assert!((accuracy(&clean) - accuracy(&network)).abs() < 0.05);
    // On all 400 pictures classes 0, 1 and 5 took 4, 5 and 4 flips; class 0 without the coarse step took 17.
    let options = Options { target: Some(0), ..Options::default() };
    let done = searched(&network, Kind::TbfaNTo1, &options, &evaluator);
    assert_eq!(done.reached, Some(true), "{}", done.what);
    assert!(done.steps.len() <= 5, "{}", done.what);
    assert!(evaluator.evaluate(&done.network).unwrap().share_given(0, |_| true) > 0.9999);
}
