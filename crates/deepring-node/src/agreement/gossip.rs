//! Submissions between validators: each sends what was submitted to it to all others, so that the
//! next leader has it, and a validator that dies takes nothing with it. With them goes which validator set its operator approved.
//!
//! What comes is verified as if a client had sent it, and is not sent on. What was submitted here is sent
//! again while it waits, since networks lose messages and a validator may have been behind. A peer that
//! sends what no ledger could ever take is blocked: an honest validator opens everything before it sends it. A peer
//! whose submissions merely may not follow now is not, as it may be ahead.

use std::sync::Arc;
use std::time::Duration;

use commonware_cryptography::{ed25519, sha256};
use commonware_macros::select;
use commonware_p2p::{Blocker, Receiver, Recipients, Sender, block};
use commonware_runtime::telemetry::metrics::{Counter, MetricsExt as _};
use commonware_runtime::{Clock, Metrics};
use commonware_utils::channel::{mpsc, oneshot};
use deepring::codec::{DecodeError, Reader, Writer};

use super::chamber::{Chamber, SubmitError};
use super::gate::Inadmissible;
use super::keeping::Ask;
use super::submission::{EntryId, MAX_SUBMISSION_BYTES, OpenedSubmission, Submission};

/// Most bytes of a message: one submission always fits.
pub(crate) const MAX_GOSSIP_BYTES: usize = 1 + 4 + 32 + 4 + MAX_SUBMISSION_BYTES;
/// Most submissions of a message.
const MAX_SUBMISSIONS: usize = 1024;
/// Bytes that are sent again at a time.
const REPEATED: usize = MAX_SUBMISSION_BYTES;
const VERSION: u8 = 2;

/// A message of gossip between validators.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GossipMessage {
    /// The entry that names a validator set which the sender's operator approved.
    pub(crate) approved: Option<EntryId>,
    pub(crate) submissions: Vec<Submission>,
}

/// `version 2 | approved: list of 32 (one at most) | submissions: list of (entry: bytes, evidence: bytes)`, within the
/// bound of a message.
pub(crate) fn encode(approved: Option<&EntryId>, submissions: &[Submission]) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(VERSION).count(usize::from(approved.is_some()));
    approved.iter().for_each(|entry| _ = w.raw(entry));
    w.count(submissions.len());
    submissions.iter().for_each(|submission| submission.encode(&mut w));
    w.finish()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<GossipMessage, DecodeError> {
    if bytes.len() > MAX_GOSSIP_BYTES {
        let (found, limit) = (bytes.len() as u64, MAX_GOSSIP_BYTES as u64);
        return Err(DecodeError::TooLong { field: "gossip", found, limit });
    }
    let mut r = Reader::new(bytes);
    match r.u8("gossip version")? {
        VERSION => {}
        found => {
            return Err(DecodeError::BadValue { field: "gossip version", found: found.into() });
        }
    }
    let approved = match r.count("approved", 1, 32)? {
        0 => None,
        _ => Some(sha256::Digest(r.array("approved")?)),
    };
    let count = r.count("submissions", MAX_SUBMISSIONS, 8)?;
    let mut submissions = Vec::with_capacity(count);
    for _ in 0..count {
        submissions.push(Submission::decode(&mut r)?);
    }
    r.finish()?;
    Ok(GossipMessage { approved, submissions })
}

/// Verifies a submission where the ledger leaves off, and asks the ledger whether its decision is
/// recorded. `None` where it waits already.
pub(crate) async fn verify_submission(
    chamber: &Chamber,
    asks: &mpsc::Sender<Ask>,
    submission: &Submission,
) -> Result<Option<OpenedSubmission>, SubmitError> {
    let Some(opened) = chamber.verify_submission(submission)? else { return Ok(None) };
    let Some(decided) = opened.decided() else { return Ok(Some(opened)) };
    let (reply, told) = oneshot::channel();
    let ask = Ask::Recorded { ask: vec![decided], below: u64::MAX, reply };
    asks.send(ask).await.map_err(|_| SubmitError::Stopped)?;
    match told.await.map_err(|_| SubmitError::Stopped)?.is_empty() {
        true => Ok(Some(opened)),
        false => Err(Inadmissible::Recorded.into()),
    }
}

