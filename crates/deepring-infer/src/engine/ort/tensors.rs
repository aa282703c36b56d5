//! Tensors in and out of onnxruntime, which keeps the network's own element types.

use std::borrow::Cow;
use std::fmt::Debug;

use deepring::{DType, TensorSpec, TensorValue};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor, TensorElementType, ValueType};

use crate::engine::{Elements, EngineError, View, bytes, elements};

pub(super) fn import(tensor: &TensorValue) -> Result<DynValue, EngineError> {
    let refuse = |reason: String| EngineError::Value { name: tensor.name().to_owned(), reason };
    let dims: Vec<i64> = tensor
        .dims()
        .iter()
        .map(|d| i64::try_from(*d))
        .collect::<Result<_, _>>()
        .map_err(|_| refuse("a dimension does not fit this machine".to_owned()))?;
    let data = tensor.data();
    let value = match tensor.dtype() {
        DType::F32 => shaped(dims, elements(data, f32::from_le_bytes)),
        DType::F64 => shaped(dims, elements(data, f64::from_le_bytes)),
        DType::I8 => shaped(dims, elements(data, i8::from_le_bytes)),
        DType::U8 => shaped(dims, data.to_vec()),
        DType::I16 => shaped(dims, elements(data, i16::from_le_bytes)),
        DType::U16 => shaped(dims, elements(data, u16::from_le_bytes)),
        DType::I32 => shaped(dims, elements(data, i32::from_le_bytes)),
        DType::U32 => shaped(dims, elements(data, u32::from_le_bytes)),
        DType::I64 => shaped(dims, elements(data, i64::from_le_bytes)),
        DType::U64 => shaped(dims, elements(data, u64::from_le_bytes)),
        DType::Bool => shaped(dims, elements(data, |[b]| b != 0)),
        other => return Err(refuse(format!("the engine has no element type {}", other.name()))),
    };
    value.map_err(|e| refuse(e.to_string()))
}

pub(super) fn view(value: &DynValue) -> Option<View<'_>> {
    let ValueType::Tensor { ty, .. } = value.dtype() else { return None };
    let (dims, elements) = match ty {
        TensorElementType::Float32 => {
            let (dims, data) = parts::<f32>(value)?;
            (dims, Elements::F32(Cow::Borrowed(data)))
        }
        TensorElementType::Int32 => {
            let (dims, data) = parts::<i32>(value)?;
            (dims, Elements::I32(Cow::Borrowed(data)))
        }
        // As the trait has it: integers of 32 bits. A wider number is none of those that a check knows.
        TensorElementType::Int64 => {
            let (dims, data) = parts::<i64>(value)?;
            let narrow = data.iter().map(|v| i32::try_from(*v)).collect::<Result<_, _>>();
            (dims, Elements::I32(Cow::Owned(narrow.ok()?)))
        }
        TensorElementType::Bool => {
            let (dims, data) = parts::<bool>(value)?;
            (dims, Elements::I32(Cow::Owned(data.iter().map(|b| i32::from(*b)).collect())))
        }
        TensorElementType::Int8 => {
            let (dims, data) = parts::<i8>(value)?;
            (dims, Elements::I8(Cow::Borrowed(data)))
        }
        TensorElementType::Uint8 => {
            let (dims, data) = parts::<u8>(value)?;
            (dims, Elements::U8(Cow::Borrowed(data)))
        }
        _ => return None,
    };
    Some(View { dims, elements })
}

/// As [`Engine::same`](crate::engine::Engine::same), of element types and numbers, too, that no check knows.
pub(super) fn same(a: &DynValue, b: &DynValue) -> bool {
    match a.dtype().tensor_type() {
        Some(TensorElementType::Float64) => {
            alike(a, b, |x: &f64, y| x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()))
        }
        Some(TensorElementType::Int16) => alike(a, b, i16::eq),
        Some(TensorElementType::Uint16) => alike(a, b, u16::eq),
        Some(TensorElementType::Uint32) => alike(a, b, u32::eq),
        Some(TensorElementType::Int64) => alike(a, b, i64::eq),
        Some(TensorElementType::Uint64) => alike(a, b, u64::eq),
        // A truth and a number that are alike in view are not of one type.
        Some(ty) if b.dtype().tensor_type() == Some(ty) => {
            view(a).zip(view(b)).is_some_and(|(a, b)| a.has_bits_of(&b))
        }
        _ => false,
    }
}

fn alike<T: PrimitiveTensorElementType>(
    a: &DynValue,
    b: &DynValue,
    same: impl Fn(&T, &T) -> bool,
) -> bool {
    let both = parts::<T>(a).zip(parts::<T>(b));
    both.is_some_and(|((dims, a), (others, b))| {
        dims == others && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
    })
}

pub(super) fn export(value: &DynValue, spec: &TensorSpec) -> Result<TensorValue, EngineError> {
    let refuse = |reason: String| EngineError::Value { name: spec.name.clone(), reason };
    let written = match spec.dtype {
        DType::F32 => written(value, f32::to_le_bytes),
        DType::F64 => written(value, f64::to_le_bytes),
        DType::I8 => written(value, i8::to_le_bytes),
        DType::U8 => written(value, u8::to_le_bytes),
        DType::I16 => written(value, i16::to_le_bytes),
        DType::U16 => written(value, u16::to_le_bytes),
        DType::I32 => written(value, i32::to_le_bytes),
        DType::U32 => written(value, u32::to_le_bytes),
        DType::I64 => written(value, i64::to_le_bytes),
        DType::U64 => written(value, u64::to_le_bytes),
        DType::Bool => written(value, |b: bool| [u8::from(b)]),
        DType::F16 | DType::Bf16 => None,
    };
    let (dims, data) = written.ok_or_else(|| {
        refuse(format!("declared {}, the engine gave {}", spec.dtype.name(), value.dtype()))
    })?;
    let dims = dims.into_iter().map(|d| d as u64).collect();
    TensorValue::new(&spec.name, spec.dtype, dims, data).map_err(|e| refuse(e.to_string()))
}

/// Dimensions and elements, if the value holds elements of this type.
fn parts<T: PrimitiveTensorElementType>(value: &DynValue) -> Option<(Vec<usize>, &[T])> {
    let (shape, data) = value.try_extract_tensor::<T>().ok()?;
    Some((shape.iter().map(|d| usize::try_from(*d)).collect::<Result<_, _>>().ok()?, data))
}

fn written<T: PrimitiveTensorElementType + Copy, const N: usize>(
    value: &DynValue,
    write: impl Fn(T) -> [u8; N],
) -> Option<(Vec<usize>, Vec<u8>)> {
    let (dims, data) = parts::<T>(value)?;
    Some((dims, bytes(data.iter().copied(), write)))
}

fn shaped<T>(dims: Vec<i64>, data: Vec<T>) -> ort::Result<DynValue>
where
    T: PrimitiveTensorElementType + Clone + Debug + 'static,
{
    Ok(Tensor::from_array((dims, data))?.into_dyn())
}
