//! `deepring run`: a ring, or a plain network for comparison, answers queries.

mod alarms;
mod rejected;
pub(super) mod targets;
pub(super) mod tensors;
mod times;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Instant;

use deepring::files::ResolvedPath;
use deepring::trust::OwnedRing;
use deepring::{
    AuthenticRing, Check, Digest, Finding, Host, Manifest, Owner, PublicKey, RingError, RingId,
    SecretKey, TensorValue, UnverifiedRing,
};
use deepring_infer::engine::Engine;
use deepring_infer::inputs::{Preprocess, Rejected};
use deepring_infer::measure::Timings;
use deepring_infer::{PlainModel, Rten, RunError, Session, SessionOptions, Validate};
use serde::Serialize;
use serde_json::{Value, json};

use super::receipt;
use super::recording::Recorder;
use super::seal::read_labels;
use crate::begun::Begun;
use crate::cli::{EngineName, RequireArg, RunArgs};
use crate::error::{CliError, Exit};
use crate::hardening;
use crate::inputs::{Pictures, read_queries};
use crate::ledgers::Wanted;
use crate::output;
use crate::progress::Progress;
use crate::rings::TrustPolicy;
use crate::sandbox;
use crate::secrets::Secrets;
use crate::top::{OutputSummary, output_summary};
use alarms::SessionAlarms;
use times::RunTimes;

pub(crate) fn run(args: &RunArgs, trust: Option<&Path>) -> Result<(), CliError> {
    targets::spare_bound_folders(args.output_dir.iter().chain(&args.save_inputs), trust)?;
    let secrets = Secrets::of(&args.passphrase);
    if args.process.sandbox {
        // Neither the terminal nor a descriptor can be opened afterwards.
        secrets.prepare(&args.key)?;
        hardening::confined(sandbox::enter(args, trust)?);
    }
    if args.process.verbose {
        output::note(hardening::text());
    }
    match args.engine {
        EngineName::Rten => run_on(args, trust, secrets, || Ok(Rten::new(args.threads))),
        #[cfg(feature = "ort")]
        EngineName::Ort => {
            if !args.plain && !matches!(args.check, Check::None | Check::Load | Check::Compute) {
                let needs = RunError::CheckNeedsBytes { check: args.check };
                return Err(CliError::usage(needs)
                    .hint("with `--engine ort`, `--check` takes none, load or compute"));
            }
            run_on(args, trust, secrets, || {
                let set = std::env::var_os("DEEPRING_ORT_LIBRARY").filter(|v| !v.is_empty());
                let named = || set.map(std::path::PathBuf::from);
                let library = args.ort_library.clone().or_else(named).ok_or_else(|| {
                    CliError::usage("`--engine ort` needs the shared library of onnxruntime")
                        .hint("name it with `--ort-library PATH` or DEEPRING_ORT_LIBRARY")
                })?;
                Ok(deepring_infer::Ort::load_library(&library, args.threads)?)
            })
        }
        #[cfg(not(feature = "ort"))]
        EngineName::Ort => Err(CliError::usage("this build has no engine `ort`")
            .hint("build it with `cargo build --release -p deepring-cli --features ort`")),
    }
}

fn run_on<E: Engine>(
    args: &RunArgs,
    trust: Option<&Path>,
    secrets: Secrets,
    engine: impl FnOnce() -> Result<E, CliError>,
) -> Result<(), CliError> {
    if args.plain {
        return run_plain(args, trust, engine()?);
    }
    let outcome = run_ring(args, trust, secrets, engine);
    if let (true, Err(e)) = (args.json, &outcome)
        && matches!(e.exit, Exit::Tampered | Exit::Untrusted | Exit::Stale)
    {
        let document = RunDocument {
            verdict: Some(e.exit.word()),
            findings: &e.findings,
            check: Some(args.check),
            hardening: hardening::json(),
            ..RunDocument::default()
        };
        document.print()?;
    }
    outcome
}

/// The document that `--json` prints; of a run that was refused, or of a plain network, some of it is null.
#[derive(Default, Serialize)]
struct RunDocument<'a> {
    verdict: Option<&'a str>,
    findings: &'a [Finding],
    decision: Option<&'a str>,
    owner: Option<PublicKey<Owner>>,
    ring: Option<RingId>,
    model_version: Option<u64>,
    check: Option<Check>,
    outputs: Vec<Value>,
    rejected: Vec<Value>,
    timings: Value,
    hardening: Value,
    /// Of a spot check that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    spot: Option<Value>,
}

impl RunDocument<'_> {
    /// In the order of the keys, as every command's document.
    fn print(&self) -> Result<(), CliError> {
        let value = serde_json::to_value(self).map_err(|e| CliError::new(Exit::Failed, e))?;
        output::json(&value)
    }
}

