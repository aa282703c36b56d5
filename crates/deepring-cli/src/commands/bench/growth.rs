//! How time and memory grow: with the ring's size, with its blocks, with the inputs of a batch.

use std::num::{NonZeroU32, NonZeroUsize};
use std::process::{Command, Stdio};

use deepring::files::write_key_pair;
use deepring::{Host, Owner, SecretKey};
use deepring_infer::CutPolicy;
use deepring_measure::median;
use deepring_onnx::synthetic::Stack;
use serde::Serialize;
use serde_json::{Value, json};

use super::machine::available_memory;
use super::report::BenchReport;
use super::step::{MODEL, StepReport};
use super::table::TextTable;
use super::{SEED, WARM_UP, at};
use crate::cli::{BenchGrowth, Bytes};
use crate::error::{CliError, Exit};
use crate::output;
use crate::progress::Progress;

const SIZES: [&str; 8] = ["1M", "8M", "64M", "512M", "1G", "2G", "4G", "8G"];
const BLOCKS: [u32; 4] = [1, 4, 16, 64];
const INPUTS: [usize; 3] = [1, 8, 32];
/// The ring of which blocks and inputs vary: 64 layers, 64 MiB.
const FIXED: Stack = Stack { layers: 64, width: 512 };

/// One work on one ring.
#[derive(Debug, Serialize)]
struct Row {
    /// The quantity that grows: `size`, `blocks` or `inputs`.
    axis: &'static str,
    step: &'static str,
    bytes: u64,
    blocks: u32,
    inputs: usize,
    samples: usize,
    seconds: f64,
    /// Of a mebibyte, a block or an input: what the axis counts.
    seconds_per_unit: f64,
    peak_bytes: Option<u64>,
}

/// A ring to grow, and the queries that it is asked at once.
#[derive(Debug, Clone, Copy)]
struct Point {
    axis: &'static str,
    stack: Stack,
    blocks: u32,
    inputs: usize,
}

impl Point {
    fn units(&self) -> f64 {
        match self.axis {
            "size" => self.stack.bytes() as f64 / f64::from(1 << 20),
            "blocks" => f64::from(self.blocks),
            _ => self.inputs as f64,
        }
    }
}

pub(super) fn growth(args: &BenchGrowth) -> Result<(), CliError> {
    let yard = Yard::open(args)?;
    let sizes = SIZES.iter().filter_map(|text| text.parse().ok());
    let sizes: Vec<Bytes> = sizes.filter(|size| *size <= args.max_size).collect();
    let count = sizes.len() + BLOCKS.len() + INPUTS.len();
    let progress = Progress::items("measuring", count as u64);
    let mut rows = Vec::new();
    let mut notes = vec![
        "an open ring lies in memory whole, as the plain network does; sealing and verifying hold a part".to_owned(),
    ];
    for size in sizes {
        // Blocks stay the same size, so that what is held at a time does.
        let stack = Stack::of_bytes(size.0);
        let point = Point { axis: "size", stack, blocks: stack.layers, inputs: 1 };
        yard.model(stack)?;
        rows.extend(yard.seal(point)?);
        if available_memory().is_some_and(|free| stack.bytes() > free / 2) {
            notes.push(format!(
                "a ring of {size} is not opened: it would take more than half of the free memory"
            ));
        } else {
            rows.extend(yard.run(point)?);
        }
        progress.add(1);
    }
    yard.model(FIXED)?;
    for blocks in BLOCKS {
        let point = Point { axis: "blocks", stack: FIXED, blocks, inputs: 1 };
        rows.extend(yard.seal(point)?);
        rows.extend(yard.run(point)?);
        progress.add(1);
    }
    // What lies there is the ring of the last point: as many blocks as layers.
    for inputs in INPUTS {
        let blocks = BLOCKS.last().copied().unwrap_or(1);
        let point = Point { axis: "inputs", stack: FIXED, blocks, inputs };
        rows.extend(yard.run(point)?.pop());
        progress.add(1);
    }
    drop(progress);
    report(args, &rows, notes).give(&args.output)
}

/// Where models and rings lie, one of each at a time.
struct Yard {
    folder: tempfile::TempDir,
    threads: NonZeroUsize,
    repeat: NonZeroU32,
}

