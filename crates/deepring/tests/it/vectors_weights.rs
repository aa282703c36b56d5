//! The vectors of `vectors/weights/`: rings of weights, and what a reader must say of them.

use std::path::PathBuf;

use deepring::DType;

use crate::forge::RawRing;
use crate::small_ring::{OWNER_SEED, Places, manifest, owner};
use crate::vectors::{Expected, Index, Vector, verify_vector_in};
use crate::weights_folder::{
    RawExtent, RawFile, bytes, file, folder, manifest_of, more, parts_of, seal_files, seal_raw,
    tensor, zeros,
};

pub(crate) fn weights() -> PathBuf {
    crate::vectors::folder().join("weights")
}

pub(crate) fn index() -> Index {
    serde_json::from_slice(&std::fs::read(weights().join("index.json")).unwrap()).unwrap()
}

/// A manifest that its ring's owner sealed and that breaks one rule: name of the vector, what is wrong, the ring.
type Defect = (&'static str, &'static str, fn() -> Vec<u8>);

fn edited(edit: impl FnOnce(&mut Vec<RawFile>)) -> Vec<u8> {
    let mut files = folder();
    edit(&mut files);
    seal_files(&files)
}

/// The folder with the first file under another path, and what holds it too.
fn at_path(path: &str) -> Vec<u8> {
    edited(|files| {
        let content = files[0].content();
        files[0] = file(path, 0, vec![bytes(path, &content)]);
        files.sort_by(|a, b| a.path.cmp(&b.path));
    })
}

/// The folder with one more file of one extent.
fn with(path: &str, kind: u8, extents: Vec<RawExtent>) -> Vec<u8> {
    edited(|files| {
        files.push(file(path, kind, extents));
        files.sort_by(|a, b| a.path.cmp(&b.path));
    })
}

/// Extents put in place of some of the safetensors file's (`b.weight` and what goes on with it are numbers 3 and 4).
fn replaced(at: std::ops::Range<usize>, with: Vec<RawExtent>) -> Vec<u8> {
    edited(|files| _ = files[3].extents.splice(at, with))
}

/// The manifest with bytes put in place of a range that is found by what stands in it.
fn patched(find: &[u8], put: &[u8]) -> Vec<u8> {
    let files = folder();
    let mut manifest = manifest_of(&files);
    let at = manifest.windows(find.len()).position(|w| w == find).unwrap();
    manifest.splice(at..at + find.len(), put.iter().copied());
    seal_raw(&manifest, &parts_of(&files))
}