/// The task that sends and receives submissions.
pub(crate) struct Gossip<E, S, R, B> {
    pub(crate) context: E,
    pub(crate) chamber: Arc<Chamber>,
    pub(crate) asks: mpsc::Sender<Ask>,
    /// Submissions that were submitted here.
    pub(crate) submitted: mpsc::Receiver<Submission>,
    pub(crate) sender: S,
    pub(crate) receiver: R,
    pub(crate) blocker: B,
    pub(crate) repeat: Duration,
}

impl<E, S, R, B> Gossip<E, S, R, B>
where
    E: Clock + Metrics,
    S: Sender<PublicKey = ed25519::PublicKey>,
    R: Receiver<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
{
    pub(crate) async fn run(mut self) {
        let refused = self.context.counter("refused", "Submissions by validators not taken");
        let mut due = self.context.current() + self.repeat;
        let mut approved = None;
        loop {
            select! {
                _ = self.context.sleep_until(due) => {
                    let own = self.chamber.own(REPEATED);
                    let before = std::mem::replace(&mut approved, self.chamber.consent().own());
                    if !own.is_empty() || approved.is_some() || before != approved {
                        self.send(&own);
                    }
                    due = self.context.current() + self.repeat;
                },
                submitted = self.submitted.recv() => {
                    let Some(submission) = submitted else { return };
                    self.send(&[submission]);
                },
                message = self.receiver.recv() => {
                    let Ok((from, bytes)) = message else { return };
                    self.receive(from, bytes.as_ref(), &refused).await;
                },
            }
        }
    }

    fn send(&mut self, submissions: &[Submission]) {
        // Who is not reached now is sent it again.
        let approved = self.chamber.consent().own();
        self.sender.send(Recipients::All, encode(approved.as_ref(), submissions), false);
    }

    async fn receive(&mut self, from: ed25519::PublicKey, bytes: &[u8], refused: &Counter) {
        let GossipMessage { approved, submissions } = match decode(bytes) {
            Ok(told) => told,
            Err(why) => {
                block!(self.blocker, from, %why, "malformed submissions");
                return;
            }
        };
        self.chamber.consent().hear(&from, approved);
        for submission in &submissions {
            let taken = match verify_submission(&self.chamber, &self.asks, submission).await {
                Ok(Some(opened)) => self.chamber.take(opened, false).map(|_| ()),
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            };
            match taken {
                Ok(()) => {}
                Err(SubmitError::Submission(why)) => {
                    block!(self.blocker, from, %why, "a submission that nobody could take");
                    return;
                }
                Err(why) => {
                    refused.inc();
                    tracing::debug!(?from, %why, "a submission by a validator is not taken");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_back_and_nothing_near_it() {
        let approved = sha256::Digest([7; 32]);
        for approved in [None, Some(approved)] {
            let sent = encode(approved.as_ref(), &[]);
            assert_eq!(decode(&sent), Ok(GossipMessage { approved, submissions: Vec::new() }));
            for at in 0..sent.len() {
                assert!(decode(&sent[..at]).is_err());
            }
        }
        let (long, two) = (vec![0; MAX_GOSSIP_BYTES + 1], [2, 2, 0, 0, 0].iter().chain(&[0; 68]));
        let two: Vec<u8> = two.copied().collect();
        for other in [
            [1, 0, 0, 0, 0, 0, 0, 0, 0].as_slice(),
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 1, 255, 255, 0, 0],
            &two,
            &long,
        ] {
            assert!(decode(other).is_err());
        }
    }
}
