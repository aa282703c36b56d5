//! Parameter tensors: looked at, and overwritten with as many elements as they have.

use deepring::DType;
use deepring_onnx::proto::{GraphProto, TensorProto};

use super::{Network, NetworkError};

/// A parameter tensor as it lies in the file.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    proto: &'a TensorProto,
    dtype: DType,
}

impl<'a> Tensor<'a> {
    fn of(proto: &'a TensorProto) -> Option<Self> {
        // What a reader left without bytes (text) is no parameter.
        let dtype = DType::from_onnx(proto.data_type?)?;
        proto.raw_data.as_ref().map(|_| Self { proto, dtype })
    }

    /// Name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.proto.name.as_deref().unwrap_or_default()
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions, outermost first.
    #[must_use]
    pub fn dims(&self) -> Vec<usize> {
        self.proto.dims.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect()
    }

    /// The elements' bytes, row-major and little-endian.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.proto.raw_data.as_deref().unwrap_or_default()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len() / self.dtype.size()
    }

    /// Returns whether it has no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its elements, if they are f32.
    #[must_use]
    pub fn floats(&self) -> Option<Vec<f32>> {
        let floats = || self.bytes().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (self.dtype == DType::F32).then(floats)
    }

    /// Its elements, if they are i8.
    #[must_use]
    pub fn int8s(&self) -> Option<Vec<i8>> {
        (self.dtype == DType::I8).then(|| self.bytes().iter().map(|b| *b as i8).collect())
    }
}

impl Network {
    /// All parameter tensors, in the order of the file.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor<'_>> {
        self.graph().initializer.iter().filter_map(Tensor::of)
    }

    /// The parameter tensor of this name.
    ///
    /// # Errors
    /// [`NetworkError::NoTensor`].
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>, NetworkError> {
        let found = self.tensors().find(|t| t.name() == name);
        found.ok_or_else(|| NetworkError::NoTensor { name: name.to_owned() })
    }

    /// The elements of an f32 tensor.
    ///
    /// # Errors
    /// [`NetworkError::NoTensor`], or [`NetworkError::ElementType`] where the elements are no floats.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>, NetworkError> {
        let tensor = self.tensor(name)?;
        tensor.floats().ok_or_else(|| other_type(&tensor, "f32"))
    }

    /// The elements of an i8 tensor.
    ///
    /// # Errors
    /// [`NetworkError::NoTensor`], or [`NetworkError::ElementType`] where the elements are no 8-bit integers.
    pub fn int8s(&self, name: &str) -> Result<Vec<i8>, NetworkError> {
        let tensor = self.tensor(name)?;
        tensor.int8s().ok_or_else(|| other_type(&tensor, "i8"))
    }

    /// Overwrites an f32 tensor.
    ///
    /// # Errors
    /// As [`floats`](Self::floats), or [`NetworkError::Length`] where `values` are not so many as the elements.
    pub fn set_floats(&mut self, name: &str, values: &[f32]) -> Result<(), NetworkError> {
        self.floats(name)?;
        self.set_bytes(name, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Overwrites an i8 tensor.
    ///
    /// # Errors
    /// As [`int8s`](Self::int8s), or [`NetworkError::Length`] where `values` are not so many as the elements.
    pub fn set_int8s(&mut self, name: &str, values: &[i8]) -> Result<(), NetworkError> {
        self.int8s(name)?;
        self.set_bytes(name, values.iter().map(|v| *v as u8).collect())
    }

    /// Overwrites a tensor of any type with bytes, as many as it has.
    ///
    /// # Errors
    /// [`NetworkError::NoTensor`], or [`NetworkError::Length`] where `bytes` are not so many as the tensor's.
    pub fn set_bytes(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), NetworkError> {
        let tensor = self.tensor(name)?;
        let (size, expected) = (tensor.dtype().size(), tensor.bytes().len());
        if bytes.len() != expected {
            return Err(NetworkError::Length {
                name: name.to_owned(),
                expected: expected / size,
                found: bytes.len() / size,
            });
        }
        let proto = self.graph_mut().initializer.iter_mut();
        if let Some(proto) = proto.into_iter().find(|t| t.name.as_deref() == Some(name)) {
            proto.raw_data = Some(bytes);
        }
        Ok(())
    }
}

fn other_type(tensor: &Tensor<'_>, wanted: &'static str) -> NetworkError {
    let found = format!("{:?}", tensor.dtype()).to_lowercase();
    NetworkError::ElementType { name: tensor.name().to_owned(), found, wanted }
}

/// Turns `Constant` nodes of the outermost graph that hold a tensor into initializers.
pub(super) fn lift_constants(graph: &mut GraphProto) {
    let is_constant = |op: &Option<String>, domain: &Option<String>| {
        op.as_deref() == Some("Constant")
            && matches!(domain.as_deref(), None | Some("" | "ai.onnx"))
    };
    let mut lifted = Vec::new();
    graph.node.retain_mut(|node| {
        let value = node.attribute.iter_mut().find(|a| a.name.as_deref() == Some("value"));
        let tensor = value.and_then(|a| a.t.as_deref_mut()).filter(|t| t.raw_data.is_some());
        match (tensor, node.output.first()) {
            (Some(tensor), Some(name)) if is_constant(&node.op_type, &node.domain) => {
                lifted.push(TensorProto { name: Some(name.clone()), ..std::mem::take(tensor) });
                false
            }
            _ => true,
        }
    });
    graph.initializer.extend(lifted);
}
