//! Pieces of plans of rings that compute nothing, for tests of what is said of rings and kept of them.

use deepring::seal::BlockPlan;
use deepring::{DType, Dim, Host, PartKind, PublicKey, TensorSpec};

/// A tensor of so many numbers.
pub fn tensor(name: &str, numbers: u64) -> TensorSpec {
    TensorSpec { name: name.into(), dtype: DType::F32, dims: Some(vec![Dim::Fixed(numbers)]) }
}

/// A block between two tensors.
pub fn block(
    name: &str,
    (input, output): (TensorSpec, TensorSpec),
    parts: Vec<(PartKind, u64)>,
    hosts: &[PublicKey<Host>],
) -> BlockPlan {
    BlockPlan {
        name: name.into(),
        inputs: vec![input],
        outputs: vec![output],
        parts,
        shared: vec![],
        hosts: hosts.to_vec(),
    }
}
