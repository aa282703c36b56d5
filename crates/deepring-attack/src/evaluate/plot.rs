//! The plots: what is drawn of the results, and each as a file of its own.

use super::journal::Results;
use super::record::{Model, Row};
use super::tally::tallies;
use crate::defence::Summary;
use crate::report::{Heat, Lines, Series, share_bars};

/// A drawing with its title.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    /// Name of its file, without `.svg`.
    pub(super) name: String,
    /// SHA-256 of the network that it is about.
    pub(super) model: String,
    /// The quantity that is drawn, in units.
    pub(super) title: String,
    /// The drawing, to stand in a page.
    pub(super) svg: String,
}

/// All plots, network by network.
pub(super) fn plots(results: &Results) -> Vec<Plot> {
    let mut out = Vec::new();
    for (at, model) in results.models.iter().enumerate() {
        let rows = results.of(model);
        let mut add = |what: &str, title: &str, svg: Option<String>| {
            if let Some(svg) = svg {
                out.push(Plot {
                    name: format!("{:02}-{}-{what}", at + 1, plain(&model.name)),
                    model: model.sha256.clone(),
                    title: title.to_owned(),
                    svg,
                });
            }
        };
        add(
            "layers",
            "Accuracy in per cent after Gaussian noise, mean over the seeds: where it is added, and how strong (rho, in standard deviations of the tensor)",
            noise(model, &rows),
        );
        add(
            "flips",
            "Accuracy in per cent against flipped bits: mean over the seeds, band of one standard deviation",
            flips(model, &rows),
        );
        add(
            "attacks",
            "Accuracy in per cent after one attack on one layer, mean over seeds; the strongest of each",
            one_layer(model, &rows),
        );
        add(
            "defences",
            "Attacks that changed the network: detected, and located in the right tensor, in per cent",
            defences(&rows),
        );
    }
    out
}

impl Results {
    /// The cells of a network under its settings.
    pub(super) fn of<'a>(&'a self, model: &Model) -> Vec<&'a Row> {
        let settings = model.settings.get(..16).unwrap_or(&model.settings);
        let own = |r: &&Row| r.model == model.sha256 && r.key.ends_with(settings);
        self.rows.iter().filter(own).collect()
    }
}

/// Detection and localisation, three bars for each defence; `None` if nothing was measured.
fn defences(rows: &[&Row]) -> Option<String> {
    let bars: Vec<_> = tallies(rows)
        .into_iter()
        .map(|t| (t.defence, [(t.at_rest, t.all), (t.live, t.all), (t.located, t.placed)]))
        .collect();
    share_bars("Detection by defence", &bars, ["in the file", "in memory", "located"])
}

/// A name as it may stand in a file's.
fn plain(name: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(kept).take(60).collect()
}

/// Mean accuracy in per cent; a network that the engine refuses answers nothing right.
pub(super) fn accuracy<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<Summary> {
    use super::record::Outcome;
    let values: Vec<f64> = rows
        .filter_map(|r| match &r.outcome {
            Outcome::Measured(m) => Some(100.0 * m.attacked),
            Outcome::Unusable(_) => Some(0.0),
            Outcome::NotApplicable(_) => None,
        })
        .collect();
    (!values.is_empty()).then(|| Summary::of(&values))
}

/// Values in the order of numbers, each once.
fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

fn noise(model: &Model, rows: &[&Row]) -> Option<String> {
    let noisy: Vec<&Row> = rows
        .iter()
        .copied()
        .filter(|r| matches!(r.attack.as_str(), "noise-layer" | "noise-dense" | "noise-all"))
        .collect();
    let rhos = distinct(noisy.iter().filter_map(|r| r.strength.rho));
    let of = |attack: &str, layer: Option<&str>, rho: f64| {
        accuracy(noisy.iter().copied().filter(|r| {
            r.attack == attack && r.layer.as_deref() == layer && r.strength.rho == Some(rho)
        }))
        .map(|s| s.mean)
    };
    let mut lines: Vec<(String, Vec<Option<f64>>)> = Vec::new();
    for layer in &model.layers {
        let cells = rhos.iter().map(|rho| of("noise-layer", Some(&layer.name), *rho)).collect();
        lines.push((layer.name.clone(), cells));
    }
    for (name, attack) in [("every dense layer", "noise-dense"), ("every layer", "noise-all")] {
        lines.push((name.to_owned(), rhos.iter().map(|rho| of(attack, None, *rho)).collect()));
    }
    lines.retain(|(_, cells)| cells.iter().any(Option::is_some));
    let columns = rhos.iter().map(|rho| format!("{rho}")).collect();
    let clean = 100.0 * model.accuracy;
    Heat { columns, lines, column_title: "rho".to_owned(), clean, slanted: false }.draw()
}

