//! From an answer to a certificate: the decision goes onto the ledger that validators keep, and when a quorum has cosigned a
//! checkpoint over it, one file shows that offline.

use std::sync::Arc;

use commonware_utils::channel::watch;
use deepring::keys::AuthorKey;
use deepring::outline::AuthenticOutline;
use deepring::receipt::Require;
use deepring::{Decision, Host, SecretKey};
use deepring_ledger::certificate::CertificateError;
use deepring_ledger::entry::EntryError;
use deepring_ledger::{Binding, Certificate, Entry, Event, LedgerError};
use thiserror::Error;

use crate::agreement::{
    AgreedLedger, Committed, LedgerProgress, Lost, Submission, SubmissionError, SubmitError,
};
use crate::clock::now_ms;

/// Why an answer has no certificate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertifyError {
    /// The entry cannot be made.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Nobody could take it.
    #[error(transparent)]
    Submission(#[from] SubmissionError),
    /// This validator does not take it.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// It was taken, and will not be committed.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// It is committed, and the certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The validator has stopped.
    #[error("this validator has stopped")]
    Stopped,
}

/// Records decisions of one ring in the name of a host of its Genesis.
#[derive(Debug, Clone)]
pub struct Certifier {
    ledger: AgreedLedger,
    key: SecretKey<Host>,
    origin: Arc<str>,
}

/// A decision on the ledger, under a checkpoint that a quorum cosigned.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate, of the decision as it was given: with its salt, where it has one.
    pub certificate: Certificate,
    /// Where the ledger holds the entry.
    pub committed: Committed,
}

impl Certifier {
    /// Records with this validator, on the log of this name, as this host.
    #[must_use]
    pub fn new(ledger: AgreedLedger, key: SecretKey<Host>, origin: &str) -> Self {
        Self { ledger, key, origin: origin.into() }
    }

    /// Has a decision recorded; returns when its entry is on stable storage here. Of one that another host of Genesis recorded before, it
    /// returns that.
    ///
    /// # Errors
    /// [`CertifyError`].
    pub async fn record(
        &self,
        decision: &Decision,
        outline: &AuthenticOutline,
    ) -> Result<Committed, CertifyError> {
        let event = Event::decided(decision, outline);
        let key: AuthorKey = self.key.clone().into();
        let entry = Entry::sign(Binding::new(&self.origin, 0), now_ms(), &event, &key)?;
        let submitted = self.ledger.submit(Submission::decided(&entry, decision)?).await;
        let lost = match submitted {
            Ok(ticket) => match ticket.committed().await {
                Ok(committed) => return Ok(committed),
                Err(e) => CertifyError::from(e),
            },
            Err(e) => e.into(),
        };
        // Another host of Genesis may have recorded it: then it is there.
        self.recorded(decision).await?.ok_or(lost)
    }

    /// Where the ledger holds a decision already; the height is that of the look.
    async fn recorded(&self, decision: &Decision) -> Result<Option<Committed>, CertifyError> {
        let sought = decision.clone();
        let looked = self.ledger.look(move |ledger| {
            let height = ledger.height()?.unwrap_or(0);
            Ok::<_, LedgerError>((ledger.find_decision(&sought)?, height, ledger.len()))
        });
        let (index, height, size) = looked.await?.map_err(CertifyError::Ledger)?;
        Ok(index.map(|index| Committed { index, height, size }))
    }

    /// The certificate of a decision that was recorded at this index: waits until a quorum has cosigned a checkpoint over it.
    ///
    /// # Errors
    /// [`CertifyError`].
    pub async fn certify(
        &self,
        decision: &Decision,
        committed: Committed,
    ) -> Result<Certified, CertifyError> {
        let checkpoint = cosigned_over(self.ledger.subscribe(), committed.index).await?;
        let decision = decision.clone();
        let made = self.ledger.look(move |ledger| {
            Certificate::make_under(&decision, ledger, checkpoint.checkpoint(), Require::AsDealt)
        });
        Ok(Certified { certificate: made.await??, committed })
    }
}

/// The first checkpoint over an entry that a quorum cosigned, as this validator hears of it.
async fn cosigned_over(
    mut progress: watch::Receiver<LedgerProgress>,
    index: u64,
) -> Result<Arc<deepring_ledger::witness::CosignedCheckpoint>, CertifyError> {
    let over = |progress: &LedgerProgress| {
        progress.certified.as_ref().is_some_and(|c| c.checkpoint().size() > index)
    };
    let found = progress.wait_for(over).await.map_err(|_| CertifyError::Stopped)?;
    found.certified.clone().ok_or(CertifyError::Stopped)
}
