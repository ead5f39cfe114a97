//! Sorts what a provider answered: an answer for the client, or a failure that may be tried again.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::StatusCode;
use tokio::time::Instant;
use tollgate_domain::{ErrorKind, Provenance, TerminalState, Usage};
use tollgate_ledger::{Outcome, Reservation};
use tollgate_providers::{
    AnswerBody, AnswerHeader, AnswerHeaders, ByteStream, Phase, UpstreamAnswer, UpstreamError,
};
use tollgate_resilience::{BreakerPass, ParallelPermit};
use tollgate_wire::{ErrorBody, StreamDecoder, StreamEnd, error_body, read_answer, read_error};

use crate::admission::Admission;
use crate::catalog::{Model, Target};
use crate::error::EngineError;
use crate::record::micros;

/// The first answer that is worth giving to the client.
pub(crate) struct First {
    pub(crate) status: StatusCode,
    pub(crate) headers: AnswerHeaders,
    pub(crate) body: FirstBody,
    pub(crate) provider: Arc<str>,
    pub(crate) reservation: Reservation,
    /// How the attempt ended, for an answer that is whole.
    pub(crate) outcome: Outcome,
}

pub(crate) enum FirstBody {
    Whole(Bytes),
    Stream(Box<Started>),
}

/// A stream whose first content has arrived.
pub(crate) struct Started {
    pub(crate) upstream: ByteStream,
    pub(crate) decoder: StreamDecoder,
    /// What may be forwarded already.
    pub(crate) ready: Bytes,
    pub(crate) began: std::time::Instant,
    pub(crate) deadline: Instant,
    pub(crate) first_token_us: u64,
    pub(crate) model: Arc<Model>,
    pub(crate) target: usize,
    pub(crate) bulkhead: Option<ParallelPermit>,
}

/// Why an attempt gave no answer, and what that means for the next.
pub(crate) struct Failure {
    pub(crate) error: EngineError,
    pub(crate) status: Option<u16>,
    pub(crate) retry: Retry,
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Another attempt may go anywhere, also to the same target.
    Anywhere,
    /// The same target would say the same again.
    Elsewhere,
}

/// An answer that is worth giving to the client.
pub(crate) struct Opened {
    status: StatusCode,
    headers: AnswerHeaders,
    body: OpenedBody,
}

enum OpenedBody {
    Whole {
        body: Bytes,
        usage: Usage,
        provenance: Provenance,
        state: TerminalState,
    },
    Stream {
        upstream: ByteStream,
        decoder: StreamDecoder,
        ready: Bytes,
        deadline: Instant,
    },
}

impl Opened {
    pub(crate) fn into_first(
        self,
        (model, target): (&Arc<Model>, usize),
        bulkhead: Option<ParallelPermit>,
        reservation: Reservation,
        (began, took): (std::time::Instant, Duration),
    ) -> First {
        let latency_us = micros(took);
        let mut outcome = Outcome {
            usage: Usage::default(),
            provenance: Provenance::Missing,
            state: TerminalState::Ok,
            upstream_status: Some(self.status.as_u16()),
            latency_us,
            first_token_us: None,
            is_final: true,
        };
        let body = match self.body {
            OpenedBody::Whole {
                body,
                usage,
                provenance,
                state,
            } => {
                outcome = Outcome {
                    usage,
                    provenance,
                    state,
                    ..outcome
                };
                FirstBody::Whole(body)
            }
            OpenedBody::Stream {
                upstream,
                decoder,
                ready,
                deadline,
            } => FirstBody::Stream(Box::new(Started {
                upstream,
                decoder,
                ready,
                began,
                deadline,
                first_token_us: latency_us,
                model: Arc::clone(model),
                target,
                bulkhead,
            })),
        };
        let provider = model
            .targets
            .get(target)
            .map(|target| Arc::clone(&target.provider));
        First {
            status: self.status,
            headers: self.headers,
            body,
            provider: provider.unwrap_or_else(|| Arc::from("")),
            reservation,
            outcome,
        }
    }
}

