use std::io::Write;

use prost::Message;

use super::*;
use crate::proto::{GraphProto, ModelProto, TensorProto};

fn pass(bytes: &[u8]) -> Result<(Vec<u8>, Vec<Payload>), ImportError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    read(&SharedFile::open(file.path()).unwrap())
}

fn model(tensor: TensorProto) -> ModelProto {
    let graph = GraphProto { initializer: vec![tensor], ..GraphProto::default() };
    ModelProto { ir_version: Some(8), graph: Some(graph), ..ModelProto::default() }
}

#[test]
fn large_elements_stay_in_the_file_and_small_ones_do_not() {
    for (len, stays) in [(4096, false), (4097, true), (1 << 20, true)] {
        let raw: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let bytes = model(TensorProto { raw_data: Some(raw.clone()), ..TensorProto::default() })
            .encode_to_vec();
        let (skeleton, payloads) = pass(&bytes).unwrap();
        let tensor = &ModelProto::decode(&*skeleton).unwrap().graph.unwrap().initializer[0];
        if stays {
            assert!(skeleton.len() < 32 && tensor.raw_data.is_none());
            let Payload { offset, len, form } = payloads[tensor.payload.unwrap() as usize];
            assert_eq!(form, Form::Raw);
            assert_eq!(&bytes[offset as usize..(offset + len) as usize], &raw[..]);
        } else {
            assert_eq!((tensor.raw_data.as_deref(), payloads.len()), (Some(&raw[..]), 0));
        }
    }
}

/// A file that contains our own mark must not choose which elements a tensor gets.
#[test]
fn a_mark_in_the_file_is_dropped() {
    let bytes = model(TensorProto { payload: Some(0), ..TensorProto::default() }).encode_to_vec();
    let (skeleton, _) = pass(&bytes).unwrap();
    let tensor = &ModelProto::decode(&*skeleton).unwrap().graph.unwrap().initializer[0];
    assert_eq!(tensor.payload, None);
}

#[test]
fn elements_in_two_fields_are_refused() {
    let tensor = TensorProto {
        raw_data: Some(vec![0; 5000]),
        float_data: vec![0.0; 5000],
        ..TensorProto::default()
    };
    assert!(matches!(pass(&model(tensor).encode_to_vec()), Err(ImportError::Malformed { .. })));
}

#[test]
fn fields_without_end_are_bounded() {
    // Two bytes each that would become a node of some hundred.
    let graph: Vec<u8> = [0x0a, 0x00].repeat(3 << 20);
    let mut bytes = vec![0x3a];
    encode_varint(graph.len() as u64, &mut bytes);
    bytes.extend(graph);
    assert!(matches!(pass(&bytes), Err(ImportError::TooLarge { .. })));
}
