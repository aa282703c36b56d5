//! Queries: each network under each check, next to the same network unprotected in the same engine.

mod executor;
mod output_diff;
mod round;

use std::num::NonZeroUsize;

use deepring_measure::{PairSummary, Ratio};
use deepring_onnx::synthetic::SyntheticNetwork;
use serde::Serialize;
use serde_json::{Value, json};

use super::WARM_UP;
use super::fixture::{BenchFixture, BenchNetwork};
use super::report::BenchReport;
use super::table::TextTable;
use crate::cli::BenchQueries;
use crate::error::CliError;
use crate::output;
use crate::progress::Progress;
use executor::{Least, Variant};
use output_diff::OutputDiff;
use round::{Measurements, QueryTimes, ROUNDS, run_round};

const HEADINGS: [&str; 12] = [
    "network",
    "threads",
    "check",
    "plain ms",
    "ring ms",
    "ratio",
    "p10..p90",
    "of medians",
    "engine",
    "check",
    "receipt",
    "outputs",
];

pub(super) fn queries(args: &BenchQueries) -> Result<(), CliError> {
    let fixture = BenchFixture::open(None)?;
    let networks = match (args.network.as_slice(), args.model.as_slice()) {
        ([], []) => SyntheticNetwork::ALL.to_vec(),
        (named, _) => named.to_vec(),
    };
    let variants = variants(args);
    let subjects = networks.len() + args.model.len();
    let count = subjects * args.threads.len() * variants.len();
    let progress = Progress::items("measuring", count as u64);
    let mut rows = Vec::new();
    let mut measure = |subject: &BenchNetwork| {
        for threads in &args.threads {
            for variant in &variants {
                rows.push(measure(args, &fixture, subject, *threads, *variant)?);
                progress.add(1);
            }
        }
        Ok::<_, CliError>(())
    };
    for network in networks {
        measure(&fixture.network(network, args.cut, args.batch.get())?)?;
    }
    for model in &args.model {
        measure(&fixture.file(model, args.cut, args.batch.get())?)?;
    }
    drop(progress);
    report(args, &rows).give(&args.output)
}

/// The variants measured beside the plain network.
fn variants(args: &BenchQueries) -> Vec<Variant> {
    let ledgers: &[bool] = if args.ledger { &[false, true] } else { &[false] };
    let rings = args.check.iter().flat_map(|check| {
        ledgers.iter().map(|ledger| Variant::Ring {
            check: *check,
            ledger: *ledger,
            background_check: args.shadow,
        })
    });
    let least: &[Least] = if args.floor { &Least::ALL } else { &[] };
    let floors = args.check.iter().flat_map(|check| {
        least.iter().map(|floor| Variant::Floor { check: *check, floor: *floor })
    });
    args.control.then_some(Variant::Plain).into_iter().chain(rings).chain(floors).collect()
}

/// A check's cost on one network.
#[derive(Debug, Serialize)]
struct Row {
    network: String,
    parameter_bytes: u64,
    blocks: usize,
    batch: usize,
    threads: usize,
    check: String,
    shadow: bool,
    ledger: bool,
    pairs: usize,
    /// Medians, in milliseconds a query.
    plain_ms: f64,
    protected_ms: f64,
    ratio: Ratio,
    /// Medians, in milliseconds a query.
    split_ms: QueryTimes,
    outputs: OutputDiff,
}

fn measure(
    args: &BenchQueries,
    fixture: &BenchFixture,
    subject: &BenchNetwork,
    threads: NonZeroUsize,
    variant: Variant,
) -> Result<Row, CliError> {
    let repeat = usize::try_from(args.repeat.get()).unwrap_or(usize::MAX);
    let rounds = repeat.min(ROUNDS);
    let mut measurements = Measurements::default();
    for number in 0..rounds {
        let share = repeat.div_ceil(rounds);
        measurements.add(run_round(fixture, subject, threads, variant, number, share)?);
    }
    let batch = subject.batch.len();
    let PairSummary { pairs, base_ms, measured_ms, ratio, .. } =
        PairSummary::of(&measurements.pairs, batch);
    Ok(Row {
        network: subject.name.clone(),
        parameter_bytes: subject.parameter_bytes,
        blocks: subject.blocks,
        batch,
        threads: threads.get(),
        check: variant.name(),
        shadow: args.shadow,
        ledger: variant.has_ledger(),
        pairs,
        plain_ms: base_ms,
        protected_ms: measured_ms,
        ratio,
        split_ms: measurements.parts(batch),
        outputs: measurements.outputs.unwrap_or(OutputDiff::UNKNOWN),
    })
}

fn report(args: &BenchQueries, rows: &[Row]) -> BenchReport {
    let mut headings = HEADINGS.to_vec();
    if args.ledger {
        headings.insert(HEADINGS.len() - 1, "ledger");
    }
    let mut table =
        TextTable::new("Milliseconds a query, the ring beside the plain network", &headings);
    for row in rows {
        let ms = |ms: f64| if ms < 1.0 { format!("{ms:.4}") } else { format!("{ms:.2}") };
        let outputs = match row.outputs {
            OutputDiff { same_bits: true, .. } => "same bits".to_owned(),
            OutputDiff { largest_difference: Some(d), .. } => format!("within {d:.0e}"),
            _ => "differ".to_owned(),
        };
        let mut cells = vec![
            row.network.clone(),
            row.threads.to_string(),
            if row.ledger { format!("{} + ledger", row.check) } else { row.check.clone() },
            ms(row.plain_ms),
            ms(row.protected_ms),
        ];
        cells.extend(row.ratio.cells());
        cells.extend([ms(row.split_ms.engine), ms(row.split_ms.check), ms(row.split_ms.receipt)]);
        if args.ledger {
            cells.push(ms(row.split_ms.ledger));
        }
        cells.push(outputs);
        table.row(cells);
    }
    let method: Value = json!({
        "base": "the same network, uncut and unprotected, in the same engine and process",
        "order": "plain and protected alternate, and which is first in a pair does too",
        "sittings": ROUNDS,
        "warm_up": WARM_UP,
        "pairs": args.repeat,
        "batch": args.batch,
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut notes = Vec::new();
    if args.control {
        notes.push(
            "check `plain` is the plain network beside itself: what chance alone makes of a ratio"
                .to_owned(),
        );
    }
    if let Some(most) = args.threads.iter().max().filter(|n| n.get() > cores) {
        notes.push(format!("{most} threads share {}", output::count(cores, "core", "cores")));
    }
    let rows = rows.iter().map(|r| serde_json::to_value(r).unwrap_or(Value::Null)).collect();
    BenchReport { bench: "queries", method, rows, tables: vec![table], notes }
}
