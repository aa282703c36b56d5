//! `POST /v1/decisions`: a question, the answer that the hosts agree on, and the certificate without which it is not given out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use deepring::replication::{CopyFault, FailedCopy};
use deepring_infer::inputs::JsonTensor;
use deepring_infer::participant::Closed;
use futures::StreamExt as _;
use serde::Serialize;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::answers::RecordedAnswer;
use super::front::Front;
use super::problem::Problem;
use super::question::{AskedBatch, BodyKind};
use super::walks::{TimesTaken, milliseconds};
use crate::hosting::QueryError;

/// How long each step of a request may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepTimes {
    /// For a body to arrive.
    pub(crate) body: Duration,
    /// For a query, whatever the host's own patience.
    pub(crate) query: Duration,
    /// For a decision to be agreed on, and cosigned by a quorum.
    pub(crate) recording: Duration,
}

impl Default for StepTimes {
    fn default() -> Self {
        Self {
            body: Duration::from_secs(30),
            query: Duration::from_secs(3600),
            recording: Duration::from_secs(60),
        }
    }
}

/// A file's bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "says what a body is; bytes are written as they are")]
pub(crate) struct FileBytes(Vec<u8>);

/// A tensor: its elements in row-major order, in one list. What JSON has no number for is a text: "NaN", "Infinity", "-Infinity",
/// and any other NaN by its bits, as "NaN:ffc00000".
#[derive(ToSchema)]
#[schema(as = Tensor)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "says how tensors are written; they are written and read elsewhere")]
pub(crate) struct TensorSchema {
    /// Name in the network.
    name: String,
    /// f32, f64, f16, bf16, i8, i16, i32, i64, u8, u16, u32, u64 or bool.
    dtype: String,
    /// Dimensions.
    dims: Vec<u64>,
    /// As many elements as the dimensions' product.
    #[schema(value_type = Vec<serde_json::Value>)]
    data: Vec<f64>,
}

/// Either `inputs` or `batch`.
#[derive(ToSchema)]
#[schema(as = Question)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "says how questions are written; they are read elsewhere")]
pub(crate) struct QuestionSchema {
    /// The inputs of one query.
    inputs: Option<Vec<TensorSchema>>,
    /// The inputs of several queries, which are answered by one decision.
    batch: Option<Vec<Vec<TensorSchema>>>,
    /// 64 hexadecimal digits, not all zero, that the decision answers to: without one, an answer may be an old one.
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    nonce: Option<String>,
}

/// An answer. Nothing of it is to be believed before its certificate is verified, and compared with it.
#[derive(Serialize, ToSchema)]
#[schema(as = Answer)]
pub(crate) struct AnswerBody<'a> {
    /// Id of the decision.
    decision: String,
    /// Index of the ledger's entry that records it.
    entry: u64,
    /// Height of the entry's docket.
    height: u64,
    /// The outputs of each query.
    #[schema(value_type = Vec<Vec<TensorSchema>>)]
    outputs: Vec<Vec<JsonTensor<'a>>>,
    /// Copies that failed, though the others answered.
    named: Vec<NamedCopy>,
    /// The certificate's bytes, in base64: of the decision with its salt.
    certificate: String,
    /// Where else to look.
    links: AnswerLinks,
}

/// A copy of a leg that failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct NamedCopy {
    /// The host's public key.
    host: String,
    /// How: absent, broke-commitment, disputed, outvoted or equivocated.
    fault: &'static str,
}

/// Where else to look, on this gateway.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerLinks {
    ring: &'static str,
    validators: &'static str,
    ledger: &'static str,
    checkpoint: &'static str,
}

const LINKS: AnswerLinks = AnswerLinks {
    ring: "/v1/ring",
    validators: "/v1/validators",
    ledger: "/v1/ledger",
    checkpoint: "/ledger/checkpoint",
};

impl NamedCopy {
    pub(crate) fn of(failed: &FailedCopy) -> Self {
        let fault = match failed.fault {
            CopyFault::Absent => "absent",
            CopyFault::BrokeCommitment => "broke-commitment",
            CopyFault::Disputed(_) => "disputed",
            CopyFault::Outvoted(_) => "outvoted",
            CopyFault::Equivocated(_) => "equivocated",
            _ => "failed",
        };
        Self { host: failed.host.to_string(), fault }
    }
}

