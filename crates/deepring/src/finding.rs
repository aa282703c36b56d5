//! The results of a verification: findings that name block, part, tensor and bytes, and the
//! verdict.

use std::fmt;

use serde::Serialize;

use crate::crypto::Digest;
use crate::in_line::InLine;
use crate::ring_id::RingId;

/// The four answers of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything asked for was checked and is as the owner signed it.
    Intact,
    /// Something is not what the owner signed.
    Tampered,
    /// Consistent, but signed by an owner that is not trusted here.
    Untrusted,
    /// Authentic, but older than what was seen before, or mixed with other versions.
    Stale,
}

/// The kind of bytes that a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// A block's public header.
    Header,
    /// A block's encrypted body, or its parameters in memory.
    Body,
    /// The digests that tie a block to its neighbours.
    Link,
    /// The signed record that closes the ring.
    Closure,
    /// The file as such: outline, length, owner, version.
    File,
}

impl Section {
    /// Its name in messages and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Body => "body",
            Self::Link => "link",
            Self::Closure => "closure",
            Self::File => "file",
        }
    }
}

/// One defect, and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Index of the block, Genesis being 0; `None` where the finding is about the ring as a whole.
    pub block: Option<u32>,
    /// The block's name, where an authentic header states it.
    pub name: Option<String>,
    /// The kind of bytes.
    pub part: Section,
    /// The tensors (or `graph`, `manifest`) that the bytes belong to, where that is known.
    pub tensor: Option<String>,
    /// First byte and one past the last: in the file; for memory, in the block's plaintext.
    pub bytes: Option<[u64; 2]>,
    /// The reason, for people.
    pub reason: String,
    /// The kind of refusal that this finding requires.
    #[serde(skip)]
    pub(crate) verdict: Verdict,
    /// True if it says that the path holds another ring than the one that it is bound to.
    #[serde(skip)]
    against_binding: bool,
    /// True if it says that the file is in another version of its format.
    #[serde(skip)]
    of_other_format: bool,
}

impl Finding {
    /// A finding that something is not what the owner signed.
    #[must_use]
    pub fn tampered(part: Section, reason: impl Into<String>) -> Self {
        Self {
            block: None,
            name: None,
            part,
            tensor: None,
            bytes: None,
            reason: reason.into(),
            verdict: Verdict::Tampered,
            against_binding: false,
            of_other_format: false,
        }
    }

    /// A finding that something authentic is out of date.
    #[must_use]
    pub fn stale(part: Section, reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Stale, ..Self::tampered(part, reason) }
    }

    /// A finding that nothing vouches for the origin of something, or that it is not for the
    /// caller.
    #[must_use]
    pub fn untrusted(part: Section, reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Untrusted, ..Self::tampered(part, reason) }
    }

    /// The same finding, about a path that is bound to another ring.
    pub(crate) fn against_binding(self) -> Self {
        Self { against_binding: true, ..self }
    }

    /// Returns whether the finding is that the path is bound to another ring
    /// ([`Trust::at`](crate::Trust::at)).
    #[must_use]
    pub fn is_against_binding(&self) -> bool {
        self.against_binding
    }

    /// Returns whether the finding is that the file is in a format of another version of this program,
    /// which may have written it so.
    #[must_use]
    pub fn is_of_other_format(&self) -> bool {
        self.of_other_format
    }

    /// The same, which is that the file is in another version of its format.
    #[must_use]
    pub(crate) fn of_other_format(self) -> Self {
        Self { of_other_format: true, ..self }
    }

    /// The same, about a block.
    #[must_use]
    pub fn in_block(mut self, index: u32, name: Option<&str>) -> Self {
        self.block = Some(index);
        self.name = name.map(str::to_owned);
        self
    }

    /// The same, about these bytes.
    #[must_use]
    pub fn at(mut self, bytes: std::ops::Range<u64>) -> Self {
        self.bytes = Some([bytes.start, bytes.end]);
        self
    }

    /// The same, about this tensor.
    #[must_use]
    pub fn of_tensor(mut self, tensor: impl Into<String>) -> Self {
        self.tensor = Some(tensor.into());
        self
    }
}

/// One line, whatever names it holds.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.block, &self.name) {
            (Some(index), Some(name)) => write!(f, "block {index} ({}), ", InLine(name))?,
            (Some(index), None) => write!(f, "block {index}, ")?,
            (None, _) => {}
        }
        f.write_str(self.part.name())?;
        if let Some(tensor) = &self.tensor {
            write!(f, ", tensor {}", InLine(tensor))?;
        }
        if let Some([start, end]) = self.bytes {
            write!(f, ", bytes {start}..{end}")?;
        }
        write!(f, ": {}", InLine(&self.reason))
    }
}

/// The outcome of examining a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Ring id, where the closure could be read.
    pub ring: Option<RingId>,
    /// Ring digest, where the closure could be read.
    pub digest: Option<Digest>,
    /// Model version, where the closure could be read.
    pub model_version: Option<u64>,
    /// Number of blocks, Genesis included, where the closure could be read.
    pub blocks: Option<u32>,
    /// The findings; empty exactly if the ring is intact.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The verdict that findings require: the worst one wins, tampering above all.
    pub(crate) fn verdict_of(findings: &[Finding]) -> Verdict {
        let has = |v| findings.iter().any(|f| f.verdict == v);
        [Verdict::Tampered, Verdict::Untrusted, Verdict::Stale]
            .into_iter()
            .find(|v| has(*v))
            .unwrap_or(Verdict::Intact)
    }

    /// A report of these findings, with nothing known of the ring.
    #[must_use]
    pub fn of_findings(findings: Vec<Finding>) -> Self {
        Self {
            verdict: Self::verdict_of(&findings),
            ring: None,
            digest: None,
            model_version: None,
            blocks: None,
            findings,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Intact => "intact",
            Verdict::Tampered => "tampered with",
            Verdict::Untrusted => "not trusted",
            Verdict::Stale => "stale",
        };
        f.write_str(word)?;
        for finding in &self.findings {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}
