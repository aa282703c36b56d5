//! `deepring attack`: a tampered network, and what was changed in it.

mod detection;
mod list;
mod sealed;
mod show;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use deepring_attack::ring::{Detection, LiveRing, ToctouResult};
use deepring_attack::{
    Attacked, Differences, Evaluator, Kind, Network, Options, Samples, Scope, Split, Step,
    attack_until,
};
use serde_json::{Value, json};

use crate::begun::Begun;
use crate::cli::{Attack, AttackOptions, DataOptions};
use crate::error::{CliError, Exit};
use crate::output;
use crate::progress::Progress;

/// Bits after which a search without a limit of its own is shown as done.
const SEARCH_BAR: u64 = 50;

/// Different samples that are asked, again and again.
const ASKED: usize = 100;

pub(crate) fn attack(args: &Attack, trust: Option<&Path>) -> Result<(), CliError> {
    let (Some(model), Some(kind)) = (&args.model, args.kind) else { return list::list(args.json) };
    if kind.scope() == Scope::LiveMemory {
        return race(args, kind, model);
    }
    let target = args.output.as_deref().ok_or_else(|| {
        CliError::usage("where shall the tampered file go?").hint("say so with `-o`")
    })?;
    if !kind.is_on_networks() {
        return sealed::attack(args, kind, model, target, trust);
    }
    let read = deepring_onnx::network_files(model);
    // The tampered file is made to be refused, not to be put where a ring is used.
    let begun = Begun::at(target, read.iter().map(PathBuf::as_path), trust)?;
    if let Some(data) = &args.data.data {
        output::keep_out_of(data, target)?;
    }
    let network = Network::read(model)?;
    let data = Data::open(&args.data)?;
    let bar = Progress::items("searching", args.how.flips.map_or(SEARCH_BAR, |n| n as u64));
    let step = |_: &Step| bar.add(1);
    let options = options(&args.how);
    let search = data.as_ref().map(|d| &d.search);
    let stop = data.as_ref().map(|d| &d.test);
    let attacked = attack_until(&network, kind, &options, search, stop, &step)?;
    drop(bar);
    let accuracy = match &data {
        Some(data) => Some(data.accuracy(&network, &attacked.network)?),
        None => None,
    };
    begun.write(&attacked.network.encode())?;
    let detection = match args.ring {
        true => Some(detection::detect(&network, &attacked.network, data.as_ref(), args.check)?),
        false => None,
    };
    let made = Made { kind, target, attacked: &attacked, accuracy, detection };
    let differences = Differences::between(&network, &attacked.network);
    if args.json { show::json(&made, &differences) } else { show::text(&made, &differences) }
}

/// An attack as it is shown.
struct Made<'a> {
    kind: Kind,
    target: &'a Path,
    attacked: &'a Attacked,
    accuracy: Option<Accuracy>,
    detection: Option<Detection>,
}

/// Before and after, and on how many samples.
#[derive(Debug, Clone, Copy)]
struct Accuracy {
    samples: usize,
    before: f64,
    after: f64,
}

/// The samples of a search, and those that accuracy is measured on.
struct Data {
    search: Evaluator,
    test: Evaluator,
}

impl Data {
    fn open(options: &DataOptions) -> Result<Option<Self>, CliError> {
        let Some(folder) = &options.data else { return Ok(None) };
        let workers = available_parallelism().map_or(1, usize::from);
        let evaluator = |part, count: Option<usize>| {
            let samples = Samples::open(folder, part, options.preprocess.as_ref())?;
            // Which samples are taken is the same whatever the attack's seed is.
            let samples = count.map_or_else(|| samples.clone(), |count| samples.choose(count, 0));
            Ok::<_, CliError>(Evaluator::new(Arc::new(samples), workers))
        };
        let search = evaluator(Split::Train, Some(options.search))?;
        Ok(Some(Self { search, test: evaluator(Split::Test, options.limit)? }))
    }

    fn accuracy(&self, before: &Network, after: &Network) -> Result<Accuracy, CliError> {
        Ok(Accuracy {
            samples: self.test.samples().len(),
            before: self.test.evaluate(before)?.accuracy(),
            after: self.test.evaluate(after)?.accuracy(),
        })
    }
}

fn options(how: &AttackOptions) -> Options {
    Options {
        layer: how.layer.clone(),
        rho: how.rho,
        flips: how.flips,
        bit: how.bit,
        target: how.target,
        source: how.source,
        seed: how.seed,
    }
}

/// Tampering in live memory that is put back before anybody looks, against each check.
fn race(args: &Attack, kind: Kind, model: &Path) -> Result<(), CliError> {
    let network = Network::read(model)?;
    let data = Data::open(&args.data)?.ok_or_else(|| {
        CliError::usage(format!("`{kind}` needs queries to ask")).hint("give them with `--data`")
    })?;
    let samples = data.test.samples().choose(ASKED, 0);
    let ring = LiveRing { network: &network, samples: &samples };
    let raced = deepring_attack::attack(&ring, kind, &options(&args.how), None, &|_| ())
        .map_err(|e| CliError::new(Exit::Failed, e))?;
    if raced.is_empty() {
        return Err(CliError::new(Exit::Failed, "live memory cannot be written on this system"));
    }
    if args.json {
        let checks: Vec<Value> = raced.iter().map(document).collect();
        return output::json(&json!({
            "kind": kind.name(), "atlas": kind.atlas(), "checks": checks,
        }));
    }
    output::line(format_args!("{kind} [{}]", kind.atlas()))?;
    raced.iter().try_for_each(|r| output::line(format_args!("  {}", r.sentence())))
}

fn document(raced: &ToctouResult) -> Value {
    let mut value = serde_json::to_value(raced).unwrap_or(Value::Null);
    if let Some(map) = value.as_object_mut() {
        map.insert("mean_until_refused".to_owned(), json!(raced.mean_until_refused()));
        map.insert("what".to_owned(), json!(raced.sentence()));
    }
    value
}
