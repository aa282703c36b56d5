use std::path::Path;
use std::sync::Arc;

use deepring_onnx::proto::{NodeProto, TensorProto};

use super::*;
use crate::evaluator::Evaluator;
use crate::samples::{Samples, Split};

fn zoo() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo")
}

/// What a check draws, by a seed.
pub(super) fn seeded(seed: u64) -> impl FnMut() -> f64 {
    let mut random = fastrand::Rng::with_seed(seed);
    move || random.f64()
}

pub(super) fn lenet() -> Network {
    Network::read(&zoo().join("fashion-lenet5.onnx")).unwrap()
}

pub(super) fn resnet() -> Network {
    Network::read(&zoo().join("fashion-resnet8.onnx")).unwrap()
}

pub(super) fn evaluator() -> Evaluator {
    let samples = Samples::open(&zoo().join("fashion-sample"), Split::Test, None).unwrap();
    Evaluator::new(Arc::new(samples.choose(50, 0)), 1)
}

/// The network with its weights quantised to 8 bits: symmetric, one step a layer, dequantised in the graph.
pub(super) fn int8(network: &Network) -> Network {
    let mut out = network.clone();
    for layer in network.layers() {
        let values = network.floats(&layer.weight).unwrap();
        let step = values.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0;
        let graph = out.graph_mut();
        let weight = graph.initializer.iter_mut().find(|t| t.name.as_ref() == Some(&layer.weight));
        let weight = weight.unwrap();
        weight.data_type = Some(3);
        weight.raw_data = Some(values.iter().map(|v| (v / step).round() as i8 as u8).collect());
        let (scale, float) = (format!("{}.scale", layer.weight), format!("{}.f", layer.weight));
        graph.initializer.push(TensorProto {
            name: Some(scale.clone()),
            data_type: Some(1),
            raw_data: Some(step.to_le_bytes().to_vec()),
            ..TensorProto::default()
        });
        for input in graph.node.iter_mut().flat_map(|n| &mut n.input) {
            if *input == layer.weight {
                input.clone_from(&float);
            }
        }
        graph.node.insert(
            0,
            NodeProto {
                op_type: Some("DequantizeLinear".to_owned()),
                input: vec![layer.weight.clone(), scale],
                output: vec![float],
                ..NodeProto::default()
            },
        );
    }
    out
}

fn options(seed: u64) -> DefenceOptions {
    DefenceOptions { seed, ..DefenceOptions::default() }
}

fn flipped(network: &Network, tensor: &str, byte: usize, mask: u8) -> Network {
    let mut bytes = network.tensor(tensor).unwrap().bytes().to_vec();
    bytes[byte] ^= mask;
    let mut out = network.clone();
    out.set_bytes(tensor, bytes).unwrap();
    out
}

fn detects(
    kind: DefenceKind,
    clean: &Network,
    options: &DefenceOptions,
    attacked: &Network,
    moment: Moment,
) -> bool {
    let random = &mut fastrand::Rng::with_seed(options.seed);
    protect(kind, clean, options).check(attacked, moment, &mut || random.f64()).detected
}

#[test]
fn every_defence_is_silent_on_the_clean_network() {
    for kind in DefenceKind::all() {
        for clean in [lenet(), int8(&lenet())] {
            for seed in 0..10 {
                let defence = protect(*kind, &clean, &options(seed));
                assert_eq!(defence.kind(), *kind);
                let random = &mut fastrand::Rng::with_seed(seed);
                let moment = |i| if i % 2 == 0 { Moment::AtRest } else { Moment::Live };
                for i in 0..50 {
                    assert_eq!(
                        defence.check(&clean, moment(i), &mut || random.f64()),
                        DefenceVerdict::silent()
                    );
                }
            }
        }
    }
}

#[test]
fn every_covered_tensor_is_seen_and_named() {
    use DefenceKind::{Crc32, Hashtag, Radar, SpotCheck};
    for clean in [resnet(), int8(&resnet())] {
        let weights: Vec<String> = clean.layers().into_iter().map(|l| l.weight).collect();
        let every: Vec<String> = clean.tensors().map(|t| t.name().to_owned()).collect();
        let of_hashtag = hashtag::covered(&clean, &options(1));
        assert_eq!(of_hashtag.len(), 3);
        for (kind, names) in
            [(Crc32, &every), (SpotCheck, &every), (Radar, &weights), (Hashtag, &of_hashtag)]
        {
            let options = DefenceOptions { share: 1.0, ..options(1) };
            let defence = protect(kind, &clean, &options);
            for name in names {
                let tensor = clean.tensor(name).unwrap();
                let (at, size) = (tensor.len() / 2, tensor.dtype().size());
                let mut attacked = flipped(&clean, name, at * size + size - 1, 0x80);
                if let (Radar, Some(mut floats)) = (kind, tensor.floats()) {
                    // What an 8-bit view shows as half of the range moves the sum by 128.
                    let largest = floats.iter().fold(0f32, |m, w| m.max(w.abs()));
                    floats[at] +=
                        if floats[at] > 0.0 { -1.0 } else { 1.0 } * largest * 128.0 / 127.0;
                    attacked.set_floats(name, &floats).unwrap();
                }
                let verdict = defence.check(&attacked, Moment::Live, &mut seeded(0));
                assert!(verdict.detected, "{kind} {name}");
                assert!(verdict.located.iter().all(|l| l.tensor == *name));
                assert!(verdict.located.iter().any(|l| l.range.contains(&at)));
            }
        }
    }
}