impl Yard {
    fn open(args: &BenchGrowth) -> Result<Self, CliError> {
        let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new().prefix("deepring-bench-").tempdir_in(&dir);
        let folder = folder.map_err(at(&dir))?;
        write_key_pair(folder.path(), &SecretKey::<Owner>::generate()?)?;
        write_key_pair(folder.path(), &SecretKey::<Host>::generate()?)?;
        Ok(Self { folder, threads: args.threads, repeat: args.repeat })
    }

    /// Writes the plain network that is sealed next.
    fn model(&self, stack: Stack) -> Result<(), CliError> {
        let path = self.folder.path().join(MODEL);
        stack.write(&path, SEED).map_err(at(&path))
    }

    /// Sealing, and verifying what was sealed.
    fn seal(&self, point: Point) -> Result<[Row; 2], CliError> {
        let step = |name| {
            let report = self.step(name, point)?;
            Ok::<_, CliError>(row(name, point, report.seconds, report.peak_bytes))
        };
        Ok([step("seal")?, step("verify")?])
    }

    /// Opening, and asking.
    fn run(&self, point: Point) -> Result<Vec<Row>, CliError> {
        let StepReport { seconds, query_seconds, peak_bytes } = self.step("run", point)?;
        Ok(vec![
            row("open", point, seconds, peak_bytes),
            row("query", point, query_seconds, peak_bytes),
        ])
    }

    fn step(&self, kind: &str, point: Point) -> Result<StepReport, CliError> {
        let failed = |e: String| CliError::new(Exit::Failed, format!("measuring `{kind}`: {e}"));
        let own = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
        let cut = NonZeroU32::new(point.blocks).map_or(CutPolicy::Op, CutPolicy::Count);
        let mut command = Command::new(own);
        command.args(["bench", "step", kind]);
        command.arg("--folder").arg(self.folder.path());
        for (name, value) in [
            ("--cut", cut.to_string()),
            ("--batch", point.inputs.to_string()),
            ("--threads", self.threads.to_string()),
            ("--repeat", self.repeat.to_string()),
        ] {
            command.args([name, &value]);
        }
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| failed(e.to_string()))?;
        if !output.status.success() {
            return Err(failed(output.status.to_string()));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| failed(e.to_string()))
    }
}

fn row(step: &'static str, point: Point, seconds: Vec<f64>, peak_bytes: Option<u64>) -> Row {
    let samples = seconds.len();
    let seconds = median(seconds);
    Row {
        axis: point.axis,
        step,
        bytes: point.stack.bytes(),
        blocks: point.blocks,
        inputs: point.inputs,
        samples,
        seconds,
        seconds_per_unit: seconds / point.units(),
        peak_bytes,
    }
}

fn report(args: &BenchGrowth, rows: &[Row], notes: Vec<String>) -> BenchReport {
    let mut tables = Vec::new();
    for (axis, title, unit) in [
        ("size", "Size: blocks of 4 MiB, a query of one input", "ms a MiB"),
        ("blocks", "Blocks: 64 MiB of parameters, a query of one input", "ms a block"),
        ("inputs", "Inputs in a batch: 64 MiB of parameters", "ms an input"),
    ] {
        let headings = ["step", "size", "blocks", "inputs", "ms", unit, "peak memory"];
        let mut table = TextTable::new(title, &headings);
        for row in rows.iter().filter(|r| r.axis == axis) {
            table.row(vec![
                row.step.to_owned(),
                output::size(row.bytes),
                row.blocks.to_string(),
                row.inputs.to_string(),
                format!("{:.2}", row.seconds * 1e3),
                format!("{:.4}", row.seconds_per_unit * 1e3),
                row.peak_bytes.map_or_else(|| "unknown".to_owned(), output::size),
            ]);
        }
        tables.push(table);
    }
    let method = json!({
        "network": "dense layers with random weights",
        "memory": "the peak of a process that does one row's work and nothing else",
        "warm_up_of_queries": WARM_UP,
        "samples": args.repeat,
        "threads": args.threads,
        "check": "run",
    });
    let rows = rows.iter().map(|r| serde_json::to_value(r).unwrap_or(Value::Null)).collect();
    BenchReport { bench: "growth", method, rows, tables, notes }
}
