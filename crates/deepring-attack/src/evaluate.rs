//! The evaluation: attacks on networks, cell by cell, with every defence looking on; resumed where it stopped.
//!
//! A cell is one attack on one network with one strength and one seed. Its result depends on these, on the samples
//! and on the settings of the defences, all of which are in its key, and not on the number of threads, the order or
//! other cells. Times do; they are measured beside the cells, on the clean network.

mod configuration;
mod item;
mod journal;
#[cfg(test)]
mod made;
mod measure;
mod model_under_test;
mod page;
mod plot;
pub mod record;
mod ring;
mod ring_attacks;
mod tables;
mod tally;
mod workers;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deepring::Check;
use deepring::files::replace_file;
use deepring_infer::inputs::Preprocess;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::catalogue::Family;
use crate::defence::DefenceKind;
use crate::evaluator::{Evaluator, EvaluatorError};
use crate::network::{Network, NetworkError};
use crate::quantise::quantise;
use crate::report::standalone;
use crate::samples::{Samples, SamplesError, Split};
use journal::Journal;
use model_under_test::{Candidate, EvalContext, ModelUnderTest};
use record::{Line, Outcome, Row, Run};

pub use configuration::{Configuration, Grid, Strength};
pub use item::{AttackItem, ParseItemError, Suite};
pub use journal::{JournalError, Results};
pub use ring_attacks::{AttackOutcome, run_ring_attacks};

/// Changes whenever the same cell would give another result: no older result is then taken for a new one.
const GENERATION: u32 = 2;

/// The names of the files in the folder of an evaluation, beside the plots.
const RESULTS: &str = "results.jsonl";
const TABLES: &str = "tables.md";
const PAGE: &str = "report.html";

/// The networks and items to evaluate.
#[derive(Debug, Clone)]
pub struct Plan {
    /// ONNX files.
    pub models: Vec<PathBuf>,
    /// Folder of the data set, as [`Samples::open`] reads it.
    pub data: PathBuf,
    /// How its pixels become inputs.
    pub recipe: Option<Preprocess>,
    /// The attacks.
    pub items: Vec<AttackItem>,
    /// Over what they are spread.
    pub grid: Grid,
    /// Test samples, as many of each class as can be; 0 for all.
    pub limit: usize,
    /// Samples with which attacks search.
    pub search: usize,
    /// The baselines.
    pub defences: Vec<DefenceKind>,
    /// How DeepRing checks parameters.
    pub check: Check,
    /// True if cost, false alarms, the attackers who know a defence, and the attacks on the ring are measured beside the
    /// cells.
    pub beside: bool,
    /// No cell is begun after so long.
    pub budget: Option<Duration>,
    /// Folder for the results.
    pub folder: PathBuf,
    /// The record of the circumstances; `settings` is filled in.
    pub run: Run,
}

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Cells computed now.
    pub computed: usize,
    /// Cells that were in the file already.
    pub known: usize,
    /// Cells for which no time was left.
    pub left: usize,
    /// All that is known, of these settings and others.
    pub results: Results,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// Is told how far an evaluation is.
pub trait Observer: Sync {
    /// A step without cells begins: a network is measured, tables are written.
    fn step(&self, what: &str) {
        let _ = what;
    }
    /// So many cells shall be computed.
    fn cells(&self, count: usize);
    /// A cell is in the file.
    fn done(&self, row: &Row);
}

/// Why an evaluation ended early.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// No network or no attack is asked for.
    #[error("nothing to evaluate")]
    Nothing,
    /// No network has a layer that is asked for.
    #[error("no network has a layer `{name}`")]
    NoLayer {
        /// Its name.
        name: String,
        /// The layers that there are.
        there: Vec<String>,
    },
    /// The data set cannot be read.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// A network cannot be read.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A clean network cannot be asked.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
    /// Results cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A ring of a clean network cannot be asked.
    #[error("the clean ring: {reason}")]
    Ring {
        /// The message.
        reason: String,
    },
    /// A file of the report cannot be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
}

