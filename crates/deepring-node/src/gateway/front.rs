//! The guard before every endpoint: who is let in, how often, and how much at a time.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{Extensions, HeaderValue, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use commonware_utils::channel::watch;
use deepring::{Digest, Host, PublicKey};
use deepring_ledger::ValidatorSet;
use futures::FutureExt as _;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::access::{ApiKeys, Caller};
use super::answers::AnswerSource;
use super::decisions::StepTimes;
use super::problem::{Problem, ProblemType};
use super::question::Takes;
use super::rates::{Payer, Rates};
use super::seats::{NoSeat, Seat, Seats};
use super::view::{self, LedgerLook};
use super::walks::Walks;
use super::{Gateway, GatewayError, Health, decisions, openapi, page, pages, tiles, tls};
use crate::agreement::{AgreedLedger, LedgerProgress};
use crate::gateway::GatewaySection;

/// Bodies that are decoded at a time: each takes a processor, and some times its length in memory.
const DECODERS: usize = 2;

/// Most bytes of a request's head, and of what is read ahead.
pub(super) const HEAD_BYTES: usize = 1 << 14;

/// Without an address all are one client.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const DECISIONS: &str = "/v1/decisions";
/// Answers after which a connection is not kept.
const CLOSES: [StatusCode; 3] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// The state that the endpoints share.
pub(crate) struct Front {
    pub(crate) answers: Arc<dyn AnswerSource>,
    pub(crate) takes: Arc<Takes>,
    /// The answer of `/v1/ring`.
    pub(crate) ring: Arc<str>,
    pub(crate) validators: Arc<[u8]>,
    pub(crate) progress: watch::Receiver<LedgerProgress>,
    pub(crate) health: Arc<dyn Fn() -> Health + Send + Sync>,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) tiles: PathBuf,
    /// Asks the ledger.
    pub(crate) look: LedgerLook,
    /// The newest questions.
    pub(crate) walks: Walks,
    /// This node's host.
    pub(crate) host: PublicKey<Host>,
    /// Of the ring's version.
    pub(crate) ring_digest: Digest,
    pub(crate) decoders: Semaphore,
    pub(crate) times: StepTimes,
    /// Most bytes of a body.
    pub(crate) body: usize,
    /// Whether what is given out is for whoever has a key.
    pub(crate) private: bool,
    tls: bool,
    keys: ApiKeys,
    rates: Rates,
    /// Bodies that arrive.
    arriving: Arc<Seats>,
    /// Requests that arrived, and are answered.
    under_way: Arc<Seats>,
    requests: usize,
    share: usize,
    /// Connections of one address.
    pub(super) connections: usize,
}

impl Front {
    /// Answers come from `answers`, and not from what opens queries in `gateway`.
    pub(crate) fn new(
        answers: Arc<dyn AnswerSource>,
        gateway: Gateway,
        section: &GatewaySection,
    ) -> Result<Arc<Self>, GatewayError> {
        let parts = FrontParts {
            ring: pages::ring(&gateway.ring, gateway.recipe.is_some(), &gateway.validators)?,
            takes: Takes {
                inputs: gateway.ring.inputs().to_vec(),
                recipe: gateway.recipe,
                limit: section.body_megabytes << 20,
            },
            progress: gateway.progress,
            health: gateway.health,
            metrics: gateway.metrics,
            validators: gateway.validators,
            tiles: gateway.tiles,
            look: look_at(gateway.ledger),
            host: gateway.host,
            ring_digest: gateway.ring.digest(),
            times: StepTimes::default(),
        };
        Self::of(answers, parts, section)
    }

