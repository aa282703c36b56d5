//! The schedule of terms in the engine's storage, and the votes of which terms lie there.
//!
//! One value, replaced in one piece. The votes of a term are kept until those of a later one are there: a
//! key beside which no votes lie any more is taken for one that forgot them.

use std::num::NonZeroU64;

use commonware_consensus::types::Epoch;
use commonware_runtime::Error as RuntimeError;
use commonware_storage::metadata::{self, Metadata};
use commonware_utils::sequence::U64;
use deepring_ledger::{Entry, ValidatorSet};

use super::docket::DocketDigest;
use super::error::AgreementError;
use super::join::JoinRecord;
use super::schedule::TermSchedule;
use super::wiring::Runtime;

/// Most bytes of a schedule.
pub(crate) const MAX_BYTES: usize = 16 << 20;
const KEY: u64 = 0;

/// The partition in which the votes of a term lie.
pub(crate) fn votes_partition(partition: &str, term: u64) -> String {
    format!("{partition}-votes-{term}")
}

/// See the module.
pub(crate) struct TermStore<E: Runtime> {
    context: E,
    partition: String,
    retained: NonZeroU64,
    schedule: TermSchedule,
    is_new: bool,
    /// Gone after an error, as what is stored is not known then.
    kept: Option<Metadata<E, U64, Vec<u8>>>,
}

impl<E: Runtime> TermStore<E> {
    /// The schedule as it was left; where there is none, the one that the node joins with, or that of a new log, whose first docket this is:
    /// [`begin`](Self::begin) keeps it then.
    pub(crate) async fn open(
        context: E,
        partition: &str,
        founding: &ValidatorSet,
        terms: (NonZeroU64, NonZeroU64),
        first: DocketDigest,
        join: Option<&JoinRecord>,
    ) -> Result<Self, AgreementError> {
        let (heights, retained) = terms;
        let config = metadata::Config {
            partition: format!("{partition}-terms"),
            codec_config: ((0..=MAX_BYTES).into(), ()),
        };
        let kept: Metadata<E, U64, Vec<u8>> =
            Metadata::init(context.child("terms"), config).await.map_err(storage)?;
        let known = kept.get(&U64::new(KEY));
        let known =
            known.map(|bytes| TermSchedule::decode(bytes, founding, heights)).transpose()?;
        // One that was begun before the record came, and got nowhere, is as none.
        let known = known.filter(|known| join.is_none() || known.newest() > Epoch::zero());
        let is_new = known.is_none();
        let schedule = match (known, join) {
            (Some(known), _) => known,
            (None, Some(join)) => join.schedule.clone(),
            (None, None) => TermSchedule::first(founding, heights, first)?,
        };
        let partition = partition.to_owned();
        Ok(Self { context, partition, retained, schedule, is_new, kept: Some(kept) })
    }

    /// Begins a schedule that is new, of an engine that begins, too. `grown` is whether the engine's storage holds dockets
    /// that were agreed on.
    ///
    /// # Errors
    /// [`AgreementError::Terms`] where a schedule is missing beside such dockets: whoever begins with
    /// the first term then could vote in it a second time.
    pub(crate) async fn begin(&mut self, grown: bool) -> Result<(), AgreementError> {
        match self.is_new {
            true if grown => {
                Err(AgreementError::Terms("it is gone, and dockets are there".to_owned()))
            }
            true => self.keep().await,
            false => Ok(()),
        }
    }

    pub(crate) fn schedule(&self) -> &TermSchedule {
        &self.schedule
    }

    /// Takes in the entries of a docket that was finalised in the newest term; returns when that is on stable storage.
    pub(crate) async fn take(&mut self, entries: &[Entry]) -> Result<(), AgreementError> {
        // Each is taken in, also after one that changed something.
        let taken = entries.iter().filter(|entry| self.schedule.take(entry)).count();
        if taken > 0 { self.keep().await } else { Ok(()) }
    }

    /// Goes over to the next term, on stable storage; returns whether another set stands in it.
    pub(crate) async fn enter_next(&mut self, floor: DocketDigest) -> Result<bool, AgreementError> {
        let changed = self.schedule.enter_next(floor, self.retained);
        self.forget_votes().await?;
        self.keep().await?;
        Ok(changed)
    }

    /// Removes the votes of all terms before the newest one that has any. No vote of theirs can
    /// follow: this validator holds the last dockets of those terms.
    async fn forget_votes(&mut self) -> Result<(), AgreementError> {
        let mut newest = None;
        for term in self.schedule.votes().rev() {
            let partition = votes_partition(&self.partition, term);
            match newest {
                None => match self.context.scan(&partition).await {
                    Ok(blobs) if !blobs.is_empty() => newest = Some(term),
                    Ok(_) | Err(RuntimeError::PartitionMissing(_)) => {}
                    Err(e) => return Err(storage(e)),
                },
                Some(_) => match self.context.remove(&partition, None).await {
                    Ok(()) | Err(RuntimeError::PartitionMissing(_)) => {}
                    Err(e) => return Err(storage(e)),
                },
            }
        }
        if let Some(newest) = newest {
            self.schedule.votes_are_kept_from(newest);
        }
        Ok(())
    }

    async fn keep(&mut self) -> Result<(), AgreementError> {
        let gone = || AgreementError::Terms("an earlier write failed".to_owned());
        let kept = self.kept.take().ok_or_else(gone)?;
        let kept = kept.put_sync(U64::new(KEY), self.schedule.encode()).await;
        self.kept = Some(kept.map_err(storage)?);
        Ok(())
    }
}

fn storage(e: impl std::fmt::Display) -> AgreementError {
    AgreementError::Storage(e.to_string())
}
