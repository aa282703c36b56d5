//! A model's folder of four small files, made here: safetensors, GGUF, JSON and an empty file; and rings of weights with whatever
//! manifest a test wants, written as `docs/FORMAT.md` says and by no code of the crate.

use deepring::seal::{BlockPlan, RingPlan, RingSealer};
use deepring::weights::{
    FileKind, FilePath, PlannedExtent, PlannedFile, WeightsPlan, seal_weights,
};
use deepring::{DType, Dim, PartKind, RingKind, TensorSpec};

use crate::forge::derive;
use crate::small_ring::{host_a, host_b, owner};

/// An extent with its bytes, and the parameter that holds them.
#[derive(Debug, Clone)]
pub(crate) struct RawExtent {
    pub(crate) code: u8,
    pub(crate) spec: Option<TensorSpec>,
    pub(crate) bytes: Vec<u8>,
}

/// A file as a manifest states it.
#[derive(Debug, Clone)]
pub(crate) struct RawFile {
    pub(crate) path: String,
    pub(crate) kind: u8,
    pub(crate) extents: Vec<RawExtent>,
    /// Another size than the extents have.
    pub(crate) size: Option<u64>,
}

pub(crate) fn spec(name: &str, dtype: DType, dims: &[u64]) -> TensorSpec {
    let dims = Some(dims.iter().map(|n| Dim::Fixed(*n)).collect());
    TensorSpec { name: name.into(), dtype, dims }
}

/// Bytes that differ by place.
fn some(n: usize, seed: u8) -> Vec<u8> {
    (0..n).map(|i| (i as u8).wrapping_mul(37).wrapping_add(seed)).collect()
}

pub(crate) fn zeros(n: u16) -> RawExtent {
    RawExtent { code: 0, spec: None, bytes: vec![0; usize::from(n)] }
}

pub(crate) fn bytes(path: &str, bytes: &[u8]) -> RawExtent {
    let spec = spec(path, DType::U8, &[bytes.len() as u64]);
    RawExtent { code: 1, spec: Some(spec), bytes: bytes.to_vec() }
}

pub(crate) fn tensor(name: &str, dtype: DType, dims: &[u64], seed: u8) -> RawExtent {
    let len = dims.iter().product::<u64>() as usize * dtype.size();
    RawExtent { code: 2, spec: Some(spec(name, dtype, dims)), bytes: some(len, seed) }
}

pub(crate) fn more(name: &str, dtype: DType, dims: &[u64], seed: u8) -> RawExtent {
    RawExtent { code: 3, ..tensor(name, dtype, dims, seed) }
}

pub(crate) fn file(path: &str, kind: u8, extents: Vec<RawExtent>) -> RawFile {
    RawFile { path: path.into(), kind, extents, size: None }
}

