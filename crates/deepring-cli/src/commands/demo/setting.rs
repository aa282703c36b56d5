//! Where the demo plays: keys, the sealed ring and its intact copy, the test images, the ledger.

use std::path::{Path, PathBuf};

use deepring::{
    AuthenticRing, Check, Finding, Host, Owner, SecretKey, TensorValue, VerifiedRing,
    write_key_pair,
};
use deepring_infer::{
    Blocks, CutPolicy, Outcome, RunError, Seal, SealModelError, SealedModel, Session,
    SessionOptions, export_ring, write_npy,
};
use deepring_onnx::{canonicalise, cut, read_onnx};

use super::answers::Answers;
use super::data::{self, Sample};
use super::folder::Folder;
use crate::commands::recording::Recorder;
use crate::error::{CliError, Exit};
use crate::rings::{self, Trusting};

pub(super) const MODEL: &str = "fashion-resnet8.onnx";
pub(super) const RING: &str = "fashion-resnet8.ring";
pub(super) const BACKUP: &str = "backup.ring";
pub(super) const PLAIN: &str = "plain.onnx";

pub(super) struct Setting {
    pub(super) folder: Folder,
    pub(super) sample: Sample,
    /// Each test image as a query.
    pub(super) queries: Vec<Vec<TensorValue>>,
    pub(super) owner: SecretKey<Owner>,
    /// Host A, which also holds Genesis' part of a query, and host B.
    pub(super) hosts: [SecretKey<Host>; 2],
    pub(super) trusting: Trusting,
    pub(super) recorder: Recorder,
    pub(super) ring: AuthenticRing,
    pub(super) sealed: SealedModel,
}

impl Setting {
    /// Step 1: writes the built-in files, makes keys, seals the network for two hosts, verifies the ring
    /// and keeps a copy. All of it lies in the folder, the trust store too.
    pub(super) fn prepare(root: &Path) -> Result<Self, CliError> {
        let folder = Folder::prepare(root)?;
        let sample = Sample::embedded()?;
        let model = folder.write(MODEL, data::NETWORK)?;
        folder.write("images-idx3-ubyte", data::IMAGES)?;
        folder.write("labels-idx1-ubyte", data::ANSWERS)?;
        folder.write("labels.txt", data::LABELS)?;

        let owner = SecretKey::<Owner>::generate()?;
        let hosts = [SecretKey::<Host>::generate()?, SecretKey::<Host>::generate()?];
        write_key_pair(&folder.path("keys/owner"), &owner)?;
        for (key, dir) in hosts.iter().zip(["keys/host-a", "keys/host-b"]) {
            write_key_pair(&folder.path(dir), key)?;
        }

        let (first, second) = halves(count_blocks(&model)?);
        let [a, b] = &hosts;
        let sealed = Seal::new(&model, &owner)
            .host(first, a.public())
            .host(second, b.public())
            .labels(sample.labels.clone())
            .write(&folder.path(RING), &|_| ())?;

        let store = folder.path("trust.json");
        let mut trusting = Trusting::of(owner.public(), Some(&store))?.remembering().binding();
        let ring = trusting.verify(&rings::way(&folder.path(RING))?)?.into_authentic();
        folder.copy(RING, BACKUP)?;
        export_ring(&ring, (&owner).into(), &folder.path(PLAIN), &|_| ())?;
        let mut recorder = Recorder::begin(&folder.path("ledger"))?;
        recorder.register(&ring)?;
        recorder.remember(&ring, &mut trusting);

        let input = ring.inputs().first().map_or("", |spec| spec.name.as_str());
        let queries = sample.queries(input)?;
        if let Some(first) = queries.iter().flatten().next() {
            write_npy(&folder.path("first.npy"), first)?;
        }
        Ok(Self { folder, sample, queries, owner, hosts, trusting, recorder, ring, sealed })
    }

    pub(super) fn ring_path(&self) -> PathBuf {
        self.folder.path(RING)
    }

    /// Reads every byte of the ring file and checks it.
    pub(super) fn verify(&mut self) -> Result<VerifiedRing, deepring::RingError> {
        self.trusting.verify(&rings::way(&self.ring_path())?)
    }

    /// Opens the ring file as both hosts.
    pub(super) fn open(&mut self, check: Check) -> Result<Session, RunFailure> {
        let ring = self.trusting.authenticate(&rings::way(&self.ring_path())?)?;
        Ok(Session::open(ring, &self.hosts, SessionOptions { check, ..SessionOptions::default() })?)
    }

    /// Has every test image answered by the ring, as one batch, and records the decision.
    pub(super) fn ask(&mut self, session: &Session) -> Result<(Answers, Outcome, u64), RunFailure> {
        let outcome = session.run_batch(self.queries.clone())?;
        let entry = self.recorder.decision(&outcome.decision, self.queries.len())?;
        Ok((Answers::of(&outcome.outputs), outcome, entry))
    }

    /// Records an alarm for each finding; the entries' indices.
    pub(super) fn alarm(&mut self, findings: &[Finding]) -> Result<Vec<u64>, CliError> {
        let (id, digest) = (self.ring.ring_id().0, self.ring.digest().0);
        self.recorder.alarms(id, digest, findings)
    }

    /// Records a repair; the entry's index.
    pub(super) fn record_repair(
        &mut self,
        blocks: Vec<u32>,
        source: &Path,
    ) -> Result<u64, CliError> {
        let (id, digest) = (self.ring.ring_id().0, self.ring.digest().0);
        self.recorder.repair(id, digest, blocks, source)
    }

    /// Host A or B, by the block that it runs; `None` for Genesis, which both can open.
    pub(super) fn host_of(&self, block: u32) -> Option<usize> {
        let header = self.ring.layers().iter().find(|h| h.index == block)?;
        self.hosts.iter().position(|host| header.hosts().any(|h| h == host.public()))
    }
}

/// Why the ring gave no answer: it was refused, or something else failed.
#[derive(Debug)]
pub(super) enum RunFailure {
    Refused(Vec<Finding>),
    Failed(CliError),
}

impl From<RunError> for RunFailure {
    fn from(e: RunError) -> Self {
        match e.finding() {
            Some(finding) => Self::Refused(vec![finding.clone()]),
            None => Self::Failed(e.into()),
        }
    }
}

impl From<deepring::RingError> for RunFailure {
    fn from(e: deepring::RingError) -> Self {
        match e {
            deepring::RingError::Refused(report) => Self::Refused(report.findings),
            e => Self::Failed(e.into()),
        }
    }
}

impl From<CliError> for RunFailure {
    fn from(e: CliError) -> Self {
        Self::Failed(e)
    }
}

impl From<RunFailure> for CliError {
    fn from(e: RunFailure) -> Self {
        match e {
            RunFailure::Refused(findings) => Self::refused("the ring was refused", findings),
            RunFailure::Failed(e) => e,
        }
    }
}

/// How many blocks the network is cut into.
fn count_blocks(model: &Path) -> Result<u32, CliError> {
    let count = || -> Result<usize, SealModelError> {
        Ok(cut(canonicalise(read_onnx(model)?)?, CutPolicy::default())?.blocks.len())
    };
    let count = count()?;
    u32::try_from(count).map_err(|e| CliError::new(Exit::Failed, e))
}

/// The first half of the blocks, rounded up, and the rest.
fn halves(count: u32) -> (Blocks, Blocks) {
    let middle = count.div_ceil(2);
    (Blocks::Some(vec![1..=middle]), Blocks::Some(vec![middle + 1..=count]))
}
