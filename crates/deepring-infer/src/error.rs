//! Why a query was not answered, or a network not sealed.

mod seal;

use deepring::Finding;
use deepring::audit::AuditError;
use deepring::opening::OpenError;
use deepring::receipt::{CheckedError, ParcelError, ReceiptError};
use deepring::replication::{CopyFault, Evidence, FailedCopy};
use thiserror::Error;

use crate::engine::EngineError;

pub(crate) use seal::MAX_TEXT;
pub use seal::SealModelError;

/// Why a ring could not be run, by fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// Something is not what the owner signed: in live memory, in a parcel, in a receipt.
    #[error("{0}")]
    Tampered(Finding),
    /// A block was not opened.
    #[error(transparent)]
    Open(OpenError),
    /// Some blocks are sealed for none of the keys given.
    #[error("no key given opens block {block} ({name})")]
    NoKey {
        /// The first such block.
        block: u32,
        /// Its name.
        name: String,
    },
    /// The block is not loaded by the host that was asked to run it.
    #[error("block {block} is not loaded by this host")]
    NotLoaded {
        /// The block.
        block: u32,
    },
    /// The block has no operators: the owner's software is at fault.
    #[error("block {block} has no graph")]
    NoGraph {
        /// The block.
        block: u32,
    },
    /// The engine failed in a block.
    #[error("in block {block}: {source}")]
    Engine {
        /// The block's name.
        block: String,
        /// The engine's message.
        source: EngineError,
    },
    /// A tensor did not fit the engine.
    #[error(transparent)]
    Value(#[from] EngineError),
    /// The inputs are not what the network declares.
    #[error("{0}")]
    Input(#[from] InputError),
    /// Some queries of a batch have inputs that cannot be answered; the others can, without them.
    #[error("{} of the batch's queries cannot be answered; the first: {}", .0.len(), first(.0))]
    Rejected(Vec<Rejected>),
    /// A dealt leg is to be validated, and only one of its copies is at hand.
    #[error(
        "block {block} ({name}) is dealt to several hosts that validate each other, and only one of their keys is at hand: {lacking} is missing"
    )]
    TooFewCopies {
        /// First block of the leg.
        block: u32,
        /// Its name.
        name: String,
        /// The copies whose keys are missing, in short form.
        lacking: String,
    },
    /// The copies of a leg came to no common result, or too few of them answered.
    #[error("block {block} ({name}) is not validated: {}", words(.named))]
    Disputed {
        /// First block of the leg.
        block: u32,
        /// Its name.
        name: String,
        /// The copies that failed or differ, with what shows it.
        named: Vec<FailedCopy>,
    },
    /// A check found tampering in this block earlier; it must be loaded anew.
    #[error("block {block} ({name}) is out of use since tampering was found in it; load it anew")]
    OutOfUse {
        /// The block.
        block: u32,
        /// Its name.
        name: String,
    },
    /// A tensor that a block needs was not given by those before it.
    #[error("no block gives tensor `{name}`")]
    MissingTensor {
        /// The tensor.
        name: String,
    },
    /// A parcel was not accepted or not made.
    #[error(transparent)]
    Parcel(ParcelError),
    /// The chain could not be closed into a decision.
    #[error(transparent)]
    Receipt(ReceiptError),
    /// The check is one that this host does not make, so that nothing can be said about it.
    #[error(transparent)]
    Checked(#[from] CheckedError),
    /// The check compares bytes that the engine does not multiply with.
    #[error("this engine computes with copies of the parameters, so `{check}` would check nothing")]
    CheckNeedsBytes {
        /// The check asked for.
        check: deepring::Check,
    },
    /// A challenge cannot be answered.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// There is no memory for what the check of a block needs.
    #[error("not enough memory for the check of block {block}")]
    NoMemory {
        /// The block's name.
        block: String,
    },
    /// The engine did not compute a block a second time, so that nothing can be said about the first.
    #[error("the check of block {block} could not compute it once more: {reason}")]
    SecondRun {
        /// The block's name.
        block: String,
        /// The engine's reason.
        reason: String,
    },
    /// The system's generator failed.
    #[error("the system's random number generator failed")]
    NoRandomness,
}

/// A query that was not answered because of its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// Its number in the batch, from 0.
    pub query: usize,
    /// The error in its inputs.
    pub error: InputError,
}

