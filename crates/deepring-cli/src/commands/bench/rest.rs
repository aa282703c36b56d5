//! At rest: sealing, verifying and opening a ring, each beside the least that could be done in its place.

mod base;
mod decisions;

use std::path::{Path, PathBuf};

use deepring::{Check, Trust, UnverifiedRing};
use deepring_infer::sealing::Blocks;
use deepring_infer::{CutPolicy, Seal};
use deepring_measure::{Pair, PairSummary, Ratio, in_turn};
use deepring_onnx::synthetic::Stack;
use serde::Serialize;
use serde_json::{Value, json};

use super::fixture::{BenchFixture, BenchNetwork};
use super::report::BenchReport;
use super::table::TextTable;
use super::{SEED, Timed, WARM_UP, at, rounds, timed};
use crate::cli::{BenchRest, Bytes};
use crate::error::CliError;
use crate::output;
use crate::progress::Progress;
use base::{b3sum, b3sum_version, hash, remove};
use decisions::{Decisions, decisions};

const SHARED_MEMORY: &str = "/dev/shm";

pub(super) fn rest(args: &BenchRest) -> Result<(), CliError> {
    let repeat = usize::try_from(args.repeat.get()).unwrap_or(usize::MAX);
    let progress = Progress::items("measuring", 4 * args.size.len() as u64 + 1);
    let mut rows = Vec::new();
    for size in &args.size {
        let bench = RestFixture::prepare(args.dir.as_deref(), *size)?;
        rows.push(bench.verify(repeat)?);
        progress.add(1);
        rows.extend(bench.verify_beside_b3sum(repeat)?);
        progress.add(1);
        rows.push(bench.seal(repeat)?);
        progress.add(1);
        rows.push(bench.open(repeat)?);
        progress.add(1);
    }
    let decisions = decisions(repeat)?;
    progress.add(1);
    drop(progress);
    report(args, rows, &decisions).give(&args.output)
}

/// One ring and what it was made of.
struct RestFixture {
    fixture: BenchFixture,
    subject: BenchNetwork,
    /// The file of weights.
    weights: PathBuf,
}

#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    /// The base that it stands beside.
    base: String,
    bytes: u64,
    pairs: usize,
    base_ms: f64,
    ms: f64,
    ratio: Ratio,
}

impl RestFixture {
    fn prepare(dir: Option<&Path>, size: Bytes) -> Result<Self, CliError> {
        let fixture = BenchFixture::open(dir)?;
        let stack = Stack::of_bytes(size.0);
        let model = fixture.stack(stack, "stack")?;
        let weights = model.with_extension("data");
        let subject = fixture.seal("stack", model, CutPolicy::Auto, vec![stack.query(SEED)])?;
        Ok(Self { fixture, subject, weights })
    }

    fn verify(&self, repeat: usize) -> Result<Row, CliError> {
        let mut base: Timed<'_> = Box::new(|| Ok(timed(|| hash(&self.subject.ring, None))?.0));
        let pairs = in_turn(&mut base, &mut self.verifying(), rounds(repeat))?;
        let base = "BLAKE3 of the same file, all cores";
        self.row("verify", base, &self.subject.ring, &pairs)
    }

    /// Nothing, where there is no `b3sum`.
    fn verify_beside_b3sum(&self, repeat: usize) -> Result<Option<Row>, CliError> {
        let Some(version) = b3sum_version() else { return Ok(None) };
        let mut base: Timed<'_> = Box::new(|| Ok(timed(|| b3sum(&self.subject.ring))?.0));
        let pairs = in_turn(&mut base, &mut self.verifying(), rounds(repeat))?;
        self.row("verify", &format!("{version} of the same file"), &self.subject.ring, &pairs)
            .map(Some)
    }

