//! From a ring back to a plain ONNX file, for whoever can open every block.

use std::path::Path;

use deepring::files::Replacement;
use deepring::opening::OpenError;
use deepring::{AuthenticRing, OpeningKey, PartKind};
use deepring_onnx::{ExportError, JoinBlock, begin_export, export_into};
use thiserror::Error;

use crate::weights::{scratch, shared_from};

/// Why a ring was not exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportRingError {
    /// A block was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The blocks could not be joined or written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// Opens every block and writes one ONNX file that computes the same. The result is plain: nothing
/// checks it any more.
///
/// # Errors
/// [`ExportRingError::Open`] where a block does not open with this key, [`ExportRingError::Export`] where the blocks cannot be
/// joined or the file not be written; then `target` is as it was.
pub fn export_ring(
    ring: &AuthenticRing,
    key: OpeningKey<'_>,
    target: &Path,
    progress: &dyn Fn(u64),
) -> Result<(), ExportRingError> {
    export_ring_in(begin_export(target)?, ring, key, progress)
}

/// [`export_ring`] into a file that the caller began before he looked at what lies at its target: what is put there from then
/// on is not replaced.
///
/// # Errors
/// As [`export_ring`].
pub fn export_ring_in(
    file: Replacement,
    ring: &AuthenticRing,
    key: OpeningKey<'_>,
    progress: &dyn Fn(u64),
) -> Result<(), ExportRingError> {
    let manifest = ring.open_manifest(key)?;
    let mut opened = Vec::with_capacity(ring.layers().len());
    for header in ring.layers() {
        let too_large = || OpenError::TooLarge { bytes: header.plain_len };
        let len = usize::try_from(header.plain_len).map_err(|_| too_large())?;
        let mut buffer = scratch(len).ok_or_else(too_large)?;
        ring.open_block(header.index, key, buffer.bytes_mut())?;
        progress(header.plain_len);
        let graph = header.parts.iter().find(|p| p.kind == PartKind::Graph);
        let graph = graph.map_or(0..0, |p| p.offset as usize..p.end() as usize);
        opened.push((buffer, graph, shared_from(&header.parts)));
    }
    let blocks: Vec<JoinBlock<'_>> = opened
        .iter()
        .map(|(buffer, graph, shared)| JoinBlock {
            graph: buffer.bytes().get(graph.clone()).unwrap_or_default(),
            region: buffer.bytes(),
            shared: *shared,
        })
        .collect();
    let genesis = ring.genesis();
    export_into(file, &manifest.model_name, &blocks, &genesis.outputs, &genesis.inputs)?;
    Ok(())
}
