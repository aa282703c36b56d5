//! A manifest that fits the headers of its ring, and what can be read by it: a tensor alone, or a file as it was.

use std::collections::HashSet;
use std::io::{self, Write};

use serde::Serialize;
use thiserror::Error;

use super::{
    Extent, FileHasher, FileKind, FilePath, MAX_FILE_HEADER, MAX_MANIFEST, WeightsFile,
    WeightsManifest, tensor_hasher,
};
use crate::block::{Header, Part, PartKind};
use crate::crypto::Digest;
use crate::encoding::DecodeError;
use crate::finding::{Finding, Section};
use crate::open::{OpenError, OpeningKey};
use crate::ring::{AuthenticRing, PartReader};
use crate::ring_id::RingKind;
use crate::tensor::{DType, Dim, TensorSpec};

/// The files of a ring of weights: its manifest, of which every extent was found among the parts of the ring's blocks, and
/// which leaves no part out.
///
/// ```compile_fail,E0451
/// use deepring::weights::HeldFiles;
///
/// fn made(of: HeldFiles<'_>) -> HeldFiles<'_> {
///     HeldFiles { ..of } // error: the fields are private
/// }
/// ```
#[derive(Debug)]
pub struct HeldFiles<'r> {
    ring: &'r AuthenticRing,
    manifest: WeightsManifest,
    /// Of each file the place of its first part, or of the part that would be next.
    starts: Vec<PartPlace>,
}

/// A part of a ring: block and number of the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct PartPlace {
    block: usize,
    part: usize,
}

/// An extent with its place in the file, and the part that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldExtent<'a> {
    /// The extent itself.
    pub extent: Extent,
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes that it has.
    pub len: u64,
    /// Block, number of the part in it, and the part; `None` for zeros.
    pub part: Option<(u32, usize, &'a Part)>,
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldTensor {
    /// Name, element type and dimensions; those of a tensor in several parts are added up.
    pub spec: TensorSpec,
    /// Where it begins in its file.
    pub offset: u64,
    /// Bytes that it has.
    pub len: u64,
    /// `BLAKE3.derive_key["deepring v1 weights tensor digest"](bytes)`
    pub digest: Digest,
    /// Block and number of each of its parts, in order.
    pub parts: Vec<(u32, usize)>,
}

/// Why a file was not given back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A part was not opened, or the target not written.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ring has no file of this number.
    #[error("the ring has no file {index}")]
    NoSuchFile {
        /// Requested number.
        index: usize,
    },
    /// The bytes are those that were sealed, and not those of the digest that was sealed with them; the owner's software is
    /// at fault.
    #[error("{path} is sealed well, but its bytes are not those of its digest")]
    OtherBytes {
        /// The file.
        path: FilePath,
    },
}

impl AuthenticRing {
    /// Opens Genesis of a ring of weights, and holds the manifest against the headers.
    ///
    /// # Errors
    /// [`OpenError::OtherKind`] for a network; as [`open_block`](Self::open_block); [`OpenError::Malformed`] where the manifest
    /// does not decode or does not fit.
    pub fn open_weights(&self, key: OpeningKey<'_>) -> Result<HeldFiles<'_>, OpenError> {
        if self.kind() != RingKind::Weights {
            return Err(OpenError::OtherKind { kind: self.kind() });
        }
        let malformed = |source| OpenError::Malformed { index: 0, source };
        let found = self.genesis().plain_len;
        if found > MAX_MANIFEST {
            let too_long = DecodeError::TooLong { field: "manifest", found, limit: MAX_MANIFEST };
            return Err(malformed(too_long));
        }
        let mut out = crate::open::buffer(found)?;
        self.open_block(0, key, &mut out)?;
        let manifest = WeightsManifest::decode(&out).map_err(malformed)?;
        let starts = fit(self.headers(), &manifest).map_err(malformed)?;
        Ok(HeldFiles { ring: self, manifest, starts })
    }

    /// The last step of a verification with a key: of a ring of weights, whether the manifest that the key opens decodes and
    /// fits the headers. `None` if it does, if the key does not open Genesis, and for a network.
    ///
    /// # Errors
    /// As [`open_weights`](Self::open_weights), but for what is a finding.
    pub fn verify_manifest(&self, key: OpeningKey<'_>) -> Result<Option<Finding>, OpenError> {
        if self.kind() != RingKind::Weights || !key.is_recipient(self.genesis()) {
            return Ok(None);
        }
        match self.open_weights(key) {
            Ok(_) => Ok(None),
            Err(OpenError::Tampered(finding)) => Ok(Some(finding)),
            Err(OpenError::Malformed { source, .. }) => {
                let finding = Finding::tampered(Section::Body, format!("the manifest: {source}"));
                let finding = finding.in_block(0, Some(&self.genesis().name));
                Ok(Some(finding.of_tensor(PartKind::Manifest.label())))
            }
            Err(other) => Err(other),
        }
    }
}

impl<'r> HeldFiles<'r> {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &WeightsManifest {
        &self.manifest
    }