fn run_ring<E: Engine>(
    args: &RunArgs,
    trust: Option<&Path>,
    secrets: Secrets,
    engine: impl FnOnce() -> Result<E, CliError>,
) -> Result<(), CliError> {
    if args.key.is_empty() {
        return Err(CliError::new(Exit::Untrusted, "no key given").hint(
            "give a host's secret key with `--key host.key`, or run a plain file with `--plain`",
        ));
    }
    let receipt = targets::before_anything(args, trust)?;
    let keys = secrets.keys::<Host>(&args.key)?;
    // The passphrases are wiped before anything of the ring is read.
    drop(secrets);
    let engine = engine()?;
    let mut policy = TrustPolicy::new(&args.owner, trust)?.binding();
    let wanted = Wanted::of(args.ledger.as_deref(), args.ledger_key.as_deref());
    let mut recorder = wanted.map(|ledger| Recorder::open(&ledger, &keys, &policy)).transpose()?;
    recorder.iter().for_each(Recorder::note_unvouched);
    let outcome = decide(args, trust, &keys, engine, &mut policy, &mut recorder, receipt);
    if let Some(recorder) = &recorder {
        recorder.remember_growth(&mut policy);
    }
    outcome
}

/// Authenticates the ring, opens it, answers the queries, and records what is decided or found.
fn decide<E: Engine>(
    args: &RunArgs,
    trust: Option<&Path>,
    keys: &[SecretKey<Host>],
    engine: E,
    policy: &mut TrustPolicy,
    recorder: &mut Option<Recorder>,
    receipt: Option<Begun>,
) -> Result<(), CliError> {
    let started = Instant::now();
    let way = output::resolved_path(&args.model)?;
    let ring = authenticated(&way, policy, recorder)?;
    let (ring_id, ring_digest) = (ring.ring_id(), ring.digest());
    promised(args, &ring)?;
    let nonce = args.nonce.as_deref().map(receipt::parse_nonce).transpose()?;
    let session = open_session(args, engine, ring, keys, nonce).inspect_err(|e| {
        if let (Some(recorder), Some(finding)) = (&mut *recorder, e.finding()) {
            recorder.alarm(ring_id, ring_digest, std::slice::from_ref(finding));
        }
    })?;
    let load = started.elapsed();
    hardening::opened(session.protections());
    if let (true, Some(text)) = (args.process.verbose, hardening::memory_text()) {
        output::note(text);
    }
    // Only now: what does not open is not put to use.
    policy.put_to_use(&way, session.ring());
    if let Some(recorder) = recorder.as_mut() {
        recorder.remember(session.ring(), policy);
    }

    let manifest = session.manifest()?;
    let recipe = recipe_of(&manifest)?;
    let pictures = match manifest.preprocess.is_empty() {
        true => Pictures::NoRecipe,
        false => Pictures::By(&recipe),
    };
    let queries = read_queries(&args.input, session.ring().inputs(), pictures)?;
    let (inputs, outputs) = (session.ring().inputs(), session.ring().outputs());
    targets::before_it_computes(args, trust, inputs, outputs, queries.len())?;
    let mut times = RunTimes::new(load, queries.len());
    let (mut last, mut alarms) = (None, SessionAlarms::default());
    for _ in 0..args.repeat.get() {
        let wanted = Wanted::of(args.ledger.as_deref(), args.ledger_key.as_deref());
        if let (Some(held), Some(wanted)) = (recorder.take_if(|r| r.holds_long()), wanted) {
            let reopened = held.makes_way(&wanted, policy)?;
            reopened.admit(session.ring(), policy)?;
            *recorder = Some(reopened);
        }
        let start = Instant::now();
        let outcome = session.run_batch(queries.clone());
        let recording = Instant::now();
        if let Some(recorder) = recorder.as_mut() {
            alarms.record(recorder, &session, outcome.as_ref());
        }
        let outcome = outcome?;
        if let Some(recorder) = recorder.as_mut() {
            recorder.decision(&outcome.decision, session.ring().outline())?;
        }
        times.ledger += recording.elapsed();
        times.query(start.elapsed(), outcome.timings);
        last = Some(outcome);
    }
    let Some(outcome) = last else { return Ok(()) };
    if let Some(receipt) = receipt {
        receipt.write(&outcome.decision.encode())?;
    }
    // Asked for only now: what was decoded before the query could have been changed since.
    let labels = &session.manifest()?.labels;
    let answer = Answer {
        args,
        decided: Some(Decided {
            id: outcome.decision.id().to_hex(),
            ring: session.ring().owned(),
            model_version: session.ring().model_version(),
        }),
        inputs: &queries,
        rejected: &outcome.rejected,
        outputs: &outcome.outputs,
        labels,
        times: &times,
    };
    answer.give()?;
    rejected::fail(queries.len(), &args.input, &outcome.rejected)
}

