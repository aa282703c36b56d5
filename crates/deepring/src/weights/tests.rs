//! Counts and lengths that are bounded before memory is reserved for them.

use super::*;

fn manifest(files: u32, rest: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.string("m").u32(files).raw(rest);
    w.finish()
}

fn file(path: &str, extents: u32, rest: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.string(path).u8(0).u64(0).raw(&[0; 64]).u32(extents).raw(rest);
    w.finish()
}

#[test]
fn counts_are_bounded_by_the_format_and_by_the_bytes_that_are_left() {
    let too_long = |field, found, limit| Err(DecodeError::TooLong { field, found, limit });
    let one = file("a", 0, &[]);
    assert_eq!(one.len(), FIXED_LEN + 1);
    WeightsManifest::decode(&manifest(1, &one)).unwrap();
    assert_eq!(WeightsManifest::decode(&manifest(2, &one)), too_long("files", 2, 1));
    assert_eq!(
        WeightsManifest::decode(&manifest(u32::MAX, &one)),
        too_long("files", u64::from(u32::MAX), 1)
    );
    let many = file("a", 5, &[1; 4]);
    assert_eq!(WeightsManifest::decode(&manifest(1, &many)), too_long("extents", 5, 4));
    WeightsManifest::decode(&manifest(1, &file("a", 5, &[1; 5]))).unwrap();
}

#[test]
fn extents_are_bounded_in_all_files_together() {
    let half = u32::try_from(MAX_EXTENTS / 2).unwrap();
    let bytes = vec![1; MAX_EXTENTS / 2];
    let (a, b) = (file("a", half, &bytes), file("b", half, &bytes));
    WeightsManifest::decode(&manifest(2, &[a.as_slice(), &b].concat())).unwrap();
    let c = file("c", 1, &[1]);
    let refused = WeightsManifest::decode(&manifest(3, &[a, b, c].concat()));
    assert_eq!(refused, Err(DecodeError::TooLong { field: "extents", found: 1, limit: 0 }));
}

#[test]
fn a_manifest_has_the_length_that_is_planned_before_its_digests_are_known() {
    let digests = FileDigests { digest: Digest::NONE, sha256: Sha256([0; 32]) };
    let zeros = Extent::Zeros(std::num::NonZeroU16::MAX);
    let extents = vec![Extent::Bytes, zeros, Extent::Tensor(Digest([7; 32])), Extent::More];
    for name in ["", "m", &"é".repeat(MAX_STRING)] {
        let file = WeightsFile {
            path: FilePath::new("a/b").unwrap(),
            kind: FileKind::Gguf,
            size: 3,
            digests,
            extents: extents.clone(),
        };
        let planned = manifest_len(name, &[(&file.path.clone(), extents.clone())]);
        let manifest = WeightsManifest::of(name, vec![file]);
        assert_eq!(manifest.encode().len() as u64, planned);
    }
}
