//! From an ONNX file to the canonical model, with everything folded that follows from constants.

use std::path::Path;

use deepring_onnx::{CanonicalModel, CutBlock, Folded, ImportError, canonicalise, read_onnx};

use crate::engine::{Engine as _, Rten};
use crate::weights::BoundPrograms;

/// Reads and canonicalises a network; constants that only an engine can compute are computed by `engine`.
pub(crate) fn import(path: &Path, engine: &Rten) -> Result<CanonicalModel, ImportError> {
    let mut model = canonicalise(read_onnx(path)?)?;
    model.fold_with_engine(|block| compute(block, engine))?;
    Ok(model)
}

fn compute(block: &CutBlock, engine: &Rten) -> Result<Folded, ImportError> {
    let Ok(loaded) = BoundPrograms::of(engine, block)? else { return Ok(None) };
    let Some(program) = loaded.program(0) else { return Ok(None) };
    let Ok(values) = engine.run(program, Vec::new()) else { return Ok(None) };
    let results = values.iter().zip(&block.outputs).map(|(v, spec)| engine.export(v, spec).ok());
    Ok(results.collect())
}
