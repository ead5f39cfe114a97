//! Answers in `OpenAI`'s shapes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::mpsc;
use tollgate_providers::UpstreamError;

use crate::queue::{Event, Finish, Ticket};

/// What all parts of an answer have in common.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) fingerprint: Arc<str>,
}

#[derive(Serialize)]
struct Body<'a, C, U> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<U>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u8,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    refusal: Option<()>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u8,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize, Default)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
}

impl Finish {
    fn reason(self) -> &'static str {
        if self.is_cut_by_length {
            "length"
        } else {
            "stop"
        }
    }

    fn usage(self) -> Usage {
        Usage {
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            total_tokens: self.prompt_tokens + self.completion_tokens,
        }
    }
}

impl Head {
    /// Returns an answer that is whole.
    pub(crate) fn whole(&self, text: &str, finish: Finish) -> Bytes {
        let choices = [Choice {
            index: 0,
            message: Message {
                role: "assistant",
                content: text,
                refusal: None,
            },
            logprobs: None,
            finish_reason: finish.reason(),
        }];
        let body = self.body("chat.completion", &choices, Some(finish.usage()));
        // Structs of strings and numbers always have a JSON form.
        Bytes::from(serde_json::to_vec(&body).unwrap_or_default())
    }

    fn body<'a, C, U>(
        &'a self,
        object: &'static str,
        choices: &'a [C],
        usage: Option<U>,
    ) -> Body<'a, C, U> {
        Body {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            system_fingerprint: &self.fingerprint,
            choices,
            usage,
        }
    }
}

/// An answer as server-sent events. Dropping it ends the call.
#[derive(Debug)]
pub(crate) struct EventStream {
    head: Head,
    events: mpsc::Receiver<Event>,
    has_usage_chunk: bool,
    is_begun: bool,
    /// Given back with the last event.
    ticket: Option<Ticket>,
}

impl EventStream {
    pub(crate) fn new(
        head: Head,
        events: mpsc::Receiver<Event>,
        has_usage_chunk: bool,
        ticket: Ticket,
    ) -> Self {
        Self {
            head,
            events,
            has_usage_chunk,
            is_begun: false,
            ticket: Some(ticket),
        }
    }

    fn push_delta(&self, out: &mut Vec<u8>, delta: Delta<'_>, finish: Option<Finish>) {
        let choice = ChunkChoice {
            index: 0,
            delta,
            logprobs: None,
            finish_reason: finish.map(Finish::reason),
        };
        self.push_chunk(out, &[choice], None);
    }

    fn push_chunk(&self, out: &mut Vec<u8>, choices: &[ChunkChoice<'_>], usage: Option<Usage>) {
        // With usage asked for, all chunks have the field, and only the last one has a value.
        let usage = self.has_usage_chunk.then_some(usage);
        let body = self.head.body("chat.completion.chunk", choices, usage);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&serde_json::to_vec(&body).unwrap_or_default());
        out.extend_from_slice(b"\n\n");
    }

    fn end(&self, finish: Finish) -> Vec<u8> {
        let mut out = Vec::new();
        self.push_delta(&mut out, Delta::default(), Some(finish));
        if self.has_usage_chunk {
            self.push_chunk(&mut out, &[], Some(finish.usage()));
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        out
    }
}

impl Stream for EventStream {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ticket.is_none() {
            return Poll::Ready(None);
        }
        let mut out = Vec::new();
        if !self.is_begun {
            self.is_begun = true;
            let delta = Delta {
                role: Some("assistant"),
                content: Some(""),
            };
            self.push_delta(&mut out, delta, None);
            return Poll::Ready(Some(Ok(out.into())));
        }
        match ready!(self.events.poll_recv(cx)) {
            Some(Event::Text(text)) => {
                let delta = Delta {
                    role: None,
                    content: Some(&text),
                };
                self.push_delta(&mut out, delta, None);
            }
            Some(Event::Finished(finish)) => {
                self.ticket = None;
                out = self.end(finish);
            }
            _ => {
                self.ticket = None;
                return Poll::Ready(Some(Err(broken())));
            }
        }
        Poll::Ready(Some(Ok(out.into())))
    }
}

/// The model gave up in the middle of an answer.
pub(crate) fn broken() -> UpstreamError {
    UpstreamError::Broken("the model stopped in the middle of the answer".into())
}