#[test]
fn each_misses_what_it_says() {
    use DefenceKind::{Crc32, FileDigest, Hashtag, None, Radar, SpotCheck};
    let clean = resnet();
    let seen = |kind, options: &DefenceOptions, attacked: &Network| {
        detects(kind, &clean, options, attacked, Moment::Live)
    };
    let options = options(5);
    let mut graph = clean.clone();
    graph.graph_mut().node.pop();
    for kind in [None, Crc32, Radar, Hashtag, FileDigest, SpotCheck] {
        assert!(!seen(kind, &options, &graph), "{kind}");
    }
    assert!(detects(FileDigest, &clean, &options, &graph, Moment::AtRest));
    for name in ["stem.bn.var", "logits.bias"] {
        let attacked = flipped(&clean, name, 3, 0x80);
        for (kind, expected) in
            [(None, false), (Crc32, true), (Radar, false), (Hashtag, false), (FileDigest, false)]
        {
            assert_eq!(seen(kind, &options, &attacked), expected, "{kind} {name}");
        }
    }
    let uncovered = flipped(&clean, "block3.conv2.weight", 3, 0x80);
    assert!(!hashtag::covered(&clean, &options).contains(&"block3.conv2.weight".to_owned()));
    assert!(!seen(Hashtag, &options, &uncovered));
    let covered = DefenceOptions {
        layers: 1,
        sensitivities: Some(vec![
            ("block3.conv2.weight".to_owned(), 2.0),
            ("logits.weight".to_owned(), 1.0),
        ]),
        ..options.clone()
    };
    assert!(seen(Hashtag, &covered, &uncovered));
    // The lowest bit of a float is within the step of its 8-bit view.
    assert!(!seen(Radar, &options, &flipped(&clean, "stem.conv.weight", 0, 1)));
}

#[test]
fn a_pearson_hash_sees_every_single_byte_and_misses_one_of_256_edits_of_two() {
    let clean = int8(&lenet());
    let random = &mut fastrand::Rng::with_seed(9);
    let (mut missed, trials) = (0, 3000);
    for seed in 0..trials {
        let options = DefenceOptions { seed, layers: 1, ..DefenceOptions::default() };
        let defence = protect(DefenceKind::Hashtag, &clean, &options);
        let one = flipped(&clean, "conv1.weight", random.usize(..300), 1 << random.u8(..8));
        assert!(defence.check(&one, Moment::Live, &mut || random.f64()).detected);
        let two = flipped(&flipped(&clean, "conv1.weight", 17, 0x80), "conv1.weight", 230, 0x80);
        missed += usize::from(!defence.check(&two, Moment::Live, &mut || random.f64()).detected);
    }
    let (low, high) = wilson(missed, trials as usize);
    assert!(low <= 1.0 / 256.0 && 1.0 / 256.0 <= high, "{missed} of {trials}");
}

#[test]
fn a_spot_check_finds_one_chunk_with_the_probability_of_its_share() {
    let clean = lenet();
    let defence = protect(DefenceKind::SpotCheck, &clean, &options(0));
    let (attacked, random) =
        (flipped(&clean, "fc1.weight", 5000, 1), &mut fastrand::Rng::with_seed(4));
    let mut found = 0;
    for _ in 0..1000 {
        let verdict = defence.check(&attacked, Moment::Live, &mut || random.f64());
        if verdict.detected {
            assert_eq!(
                verdict.located,
                [Located { tensor: "fc1.weight".to_owned(), range: 1024..2048 }]
            );
            found += 1;
        }
    }
    let (low, high) = wilson(found, 1000);
    assert!(low <= 0.1 && 0.1 <= high, "{found} of 1000");
}

#[test]
fn what_must_be_kept_is_counted() {
    let clean = lenet();
    let bytes = |kind| protect(kind, &clean, &options(0)).stored_bytes();
    assert_eq!((bytes(DefenceKind::None), bytes(DefenceKind::FileDigest)), (0, 32));
    assert_eq!(bytes(DefenceKind::Crc32), 4 * clean.tensors().count());
    assert_eq!(bytes(DefenceKind::Hashtag), 3 + 256 + 8);
    // Groups of 512, four signatures a byte; key, order and step of each of the five tensors.
    let groups = [300usize, 9600, 76_800, 6144, 640].map(|n| n.div_ceil(512).div_ceil(4));
    assert_eq!(bytes(DefenceKind::Radar), groups.iter().sum::<usize>() + 5 * (2 + 8 + 4));
    let chunks: usize = clean.tensors().map(|t| t.bytes().len().div_ceil(4096)).sum();
    assert_eq!(bytes(DefenceKind::SpotCheck), 32 * chunks);
}
