//! The check of a run's parameters, as named on the command line and in a receipt.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::encoding::{DecodeError, Reader, Writer};

/// The check of a run's parameters. The order is that of the claims, from none to all: which *evidence* each part had is
/// its [`Coverage`](super::Coverage), which is no scale.
///
/// Prints and parses as on the command line: `none`, `load`, `spot:0.1`, `run`, `auto`, `compute`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Not after loading; the receipt vouches only for the bytes that were loaded.
    None,
    /// Digests, when the blocks were opened.
    Load,
    /// Each block with this probability for each query, and then as [`Run`](Self::Run).
    Spot(SampleRate),
    /// Every parameter byte in live memory, by MAC, at each use.
    Run,
    /// For each layer the cheaper of [`Run`](Self::Run) and [`Compute`](Self::Compute).
    Auto,
    /// The output of every linear operator is verified against a secret projection of its sealed
    /// parameters; everything else by MAC at each use, and a rotating share of all bytes by MAC
    /// too.
    Compute,
}

/// A probability above 0 and below 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleRate(u32);

/// A number that is not a [`SampleRate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a share lies between 0.000001 and 0.999999")]
pub struct SampleRateError;

/// A word that is not a [`Check`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{found}` is no check: there are none, load, spot:Q with 0 < Q < 1 (such as spot:0.1), run, auto and compute"
)]
pub struct ParseCheckError {
    /// The word.
    pub found: String,
}

const MILLION: u32 = 1_000_000;

impl SampleRate {
    /// The share nearest to a probability.
    ///
    /// # Errors
    /// [`SampleRateError`] where the nearest is not between 0.000001 and 0.999999.
    pub fn new(probability: f64) -> Result<Self, SampleRateError> {
        let millionths = (probability * f64::from(MILLION)).round();
        // A NaN compares as false.
        if !(1.0..f64::from(MILLION)).contains(&millionths) {
            return Err(SampleRateError);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 1 to 999999"
        )]
        Self::from_millionths(millionths as u32)
    }

    /// A share of this many millionths.
    ///
    /// # Errors
    /// [`SampleRateError`] for 0, and from a million on.
    pub fn from_millionths(millionths: u32) -> Result<Self, SampleRateError> {
        if (1..MILLION).contains(&millionths) { Ok(Self(millionths)) } else { Err(SampleRateError) }
    }

    /// In millionths, 1 to 999999.
    #[must_use]
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// As a probability.
    #[must_use]
    pub fn probability(self) -> f64 {
        f64::from(self.0) / f64::from(MILLION)
    }

    /// The probability that a changed block is detected within `queries` queries.
    #[must_use]
    pub fn detection(self, queries: u64) -> f64 {
        // 1 - (1 - q)^n, exact also where both are small.
        #[expect(clippy::cast_precision_loss, reason = "a probability needs no more digits")]
        let queries = queries as f64;
        -(queries * (-self.probability()).ln_1p()).exp_m1()
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("0.{:06}", self.0);
        f.write_str(digits.trim_end_matches('0'))
    }
}

impl Check {
    /// The word without its share: `spot` for every spot check.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Load => "load",
            Self::Spot(_) => "spot",
            Self::Run => "run",
            Self::Auto => "auto",
            Self::Compute => "compute",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Load => 1,
            Self::Spot(_) => 2,
            Self::Run => 3,
            Self::Auto => 4,
            Self::Compute => 5,
        }
    }

    pub(crate) fn encode(self, w: &mut Writer) {
        let share = if let Self::Spot(share) = self { share.millionths() } else { 0 };
        w.u8(self.code()).u32(share);
    }

    /// A share stands where the check is a spot check, and nowhere else.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = r.u8("check")?;
        let share = r.u32("share")?;
        let bad = |field, found| Err(DecodeError::BadValue { field, found });
        let check = match code {
            0 => Self::None,
            1 => Self::Load,
            2 => match SampleRate::from_millionths(share) {
                Ok(share) => return Ok(Self::Spot(share)),
                Err(SampleRateError) => return bad("share", u64::from(share)),
            },
            3 => Self::Run,
            4 => Self::Auto,
            5 => Self::Compute,
            found => return bad("check", u64::from(found)),
        };
        if share != 0 {
            return bad("share", u64::from(share));
        }
        Ok(check)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spot(share) => write!(f, "spot:{share}"),
            other => f.write_str(other.name()),
        }
    }
}

