//! Problems, which a client is told where there is no answer: documents of RFC 9457, whose `type` scripts can rely on.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use deepring_infer::RunError;
use deepring_infer::participant::{NotAccepted, WhyFailed};
use serde::Serialize;
use utoipa::ToSchema;

use crate::certifying::CertifyError;
use crate::hosting::QueryError;

/// The word for a problem, which stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProblemType {
    /// The request is not one that is understood here.
    BadRequest,
    /// The inputs are none that the network takes.
    Input,
    /// There is no key, or a wrong one.
    Unauthorised,
    /// The client asks more often than it may.
    TooMany,
    /// Too much is under way; ask again.
    Busy,
    /// Hosts contradict each other, and there is no common result.
    Disputed,
    /// Too few hosts answered.
    HostsAbsent,
    /// The hosts cannot answer these inputs.
    Rejected,
    /// The query took longer than it is given.
    TimeOver,
    /// There was an answer, and it could not be recorded: it is not given out.
    NotRecorded,
    /// This node does not answer.
    Stopped,
}

/// A document of type `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// The word.
    #[serde(rename = "type")]
    kind: ProblemType,
    /// The meaning of the word.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// The reason why this request has no answer.
    detail: String,
    /// Seconds after which asking again makes sense.
    #[serde(skip)]
    retry: Option<u64>,
}

impl ProblemType {
    /// The word, as clients are told it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Input => "input",
            Self::Unauthorised => "unauthorised",
            Self::TooMany => "too-many",
            Self::Busy => "busy",
            Self::Disputed => "disputed",
            Self::HostsAbsent => "hosts-absent",
            Self::Rejected => "rejected",
            Self::TimeOver => "time-over",
            Self::NotRecorded => "not-recorded",
            Self::Stopped => "stopped",
        }
    }
}

impl Problem {
    pub(crate) fn kind(&self) -> ProblemType {
        self.kind
    }

    pub(crate) fn new(kind: ProblemType, status: StatusCode, detail: impl ToString) -> Self {
        let title = match kind {
            ProblemType::BadRequest => "the request is not understood",
            ProblemType::Input => "the network does not take these inputs",
            ProblemType::Unauthorised => "a key is needed",
            ProblemType::TooMany => "too many requests",
            ProblemType::Busy => "too much is under way",
            ProblemType::Disputed => "hosts contradict each other, and there is no common result",
            ProblemType::HostsAbsent => "too few hosts answered",
            ProblemType::Rejected => "the hosts cannot answer these inputs",
            ProblemType::TimeOver => "the time for the query was over",
            ProblemType::NotRecorded => "the answer could not be recorded, and is not given out",
            ProblemType::Stopped => "this node does not answer",
        };
        Self { kind, title, status: status.as_u16(), detail: detail.to_string(), retry: None }
    }

    pub(crate) fn bad(detail: impl ToString) -> Self {
        Self::new(ProblemType::BadRequest, StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn input(detail: impl ToString) -> Self {
        Self::new(ProblemType::Input, StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub(crate) fn too_long(limit: usize) -> Self {
        let detail = format!("a body has {limit} bytes at the most");
        Self::new(ProblemType::BadRequest, StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    pub(crate) fn not_there(detail: impl ToString) -> Self {
        Self::new(ProblemType::BadRequest, StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn long_head(limit: usize) -> Self {
        let detail = format!("a request's head has {limit} bytes at the most");
        Self::new(ProblemType::BadRequest, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    }

    pub(crate) fn unknown_type() -> Self {
        let detail =
            "a body is of type application/json, application/x-npy, image/png or image/jpeg";
        Self::new(ProblemType::BadRequest, StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    pub(crate) fn unauthorised() -> Self {
        let detail = "give a key of this gateway as `Authorization: Bearer KEY`";
        Self::new(ProblemType::Unauthorised, StatusCode::UNAUTHORIZED, detail)
    }

    /// The client is to wait for so many seconds.
    pub(crate) fn too_many(seconds: u64) -> Self {
        let detail = "more requests a second than a client may make";
        let problem = Self::new(ProblemType::TooMany, StatusCode::TOO_MANY_REQUESTS, detail);
        Self { retry: Some(seconds), ..problem }
    }

    /// The client has so many requests under way.
    pub(crate) fn too_many_at_a_time(share: usize) -> Self {
        let detail = format!("one client has {share} requests under way at the most");
        let problem = Self::new(ProblemType::TooMany, StatusCode::TOO_MANY_REQUESTS, detail);
        Self { retry: Some(1), ..problem }
    }

    pub(crate) fn busy(detail: impl ToString) -> Self {
        let problem = Self::unavailable(ProblemType::Busy, detail);
        Self { retry: Some(1), ..problem }
    }

    pub(crate) fn time_over(detail: impl ToString) -> Self {
        Self::new(ProblemType::TimeOver, StatusCode::GATEWAY_TIMEOUT, detail)
    }

    pub(crate) fn not_recorded(detail: impl ToString) -> Self {
        Self::unavailable(ProblemType::NotRecorded, detail)
    }

    pub(crate) fn stopped(detail: impl ToString) -> Self {
        Self::unavailable(ProblemType::Stopped, detail)
    }

    fn unavailable(kind: ProblemType, detail: impl ToString) -> Self {
        Self::new(kind, StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    fn rejected(detail: impl ToString) -> Self {
        Self::new(ProblemType::Rejected, StatusCode::UNPROCESSABLE_ENTITY, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let (kind, retry) = (self.kind, self.retry);
        let text = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if kind == ProblemType::Unauthorised {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<QueryError> for Problem {
    fn from(e: QueryError) -> Self {
        match e {
            QueryError::NotAccepted(NotAccepted::Shapes(e)) => Self::input(e),
            QueryError::NotAccepted(
                e @ (NotAccepted::LongBatch { .. } | NotAccepted::TooLong { .. }),
            ) => Self::input(e),
            QueryError::NotAccepted(e @ NotAccepted::Full { .. }) => Self::busy(e),
            QueryError::Run(RunError::Input(e)) => Self::input(e),
            QueryError::Run(e @ RunError::Rejected(_)) => Self::rejected(e),
            QueryError::Failed { ref why, .. } => match why {
                WhyFailed::Disputed { .. } => {
                    Self::new(ProblemType::Disputed, StatusCode::BAD_GATEWAY, e)
                }
                WhyFailed::TooFew { .. } => {
                    let problem = Self::unavailable(ProblemType::HostsAbsent, e);
                    Self { retry: Some(1), ..problem }
                }
                WhyFailed::Rejected { .. } => Self::rejected(e),
                WhyFailed::OutOfPatience => Self::time_over(e),
                WhyFailed::ClosedElsewhere(_) | WhyFailed::CannotClose(_) => Self::not_recorded(e),
                _ => Self::stopped(e),
            },
            QueryError::ZeroNonce => Self::bad(e),
            QueryError::Busy => Self::busy(e),
            e => Self::stopped(e),
        }
    }
}

impl From<CertifyError> for Problem {
    fn from(e: CertifyError) -> Self {
        Self::not_recorded(e)
    }
}
