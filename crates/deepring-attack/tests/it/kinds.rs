//! Every attack that needs no search, on the tracked networks: the file stays valid, the seed decides, and no
//! more is touched than the attack says.

use deepring_attack::{AttackError, Differences, Family, Kind, Network, Options, attack};

use crate::{NETWORKS, evaluator, kinds, made, network, options};

/// What must be made on each network, so that a kind that stopped working is noticed.
const BOTH: [Kind; 14] = [
    Kind::LabelSwap,
    Kind::NoiseDense,
    Kind::NoiseAll,
    Kind::NoiseLayer,
    Kind::NoiseFilter,
    Kind::Reinit,
    Kind::ReinitFilter,
    Kind::Zero,
    Kind::PermuteUnpaired,
    Kind::PermutePaired,
    Kind::SingleBias,
    Kind::SignRandom,
    Kind::SignDnl,
    Kind::ExponentSample,
];
/// What needs batch normalisations, or two layers of one shape.
const RESNET_ONLY: [Kind; 2] = [Kind::SwapTensors, Kind::NormEdit];
/// What two seeds make alike, for nothing is drawn; or may, for the choice is small.
const WITHOUT_DRAWS: [Kind; 3] = [Kind::LabelSwap, Kind::SignDnl, Kind::SwapTensors];

#[test]
fn every_kind_makes_a_valid_network_and_its_seed_decides() {
    let (evaluator, folder) = (evaluator(40), tempfile::tempdir().unwrap());
    for name in NETWORKS {
        let before = network(name);
        let mut there = Vec::new();
        for kind in kinds() {
            let Some(first) = made(&before, kind, 1, &evaluator) else { continue };
            there.push(kind);
            assert!(!first.what.is_empty());
            let found = Differences::between(&before, &first.network);
            assert!(!found.is_empty(), "{kind} on {name} changes nothing");
            let path = folder.path().join("attacked.onnx");
            first.network.write(&path).unwrap();
            assert_eq!(Network::read(&path).unwrap(), first.network, "{kind} on {name}");
            evaluator.evaluate(&first.network).unwrap_or_else(|e| panic!("{kind} on {name}: {e}"));
            let again = made(&before, kind, 1, &evaluator).unwrap();
            assert_eq!(again.network.encode(), first.network.encode(), "{kind} on {name}");
            let draws = BOTH.contains(&kind) || kind == Kind::NormEdit;
            if draws && !WITHOUT_DRAWS.contains(&kind) {
                let differs = |seed| {
                    let other = made(&before, kind, seed, &evaluator).unwrap();
                    other.network.encode() != first.network.encode()
                };
                // One draw among a few layers or classes may come twice.
                assert!((2..8).any(differs), "{kind} on {name} does not draw");
            }
        }
        for kind in BOTH.into_iter().chain([Kind::ExponentWorst]) {
            assert!(there.contains(&kind), "{kind} finds nothing on {name}");
        }
        for kind in RESNET_ONLY {
            assert_eq!(there.contains(&kind), name == "fashion-resnet8", "{kind} on {name}");
        }
        assert!(!there.contains(&Kind::ScaleEdit) && !there.contains(&Kind::Int8Random));
    }
}

#[test]
fn only_what_an_attack_names_is_touched() {
    let evaluator = evaluator(40);
    for name in NETWORKS {
        let before = network(name);
        let layers = before.layers();
        let touched = |kind: Kind, seed: u64| {
            let attacked = made(&before, kind, seed, &evaluator).unwrap();
            let found = Differences::between(&before, &attacked.network);
            assert!(found.graph.is_empty(), "{kind} touches the graph");
            found
        };
        let names = |kind: Kind| {
            let found = touched(kind, 3);
            found.tensors.into_iter().map(|t| t.tensor).collect::<Vec<_>>()
        };
        let dense = layers.iter().filter(|l| l.is_dense()).map(|l| l.weight.clone());
        assert_eq!(sorted(names(Kind::NoiseDense)), sorted(dense.collect()));
        let all = layers.iter().map(|l| l.weight.clone()).collect();
        assert_eq!(sorted(names(Kind::NoiseAll)), sorted(all));
        assert_eq!(sorted(names(Kind::LabelSwap)), ["logits.bias", "logits.weight"]);
        for kind in [Kind::NoiseLayer, Kind::NoiseFilter, Kind::Reinit, Kind::Zero] {
            let names = names(kind);
            assert!(matches!(&names[..], [one] if layers.iter().any(|l| l.weight == *one)));
        }
        for kind in [Kind::NoiseFilter, Kind::ReinitFilter] {
            let filter = touched(kind, 5);
            let layer = layers.iter().find(|l| l.weight == filter.tensors[0].tensor).unwrap();
            let of: Vec<usize> =
                filter.tensors[0].elements.iter().map(|e| layer.output_of(e.index)).collect();
            assert_eq!((filter.tensors.len(), of.len()), (1, layer.fan_in()), "{kind}");
            assert!(of.iter().all(|o| *o == of[0]), "{kind}");
        }
        let bias = touched(Kind::SingleBias, 1);
        assert_eq!((bias.values(), bias.tensors[0].tensor.as_str()), (1, "logits.bias"));
        for kind in [Kind::SignRandom, Kind::SignDnl] {
            let found = touched(kind, 1);
            assert_eq!((found.values(), found.bits()), (10, 10), "{kind}");
            let signs = found.tensors.iter().flat_map(|t| &t.elements);
            assert!(signs.clone().all(|e| e.before.bits() ^ e.after.bits() == 1 << 31));
        }
        let found = touched(Kind::ExponentSample, 1);
        assert_eq!(found.bits(), 1);
        let one = found.tensors[0].elements[0];
        assert_eq!(one.before.bits() ^ one.after.bits(), 1 << 30);
        let found = touched(Kind::ExponentWorst, 1);
        let one = found.tensors[0].elements[0];
        let bit = (one.before.bits() ^ one.after.bits()).trailing_zeros();
        assert!(found.bits() == 1 && (23..31).contains(&bit));
    }
}

