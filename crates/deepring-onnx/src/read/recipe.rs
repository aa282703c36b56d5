//! Parameters that are computed from others, one tensor at a time.

use deepring::DType;

use super::error::ImportError;
use super::source::{ParamSource, Stored};

/// How the elements of one tensor follow from those of another.
#[derive(Debug)]
pub(crate) enum Recipe {
    /// The same element throughout.
    Fill { element: Vec<u8>, len: u64 },
    /// Axes in another order.
    Transpose { of: ParamSource, dims: Vec<usize>, perm: Vec<usize>, width: usize },
    /// f32, multiplied by the factor of its channel, in f64, rounded once.
    Scale { of: ParamSource, channels: ChannelIndex, factors: Vec<f64> },
    /// Bytes of which each that is not zero is one: truths that a file writes otherwise.
    Truths { of: ParamSource, width: usize },
    /// f32 from another element type.
    ToFloat { of: ParamSource, from: DType },
    /// `(x - zero) * scale` in f32, as ONNX defines `DequantizeLinear`.
    Dequantize {
        of: ParamSource,
        from: DType,
        channels: ChannelIndex,
        scale: Vec<f32>,
        zero: Vec<i32>,
    },
}

/// Which channel an element belongs to: `(i / outer % count_outer) * step + i / inner % count_inner`.
///
/// One term serves every layout but that of a grouped `ConvTranspose`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChannelIndex {
    pub(crate) inner: usize,
    pub(crate) count_inner: usize,
    pub(crate) outer: usize,
    pub(crate) count_outer: usize,
}

impl ChannelIndex {
    /// One channel per index of `axis`.
    pub(crate) fn along(dims: &[u64], axis: usize) -> Option<Self> {
        let inner = dims.get(axis + 1..)?.iter().product::<u64>();
        let count = *dims.get(axis)?;
        Some(Self {
            inner: usize::try_from(inner.max(1)).ok()?,
            count_inner: usize::try_from(count.max(1)).ok()?,
            outer: 1,
            count_outer: 1,
        })
    }

    /// All elements in channel 0.
    pub(crate) const ONE: Self = Self { inner: 1, count_inner: 1, outer: 1, count_outer: 1 };

    fn of(&self, index: usize) -> usize {
        (index / self.outer % self.count_outer) * self.count_inner
            + index / self.inner % self.count_inner
    }
}

impl Recipe {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Fill { len, .. } => *len,
            Self::Transpose { of, .. } | Self::Scale { of, .. } => of.len(),
            Self::Truths { of, width } => of.len() / (*width).max(1) as u64,
            Self::ToFloat { of, from } | Self::Dequantize { of, from, .. } => {
                of.len() / from.size() as u64 * 4
            }
        }
    }

    /// The source that the elements are computed from.
    pub(super) fn of(&self) -> Option<&ParamSource> {
        match self {
            Self::Fill { .. } => None,
            Self::Transpose { of, .. }
            | Self::Scale { of, .. }
            | Self::Truths { of, .. }
            | Self::ToFloat { of, .. }
            | Self::Dequantize { of, .. } => Some(of),
        }
    }

    /// As [`ParamSource::narrow`].
    pub(super) fn narrow(&self) -> Option<Stored> {
        match self {
            Self::Transpose { of, .. } | Self::Scale { of, .. } => of.narrow(),
            Self::ToFloat { of, from } | Self::Dequantize { of, from, .. } => {
                (from.size() < 4).then(|| of.stored())
            }
            Self::Fill { .. } | Self::Truths { .. } => None,
        }
    }

    /// `out` has the length that [`len`](Self::len) says.
    pub(crate) fn run(&self, out: &mut [u8]) -> Result<(), ImportError> {
        match self {
            Self::Fill { element, .. } => {
                for target in out.chunks_mut(element.len().max(1)) {
                    if let Some(bytes) = element.get(..target.len()) {
                        target.copy_from_slice(bytes);
                    }
                }
                Ok(())
            }
            Self::Transpose { of, dims, perm, width } => {
                transpose(&of.read()?, dims, perm, *width, out);
                Ok(())
            }
            Self::Scale { of, channels, factors } => {
                of.read_into(out)?;
                for (i, element) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let factor = factors.get(channels.of(i)).copied().unwrap_or(1.0);
                    let value = f64::from(f32::from_le_bytes(*element)) * factor;
                    *element = (value as f32).to_le_bytes();
                }
                Ok(())
            }
            Self::Truths { of, width } => {
                let source = of.read()?;
                for (element, bytes) in out.iter_mut().zip(source.chunks_exact((*width).max(1))) {
                    *element = u8::from(bytes.iter().any(|b| *b != 0));
                }
                Ok(())
            }
            Self::ToFloat { of, from } => {
                let source = of.read()?;
                let elements = source.chunks_exact(from.size());
                for (element, bytes) in out.as_chunks_mut::<4>().0.iter_mut().zip(elements) {
                    *element = to_f32(*from, bytes).to_le_bytes();
                }
                Ok(())
            }
            Self::Dequantize { of, from, channels, scale, zero } => {
                let source = of.read()?;
                let elements = source.chunks_exact(from.size());
                let targets = out.as_chunks_mut::<4>().0.iter_mut().zip(elements);
                for (i, (element, bytes)) in targets.enumerate() {
                    let channel = channels.of(i);
                    let zero = zero.get(channel).copied().unwrap_or(0);
                    let scale = scale.get(channel).copied().unwrap_or(1.0);
                    let value = to_i64(*from, bytes) - i64::from(zero);
                    *element = (value as f32 * scale).to_le_bytes();
                }
                Ok(())
            }
        }
    }
}

