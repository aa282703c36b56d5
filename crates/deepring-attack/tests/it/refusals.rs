//! What an attack is told that a network has no place for: refused by the name of the option, whatever the attack.

use deepring_attack::catalogue::{Dial, Targeted};
use deepring_attack::{
    AttackError, Attacked, Family, Kind, Needs, Network, Options, Scope, attack, quantise,
};

use crate::graph::edited;
use crate::{evaluator, network, options};

fn plain_kinds() -> impl Iterator<Item = Kind> {
    Kind::all().iter().copied().filter(|k| k.family() != Family::Ring)
}

/// The attack without what it needs beside the network.
fn bare(before: &Network, kind: Kind, options: &Options) -> Result<Attacked, AttackError> {
    attack(before, kind, options, None, &|_| ())
}

/// A network on which a kind finds something.
fn victim(kind: Kind) -> Network {
    let plain = network("fashion-resnet8");
    if kind.needs_int8() { quantise(&plain).unwrap() } else { plain }
}

#[test]
fn what_attacks_rings_is_none_on_a_network() {
    let before = network("fashion-lenet5");
    for kind in Kind::all().iter().copied().filter(|k| k.family() == Family::Ring) {
        match bare(&before, kind, &options(1)) {
            Err(AttackError::NotOnNetworks { kind: said }) => assert_eq!(said, kind.name()),
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[test]
fn what_an_attack_needs_is_named_where_it_is_missing() {
    let mut asked = 0;
    for kind in plain_kinds().filter(|k| k.needs() != Needs::Nothing) {
        let (named, said) = match bare(&victim(kind), kind, &options(1)) {
            Err(AttackError::NeedsSamples { kind: said }) => {
                (matches!(kind.needs(), Needs::Samples | Needs::SamplesAndGradients), said)
            }
            Err(AttackError::NeedsGradients { kind: said }) => {
                (matches!(kind.needs(), Needs::Gradients | Needs::SamplesAndGradients), said)
            }
            // A build with gradients needs nothing more for these.
            Ok(_) if cfg!(feature = "gradients") && kind.needs() == Needs::Gradients => continue,
            other => panic!("{kind}: {other:?}"),
        };
        assert!(named, "{kind}");
        assert_eq!(said, kind.name());
        asked += 1;
    }
    assert!(asked >= 2, "{asked}");
}

#[test]
fn strengths_layers_and_bits_that_do_not_exist_are_refused_by_name() {
    let evaluator = evaluator(10);
    let refused = |kind: Kind, options: &Options, option: &str| {
        let made = attack(&victim(kind), kind, options, Some(&evaluator), &|_| ());
        match made {
            Err(AttackError::Option { option: named, found, reason }) => {
                assert_eq!(named, option, "{kind}");
                assert!(!found.is_empty() && !reason.is_empty(), "{kind}");
            }
            other => panic!("{kind} with another {option}: {other:?}"),
        }
    };
    let (mut noisy, mut flipping, mut layered) = (0, 0, 0);
    for kind in plain_kinds().filter(|k| k.family() != Family::Search) {
        if kind.needs() == Needs::Gradients && !cfg!(feature = "gradients") {
            continue;
        }
        match kind.strength() {
            Dial::Noise => {
                noisy += 1;
                for rho in [0.0, -0.5, f64::NAN, f64::NEG_INFINITY] {
                    refused(kind, &Options { rho: Some(rho), ..options(1) }, "rho");
                }
            }
            Dial::Flips => {
                flipping += 1;
                for flips in [0, usize::MAX] {
                    refused(kind, &Options { flips: Some(flips), ..options(1) }, "flips");
                }
            }
            Dial::Fixed => {}
        }
        if kind.scope() == Scope::OneLayer {
            layered += 1;
            let options = Options { layer: Some("no such layer".to_owned()), ..options(1) };
            match bare(&victim(kind), kind, &options) {
                Err(AttackError::NoLayer { name, there }) => {
                    assert_eq!(name, "no such layer");
                    assert!(!there.is_empty());
                }
                other => panic!("{kind}: {other:?}"),
            }
        }
        if kind.targeted() != Targeted::No {
            refused(kind, &Options { target: Some(usize::MAX), ..options(1) }, "target");
        }
    }
    assert!(noisy >= 4 && flipping >= 4 && layered >= 6, "{noisy}, {flipping}, {layered}");
    for bit in [32, u32::MAX] {
        refused(Kind::ExponentSample, &Options { bit: Some(bit), ..options(1) }, "bit");
        refused(Kind::ExponentWorst, &Options { bit: Some(bit), ..options(1) }, "bit");
    }
}

#[test]
fn a_network_that_multiplies_nothing_gives_no_attack_a_hold_but_those_on_its_graph() {
    let evaluator = evaluator(10);
    let none = edited("fashion-lenet5", |model| {
        let graph = model.graph.as_mut().unwrap();
        let input = graph.input[0].name.clone().unwrap();
        let output = graph.output[0].name.clone().unwrap();
        let relu = graph.node.iter().find(|n| n.op_type.as_deref() == Some("Relu"));
        let mut relu = relu.unwrap().clone();
        (relu.input, relu.output) = (vec![input], vec![output]);
        graph.node = vec![relu];
        graph.initializer.clear();
    });
    for kind in plain_kinds().filter(|k| k.family() != Family::Graph) {
        match attack(&none, kind, &options(1), Some(&evaluator), &|_| ()) {
            Err(AttackError::NotApplicable { kind: said, reason }) => {
                assert_eq!(said, kind.name());
                assert!(!reason.is_empty());
            }
            Err(AttackError::NeedsGradients { .. }) if !cfg!(feature = "gradients") => {}
            other => panic!("{kind}: {other:?}"),
        }
    }
}
