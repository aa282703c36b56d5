//! Rings of weights: files come back as they were, a tensor is read alone, and what does not fit is refused.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deepring::files::Storage;
use deepring::opening::OpenError;
use deepring::weights::{Extent, PlannedExtent, SealWeightsError, WeightsManifest, seal_weights};
use deepring::{DType, OpeningKey, RingKind, Trust, UnverifiedRing};

use crate::small_ring::{host_a, host_b, intact, owner, refused, small_ring};
use crate::vectors_weights::DEFECTS;
use crate::weights_folder::{
    CONFIG, RawFile, file, folder, manifest_of, parts_of, plan_of, seal_by_plan, seal_files,
    seal_raw, tensor, zeros,
};

fn restored(ring: &deepring::AuthenticRing, key: OpeningKey<'_>) -> Vec<(String, Vec<u8>)> {
    let held = ring.open_weights(key).unwrap();
    let file = |i: usize| {
        let mut out = Vec::new();
        held.write_file(i, key, &mut out).unwrap();
        (held.files()[i].path().to_string(), out)
    };
    (0..held.files().len()).map(file).collect()
}

fn contents(files: &[RawFile]) -> Vec<(String, Vec<u8>)> {
    files.iter().map(|f| (f.path.clone(), f.content())).collect()
}

#[test]
fn files_come_back_byte_for_byte_however_they_were_cut() {
    let files = folder();
    for block_len in [1, 7, 16, 33, 100, 1 << 28] {
        let ring = intact(&seal_by_plan(&files, &plan_of(&files, block_len)));
        assert_eq!(ring.kind(), RingKind::Weights);
        assert!(ring.layers().is_empty());
        assert_eq!(restored(&ring, (&owner()).into()), contents(&files), "{block_len}");
        assert_eq!(restored(&ring, (&host_a()).into()), contents(&files), "{block_len}");
    }
}

#[test]
fn the_sealer_writes_the_manifest_that_the_format_describes() {
    let files = folder();
    let ring = intact(&seal_by_plan(&files, &plan_of(&files, 1 << 20)));
    let held = ring.open_weights((&owner()).into()).unwrap();
    // In one block nothing is cut: the rows of `b.weight` are one extent.
    let mut uncut = files.clone();
    let rest = uncut[3].extents.pop().unwrap().bytes;
    let last = uncut[3].extents.last_mut().unwrap();
    last.spec = Some(crate::weights_folder::spec("b.weight", DType::Bf16, &[6, 2]));
    last.bytes.extend(rest);
    assert_eq!(held.manifest().encode(), manifest_of(&uncut));
    let raw = intact(&seal_files(&files));
    let raw = raw.open_weights((&owner()).into()).unwrap();
    assert_eq!(raw.manifest().encode(), manifest_of(&files));
    assert_eq!(raw.manifest().model_name(), "tiny");
    assert_eq!(raw.position("tiny.gguf"), Some(2));
    assert_eq!(raw.position("tiny"), None);
}

#[test]
fn a_tensor_has_its_shape_and_place_and_its_digest_whatever_the_blocks_are() {
    let files = folder();
    let whole = intact(&seal_by_plan(&files, &plan_of(&files, 1 << 20)));
    let cut = intact(&seal_by_plan(&files, &plan_of(&files, 9)));
    let (whole, cut) = [&whole, &cut].map(|r| r.open_weights((&owner()).into()).unwrap()).into();
    let content = files[3].content();
    let mut names = Vec::new();
    for (a, b) in whole.tensors(3).zip(cut.tensors(3)) {
        assert_eq!((&a.spec, a.offset, a.len, a.digest), (&b.spec, b.offset, b.len, b.digest));
        assert!(b.parts.len() > a.parts.len(), "{}", a.spec.name);
        let there = usize::try_from(a.offset).unwrap()..usize::try_from(a.offset + a.len).unwrap();
        for (held, tensor) in [(&whole, &a), (&cut, &b)] {
            assert_eq!(
                held.read_tensor(tensor, (&owner()).into()).unwrap(),
                content[there.clone()]
            );
        }
        names.push(a.spec.name);
    }
    assert_eq!(names, ["a.bias", "a.weight", "b.weight"]);
    assert_eq!(whole.tensors(0).count(), 0);
    assert_eq!(whole.tensors(9).count(), 0);
    // Extents cover the file without a gap.
    let mut end = 0;
    for extent in cut.extents(2) {
        assert_eq!(extent.offset, end);
        assert_eq!(extent.part.is_none(), matches!(extent.extent, Extent::Zeros(_)));
        end += extent.len;
    }
    assert_eq!(end, cut.files()[2].size());
}

/// A ring's bytes, and how many of them were read.
struct Counted(Vec<u8>, AtomicU64);

