//! Checks by the names they have on the command line.

use std::fmt;
use std::str::FromStr;

use deepring::Check;

/// A check to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckName(pub(crate) Check);

const ALL: [Check; 3] = [Check::None, Check::Load, Check::Run];

impl CheckName {
    /// What is measured if nobody says: what the cut and the receipts cost, and with each use checked.
    pub(crate) fn usual() -> Vec<Self> {
        vec![Self(Check::Load), Self(Check::Run)]
    }
}

impl FromStr for CheckName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = ALL.map(|c| c.name()).join(", ");
        let found = ALL.into_iter().find(|c| c.name() == text);
        found.map(Self).ok_or_else(|| format!("none of {known}"))
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}
