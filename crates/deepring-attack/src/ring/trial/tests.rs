//! Edits of the graph, which no public function makes, and the outline of files.

use std::path::Path;

use super::*;
use crate::ring::file::RingFile;
use crate::samples::Split;

fn zoo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo")
}

fn network(name: &str) -> Network {
    Network::read(&zoo().join(name)).unwrap()
}

fn samples(count: usize) -> Samples {
    Samples::open(&zoo().join("fashion-sample"), Split::Test, None).unwrap().choose(count, 1)
}

#[test]
fn an_activation_swap_is_refused_where_it_was_made_and_repaired() {
    for name in ["fashion-lenet5.onnx", "fashion-resnet8.onnx"] {
        let (clean, samples) = (network(name), samples(4));
        let mut trial = RingTrial::seal(&clean, Check::Auto).unwrap();
        let is_relu = |n: &deepring_onnx::proto::NodeProto| n.op_type.as_deref() == Some("Relu");
        let nodes: Vec<usize> =
            (0..clean.nodes().len()).filter(|i| is_relu(&clean.nodes()[*i])).collect();
        assert!(!nodes.is_empty());
        for node in nodes {
            for op in ["Tanh", "Sigmoid", "Identity"] {
                let mut attacked = clean.clone();
                attacked.graph_mut().node[node].op_type = Some(op.to_owned());
                let detection = trial.detect(&attacked, &samples).unwrap();
                assert!(detection.detected && detection.recovered, "{detection:?}");
                assert_eq!((detection.place, detection.answers_given), (TamperTarget::AtRest, 0));
                assert!(detection.located, "{detection:?}");
                assert!(
                    detection.touched.iter().all(|t| t.part == "graph" || t.part == "header"),
                    "{detection:?}"
                );
            }
        }
    }
}

#[test]
fn a_network_of_other_blocks_is_refused_as_a_whole() {
    let (clean, samples) = (network("fashion-lenet5.onnx"), samples(2));
    let mut trial = RingTrial::seal(&clean, Check::Auto).unwrap();
    let other = network("fashion-resnet8.onnx");
    let detection = trial.detect(&other, &samples).unwrap();
    assert!(detection.detected && detection.recovered && !detection.located, "{detection:?}");
    assert_eq!((detection.place, detection.answers_given), (TamperTarget::WholeRing, 0));
    let verdicts: Vec<_> = detection.presented.iter().map(|p| p.verdict).collect();
    assert_eq!(verdicts, [Verdict::Untrusted, Verdict::Tampered, Verdict::Tampered]);
}

#[test]
fn several_blocks_are_all_named_and_healed() {
    let (clean, samples) = (network("fashion-resnet8.onnx"), samples(2));
    let mut trial = RingTrial::seal(&clean, Check::Auto).unwrap();
    let mut attacked = clean.clone();
    for layer in clean.layers() {
        let values: Vec<f32> =
            clean.floats(&layer.weight).unwrap().iter().map(|v| v * 1.5).collect();
        attacked.set_floats(&layer.weight, &values).unwrap();
    }
    let detection = trial.detect(&attacked, &samples).unwrap();
    assert!(
        detection.detected && detection.located && detection.located_tensor && detection.recovered,
        "{detection:?}"
    );
    assert_eq!(detection.answers_given, 0);
    assert_eq!(each_once(detection.named.iter().map(|n| n.block)).len(), clean_blocks(&trial));
    let detection = trial.detect_at_rest(&attacked, &samples).unwrap();
    assert!(
        detection.detected && detection.located && detection.located_tensor && detection.recovered,
        "{detection:?}"
    );
    assert_eq!(detection.named.len(), detection.touched.len());
}

fn clean_blocks(trial: &RingTrial) -> usize {
    trial.ring().layers().len()
}

