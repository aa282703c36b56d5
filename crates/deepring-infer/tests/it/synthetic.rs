//! Networks made for measuring: their size, and that their outputs say something.

use std::num::NonZeroUsize;
use std::path::Path;

use deepring::TensorValue;
use deepring_infer::PlainModel;
use deepring_onnx::synthetic::{Stack, SyntheticNetwork};
use deepring_onnx::{canonicalise, cut, read_onnx};

fn floats(tensor: &TensorValue) -> Vec<f32> {
    tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Outputs of two queries are finite, of middling size, and differ: else equal bits would prove nothing.
fn says_something(path: &Path, queries: [Vec<TensorValue>; 2]) {
    let model = PlainModel::unaltered(path, NonZeroUsize::new(1)).unwrap();
    let [a, b] = queries.map(|query| floats(&model.run(&query).unwrap()[0]));
    let rms = |v: &[f32]| (v.iter().map(|x| x * x).sum::<f32>() / v.len() as f32).sqrt();
    let apart: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    assert!((0.01..100.0).contains(&rms(&a)), "{}: rms {}", path.display(), rms(&a));
    assert!(rms(&apart) > 0.01 * rms(&a), "{}: {} of {}", path.display(), rms(&apart), rms(&a));
}

fn parameters(path: &Path) -> u64 {
    let model = canonicalise(read_onnx(path).unwrap()).unwrap();
    let blocks = cut(model, deepring_infer::CutPolicy::Auto).unwrap().blocks;
    blocks.iter().flat_map(|b| &b.params).map(|p| p.len).sum::<u64>() / 4
}

#[test]
fn networks_have_the_size_of_those_they_are_named_after() {
    let folder = tempfile::tempdir().unwrap();
    for (network, expected) in [
        (SyntheticNetwork::ResNet50, 25_530_472),
        (SyntheticNetwork::EfficientNet, 5_267_540),
        (SyntheticNetwork::MiniLm, 22_392_576),
        (SyntheticNetwork::LeNet, 61_706),
    ] {
        let path = network.write(folder.path(), 7).unwrap();
        let found = parameters(&path);
        assert!(found.abs_diff(expected) < 64, "{network}: {found} parameters, not {expected}");
        says_something(&path, [network.query(1), network.query(2)]);
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_stack_keeps_its_numbers_in_range_whatever_its_depth() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.onnx");
    let stack = Stack { layers: 40, width: 96 };
    stack.write(&path, 3).unwrap();
    assert_eq!(folder.path().join("stack.data").metadata().unwrap().len(), stack.bytes());
    assert_eq!(parameters(&path) * 4, stack.bytes());
    says_something(&path, [stack.query(1), stack.query(2)]);
}

#[test]
fn the_same_seed_gives_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let bytes =
        |seed| std::fs::read(SyntheticNetwork::LeNet.write(folder.path(), seed).unwrap()).unwrap();
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}