/// Sorts an answer: for the client, or a failure.
pub(crate) async fn open(
    answer: UpstreamAnswer,
    admission: &Admission,
    deadline: Instant,
) -> Result<Opened, Failure> {
    let UpstreamAnswer {
        status,
        headers,
        body,
    } = answer;
    let body = match body {
        AnswerBody::Whole(body) if status.is_success() => open_whole(body, admission)?,
        AnswerBody::Whole(body) => open_refusal(status, &headers, body)?,
        AnswerBody::Stream(upstream) => {
            let decoder = StreamDecoder::new(admission.asked.hides_usage());
            // Apart, so that answers that are whole do not carry its state along.
            Box::pin(open_stream(upstream, decoder, deadline)).await?
        }
    };
    Ok(Opened {
        status,
        headers,
        body,
    })
}

fn open_whole(body: Bytes, admission: &Admission) -> Result<OpenedBody, Failure> {
    let facts = read_answer(&body).map_err(|_| {
        bad_answer(
            "invalid_provider_answer",
            "the provider's answer is not valid JSON",
        )
    })?;
    // Some providers send errors with status 200. What has content or usage is paid for.
    if facts.error_seen && facts.usage.is_none() && facts.answer_bytes == 0 {
        return Err(bad_answer(
            "provider_error",
            "the provider's answer is an error",
        ));
    }
    let (usage, provenance) = match facts.usage {
        Some(usage) => (usage, Provenance::Provider),
        None => (
            estimate(admission, facts.answer_bytes),
            Provenance::Estimated,
        ),
    };
    Ok(OpenedBody::Whole {
        body,
        usage,
        provenance,
        state: TerminalState::Ok,
    })
}

/// An answer that says that it is well, and is not.
fn bad_answer(code: &'static str, message: &'static str) -> Failure {
    Failure {
        error: EngineError::new(ErrorKind::Upstream, code, message),
        status: Some(200),
        retry: Retry::Anywhere,
        retry_after: None,
    }
}

/// What was probably used when the provider does not say.
pub(crate) fn estimate(admission: &Admission, answer_bytes: u64) -> Usage {
    Usage {
        input: admission.asked.prompt_tokens_estimate(),
        output: answer_bytes.div_ceil(4),
        ..Usage::default()
    }
}

/// A provider's 400, 404, 413 or 422 is about the client's request, and the client's to read.
fn open_refusal(
    status: StatusCode,
    headers: &AnswerHeaders,
    body: Bytes,
) -> Result<OpenedBody, Failure> {
    let retry_after = retry_after(headers);
    let failure = |kind, code, message: String, retry| Failure {
        error: EngineError {
            retry_after,
            ..EngineError::new(kind, code, message)
        },
        status: Some(status.as_u16()),
        retry,
        retry_after,
    };
    match status.as_u16() {
        // 402 is about our account with the provider, not about the caller's budget here.
        401..=403 => Err(failure(
            ErrorKind::Upstream,
            "provider_credential_refused",
            "the provider refused the credential that it is configured with".to_owned(),
            Retry::Elsewhere,
        )),
        408 => Err(failure(
            ErrorKind::Timeout,
            "provider_timeout",
            "the provider did not answer in time".to_owned(),
            Retry::Anywhere,
        )),
        429 => Err(failure(
            ErrorKind::RateLimited,
            "provider_rate_limited",
            "the provider's own rate limit is reached".to_owned(),
            Retry::Anywhere,
        )),
        400..=499 => {
            let body = match read_error(&body) {
                Some(_) => body,
                None => error_body(&ErrorBody {
                    message: "the provider refused the request and did not say why",
                    kind: "invalid_request_error",
                    param: None,
                    code: Some("provider_refused"),
                }),
            };
            Ok(OpenedBody::Whole {
                body,
                usage: Usage::default(),
                provenance: Provenance::Missing,
                state: TerminalState::UpstreamError,
            })
        }
        other => Err(failure(
            ErrorKind::Upstream,
            "provider_error",
            format!("the provider failed with status {other}"),
            Retry::Anywhere,
        )),
    }
}

/// How long and how much of events without content, such as the one that names the role, is held
/// back: another target can still take over, but a client must not wait long for the head of its
/// answer.
const HELD_BACK_MAX: Duration = Duration::from_secs(2);
const HELD_BACK_BYTES_MAX: usize = 64 << 10;

