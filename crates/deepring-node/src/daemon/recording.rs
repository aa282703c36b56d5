//! Entries that a node puts on the ledger by itself: those that the log begins with, decisions that nobody waits for, and
//! evidence against copies that failed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use commonware_macros::select;
use commonware_runtime::Clock;
use commonware_utils::channel::mpsc;
use deepring::keys::AuthorKey;
use deepring::replication::{CopyFault, Dispute, Evidence, FailedCopy};
use deepring::{AuthenticRing, Decision, Digest, Finding, Host, PublicKey, SecretKey};
use deepring_ledger::{Binding, Entry, Event};

use super::disputes::{DisputeFolder, DisputeKept};
use crate::agreement::{AgreedLedger, Inadmissible, Lost, Submission, SubmitError};
use crate::certifying::{Certifier, CertifyError};
use crate::hosting::Notice;

/// How long until something that could not be said is said again.
const AGAIN: Duration = Duration::from_secs(1);
/// Entries at the begin of the ledger among which those are looked for that it begins with.
const FIRST: u64 = 256;
/// Evidence that waits to be said. More of it says no more: the copies are quarantined by the first.
const WAITING: usize = 64;
const SAID: usize = 1024;

/// Says the entries that the log begins with, in their order, until each is recorded or may never be.
pub(super) async fn begin_with(context: impl Clock, ledger: AgreedLedger, entries: Vec<Entry>) {
    for entry in entries {
        let submission = match Submission::of(&entry) {
            Ok(submission) => submission,
            Err(why) => {
                tracing::error!(%why, "an entry that the log is to begin with is none that can be agreed on");
                return;
            }
        };
        while !is_recorded(&ledger, &entry).await {
            match ledger.submit(submission.clone()).await {
                Ok(ticket) => match ticket.committed().await {
                    Ok(committed) => {
                        tracing::info!(index = committed.index, "the log begins with this entry");
                    }
                    Err(Lost::Stopped) => return,
                    Err(Lost::Inadmissible(_)) => context.sleep(AGAIN).await,
                },
                Err(SubmitError::Stopped) => return,
                Err(why) => {
                    tracing::debug!(%why, "an entry that the log is to begin with waits");
                    context.sleep(AGAIN).await;
                }
            }
        }
    }
}

async fn is_recorded(ledger: &AgreedLedger, entry: &Entry) -> bool {
    let bytes = entry.as_bytes().to_vec();
    let looked = ledger.look(move |ledger| {
        let mut first = ledger.iter(0..FIRST.min(ledger.len()));
        first.any(|row| row.is_ok_and(|(_, entry)| entry.as_bytes() == bytes))
    });
    looked.await.unwrap_or(true)
}

/// Takes a host's notices, and says on the ledger what they show.
pub(super) struct NoticeRecorder<E> {
    pub(super) context: E,
    pub(super) ledger: AgreedLedger,
    pub(super) certifier: Certifier,
    pub(super) key: SecretKey<Host>,
    pub(super) ring: Arc<AuthenticRing>,
    pub(super) disputes: DisputeFolder,
    pub(super) origin: Arc<str>,
}

impl<E: Clock> NoticeRecorder<E> {
    /// Runs until the host or the validator stops.
    pub(super) async fn run(self, mut notices: mpsc::Receiver<Notice>) {
        let mut waiting: VecDeque<Evidence> = VecDeque::new();
        let mut said: VecDeque<Evidence> = VecDeque::new();
        let mut own: VecDeque<Finding> = VecDeque::new();
        let mut due = self.context.current() + AGAIN;
        loop {
            select! {
                notice = notices.recv() => match notice {
                    None => return,
                    Some(Notice::Disputed { query, first_block, dispute }) => {
                        self.keep(query, first_block, &dispute);
                    }
                    Some(Notice::Closed(closed)) => self.decided(&closed.decision).await,
                    Some(Notice::Tampered(finding)) => {
                        // The copy is repaired after its alarm: it is said until it is recorded.
                        if let Err(why) = self.confess(&finding).await {
                            tracing::warn!(%why, "an alarm of this host about itself waits");
                            if own.len() < WAITING {
                                own.push_back(finding);
                            }
                        }
                    }
                    Some(Notice::Named { failed, .. }) => {
                        if let Some(evidence) = evidence_of(failed)
                            && !waiting.contains(&evidence) && !said.contains(&evidence)
                        {
                            if waiting.len() == WAITING {
                                waiting.pop_front();
                            }
                            waiting.push_back(evidence);
                        }
                    }
                },
                _ = self.context.sleep_until(due) => {
                    if let Some(finding) = own.pop_front() {
                        match self.confess(&finding).await {
                            Ok(()) => {}
                            Err(SubmitError::Stopped) => return,
                            Err(why) => {
                                tracing::debug!(%why, "an alarm of this host about itself waits");
                                own.push_back(finding);
                            }
                        }
                    }
                    if let Some(evidence) = waiting.pop_front() {
                        match self.accuse(&evidence).await {
                            Ok(()) => {
                                said.push_back(evidence);
                                if said.len() > SAID {
                                    said.pop_front();
                                }
                            }
                            Err(SubmitError::Stopped) => return,
                            Err(why) => {
                                tracing::debug!(%why, "evidence waits");
                                waiting.push_back(evidence);
                            }
                        }
                    }
                    due = self.context.current() + AGAIN;
                },
            }
        }
    }

