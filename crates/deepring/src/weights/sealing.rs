//! Sealing files: each is read once, in order, and hashed while its blocks are sealed; the manifest comes last.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{
    Extent, FileHasher, FileKind, FilePath, MAX_EXTENTS, MAX_FILE_HEADER, MAX_FILES, MAX_MANIFEST,
    WeightsFile, WeightsManifest, extent, file_path, manifest_len, tensor_hasher,
};
use crate::block::{Part, PartKind};
use crate::crypto::Digest;
use crate::encoding::MAX_STRING;
use crate::keys::{Host, PublicKey, SigningOwner};
use crate::replace::Replacement;
use crate::ring_id::RingKind;
use crate::seal::{BlockPlan, Predecessor, RingPlan, RingSealer, SealError, SealedRing};
use crate::tensor::{DType, Dim, TensorSpec};

/// Most parts that a block is given, so that its header stays well below what a closure allows.
const PARTS_OF_A_BLOCK: usize = 1 << 15;

/// Fills a buffer from a byte of a file on; files are numbered as in the plan.
pub type FileReader<'a> = dyn FnMut(usize, u64, &mut [u8]) -> io::Result<()> + 'a;

/// A run of a file's bytes, as whoever seals it read the file's own header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedExtent {
    /// As many zeros: what is read there is compared. More than 65535 are sealed as bytes.
    Zeros(u64),
    /// Bytes as they are.
    Bytes(u64),
    /// A tensor, all of whose dimensions are fixed.
    Tensor(TensorSpec),
}

/// A file that is to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Where it lies in the folder.
    pub path: FilePath,
    /// Its kind.
    pub kind: FileKind,
    /// Its runs of bytes, in order. Those without bytes are left out.
    pub extents: Vec<PlannedExtent>,
}

/// The plan of a ring of weights.
#[derive(Debug, Clone)]
pub struct WeightsPlan {
    /// The model's name.
    pub model_name: String,
    /// Version of the model; a reader refuses a lower one than it has seen.
    pub model_version: u64,
    /// The version before, a ring of weights; `None` starts a new ring.
    pub previous: Option<Predecessor>,
    /// Time of sealing in seconds since the Unix epoch, for people.
    pub sealed_at: u64,
    /// The files, in the order of their paths.
    pub files: Vec<PlannedFile>,
    /// A block is begun before a part with which the last would have more bytes than this, and what can be cut is cut to it:
    /// 64 to 256 MiB (2^26 to 2^28) for models, less for tests.
    pub block_len: u64,
    /// Hosts that may open every block, besides the owner.
    pub hosts: Vec<PublicKey<Host>>,
}

/// Why files were not sealed. The target is untouched in every case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealWeightsError {
    /// A file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: FilePath,
        /// The system's error.
        source: io::Error,
    },
    /// A file's bytes are not as they were planned.
    #[error("{path}, byte {offset}: zeros were planned, and something else is there")]
    NotZeros {
        /// The file.
        path: FilePath,
        /// Where the zeros would begin.
        offset: u64,
    },
    /// The plan is none of the format.
    #[error("{}{reason}", path.as_ref().map(|p| format!("{p}: ")).unwrap_or_default())]
    Plan {
        /// The file, if it is about one.
        path: Option<FilePath>,
        /// The reason.
        reason: &'static str,
    },
    /// The ring was not sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Seals files into a ring of weights at `target`. Each
/// byte is read once, in the order of the files. Memory stays near the largest block.
///
/// # Errors
/// [`SealWeightsError`].
pub fn seal_weights(
    target: &Path,
    plan: &WeightsPlan,
    owner: impl Into<SigningOwner>,
    read: &mut FileReader<'_>,
) -> Result<SealedRing, SealWeightsError> {
    let io = |source| SealError::Io { path: PathBuf::from(target), source };
    seal_weights_in(Replacement::of(target).map_err(io)?, plan, owner, read)
}

