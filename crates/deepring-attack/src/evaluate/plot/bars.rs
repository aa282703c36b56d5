//! Detection and localisation, two bars for each defence.

use svg::Document;
use svg::node::element::Rectangle;

use super::canvas::{canvas, round, text, width_of};
use crate::evaluate::record::Row;

const WIDTH: f64 = 260.0;

/// How often a defence saw an attack that changed something, and named the right tensor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::evaluate) struct Tally {
    pub(in crate::evaluate) defence: String,
    /// Attacks.
    pub(in crate::evaluate) all: usize,
    pub(in crate::evaluate) at_rest: usize,
    pub(in crate::evaluate) live: usize,
    /// Attacks that changed tensors.
    pub(in crate::evaluate) placed: usize,
    pub(in crate::evaluate) located: usize,
}

/// The baselines in their order, DeepRing last.
pub(in crate::evaluate) fn tallies(rows: &[&Row]) -> Vec<Tally> {
    let mut out: Vec<Tally> = Vec::new();
    let mut add = |name: &str, at_rest: bool, live: bool, located: bool, placed: bool| {
        let at = out.iter().position(|t| t.defence == name).unwrap_or_else(|| {
            out.push(Tally { defence: name.to_owned(), ..Tally::default() });
            out.len() - 1
        });
        if let Some(tally) = out.get_mut(at) {
            tally.all += 1;
            tally.at_rest += usize::from(at_rest);
            tally.live += usize::from(live);
            tally.placed += usize::from(placed);
            tally.located += usize::from(placed && located && live);
        }
    };
    for measured in rows.iter().filter_map(|r| r.measured()) {
        let placed = measured.tensors > 0;
        if !placed && measured.graph == 0 {
            continue;
        }
        for s in &measured.defences {
            add(&s.defence, s.at_rest, s.live, s.located == Some(true), placed);
        }
    }
    for measured in rows.iter().filter_map(|r| r.measured()) {
        if let Some(ring) = &measured.ring {
            let placed = measured.tensors > 0;
            let detected = ring.detected;
            add("DeepRing", detected, detected, ring.tensor == Some(true), placed);
        }
    }
    out
}

/// `None` if nothing was measured.
pub(super) fn defences(rows: &[&Row]) -> Option<String> {
    let tallies = tallies(rows);
    if tallies.is_empty() {
        return None;
    }
    let left = tallies.iter().map(|t| width_of(&t.defence)).fold(60.0, f64::max) + 10.0;
    let height = 58.0 * tallies.len() as f64 + 40.0;
    let mut svg: Document = canvas(left + WIDTH + 124.0, height, "Detection by defence");
    let kinds = ["s0", "s5", "s2"];
    for (at, tally) in tallies.iter().enumerate() {
        let y = 4.0 + 58.0 * at as f64;
        svg = svg.add(text(left - 8.0, y + 26.0, "end", &tally.defence));
        let bars =
            [(tally.at_rest, tally.all), (tally.live, tally.all), (tally.located, tally.placed)];
        for (row, ((hits, all), colour)) in bars.into_iter().zip(kinds).enumerate() {
            let share = hits as f64 / all.max(1) as f64;
            let y = y + 16.0 * row as f64;
            let bar = Rectangle::new()
                .set("class", format!("bar {colour}"))
                .set("x", round(left))
                .set("y", round(y))
                .set("width", round((WIDTH * share).max(1.5)))
                .set("height", 13)
                .set("rx", 2);
            let value = if all == 0 {
                "–".to_owned()
            } else {
                format!("{:.0} % ({hits}/{all})", 100.0 * share)
            };
            svg = svg.add(bar).add(text(left + WIDTH * share + 7.0, y + 11.0, "soft", &value));
        }
    }
    let mut x = 6.0;
    for (name, colour) in ["in the file", "in memory", "located"].into_iter().zip(kinds) {
        let y = height - 22.0;
        let dot = Rectangle::new().set("class", format!("bar {colour}"));
        svg = svg
            .add(dot.set("x", x).set("y", y).set("width", 11).set("height", 11).set("rx", 2))
            .add(text(x + 16.0, y + 10.0, "", name));
        x += width_of(name) + 34.0;
    }
    Some(svg.to_string())
}