    fn keep(&self, query: Digest, first_block: u32, dispute: &Dispute) {
        match self.disputes.keep(query, first_block, dispute) {
            Ok(DisputeKept::At(path)) => tracing::warn!(
                path = %path.display(),
                "copies of a leg contradict each other: what an arbiter needs is kept (`deepring arbitrate`)"
            ),
            Ok(DisputeKept::Full) => {
                tracing::warn!("a disputed leg is not kept: the folder of disputes is full");
            }
            Err(why) => tracing::error!(%why, "a disputed leg could not be kept"),
        }
    }

    /// Another host of Genesis may have recorded it.
    async fn decided(&self, decision: &Decision) {
        match self.certifier.record(decision, self.ring.outline()).await {
            Ok(committed) => tracing::info!(index = committed.index, "a decision is recorded"),
            Err(CertifyError::Submit(SubmitError::Inadmissible(Inadmissible::Recorded))) => {}
            Err(why) => tracing::warn!(%why, "a decision that this host closed is not recorded"),
        }
    }

    /// An alarm about each host that the evidence names, but for this one.
    async fn accuse(&self, evidence: &Evidence) -> Result<(), SubmitError> {
        let me = self.key.public();
        let author: AuthorKey = self.key.clone().into();
        for accused in evidence.names().iter().filter(|accused| **accused != me) {
            if self.is_known(evidence, accused).await? {
                continue;
            }
            let event =
                Event::accusation(self.ring.ring_id(), evidence, *accused, evidence.reason());
            let binding = self.binding(&author).await?;
            let Ok(entry) = Entry::now(binding, &event, &author) else { return Ok(()) };
            let ticket = self.ledger.submit(Submission::of(&entry)?).await?;
            match ticket.committed().await {
                Ok(committed) => tracing::warn!(
                    accused = accused.short(),
                    index = committed.index,
                    "a copy that failed is on the ledger"
                ),
                Err(Lost::Stopped) => return Err(SubmitError::Stopped),
                Err(why) => tracing::debug!(%why, "an alarm is not recorded"),
            }
        }
        Ok(())
    }

    /// An alarm of this host about itself: its copy of the block is quarantined by it. None where it is quarantined already: a
    /// second alarm would outlast the first one's repair.
    async fn confess(&self, finding: &Finding) -> Result<(), SubmitError> {
        let ring = (self.ring.ring_id(), self.ring.digest());
        if let Some(block) = finding.block
            && self.is_quarantined(self.key.public(), block).await?
        {
            return Ok(());
        }
        let event = Event::alarm(ring, self.key.public(), finding);
        let author: AuthorKey = self.key.clone().into();
        let binding = self.binding(&author).await?;
        let Ok(entry) = Entry::now(binding, &event, &author) else { return Ok(()) };
        let ticket = self.ledger.submit(Submission::of(&entry)?).await?;
        match ticket.committed().await {
            Ok(committed) => tracing::warn!(
                index = committed.index,
                "this host's alarm about itself is on the ledger"
            ),
            Err(Lost::Stopped) => return Err(SubmitError::Stopped),
            Err(Lost::Inadmissible(_)) => {
                // Another entry of this host took its number, or came before it.
                tracing::warn!("this host's alarm about itself is not recorded yet");
                return Err(SubmitError::NotReady);
            }
        }
        Ok(())
    }

    async fn binding(&self, author: &AuthorKey) -> Result<Binding, SubmitError> {
        let author = author.public();
        let origin = self.origin.clone();
        let told =
            self.ledger.look(move |ledger| ledger.state().map(|state| state.binding(&author)).ok());
        Ok(told.await?.unwrap_or_else(|| Binding::new(&origin, 1)))
    }

    /// Whether proof against this host is on the ledger already, by whomever: its copies of the leg are quarantined.
    async fn is_known(
        &self,
        evidence: &Evidence,
        accused: &PublicKey<Host>,
    ) -> Result<bool, SubmitError> {
        if !evidence.is_proof() {
            return Ok(false);
        }
        self.is_quarantined(*accused, evidence.receipt().first_block).await
    }

    async fn is_quarantined(&self, host: PublicKey<Host>, block: u32) -> Result<bool, SubmitError> {
        let ring = self.ring.digest();
        let told = self.ledger.look(move |ledger| {
            let mut quarantined = ledger.state().ok()?.quarantined(&ring);
            Some(quarantined.any(|copy| copy.host == host && copy.block == block))
        });
        Ok(told.await?.unwrap_or(false))
    }
}

fn evidence_of(failed: FailedCopy) -> Option<Evidence> {
    match failed.fault {
        CopyFault::Disputed(evidence)
        | CopyFault::Outvoted(evidence)
        | CopyFault::Equivocated(evidence) => Some(evidence),
        _ => None,
    }
}
