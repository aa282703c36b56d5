//! Permutations: what they do to the answers, and that the attacks that aim at answers hit.

use deepring_attack::{Kind, Options, Predictions, attack};

use crate::{NETWORKS, evaluator, network, options};

fn largest_gap(a: &Predictions, b: &Predictions) -> f32 {
    let pairs = a.rows().flatten().zip(b.rows().flatten());
    pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn a_paired_permutation_keeps_every_answer_and_an_unpaired_one_does_not() {
    let evaluator = evaluator(60);
    // The layers that nothing but layers read; the others of the second meet its sums.
    let fitting: [&[&str]; 2] =
        [&["conv1", "conv2", "fc1", "fc2"], &["block1.conv1", "block2.conv1", "block3.conv1"]];
    for (name, fitting) in NETWORKS.into_iter().zip(fitting) {
        let before = network(name);
        let clean = evaluator.evaluate(&before).unwrap();
        let mut paired = Vec::new();
        for layer in before.layers() {
            let options = Options { layer: Some(layer.name.clone()), ..options(1) };
            if let Ok(attacked) = attack(&before, Kind::PermutePaired, &options, None, &|_| ()) {
                let answers = evaluator.evaluate(&attacked.network).unwrap();
                assert!(largest_gap(&clean, &answers) < 1e-4, "{} of {name}", layer.name);
                assert_eq!(answers.classes_given(), clean.classes_given());
                paired.push(layer.name.clone());
            }
            let attacked = attack(&before, Kind::PermuteUnpaired, &options, None, &|_| ()).unwrap();
            let answers = evaluator.evaluate(&attacked.network).unwrap();
            assert!(largest_gap(&clean, &answers) > 0.1, "{} of {name}", layer.name);
        }
        assert_eq!(paired, fitting);
    }
}

#[test]
fn a_label_swap_interchanges_the_scores() {
    let evaluator = evaluator(20);
    for name in NETWORKS {
        let before = network(name);
        let after = attack(&before, Kind::LabelSwap, &options(1), None, &|_| ()).unwrap();
        let (clean, swapped) =
            (evaluator.evaluate(&before).unwrap(), evaluator.evaluate(&after.network).unwrap());
        for (old, new) in clean.rows().zip(swapped.rows()) {
            assert!((0..10).all(|class| (old[class] - new[class ^ 1]).abs() < 1e-4));
        }
    }
}

#[test]
fn a_single_bias_sends_every_sample_to_the_target() {
    let evaluator = evaluator(100);
    for name in NETWORKS {
        let options = Options { target: Some(7), ..options(1) };
        let attacked =
            attack(&network(name), Kind::SingleBias, &options, Some(&evaluator), &|_| ()).unwrap();
        let answers = evaluator.evaluate(&attacked.network).unwrap();
        assert!(answers.share_given(7, |_| true) >= 1.0);
    }
}

#[test]
fn the_worst_bit_does_more_harm_than_the_others_tried() {
    let (evaluator, before) = (evaluator(40), network("fashion-lenet5"));
    let tried = std::sync::Mutex::new(Vec::new());
    let options = Options { flips: Some(12), ..options(1) };
    let attacked = attack(&before, Kind::ExponentWorst, &options, Some(&evaluator), &|step| {
        tried.lock().unwrap().push(step.clone());
    });
    let attacked = attacked.unwrap();
    let tried = tried.into_inner().unwrap();
    assert_eq!(tried.len(), 12);
    assert_eq!(attacked.steps.len(), 1);
    let finite: Vec<f64> =
        tried.iter().filter(|s| s.loss.is_finite()).map(|s| s.accuracy).collect();
    let least = finite.into_iter().fold(1.0, f64::min);
    assert_eq!(attacked.steps[0].accuracy, least);
    assert_eq!(evaluator.evaluate(&attacked.network).unwrap().accuracy(), least);
}
