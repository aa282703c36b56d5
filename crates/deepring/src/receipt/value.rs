//! Tensors that cross a cut: their canonical bytes, and their digests under a query's salt.

use thiserror::Error;

use crate::crypto::{Digest, NoRandomness, keyed, label, random};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::tensor::{DType, MAX_RANK};

/// Most bytes of one tensor that crosses a cut.
const MAX_DATA: usize = 1 << 31;

/// A tensor with its elements, little-endian, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorValue {
    name: String,
    dtype: DType,
    dims: Vec<u64>,
    data: Vec<u8>,
}

/// Why name, type, dimensions and bytes do not form a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The number of bytes is not the one that the dimensions require.
    #[error("tensor `{name}` has {found} bytes, its shape asks for {expected:?}")]
    Length {
        /// The tensor.
        name: String,
        /// Bytes that the shape requires; `None` if that overflows.
        expected: Option<u64>,
        /// Bytes given.
        found: u64,
    },
    /// More dimensions, more bytes, or a longer name than the format allows.
    #[error("tensor `{name}` exceeds a limit of the format")]
    TooLarge {
        /// The tensor.
        name: String,
    },
}

impl TensorValue {
    /// A tensor of these bytes.
    ///
    /// # Errors
    /// [`ValueError::Length`] and [`ValueError::TooLarge`].
    pub fn new(
        name: impl Into<String>,
        dtype: DType,
        dims: Vec<u64>,
        data: Vec<u8>,
    ) -> Result<Self, ValueError> {
        let name = name.into();
        let expected = dims.iter().try_fold(dtype.size() as u64, |n, d| n.checked_mul(*d));
        if expected != Some(data.len() as u64) {
            return Err(ValueError::Length { name, expected, found: data.len() as u64 });
        }
        if dims.len() > MAX_RANK
            || data.len() > MAX_DATA
            || name.len() > crate::encoding::MAX_STRING
        {
            return Err(ValueError::TooLarge { name });
        }
        Ok(Self { name, dtype, dims, data })
    }

    /// Name in the network.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions.
    #[must_use]
    pub fn dims(&self) -> &[u64] {
        &self.dims
    }

    /// Elements, little-endian, row-major.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.string(&self.name).u8(self.dtype as u8).count(self.dims.len());
        for dim in &self.dims {
            w.u64(*dim);
        }
        w.bytes(&self.data);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = r.string("tensor name")?;
        let dtype = DType::decode(r)?;
        let rank = r.count("rank", MAX_RANK, 8)?;
        let dims = (0..rank).map(|_| r.u64("dimension")).collect::<Result<Vec<_>, _>>()?;
        let data = r.bytes("tensor data", MAX_DATA)?;
        let found = data.len() as u64;
        Self::new(name, dtype, dims, data.to_vec())
            .map_err(|_| DecodeError::BadValue { field: "tensor length", found })
    }
}

/// The salt of a query's digests: who lacks it cannot confirm a guess of an input, an output or an
/// activation by a digest in a record. The hosts of the query have it, and whoever holds its receipt
/// with the salt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// A new salt from the system's generator.
    ///
    /// # Errors
    /// [`NoRandomness`] where that fails.
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self(random()?))
    }

    /// The salt of these bytes; `None` for all zero, which stands for no salt.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        (bytes != [0; 32]).then_some(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The value by which an opening fixes the salt:
    /// `BLAKE3.derive_key["deepring v1 salt commitment"](salt)`.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        Digest::of(label::SALT, &[&self.0])
    }
}

/// Never its bytes.
impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// The digest over a set of tensors, in the order of their names, under a query's salt:
/// `BLAKE3.keyed_hash[k](count 4 || for each: name || type 1 || rank 4 || dimensions 8 × rank ||
/// length 4 || bytes)`, where `k = BLAKE3.derive_key["deepring v2 tensor digest key"](salt)`.
#[must_use]
pub fn tensors_digest(salt: &Salt, tensors: &[TensorValue]) -> Digest {
    let mut sorted: Vec<&TensorValue> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut head = Writer::new();
    head.count(sorted.len());
    let mut parts = vec![head.finish()];
    for tensor in &sorted {
        let mut w = Writer::new();
        w.string(&tensor.name).u8(tensor.dtype as u8).count(tensor.dims.len());
        for dim in &tensor.dims {
            w.u64(*dim);
        }
        w.count(tensor.data.len());
        parts.push(w.finish());
    }
    let mut slices: Vec<&[u8]> = Vec::with_capacity(2 * parts.len());
    let mut data = sorted.iter().map(|t| t.data.as_slice());
    for (i, part) in parts.iter().enumerate() {
        slices.push(part);
        if i > 0 {
            slices.extend(data.next());
        }
    }
    keyed(label::TENSORS_KEY, &salt.0, &slices)
}

/// The digest over a batch, one digest per query, in order:
/// `BLAKE3.derive_key["deepring v1 batch digest"](count 4 || digests 32 × count)`.
#[must_use]
pub fn batch_digest(items: &[Digest]) -> Digest {
    let mut w = Writer::new();
    w.count(items.len());
    for item in items {
        w.raw(&item.0);
    }
    Digest::of(label::BATCH, &[&w.finish()])
}
