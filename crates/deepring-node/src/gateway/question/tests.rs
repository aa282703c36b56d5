use axum::http::HeaderValue;
use deepring::DType;
use deepring_infer::inputs::write_npy;

use super::*;

const NONCE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn spec(name: &str) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype: DType::F32, dims: None }
}

fn takes(inputs: &[&str]) -> Takes {
    let inputs = inputs.iter().map(|name| spec(name)).collect();
    Takes { inputs, recipe: "color=gray,scale=1/255".parse().ok(), limit: 1 << 10 }
}

fn headers(nonce: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(nonce) = nonce {
        headers.insert(NONCE_HEADER, HeaderValue::from_str(nonce).unwrap());
    }
    headers
}

fn json_of(takes: &Takes, text: &str) -> Result<AskedBatch, Problem> {
    takes.decode(BodyKind::Json, &HeaderMap::new(), text.as_bytes())
}

fn tensor(name: &str, data: &str) -> String {
    format!(r#"{{"name": "{name}", "dtype": "f32", "dims": [1], "data": [{data}]}}"#)
}

fn refused(asked: Result<AskedBatch, Problem>) -> String {
    serde_json::to_string(&asked.unwrap_err()).unwrap()
}

#[test]
fn json_is_one_query_or_a_batch_and_a_nonce_if_there_is_one() {
    let takes = takes(&["a", "b"]);
    let one = format!(
        r#"{{"inputs": [{}, {}], "nonce": "{NONCE}"}}"#,
        tensor("a", "1"),
        tensor("b", "-0.0")
    );
    let asked = json_of(&takes, &one).unwrap();
    assert_eq!(asked.nonce, Digest::from_hex(NONCE));
    let value = |name: &str, v: f32| {
        TensorValue::new(name, DType::F32, vec![1], v.to_le_bytes().to_vec()).unwrap()
    };
    assert_eq!(asked.batch, [vec![value("a", 1.0), value("b", -0.0)]]);
    let two = format!(r#"{{"batch": [[{}], [{}]]}}"#, tensor("a", "1"), tensor("a", "2"));
    let asked = json_of(&takes, &two).unwrap();
    assert_eq!((asked.batch.len(), asked.nonce), (2, None));
}

#[test]
fn the_nonce_of_json_may_be_in_the_header_and_is_in_one_place() {
    let takes = takes(&["a"]);
    let a = tensor("a", "1");
    let without = format!(r#"{{"inputs": [{a}]}}"#);
    let with = format!(r#"{{"inputs": [{a}], "nonce": "{NONCE}"}}"#);
    let decode = |text: &str, nonce| takes.decode(BodyKind::Json, &headers(nonce), text.as_bytes());
    assert_eq!(decode(&without, Some(NONCE)).unwrap().nonce, Digest::from_hex(NONCE));
    assert_eq!(decode(&with, None).unwrap().nonce, Digest::from_hex(NONCE));
    assert!(refused(decode(&with, Some(NONCE))).contains("not in both"));
    assert!(refused(decode(&without, Some("no"))).contains("bad-request"));
}

#[test]
fn json_that_is_none_or_says_two_things_is_refused() {
    let takes = takes(&["a"]);
    let a = tensor("a", "1");
    let zeros = "0".repeat(64);
    for bad in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"inputs": [{a}], "batch": [[{a}]]}}"#),
        format!(r#"{{"inputs": [{a}], "label": 3}}"#),
        format!(r#"{{"inputs": [{a}]}} "#) + "x",
        format!(r#"{{"inputs": [{a}], "nonce": "{zeros}"}}"#),
        format!(r#"{{"inputs": [{a}], "nonce": "00"}}"#),
        "[".repeat(100_000),
    ] {
        let refused = refused(json_of(&takes, &bad));
        assert!(refused.contains("bad-request"), "{refused}");
    }
    for bad in [
        r#"{"batch": []}"#.to_owned(),
        format!(r#"{{"inputs": [{}]}}"#, tensor("a", "1, 2")),
        format!(r#"{{"inputs": [{}]}}"#, tensor("a", "true")),
        r#"{"inputs": [{"name": "a", "dtype": "f32", "dims": [4294967296, 4294967296], "data": [1]}]}"#.to_owned(),
    ] {
        let refused = refused(json_of(&takes, &bad));
        assert!(refused.contains(r#""type":"input""#), "{refused}");
    }
}

#[test]
fn a_requests_tensors_have_a_limit_of_their_own() {
    let takes = takes(&["a"]);
    let zeros = |count: usize| {
        let data = vec!["0"; count].join(",");
        format!(
            r#"{{"inputs": [{{"name": "a", "dtype": "f64", "dims": [{count}], "data": [{data}]}}]}}"#
        )
    };
    json_of(&takes, &zeros(128)).unwrap();
    assert!(refused(json_of(&takes, &zeros(129))).contains("1024 bytes at the most"));
}

#[test]
fn an_array_is_for_the_only_input_with_its_nonce_in_a_header() {
    let folder = tempfile::tempdir().unwrap();
    let value = TensorValue::new("a", DType::I64, vec![2], vec![1; 16]).unwrap();
    write_npy(&folder.path().join("a.npy"), &value).unwrap();
    let bytes = std::fs::read(folder.path().join("a.npy")).unwrap();
    let decode = |takes: &Takes, nonce: Option<&str>, bytes: &[u8]| {
        takes.decode(BodyKind::Npy, &headers(nonce), bytes)
    };
    let asked = decode(&takes(&["a"]), Some(NONCE), &bytes).unwrap();
    assert_eq!((asked.batch, asked.nonce), (vec![vec![value]], Digest::from_hex(NONCE)));
    assert_eq!(decode(&takes(&["a"]), None, &bytes).unwrap().nonce, None);
    assert!(refused(decode(&takes(&["a"]), Some("no"), &bytes)).contains("bad-request"));
    assert!(refused(decode(&takes(&["a", "b"]), None, &bytes)).contains("2 inputs"));
    assert!(refused(decode(&takes(&["a"]), None, &bytes[..bytes.len() - 1])).contains("input"));
    assert!(refused(decode(&takes(&["a"]), None, b"")).contains("input"));
}

/// The smallest grey PNG: one pixel, white.
const PIXEL: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0,
    0, 0, 58, 126, 155, 85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 248, 15, 0, 1, 1, 1, 0, 177,
    56, 246, 20, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

#[test]
fn a_picture_becomes_a_tensor_by_the_sealed_recipe_or_not_at_all() {
    let with = takes(&["a"]);
    let decode =
        |takes: &Takes, bytes: &[u8]| takes.decode(BodyKind::Picture, &headers(None), bytes);
    let asked = decode(&with, PIXEL).unwrap();
    let value = &asked.batch[0][0];
    assert_eq!((value.name(), value.dims()), ("a", [1, 1, 1, 1].as_slice()));
    assert_eq!(value.data(), 1f32.to_le_bytes());
    assert!(refused(decode(&with, b"GIF89a")).contains(r#""type":"input""#));
    let without = Takes { recipe: None, ..takes(&["a"]) };
    assert!(refused(decode(&without, PIXEL)).contains("no recipe"));
}

#[test]
fn a_body_is_what_its_type_says() {
    let kind = |text: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(text));
        BodyKind::of(&headers).ok()
    };
    assert_eq!(kind("application/json; charset=utf-8"), Some(BodyKind::Json));
    assert_eq!(kind("Application/X-NPY"), Some(BodyKind::Npy));
    assert_eq!(kind("image/jpeg"), Some(BodyKind::Picture));
    for other in ["", "text/plain", "image/bmp", "application/jsonx", "multipart/form-data"] {
        assert_eq!(kind(other), None, "{other}");
    }
    assert!(BodyKind::of(&HeaderMap::new()).is_err());
}
