//! Attacks on weights of half precision behind a `Cast`.

use deepring::DType;
use deepring_attack::network::Element;
use deepring_attack::{AttackError, Differences, Kind, Network, Options, attack};
use deepring_onnx::proto::{AttributeProto, ModelProto, NodeProto, TensorProto};
use prost::Message as _;

use crate::{evaluator, made, options};

/// A tracked network whose linear layers take half-precision weights that a `Cast` widens.
fn network(dtype: DType) -> Network {
    let plain = crate::network("fashion-lenet5");
    let mut proto = ModelProto::decode(&plain.encode()[..]).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    let mut nodes = Vec::new();
    for layer in plain.layers() {
        let values = plain.floats(&layer.weight).unwrap();
        let half = format!("{}.half", layer.weight);
        graph.initializer.retain(|t| t.name.as_deref() != Some(&layer.weight));
        let near = |v: &f32| Element::nearest_half(dtype, f64::from(*v)).unwrap();
        graph.initializer.push(TensorProto {
            name: Some(half.clone()),
            data_type: Some(dtype.onnx()),
            dims: layer.dims.iter().map(|d| *d as i64).collect(),
            raw_data: Some(values.iter().flat_map(near).collect()),
            ..TensorProto::default()
        });
        let to = AttributeProto {
            name: Some("to".to_owned()),
            i: Some(1),
            r#type: Some(2),
            ..AttributeProto::default()
        };
        nodes.push(NodeProto {
            input: vec![half],
            output: vec![layer.weight.clone()],
            name: Some(format!("{}.widened", layer.weight)),
            op_type: Some("Cast".to_owned()),
            attribute: vec![to],
            ..NodeProto::default()
        });
    }
    graph.node.splice(0..0, nodes);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), proto.encode_to_vec()).unwrap();
    Network::read(file.path()).unwrap()
}

#[test]
fn half_precision_weights_are_attacked_in_their_own_bits() {
    for dtype in [DType::F16, DType::Bf16] {
        let before = network(dtype);
        assert_eq!(before.layers().len(), crate::network("fashion-lenet5").layers().len());
        let evaluator = evaluator(1);
        for kind in [
            Kind::NoiseAll,
            Kind::NoiseDense,
            Kind::NoiseLayer,
            Kind::NoiseFilter,
            Kind::Reinit,
            Kind::Zero,
            Kind::LabelSwap,
            Kind::PermuteUnpaired,
            Kind::SignRandom,
            Kind::SignDnl,
            Kind::ExponentSample,
        ] {
            let attacked = made(&before, kind, 3, &evaluator).unwrap_or_else(|| panic!("{kind}"));
            let changed = Differences::between(&before, &attacked.network).tensors;
            let halves = changed.iter().filter(|t| t.tensor.ends_with(".half")).count();
            assert!(halves > 0, "{kind}");
            let after = changed.iter().flat_map(|t| &t.elements).map(|e| e.after.value());
            // A flipped exponent may give an infinity; a number that is stored does not.
            assert!(kind == Kind::ExponentSample || after.clone().all(f64::is_finite), "{kind}");
            let bits: Vec<u64> = changed
                .iter()
                .flat_map(|t| &t.elements)
                .map(|e| e.before.bits() ^ e.after.bits())
                .collect();
            match kind {
                Kind::SignRandom | Kind::SignDnl => {
                    assert_eq!(bits, [1 << 15; 10], "{kind}");
                }
                Kind::ExponentSample => assert_eq!(bits, [1 << 14]),
                _ => {}
            }
        }
    }
}

#[test]
fn a_bit_that_the_weights_do_not_have_is_refused() {
    let before = network(DType::F16);
    let options = Options { bit: Some(16), ..options(1) };
    let refused = attack(&before, Kind::ExponentSample, &options, None, &|_| ()).unwrap_err();
    assert!(matches!(refused, AttackError::Option { option: "bit", .. }), "{refused}");
    let options = Options { bit: Some(3), ..options };
    let attacked = attack(&before, Kind::ExponentSample, &options, None, &|_| ()).unwrap();
    let changed = Differences::between(&before, &attacked.network).tensors;
    let element = &changed[0].elements[0];
    assert_eq!(element.before.bits() ^ element.after.bits(), 1 << 3);
}
