//! The task that drives a participant: gives it what happens, and does what it asks for.
//!
//! It alone touches the participant and the journal. Computing, sending and receiving are tasks of their own, so that it
//! answers others while a leg is computed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use commonware_macros::select;
use commonware_runtime::telemetry::metrics::{Counter, MetricsExt as _};
use commonware_utils::channel::{mpsc, oneshot};
use deepring::receipt::{QueryStart, Salt};
use deepring::{Digest, Host, PublicKey};
use deepring_infer::RunError;
use deepring_infer::engine::Engine;
use deepring_infer::participant::{Action, Batch, Closed, Participant};

use super::error::{HostingError, QueryError};
use super::handle::Notice;
use super::inbox::Came;
use super::journal::SignedJournal;
use super::live_host::LiveHost;
use super::mending::{CopyExchange, MendMessage};
use super::outbox::Outbox;
use super::quarantine::Quarantine;
use super::worker::{LegWork, LegWorkDone};
use crate::agreement::Runtime;

/// While no query is under way nothing is due; the driver looks all the same.
const IDLE: Duration = Duration::from_secs(60);
/// Messages of one event that are let wait for one peer, in bytes of the longest.
const LONGEST: usize = 4;

pub(crate) type Reply = oneshot::Sender<Result<Closed, QueryError>>;

/// An event that a host's driver takes in.
#[derive(Debug)]
pub(crate) enum HostEvent {
    Came(Came),
    Done(LegWorkDone),
    Ask {
        batch: Batch,
        nonce: Option<Digest>,
        reply: Reply,
    },
    /// The hosts with which the network has no connection, from now on.
    CutOff(Vec<PublicKey<Host>>),
}

/// Counters for people.
pub(crate) struct Counts {
    refused: Counter,
    unsent: Counter,
    opened: Counter,
    closed: Counter,
    failed: Counter,
    named: Counter,
}

impl Counts {
    pub(crate) fn of<R: Runtime>(context: &R) -> Self {
        Self {
            refused: context.counter("refused", "Messages of hosts that were refused"),
            unsent: context.counter("unsent", "Messages to hosts for which there was no room"),
            opened: context.counter("opened", "Queries that were opened here"),
            closed: context.counter("closed", "Queries that were closed here"),
            failed: context.counter("failed", "Queries opened here that ended without an answer"),
            named: context.counter("named", "Copies of other hosts that failed"),
        }
    }
}

/// See the module.
pub(crate) struct Driver<'r, R, E: Engine> {
    pub(crate) context: R,
    pub(crate) host: LiveHost<E>,
    pub(crate) participant: Participant<'r>,
    pub(crate) journal: SignedJournal,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) exchange: CopyExchange,
    pub(crate) quarantine: Quarantine,
    /// Most bytes of a message.
    pub(crate) limit: usize,
    pub(crate) events: mpsc::Receiver<HostEvent>,
    pub(crate) jobs: mpsc::UnboundedSender<LegWork>,
    pub(crate) counts: Counts,
    pub(crate) asked: BTreeMap<Digest, Reply>,
}

