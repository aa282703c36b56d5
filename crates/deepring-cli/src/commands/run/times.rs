//! Where the time of a run went.

use std::time::Duration;

use deepring_infer::measure::Timings;
use deepring_measure::{Quantiles, milliseconds};
use serde_json::{Value, json};

/// RunTimes of a session's queries.
pub(super) struct RunTimes {
    load: Duration,
    /// Queries that one measurement covers.
    pub(super) batch: usize,
    pub(super) queries: Vec<Duration>,
    timings: Timings,
    pub(super) ledger: Duration,
}

impl RunTimes {
    pub(super) fn new(load: Duration, batch: usize) -> Self {
        let (timings, ledger) = (Timings::default(), Duration::ZERO);
        Self { load, batch: batch.max(1), queries: Vec::new(), timings, ledger }
    }

    pub(super) fn query(&mut self, spent: Duration, timings: Timings) {
        self.queries.push(spent);
        self.timings += timings;
    }

    /// Milliseconds of one query: of a batch, its share.
    pub(super) fn json(&self) -> Value {
        let each = |d: Duration| milliseconds(d) / self.batch as f64;
        let n = self.queries.len();
        let queries = Quantiles::new(self.queries.iter().map(|d| each(*d)));
        let at = |quantile: f64| (n > 0).then(|| queries.at(quantile));
        let share = |d: Duration| each(d) / n.max(1) as f64;
        json!({
            "load_ms": milliseconds(self.load),
            "query_ms": {
                "median": at(0.5),
                "min": at(0.0),
                "max": at(1.0),
                "n": n,
            },
            "split_ms": {
                "engine": share(self.timings.engine),
                "check": share(self.timings.check),
                "receipt": share(self.timings.receipt),
                "ledger": share(self.ledger),
            },
        })
    }
}
