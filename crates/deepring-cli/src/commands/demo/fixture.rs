//! The demo's fixture: keys, the sealed ring and its intact copy, the test images, the ledger.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use deepring::files::write_key_pair;
use deepring::{AuthenticRing, Check, Finding, Host, Owner, SecretKey, TensorValue, VerifiedRing};
use deepring_attack::{Evaluator, Network, Predictions, Samples, Split};
use deepring_infer::exporting::export_ring;
use deepring_infer::inputs::write_npy;
use deepring_infer::sealing::{Blocks, SealModelError, SealedModel};
use deepring_infer::{CutPolicy, RunError, RunOutcome, Seal, Session, SessionOptions};
use deepring_onnx::{canonicalise, cut, read_onnx};

use super::folder::Folder;
use crate::commands::recording::Recorder;
use crate::error::{CliError, Exit};
use crate::rings::{self, TrustPolicy};

pub(super) const MODEL: &str = "fashion-resnet8.onnx";
pub(super) const RING: &str = "fashion-resnet8.ring";
pub(super) const BACKUP: &str = "backup.ring";
pub(super) const PLAIN: &str = "plain.onnx";

/// The network, its labels and the test images, which the command carries in itself.
const NETWORK: &[u8] = include_bytes!("../../../../../zoo/fashion-resnet8.onnx");
const LABELS: &[u8] = include_bytes!("../../../../../zoo/labels.txt");
const IMAGES: &[u8] = include_bytes!("../../../../../zoo/fashion-sample/images-idx3-ubyte");
const ANSWERS: &[u8] = include_bytes!("../../../../../zoo/fashion-sample/labels-idx1-ubyte");

/// Of the test images, every so manyth measures the harm of a bit in a search.
const SEARCHED: usize = 10;

/// The test images with the right answers.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) images: Arc<Samples>,
    /// Names of the classes.
    pub(super) labels: Vec<String>,
}

pub(super) struct Fixture {
    pub(super) folder: Folder,
    pub(super) sample: Sample,
    /// Each test image as a query.
    pub(super) queries: Vec<Vec<TensorValue>>,
    /// Host A, which also holds Genesis' part of a query, and host B.
    pub(super) hosts: [SecretKey<Host>; 2],
    pub(super) policy: TrustPolicy,
    pub(super) recorder: Recorder,
    pub(super) ring: AuthenticRing,
    pub(super) sealed: SealedModel,
    /// The plain network that the ring was exported to, which the attacks edit: its tensors are the ring's, bit for bit.
    pub(super) exported: Network,
}

impl Sample {
    fn open(folder: &Path) -> Result<Self, CliError> {
        let images = Arc::new(Samples::open(folder, Split::Test, None)?);
        let labels = String::from_utf8_lossy(LABELS).lines().map(str::to_owned).collect();
        Ok(Self { images, labels })
    }

    pub(super) fn len(&self) -> usize {
        self.images.len()
    }

    /// The class of each image.
    pub(super) fn truth(&self) -> &[usize] {
        self.images.labels()
    }

    pub(super) fn label(&self, class: usize) -> &str {
        self.labels.get(class).map_or("?", String::as_str)
    }

    /// Each image as a query, in the input of this name.
    fn queries(&self, input: &str) -> Result<Vec<Vec<TensorValue>>, CliError> {
        let query = |at: usize| Ok(vec![self.images.batch(input, at..at + 1, 1)?]);
        (0..self.len()).map(query).collect()
    }

    /// The answers, an image a query.
    pub(super) fn answers(&self, outputs: &[Vec<TensorValue>]) -> Result<Predictions, CliError> {
        Predictions::of_outputs(outputs, self.truth())
            .ok_or_else(|| CliError::new(Exit::Failed, "the network gives no row of f32 scores"))
    }

    /// Asks plain networks about all images.
    pub(super) fn evaluator(&self) -> Evaluator {
        Evaluator::new(Arc::clone(&self.images), available_parallelism().map_or(1, usize::from))
    }

    /// Asks plain networks about some images, while an attack searches.
    pub(super) fn search_evaluator(&self) -> Evaluator {
        let some: Vec<usize> = (0..self.len()).step_by(SEARCHED).collect();
        let workers = available_parallelism().map_or(1, usize::from);
        Evaluator::new(Arc::new(self.images.pick(&some)), workers)
    }
}

