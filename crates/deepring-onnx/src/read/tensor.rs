//! Tensors of a model brought to one form: type, dimensions, and a source of their elements.

use std::sync::Arc;

use deepring::DType;

use super::error::ImportError;
use super::external::ExternalFiles;
use super::recipe::Recipe;
use super::skeleton::{Form, Payload};
use super::source::ParamSource;
use super::wire::SharedFile;
use crate::proto::{EXTERNAL, GraphProto, TensorProto};

const STRING: i32 = 8;
/// Most dimensions that the format of a ring can describe.
pub(crate) const MAX_RANK: usize = 32;

/// Most bytes that passes may hold of what they computed: many nodes can share one large constant.
const MADE_LIMIT: u64 = 256 << 20;

/// Sources of elements, by the index that `TensorProto.payload` holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct ElementStore {
    sources: Vec<ParamSource>,
    made: u64,
}

impl ElementStore {
    pub(crate) fn add(&mut self, source: ParamSource) -> u64 {
        self.sources.push(source);
        self.sources.len() as u64 - 1
    }

    pub(crate) fn of(&self, tensor: &TensorProto) -> Option<&ParamSource> {
        self.sources.get(usize::try_from(tensor.payload?).ok()?)
    }

    /// Bytes of all tensors, each counted once.
    pub(crate) fn bytes(&self) -> u64 {
        self.sources.iter().fold(0, |sum, source| sum.saturating_add(source.len()))
    }

    /// Counts what a pass is about to hold for one node, however large the file is.
    pub(crate) fn charge(&mut self, bytes: u64) -> Result<(), ImportError> {
        self.made = self.made.saturating_add(bytes);
        if self.made <= MADE_LIMIT {
            return Ok(());
        }
        Err(ImportError::TooLarge {
            what: "bytes computed from shared constants",
            limit: MADE_LIMIT,
        })
    }

    /// A tensor with its elements in this store.
    pub(crate) fn tensor(
        &mut self,
        name: &str,
        dtype: DType,
        dims: &[u64],
        source: ParamSource,
    ) -> TensorProto {
        TensorProto {
            name: Some(name.to_owned()),
            dims: dims.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect(),
            data_type: Some(dtype.onnx()),
            payload: Some(self.add(source)),
            ..TensorProto::default()
        }
    }
}

impl TensorProto {
    /// Its element type, if it is one that a ring can hold.
    #[must_use]
    pub fn dtype(&self) -> Option<DType> {
        DType::from_onnx(self.data_type?)
    }

    /// Its dimensions; 0 for a negative one, which no tensor has that [`read_onnx`](crate::read_onnx) accepted.
    #[must_use]
    pub fn sizes(&self) -> Vec<u64> {
        self.dims.iter().map(|&d| u64::try_from(d).unwrap_or(0)).collect()
    }
}

/// Brings tensors of a freshly read model to the one form.
pub(crate) struct Normaliser {
    pub(crate) file: Arc<SharedFile>,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) external: ExternalFiles,
    pub(crate) store: ElementStore,
}