/// [`seal_weights`] in a file that was begun before: a file that has been put at its target since is not replaced.
///
/// # Errors
/// [`SealWeightsError`].
pub fn seal_weights_in(
    file: Replacement,
    plan: &WeightsPlan,
    owner: impl Into<SigningOwner>,
    read: &mut FileReader<'_>,
) -> Result<SealedRing, SealWeightsError> {
    let cut = cut(plan)?;
    let sized: Vec<(&FilePath, Vec<Extent>)> = plan
        .files
        .iter()
        .zip(&cut)
        .map(|(file, pieces)| (&file.path, pieces.iter().map(|p| p.extent).collect()))
        .collect();
    verify(plan, &sized)?;
    let blocks = blocks(plan, &cut, manifest_len(&plan.model_name, &sized));
    let ring = RingPlan {
        kind: RingKind::Weights,
        model_version: plan.model_version,
        previous: plan.previous,
        sealed_at: plan.sealed_at,
        blocks,
        deal: None,
    };
    let mut sealer = RingSealer::create_in(file, &ring, owner)?;
    let files = Pass { plan, read, sealer: &mut sealer, block: Block::default() }.files(cut)?;
    let manifest = WeightsManifest::of(&plan.model_name, files);
    sealer.seal_block(&manifest.encode())?;
    Ok(sealer.finish()?)
}

/// An extent as it will be in the manifest, and its part.
#[derive(Debug)]
struct Piece {
    extent: Extent,
    len: u64,
    /// `None` for zeros.
    spec: Option<TensorSpec>,
}

/// The extents of each file, each small enough for a block where it can be cut.
fn cut(plan: &WeightsPlan) -> Result<Vec<Vec<Piece>>, SealWeightsError> {
    let mut out = Vec::with_capacity(plan.files.len());
    for file in &plan.files {
        let refuse = |reason| SealWeightsError::Plan { path: Some(file.path.clone()), reason };
        let mut pieces = Vec::new();
        for (i, extent) in file.extents.iter().enumerate() {
            let bytes = |len: u64| {
                let (name, dims) = (file.path.as_str().to_owned(), Some(vec![Dim::Fixed(len)]));
                let spec = Some(TensorSpec { name, dtype: DType::U8, dims });
                Piece { extent: Extent::Bytes, len, spec }
            };
            match extent {
                PlannedExtent::Zeros(0) | PlannedExtent::Bytes(0) => {}
                PlannedExtent::Zeros(n) => match u16::try_from(*n)
                    .ok()
                    .and_then(|n| n.try_into().ok())
                {
                    Some(zeros) => {
                        pieces.push(Piece { extent: Extent::Zeros(zeros), len: *n, spec: None });
                    }
                    None => pieces.push(bytes(*n)),
                },
                // A file's own header is one part.
                PlannedExtent::Bytes(n) if i == 0 && file.kind != FileKind::Other => {
                    pieces.push(bytes(*n));
                }
                PlannedExtent::Bytes(n) => {
                    let most = plan.block_len.max(1);
                    if n.div_ceil(most) > MAX_EXTENTS as u64 {
                        return Err(refuse("it has more than the format allows"));
                    }
                    let mut left = *n;
                    while left > 0 {
                        pieces.push(bytes(left.min(most)));
                        left -= left.min(most);
                    }
                }
                PlannedExtent::Tensor(spec) => {
                    let shape =
                        refuse("a tensor has a dimension that is not fixed, or is too large");
                    pieces.extend(rows(spec, plan.block_len).ok_or(shape)?);
                }
            }
        }
        out.push(pieces);
    }
    Ok(out)
}