fn transpose(source: &[u8], dims: &[usize], perm: &[usize], width: usize, out: &mut [u8]) {
    let mut strides = vec![width; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    let sizes: Vec<usize> = perm.iter().map(|&p| dims[p]).collect();
    let strides: Vec<usize> = perm.iter().map(|&p| strides[p]).collect();
    let mut index = vec![0usize; sizes.len()];
    let mut from = 0usize;
    for target in out.chunks_exact_mut(width) {
        if let Some(element) = source.get(from..from + width) {
            target.copy_from_slice(element);
        }
        for axis in (0..sizes.len()).rev() {
            index[axis] += 1;
            from += strides[axis];
            if index[axis] < sizes[axis] {
                break;
            }
            from -= strides[axis] * sizes[axis];
            index[axis] = 0;
        }
    }
}

fn to_i64(from: DType, bytes: &[u8]) -> i64 {
    match (from, bytes) {
        (DType::U8 | DType::Bool, &[a]) => i64::from(a),
        (DType::I8, &[a]) => i64::from(a as i8),
        (DType::U16, &[a, b]) => i64::from(u16::from_le_bytes([a, b])),
        (DType::I16, &[a, b]) => i64::from(i16::from_le_bytes([a, b])),
        (DType::I32, &[a, b, c, d]) => i64::from(i32::from_le_bytes([a, b, c, d])),
        (DType::U32, &[a, b, c, d]) => i64::from(u32::from_le_bytes([a, b, c, d])),
        (DType::I64, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

fn to_f32(from: DType, bytes: &[u8]) -> f32 {
    match (from, bytes) {
        (DType::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        (DType::F64, &[a, b, c, d, e, f, g, h]) => {
            f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
        }
        (DType::F16, &[a, b]) => half::f16::from_le_bytes([a, b]).to_f32(),
        (DType::Bf16, &[a, b]) => half::bf16::from_le_bytes([a, b]).to_f32(),
        _ => to_i64(from, bytes) as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn run(recipe: Recipe) -> Vec<f32> {
        let bytes = ParamSource::derived(recipe).read().unwrap();
        bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    #[test]
    fn transposes_three_axes() {
        let of = ParamSource::owned(floats(&(0..24).map(|i| i as f32).collect::<Vec<_>>()));
        let out = run(Recipe::Transpose { of, dims: vec![2, 3, 4], perm: vec![2, 0, 1], width: 4 });
        // out[i][j][k] = in[j][k][i]
        let expected: Vec<f32> = (0..4)
            .flat_map(|i| {
                (0..2).flat_map(move |j| (0..3).map(move |k| (j * 12 + k * 4 + i) as f32))
            })
            .collect();
        assert_eq!(out, expected);
    }

    #[test]
    fn scales_each_channel() {
        let channels = ChannelIndex::along(&[2, 3, 1], 1).unwrap();
        let of = ParamSource::owned(floats(&[1., 1., 1., 2., 2., 2.]));
        let out = run(Recipe::Scale { of, channels, factors: vec![1., 10., 100.] });
        assert_eq!(out, [1., 10., 100., 2., 20., 200.]);
    }

    #[test]
    fn dequantises_per_axis() {
        let of = ParamSource::owned(vec![0u8, 1, 255, 128]);
        let channels = ChannelIndex::along(&[2, 2], 0).unwrap();
        let (scale, zero) = (vec![0.5, 2.0], vec![1, 128]);
        let out = run(Recipe::Dequantize { of, from: DType::U8, channels, scale, zero });
        assert_eq!(out, [-0.5, 0.0, 254.0, 0.0]);
    }

    #[test]
    fn a_region_of_another_length_is_refused() {
        let source = ParamSource::owned(vec![1u8; 8]);
        assert!(matches!(
            source.read_into(&mut [0; 7]),
            Err(ImportError::RegionLength { expected: 8, found: 7 })
        ));
    }
}
