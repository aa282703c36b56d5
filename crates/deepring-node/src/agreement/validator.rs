//! A running validator, as those see it who use it: no type of the engine is in here.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use commonware_runtime::Handle;
use commonware_utils::channel::{mpsc, oneshot, watch};
use deepring::SecretKey;
use deepring::keys::Node;
use deepring_ledger::{Ledger, ValidatorSet};

use super::chamber::{Chamber, SubmitError, Ticket};
use super::consent::SetApproval;
use super::error::AgreementError;
use super::gossip::verify_submission;
use super::join::JoinRecord;
use super::keeping::{Ask, LedgerProgress};
use super::pool::PoolLimits;
use super::submission::Submission;
use super::view_timing::ViewTiming;

/// A validator's configuration.
#[derive(Clone)]
pub struct Config {
    /// The log, and the nodes that keep it from its beginning: the same for all validators, for ever.
    pub set: ValidatorSet,
    /// Heights of a term, after which another set may stand; at least two, and the same for all validators, for
    /// ever.
    pub term_heights: NonZeroU64,
    /// This validator's key. While it is not of the set that stands, it follows, and does not vote.
    pub node: SecretKey<Node>,
    /// The validator set that its operator approved to stand next.
    pub approval: SetApproval,
    /// Whether it votes, if it is of the set. One whose earlier votes are lost must not.
    pub votes: bool,
    /// Prefix of the names of the engine's partitions in storage: letters, digits, `-` and `_`.
    pub partition: String,
    /// How often a network at rest makes a height, and the time-outs of views; the same for all validators.
    pub timing: ViewTiming,
    /// Dockets below the newest that the engine keeps, to serve validators that were away. Who was away
    /// for longer needs a copy of a ledger.
    pub retained: NonZeroU64,
    /// Bounds of what waits.
    pub pool: PoolLimits,
    /// After how long what waits, and what was cosigned, is sent again.
    pub repeat: Duration,
    /// The record that it begins with where its storage is new, beside a copy of a ledger; a node of a new log begins with none.
    pub join: Option<JoinRecord>,
    /// The file that is written anew when a term has begun, for nodes that are to join ([`JoinRecord`]).
    pub join_file: Option<PathBuf>,
    /// A folder in which split views are kept.
    pub evidence: Option<PathBuf>,
    /// Replaces its proposals, in a test.
    #[cfg(feature = "tamper")]
    pub tamper: Option<super::application::Tamper>,
}

impl Config {
    /// Heights of a term: some minutes under load, twenty at rest.
    pub const TERM_HEIGHTS: NonZeroU64 = NonZeroU64::MIN.saturating_add(255);

    /// A validator with this key, of this set. An idle network makes a height every second.
    #[must_use]
    pub fn new(node: SecretKey<Node>, set: ValidatorSet) -> Self {
        Self {
            set,
            term_heights: Self::TERM_HEIGHTS,
            node,
            approval: SetApproval::default(),
            votes: true,
            partition: "agreement".to_owned(),
            timing: ViewTiming::of(Duration::from_secs(1)),
            retained: NonZeroU64::MIN.saturating_add(65_535),
            pool: PoolLimits::default(),
            repeat: Duration::from_secs(1),
            join: None,
            join_file: None,
            evidence: None,
            #[cfg(feature = "tamper")]
            tamper: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("set", &self.set)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// The ledger that is agreed on, as one validator keeps it: what asks it, and puts submissions to agreement. Cheap to clone.
#[derive(Clone)]
pub struct AgreedLedger {
    pub(crate) chamber: Arc<Chamber>,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) submitted: mpsc::Sender<Submission>,
    pub(crate) progress: watch::Receiver<LedgerProgress>,
}

impl fmt::Debug for AgreedLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgreedLedger").field("height", &self.height()).finish_non_exhaustive()
    }
}

impl AgreedLedger {
    /// Has an entry agreed on. When this returns, the submission has authority where this validator's
    /// ledger leaves off, waits here, and is on its way to the others; the ticket tells when it is
    /// committed.
    ///
    /// # Errors
    /// [`SubmitError`]. [`SubmitError::Full`] and [`SubmitError::NotReady`] pass.
    pub async fn submit(&self, submission: Submission) -> Result<Ticket, SubmitError> {
        let id = submission.id();
        if let Some(opened) = verify_submission(&self.chamber, &self.asks, &submission).await? {
            self.chamber.take(opened, true)?;
            // Where the queue is full, it is sent when what waits is sent again.
            let _ = self.submitted.try_send(submission);
        }
        // What was committed between is answered as it is to who comes later.
        self.chamber.ticket(&id).ok_or_else(|| super::gate::Inadmissible::Recorded.into())
    }

    /// How far the ledger is, now and from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<LedgerProgress> {
        self.progress.clone()
    }

    /// Height of the newest docket in the ledger.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.progress.borrow().height
    }

    /// Number of submissions that wait here, and their bytes.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.chamber.waiting()
    }

    /// Looks at the ledger, between two dockets; others wait meanwhile.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`].
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Ledger) -> T + Send + 'static,
    ) -> Result<T, SubmitError> {
        let (reply, told) = oneshot::channel();
        let look = Box::new(move |ledger: &Ledger| {
            // Who asked may have given up.
            let _ = reply.send(look(ledger));
        });
        self.asks.send(Ask::Look(look)).await.map_err(|_| SubmitError::Stopped)?;
        told.await.map_err(|_| SubmitError::Stopped)
    }
}

/// A running validator. It runs on when this is dropped, until the runtime ends.
pub struct ValidatorHandle {
    pub(crate) ledger: AgreedLedger,
    pub(crate) task: Handle<AgreementError>,
}

impl fmt::Debug for ValidatorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidatorHandle").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// Whatever can be asked of the ledger can be asked of its validator.
impl Deref for ValidatorHandle {
    type Target = AgreedLedger;

    fn deref(&self) -> &AgreedLedger {
        &self.ledger
    }
}

impl ValidatorHandle {
    /// The ledger, for those who ask it beside this handle.
    #[must_use]
    pub fn ledger(&self) -> AgreedLedger {
        self.ledger.clone()
    }

    /// Stops it at once, as if the process had died.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Waits until it stops by itself, which it does where something is wrong.
    pub async fn stopped(self) -> AgreementError {
        self.task.await.unwrap_or(AgreementError::Ended { part: "runtime" })
    }
}