    /// The files, in the order of their paths.
    #[must_use]
    pub fn files(&self) -> &[WeightsFile] {
        &self.manifest.files
    }

    /// The number of the file at this path.
    #[must_use]
    pub fn position(&self, path: &str) -> Option<usize> {
        self.files().binary_search_by(|file| file.path.as_str().cmp(path)).ok()
    }

    /// The extents of file number `file`, in order; none if there is no such file.
    pub fn extents(&self, file: usize) -> impl Iterator<Item = HeldExtent<'r>> + '_ {
        let start = self.starts.get(file).copied();
        let mut parts = start.into_iter().flat_map(|start| parts_from(self.ring.headers(), start));
        let mut offset = 0u64;
        let extents = self.files().get(file).map(|f| f.extents.as_slice()).unwrap_or_default();
        extents.iter().map(move |extent| {
            let (len, part) = match extent {
                Extent::Zeros(n) => (u64::from(n.get()), None),
                _ => match parts.next() {
                    Some((place, part)) => {
                        let block = u32::try_from(place.block).unwrap_or(u32::MAX);
                        (part.len, Some((block, place.part, part)))
                    }
                    // Each has its part: `fit`.
                    None => (0, None),
                },
            };
            // The sum is the file's size: `fit`.
            let at = offset;
            offset = offset.saturating_add(len);
            HeldExtent { extent: *extent, offset: at, len, part }
        })
    }

    /// The tensors of file number `file`, in the order of the file.
    pub fn tensors(&self, file: usize) -> impl Iterator<Item = HeldTensor> + '_ {
        let mut extents = self.extents(file).peekable();
        std::iter::from_fn(move || {
            loop {
                let HeldExtent { extent: Extent::Tensor(digest), offset, len, part } =
                    extents.next()?
                else {
                    continue;
                };
                let (block, number, part) = part?;
                let PartKind::Parameter(spec) = &part.kind else { return None };
                let mut tensor = HeldTensor {
                    spec: spec.clone(),
                    offset,
                    len,
                    digest,
                    parts: vec![(block, number)],
                };
                while let Some(more) = extents.next_if(|e| e.extent == Extent::More) {
                    tensor.extend(&more);
                }
                return Some(tensor);
            }
        })
    }

