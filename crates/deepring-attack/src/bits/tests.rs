use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use deepring::DType;
use proptest::prelude::*;

use crate::network::made::{floats, made, node, tensor};
use crate::{
    AttackError, Attacked, Differences, Evaluator, Kind, Network, Options, Samples, attack,
};

/// Dense layers one behind the other, each of the tensors one of its weights: of two inputs, and as many outputs.
fn dense(weights: Vec<deepring_onnx::proto::TensorProto>) -> Network {
    let mut from = "x".to_owned();
    let mut nodes = Vec::new();
    for weight in &weights {
        let name = weight.name.clone().unwrap();
        let to = format!("{name}.out");
        nodes.push(node("MatMul", &[&from, &name], &to));
        from = to;
    }
    made(&[0, 2], nodes, weights)
}

fn one(values: &[f32]) -> Network {
    dense(vec![floats("w", &[2, values.len() as i64 / 2], values)])
}

fn two() -> Network {
    let first = floats("a", &[2, 2], &[0.5, -0.25, 1.5, 2.0]);
    let second = floats("b", &[2, 3], &[0.1, -0.2, 0.3, -0.4, 0.5, -0.6]);
    dense(vec![first, second])
}

fn flips(count: usize, seed: u64) -> Options {
    Options { flips: Some(count), seed, ..Options::default() }
}

fn on(network: &Network, kind: Kind, options: &Options) -> Result<Attacked, AttackError> {
    attack(network, kind, options, None, &|_| ())
}

fn after(network: &Network, kind: Kind, options: &Options) -> Network {
    on(network, kind, options).unwrap().network
}

/// Each changed weight, with the bits that changed in it.
fn flipped(before: &Network, after: &Network) -> BTreeSet<(String, usize, u64)> {
    let found = Differences::between(before, after);
    assert_eq!(found.graph, []);
    let tensors = found.tensors.into_iter();
    tensors
        .flat_map(|t| {
            let name = t.tensor;
            t.elements
                .into_iter()
                .map(move |e| (name.clone(), e.index, e.before.bits() ^ e.after.bits()))
        })
        .collect()
}

