//! The task that keeps the ledger: it alone touches it.
//!
//! The database blocks, so the task has a thread of its own where the runtime has threads; in the
//! deterministic runtime it runs in turn with all others. What comes in: finalised dockets, in
//! order, each acknowledged when it is on stable storage; questions; and what other validators cosigned.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use commonware_actor::Feedback;
use commonware_consensus::Reporter;
use commonware_consensus::marshal::Update;
use commonware_consensus::marshal::core::Mailbox;
use commonware_consensus::marshal::standard::Standard;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::types::Height;
use commonware_cryptography::{Digested, ed25519};
use commonware_macros::select;
use commonware_p2p::{Recipients, Sender};
use commonware_runtime::telemetry::metrics::{Counter, Gauge, GaugeExt as _, MetricsExt as _};
use commonware_utils::acknowledgement::{Acknowledgement as _, Exact};
use commonware_utils::channel::{mpsc, oneshot, watch};
use deepring::PublicKey;
use deepring::files::replace_file;
use deepring::keys::Node;
use deepring_ledger::witness::CosignedCheckpoint;
use deepring_ledger::{Entry, Ledger};

use super::chamber::{Chamber, NotNext};
use super::cosigning::{Heard, SplitView};
use super::docket::Docket;
use super::error::AgreementError;
use super::join::JoinRecord;
use super::keeper::{Appended, Keeper};
use super::seating::Seating;
use super::submission::DecisionKey;
use super::term_store::TermStore;
use super::terms::NextTerm;
use super::wiring::Runtime;

/// Heights between two prunings of the engine's dockets.
const PRUNED_EVERY: u64 = 64;
/// Split views that are told to whoever subscribes; all are counted, and kept as files.
const MAX_TOLD: usize = 16;

/// How far a validator's ledger is.
#[derive(Debug, Clone, Default)]
pub struct LedgerProgress {
    /// Height of the newest docket in the ledger.
    pub height: u64,
    /// Newest height that this validator knows to be final: above `height` while it follows.
    pub finalised: u64,
    /// Entries of the ledger.
    pub size: u64,
    /// Number of the term in which the next docket is agreed on.
    pub term: u64,
    /// The set that stands in it, as its owner signed it; `None` while that is the one which the validator was started
    /// with.
    pub signed_set: Option<Arc<[u8]>>,
    /// Whether this node votes in it.
    pub votes: bool,
    /// The newest checkpoint that a quorum of one set cosigned: of the set that stands, once there is one.
    pub certified: Option<Arc<CosignedCheckpoint>>,
    /// Checkpoints that contradict this ledger's; the first ones.
    pub split_views: Vec<Arc<SplitView>>,
}

/// A question to the ledger, or news for it.
pub(crate) enum Ask {
    /// Which of these decisions entries below an index record.
    Recorded { ask: Vec<DecisionKey>, below: u64, reply: oneshot::Sender<Vec<DecisionKey>> },
    /// A look at the ledger.
    Look(Box<dyn FnOnce(&Ledger) + Send>),
    /// Bytes that another validator sent as its cosignature.
    Statement { from: PublicKey<Node>, bytes: Vec<u8> },
    /// The docket at the ledger's height, which the engine still holds.
    Newest(Docket),
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recorded { .. } => "Recorded",
            Self::Look(_) => "Look",
            Self::Statement { .. } => "Statement",
            Self::Newest(_) => "Newest",
        })
    }
}

/// Where the engine puts finalised dockets, and says how far others are.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    pub(crate) dockets: mpsc::UnboundedSender<(Digested<Docket>, Exact)>,
    pub(crate) progress: watch::Sender<LedgerProgress>,
}

impl Reporter for Sink {
    type Activity = Update<Docket>;

    /// The engine dispatches no more dockets than it waits for acknowledgements of, which bounds the queue.
    fn report(&mut self, activity: Update<Docket>) -> Feedback {
        match activity {
            // Says nothing about what is on stable storage.
            Update::Tip(_, height, _) => {
                self.progress.send_if_modified(|progress| {
                    let further = height.get() > progress.finalised;
                    progress.finalised = progress.finalised.max(height.get());
                    further
                });
                Feedback::Ok
            }
            Update::Block(docket, ack) => match self.dockets.send((docket, ack)) {
                Ok(()) => Feedback::Ok,
                Err(_) => Feedback::Closed,
            },
        }
    }
}

