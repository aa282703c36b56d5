//! The page `report.html`: one file, no script, nothing loaded from anywhere.

use std::fmt::Write as _;

use super::journal::Results;
use super::plot::{Plot, STYLE as PLOTS};
use super::record::{Model, Outcome};
use super::tables::{Table, about, circumstances, remarks, tables_of};

const STYLE: &str = include_str!("page/style.css");

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
        body += &format!("<li>{}</li>\n", esc(&line));
    }
    body += "</ul>\n</section>\n";
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Parameter tampering: an evaluation</title>\n<style>\n{STYLE}{PLOTS}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <footer>Written by <code>deepring evaluate</code>. Every number was measured in the runs named above and stands in \
         <code>results.jsonl</code>.</footer>\n</body>\n</html>\n"
    )
}

fn opening(results: &Results) -> String {
    let shown: Vec<_> = results.models.iter().flat_map(|m| results.of(m)).collect();
    let made: Vec<_> = shown.iter().filter_map(|r| r.measured()).collect();
    let rings: Vec<_> = made.iter().filter_map(|m| m.ring.as_ref()).collect();
    let without = shown.iter().filter(|r| matches!(r.outcome, Outcome::NotApplicable(_))).count();
    let worst = made.iter().map(|m| m.clean - m.attacked).fold(0.0, f64::max);
    let tile = |value: String, what: &str, class: &str| {
        format!(
            "<div class=\"tile {class}\"><b>{}</b><span>{}</span></div>\n",
            esc(&value),
            esc(what)
        )
    };
    let mut tiles = tile(made.len().to_string(), "attacks measured", "")
        + &tile(without.to_string(), "did not apply", "")
        + &tile(format!("{:.1} points", 100.0 * worst), "accuracy lost at most", "bad");
    if !rings.is_empty() {
        let seen = rings.iter().filter(|r| r.detected).count();
        let class = if seen == rings.len() { "good" } else { "bad" };
        tiles += &tile(format!("{seen} of {}", rings.len()), "refused by DeepRing", class);
    }
    let names: Vec<String> = results.models.iter().map(|m| esc(&m.name)).collect();
    format!(
        "<header>\n<p class=\"kicker\">DeepRing evaluation</p>\n<h1>What tampering does, and who notices</h1>\n\
         <p class=\"lead\">Networks: {}.</p>\n<div class=\"tiles\">\n{tiles}</div>\n</header>\n",
        names.join(", ")
    )
}

fn section(results: &Results, model: &Model, plots: &[Plot]) -> String {
    let mut out =
        format!("<section>\n<h2>{}</h2>\n<p>{}</p>\n", esc(&model.name), esc(&about(model)));
    for remark in remarks(model) {
        let _ = writeln!(out, "<p class=\"warn\">{}</p>", esc(&remark));
    }
    out += "<div class=\"plots\">\n";
    for plot in plots.iter().filter(|p| p.model == model.sha256) {
        let _ = write!(
            out,
            "<figure class=\"card\">\n<figcaption>{}</figcaption>\n<div class=\"scroll\">{}</div>\n</figure>\n",
            esc(&plot.title),
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
    let class = |at: usize| if at < table.texts { "" } else { " class=\"num\"" };
    let mut rows = String::new();
    for row in &table.rows {
        rows += "<tr>";
        for (at, cell) in row.iter().enumerate() {
            let _ = write!(rows, "<td{}>{}</td>", class(at), esc(cell));
        }
        rows += "</tr>\n";
    }
    let mut head = String::new();
    for (at, column) in table.columns.iter().enumerate() {
        let _ = write!(head, "<th{}>{}</th>", class(at), esc(column));
    }
    let note = match table.note.is_empty() {
        true => String::new(),
        false => format!("<p class=\"fine\">{}.</p>\n", esc(&table.note)),
    };
    let grid = format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    );
    let grid = match table.rows.len() {
        n if n > FOLDED => format!("<details>\n<summary>{n} rows</summary>\n{grid}</details>\n"),
        _ => grid,
    };
    format!("<h3>{}</h3>\n{note}{grid}", esc(&table.title))
}

/// Text as it may stand in an element or in a quoted attribute.
fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // No control character may stand in HTML.
            c if c.is_control() && c != '\n' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}
