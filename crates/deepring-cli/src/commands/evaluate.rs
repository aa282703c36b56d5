//! `deepring evaluate`: attacks on networks, and who notices.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deepring_attack::defence::DefenceKind;
use deepring_attack::evaluate::record::{Row, Run};
use deepring_attack::evaluate::{
    AttackItem, FIXED_NAMES, Grid, Observer, Plan, evaluate as run, rewrite_report, writes,
};
use deepring_onnx::network_files;

use super::bench::Machine;
use crate::cli::Evaluate;
use crate::error::CliError;
use crate::output;
use crate::own_names;
use crate::progress::Progress;

pub(crate) fn evaluate(args: &Evaluate, trust: Option<&Path>) -> Result<(), CliError> {
    let read: Vec<PathBuf> = args.model.iter().flat_map(|model| network_files(model)).collect();
    let read = || read.iter().map(PathBuf::as_path);
    let mut names = own_names::taken(read(), trust)?;
    names.retain(|name| writes(name));
    names.extend(FIXED_NAMES.map(OsString::from));
    own_names::spare(&args.output, names, read(), trust)?;
    let Some(data) = &args.data else {
        return wrote(&rewrite_report(&args.output)?);
    };
    let plan = plan(args, data);
    let bar = Bar::default();
    let done = run(&plan, &bar)?;
    drop(bar);
    output::line(format_args!(
        "{} computed, {} known already",
        output::count(done.computed, "cell", "cells"),
        done.known
    ))?;
    wrote(&done.files)?;
    if done.left > 0 {
        output::note(format_args!(
            "no time was left for {}; the same command goes on with them",
            output::count(done.left, "cell", "cells")
        ));
    }
    Ok(())
}

/// Says where tables and report are; they come first.
fn wrote(files: &[PathBuf]) -> Result<(), CliError> {
    files.iter().take(2).try_for_each(|f| output::line(format_args!("wrote {}", f.display())))
}

fn plan(args: &Evaluate, data: &Path) -> Plan {
    let suites = args.suite.iter().flat_map(|s| s.items());
    let mut items: Vec<AttackItem> = args.attack.clone();
    // What is said of an attack goes before its place in a suite.
    let own: Vec<_> = items.iter().map(|i| i.kind).collect();
    for item in suites.filter(|i| !own.contains(&i.kind)) {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    let all = args.layers.iter().any(|l| l == "all");
    let defences = match args.defence.is_empty() {
        true => DefenceKind::all().to_vec(),
        false => args.defence.clone(),
    };
    Plan {
        models: args.model.clone(),
        data: data.to_owned(),
        recipe: args.preprocess.clone(),
        items,
        grid: Grid {
            layers: if all { Vec::new() } else { args.layers.clone() },
            rhos: args.rho.clone(),
            flips: args.flips.iter().map(|n| n.get()).collect(),
            seeds: args.seeds.get(),
        },
        limit: args.limit,
        search: args.search.get(),
        defences,
        check: args.check,
        beside: !args.cells_alone,
        budget: args.budget.map(|minutes| Duration::from_secs_f64(60.0 * minutes)),
        folder: args.output.clone(),
        run: circumstances(args),
    }
}

fn circumstances(args: &Evaluate) -> Run {
    let machine = Machine::this();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let words = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned());
    Run {
        command: std::iter::once("deepring".to_owned()).chain(words).collect::<Vec<_>>().join(" "),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        date: output::date(now),
        cpu: machine.cpu,
        cores: machine.cores,
        optimised: machine.optimised,
        seeds: args.seeds.get(),
        check: args.check.to_string(),
        settings: String::new(),
    }
}

/// A bar over the cells.
#[derive(Default)]
struct Bar {
    cells: OnceLock<Progress>,
}

impl Observer for Bar {
    fn step(&self, what: &str) {
        tracing::info!("{what}");
    }

    fn cells(&self, count: usize) {
        self.cells.get_or_init(|| Progress::items("cells", count as u64));
    }

    fn done(&self, _: &Row) {
        if let Some(bar) = self.cells.get() {
            bar.add(1);
        }
    }
}