    /// The same of what it says, for whoever has no ring.
    pub(crate) fn of(
        answers: Arc<dyn AnswerSource>,
        parts: FrontParts,
        section: &GatewaySection,
    ) -> Result<Arc<Self>, GatewayError> {
        let keys = ApiKeys::new(&section.api_keys)?;
        let client_ca = section.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        Ok(Arc::new(Self {
            answers,
            takes: Arc::new(parts.takes),
            ring: parts.ring.into(),
            validators: parts.validators,
            progress: parts.progress,
            health: parts.health,
            metrics: parts.metrics,
            tiles: parts.tiles,
            look: parts.look,
            walks: Walks::default(),
            host: parts.host,
            ring_digest: parts.ring_digest,
            decoders: Semaphore::new(DECODERS),
            times: parts.times,
            body: section.body_megabytes << 20,
            private: keys.are_needed() || client_ca,
            tls: section.tls.is_some(),
            keys,
            rates: Rates::new(section.requests_a_second),
            arriving: Seats::new(section.requests),
            under_way: Seats::new(section.requests),
            requests: section.requests,
            share: section.share_of_requests(),
            connections: section.connections_per_address,
        }))
    }

    /// All endpoints, with what stands before them.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        let tls = self.tls;
        let endpoints = Router::new()
            .route(DECISIONS, post(decisions::decide))
            .route("/v1/ring", get(pages::ring_page))
            .route("/v1/validators", get(pages::validators))
            .route("/v1/ledger", get(pages::ledger))
            .route("/v1/network", get(view::network))
            .route("/v1/entries", get(view::entries))
            .route("/v1/entries/{which}", get(view::entry))
            .route("/ledger/{*path}", get(tiles::tile))
            .route("/health", get(pages::health))
            .route("/ready", get(pages::ready))
            .route("/metrics", get(pages::metrics))
            .route("/openapi.json", get(openapi::page))
            .merge(page::files())
            .fallback(nothing_there)
            .method_not_allowed_fallback(wrong_method)
            .layer(middleware::from_fn_with_state(Arc::clone(&self), guard))
            .layer(CatchPanicLayer::custom(panicked))
            .with_state(self);
        let hsts = tls.then_some((STRICT_TRANSPORT_SECURITY, "max-age=31536000"));
        let kept = [
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            // What may be kept says so itself.
            (CACHE_CONTROL, "no-store"),
        ];
        kept.into_iter().chain(hsts).fold(endpoints, |router, (name, value)| {
            let value = HeaderValue::from_static(value);
            router.layer(SetResponseHeaderLayer::if_not_present(name, value))
        })
    }

    /// Lets a request in, or says why not. What it holds is room for it: none yet where a body is to arrive first.
    fn admit(
        &self,
        request: &mut Request,
        (caller, from): (Caller, IpAddr),
        now: Instant,
    ) -> Result<Option<Seat>, Problem> {
        let path = request.uri().path();
        let open = matches!(path, "/health" | "/ready") || page::is_file(path);
        let decides = path == DECISIONS;
        let payer = match caller {
            // Whatever it shows: here nobody is told whether a key is one.
            _ if open => Payer::watcher(from),
            Caller::Known(key) => Payer::Key(key),
            Caller::Anybody => certificate(request).unwrap_or_else(|| Payer::address(from)),
            // A stranger pays too, but nobody else pays for him: a right key is let in however many wrong ones came from its
            // address, or whoever shares an address could lock others out.
            Caller::Stranger => Payer::address(from),
        };
        self.rates.take(payer, now).map_err(Problem::too_many)?;
        if head_bytes(request) > HEAD_BYTES {
            return Err(Problem::long_head(HEAD_BYTES));
        }
        if open {
            return Ok(None);
        }
        if caller == Caller::Stranger {
            return Err(Problem::unauthorised());
        }
        request.extensions_mut().insert(payer);
        if decides { Ok(None) } else { self.seat(&self.under_way, payer).map(Some) }
    }

    /// Room for a body to arrive. The client holds no room for a decision meanwhile, however slowly it sends.
    pub(crate) fn room_to_arrive(&self, extensions: &Extensions) -> Result<Seat, Problem> {
        self.seat(&self.arriving, payer_of(extensions))
    }

    /// Room for a request that arrived.
    pub(crate) fn room_to_decide(&self, extensions: &Extensions) -> Result<Seat, Problem> {
        self.seat(&self.under_way, payer_of(extensions))
    }

    fn seat(&self, seats: &Arc<Seats>, payer: Payer) -> Result<Seat, Problem> {
        let share = match payer {
            Payer::Key(_) | Payer::Certificate(_) => self.share,
            // Where nobody shows anything, one client is not told from another.
            Payer::Address(_) | Payer::Watcher(_) => self.requests,
        };
        seats.take(payer, share).map_err(|why| match why {
            NoSeat::Full => Problem::busy("as many requests are under way as may be"),
            NoSeat::Share => Problem::too_many_at_a_time(share),
        })
    }
}

