//! Folders of samples: what is refused, which form is taken where there are several, and that nothing is made up.

use std::fs;
use std::path::Path;

use deepring::{DType, TensorValue};
use deepring_attack::samples::SamplesError;
use deepring_attack::{Samples, Split};
use deepring_infer::inputs::write_npy;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn array(folder: &Path, name: &str, dtype: DType, dims: &[u64], data: Vec<u8>) {
    let tensor = TensorValue::new("x", dtype, dims.to_vec(), data).unwrap();
    write_npy(&folder.join(name), &tensor).unwrap();
}

fn inputs(folder: &Path, values: &[f32]) {
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    array(folder, "inputs.npy", DType::F32, &[values.len() as u64 / 2, 2], data);
}

fn idx(folder: &Path, prefix: &str, dims: [u32; 3], labels: &[u8]) {
    let head = |rank: u8, dims: &[u32]| {
        let dims = dims.iter().flat_map(|d| d.to_be_bytes());
        [0, 0, 8, rank].into_iter().chain(dims).collect::<Vec<u8>>()
    };
    let pixels = vec![128; dims.iter().product::<u32>() as usize];
    let images = [head(3, &dims), pixels].concat();
    fs::write(folder.join(format!("{prefix}images-idx3-ubyte")), images).unwrap();
    let labels = [head(1, &[labels.len() as u32]), labels.to_vec()].concat();
    fs::write(folder.join(format!("{prefix}labels-idx1-ubyte")), labels).unwrap();
}

fn open(folder: &TempDir) -> Result<Samples, SamplesError> {
    Samples::open(folder.path(), Split::Test, None)
}

#[test]
fn a_folder_without_samples_or_that_is_none_is_refused() {
    let empty = folder();
    assert!(matches!(open(&empty), Err(SamplesError::Unknown { .. })));
    fs::write(empty.path().join("notes.txt"), "none").unwrap();
    assert!(matches!(open(&empty), Err(SamplesError::Unknown { .. })));
    let gone = empty.path().join("none");
    assert!(Samples::open(&gone, Split::Test, None).is_err());
    // A folder in the place of a file.
    fs::create_dir(empty.path().join("inputs.npy")).unwrap();
    assert!(matches!(open(&empty), Err(SamplesError::Unknown { .. })));
}

#[test]
fn arrays_are_taken_as_they_are_or_refused_by_name() {
    let folder = folder();
    let refused = |says: &str| match open(&folder) {
        Err(e @ SamplesError::Malformed { .. }) => {
            assert!(e.to_string().contains(says), "{e}");
        }
        other => panic!("{other:?}"),
    };
    inputs(folder.path(), &[1.0, f32::NAN, f32::INFINITY, -0.0]);
    // Without labels.
    assert!(open(&folder).is_err());
    let labels =
        |dtype, bytes: &[u8], n| array(folder.path(), "labels.npy", dtype, &[n], bytes.to_vec());
    labels(DType::U8, &[3, 0], 2);
    let samples = open(&folder).unwrap();
    assert_eq!((samples.len(), samples.dims(), samples.labels()), (2, &[2][..], &[3, 0][..]));
    let bits: Vec<u32> = samples.values(0..2).iter().map(|v| v.to_bits()).collect();
    assert_eq!(bits, [1.0, f32::NAN, f32::INFINITY, -0.0].map(f32::to_bits));
    // A set with one part is that part.
    let train = Samples::open(folder.path(), Split::Train, None).unwrap();
    assert_eq!((train.labels(), train.dims()), (samples.labels(), samples.dims()));

    labels(DType::U8, &[3], 1);
    refused("not as many");
    labels(DType::I64, &[[0xff; 8], [0; 8]].concat(), 2);
    refused("no integers from 0");
    labels(DType::I32, &(1_u32 << 20).to_le_bytes().repeat(2), 2);
    refused("no integers from 0");
    labels(DType::F32, &[0; 8], 2);
    refused("no integers from 0");
    labels(DType::U8, &[3, 0], 2);
    array(folder.path(), "inputs.npy", DType::I32, &[2, 2], vec![0; 16]);
    refused("not f32");
    fs::write(folder.path().join("inputs.npy"), b"\x93NUMPY\x01\x00").unwrap();
    assert!(matches!(open(&folder), Err(SamplesError::Npy(_))));
}

#[test]
fn idx_files_must_agree_and_parts_stand_in_for_each_other() {
    let folder = folder();
    idx(folder.path(), "train-", [3, 2, 2], &[0, 1, 2]);
    let train = Samples::open(folder.path(), Split::Train, None).unwrap();
    assert_eq!(open(&folder).unwrap(), train);
    assert_eq!((train.dims(), train.values(0..3).len()), (&[1, 2, 2][..], 12));
    idx(folder.path(), "t10k-", [2, 2, 2], &[7, 9]);
    assert_eq!(open(&folder).unwrap().labels(), [7, 9]);
    assert_eq!(Samples::open(folder.path(), Split::Train, None).unwrap(), train);
    // Arrays come first, whatever else is there.
    inputs(folder.path(), &[0.0, 1.0]);
    array(folder.path(), "labels.npy", DType::U8, &[1], vec![5]);
    assert_eq!(open(&folder).unwrap().labels(), [5]);
    fs::remove_file(folder.path().join("inputs.npy")).unwrap();

    idx(folder.path(), "t10k-", [2, 2, 2], &[7]);
    assert!(open(&folder).unwrap_err().to_string().contains("not as many labels"));
    idx(folder.path(), "t10k-", [0, 2, 2], &[]);
    assert!(open(&folder).unwrap_err().to_string().contains("no images"));
    fs::write(
        folder.path().join("t10k-images-idx3-ubyte"),
        [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 1, 9],
    )
    .unwrap();
    assert!(open(&folder).unwrap_err().to_string().contains("three dimensions"));
    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
    assert!(matches!(open(&folder), Err(SamplesError::Io { .. })));
}

#[test]
fn pictures_need_a_recipe_and_one_size() {
    let folder = folder();
    fs::write(folder.path().join("cat_3.png"), b"no picture").unwrap();
    assert!(matches!(open(&folder), Err(SamplesError::NoRecipe { .. })));
    let recipe = "scale=1/255".parse().unwrap();
    let read = Samples::open(folder.path(), Split::Test, Some(&recipe));
    assert!(matches!(read, Err(SamplesError::Picture(_))), "{read:?}");
}

/// As many of each class as there can be, whatever the classes are called.
#[test]
fn a_choice_is_fair_also_where_a_class_has_one_sample_or_a_large_number() {
    let labels = [vec![0; 50], vec![1], vec![900_000; 9]].concat();
    let values = (0..labels.len()).map(|i| i as f32).collect();
    let all = Samples::new(vec![1], values, labels).unwrap();
    for seed in 0..5 {
        let few = all.choose(7, seed);
        let of = |class| few.labels().iter().filter(|l| **l == class).count();
        assert_eq!((few.len(), of(1)), (7, 1));
        assert_eq!((of(0).min(of(900_000)), of(0).max(of(900_000))), (3, 3));
        // In their order, each once, with its own input.
        let places: Vec<f32> = few.values(0..7).to_vec();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        let own = |(at, label): (&f32, &usize)| all.labels()[*at as usize] == *label;
        assert!(places.iter().zip(few.labels()).all(own));
    }
    assert_eq!(all.choose(0, 1), all);
    assert!(all.values(50..99).is_empty());
}
