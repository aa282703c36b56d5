//! Constants that only an engine can compute, computed once when sealing.
//!
//! Results of constants alone (weights added, joined, normalised by their length ...) an engine
//! would compute whenever it loads a block, into memory of its own; the check of the live parameters
//! would then cover bytes that nothing multiplies with. After this pass such results are parameters like
//! any other. `fold` folds what can be folded without an engine, lazily; this is the rest.

use deepring::{DType, TensorValue};

use crate::canonical::CanonicalModel;
use crate::cut::{CutBlock, single};
use crate::operators::RANDOM;
use crate::proto::NodeProto;
use crate::read::{ImportError, ParamSource};
use crate::scope::needs;

/// Results of constants may be so many times as long as these, and so much longer: of a file of a few bytes
/// no more memory is taken than that.
const GROWTH: u64 = 8;
const SMALL: u64 = 1 << 27;

/// The result of a block without inputs on an engine: its outputs in order, or `None` if it cannot compute it alone.
pub type Folded = Option<Vec<TensorValue>>;

impl CanonicalModel {
    /// Replaces nodes that have nothing but constants as inputs, a parameter among them, by the results that
    /// `compute` returns for a block of that node alone.
    ///
    /// A node that the engine cannot compute alone stays.
    ///
    /// # Errors
    /// As sealing refuses vast tensors, of sizes that are known only now; [`ImportError::TooLarge`] where results are far larger than the
    /// constants that they follow from; what `compute` says; or a constant cannot be read.
    pub fn fold_with_engine(
        &mut self,
        mut compute: impl FnMut(&CutBlock) -> Result<Folded, ImportError>,
    ) -> Result<(), ImportError> {
        let outputs = self.graph.output_names();
        let nodes = std::mem::take(&mut self.graph.nodes);
        let before = nodes.len();
        let limit = GROWTH.saturating_mul(self.graph.store.bytes()).saturating_add(SMALL);
        let mut left = limit;
        for node in nodes {
            let keeps_outputs = node.output.iter().any(|o| outputs.contains(o));
            let folded = match !keeps_outputs && self.follows_from_parameters(&node) {
                true => {
                    self.graph.refuse_oversized_node(&node)?;
                    compute(&single(self, &node)?)?
                }
                false => None,
            };
            let Some(results) = folded else {
                self.graph.nodes.push(node);
                continue;
            };
            for value in results {
                let what = "bytes computed from constants";
                left = left
                    .checked_sub(value.data().len() as u64)
                    .ok_or(ImportError::TooLarge { what, limit })?;
                let source = ParamSource::owned(value.data());
                self.graph.set_constant(value.name(), value.dtype(), value.dims(), source);
            }
        }
        if self.graph.nodes.len() < before {
            self.graph.drop_unused();
        }
        Ok(())
    }

    fn follows_from_parameters(&self, node: &NodeProto) -> bool {
        let inputs = needs(node);
        let constants = inputs.iter().map(|name| self.graph.constant(Some(name)));
        let Some(constants) = constants.collect::<Option<Vec<_>>>() else { return false };
        let in_place =
            |d: Option<DType>| matches!(d, Some(DType::F32 | DType::I32 | DType::I8 | DType::U8));
        let plain = node.attribute.iter().all(|a| a.g.is_none() && a.graphs.is_empty());
        plain && !RANDOM.contains(&node.op()) && constants.iter().any(|t| in_place(t.dtype()))
    }
}