/// A tensor, or its rows in runs that fit a block; none if it has no element.
fn rows(spec: &TensorSpec, block_len: u64) -> Option<Vec<Piece>> {
    let fixed = |dim: &Dim| match dim {
        Dim::Fixed(n) => Some(*n),
        Dim::Named(_) => None,
    };
    let dims: Vec<u64> = spec.dims.as_ref()?.iter().map(fixed).collect::<Option<_>>()?;
    let product = |dims: &[u64]| {
        let size = spec.dtype.size() as u64;
        dims.iter().try_fold(size, |n, dim| n.checked_mul(*dim)).filter(|n| *n <= i64::MAX as u64)
    };
    if dims.contains(&0) {
        return Some(Vec::new());
    }
    let len = product(&dims)?;
    let Some((first, row)) = dims.split_first().filter(|_| len > block_len) else {
        let extent = Extent::Tensor(Digest::NONE);
        return Some(vec![Piece { extent, len, spec: Some(spec.clone()) }]);
    };
    let row_len = product(row)?;
    let most = (block_len / row_len).max(1);
    if first.div_ceil(most) > MAX_EXTENTS as u64 {
        return None;
    }
    let (mut left, mut pieces) = (*first, Vec::new());
    while left > 0 {
        let n = left.min(most);
        let extent = if left == *first { Extent::Tensor(Digest::NONE) } else { Extent::More };
        let mut spec = spec.clone();
        if let Some(rows) = spec.dims.as_mut().and_then(|dims| dims.first_mut()) {
            *rows = Dim::Fixed(n);
        }
        pieces.push(Piece { extent, len: n * row_len, spec: Some(spec) });
        left -= n;
    }
    Some(pieces)
}

/// Refuses what a reader would refuse, before anything is read.
fn verify(plan: &WeightsPlan, files: &[(&FilePath, Vec<Extent>)]) -> Result<(), SealWeightsError> {
    let refuse = |path: Option<&FilePath>, reason| {
        Err(SealWeightsError::Plan { path: path.cloned(), reason })
    };
    if plan.model_name.len() > MAX_STRING {
        return refuse(None, "the model's name is longer than 4096 bytes");
    }
    let extents: usize = files.iter().map(|(_, extents)| extents.len()).sum();
    let len = manifest_len(&plan.model_name, files);
    if files.is_empty() || files.len() > MAX_FILES || extents > MAX_EXTENTS || len > MAX_MANIFEST {
        return refuse(None, "there is no file, or more than the format allows");
    }
    if let Err(path) = file_path::verify_unique(files.iter().map(|(path, _)| *path)) {
        return refuse(Some(path), "it is another path or its folder, or not in order");
    }
    for (file, (path, extents)) in plan.files.iter().zip(files) {
        if extent::verify_order(file.kind, extents).is_err() {
            return refuse(Some(path), "a file of its kind has not these extents");
        }
        let header = file.extents.first().filter(|_| file.kind != FileKind::Other);
        if matches!(header, Some(PlannedExtent::Bytes(n)) if *n > MAX_FILE_HEADER) {
            return refuse(Some(path), "its header is longer than 2^27 bytes");
        }
        let mut names = std::collections::HashSet::new();
        let twice = file.extents.iter().any(|extent| match extent {
            PlannedExtent::Tensor(spec) => !names.insert(&spec.name),
            _ => false,
        });
        if twice {
            return refuse(Some(path), "it has two tensors of one name");
        }
    }
    Ok(())
}

/// Genesis, and the parts of all files, in order, in as few blocks as hold them.
fn blocks(plan: &WeightsPlan, cut: &[Vec<Piece>], manifest_len: u64) -> Vec<BlockPlan> {
    let block = |name: String, parts| BlockPlan {
        name,
        inputs: Vec::new(),
        outputs: Vec::new(),
        parts,
        shared: Vec::new(),
        hosts: plan.hosts.clone(),
    };
    let mut out = vec![block("genesis".into(), vec![(PartKind::Manifest, manifest_len)])];
    let (mut parts, mut bytes) = (Vec::new(), 0u64);
    for piece in cut.iter().flatten() {
        let Some(spec) = &piece.spec else { continue };
        let full = bytes.saturating_add(piece.len) > plan.block_len;
        if !parts.is_empty() && (full || parts.len() == PARTS_OF_A_BLOCK) {
            out.push(block(format!("weights-{}", out.len()), std::mem::take(&mut parts)));
            bytes = 0;
        }
        bytes = bytes.saturating_add(piece.len);
        parts.push((PartKind::Parameter(spec.clone()), piece.len));
    }
    if !parts.is_empty() {
        out.push(block(format!("weights-{}", out.len()), parts));
    }
    out
}

