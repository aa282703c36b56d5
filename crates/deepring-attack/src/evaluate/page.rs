//! The page `report.html`: every network with its drawings and tables.

use std::fmt::Write as _;

use super::journal::Results;
use super::plot::Plot;
use super::record::{Model, Outcome};
use super::tables::{Table, about, circumstances, remarks, tables_of};
use crate::report::{self, Page, escape};

/// Longer tables are folded.
const FOLDED: usize = 14;

/// The page.
pub(super) fn page(results: &Results, plots: &[Plot]) -> String {
    let mut body = opening(results);
    for model in &results.models {
        body += &section(results, model, plots);
    }
    body += "<section>\n<h2>How it was made</h2>\n<ul class=\"fine\">\n";
    for line in circumstances(results) {
        let _ = writeln!(body, "<li>{}</li>", escape(&line));
    }
    body += "</ul>\n</section>\n";
    let title = "Parameter tampering: an evaluation";
    let footer = "Written by <code>deepring evaluate</code>. Every number was measured in the runs named above and stands in \
                  <code>results.jsonl</code>.";
    Page { title, body: &body, footer, wide: true }.html()
}

fn opening(results: &Results) -> String {
    let shown: Vec<_> = results.models.iter().flat_map(|m| results.of(m)).collect();
    let made: Vec<_> = shown.iter().filter_map(|r| r.measured()).collect();
    let rings: Vec<_> = made.iter().filter_map(|m| m.ring.as_ref()).collect();
    let without = shown.iter().filter(|r| matches!(r.outcome, Outcome::NotApplicable(_))).count();
    let worst = made.iter().map(|m| m.clean - m.attacked).fold(0.0, f64::max);
    let mut tiles = vec![
        (made.len().to_string(), "attacks measured", ""),
        (without.to_string(), "did not apply", ""),
        (format!("{:.1} points", 100.0 * worst), "accuracy lost at most", "bad"),
    ];
    if !rings.is_empty() {
        let seen = rings.iter().filter(|r| r.detected).count();
        let class = if seen == rings.len() { "good" } else { "bad" };
        tiles.push((format!("{seen} of {}", rings.len()), "refused by DeepRing", class));
    }
    let names: Vec<String> = results.models.iter().map(|m| escape(&m.name)).collect();
    format!(
        "<header>\n<p class=\"kicker\">DeepRing evaluation</p>\n<h1>What tampering does, and who notices</h1>\n\
         <p class=\"lead\">Networks: {}.</p>\n{}</header>\n",
        names.join(", "),
        report::tiles(&tiles),
    )
}

fn section(results: &Results, model: &Model, plots: &[Plot]) -> String {
    let mut out =
        format!("<section>\n<h2>{}</h2>\n<p>{}</p>\n", escape(&model.name), escape(&about(model)));
    for remark in remarks(model) {
        let _ = writeln!(out, "<p class=\"remark\">{}</p>", escape(&remark));
    }
    out += "<div class=\"plots\">\n";
    for plot in plots.iter().filter(|p| p.model == model.sha256) {
        let _ = write!(
            out,
            "<figure class=\"card\">\n<figcaption>{}</figcaption>\n<div class=\"scroll\">{}</div>\n</figure>\n",
            escape(&plot.title),
            plot.svg
        );
    }
    out += "</div>\n";
    for table in tables_of(results, model) {
        out += &html(&table);
    }
    out + "</section>\n"
}

fn html(table: &Table) -> String {
    let escaped = |row: &Vec<String>| row.iter().map(|cell| escape(cell)).collect();
    let rows: Vec<Vec<String>> = table.rows.iter().map(escaped).collect();
    let note = match table.note.is_empty() {
        true => String::new(),
        false => format!("<p class=\"fine\">{}.</p>\n", escape(&table.note)),
    };
    let grid = report::table(&table.columns, table.texts, &rows);
    let grid = match table.rows.len() {
        n if n > FOLDED => format!("<details>\n<summary>{n} rows</summary>\n{grid}</details>\n"),
        _ => grid,
    };
    format!("<h3>{}</h3>\n{note}{grid}", escape(&table.title))
}

#[cfg(test)]
mod tests;
