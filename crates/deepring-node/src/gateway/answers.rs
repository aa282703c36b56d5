//! Where answers come from: a seam, so that what HTTP makes of them is tested without a network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deepring::{AuthenticRing, Decision, Digest};
use deepring_infer::participant::{Batch, Closed};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::certifying::{Certifier, CertifyError};
use crate::hosting::{Asker, QueryError};

/// A decision that is on the ledger.
pub(crate) struct RecordedAnswer {
    /// The bytes of its certificate.
    pub(crate) certificate: Vec<u8>,
    /// Index of its entry.
    pub(crate) entry: u64,
    /// Height of the entry's docket.
    pub(crate) height: u64,
    /// How long it took until it was on stable storage here.
    pub(crate) committing: Duration,
}

/// Asks, and records.
pub(crate) trait AnswerSource: Send + Sync {
    /// As [`Asker::decide`].
    fn query(
        &self,
        batch: Batch,
        nonce: Option<Digest>,
    ) -> BoxFuture<'_, Result<Closed, QueryError>>;

    /// Has the decision recorded, and its certificate made.
    fn record<'a>(
        &'a self,
        decision: &'a Decision,
    ) -> BoxFuture<'a, Result<RecordedAnswer, CertifyError>>;
}

/// Asks a host, and records with a validator.
pub(crate) struct Recording {
    asker: Asker,
    certifier: Certifier,
    ring: Arc<AuthenticRing>,
}

impl Recording {
    pub(crate) fn new(asker: Asker, certifier: Certifier, ring: Arc<AuthenticRing>) -> Self {
        Self { asker, certifier, ring }
    }
}

impl AnswerSource for Recording {
    fn query(
        &self,
        batch: Batch,
        nonce: Option<Digest>,
    ) -> BoxFuture<'_, Result<Closed, QueryError>> {
        self.asker.decide(batch, nonce).boxed()
    }

    fn record<'a>(
        &'a self,
        decision: &'a Decision,
    ) -> BoxFuture<'a, Result<RecordedAnswer, CertifyError>> {
        async move {
            let began = Instant::now();
            let committed = self.certifier.record(decision, self.ring.outline()).await?;
            let committing = began.elapsed();
            let certified = self.certifier.certify(decision, committed).await?;
            Ok(RecordedAnswer {
                certificate: certified.certificate.encode(),
                entry: committed.index,
                height: committed.height,
                committing,
            })
        }
        .boxed()
    }
}
