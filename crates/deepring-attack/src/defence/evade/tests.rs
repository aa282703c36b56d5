use super::*;
use crate::defence::tests::{evaluator, int8, lenet, resnet};
use crate::defence::{protect, wilson};

fn seen(
    kind: DefenceKind,
    clean: &Network,
    evasion: &Evasion,
    options: &DefenceOptions,
    moment: Moment,
) -> bool {
    let random = &mut fastrand::Rng::with_seed(options.seed);
    protect(kind, clean, options).check(&evasion.network, moment, &mut || random.f64()).detected
}

#[test]
fn each_evasion_does_harm_and_passes_whatever_the_secrets() {
    use DefenceKind::{Crc32, FileDigest, Hashtag, None, Radar};
    let evaluator = evaluator();
    let networks: [(Network, &[DefenceKind]); 3] = [
        (lenet(), &[Crc32, Radar, Hashtag]),
        (int8(&lenet()), &[None, Crc32, Radar, Hashtag, FileDigest]),
        (resnet(), &[Radar]),
    ];
    for (clean, kinds) in networks {
        let before = evaluator.evaluate(&clean).unwrap().accuracy();
        assert!(before > 0.8, "{before}");
        for kind in kinds.iter().copied() {
            let options = DefenceOptions::default();
            let evasion = evade(kind, &clean, &options, 1, Some(&evaluator)).unwrap();
            let after = evaluator.evaluate(&evasion.network).unwrap().accuracy();
            assert!(after < 0.3, "{kind}: {after}: {}", evasion.what);
            for seed in 0..8 {
                let options = DefenceOptions { seed, ..DefenceOptions::default() };
                assert!(!seen(kind, &clean, &evasion, &options, evasion.moment), "{kind} {seed}");
                assert!(seen(FileDigest, &clean, &evasion, &options, Moment::AtRest));
                let all = DefenceOptions { share: 1.0, ..options.clone() };
                assert!(seen(DefenceKind::SpotCheck, &clean, &evasion, &all, evasion.moment));
                assert_eq!(seen(Crc32, &clean, &evasion, &options, Moment::Live), kind != Crc32);
            }
        }
    }
}

#[test]
fn without_an_evaluator_the_first_candidate_is_taken_and_the_secret_is_not_read() {
    let clean = lenet();
    for kind in DefenceKind::all() {
        let of = |secret, seed| {
            let options = DefenceOptions { seed: secret, ..DefenceOptions::default() };
            evade(*kind, &clean, &options, seed, None).unwrap()
        };
        assert_ne!(of(0, 3).network, clean);
        assert_eq!(of(0, 3), of(99, 3));
    }
    // The attacker's own seed draws the class to which a raised bias sends everything.
    let drawn =
        |seed| evade(DefenceKind::Radar, &clean, &DefenceOptions::default(), seed, None).unwrap();
    assert!((0..5).any(|seed| drawn(seed) != drawn(5)));
}

#[test]
fn sign_flips_in_many_tensors_of_integers_keep_every_crc() {
    for clean in [int8(&resnet()), resnet()] {
        let options = DefenceOptions::default();
        let evasion = evade(DefenceKind::Crc32, &clean, &options, 0, None).unwrap();
        let found = crate::Differences::between(&clean, &evasion.network);
        assert!(found.tensors.len() > 1 && found.values() > 10, "{}", evasion.what);
        assert!(!seen(DefenceKind::Crc32, &clean, &evasion, &options, Moment::AtRest));
        assert!(seen(DefenceKind::Hashtag, &clean, &evasion, &options, Moment::Live));
    }
}

#[test]
fn a_spot_check_is_evaded_by_one_element_with_the_rest_of_its_share() {
    let (clean, evaluator) = (lenet(), evaluator());
    let options = DefenceOptions { share: 0.25, ..DefenceOptions::default() };
    let evasion = evade(DefenceKind::SpotCheck, &clean, &options, 0, Some(&evaluator)).unwrap();
    assert!(evaluator.evaluate(&evasion.network).unwrap().accuracy() < 0.3, "{}", evasion.what);
    assert_eq!(crate::Differences::between(&clean, &evasion.network).values(), 1);
    let defence = protect(DefenceKind::SpotCheck, &clean, &options);
    let random = &mut fastrand::Rng::with_seed(7);
    let found = (0..400)
        .filter(|_| defence.check(&evasion.network, evasion.moment, &mut || random.f64()).detected)
        .count();
    let (low, high) = wilson(found, 400);
    assert!(low <= 0.25 && 0.25 <= high, "{found} of 400");
}

#[test]
fn radar_is_evaded_on_its_own_ground_by_steps_it_cannot_see_and_by_even_numbers() {
    let evaluator = evaluator();
    let weights_only = |clean: &Network, evasion: &Evasion| {
        let weights: Vec<String> = clean.layers().into_iter().map(|l| l.weight).collect();
        let found = crate::Differences::between(clean, &evasion.network);
        assert!(!found.is_empty() && found.tensors.iter().all(|t| weights.contains(&t.tensor)));
    };
    let passes = |clean: &Network, evasion: &Evasion, group| {
        let of = |seed| DefenceOptions { seed, group, ..DefenceOptions::default() };
        let silent =
            |seed: &u64| !seen(DefenceKind::Radar, clean, evasion, &of(*seed), Moment::Live);
        (0..100).filter(silent).count()
    };
    for clean in [lenet(), int8(&lenet())] {
        let is_float = clean.floats("conv1.weight").is_ok();
        for (group, evaluator) in [(512, Some(&evaluator)), (32, Some(&evaluator)), (512, None)] {
            let options = DefenceOptions { group, ..DefenceOptions::default() };
            let evasion = evade_in_scope(&clean, &options, 0, evaluator).unwrap();
            weights_only(&clean, &evasion);
            let passed = passes(&clean, &evasion, group);
            let within = evasion.what.starts_with("moves");
            assert_eq!(
                within,
                is_float && (group == 32 || evaluator.is_none()),
                "{}",
                evasion.what
            );
            let (low, high) = wilson(passed, 100);
            let expected = if within { 1.0 } else { 0.5 };
            assert!(low <= expected && expected <= high, "{passed} of 100: {}", evasion.what);
            if let (512, Some(evaluator)) = (group, evaluator) {
                assert!(evaluator.evaluate(&evasion.network).unwrap().accuracy() < 0.3);
            }
        }
    }
}

#[test]
fn a_network_with_nothing_uncovered_is_not_evaded() {
    let mut bare = lenet();
    for node in &mut bare.graph_mut().node {
        node.input.truncate(2);
    }
    let options = DefenceOptions { layers: 5, ..DefenceOptions::default() };
    for kind in [DefenceKind::Radar, DefenceKind::Hashtag] {
        let refused = evade(kind, &bare, &options, 0, None).unwrap_err();
        assert!(matches!(refused, EvasionError::Nothing { defence } if defence == kind));
    }
}
