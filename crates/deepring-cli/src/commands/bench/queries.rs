//! Queries: each network under each check, next to the same network unprotected in the same engine.

mod asked;
mod likeness;
mod sitting;

use std::num::NonZeroUsize;

use deepring_onnx::synthetic::Network;
use serde::Serialize;
use serde_json::{Value, json};

use super::WARM_UP;
use super::report::Report;
use super::summary::{Ratio, Summary};
use super::table::Table;
use super::workshop::{Subject, Workshop};
use crate::cli::BenchQueries;
use crate::error::CliError;
use crate::output;
use crate::progress::Progress;
use asked::{Least, Way};
use likeness::Likeness;
use sitting::{Parts, SITTINGS, Seen, sit};

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
    let workshop = Workshop::open(None)?;
    let networks = match (args.network.as_slice(), args.model.as_slice()) {
        ([], []) => Network::ALL.to_vec(),
        (named, _) => named.to_vec(),
    };
    let ways = ways(args);
    let subjects = networks.len() + args.model.len();
    let count = subjects * args.threads.len() * ways.len();
    let progress = Progress::items("measuring", count as u64);
    let mut rows = Vec::new();
    let mut measure = |subject: &Subject| {
        for threads in &args.threads {
            for way in &ways {
                rows.push(measure(args, &workshop, subject, *threads, *way)?);
                progress.add(1);
            }
        }
        Ok::<_, CliError>(())
    };
    for network in networks {
        measure(&workshop.network(network, args.cut, args.batch.get())?)?;
    }
    for model in &args.model {
        measure(&workshop.file(model, args.cut, args.batch.get())?)?;
    }
    drop(progress);
    report(args, &rows).give(&args.output)
}

/// What is measured beside the plain network.
fn ways(args: &BenchQueries) -> Vec<Way> {
    let ledgers: &[bool] = if args.ledger { &[false, true] } else { &[false] };
    let rings = args.check.iter().flat_map(|check| {
        ledgers.iter().map(|ledger| Way::Ring {
            check: *check,
            ledger: *ledger,
            background_check: args.shadow,
        })
    });
    let least: &[Least] = if args.floor { &Least::ALL } else { &[] };
    let floors = args
        .check
        .iter()
        .flat_map(|check| least.iter().map(|floor| Way::Floor { check: *check, floor: *floor }));
    args.control.then_some(Way::Plain).into_iter().chain(rings).chain(floors).collect()
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
    split_ms: Parts,
    outputs: Likeness,
}

fn measure(
    args: &BenchQueries,
    workshop: &Workshop,
    subject: &Subject,
    threads: NonZeroUsize,
    way: Way,
) -> Result<Row, CliError> {
    let repeat = usize::try_from(args.repeat.get()).unwrap_or(usize::MAX);
    let sittings = repeat.min(SITTINGS);
    let mut seen = Seen::default();
    for number in 0..sittings {
        let share = repeat.div_ceil(sittings);
        seen.add(sit(workshop, subject, threads, way, number, share)?);
    }
    let batch = subject.batch.len();
    let Summary { pairs, base_ms, measured_ms, ratio } = Summary::of(&seen.pairs, batch);
    Ok(Row {
        network: subject.name.clone(),
        parameter_bytes: subject.parameter_bytes,
        blocks: subject.blocks,
        batch,
        threads: threads.get(),
        check: way.name(),
        shadow: args.shadow,
        ledger: way.has_ledger(),
        pairs,
        plain_ms: base_ms,
        protected_ms: measured_ms,
        ratio,
        split_ms: seen.parts(batch),
        outputs: seen.outputs.unwrap_or(Likeness::UNKNOWN),
    })
}

fn report(args: &BenchQueries, rows: &[Row]) -> Report {
    let mut headings = HEADINGS.to_vec();
    if args.ledger {
        headings.insert(HEADINGS.len() - 1, "ledger");
    }
    let mut table =
        Table::new("Milliseconds a query, the ring beside the plain network", &headings);
    for row in rows {
        let ms = |ms: f64| if ms < 1.0 { format!("{ms:.4}") } else { format!("{ms:.2}") };
        let outputs = match row.outputs {
            Likeness { same_bits: true, .. } => "same bits".to_owned(),
            Likeness { largest_difference: Some(d), .. } => format!("within {d:.0e}"),
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
        "sittings": SITTINGS,
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
    Report { bench: "queries", method, rows, tables: vec![table], notes }
}