impl Storage for Counted {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.1.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.0.read_at(offset, buf)
    }
}

#[test]
fn a_tensor_that_is_read_alone_costs_its_own_bytes() {
    let large = |name: &str, seed| tensor(name, DType::F32, &[100_000], seed);
    let header = crate::weights_folder::bytes("m", b"header");
    let files =
        vec![file("m", 2, vec![header, large("a", 1), zeros(9), large("b", 2), large("c", 3)])];
    let storage = Arc::new(Counted(seal_files(&files), AtomicU64::new(0)));
    let ring = UnverifiedRing::read(Arc::clone(&storage) as _).unwrap();
    let ring = ring.authenticate(&Trust::owner(owner().public())).unwrap();
    let held = ring.open_weights((&owner()).into()).unwrap();
    let b = held.tensors(0).nth(1).unwrap();
    let before = storage.1.load(Ordering::Relaxed);
    let bytes = held.read_tensor(&b, (&owner()).into()).unwrap();
    let read = storage.1.load(Ordering::Relaxed) - before;
    assert_eq!(bytes, files[0].extents[3].bytes);
    assert_eq!(read, 400_000 + 16 * 400_000u64.div_ceil(65_536));
}

#[test]
fn a_flipped_bit_is_named_by_tensor_or_file_and_stops_the_reader_of_that_part_alone() {
    let sealed = seal_files(&folder());
    let ring = intact(&sealed);
    let at = |block, part: usize| {
        let offset = ring.headers()[block as usize].parts[part].offset;
        usize::try_from(ring.stored_at(block, offset).unwrap()).unwrap()
    };
    for (block, part, named) in [(1, 0, "config.json"), (1, 2, "blk.0"), (2, 1, "a.bias")] {
        let mut bytes = sealed.clone();
        bytes[at(block, part)] ^= 1;
        let report = refused(&bytes);
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].tensor.as_deref(), Some(named));
        // Who does not verify every byte meets it where it is, and nowhere else.
        let ring = UnverifiedRing::read(Arc::new(bytes)).unwrap();
        let ring = ring.authenticate(&Trust::owner(owner().public())).unwrap();
        let reader = ring.part_reader(block, (&host_a()).into()).unwrap();
        for other in 0..ring.headers()[block as usize].parts.len() {
            match reader.read(other, &mut |_| Ok(())) {
                Err(OpenError::Tampered(finding)) if other == part => {
                    assert_eq!(finding.tensor.as_deref(), Some(named));
                }
                read => read.unwrap(),
            }
        }
    }
}

