use deepring_onnx::proto::TensorProto;

use super::*;
use crate::defence::tests::{int8, lenet, seeded};
use crate::defence::{protect, wilson};
use crate::network::Layer;

fn options(seed: u64, group: usize) -> DefenceOptions {
    DefenceOptions { seed, group, ..DefenceOptions::default() }
}

/// Flips a bit of these places of the weights, counted over all layers.
fn flip(network: &mut Network, places: &[usize], bit: u32) -> Vec<(String, usize)> {
    let mut out = Vec::new();
    for place in places {
        let mut rest = *place;
        for layer in network.layers() {
            if rest < layer.len() {
                let mut values = network.int8s(&layer.weight).unwrap();
                values[rest] ^= (1u8 << bit) as i8;
                network.set_int8s(&layer.weight, &values).unwrap();
                out.push((layer.weight, rest));
                break;
            }
            rest -= layer.len();
        }
    }
    out
}

fn weights(network: &Network) -> usize {
    network.layers().iter().map(Layer::len).sum()
}

/// Of `trials` rounds of `count` random flips, the flips that lie in a group of which an alarm was raised, as the paper
/// counts them.
fn detected(network: &Network, group: usize, bit: u32, count: usize, trials: u64) -> usize {
    let random = &mut fastrand::Rng::with_seed(u64::from(bit));
    let mut found = 0;
    for seed in 0..trials {
        let defence = Radar::of(network, &options(seed, group));
        let mut attacked = network.clone();
        let places = random.choose_multiple(0..weights(network), count);
        let flipped = flip(&mut attacked, &places, bit);
        let verdict = defence.check(&attacked, Moment::Live, &mut || random.f64());
        let seen = |(tensor, at): &&(String, usize)| {
            verdict.located.iter().any(|l| l.tensor == *tensor && l.range.contains(at))
        };
        found += flipped.iter().filter(seen).count();
    }
    found
}

#[test]
fn the_signature_is_bits_7_and_8_of_the_sum() {
    let found = [-257, -129, -128, -1, 0, 127, 128, 255, 256, 511, 512].map(signature);
    assert_eq!(found, [1, 2, 3, 3, 0, 0, 1, 1, 2, 3, 0]);
}

#[test]
fn one_top_bit_is_always_seen_and_a_lower_one_in_two_to_the_b_of_128_cases() {
    let network = int8(&lenet());
    assert_eq!(detected(&network, 512, 7, 1, 60), 60);
    for bit in [6, 4] {
        let (low, high) = wilson(detected(&network, 512, bit, 1, 150), 150);
        let expected = f64::from(1u32 << bit) / 128.0;
        assert!(low <= expected && expected <= high, "bit {bit}: {low} to {high}");
    }
}

#[test]
fn of_ten_random_top_bits_some_cancel_in_a_large_group() {
    let network = int8(&lenet());
    // Two fall into one of the 192 groups of 512 seldom; in groups of a quarter of the network often.
    let (small, large) =
        (detected(&network, 512, 7, 10, 30), detected(&network, 1 << 15, 7, 10, 30));
    let (low, _) = wilson(small, 300);
    assert!(low > 0.9, "{small} of 300");
    assert!(large < 270, "{large} of 300");
}

#[test]
fn recovery_sets_the_groups_that_differ_to_zero_and_no_other_weight() {
    for (clean, top) in [(int8(&lenet()), 7), (lenet(), 31)] {
        let defence = protect(DefenceKind::Radar, &clean, &options(3, 64));
        let mut attacked = clean.clone();
        let before = clean.tensor("conv2.weight").unwrap().bytes().to_vec();
        let size = clean.tensor("conv2.weight").unwrap().dtype().size();
        let mut bytes = before.clone();
        // The largest float has all of its 8-bit view's range to move through.
        let floats = clean.floats("conv2.weight").unwrap_or_default();
        let largest = |a: &usize, b: &usize| floats[*a].abs().total_cmp(&floats[*b].abs());
        let at = (0..floats.len()).max_by(largest).unwrap_or(1000);
        bytes[at * size + top / 8] ^= 1 << (top % 8);
        attacked.set_bytes("conv2.weight", bytes.clone()).unwrap();
        let verdict = defence.check(&attacked, Moment::Live, &mut seeded(0));
        let places: Vec<usize> = verdict.located.iter().flat_map(|l| l.range.clone()).collect();
        assert!(places.len() <= 64 && places.contains(&at), "{places:?}");
        assert!(verdict.located.iter().all(|l| l.tensor == "conv2.weight"));
        let mut recovered = attacked.clone();
        defence.recover(&mut recovered, &verdict);
        let after = recovered.tensor("conv2.weight").unwrap().bytes().to_vec();
        for index in 0..before.len() / size {
            let element = index * size..(index + 1) * size;
            let expected =
                if places.contains(&index) { &[0; 4][..size] } else { &bytes[element.clone()] };
            assert_eq!(&after[element], expected, "{index}");
        }
        // Only that group differs from the clean network.
        assert_eq!(
            recovered.tensor("fc1.weight").unwrap().bytes(),
            clean.tensor("fc1.weight").unwrap().bytes()
        );
    }
}

#[test]
fn a_tensor_of_another_size_or_type_raises_an_alarm() {
    let clean = int8(&lenet());
    let defence = Radar::of(&clean, &options(0, 512));
    let edits: [fn(&mut TensorProto); 3] = [
        |t| t.name = Some("other".to_owned()),
        |t| t.data_type = Some(6),
        |t| t.raw_data.as_mut().unwrap().truncate(299),
    ];
    for edit in edits {
        let mut attacked = clean.clone();
        let tensors = &mut attacked.graph_mut().initializer;
        edit(tensors.iter_mut().find(|t| t.name.as_deref() == Some("conv1.weight")).unwrap());
        let verdict = defence.check(&attacked, Moment::AtRest, &mut seeded(0));
        assert_eq!(verdict.located, [Located { tensor: "conv1.weight".to_owned(), range: 0..300 }]);
    }
}
