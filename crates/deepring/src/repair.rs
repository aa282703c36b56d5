//! Repairs a damaged ring file from an intact copy, chunk by chunk, and verifies the result.

pub(crate) mod chunks;

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::block::Header;
use crate::block::chunks::{chunk_spans, segments};
use crate::block::header::header_digest;
use crate::crypto::Digest;
use crate::finding::Report;
use crate::plain_file::open_plain;
use crate::replace::Replacement;
use crate::ring::closure::Closure;
use crate::ring::layout::{Layout, PREAMBLE_LEN, Preamble};
use crate::ring::{AuthenticRing, RingError, UnverifiedRing, VerifiedRing};
use crate::storage::Storage;
use crate::storage::read_range;
use crate::trust::Trust;

/// Why a ring was not repaired. The damaged file is untouched in every case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The copy itself is refused.
    #[error("the copy cannot be used: {0}")]
    Copy(RingError),
    /// The damaged file is another ring or another version than the copy; copying would replace it,
    /// not repair it.
    #[error(
        "the copy is ring {copy}, the damaged file is {damaged}: it would be replaced, not repaired"
    )]
    AnotherRing {
        /// Ring digest of the copy.
        copy: Digest,
        /// Ring digest that the damaged file's owner signed.
        damaged: Digest,
    },
    /// The damaged file has nothing in common with the copy: there is nothing to repair.
    #[error(
        "the damaged file shares no header and no chunk with the copy: it would be replaced, not repaired"
    )]
    NothingInCommon,
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The damaged file is refused for a reason that a copy cannot repair: its owner is not
    /// trusted, or it is stale.
    #[error("the ring is {0}")]
    NotRepairable(Report),
    /// The repaired file does not verify; it was discarded.
    #[error("the repaired file does not verify: {0}")]
    StillBad(RingError),
}

/// The outcome of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The report before the repair.
    pub before: Report,
    /// Indices of the blocks whose header, or a part of whose body, came from the copy; Genesis is
    /// 0.
    pub blocks: Vec<u32>,
    /// True if preamble or closure came from the copy.
    pub front: bool,
    /// Bytes of bodies and headers that came from the copy.
    pub bytes: u64,
}

/// A repair that is prepared, or the target where none is needed.
#[derive(Debug)]
pub enum ToRepair {
    /// Nothing: the target is this intact ring.
    Nothing(Box<VerifiedRing>),
    /// This.
    Prepared(Box<PreparedRepair>),
}

/// A repair that is written and verified, and that [`commit`](Self::commit) puts in the target's
/// place. Dropped before, it leaves the target as it was. So what was found can be recorded while
/// it is still there: a process that is killed in between leaves no mended file of which nobody knows that it
/// was damaged.
#[derive(Debug)]
pub struct PreparedRepair {
    target: PathBuf,
    file: Replacement,
    ring: VerifiedRing,
    outcome: Repaired,
}

impl PreparedRepair {
    /// The ring as it will be, read from the very file that will be the target.
    #[must_use]
    pub fn ring(&self) -> &VerifiedRing {
        &self.ring
    }

    /// The findings, and the parts that came from the copy.
    #[must_use]
    pub fn outcome(&self) -> &Repaired {
        &self.outcome
    }

    /// Puts the repaired file in the target's place.
    ///
    /// # Errors
    /// [`RepairError::Io`]; the target is as it was.
    pub fn commit(self) -> Result<(VerifiedRing, Repaired), RepairError> {
        let io = |source| RepairError::Io { path: self.target.clone(), source };
        self.file.commit().map_err(io)?;
        Ok((self.ring, self.outcome))
    }
}