/// The one pass over all files.
struct Pass<'a> {
    plan: &'a WeightsPlan,
    read: &'a mut FileReader<'a>,
    sealer: &'a mut RingSealer,
    block: Block,
}

/// The block that is being filled.
#[derive(Default)]
struct Block {
    parts: Vec<Part>,
    plaintext: Vec<u8>,
    next: usize,
}

impl Pass<'_> {
    fn files(mut self, cut: Vec<Vec<Piece>>) -> Result<Vec<WeightsFile>, SealWeightsError> {
        let planned = self.plan.files.iter().enumerate().zip(cut);
        planned.map(|((number, file), pieces)| self.file(number, file, &pieces)).collect()
    }

    fn file(
        &mut self,
        number: usize,
        file: &PlannedFile,
        pieces: &[Piece],
    ) -> Result<WeightsFile, SealWeightsError> {
        let unreadable = |source| SealWeightsError::Read { path: file.path.clone(), source };
        let mut extents: Vec<Extent> = Vec::with_capacity(pieces.len());
        let mut hasher = FileHasher::new();
        let mut tensor = tensor_hasher();
        for (i, piece) in pieces.iter().enumerate() {
            let offset = hasher.len;
            if piece.spec.is_none() {
                let mut zeros = vec![0; usize::try_from(piece.len).unwrap_or(0)];
                (self.read)(number, offset, &mut zeros).map_err(unreadable)?;
                if zeros.iter().any(|b| *b != 0) {
                    return Err(SealWeightsError::NotZeros { path: file.path.clone(), offset });
                }
                hasher.update(&zeros);
                extents.push(piece.extent);
                continue;
            }
            let place = self.place()?;
            let bytes = self.block.plaintext.get_mut(place).unwrap_or_default();
            (self.read)(number, offset, bytes).map_err(unreadable)?;
            hasher.update(bytes);
            if matches!(piece.extent, Extent::Tensor(_)) {
                tensor = tensor_hasher();
            }
            if piece.extent != Extent::Bytes {
                tensor.update_rayon(bytes);
            }
            extents.push(piece.extent);
            let ends = pieces.get(i + 1).is_none_or(|next| next.extent != Extent::More);
            if piece.extent != Extent::Bytes && ends {
                let digest = Digest(*tensor.finalize().as_bytes());
                let last = extents.iter_mut().rev().find(|e| matches!(e, Extent::Tensor(_)));
                if let Some(extent) = last {
                    *extent = Extent::Tensor(digest);
                }
            }
            self.filled()?;
        }
        let (path, kind, size) = (file.path.clone(), file.kind, hasher.len);
        Ok(WeightsFile { path, kind, size, digests: hasher.finish(), extents })
    }

    /// The place of the next part in the plaintext of its block, which is begun if the part is its first.
    fn place(&mut self) -> Result<Range<usize>, SealWeightsError> {
        let too_large = || SealWeightsError::Plan { path: None, reason: "a block is too large" };
        if self.block.next == self.block.parts.len() {
            let index = self.sealer.next_block().unwrap_or(0);
            let len = usize::try_from(self.sealer.own_len(index)).map_err(|_| too_large())?;
            let mut plaintext = std::mem::take(&mut self.block.plaintext);
            plaintext.clear();
            plaintext.try_reserve_exact(len).map_err(|_| too_large())?;
            plaintext.resize(len, 0);
            let parts = self.sealer.parts_of(index).to_vec();
            self.block = Block { parts, plaintext, next: 0 };
        }
        let part = self.block.parts.get(self.block.next).ok_or_else(too_large)?;
        let range = usize::try_from(part.offset).ok().zip(usize::try_from(part.end()).ok());
        let within = |end: &usize| *end <= self.block.plaintext.len();
        range.filter(|(_, end)| within(end)).map(|(start, end)| start..end).ok_or_else(too_large)
    }

    /// Seals the block if that was its last part.
    fn filled(&mut self) -> Result<(), SealError> {
        self.block.next += 1;
        if self.block.next == self.block.parts.len() {
            self.sealer.seal_block(&self.block.plaintext)?;
        }
        Ok(())
    }
}
