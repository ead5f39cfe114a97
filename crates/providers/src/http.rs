//! A provider over HTTP/1.1: hyper's connection-level client under a small pool of our own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use tokio::time::{Sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::connect::{Connector, Origin, OriginError};
use crate::pool::{Pool, Sender};
use crate::upstream::{
    AnswerBody, CallFuture, Endpoint, Phase, Upstream, UpstreamAnswer, UpstreamError,
    UpstreamRequest,
};

const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

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
    chat: Uri,
    embeddings: Uri,
    headers: HeaderMap,
    limits: HttpLimits,
    tasks: TaskTracker,
}

impl HttpProvider {
    /// Makes a provider at a base URL such as `https://api.openai.com/v1`.
    ///
    /// `api_key` is sent as a bearer token, to this origin only; `tasks` owns the connections.
    ///
    /// # Errors
    /// When the URL or the key cannot be used.
    pub fn new(
        base_url: &str,
        api_key: Option<&secrecy::SecretString>,
        limits: HttpLimits,
        tasks: TaskTracker,
    ) -> Result<Self, OriginError> {
        let (origin, path) = Origin::parse(base_url)?;
        let uri = |tail: &str| {
            format!("{path}{tail}")
                .parse()
                .map_err(|_| OriginError::new("the path is not valid"))
        };
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(HOST, origin.host_header()?);
        if let Some(key) = api_key {
            let mut value = HeaderValue::from_str(&format!(
                "Bearer {}",
                secrecy::ExposeSecret::expose_secret(key)
            ))
            .map_err(|_| OriginError::new("the API key has characters no header can hold"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
        );
        Ok(Self {
            chat: uri("/chat/completions")?,
            embeddings: uri("/embeddings")?,
            connector: Connector::new(origin)?,
            pool: Arc::new(Pool::new(
                limits.idle_connections_max,
                Duration::from_secs(60),
            )),
            headers,
            limits,
            tasks,
        })
    }

    fn head(&self, request: &UpstreamRequest) -> Request<Full<Bytes>> {
        let mut head = Request::new(Full::new(request.body.clone()));
        *head.method_mut() = Method::POST;
        *head.uri_mut() = match request.endpoint {
            Endpoint::ChatCompletions => self.chat.clone(),
            Endpoint::Embeddings => self.embeddings.clone(),
        };
        let mut headers = self.headers.clone();
        let accept = if request.is_stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(parent) = &request.trace_parent {
            headers.insert(TRACE_PARENT, parent.clone());
        }
        *head.headers_mut() = headers;
        head
    }

    async fn connect(&self) -> Result<Sender, UpstreamError> {
        match timeout(
            self.limits.connect_timeout,
            self.connector.connect(&self.tasks),
        )
        .await
        {
            Ok(connected) => connected.map_err(UpstreamError::Connect),
            Err(_) => Err(UpstreamError::Timeout(Phase::Connect)),
        }
    }

    /// Sends the request, on another connection when a pooled one turns out to be closed before
    /// anything was written to it.
    async fn send(
        &self,
        request: &UpstreamRequest,
    ) -> Result<(Response<Incoming>, Sender), UpstreamError> {
        let mut head = self.head(request);
        loop {
            let (mut sender, is_reused) = match self.pool.take() {
                Some(sender) => (sender, true),
                None => (self.connect().await?, false),
            };
            if sender.ready().await.is_err() {
                if is_reused {
                    continue;
                }
                return Err(broken("the connection closed before it was used"));
            }
            let sent = timeout(
                self.limits.first_byte_timeout,
                sender.try_send_request(head),
            )
            .await;
            match sent {
                Ok(Ok(response)) => return Ok((response, sender)),
                Ok(Err(mut error)) => match error.take_message() {
                    Some(unsent) if is_reused => head = unsent,
                    _ => return Err(UpstreamError::Broken(Box::new(error.into_error()))),
                },
                Err(_) => return Err(UpstreamError::Timeout(Phase::FirstByte)),
            }
        }
    }

    /// Reads a body to its end and gives the connection back.
    async fn collect(&self, mut body: Incoming, sender: Sender) -> Result<Bytes, UpstreamError> {
        let too_large = || UpstreamError::TooLarge {
            bytes_max: self.limits.answer_bytes_max,
        };
        if body.size_hint().lower() > self.limits.answer_bytes_max as u64 {
            return Err(too_large());
        }
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = timeout(self.limits.idle_timeout, body.frame())
            .await
            .map_err(|_| UpstreamError::Timeout(Phase::Idle))?
        {
            let frame = frame.map_err(|error| UpstreamError::Broken(Box::new(error)))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if first.len() + rest.len() + data.len() > self.limits.answer_bytes_max {
                return Err(too_large());
            }
            if first.is_empty() {
                first = data;
            } else {
                rest.extend_from_slice(&data);
            }
        }
        self.pool.put(sender);
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(first.len() + rest.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    }
}

impl Upstream for HttpProvider {
    fn call(&self, request: UpstreamRequest) -> CallFuture<'_> {
        Box::pin(async move {
            let (response, sender) = self.send(&request).await?;
            let (head, body) = response.into_parts();
            // Only an answer that is a stream is streamed: whole ones are cheaper, and can be
            // checked before the client sees their first byte.
            let body = if request.is_stream
                && head.status.is_success()
                && is_event_stream(&head.headers)
            {
                AnswerBody::Stream(Box::pin(Chunks {
                    body,
                    sender: Some(sender),
                    pool: Arc::clone(&self.pool),
                    idle: Idle::new(self.limits.idle_timeout),
                }))
            } else {
                AnswerBody::Whole(self.collect(body, sender).await?)
            };
            Ok(UpstreamAnswer {
                status: head.status,
                headers: head.headers,
                body,
            })
        })
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

fn broken(what: &'static str) -> UpstreamError {
    UpstreamError::Broken(what.into())
}

/// A body as it arrives. Gives its connection back at the end; dropped before, closes it.
struct Chunks {
    body: Incoming,
    sender: Option<Sender>,
    pool: Arc<Pool>,
    idle: Idle,
}

impl Stream for Chunks {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        this.idle.saw_data();
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    this.sender = None;
                    return Poll::Ready(Some(Err(UpstreamError::Broken(Box::new(error)))));
                }
                Poll::Ready(None) => {
                    if let Some(sender) = this.sender.take() {
                        this.pool.put(sender);
                    }
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    ready!(this.idle.poll(cx));
                    this.sender = None;
                    return Poll::Ready(Some(Err(UpstreamError::Timeout(Phase::Idle))));
                }
            }
        }
    }
}

/// Fires when no data came for a time. Data only notes the time; the timer is moved when it fires,
/// so that a busy stream does not touch the timer wheel.
struct Idle {
    limit: Duration,
    last: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            last: Instant::now(),
            timer: None,
        }
    }

    fn saw_data(&mut self) {
        self.last = Instant::now();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let due = self.last + limit;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due.into());
        }
    }
}
