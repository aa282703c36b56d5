//! Attacks on the graph: no parameter changes, the network stays one that runs, is sealed, and answers otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deepring::{Host, Owner, SecretKey, Trust, UnverifiedRing};
use deepring_attack::{
    AttackError, Differences, Evaluator, Family, Kind, Network, Options, apply_trigger, attack,
};
use deepring_infer::sealing::Blocks;
use deepring_infer::{Seal, Session, SessionOptions};
use deepring_onnx::proto::{ModelProto, NodeProto, ValueInfoProto};
use prost::Message as _;

use crate::{NETWORKS, evaluator, network, options};

/// A network's nodes, as a reader of its file sees them.
fn nodes(network: &Network) -> Vec<NodeProto> {
    ModelProto::decode(&*network.encode()).unwrap().graph.unwrap().node
}

fn graph_kinds() -> impl Iterator<Item = Kind> {
    Kind::all().iter().copied().filter(|k| k.family() == Family::Graph)
}

/// What a network has nothing for.
fn missing(network: &str, kind: Kind) -> bool {
    match kind {
        Kind::PoolSwap => network == "fashion-resnet8",
        Kind::BlockDrop | Kind::BlockDuplicate | Kind::BlockSwap | Kind::ResidualCut => {
            network == "fashion-lenet5"
        }
        _ => false,
    }
}

fn made(network: &Network, kind: Kind, options: &Options) -> Network {
    attack(network, kind, options, None, &|_| ()).unwrap().network
}

#[test]
fn no_parameter_changes_and_the_answers_do() {
    let evaluator = evaluator(40);
    for name in NETWORKS {
        let clean = network(name);
        let before = evaluator.evaluate(&clean).unwrap();
        for kind in graph_kinds() {
            for seed in 0..3 {
                let attacked = attack(&clean, kind, &options(seed), None, &|_| ());
                if missing(name, kind) {
                    assert!(matches!(attacked, Err(AttackError::NotApplicable { .. })), "{kind}");
                    continue;
                }
                let after = attacked.unwrap_or_else(|e| panic!("{kind} on {name}: {e}"));
                let found = Differences::between(&clean, &after.network);
                assert_eq!(found.tensors, [], "{kind} on {name}");
                assert!(!found.graph.is_empty(), "{kind} on {name}");
                let ends = |n: &str| n == "inputs" || n == "outputs";
                assert!(!found.graph.iter().any(|g| ends(&g.name)), "{kind} on {name}");
                let answers = evaluator.evaluate(&after.network).unwrap();
                assert_eq!(answers == before, kind == Kind::Trigger, "{}", after.what);
                assert_eq!(made(&clean, kind, &options(seed)), after.network);
            }
        }
    }
}

#[test]
fn a_trigger_decides_and_clean_samples_do_not_notice() {
    let evaluator = evaluator(60);
    let with_trigger = Evaluator::new(Arc::new(apply_trigger(evaluator.samples())), 2);
    for name in NETWORKS {
        let clean = network(name);
        for given in [None, Some(&evaluator)] {
            let options = Options { target: Some(7), ..options(1) };
            let after = attack(&clean, Kind::Trigger, &options, given, &|_| ()).unwrap().network;
            assert_eq!(evaluator.evaluate(&after).unwrap(), evaluator.evaluate(&clean).unwrap());
            let (hit, missed) =
                (with_trigger.evaluate(&after).unwrap(), with_trigger.evaluate(&clean).unwrap());
            assert!(hit.share_given(7, |_| true) >= 1.0);
            assert!(missed.share_given(7, |_| true) < 0.5);
        }
        // Samples that have the pattern leave no clean ones to be told from.
        let refused = attack(&clean, Kind::Trigger, &options(1), Some(&with_trigger), &|_| ());
        assert!(matches!(refused, Err(AttackError::NotApplicable { .. })));
        let target = Options { target: Some(10), ..options(1) };
        let refused = attack(&clean, Kind::Trigger, &target, None, &|_| ());
        assert!(matches!(refused, Err(AttackError::Option { option: "target", .. })));
    }
}

/// A network of the zoo whose file says something else.
pub(crate) fn edited(name: &str, edit: impl Fn(&mut ModelProto)) -> Network {
    let mut model = ModelProto::decode(&*network(name).encode()).unwrap();
    edit(&mut model);
    let file = tempfile::Builder::new().suffix(".onnx").tempfile().unwrap();
    std::fs::write(file.path(), model.encode_to_vec()).unwrap();
    Network::read(file.path()).unwrap()
}