#[test]
fn the_kinds_of_rings_are_not_taken_for_each_other() {
    let (network, weights) = (intact(&small_ring()), intact(&seal_files(&folder())));
    let key = owner();
    let key = OpeningKey::Owner(&key);
    let said = |e: OpenError| {
        assert!(matches!(e, OpenError::OtherKind { .. }));
        e.to_string()
    };
    let network_says = said(network.open_weights(key).unwrap_err());
    assert_eq!(network_says, "this ring holds a network and no files");
    let weights_say = said(weights.open_manifest(key).unwrap_err());
    assert_eq!(weights_say, "this ring holds weights and has no graph");
    assert_eq!(network.verify_manifest(key).unwrap(), None);
    assert_eq!(weights.verify_manifest(key).unwrap(), None);
    // Host B opens block 1, and not Genesis.
    let b = host_b();
    let b = OpeningKey::Host(&b);
    assert_eq!(weights.verify_manifest(b).unwrap(), None);
    assert!(matches!(weights.open_weights(b), Err(OpenError::NotForThisKey { index: 0, .. })));
    let reader = weights.part_reader(1, b).unwrap();
    let mut config = Vec::new();
    reader
        .read(0, &mut |bytes| {
            config.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    assert_eq!(config, CONFIG);
    assert!(matches!(reader.read(99, &mut |_| Ok(())), Err(OpenError::NoSuchPart { .. })));
}

#[test]
fn what_breaks_a_rule_is_malformed_where_it_is_used_and_a_finding_where_it_is_verified() {
    let key = owner();
    let key = OpeningKey::Owner(&key);
    for (name, _, ring) in DEFECTS {
        let ring = intact(&ring());
        let used = ring.open_weights(key).unwrap_err();
        assert!(matches!(used, OpenError::Malformed { index: 0, .. }), "{name}: {used}");
        let finding = ring.verify_manifest(key).unwrap().unwrap();
        assert_eq!((finding.block, finding.tensor.as_deref()), (Some(0), Some("manifest")));
    }
}

#[test]
fn bytes_that_are_not_those_of_their_digest_are_given_to_nobody() {
    let files = folder();
    let mut other = files.clone();
    other[3].extents[1].bytes[0] ^= 1;
    let ring = intact(&seal_raw(&manifest_of(&files), &parts_of(&other)));
    let key = owner();
    let key = OpeningKey::Owner(&key);
    let held = ring.open_weights(key).unwrap();
    let tensors: Vec<_> = held.tensors(3).collect();
    assert!(matches!(held.read_tensor(&tensors[0], key), Err(OpenError::Malformed { .. })));
    held.read_tensor(&tensors[1], key).unwrap();
    let refusal = held.write_file(3, key, &mut Vec::new()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "tiny.safetensors is sealed well, but its bytes are not those of its digest"
    );
    held.write_file(2, key, &mut Vec::new()).unwrap();
}

#[test]
fn a_manifest_reads_back_and_is_in_json_without_its_extents() {
    let bytes = manifest_of(&folder());
    let manifest = WeightsManifest::decode(&bytes).unwrap();
    assert_eq!(manifest.encode(), bytes);
    let json = serde_json::to_value(&manifest).unwrap();
    assert_eq!(json["model_name"], "tiny");
    assert_eq!(json["files"][0]["path"], "config.json");
    assert_eq!(json["files"][0]["kind"], "other");
    assert_eq!(json["files"][0]["size"], CONFIG.len());
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, CONFIG);
    let hex: String = sha256.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(json["files"][0]["sha256"], hex.as_str());
    for len in 0..bytes.len() {
        WeightsManifest::decode(&bytes[..len]).unwrap_err();
    }
}

#[test]
fn a_sealer_refuses_what_a_reader_would_and_leaves_the_target_alone() {
    let files = folder();
    let edited = |edit: &dyn Fn(&mut deepring::weights::WeightsPlan)| {
        let mut plan = plan_of(&files, 1 << 20);
        edit(&mut plan);
        let contents: Vec<Vec<u8>> = files.iter().map(RawFile::content).collect();
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("w.ring");
        let sealed = seal_weights(&target, &plan, owner(), &mut |file, at, out| {
            let at = usize::try_from(at).unwrap();
            let bytes =
                contents[file].get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(bytes);
            Ok(())
        });
        assert!(!target.exists() || sealed.is_ok());
        sealed.map(|_| ())
    };
    edited(&|_| ()).unwrap();
    let plan = |e: Result<(), SealWeightsError>| matches!(e, Err(SealWeightsError::Plan { .. }));
    assert!(plan(edited(&|p| p.files.clear())));
    assert!(plan(edited(&|p| p.files.swap(0, 1))));
    assert!(plan(edited(&|p| p.files[1].path = p.files[0].path.clone())));
    assert!(plan(edited(&|p| _ = p.files[3].extents.remove(0))));
    assert!(plan(edited(&|p| p.files[3].extents.push(PlannedExtent::Zeros(1)))));
    assert!(plan(edited(&|p| {
        let again = p.files[3].extents[1].clone();
        p.files[3].extents.push(again);
    })));
    assert!(plan(edited(&|p| p.model_name = "m".repeat(4097))));
    let named = |p: &mut deepring::weights::WeightsPlan| {
        let PlannedExtent::Tensor(spec) = &mut p.files[3].extents[1] else { panic!("a tensor") };
        spec.dims = None;
    };
    assert!(plan(edited(&named)));
    let short = edited(&|p| p.files[0].extents.push(PlannedExtent::Bytes(1)));
    assert!(matches!(short, Err(SealWeightsError::Read { .. })));
    let not_zeros = edited(&|p| p.files[2].extents[5] = PlannedExtent::Zeros(12));
    assert!(matches!(not_zeros, Err(SealWeightsError::NotZeros { .. })));
    let nothing = edited(&|p| p.files.drain(..).for_each(drop));
    assert!(plan(nothing));
}

#[test]
fn a_damaged_manifest_is_refused_or_says_what_its_bytes_say() {
    let whole = manifest_of(&folder());
    assert_eq!(WeightsManifest::decode(&whole).unwrap().encode(), whole);
    let look = |bytes: &[u8]| {
        let Ok(manifest) = WeightsManifest::decode(bytes) else { return false };
        assert_eq!(manifest.encode(), bytes);
        for file in manifest.files() {
            let path = std::path::Path::new(file.path().as_str());
            let normal = |c| matches!(c, std::path::Component::Normal(_));
            assert!(path.components().all(normal), "{path:?}");
        }
        true
    };
    let mut accepted = 0;
    for at in 0..whole.len() {
        assert!(!look(&whole[..at]), "cut at {at}");
        for change in [1, 0x20, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            accepted += usize::from(look(&bytes));
        }
    }
    // Digests, letters of names: another manifest is not a wrong one. Counts, lengths and paths are held to rules.
    assert!(accepted > 0 && accepted < 4 * whole.len(), "{accepted} of {}", 4 * whole.len());
}
