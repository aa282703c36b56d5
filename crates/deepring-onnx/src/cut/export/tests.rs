use deepring::{DType, Dim};

use super::super::build::PARAMS_FILE;
use super::*;
use crate::proto::{NodeProto, OperatorSetIdProto};
use crate::{canonicalise, read_onnx};

fn spec(name: &str) -> TensorSpec {
    TensorSpec { name: name.into(), dtype: DType::F32, dims: Some(vec![Dim::Fixed(20)]) }
}

/// `to = from * name`, with a parameter at 64.
fn block(name: &str, from: &str, to: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
    };
    let tensor = TensorProto {
        name: Some(name.into()),
        dims: vec![20],
        data_type: Some(1),
        data_location: Some(EXTERNAL),
        external_data: vec![
            entry("location", PARAMS_FILE),
            entry("offset", "64"),
            entry("length", "80"),
        ],
        ..TensorProto::default()
    };
    let graph = GraphProto {
        node: vec![NodeProto::new("Mul", name, &[from, name], &[to])],
        initializer: vec![tensor],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: None, version: Some(17) };
    envelope(17, vec![opset], graph).encode_to_vec()
}

fn exported(limit: u64) -> (tempfile::TempDir, Vec<u8>) {
    let graphs = [block("a", "x", "h"), block("b", "h", "y")];
    let regions: Vec<Vec<u8>> =
        (0..2u8).map(|i| (0..144).map(|b| b ^ (i * 0x55)).collect()).collect();
    let blocks: Vec<JoinBlock<'_>> = graphs
        .iter()
        .zip(&regions)
        .map(|(graph, region)| JoinBlock { graph, region, shared: region.len() })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.onnx");
    export_with(begin_export(&path).unwrap(), "joined", &blocks, &[spec("x")], &[spec("y")], limit)
        .unwrap();
    let whole = canonicalise(read_onnx(&path).unwrap()).unwrap().whole().unwrap();
    let mut region = vec![0; whole.params_len() as usize];
    whole.read_params(&mut region).unwrap();
    assert_eq!(region[..80], regions[0][64..]);
    assert_eq!(region[128..208], regions[1][64..]);
    (folder, region)
}

#[test]
fn embedded_and_beside_are_the_same() {
    let (folder, embedded) = exported(160);
    assert!(!folder.path().join("out.onnx.data").exists());
    let (folder, beside) = exported(159);
    assert_eq!(folder.path().join("out.onnx.data").metadata().unwrap().len(), 208);
    assert_eq!(embedded, beside);
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2, "nothing temporary stays");
}

#[test]
fn what_is_no_plain_file_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = [JoinBlock { graph: &block("a", "x", "y"), region: &[0; 144], shared: 144 }];
    let error = export(folder.path(), "n", &blocks, &[spec("x")], &[spec("y")]).unwrap_err();
    assert!(matches!(error, ExportError::Io { .. }));
}
