//! Data for the page: the network as it is now, what became of the newest questions, and the ledger, entry by entry. As all that a
//! gateway says, it is for looking at; what counts is verified by a certificate, or by the proof that comes with an entry.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use deepring::Digest;
use deepring_ledger::{Ledger, LedgerError};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Health;
use super::entry_page::EntryPage;
use super::front::Front;
use super::pages::{ProgressPage, health_of, progress_of, typed};
use super::problem::Problem;
use super::walks::QuestionWalk;

/// Most entries of one answer.
const ENTRIES: u64 = 64;

/// A question to a ledger.
pub(crate) type LedgerQuestion = Box<dyn FnOnce(&Ledger) -> Result<Vec<u8>, Problem> + Send>;
/// How it is asked.
pub(crate) type LedgerLook =
    Arc<dyn Fn(LedgerQuestion) -> BoxFuture<'static, Result<Vec<u8>, Problem>> + Send + Sync>;

/// The network, as this node sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Network)]
pub(crate) struct NetworkPage {
    /// Public key of this node's host.
    host: String,
    /// Whether this node is fit to answer.
    health: Health,
    /// How far its ledger is.
    ledger: ProgressPage,
    /// Copies of the ring's blocks that must not be used.
    quarantined: Vec<QuarantinedCopy>,
    /// Number of the newest question of this gateway; 0 where nobody has asked since it was started.
    newest_walk: u64,
    /// The newest questions, the newest last.
    walks: Vec<QuestionWalk>,
}

/// One host's copy of a block that must not be used.
#[derive(Serialize, ToSchema)]
pub(crate) struct QuarantinedCopy {
    /// The host.
    host: String,
    /// The block; Genesis is 0.
    block: u32,
    /// Why: its host's `own_alarm`, or `evidence` against it.
    #[schema(value_type = String)]
    cause: deepring_ledger::state::Cause,
    /// Index of the entry that says so.
    entry: u64,
}

/// Which questions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// Those after this number; all that are remembered without it.
    #[param(format = "uint64")]
    walk: Option<u64>,
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryRange {
    /// Those before this index; the newest without it.
    #[param(format = "uint64")]
    before: Option<u64>,
    /// Of so many entries; 64 at the most, and without it.
    #[param(format = "uint64")]
    count: Option<u64>,
}

/// Some entries, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Entries)]
pub(crate) struct EntriesPage {
    /// Entries of the whole ledger.
    size: u64,
    /// Those that were asked for.
    entries: Vec<EntryPage>,
}

/// An entry, and the proof that it is in the ledger.
#[derive(Serialize, ToSchema)]
#[schema(as = ProvenEntry)]
pub(crate) struct ProvenPage {
    entry: EntryPage,
    /// c2sp.org/tlog-proof, with the entry's bytes in it.
    proof: String,
}

/// The network, and the newest questions.
#[utoipa::path(
    get,
    path = "/v1/network",
    params(Since),
    responses(
        (status = 200, description = "As it is now", body = NetworkPage),
        (status = 400, description = "bad-request: not a number", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn network(
    State(front): State<Arc<Front>>,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(since) = since.map_err(not_understood)?;
    let health = health_of(&front).await?;
    let ledger = progress_of(&front);
    let (newest_walk, walks) = front.walks.after(since.walk.unwrap_or(0));
    let (host, ring) = (front.host.to_string(), front.ring_digest);
    let page = move |of: &Ledger| {
        let copy = |copy: deepring_ledger::state::Quarantined| QuarantinedCopy {
            host: copy.host.to_string(),
            block: copy.block,
            cause: copy.cause,
            entry: copy.entry,
        };
        let state = of.state().map_err(unreadable)?;
        let quarantined = state.quarantined(&ring).map(copy).collect();
        as_json(&NetworkPage { host, health, ledger, quarantined, newest_walk, walks })
    };
    looked(&front, Box::new(page)).await
}

/// The ledger's entries, the newest first.
#[utoipa::path(
    get,
    path = "/v1/entries",
    params(EntryRange),
    responses(
        (status = 200, description = "Some of them", body = EntriesPage),
        (status = 400, description = "bad-request: not a number", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn entries(
    State(front): State<Arc<Front>>,
    wanted: Result<Query<EntryRange>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(not_understood)?;
    let page = move |of: &Ledger| {
        let size = of.len();
        let end = wanted.before.unwrap_or(size).min(size);
        let count = wanted.count.unwrap_or(ENTRIES).min(ENTRIES);
        let of_range = of.iter(end.saturating_sub(count)..end);
        let read = of_range.map(|row| row.map(|(index, entry)| EntryPage::of(index, &entry)));
        let mut entries = read.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        entries.reverse();
        as_json(&EntriesPage { size, entries })
    };
    looked(&front, Box::new(page)).await
}

/// An entry, by its index or by the id of the decision that it records, with the proof that it is in the ledger.
#[utoipa::path(
    get,
    path = "/v1/entries/{which}",
    params((
        "which" = String, Path, pattern = "^([0-9]{1,19}|[0-9A-Fa-f]{64})$",
        description = "An index, or the 64 hexadecimal digits of a decision's id"
    )),
    responses(
        (status = 200, description = "The entry", body = ProvenPage),
        (status = 400, description = "bad-request: neither", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "bad-request: there is none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn entry(
    State(front): State<Arc<Front>>,
    Path(which): Path<String>,
) -> Result<Response, Problem> {
    // A number is digits alone: what parses them takes a plus sign, too.
    let digits = which.bytes().all(|b| b.is_ascii_digit());
    let index = digits.then(|| which.parse::<u64>().ok()).flatten();
    let which = match (index, Digest::from_hex(&which)) {
        (_, Some(id)) => Which::Decision(id),
        (Some(index), None) => Which::Index(index),
        (None, None) => {
            return Err(Problem::bad("an entry is asked for by its index, or by a decision's id"));
        }
    };
    let page = move |of: &Ledger| {
        let index = match which {
            Which::Index(index) if index < of.len() => Some(index),
            Which::Index(_) => None,
            Which::Decision(id) => of.find_decision_id(&id).map_err(unreadable)?,
        };
        let index = index.ok_or_else(|| Problem::not_there("the ledger has no such entry"))?;
        let entry = of.entry(index).map_err(unreadable)?;
        let proof = of.prove(index).map_err(unreadable)?.to_string();
        as_json(&ProvenPage { entry: EntryPage::of(index, &entry), proof })
    };
    looked(&front, Box::new(page)).await
}

enum Which {
    Index(u64),
    Decision(Digest),
}

#[allow(clippy::needless_pass_by_value, reason = "it is what fails")]
fn not_understood(e: QueryRejection) -> Problem {
    Problem::bad(format!("what stands behind the path is not understood: {}", e.body_text()))
}

async fn looked(front: &Front, question: LedgerQuestion) -> Result<Response, Problem> {
    let bytes = (front.look)(question).await?;
    Ok((typed("application/json"), bytes).into_response())
}

fn as_json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|_| Problem::stopped("no document can be made"))
}

/// An error of the ledger names files of this machine: who asks is not told.
#[allow(clippy::needless_pass_by_value, reason = "it is what fails")]
fn unreadable(e: LedgerError) -> Problem {
    tracing::warn!(error = %e, "the ledger cannot be read");
    Problem::stopped("the ledger cannot be read")
}
