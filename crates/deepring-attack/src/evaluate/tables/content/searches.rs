//! How many flips searches took, and how many of them ended.

use super::{groups, mean};
use crate::evaluate::record::{Measured, Model, Row};
use crate::evaluate::tables::Table;

pub(super) fn table(model: &Model, rows: &[&Row]) -> Table {
    let mut out = Vec::new();
    for group in groups(rows) {
        let made: Vec<(&Measured, bool, usize)> = group
            .iter()
            .filter_map(|r| r.measured())
            .filter_map(|m| Some((m, m.reached?, m.trace.last()?.0)))
            .collect();
        let (Some(first), false) = (group.first(), made.is_empty()) else { continue };
        let ended = made.iter().filter(|(_, reached, _)| *reached).count();
        let counts: Vec<f64> = made.iter().map(|(.., flips)| *flips as f64).collect();
        let of = |flips: &usize, reached: bool| match reached {
            true => flips.to_string(),
            false => format!("≥ {flips}"),
        };
        // The mean of counts of which some were cut off is less than that of counts that were not.
        let least = if ended < made.len() { "≥ " } else { "" };
        let seconds: Vec<f64> = made.iter().map(|(m, ..)| m.seconds).collect();
        out.push(vec![
            first.attack.clone(),
            first.strength.text(),
            format!("{ended} of {}", made.len()),
            format!("{least}{}", mean(&counts, 1)),
            made.iter().map(|(_, r, flips)| of(flips, *r)).collect::<Vec<_>>().join(", "),
            mean(&seconds, 0),
        ]);
    }
    Table {
        title: "Flips until a search ends".to_owned(),
        note: format!(
            "By the published rules, on the {} test images: bfa at 1.1 times chance or less, tbfa-n-to-1 with more than 99.99 % of them at the target, the others with more than 99.99 % (tbfa-stealthy: 99.9 %) of the source's. A search that was cut off, or that no bit helps any more, has not ended: its count, and the mean, are lower bounds",
            model.test
        ),
        columns: vec!["search", "strength", "ended", "flips", "each", "seconds"],
        texts: 2,
        rows: out,
    }
}
