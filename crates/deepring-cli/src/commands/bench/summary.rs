//! A summary of many pairs: medians, and how far ratios spread.

use std::time::Duration;

use serde::Serialize;

use super::pairs::Pair;

/// Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PairSummary {
    pub(super) pairs: usize,
    pub(super) base_ms: f64,
    pub(super) measured_ms: f64,
    pub(super) ratio: Ratio,
}

/// Measured over base: above 1, what was measured took longer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Ratio {
    /// Of the ratios of neighbours, of which a slow moment of the machine meets both.
    pub(super) median: f64,
    pub(super) p10: f64,
    pub(super) p90: f64,
    pub(super) of_medians: f64,
}

impl PairSummary {
    /// `share` is how many queries each run answers.
    pub(super) fn of(pairs: &[Pair], share: usize) -> Self {
        let each = |d: Duration| milliseconds(d) / share.max(1) as f64;
        let base = Sorted::new(pairs.iter().map(|p| each(p.base)));
        let measured = Sorted::new(pairs.iter().map(|p| each(p.measured)));
        let ratios = Sorted::new(pairs.iter().map(|p| over(each(p.measured), each(p.base))));
        Self {
            pairs: pairs.len(),
            base_ms: base.median(),
            measured_ms: measured.median(),
            ratio: Ratio {
                median: ratios.median(),
                p10: ratios.at(0.1),
                p90: ratios.at(0.9),
                of_medians: over(measured.median(), base.median()),
            },
        }
    }
}

impl Ratio {
    /// Median, spread, and the ratio of medians, as cells of a table.
    pub(super) fn cells(&self) -> [String; 3] {
        let Self { median, p10, p90, of_medians } = self;
        [format!("{median:.3}"), format!("{p10:.3}..{p90:.3}"), format!("{of_medians:.3}")]
    }
}

pub(super) fn milliseconds(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// A ratio that stays finite if the clock saw no time pass.
fn over(measured: f64, base: f64) -> f64 {
    const TICK_MS: f64 = 1e-6;
    measured.max(TICK_MS) / base.max(TICK_MS)
}

/// Numbers in order.
pub(super) struct Sorted(Vec<f64>);

impl Sorted {
    pub(super) fn new(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        Self(numbers)
    }

    pub(super) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The quantile, between two numbers where it falls there; 0 if there is no number at all.
    pub(super) fn at(&self, quantile: f64) -> f64 {
        let place = quantile * self.0.len().saturating_sub(1) as f64;
        let low = self.0.get(place.floor() as usize).copied().unwrap_or(0.0);
        let high = self.0.get(place.ceil() as usize).copied().unwrap_or(low);
        low + (high - low) * place.fract()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let numbers = Sorted::new([8.0, 1.0, 4.0, 2.0]);
        assert_eq!(numbers.median(), 3.0);
        assert_eq!((numbers.at(0.0), numbers.at(1.0)), (1.0, 8.0));
        assert_eq!(Sorted::new([]).median(), 0.0);
    }

    #[test]
    fn the_two_ratios_are_of_pairs_and_of_medians() {
        let pair = |base, measured| Pair {
            base: Duration::from_millis(base),
            measured: Duration::from_millis(measured),
        };
        // The machine was slow during the second pair: neighbours agree, and so the ratio does.
        let summary = PairSummary::of(&[pair(10, 11), pair(100, 110), pair(20, 30)], 2);
        assert_eq!((summary.base_ms, summary.measured_ms), (10.0, 15.0));
        let ratio = summary.ratio;
        assert!((ratio.median - 1.1).abs() < 1e-9);
        assert_eq!(ratio.of_medians, 1.5);
        assert!(ratio.p90 > 1.3 && ratio.p10 < 1.11);
    }
}
