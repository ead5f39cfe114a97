//! A provider in the process that does with each call what it was told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use serde_json::{Value, json};
use tollgate_providers::{
    AnswerBody, AnswerHeader, CallFuture, Phase, Upstream, UpstreamAnswer, UpstreamError,
    UpstreamRequest,
};

/// What to do with one call.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Answers with this status, these headers and this body.
    Whole(u16, Vec<(&'static str, &'static str)>, Bytes),
    /// Answers with a stream of these parts.
    Stream(Vec<Part>),
    /// Refuses the connection.
    Refuse,
    /// Says that it has no room.
    Busy,
    /// Does this after a while.
    After(Duration, Box<Act>),
    /// Never answers.
    Hang,
}

/// A part of a stream.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Chunk(Bytes),
    Wait(Duration),
    Break,
    Silence,
}

/// A whole answer that reports these tokens.
pub(crate) fn answer(input: u64, output: u64) -> Act {
    let body = json!({
        "id": "a",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": input, "completion_tokens": output},
    });
    Act::Whole(200, Vec::new(), body.to_string().into())
}

/// An error in OpenAI's shape.
pub(crate) fn error(status: u16) -> Act {
    error_with(status, &[])
}

pub(crate) fn error_with(status: u16, headers: &[(&'static str, &'static str)]) -> Act {
    let body = json!({"error": {"message": "no", "type": "t", "param": null, "code": "theirs"}});
    Act::Whole(status, headers.to_vec(), body.to_string().into())
}

pub(crate) fn event(data: &Value) -> Part {
    Part::Chunk(format!("data: {data}\n\n").into())
}

pub(crate) fn content(text: &str) -> Part {
    event(&json!({"choices": [{"index": 0, "delta": {"content": text}}]}))
}

pub(crate) fn usage(input: u64, output: u64) -> Part {
    let usage = json!({"prompt_tokens": input, "completion_tokens": output});
    event(&json!({"choices": [], "usage": usage}))
}

pub(crate) fn done() -> Part {
    Part::Chunk(Bytes::from_static(b"data: [DONE]\n\n"))
}

/// A stream of two pieces of content that reports these tokens.
pub(crate) fn stream(input: u64, output: u64) -> Act {
    Act::Stream(vec![
        content("a"),
        content("b"),
        usage(input, output),
        done(),
    ])
}

/// What a provider is to do, and what it saw.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    queue: Mutex<VecDeque<Act>>,
    otherwise: Mutex<Option<Act>>,
    seen: Mutex<Vec<UpstreamRequest>>,
    under_way: Arc<AtomicUsize>,
}

impl Scripted {
    /// Does these with the next calls, in order.
    pub(crate) fn queue(&self, acts: impl IntoIterator<Item = Act>) {
        self.queue.lock().unwrap().extend(acts);
    }

    /// Does this with every call that nothing is queued for.
    pub(crate) fn always(&self, act: Act) {
        *self.otherwise.lock().unwrap() = Some(act);
    }

    /// The bodies of all calls so far.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|request| serde_json::from_slice(&request.body).unwrap())
            .collect()
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Calls and streams that are neither at their end nor dropped.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    fn next(&self, request: UpstreamRequest) -> Act {
        self.seen.lock().unwrap().push(request);
        let queued = self.queue.lock().unwrap().pop_front();
        let otherwise = || self.otherwise.lock().unwrap().clone();
        queued.or_else(otherwise).expect("a call nobody expected")
    }
}

struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upstream for Scripted {
    fn call(&self, request: UpstreamRequest) -> CallFuture<'_> {
        let deadline = request.deadline;
        let mut act = self.next(request);
        let under_way = UnderWay::begin(&self.under_way);
        Box::pin(async move {
            let answered = async {
                while let Act::After(wait, then) = act {
                    tokio::time::sleep(wait).await;
                    act = *then;
                }
                perform(act, under_way).await
            };
            let answered = tokio::time::timeout_at(deadline, answered).await;
            answered.unwrap_or(Err(UpstreamError::Timeout(Phase::Total)))
        })
    }
}

async fn perform(act: Act, under_way: UnderWay) -> Result<UpstreamAnswer, UpstreamError> {
    let (status, headers, body) = match act {
        Act::Whole(status, headers, body) => (status, headers, AnswerBody::Whole(body)),
        Act::Stream(parts) => (200, Vec::new(), streamed(parts, under_way)),
        Act::Refuse => {
            return Err(UpstreamError::Connect(
                std::io::ErrorKind::ConnectionRefused.into(),
            ));
        }
        Act::Busy => {
            return Err(UpstreamError::Busy {
                retry_after: Duration::from_secs(3),
            });
        }
        Act::Hang => std::future::pending().await,
        Act::After(..) => return Err(UpstreamError::Timeout(Phase::Total)),
    };
    let known = |name| {
        AnswerHeader::ALL
            .iter()
            .find(|header| header.name() == name)
    };
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| Some((*known(name)?, Bytes::from_static(value.as_bytes()))))
        .collect();
    Ok(UpstreamAnswer {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body,
    })
}

fn streamed(parts: Vec<Part>, under_way: UnderWay) -> AnswerBody {
    let parts = futures_util::stream::iter(parts).filter_map(move |part| {
        let _held = &under_way;
        async {
            match part {
                Part::Chunk(bytes) => Some(Ok(bytes)),
                Part::Wait(wait) => {
                    tokio::time::sleep(wait).await;
                    None
                }
                Part::Break => Some(Err(UpstreamError::Broken("reset".into()))),
                Part::Silence => std::future::pending().await,
            }
        }
    });
    AnswerBody::Stream(Box::pin(parts))
}
