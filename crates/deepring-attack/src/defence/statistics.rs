//! Statistics of repeated measurements: mean, deviation, and intervals of a share.

use serde::Serialize;

/// The quantile of the normal distribution for 95 %, two-sided.
const Z: f64 = 1.959_963_984_540_054;

/// Mean and deviation of repeated measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Mean; not a number if nothing was measured.
    pub mean: f64,
    /// Standard deviation of the sample (divided by n - 1); 0 for fewer than two.
    pub sd: f64,
    /// How many.
    pub n: usize,
}

impl Summary {
    /// Of these values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let sd = if n < 2 { 0.0 } else { (squares / (n - 1) as f64).sqrt() };
        Self { mean, sd, n }
    }
}

/// The Wilson interval of 95 % for a share of which `hits` of `n` were seen (Wilson 1927), 0 to 1.
///
/// The whole range, if nothing was seen; hits beyond `n` count as `n`.
#[must_use]
pub fn wilson(hits: usize, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (hits, n) = (hits.min(n) as f64, n as f64);
    let (p, z2) = (hits / n, Z * Z);
    let centre = p + z2 / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    // The ends are exactly 0 and 1 where nothing or everything was hit; rounding must not say otherwise.
    let low = if hits == 0.0 { 0.0 } else { (centre - half) / scale };
    let high = if hits == n { 1.0 } else { (centre + half) / scale };
    (low, high)
}

/// The upper bound of the rate of false alarms, at 95 %, if `alarms` of `n` checks of clean networks raised one.
///
/// For none it is the rule of three, 3/n (Hanley and Lippman-Hand 1983); else the upper end of [`wilson`].
#[must_use]
pub fn false_alarm_bound(alarms: usize, n: usize) -> f64 {
    match alarms {
        0 => (3.0 / n as f64).min(1.0),
        alarms => wilson(alarms, n).1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-5, "{found} is not {expected}");
    }

    #[test]
    fn mean_and_deviation_are_those_of_the_sample() {
        let s = Summary::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        near(s.mean, 5.0);
        near(s.sd, (32.0f64 / 7.0).sqrt());
        assert_eq!(s.n, 8);
        assert_eq!(Summary::of(&[3.0]), Summary { mean: 3.0, sd: 0.0, n: 1 });
        assert!(Summary::of(&[]).mean.is_nan());
    }

    #[test]
    fn the_interval_of_a_share_is_wilsons() {
        // Known values: Newcombe 1998, table I, method 3.
        for (hits, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (l, h) = wilson(hits, n);
            near(l, low);
            near(h, high);
        }
        assert_eq!(wilson(20, 20).1, 1.0);
        near(wilson(20, 20).0, 1.0 - 0.1611);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        assert_eq!(wilson(9, 3), wilson(3, 3));
    }

    #[test]
    fn no_alarm_bounds_the_rate_by_the_rule_of_three() {
        near(false_alarm_bound(0, 1000), 0.003);
        assert_eq!(false_alarm_bound(0, 1), 1.0);
        assert_eq!(false_alarm_bound(0, 0), 1.0);
        near(false_alarm_bound(1, 29), 0.1718);
        // The rule is the first order of the exact bound, 1 - 0.05^(1/n), and lies above it.
        assert!(false_alarm_bound(0, 50) > 1.0 - 0.05f64.powf(1.0 / 50.0));
    }
}
