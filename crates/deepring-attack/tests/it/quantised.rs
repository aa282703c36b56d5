//! Attacks on 8-bit weights behind `DequantizeLinear`.

use deepring_attack::network::LinearOp;
use deepring_attack::{AttackError, Differences, Kind, Network, Options, attack};
use deepring_onnx::proto::{AttributeProto, ModelProto, NodeProto, TensorProto};
use prost::Message as _;

use crate::{evaluator, made, options};

/// A tracked network with i8 weights, symmetric, a scale for each filter or one a tensor.
pub(crate) fn network(name: &str, by_filter: bool) -> Network {
    let plain = crate::network(name);
    let mut proto = ModelProto::decode(&plain.encode()[..]).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    let mut nodes = Vec::new();
    for layer in plain.layers() {
        let values = plain.floats(&layer.weight).unwrap();
        let groups = if by_filter { layer.outputs() } else { 1 };
        let group = |index| if by_filter { layer.output_of(index) } else { 0 };
        let mut scales = vec![0f32; groups];
        for (index, value) in values.iter().enumerate() {
            scales[group(index)] = scales[group(index)].max(value.abs() / 127.0);
        }
        let stored: Vec<u8> = (values.iter().enumerate())
            .map(|(index, v)| (v / scales[group(index)]).round() as i8 as u8)
            .collect();
        let [q, s, z] = ["q", "s", "z"].map(|end| format!("{}.{end}", layer.weight));
        graph.initializer.retain(|t| t.name.as_deref() != Some(&layer.weight));
        let dims: Vec<i64> = layer.dims.iter().map(|d| *d as i64).collect();
        let along = if by_filter { vec![groups as i64] } else { vec![] };
        graph.initializer.push(tensor(&q, 3, dims, stored));
        let bytes = scales.iter().flat_map(|v| v.to_le_bytes()).collect();
        graph.initializer.push(tensor(&s, 1, along.clone(), bytes));
        graph.initializer.push(tensor(&z, 3, along, vec![0; groups]));
        let axis = AttributeProto {
            name: Some("axis".to_owned()),
            i: Some(layer.out_axis as i64),
            r#type: Some(2),
            ..AttributeProto::default()
        };
        nodes.push(NodeProto {
            input: vec![q, s, z],
            output: vec![layer.weight.clone()],
            name: Some(format!("{}.dequantised", layer.weight)),
            op_type: Some("DequantizeLinear".to_owned()),
            attribute: if by_filter { vec![axis] } else { vec![] },
            ..NodeProto::default()
        });
    }
    graph.node.splice(0..0, nodes);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), proto.encode_to_vec()).unwrap();
    Network::read(file.path()).unwrap()
}

fn tensor(name: &str, data_type: i32, dims: Vec<i64>, raw: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(data_type),
        dims,
        raw_data: Some(raw),
        ..TensorProto::default()
    }
}

#[test]
fn eight_bit_weights_are_attacked_in_their_steps() {
    let evaluator = evaluator(40);
    for by_filter in [false, true] {
        let before = network("fashion-resnet8", by_filter);
        assert!(before.layers().iter().all(|l| l.scale.is_some() && l.op != LinearOp::MatMul));
        assert!(evaluator.evaluate(&before).unwrap().accuracy() > 0.8);
        let found = |kind| {
            let attacked = made(&before, kind, 2, &evaluator).unwrap();
            evaluator.evaluate(&attacked.network).unwrap();
            Differences::between(&before, &attacked.network)
        };
        for kind in [Kind::NoiseAll, Kind::NoiseFilter, Kind::Reinit, Kind::SignDnl] {
            let tensors = found(kind).tensors;
            assert!(tensors.iter().all(|t| t.tensor.ends_with(".q")), "{kind}");
            let after = tensors.iter().flat_map(|t| &t.elements).map(|e| e.after.value());
            assert!(after.clone().count() > 0 && after.clone().all(|v| v.abs() <= 127.0));
        }
        for kind in [Kind::SignRandom, Kind::SignDnl] {
            let found = found(kind);
            assert_eq!(found.values(), 10);
            let elements = found.tensors.iter().flat_map(|t| &t.elements);
            assert!(elements.clone().all(|e| e.before.value() == -e.after.value()));
        }
        assert_eq!(found(Kind::Int8Random).bits(), 10);
        assert_eq!(found(Kind::ScaleEdit).values(), 1);
        for kind in [Kind::ExponentSample, Kind::ExponentWorst] {
            let made = attack(&before, kind, &options(1), Some(&evaluator), &|_| ());
            assert!(matches!(made, Err(AttackError::NotApplicable { .. })), "{kind}");
        }
    }
}

#[test]
fn scales_go_with_the_filters_that_they_scale() {
    let evaluator = evaluator(40);
    for by_filter in [false, true] {
        let before = network("fashion-lenet5", by_filter);
        let clean = evaluator.evaluate(&before).unwrap();
        for layer in ["conv1", "conv2", "fc1", "fc2"] {
            let options = Options { layer: Some(layer.to_owned()), ..options(1) };
            let attacked = attack(&before, Kind::PermutePaired, &options, None, &|_| ()).unwrap();
            let answers = evaluator.evaluate(&attacked.network).unwrap();
            let pairs = clean.rows().flatten().zip(answers.rows().flatten());
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-4), "{layer}");
        }
        let swapped = attack(&before, Kind::LabelSwap, &options(1), None, &|_| ()).unwrap();
        let swapped = evaluator.evaluate(&swapped.network).unwrap();
        for (old, new) in clean.rows().zip(swapped.rows()) {
            assert!((0..10).all(|class| (old[class] - new[class ^ 1]).abs() < 1e-4));
        }
    }
}

#[test]
fn every_bit_can_be_flipped_and_no_more() {
    let before = network("fashion-lenet5", false);
    let bits = 8 * before.layers().iter().map(|l| l.len()).sum::<usize>();
    let with = |flips| Options { flips: Some(flips), ..options(1) };
    let after = attack(&before, Kind::Int8Random, &with(bits), None, &|_| ()).unwrap().network;
    assert_eq!(Differences::between(&before, &after).bits(), bits as u64);
    let made = attack(&before, Kind::Int8Random, &with(bits + 1), None, &|_| ());
    assert!(matches!(made, Err(AttackError::Option { option: "flips", .. })));
}
