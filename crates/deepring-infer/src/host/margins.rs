//! Measuring what products can tell apart, on a query that is answered and not signed.

use std::ops::Range;

use deepring::TensorValue;

use super::RingHost;
use super::leg::{exported, imported, inputs_of, leaving};
use crate::engine::Engine;
use crate::error::RunError;

/// The smallest difference that one layer's product could tell apart on one query.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMargin {
    /// The block.
    pub block: u32,
    /// The layer's weights.
    pub tensor: String,
    /// Output places that were compared.
    pub places: usize,
    /// The largest difference that the right output showed, as a share of what is allowed; 1 would be a false alarm.
    pub max_residual: f32,
    /// For weights sampled at random, the smallest change that is detected for certain; infinite where the query
    /// does not excite the weight.
    pub detection_thresholds: Vec<f32>,
    /// Root mean square of the layer's weights, to compare the thresholds with.
    pub rms: f32,
}

/// Runs the blocks in `range` on one query and measures each product.
pub(super) fn margins<E: Engine>(
    host: &RingHost<E>,
    query: &[TensorValue],
    range: Range<u32>,
    random: &mut (dyn FnMut() -> usize + Send),
) -> Result<(Vec<TensorValue>, Vec<LayerMargin>), RunError> {
    let leaving = leaving(host, &range);
    let mut values = imported(&*host.engine, query)?;
    let mut margins = Vec::new();
    for index in range {
        let block = host.loaded_block(index)?;
        let header = block.header();
        let all = vec![true; header.inputs.len()];
        let begun = block.begin_as(block.fixed_plan())?;
        let begun = begun.compare_bytes()?;
        let (inputs, _) = inputs_of(begun.block(), &all, &mut values)?;
        let unchecked = begun.run(inputs)?;
        if let Some(verification) = unchecked.verification() {
            let outputs = unchecked.peek();
            let find =
                |name: &str| host.engine.view(outputs.find(name).or_else(|| values.get(name))?);
            let found = verification.margins(block.bytes(), &find, random);
            let found = found.map_err(|fault| block.handle_fault(fault))?;
            margins.extend(found.into_iter().map(|m| LayerMargin {
                block: index,
                tensor: header.parts.get(m.part).map(|p| p.label().to_owned()).unwrap_or_default(),
                places: m.places,
                max_residual: m.max_residual,
                detection_thresholds: m.detection_thresholds,
                rms: m.rms,
            }));
        }
        let verified = unchecked.verify(&|name: &str| values.get(name))?;
        values.extend(verified.outputs.into_outputs());
    }
    Ok((exported(&*host.engine, &values, &leaving)?, margins))
}
