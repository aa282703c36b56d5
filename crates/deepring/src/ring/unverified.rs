//! Examination of a ring file: frame, closure, headers and links, outline, bodies; every finding is
//! collected.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::closure::Closure;
use super::layout::{Layout, PREAMBLE_LEN, Preamble};
use super::verified::{AuthenticRing, RingError, VerifiedRing};
use crate::block::Header;
use crate::block::chunks::segments;
use crate::block::header::header_digest;
use crate::crypto::Digest;
use crate::encoding::DecodeError;
use crate::finding::{Finding, Report, Section, Verdict};
use crate::outline::Outline;
use crate::plain_file::open_plain;
use crate::storage::{Storage, read_range};
use crate::trust::{OwnedRing, Trust};

/// A file with the frame of a ring; nothing about it is trusted yet.
#[derive(Clone)]
pub struct UnverifiedRing {
    storage: Arc<dyn Storage>,
    closure: Closure,
    layout: Layout,
    actual_len: u64,
    /// Findings about the frame: lengths that do not agree.
    frame: Vec<Finding>,
}

impl std::fmt::Debug for UnverifiedRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnverifiedRing").field("claims_to_be", &self.closure.ring_id).finish()
    }
}

impl UnverifiedRing {
    /// Opens a ring file.
    ///
    /// # Errors
    /// [`RingError::Io`] where it cannot be read; [`RingError::Refused`] if it does not even have
    /// the frame of a ring.
    pub fn open(path: &Path) -> Result<Self, RingError> {
        let io = |source| RingError::Io { path: Some(path.into()), source };
        // Only a plain file can be read at an offset.
        let file = open_plain(path).map_err(io)?;
        Self::read(Arc::new(file))
    }