/// Who pays for a request that was let in.
fn payer_of(extensions: &Extensions) -> Payer {
    let payer = extensions.get::<Payer>().copied();
    payer.unwrap_or_else(|| Payer::address(NOWHERE))
}

/// The client's own certificate, which the handshake verified.
fn certificate(request: &Request) -> Option<Payer> {
    let own = tls::client_certificate(request.extensions())?;
    Some(Payer::Certificate(*blake3::hash(own).as_bytes()))
}

/// Bytes of what a client decides in a request's head; the library bounds what it buffers, and not to the byte.
fn head_bytes(request: &Request) -> usize {
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let lines = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    lines.fold(path, usize::saturating_add)
}

/// The parts of a front, besides its source of answers.
pub(crate) struct FrontParts {
    pub(crate) takes: Takes,
    pub(crate) ring: String,
    pub(crate) validators: Arc<[u8]>,
    pub(crate) progress: watch::Receiver<LedgerProgress>,
    pub(crate) health: Arc<dyn Fn() -> Health + Send + Sync>,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) tiles: PathBuf,
    pub(crate) look: LedgerLook,
    pub(crate) host: PublicKey<Host>,
    pub(crate) ring_digest: Digest,
    pub(crate) times: StepTimes,
}

/// Questions to a ledger that is agreed on are answered between two dockets.
fn look_at(ledger: AgreedLedger) -> LedgerLook {
    Arc::new(move |question| {
        let ledger = ledger.clone();
        async move {
            let stopped = |_| Problem::stopped("this node is stopping");
            ledger.look(question).await.map_err(stopped)?
        }
        .boxed()
    })
}

/// Name of the log that a validator set in its file keeps.
pub(crate) fn origin_of(validators: &[u8]) -> Result<String, GatewayError> {
    Ok(ValidatorSet::decode_signed(validators)?.origin)
}

async fn guard(
    State(front): State<Arc<Front>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
    let from = from.unwrap_or(NOWHERE);
    let caller = front.keys.caller(request.headers());
    let (begun, endpoint) = (Instant::now(), endpoint(request.uri().path()));
    let mut response = match front.admit(&mut request, (caller, from), begun) {
        Ok(room) => {
            let response = next.run(request).await;
            drop(room);
            response
        }
        Err(problem) => problem.into_response(),
    };
    if caller == Caller::Stranger || CLOSES.contains(&response.status()) {
        // Who shows no key is answered once a connection, and keeps none.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis());
    tracing::debug!(endpoint, status, ms, "answered");
    response
}

/// The endpoint in a word of ours: what else stands in a path is a client's.
fn endpoint(path: &str) -> &'static str {
    const KNOWN: [&str; 10] = [
        DECISIONS,
        "/v1/ring",
        "/v1/validators",
        "/v1/ledger",
        "/v1/network",
        "/v1/entries",
        "/health",
        "/ready",
        "/metrics",
        "/openapi.json",
    ];
    let known = KNOWN.into_iter().find(|known| *known == path);
    let within = |of: &str| path.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'));
    known.unwrap_or(match path {
        _ if page::is_file(path) => "/",
        _ if within("/ledger") => "/ledger",
        _ if within("/v1/entries") => "/v1/entries",
        _ => "none",
    })
}

async fn nothing_there() -> Problem {
    Problem::not_there("nothing is there")
}

async fn wrong_method() -> Problem {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(ProblemType::BadRequest, status, "it is asked by another method")
}

/// The panic's text may hold what a client sent, and goes nowhere but to the hook.
fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    tracing::error!("a request was given up: the gateway is at fault");
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Problem::new(ProblemType::Stopped, status, "the gateway is at fault").into_response()
}

#[cfg(test)]
pub(super) mod tests;
