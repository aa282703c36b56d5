//! The zoo's networks and sample, and rings sealed of them.

use std::fs;
use std::path::{Path, PathBuf};

use deepring::deal::{Copies, DealPlan};
use deepring::receipt::{QueryStart, Salt};
use deepring::seal::PlannedDeal;
use deepring::{
    AuthenticRing, Check, DType, Digest, Host, Owner, SecretKey, TensorValue, Trust, UnverifiedRing,
};
use deepring_infer::sealing::Blocks;
use deepring_infer::{CutPolicy, PlainModel, Seal, Session, SessionOptions};
use tempfile::TempDir;

/// The committed networks, and how many of the sample's 400 images their cards say they get right.
pub const NETWORKS: [(&str, usize); 2] = [("fashion-lenet5", 377), ("fashion-resnet8", 373)];
/// Images in the sample.
pub const SAMPLE: usize = 400;
const PIXELS: usize = 28 * 28;

/// A committed network's file.
pub fn network(name: &str) -> PathBuf {
    folder().join(format!("{name}.onnx"))
}

/// A larger network that is not committed, where it is at hand.
pub fn shared(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().ok()?;
    let path = root.parent()?.join("shared/zoo").join(name);
    path.exists().then_some(path)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo")
}

/// Images `from..to` of the sample as one tensor.
pub fn images(from: usize, to: usize) -> TensorValue {
    let bytes = fs::read(folder().join("fashion-sample/images-idx3-ubyte")).unwrap();
    let pixels = &bytes[16 + from * PIXELS..16 + to * PIXELS];
    let data = pixels.iter().flat_map(|p| (f32::from(*p) / 255.0).to_le_bytes()).collect();
    TensorValue::new("image", DType::F32, vec![(to - from) as u64, 1, 28, 28], data).unwrap()
}

/// The right answers of the sample.
pub fn labels() -> Vec<usize> {
    let bytes = fs::read(folder().join("fashion-sample/labels-idx1-ubyte")).unwrap();
    bytes[8..].iter().map(|l| usize::from(*l)).collect()
}

/// A tensor's elements.
pub fn floats(tensor: &TensorValue) -> Vec<f32> {
    assert_eq!(tensor.dtype(), DType::F32);
    tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// A float tensor.
pub fn tensor(name: &str, dims: &[u64], values: &[f32]) -> TensorValue {
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorValue::new(name, DType::F32, dims.to_vec(), data).unwrap()
}

/// An input for EfficientNet, in the range of a normalised picture.
pub fn noise() -> TensorValue {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..3 * 224 * 224).map(|_| next()).collect();
    tensor("input", &[1, 3, 224, 224], &values)
}

/// The largest element of each row of ten.
pub fn classes(logits: &TensorValue) -> Vec<usize> {
    let best = |row: &[f32]| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
    floats(logits).chunks(10).map(best).collect()
}

/// The largest difference between two tensors, as a share of the largest element of the second.
pub fn difference(found: &TensorValue, wanted: &TensorValue) -> f32 {
    assert_eq!((found.name(), found.dims()), (wanted.name(), wanted.dims()));
    let (found, wanted) = (floats(found), floats(wanted));
    let peak = wanted.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let gap = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
    // A NaN must not look like agreement.
    gap.fold(0.0, |m: f32, d| if d.is_nan() { f32::INFINITY } else { m.max(d) }) / peak
}

/// The same key for the same seed.
pub fn owner(seed: u8) -> SecretKey<Owner> {
    SecretKey::from_halves(&[seed; 32], &[seed | 0x40; 32]).unwrap()
}

/// The same key for the same seed.
pub fn host(seed: u8) -> SecretKey<Host> {
    SecretKey::from_halves(&[seed ^ 0x80; 32], &[seed | 0x20; 32]).unwrap()
}

/// A ring file in a folder of its own.
#[derive(Debug)]
pub struct Sealed {
    /// Folder of the file; removed with this.
    pub folder: TempDir,
    /// The ring file.
    pub path: PathBuf,
    /// The owner that sealed it: owner 1.
    pub owner: SecretKey<Owner>,
}

impl Sealed {
    /// A network sealed for host 1.
    pub fn new(network: &Path, cut: CutPolicy) -> Self {
        Self::for_hosts(network, cut, &[("", 1)])
    }

    /// A network sealed for hosts with these seeds, each for these blocks (none named: all).
    pub fn for_hosts(network: &Path, cut: CutPolicy, hosts: &[(&str, u8)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.ring");
        let owner = owner(1);
        let mut seal = Seal::new(network, &owner).cut(cut);
        for (blocks, seed) in hosts {
            let blocks = if blocks.is_empty() { Blocks::All } else { blocks.parse().unwrap() };
            seal = seal.host(blocks, host(*seed).public());
        }
        seal.write(&path, &|_| ()).unwrap();
        Self { folder, path, owner }
    }

    /// A network sealed and dealt: each leg of blocks (first, last) with its own host's seed.
    pub fn dealt(network: &Path, legs: &[(u32, u32, u8)], plan: DealPlan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.ring");
        let owner = owner(1);
        let leg = |(first, last, seed): &(u32, u32, u8)| (*first..last + 1, host(*seed).public());
        let deal = PlannedDeal { legs: legs.iter().map(leg).collect(), plan };
        let seal = Seal::new(network, &owner).cut(CutPolicy::Op).deal(deal);
        seal.write(&path, &|_| ()).unwrap();
        Self { folder, path, owner }
    }

    /// The ring, authenticated with its owner.
    pub fn ring(&self) -> AuthenticRing {
        let trust = Trust::owner(self.owner.public());
        UnverifiedRing::open(&self.path).unwrap().authenticate(&trust).unwrap()
    }

    /// A session with host 1's key and two threads.
    pub fn session(&self, check: Check) -> Session {
        self.session_of(&[1], check, 2)
    }

    /// A session with the keys of these hosts.
    pub fn session_of(&self, hosts: &[u8], check: Check, threads: usize) -> Session {
        let keys: Vec<_> = hosts.iter().map(|seed| host(*seed)).collect();
        let options = SessionOptions {
            check,
            threads: threads.try_into().ok(),
            background_check: false,
            ..SessionOptions::default()
        };
        Session::open(self.ring(), &keys, options).unwrap()
    }
}

/// The beginning of a query in tests: a name, a salt, no nonce, no time.
pub fn start() -> QueryStart {
    let salt = Salt::from_bytes([7; 32]).unwrap();
    QueryStart { query: Digest([6; 32]), salt, nonce: None, opened_at: 0 }
}

/// So many copies, Genesis to those of leg 1.
pub fn copies(copies: Copies) -> DealPlan {
    DealPlan { copies, eager: false, genesis: Vec::new(), dealt_at: 0 }
}

/// The unprotected network's answer to one input.
pub fn plain(network: &Path, input: &TensorValue) -> TensorValue {
    let model = PlainModel::unaltered(network, 2.try_into().ok()).unwrap();
    model.run(std::slice::from_ref(input)).unwrap().remove(0)
}

/// A session's answer to one input.
pub fn answer(session: &Session, input: &TensorValue) -> TensorValue {
    session.run(vec![input.clone()]).unwrap().outputs.remove(0).remove(0)
}
