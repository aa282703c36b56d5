//! The limits of `compute`: how far right answers stay from being refused, and how small an edit is detected.

use std::collections::BTreeMap;

use deepring::{Check, DType, TensorSpec, TensorValue};
use deepring_infer::measure::LayerMargin;
use deepring_infer::{CutPolicy, RunError};
use deepring_measure::Quantiles;
use deepring_onnx::synthetic::SyntheticNetwork;
use serde::Serialize;
use serde_json::{Value, json};

use super::SEED;
use super::fixture::{BenchFixture, BenchNetwork, made_up};
use super::report::BenchReport;
use super::table::TextTable;
use crate::cli::BenchProducts;
use crate::error::CliError;
use crate::output;
use crate::progress::Progress;

/// Queries for which secrets are drawn anew.
const SITTING: u32 = 100;
const KINDS: [&str; 5] = ["normal", "positive", "faint", "smooth", "sparse"];

/// One layer of one network.
#[derive(Debug, Serialize)]
struct Row {
    network: String,
    block: u32,
    tensor: String,
    queries: usize,
    /// Output places that were compared, over all queries.
    places: usize,
    false_alarms: usize,
    /// The largest difference of a right output, as a share of what is allowed.
    worst: f32,
    /// The smallest change of a single weight that is detected for certain, as a share of the root mean square of the
    /// layer's weights: of the weights sampled, the median and the ninth of ten. `None` if most weights were
    /// never excited.
    floor_median: Option<f64>,
    floor_p90: Option<f64>,
    /// Weights sampled that the input did not excite: an edit of one of these has no effect on it.
    dead: f64,
}

#[derive(Default)]
struct Layer {
    queries: usize,
    places: usize,
    alarms: usize,
    worst: f32,
    thresholds: Vec<f64>,
}

pub(super) fn products(args: &BenchProducts) -> Result<(), CliError> {
    let fixture = BenchFixture::open(None)?;
    let networks = match (args.network.as_slice(), args.model.as_slice()) {
        ([], []) => SyntheticNetwork::ALL.to_vec(),
        (named, _) => named.to_vec(),
    };
    let count = (networks.len() + args.model.len()) as u64 * u64::from(args.queries.get());
    let progress = Progress::items("measuring", count);
    let mut rows = Vec::new();
    for network in networks {
        let subject = fixture.network(network, CutPolicy::Auto, 1)?;
        rows.extend(measure(args, &fixture, &subject, Some(network), &progress)?);
    }
    for model in &args.model {
        rows.extend(measure(
            args,
            &fixture,
            &fixture.file(model, CutPolicy::Auto, 1)?,
            None,
            &progress,
        )?);
    }
    drop(progress);
    report(&rows).give(&args.output)
}

fn measure(
    args: &BenchProducts,
    fixture: &BenchFixture,
    subject: &BenchNetwork,
    network: Option<SyntheticNetwork>,
    progress: &Progress,
) -> Result<Vec<Row>, CliError> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut layers: BTreeMap<(u32, String), Layer> = BTreeMap::new();
    let mut session = fixture.session(&subject.ring, Check::Compute, args.threads, false)?;
    for number in 0..args.queries.get() {
        if number > 0 && number % SITTING == 0 {
            session = fixture.session(&subject.ring, Check::Compute, args.threads, false)?;
        }
        let declared = session.ring().inputs().to_vec();
        let whole = network.filter(|_| declared.iter().any(|s| s.dtype != DType::F32));
        let inputs = match whole {
            Some(network) => network.query(u64::from(number)),
            None => {
                let kind = number as usize % KINDS.len();
                declared.iter().map(|s| drawn(s, kind, &mut random)).collect::<Result<_, _>>()?
            }
        };
        let mut sample = fastrand::Rng::with_seed(SEED + u64::from(number));
        match session.margins(inputs, &mut || sample.usize(..)) {
            Ok(margins) => margins.into_iter().for_each(|margin| note(&mut layers, margin)),
            Err(RunError::Tampered(finding)) => {
                let at = (finding.block.unwrap_or_default(), finding.tensor.unwrap_or_default());
                let layer = layers.entry(at).or_default();
                (layer.queries, layer.alarms) = (layer.queries + 1, layer.alarms + 1);
            }
            Err(e) => return Err(e.into()),
        }
        progress.add(1);
    }
    let row = |((block, tensor), layer): ((u32, String), Layer)| {
        let dead = layer.thresholds.iter().filter(|f| f.is_infinite()).count();
        let total = layer.thresholds.len().max(1);
        let sorted = Quantiles::new(layer.thresholds);
        let finite = |f: f64| f.is_finite().then_some(f);
        Row {
            network: subject.name.clone(),
            block,
            tensor,
            queries: layer.queries,
            places: layer.places,
            false_alarms: layer.alarms,
            worst: layer.worst,
            floor_median: finite(sorted.median()),
            floor_p90: finite(sorted.at(0.9)),
            dead: dead as f64 / total as f64,
        }
    };
    Ok(layers.into_iter().map(row).collect())
}

