//! What is printed, and the exit code of what went wrong.

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
