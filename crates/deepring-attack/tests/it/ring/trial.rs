//! A trial names what a tampered network changed, and recovers.

use deepring::Check;
use deepring_attack::ring::RingTrial;
use deepring_attack::ring::TamperTarget;

use super::{NETWORKS, network, samples};

#[test]
fn a_sign_flip_in_each_layer_is_named_with_its_tensor_and_healed() {
    for name in NETWORKS {
        let (clean, samples) = (network(name), samples(4));
        for check in [Check::Auto, Check::Run] {
            let mut trial = RingTrial::seal(&clean, check).unwrap();
            for layer in clean.layers() {
                let mut attacked = clean.clone();
                let mut values = clean.floats(&layer.weight).unwrap();
                let largest =
                    (0..values.len()).max_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs()));
                values[largest.unwrap()] *= -1.0;
                attacked.set_floats(&layer.weight, &values).unwrap();
                let detection = trial.detect(&attacked, &samples).unwrap();
                assert!(
                    detection.detected
                        && detection.located
                        && detection.located_tensor
                        && detection.recovered,
                    "{detection:?}"
                );
                assert_eq!(detection.place, TamperTarget::LiveMemory);
                // A flipped sign is far above rounding, and met at once unless the input does not light the weight.
                assert!(
                    detection.answers_wrong == 0 && detection.touched.len() == 1,
                    "{detection:?}"
                );
                assert!(check != Check::Run || detection.answers_given == 0, "{detection:?}");
                let detection = trial.detect_at_rest(&attacked, &samples).unwrap();
                assert!(
                    detection.detected
                        && detection.located
                        && detection.located_tensor
                        && detection.recovered,
                    "{detection:?}"
                );
                assert_eq!((detection.place, detection.answers_given), (TamperTarget::AtRest, 0));
            }
        }
    }
}

#[test]
fn the_network_itself_is_not_refused() {
    for name in NETWORKS {
        let (clean, samples) = (network(name), samples(4));
        let mut trial = RingTrial::seal(&clean, Check::Auto).unwrap();
        let detection = trial.detect(&clean, &samples).unwrap();
        assert!(
            detection.touched.is_empty() && detection.named.is_empty() && !detection.detected,
            "{detection:?}"
        );
        assert!(detection.recovered && detection.refusal.is_empty());
        let detection = trial.detect_at_rest(&clean, &samples).unwrap();
        assert!(
            detection.touched.is_empty() && detection.named.is_empty() && !detection.detected,
            "{detection:?}"
        );
        assert_eq!(trial.run(&samples).unwrap().len(), 4);
    }
}

/// The lowest bit of a fraction: no product tells it from rounding.
#[test]
fn the_smallest_edit_is_detected_within_one_rotation() {
    let (clean, samples) = (network("fashion-lenet5.onnx"), samples(3));
    for check in [Check::Run, Check::Auto, Check::Compute] {
        let mut trial = RingTrial::seal(&clean, check).unwrap();
        // The automatic check has made its choice then.
        for _ in 0..3 {
            trial.run(&samples).unwrap();
        }
        for layer in clean.layers() {
            let mut attacked = clean.clone();
            let mut values = clean.floats(&layer.weight).unwrap();
            values[0] = f32::from_bits(values[0].to_bits() ^ 1);
            attacked.set_floats(&layer.weight, &values).unwrap();
            let detection = trial.detect(&attacked, &samples).unwrap();
            assert!(
                detection.detected
                    && detection.located
                    && detection.located_tensor
                    && detection.recovered,
                "{detection:?}"
            );
            assert!(
                detection.answers_given <= 64 && detection.answers_off_by < 1e-3,
                "{detection:?}"
            );
            assert!(check != Check::Run || detection.answers_given == 0, "{detection:?}");
        }
    }
}

/// Without it, a trial that always says `detected` would pass.
#[test]
fn a_ring_that_checks_only_when_it_loads_answers_wrongly_from_tampered_memory() {
    let (clean, samples) = (network("fashion-resnet8.onnx"), samples(2));
    let mut trial = RingTrial::seal(&clean, Check::Load).unwrap();
    let before = trial.run(&samples).unwrap();
    let mut attacked = clean.clone();
    let layer = &clean.layers()[0].weight;
    let values: Vec<f32> = clean.floats(layer).unwrap().iter().map(|v| -v).collect();
    attacked.set_floats(layer, &values).unwrap();
    let detection = trial.detect(&attacked, &samples).unwrap();
    assert!(
        !detection.detected
            && !detection.located
            && !detection.recovered
            && detection.named.is_empty(),
        "{detection:?}"
    );
    assert!(
        detection.answers_wrong == detection.answers_given && detection.answers_given >= 65,
        "{detection:?}"
    );
    assert!(detection.answers_off_by > 0.1, "{detection:?}");
    // The trial is clean again for the next network.
    assert_eq!(trial.run(&samples).unwrap(), before);
}
