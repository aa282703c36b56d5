//! The items of an evaluation: attacks, with the options of each.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::catalogue::{Family, Kind, ParseKindError};

/// An attack of an evaluation, as `KIND[:key=value,...]` says it. What is empty or `None` is what the whole
/// evaluation says, or else the attack's own default. A key that stands twice gives two cells.
#[derive(Debug, Clone, PartialEq)]
pub struct AttackItem {
    /// The attack.
    pub kind: Kind,
    /// Layers that are attacked, one at a time (`layer=`).
    pub layers: Vec<String>,
    /// Strengths of noise (`rho=`).
    pub rhos: Vec<f64>,
    /// Bits to flip (`flips=`).
    pub flips: Vec<usize>,
    /// Which bit (`bit=`).
    pub bit: Option<u32>,
    /// Class to which inputs shall go (`target=`).
    pub target: Option<usize>,
    /// Class whose inputs shall go there (`source=`).
    pub source: Option<usize>,
}

/// Attacks that are evaluated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// The paper's three types, and its noise on one layer at a time.
    Paper,
    /// Every edit of values.
    Weights,
    /// Flips of single bits.
    Bits,
    /// Flips found by gradients.
    Search,
    /// Edits of the graph.
    Graph,
    /// All of these.
    All,
}

/// An attack item that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseItemError {
    /// No such attack.
    #[error(transparent)]
    Kind(#[from] ParseKindError),
    /// An attack of another sort.
    #[error("`{kind}` attacks a ring, a receipt or a ledger; these are tried on every ring")]
    Ring {
        /// The attack.
        kind: Kind,
    },
    /// A setting without a value.
    #[error("`{setting}` is no key=value")]
    NoValue {
        /// The text that was given.
        setting: String,
    },
    /// No such key.
    #[error("an attack has no setting `{key}`")]
    Key {
        /// The text that was given.
        key: String,
    },
    /// A value that the key does not take.
    #[error("`{key}` cannot be `{value}`")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// No such suite.
    #[error("there is no suite `{name}`")]
    Suite {
        /// The text that was given.
        name: String,
    },
}

impl AttackItem {
    /// An attack that is told nothing.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let (layers, rhos, flips) = (Vec::new(), Vec::new(), Vec::new());
        Self { kind, layers, rhos, flips, bit: None, target: None, source: None }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), ParseItemError> {
        let wrong = || ParseItemError::Value { key: key.to_owned(), value: value.to_owned() };
        match key {
            "layer" if !value.is_empty() => self.layers.push(value.to_owned()),
            "rho" => {
                let rho: f64 = value.parse().map_err(|_| wrong())?;
                if !(rho.is_finite() && rho >= 0.0) {
                    return Err(wrong());
                }
                self.rhos.push(rho);
            }
            "flips" => self.flips.push(value.parse().map_err(|_| wrong())?),
            "bit" => self.bit = Some(value.parse().map_err(|_| wrong())?),
            "target" => self.target = Some(value.parse().map_err(|_| wrong())?),
            "source" => self.source = Some(value.parse().map_err(|_| wrong())?),
            "layer" => return Err(wrong()),
            _ => return Err(ParseItemError::Key { key: key.to_owned() }),
        }
        Ok(())
    }
}

impl FromStr for AttackItem {
    type Err = ParseItemError;

    fn from_str(text: &str) -> Result<Self, ParseItemError> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut item = Self::new(name.parse()?);
        if item.kind.family() == Family::Ring {
            return Err(ParseItemError::Ring { kind: item.kind });
        }
        for setting in settings.split(',').filter(|s| !s.is_empty()) {
            let no_value = || ParseItemError::NoValue { setting: setting.to_owned() };
            let (key, value) = setting.split_once('=').ok_or_else(no_value)?;
            item.set(key.trim(), value.trim())?;
        }
        Ok(item)
    }
}

impl Suite {
    /// All suites, as the command names them.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("paper", Self::Paper),
        ("weights", Self::Weights),
        ("bits", Self::Bits),
        ("search", Self::Search),
        ("graph", Self::Graph),
        ("all", Self::All),
    ];

    /// The attacks of the suite.
    #[must_use]
    pub fn items(self) -> Vec<AttackItem> {
        let wanted = |kind: &Kind| match (self, kind.family()) {
            (_, Family::Ring) => false,
            (Self::All, _)
            | (Self::Weights, Family::Weights)
            | (Self::Bits, Family::Bits)
            | (Self::Search, Family::Search)
            | (Self::Graph, Family::Graph) => true,
            (Self::Paper, _) => kind.is_of_the_paper(),
            _ => false,
        };
        Kind::all().iter().copied().filter(wanted).map(AttackItem::new).collect()
    }
}

