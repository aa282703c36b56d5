//! Input files: pictures by the sealed recipe, and NumPy files, well-formed and not.

use std::fs;
use std::path::PathBuf;

use deepring::{DType, TensorValue};
use deepring_infer::inputs::{
    NpyError, PictureError, Preprocess, read_npy, read_picture, write_npy,
};
use image::{Rgb, RgbImage};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tempfile::TempDir;

use crate::zoo::floats;

fn pixel(x: u32, y: u32) -> [u8; 3] {
    [(x * 40) as u8, (y * 50) as u8, (x * y + 1) as u8]
}

/// A picture of 6 x 4 pixels, each telling its place.
fn picture(format: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("picture.{format}"));
    RgbImage::from_fn(6, 4, |x, y| Rgb(pixel(x, y))).save(&path).unwrap();
    (folder, path)
}

fn read(path: &std::path::Path, recipe: &str) -> Result<TensorValue, PictureError> {
    let recipe: Preprocess = recipe.parse().unwrap();
    read_picture(path, "x", &recipe)
}

#[test]
fn pixels_come_where_the_layout_says_and_as_the_formula_says() {
    for format in ["png", "bmp"] {
        let (_folder, path) = picture(format);
        let recipe = "scale=1/255,mean=0.5:0.25:0.125,std=0.5:2:4";
        let value = |x, y, c: usize| {
            let (mean, std) = ([0.5, 0.25, 0.125], [0.5, 2.0, 4.0]);
            ((f64::from(pixel(x, y)[c]) / 255.0 - mean[c]) / std[c]) as f32
        };
        let planes = read(&path, recipe).unwrap();
        assert_eq!(planes.dims(), [1, 3, 4, 6]);
        let pixels = read(&path, &format!("{recipe},layout=NHWC")).unwrap();
        assert_eq!(pixels.dims(), [1, 4, 6, 3]);
        let (planes, pixels) = (floats(&planes), floats(&pixels));
        for y in 0..4 {
            for x in 0..6 {
                for c in 0..3 {
                    let place = (x + y * 6) as usize;
                    assert_eq!(planes[c * 24 + place], value(x, y, c));
                    assert_eq!(pixels[place * 3 + c], value(x, y, c));
                }
            }
        }
    }
}

#[test]
fn the_centre_is_what_a_crop_keeps() {
    let (_folder, path) = picture("png");
    let cropped = read(&path, "crop=2x4").unwrap();
    assert_eq!(cropped.dims(), [1, 3, 2, 4]);
    let red = &floats(&cropped)[..8];
    assert_eq!(red, [40.0, 80.0, 120.0, 160.0, 40.0, 80.0, 120.0, 160.0]);
    let too_large = read(&path, "crop=5x6").unwrap_err();
    assert!(
        matches!(too_large, PictureError::TooSmall { found: (4, 6), crop: (5, 6), .. }),
        "{too_large}"
    );
}

#[test]
fn a_resized_picture_of_one_colour_keeps_it_and_a_picture_of_that_size_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flat.png");
    RgbImage::from_pixel(9, 5, Rgb([10, 20, 30])).save(&path).unwrap();
    let resized = read(&path, "resize=7x3").unwrap();
    assert_eq!(resized.dims(), [1, 3, 7, 3]);
    for (c, plane) in floats(&resized).chunks(21).enumerate() {
        assert!(plane.iter().all(|v| *v == [10.0, 20.0, 30.0][c]));
    }
    let (_folder, path) = picture("png");
    assert_eq!(read(&path, "resize=4x6").unwrap(), read(&path, "").unwrap());
}

#[test]
fn grey_is_one_channel() {
    let (_folder, path) = picture("png");
    let grey = read(&path, "color=gray,resize=28,scale=1/255").unwrap();
    assert_eq!(grey.dims(), [1, 1, 28, 28]);
    assert!(floats(&grey).iter().all(|v| (0.0..=1.0).contains(v)));
}

#[test]
fn broken_pictures_are_errors() {
    let (folder, path) = picture("png");
    let good = fs::read(&path).unwrap();
    for len in [0, 4, 20, good.len() / 2, good.len() - 13] {
        fs::write(&path, &good[..len]).unwrap();
        assert!(matches!(read(&path, ""), Err(PictureError::Decode { .. })), "{len} bytes");
    }
    // A header that promises more than any picture has.
    let mut huge = good.clone();
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    fs::write(&path, huge).unwrap();
    assert!(read(&path, "").is_err());
    let nowhere = read(&folder.path().join("nowhere.png"), "").unwrap_err();
    assert!(matches!(nowhere, PictureError::Io { .. }));
}

