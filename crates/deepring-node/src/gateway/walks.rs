//! The course of this gateway's newest questions, for people who look at it: who computed and who validated, how each part was
//! checked, and where the time went. Nothing of inputs and outputs is in it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deepring::Decision;
use deepring_infer::participant::Closed;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::RecordedAnswer;
use super::decisions::NamedCopy;
use crate::clock::now_ms;

/// Questions that are remembered.
const KEPT: usize = 32;

/// A question's way around the ring.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Walk)]
pub(crate) struct QuestionWalk {
    /// Counts the questions of this gateway since it was started.
    number: u64,
    /// When it ended, in milliseconds since the Unix epoch, by this node's clock.
    at: u64,
    /// The decision's id; null where there is none.
    decision: Option<String>,
    /// Index of its entry; null where it was not recorded.
    entry: Option<u64>,
    /// Queries that were decided together.
    queries: usize,
    /// Each leg, in order.
    legs: Vec<WalkedLeg>,
    /// Copies that failed.
    named: Vec<NamedCopy>,
    /// Why there is no answer: the type of the problem that the client was told. Null where there is one.
    failed: Option<&'static str>,
    /// Where the time went.
    took: TimesTaken,
}

/// A leg of a decision.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = WalkedLeg)]
struct WalkedLeg {
    /// First block.
    first: u32,
    /// Last block.
    last: u32,
    /// Public key of the host whose outputs went on.
    host: String,
    /// Hosts that validated them by computing the same.
    validated_by: Vec<String>,
    /// The check that the host states: none, load, run, auto or compute.
    check: String,
    /// How many of the leg's parts were covered how, in the receipts' words.
    covered: BTreeMap<String, usize>,
}

/// Milliseconds of the steps of a question.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = Took)]
pub(crate) struct TimesTaken {
    /// Until its body was here and read.
    pub(crate) arriving: f64,
    /// Until the hosts had computed, validated and closed it.
    pub(crate) deciding: f64,
    /// Until its entry was agreed on, and on stable storage here.
    pub(crate) recording: f64,
    /// Until a quorum had cosigned a checkpoint over it, and the certificate was made.
    pub(crate) certifying: f64,
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The newest questions.
#[derive(Debug, Default)]
pub(crate) struct Walks(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    number: u64,
    newest: VecDeque<QuestionWalk>,
}

impl Walks {
    /// A question that was answered, or whose answer could not be recorded.
    pub(crate) fn ended(
        &self,
        closed: &Closed,
        recorded: Result<&RecordedAnswer, &'static str>,
        took: TimesTaken,
    ) {
        self.keep(QuestionWalk {
            decision: Some(closed.decision.id().to_hex()),
            entry: recorded.ok().map(|recorded| recorded.entry),
            queries: closed.outputs.len(),
            legs: legs(&closed.decision),
            named: closed.named.iter().map(NamedCopy::of).collect(),
            failed: recorded.err(),
            ..QuestionWalk::empty(took)
        });
    }

    /// A question to which the hosts have no answer.
    pub(crate) fn failed(&self, why: &'static str, named: Vec<NamedCopy>, took: TimesTaken) {
        self.keep(QuestionWalk { failed: Some(why), named, ..QuestionWalk::empty(took) });
    }

    fn keep(&self, walk: QuestionWalk) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.number += 1;
        let number = kept.number;
        if kept.newest.len() == KEPT {
            kept.newest.pop_front();
        }
        kept.newest.push_back(QuestionWalk { number, ..walk });
    }

    /// The number of the newest, and those after this number, the newest last.
    pub(crate) fn after(&self, number: u64) -> (u64, Vec<QuestionWalk>) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.number, kept.newest.iter().filter(|walk| walk.number > number).cloned().collect())
    }
}

impl QuestionWalk {
    fn empty(took: TimesTaken) -> Self {
        Self {
            number: 0,
            at: now_ms(),
            decision: None,
            entry: None,
            queries: 0,
            legs: Vec::new(),
            named: Vec::new(),
            failed: None,
            took,
        }
    }
}

fn legs(decision: &Decision) -> Vec<WalkedLeg> {
    let leg = |leg: &deepring::receipt::ChainLeg| {
        let receipt = leg.receipt();
        let mut covered = BTreeMap::new();
        for part in receipt.coverage.iter().flatten() {
            *covered.entry(part.to_string()).or_insert(0) += 1;
        }
        WalkedLeg {
            first: receipt.first_block,
            last: receipt.end_block().saturating_sub(1),
            host: receipt.host.to_string(),
            validated_by: leg.validations().iter().map(|v| v.host.to_string()).collect(),
            check: receipt.check.to_string(),
            covered,
        }
    };
    decision.chain().legs().iter().map(leg).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_no_more() {
        let walks = Walks::default();
        for _ in 0..KEPT + 5 {
            walks.failed("disputed", Vec::new(), TimesTaken::default());
        }
        let (newest, all) = walks.after(0);
        assert_eq!(all.len(), KEPT);
        let last = KEPT as u64 + 5;
        assert_eq!((all[0].number, all.last().map(|walk| walk.number)), (6, Some(last)));
        assert_eq!(newest, last);
        assert_eq!(walks.after(last - 1).1.len(), 1);
        assert!(walks.after(last).1.is_empty());
    }
}
