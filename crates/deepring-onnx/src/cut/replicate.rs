//! Which nodes compute shapes: these are repeated in each block that needs them.
//!
//! An integer tensor that says how to reshape must be known to the engine when it plans a block;
//! carried over a cut it would be data. What crosses instead is the tensor whose shape is asked.

use std::collections::{BTreeSet, HashMap};

use deepring::DType;

use crate::canonical::{CanonicalModel, ValueType};
use crate::read::ImportError;

/// Most bytes that the names of what is needed may take, and what each costs besides.
const NAMES_LIMIT: u64 = 256 << 20;
const NAME_COST: u64 = 64;

/// A bound on names that are held once for every node that needs them.
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn new() -> Self {
        Self(NAMES_LIMIT)
    }

    pub(super) fn charge<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), ImportError> {
        for name in names {
            let cost = NAME_COST + name.len() as u64;
            self.0 = self.0.checked_sub(cost).ok_or(ImportError::TooLarge {
                what: "bytes of names that shapes depend on",
                limit: NAMES_LIMIT,
            })?;
        }
        Ok(())
    }
}

/// Arithmetic of shapes, and the values from outside that each of its results needs.
#[derive(Debug, Default)]
pub(super) struct Replicated {
    nodes: Vec<bool>,
    leaves: HashMap<String, BTreeSet<String>>,
}

impl Replicated {
    pub(super) fn find(model: &CanonicalModel) -> Result<Self, ImportError> {
        let graph = &model.graph;
        let mut budget = Budget::new();
        let mut found = Self::default();
        for node in &graph.nodes {
            let is_constant = |name: &String| name.is_empty() || graph.constants.contains_key(name);
            let integer = |name: &String| {
                let kind = model.value_types.get(name);
                use DType::{Bool, I32, I64};
                name.is_empty() || matches!(kind, Some(ValueType::Tensor(I64 | I32 | Bool)))
            };
            let shape_of = matches!(node.onnx_op(), "Shape" | "Size");
            let from_shapes = || {
                is_arithmetic(node.onnx_op())
                    && node.input.iter().all(|n| is_constant(n) || found.leaves.contains_key(n))
            };
            let fits = node.output.iter().all(integer) && (shape_of || from_shapes());
            found.nodes.push(fits);
            if !fits {
                continue;
            }
            let mut leaves = BTreeSet::new();
            for name in node.input.iter().filter(|n| !is_constant(n)) {
                match found.leaves.get(name) {
                    Some(further) => {
                        budget.charge(further)?;
                        leaves.extend(further.iter().cloned());
                    }
                    None => {
                        leaves.insert(name.clone());
                    }
                }
            }
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                budget.charge(&leaves)?;
                found.leaves.insert(output.clone(), leaves.clone());
            }
        }
        Ok(found)
    }

    /// Returns whether node `index` is repeated wherever it is needed.
    pub(super) fn contains(&self, index: usize) -> bool {
        self.nodes.get(index).copied().unwrap_or(false)
    }

    /// The values that must be at hand to compute `value`, if it is a result of such nodes.
    pub(super) fn leaves(&self, value: &str) -> Option<&BTreeSet<String>> {
        self.leaves.get(value)
    }
}

fn is_arithmetic(op: &str) -> bool {
    matches!(
        op,
        "Gather"
            | "GatherElements"
            | "GatherND"
            | "Slice"
            | "Concat"
            | "Unsqueeze"
            | "Squeeze"
            | "Reshape"
            | "Flatten"
            | "Transpose"
            | "Identity"
            | "Cast"
            | "CastLike"
            | "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Mod"
            | "Neg"
            | "Abs"
            | "Min"
            | "Max"
            | "Pow"
            | "Floor"
            | "Ceil"
            | "ReduceProd"
            | "ReduceSum"
            | "ReduceMin"
            | "ReduceMax"
            | "ConstantOfShape"
            | "Range"
            | "Expand"
            | "Tile"
            | "Where"
            | "Equal"
            | "Greater"
            | "GreaterOrEqual"
            | "Less"
            | "LessOrEqual"
            | "And"
            | "Or"
            | "Not"
            | "Split"
            | "ScatterND"
            | "ScatterElements"
    )
}
