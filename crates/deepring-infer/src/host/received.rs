//! Verification of the tensors that the host before sent, with the check of its last block.

use std::collections::HashSet;

use deepring::Section;
use deepring::receipt::Delivered;
use deepring::{Finding, Header, TensorValue};

use super::block::ReceivedError;
use super::{RingHost, digest_of};
use crate::checks::CheckFault;
use crate::engine::Engine;
use crate::error::{InputError, RunError};
use crate::neighbour::{self, Query, VerifyError};

const NOT_GIVEN: &str = "what the host of this block gave is not what the sealed parameters give";
const NOT_IN_WITNESS: &str = "the host of this block does not show what it computed";
const NOT_ITS_INPUTS: &str =
    "what the host of this block shows as its inputs is not what the record before names";
const PASSED_ON: &str = "the host of this block passes on other tensors than it was given";
const REPEATED: &str = "the host of this block gives two tensors of one name";

/// Holds a parcel whose chain is verified against the check of its last block, if the owner sealed one.
pub(super) fn verify<E: Engine>(host: &RingHost<E>, delivered: &Delivered) -> Result<(), RunError> {
    let Delivered { chain, batch, witness } = delivered;
    let Some(receipt) = chain.receipts().last() else { return Ok(()) };
    let headers = host.ring.headers();
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    let Some(last) = receipt.end_block().checked_sub(1) else { return Ok(()) };
    let (Some(checked), Some(carrier)) =
        (host.header(last), neighbour::carrier(last, count).and_then(|i| host.header(i)))
    else {
        return Ok(());
    };
    if neighbour::carried(carrier).is_none() {
        return Ok(());
    }
    let finding = |reason| {
        Finding::tampered(Section::Body, reason).in_block(checked.index, Some(&checked.name))
    };
    let refuse = |reason| Err(RunError::Tampered(finding(reason)));
    if witness.len() != batch.len() {
        return refuse(NOT_IN_WITNESS);
    }
    // Of two tensors of one name, one would be checked and the other used.
    if batch.iter().chain(witness).any(|tensors| repeats(tensors)) {
        return refuse(REPEATED);
    }
    if receipt.first_block == last {
        let before =
            chain.receipts().iter().rev().nth(1).map_or(chain.opening().inputs, |r| r.outputs);
        let entered = entering(host, last, witness);
        if digest_of(&entered) != before {
            return refuse(NOT_ITS_INPUTS);
        }
        let passes = |(sent, entered): (&Vec<TensorValue>, &Vec<TensorValue>)| {
            passes_on(checked, sent, entered)
        };
        if !batch.iter().zip(&entered).all(passes) {
            return refuse(PASSED_ON);
        }
    }
    let queries: Vec<Query<'_>> =
        batch.iter().zip(witness).map(|(sent, witness)| Query { sent, witness }).collect();
    let block = host.loaded_block(carrier.index)?;
    let result = block.verify_received(checked, &queries);
    let result = result.ok_or(RunError::NotLoaded { block: carrier.index })?;
    result.map_err(|error| match error {
        ReceivedError::CheckChanged(fault) => block.refuse(fault),
        ReceivedError::Verify(VerifyError::OutOfRange) => {
            InputError::OutOfRange { block: checked.name.clone(), tensor: String::new() }.into()
        }
        ReceivedError::Verify(VerifyError::NotInWitness) => {
            RunError::Tampered(finding(NOT_IN_WITNESS))
        }
        ReceivedError::Verify(VerifyError::Wrong(weight)) => {
            let weight = weight.and_then(|part| checked.parts.get(part));
            let finding = finding(NOT_GIVEN);
            RunError::Tampered(match weight {
                Some(part) => finding.of_tensor(part.label()),
                None => finding,
            })
        }
        // Its bytes have their tags, and were read when the block was loaded.
        ReceivedError::Verify(VerifyError::Malformed) => block.refuse(CheckFault::Structure),
    })
}

/// Of each query's witness, the tensors that were live before a block.
fn entering<E: Engine>(
    host: &RingHost<E>,
    block: u32,
    witness: &[Vec<TensorValue>],
) -> Vec<Vec<TensorValue>> {
    let live = host.ring.live_after(block.saturating_sub(1));
    let live: HashSet<&str> = live.iter().map(|s| s.name.as_str()).collect();
    let of_one = |tensors: &Vec<TensorValue>| {
        tensors.iter().filter(|t| live.contains(t.name())).cloned().collect()
    };
    witness.iter().map(of_one).collect()
}

fn repeats(tensors: &[TensorValue]) -> bool {
    let mut seen = HashSet::new();
    !tensors.iter().all(|t| seen.insert(t.name()))
}

/// Returns whether what a block does not compute left it as it came.
fn passes_on(checked: &Header, sent: &[TensorValue], entered: &[TensorValue]) -> bool {
    let given = |t: &&TensorValue| !checked.outputs.iter().any(|o| o.name == t.name());
    sent.iter().filter(given).all(|t| entered.contains(t))
}
