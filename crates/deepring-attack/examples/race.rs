//! The experiment `race`: both writers of live memory, and the one behind the linear operator, against `run`, `auto` and
//! `compute`.
//!
//! ```sh
//! cargo run --release -p deepring-attack --example race -- FOLDER MODEL.onnx=DATA...
//! ```
//!
//! Writes `results.jsonl`, one race a line, and `tables.md` into the folder.
#![allow(clippy::print_stderr, reason = "says what it is at")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deepring::Check;
use deepring_attack::ring::ToctouWriter;
use deepring_attack::ring::{Bout, RingTrial, ToctouResult, ToctouTiming};
use deepring_attack::{Network, Samples, Split};
use deepring_infer::SessionOptions;
use serde_json::{Value, json};

const CHECKS: [Check; 3] = [Check::Run, Check::Auto, Check::Compute];
/// Test images that are asked, again and again.
const IMAGES: usize = 500;
/// The blind writer tampers for 30 µs and lets be for 150 µs, until each image was asked once.
const TIMING: ToctouTiming = ToctouTiming {
    there: Duration::from_micros(30),
    away: Duration::from_micros(150),
    writes: 200,
};
/// Of the synchronised writer, in each layer.
const LAYER: Bout = Bout { queries: 200, refusals: 20 };
/// Of the one behind the linear operator of the first block.
const TAIL: Bout = Bout { queries: 500, refusals: 50 };

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "race FOLDER MODEL.onnx=DATA...";
    let folder = PathBuf::from(words.next().ok_or(usage)?);
    std::fs::create_dir_all(&folder)?;
    let (mut lines, mut table) = (String::new(), Vec::new());
    for word in words {
        let (model, data) = word.split_once('=').ok_or(usage)?;
        for (layer, raced) in races(Path::new(model), Path::new(data))? {
            let name = Path::new(model).file_stem().unwrap_or_default().to_string_lossy();
            let mut line = serde_json::to_value(&raced)?;
            if let Value::Object(map) = &mut line {
                map.insert("network".to_owned(), json!(name));
                map.insert("layer".to_owned(), json!(layer));
            }
            writeln!(lines, "{line}")?;
            table.push((name.into_owned(), raced));
        }
        deepring::files::replace_file(&folder.join("results.jsonl"), lines.as_bytes())?;
    }
    deepring::files::replace_file(&folder.join("tables.md"), tables(&table)?.as_bytes())?;
    Ok(())
}

/// All races of a network, each with the layer that is tampered with.
fn races(model: &Path, data: &Path) -> Result<Vec<(String, ToctouResult)>, Box<dyn Error>> {
    let network = Network::read(model)?;
    let samples = Samples::open(data, Split::Test, None)?.choose(IMAGES, 0);
    let layers: Vec<(String, Network)> = network
        .layers()
        .iter()
        .map(|layer| {
            let mut negated = network.clone();
            let values: Vec<f32> = network.floats(&layer.weight)?.iter().map(|v| -v).collect();
            negated.set_floats(&layer.weight, &values)?;
            Ok((layer.name.clone(), negated))
        })
        .collect::<Result<_, deepring_attack::network::NetworkError>>()?;
    let (first, negated) = layers.first().ok_or("no linear layer")?;
    let mut out = Vec::new();
    for check in CHECKS {
        // One thread: the engine has a core, and so has the writer.
        let options =
            SessionOptions { check, threads: 1.try_into().ok(), ..SessionOptions::default() };
        let mut trial = RingTrial::seal_with(&network, options)?;
        eprintln!("{}: {check}", model.display());
        let blind = trial.race_blind(negated, &samples, TIMING)?;
        out.extend(blind.map(|raced| (first.clone(), raced)));
        for (layer, negated) in &layers {
            let raced = trial.race_synchronised(negated, &samples, LAYER)?;
            out.extend(raced.map(|raced| (layer.clone(), raced)));
        }
        let tail = trial.race_tail(&samples, TAIL)?;
        out.extend(tail.map(|raced| (first.clone(), raced)));
    }
    Ok(out)
}

/// Races of one network, writer and check, added up.
#[derive(Default)]
struct Sum {
    layers: usize,
    queries: usize,
    wrong: usize,
    right: usize,
    refused: usize,
    correct: f64,
    until: Vec<usize>,
}

impl Sum {
    fn add(&mut self, raced: &ToctouResult) {
        self.layers += 1;
        self.queries += raced.queries;
        self.wrong += raced.wrong;
        self.right += raced.right;
        self.refused += raced.refused;
        self.correct += raced.accuracy.unwrap_or(0.0) * (raced.wrong + raced.right) as f64;
        self.until.extend(&raced.until_refused);
    }

    /// Mean and standard error of the queries until one is refused.
    fn until(&self) -> String {
        let n = self.until.len() as f64;
        if n < 2.0 {
            return "–".to_owned();
        }
        let mean = self.until.iter().sum::<usize>() as f64 / n;
        let squares: f64 = self.until.iter().map(|u| (*u as f64 - mean).powi(2)).sum();
        format!("{mean:.2} ± {:.2}", (squares / (n - 1.0) / n).sqrt())
    }
}

fn tables(races: &[(String, ToctouResult)]) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "# Races in live memory\n\n\
         Blind: the first layer's weights negated for 30 µs, left alone for 150 µs, again and again. Synchronised: a layer's weights \
         negated for exactly as long as the engine reads them, at every use, in each layer in turn (at most 200 queries or 20 refusals \
         a layer). Tail: what the first block computed is negated at every use, no parameter changes. A refused block is opened \
         anew, and under `auto` eight queries are asked before the next round. A wrong answer is one that differs from the clean one in \
         any bit; until refused: queries, the refused one included, mean ± standard error.\n\n\
         | network | writer | check | races | queries | wrong | right | refused | wrong % | until refused | accuracy of the answers % |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut order: Vec<&str> = Vec::new();
    for (network, _) in races {
        if !order.contains(&network.as_str()) {
            order.push(network);
        }
    }
    for network in order {
        for writer in
            [ToctouWriter::Blind, ToctouWriter::Synchronised, ToctouWriter::SynchronisedTail]
        {
            for check in CHECKS {
                let mut sum = Sum::default();
                let own = races.iter().filter(|(of, _)| of == network).map(|(_, raced)| raced);
                own.filter(|r| r.writer == writer && r.check == check).for_each(|r| sum.add(r));
                let word = match writer {
                    ToctouWriter::Blind => "blind",
                    ToctouWriter::Synchronised => "synchronised",
                    ToctouWriter::SynchronisedTail => "synchronised, tail",
                };
                let answers = sum.wrong + sum.right;
                let accuracy = match answers {
                    0 => "–".to_owned(),
                    n => format!("{:.1}", 100.0 * sum.correct / n as f64),
                };
                writeln!(
                    text,
                    "| {network} | {word} | `{check}` | {} | {} | {} | {} | {} | {:.1} | {} | {accuracy} |",
                    sum.layers,
                    sum.queries,
                    sum.wrong,
                    sum.right,
                    sum.refused,
                    100.0 * sum.wrong as f64 / sum.queries.max(1) as f64,
                    sum.until(),
                )?;
            }
        }
    }
    Ok(text)
}
