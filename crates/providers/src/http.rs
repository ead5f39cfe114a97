//! A provider over HTTP/1.1: a small client of our own over a pool of connections per worker.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderValue, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::connect::{Connector, Origin, OriginError};
use crate::h1::{BodyDecoder, Connection, Deadline, ExchangeError, Head};
use crate::headers::{AnswerHeader, AnswerHeaders};
use crate::mask::Mask;
use crate::pool::Pool;
use crate::upstream::{
    AnswerBody, CallFuture, Endpoint, Phase, Upstream, UpstreamAnswer, UpstreamError,
    UpstreamRequest,
};

/// How long an idle connection is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(60);

/// How long each part of a call may take, and how much of an answer is accepted.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Until a connection is there.
    pub connect_timeout: Duration,
    /// Until the head of the answer is there.
    pub first_byte_timeout: Duration,
    /// Between two chunks of a body.
    pub idle_timeout: Duration,
    /// The largest JSON answer.
    pub answer_bytes_max: usize,
    /// Idle connections kept per worker.
    pub idle_connections_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            first_byte_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            answer_bytes_max: 64 << 20,
            idle_connections_max: 1_024,
        }
    }
}

/// A provider that speaks the OpenAI dialect over HTTP. Make one per server worker.
#[derive(Debug)]
pub struct HttpProvider {
    connector: Connector,
    pool: Arc<Pool>,
    heads: Heads,
    mask: Mask,
    limits: HttpLimits,
}

impl HttpProvider {
    /// Makes a provider at a base URL such as `https://api.openai.com/v1`.
    ///
    /// `api_key` is sent as a bearer token, to this origin only; `tasks` owns what goes on beside
    /// the calls.
    ///
    /// # Errors
    /// When the URL or the key cannot be used.
    pub fn new(
        base_url: &str,
        api_key: Option<&SecretString>,
        limits: HttpLimits,
        tasks: TaskTracker,
    ) -> Result<Self, OriginError> {
        let (origin, path) = Origin::parse(base_url)?;
        let heads = Heads::new(&origin, &path, api_key)?;
        let pool = Pool::new(limits.idle_connections_max, IDLE_CONNECTION, tasks);
        Ok(Self {
            connector: Connector::new(origin)?,
            pool: Arc::new(pool),
            heads,
            mask: Mask::new(api_key),
            limits,
        })
    }

    async fn connect(&self, total: Instant) -> Result<Connection, UpstreamError> {
        let limit = Instant::now() + self.limits.connect_timeout;
        let Deadline { at, phase } = deadline(Phase::Connect, limit, total);
        match timeout_at(at, self.connector.connect()).await {
            Ok(Ok(io)) => Ok(Connection::new(io)),
            Ok(Err(error)) => Err(UpstreamError::Connect(error)),
            Err(_) => Err(UpstreamError::Timeout(phase)),
        }
    }

    /// Sends the request, on another connection when a pooled one turns out to be closed before
    /// anything was written to it.
    async fn send(&self, request: &UpstreamRequest) -> Result<(Head, Connection), UpstreamError> {
        let head = self.heads.of(request);
        loop {
            let mut now = Instant::now();
            let (mut connection, is_reused) = match self.pool.take(now) {
                Some(connection) => (connection, true),
                None => {
                    let connection = self.connect(request.deadline).await?;
                    now = Instant::now();
                    (connection, false)
                }
            };
            let limit = now + self.limits.first_byte_timeout;
            let deadline = deadline(Phase::FirstByte, limit, request.deadline);
            match connection.exchange(&head, &request.body, deadline).await {
                Ok(head) => return Ok((head, connection)),
                Err(ExchangeError::Unsent(_)) if is_reused => {}
                Err(ExchangeError::Unsent(error)) => {
                    return Err(UpstreamError::Broken(Box::new(error)));
                }
                Err(ExchangeError::Failed(error)) => return Err(error),
            }
        }
    }

