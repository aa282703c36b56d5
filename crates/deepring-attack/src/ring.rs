//! DeepRing under attack: what it says of a tampered network, and the attacks on rings, receipts, ledgers and memory.

mod attacks;
mod claim;
mod edit;
mod file;
pub(crate) mod files;
mod fork;
mod overhead;
pub(crate) mod races;
mod trial;
mod verdict;

pub use attacks::{
    FlipOptions, ResealForm, RingAttackError, RingChange, RingTampered, ring_flip, ring_relabel,
    ring_reseal, ring_rollback, ring_splice,
};
pub use claim::{Claim, SwapForm, output_swap, receipt_replay};
pub use edit::RingEdit;
pub use file::RingFileError;
pub use files::{FilesTampered, RingFiles};
pub use fork::{Fork, ForkError, ledger_fork, verify_ledger};
pub use overhead::{Overhead, OverheadError, overhead};
pub use races::LiveRing;
pub(crate) use races::RACED_CHECKS;
pub use trial::{
    Bout, Detection, Reported, RingTrial, RingTrialError, Scenario, TamperTarget, Tampered,
    ToctouResult, ToctouTiming, ToctouWriter,
};
pub use verdict::{Verification, verify_claim, verify_ring};