    /// Reads the frame from anything that can be read at any offset.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(storage: Arc<dyn Storage>) -> Result<Self, RingError> {
        let actual_len = storage.len()?;
        let refuse = |part, range: Range<u64>, reason: String| {
            let finding = Finding::tampered(part, reason).at(range);
            Err(RingError::Refused(Report::of_findings(vec![finding])))
        };
        if actual_len < PREAMBLE_LEN {
            let reason = format!("not a ring: {actual_len} bytes are less than a preamble");
            return refuse(Section::File, 0..actual_len, reason);
        }
        let preamble = match Preamble::decode(&read_range(&*storage, 0..PREAMBLE_LEN)?) {
            Ok(preamble) => preamble,
            Err(e @ DecodeError::OtherVersion { .. }) => {
                let finding = Finding::tampered(Section::File, e.to_string()).at(0..PREAMBLE_LEN);
                let report = Report::of_findings(vec![finding.of_other_format()]);
                return Err(RingError::Refused(report));
            }
            Err(e) => return refuse(Section::File, 0..PREAMBLE_LEN, format!("not a ring: {e}")),
        };
        let (closure, wrong_count) = match locate_closure(&*storage, actual_len, preamble)? {
            Ok(located) => located,
            Err(finding) => {
                return Err(RingError::Refused(Report::of_findings(vec![finding])));
            }
        };
        let Some(layout) = Layout::of(&closure) else {
            let range = preamble.closure_range();
            return refuse(Section::Closure, range, "block lengths do not add up".to_owned());
        };
        let mut frame = Vec::from_iter(wrong_count);
        if preamble.file_len != layout.file_len {
            let reason = format!(
                "the preamble claims {} bytes, the closure {}",
                preamble.file_len, layout.file_len
            );
            frame.push(Finding::tampered(Section::File, reason).at(16..PREAMBLE_LEN));
        }
        if actual_len > layout.file_len {
            let reason = format!("{} bytes follow the end", actual_len - layout.file_len);
            frame.push(Finding::tampered(Section::File, reason).at(layout.file_len..actual_len));
        }
        if actual_len < layout.file_len {
            let reason = format!("truncated: {} bytes are missing", layout.file_len - actual_len);
            frame.push(Finding::tampered(Section::File, reason).at(actual_len..layout.file_len));
        }
        Ok(Self { storage, closure, layout, actual_len, frame })
    }

    /// Checks closure, trust, version, headers and links, but reads no body.
    ///
    /// The bodies of the returned ring are still unchecked, and are checked chunk by chunk when a
    /// block is [opened](AuthenticRing::open_block).
    ///
    /// # Errors
    /// [`RingError::Refused`] with all findings.
    pub fn authenticate(self, trust: &Trust<'_>) -> Result<AuthenticRing, RingError> {
        let (findings, headers) = self.verify_structure(trust);
        refuse_deal(self.conclude(findings, headers)?, trust)
    }

    /// Checks everything that can be checked without a secret: as
    /// [`authenticate`](Self::authenticate), and every byte of every body. `progress` is called
    /// with the number of body bytes just checked, from several threads.
    ///
    /// # Errors
    /// [`RingError::Refused`] with all findings; [`RingError::Io`] where a body cannot be read.
    pub fn verify(
        self,
        trust: &Trust<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<VerifiedRing, RingError> {
        let (mut findings, headers) = self.verify_structure(trust);
        findings.extend(self.verify_bodies(&headers, progress)?);
        let ring = refuse_deal(self.conclude(findings, headers)?, trust)?;
        Ok(VerifiedRing::from_checked(ring))
    }

    /// The owner that the ring names. Nothing inside a ring can vouch for itself: use it for
    /// display, and for asking another source.
    #[must_use]
    pub fn claimed_owner(&self) -> crate::keys::PublicKey<crate::keys::Owner> {
        self.closure.owner
    }

    /// Owner and ring id that the ring names; not verified, as
    /// [`claimed_owner`](Self::claimed_owner).
    #[must_use]
    pub fn claimed(&self) -> OwnedRing {
        OwnedRing { owner: self.closure.owner, ring: self.closure.ring_id }
    }

    /// Number of body bytes that [`verify`](Self::verify) will report as progress.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.layout.bodies.iter().map(|b| b.end - b.start).sum()
    }

    fn conclude(
        self,
        mut findings: Vec<Finding>,
        headers: Vec<Option<Header>>,
    ) -> Result<AuthenticRing, RingError> {
        let headers: Option<Vec<Header>> = headers.into_iter().collect();
        match headers {
            Some(headers) if findings.is_empty() => {
                Ok(AuthenticRing::from_checked(self.storage, self.closure, self.layout, headers))
            }
            _ => {
                findings.sort_by_key(|f| (f.block.is_none(), f.block, f.part));
                Err(RingError::Refused(Report {
                    verdict: Report::verdict_of(&findings),
                    ring: Some(self.closure.ring_id),
                    digest: Some(self.closure.ring_digest()),
                    model_version: Some(self.closure.model_version),
                    blocks: Some(self.closure.count()),
                    findings,
                }))
            }
        }
    }

    /// Findings about everything but the bodies, and the headers that are the owner's.
    fn verify_structure(&self, trust: &Trust<'_>) -> (Vec<Finding>, Vec<Option<Header>>) {
        let count = self.closure.bodies.len();
        let closure_range =
            PREAMBLE_LEN..PREAMBLE_LEN + super::closure::closure_len(self.closure.count());
        if !self.closure.is_self_signed() {
            // The lengths that such a closure states are not worth a finding.
            let finding = Finding::tampered(Section::Closure, "the owner's signature does not fit")
                .at(closure_range);
            return (vec![finding], vec![None; count]);
        }
        let mut findings = self.frame.clone();
        if let Some(finding) = trust.refuse_version(&self.closure.version()) {
            let stop = finding.verdict == Verdict::Untrusted;
            findings.push(finding);
            if stop {
                return (findings, vec![None; count]);
            }
        }
        let headers: Vec<_> = (0..count)
            .into_par_iter()
            .map(|i| match self.verify_header(i) {
                Ok(header) => (Some(header), Vec::new()),
                Err(found) => (None, found),
            })
            .collect();
        let (headers, found): (Vec<_>, Vec<_>) = headers.into_iter().unzip();
        findings.extend(found.into_iter().flatten());
        if let Some(all) = headers.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() {
            findings.extend(super::wiring::verify_sharing(self.closure.kind, &all));
            findings.extend(super::wiring::verify_wiring(&all));
            findings.extend(verify_outline(&self.closure, &all));
        }
        (findings, headers)
    }

    fn verify_header(&self, i: usize) -> Result<Header, Vec<Finding>> {
        let index = u32::try_from(i).unwrap_or(u32::MAX);
        let one = |f: Finding| Err(vec![f]);
        let (Some(range), Some(row)) = (self.layout.headers.get(i), self.closure.rows.get(i))
        else {
            return one(
                Finding::tampered(Section::Closure, "a row is missing").in_block(index, None)
            );
        };
        let broken = |reason: String| {
            one(Finding::tampered(Section::Header, reason).in_block(index, None).at(range.clone()))
        };
        if range.end > self.actual_len {
            return broken("truncated".to_owned());
        }
        let bytes = match read_range(&*self.storage, range.clone()) {
            Ok(bytes) => bytes,
            Err(e) => return broken(format!("cannot be read: {e}")),
        };
        if header_digest(&bytes) != row.header_digest {
            return one(self.explain_header(index, &bytes).in_block(index, None).at(range.clone()));
        }
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            Err(e) => return broken(e.to_string()),
        };
        let found = self.verify_fields(index, &header);
        if found.is_empty() {
            Ok(header)
        } else {
            Err(found
                .into_iter()
                .map(|f| f.in_block(index, Some(&header.name)).at(range.clone()))
                .collect())
        }
    }

    /// Explains why a header is not the one that the closure names. Its claims are used for nothing
    /// but this message.
    fn explain_header(&self, index: u32, bytes: &[u8]) -> Finding {
        let plain = Finding::tampered(Section::Header, "not the header that the closure names");
        let Ok(header) = Header::decode(bytes) else { return plain };
        if !header.is_signed_by(&self.closure.owner) {
            return plain;
        }
        if header.ring_id != self.closure.ring_id {
            let reason = format!("an authentic block of another ring, {}", header.ring_id);
            return Finding::tampered(Section::Header, reason);
        }
        if header.model_version != self.closure.model_version {
            let reason = format!(
                "an authentic block of model version {}, in a ring of version {}",
                header.model_version, self.closure.model_version
            );
            return Finding::stale(Section::Header, reason);
        }
        if header.index != index {
            let reason = format!("block {} stands in the place of block {index}", header.index);
            return Finding::tampered(Section::Header, reason);
        }
        Finding::stale(Section::Header, "an authentic header of another sealing or granting")
    }

    /// Checks a header that the closure names against the rest of the ring. A finding here means
    /// that the owner's software sealed nonsense; it is refused all the same.
    fn verify_fields(&self, index: u32, header: &Header) -> Vec<Finding> {
        let c = &self.closure;
        let n = c.bodies.len();
        let i = index as usize;
        let body = |i: usize| c.bodies.get(i).copied().unwrap_or(Digest::NONE);
        let mut found = Vec::new();
        let mut check = |ok: bool, part, reason: &str| {
            if !ok {
                found.push(Finding::tampered(part, reason));
            }
        };
        check(
            header.ring_id == c.ring_id
                && header.model_version == c.model_version
                && header.index == index
                && header.count == c.count(),
            Section::Header,
            "header and closure disagree on ring, version, index or count",
        );
        check(
            header.body_digest == body(i),
            Section::Header,
            "body digest differs from the closure's",
        );
        check(
            header.previous_body == body((i + n - 1) % n),
            Section::Link,
            "the link to the block before does not fit",
        );
        check(
            header.next_body == body((i + 1) % n),
            Section::Link,
            "the link to the block after does not fit",
        );
        check(
            c.rows.get(i).is_some_and(|r| r.body_len == header.body_len()),
            Section::Header,
            "body length differs from the closure's",
        );
        let digest = crate::block::header::body_digest(header, |block| {
            c.bodies.get(block as usize).copied()
        });
        check(
            digest == Some(header.body_digest),
            Section::Header,
            "chunk digests and shared bodies do not give the body digest",
        );
        check(header.is_signed_by(&c.owner), Section::Header, "the owner's signature does not fit");
        found
    }

    fn verify_bodies(
        &self,
        headers: &[Option<Header>],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<Finding>, RingError> {
        let work = headers
            .iter()
            .zip(&self.layout.bodies)
            .filter_map(|(header, body)| Some((header.as_ref()?, body)))
            .flat_map(|(header, body)| segments(&header.parts).map(move |s| (header, body, s)))
            .enumerate();
        // Threads take segments in the order of the file, so that a disk is read forward; each
        // thread holds one buffer and nothing more.
        let mut bad = work
            .par_bridge()
            .map_init(Vec::new, |buf, (at, (header, body, segment))| {
                let found = self.verify_segment(header, body, &segment, buf)?;
                progress(segment.body.end - segment.body.start);
                Ok((at, found))
            })
            .filter(|examined| !matches!(examined, Ok((_, found)) if found.is_empty()))
            .collect::<Result<Vec<_>, RingError>>()?;
        bad.sort_by_key(|(at, _)| *at);
        let bad = bad.into_iter().flat_map(|(_, found)| found).collect();
        Ok(merge_neighbours(bad))
    }

    /// One finding for each bad chunk of the segment.
    fn verify_segment(
        &self,
        header: &Header,
        body: &Range<u64>,
        segment: &crate::block::chunks::Segment,
        buf: &mut Vec<u8>,
    ) -> Result<Vec<Finding>, RingError> {
        let start = body.start + segment.body.start;
        let end = body.start + segment.body.end;
        let here = end.min(self.actual_len).saturating_sub(start);
        // A segment is at most a few MiB, so the conversion loses nothing.
        buf.resize(usize::try_from(here).unwrap_or(0), 0);
        match self.storage.read_at(start, buf) {
            Ok(()) => {}
            // The file was truncated since it was opened.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => buf.clear(),
            Err(e) => return Err(e.into()),
        }
        let mut found = Vec::new();
        for span in &segment.spans {
            let range = (span.body.start - segment.body.start) as usize
                ..(span.body.end - segment.body.start) as usize;
            found.extend(header.check_chunk(span, body.start, buf.get(range)).err());
        }
        Ok(found)
    }
}

