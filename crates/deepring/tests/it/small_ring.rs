//! A ring of Genesis and three tiny blocks, with fixed keys, sealed into a buffer.

use std::ops::Range;
use std::sync::Arc;

use deepring::seal::{BlockPlan, Predecessor, RingPlan, RingSealer};
use deepring::{
    DType, Digest, Dim, Host, Manifest, Owner, PartKind, PublicKey, Report, RingError, RingKind,
    SecretKey, TensorSpec, Trust, UnverifiedRing, VerifiedRing,
};

/// The owner of every ring here. Test keys: their secrets are in this file.
pub(crate) fn owner() -> SecretKey<Owner> {
    SecretKey::from_halves(&OWNER_SEED, &[0x12; 32]).unwrap()
}

pub(crate) const OWNER_SEED: [u8; 32] = [0x11; 32];

/// An owner whom nobody here trusts.
pub(crate) fn stranger() -> SecretKey<Owner> {
    SecretKey::from_halves(&STRANGER_SEED, &[0x22; 32]).unwrap()
}

pub(crate) const STRANGER_SEED: [u8; 32] = [0x21; 32];

/// Runs Genesis and block 1.
pub(crate) fn host_a() -> SecretKey<Host> {
    SecretKey::from_halves(&HOST_A_SEED, &[0x32; 32]).unwrap()
}

pub(crate) const HOST_A_SEED: [u8; 32] = [0x31; 32];

/// Runs blocks 2 and 3.
pub(crate) fn host_b() -> SecretKey<Host> {
    SecretKey::from_halves(&HOST_B_SEED, &[0x42; 32]).unwrap()
}

pub(crate) const HOST_B_SEED: [u8; 32] = [0x41; 32];

/// A host of nothing, until it is granted something.
pub(crate) fn host_c() -> SecretKey<Host> {
    SecretKey::from_halves(&HOST_C_SEED, &[0x52; 32]).unwrap()
}

pub(crate) const HOST_C_SEED: [u8; 32] = [0x51; 32];

/// A host of nothing, as [`host_c`].
pub(crate) fn host_d() -> SecretKey<Host> {
    SecretKey::from_halves(&HOST_D_SEED, &[0x62; 32]).unwrap()
}

pub(crate) const HOST_D_SEED: [u8; 32] = [0x61; 32];

pub(crate) fn f32_spec(name: &str, dims: &[u64]) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        dtype: DType::F32,
        dims: Some(dims.iter().map(|d| Dim::Fixed(*d)).collect()),
    }
}

fn batched(name: &str, width: u64) -> TensorSpec {
    let dims = vec![Dim::Named("batch".into()), Dim::Fixed(width)];
    TensorSpec { name: name.into(), dtype: DType::F32, dims: Some(dims) }
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        model_name: "small".into(),
        producer: "test".into(),
        opset: 17,
        preprocess: "scale=1/255".into(),
        labels: vec!["cat".into(), "dog".into()],
    }
}

/// Genesis, two convolutions of the same size, and a tail without parameters.
pub(crate) fn plan() -> RingPlan {
    let (a, b) = (host_a().public(), host_b().public());
    let conv = |n: u64, hosts: Vec<PublicKey<Host>>| BlockPlan {
        name: format!("conv{n}"),
        inputs: vec![batched(&format!("x{}", n - 1), 4)],
        outputs: vec![batched(&format!("x{n}"), 4)],
        parts: vec![
            (PartKind::Parameter(f32_spec(&format!("conv{n}.weight"), &[3, 4])), 48),
            (PartKind::Parameter(f32_spec(&format!("conv{n}.bias"), &[4])), 16),
            (PartKind::Graph, 21),
        ],
        shared: Vec::new(),
        hosts,
    };
    let tail = BlockPlan {
        name: "tail".into(),
        inputs: vec![batched("x2", 4)],
        outputs: vec![batched("y", 2)],
        parts: vec![(PartKind::Graph, 9)],
        shared: Vec::new(),
        hosts: vec![b],
    };
    let genesis = BlockPlan {
        name: "genesis".into(),
        inputs: vec![batched("y", 2)],
        outputs: vec![batched("x0", 4)],
        parts: vec![(PartKind::Manifest, manifest().encode().len() as u64)],
        shared: Vec::new(),
        hosts: vec![a, b],
    };
    RingPlan {
        kind: RingKind::Network,
        model_version: 1,
        previous: None,
        sealed_at: 1_700_000_000,
        blocks: vec![genesis, conv(1, vec![a]), conv(2, vec![b]), tail],
        deal: None,
    }
}

