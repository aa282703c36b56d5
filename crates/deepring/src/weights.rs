//! Rings of weights: the files of a model's folder, and the manifest that says how a ring's parts make them.
//!
//! FORMAT.md, section 25. Three steps, each to a type that nothing else can make: [`WeightsManifest`] (bytes that
//! decode, or files that keep the same rules) → [`HeldFiles`] (a manifest that fits the headers of its ring) → bytes of a
//! tensor or a file, which are given out only if they are those of the digest.

mod extent;
mod file_path;
mod held;
mod sealing;

use std::fmt;

use serde::Serialize;

use crate::crypto::{Digest, label};
use crate::encoding::{DecodeError, MAX_STRING, Reader, Writer};
pub use extent::{Extent, FileKind};
pub use file_path::{FilePath, FilePathError};
pub use held::{HeldExtent, HeldFiles, HeldTensor, RestoreError};
pub use sealing::{
    FileReader, PlannedExtent, PlannedFile, SealWeightsError, WeightsPlan, seal_weights,
    seal_weights_in,
};

/// Most bytes of a manifest of weights.
pub(crate) const MAX_MANIFEST: u64 = 1 << 28;
/// Most files of a ring of weights.
const MAX_FILES: usize = 1 << 16;
/// Most extents of all files together.
const MAX_EXTENTS: usize = 1 << 22;
/// Most bytes of the header with which a file of tensors begins.
const MAX_FILE_HEADER: u64 = 1 << 27;
/// Bytes of a file in a manifest, but for its path and its extents: length 2, kind 1, size 8, digests 64, count 4.
const FIXED_LEN: usize = 79;

/// SHA-256 of a file: the name that others have for its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl Serialize for Sha256 {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// The digests of a file's bytes, all of which were hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FileDigests {
    /// `BLAKE3.derive_key["deepring v1 weights file digest"](bytes)`: what a file is compared with that is given back.
    pub digest: Digest,
    /// SHA-256 of the bytes, for those who name them so. Nothing of DeepRing rests on it.
    pub sha256: Sha256,
}

/// Both digests of a file while its bytes go by.
struct FileHasher {
    digest: blake3::Hasher,
    sha256: aws_lc_rs::digest::Context,
    /// Bytes so far.
    len: u64,
}

impl FileHasher {
    fn new() -> Self {
        Self {
            digest: blake3::Hasher::new_derive_key(label::WEIGHTS_FILE),
            sha256: aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256),
            len: 0,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.digest.update_rayon(bytes);
        self.sha256.update(bytes);
        self.len += bytes.len() as u64;
    }

    fn finish(self) -> FileDigests {
        let mut sha256 = [0; 32];
        let found = self.sha256.finish();
        sha256.iter_mut().zip(found.as_ref()).for_each(|(to, from)| *to = *from);
        FileDigests { digest: Digest(*self.digest.finalize().as_bytes()), sha256: Sha256(sha256) }
    }
}

/// A file of a ring of weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WeightsFile {
    path: FilePath,
    kind: FileKind,
    size: u64,
    #[serde(flatten)]
    digests: FileDigests,
    #[serde(skip)]
    extents: Vec<Extent>,
}

impl WeightsFile {
    /// Where it lies in the folder.
    #[must_use]
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// Its kind: if it is of tensors, and how its own header is to be read.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Bytes that it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its digests, as the owner states them.
    #[must_use]
    pub fn digests(&self) -> FileDigests {
        self.digests
    }

    /// The runs of bytes that it is made of, in their order.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    fn encode(&self, w: &mut Writer) {
        w.string(self.path.as_str()).u8(self.kind as u8).u64(self.size);
        w.raw(&self.digests.digest.0).raw(&self.digests.sha256.0).count(self.extents.len());
        self.extents.iter().for_each(|extent| extent.encode(w));
    }

    /// `left` is how many extents the files before have left to this one.
    fn decode(r: &mut Reader<'_>, left: usize) -> Result<Self, DecodeError> {
        let path = r.string("path")?;
        let path = FilePath::new(&path).map_err(|_| DecodeError::Contradiction {
            field: "path",
            with: "the rules of paths",
        })?;
        let kind = FileKind::decode(r)?;
        let size = r.u64("file size")?;
        let digest = Digest(r.array("file digest")?);
        let sha256 = Sha256(r.array("SHA-256")?);
        let n = r.count("extents", left, 1)?;
        let extents = (0..n).map(|_| Extent::decode(r)).collect::<Result<Vec<_>, _>>()?;
        extent::verify_order(kind, &extents)?;
        Ok(Self { path, kind, size, digests: FileDigests { digest, sha256 }, extents })
    }
}

/// The manifest of a ring of weights: what Genesis seals in the place of a network's.
///
/// That it was decoded says that its paths and the order of each file's extents keep the rules; that it fits its ring is said
/// by [`HeldFiles`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WeightsManifest {
    model_name: String,
    files: Vec<WeightsFile>,
}

impl WeightsManifest {
    /// The model's name.
    #[must_use]
    pub fn model_name(&self) -> &str {
        &self.model_name
    }

    /// The files, in the order of their paths.
    #[must_use]
    pub fn files(&self) -> &[WeightsFile] {
        &self.files
    }

    /// The canonical bytes: `model name || count 4 || files`, each `path || kind 1 || size 8 || digest 32 || SHA-256 32 ||
    /// count 4 || extents`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.string(&self.model_name).count(self.files.len());
        self.files.iter().for_each(|file| file.encode(&mut w));
        w.finish()
    }

    /// Decodes canonical bytes strictly.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes, and where paths or extents break a rule
    /// of FORMAT.md, section 25, that can be seen without the headers.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let model_name = r.string("model name")?;
        let n = r.count("files", MAX_FILES, FIXED_LEN + 1)?;
        if n == 0 {
            return Err(DecodeError::BadValue { field: "files", found: 0 });
        }
        let mut left = MAX_EXTENTS;
        let mut files = Vec::with_capacity(n);
        for _ in 0..n {
            let file = WeightsFile::decode(&mut r, left)?;
            left -= file.extents.len();
            files.push(file);
        }
        r.finish()?;
        file_path::verify_unique(files.iter().map(WeightsFile::path))
            .map_err(|_| DecodeError::Contradiction { field: "path", with: "another path" })?;
        Ok(Self { model_name, files })
    }

    /// The manifest of files of which the digests are known.
    fn of(model_name: &str, files: Vec<WeightsFile>) -> Self {
        Self { model_name: model_name.to_owned(), files }
    }
}

/// Bytes that a manifest takes whose digests are not known yet.
fn manifest_len(model_name: &str, files: &[(&FilePath, Vec<Extent>)]) -> u64 {
    let file = |(path, extents): &(&FilePath, Vec<Extent>)| {
        let extents: usize = extents.iter().map(Extent::encoded_len).sum();
        (FIXED_LEN + path.as_str().len() + extents) as u64
    };
    let name = model_name.len().min(MAX_STRING) as u64;
    2 + name + 4 + files.iter().map(file).sum::<u64>()
}

/// The digest of a tensor's bytes: `BLAKE3.derive_key["deepring v1 weights tensor digest"](bytes)`.
fn tensor_hasher() -> blake3::Hasher {
    blake3::Hasher::new_derive_key(label::WEIGHTS_TENSOR)
}

#[cfg(test)]
mod tests;
