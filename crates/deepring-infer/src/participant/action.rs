//! Actions that a participant asks of its driver, and what it tells it.

use std::ops::Range;
use std::sync::Arc;

use deepring::receipt::Salt;
use deepring::replication::{Dispute, FailedCopy};
use deepring::{Decision, Digest, Host, PublicKey, TensorValue};

/// For each query of a batch, the live tensors.
pub type Batch = Vec<Vec<TensorValue>>;

/// Names work that a participant asked for: its driver gives the result back under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub(super) u64);

/// A receipt that this host signed: one for a leg of a query on one chain. Who is given it back after a restart signs no
/// second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Remembered {
    /// The query.
    pub query: Digest,
    /// First block of the leg.
    pub first_block: u32,
    /// Digest of the newest record before the leg.
    pub head: Digest,
    /// Digest of the receipt.
    pub receipt: Digest,
}

/// One thing that the driver is to do; of several, each in its turn.
#[derive(Debug, Clone)]
pub enum Action {
    /// Send bytes to another host of the ring. They may be lost, doubled, or overtaken by others.
    Send {
        /// The host.
        to: PublicKey<Host>,
        /// The message that it is to [receive](super::Participant::receive).
        bytes: Arc<[u8]>,
    },
    /// Compute a leg ([`RingHost::compute`](crate::RingHost::compute)), and give the result to
    /// [`Participant::computed`](super::Participant::computed).
    Compute {
        /// The name of this work.
        work: WorkId,
        /// The query's salt.
        salt: Salt,
        /// The tensors that enter the leg.
        batch: Arc<Batch>,
        /// The leg's blocks.
        blocks: Range<u32>,
    },
    /// Compare another copy's outputs with this host's ([`RingHost::compare`](crate::RingHost::compare)), and give the result
    /// to [`Participant::compared`](super::Participant::compared).
    Compare {
        /// The name of this work.
        work: WorkId,
        /// The tensors that entered the leg.
        inputs: Arc<Batch>,
        /// The leg's blocks.
        blocks: Range<u32>,
        /// The outputs that this host came to.
        own: Arc<Batch>,
        /// The outputs that the other copy came to.
        theirs: Arc<Batch>,
        /// Chooses the errors by which tolerances are measured.
        seed: u64,
    },
    /// Keep this durably before anything that follows is sent.
    Remember(Remembered),
    /// A copy of a leg failed, as this host saw it; what shows it goes onto a ledger.
    Named {
        /// The query.
        query: Digest,
        /// First block of the leg.
        first_block: u32,
        /// The copy and its fault.
        failed: FailedCopy,
    },
    /// Copies of a leg contradict each other, and what they signed proves neither wrong: what an arbiter needs to tell, sealed for
    /// it. Only where the participant was [told of one](super::Participant::with_arbiter), and once for a leg of a query.
    Disputed {
        /// The query.
        query: Digest,
        /// First block of the leg.
        first_block: u32,
        /// The dispute.
        dispute: Box<Dispute>,
    },
    /// A query that this host opened is answered, or one that it closed in another's place.
    Closed(Box<Closed>),
    /// A query that this host opened ends without an answer.
    Failed {
        /// The query.
        query: Digest,
        /// Why.
        why: WhyFailed,
        /// The copies that failed, as far as this host was told.
        named: Vec<FailedCopy>,
    },
}

/// The end of a query that was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// The query.
    pub query: Digest,
    /// The closed and signed chain.
    pub decision: Decision,
    /// The outputs of each query of the batch, in the order of their names.
    pub outputs: Arc<Batch>,
    /// Copies that failed in a leg that the others settled all the same, as far as this host was told.
    pub named: Vec<FailedCopy>,
}

/// Why a query ended without an answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum WhyFailed {
    /// Copies of a leg contradict each other, and it came to no common result.
    Disputed {
        /// First block of the leg.
        first_block: u32,
        /// The copies that say so.
        by: Vec<PublicKey<Host>>,
    },
    /// Too few copies of a leg answered, and none contradicts another.
    TooFew {
        /// First block of the leg.
        first_block: u32,
        /// The copies that say so. Of two, that the other is absent is one's word against the other's.
        by: Vec<PublicKey<Host>>,
    },
    /// These queries of the batch have inputs that cannot be answered; without them, the others can.
    Rejected {
        /// Their numbers in the batch, from 0.
        queries: Vec<u32>,
        /// The fault of the first, in the words of the host that found it.
        why: String,
    },
    /// The time that a query is given was over.
    OutOfPatience,
    /// Another host of Genesis closed it, and its outputs did not come here.
    ClosedElsewhere(Box<Decision>),
    /// The system's generator failed, or the decision could not be signed.
    CannotClose(String),
}