pub(crate) const DEFECTS: &[Defect] = &[
    ("manifest_of_a_network", "the manifest is a network's", || {
        seal_raw(&manifest().encode(), &parts_of(&folder()))
    }),
    ("trailing_byte", "a byte follows the manifest", || {
        let manifest = [manifest_of(&folder()).as_slice(), &[0]].concat();
        seal_raw(&manifest, &parts_of(&folder()))
    }),
    ("no_files", "no file", || seal_raw(&manifest_of(&[]), &parts_of(&folder()))),
    ("file_count_oversized", "2^32-1 files", || {
        patched(b"tiny\x04\0\0\0", b"tiny\xff\xff\xff\xff")
    }),
    ("path_leads_out", "a path leads out of the folder", || at_path("a/../../b")),
    ("path_absolute", "a path begins with /", || at_path("/etc/passwd")),
    ("path_with_backslash", "a path has a backslash", || at_path("a\\b")),
    ("path_with_escape", "a path has a control character", || at_path("a\u{1b}[2Jb")),
    ("path_with_nul", "a path has a zero byte", || at_path("a\0b")),
    ("path_too_long", "a name of 256 bytes", || at_path(&"n".repeat(256))),
    ("path_ends_with_dot", "a name that ends with a dot", || at_path("config.")),
    ("path_not_utf8", "a path is not UTF-8", || patched(b"config.json", b"conf\xffg.json")),
    ("paths_out_of_order", "the first two files are exchanged", || edited(|f| f.swap(0, 1))),
    ("path_twice", "two files of one path", || {
        with("config.json", 0, vec![bytes("config.json", b"{}")])
    }),
    ("path_in_other_case", "two paths that differ in case alone", || {
        with("Config.json", 0, vec![bytes("Config.json", b"{}")])
    }),
    ("path_is_a_folder", "a file is the folder of another", || {
        with("empty", 0, vec![bytes("empty", b"?")])
    }),
    ("file_kind_unknown", "a file of kind 3", || with("x", 3, vec![bytes("x", b"?")])),
    ("extent_kind_unknown", "an extent of kind 4", || {
        with("x", 2, vec![bytes("x", b"?"), RawExtent { code: 4, ..bytes("x", b"?") }])
    }),
    ("zeros_none", "a run of no zeros", || edited(|f| f[2].extents.insert(5, zeros(0)))),
    ("zeros_behind_zeros", "zeros in two runs", || {
        edited(|f| _ = f[2].extents.splice(3..4, [zeros(10), zeros(20)]))
    }),
    ("tensor_in_another_file", "a file that is not of tensors has one", || {
        with("x", 0, vec![tensor("x", DType::U8, &[2], 1)])
    }),
    ("header_missing", "safetensors without a header", || replaced(0..1, Vec::new())),
    ("gap_in_safetensors", "zeros between tensors of safetensors", || {
        replaced(2..2, vec![zeros(8)])
    }),
    ("bytes_behind_safetensors", "bytes behind the tensors of safetensors", || {
        replaced(5..5, vec![bytes("tiny.safetensors", b"!")])
    }),
    ("part_that_nothing_names", "a part that is no extent", || {
        let files = folder();
        let mut parts = parts_of(&files);
        parts.push((crate::weights_folder::spec("unnamed", DType::U8, &[1]), vec![1]));
        seal_raw(&manifest_of(&files), &parts)
    }),
    ("tensor_without_part", "the last tensor is no part", || {
        let files = folder();
        let mut parts = parts_of(&files);
        parts.pop();
        seal_raw(&manifest_of(&files), &parts)
    }),
    ("bytes_of_another_file", "config.json is held by a parameter of another name", || {
        edited(|f| f[0].extents[0].spec.as_mut().unwrap().name = "tokenizer.json".into())
    }),
    ("bytes_in_two_dimensions", "bytes in a parameter of two dimensions", || {
        let spec = crate::weights_folder::spec("config.json", DType::U8, &[1, 23]);
        edited(|f| f[0].extents[0].spec = Some(spec))
    }),
    ("tensor_twice", "two tensors of one name in a file", || {
        replaced(2..2, vec![tensor("a.bias", DType::F32, &[4], 9)])
    }),
    ("more_of_nothing", "bytes go on as a tensor does", || {
        with("x.gguf", 2, vec![bytes("x.gguf", b"head"), more("x.gguf", DType::U8, &[2], 1)])
    }),
    ("more_of_another_tensor", "a tensor goes on under another name", || {
        replaced(4..5, vec![more("c.weight", DType::Bf16, &[2, 2], 6)])
    }),
    ("more_of_another_type", "a tensor goes on with another element type", || {
        replaced(4..5, vec![more("b.weight", DType::F16, &[2, 2], 6)])
    }),
    ("more_in_other_rows", "a tensor goes on with longer rows", || {
        replaced(4..5, vec![more("b.weight", DType::Bf16, &[1, 4], 6)])
    }),
    ("more_of_a_scalar", "a number without dimensions goes on", || {
        let scalar = || tensor("s", DType::F32, &[], 1);
        replaced(3..5, vec![scalar(), RawExtent { code: 3, ..scalar() }])
    }),
    ("size_wrong", "a file of a byte more than its extents", || {
        edited(|f| f[2].size = Some(f[2].content().len() as u64 + 1))
    }),
    ("size_beyond_everything", "a file of 2^64-1 bytes", || edited(|f| f[3].size = Some(u64::MAX))),
];

/// A ring of weights whose Genesis gives a tensor.
pub(crate) fn with_outputs() -> Vec<u8> {
    let mut raw = RawRing::of(&seal_files(&folder()));
    let at = raw.after_name(0, 202) + 4;
    // One tensor, `x`: f32 without dimensions.
    raw.splice_header(0, at..at + 4, b"\x01\0\0\0\x01\0x\x01\0", &OWNER_SEED);
    raw.close(&OWNER_SEED)
}

pub(crate) fn vector(name: &str, defect: &str, expected: Expected) -> Vector {
    Vector {
        file: format!("{name}.ring"),
        kind: "ring".into(),
        defect: defect.into(),
        owner: Some(owner().public().to_string()),
        ring: None,
        store: None,
        open_with: Some("../keys/owner.key".into()),
        expected,
    }
}

pub(crate) fn tampered(block: u32, part: &str, tensor: Option<&str>) -> Expected {
    Expected {
        verdict: "tampered".into(),
        block: Some(block),
        part: Some(part.into()),
        tensor: tensor.map(Into::into),
    }
}

/// Where part number `part` of a block begins in the file.
pub(crate) fn stored(ring: &[u8], block: usize, part: usize) -> usize {
    let intact = crate::small_ring::intact(ring);
    let before = &intact.headers()[block].parts[..part];
    let at = |len: u64| usize::try_from(len + 16 * len.div_ceil(65_536)).unwrap();
    Places::of(ring).bodies[block].start + before.iter().map(|p| at(p.len)).sum::<usize>()
}

#[test]
fn every_vector_of_weights_gets_the_verdict_and_the_place_that_the_index_states() {
    let index = index();
    assert_eq!(index.format, 1);
    for vector in &index.vectors {
        let found = verify_vector_in(&weights(), vector);
        assert_eq!(found, vector.expected, "{}: {}", vector.file, vector.defect);
    }
    let mut bytes = 0;
    for entry in std::fs::read_dir(weights()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        bytes += entry.metadata().unwrap().len();
        let listed = index.vectors.iter().any(|v| v.file == name) || name == "index.json";
        assert!(listed, "{name} has no verdict");
    }
    assert!(bytes < 400_000, "vectors are small: {bytes}");
    for (name, _, _) in DEFECTS {
        assert!(index.vectors.iter().any(|v| v.file == format!("{name}.ring")), "{name}");
    }
}
