//! The weights of a layer as the numbers that they stand for, whatever type they are stored in.

use deepring::DType;

use super::{Element, Layer, Network, NetworkError, Parameter};

/// Weights as numbers.
#[derive(Debug, Clone)]
pub(crate) struct Values {
    parameter: Parameter,
    dtype: DType,
    /// Of the scale's axis; one of each, if the tensor has one scale.
    scales: Vec<f64>,
    zeros: Vec<f64>,
    numbers: Vec<f64>,
}

impl Values {
    /// The weights of a layer: f32, f16 or bf16, or i8 or u8 behind a `DequantizeLinear`. `None` for others.
    pub(crate) fn of(network: &Network, layer: &Layer) -> Option<Self> {
        let parameter = Parameter::of_layer(network, layer)?;
        let tensor = network.tensor(&parameter.tensor).ok()?;
        let dtype = tensor.dtype();
        let Some(quantised) = &parameter.quantised else {
            let numbers = floating(dtype, tensor.bytes())?;
            return Some(Self { parameter, dtype, scales: vec![], zeros: vec![], numbers });
        };
        let stored: Vec<f64> = whole(dtype, tensor.bytes())?;
        let scales = network.tensor(&quantised.scale).ok()?.floats()?;
        let scales: Vec<f64> = scales.into_iter().map(f64::from).collect();
        let zeros = match &quantised.zero {
            Some(name) => {
                let zeros = network.tensor(name).ok()?;
                whole(zeros.dtype(), zeros.bytes())?
            }
            None => vec![0.0; scales.len()],
        };
        let mut out = Self { parameter, dtype, scales, zeros, numbers: Vec::new() };
        let number = |(index, stored): (usize, &f64)| {
            let (scale, zero) = out.step(index);
            (stored - zero) * scale
        };
        out.numbers = stored.iter().enumerate().map(number).collect();
        Some(out)
    }

    /// Returns whether an attack on numbers can have this layer.
    pub(crate) fn fit(network: &Network, layer: &Layer) -> bool {
        let dtype = network.tensor(&layer.weight).map(|t| t.dtype());
        let parameter = Parameter::of_layer(network, layer);
        matches!(
            (dtype, parameter.map(|p| p.quantised.is_some())),
            (Ok(DType::F32 | DType::F16 | DType::Bf16), Some(false))
                | (Ok(DType::I8 | DType::U8), Some(true))
        )
    }

    /// The numbers, row-major.
    pub(crate) fn numbers(&self) -> &[f64] {
        &self.numbers
    }

    /// Standard deviation of the numbers.
    pub(crate) fn deviation(&self) -> f64 {
        let n = self.numbers.len().max(1) as f64;
        let mean = self.numbers.iter().sum::<f64>() / n;
        (self.numbers.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
    }

    /// Stores other numbers, as near as the type can. What is the same number keeps its bits, and so does what is no
    /// number, unless it is another one.
    pub(crate) fn store(&self, network: &mut Network, to: &[f64]) -> Result<(), NetworkError> {
        let name = &self.parameter.tensor;
        let stays = |before: f64, after: f64| before.to_bits() == after.to_bits();
        if self.dtype == DType::F32 {
            let mut floats = network.floats(name)?;
            let places = floats.iter_mut().zip(&self.numbers).zip(to);
            for ((place, _), after) in places.filter(|((_, b), a)| !stays(**b, **a)) {
                *place = *after as f32;
            }
            return network.set_floats(name, &floats);
        }
        let same = |before: f64, after: f64| before == after || stays(before, after);
        let mut bytes = network.tensor(name)?.bytes().to_vec();
        if matches!(self.dtype, DType::F16 | DType::Bf16) {
            let places = bytes.as_chunks_mut::<2>().0.iter_mut();
            let changes = places.zip(&self.numbers).zip(to).filter(|((_, b), a)| !same(**b, **a));
            for ((place, _), after) in changes {
                *place = Element::nearest_half(self.dtype, *after).unwrap_or(*place);
            }
            return network.set_bytes(name, bytes);
        }
        let changes = bytes.iter_mut().zip(&self.numbers).zip(to).enumerate();
        for (index, ((byte, _), after)) in changes.filter(|(_, ((_, b), a))| !same(**b, **a)) {
            let (scale, zero) = self.step(index);
            let stored = (after / scale + zero).round();
            *byte = match self.dtype {
                DType::I8 => stored.clamp(-127.0, 127.0) as i8 as u8,
                _ => stored.clamp(0.0, 255.0) as u8,
            };
        }
        network.set_bytes(name, bytes)
    }

    /// Scale and zero point of an element.
    fn step(&self, index: usize) -> (f64, f64) {
        let axis = self.parameter.quantised.as_ref().and_then(|q| q.axis);
        let at = axis.map_or(0, |axis| {
            let inner: usize = self.parameter.dims.iter().skip(axis + 1).product();
            index / inner.max(1) % self.scales.len().max(1)
        });
        let of = |all: &[f64]| all.get(at).copied();
        (of(&self.scales).unwrap_or(1.0), of(&self.zeros).unwrap_or(0.0))
    }
}

/// Numbers of single and half precision.
fn floating(dtype: DType, bytes: &[u8]) -> Option<Vec<f64>> {
    matches!(dtype, DType::F32 | DType::F16 | DType::Bf16).then(|| {
        let elements = bytes.chunks_exact(dtype.size());
        elements.map(|e| Element::from_le_bytes(dtype, e).value()).collect()
    })
}

/// 8-bit integers as numbers.
fn whole(dtype: DType, bytes: &[u8]) -> Option<Vec<f64>> {
    match dtype {
        DType::I8 => Some(bytes.iter().map(|b| f64::from(*b as i8)).collect()),
        DType::U8 => Some(bytes.iter().map(|b| f64::from(*b)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
