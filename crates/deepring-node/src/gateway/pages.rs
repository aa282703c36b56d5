//! A gateway's pages about itself, its ring and its ledger.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use deepring::{AuthenticRing, TensorSpec};
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::decisions::FileBytes;
use super::front::{Front, origin_of};
use super::problem::Problem;
use super::{GatewayError, Health};

/// The ring that this gateway asks. A client believes none of it before a certificate says the same.
#[derive(Serialize, ToSchema)]
#[schema(as = Ring)]
pub(crate) struct RingPage<'a> {
    /// Its id.
    ring: String,
    /// Digest of this version.
    digest: String,
    /// Version of the model.
    version: u64,
    /// Public key of its owner.
    owner: String,
    /// Name of the log that records its decisions.
    origin: String,
    /// The network's inputs; a dimension is a number, or a name that each query decides.
    #[schema(value_type = Vec<SpecSchema>)]
    inputs: &'a [TensorSpec],
    /// The network's outputs.
    #[schema(value_type = Vec<SpecSchema>)]
    outputs: &'a [TensorSpec],
    /// Whether a picture can be sent.
    pictures: bool,
    /// Number of its deal.
    deal: u32,
    /// The hosts that open and close queries, in the order in which they step in.
    genesis: Vec<String>,
    /// Its legs.
    legs: Vec<LegPage>,
}

/// The form of a tensor.
#[derive(ToSchema)]
#[schema(as = TensorForm)]
#[allow(dead_code, reason = "says how forms are written; they are written elsewhere")]
pub(crate) struct SpecSchema {
    /// Name in the network.
    name: String,
    /// Element type.
    dtype: String,
    /// Dimensions; null where even their number is unknown before a query.
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    dims: Option<Vec<u64>>,
}

/// Consecutive blocks that the same hosts compute.
#[derive(Serialize, ToSchema)]
#[schema(as = Leg)]
pub(crate) struct LegPage {
    /// First block.
    first: u32,
    /// Last block.
    last: u32,
    /// Public keys of its hosts, in order.
    hosts: Vec<String>,
}

/// How far this node's ledger is.
#[derive(Serialize, ToSchema)]
#[schema(as = Ledger)]
pub(crate) struct ProgressPage {
    /// Height of the newest docket.
    height: u64,
    /// Entries.
    size: u64,
    /// Entries under the newest checkpoint that a quorum of the validators cosigned; null where there is none yet.
    certified: Option<u64>,
    /// Checkpoints that contradict this ledger's.
    split_views: usize,
}

/// Whether this node is fit to answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Ready)]
pub(crate) struct ReadyPage {
    /// All of the below.
    ready: bool,
    /// The conditions that it depends on.
    health: Health,
}

/// The description of a ring, in JSON.
pub(crate) fn ring(
    ring: &AuthenticRing,
    pictures: bool,
    validators: &[u8],
) -> Result<String, GatewayError> {
    let deal = ring.outline().deal();
    let text = |host: &deepring::PublicKey<deepring::Host>| host.to_string();
    let leg = |leg: &deepring::deal::DealtLeg| LegPage {
        first: leg.first,
        last: leg.end.saturating_sub(1),
        hosts: leg.hosts.iter().map(text).collect(),
    };
    let page = RingPage {
        ring: ring.ring_id().to_string(),
        digest: ring.digest().to_hex(),
        version: ring.model_version(),
        owner: ring.owner().to_string(),
        origin: origin_of(validators)?,
        inputs: ring.inputs(),
        outputs: ring.outputs(),
        pictures,
        deal: ring.outline().deal_number(),
        genesis: deal.map_or_else(Vec::new, |deal| deal.genesis.iter().map(text).collect()),
        legs: deal.map_or_else(Vec::new, |deal| deal.legs.iter().map(leg).collect()),
    };
    Ok(serde_json::to_string(&page).unwrap_or_default())
}

pub(crate) fn typed(kind: &'static str) -> [(HeaderName, HeaderValue); 1] {
    [(CONTENT_TYPE, HeaderValue::from_static(kind))]
}

fn json(value: &impl Serialize) -> Result<Response, Problem> {
    let text =
        serde_json::to_vec(value).map_err(|_| Problem::stopped("no document can be made"))?;
    Ok((typed("application/json"), text).into_response())
}

/// The ring that is asked.
#[utoipa::path(get, path = "/v1/ring", responses((status = 200, description = "The ring", body = RingPage<'_>)))]
pub(crate) async fn ring_page(State(front): State<Arc<Front>>) -> Response {
    (typed("application/json"), front.ring.to_string()).into_response()
}

/// The validator set that keeps the ledger, as its owner signed it. Whoever verifies with it got it from somebody whom he trusts,
/// and not from here.
#[utoipa::path(
    get,
    path = "/v1/validators",
    responses((status = 200, description = "An entry of kind 9", body = FileBytes, content_type = "application/octet-stream"))
)]
pub(crate) async fn validators(State(front): State<Arc<Front>>) -> Response {
    let signed = front.progress.borrow().signed_set.clone();
    let signed = signed.unwrap_or_else(|| front.validators.clone());
    (typed("application/octet-stream"), signed.to_vec()).into_response()
}

/// How far the ledger is.
#[utoipa::path(get, path = "/v1/ledger", responses((status = 200, description = "Its progress", body = ProgressPage)))]
pub(crate) async fn ledger(State(front): State<Arc<Front>>) -> Result<Response, Problem> {
    json(&progress_of(&front))
}

pub(crate) fn progress_of(front: &Front) -> ProgressPage {
    let progress = front.progress.borrow();
    ProgressPage {
        height: progress.height,
        size: progress.size,
        certified: progress.certified.as_ref().map(|c| c.checkpoint().size()),
        split_views: progress.split_views.len(),
    }
}

pub(crate) async fn health_of(front: &Front) -> Result<Health, Problem> {
    let health = Arc::clone(&front.health);
    let asked = spawn_blocking(move || health()).await;
    asked.map_err(|_| Problem::stopped("this node is stopping"))
}

/// Whether the process answers at all; needs no key.
#[utoipa::path(
    get,
    path = "/health",
    security(()),
    responses((status = 200, description = "It does", body = String, content_type = "text/plain"))
)]
pub(crate) async fn health() -> Response {
    (typed("text/plain; charset=utf-8"), "up\n").into_response()
}

/// Whether this node is fit to answer; needs no key.
#[utoipa::path(
    get,
    path = "/ready",
    security(()),
    responses(
        (status = 200, description = "It is", body = ReadyPage),
        (status = 503, description = "It is not, and why; stopped", content(
            (ReadyPage = "application/json"),
            (Problem = "application/problem+json"),
        )),
    )
)]
pub(crate) async fn ready(State(front): State<Arc<Front>>) -> Result<Response, Problem> {
    let health = health_of(&front).await?;
    let ready = health.caught_up && health.blocks_open && health.disk_writable;
    let mut response = json(&ReadyPage { ready, health })?;
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

/// Metrics of this node.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, description = "In the format of Prometheus, or OpenMetrics", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    )))
)]
pub(crate) async fn metrics(State(front): State<Arc<Front>>) -> Response {
    let text = (front.metrics)();
    let kind = match text.ends_with("# EOF\n") {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => "text/plain; version=0.0.4; charset=utf-8",
    };
    (typed(kind), text).into_response()
}
