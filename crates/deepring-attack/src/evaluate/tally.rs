//! How often each defence saw an attack, counted over the cells of a network.

use super::record::{Measured, Row};

/// How often a defence saw an attack that changed something, and named the right tensor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) defence: String,
    /// Attacks.
    pub(super) all: usize,
    pub(super) at_rest: usize,
    pub(super) live: usize,
    /// Attacks that changed tensors.
    pub(super) placed: usize,
    pub(super) located: usize,
}

/// The baselines in their order, DeepRing last.
pub(super) fn tallies(rows: &[&Row]) -> Vec<Tally> {
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
    let changed = |m: &&Measured| m.tensors > 0 || m.graph > 0;
    let cells = || rows.iter().filter_map(|r| r.measured()).filter(changed);
    for measured in cells() {
        for s in &measured.defences {
            let located = s.located == Some(true);
            add(&s.defence, s.at_rest, s.live, located, measured.tensors > 0);
        }
    }
    for measured in cells() {
        if let Some(ring) = &measured.ring {
            let (detected, located) = (ring.detected, ring.tensor == Some(true));
            add("DeepRing", detected, detected, located, measured.tensors > 0);
        }
    }
    out
}

#[cfg(test)]
mod tests;
