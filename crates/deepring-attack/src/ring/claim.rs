//! Attacks on decisions: an old receipt for another question, another answer under a receipt.

use deepring::receipt::tensors_digest;
use deepring::{Decision, TensorValue};
use serde::Serialize;

/// A claim: this was asked, this was answered, and here is the receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Bytes of a receipt file.
    pub receipt: Vec<u8>,
    /// The question.
    pub inputs: Vec<TensorValue>,
    /// The answer.
    pub outputs: Vec<TensorValue>,
}

/// The edits of a receipt that an attacker without the host's key can make when he exchanges the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapForm {
    /// Leaves the receipt as it is.
    Beside,
    /// Writes the digest of his answer into the receipt.
    Inside,
}

impl Claim {
    /// An honest host's claim about one query.
    #[must_use]
    pub fn honest(
        decision: &Decision,
        inputs: Vec<TensorValue>,
        outputs: Vec<TensorValue>,
    ) -> Self {
        Self { receipt: decision.encode(), inputs, outputs }
    }
}

/// `receipt-replay`: the old receipt and its answer, for another question.
#[must_use]
pub fn receipt_replay(old: &Claim, inputs: Vec<TensorValue>) -> Claim {
    Claim { inputs, ..old.clone() }
}

/// `output-swap`: another answer to the same question.
#[must_use]
pub fn output_swap(honest: &Claim, outputs: Vec<TensorValue>, form: SwapForm) -> Claim {
    let mut receipt = honest.receipt.clone();
    let decision = Decision::decode(&honest.receipt).ok();
    let salt = decision.as_ref().and_then(Decision::salt);
    if let (SwapForm::Inside, Some(salt)) = (form, salt) {
        let (old, new) =
            (tensors_digest(salt, &honest.outputs).0, tensors_digest(salt, &outputs).0);
        // Also where the last host says it: wherever the digest stands.
        let places: Vec<usize> = (0..receipt.len().saturating_sub(31))
            .filter(|at| receipt.get(*at..at + 32) == Some(&old[..]))
            .collect();
        for at in places {
            if let Some(room) = receipt.get_mut(at..at + 32) {
                room.copy_from_slice(&new);
            }
        }
    }
    Claim { receipt, inputs: honest.inputs.clone(), outputs }
}
