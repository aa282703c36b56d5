//! Results per seed, as they were published: what another build must make again, bit for bit.

use std::collections::BTreeSet;

use deepring_attack::{AttackError, Differences, Family, Kind, Needs, Options, attack, quantise};

use crate::graph::edited;
use crate::{NETWORKS, network, options};

/// Seed, layer, what is said, first changed place, bits before and after.
type Golden = (u64, Option<&'static str>, &'static str, usize, [u64; 2]);

const REINIT_FILTER: [Golden; 3] = [
    (
        1,
        None,
        "the weights of filter 59 of layer `fc2` drawn anew",
        5664,
        [0xbe0b_904a, 0xbdd6_a978],
    ),
    (
        2,
        None,
        "the weights of filter 53 of layer `fc1` drawn anew",
        42400,
        [0x3d46_47be, 0x3dd3_cbf6],
    ),
    (
        1,
        Some("conv2"),
        "the weights of filter 19 of layer `conv2` drawn anew",
        5700,
        [0xbccb_635a, 0xbd03_fc68],
    ),
];

/// The attack on one layer of lenet5: what it says, the place of its first change, and the bits there before and after.
fn golden(kind: Kind, seed: u64, layer: Option<&str>) -> (String, usize, [u64; 2]) {
    let before = network("fashion-lenet5");
    let options = Options { layer: layer.map(str::to_owned), ..options(seed) };
    let made = attack(&before, kind, &options, None, &|_| ()).unwrap();
    let found = Differences::between(&before, &made.network);
    let first = found.tensors[0].elements[0];
    (made.what, first.index, [first.before.bits(), first.after.bits()])
}

#[test]
fn a_filter_is_drawn_anew_as_it_was() {
    for (seed, layer, what, index, bits) in REINIT_FILTER {
        let found = golden(Kind::ReinitFilter, seed, layer);
        assert_eq!(found, (what.to_owned(), index, bits), "seed {seed}");
    }
}

#[test]
fn a_filter_drawn_anew_has_the_deviation_of_a_layer_before_training() {
    let before = network("fashion-lenet5");
    let layer = before.layers().into_iter().find(|l| l.name == "fc1").unwrap();
    let wanted = 2.0 / layer.fan_in() as f64;
    let mut squares = Vec::new();
    for seed in 0..20 {
        let options = Options { layer: Some("fc1".to_owned()), ..options(seed) };
        let made = attack(&before, Kind::ReinitFilter, &options, None, &|_| ()).unwrap();
        let found = Differences::between(&before, &made.network);
        let drawn = found.tensors[0].elements.iter().map(|e| e.after.value().powi(2));
        squares.extend(drawn);
    }
    let variance = squares.iter().sum::<f64>() / squares.len() as f64;
    assert!((variance / wanted - 1.0).abs() < 0.1, "{variance} and {wanted}");
}

#[test]
fn a_filter_is_refused_where_there_is_none() {
    let before = network("fashion-lenet5");
    let refused = |layer: &str| {
        let options = Options { layer: Some(layer.to_owned()), ..options(1) };
        attack(&before, Kind::ReinitFilter, &options, None, &|_| ()).unwrap_err()
    };
    match refused("none") {
        AttackError::NoLayer { name, there } => {
            assert_eq!((name.as_str(), there.len()), ("none", before.layers().len()));
        }
        other => panic!("{other}"),
    }
    // A network whose only node multiplies with nothing has no filter.
    let none = edited("fashion-lenet5", |model| {
        let graph = model.graph.as_mut().unwrap();
        let input = graph.input[0].name.clone().unwrap();
        let output = graph.output[0].name.clone().unwrap();
        let mut relu =
            graph.node.iter().find(|n| n.op_type.as_deref() == Some("Relu")).unwrap().clone();
        (relu.input, relu.output) = (vec![input], vec![output]);
        graph.node = vec![relu];
        graph.initializer.clear();
    });
    let made = attack(&none, Kind::ReinitFilter, &options(1), None, &|_| ());
    assert!(matches!(made, Err(AttackError::NotApplicable { .. })), "{made:?}");
}

/// A line for each attack that needs nothing beside the network and its seed: the network, the attack, the seed, the first 8
/// bytes of the BLAKE3 digest of the file that came, and what was said; or why there was nothing to attack.
fn lines() -> Vec<String> {
    let needs_nothing =
        |kind: &&Kind| kind.needs() == Needs::Nothing && kind.family() != Family::Ring;
    let mut lines = Vec::new();
    for name in NETWORKS {
        let plain = network(name);
        let quantised = quantise(&plain).unwrap();
        for (form, before) in [("f32", plain), ("int8", quantised)] {
            for kind in Kind::all().iter().filter(needs_nothing) {
                for seed in [1, 2] {
                    let (digest, what) = match attack(&before, *kind, &options(seed), None, &|_| ())
                    {
                        Ok(made) => {
                            let digest = blake3::hash(&made.network.encode()).to_hex();
                            (digest[..16].to_owned(), made.what)
                        }
                        Err(error @ AttackError::NotApplicable { .. }) => {
                            ("-".to_owned(), error.to_string())
                        }
                        Err(error) => panic!("{kind} on {name}, {form}: {error}"),
                    };
                    lines.push(format!("{name}\t{form}\t{kind}\t{seed}\t{digest}\t{what}"));
                }
            }
        }
    }
    lines
}

/// `DEEPRING_WRITE_GOLDEN=1 cargo test -p deepring-attack --test it golden` writes the file anew.
#[test]
fn every_family_makes_of_a_seed_what_it_made() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.tsv");
    let found = lines();
    if std::env::var_os("DEEPRING_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found.join("\n") + "\n").unwrap();
    }
    let due = std::fs::read_to_string(&path).unwrap();
    let due: Vec<&str> = due.lines().collect();
    for (found, due) in found.iter().zip(&due) {
        assert_eq!(found, due);
    }
    assert_eq!(found.len(), due.len());
    // That nothing was attacked on any network would be no result.
    let made = |line: &&&str| line.split('\t').nth(4) != Some("-");
    let kinds: BTreeSet<&str> =
        due.iter().filter(made).filter_map(|line| line.split('\t').nth(2)).collect();
    let all: BTreeSet<&str> = Kind::all()
        .iter()
        .filter(|k| k.needs() == Needs::Nothing && k.family() != Family::Ring)
        .map(|k| k.name())
        .collect();
    assert_eq!(kinds, all);
}