/// The small ring's plan, and behind it two shared blocks: of a table that the convolutions use, and of two
/// vectors that the second of them and the tail use.
pub(crate) fn plan_with_shared() -> RingPlan {
    let (a, b) = (host_a().public(), host_b().public());
    let shared = |name: &str, parts: Vec<(&str, u64)>, hosts| BlockPlan {
        name: name.into(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        parts: parts
            .into_iter()
            .map(|(name, n)| (PartKind::Parameter(f32_spec(name, &[n])), 4 * n))
            .collect(),
        shared: Vec::new(),
        hosts,
    };
    let mut plan = plan();
    plan.blocks.push(shared("shared", vec![("table", 300)], vec![a, b]));
    plan.blocks.push(shared("shared_1", vec![("gamma", 10), ("beta", 7)], vec![b]));
    for (block, used) in [(1, vec![4]), (2, vec![4, 5]), (3, vec![5])] {
        plan.blocks[block].shared = used;
    }
    plan
}

/// The plan of the version that follows `ring`.
pub(crate) fn next_version(ring: &VerifiedRing) -> RingPlan {
    RingPlan {
        model_version: ring.model_version() + 1,
        previous: Some(Predecessor::from(&**ring)),
        ..plan()
    }
}

/// The plaintext of a planned block: the manifest, or bytes that differ by block and place.
pub(crate) fn plaintext(sealer: &RingSealer, block: usize) -> Vec<u8> {
    if block == 0 {
        return manifest().encode();
    }
    let mut out = vec![0; usize::try_from(sealer.own_len(block)).unwrap()];
    for part in sealer.parts_of(block).iter().filter(|p| p.shared.is_none()) {
        for at in part.offset..part.end() {
            out[usize::try_from(at).unwrap()] = (block as u64 * 31 + at * 7 + 1).to_le_bytes()[0];
        }
    }
    out
}

/// Seals a plan at `target`.
pub(crate) fn seal_at(target: &std::path::Path, plan: &RingPlan, owner: &SecretKey<Owner>) {
    let mut sealer = RingSealer::create(target, plan, owner).unwrap();
    while let Some(block) = sealer.next_block() {
        let plaintext = plaintext(&sealer, block);
        sealer.seal_block(&plaintext).unwrap();
    }
    sealer.finish().unwrap();
}

/// Seals a plan into a buffer.
pub(crate) fn seal(plan: &RingPlan, owner: &SecretKey<Owner>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("small.ring");
    seal_at(&target, plan, owner);
    std::fs::read(target).unwrap()
}

/// The first version of the small ring.
pub(crate) fn small_ring() -> Vec<u8> {
    seal(&plan(), &owner())
}

/// The small ring and the version that follows it.
pub(crate) fn two_versions() -> (Vec<u8>, Vec<u8>) {
    let first = small_ring();
    let second = seal(&next_version(&intact(&first)), &owner());
    (first, second)
}

/// Verifies under the owner's key.
pub(crate) fn verify(bytes: &[u8]) -> Result<VerifiedRing, Report> {
    verify_under(bytes, &Trust::owner(owner().public()))
}

pub(crate) fn verify_under(bytes: &[u8], trust: &Trust<'_>) -> Result<VerifiedRing, Report> {
    let ring = UnverifiedRing::read(Arc::new(bytes.to_vec()));
    ring.and_then(|r| r.verify(trust, &|_| ())).map_err(|e| match e {
        RingError::Refused(report) => report,
        other => panic!("a buffer can always be read: {other}"),
    })
}

/// The ring in bytes that must be intact.
pub(crate) fn intact(bytes: &[u8]) -> VerifiedRing {
    verify(bytes).unwrap_or_else(|report| panic!("{report}"))
}

/// The report on bytes that must be refused.
pub(crate) fn refused(bytes: &[u8]) -> Report {
    match verify(bytes) {
        Ok(_) => panic!("accepted"),
        Err(report) => report,
    }
}

/// The places that findings name, in order: block, part, tensor.
pub(crate) fn places(report: &Report) -> Vec<(Option<u32>, &'static str, Option<&str>)> {
    report.findings.iter().map(|f| (f.block, f.part.name(), f.tensor.as_deref())).collect()
}

/// Where things are in a ring file, read as `docs/FORMAT.md` says and by no code of the crate.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) closure: Range<usize>,
    pub(crate) headers: Vec<Range<usize>>,
    pub(crate) bodies: Vec<Range<usize>>,
}

impl Places {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let count = u32_at(bytes, 12) as usize;
        let closure = 24..24 + 266 + 76 * count;
        let rows = closure.start + 138 + 32 * count;
        let mut at = closure.end;
        let mut place = |len: usize| {
            at += len;
            at - len..at
        };
        let row = |i: usize| rows + 44 * i;
        let headers = (0..count).map(|i| place(u32_at(bytes, row(i)) as usize)).collect();
        let bodies = (0..count).map(|i| place(u32_at(bytes, row(i) + 4) as usize)).collect();
        Self { closure, headers, bodies }
    }

    /// Header or body of a block.
    pub(crate) fn block(&self, i: usize) -> [Range<usize>; 2] {
        [self.headers[i].clone(), self.bodies[i].clone()]
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Tensor and length of each chunk of a block's body: all parts of the small ring are one chunk long.
pub(crate) fn chunks_of(block: usize) -> Vec<(String, usize)> {
    plan().blocks[block]
        .parts
        .iter()
        .map(|(kind, len)| {
            let label = match kind {
                PartKind::Manifest => "manifest".to_owned(),
                PartKind::Graph => "graph".to_owned(),
                PartKind::Parameter(spec) => spec.name.clone(),
                other => panic!("{other:?} is new"),
            };
            (label, usize::try_from(*len).unwrap() + 16)
        })
        .collect()
}

/// Copies `from` over `to`'s bytes at the same range.
pub(crate) fn splice(to: &mut [u8], from: &[u8], range: &Range<usize>) {
    to[range.clone()].copy_from_slice(&from[range.clone()]);
}

/// A digest that stands for some tensors.
pub(crate) fn some_digest(n: u8) -> Digest {
    Digest([n; 32])
}
