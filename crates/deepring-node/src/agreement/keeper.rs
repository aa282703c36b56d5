//! The keeper of the ledger: it commits finalised dockets in their order, and cosigns what came of them.
//!
//! A docket is acknowledged to the engine after its entries, its height and the checkpoint over them are
//! on stable storage, in one transaction; the engine delivers at least once, and
//! [`Ledger::append_at`] takes a height once. A cosignature is made after that, so that a validator
//! that loses its memory never has signed what its ledger does not hold.

use std::path::PathBuf;

use deepring::files::replace_file;
use deepring::keys::Node;
use deepring::{Digest, PublicKey, SecretKey};
use deepring_ledger::{Entry, Ledger, LedgerError, ValidatorSet};

use super::cosigning::{Cosigning, Heard, SplitView, Statement, StatementError};
use super::error::AgreementError;
use super::submission::DecisionKey;

/// The result of appending a docket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// The ledger held a later height already.
    Passed,
    /// Its entries begin at this index.
    At(u64),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Keeper {
    ledger: Ledger,
    cosigning: Cosigning,
    /// Where split views are written, for people.
    evidence: Option<PathBuf>,
}

impl Keeper {
    pub(crate) fn new(
        ledger: Ledger,
        node: SecretKey<Node>,
        set: &ValidatorSet,
        evidence: Option<PathBuf>,
    ) -> Result<Self, AgreementError> {
        if ledger.height()?.is_none() && !ledger.is_empty() {
            return Err(AgreementError::LedgerNotEmpty { size: ledger.len() });
        }
        let cosigning = Cosigning::new(node, set)?;
        Ok(Self { ledger, cosigning, evidence })
    }

    /// From now on another set cosigns. What its members say of the newest checkpoint is to be heard:
    /// [`cosign`](Self::cosign).
    pub(crate) fn seat(&mut self, set: &ValidatorSet) -> Result<(), AgreementError> {
        self.cosigning.seat(set)?;
        Ok(())
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The height of the newest docket in the ledger; 0 before the first.
    pub(crate) fn height(&self) -> Result<u64, LedgerError> {
        Ok(self.ledger.height()?.unwrap_or(0))
    }

    /// Appends a docket's entries at its height.
    pub(crate) fn append(
        &mut self,
        height: u64,
        entries: &[Entry],
    ) -> Result<Appended, AgreementError> {
        let known = self.height()?;
        if height < known {
            return Ok(Appended::Passed);
        }
        if height > known + 1 {
            return Err(AgreementError::Gap { known, height });
        }
        let count = entries.len() as u64;
        // Where it is there already, it is at the end, or it is another docket.
        let first = match height == known {
            true => self.ledger.len().saturating_sub(count),
            false => self.ledger.len(),
        };
        self.ledger.append_at(height, first, entries)?;
        Ok(Appended::At(first))
    }

    /// Which of these decisions an entry below this index records.
    pub(crate) fn recorded(
        &self,
        ask: &[DecisionKey],
        below: u64,
    ) -> Result<Vec<DecisionKey>, LedgerError> {
        let mut recorded = Vec::new();
        for decided in ask {
            let (ring, id) = (Digest(decided.ring_digest), Digest(decided.id));
            let count = usize::try_from(decided.count).unwrap_or(usize::MAX);
            if self.ledger.find_decided(&ring, &id, count)?.is_some_and(|index| index < below) {
                recorded.push(*decided);
            }
        }
        Ok(recorded)
    }

    /// Cosigns the newest checkpoint, and says what that and what others said before come to.
    pub(crate) fn cosign(&mut self, now: u64) -> Result<Vec<Heard>, AgreementError> {
        Ok(self.cosigning.grown(self.ledger.checkpoint(), now)?)
    }

    /// The statement of this validator to the others.
    pub(crate) fn statement(&self) -> Option<&Statement> {
        self.cosigning.newest()
    }

    /// Takes in another validator's statement.
    pub(crate) fn receive(
        &mut self,
        from: &PublicKey<Node>,
        bytes: &[u8],
    ) -> Result<Heard, StatementError> {
        self.cosigning.receive(from, bytes)
    }

    /// Keeps what a quorum cosigned with the newest checkpoint. Of an older one nothing is kept: the
    /// ledger has grown since, and the next is being cosigned.
    pub(crate) fn keep(
        &mut self,
        certified: &deepring_ledger::witness::CosignedCheckpoint,
    ) -> Result<(), AgreementError> {
        match self.ledger.keep_cosignatures(certified) {
            Err(LedgerError::NotTheNewest { .. }) => Ok(()),
            kept => Ok(kept?),
        }
    }

    /// Writes both notes of a split view, where there is a place for them.
    pub(crate) fn keep_split_view(&self, split_view: &SplitView) -> Result<(), AgreementError> {
        let Some(folder) = &self.evidence else { return Ok(()) };
        let name = format!("split_view-{}-{}.txt", split_view.size, split_view.by);
        let path = folder.join(name);
        let text = format!("{}\n\n{}", split_view.mine, split_view.theirs);
        replace_file(&path, text.as_bytes())
            .map_err(|source| AgreementError::Evidence { path, source })
    }
}