/// Computes all cells of a plan that are not in its folder yet, and writes tables and report of all that are.
///
/// Every finished cell is in `results.jsonl` at once, so that a process that ends in any way loses no more than the
/// cells that it was at.
///
/// # Errors
/// If networks or samples cannot be read, a clean network cannot be asked, or the folder cannot be written. What an
/// attack cannot do is a result, not an error.
pub fn evaluate(plan: &Plan, observer: &dyn Observer) -> Result<Evaluated, EvaluateError> {
    let began = Instant::now();
    if plan.models.is_empty() || plan.items.is_empty() {
        return Err(EvaluateError::Nothing);
    }
    let write = |source| EvaluateError::Write { path: plan.folder.clone(), source };
    std::fs::create_dir_all(&plan.folder).map_err(write)?;
    let (mut journal, mut results) = Journal::open(&plan.folder.join(RESULTS))?;

    observer.step("reading samples");
    let (test, search, shared_samples) = samples(plan)?;
    let settings = settings(plan, &test, &search);
    let workers = rayon::current_num_threads();
    let (test, search) = (Evaluator::new(test, workers), Evaluator::new(search, workers));
    let context =
        EvalContext { plan, settings: &settings, test: &test, search: &search, shared_samples };
    let run = Line::Run(Run { settings: settings.clone(), ..plan.run.clone() });
    journal.add(&run)?;
    results.take(run);

    let mut subjects = Vec::new();
    for given in networks(plan)? {
        observer.step(&format!("measuring {}", given.name));
        let subject = ModelUnderTest::prepare(&context, given, &results.models)?;
        let line = Line::Model(subject.line.clone());
        let new = !results.models.contains(&subject.line);
        if new {
            journal.add(&line)?;
            results.take(line);
        }
        subjects.push(subject);
    }
    layers_are_there(plan, &subjects)?;

    let known = results.keys();
    let all: Vec<Task<'_>> = subjects.iter().flat_map(|s| tasks(plan, s, &settings)).collect();
    let (there, open): (Vec<_>, Vec<_>) = all.into_iter().partition(|t| known.contains(&t.key));
    observer.cells(open.len());
    let work = Work {
        context: &context,
        observer,
        journal: Mutex::new((&mut journal, &mut results)),
        ends: plan.budget.map(|b| began + b),
        left: AtomicUsize::new(0),
    };
    work.all(&open)?;
    let left = work.left.into_inner();

    observer.step("writing the report");
    // The order of the file is that in which cells happened to end; everything made of it has one order.
    results.sort();
    let files = write_report(&plan.folder, &results)?;
    let computed = open.len() - left;
    Ok(Evaluated { computed, known: there.len(), left, results, files })
}

/// The files of an evaluation that have the same names whatever is in it.
pub const FIXED_NAMES: [&str; 3] = [RESULTS, TABLES, PAGE];

/// Returns whether an evaluation writes a file of this name into its folder.
#[must_use]
pub fn writes(name: &OsStr) -> bool {
    let fixed = FIXED_NAMES.iter().any(|file| name == *file);
    fixed || Path::new(name).extension().is_some_and(|e| e == "svg")
}

/// Writes tables, report and plots of a folder anew, from the results that are in it.
///
/// # Errors
/// If there are no results, or they cannot be read, or a file cannot be written.
pub fn rewrite_report(folder: &Path) -> Result<Vec<PathBuf>, EvaluateError> {
    let mut results = Results::read(&folder.join(RESULTS))?;
    results.sort();
    write_report(folder, &results)
}

/// Writes `tables.md`, `report.html` and the plots from results alone.
///
/// # Errors
/// If a file cannot be written.
pub fn write_report(folder: &Path, results: &Results) -> Result<Vec<PathBuf>, EvaluateError> {
    let mut files = vec![(TABLES.to_owned(), tables::tables(results))];
    let plots = plot::plots(results);
    files.push((PAGE.to_owned(), page::page(results, &plots)));
    files.extend(plots.iter().map(|p| (format!("{}.svg", p.name), standalone(&p.svg))));
    let write = |(name, text): (String, String)| {
        let path = folder.join(name);
        match replace_file(&path, text.as_bytes()) {
            Ok(()) => Ok(path),
            Err(source) => Err(EvaluateError::Write { path, source }),
        }
    };
    files.into_iter().map(write).collect()
}

/// A cell that is to be computed.
struct Task<'a> {
    subject: &'a ModelUnderTest,
    cell: Configuration,
    key: String,
}

fn tasks<'a>(plan: &Plan, subject: &'a ModelUnderTest, settings: &str) -> Vec<Task<'a>> {
    let mut out: Vec<Task<'a>> = Vec::new();
    for item in &plan.items {
        // A network that was quantised here is there for the attacks that need it, and for no others.
        let on_quantised = item.kind.needs_int8();
        if (subject.line.quantised && !on_quantised) || (subject.quantised_beside && on_quantised) {
            continue;
        }
        for cell in configuration::expand(item, &plan.grid, &subject.layers) {
            let key = cell.key(&subject.line.sha256, settings);
            if out.iter().all(|t| t.key != key) {
                out.push(Task { subject, cell, key });
            }
        }
    }
    out
}

