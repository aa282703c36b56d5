//! Outputs that are made up, or that a kernel computes wrongly.

use deepring_onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use prost::Message as _;

use super::*;

#[test]
fn a_made_up_output_is_detected_however_it_is_made_up() {
    let mut host = host("fashion-resnet8.onnx", Check::Compute);
    let mut values = picture(&host);
    // A change of one element, or of all by little, comes to that times a random coefficient; where that is near 0, of some hundred
    // draws one, it stays below the bound. The next draws detect it.
    const AT_ONCE: u32 = 1;
    const IN_FOUR: u32 = 4;
    type Falsify = fn(&mut Vec<f32>);
    let falsify: &[(u32, Falsify)] = &[
        (AT_ONCE, |v| v.fill(0.0)),
        (AT_ONCE, |v| v.reverse()),
        (AT_ONCE, |v| v.rotate_left(1)),
        (IN_FOUR, |v| v[7] += 0.1),
        (AT_ONCE, |v| v[7] = f32::NAN),
        (AT_ONCE, |v| v[7] = f32::INFINITY),
        (AT_ONCE, |v| v[7] = f32::NEG_INFINITY),
        (AT_ONCE, |v| v.fill(f32::NAN)),
        (AT_ONCE, |v| v.iter_mut().for_each(|v| *v = -*v)),
        (IN_FOUR, |v| v.iter_mut().for_each(|v| *v *= 1.001)),
        // So large that squares overflow: a bound of infinity must pass nothing.
        (AT_ONCE, |v| v.fill(1e30)),
        (AT_ONCE, |v| v.fill(f32::MAX)),
    ];
    for header in Arc::clone(&host.ring).layers() {
        for (draws, falsify) in falsify {
            let finding = (0..*draws).find_map(|_| {
                let met = use_block(
                    &host,
                    header.index,
                    &mut values.clone(),
                    |_| (),
                    |given| {
                        let y = &linear(&host, header.index);
                        let Some(Value::FloatTensor(t)) = given.find_mut(y) else {
                            panic!("floats")
                        };
                        let mut elements = t.to_vec();
                        falsify(&mut elements);
                        let shape = t.shape().to_vec();
                        *t = rten_tensor::Tensor::from_data(&shape, elements);
                    },
                );
                if met.is_ok() {
                    host.load_block(header.index).unwrap();
                }
                met.err()
            });
            let finding = finding.unwrap();
            assert_eq!(finding.block, Some(header.index));
            assert!(finding.reason.contains("sealed parameters"), "{finding}");
            host.load_block(header.index).unwrap();
        }
        use_block(&host, header.index, &mut values, |_| (), |_| ()).unwrap();
    }
}

