//! A network that is asked: plain, or as a ring under one check.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use deepring::{Check, TensorValue};
use deepring_infer::{PlainModel, Session, Split};

use super::super::workshop::{Subject, Workshop};
use crate::commands::recording::Recorder;
use crate::error::CliError;

/// How a network is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Plain,
    Ring { check: Check, ledger: bool, shadow: bool },
}

impl Way {
    pub(super) fn name(self) -> String {
        match self {
            Self::Plain => "plain".to_owned(),
            Self::Ring { check, shadow: false, .. } => check.to_string(),
            Self::Ring { check, shadow: true, .. } => format!("{check}, shadow"),
        }
    }

    pub(super) fn has_ledger(self) -> bool {
        matches!(self, Self::Ring { ledger: true, .. })
    }
}

/// Loaded and ready.
pub(super) enum Asked {
    Plain(Box<PlainModel>),
    /// With a recorder, every decision is put on a ledger before the answer counts as given.
    Ring(Box<Session>, Option<Box<RefCell<Recorder>>>),
}

/// Where the time of one run went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) split: Split,
    pub(super) ledger: Duration,
}

type Tensors = Vec<Vec<TensorValue>>;

impl Asked {
    pub(super) fn load(
        workshop: &Workshop,
        subject: &Subject,
        threads: NonZeroUsize,
        way: Way,
    ) -> Result<Self, CliError> {
        let Way::Ring { check, ledger, shadow } = way else {
            return Ok(Self::Plain(Box::new(PlainModel::unaltered(
                &subject.model,
                Some(threads),
            )?)));
        };
        let session = workshop.session(&subject.ring, check, Some(threads), shadow)?;
        let recorder = ledger.then(|| record(workshop, &session)).transpose()?;
        Ok(Self::Ring(Box::new(session), recorder.map(|r| Box::new(RefCell::new(r)))))
    }

    /// The answers; a ring also says where the time went.
    pub(super) fn ask(&self, batch: Tensors) -> Result<(Tensors, Option<Spent>), CliError> {
        match self {
            Self::Plain(model) => {
                let answers = batch.iter().map(|query| model.run(query));
                Ok((answers.collect::<Result<_, _>>()?, None))
            }
            Self::Ring(session, recorder) => {
                let count = batch.len();
                let outcome = session.run_batch(batch)?;
                let mut spent = Spent { split: outcome.split, ledger: Duration::ZERO };
                if let Some(recorder) = recorder {
                    let start = Instant::now();
                    recorder.borrow_mut().decision(&outcome.decision, count)?;
                    spent.ledger = start.elapsed();
                }
                Ok((outcome.outputs, Some(spent)))
            }
        }
    }
}

/// A ledger that knows the session's ring. Rows share one, as one host's would; it grows by an entry a run.
fn record(workshop: &Workshop, session: &Session) -> Result<Recorder, CliError> {
    let mut recorder = Recorder::begin(&workshop.path("ledger"))?;
    recorder.register(session.ring())?;
    Ok(recorder)
}