impl Normaliser {
    pub(crate) fn graph(&mut self, graph: &mut GraphProto) -> Result<(), ImportError> {
        if !graph.sparse_initializer.is_empty() {
            return Err(unsupported("sparse initializer", graph.name.as_deref()));
        }
        for tensor in &mut graph.initializer {
            self.tensor(tensor)?;
        }
        for node in &mut graph.node {
            for attribute in &mut node.attribute {
                if attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
                    return Err(unsupported("sparse constant", node.name.as_deref()));
                }
                let tensors = attribute.t.as_deref_mut().into_iter();
                for tensor in tensors.chain(&mut attribute.tensors) {
                    self.tensor(tensor)?;
                }
                let graphs = attribute.g.as_deref_mut().into_iter();
                for graph in graphs.chain(&mut attribute.graphs) {
                    self.graph(graph)?;
                }
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &mut TensorProto) -> Result<(), ImportError> {
        let name = tensor.name.clone().unwrap_or_default();
        if tensor.segment.is_some() {
            return Err(unsupported("tensor in segments", Some(&name)));
        }
        let code = tensor.data_type.unwrap_or(0);
        if code == STRING && tensor.payload.is_none() && tensor.data_location != Some(EXTERNAL) {
            return Ok(());
        }
        let dtype = DType::from_onnx(code)
            .ok_or_else(|| ImportError::ElementType { name: name.clone(), code })?;
        let expected = byte_len(&tensor.dims, dtype)
            .ok_or_else(|| ImportError::Dims { name: name.clone() })?;
        let source = self.elements(&name, tensor, dtype, expected)?;
        if source.len() != expected {
            return Err(ImportError::TensorLength { name, expected, found: source.len() });
        }
        *tensor = TensorProto {
            dims: std::mem::take(&mut tensor.dims),
            data_type: tensor.data_type,
            name: tensor.name.take(),
            payload: Some(self.store.add(source)),
            ..TensorProto::default()
        };
        Ok(())
    }

    fn elements(
        &mut self,
        name: &str,
        tensor: &mut TensorProto,
        dtype: DType,
        expected: u64,
    ) -> Result<ParamSource, ImportError> {
        if tensor.data_location == Some(EXTERNAL) {
            let source = self.external.source(name, tensor, expected)?;
            return Ok(truths(dtype, source, 1));
        }
        if let Some(index) = tensor.payload {
            let payload = usize::try_from(index).ok().and_then(|i| self.payloads.get(i));
            let Some(&Payload { offset, len, form }) = payload else {
                return Err(ImportError::TensorLength {
                    name: name.to_owned(),
                    expected,
                    found: 0,
                });
            };
            check_form(name, dtype, form)?;
            // A truth in a field of integers is all four bytes of one.
            let width = if dtype == DType::Bool && form == Form::Int32s { 4 } else { dtype.size() };
            let source = ParamSource::packed(&self.file, offset, len, form, width)?;
            return Ok(truths(dtype, source, width));
        }
        let raw = tensor.raw_data.take();
        Ok(truths(dtype, ParamSource::owned(raw.unwrap_or_else(|| typed(tensor, dtype))), 1))
    }
}

/// Everything but zero is true, and only 0 and 1 are known of from here on.
fn truths(dtype: DType, source: ParamSource, width: usize) -> ParamSource {
    match dtype {
        DType::Bool => ParamSource::derived(Recipe::Truths { of: source, width }),
        _ => source,
    }
}

/// Bytes of a tensor, where its dimensions are valid and their product fits.
pub(crate) fn byte_len(dims: &[i64], dtype: DType) -> Option<u64> {
    if dims.len() > MAX_RANK {
        return None;
    }
    let len =
        dims.iter().try_fold(dtype.size() as u64, |n, &d| n.checked_mul(u64::try_from(d).ok()?))?;
    // A zero elsewhere must not let dimensions through that overflow a later product.
    let nonzero = dims.iter().filter(|&&d| d != 0);
    nonzero.into_iter().try_fold(8u64, |n, &d| n.checked_mul(u64::try_from(d).ok()?))?;
    Some(len)
}

fn check_form(name: &str, dtype: DType, form: Form) -> Result<(), ImportError> {
    let fits = match form {
        Form::Raw => true,
        Form::Floats => dtype == DType::F32,
        Form::Doubles => dtype == DType::F64,
        Form::Int64s => dtype == DType::I64,
        Form::Uint64s => matches!(dtype, DType::U32 | DType::U64),
        Form::Int32s => matches!(
            dtype,
            DType::I32
                | DType::I16
                | DType::I8
                | DType::U16
                | DType::U8
                | DType::Bool
                | DType::F16
                | DType::Bf16
        ),
    };
    if fits { Ok(()) } else { Err(unsupported("elements in a field of another type", Some(name))) }
}

fn typed(tensor: &TensorProto, dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F32 => tensor.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::F64 => tensor.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::I64 => tensor.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::U64 => tensor.uint64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::U32 => tensor.uint64_data.iter().flat_map(|v| (*v as u32).to_le_bytes()).collect(),
        DType::I32 => tensor.int32_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::I16 | DType::U16 | DType::F16 | DType::Bf16 => {
            tensor.int32_data.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect()
        }
        DType::Bool => tensor.int32_data.iter().map(|v| u8::from(*v != 0)).collect(),
        DType::I8 | DType::U8 => tensor.int32_data.iter().map(|v| *v as u8).collect(),
    }
}

pub(crate) fn unsupported(feature: &'static str, name: Option<&str>) -> ImportError {
    ImportError::Unsupported { feature, name: name.unwrap_or_default().to_owned() }
}