#[test]
fn a_trigger_is_written_in_the_operators_of_the_networks_set() {
    let evaluator = evaluator(20);
    let with_trigger = Evaluator::new(Arc::new(apply_trigger(evaluator.samples())), 2);
    for (opset, ir) in [(7, 3), (8, 4), (9, 3), (10, 5), (13, 7), (17, 8), (18, 8), (21, 10)] {
        // Its operators mean the same in all of these.
        let clean = edited("fashion-lenet5", |model| {
            model.opset_import[0].version = Some(opset);
            model.ir_version = Some(ir);
        });
        let options = Options { target: Some(2), ..options(1) };
        let after = made(&clean, Kind::Trigger, &options);
        let graph = ModelProto::decode(&*after.encode()).unwrap().graph.unwrap();
        let count =
            |op: &str| graph.node.iter().filter(|n| n.op_type.as_deref() == Some(op)).count();
        assert_eq!(count("Where"), usize::from(opset >= 9), "{opset}");
        // Older formats list every initializer as an input, and the declared inputs must stay.
        assert_eq!(count("Constant") > 0, ir < 4, "{opset}");
        for node in &graph.node {
            let axes = node.attribute.iter().any(|a| a.name.as_deref() == Some("axes"));
            match node.op_type.as_deref() {
                Some("Slice") => assert_eq!(axes, opset < 10),
                Some("ReduceMin") => assert_eq!(axes, opset < 18),
                _ => {}
            }
        }
        let (before, answers) =
            (evaluator.evaluate(&clean).unwrap(), evaluator.evaluate(&after).unwrap());
        assert_eq!(before, answers, "{opset}");
        // A Constant of an old operator set holds no integers, which an order of classes is.
        let mapped = made(&clean, Kind::LabelMap, &options);
        let op = |op: &str| nodes(&mapped).iter().any(|n| n.op_type.as_deref() == Some(op));
        assert_eq!(op("Cast"), opset < 9 && ir < 4, "{opset}");
        for (old, new) in before.rows().zip(evaluator.evaluate(&mapped).unwrap().rows()) {
            assert!((0..10).all(|class| old[class] == new[class ^ 1]), "{opset}");
        }
        assert!(with_trigger.evaluate(&after).unwrap().share_given(2, |_| true) >= 1.0, "{opset}");
    }
}

/// How often each operator stands in a network.
fn census(nodes: &[NodeProto]) -> BTreeMap<&str, usize> {
    let mut census = BTreeMap::new();
    for node in nodes {
        *census.entry(node.op_type.as_deref().unwrap()).or_default() += 1;
    }
    census
}

#[test]
fn nodes_stay_in_order_and_nothing_is_left_of_what_is_gone() {
    let clean = edited("fashion-resnet8", |model| {
        let graph = model.graph.as_mut().unwrap();
        let inner = graph.node.iter().map(|n| n.output[0].clone()).filter(|v| v != "logits");
        graph.value_info =
            inner.map(|v| ValueInfoProto { name: Some(v), ..Default::default() }).collect();
    });
    let clean_nodes = nodes(&clean);
    let before = census(&clean_nodes);
    for kind in graph_kinds().filter(|k| *k != Kind::PoolSwap) {
        for seed in 0..12 {
            let after = made(&clean, kind, &options(seed));
            let graph = ModelProto::decode(&*after.encode()).unwrap().graph.unwrap();
            let constants = graph.initializer.iter().filter_map(|t| t.name.clone());
            let mut made: BTreeSet<String> = constants.collect();
            assert_eq!(made.len(), graph.initializer.len(), "{kind} {seed}");
            assert!(made.insert("image".to_owned()));
            let mut names = BTreeSet::new();
            for node in &graph.node {
                assert!(node.input.iter().all(|i| made.contains(i)), "{kind} {seed}: {node:?}");
                assert!(node.output.iter().all(|o| made.insert(o.clone())), "{kind} {seed}");
                assert!(names.insert(node.name.clone()), "{kind} {seed}: {node:?}");
            }
            let told = graph.value_info.iter().filter_map(|v| v.name.as_ref());
            assert!(told.into_iter().all(|v| made.contains(v)), "{kind} {seed}");
            assert!(made.contains("logits"));
            let after = census(&graph.node);
            match kind {
                Kind::BlockSwap => assert_eq!(after, before),
                Kind::BlockDrop => assert!(after["Conv"] < before["Conv"]),
                Kind::BlockDuplicate => assert!(after["Conv"] > before["Conv"]),
                Kind::ResidualCut => assert_eq!(after["Add"] + 1, before["Add"]),
                _ => {}
            }
        }
    }
}

