use proptest::prelude::*;

use super::*;

const ALL: [DType; 13] = [
    DType::F32,
    DType::U8,
    DType::I8,
    DType::U16,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::Bool,
    DType::F16,
    DType::F64,
    DType::U32,
    DType::U64,
    DType::Bf16,
];

fn read(text: &str) -> Result<TensorValue, TensorTextError> {
    serde_json::from_str::<TensorText<'_>>(text).unwrap().value()
}

fn of(dtype: &str, dims: &str, data: &str) -> Result<TensorValue, TensorTextError> {
    read(&format!(r#"{{"name": "x", "dtype": "{dtype}", "dims": {dims}, "data": {data}}}"#))
}

fn there_and_back(tensor: &TensorValue) {
    let text = serde_json::to_string(&JsonTensor(tensor)).unwrap();
    assert_eq!(&read(&text).unwrap(), tensor, "{text}");
}

#[test]
fn every_element_type_is_written_as_it_is_read() {
    for (dtype, data) in [
        (
            "f32",
            "[0.1,-0.0,3.4028235e+38,1e-45,16777216.0,\"NaN\",\"Infinity\",\"-Infinity\",\"NaN:ffc00000\"]",
        ),
        (
            "f64",
            "[0.1,-0.0,1.7976931348623157e+308,5e-324,\"NaN\",\"-Infinity\",\"NaN:7ff8000000000001\"]",
        ),
        ("f16", "[0.099975586,65504.0,-0.0,\"NaN\",\"Infinity\",\"NaN:fe00\"]"),
        ("bf16", "[0.100097656,-0.0,\"NaN\",\"-Infinity\",\"NaN:7f81\"]"),
        ("u8", "[0,255]"),
        ("i8", "[-128,127]"),
        ("u16", "[0,65535]"),
        ("i16", "[-32768,32767]"),
        ("u32", "[0,4294967295]"),
        ("i32", "[-2147483648,2147483647]"),
        ("u64", "[0,9007199254740993,18446744073709551615]"),
        ("i64", "[-9223372036854775808,9223372036854775807]"),
        ("bool", "[true,false]"),
    ] {
        let count = data.matches(',').count() + 1;
        let tensor = of(dtype, &format!("[{count}]"), data).unwrap();
        assert_eq!((tensor.dtype().name(), tensor.dims()), (dtype, [count as u64].as_slice()));
        let text = serde_json::to_string(&JsonTensor(&tensor)).unwrap();
        assert_eq!(
            text,
            format!(r#"{{"name":"x","dtype":"{dtype}","dims":[{count}],"data":{data}}}"#)
        );
        there_and_back(&tensor);
    }
}

proptest! {
    /// Of floats too, whose bits digests are over.
    #[test]
    fn no_bit_is_lost(dtype in prop::sample::select(ALL.to_vec()), bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let count = bytes.len() / dtype.size();
        let mut data = bytes;
        data.truncate(count * dtype.size());
        if dtype == DType::Bool {
            data.iter_mut().for_each(|byte| *byte &= 1);
        }
        there_and_back(&TensorValue::new("x", dtype, vec![count as u64], data).unwrap());
    }
}

#[test]
fn a_number_is_read_in_its_type_and_not_by_way_of_another() {
    // Just above the middle of two floats, by less than what 64 bits can tell: rounded twice it would be the lower one.
    let tensor = of("f32", "[1]", "[1.00000005960464477539062500000000001]").unwrap();
    assert_eq!(tensor.data(), 1.000_000_1_f32.to_le_bytes());
}

#[test]
fn what_the_type_cannot_hold_is_refused_at_its_place() {
    for (dtype, bad) in [
        ("f32", "1e39"),
        ("f32", "\"nan\""),
        ("f32", "\"NaN:7fc00000\""),
        ("f32", "\"NaN:7f800000\""),
        ("f32", "\"NaN:FFC00000\""),
        ("f32", "\"NaN:fffffffffff\""),
        ("f32", "\"1\""),
        ("f32", "true"),
        ("f32", "null"),
        ("f32", "[1]"),
        ("f64", "1e309"),
        ("f16", "65520"),
        ("bf16", "3.4e38"),
        ("u8", "256"),
        ("u8", "-1"),
        ("u8", "1.0"),
        ("i32", "1e3"),
        ("i32", "\"Infinity\""),
        ("i64", "9223372036854775808"),
        ("bool", "1"),
        ("bool", "\"true\""),
    ] {
        let good = if dtype == "bool" { "true" } else { "1" };
        let refused = of(dtype, "[2]", &format!("[{good}, {bad}]")).unwrap_err();
        let due = TensorTextError::Element { name: "x".to_owned(), at: 1, dtype };
        assert_eq!(refused, due, "{dtype} {bad}");
    }
}

#[test]
fn a_count_is_the_dimensions_product_and_asks_for_no_memory_of_its_own() {
    assert!(of("f32", "[0]", "[ ]").unwrap().data().is_empty());
    assert_eq!(of("u8", "[]", "[7]").unwrap().data(), [7]);
    for (dims, data) in [("[2]", "[1]"), ("[2]", "[1, 2, 3]"), ("[]", "[]"), ("[0]", "[1]")] {
        let refused = of("u8", dims, data);
        assert!(matches!(refused, Err(TensorTextError::Count { .. })), "{dims} {data}");
    }
    let vast = "[4294967296, 4294967296, 4294967296]";
    let refused = of("u8", vast, "[1]");
    assert!(matches!(refused, Err(TensorTextError::Count { expected: None, .. })));
    // A terabyte of floats that are not there.
    let refused = of("f64", "[137438953472]", "[1]");
    assert!(matches!(refused, Err(TensorTextError::Count { found: Some(1), .. })));
    for data in ["1", "\"[1]\"", "{}", "null"] {
        assert!(matches!(of("u8", "[1]", data), Err(TensorTextError::NotAList { .. })), "{data}");
    }
    let deep = format!("[{}]", vec!["1"; 33].join(","));
    assert!(matches!(of("u8", &deep, "[1]"), Err(TensorTextError::Value(_))));
}

#[test]
fn what_is_no_tensor_is_refused_before_its_elements_are_looked_at() {
    for bad in [
        r#"{"name": "x", "dtype": "f32", "dims": [1]}"#,
        r#"{"name": "x", "dtype": "f32", "dims": [1], "data": [1], "label": 1}"#,
        r#"{"name": "x", "dtype": "float", "dims": [1], "data": [1]}"#,
        r#"{"name": "x", "dtype": "f32", "dims": [-1], "data": [1]}"#,
        r#"{"name": "x", "dtype": "f32", "dims": [1], "data": [1, ]}"#,
        r#"{"name": "x", "dtype": "f32", "dims": [1], "data": [NaN]}"#,
        r#"{"name": "x", "name": "x", "dtype": "f32", "dims": [1], "data": [1]}"#,
    ] {
        assert!(serde_json::from_str::<TensorText<'_>>(bad).is_err(), "{bad}");
    }
}
