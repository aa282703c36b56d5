//! Makes `vectors/weights/` anew. Block keys and encapsulations are random, so every file of it changes, and no other.

use crate::vectors::{Expected, Index, Vector, verify_vector_in};
use crate::vectors_weights::{DEFECTS, stored, tampered, vector, weights, with_outputs};
use crate::weights_folder::{folder, plan_of, seal_by_plan, seal_files};

#[test]
#[ignore = "replaces the files of vectors/weights/; run it by name when the format changes"]
fn vectors_weights_generate() {
    std::fs::create_dir_all(weights()).unwrap();
    for entry in std::fs::read_dir(weights()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let mut vectors: Vec<Vector> = Vec::new();
    let mut add = |vector: Vector, bytes: &[u8]| {
        std::fs::write(weights().join(&vector.file), bytes).unwrap();
        vectors.push(vector);
    };
    let files = folder();
    let intact = seal_files(&files);
    for (key, opens) in [
        (None, "nothing opened"),
        (Some("owner"), "opened with owner"),
        (Some("host-a"), "opened with host-a"),
        (Some("host-b"), "opened with host-b, who has block 1 and not Genesis"),
    ] {
        let open_with = key.map(|key| format!("../keys/{key}.key"));
        let defect = format!("nothing; {opens}");
        add(Vector { open_with, ..vector("intact", &defect, Expected::intact()) }, &intact);
    }
    let cut = seal_by_plan(&files, &plan_of(&files, 16));
    let defect = "nothing; tensors and files in many blocks";
    add(vector("intact_cut", defect, Expected::intact()), &cut);
    for (name, defect, block, part, named) in [
        ("tensor_bit_flipped", "one bit of a tensor", 2, 1, "a.bias"),
        ("file_bit_flipped", "one bit of a file that is not of tensors", 1, 0, "config.json"),
        ("manifest_bit_flipped", "one bit of the manifest", 0, 0, "manifest"),
    ] {
        let mut bytes = intact.clone();
        bytes[stored(&intact, block, part)] ^= 1;
        let block = u32::try_from(block).unwrap();
        add(vector(name, defect, tampered(block, "body", Some(named))), &bytes);
    }
    let defect = "Genesis gives a tensor";
    add(vector("genesis_with_outputs", defect, tampered(0, "header", None)), &with_outputs());
    for (name, defect, ring) in DEFECTS {
        add(vector(name, defect, tampered(0, "body", Some("manifest"))), &ring());
    }
    for vector in &vectors {
        let found = verify_vector_in(&weights(), vector);
        assert_eq!(found, vector.expected, "{}: {}", vector.file, vector.defect);
    }
    let mut json = serde_json::to_string_pretty(&Index { format: 1, vectors }).unwrap();
    json.push('\n');
    std::fs::write(weights().join("index.json"), json).unwrap();
}
