//! Tampering with networks: the attacks, the defences against them, and their evaluation.
//!
//! A [`Network`] is a plain ONNX file that can be edited and stays valid. [`attack()`] makes one [`Kind`] of the
//! [catalogue](Kind::all) on it with a seed; [`Differences`] tells, from the two networks alone, what was
//! changed. [`Samples`] are labelled inputs, and a [`Evaluator`] says how well a network answers them.
//! [`protect`] builds one of the [defences](DefenceKind) that DeepRing is compared with, and [`evade`] is the attacker
//! who knows that defence.
#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests make and damage files of their own")
)]

mod attack;
mod bits;
mod catalogue;
mod defence;
mod differences;
pub mod evaluate;
mod evaluator;
#[cfg(feature = "gradients")]
mod gradient;
mod graph;
mod network;
mod quantise;
pub mod report;
mod ring;
mod samples;
mod search;
mod sensitivity;
mod weights;

pub use attack::{AttackError, Attacked, Options, Step, Target, attack, attack_until};
pub use catalogue::{Dial, Family, Kind, Needs, ParseKindError, Scope, Seeded, Targeted};
pub use defence::{
    Defence, DefenceKind, DefenceOptions, DefenceVerdict, Evasion, EvasionError, Located, Moment,
    ParseDefenceError, Summary, evade, evade_in_scope, false_alarm_bound, protect, wilson,
};
pub use differences::{Differences, ElementDifference, GraphDifference, TensorDifference};
pub use evaluate::{AttackOutcome, run_ring_attacks};
pub use evaluator::{Evaluator, EvaluatorError, Predictions};
#[cfg(feature = "gradients")]
pub use gradient::{Gradients, Objective, Pass};
pub use graph::apply_trigger;
pub use network::{Element, Layer, LinearOp, Network, NetworkError, Tensor};
pub use quantise::{QuantiseError, Steps, quantise, quantise_with};
pub use ring::{
    Bout, Claim, Detection, FilesTampered, FlipOptions, Fork, ForkError, LiveRing, Overhead,
    OverheadError, Reported, ResealForm, RingAttackError, RingChange, RingEdit, RingFileError,
    RingFiles, RingTampered, RingTrial, RingTrialError, Scenario, SwapForm, TamperTarget, Tampered,
    ToctouResult, ToctouTiming, ToctouWriter, Verification, ledger_fork, output_swap, overhead,
    receipt_replay, ring_flip, ring_relabel, ring_reseal, ring_rollback, ring_splice, verify_claim,
    verify_ledger, verify_ring,
};
pub use samples::{Samples, SamplesError, Split};
pub use sensitivity::sensitivities;
