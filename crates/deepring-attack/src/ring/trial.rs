//! How a sealed network meets a tampered one: refused, by which name, and whether it recovers.

mod at_rest;
mod compare;
mod live;
mod race;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use deepring::keys::NoRandomness;
use deepring::maintenance::RepairError;
use deepring::opening::OpenError;
use deepring::{
    AuthenticRing, Check, Dim, Finding, Host, Owner, RingError, SecretKey, TensorValue, Trust,
    UnverifiedRing, Verdict,
};
use deepring_infer::sealing::{Blocks, SealModelError};
use deepring_infer::{RunError, Seal, Session, SessionOptions};
use serde::Serialize;
use tempfile::TempDir;
use thiserror::Error;

use super::edit::RingEdit;
use super::file::RingFileError;
use crate::network::{Network, NetworkError};
use crate::samples::{Samples, SamplesError};
use compare::{Change, Opened};
pub use race::{Bout, ToctouResult, ToctouTiming, ToctouWriter};

/// A clean network, sealed in a temporary folder with keys of its own, in an open session; and an intact copy.
///
/// One trial meets any number of tampered networks; each leaves it as it was.
#[derive(Debug)]
pub struct RingTrial {
    folder: TempDir,
    owner: SecretKey<Owner>,
    host: SecretKey<Host>,
    options: SessionOptions,
    session: Session,
    clean: Opened,
    /// The answers of the clean ring to the samples asked last.
    answered: Option<(Samples, Vec<Vec<TensorValue>>)>,
}

/// Where tampering was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TamperTarget {
    /// Into the parameters of the open session.
    LiveMemory,
    /// Into the stored file, block by block.
    AtRest,
    /// Instead of the stored file: the attacker's ring as a whole, since its blocks are others.
    WholeRing,
}

/// A place that tampering changed: a part of a block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tampered {
    /// The block.
    pub block: u32,
    /// Parameter tensor, `graph`, or `manifest`; `header` where what the header says is different.
    pub part: String,
}

/// A place that a refusal named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reported {
    /// The block; `None` where the ring as a whole is refused.
    pub block: Option<u32>,
    /// Tensor, where one is named; else `header`, `closure`, `file` and so on.
    pub part: String,
}

/// One form in which tampering was shown to the reader.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// The attacker's action, in a few words.
    pub how: &'static str,
    /// The reader's verdict on it.
    pub verdict: Verdict,
    /// The first finding; empty if there is none.
    pub refusal: String,
}

/// How a tampered network was met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// Where tampering was put.
    pub place: TamperTarget,
    /// The places that it changed; empty if the two networks seal alike.
    pub touched: Vec<Tampered>,
    /// True if each form of it was refused.
    pub detected: bool,
    /// The places that were named, each once.
    pub named: Vec<Reported>,
    /// True if every touched block was named, and nothing besides.
    pub located: bool,
    /// True if moreover every tensor that was named is one that was touched.
    pub located_tensor: bool,
    /// True if after the repair nothing of it is left and all answers are the clean ones, bit for bit.
    pub recovered: bool,
    /// Answers given while it was in place. With [`Check::Run`] there are none. With [`Check::Auto`] and
    /// [`Check::Compute`] a weight under a product that an input does not light, or whose change stays within rounding,
    /// is detected when its turn in the rotation comes, 64 queries later at the latest; so many are asked if need be.
    pub answers_given: usize,
    /// Those of them that were not the clean ones, bit for bit.
    pub answers_wrong: usize,
    /// The largest difference of any of their scores from the clean one; infinite where one is not a number.
    pub answers_off_by: f32,
    /// The first finding, as the user sees it; empty if there was none.
    pub refusal: String,
    /// Each form in which it was shown.
    pub presented: Vec<Scenario>,
    /// Milliseconds that the repair took: opening blocks anew, or restoring the file from the copy.
    pub repair_ms: f64,
}

/// Why a trial could not be held.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingTrialError {
    /// The network cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealModelError),
    /// An intact ring was refused or could not be read.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// A block of an intact ring did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The session failed, other than by refusing.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The repair failed.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// A ring file could not be rearranged.
    #[error(transparent)]
    File(#[from] RingFileError),
    /// The network could not be written.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The samples do not fit the network.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// No temporary file, or memory could not be written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The attack is none on live memory.
    #[error("`{kind}` is no attack on live memory")]
    NotInMemory {
        /// The attack.
        kind: &'static str,
    },
    /// No keys.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The network has another number of inputs than one.
    #[error("the network has {inputs} inputs, and samples fill one")]
    Inputs {
        /// How many.
        inputs: usize,
    },
}

