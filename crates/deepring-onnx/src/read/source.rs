//! Where the elements of a tensor are: in a file, in memory, or computed from other tensors.

use std::sync::Arc;

use rayon::prelude::*;

use super::error::ImportError;
use super::recipe::Recipe;
use super::skeleton::Form;
use super::wire::{SharedFile, WireReader};

/// The bytes of a tensor in a file that one thread reads at once: one thread alone does not reach the speed of memory.
const PIECE_LEN: usize = 1 << 20;

/// Elements of one tensor, little-endian and dense, produced when they are asked for.
///
/// Cheap to clone: what it refers to is shared.
#[derive(Debug, Clone)]
pub struct ParamSource(Inner);

/// A stretch of a file, or of memory, that holds elements: the same for all that is computed from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stored {
    holder: usize,
    offset: u64,
    /// Number of bytes.
    pub len: u64,
}

#[derive(Debug, Clone)]
enum Inner {
    File {
        file: Arc<SharedFile>,
        offset: u64,
        len: u64,
    },
    /// Numbers of variable length; `width` bytes of each are elements.
    Numbers {
        file: Arc<SharedFile>,
        offset: u64,
        end: u64,
        width: usize,
        len: u64,
    },
    Owned(Arc<[u8]>),
    Derived(Arc<Recipe>),
}

impl ParamSource {
    pub(crate) fn owned(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(Inner::Owned(bytes.into()))
    }

    pub(crate) fn derived(recipe: Recipe) -> Self {
        Self(Inner::Derived(Arc::new(recipe)))
    }

    /// The caller has checked that the range lies inside the file.
    pub(crate) fn file(file: Arc<SharedFile>, offset: u64, len: u64) -> Self {
        Self(Inner::File { file, offset, len })
    }

    /// Elements of `width` bytes each that a packed field of the model's file holds.
    pub(crate) fn packed(
        file: &Arc<SharedFile>,
        offset: u64,
        len: u64,
        form: Form,
        width: usize,
    ) -> Result<Self, ImportError> {
        if matches!(form, Form::Raw | Form::Floats | Form::Doubles) {
            return Ok(Self::file(Arc::clone(file), offset, len));
        }
        let end = offset.saturating_add(len);
        let mut reader = WireReader::new(file);
        reader.skip_to(offset);
        let mut count = 0u64;
        while reader.position() < end {
            reader.varint(end)?;
            count += 1;
        }
        let len = count.saturating_mul(width as u64);
        Ok(Self(Inner::Numbers { file: Arc::clone(file), offset, end, width, len }))
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Inner::File { len, .. } | Inner::Numbers { len, .. } => *len,
            Inner::Owned(bytes) => bytes.len() as u64,
            Inner::Derived(recipe) => recipe.len(),
        }
    }

    /// The elements in the file, where they are narrower there than here; `None` where they are as wide.
    pub(crate) fn narrow(&self) -> Option<Stored> {
        match &self.0 {
            Inner::Derived(recipe) => recipe.narrow(),
            _ => None,
        }
    }

    /// Where the elements are stored that these are, or are computed from.
    pub(crate) fn stored(&self) -> Stored {
        let (holder, offset) = match &self.0 {
            Inner::File { file, offset, .. } | Inner::Numbers { file, offset, .. } => {
                (Arc::as_ptr(file).addr(), *offset)
            }
            Inner::Owned(bytes) => (bytes.as_ptr().addr(), 0),
            Inner::Derived(recipe) => match recipe.of() {
                Some(of) => return of.stored(),
                None => (Arc::as_ptr(recipe).addr(), 0),
            },
        };
        Stored { holder, offset, len: self.len() }
    }

    /// Returns whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the elements into `out`, whose length must be [`len`](Self::len).
    ///
    /// # Errors
    /// If a file cannot be read any more or `out` has another length.
    pub fn read_into(&self, out: &mut [u8]) -> Result<(), ImportError> {
        if out.len() as u64 != self.len() {
            return Err(ImportError::RegionLength {
                expected: self.len(),
                found: out.len() as u64,
            });
        }
        match &self.0 {
            Inner::File { file, offset, .. } => {
                let pieces = out.par_chunks_mut(PIECE_LEN).enumerate();
                pieces.try_for_each(|(i, piece)| {
                    file.read_exact_at(offset + (i * PIECE_LEN) as u64, piece)
                })
            }
            Inner::Numbers { file, offset, end, width, .. } => {
                let mut reader = WireReader::new(file);
                reader.skip_to(*offset);
                for element in out.chunks_mut(*width) {
                    let number = reader.varint(*end)?.to_le_bytes();
                    if let Some(low) = number.get(..element.len()) {
                        element.copy_from_slice(low);
                    }
                }
                Ok(())
            }
            Inner::Owned(bytes) => {
                out.copy_from_slice(bytes);
                Ok(())
            }
            Inner::Derived(recipe) => recipe.run(out),
        }
    }

    /// Returns whether any element of `width` bytes is one that `is` says; of a file, in pieces of bounded size.
    pub(crate) fn any_chunk(
        &self,
        width: usize,
        is: impl Fn(&[u8]) -> bool + Sync,
    ) -> Result<bool, ImportError> {
        let any = |bytes: &[u8]| bytes.chunks_exact(width.max(1)).any(&is);
        let Inner::File { file, offset, len } = &self.0 else {
            return match &self.0 {
                Inner::Owned(bytes) => Ok(any(bytes)),
                _ => Ok(any(&self.read()?)),
            };
        };
        let pieces = (*len).div_ceil(PIECE_LEN as u64);
        let found = (0..pieces).into_par_iter().map(|i| {
            let start = i * PIECE_LEN as u64;
            let piece = (len - start).min(PIECE_LEN as u64);
            let mut bytes = vec![0; usize::try_from(piece).unwrap_or(PIECE_LEN)];
            file.read_exact_at(offset + start, &mut bytes)?;
            Ok::<_, ImportError>(any(&bytes))
        });
        found.try_reduce(|| false, |a, b| Ok(a || b))
    }

    pub(crate) fn read(&self) -> Result<Vec<u8>, ImportError> {
        let len = usize::try_from(self.len()).map_err(|_| ImportError::TooLarge {
            what: "bytes of a tensor",
            limit: usize::MAX as u64,
        })?;
        let mut out = vec![0; len];
        self.read_into(&mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what a test needs is there, or the test has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_of_several_pieces_is_read_from_its_place_and_a_cut_file_is_an_error() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let bytes: Vec<u8> = (0..3 * PIECE_LEN + 9).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = Arc::new(SharedFile::open(&path).unwrap());
        for (offset, len) in [(5, 2 * PIECE_LEN + 3), (0, PIECE_LEN), (7, 1), (9, 3 * PIECE_LEN)] {
            let source = ParamSource::file(Arc::clone(&file), offset as u64, len as u64);
            assert!(source.read().unwrap() == bytes[offset..offset + len]);
        }
        let source = ParamSource::file(file, 9, 3 * PIECE_LEN as u64);
        std::fs::write(&path, &bytes[..2 * PIECE_LEN]).unwrap();
        assert!(matches!(source.read(), Err(ImportError::Io { .. })));
    }
}