    fn verifying(&self) -> Timed<'_> {
        Box::new(|| {
            let verify = || {
                let trust = Trust::owner(self.fixture.owner().public());
                Ok(UnverifiedRing::open(&self.subject.ring)?.verify(&trust, &|_| ())?)
            };
            Ok(timed(verify)?.0)
        })
    }

    fn seal(&self, repeat: usize) -> Result<Row, CliError> {
        let (copy, ring) = (self.fixture.path("copy"), self.fixture.path("again.ring"));
        let mut base: Timed<'_> = Box::new(|| {
            remove(&copy)?;
            Ok(timed(|| hash(&self.weights, Some(&copy)))?.0)
        });
        let sealing = || {
            let seal = Seal::new(&self.subject.model, self.fixture.owner());
            let seal = seal.host(Blocks::All, self.fixture.host().public());
            Ok(seal.write(&ring, &|_| ())?)
        };
        let mut measured: Timed<'_> = Box::new(|| {
            remove(&ring)?;
            Ok(timed(sealing)?.0)
        });
        let pairs = in_turn(&mut base, &mut measured, rounds(repeat))?;
        remove(&copy)?;
        remove(&ring)?;
        self.row("seal", "BLAKE3 and a synced copy of the weights", &self.weights, &pairs)
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "into a temporary folder, measured as what a user would do"
    )]
    fn open(&self, repeat: usize) -> Result<Row, CliError> {
        let shared = Path::new(SHARED_MEMORY);
        let to = if shared.is_dir() { shared } else { &std::env::temp_dir() };
        let to =
            tempfile::Builder::new().prefix("deepring-bench-").tempdir_in(to).map_err(at(to))?;
        let copy = to.path().join("copy");
        let ring = &self.subject.ring;
        let mut base: Timed<'_> = Box::new(|| {
            remove(&copy)?;
            Ok(timed(|| std::fs::copy(ring, &copy).map_err(at(&copy)))?.0)
        });
        let opening = || {
            let session = self.fixture.session(ring, Check::Auto, None, false)?;
            let outcome = session.run_batch(self.subject.batch.clone())?;
            Ok((session, outcome))
        };
        let mut measured: Timed<'_> = Box::new(|| Ok(timed(opening)?.0));
        let pairs = in_turn(&mut base, &mut measured, rounds(repeat))?;
        let base = format!("copy to {}", to.path().parent().unwrap_or(to.path()).display());
        self.row("open to first answer", &base, ring, &pairs)
    }

    fn row(
        &self,
        what: &'static str,
        base: &str,
        file: &Path,
        pairs: &[Pair],
    ) -> Result<Row, CliError> {
        let bytes = file.metadata().map_err(at(file))?.len();
        let PairSummary { pairs, base_ms, measured_ms, ratio, .. } = PairSummary::of(pairs, 1);
        Ok(Row { what, base: base.to_owned(), bytes, pairs, base_ms, ms: measured_ms, ratio })
    }
}

fn report(args: &BenchRest, measured: Vec<Row>, decisions: &Decisions) -> BenchReport {
    let mut files = TextTable::new(
        "Milliseconds for a file, beside the least that could be done instead",
        &["what", "size", "beside", "its ms", "ms", "GB/s", "ratio", "p10..p90", "of medians"],
    );
    for row in &measured {
        let mut cells = vec![
            row.what.to_owned(),
            output::size(row.bytes),
            row.base.clone(),
            format!("{:.1}", row.base_ms),
            format!("{:.1}", row.ms),
            format!("{:.2}", row.bytes as f64 / 1e6 / row.ms.max(1e-6)),
        ];
        cells.extend(row.ratio.cells());
        files.row(cells);
    }
    let mut offline = TextTable::new(
        "Decisions verified offline, a second and core",
        &["network", "blocks", "bytes", "a second", "p10..p90"],
    );
    offline.row(vec![
        decisions.network.to_owned(),
        decisions.blocks.to_string(),
        decisions.bytes.to_string(),
        format!("{:.0}", decisions.per_second),
        format!("{:.0}..{:.0}", decisions.per_second_p10, decisions.per_second_p90),
    ]);
    let mut rows: Vec<Value> =
        measured.iter().map(|r| serde_json::to_value(r).unwrap_or(Value::Null)).collect();
    rows.push(serde_json::to_value(decisions).unwrap_or(Value::Null));
    let mut notes =
        vec!["files are read from the page cache, where they fit into memory".to_owned()];
    if b3sum_version().is_none() {
        notes.push(
            "`b3sum` is not on the path, so verifying stands beside our own reader alone"
                .to_owned(),
        );
    }
    let method = json!({
        "order": "base and measured alternate, and which is first in a pair does too",
        "warm_up": WARM_UP,
        "pairs": args.repeat,
    });
    BenchReport { bench: "rest", method, rows, tables: vec![files, offline], notes }
}