impl<R: Runtime, E: Engine> Driver<'_, R, E> {
    /// Runs until nobody is left who could tell it anything, or the journal cannot be kept.
    pub(crate) async fn run(mut self) -> HostingError {
        let began = self.context.current();
        loop {
            let now = |at: std::time::SystemTime| {
                // A clock that was set back stands still meanwhile: nothing is given up early.
                let since = at.duration_since(began).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            };
            let due = match self.participant.wake_at() {
                Some(at) => began + Duration::from_millis(at),
                None => self.context.current() + IDLE,
            };
            let event = select! {
                event = self.events.recv() => match event {
                    Some(event) => Some(event),
                    None => return HostingError::Ended { part: "events" },
                },
                _ = self.context.sleep_until(due) => None,
            };
            let now = now(self.context.current());
            let actions = match event {
                Some(HostEvent::Came(came)) => self.came(now, came),
                Some(HostEvent::Done(LegWorkDone::Computed(work, result))) => {
                    if let Err(RunError::Tampered(finding)) = &*result {
                        tracing::error!(%finding, "this host's memory was tampered with");
                        self.exchange.tell(Notice::Tampered(finding.clone()));
                    }
                    self.participant.computed(now, work, *result)
                }
                Some(HostEvent::Done(LegWorkDone::Compared(work, result))) => {
                    self.participant.compared(now, work, result)
                }
                Some(HostEvent::Ask { batch, nonce, reply }) => self.open(now, batch, nonce, reply),
                Some(HostEvent::CutOff(hosts)) => {
                    let names: Vec<_> = hosts.iter().map(PublicKey::short).collect();
                    tracing::debug!(?names, "hosts without a connection");
                    self.participant.set_cut_off(now, &hosts);
                    Vec::new()
                }
                None => Vec::new(),
            };
            let acted = self.act(actions).and_then(|()| {
                // What is due is done also where events never leave the driver idle.
                let actions = self.participant.tick(now);
                self.act(actions)
            });
            if let Err(e) = acted {
                return e;
            }
        }
    }

    fn came(&mut self, now: u64, came: Came) -> Vec<Action> {
        if MendMessage::is_one(&came.bytes) {
            let from = came.from;
            if !self.exchange.take(came) {
                self.counts.refused.inc();
                tracing::debug!(from = from.short(), "a host's message about copies is refused");
            }
            return Vec::new();
        }
        match self.participant.receive(now, &came.from, &came.bytes) {
            Ok(actions) => actions,
            Err(why) => {
                self.counts.refused.inc();
                tracing::debug!(from = came.from.short(), %why, "a host's message is refused");
                Vec::new()
            }
        }
    }

    fn open(&mut self, now: u64, batch: Batch, nonce: Option<Digest>, reply: Reply) -> Vec<Action> {
        // Who asked may have given up; so may whom an answer is given.
        match self.begin(now, batch, nonce) {
            Ok((query, actions)) => {
                self.counts.opened.inc();
                self.asked.insert(query, reply);
                actions
            }
            Err(why) => {
                let _ = reply.send(Err(why));
                Vec::new()
            }
        }
    }

    fn begin(
        &mut self,
        now: u64,
        batch: Batch,
        nonce: Option<Digest>,
    ) -> Result<(Digest, Vec<Action>), QueryError> {
        if nonce.is_some_and(|nonce| nonce.0 == [0; 32]) {
            return Err(QueryError::ZeroNonce);
        }
        let mut drawn = || {
            let mut bytes = [0; 32];
            self.context.fill_bytes(&mut bytes);
            bytes
        };
        let query = Digest(drawn());
        let salt = Salt::from_bytes(drawn()).ok_or(QueryError::NoRandomness)?;
        let since = self.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        let opened_at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let start = QueryStart { query, salt, nonce, opened_at };
        if self.quarantine.has(0) {
            let name = "its copy at this host is quarantined".to_owned();
            return Err(RunError::OutOfUse { block: 0, name }.into());
        }
        // While a block is opened anew the driver goes on with everything else.
        let host = self.host.try_read().ok_or(QueryError::Busy)?;
        let chain = host.begin(&batch, &start, true).inspect_err(|why| {
            if let RunError::Tampered(finding) = why {
                tracing::error!(%finding, "this host's memory was tampered with");
                self.exchange.tell(Notice::Tampered(finding.clone()));
            }
        })?;
        drop(host);
        Ok((query, self.participant.open(now, chain, salt, batch)?))
    }

    /// Does what the participant asks for, in its order. Where a receipt cannot be kept nothing is sent that follows.
    fn act(&mut self, actions: Vec<Action>) -> Result<(), HostingError> {
        for action in actions {
            match action {
                Action::Send { to, bytes } => {
                    let room = self.limit.saturating_mul(LONGEST);
                    if !self.outbox.put(&to, &bytes, room) {
                        self.counts.unsent.inc();
                    }
                }
                Action::Compute { work, salt, batch, blocks } => {
                    self.job(LegWork::Compute { work, salt, batch, blocks })?;
                }
                Action::Compare { work, inputs, blocks, own, theirs, seed } => {
                    self.job(LegWork::Compare { work, inputs, blocks, own, theirs, seed })?;
                }
                Action::Remember(record) => self.journal.add(&record)?,
                Action::Named { query, first_block, failed } => {
                    self.counts.named.inc();
                    self.exchange.tell(Notice::Named { query, first_block, failed });
                }
                Action::Disputed { query, first_block, dispute } => {
                    self.exchange.tell(Notice::Disputed { query, first_block, dispute });
                }
                Action::Closed(closed) => {
                    self.counts.closed.inc();
                    match self.asked.remove(&closed.query) {
                        Some(reply) => {
                            if let Err(Ok(closed)) = reply.send(Ok(*closed)) {
                                self.exchange.tell(Notice::Closed(Box::new(closed)));
                            }
                        }
                        None => self.exchange.tell(Notice::Closed(closed)),
                    }
                }
                Action::Failed { query, why, named } => {
                    self.counts.failed.inc();
                    if let Some(reply) = self.asked.remove(&query) {
                        let _ = reply.send(Err(QueryError::Failed { query, why, named }));
                    }
                }
            }
        }
        Ok(())
    }

    /// The participant's bounds are those of the queue, too: it asks for no more than its queries need.
    fn job(&mut self, job: LegWork) -> Result<(), HostingError> {
        self.jobs.send(job).map_err(|_| HostingError::Ended { part: "workers" })
    }
}