/// The header of a safetensors file of these tensors, each in one part or more.
fn safetensors_header(extents: &[RawExtent]) -> Vec<u8> {
    let mut entries: Vec<(String, String, Vec<u64>, [usize; 2])> = Vec::new();
    let mut at = 0;
    for extent in extents {
        let spec = extent.spec.as_ref().unwrap();
        let dims = spec.dims.iter().flatten().map(|d| match d {
            Dim::Fixed(n) => *n,
            Dim::Named(name) => panic!("{name}"),
        });
        let dims: Vec<u64> = dims.collect();
        let end = at + extent.bytes.len();
        match entries.last_mut() {
            Some((_, _, shape, place)) if extent.code == 3 => {
                shape[0] += dims[0];
                place[1] = end;
            }
            _ => {
                let dtype = spec.dtype.name().to_uppercase();
                entries.push((spec.name.clone(), dtype, dims, [at, end]));
            }
        }
        at = end;
    }
    let entries: serde_json::Map<String, serde_json::Value> = entries
        .into_iter()
        .map(|(name, dtype, shape, place)| {
            (name, serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": place}))
        })
        .collect();
    let mut json = serde_json::to_vec(&entries).unwrap();
    json.resize(json.len().next_multiple_of(8), b' ');
    [(json.len() as u64).to_le_bytes().as_slice(), &json].concat()
}

/// The header of a GGUF file (version 3) without metadata: name, dimensions (innermost first), type and offset of each tensor.
fn gguf_header(tensors: &[(&str, &[u64], u32, u64)]) -> Vec<u8> {
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(0u64.to_le_bytes());
    for (name, dims, kind, offset) in tensors {
        out.extend((name.len() as u64).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
    }
    out
}

pub(crate) const CONFIG: &[u8] = b"{\"model_type\": \"tiny\"}\n";

/// config.json, tiny.gguf, tiny.safetensors, and an empty file.
pub(crate) fn folder() -> Vec<RawFile> {
    let header = gguf_header(&[("blk.0", &[32], 8, 0), ("out", &[3, 2], 1, 64)]);
    let padding = u16::try_from(header.len().next_multiple_of(32) - header.len()).unwrap();
    let gguf = vec![
        bytes("tiny.gguf", &header),
        zeros(padding),
        // One group of 32 numbers of 8 bits, and its scale: no element type of the format.
        tensor("blk.0", DType::U8, &[34], 1),
        zeros(30),
        tensor("out", DType::F16, &[2, 3], 2),
        bytes("tiny.gguf", b"what follows"),
    ];
    let mut tensors = vec![
        tensor("a.bias", DType::F32, &[4], 3),
        tensor("a.weight", DType::F32, &[3, 4], 4),
        tensor("b.weight", DType::Bf16, &[4, 2], 5),
        more("b.weight", DType::Bf16, &[2, 2], 6),
    ];
    let header = bytes("tiny.safetensors", &safetensors_header(&tensors));
    tensors.insert(0, header);
    vec![
        file("config.json", 0, vec![bytes("config.json", CONFIG)]),
        file("empty/.keep", 0, Vec::new()),
        file("tiny.gguf", 2, gguf),
        file("tiny.safetensors", 1, tensors),
    ]
}

impl RawFile {
    pub(crate) fn content(&self) -> Vec<u8> {
        self.extents.iter().flat_map(|e| e.bytes.clone()).collect()
    }

    fn encode(&self) -> Vec<u8> {
        let content = self.content();
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
        let mut out = string(&self.path);
        out.push(self.kind);
        out.extend(self.size.unwrap_or(content.len() as u64).to_le_bytes());
        out.extend(derive("deepring v1 weights file digest", &content));
        out.extend(sha256.as_ref());
        out.extend((self.extents.len() as u32).to_le_bytes());
        for (i, extent) in self.extents.iter().enumerate() {
            out.push(extent.code);
            match extent.code {
                0 => out.extend((extent.bytes.len() as u16).to_le_bytes()),
                2 => {
                    let rest = self.extents[i + 1..].iter().take_while(|e| e.code == 3);
                    let rest = rest.flat_map(|e| e.bytes.clone());
                    let all: Vec<u8> = extent.bytes.iter().copied().chain(rest).collect();
                    out.extend(derive("deepring v1 weights tensor digest", &all));
                }
                _ => {}
            }
        }
        out
    }
}

fn string(text: &str) -> Vec<u8> {
    [(text.len() as u16).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

/// The manifest of these files.
pub(crate) fn manifest_of(files: &[RawFile]) -> Vec<u8> {
    let mut out = string("tiny");
    out.extend((files.len() as u32).to_le_bytes());
    files.iter().for_each(|file| out.extend(file.encode()));
    out
}

/// The parts of these files, in order.
pub(crate) fn parts_of(files: &[RawFile]) -> Vec<(TensorSpec, Vec<u8>)> {
    let extents = files.iter().flat_map(|file| &file.extents);
    extents.filter_map(|e| Some((e.spec.clone()?, e.bytes.clone()))).collect()
}

/// A ring with this manifest and these parts, five in a block: for host A, and block 1 for host B.
pub(crate) fn seal_raw(manifest: &[u8], parts: &[(TensorSpec, Vec<u8>)]) -> Vec<u8> {
    let (a, b) = (host_a().public(), host_b().public());
    let block = |name: &str, parts, hosts| BlockPlan {
        name: name.into(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        parts,
        shared: Vec::new(),
        hosts,
    };
    let mut blocks =
        vec![block("genesis", vec![(PartKind::Manifest, manifest.len() as u64)], vec![a])];
    for (i, parts) in parts.chunks(5).enumerate() {
        let parts = parts
            .iter()
            .map(|(spec, bytes)| (PartKind::Parameter(spec.clone()), bytes.len() as u64));
        let hosts = if i == 0 { vec![a, b] } else { vec![a] };
        blocks.push(block(&format!("weights-{}", i + 1), parts.collect(), hosts));
    }
    let plan = RingPlan {
        kind: RingKind::Weights,
        model_version: 1,
        previous: None,
        sealed_at: 1_700_000_000,
        blocks,
        deal: None,
    };
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("raw.ring");
    let mut sealer = RingSealer::create(&target, &plan, owner()).unwrap();
    while let Some(index) = sealer.next_block() {
        let mut plaintext = vec![0; usize::try_from(sealer.own_len(index)).unwrap()];
        let contents: Vec<&[u8]> = match index {
            0 => vec![manifest],
            _ => parts[5 * (index - 1)..].iter().map(|(_, bytes)| bytes.as_slice()).collect(),
        };
        for (part, content) in sealer.parts_of(index).iter().zip(contents) {
            let at = usize::try_from(part.offset).unwrap();
            plaintext[at..at + content.len()].copy_from_slice(content);
        }
        sealer.seal_block(&plaintext).unwrap();
    }
    sealer.finish().unwrap();
    std::fs::read(target).unwrap()
}

/// A ring of these files and the manifest that describes them.
pub(crate) fn seal_files(files: &[RawFile]) -> Vec<u8> {
    seal_raw(&manifest_of(files), &parts_of(files))
}

/// The plan by which the library seals the same files.
pub(crate) fn plan_of(files: &[RawFile], block_len: u64) -> WeightsPlan {
    let file = |file: &RawFile| {
        let mut extents: Vec<PlannedExtent> = Vec::new();
        for extent in &file.extents {
            let n = extent.bytes.len() as u64;
            match (extent.code, extents.last_mut()) {
                (0, _) => extents.push(PlannedExtent::Zeros(n)),
                (1, _) => extents.push(PlannedExtent::Bytes(n)),
                (3, Some(PlannedExtent::Tensor(spec))) => {
                    let rows = |spec: &TensorSpec| match spec.dims.as_ref().unwrap()[0] {
                        Dim::Fixed(n) => n,
                        Dim::Named(_) => panic!("fixed"),
                    };
                    let sum = rows(spec) + rows(extent.spec.as_ref().unwrap());
                    spec.dims.as_mut().unwrap()[0] = Dim::Fixed(sum);
                }
                _ => extents.push(PlannedExtent::Tensor(extent.spec.clone().unwrap())),
            }
        }
        let kind = [FileKind::Other, FileKind::Safetensors, FileKind::Gguf];
        let (path, kind) = (FilePath::new(&file.path).unwrap(), kind[usize::from(file.kind)]);
        PlannedFile { path, kind, extents }
    };
    WeightsPlan {
        model_name: "tiny".into(),
        model_version: 1,
        previous: None,
        sealed_at: 1_700_000_000,
        files: files.iter().map(file).collect(),
        block_len,
        hosts: vec![host_a().public()],
    }
}

/// Seals files with the library.
pub(crate) fn seal_by_plan(files: &[RawFile], plan: &WeightsPlan) -> Vec<u8> {
    let contents: Vec<Vec<u8>> = files.iter().map(RawFile::content).collect();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("planned.ring");
    seal_weights(&target, plan, owner(), &mut |file, at, out| {
        let at = usize::try_from(at).unwrap();
        out.copy_from_slice(&contents[file][at..at + out.len()]);
        Ok(())
    })
    .unwrap();
    std::fs::read(target).unwrap()
}
