//! Graphs that the networks of the zoo do not have.

use std::sync::Arc;

use deepring_onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};

use super::flow::{Flow, inputs, label, op};
use super::surgery::Surgery;
use crate::network::made::{floats, int, ints, made, node, with};
use crate::{
    AttackError, Attacked, Differences, Evaluator, Kind, Network, Options, Samples, apply_trigger,
    attack,
};

fn on(network: &Network, kind: Kind, options: &Options) -> Result<Attacked, AttackError> {
    attack(network, kind, options, None, &|_| ())
}

fn seeded(seed: u64) -> Options {
    Options { seed, ..Options::default() }
}

fn named(layer: &str) -> Options {
    Options { layer: Some(layer.to_owned()), ..Options::default() }
}

fn reason(made: Result<Attacked, AttackError>) -> String {
    match made {
        Err(AttackError::NotApplicable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// Operator, inputs and outputs of each node.
fn told(network: &Network) -> Vec<String> {
    let nodes = network.nodes().iter();
    nodes.map(|n| format!("{}({}) {}", op(n), n.input.join(" "), n.output.join(" "))).collect()
}

fn square(name: &str, by: f32) -> TensorProto {
    floats(name, &[2, 2], &[by, 0.5, -0.25, by])
}

/// Colour images of 4x4 into five classes, which stay in a tensor of four dimensions.
fn colours() -> Network {
    let values: Vec<f32> = (0..15).map(|i| (i * 7 % 11) as f32 / 5.0 - 1.0).collect();
    let nodes = vec![
        node("Conv", &["x", "w"], "conv"),
        node("Relu", &["conv"], "relu"),
        node("GlobalAveragePool", &["relu"], "y"),
    ];
    made(&[0, 3, 4, 4], nodes, vec![floats("w", &[5, 3, 1, 1], &values)])
}

fn images(count: usize) -> Evaluator {
    let values = (0..count * 48).map(|i| (i * 13 % 29) as f32 / 28.0).collect();
    Evaluator::new(Arc::new(Samples::new(vec![3, 4, 4], values, vec![0; count]).unwrap()), 1)
}

fn rows(evaluator: &Evaluator, network: &Network) -> Vec<Vec<f32>> {
    evaluator.evaluate(network).unwrap().rows().map(<[f32]>::to_vec).collect()
}

#[test]
fn classes_are_interchanged_along_their_own_axis_and_the_odd_one_stays() {
    let (clean, evaluator) = (colours(), images(6));
    let mapped = on(&clean, Kind::LabelMap, &seeded(1)).unwrap().network;
    for (old, new) in rows(&evaluator, &clean).iter().zip(rows(&evaluator, &mapped)) {
        assert_eq!(new, [old[1], old[0], old[3], old[2], old[4]]);
    }
}

#[test]
fn colours_are_mirrored_and_nothing_else() {
    let (clean, evaluator) = (colours(), images(6));
    let made = on(&clean, Kind::InputEdit, &seeded(1)).unwrap();
    assert_eq!(made.what, "mirrors the 3 channels of `x`");
    let planes =
        |image: &[f32]| -> Vec<f32> { image.chunks(16).rev().flatten().copied().collect() };
    let values = evaluator.samples().values(0..6).chunks(48).flat_map(planes).collect();
    let mirrored = Samples::new(vec![3, 4, 4], values, vec![0; 6]).unwrap();
    let mirrored = Evaluator::new(Arc::new(mirrored), 1);
    assert_eq!(rows(&evaluator, &made.network), rows(&mirrored, &clean));
    assert_ne!(rows(&evaluator, &made.network), rows(&evaluator, &clean));
}

#[test]
fn a_trigger_works_in_colour_and_on_scores_of_four_dimensions() {
    let (clean, evaluator) = (colours(), images(6));
    let stamped = Evaluator::new(Arc::new(apply_trigger(evaluator.samples())), 1);
    let options = Options { target: Some(3), ..seeded(1) };
    let after = attack(&clean, Kind::Trigger, &options, Some(&evaluator), &|_| ()).unwrap().network;
    assert_eq!(rows(&evaluator, &after), rows(&evaluator, &clean));
    for row in rows(&stamped, &after) {
        assert_eq!(row, [0.0, 0.0, 0.0, 1e3, 0.0]);
    }
    let options = Options { target: Some(5), ..seeded(1) };
    assert!(matches!(
        on(&clean, Kind::Trigger, &options),
        Err(AttackError::Option { option: "target", found, .. }) if found == "5"
    ));
}

#[test]
fn what_is_no_image_and_no_score_for_each_class_is_refused() {
    let dense = |input: &[i64], weight: &[i64]| {
        let size = weight.iter().product::<i64>() as usize;
        made(
            input,
            vec![node("MatMul", &["x", "w"], "y")],
            vec![floats("w", weight, &vec![1.0; size])],
        )
    };
    let flat = dense(&[0, 2], &[2, 3]);
    for kind in [Kind::InputEdit, Kind::Trigger] {
        assert!(reason(on(&flat, kind, &seeded(1))).contains("is no f32 image"), "{kind}");
    }
    let one = dense(&[0, 2], &[2, 1]);
    let many = dense(&[0, 3, 2], &[2, 3]);
    for network in [&one, &many] {
        let said = reason(on(network, Kind::LabelMap, &seeded(1)));
        assert!(said.contains("is not one score for each class"), "{said}");
    }
    let passed_on = {
        let mut network = flat.clone();
        network.graph_mut().output[0].name = Some("x".to_owned());
        network
    };
    assert_eq!(reason(on(&passed_on, Kind::LabelMap, &seeded(1))), "no node makes the output `x`");
}

#[test]
fn an_open_size_of_an_image_is_that_of_the_samples() {
    let mut open = colours();
    let input = open.graph_mut().input[0].r#type.as_mut().unwrap();
    for dim in &mut input.tensor_type.as_mut().unwrap().shape.as_mut().unwrap().dim[2..] {
        (dim.dim_value, dim.dim_param) = (None, Some("side".to_owned()));
    }
    assert!(reason(on(&open, Kind::Trigger, &seeded(1))).contains("of known size"));
    let evaluator = images(4);
    let made = attack(&open, Kind::Trigger, &seeded(1), Some(&evaluator), &|_| ()).unwrap();
    assert!(made.what.starts_with("a checkerboard of 4x4 in the lower right corner of `x`"));
}

/// x -> a -> b -> c, every value of one shape.
fn chain() -> Network {
    let nodes = vec![
        node("MatMul", &["x", "wa"], "a"),
        node("MatMul", &["a", "wb"], "b"),
        node("Relu", &["b"], "r"),
        node("MatMul", &["r", "wc"], "y"),
    ];
    made(&[0, 2], nodes, vec![square("wa", 1.0), square("wb", 2.0), square("wc", 3.0)])
}

#[test]
fn a_segment_is_dropped_and_its_output_keeps_its_name_where_the_network_gives_it() {
    let clean = chain();
    let whats: std::collections::BTreeSet<String> = (0..80)
        .map(|seed| on(&clean, Kind::BlockDrop, &seeded(seed)).unwrap())
        .map(|made| {
            let graph = made.network.graph();
            let last = graph.node.last().unwrap();
            assert_eq!(last.output, ["y"], "{}", made.what);
            made.what
        })
        .collect();
    // Every stretch with a product in it: between any two of the five values but those around the Relu alone.
    assert_eq!(whats.len(), 9, "{whats:?}");
    assert!(!whats.contains("dropped the node from `b` to `r`"));
    let last = on(&clean, Kind::BlockDrop, &named("y")).unwrap();
    assert!(told(&last.network).last().unwrap().starts_with("Identity("), "{}", last.what);
}

#[test]
fn a_segment_that_runs_twice_gives_its_first_result_to_its_second_run() {
    let mut found = false;
    for seed in 0..80 {
        let made = on(&chain(), Kind::BlockDuplicate, &seeded(seed)).unwrap();
        if made.what == "runs twice the 2 nodes from `a` to `r`" {
            found = true;
            assert_eq!(
                told(&made.network),
                [
                    "MatMul(x wa) a",
                    "MatMul(a wb) b",
                    "Relu(b) r.first",
                    "MatMul(r.first wb) b.again_1",
                    "Relu(b.again_1) r",
                    "MatMul(r wc) y",
                ]
            );
        }
    }
    assert!(found);
}

#[test]
fn segments_that_follow_each_other_change_places() {
    let mut found = false;
    for seed in 0..80 {
        let made = on(&chain(), Kind::BlockSwap, &seeded(seed)).unwrap();
        if made.what == "interchanged the node from `x` to `a` and the 2 nodes from `a` to `r`" {
            found = true;
            assert_eq!(
                told(&made.network),
                ["MatMul(x wb) b", "Relu(b) a.swapped", "MatMul(a.swapped wa) r", "MatMul(r wc) y",]
            );
        }
    }
    assert!(found);
}

#[test]
fn a_segment_whose_inside_is_used_elsewhere_is_none() {
    // `a` is used beside the stretch from `x` to `b`, so that only single products and the whole remain.
    let nodes = vec![
        node("MatMul", &["x", "wa"], "a"),
        node("MatMul", &["a", "wb"], "b"),
        node("Add", &["a", "b"], "y"),
    ];
    let network = made(&[0, 2], nodes, vec![square("wa", 1.0), square("wb", 2.0)]);
    let whats: std::collections::BTreeSet<String> =
        (0..60).map(|seed| on(&network, Kind::BlockDrop, &seeded(seed)).unwrap().what).collect();
    let due = [
        "dropped the 2 nodes from `a` to `y`",
        "dropped the 3 nodes from `x` to `y`",
        "dropped the node from `a` to `b`",
        "dropped the node from `x` to `a`",
    ];
    assert_eq!(whats.into_iter().collect::<Vec<_>>(), due);
    // Of what an output shows nothing can be taken away.
    let mut shown = chain();
    let value = |name: &str| ValueInfoProto { name: Some(name.to_owned()), ..shown_type() };
    shown.graph_mut().output.push(value("b"));
    for seed in 0..40 {
        let what = on(&shown, Kind::BlockDrop, &seeded(seed)).unwrap().what;
        let (from, to) = (what.find("from").unwrap(), what.len());
        let ends = &what[from..to];
        assert!(
            !matches!(ends, "from `a` to `r`" | "from `x` to `y`" | "from `a` to `y`"),
            "{what}"
        );
    }
}

fn shown_type() -> ValueInfoProto {
    chain().graph().output[0].clone()
}

#[test]
fn the_shorter_way_into_a_sum_is_the_shortcut() {
    let sum = |first: &str, second: &str| {
        let nodes = vec![
            node("MatMul", &["x", "wa"], "a"),
            node("MatMul", &["a", "wb"], "b"),
            node("Relu", &["b"], "r"),
            node("MatMul", &["a", "wc"], "c"),
            node("Add", &[first, second], "y"),
        ];
        let tensors =
            vec![square("wa", 1.0), square("wb", 2.0), square("wc", 3.0), square("k", 1.0)];
        made(&[2, 2], nodes, tensors)
    };
    for (left, right, cut, kept) in
        [("r", "c", "c", "r"), ("c", "r", "c", "r"), ("x", "r", "x", "r"), ("r", "a", "a", "r")]
    {
        let made = on(&sum(left, right), Kind::ResidualCut, &seeded(1)).unwrap();
        assert_eq!(made.what, format!("`y`: `{cut}` is left out, `{kept}` passes alone"));
        assert_eq!(told(&made.network).last().unwrap(), &format!("Identity({kept}) y"));
    }
    // Two that are one, and a constant, are no shortcut.
    for (left, right) in [("r", "r"), ("r", "k"), ("k", "r")] {
        let said = reason(on(&sum(left, right), Kind::ResidualCut, &seeded(1)));
        assert_eq!(said, "there is no sum of two computed values of one shape");
    }
}

fn pooled(attributes: &[(&str, AttributeProto)], opset: i64) -> Network {
    let pool = attributes
        .iter()
        .fold(node("MaxPool", &["x"], "y"), |node, (name, value)| with(node, name, value.clone()));
    let mut network = made(&[0, 1, 4, 4], vec![pool], vec![]);
    network.set_opset(opset);
    network
}

#[test]
fn a_pool_keeps_its_windows_and_loses_what_a_mean_does_not_know() {
    let (kernel, order) = (("kernel_shape", ints(&[2, 2])), ("storage_order", int(0)));
    let flat = ("dilations", ints(&[1, 1]));
    let clean = pooled(&[kernel.clone(), order, flat], 17);
    let after = on(&clean, Kind::PoolSwap, &seeded(1)).unwrap();
    assert_eq!(after.what, "`y`: MaxPool became AveragePool");
    let pool = &after.network.nodes()[0];
    let names: Vec<&str> = pool.attribute.iter().filter_map(|a| a.name.as_deref()).collect();
    assert_eq!((op(pool), names), ("AveragePool", vec!["kernel_shape", "count_include_pad"]));
    let dilated = [kernel, ("dilations", ints(&[1, 2]))];
    assert!(reason(on(&pooled(&dilated, 18), Kind::PoolSwap, &seeded(1))).contains("no MaxPool"));
    let after = on(&pooled(&dilated, 19), Kind::PoolSwap, &seeded(1)).unwrap().network;
    let kept = &after.nodes()[0].attribute;
    assert!(kept.iter().any(|a| a.name.as_deref() == Some("dilations") && a.ints == [1, 2]));
    // What tells where its maxima are has two outputs, and a mean has one.
    let mut two = pooled(&dilated[..1], 17);
    two.graph_mut().node[0].output.push("places".to_owned());
    assert!(matches!(on(&two, Kind::PoolSwap, &seeded(1)), Err(AttackError::NotApplicable { .. })));
}

#[test]
fn an_activation_becomes_another_and_its_bounds_go() {
    let activated = |activation: NodeProto| {
        let nodes = vec![node("MatMul", &["x", "w"], "a"), activation, node("Relu", &["f"], "y")];
        made(&[0, 2], nodes, vec![square("w", 1.0), floats("low", &[], &[0.0])])
    };
    let clip = activated(node("Clip", &["a", "low"], "f"));
    for seed in 0..12 {
        let options = Options { seed, ..named("f") };
        let after = on(&clip, Kind::ActivationSwap, &options).unwrap().network;
        assert_eq!(told(&after)[1], "Identity(a) f");
        assert!(after.nodes()[1].attribute.is_empty());
    }
    for (before, others) in [
        ("Relu", ["Identity", "LeakyRelu", "Tanh"].as_slice()),
        ("Tanh", &["Identity", "LeakyRelu"]),
        ("LeakyRelu", &["Identity", "Tanh"]),
    ] {
        let network =
            activated(with(node(before, &["a"], "f"), "alpha", crate::network::made::float(0.1)));
        let became: std::collections::BTreeSet<String> = (0..40)
            .map(|seed| {
                on(&network, Kind::ActivationSwap, &Options { seed, ..named("f") }).unwrap()
            })
            .map(|made| op(&made.network.nodes()[1]).to_owned())
            .collect();
        assert_eq!(became.iter().map(String::as_str).collect::<Vec<_>>(), others, "{before}");
    }
    // The layer's output meets `f` first.
    let relu = activated(node("Relu", &["a"], "f"));
    assert!(on(&relu, Kind::ActivationSwap, &named("w")).unwrap().what.starts_with("`f`"));
    // One of another domain only has the name.
    let mut foreign = relu;
    foreign.graph_mut().node[1].domain = Some("com.example".to_owned());
    let said = on(&foreign, Kind::ActivationSwap, &named("w"));
    assert_eq!(reason(said), "no activation is there");
}

/// A node with a graph of its own that uses `outer`, and makes a value of this name.
fn holding(outer: &str, makes: &str, output: &str) -> NodeProto {
    let inner = GraphProto {
        node: vec![node("Neg", &[outer], makes)],
        output: vec![ValueInfoProto { name: Some(makes.to_owned()), ..ValueInfoProto::default() }],
        ..GraphProto::default()
    };
    let branch = AttributeProto { g: Some(Box::new(inner)), ..AttributeProto::default() };
    with(node("If", &["condition"], output), "then_branch", branch)
}

#[test]
fn a_graph_inside_a_node_uses_what_is_around_it() {
    let nodes = vec![
        node("Relu", &["x"], "a"),
        node("Relu", &["k"], "constant"),
        holding("a", "inner", "b"),
        node("Relu", &["b"], "y"),
    ];
    let network = made(&[0, 2], nodes, vec![square("k", 1.0)]);
    let flow = Flow::of(&network);
    assert_eq!(flow.consumers("a").collect::<Vec<_>>(), [2]);
    assert_eq!((flow.producer("b"), flow.producer("x"), flow.producer("k")), (Some(2), None, None));
    let live = ["x", "a", "b", "y"].map(|v| flow.is_live(v));
    assert_eq!((live, flow.is_live("constant"), flow.is_live("k")), ([true; 4], false, false));
    assert_eq!(flow.live_inputs(2), ["a"]);
    assert!(flow.is_output("y") && !flow.is_output("b"));
    let mut surgery = Surgery::on(&network);
    // Neither a name outside nor one inside is taken twice.
    assert_eq!(surgery.fresh("a"), "a_1");
    assert_eq!(
        (surgery.fresh("inner"), surgery.fresh("inner")),
        ("inner_1".into(), "inner_2".into())
    );
    surgery.rename("a", "z");
    let after = surgery.finish();
    let inside = after.nodes()[2].attribute[0].g.as_ref().unwrap();
    assert_eq!(
        (&after.nodes()[0].output, &inside.node[0].input),
        (&vec!["z".into()], &vec!["z".into()])
    );
}

#[test]
fn a_constant_that_is_listed_as_an_input_is_none() {
    let mut network = chain();
    let listed = ValueInfoProto { name: Some("wa".to_owned()), ..ValueInfoProto::default() };
    network.graph_mut().input.push(listed);
    let names: Vec<_> = inputs(&network).filter_map(|v| v.name.as_deref()).collect();
    assert_eq!(names, ["x"]);
    assert!(!Flow::of(&network).is_live("wa"));
}

#[test]
fn a_node_without_a_name_is_called_by_its_output() {
    let unnamed = |name: Option<&str>| NodeProto {
        name: name.map(str::to_owned),
        ..node("Relu", &["x"], "out")
    };
    assert_eq!(label(&unnamed(None)), "out");
    assert_eq!(label(&unnamed(Some(""))), "out");
    assert_eq!(label(&unnamed(Some("own"))), "own");
    let foreign = NodeProto { domain: Some("com.example".to_owned()), ..unnamed(None) };
    let ours = NodeProto { domain: Some("ai.onnx".to_owned()), ..unnamed(None) };
    assert_eq!((op(&foreign), op(&ours)), ("", "Relu"));
}

#[test]
fn an_edit_leaves_no_description_of_a_value_that_is_gone() {
    let mut network = chain();
    let value =
        |name: &str| ValueInfoProto { name: Some(name.to_owned()), ..ValueInfoProto::default() };
    network.graph_mut().value_info = ["a", "b", "wa", "x"].map(value).into();
    let mut surgery = Surgery::on(&network);
    surgery.nodes().remove(1);
    let left: Vec<_> =
        surgery.finish().graph().value_info.iter().map(|v| v.name.clone().unwrap()).collect();
    assert_eq!(left, ["a", "wa", "x"]);
}

/// That an edit of the graph is seen, and no parameter changes.
#[test]
fn every_edit_of_a_made_graph_is_seen_by_who_compares() {
    for (network, kinds) in [
        (
            chain(),
            &[
                Kind::BlockDrop,
                Kind::BlockDuplicate,
                Kind::BlockSwap,
                Kind::ActivationSwap,
                Kind::LabelMap,
            ][..],
        ),
        (colours(), &[Kind::InputEdit, Kind::Trigger, Kind::LabelMap, Kind::ActivationSwap]),
    ] {
        for kind in kinds {
            for seed in 0..6 {
                let made = on(&network, *kind, &seeded(seed)).unwrap();
                let found = Differences::between(&network, &made.network);
                assert!(found.tensors.is_empty() && !found.graph.is_empty(), "{kind}");
                assert_eq!(on(&network, *kind, &seeded(seed)).unwrap(), made, "{kind}");
            }
        }
    }
}
