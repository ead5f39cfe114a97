//! The engine's reply as an HTTP response.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tollgate_engine::{AnswerStream, Rate, Reply, ReplyBody};
use tollgate_providers::{AnswerHeader, AnswerHeaders};

use crate::sweeper::Streaming;

macro_rules! header_names {
    ($($name:ident = $text:literal;)*) => {
        $(const $name: HeaderName = HeaderName::from_static($text);)*
    };
}

header_names! {
    LIMIT_REQUESTS = "x-ratelimit-limit-requests";
    REMAINING_REQUESTS = "x-ratelimit-remaining-requests";
    RESET_REQUESTS = "x-ratelimit-reset-requests";
    LIMIT_TOKENS = "x-ratelimit-limit-tokens";
    REMAINING_TOKENS = "x-ratelimit-remaining-tokens";
    RESET_TOKENS = "x-ratelimit-reset-tokens";
    PROCESSING_MS = "openai-processing-ms";
    VERSION = "openai-version";
    MODEL = "openai-model";
    ATTEMPTS = "x-tollgate-attempts";
    PROVIDER = "x-tollgate-provider";
    COST = "x-tollgate-cost-usd";
    OVERHEAD = "x-tollgate-overhead-ms";
    SHOULD_RETRY = "x-should-retry";
    BUFFERING = "x-accel-buffering";
}

/// Renders a reply. `streaming` lasts as long as its events.
pub(crate) fn respond(
    reply: Reply,
    started: Instant,
    streaming: Option<Streaming>,
) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::build(status);
    pass_on(&mut response, &reply);
    let names = [LIMIT_REQUESTS, REMAINING_REQUESTS, RESET_REQUESTS];
    rate(&mut response, reply.rates.requests, names);
    let names = [LIMIT_TOKENS, REMAINING_TOKENS, RESET_TOKENS];
    rate(&mut response, reply.rates.tokens, names);
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
    let cost = reply
        .cost
        .and_then(|cost| HeaderValue::from_str(&cost.text()).ok());
    if let Some(cost) = cost {
        response.insert_header((COST, cost));
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
            .insert_header((BUFFERING, HeaderValue::from_static("no")))
            .body(Events { stream, streaming }),
    }
}

/// Passes a provider's headers on: its rate limits only where the caller has none here.
fn pass_on(response: &mut HttpResponseBuilder, reply: &Reply) {
    let (requests, tokens) = (reply.rates.requests.is_none(), reply.rates.tokens.is_none());
    for (header, value) in reply.upstream_headers.iter() {
        let (name, is_passed) = match header {
            AnswerHeader::LimitRequests => (LIMIT_REQUESTS, requests),
            AnswerHeader::RemainingRequests => (REMAINING_REQUESTS, requests),
            AnswerHeader::ResetRequests => (RESET_REQUESTS, requests),
            AnswerHeader::LimitTokens => (LIMIT_TOKENS, tokens),
            AnswerHeader::RemainingTokens => (REMAINING_TOKENS, tokens),
            AnswerHeader::ResetTokens => (RESET_TOKENS, tokens),
            AnswerHeader::ProcessingMs => (PROCESSING_MS, true),
            AnswerHeader::Version => (VERSION, true),
            AnswerHeader::Model => (MODEL, true),
            AnswerHeader::ContentType | AnswerHeader::RetryAfter | AnswerHeader::RetryAfterMs => {
                continue;
            }
        };
        if is_passed && let Ok(value) = HeaderValue::from_maybe_shared(value.clone()) {
            response.insert_header((name, value));
        }
    }
}

fn rate(response: &mut HttpResponseBuilder, own: Option<Rate>, names: [HeaderName; 3]) {
    let Some(rate) = own else { return };
    let [limit, remaining, reset] = names;
    response
        .insert_header((limit, HeaderValue::from(rate.limit)))
        .insert_header((remaining, HeaderValue::from(rate.remaining)))
        .insert_header((reset, tail(rate.reset.as_millis(), "ms")));
}

/// Milliseconds with three digits after the point.
fn millis(time: Duration) -> HeaderValue {
    let micros = time.as_micros();
    let mut buffer = itoa::Buffer::new();
    // A digit more in front keeps the zeros in between.
    let fraction = buffer.format(1_000 + micros % 1_000);
    let fraction = fraction.strip_prefix('1').unwrap_or(fraction);
    let mut text = BytesMut::with_capacity(24);
    text.extend_from_slice(itoa::Buffer::new().format(micros / 1_000).as_bytes());
    text.extend_from_slice(b".");
    text.extend_from_slice(fraction.as_bytes());
    value_of(text)
}

/// A number and its unit.
fn tail(number: u128, unit: &'static str) -> HeaderValue {
    let mut text = BytesMut::with_capacity(24);
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    text.extend_from_slice(unit.as_bytes());
    value_of(text)
}

fn value_of(text: BytesMut) -> HeaderValue {
    const NONE: HeaderValue = HeaderValue::from_static("");
    HeaderValue::from_maybe_shared(text.freeze()).unwrap_or(NONE)
}

fn content_type(upstream: &AnswerHeaders) -> HeaderValue {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    upstream
        .get(AnswerHeader::ContentType)
        .filter(|value| value.starts_with(b"application/json") && *value != b"application/json")
        .and_then(|value| HeaderValue::from_bytes(value).ok())
        .unwrap_or(JSON)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_last_digit() {
        for (micros, expected) in [
            (0, "0.000"),
            (1, "0.001"),
            (999, "0.999"),
            (12_034, "12.034"),
        ] {
            assert_eq!(millis(Duration::from_micros(micros)), expected);
        }
        assert_eq!(tail(60_000, "ms"), "60000ms");
    }
}