/// Ask the network. Beside JSON the body may be one array of NumPy's for a network with one input, or one picture where the ring has a
/// recipe for pictures; the nonce is then in the header Deepring-Nonce, where it may be with JSON, too.
#[utoipa::path(
    post,
    path = "/v1/decisions",
    request_body(
        content(
            (QuestionSchema = "application/json"),
            (FileBytes = "application/x-npy"),
            (FileBytes = "image/png"),
            (FileBytes = "image/jpeg"),
        )
    ),
    params((
        "Deepring-Nonce" = Option<String>, Header, nullable = false, pattern = "^[0-9A-Fa-f]{64}$",
        description = "The nonce, as in JSON; it stands in one place"
    )),
    responses(
        (status = 200, description = "The answer, recorded and certified", body = AnswerBody<'_>),
        (status = 400, description = "bad-request", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "bad-request: the body is too long", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "bad-request: another type of body", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "input, rejected", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "disputed", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy, hosts-absent, not-recorded, stopped", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "time-over", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn decide(
    State(front): State<Arc<Front>>,
    request: Request,
) -> Result<Response, Problem> {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let kind = BodyKind::of(&head.headers)?;
    let arriving = front.room_to_arrive(&head.extensions)?;
    let body = read(body, &head.headers, &front).await?;
    let _room = front.room_to_decide(&head.extensions)?;
    drop(arriving);
    let AskedBatch { batch, nonce } = decode(&front, kind, head.headers, body).await?;
    let mut took = TimesTaken { arriving: milliseconds(began.elapsed()), ..TimesTaken::default() };
    let asked = Instant::now();
    let asking = timeout(front.times.query, front.answers.query(batch, nonce)).await;
    took.deciding = milliseconds(asked.elapsed());
    let closed = match asking {
        Ok(Ok(closed)) => closed,
        Ok(Err(e)) => {
            let named = match &e {
                QueryError::Failed { named, .. } => named.iter().map(NamedCopy::of).collect(),
                _ => Vec::new(),
            };
            let problem = Problem::from(e);
            front.walks.failed(problem.kind().word(), named, took);
            return Err(problem);
        }
        Err(_) => {
            let problem = Problem::time_over("the hosts took too long");
            front.walks.failed(problem.kind().word(), Vec::new(), took);
            return Err(problem);
        }
    };
    let recorded = record(&front, &closed, took).await?;
    answer(&closed, &recorded)
}

/// Has an answer recorded, and remembers how long that took.
async fn record(
    front: &Front,
    closed: &Closed,
    mut took: TimesTaken,
) -> Result<RecordedAnswer, Problem> {
    let begun = Instant::now();
    let recording = timeout(front.times.recording, front.answers.record(&closed.decision)).await;
    let over = milliseconds(begun.elapsed());
    let problem = match recording {
        Ok(Ok(recorded)) => {
            took.recording = milliseconds(recorded.committing);
            took.certifying = over - took.recording;
            front.walks.ended(closed, Ok(&recorded), took);
            return Ok(recorded);
        }
        Ok(Err(e)) => {
            tracing::warn!(decision = %closed.decision.id(), error = %e, "an answer is not given out");
            e.into()
        }
        Err(_) => {
            tracing::warn!(decision = %closed.decision.id(), "an answer is not given out: no quorum cosigned it in time");
            Problem::not_recorded("no quorum of validators cosigned it in time")
        }
    };
    took.recording = over;
    front.walks.ended(closed, Err(problem.kind().word()), took);
    Err(problem)
}

fn answer(closed: &Closed, recorded: &RecordedAnswer) -> Result<Response, Problem> {
    let body = AnswerBody {
        decision: closed.decision.id().to_hex(),
        entry: recorded.entry,
        height: recorded.height,
        outputs: closed.outputs.iter().map(|q| q.iter().map(JsonTensor).collect()).collect(),
        named: closed.named.iter().map(NamedCopy::of).collect(),
        certificate: BASE64_STANDARD.encode(&recorded.certificate),
        links: LINKS,
    };
    let text =
        serde_json::to_vec(&body).map_err(|_| Problem::stopped("no document can be made"))?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], text).into_response())
}

/// The whole body. One that says that it is too long is not read.
async fn read(body: Body, headers: &HeaderMap, front: &Front) -> Result<Vec<u8>, Problem> {
    let limit = front.body;
    let said =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|length| length > limit as u64) {
        return Err(Problem::too_long(limit));
    }
    match timeout(front.times.body, within(body, limit)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(Problem::bad("the body took too long to arrive")),
    }
}

/// Reads a body up to its end; that it is too long and that it breaks off are two things.
async fn within(body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let (mut arriving, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(chunk) = arriving.next().await {
        let chunk =
            chunk.map_err(|_| Problem::bad("the body is broken, or ends before its end"))?;
        if chunk.len() > limit.saturating_sub(bytes.len()) {
            return Err(Problem::too_long(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Off the threads that serve others, and of so many bodies at a time.
async fn decode(
    front: &Arc<Front>,
    kind: BodyKind,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<AskedBatch, Problem> {
    let stopped = || Problem::stopped("this node is stopping");
    let _room = front.decoders.acquire().await.map_err(|_| stopped())?;
    let takes = Arc::clone(&front.takes);
    spawn_blocking(move || takes.decode(kind, &headers, &body)).await.map_err(|_| stopped())?
}