impl FromStr for Check {
    type Err = ParseCheckError;

    fn from_str(s: &str) -> Result<Self, ParseCheckError> {
        let bad = || ParseCheckError { found: s.to_owned() };
        Ok(match s {
            "none" => Self::None,
            "load" => Self::Load,
            "run" => Self::Run,
            "auto" => Self::Auto,
            "compute" => Self::Compute,
            _ => {
                let share = s.strip_prefix("spot:").and_then(|q| q.parse().ok());
                Self::Spot(share.and_then(|q| SampleRate::new(q).ok()).ok_or_else(bad)?)
            }
        })
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(millionths: u32) -> SampleRate {
        SampleRate::from_millionths(millionths).unwrap()
    }

    fn all() -> [Check; 7] {
        let [some, more] = [share(1), share(500_000)].map(Check::Spot);
        [Check::None, Check::Load, some, more, Check::Run, Check::Auto, Check::Compute]
    }

    #[test]
    fn checks_are_ordered_by_strength() {
        assert!(all().is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_is_printed_parses_and_serialises_as_the_same_word() {
        let words = ["none", "load", "spot:0.000001", "spot:0.5", "run", "auto", "compute"];
        for (check, word) in all().into_iter().zip(words) {
            assert_eq!(check.to_string(), word);
            assert_eq!(word.parse(), Ok(check));
            assert_eq!(serde_json::to_string(&check).unwrap(), format!("\"{word}\""));
        }
    }

    #[test]
    fn other_words_are_refused_with_the_choices() {
        for word in [
            "",
            "Run",
            "run ",
            "spot",
            "spot:",
            "spot:0",
            "spot:1",
            "spot:1.5",
            "spot:-0.1",
            "spot:NaN",
            "spot:inf",
            "spot:x",
            "spot:0.0000001",
            "spot:0.9999999",
            "load:0.5",
        ] {
            let message = word.parse::<Check>().unwrap_err().to_string();
            for choice in ["none", "load", "spot:0.1", "run", "auto", "compute"] {
                assert!(message.contains(choice), "{message}");
            }
            assert!(message.contains(&format!("`{word}`")), "{message}");
        }
    }

    #[test]
    fn a_share_prints_without_digits_that_say_nothing() {
        for (millionths, text) in
            [(100_000, "0.1"), (1, "0.000001"), (999_999, "0.999999"), (20_500, "0.0205")]
        {
            assert_eq!(share(millionths).to_string(), text);
            assert_eq!(SampleRate::new(text.parse().unwrap()), Ok(share(millionths)));
        }
        for millionths in [0, 1_000_000, u32::MAX] {
            assert_eq!(SampleRate::from_millionths(millionths), Err(SampleRateError));
        }
    }

    #[test]
    fn detection_grows_with_queries_as_repeated_draws_do() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        let tenth = share(100_000);
        for (queries, wanted) in [(0, 0.0), (1, 0.1), (2, 0.19), (3, 0.271)] {
            assert!(near(tenth.detection(queries), wanted), "{queries}");
        }
        assert!(tenth.detection(44) > 0.99 && tenth.detection(43) < 0.99);
        assert!(near(tenth.detection(u64::MAX), 1.0));
        // Where 1 - (1 - q) would have lost its digits.
        assert!((share(1).detection(1) / 1e-6 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn every_check_decodes_as_it_was_encoded_and_no_other_bytes_do() {
        let decode = |bytes: &[u8]| {
            let mut r = Reader::new(bytes);
            Check::decode(&mut r)
        };
        for check in all() {
            let mut w = Writer::new();
            check.encode(&mut w);
            assert_eq!(decode(&w.finish()), Ok(check));
        }
        for (code, share) in
            [(6, 0), (255, 0), (2, 0), (2, 1_000_000), (0, 1), (1, 1), (3, 1), (4, 1), (5, 100_000)]
        {
            let mut w = Writer::new();
            w.u8(code).u32(share);
            let result = decode(&w.finish());
            assert!(matches!(result, Err(DecodeError::BadValue { .. })), "{code} {share}");
        }
    }
}