/// The closure, and a finding if the preamble misstates its count; or why there is no closure.
///
/// Where the two disagree, the owner's signature decides which of them is wrong.
fn locate_closure(
    storage: &dyn Storage,
    actual_len: u64,
    preamble: Preamble,
) -> std::io::Result<Result<(Closure, Option<Finding>), Finding>> {
    if Closure::own_count(storage, actual_len)?.is_some_and(|own| own != preamble.count)
        && let Some(closure) = Closure::read_self_signed(storage, actual_len)?
    {
        let reason = format!(
            "the preamble counts {} blocks, the closure {}",
            preamble.count,
            closure.count()
        );
        return Ok(Ok((closure, Some(Finding::tampered(Section::File, reason).at(12..16)))));
    }
    let refuse = |range: Range<u64>, reason: String| {
        Ok(Err(Finding::tampered(Section::Closure, reason).at(range)))
    };
    let range = preamble.closure_range();
    if range.end > actual_len {
        let reason = "the file ends before its closure does".to_owned();
        return refuse(range.start..actual_len, reason);
    }
    match Closure::decode(&read_range(storage, range.clone())?) {
        Ok(closure) => Ok(Ok((closure, None))),
        Err(e) => refuse(range, e.to_string()),
    }
}

/// Merges findings about neighbouring chunks of one tensor.
fn merge_neighbours(findings: Vec<Finding>) -> Vec<Finding> {
    let mut out: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        if let (Some(last), Some([start, end])) = (out.last_mut(), finding.bytes) {
            let same = last.block == finding.block
                && last.tensor == finding.tensor
                && last.reason == finding.reason;
            if let (true, Some([_, last_end])) = (same, &mut last.bytes)
                && *last_end == start
            {
                *last_end = end;
                continue;
            }
        }
        out.push(finding);
    }
    out
}

/// Checks that the owner signed the outline that closure and headers make, and that the deal in it
/// is one of this ring.
fn verify_outline(closure: &Closure, headers: &[&Header]) -> Vec<Finding> {
    let outline = Outline::of(closure.stated(), headers);
    let mut found = Vec::new();
    if !outline.is_signed() {
        let reason = "the owner's signature does not fit the outline";
        found.push(Finding::tampered(Section::Closure, reason));
    }
    if let Some(reason) = outline.refuse_deal() {
        let name = headers.first().map(|genesis| genesis.name.as_str());
        found.push(Finding::tampered(Section::Header, reason).in_block(0, name));
    }
    found
}

/// Refuses an authentic ring of an earlier deal than was seen before.
fn refuse_deal(ring: AuthenticRing, trust: &Trust<'_>) -> Result<AuthenticRing, RingError> {
    match trust.refuse_deal(&ring.version()) {
        None => Ok(ring),
        Some(finding) => Err(RingError::Refused(Report::of_findings(vec![finding]))),
    }
}
