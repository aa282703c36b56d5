//! The work of one row of the growth table, in a process whose peak of memory is that row's.

use deepring::{Check, Host, Owner, SecretKey, Trust, UnverifiedRing};
use deepring_infer::sealing::Blocks;
use deepring_infer::{Seal, Session, SessionOptions};
use serde::{Deserialize, Serialize};

use super::fixture::made_up;
use super::machine::peak_memory;
use super::{SEED, WARM_UP, timed};
use crate::cli::{BenchStep, StepKind};
use crate::error::CliError;
use crate::output;

/// Names in the folder of parent and child.
pub(super) const MODEL: &str = "stack.onnx";
pub(super) const RING: &str = "stack.ring";

/// The output of a step, which its parent reads.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StepReport {
    /// Of each run; of `run`, from the file to an open session.
    pub(super) seconds: Vec<f64>,
    /// Of each batch of queries, where the step was `run`.
    pub(super) query_seconds: Vec<f64>,
    /// The most memory that the process had; `None` where the system does not say.
    pub(super) peak_bytes: Option<u64>,
}

pub(super) fn step(args: &BenchStep) -> Result<(), CliError> {
    let owner = SecretKey::<Owner>::read(&args.folder.join("owner.key"))?;
    let host = SecretKey::<Host>::read(&args.folder.join("host.key"))?;
    let (model, ring) = (args.folder.join(MODEL), args.folder.join(RING));
    let mut report = StepReport::default();
    match args.kind {
        StepKind::Seal => {
            for _ in 0..args.repeat.get() {
                let seal = Seal::new(&model, &owner).host(Blocks::All, host.public());
                let seal = seal.cut(args.cut);
                let (took, _) = timed(|| Ok(seal.write(&ring, &|_| ())?))?;
                report.seconds.push(took.as_secs_f64());
            }
        }
        StepKind::Verify => {
            let trust = Trust::owner(owner.public());
            for _ in 0..args.repeat.get() {
                let verify = || Ok(UnverifiedRing::open(&ring)?.verify(&trust, &|_| ())?);
                report.seconds.push(timed(verify)?.0.as_secs_f64());
            }
        }
        StepKind::Run => run(args, &owner, &host, &mut report)?,
    }
    report.peak_bytes = peak_memory();
    output::json(&report)
}

fn run(
    args: &BenchStep,
    owner: &SecretKey<Owner>,
    host: &SecretKey<Host>,
    report: &mut StepReport,
) -> Result<(), CliError> {
    let open = || {
        let trust = Trust::owner(owner.public());
        let ring = UnverifiedRing::open(&args.folder.join(RING))?.authenticate(&trust)?;
        let options = SessionOptions {
            check: Check::Auto,
            threads: Some(args.threads),
            background_check: false,
            ..SessionOptions::default()
        };
        Ok(Session::open(ring, std::slice::from_ref(host), options)?)
    };
    let mut session = open()?;
    for _ in 0..args.repeat.get() {
        // Two open rings at a time would be another row's memory.
        drop(session);
        let took;
        (took, session) = timed(open)?;
        report.seconds.push(took.as_secs_f64());
    }
    let inputs = session.ring().inputs();
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut query = || inputs.iter().map(|spec| made_up(spec, &mut random)).collect();
    let batch = (0..args.batch.get()).map(|_| query()).collect::<Result<Vec<Vec<_>>, _>>()?;
    let runs = WARM_UP + usize::try_from(args.repeat.get()).unwrap_or(usize::MAX - WARM_UP);
    for number in 0..runs {
        let given = batch.clone();
        let (took, _) = timed(|| Ok(session.run_batch(given)?))?;
        if number >= WARM_UP {
            report.query_seconds.push(took.as_secs_f64());
        }
    }
    Ok(())
}
