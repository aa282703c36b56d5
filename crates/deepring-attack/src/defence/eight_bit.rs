//! Weights as the 8-bit integers for which the papers define their defences.

use deepring::DType;

use crate::network::{Layer, Network, Tensor};

/// How the elements of a weight tensor become 8-bit integers.
///
/// Signed ones are taken as they are, unsigned ones with 128 as their zero. Floats are rounded to steps of
/// `max|w| / 127` of the clean tensor, and what is beyond is cut off: a defence for 8-bit weights sees of an edited
/// float no more than that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum EightBitView {
    Signed,
    Unsigned,
    Float { step: f32 },
}

impl EightBitView {
    /// `None` for types that no weight has.
    pub(super) fn of(tensor: &Tensor<'_>) -> Option<Self> {
        match tensor.dtype() {
            DType::I8 => Some(Self::Signed),
            DType::U8 => Some(Self::Unsigned),
            DType::F32 => {
                let largest = tensor.floats()?.iter().fold(0f32, |m, w| m.max(w.abs()));
                Some(Self::Float { step: if largest > 0.0 { largest / 127.0 } else { 1.0 } })
            }
            _ => None,
        }
    }

    /// The integers. Nothing if the tensor is of another type than the clean one was.
    pub(super) fn integers(self, tensor: &Tensor<'_>) -> Vec<i8> {
        match (self, tensor.dtype()) {
            (Self::Signed, DType::I8) => tensor.bytes().iter().map(|b| *b as i8).collect(),
            (Self::Unsigned, DType::U8) => {
                tensor.bytes().iter().map(|b| (*b ^ 0x80) as i8).collect()
            }
            // The conversion saturates, and takes what is no number for 0.
            (Self::Float { step }, DType::F32) => {
                let floats = tensor.bytes().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
                floats.map(|w| (w / step).round() as i8).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The bytes of the element that is seen as this integer.
    pub(super) fn element(self, q: i8) -> Vec<u8> {
        match self {
            Self::Signed => vec![q as u8],
            Self::Unsigned => vec![q as u8 ^ 0x80],
            Self::Float { step } => (f32::from(q) * step).to_le_bytes().to_vec(),
        }
    }

    /// Bytes of the step, which must be kept.
    pub(super) fn stored_bytes(self) -> usize {
        match self {
            Self::Signed | Self::Unsigned => 0,
            Self::Float { .. } => 4,
        }
    }
}

/// The weights of a layer as numbers, quantised ones with their scale.
pub(super) fn numbers(network: &Network, layer: &Layer) -> Vec<f64> {
    let Ok(tensor) = network.tensor(&layer.weight) else { return Vec::new() };
    if let Some(floats) = tensor.floats() {
        return floats.into_iter().map(f64::from).collect();
    }
    let Some(view) = EightBitView::of(&tensor) else { return Vec::new() };
    let scales = layer.scale.as_ref().and_then(|s| network.floats(s).ok()).unwrap_or_default();
    let scale = |index: usize| {
        let own = scales.get(layer.output_of(index)).filter(|_| scales.len() > 1);
        f64::from(*own.or(scales.first()).unwrap_or(&1.0))
    };
    let integers = view.integers(&tensor).into_iter().enumerate();
    integers.map(|(index, q)| f64::from(q) * scale(index)).collect()
}