/// The context that configurations are computed with.
struct Work<'a> {
    context: &'a EvalContext<'a>,
    observer: &'a dyn Observer,
    journal: Mutex<(&'a mut Journal, &'a mut Results)>,
    ends: Option<Instant>,
    left: AtomicUsize,
}

impl Work<'_> {
    /// Cells side by side, each on one core; searches one after the other, each on all.
    fn all(&self, tasks: &[Task<'_>]) -> Result<(), EvaluateError> {
        let (searches, others): (Vec<_>, Vec<_>) =
            tasks.iter().partition(|t| t.cell.kind.family() == Family::Search);
        let (test, search) = self.context.single();
        let workers = rayon::current_num_threads();
        workers::side_by_side(workers, &others, |task| self.one(task, &test, &search))?;
        searches.iter().try_for_each(|task| self.one(task, self.context.test, self.context.search))
    }

    fn one(
        &self,
        task: &Task<'_>,
        test: &Evaluator,
        search: &Evaluator,
    ) -> Result<(), EvaluateError> {
        if self.ends.is_some_and(|end| Instant::now() >= end) {
            self.left.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let Task { subject, cell, key } = task;
        let outcome: Outcome = measure::measure(subject, cell, key, test, search)?;
        let row = Row {
            key: key.clone(),
            model: subject.line.sha256.clone(),
            attack: cell.kind.name().to_owned(),
            atlas: cell.kind.atlas().to_owned(),
            layer: cell.layer.clone(),
            strength: cell.strength,
            seed: cell.seed,
            outcome,
        };
        self.observer.done(&row);
        let line = Line::Cell(Box::new(row));
        let mut held = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        held.0.add(&line)?;
        held.1.take(line);
        Ok(())
    }
}

impl EvalContext<'_> {
    /// The evaluators of test and search samples, on one core each.
    fn single(&self) -> (Evaluator, Evaluator) {
        let one = |evaluator: &Evaluator| Evaluator::new(Arc::clone(evaluator.samples()), 1);
        (one(self.test), one(self.search))
    }
}

/// Test samples, samples to search with, and whether they come from one part.
fn samples(plan: &Plan) -> Result<(Arc<Samples>, Arc<Samples>, bool), EvaluateError> {
    let recipe = plan.recipe.as_ref();
    let test = Samples::open(&plan.data, Split::Test, recipe)?;
    let train = Samples::open(&plan.data, Split::Train, recipe)?;
    let shared = test == train;
    let search = train.choose(plan.search.max(1), 2);
    Ok((Arc::new(test.choose(plan.limit, 1)), Arc::new(search), shared))
}

/// Digest of what decides results, beside the cell and its network.
fn settings(plan: &Plan, test: &Samples, search: &Samples) -> String {
    let mut hash = Sha256::new();
    // HASHTAG ranks layers by gradients where the build has them, and otherwise without.
    let gradients = cfg!(feature = "gradients");
    hash.update(format!("{GENERATION} {gradients} {} {:?}", plan.check, plan.defences));
    // A network that was measured without is measured again with; older results are of that kind.
    if !plan.beside {
        hash.update("cells alone");
    }
    for samples in [test, search] {
        hash.update(format!("{:?} {:?}", samples.dims(), samples.labels()));
        for value in samples.values(0..samples.len()) {
            hash.update(value.to_le_bytes());
        }
    }
    model_under_test::hex(&hash.finalize())
}

/// The networks, and their 8-bit forms where an attack needs them.
fn networks(plan: &Plan) -> Result<Vec<Candidate>, EvaluateError> {
    let mut out = Vec::new();
    for path in &plan.models {
        let (name, network) = (model_under_test::name_of(path), Network::read(path)?);
        let quantised = network.layers().iter().any(|l| l.scale.is_some());
        let wanted = plan.items.iter().any(|i| i.kind.needs_int8());
        let eighth = match wanted && !quantised {
            true => quantise(&network).ok(),
            false => None,
        };
        out.push(Candidate {
            name: name.clone(),
            network,
            quantised: false,
            beside: eighth.is_some(),
        });
        out.extend(eighth.map(|network| Candidate {
            name: format!("{name} int8"),
            network,
            quantised: true,
            beside: false,
        }));
    }
    Ok(out)
}

fn layers_are_there(plan: &Plan, subjects: &[ModelUnderTest]) -> Result<(), EvaluateError> {
    let there = || subjects.iter().flat_map(|s| &s.layers);
    let asked = plan.grid.layers.iter().chain(plan.items.iter().flat_map(|i| &i.layers));
    for name in asked {
        if !there().any(|l| l.name == *name || l.weight == *name) {
            let there = there().map(|l| l.name.clone()).collect();
            return Err(EvaluateError::NoLayer { name: name.clone(), there });
        }
    }
    Ok(())
}