/// The copies that failed, in words.
fn words(named: &[FailedCopy]) -> String {
    let fault = |fault: &CopyFault| match fault {
        CopyFault::Absent => "did not answer",
        CopyFault::BrokeCommitment => "revealed something else than it had committed to",
        CopyFault::Disputed(_) => "differs from the other copy",
        CopyFault::Outvoted(_) => "differs from both others",
        CopyFault::Equivocated(Evidence::Perjury { .. }) => "signed that it computed two things",
        CopyFault::Equivocated(_) => "signed two receipts",
        _ => "failed",
    };
    let all = named.iter().map(|n| format!("{} {}", n.host.short(), fault(&n.fault)));
    let all: Vec<String> = all.collect();
    if all.is_empty() { "its copies came to no common result".to_owned() } else { all.join(", ") }
}

fn first(rejected: &[Rejected]) -> String {
    rejected.first().map_or_else(String::new, |r| format!("query {}: {}", r.query, r.error))
}

impl RunError {
    /// The finding, where the error is one of tampering.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Tampered(f)
            | Self::Open(OpenError::Tampered(f))
            | Self::Parcel(ParcelError::Refused(f))
            | Self::Receipt(ReceiptError::Refused(f)) => Some(f),
            Self::Parcel(ParcelError::Chain(e)) => Some(&e.finding),
            _ => None,
        }
    }
}

impl From<OpenError> for RunError {
    fn from(e: OpenError) -> Self {
        Self::Open(e)
    }
}

impl From<ParcelError> for RunError {
    fn from(e: ParcelError) -> Self {
        Self::Parcel(e)
    }
}

impl From<ReceiptError> for RunError {
    fn from(e: ReceiptError) -> Self {
        Self::Receipt(e)
    }
}

/// Inputs that the network does not take.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum InputError {
    /// A declared input is not given.
    #[error("input `{name}` is not given; the network takes {expected}")]
    Missing {
        /// The input.
        name: String,
        /// All inputs that the network declares.
        expected: String,
    },
    /// An input is given that the network does not declare.
    #[error("the network has no input `{name}`; it takes {expected}")]
    Unknown {
        /// The input.
        name: String,
        /// All inputs that the network declares.
        expected: String,
    },
    /// An input is given twice.
    #[error("input `{name}` is given twice")]
    Twice {
        /// The input.
        name: String,
    },
    /// Wrong element type.
    #[error("input `{name}` is {found}, the network takes {expected}")]
    DType {
        /// The input.
        name: String,
        /// Type given.
        found: &'static str,
        /// Type declared.
        expected: &'static str,
    },
    /// Wrong shape.
    #[error("input `{name}` has shape {found:?}, the network takes {expected}")]
    Shape {
        /// The input.
        name: String,
        /// Shape given.
        found: Vec<u64>,
        /// Spec declared.
        expected: String,
    },
    /// Not a number: the answer would mean nothing.
    #[error("input `{name}` holds a value that is not a number, at element {at}")]
    NotANumber {
        /// The input.
        name: String,
        /// Element.
        at: usize,
    },
    /// So large, somewhere on their way, that sums over them leave 32-bit floats.
    #[error(
        "the inputs make values in block {block} too large for the check of `{tensor}`: beyond 2^60, or not finite"
    )]
    OutOfRange {
        /// The block's name.
        block: String,
        /// The weights that the values meet.
        tensor: String,
    },
    /// So large, somewhere on their way, that integers leave their type, or the 32 bits that the engine has for those of 64.
    #[error(
        "the inputs make integers in block {block} too large: `{tensor}` would hold one beyond its type or beyond 32 bits"
    )]
    Integer {
        /// The block's name.
        block: String,
        /// The tensor that would hold them.
        tensor: String,
    },
    /// Too large for the linear operator that reads it.
    #[error(
        "input `{name}` holds {value:e} at element {at}: beyond 2^60, which no check can bound"
    )]
    TooLarge {
        /// The input.
        name: String,
        /// Element.
        at: usize,
        /// The value that it holds.
        value: f32,
    },
    /// No query at all.
    #[error("no input given; the network takes {expected}")]
    Nothing {
        /// All inputs that the network declares.
        expected: String,
    },
}