/// Reads a stream until there is something for the client. Until then another target can take over.
async fn open_stream(
    mut upstream: ByteStream,
    mut decoder: StreamDecoder,
    deadline: Instant,
) -> Result<OpenedBody, Failure> {
    let opened = |upstream, decoder, ready| OpenedBody::Stream {
        upstream,
        decoder,
        ready,
        deadline,
    };
    let mut held = BytesMut::new();
    let mut held_until = deadline;
    loop {
        let chunk = match tokio::time::timeout_at(held_until, upstream.next()).await {
            Err(_) if held_until < deadline => {
                return Ok(opened(upstream, decoder, held.freeze()));
            }
            Err(_) => return Err(Failure::from_error(&UpstreamError::Timeout(Phase::Total))),
            Ok(Some(Err(error))) => return Err(Failure::from_error(&error)),
            Ok(None) if decoder.end() == StreamEnd::Complete => {
                let ended = Box::pin(futures_util::stream::empty());
                return Ok(opened(ended, decoder, held.freeze()));
            }
            Ok(None) => {
                return Err(bad_answer(
                    "provider_stream_cut",
                    "the provider's stream ended before it began",
                ));
            }
            Ok(Some(Ok(chunk))) => chunk,
        };
        let ready = decoder.push(chunk).map_err(|_| {
            bad_answer(
                "invalid_provider_answer",
                "the provider's stream is not valid",
            )
        })?;
        if decoder.error_seen() {
            return Err(bad_answer(
                "provider_error",
                "the provider's stream began with an error",
            ));
        }
        let is_much = held.len() + ready.len() > HELD_BACK_BYTES_MAX;
        let is_worth_giving = decoder.has_content() || decoder.is_done() || is_much;
        if is_worth_giving && held.is_empty() {
            return Ok(opened(upstream, decoder, ready));
        }
        if held.is_empty() && !ready.is_empty() {
            held_until = deadline.min(Instant::now() + HELD_BACK_MAX);
        }
        held.extend_from_slice(&ready);
        if is_worth_giving {
            return Ok(opened(upstream, decoder, held.freeze()));
        }
    }
}

impl Failure {
    pub(crate) fn from_upstream(error: &UpstreamError, target: &Target) -> Self {
        tracing::warn!(
            provider = &*target.provider,
            error = error as &dyn std::error::Error,
            "a provider gave no answer"
        );
        Self::from_error(error)
    }

    fn from_error(error: &UpstreamError) -> Self {
        let (kind, code, retry_after) = match error {
            UpstreamError::Timeout(_) => (ErrorKind::Timeout, "provider_timeout", None),
            UpstreamError::Connect(_) => (ErrorKind::Upstream, "provider_unreachable", None),
            UpstreamError::Broken(_) => (ErrorKind::Upstream, "provider_disconnected", None),
            UpstreamError::TooLarge { .. } => {
                (ErrorKind::Upstream, "provider_answer_too_large", None)
            }
            UpstreamError::Busy { retry_after } => {
                (ErrorKind::Unavailable, "provider_busy", Some(*retry_after))
            }
            UpstreamError::NotReady { .. } => (
                ErrorKind::Unavailable,
                "provider_not_ready",
                Some(Duration::from_secs(10)),
            ),
        };
        let retry = match error {
            UpstreamError::NotReady { .. } | UpstreamError::Busy { .. } => Retry::Elsewhere,
            _ => Retry::Anywhere,
        };
        let message = match error {
            // This advice is ours, not the provider's.
            UpstreamError::NotReady { advice } => format!("the provider is not ready: {advice}"),
            error => format!("the provider gave no answer: {error}"),
        };
        let error = EngineError {
            retry_after,
            ..EngineError::new(kind, code, message)
        };
        Self {
            error,
            status: None,
            retry,
            retry_after,
        }
    }

    /// Tells the breaker. A busy or limiting provider is well; a bad credential is our own fault.
    pub(crate) fn tell(&self, pass: BreakerPass<'_>) {
        match self.error.code {
            "provider_rate_limited"
            | "provider_credential_refused"
            | "provider_busy"
            | "provider_not_ready" => drop(pass),
            _ => pass.failure(),
        }
    }
}

/// The time after which a provider wants to be asked again, in whole seconds or OpenAI's milliseconds.
fn retry_after(headers: &AnswerHeaders) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(3_600);
    let number = |header| {
        let text = std::str::from_utf8(headers.get(header)?).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let millis = number(AnswerHeader::RetryAfterMs).map(Duration::from_millis);
    millis
        .or_else(|| number(AnswerHeader::RetryAfter).map(Duration::from_secs))
        .map(|wait| wait.min(LONGEST))
}