/// Authenticates the ring to be used, and asks the ledger about it; what is found is recorded.
fn authenticated(
    way: &ResolvedPath,
    policy: &mut TrustPolicy,
    recorder: &mut Option<Recorder>,
) -> Result<AuthenticRing, CliError> {
    if let Some(recorder) = recorder {
        recorder.learn_of(way, policy);
    }
    let ring = policy.authenticate_to_use(way).inspect_err(|e| {
        if let (Some(recorder), RingError::Refused(report)) = (&mut *recorder, e) {
            let id = report.ring.unwrap_or(RingId([0; 16]));
            let digest = report.digest.unwrap_or(Digest::NONE);
            recorder.alarm(id, digest, &report.findings);
        }
    })?;
    match recorder {
        Some(recorder) => recorder.admit(&ring, policy)?,
        None => policy.note_ledgers_of(&ring.owned()),
    }
    Ok(ring)
}

fn recipe_of(manifest: &Manifest) -> Result<Preprocess, CliError> {
    manifest.preprocess.parse().map_err(|e| {
        let message = format!("the sealed recipe for pictures is not understood: {e}");
        CliError::new(Exit::Failed, message)
    })
}

/// Refuses a ring whose deal promises less validation than is required.
fn promised(args: &RunArgs, ring: &AuthenticRing) -> Result<(), CliError> {
    let copies = ring.outline().deal().map_or(1, |deal| deal.copies().count());
    let required = match args.require {
        RequireArg::AsDealt | RequireArg::None => return Ok(()),
        RequireArg::Validated => 2,
        RequireArg::Majority => 3,
    };
    if copies >= required {
        return Ok(());
    }
    let message = match copies {
        1 => "this ring is not dealt: nobody validates what a host computes".to_owned(),
        _ => format!("this ring is dealt to {copies} copies of each leg, and a majority needs 3"),
    };
    Err(CliError::new(Exit::Untrusted, message).hint("its owner deals it with `deepring deal`"))
}

fn open_session<E: Engine>(
    args: &RunArgs,
    engine: E,
    ring: AuthenticRing,
    keys: &[SecretKey<Host>],
    nonce: Option<Digest>,
) -> Result<Session<E>, RunError> {
    let total = ring.layers().iter().map(|h| h.plain_len).sum();
    let progress = Progress::bytes("opening", total);
    let options = SessionOptions {
        check: args.check,
        threads: args.threads,
        background_check: args.shadow,
        validation: match args.require {
            RequireArg::None => Validate::Nobody,
            _ => Validate::AsDealt,
        },
    };
    let mut session = Session::open_on(engine, ring, keys, options, &|n| progress.add(n))?;
    session.set_nonce(nonce);
    Ok(session)
}

fn run_plain<E: Engine>(args: &RunArgs, trust: Option<&Path>, engine: E) -> Result<(), CliError> {
    targets::before_anything(args, trust)?;
    let started = Instant::now();
    let model = PlainModel::load_on(engine, &args.model).map_err(|e| {
        let e = CliError::from(e);
        match UnverifiedRing::open(&args.model) {
            Ok(_) => e.hint("this is a ring: run it without `--plain`, with `--key`"),
            Err(_) => e,
        }
    })?;
    let load = started.elapsed();
    let labels = args.labels.as_deref().map(read_labels).transpose()?.unwrap_or_default();
    let pictures = args.preprocess.as_ref().map_or(Pictures::NoRecipe, Pictures::By);
    let queries = read_queries(&args.input, model.inputs(), pictures)?;
    targets::before_it_computes(args, trust, model.inputs(), model.outputs(), queries.len())?;
    let mut times = RunTimes::new(load, queries.len());
    let mut outputs = Vec::new();
    for _ in 0..args.repeat.get() {
        let start = Instant::now();
        outputs = queries.iter().map(|q| model.run(q)).collect::<Result<Vec<_>, _>>()?;
        let spent = start.elapsed();
        times.query(spent, Timings { engine: spent, ..Timings::default() });
    }
    let (inputs, outputs, rejected) = (queries.as_slice(), outputs.as_slice(), &[]);
    let (labels, times) = (&labels, &times);
    Answer { args, decided: None, inputs, rejected, outputs, labels, times }.give()
}

/// Which decision was made, and by what.
struct Decided {
    id: String,
    ring: OwnedRing,
    model_version: u64,
}