/// A NumPy file of this version, with this header text.
fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((header.len() as u16).to_le_bytes()),
        _ => bytes.extend((header.len() as u32).to_le_bytes()),
    }
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn header(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
}

fn load(bytes: &[u8]) -> Result<TensorValue, NpyError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    fs::write(&path, bytes).unwrap();
    read_npy(&path, "x")
}

#[test]
fn every_version_order_and_element_type_reads() {
    for version in [1, 2, 3] {
        let t = load(&npy(version, &header("<f4", "False", "(2, 3)"), &[0; 24])).unwrap();
        assert_eq!((t.dtype(), t.dims()), (DType::F32, &[2, 3][..]));
    }
    let column_major = npy(1, &header("|u1", "True", "(2, 3)"), &[1, 4, 2, 5, 3, 6]);
    assert_eq!(load(&column_major).unwrap().data(), [1, 2, 3, 4, 5, 6]);
    let scalar = load(&npy(1, &header("<i8", "False", "()"), &7i64.to_le_bytes())).unwrap();
    assert_eq!((scalar.dtype(), scalar.dims().len()), (DType::I64, 0));
    let empty = load(&npy(1, &header("<f4", "True", "(0, 3)"), &[])).unwrap();
    assert_eq!(empty.dims(), [0, 3]);
    let vector = load(&npy(1, &header("|b1", "False", "(3,)"), &[0, 1, 1])).unwrap();
    assert_eq!((vector.dtype(), vector.dims()), (DType::Bool, &[3][..]));
}

#[test]
fn types_that_networks_do_not_have_are_refused_by_name() {
    for descr in [">f4", "<c8", "|O", "<U3", "|S5", "<f16", "<M8[s]"] {
        let refused = load(&npy(1, &header(descr, "False", "(1,)"), &[0; 16])).unwrap_err();
        assert!(refused.to_string().contains("x.npy"), "{refused}");
    }
    let record = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n";
    assert!(load(&npy(1, record, &[0; 4])).is_err());
}

#[test]
fn lengths_that_do_not_fit_are_refused_before_memory_is_asked_for() {
    let with = |shape: &str, len: usize| {
        load(&npy(1, &header("<f4", "False", shape), &vec![0; len])).unwrap_err()
    };
    for (shape, len) in [("(4,)", 15), ("(4,)", 17), ("(4,)", 0), ("(1000000000000,)", 16)] {
        let refused = with(shape, len);
        assert!(matches!(refused, NpyError::Length { .. }), "{shape}: {refused}");
    }
    let overflow = with("(9223372036854775807, 9223372036854775807)", 16);
    assert!(matches!(overflow, NpyError::Length { expected: None, .. }), "{overflow}");
    let deep = format!("({})", "1, ".repeat(500));
    assert!(matches!(with(&deep, 4), NpyError::Value { .. }));
}

#[test]
fn what_is_no_numpy_file_is_refused() {
    assert!(load(b"").unwrap_err().to_string().contains("the file is empty"));
    for bytes in [&b""[..], b"\x93NUMP", b"hello", b"\x93NUMPY\x01\x00\xff\xff", b"PK\x03\x04"] {
        assert!(load(bytes).is_err());
    }
    for text in ["", "{}", "{'descr': 3}", "{'descr': '<f4', 'fortran_order': False}", "(", "\u{0}"]
    {
        assert!(load(&npy(1, text, &[])).is_err(), "{text:?}");
    }
    assert!(load(&npy(9, &header("<f4", "False", "(1,)"), &[0; 4])).is_err());
}

#[test]
fn half_precision_with_eight_exponent_bits_is_two_bytes_of_no_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let t = TensorValue::new("x", DType::Bf16, vec![2], vec![0x80, 0x3f, 1, 2]).unwrap();
    write_npy(&path, &t).unwrap();
    assert!(fs::read(&path).unwrap().windows(5).any(|w| w == b"'<V2'"));
    assert_eq!(read_npy(&path, "x").unwrap(), t);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        rng_seed: RngSeed::Fixed(20_261_128),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_header_makes_the_reader_panic(
        version in 0u8..5,
        text in "[{}()'<>|a-z0-9:, ]{0,80}",
        data in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = load(&npy(version, &text, &data));
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_reader_panic(at in 0usize..100, to in any::<u8>()) {
        let mut bytes = npy(1, &header("<f4", "True", "(2, 3)"), &[0; 24]);
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(t) = load(&bytes) {
            prop_assert_eq!(t.data().len(), 24);
        }
    }
}
