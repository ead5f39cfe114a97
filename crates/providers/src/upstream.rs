//! What a provider is to the rest: something that answers a call.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::headers::AnswerHeaders;

/// What is asked of a provider. The body is in the dialect that the provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// OpenAI's `chat/completions`.
    ChatCompletions,
    /// OpenAI's `embeddings`.
    Embeddings,
}

/// One call to a provider.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// What is asked.
    pub endpoint: Endpoint,
    /// The JSON body.
    pub body: Bytes,
    /// Whether the answer is asked for as server-sent events.
    pub is_stream: bool,
    /// The W3C `traceparent` to send along.
    pub trace_parent: Option<HeaderValue>,
    /// By when the answer must be there: a whole one to its end, a stream to its head.
    pub deadline: Instant,
}

/// The chunks of an answer as they arrive. Dropping it cancels the call.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamError>> + Send>>;

/// The body of an answer.
pub enum AnswerBody {
    /// The whole body.
    Whole(Bytes),
    /// The body as it arrives: server-sent events.
    Stream(ByteStream),
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(body) => f.debug_tuple("Whole").field(&body.len()).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// What a provider answered, whatever its status.
#[derive(Debug)]
pub struct UpstreamAnswer {
    /// The status.
    pub status: StatusCode,
    /// Those of its headers that are of use.
    pub headers: AnswerHeaders,
    /// The body.
    pub body: AnswerBody,
}

/// A part of a call that has its own deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Until a connection is there.
    Connect,
    /// Until the head of the answer is there; for a stream, until its first byte.
    FirstByte,
    /// Between two chunks of a body.
    Idle,
    /// From the beginning to the end.
    Total,
}

/// Why a provider gave no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection could be made: the call was certainly not processed.
    #[error("could not connect")]
    Connect(#[source] std::io::Error),
    /// A deadline passed.
    #[error("no answer in time ({0:?})")]
    Timeout(Phase),
    /// The connection broke off before the answer was whole.
    #[error("the connection broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is larger than is accepted.
    #[error("the answer is larger than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The provider has no room for the call right now.
    #[error("the provider is busy")]
    Busy {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The provider cannot work, and what to do about it, for the operator.
    #[error("the provider is not ready: {advice}")]
    NotReady {
        /// What to do.
        advice: String,
    },
}

/// Whether a provider can work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As far as is known.
    Ready,
    /// Not yet, for example because a model is being loaded.
    Starting,
    /// No; what to do about it.
    Failed {
        /// What to do.
        advice: String,
    },
}

/// The answer to come.
pub type CallFuture<'a> =
    Pin<Box<dyn Future<Output = Result<UpstreamAnswer, UpstreamError>> + Send + 'a>>;

/// Something that answers calls: a provider over HTTP, or a model in the process.
pub trait Upstream: Send + Sync + std::fmt::Debug {
    /// Makes one call, and gives up at the request's deadline with
    /// [`Timeout`](UpstreamError::Timeout)`(`[`Phase::Total`]`)`. Dropping the future, or the stream of
    /// its answer, cancels the call.
    fn call(&self, request: UpstreamRequest) -> CallFuture<'_>;

    /// Returns whether calls can succeed, without making one.
    fn health(&self) -> Health {
        Health::Ready
    }
}
