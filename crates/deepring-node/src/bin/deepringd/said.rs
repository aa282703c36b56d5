//! The texts that the daemon prints, and the exit code of each error.

use std::fmt;
use std::io::Write as _;

use deepring::{RingError, Verdict};
use deepring_ledger::Fault;
use deepring_node::cluster::ClusterError;
use deepring_node::daemon::{CopyError, NodeError};

/// An error with its exit code.
#[derive(Debug)]
pub(crate) enum Said {
    Node(Box<NodeError>),
    Cluster(Box<ClusterError>),
    Failed(String),
}

impl Said {
    pub(crate) fn code(&self) -> u8 {
        let ring = match self {
            Self::Node(e) => match &**e {
                NodeError::Config(_) => return 2,
                NodeError::GaveUp { .. } => return 6,
                NodeError::Opening(e) if e.finding().is_some() => return 3,
                NodeError::Joining { source, .. } => match &**source {
                    CopyError::Damaged => return 3,
                    CopyError::NotCertified { .. } | CopyError::Record(_) => return 4,
                    _ => return 1,
                },
                NodeError::Ring { source, .. } => source,
                NodeError::Ledger(e) => match e.fault() {
                    Fault::Tampered => return 3,
                    Fault::Untrusted => return 4,
                    Fault::Stale => return 5,
                    _ => return 1,
                },
                _ => return 1,
            },
            Self::Cluster(e) => match &**e {
                ClusterError::Ring { source, .. } => source,
                _ => return 1,
            },
            Self::Failed(_) => return 1,
        };
        match &**ring {
            RingError::Refused(report) => match report.verdict {
                Verdict::Untrusted => 4,
                Verdict::Stale => 5,
                _ => 3,
            },
            _ => 1,
        }
    }
}

impl From<NodeError> for Said {
    fn from(e: NodeError) -> Self {
        Self::Node(Box::new(e))
    }
}

impl From<ClusterError> for Said {
    fn from(e: ClusterError) -> Self {
        Self::Cluster(Box::new(e))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(e) => e.fmt(f),
            Self::Cluster(e) => e.fmt(f),
            Self::Failed(e) => f.write_str(e),
        }
    }
}

/// A line on stdout. Where nobody reads it, the command goes on.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line on stderr.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use deepring_ledger::LedgerError;
    use deepring_node::agreement::JoinError;

    use super::*;

    fn code(error: impl Into<NodeError>) -> u8 {
        Said::from(error.into()).code()
    }

    #[test]
    fn a_ledger_that_is_damaged_another_s_or_put_back_ends_a_node_as_it_ends_the_command() {
        assert_eq!(code(LedgerError::DatabaseMissing { path: "ledger.redb".into() }), 3);
        assert_eq!(code(LedgerError::Rewritten { known: 4 }), 3);
        let (found, expected) = ("one.example".to_owned(), "two.example".to_owned());
        assert_eq!(code(LedgerError::OtherOrigin { found, expected }), 4);
        assert_eq!(code(LedgerError::RolledBack { size: 3, known: 4 }), 5);
        assert_eq!(code(LedgerError::ReadOnly), 1);
    }

    #[test]
    fn what_a_node_is_to_begin_with_ends_it_by_what_is_wrong_with_it() {
        let joining = |source| {
            code(NodeError::Joining { path: "begin-from".into(), source: Box::new(source) })
        };
        assert_eq!(joining(CopyError::Damaged), 3);
        assert_eq!(joining(CopyError::NotCertified { epoch: 2, why: "1 of 3".to_owned() }), 4);
        assert_eq!(joining(CopyError::Record(JoinError::FirstTerm)), 4);
        assert_eq!(joining(CopyError::NoLedger), 1);
        assert_eq!(joining(CopyError::Behind { height: 3, needed: 4 }), 1);
    }

    #[test]
    fn an_engine_that_gave_up_has_a_code_of_its_own() {
        let (storage, why) = ("engine".into(), "a library's".to_owned());
        assert_eq!(code(NodeError::GaveUp { storage, why }), 6);
    }
}
