//! The engine's version, and what its words are taken for.

use std::path::Path;

use super::*;

/// Another version is held against `failure`, and against all differences of `deepring-onnx`, before this passes.
#[test]
fn the_engine_is_the_one_whose_words_and_differences_are_known() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    let stated = format!("name = \"rten\"\nversion = \"{RTEN_VERSION}\"\n");
    assert!(lock.contains(&stated), "Cargo.lock has another rten than {RTEN_VERSION}");
}

#[test]
fn what_no_input_changes_is_unsupported_and_a_guards_complaint_names_the_tensor() {
    let unsupported = |of_operator: bool, said: &str| match failure(of_operator, said.to_owned()) {
        EngineError::Run { reason, unsupported } => {
            assert_eq!(reason, said);
            unsupported
        }
        other => panic!("{other}"),
    };
    for said in [
        "operator error: input must have 4 dims",
        "operator error: expected tensor with type float",
        "operator error: Unsupported value",
    ] {
        assert!(unsupported(true, said), "{said}");
        assert!(!unsupported(false, said), "{said}");
    }
    assert!(!unsupported(true, "operator error: index 9 is out of bounds"));
    let complaint = "operator \"y: an integer beyond what is held\" failed".to_owned();
    let said = failure(true, complaint);
    assert!(matches!(&said, EngineError::Integer { tensor } if tensor == "y"), "{said}");
}