/// `y = MatMulInteger(quantised x, w)`, and what gives it to the outside as floats.
fn quantised() -> ModelProto {
    let node = |op: &str, inputs: &[&str], outputs: &[&str]| NodeProto {
        op_type: Some(op.into()),
        input: inputs.iter().map(|s| (*s).to_owned()).collect(),
        output: outputs.iter().map(|s| (*s).to_owned()).collect(),
        ..NodeProto::default()
    };
    let value = |name: &str, dims: [i64; 2]| {
        let dim = |n| DimensionProto { dim_value: Some(n), dim_param: None };
        let shape = Some(TensorShapeProto { dim: dims.map(dim).to_vec() });
        let tensor_type = Some(TensorTypeProto { elem_type: Some(1), shape });
        let r#type = Some(TypeProto { tensor_type, ..TypeProto::default() });
        ValueInfoProto { name: Some(name.into()), r#type }
    };
    let mut cast = node("Cast", &["p"], &["y"]);
    let to = AttributeProto { name: Some("to".into()), i: Some(1), ..AttributeProto::default() };
    cast.attribute = vec![AttributeProto { r#type: Some(2), ..to }];
    let w = TensorProto {
        name: Some("w".into()),
        dims: vec![4, 2],
        data_type: Some(3),
        raw_data: Some(vec![5, 251, 17, 2, 255, 60, 9, 33]),
        ..TensorProto::default()
    };
    let graph = GraphProto {
        name: Some("net".into()),
        node: vec![
            node("DynamicQuantizeLinear", &["x"], &["q", "scale", "zero"]),
            node("MatMulInteger", &["q", "w", "zero"], &["p"]),
            cast,
        ],
        initializer: vec![w],
        input: vec![value("x", [3, 4])],
        output: vec![value("y", [3, 2])],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: None, version: Some(17) };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![opset],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// Sums of rows fit whatever the rows are called; what broadcasts differently afterwards is another output.
#[test]
fn sums_of_bytes_in_another_shape_or_order_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, quantised().encode_to_vec()).unwrap();
    let mut host = host_of(&path, Check::Compute);
    let pixels: Vec<f32> = (0..12).map(|i| i as f32 / 3.0 - 1.0).collect();
    let x = rten_tensor::Tensor::from_data(&[3, 4], pixels);
    let mut values = HashMap::from([("x".to_owned(), Value::from(x))]);
    let y = linear(&host, 1);
    type Falsify = fn(Vec<i32>) -> (Vec<usize>, Vec<i32>);
    let falsify: &[Falsify] = &[
        |v| (vec![1, 3, 2], v),
        |v| (vec![3, 1, 2], v),
        |v| (vec![2, 3], v),
        |v| (vec![6], v),
        |v| (vec![2, 2], v[..4].to_vec()),
        |v| (vec![3, 2], v.into_iter().rev().collect()),
        |mut v| {
            (vec![3, 2], {
                v[5] += 1;
                v
            })
        },
    ];
    for (number, falsify) in falsify.iter().enumerate() {
        let made_up = |given: &mut BlockOutputs<Value>| {
            let Some(Value::Int32Tensor(t)) = given.find_mut(&y) else { panic!("integers") };
            let (shape, elements) = falsify(t.to_vec());
            *t = rten_tensor::Tensor::from_data(&shape, elements);
        };
        let met = use_block(&host, 1, &mut values.clone(), |_| (), made_up);
        let finding = met.err().unwrap_or_else(|| panic!("{number} was accepted"));
        assert_eq!(finding.tensor.as_deref(), Some("w"), "{number}");
        host.load_block(1).unwrap();
    }
    use_block(&host, 1, &mut values, |_| (), |_| ()).unwrap();
}

/// One output of many terms: `x · W`.
fn long_sum() -> ModelProto {
    let weights: Vec<u8> =
        (0..8192u32).flat_map(|i| ((f64::from(i) * 0.7).sin() as f32).to_le_bytes()).collect();
    let tensor = |dims: &[i64]| TypeProto {
        tensor_type: Some(TensorTypeProto {
            elem_type: Some(1),
            shape: Some(TensorShapeProto {
                dim: dims
                    .iter()
                    .map(|d| DimensionProto { dim_value: Some(*d), ..DimensionProto::default() })
                    .collect(),
            }),
        }),
        ..TypeProto::default()
    };
    let value = |name: &str, dims: &[i64]| ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(tensor(dims)),
    };
    let node = NodeProto {
        op_type: Some("MatMul".into()),
        input: vec!["x".into(), "w".into()],
        output: vec!["y".into()],
        ..NodeProto::default()
    };
    let weight = TensorProto {
        name: Some("w".into()),
        dims: vec![8192, 1],
        data_type: Some(1),
        raw_data: Some(weights),
        ..TensorProto::default()
    };
    let graph = GraphProto {
        node: vec![node],
        initializer: vec![weight],
        input: vec![value("x", &[1, 8192])],
        output: vec![value("y", &[1, 1])],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// Some order of adding up so many terms could give it, and the engine does not: it is computed anew from a verified copy.
#[test]
fn an_output_within_the_worst_case_of_rounding_is_verified_against_a_second_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, long_sum().encode_to_vec()).unwrap();
    let mut host = host_of(&path, Check::Compute);
    let x: Vec<u8> =
        (0..8192u32).flat_map(|i| ((f64::from(i) * 1.3).cos() as f32).to_le_bytes()).collect();
    let tensor = TensorValue::new("x", deepring::DType::F32, vec![1, 8192], x).unwrap();
    let values = HashMap::from([("x".to_owned(), host.engine.import(&tensor).unwrap())]);
    use_block(&host, 1, &mut values.clone(), |_| (), |_| ()).unwrap();
    // Σ|w·x| is about 3300, the bound of the worst case 6 of it; that of independent errors is below 0.02.
    for shift in [0.1f32, 1.0, 3.0] {
        let falsify = |given: &mut BlockOutputs<Value>| {
            let Some(Value::FloatTensor(t)) = given.find_mut("y") else { panic!("floats") };
            *t = t.map(|v| v + shift);
        };
        let found = use_block(&host, 1, &mut values.clone(), |_| (), falsify).unwrap_err();
        assert_eq!(found.tensor.as_deref(), Some("w"), "{shift}: {found}");
        host.load_block(1).unwrap();
    }
}