/// Restores `target` from `copy`.
///
/// The copy is verified whole first. Then every header and every chunk of `target` that is as it
/// was sealed is kept, everything else is taken from the copy; the result is verified before it
/// replaces `target`. Returns `None` if `target` is intact. A caller that shares `target` with
/// other processes holds its [`Turn`](crate::files::Turn).
///
/// # Errors
/// As [`prepare_repair`] and [`PreparedRepair::commit`].
pub fn repair(
    target: &Path,
    copy: &Path,
    trust: &Trust<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Option<Repaired>, RepairError> {
    let (file, copy) = (Replacement::of(target), UnverifiedRing::open(copy));
    match prepare_repair(target, file, copy, trust, progress)? {
        ToRepair::Nothing(_) => Ok(None),
        ToRepair::Prepared(prepared) => Ok(Some(prepared.commit()?.1)),
    }
}

/// [`repair`] up to the moment at which the target is replaced, into `file`, which the caller began
/// for `target`, from `copy`, which it opened, before it looked at `target`: a file that is put at
/// `target` later is not replaced, and one that is put in the copy's place is not read. That `file`
/// or `copy` failed matters only where it is needed.
///
/// # Errors
/// [`RepairError::Copy`] where the copy cannot be read or does not verify;
/// [`RepairError::AnotherRing`] and [`RepairError::NothingInCommon`] where it is no copy of the
/// target; [`RepairError::NotRepairable`], [`RepairError::StillBad`] and [`RepairError::Io`]. The
/// target is as it was.
pub fn prepare_repair(
    target: &Path,
    file: std::io::Result<Replacement>,
    copy: Result<UnverifiedRing, RingError>,
    trust: &Trust<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<ToRepair, RepairError> {
    let io = |source| RepairError::Io { path: target.into(), source };
    // Opened once: the same file is examined, read and replaced.
    let storage: Arc<dyn Storage> = Arc::new(open_plain(target).map_err(io)?);
    let there = UnverifiedRing::read(Arc::clone(&storage));
    let before = match there.and_then(|r| r.verify(trust, &|_| ())) {
        Ok(ring) => return Ok(ToRepair::Nothing(Box::new(ring))),
        Err(RingError::Refused(report)) => report,
        Err(RingError::Io { source, .. }) => return Err(io(source)),
    };
    let copy = copy.and_then(|r| r.verify(trust, &|_| ())).map_err(RepairError::Copy)?;
    let damaged = Damaged::read(storage).map_err(io)?;
    if let Some(closure) = &damaged.closure {
        if let Some(finding) = trust.refuse_version(&closure.version()) {
            return Err(RepairError::NotRepairable(Report::of_findings(vec![finding])));
        }
        if closure.ring_digest() != copy.digest() {
            return Err(RepairError::AnotherRing {
                copy: copy.digest(),
                damaged: closure.ring_digest(),
            });
        }
    }

    // Without an authentic closure, only content can say that this is the copy's ring. An attacker
    // who damages a closure must not get one version put in another's place, nor a foreign file
    // overwritten.
    if damaged.closure.is_none() && !damaged.shares_content_with(&copy) {
        return Err(RepairError::NothingInCommon);
    }
    let mut file = BufWriter::new(file.map_err(io)?);
    let mut outcome = Repaired { before, blocks: Vec::new(), front: false, bytes: 0 };
    let mut touched = BTreeSet::new();
    damaged.write_front(&copy, &mut file, &mut outcome, &mut touched).map_err(io)?;
    for (i, header) in copy.headers().iter().enumerate() {
        let restored = damaged.write_body(&copy, i, header, &mut file, progress).map_err(io)?;
        if restored > 0 {
            outcome.bytes += restored;
            touched.insert(header.index);
        }
    }
    outcome.blocks = touched.into_iter().collect();
    let file = file.into_inner().map_err(|e| io(e.into_error()))?;
    let ring = UnverifiedRing::open(&file.path())
        .and_then(|r| r.verify(trust, &|_| ()))
        .map_err(RepairError::StillBad)?;
    let prepared = PreparedRepair { target: target.to_owned(), file, ring, outcome };
    Ok(ToRepair::Prepared(Box::new(prepared)))
}

/// A file any byte of which may be wrong; with a closure only if its owner's signature verifies.
struct Damaged {
    storage: Arc<dyn Storage>,
    len: u64,
    closure: Option<Closure>,
    layout: Option<Layout>,
}

impl Damaged {
    fn read(storage: Arc<dyn Storage>) -> std::io::Result<Self> {
        let len = storage.len()?;
        let closure = Closure::read_self_signed(&*storage, len)?;
        let layout = closure.as_ref().and_then(Layout::of);
        Ok(Self { storage, len, closure, layout })
    }

    /// Returns whether a header or chunk of the copy stands in its place in this file.
    fn shares_content_with(&self, copy: &AuthenticRing) -> bool {
        let layout = copy.layout();
        let header = |(range, row): (&std::ops::Range<u64>, &crate::ring::closure::ClosureRow)| {
            self.range(range).is_some_and(|b| header_digest(&b) == row.header_digest)
        };
        layout.headers.iter().zip(&copy.closure().rows).any(header)
            || self.shares_chunk_with(copy, 0)
            // A grant since the copy was made leaves the bodies as they are and the front with
            // another length.
            || self
                .len
                .checked_signed_diff(layout.file_len)
                .is_some_and(|shift| shift != 0 && self.shares_chunk_with(copy, shift))
    }

    /// Returns whether a chunk of the copy stands `shift` bytes behind its place in this file.
    fn shares_chunk_with(&self, copy: &AuthenticRing, shift: i64) -> bool {
        copy.headers().iter().zip(&copy.layout().bodies).any(|(header, body)| {
            chunk_spans(&header.parts).any(|span| {
                let at = (body.start + span.body.start).checked_add_signed(shift);
                at.and_then(|at| self.range(&(at..at + (span.body.end - span.body.start))))
                    .is_some_and(|b| header.is_chunk(&span, &b))
            })
        })
    }

    fn range(&self, range: &std::ops::Range<u64>) -> Option<Vec<u8>> {
        if range.end > self.len {
            return None;
        }
        read_range(&*self.storage, range.clone()).ok()
    }

    /// Writes preamble, closure and headers. The damaged file's own closure is kept if it is
    /// authentic and every header that it names is in one of the two files; else the copy's front
    /// is used (the two can differ by a grant).
    fn write_front(
        &self,
        copy: &VerifiedRing,
        to: &mut impl Write,
        outcome: &mut Repaired,
        touched: &mut BTreeSet<u32>,
    ) -> std::io::Result<()> {
        if let Some((front, from_copy)) = self.own_front(copy)? {
            outcome.front =
                self.range(&(0..PREAMBLE_LEN)).as_deref() != front.get(..PREAMBLE_LEN as usize);
            for (index, len) in from_copy {
                touched.insert(index);
                outcome.bytes += len;
            }
            return to.write_all(&front);
        }
        outcome.front = true;
        let mut front = front_of(copy.closure(), copy.layout());
        for range in &copy.layout().headers {
            front.extend(read_range(copy.storage(), range.clone())?);
        }
        to.write_all(&front)
    }

    #[allow(clippy::type_complexity, reason = "the bytes, and which headers came from the copy")]
    fn own_front(
        &self,
        copy: &AuthenticRing,
    ) -> std::io::Result<Option<(Vec<u8>, Vec<(u32, u64)>)>> {
        let (Some(closure), Some(layout)) = (&self.closure, &self.layout) else { return Ok(None) };
        let mut front = front_of(closure, layout);
        let mut from_copy = Vec::new();
        for (i, (range, row)) in layout.headers.iter().zip(&closure.rows).enumerate() {
            let own = self.range(range).filter(|b| header_digest(b) == row.header_digest);
            if let Some(bytes) = own {
                front.extend(bytes);
                continue;
            }
            let Some(range) = copy.layout().headers.get(i) else { return Ok(None) };
            let bytes = read_range(copy.storage(), range.clone())?;
            if header_digest(&bytes) != row.header_digest {
                return Ok(None);
            }
            from_copy.push((u32::try_from(i).unwrap_or(u32::MAX), bytes.len() as u64));
            front.extend(bytes);
        }
        Ok(Some((front, from_copy)))
    }

    /// Writes one body; returns how many of its bytes came from the copy.
    fn write_body(
        &self,
        copy: &VerifiedRing,
        i: usize,
        header: &Header,
        to: &mut impl Write,
        progress: &(dyn Fn(u64) + Sync),
    ) -> std::io::Result<u64> {
        let Some(copy_body) = copy.layout().bodies.get(i) else { return Ok(0) };
        let own_body = self.layout.as_ref().unwrap_or(copy.layout()).bodies.get(i);
        let mut restored = 0;
        for segment in segments(&header.parts) {
            for span in &segment.spans {
                let own = own_body
                    .and_then(|b| self.range(&(b.start + span.body.start..b.start + span.body.end)))
                    .filter(|bytes| header.is_chunk(span, bytes));
                if let Some(bytes) = own {
                    to.write_all(&bytes)?;
                    continue;
                }
                let range = copy_body.start + span.body.start..copy_body.start + span.body.end;
                restored += range.end - range.start;
                to.write_all(&read_range(copy.storage(), range)?)?;
            }
            progress(segment.body.end - segment.body.start);
        }
        Ok(restored)
    }
}

/// Preamble and closure, as they were written.
fn front_of(closure: &Closure, layout: &Layout) -> Vec<u8> {
    let preamble = Preamble { count: closure.count(), file_len: layout.file_len };
    let mut front = preamble.encode();
    front.extend_from_slice(&closure.encode());
    front
}