    /// Reads a body to its end.
    async fn collect(
        &self,
        connection: &mut Connection,
        decoder: &mut BodyDecoder,
        total: Instant,
    ) -> Result<Bytes, UpstreamError> {
        let bytes_max = self.limits.answer_bytes_max;
        let too_large = || UpstreamError::TooLarge { bytes_max };
        let idle = || {
            deadline(
                Phase::Idle,
                Instant::now() + self.limits.idle_timeout,
                total,
            )
        };
        if let Some(length) = decoder.remaining() {
            let length = usize::try_from(length).ok().filter(|n| *n <= bytes_max);
            let length = length.ok_or_else(too_large)?;
            return connection.take(length, idle).await;
        }
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        loop {
            let idle = idle();
            let next = std::future::poll_fn(|cx| connection.poll_body(cx, decoder, idle));
            let Some(data) = next.await? else { break };
            if first.len().max(whole.len()) + data.len() > bytes_max {
                return Err(too_large());
            }
            if first.is_empty() {
                first = data;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
        Ok(if whole.is_empty() {
            first
        } else {
            whole.freeze()
        })
    }

    async fn answer(&self, request: &UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> {
        let (head, mut connection) = self.send(request).await?;
        let Head {
            status,
            headers,
            framing,
            is_reusable,
        } = head;
        let mut decoder = BodyDecoder::new(framing);
        // Only an answer that is a stream is streamed: whole ones are cheaper, and can be checked
        // before the client sees their first byte.
        let body = if request.is_stream && status.is_success() && is_event_stream(&headers) {
            AnswerBody::Stream(Box::pin(Chunks {
                connection: Some(connection),
                decoder,
                pool: is_reusable.then(|| Arc::clone(&self.pool)),
                idle_timeout: self.limits.idle_timeout,
                heard_at: Instant::now(),
            }))
        } else {
            let total = request.deadline;
            let body = self.collect(&mut connection, &mut decoder, total).await?;
            if is_reusable {
                self.pool.put(connection, Instant::now());
            }
            AnswerBody::Whole(if status.is_success() {
                body
            } else {
                self.mask.apply(body)
            })
        };
        Ok(UpstreamAnswer {
            status,
            headers,
            body,
        })
    }
}

impl Upstream for HttpProvider {
    fn call(&self, request: UpstreamRequest) -> CallFuture<'_> {
        Box::pin(async move { self.answer(&request).await })
    }
}

/// The deadline of a phase, which is not beyond that of the whole.
fn deadline(phase: Phase, at: Instant, total: Instant) -> Deadline {
    if total < at {
        let (at, phase) = (total, Phase::Total);
        Deadline { at, phase }
    } else {
        Deadline { at, phase }
    }
}

fn is_event_stream(headers: &AnswerHeaders) -> bool {
    headers
        .get(AnswerHeader::ContentType)
        .is_some_and(|value| value.starts_with(b"text/event-stream"))
}

/// The heads of requests, as far as all of a kind are the same.
struct Heads {
    chat: Vec<u8>,
    embeddings: Vec<u8>,
}

impl std::fmt::Debug for Heads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heads([redacted])")
    }
}

impl Heads {
    fn new(
        origin: &Origin,
        path: &str,
        api_key: Option<&SecretString>,
    ) -> Result<Self, OriginError> {
        let mut common = format!("host: {}\r\n", origin.host());
        if let Some(key) = api_key {
            let value = format!("Bearer {}", key.expose_secret());
            HeaderValue::from_str(&value)
                .map_err(|_| OriginError::new("the API key has characters no header can hold"))?;
            common.push_str("authorization: ");
            common.push_str(&value);
            common.push_str("\r\n");
        }
        common.push_str(concat!(
            "content-type: application/json\r\nuser-agent: tollgate/",
            env!("CARGO_PKG_VERSION"),
            "\r\n"
        ));
        let head = |tail: &str| {
            let uri: Uri = format!("{path}{tail}")
                .parse()
                .map_err(|_| OriginError::new("the path is not valid"))?;
            Ok(format!("POST {uri} HTTP/1.1\r\n{common}").into_bytes())
        };
        Ok(Self {
            chat: head("/chat/completions")?,
            embeddings: head("/embeddings")?,
        })
    }

    fn of(&self, request: &UpstreamRequest) -> Vec<u8> {
        let common = match request.endpoint {
            Endpoint::ChatCompletions => &self.chat,
            Endpoint::Embeddings => &self.embeddings,
        };
        let mut head = Vec::with_capacity(common.len() + 192);
        head.extend_from_slice(common);
        head.extend_from_slice(if request.is_stream {
            b"accept: text/event-stream\r\n"
        } else {
            b"accept: application/json\r\n"
        });
        if let Some(parent) = &request.trace_parent {
            head.extend_from_slice(b"traceparent: ");
            head.extend_from_slice(parent.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"content-length: ");
        head.extend_from_slice(itoa::Buffer::new().format(request.body.len()).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        head
    }
}

/// A body as it arrives. Gives its connection back at the end; dropped before, closes it.
struct Chunks {
    connection: Option<Connection>,
    decoder: BodyDecoder,
    /// Where the connection goes, if it can be used again.
    pool: Option<Arc<Pool>>,
    idle_timeout: Duration,
    heard_at: Instant,
}

impl Stream for Chunks {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(connection) = &mut this.connection else {
            return Poll::Ready(None);
        };
        let deadline = Deadline {
            at: this.heard_at + this.idle_timeout,
            phase: Phase::Idle,
        };
        let next = std::task::ready!(connection.poll_body(cx, &mut this.decoder, deadline));
        if let Ok(Some(data)) = next {
            this.heard_at = Instant::now();
            return Poll::Ready(Some(Ok(data)));
        }
        let connection = this.connection.take();
        if let (Ok(None), Some(pool), Some(connection)) = (&next, &this.pool, connection) {
            pool.put(connection, Instant::now());
        }
        Poll::Ready(next.transpose())
    }
}
