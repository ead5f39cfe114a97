//! The engine's reply as an HTTP response.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::Stream;
use tollgate_engine::{AnswerStream, Rate, Reply, ReplyBody};

use crate::sweeper::Streaming;

/// What is passed on of a provider's headers. Its rate limits are, unless the caller has limits here.
const PASSED: [(&str, HeaderName); 3] = [
    (
        "openai-processing-ms",
        HeaderName::from_static("openai-processing-ms"),
    ),
    ("openai-version", HeaderName::from_static("openai-version")),
    ("openai-model", HeaderName::from_static("openai-model")),
];

const REQUEST_LIMITS: [(&str, HeaderName); 3] = [
    (
        "x-ratelimit-limit-requests",
        HeaderName::from_static("x-ratelimit-limit-requests"),
    ),
    (
        "x-ratelimit-remaining-requests",
        HeaderName::from_static("x-ratelimit-remaining-requests"),
    ),
    (
        "x-ratelimit-reset-requests",
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ),
];

const TOKEN_LIMITS: [(&str, HeaderName); 3] = [
    (
        "x-ratelimit-limit-tokens",
        HeaderName::from_static("x-ratelimit-limit-tokens"),
    ),
    (
        "x-ratelimit-remaining-tokens",
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
    ),
    (
        "x-ratelimit-reset-tokens",
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ),
];

const ATTEMPTS: HeaderName = HeaderName::from_static("x-tollgate-attempts");
const PROVIDER: HeaderName = HeaderName::from_static("x-tollgate-provider");
const COST: HeaderName = HeaderName::from_static("x-tollgate-cost-usd");
const OVERHEAD: HeaderName = HeaderName::from_static("x-tollgate-overhead-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Renders a reply. `streaming` lasts as long as its events.
pub(crate) fn respond(
    reply: Reply,
    started: Instant,
    streaming: Option<Streaming>,
) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::build(status);
    passed(&mut response, &reply, &PASSED);
    rate(&mut response, &reply, reply.rates.requests, &REQUEST_LIMITS);
    rate(&mut response, &reply, reply.rates.tokens, &TOKEN_LIMITS);
    if reply.attempts > 0 {
        response.insert_header((ATTEMPTS, HeaderValue::from(reply.attempts)));
    }
    if let Some(provider) = reply
        .provider
        .as_deref()
        .and_then(|name| HeaderValue::from_str(name).ok())
    {
        response.insert_header((PROVIDER, provider));
    }
    if let Some(cost) = reply.cost {
        response.insert_header((COST, cost.to_string()));
    }
    if let Some(wait) = reply.retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.insert_header((header::RETRY_AFTER, HeaderValue::from(seconds.max(1))));
    }
    if let Some(should_retry) = reply.should_retry {
        let value = if should_retry { "true" } else { "false" };
        response.insert_header((SHOULD_RETRY, HeaderValue::from_static(value)));
    }
    let overhead = started.elapsed().saturating_sub(reply.upstream);
    response.insert_header((OVERHEAD, millis(overhead)));
    match reply.body {
        ReplyBody::Whole(body) => {
            let kind = content_type(&reply.upstream_headers);
            response
                .insert_header((header::CONTENT_TYPE, kind))
                .body(body)
        }
        ReplyBody::Stream(stream) => response
            .insert_header((
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream; charset=utf-8"),
            ))
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
            .insert_header((BUFFERING, HeaderValue::from_static("no")))
            .body(Events { stream, streaming }),
    }
}

fn passed(response: &mut HttpResponseBuilder, reply: &Reply, names: &[(&str, HeaderName)]) {
    for (name, header) in names {
        let value = reply.upstream_headers.get(*name);
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok())
        {
            response.insert_header((header.clone(), value));
        }
    }
}

fn rate(
    response: &mut HttpResponseBuilder,
    reply: &Reply,
    own: Option<Rate>,
    names: &[(&str, HeaderName); 3],
) {
    let Some(rate) = own else {
        return passed(response, reply, names);
    };
    let [(_, limit), (_, remaining), (_, reset)] = names;
    response
        .insert_header((limit.clone(), HeaderValue::from(rate.limit)))
        .insert_header((remaining.clone(), HeaderValue::from(rate.remaining)))
        .insert_header((reset.clone(), format!("{}ms", rate.reset.as_millis())));
}

/// Milliseconds with three digits after the point.
fn millis(time: Duration) -> String {
    let micros = time.as_micros();
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

fn content_type(upstream: &http::HeaderMap) -> HeaderValue {
    upstream
        .get(http::header::CONTENT_TYPE)
        .filter(|value| value.as_bytes().starts_with(b"application/json"))
        .and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok())
        .unwrap_or(HeaderValue::from_static("application/json"))
}

/// A stream of events as a body.
struct Events {
    stream: Box<AnswerStream>,
    streaming: Option<Streaming>,
}

impl MessageBody for Events {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let next = Pin::new(&mut *self.stream).poll_next(cx);
        if let (Poll::Ready(Some(_)), Some(streaming)) = (&next, &self.streaming) {
            streaming.spoke();
        }
        next
    }
}

/// A JSON answer.
pub(crate) fn json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ))
        .body(body)
}