#[test]
fn a_file_without_a_rings_outline_is_not_rearranged() {
    let trial = RingTrial::seal(&network("fashion-lenet5.onnx"), Check::Load).unwrap();
    let bytes = trial.clean.file.bytes().to_vec();
    assert_eq!(RingFile::parse(bytes.clone()).unwrap(), trial.clean.file);
    for len in (0..600).chain(bytes.len() - 40..bytes.len()) {
        assert!(RingFile::parse(bytes[..len].to_vec()).is_err(), "{len}");
    }
    // A count that the file does not pay for.
    let mut vast = bytes;
    vast[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(RingFile::parse(vast).is_err());
}

fn touched(of: &[(u32, &str)]) -> Vec<Tampered> {
    of.iter().map(|(block, part)| Tampered { block: *block, part: (*part).to_owned() }).collect()
}

fn named(of: &[(Option<u32>, &str)]) -> Vec<Reported> {
    of.iter().map(|(block, part)| Reported { block: *block, part: (*part).to_owned() }).collect()
}

/// Located is what was named block for block; its tensors, what moreover names no tensor that was not touched.
#[test]
fn a_place_is_located_if_all_of_it_is_named_and_nothing_besides() {
    let both = touched(&[(1, "a"), (1, "b"), (2, "c")]);
    let of = |reported: &[(Option<u32>, &str)]| located(&both, &named(reported));
    assert_eq!(of(&[(Some(1), "a"), (Some(2), "c")]), (true, true));
    assert_eq!(of(&[(Some(1), "c"), (Some(2), "c")]), (true, false));
    assert_eq!(of(&[(Some(1), "a")]), (false, false));
    assert_eq!(of(&[(Some(1), "a"), (Some(2), "c"), (Some(3), "d")]), (false, false));
    assert_eq!(of(&[(Some(1), "a"), (Some(2), "c"), (None, "closure")]), (false, false));
    assert_eq!(of(&[]), (false, false));
    assert_eq!(located(&[], &[]), (false, false));
}

#[test]
fn the_furthest_score_is_found_in_any_output_and_no_number_is_beyond_all() {
    let of = |scores: &[f32]| {
        let data = scores.iter().flat_map(|s| s.to_le_bytes()).collect();
        TensorValue::new("y", deepring::DType::F32, vec![scores.len() as u64], data).unwrap()
    };
    let right = [of(&[1.0, 2.0]), of(&[3.0])];
    assert_eq!(furthest(&[of(&[1.0, 2.5]), of(&[0.0])], &right), 3.0);
    assert_eq!(furthest(&[of(&[-1.0, 2.0]), of(&[3.0])], &right), 2.0);
    assert_eq!(furthest(&right, &right), 0.0);
    assert_eq!(furthest(&[of(&[f32::NAN, 2.0]), of(&[9.0])], &right), f32::INFINITY);
}

#[test]
fn a_race_is_told_with_what_came_of_its_queries() {
    let raced = |writer, until: &[usize]| ToctouResult {
        writer,
        check: Check::Run,
        touched: Vec::new(),
        writes: 7,
        queries: 20,
        refused: 3,
        right: 12,
        wrong: 5,
        accuracy: None,
        furthest: 0.0,
        until_refused: until.to_vec(),
        named: Vec::new(),
    };
    let blind = raced(ToctouWriter::Blind, &[]);
    assert_eq!(blind.mean_until_refused(), None);
    assert_eq!(
        blind.sentence(),
        "the first layer tampered with and put back 7 times, under `run`: of 20 queries 3 refused, \
         12 answered rightly, 5 wrongly"
    );
    let sync = raced(ToctouWriter::Synchronised, &[1, 2, 4]);
    assert!((sync.mean_until_refused().unwrap() - 7.0 / 3.0).abs() < 1e-12);
    assert!(sync.sentence().ends_with("; 2.3 queries until one is refused, on average"));
    assert!(raced(ToctouWriter::SynchronisedTail, &[]).sentence().contains("no parameter changed"));
}