/// All that an `Option` refusal says.
fn refused(made: Result<Attacked, AttackError>) -> (&'static str, String, String) {
    match made {
        Err(AttackError::Option { option, found, reason }) => (option, found, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_weight_of_every_layer_can_be_drawn_and_none_twice() {
    let before = two();
    for bit in [0, 7, 8, 23, 31] {
        let options = Options { bit: Some(bit), ..flips(10, 3) };
        let made = on(&before, Kind::ExponentSample, &options).unwrap();
        let all = (0..4).map(|i| ("a".to_owned(), i, 1u64 << bit));
        let all = all.chain((0..6).map(|i| ("b".to_owned(), i, 1u64 << bit))).collect();
        assert_eq!(flipped(&before, &made.network), all, "bit {bit}");
        assert_eq!(made.what, format!("bit {bit} of 10 random weights flipped"));
    }
    let signs = flipped(&before, &after(&before, Kind::SignRandom, &flips(10, 3)));
    assert!(signs.len() == 10 && signs.iter().all(|(.., bits)| *bits == 1 << 31));
    let (option, found, reason) = refused(on(&before, Kind::ExponentSample, &flips(11, 3)));
    assert_eq!((option, found.as_str()), ("flips", "11"));
    assert_eq!(reason, "it must be 1 to 10, the number of floating-point weights");
}

#[test]
fn the_highest_bit_of_an_exponent_is_that_of_the_weights_own_type() {
    let halves = |name, dtype: DType| tensor(name, dtype, &[2, 2], vec![0x11; 4 * dtype.size()]);
    let types = [(DType::F64, 62), (DType::F32, 30), (DType::F16, 14), (DType::Bf16, 14)];
    for (dtype, bit) in types {
        let before = dense(vec![halves("w", dtype)]);
        for index in 0..4 {
            let made = (0..40)
                .map(|seed| on(&before, Kind::ExponentSample, &flips(1, seed)).unwrap())
                .map(|made| (flipped(&before, &made.network), made.what))
                .find(|(found, _)| found.iter().all(|(_, at, _)| *at == index));
            let (found, what) = made.unwrap();
            assert_eq!(found, BTreeSet::from([("w".to_owned(), index, 1 << bit)]), "{dtype:?}");
            assert_eq!(what, format!("bit {bit} of 1 random weights flipped"));
        }
    }
    let mixed = dense(vec![halves("half", DType::F16), halves("single", DType::F32)]);
    let made = on(&mixed, Kind::ExponentSample, &flips(8, 1)).unwrap();
    assert_eq!(made.what, "the highest bit of the exponent of 8 random weights flipped");
    let bits = |name: &str| -> BTreeSet<u64> {
        let found = flipped(&mixed, &made.network).into_iter();
        found.filter(|(tensor, ..)| tensor == name).map(|(.., bits)| bits).collect()
    };
    assert_eq!((bits("half"), bits("single")), ([1 << 14].into(), [1 << 30].into()));
    // A bit that only some have is flipped in these.
    let high = Options { bit: Some(20), ..flips(4, 1) };
    let made = on(&mixed, Kind::ExponentSample, &high).unwrap();
    assert!(
        flipped(&mixed, &made.network).iter().all(|(name, _, b)| name == "single" && *b == 1 << 20)
    );
    let none = Options { bit: Some(32), ..flips(1, 1) };
    let (option, found, reason) = refused(on(&mixed, Kind::ExponentSample, &none));
    assert_eq!((option, found.as_str()), ("bit", "32"));
    assert_eq!(reason, "the weights have the bits 0 to 31");
}

#[test]
fn a_layer_that_is_named_is_the_only_one_attacked() {
    let (before, bytes) = (two(), |name| tensor(name, DType::I8, &[2, 2], vec![3; 4]));
    let whole = dense(vec![bytes("a"), bytes("b")]);
    for (kind, network, count) in [
        (Kind::ExponentSample, &before, 6),
        (Kind::SignRandom, &before, 6),
        (Kind::SignDnl, &before, 3),
        (Kind::Int8Random, &whole, 32),
    ] {
        for name in ["b", "b.out"] {
            let options = Options { layer: Some(name.to_owned()), ..flips(count, 2) };
            let found = flipped(network, &after(network, kind, &options));
            let bits: u32 = found.iter().map(|(.., bits)| bits.count_ones()).sum();
            assert!(found.iter().all(|(tensor, ..)| tensor == "b"), "{kind}");
            assert_eq!(bits as usize, count, "{kind}");
            let one_more = Options { flips: Some(count + 1), ..options };
            assert_eq!(refused(on(network, kind, &one_more)).0, "flips", "{kind}");
        }
    }
}

#[test]
fn a_weight_that_is_zero_has_no_sign() {
    let before = one(&[0.0, 2.0, -0.0, -3.0, 0.0, 0.5]);
    for seed in 0..10 {
        let made = after(&before, Kind::SignRandom, &flips(3, seed));
        assert_eq!(made.floats("w").unwrap(), [0.0, -2.0, -0.0, 3.0, 0.0, -0.5]);
    }
    let (_, _, reason) = refused(on(&before, Kind::SignRandom, &flips(4, 0)));
    assert_eq!(reason, "it must be 1 to 3, the number of weights that are not zero");
    // Without a wish, as many as there are.
    let made = on(&before, Kind::SignRandom, &Options::default()).unwrap();
    assert_eq!(made.what, "the signs of 3 random weights flipped");
}

#[test]
fn the_lesion_takes_the_largest_weight_of_each_filter_in_turn() {
    // Columns are filters: the largest are 9, 7 and 8; the zero filter has none.
    let before = one(&[1.0, -7.0, 8.0, 0.0, -9.0, 2.0, 8.0, 0.0]);
    let due = [-1.0, 7.0, -8.0, 0.0, 9.0, -2.0, -8.0, 0.0];
    for (count, changed) in [(1, &[4][..]), (2, &[2, 4]), (3, &[1, 2, 4])] {
        let made = after(&before, Kind::SignDnl, &flips(count, 0)).floats("w").unwrap();
        for (at, (was, is)) in before.floats("w").unwrap().iter().zip(&made).enumerate() {
            let wanted = if changed.contains(&at) { due[at] } else { *was };
            assert_eq!((*is, count), (wanted, count), "{at}");
        }
    }
    let (_, _, reason) = refused(on(&before, Kind::SignDnl, &flips(4, 0)));
    assert_eq!(reason, "it must be 1 to 3, the number of filters of the layers attacked");
    // Of equals the first of the network is the one.
    let equals = dense(vec![
        floats("a", &[2, 2], &[5.0, -5.0, 5.0, 5.0]),
        floats("b", &[2, 1], &[5.0, 5.0]),
    ]);
    let found = flipped(&equals, &after(&equals, Kind::SignDnl, &flips(1, 9)));
    assert_eq!(found, BTreeSet::from([("a".to_owned(), 0, 1 << 31)]));
    // What is no number is never the largest.
    let none = one(&[f32::NAN, 1.0, f32::NAN, 2.0]);
    let found = flipped(&none, &after(&none, Kind::SignDnl, &flips(1, 0)));
    assert_eq!(found, BTreeSet::from([("w".to_owned(), 3, 1 << 31)]));
}

#[test]
fn the_lesion_looks_at_the_first_ten_layers() {
    let names: Vec<String> = (0..12).map(|i| format!("w{i:02}")).collect();
    let weight = |(i, name): (usize, &String)| {
        let outputs = if i == 11 { 1 } else { 2 };
        floats(name, &[2, outputs], &vec![1.0 + i as f32; 2 * outputs as usize])
    };
    let before = dense(names.iter().enumerate().map(weight).collect());
    let found = flipped(&before, &after(&before, Kind::SignDnl, &flips(20, 0)));
    let touched: BTreeSet<String> = found.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(touched, names[..10].iter().cloned().collect());
    assert_eq!(refused(on(&before, Kind::SignDnl, &flips(21, 0))).0, "flips");
    let last = Options { layer: Some("w11".to_owned()), ..flips(1, 0) };
    let found = flipped(&before, &after(&before, Kind::SignDnl, &last));
    assert_eq!(found, BTreeSet::from([("w11".to_owned(), 0, 1 << 31)]));
}

/// A layer is drawn before a weight of it: a small one is met as often as a large one.
#[test]
fn eight_bit_weights_are_drawn_layer_by_layer() {
    let bytes = |name, dims: [i64; 2], dtype| {
        tensor(name, dtype, &dims, vec![7; (dims[0] * dims[1]) as usize])
    };
    let before =
        dense(vec![bytes("large", [2, 200], DType::I8), bytes("small", [200, 1], DType::U8)]);
    let mut small = 0;
    for seed in 0..60 {
        let found = flipped(&before, &after(&before, Kind::Int8Random, &flips(4, seed)));
        small += found.iter().filter(|(name, ..)| name == "small").count();
        assert_eq!(found.iter().map(|(.., b)| b.count_ones()).sum::<u32>(), 4, "{seed}");
    }
    assert!((90..150).contains(&small), "{small} of 240");
    let single = one(&[1.0; 4]);
    assert!(matches!(
        on(&single, Kind::Int8Random, &Options::default()),
        Err(AttackError::NotApplicable { kind: "int8-random", .. })
    ));
}

/// Each bit of each exponent is tried once, and the one after which fewest are right is kept; answers that are no numbers
/// count last.
#[test]
fn the_worst_of_all_exponent_bits_is_found() {
    let before = one(&[1.0, -1.0, -0.5, 0.5]);
    let inputs = vec![1.0, 0.2, 0.3, 1.0, 2.0, 0.5, 0.1, 0.9, 1.0, 1.5];
    let samples = Samples::new(vec![2], inputs, vec![0, 0, 1, 1, 0]).unwrap();
    let evaluator = Evaluator::new(Arc::new(samples), 1);
    let tried = Mutex::new(Vec::new());
    let told = |step: &crate::Step| tried.lock().unwrap().push(step.clone());
    let made =
        attack(&before, Kind::ExponentWorst, &flips(32, 5), Some(&evaluator), &told).unwrap();
    let tried = tried.into_inner().unwrap();
    let places: BTreeSet<(usize, u32)> = tried.iter().map(|s| (s.index, s.bit)).collect();
    assert_eq!(places, (0..4).flat_map(|i| (23..31).map(move |bit| (i, bit))).collect());
    assert_eq!(tried.len(), 32);
    let harm = |step: &crate::Step| {
        let network = after_step(&before, step);
        let answers = evaluator.evaluate(&network).unwrap();
        assert_eq!(step.accuracy, answers.accuracy());
        (answers.rows().flatten().any(|score| !score.is_finite()), answers.accuracy())
    };
    let kept = &made.steps[0];
    let least = tried.iter().map(harm).min_by(|a, b| a.partial_cmp(b).unwrap()).unwrap();
    assert_eq!((made.steps.len(), harm(kept)), (1, least));
    // Of equals the first.
    assert_eq!(tried.iter().find(|s| harm(s) == least), Some(kept));
    assert_eq!(made.network, after_step(&before, kept));
    assert_eq!(made.what, format!("bit {} of one weight flipped, the worst of 32 tried", kept.bit));
}

fn after_step(before: &Network, step: &crate::Step) -> Network {
    let mut network = before.clone();
    let mut values = before.floats(&step.tensor).unwrap();
    values[step.index] = f32::from_bits(values[step.index].to_bits() ^ (1 << step.bit));
    network.set_floats(&step.tensor, &values).unwrap();
    network
}

#[test]
fn another_seed_or_another_attack_draws_other_weights() {
    let before = one(&[1.0; 200]);
    let places = |kind, seed| -> BTreeSet<usize> {
        let found = flipped(&before, &after(&before, kind, &flips(5, seed)));
        found.into_iter().map(|(_, index, _)| index).collect()
    };
    let mut seen = BTreeSet::new();
    for seed in [0, 1, 2, 1 << 40, u64::MAX] {
        for kind in [Kind::SignRandom, Kind::ExponentSample] {
            assert_eq!(places(kind, seed), places(kind, seed));
            assert!(seen.insert(places(kind, seed)), "{kind} {seed}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is drawn does not depend on what is there: made twice, an attack takes itself back.
    #[test]
    fn a_flipped_bit_flips_back(seed: u64, count in 1usize..10, bit in 0u32..32) {
        let plain = two();
        let bytes = dense(vec![tensor("q", DType::U8, &[2, 5], (0..10).collect())]);
        let sampled = Options { bit: Some(bit), ..flips(count, seed) };
        for (kind, before, options) in [
            (Kind::ExponentSample, &plain, &sampled),
            (Kind::SignRandom, &plain, &flips(count, seed)),
            (Kind::Int8Random, &bytes, &flips(count, seed)),
        ] {
            let once = after(before, kind, options);
            let found = Differences::between(before, &once);
            prop_assert_eq!(found.bits(), count as u64);
            prop_assert_eq!(&after(&once, kind, options), before);
        }
    }
}
