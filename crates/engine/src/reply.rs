//! A request as it comes in and its answer as it goes out, without HTTP's types of a framework.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use tollgate_auth::{CredentialError, KeyText};
use tollgate_domain::{ErrorKind, Money, RequestId};
use tollgate_providers::AnswerHeaders;
use tollgate_wire::{ErrorBody, error_body};
use uuid::Uuid;

use crate::callers::Caller;
use crate::error::EngineError;
use crate::limits::Rates;
use crate::record::Finish;
use crate::stream::AnswerStream;

/// Who calls, as far as is known.
#[derive(Debug)]
pub enum Identity {
    /// The API key of the request, or why there is none.
    Key(Result<KeyText, CredentialError>),
    /// A caller that [`Callers::authenticate`](crate::Callers::authenticate) has found already:
    /// nothing else can make one.
    Known(Arc<Caller>),
}

/// A request for a model.
pub struct Inbound {
    /// Its id.
    pub request_id: RequestId,
    /// Who calls.
    pub identity: Identity,
    /// Where it comes from, when that is known: some keys may be used from some addresses only.
    pub client_ip: Option<IpAddr>,
    /// The whole body.
    pub body: Bytes,
    /// When it began.
    pub started: Instant,
    /// The W3C `traceparent` to send along.
    pub trace_parent: Option<HeaderValue>,
    /// What to call when it has ended.
    pub finish: Option<Finish>,
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound")
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl Inbound {
    /// Makes a request that begins now.
    #[must_use]
    pub fn new(key: Result<KeyText, CredentialError>, body: Bytes) -> Self {
        Self {
            request_id: RequestId::new(Uuid::now_v7()),
            identity: Identity::Key(key),
            client_ip: None,
            body,
            started: Instant::now(),
            trace_parent: None,
            finish: None,
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// The whole body, JSON unless the provider said otherwise.
    Whole(Bytes),
    /// Server-sent events. Boxed: it holds the state of a whole call.
    Stream(Box<AnswerStream>),
}

/// The answer to a request.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: ReplyBody,
    /// The headers of the provider that answered, to pick from.
    pub upstream_headers: AnswerHeaders,
    /// What is left of the caller's limits.
    pub rates: Rates,
    /// How many upstream calls were made.
    pub attempts: usize,
    /// The provider that answered.
    pub provider: Option<std::sync::Arc<str>>,
    /// What it cost; not known yet for a stream.
    pub cost: Option<Money>,
    /// When it is worth repeating.
    pub retry_after: Option<std::time::Duration>,
    /// Whether a client library should repeat it by itself, where its own rule would be wrong.
    pub should_retry: Option<bool>,
    /// How long providers were waited for.
    pub upstream: std::time::Duration,
}

impl Reply {
    /// Makes the answer that tells of an error, in OpenAI's shape.
    #[must_use]
    pub fn of_error(error: &EngineError) -> Self {
        let body = error_body(&ErrorBody {
            message: &error.message,
            kind: error_type(error.kind),
            param: error.param.as_deref(),
            code: Some(error.code),
        });
        Self {
            status: status_of(error.kind),
            body: ReplyBody::Whole(body),
            upstream_headers: AnswerHeaders::default(),
            rates: Rates::default(),
            attempts: 0,
            provider: None,
            cost: None,
            retry_after: error.retry_after,
            should_retry: (error.kind == ErrorKind::BudgetExceeded).then_some(false),
            upstream: std::time::Duration::ZERO,
        }
    }
}

/// OpenAI's `type` of an error.
const fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::TooLarge => "invalid_request_error",
        ErrorKind::Unauthenticated => "authentication_error",
        ErrorKind::Forbidden => "permission_error",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::BudgetExceeded => "budget_exceeded",
        ErrorKind::Upstream => "provider_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Unavailable => "service_unavailable",
        ErrorKind::Internal => "server_error",
    }
}

/// The status that a kind of error has on every surface.
#[must_use]
pub const fn status_of(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::InvalidRequest => 400,
        ErrorKind::Unauthenticated => 401,
        ErrorKind::BudgetExceeded => 402,
        ErrorKind::Forbidden => 403,
        ErrorKind::NotFound => 404,
        ErrorKind::Conflict => 409,
        ErrorKind::TooLarge => 413,
        ErrorKind::RateLimited => 429,
        ErrorKind::Internal => 500,
        ErrorKind::Upstream => 502,
        ErrorKind::Unavailable => 503,
        ErrorKind::Timeout => 504,
    }
}