/// See the module.
pub(crate) struct Keeping<E: Runtime, S> {
    pub(crate) context: E,
    pub(crate) keeper: Keeper,
    pub(crate) chamber: Arc<Chamber>,
    pub(crate) dockets: mpsc::UnboundedReceiver<(Digested<Docket>, Exact)>,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) statements: S,
    pub(crate) progress: watch::Sender<LedgerProgress>,
    pub(crate) marshal: Mailbox<Scheme, Standard<Docket>>,
    pub(crate) retained: NonZeroU64,
    pub(crate) repeat: Duration,
    pub(crate) terms: TermStore<E>,
    pub(crate) seating: Seating,
    /// Where terms are begun.
    pub(crate) turn: mpsc::Sender<NextTerm>,
    /// The file of the record that other nodes can begin with.
    pub(crate) join_file: Option<PathBuf>,
    /// The copy that the node began with, until it is proven.
    pub(crate) copied: Option<UnprovenCopy>,
    /// Whether nothing is certified yet by the set that stands.
    pub(crate) reseated: bool,
}

/// A copy of a ledger of which nobody signed to which height it belongs.
#[derive(Debug)]
pub(crate) struct UnprovenCopy {
    /// Its entries.
    pub(crate) size: u64,
    /// Whether the node votes, where it is of the set, once it is proven.
    pub(crate) votes: bool,
    /// The file that says so afterwards.
    pub(crate) proof: Option<PathBuf>,
}

struct Meters {
    height: Gauge,
    term: Gauge,
    size: Gauge,
    waiting: Gauge,
    certified: Gauge,
    split_views: Counter,
    refused: Counter,
}