impl RingTrial {
    /// Seals a network as `deepring seal` does, and opens it with this check on one thread a core.
    ///
    /// # Errors
    /// [`RingTrialError`] where the network cannot be sealed, or has another number of inputs than one.
    pub fn seal(network: &Network, check: Check) -> Result<Self, RingTrialError> {
        Self::seal_with(network, SessionOptions { check, ..SessionOptions::default() })
    }

    /// As [`seal`](Self::seal), with other options of the session.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_with(network: &Network, options: SessionOptions) -> Result<Self, RingTrialError> {
        let folder = tempfile::tempdir()?;
        let (owner, host) = (SecretKey::generate()?, SecretKey::generate()?);
        let path = folder.path().join("intact.ring");
        seal_network(network, &owner, &host, folder.path(), &path)?;
        let clean = Opened::read(&path, &owner)?;
        let session = open(&path, &owner, &host, options)?;
        Ok(Self { folder, owner, host, options, session, clean, answered: None })
    }

    /// The blocks: number and name.
    #[must_use]
    pub fn blocks(&self) -> Vec<(u32, String)> {
        self.ring().headers().iter().map(|h| (h.index, h.name.clone())).collect()
    }

    /// The clean ring.
    #[must_use]
    pub fn ring(&self) -> &AuthenticRing {
        self.session.ring()
    }

    /// The scores that the clean ring gives each sample: the first output, row by row.
    ///
    /// # Errors
    /// [`RingTrialError::Run`] where the session fails; [`RingTrialError::Samples`] where the samples do not fit the network.
    pub fn run(&self, samples: &Samples) -> Result<Vec<Vec<f32>>, RingTrialError> {
        let mut rows = Vec::with_capacity(samples.len());
        let per_query = self.rows(samples.len());
        for query in self.queries(samples)? {
            let outcome = self.session.run(query)?;
            let first = outcome.outputs.first().and_then(|o| o.first());
            let data = first.map(|t| t.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
            let scores: Vec<f32> = data.into_iter().flatten().collect();
            let width = (scores.len() / per_query).max(1);
            rows.extend(scores.chunks(width).map(<[f32]>::to_vec));
        }
        rows.truncate(samples.len());
        Ok(rows)
    }

    /// Shows the ring a tampered network, by the way that the change allows.
    ///
    /// Where only parameters differ and memory can be written, they are written into the live session; else the stored
    /// file is changed. Nothing of it needs the owner's key.
    ///
    /// # Errors
    /// [`RingTrialError`] where the tampered network cannot be sealed, the tampering not be made, or the session fails other than
    /// by refusing.
    pub fn detect(
        &mut self,
        attacked: &Network,
        samples: &Samples,
    ) -> Result<Detection, RingTrialError> {
        self.detect_in(attacked, samples, TamperTarget::LiveMemory)
    }

    /// As [`detect`](Self::detect); what could be put into live memory is put into the stored file.
    ///
    /// # Errors
    /// As [`detect`](Self::detect).
    pub fn detect_at_rest(
        &mut self,
        attacked: &Network,
        samples: &Samples,
    ) -> Result<Detection, RingTrialError> {
        self.detect_in(attacked, samples, TamperTarget::AtRest)
    }

    fn detect_in(
        &mut self,
        attacked: &Network,
        samples: &Samples,
        wanted: TamperTarget,
    ) -> Result<Detection, RingTrialError> {
        let wanted_answers = self.clean_answers(samples)?;
        let theirs = self.seal_attacked(attacked)?;
        match Change::between(&self.clean, &theirs) {
            Change::Parameters(edits)
                if wanted == TamperTarget::LiveMemory && RingEdit::MEMORY_IS_WRITABLE =>
            {
                self.detect_live(&edits, samples, &wanted_answers)
            }
            change => self.detect_stored(&change, samples, &wanted_answers),
        }
    }

    /// The attacked network as the clean one was sealed, by keys of the attacker; he knows the host's public one.
    fn seal_attacked(&self, attacked: &Network) -> Result<Opened, RingTrialError> {
        let attacker = SecretKey::<Owner>::generate()?;
        let path = self.path("attacker.ring");
        seal_network(attacked, &attacker, &self.host, self.folder.path(), &path)?;
        Opened::read(&path, &attacker)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Samples that one query takes.
    fn rows(&self, count: usize) -> usize {
        let spec = self.ring().inputs().first();
        match spec.and_then(|s| s.dims.as_ref()).and_then(|d| d.first()) {
            Some(Dim::Fixed(n)) => usize::try_from(*n).unwrap_or(count).max(1),
            _ => 1,
        }
    }

    /// One query of the clean ring; its answer is not looked at.
    pub(super) fn run_query(&self, query: Vec<TensorValue>) -> Result<(), RingTrialError> {
        self.session.run(query)?;
        Ok(())
    }

    pub(super) fn queries(
        &self,
        samples: &Samples,
    ) -> Result<Vec<Vec<TensorValue>>, RingTrialError> {
        let inputs = self.ring().inputs();
        let [input] = inputs else {
            return Err(RingTrialError::Inputs { inputs: inputs.len() });
        };
        let rows = self.rows(samples.len());
        let starts = (0..samples.len()).step_by(rows);
        let query = |start: usize| {
            let end = (start + rows).min(samples.len());
            Ok(vec![samples.batch(&input.name, start..end, rows)?])
        };
        starts.map(query).collect()
    }

    fn clean_answers(
        &mut self,
        samples: &Samples,
    ) -> Result<Vec<Vec<TensorValue>>, RingTrialError> {
        if let Some((asked, answers)) = &self.answered
            && asked == samples
        {
            return Ok(answers.clone());
        }
        let answers = answers(&self.session, self.queries(samples)?)?;
        self.answered = Some((samples.clone(), answers.clone()));
        Ok(answers)
    }
}

/// The first output set of each query; the first refusal ends it.
fn answers(
    session: &Session,
    queries: Vec<Vec<TensorValue>>,
) -> Result<Vec<Vec<TensorValue>>, RunError> {
    let one = |query| Ok(session.run(query)?.outputs.into_iter().next().unwrap_or_default());
    queries.into_iter().map(one).collect()
}

fn seal_network(
    network: &Network,
    owner: &SecretKey<Owner>,
    host: &SecretKey<Host>,
    folder: &Path,
    target: &Path,
) -> Result<(), RingTrialError> {
    let model = folder.join("network.onnx");
    network.write(&model)?;
    Seal::new(&model, owner).host(Blocks::All, host.public()).write(target, &|_| ())?;
    Ok(())
}

fn open(
    path: &Path,
    owner: &SecretKey<Owner>,
    host: &SecretKey<Host>,
    options: SessionOptions,
) -> Result<Session, RingTrialError> {
    let ring = UnverifiedRing::open(path)?.authenticate(&Trust::owner(owner.public()))?;
    Ok(Session::open(ring, std::slice::from_ref(host), options)?)
}

impl Reported {
    fn of(finding: &Finding) -> Self {
        let part = finding.tensor.clone().unwrap_or_else(|| finding.part.name().to_owned());
        Self { block: finding.block, part }
    }
}

/// Returns whether the blocks named are those touched, and whether the tensors named are among those touched.
fn located(touched: &[Tampered], named: &[Reported]) -> (bool, bool) {
    let wanted: BTreeSet<Option<u32>> = touched.iter().map(|t| Some(t.block)).collect();
    let found: BTreeSet<Option<u32>> = named.iter().map(|n| n.block).collect();
    let blocks = !wanted.is_empty() && wanted == found;
    let of = |n: &Reported| touched.iter().any(|t| Some(t.block) == n.block && t.part == n.part);
    (blocks, blocks && named.iter().all(of))
}

/// Each once, in the order of the blocks.
fn each_once<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    items.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The largest difference of any score; infinite where one is not a number.
fn furthest(given: &[TensorValue], right: &[TensorValue]) -> f32 {
    let floats = |tensors: &[TensorValue]| -> Vec<f32> {
        let bytes = tensors.iter().flat_map(|t| t.data().as_chunks().0);
        bytes.map(|b| f32::from_le_bytes(*b)).collect()
    };
    let pairs = floats(given).into_iter().zip(floats(right));
    pairs
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |m, d| if d.is_nan() { f32::INFINITY } else { m.max(d) })
}