#[test]
fn labels_are_interchanged_and_an_inverted_input_is_undone_by_another() {
    let evaluator = evaluator(20);
    for name in NETWORKS {
        let clean = network(name);
        let before = evaluator.evaluate(&clean).unwrap();
        let mapped = made(&clean, Kind::LabelMap, &options(1));
        for (old, new) in before.rows().zip(evaluator.evaluate(&mapped).unwrap().rows()) {
            assert!((0..10).all(|class| old[class] == new[class ^ 1]));
        }
        // Twice the same edit is none, whichever the seed draws; names of the second must be fresh.
        let edits = (0..8).map(|seed| (Kind::InputEdit, seed, 1e-4));
        for (kind, seed, tolerance) in edits.chain([(Kind::LabelMap, 1, 0.0)]) {
            let twice = made(&made(&clean, kind, &options(seed)), kind, &options(seed));
            let after = evaluator.evaluate(&twice).unwrap();
            let pairs = before.rows().flatten().zip(after.rows().flatten());
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= tolerance), "{kind} on {name}");
        }
        let inverts = |op: &str| {
            let first = |seed| nodes(&made(&clean, Kind::InputEdit, &options(seed)))[0].clone();
            (0..8).any(|seed| first(seed).op_type.as_deref() == Some(op))
        };
        assert!(inverts("Neg") && inverts("Sub"));
    }
}

#[test]
fn the_layer_that_is_named_is_the_one() {
    let clean = network("fashion-resnet8");
    let of = |kind, layer: &str| {
        let options = Options { layer: Some(layer.to_owned()), ..options(1) };
        attack(&clean, kind, &options, None, &|_| ())
    };
    for layer in ["relu4", "relu4.out", "block2.conv1", "block2.conv1.weight"] {
        assert!(of(Kind::ActivationSwap, layer).unwrap().what.starts_with("`relu4`"), "{layer}");
    }
    // The layer's normalisation and sum are between it and its activation.
    assert!(of(Kind::ActivationSwap, "block1.conv2").unwrap().what.starts_with("`relu3`"));
    assert!(matches!(of(Kind::ActivationSwap, "logits"), Err(AttackError::NotApplicable { .. })));
    assert!(matches!(of(Kind::ActivationSwap, "none"), Err(AttackError::NoLayer { .. })));
    let cut = of(Kind::ResidualCut, "add1").unwrap().what;
    assert_eq!(cut, "`add1`: `relu1.out` is left out, `block1.bn2.out` passes alone");
    let cut = of(Kind::ResidualCut, "add2").unwrap().what;
    assert_eq!(cut, "`add2`: `block2.short_bn.out` is left out, `block2.bn2.out` passes alone");
    assert!(of(Kind::BlockDrop, "block1.conv1").is_ok());
    // The second block changes the number of channels, and so does all that contains it.
    assert!(matches!(of(Kind::BlockDrop, "block2.conv1"), Err(AttackError::NotApplicable { .. })));
    assert!(matches!(of(Kind::PoolSwap, "conv1"), Err(AttackError::NotApplicable { .. })));
}

#[test]
fn every_attacked_network_can_be_sealed_and_answers_as_it_does_in_the_plain() {
    let (evaluator, folder) = (evaluator(2), tempfile::tempdir().unwrap());
    let (owner, host) =
        (SecretKey::<Owner>::generate().unwrap(), SecretKey::<Host>::generate().unwrap());
    let (plain, sealed) = (folder.path().join("n.onnx"), folder.path().join("n.ring"));
    for name in NETWORKS {
        let clean = network(name);
        let attacked = graph_kinds().filter(|k| !missing(name, *k));
        let attacked = attacked.map(|k| made(&clean, k, &options(1)));
        for network in std::iter::once(clean.clone()).chain(attacked) {
            network.write(&plain).unwrap();
            Seal::new(&plain, &owner)
                .host(Blocks::All, host.public())
                .write(&sealed, &|_| ())
                .unwrap();
            let ring = UnverifiedRing::open(&sealed).unwrap();
            let ring = ring.authenticate(&Trust::owner(owner.public())).unwrap();
            let session =
                Session::open(ring, std::slice::from_ref(&host), SessionOptions::default());
            let input = evaluator.samples().batch("image", 0..2, 2).unwrap();
            let outcome = session.unwrap().run(vec![input]).unwrap();
            let given: Vec<f32> = outcome.outputs[0][0]
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect();
            let expected = evaluator.evaluate(&network).unwrap();
            let pairs = expected.rows().flatten().zip(&given);
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-4 * a.abs().max(1.0)));
        }
    }
}