/// The answer of a run.
struct Answer<'a> {
    args: &'a RunArgs,
    /// `None` for a plain run.
    decided: Option<Decided>,
    /// Queries asked, those among them that were not answered, and the outputs of the others.
    inputs: &'a [Vec<TensorValue>],
    rejected: &'a [Rejected],
    outputs: &'a [Vec<TensorValue>],
    labels: &'a [String],
    times: &'a RunTimes,
}

impl Answer<'_> {
    fn give(&self) -> Result<(), CliError> {
        // By their whole paths: both may go to one folder, and then have names of their own.
        let mut taken = HashSet::new();
        if let Some(dir) = &self.args.output_dir {
            let answered = self.answered().zip(self.outputs);
            tensors::write(dir, answered, self.inputs.len(), &mut taken)?;
        }
        if let Some(dir) = &self.args.save_inputs {
            let asked = self.inputs.iter().enumerate();
            tensors::write(dir, asked, self.inputs.len(), &mut taken)?;
        }
        let shown: Vec<Vec<OutputSummary>> = self
            .outputs
            .iter()
            .map(|q| q.iter().map(|t| output_summary(t, self.labels, self.args.top)).collect())
            .collect();
        if self.args.json { self.print_json(&shown) } else { self.print_text(&shown) }
    }

    fn print_json(&self, shown: &[Vec<OutputSummary>]) -> Result<(), CliError> {
        let several = self.inputs.len() > 1;
        let outputs: Vec<Value> = self
            .answered()
            .zip(shown)
            .flat_map(|(query, outputs)| {
                outputs.iter().map(move |o| {
                    let mut value = serde_json::to_value(o).unwrap_or(Value::Null);
                    if let (true, Some(map)) = (several, value.as_object_mut()) {
                        map.insert("query".to_owned(), query.into());
                    }
                    value
                })
            })
            .collect();
        let decided = self.decided.as_ref();
        let document = RunDocument {
            verdict: decided.map(|_| "intact"),
            findings: &[],
            decision: decided.map(|d| d.id.as_str()),
            owner: decided.map(|d| d.ring.owner),
            ring: decided.map(|d| d.ring.ring),
            model_version: decided.map(|d| d.model_version),
            check: decided.map(|_| self.args.check),
            outputs,
            rejected: rejected::json(self.rejected),
            timings: self.times.json(),
            hardening: hardening::json(),
            spot: self
                .spot()
                .map(|(queries, detection)| json!({ "queries": queries, "detection": detection })),
        };
        document.print()
    }

    /// For a spot check: the queries that this run answered, and how probable it is that a block that was
    /// changed all the while would have been met.
    fn spot(&self) -> Option<(u64, f64)> {
        let Check::Spot(share) = self.args.check else { return None };
        self.decided.as_ref()?;
        let queries = (self.times.queries.len() * self.times.batch) as u64;
        Some((queries, share.detection(queries)))
    }

    /// The number of each query that was answered.
    fn answered(&self) -> impl Iterator<Item = usize> {
        rejected::answered(self.inputs.len(), self.rejected).into_iter()
    }

    fn print_text(&self, shown: &[Vec<OutputSummary>]) -> Result<(), CliError> {
        for (query, outputs) in self.answered().zip(shown) {
            if self.inputs.len() > 1 {
                let inputs = self
                    .args
                    .input
                    .get(query)
                    .filter(|_| self.args.input.len() == self.inputs.len());
                let asked = inputs.map_or(OsStr::new("query"), OsString::as_os_str);
                output::line(asked.display())?;
            }
            for out in outputs {
                out.print()?;
            }
        }
        if let Some(decided) = &self.decided {
            output::line(format_args!("decision {}", decided.id))?;
            let OwnedRing { owner, ring } = decided.ring;
            output::line(format_args!("by ring {ring}, version {}", decided.model_version))?;
            output::line(format_args!("of owner {owner}"))?;
        }
        if let Some((queries, probability)) = self.spot() {
            output::note(format_args!(
                "{}: a block altered throughout would have been detected with probability {probability:.4} within {}",
                self.args.check,
                output::count(usize::try_from(queries).unwrap_or(usize::MAX), "query", "queries"),
            ));
        }
        let times = self.times.json();
        let at = |path: &str| times.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
        output::note(format_args!(
            "load {:.1} ms; query {:.3} ms (median of {}): engine {:.3}, check {:.3}, receipt {:.3}, ledger {:.3}",
            at("/load_ms"),
            at("/query_ms/median"),
            self.times.queries.len(),
            at("/split_ms/engine"),
            at("/split_ms/check"),
            at("/split_ms/receipt"),
            at("/split_ms/ledger"),
        ));
        Ok(())
    }
}
