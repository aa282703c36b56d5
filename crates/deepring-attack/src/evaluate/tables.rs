//! The tables: what was measured, network by network, in the form of `tables.md`.

mod content;

use deepring::files::InLine;

use super::journal::Results;
use super::record::Model;
pub(super) use content::tables_of;

/// Fewer test samples than this are a small sample.
const SMALL: usize = 1000;

/// A table. Its first columns are text, the others numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) columns: Vec<&'static str>,
    /// How many columns are text.
    pub(super) texts: usize,
    pub(super) rows: Vec<Vec<String>>,
}

/// All tables as Markdown.
pub(super) fn tables(results: &Results) -> String {
    let mut out = "# Evaluation\n\n".to_owned();
    for line in circumstances(results) {
        out += &format!("- {}\n", escaped(&line));
    }
    for model in &results.models {
        out += &format!("\n## {}\n\n{}\n", escaped(&model.name), escaped(&about(model)));
        for remark in remarks(model) {
            out += &format!("\n**{}**\n", escaped(&remark));
        }
        for table in tables_of(results, model) {
            out += &format!("\n### {}\n\n", escaped(&table.title));
            if !table.note.is_empty() {
                out += &format!("{}\n\n", escaped(&table.note));
            }
            out += &markdown(&table);
        }
    }
    out
}

fn markdown(table: &Table) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| {
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut out = line(&mut table.columns.iter().map(|c| (*c).to_owned()));
    let rule = |at: usize| if at < table.texts { "---" } else { "---:" };
    out += &line(&mut (0..table.columns.len()).map(|at| rule(at).to_owned()));
    for row in &table.rows {
        out += &line(&mut row.iter().map(|c| escaped(c)));
    }
    out
}

/// Text that stays text in Markdown, and in one cell.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in InLine(text).to_string().chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// With what the results were made.
pub(super) fn circumstances(results: &Results) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for run in &results.runs {
        let build =
            if run.optimised { "" } else { ", not an optimised build: its times say nothing" };
        let line = format!(
            "{}: {} (version {}; {}, {} cores{build}; {} seeds; check {}; settings {})",
            run.date,
            run.command,
            run.version,
            run.cpu,
            run.cores,
            run.seeds,
            run.check,
            run.settings.get(..16).unwrap_or_default(),
        );
        out.push(line);
    }
    out
}

/// A network in a sentence.
pub(super) fn about(model: &Model) -> String {
    format!(
        "SHA-256 {}; {} parameters, {} linear layers; accuracy {:.2} % of {} test images ({:.2} % of the {} that attacks search with).{}",
        model.sha256,
        model.parameters,
        model.layers.len(),
        100.0 * model.accuracy,
        model.test,
        100.0 * model.search_accuracy,
        model.search,
        if model.quantised {
            " Quantised to 8 bits for this evaluation, per layer and symmetric."
        } else {
            ""
        },
    )
}

/// A note for the reader of its numbers.
pub(super) fn remarks(model: &Model) -> Vec<String> {
    let mut out = Vec::new();
    if model.test < SMALL {
        let p = model.accuracy;
        let error = 100.0 * (p * (1.0 - p) / model.test.max(1) as f64).sqrt();
        out.push(format!(
            "Small sample: with {} test images one standard error of the clean accuracy is {error:.1} points (binomial), and up to {:.1} points where half of the answers are right",
            model.test,
            100.0 * (0.25 / model.test.max(1) as f64).sqrt(),
        ));
    }
    if let Some(reason) = &model.no_ring {
        out.push(format!("It cannot be sealed, so DeepRing is not among the defences: {reason}"));
    }
    if model.shared_samples {
        out.push(
            "The data set has one part only: attacks that search did so among the images that accuracy is measured on"
                .to_owned(),
        );
    }
    out
}

#[cfg(test)]
mod tests;