impl<E, S> Keeping<E, S>
where
    E: Runtime,
    S: Sender<PublicKey = ed25519::PublicKey>,
{
    /// Keeps the ledger until something is wrong that no validator goes on after.
    pub(crate) async fn run(mut self) -> AgreementError {
        match self.keep().await {
            Ok(()) => AgreementError::Ended { part: "engine" },
            Err(e) => {
                tracing::error!(error = %e, "the ledger is kept no more");
                e
            }
        }
    }

    async fn keep(&mut self) -> Result<(), AgreementError> {
        let meters = Meters {
            height: self.context.gauge("height", "Height of the ledger's newest docket"),
            term: self.context.gauge("term", "Number of the term"),
            size: self.context.gauge("size", "Entries of the ledger"),
            waiting: self.context.gauge("waiting", "Submissions that wait to be committed"),
            certified: self.context.gauge("certified", "Size of the newest certified checkpoint"),
            split_views: self
                .context
                .counter("split_views", "Checkpoints that contradict this ledger's"),
            refused: self.context.counter("refused", "Cosignatures that were refused"),
        };
        self.begin_term(&meters).await?;
        // What was cosigned before a restart is said again.
        self.cosign(&meters)?;
        self.show(&meters)?;
        let mut due = self.context.current() + self.repeat;
        loop {
            select! {
                _ = self.context.sleep_until(due) => {
                    self.say();
                    due = self.context.current() + self.repeat;
                },
                docket = self.dockets.recv() => {
                    let Some((docket, ack)) = docket else { return Ok(()) };
                    self.commit(docket.inner(), &meters).await?;
                    ack.acknowledge();
                },
                ask = self.asks.recv() => {
                    let Some(ask) = ask else { return Ok(()) };
                    self.answer(ask, &meters)?;
                },
            }
        }
    }

    /// Puts a docket and what follows from it onto stable storage: its entries, then who stands in the next term, which
    /// begins after the last docket of this one.
    async fn commit(&mut self, docket: &Docket, meters: &Meters) -> Result<(), AgreementError> {
        let height = docket.height();
        if height == 0 {
            return Ok(());
        }
        // Of the docket that a node joined with, nothing but its digest is known to be final: another height would let entries in
        // that no set which it knows agreed to.
        let floor = self.terms.schedule().floor();
        if docket.digest() == floor && height != self.terms.schedule().floor_height() {
            return Err(AgreementError::OtherHeight { height });
        }
        let entries = self.chamber.entries(docket)?;
        self.append(docket, &entries, meters)?;
        // What was delivered again after a crash, of a term that is over, changes nothing any more.
        if height > self.terms.schedule().floor_height() {
            self.terms.take(&entries).await?;
        }
        if height == self.terms.schedule().last_height() {
            let reseated = self.terms.enter_next(docket.digest()).await?;
            if reseated {
                let schedule = self.terms.schedule();
                self.seating.seat(schedule.newest(), schedule.standing())?;
                self.keeper.seat(schedule.standing())?;
            }
            self.begin_term(meters).await?;
            self.write_join_record(height).await;
            if reseated {
                // What the set before left without a quorum is certified by this one.
                self.reseated = true;
                self.cosign(meters)?;
            }
        }
        Ok(())
    }

    /// Writes what other nodes can begin with: the schedule, and the docket that its newest term builds on. A record that is not
    /// written leaves the one before, with which they can begin as well.
    async fn write_join_record(&self, height: u64) {
        let Some(path) = &self.join_file else { return };
        let Some(last) = self.marshal.get_finalization(Height::new(height)).await else {
            tracing::debug!(height, "no certificate of the docket that the term builds on");
            return;
        };
        let record = JoinRecord::encode(self.terms.schedule(), &last);
        if let Err(why) = replace_file(path, &record) {
            tracing::warn!(%why, "what other nodes can begin with is not written");
        }
    }

    /// Has the newest term begin, and waits until it has and the one before is stopped.
    async fn begin_term(&mut self, meters: &Meters) -> Result<(), AgreementError> {
        let schedule = self.terms.schedule();
        let (term, set) = (schedule.newest(), schedule.standing());
        self.seating.committees.begin(term);
        let votes = self.seating.votes_in(set);
        let signed_set = schedule.named().map(|named| named.signed.clone());
        let (begun, told) = oneshot::channel();
        let (scheme, floor) = (self.seating.scheme(set)?, schedule.floor());
        let turn = NextTerm { term, scheme, floor, begun };
        let ended = AgreementError::Ended { part: "engine" };
        if self.turn.send(turn).await.is_err() || told.await.is_err() {
            return Err(ended);
        }
        let _ = meters.term.try_set(term.get());
        self.progress.send_modify(|progress| {
            if progress.votes != votes {
                match votes {
                    true => tracing::info!(term = term.get(), "this node votes"),
                    false => tracing::warn!(term = term.get(), "this node votes no more"),
                }
            }
            (progress.term, progress.votes, progress.signed_set) = (term.get(), votes, signed_set);
        });
        Ok(())
    }

    fn append(
        &mut self,
        docket: &Docket,
        entries: &[Entry],
        meters: &Meters,
    ) -> Result<(), AgreementError> {
        let (height, known) = (docket.height(), self.keeper.height()?);
        if height < known {
            return Ok(());
        }
        if height == known {
            // Delivered again: the ledger says whether it is the same.
            self.keeper.append(height, entries)?;
            return self.base(docket);
        }
        if self.chamber.base().is_none() {
            // What a finalised docket builds on is final.
            let state = self.keeper.ledger().state()?.clone();
            self.chamber.set_base(known, docket.parent(), state);
        }
        let position = self.chamber.follow(docket)?;
        let first = match self.keeper.append(height, entries)? {
            Appended::At(first) => first,
            Appended::Passed => return Ok(()),
        };
        if position.state.size() != self.keeper.ledger().len() {
            let why = "the ledger has another size after it".to_owned();
            return Err(NotNext::Invalid { height, why }.into());
        }
        self.chamber.commit(docket, position, first);
        if !entries.is_empty() {
            self.cosign(meters)?;
        }
        self.show(meters)?;
        if height.is_multiple_of(PRUNED_EVERY) && height > self.retained.get() {
            // What the term builds on is needed while it lasts.
            let oldest = (height - self.retained.get()).min(self.terms.schedule().floor_height());
            self.marshal.prune(Height::new(oldest));
        }
        Ok(())
    }

    /// The docket at the ledger's height is this one.
    fn base(&self, docket: &Docket) -> Result<(), AgreementError> {
        if self.chamber.base().is_none() && docket.height() == self.keeper.height()? {
            let state = self.keeper.ledger().state()?.clone();
            self.chamber.set_base(docket.height(), docket.digest(), state);
        }
        Ok(())
    }

    fn answer(&mut self, ask: Ask, meters: &Meters) -> Result<(), AgreementError> {
        match ask {
            Ask::Recorded { ask, below, reply } => {
                // Who asked may have given up.
                let _ = reply.send(self.keeper.recorded(&ask, below)?);
            }
            Ask::Look(look) => look(self.keeper.ledger()),
            Ask::Newest(docket) => self.base(&docket)?,
            Ask::Statement { from, bytes } => match self.keeper.receive(&from, &bytes) {
                Ok(heard) => {
                    self.hear(vec![heard], meters)?;
                    self.show(meters)?;
                }
                Err(why) => {
                    meters.refused.inc();
                    tracing::warn!(from = %from.short(), %why, "a cosignature was refused");
                }
            },
        }
        Ok(())
    }

    fn cosign(&mut self, meters: &Meters) -> Result<(), AgreementError> {
        let since = self.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Zero says nothing of time in a cosignature.
        let heard = self.keeper.cosign(since.as_secs().max(1))?;
        self.hear(heard, meters)?;
        self.say();
        Ok(())
    }

    fn hear(&mut self, heard: Vec<Heard>, meters: &Meters) -> Result<(), AgreementError> {
        for heard in heard {
            match heard {
                Heard::Noted => {}
                Heard::Certified(certified) => {
                    self.keeper.keep(&certified)?;
                    let size = certified.checkpoint().size();
                    self.prove(size);
                    let certified = Arc::new(*certified);
                    let first = std::mem::take(&mut self.reseated);
                    self.progress.send_modify(|progress| {
                        let known = progress.certified.as_ref().map(|c| c.checkpoint().size());
                        if first || known.is_none_or(|known| known < size) {
                            progress.certified = Some(certified);
                            let _ = meters.certified.try_set(size);
                        }
                    });
                }
                Heard::SplitView(split_view) => {
                    meters.split_views.inc();
                    tracing::error!(
                        by = %split_view.by, size = split_view.size, mine = split_view.mine, theirs = split_view.theirs,
                        "a validator cosigned another history of this log"
                    );
                    self.keeper.keep_split_view(&split_view)?;
                    self.progress.send_modify(|progress| {
                        if progress.split_views.len() < MAX_TOLD {
                            progress.split_views.push(Arc::new(*split_view));
                        }
                    });
                }
            }
        }
        Ok(())
    }

    /// A checkpoint that grew here is certified: the copy that this node began with belongs to the height that it says. Only then
    /// does it cosign, and vote from the next term on.
    fn prove(&mut self, certified: u64) {
        let Some(copied) = self.copied.as_ref().filter(|copied| certified > copied.size) else {
            return;
        };
        if let Some(path) = &copied.proof
            && let Err(why) = replace_file(path, b"")
        {
            tracing::warn!(%why, "that the copy of the ledger is right could not be kept");
        }
        self.seating.votes = copied.votes;
        self.copied = None;
    }

    /// Sends the others this validator's newest cosignature.
    fn say(&mut self) {
        if self.copied.is_some() {
            return;
        }
        if let Some(statement) = self.keeper.statement() {
            self.statements.send(Recipients::All, statement.encode(), true);
        }
    }

    fn show(&mut self, meters: &Meters) -> Result<(), AgreementError> {
        let (height, size) = (self.keeper.height()?, self.keeper.ledger().len());
        let _ = meters.height.try_set(height);
        let _ = meters.size.try_set(size);
        let _ = meters.waiting.try_set(self.chamber.waiting().0);
        self.progress.send_if_modified(|progress| {
            let changed = (progress.height, progress.size) != (height, size);
            (progress.height, progress.size) = (height, size);
            changed
        });
        Ok(())
    }
}
