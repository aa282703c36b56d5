//! A summary of many pairs: medians, and how far ratios spread.

use std::time::Duration;

use serde::Serialize;

use crate::pairs::Pair;

/// Medians and ratio of many pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PairSummary {
    /// Number of the pairs.
    pub pairs: usize,
    /// Median of what is compared with, in milliseconds.
    pub base_ms: f64,
    /// Median of what is measured, in milliseconds.
    pub measured_ms: f64,
    /// Median of the differences of neighbours, in milliseconds: what is measured less what it is compared with.
    pub added_ms: f64,
    /// One over the other.
    pub ratio: Ratio,
}

/// Measured over base: above 1, what was measured took longer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// Median of the ratios of neighbours, of which a slow moment of the machine meets both.
    pub median: f64,
    /// A tenth of them is below.
    pub p10: f64,
    /// A tenth of them is above.
    pub p90: f64,
    /// Ratio of the two medians.
    pub of_medians: f64,
}

impl PairSummary {
    /// Sums up pairs of runs; `share` is how many queries each run answers, and times are of one.
    #[must_use]
    pub fn of(pairs: &[Pair], share: usize) -> Self {
        let each = |d: Duration| milliseconds(d) / share.max(1) as f64;
        let base = Quantiles::new(pairs.iter().map(|p| each(p.base)));
        let measured = Quantiles::new(pairs.iter().map(|p| each(p.measured)));
        let differences = pairs.iter().map(|p| each(p.measured) - each(p.base));
        let ratios = Quantiles::new(pairs.iter().map(|p| over(each(p.measured), each(p.base))));
        Self {
            pairs: pairs.len(),
            base_ms: base.median(),
            measured_ms: measured.median(),
            added_ms: median(differences),
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
    #[must_use]
    pub fn cells(&self) -> [String; 3] {
        let Self { median, p10, p90, of_medians } = self;
        [format!("{median:.3}"), format!("{p10:.3}..{p90:.3}"), format!("{of_medians:.3}")]
    }
}

/// A time in milliseconds.
#[must_use]
pub fn milliseconds(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// A ratio that stays finite if the clock saw no time pass.
fn over(measured: f64, base: f64) -> f64 {
    const TICK_MS: f64 = 1e-6;
    measured.max(TICK_MS) / base.max(TICK_MS)
}

/// The middle of some numbers, between the two in the middle of an even count; 0 of none.
#[must_use]
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    Quantiles::new(numbers).median()
}

/// Numbers in order, for their quantiles.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles(Vec<f64>);

impl Quantiles {
    /// Puts numbers in order.
    pub fn new(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        Self(numbers)
    }

    /// The middle, between the two in the middle of an even count; 0 of none.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The quantile (0 to 1), between two numbers where it falls there; 0 if there is no number at all.
    #[must_use]
    pub fn at(&self, quantile: f64) -> f64 {
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
        let numbers = Quantiles::new([8.0, 1.0, 4.0, 2.0]);
        assert_eq!(numbers.median(), 3.0);
        assert_eq!((numbers.at(0.0), numbers.at(1.0)), (1.0, 8.0));
        assert_eq!(Quantiles::new([]).median(), 0.0);
        assert_eq!((median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
    }

    #[test]
    fn the_two_ratios_are_of_pairs_and_of_medians() {
        let pair = |base, measured| Pair {
            base: Duration::from_millis(base),
            measured: Duration::from_millis(measured),
        };
        // The machine was slow during the second pair: neighbours agree, and so the ratio does.
        let summary = PairSummary::of(&[pair(10, 11), pair(100, 110), pair(20, 30)], 2);
        assert_eq!((summary.base_ms, summary.measured_ms, summary.added_ms), (10.0, 15.0, 5.0));
        let ratio = summary.ratio;
        assert!((ratio.median - 1.1).abs() < 1e-9);
        assert_eq!(ratio.of_medians, 1.5);
        assert!(ratio.p90 > 1.3 && ratio.p10 < 1.11);
    }
}
