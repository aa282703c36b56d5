//! Writing of opened blocks as one plain ONNX file.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use deepring::TensorSpec;
use deepring::files::Replacement;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::build::{ALIGNMENT, envelope};
use super::join::{JoinBlock, Joined};
use crate::canonical::value_info;
use crate::proto::{EXTERNAL, GraphProto, ModelProto, StringStringEntryProto, TensorProto};

/// More bytes of parameters than this go to a file of their own: a protocol buffer ends at 2 GiB.
const EMBED_LIMIT: u64 = 1_900_000_000;
const GRAPH: u32 = 7;
const INITIALIZER: u32 = 5;
const RAW_DATA: u32 = 9;

/// Why blocks could not be written as one model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A block's graph is no model.
    #[error("graph of a block does not decode")]
    Decode(#[source] prost::DecodeError),
    /// Blocks use different operator sets.
    #[error("blocks use different operator sets")]
    Opsets,
    /// Two blocks define one name differently.
    #[error("blocks disagree on `{name}`")]
    Conflict {
        /// The name.
        name: String,
    },
    /// A parameter lies outside its region or has the wrong length.
    #[error("parameter `{name}` is not in its block's region")]
    Parameter {
        /// The parameter.
        name: String,
    },
    /// A node needs what no block produces; blocks are missing or in the wrong order.
    #[error("no block before produces `{value}`")]
    Undefined {
        /// The value.
        value: String,
    },
    /// The operating system refused.
    #[error("cannot write `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

/// Writes blocks, in their order, as one model that computes the same.
///
/// Parameters are embedded while they are below 1.9 GB, else they go to `<path>.data` beside. A file
/// that exists is replaced at once or not at all.
///
/// # Errors
/// If the blocks do not fit together or a file cannot be written.
pub fn export(
    path: &Path,
    name: &str,
    blocks: &[JoinBlock<'_>],
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Result<(), ExportError> {
    export_into(begin_export(path)?, name, blocks, inputs, outputs)
}

/// [`export`] into a file that was begun for it.
///
/// # Errors
/// As [`export`].
pub fn export_into(
    file: Replacement,
    name: &str,
    blocks: &[JoinBlock<'_>],
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Result<(), ExportError> {
    export_with(file, name, blocks, inputs, outputs, EMBED_LIMIT)
}

fn export_with(
    file: Replacement,
    name: &str,
    blocks: &[JoinBlock<'_>],
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
    embed_limit: u64,
) -> Result<(), ExportError> {
    let mut joined = Joined::default();
    for block in blocks {
        joined.add(*block)?;
    }
    joined.check(&inputs.iter().map(|s| s.name.as_str()).collect::<HashSet<_>>())?;
    let info = |s: &TensorSpec| value_info(&s.name, s.dtype, s.dims.as_deref());
    joined.graph.name = Some(name.to_owned());
    joined.graph.input = inputs.iter().map(info).collect();
    joined.graph.output = outputs.iter().map(info).collect();

    let Joined { graph, tensors, opsets, .. } = joined;
    let default = opsets.iter().find(|o| matches!(o.domain.as_deref(), None | Some("")));
    let opset = default.and_then(|o| o.version).unwrap_or(0);
    let mut shell = envelope(opset, opsets, GraphProto::default());
    shell.graph = None;
    let total: u64 = tensors.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    if total <= embed_limit {
        return fill(file, |out| embedded(out, &shell, &graph, &tensors));
    }
    let path = file.target();
    let name = path.file_name().unwrap_or_default();
    // A location is text, whatever the path is.
    let location = format!("{}.data", name.to_string_lossy());
    let data = path.with_file_name(&location);
    let mut graph = graph;
    let mut end = 0u64;
    for (tensor, bytes) in &tensors {
        let offset = end.next_multiple_of(ALIGNMENT);
        end = offset + bytes.len() as u64;
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        graph.initializer.push(TensorProto {
            data_location: Some(EXTERNAL),
            external_data: vec![
                entry("location", location.clone()),
                entry("offset", offset.to_string()),
                entry("length", bytes.len().to_string()),
            ],
            ..tensor.clone()
        });
    }
    // The model last: while it is the old one or absent, nothing refers to the new data.
    let beside_it = begin_export(&data)?;
    fill(beside_it, |out| beside(out, &tensors))?;
    fill(file, |out| embedded(out, &shell, &graph, &[]))
}

/// Writes the encoding of `shell` with `graph` and the tensors in it, never holding a copy of these.
fn embedded(
    out: &mut dyn Write,
    shell: &ModelProto,
    graph: &GraphProto,
    tensors: &[(TensorProto, &[u8])],
) -> io::Result<()> {
    let graph = graph.encode_to_vec();
    let field = |number: u32, len: usize| key_len(number) + encoded_len_varint(len as u64) + len;
    let tensor_len = |(header, bytes): &(TensorProto, &[u8])| {
        header.encoded_len() + field(RAW_DATA, bytes.len())
    };
    let total =
        graph.len() + tensors.iter().map(|t| field(INITIALIZER, tensor_len(t))).sum::<usize>();
    let mut head = shell.encode_to_vec();
    start(&mut head, GRAPH, total);
    head.extend_from_slice(&graph);
    out.write_all(&head)?;
    for tensor in tensors {
        let (header, bytes) = tensor;
        let mut head = Vec::new();
        start(&mut head, INITIALIZER, tensor_len(tensor));
        head.extend_from_slice(&header.encode_to_vec());
        start(&mut head, RAW_DATA, bytes.len());
        out.write_all(&head)?;
        out.write_all(bytes)?;
    }
    Ok(())
}

fn start(out: &mut Vec<u8>, number: u32, len: usize) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
}

fn beside(out: &mut dyn Write, tensors: &[(TensorProto, &[u8])]) -> io::Result<()> {
    let mut end = 0u64;
    for (_, bytes) in tensors {
        let gap = end.next_multiple_of(ALIGNMENT) - end;
        out.write_all([0u8; ALIGNMENT as usize].get(..gap as usize).unwrap_or_default())?;
        out.write_all(bytes)?;
        end += gap + bytes.len() as u64;
    }
    Ok(())
}

/// Begins a file of an export. A new one is its user's alone: it holds in the clear what the ring keeps secret.
///
/// # Errors
/// [`ExportError::Io`] where it cannot be begun.
pub fn begin_export(path: &Path) -> Result<Replacement, ExportError> {
    Replacement::private_unless_there(path)
        .map_err(|source| ExportError::Io { path: path.into(), source })
}

fn fill(
    file: Replacement,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ExportError> {
    let path = file.target().to_owned();
    let io = |source| ExportError::Io { path: path.clone(), source };
    let mut out = BufWriter::new(file);
    write(&mut out).map_err(io)?;
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    file.commit().map_err(io)
}

#[cfg(test)]
mod tests;
