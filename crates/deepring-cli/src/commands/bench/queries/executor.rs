//! The executor of a query: the plain network, or a ring under one check.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use deepring::{Check, TensorValue};
use deepring_infer::measure::{Rehearsal, Timings};
use deepring_infer::{PlainModel, Rten, Session};

use super::super::fixture::{BenchFixture, BenchNetwork};
use super::super::{WARM_UP, timed};
use crate::commands::recording::Recorder;
use crate::error::CliError;

/// How a network is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Plain,
    Ring {
        check: Check,
        ledger: bool,
        background_check: bool,
    },
    /// The least that a check must cost. Nothing is signed.
    Floor {
        check: Check,
        floor: Least,
    },
}

/// The part of a check that is measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Least {
    /// The engine gives out what the check looks at.
    GivenOut,
    /// And the bytes that are due are compared.
    Bytes,
    /// And all that came out is verified in every eighth use: an eighth of what that takes.
    Eighth,
}

impl Least {
    pub(super) const ALL: [Self; 3] = [Self::GivenOut, Self::Bytes, Self::Eighth];
}

impl Variant {
    pub(super) fn name(self) -> String {
        match self {
            Self::Plain => "plain".to_owned(),
            Self::Ring { check, background_check: false, .. } => check.to_string(),
            Self::Ring { check, background_check: true, .. } => format!("{check}, shadow"),
            Self::Floor { check, floor } => match floor {
                Least::GivenOut => format!("{check}: given out"),
                Least::Bytes => format!("{check}: and bytes"),
                Least::Eighth => format!("{check}: and an eighth"),
            },
        }
    }

    pub(super) fn has_ledger(self) -> bool {
        matches!(self, Self::Ring { ledger: true, .. })
    }
}

/// Loaded and ready.
pub(super) enum Executor {
    Plain(Box<PlainModel>),
    /// With a recorder, every decision is put on a ledger before the answer counts as given.
    Ring(Box<Session>, Option<Box<RefCell<Recorder>>>),
    /// A query for each rehearsal.
    Floor {
        session: Box<Session>,
        rehearsed: Vec<Vec<Rehearsal<Rten>>>,
        floor: Least,
    },
}

/// Where the time of one run went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) timings: Timings,
    pub(super) ledger: Duration,
}

type Tensors = Vec<Vec<TensorValue>>;

impl Executor {
    pub(super) fn load(
        fixture: &BenchFixture,
        subject: &BenchNetwork,
        threads: NonZeroUsize,
        variant: Variant,
    ) -> Result<Self, CliError> {
        let session = |check, background_check| -> Result<Box<Session>, CliError> {
            Ok(Box::new(fixture.session(&subject.ring, check, Some(threads), background_check)?))
        };
        Ok(match variant {
            Variant::Plain => {
                Self::Plain(Box::new(PlainModel::unaltered(&subject.model, Some(threads))?))
            }
            Variant::Ring { check, ledger, background_check } => {
                let session = session(check, background_check)?;
                let recorder = ledger.then(|| record(fixture, &session)).transpose()?;
                Self::Ring(session, recorder.map(|r| Box::new(RefCell::new(r))))
            }
            Variant::Floor { check, floor } => {
                let session = session(check, false)?;
                // Until it is known what is cheaper, everything is looked at.
                for _ in 0..WARM_UP {
                    session.run_batch(subject.batch.clone())?;
                }
                let rehearsed = subject.batch.iter().map(|query| session.rehearse(query.clone()));
                let rehearsed = rehearsed.collect::<Result<_, _>>()?;
                Self::Floor { session, rehearsed, floor }
            }
        })
    }

    /// How long the answers took; those of a floor count alone what it is the floor of.
    pub(super) fn took(&self, batch: Tensors) -> Result<(Duration, Option<Spent>), CliError> {
        let Self::Floor { session, rehearsed, floor } = self else {
            let (took, (_, spent)) = timed(|| self.run(batch))?;
            return Ok((took, spent));
        };
        let mut timings = Timings::default();
        for query in rehearsed {
            let alone = session.floor(query)?;
            timings.engine += alone.engine;
            timings.check += if *floor >= Least::Bytes { alone.bytes } else { Duration::ZERO };
            timings.check +=
                if *floor >= Least::Eighth { alone.outputs / 8 } else { Duration::ZERO };
        }
        Ok((timings.engine + timings.check, Some(Spent { timings, ledger: Duration::ZERO })))
    }

    /// The answers; a ring also says where the time went.
    pub(super) fn run(&self, batch: Tensors) -> Result<(Tensors, Option<Spent>), CliError> {
        match self {
            Self::Plain(model) => {
                let answers = batch.iter().map(|query| model.run(query));
                Ok((answers.collect::<Result<_, _>>()?, None))
            }
            Self::Ring(session, recorder) => {
                let outcome = session.run_batch(batch)?;
                let mut spent = Spent { timings: outcome.timings, ledger: Duration::ZERO };
                if let Some(recorder) = recorder {
                    let start = Instant::now();
                    recorder.borrow_mut().decision(&outcome.decision, session.ring().outline())?;
                    spent.ledger = start.elapsed();
                }
                Ok((outcome.outputs, Some(spent)))
            }
            Self::Floor { session, .. } => Ok((session.run_batch(batch)?.outputs, None)),
        }
    }
}

/// A ledger that knows the session's ring. Rows share one, as one host's would; it grows by an entry a run.
fn record(fixture: &BenchFixture, session: &Session) -> Result<Recorder, CliError> {
    let hosts = std::slice::from_ref(fixture.host());
    let mut recorder = Recorder::begin(&fixture.path("ledger"), hosts)?;
    recorder.register(session.ring(), fixture.owner())?;
    Ok(recorder)
}