    /// Reads one tensor; of the ring's file nothing but its own chunks.
    ///
    /// # Errors
    /// As [`PartReader::read`]; [`OpenError::NotForThisKey`]; [`OpenError::Malformed`] where the bytes are not those of the
    /// tensor's digest; [`OpenError::TooLarge`] where memory is lacking.
    pub fn read_tensor(
        &self,
        tensor: &HeldTensor,
        key: OpeningKey<'_>,
    ) -> Result<Vec<u8>, OpenError> {
        let too_large = || OpenError::TooLarge { bytes: tensor.len };
        let mut out = Vec::new();
        out.try_reserve_exact(usize::try_from(tensor.len).map_err(|_| too_large())?)
            .map_err(|_| too_large())?;
        let mut reader = None;
        for (block, part) in &tensor.parts {
            let reader = self.reader(&mut reader, *block, key)?;
            reader.read(*part, &mut |bytes| {
                out.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        let mut hasher = tensor_hasher();
        hasher.update_rayon(&out);
        if Digest(*hasher.finalize().as_bytes()) != tensor.digest {
            let index = tensor.parts.first().map_or(0, |(block, _)| *block);
            let source =
                DecodeError::Contradiction { field: "tensor", with: "its digest in the manifest" };
            return Err(OpenError::Malformed { index, source });
        }
        Ok(out)
    }

    /// Writes file number `file` as it was, chunk by chunk. What was written is the file only if this returns `Ok`: until then
    /// it must not have the file's name.
    ///
    /// # Errors
    /// [`RestoreError`]; memory is that of a chunk.
    pub fn write_file(
        &self,
        file: usize,
        key: OpeningKey<'_>,
        out: &mut dyn Write,
    ) -> Result<(), RestoreError> {
        let about = self.files().get(file).ok_or(RestoreError::NoSuchFile { index: file })?;
        let mut hasher = FileHasher::new();
        let mut reader = None;
        let mut write = |bytes: &[u8]| -> io::Result<()> {
            hasher.update(bytes);
            out.write_all(bytes)
        };
        for extent in self.extents(file) {
            match (extent.extent, extent.part) {
                (Extent::Zeros(n), _) => {
                    write(&vec![0; usize::from(n.get())]).map_err(OpenError::Io)?;
                }
                (_, Some((block, part, _))) => {
                    self.reader(&mut reader, block, key)?.read(part, &mut write)?;
                }
                (_, None) => {}
            }
        }
        if hasher.len != about.size || hasher.finish().digest != about.digests.digest {
            return Err(RestoreError::OtherBytes { path: about.path.clone() });
        }
        Ok(())
    }

    /// The reader of a block: that of the part before, if it was of the same block.
    fn reader<'a>(
        &self,
        kept: &'a mut Option<PartReader<'r>>,
        block: u32,
        key: OpeningKey<'_>,
    ) -> Result<&'a PartReader<'r>, OpenError> {
        let reader = match kept.take() {
            Some(reader) if reader.index() == block => reader,
            _ => self.ring.part_reader(block, key)?,
        };
        Ok(kept.insert(reader))
    }
}

impl HeldTensor {
    fn extend(&mut self, more: &HeldExtent<'_>) {
        let Some((block, number, part)) = more.part else { return };
        self.parts.push((block, number));
        self.len = self.len.saturating_add(more.len);
        if let PartKind::Parameter(spec) = &part.kind
            && let (Some(Dim::Fixed(rows)), Some(Dim::Fixed(n))) = (
                self.spec.dims.as_mut().and_then(|dims| dims.first_mut()),
                spec.dims.as_ref().and_then(|dims| dims.first()),
            )
        {
            *rows = rows.saturating_add(*n);
        }
    }
}

/// The parts of the blocks behind Genesis from `start` on, block by block.
fn parts_from(headers: &[Header], start: PartPlace) -> impl Iterator<Item = (PartPlace, &Part)> {
    headers.iter().enumerate().skip(start.block).flat_map(move |(block, header)| {
        let skipped = if block == start.block { start.part } else { 0 };
        let parts = header.parts.iter().enumerate().skip(skipped);
        parts.map(move |(part, p)| (PartPlace { block, part }, p))
    })
}

/// Gives each extent its part. Returns the place of each file's first.
fn fit(headers: &[Header], manifest: &WeightsManifest) -> Result<Vec<PartPlace>, DecodeError> {
    let first = PartPlace { block: 1, part: 0 };
    let end = PartPlace { block: headers.len(), part: 0 };
    let mut parts = parts_from(headers, first).peekable();
    let mut starts = Vec::with_capacity(manifest.files.len());
    for file in &manifest.files {
        starts.push(parts.peek().map_or(end, |(place, _)| *place));
        fit_file(file, parts.by_ref().map(|(_, part)| part))?;
    }
    match parts.next() {
        None => Ok(starts),
        Some(_) => Err(CONTRADICTION_OF_PARTS),
    }
}

const CONTRADICTION_OF_PARTS: DecodeError =
    DecodeError::Contradiction { field: "number of extents", with: "number of parts" };

fn fit_file<'a>(
    file: &WeightsFile,
    mut parts: impl Iterator<Item = &'a Part>,
) -> Result<(), DecodeError> {
    let contradicts = |field, with| Err(DecodeError::Contradiction { field, with });
    let mut size = 0u64;
    let mut names: HashSet<&str> = HashSet::new();
    let mut before: Option<&TensorSpec> = None;
    for (i, extent) in file.extents.iter().enumerate() {
        let len = if let Extent::Zeros(n) = extent {
            u64::from(n.get())
        } else {
            let part = parts.next().ok_or(CONTRADICTION_OF_PARTS)?;
            let PartKind::Parameter(spec) = &part.kind else { return Err(CONTRADICTION_OF_PARTS) };
            match extent {
                Extent::Bytes if !is_bytes(spec, &file.path) => {
                    return contradicts("bytes", "the parameter that holds them");
                }
                Extent::Tensor(_) if !names.insert(&spec.name) => {
                    return contradicts("tensor", "another of its name");
                }
                Extent::More if !before.is_some_and(|before| continues(before, spec)) => {
                    return contradicts("more of a tensor", "the part before");
                }
                _ => {}
            }
            if i == 0 && file.kind != FileKind::Other && part.len > MAX_FILE_HEADER {
                let (found, limit) = (part.len, MAX_FILE_HEADER);
                return Err(DecodeError::TooLong { field: "header of a file", found, limit });
            }
            before = Some(spec);
            part.len
        };
        size = match size.checked_add(len) {
            Some(size) => size,
            None => return contradicts("file size", "extents"),
        };
    }
    if size == file.size { Ok(()) } else { contradicts("file size", "extents") }
}

/// Returns whether a parameter is one that holds bytes of this file.
fn is_bytes(spec: &TensorSpec, path: &FilePath) -> bool {
    let rank = spec.dims.as_ref().map_or(0, Vec::len);
    spec.name == path.as_str() && spec.dtype == DType::U8 && rank == 1
}

/// Returns whether a parameter can be the next rows of the tensor before.
fn continues(before: &TensorSpec, spec: &TensorSpec) -> bool {
    let row = |spec: &TensorSpec| spec.dims.as_ref().and_then(|d| d.get(1..).map(<[Dim]>::to_vec));
    before.name == spec.name
        && before.dtype == spec.dtype
        && row(spec).is_some()
        && row(before) == row(spec)
}