impl Fixture {
    /// Step 1: writes the built-in files, makes keys, seals the network for two hosts, verifies the ring
    /// and keeps a copy. All of it lies in the folder, the trust store too. `trust` is the `--trust` option, whose store is
    /// spared.
    pub(super) fn prepare(root: &Path, trust: Option<&Path>) -> Result<Self, CliError> {
        let mut folder = Folder::prepare(root, trust)?;
        let model = folder.write(MODEL, NETWORK)?;
        folder.write("images-idx3-ubyte", IMAGES)?;
        folder.write("labels-idx1-ubyte", ANSWERS)?;
        folder.write("labels.txt", LABELS)?;
        let sample = Sample::open(root)?;

        let owner = SecretKey::<Owner>::generate()?;
        let hosts = [SecretKey::<Host>::generate()?, SecretKey::<Host>::generate()?];
        folder.claim([owner.public().to_string()])?;
        folder.claim(hosts.iter().map(|host| host.public().to_string()))?;
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
        let mut policy = TrustPolicy::of(owner.public(), Some(&store))?.remembering().binding();
        let ring = policy.verify(&rings::resolved_path(&folder.path(RING))?)?.into_authentic();
        folder.copy(RING, BACKUP)?;
        export_ring(&ring, (&owner).into(), &folder.path(PLAIN), &|_| ())?;
        let exported = Network::read(&folder.path(PLAIN))?;
        let mut recorder = Recorder::begin(&folder.path("ledger"), &hosts)?;
        folder.claim([recorder.key().to_owned()])?;
        recorder.register(&ring, &owner)?;
        recorder.remember(&ring, &mut policy);

        let input = ring.inputs().first().map_or("", |spec| spec.name.as_str());
        let queries = sample.queries(input)?;
        if let Some(first) = queries.iter().flatten().next() {
            write_npy(&folder.path("first.npy"), first)?;
        }
        Ok(Self { folder, sample, queries, hosts, policy, recorder, ring, sealed, exported })
    }

    pub(super) fn ring_path(&self) -> PathBuf {
        self.folder.path(RING)
    }

    /// Reads every byte of the ring file and checks it.
    pub(super) fn verify(&mut self) -> Result<VerifiedRing, deepring::RingError> {
        self.policy.verify(&rings::resolved_path(&self.ring_path())?)
    }

    /// Opens the ring file as both hosts.
    pub(super) fn open(&mut self, check: Check) -> Result<Session, RunFailure> {
        let ring = self.policy.authenticate(&rings::resolved_path(&self.ring_path())?)?;
        Ok(Session::open(ring, &self.hosts, SessionOptions { check, ..SessionOptions::default() })?)
    }

    /// Has every test image answered by the ring, as one batch, and records the decision.
    pub(super) fn run_queries(
        &mut self,
        session: &Session,
    ) -> Result<(Predictions, RunOutcome, u64), RunFailure> {
        let outcome = session.run_batch(self.queries.clone())?;
        let entry = self.recorder.decision(&outcome.decision, session.ring().outline())?;
        Ok((self.sample.answers(&outcome.outputs)?, outcome, entry))
    }

    /// Records an alarm for each finding; the entries' indices.
    pub(super) fn alarm(&mut self, findings: &[Finding]) -> Result<Vec<u64>, CliError> {
        self.recorder.findings(self.ring.ring_id(), self.ring.digest(), findings)
    }

    /// Records a repair, one entry for each host; the last one's index.
    pub(super) fn record_repair(&mut self, blocks: &[u32], source: &Path) -> Result<u64, CliError> {
        let ring = (self.ring.ring_id(), self.ring.digest());
        let last = self.recorder.repair(ring, blocks, source, None)?.entries.pop();
        last.ok_or_else(|| CliError::new(Exit::Failed, "the ledger takes no entry of the repair"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_sample_is_well_formed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("images-idx3-ubyte"), IMAGES).unwrap();
        std::fs::write(dir.path().join("labels-idx1-ubyte"), ANSWERS).unwrap();
        let sample = Sample::open(dir.path()).unwrap();
        assert_eq!((sample.len(), sample.labels.len()), (400, 10));
        assert!(sample.truth().iter().all(|class| *class < 10));
        assert_eq!(sample.search_evaluator().samples().len(), 40);
        let queries = sample.queries("image").unwrap();
        assert_eq!(queries[399][0].data().len(), 4 * 28 * 28);
        // Cut short, it is refused.
        std::fs::write(dir.path().join("images-idx3-ubyte"), &IMAGES[..1000]).unwrap();
        assert!(Sample::open(dir.path()).is_err());
    }
}