fn note(layers: &mut BTreeMap<(u32, String), Layer>, margin: LayerMargin) {
    let layer = layers.entry((margin.block, margin.tensor)).or_default();
    layer.queries += 1;
    layer.places += margin.places;
    layer.worst = layer.worst.max(margin.max_residual);
    layer.thresholds.extend(margin.detection_thresholds.iter().map(|f| f64::from(*f / margin.rms)));
}

/// Floats of one of the kinds; anything else as inputs are made up elsewhere.
fn drawn(
    spec: &TensorSpec,
    kind: usize,
    random: &mut fastrand::Rng,
) -> Result<TensorValue, CliError> {
    let base = made_up(spec, random)?;
    if spec.dtype != DType::F32 {
        return Ok(base);
    }
    let count = base.data().len() / 4;
    let mut normal = || (0..12).map(|_| random.f32()).sum::<f32>() - 6.0;
    let values = (0..count).map(|i| {
        let x = normal();
        match KINDS.get(kind) {
            Some(&"positive") => x.abs(),
            Some(&"faint") => x / 100.0,
            Some(&"smooth") => (i as f32 / 37.0).sin() + (i as f32 / 911.0).cos(),
            Some(&"sparse") => {
                if x > 1.5 {
                    x
                } else {
                    0.0
                }
            }
            _ => x,
        }
    });
    let data = values.flat_map(f32::to_le_bytes).collect();
    let failed = |e| CliError::new(crate::error::Exit::Failed, format!("{e}"));
    TensorValue::new(&spec.name, spec.dtype, base.dims().to_vec(), data).map_err(failed)
}

fn report(rows: &[Row]) -> BenchReport {
    let mut table = TextTable::new(
        "Layers under `compute`: right answers, and the smallest edit that is met",
        &["network", "layer", "checks", "places", "alarms", "worst", "floor", "p90", "dead"],
    );
    for row in rows {
        let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), |n| format!("{n:.1e}"));
        table.row(vec![
            row.network.clone(),
            row.tensor.clone(),
            row.queries.to_string(),
            row.places.to_string(),
            row.false_alarms.to_string(),
            format!("{:.3}", row.worst),
            number(row.floor_median),
            number(row.floor_p90),
            format!("{:.0} %", row.dead * 100.0),
        ]);
    }
    let sum = |f: fn(&Row) -> usize| rows.iter().map(f).sum::<usize>();
    let (checks, alarms) = (sum(|r| r.queries), sum(|r| r.false_alarms));
    let worst = rows.iter().map(|r| r.worst).fold(0.0, f32::max);
    let notes = vec![
        format!(
            "{} false alarms in {checks} checks of layers, {} places; largest gap {worst:.3} of the bound",
            alarms,
            sum(|r| r.places)
        ),
        // The rule of three: with none in n, the rate is below 3/n with 95 % confidence.
        format!(
            "rate of false alarms: below {:.1e} with 95 % confidence where there was none",
            3.0 / checks.max(1) as f64
        ),
        "floors are shares of the root mean square of the layer's weights, for one weight changed"
            .to_owned(),
    ];
    let method: Value = json!({
        "inputs": KINDS,
        "secrets": format!("drawn anew every {}", output::count(SITTING as usize, "query", "queries")),
        "worst": "difference over what rounding is allowed; above 1 is a false alarm",
        "floor": "single weight, exact for the input given: bound plus gap over coefficient times activation, least over all places",
    });
    let rows = rows.iter().map(|r| serde_json::to_value(r).unwrap_or(Value::Null)).collect();
    BenchReport { bench: "products", method, rows, tables: vec![table], notes }
}