impl FromStr for Suite {
    type Err = ParseItemError;

    fn from_str(name: &str) -> Result<Self, ParseItemError> {
        let found = Self::NAMES.iter().find(|(n, _)| *n == name);
        found
            .map(|(_, suite)| *suite)
            .ok_or_else(|| ParseItemError::Suite { name: name.to_owned() })
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, s)| s == self).map_or("", |(n, _)| *n);
        f.pad(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_a_kind_with_settings() {
        let item: AttackItem = "noise-layer:rho=0.5,rho=2,layer=conv1".parse().unwrap();
        assert_eq!(item.kind, Kind::NoiseLayer);
        assert_eq!((item.rhos, item.layers), (vec![0.5, 2.0], vec!["conv1".to_owned()]));
        let plain: AttackItem = "zero".parse().unwrap();
        assert_eq!(plain, AttackItem::new(Kind::Zero));
    }

    #[test]
    fn what_an_item_does_not_know_is_refused() {
        let refused = |text: &str| text.parse::<AttackItem>().unwrap_err();
        assert!(matches!(refused("nothing"), ParseItemError::Kind(_)));
        assert!(matches!(refused("ring-flip"), ParseItemError::Ring { .. }));
        assert!(matches!(refused("zero:layer"), ParseItemError::NoValue { .. }));
        assert!(matches!(refused("zero:strength=1"), ParseItemError::Key { .. }));
        for value in ["x", "-1", "NaN", "inf"] {
            assert!(matches!(
                refused(&format!("noise-all:rho={value}")),
                ParseItemError::Value { .. }
            ));
        }
    }

    #[test]
    fn suites_are_read_back_and_leave_rings_out() {
        for (name, suite) in Suite::NAMES {
            assert_eq!(name.parse(), Ok(suite));
            assert!(suite.items().iter().all(|i| i.kind.family() != Family::Ring));
        }
        assert_eq!(Suite::Paper.items().len(), 4);
        let without = Kind::all().iter().filter(|k| k.family() != Family::Ring).count();
        assert_eq!(Suite::All.items().len(), without);
    }

    #[test]
    fn every_setting_is_read_and_a_value_that_is_none_is_named_with_its_key() {
        let item: AttackItem = "bfa:bit=3, flips = 2,flips=4,target=5,source=6,".parse().unwrap();
        assert_eq!((item.bit, item.target, item.source), (Some(3), Some(5), Some(6)));
        assert_eq!((item.flips, item.layers, item.rhos), (vec![2, 4], vec![], vec![]));
        for text in [
            "flips=-1",
            "flips=x",
            "bit=4294967296",
            "target=",
            "source=1.5",
            "layer=",
            "rho=1e999",
        ] {
            let (key, value) = text.split_once('=').unwrap();
            let wrong = ParseItemError::Value { key: key.to_owned(), value: value.to_owned() };
            assert_eq!(format!("zero:{text}").parse::<AttackItem>(), Err(wrong));
        }
        // A name may have the sign in it.
        let item: AttackItem = "zero:layer=a=b".parse().unwrap();
        assert_eq!(item.layers, ["a=b"]);
    }

    #[test]
    fn a_suite_has_the_attacks_of_its_family() {
        let families = [
            (Suite::Weights, Family::Weights),
            (Suite::Bits, Family::Bits),
            (Suite::Search, Family::Search),
            (Suite::Graph, Family::Graph),
        ];
        for (suite, family) in families {
            let items = suite.items();
            assert!(!items.is_empty() && items.iter().all(|i| i.kind.family() == family));
            let all = Kind::all().iter().filter(|k| k.family() == family).count();
            assert_eq!(items.len(), all, "{suite}");
        }
        let paper: Vec<Kind> = Suite::Paper.items().iter().map(|i| i.kind).collect();
        assert_eq!(paper, [Kind::LabelSwap, Kind::NoiseDense, Kind::NoiseAll, Kind::NoiseLayer]);
        assert!(
            matches!("ring".parse::<Suite>(), Err(ParseItemError::Suite { name }) if name == "ring")
        );
    }
}