/// What two networks differ in is all that an attack did: put into the network, it makes the attacked one.
#[test]
fn an_attack_on_values_is_no_more_than_its_differences() {
    let evaluator = evaluator(10);
    for name in NETWORKS {
        let before = network(name);
        for kind in kinds().filter(|k| matches!(k.family(), Family::Weights | Family::Bits)) {
            let Some(attacked) = made(&before, kind, 4, &evaluator) else { continue };
            let found = Differences::between(&before, &attacked.network);
            let mut again = before.clone();
            for tensor in &found.tensors {
                let mut values = before.floats(&tensor.tensor).unwrap();
                for element in &tensor.elements {
                    assert_eq!(u64::from(values[element.index].to_bits()), element.before.bits());
                    values[element.index] = f32::from_bits(element.after.bits() as u32);
                }
                again.set_floats(&tensor.tensor, &values).unwrap();
            }
            assert!(found.graph.is_empty() && again == attacked.network, "{kind} on {name}");
        }
    }
}

#[test]
fn the_lesion_flips_the_largest_weight_of_a_filter_and_no_second_one_there() {
    let before = network("fashion-resnet8");
    let flips = Options { flips: Some(30), ..options(0) };
    let after = attack(&before, Kind::SignDnl, &flips, None, &|_| ()).unwrap().network;
    let found = Differences::between(&before, &after);
    assert_eq!(found.bits(), 30);
    let mut filters = Vec::new();
    for tensor in &found.tensors {
        let layer = before.layers().into_iter().find(|l| l.weight == tensor.tensor).unwrap();
        let values = before.floats(&layer.weight).unwrap();
        for element in &tensor.elements {
            let filter = layer.output_of(element.index);
            filters.push((tensor.tensor.clone(), filter));
            let largest = (0..values.len())
                .filter(|i| layer.output_of(*i) == filter)
                .map(|i| values[i].abs())
                .fold(0.0, f32::max);
            assert_eq!(element.before.value().abs(), f64::from(largest));
        }
    }
    let count = filters.len();
    filters.sort();
    filters.dedup();
    assert_eq!(filters.len(), count);
}

#[test]
fn what_has_no_place_in_the_network_is_refused() {
    let (before, evaluator) = (network("fashion-lenet5"), evaluator(10));
    let refused = |kind, options: Options| {
        let made = attack(&before, kind, &options, Some(&evaluator), &|_| ());
        match made {
            Err(AttackError::Option { option, .. }) => option,
            other => panic!("{kind}: {other:?}"),
        }
    };
    let flips = |n| Options { flips: Some(n), ..options(1) };
    let weights = before.layers().iter().map(|l| l.len()).sum::<usize>();
    for kind in [Kind::SignRandom, Kind::ExponentSample] {
        assert_eq!(refused(kind, flips(weights + 1)), "flips");
        assert_eq!(refused(kind, flips(0)), "flips");
    }
    assert_eq!(refused(Kind::SignDnl, flips(12 + 32 + 96 + 64 + 10 + 1)), "flips");
    assert_eq!(refused(Kind::ExponentWorst, flips(0)), "flips");
    let bit = Options { bit: Some(32), ..options(1) };
    assert_eq!(refused(Kind::ExponentSample, bit.clone()), "bit");
    assert_eq!(refused(Kind::ExponentWorst, bit), "bit");
    let target = Options { target: Some(10), ..options(1) };
    assert_eq!(refused(Kind::SingleBias, target), "target");
    for rho in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let options = Options { rho: Some(rho), ..options(1) };
        assert_eq!(refused(Kind::NoiseAll, options), "rho");
    }
    let layer = Options { layer: Some("none".to_owned()), ..options(1) };
    let made = attack(&before, Kind::Zero, &layer, None, &|_| ());
    assert!(matches!(made, Err(AttackError::NoLayer { .. })));
    let made = attack(&before, Kind::SingleBias, &options(1), None, &|_| ());
    assert!(matches!(made, Err(AttackError::NeedsSamples { .. })));
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}