fn one_layer(model: &Model, rows: &[&Row]) -> Option<String> {
    let placed: Vec<&Row> = rows.iter().copied().filter(|r| r.layer.is_some()).collect();
    let mut attacks: Vec<&str> = Vec::new();
    for row in &placed {
        if !attacks.contains(&row.attack.as_str()) {
            attacks.push(&row.attack);
        }
    }
    if attacks.len() < 2 {
        return None;
    }
    let strongest = |attack: &str| {
        let of = placed.iter().filter(|r| r.attack == attack).filter_map(|r| r.strength.rho);
        of.max_by(f64::total_cmp)
    };
    let lines = model.layers.iter().map(|layer| {
        let cells = attacks.iter().map(|attack| {
            let rho = strongest(attack);
            accuracy(placed.iter().copied().filter(|r| {
                r.attack == *attack
                    && r.layer.as_ref() == Some(&layer.name)
                    && r.strength.rho == rho
            }))
            .map(|s| s.mean)
        });
        (layer.name.clone(), cells.collect())
    });
    let lines = lines.collect();
    let columns = attacks
        .iter()
        .map(|a| strongest(a).map_or_else(|| (*a).to_owned(), |rho| format!("{a} {rho}")))
        .collect();
    let clean = 100.0 * model.accuracy;
    Heat { columns, lines, column_title: String::new(), clean, slanted: true }.draw()
}

fn flips(model: &Model, rows: &[&Row]) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|r| r.measured().is_some()) {
        let searched = row.measured().is_some_and(|m| !m.trace.is_empty());
        if (row.strength.flips.is_some() || searched) && !names.contains(&row.attack.as_str()) {
            names.push(&row.attack);
        }
    }
    let clean = 100.0 * model.accuracy;
    let series = names.iter().map(|name| {
        let own: Vec<&Row> = rows.iter().copied().filter(|r| r.attack == *name).collect();
        let traced = |m: &super::record::Measured| m.trace.clone();
        let traces: Vec<Vec<(usize, f64)>> =
            own.iter().filter_map(|r| r.measured().map(traced)).filter(|t| !t.is_empty()).collect();
        let points: Vec<(f64, Summary)> = if traces.is_empty() {
            let counts = distinct(own.iter().filter_map(|r| r.strength.flips).map(|n| n as f64));
            let at =
                |n: f64| own.iter().copied().filter(move |r| r.strength.flips == Some(n as usize));
            counts.iter().filter_map(|n| Some((*n, accuracy(at(*n))?))).collect()
        } else {
            let counts = distinct(traces.iter().flatten().map(|(n, _)| *n as f64));
            counts.iter().map(|n| (*n, Summary::of(&reached(&traces, *n as usize)))).collect()
        };
        Series { name: (*name).to_owned(), points }
    });
    Lines { series: series.collect(), clean }.draw()
}

/// Accuracy of each search after so many flips; one that needed fewer stays where it ended.
fn reached(traces: &[Vec<(usize, f64)>], flips: usize) -> Vec<f64> {
    let at = |trace: &Vec<(usize, f64)>| {
        let last = trace.iter().rev().find(|(n, _)| *n <= flips);
        last.or_else(|| trace.first()).map(|(_, accuracy)| 100.0 * accuracy)
    };
    traces.iter().filter_map(at).collect()
}

#[cfg(test)]
mod tests;
