//! An answer as it arrives: forwarded, counted, and settled before its last byte.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Sleep};
use tokio_util::task::TaskTracker;
use tollgate_domain::{Provenance, TerminalState, Usage};
use tollgate_ledger::{Outcome, Reservation};
use tollgate_providers::{ByteStream, UpstreamError};
use tollgate_wire::{ErrorBody, StreamEnd, error_event};

use crate::admission::Admission;
use crate::opened::{Started, estimate};
use crate::record::{Progress, micros};

/// A comment that tells the client, and everything in between, that the stream lives.
const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// How often a long stream notes in the journal what it has used so far.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// How long the rest of a stream is waited for once it has said that it is done, so that its
/// connection can be used again.
const LINGER: Duration = Duration::from_secs(1);

/// A stream of server-sent events. Dropped before its end, the client has left: that cancels the
/// upstream call and bills what was used.
pub struct AnswerStream {
    upstream: Option<ByteStream>,
    started: Started,
    ready: Option<Bytes>,
    last: Option<Bytes>,
    settling: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    reservation: Option<Reservation>,
    admission: Admission,
    progress: Progress,
    alarm: Alarm,
    checkpoint_at: Instant,
    tasks: TaskTracker,
}

impl std::fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.progress.fmt(f)
    }
}

impl AnswerStream {
    pub(crate) fn new(
        mut started: Started,
        reservation: Reservation,
        admission: Admission,
        mut progress: Progress,
        (keep_alive, tasks): (Duration, TaskTracker),
    ) -> Self {
        let (closed, now) = (Box::pin(futures_util::stream::empty()), Instant::now());
        let upstream: ByteStream = std::mem::replace(&mut started.upstream, closed);
        progress.record.first_byte = Some(progress.record.started.elapsed());
        let mut stream = Self {
            ready: Some(std::mem::take(&mut started.ready)).filter(|bytes| !bytes.is_empty()),
            upstream: Some(upstream),
            last: None,
            settling: None,
            reservation: Some(reservation),
            alarm: Alarm::new(keep_alive, started.deadline, now),
            checkpoint_at: now + CHECKPOINT_EVERY,
            started,
            admission,
            progress,
            tasks,
        };
        if stream.started.decoder.is_done() {
            stream.complete();
        }
        stream
    }

    /// What was used: what the provider said, or else an estimate from what went by.
    fn usage(&self, otherwise: Provenance) -> (Usage, Provenance) {
        match self.started.decoder.usage() {
            Some(usage) => (usage, Provenance::Provider),
            None => (
                estimate(&self.admission, self.started.decoder.answer_bytes()),
                otherwise,
            ),
        }
    }

    fn settle(&mut self, state: TerminalState, otherwise: Provenance) {
        let Some(reservation) = self.reservation.take() else {
            return;
        };
        let (usage, provenance) = self.usage(otherwise);
        let settled = reservation.settle(Outcome {
            usage,
            provenance,
            state,
            upstream_status: Some(self.progress.record.status),
            latency_us: micros(self.started.began.elapsed()),
            first_token_us: Some(self.started.first_token_us),
            is_final: true,
        });
        self.admission.place.used_tokens(usage.total_tokens());
        self.progress.end_attempt(state, None);
        self.progress.record.usage = usage;
        self.progress.record.provenance = provenance;
        self.progress.record.cost = settled.cost;
        self.settling = Some(Box::pin(async move {
            // A disk that fails closes admission; the answer that is paid for is sent all the same.
            let _ = settled.durable().await;
        }));
    }

    /// Ends the stream as the provider ended it.
    fn complete(&mut self) {
        self.settle(TerminalState::Ok, Provenance::Estimated);
        self.last = Some(self.started.decoder.done_event());
        self.started.bulkhead = None;
        if let Some(rest) = self.upstream.take() {
            self.read_rest(rest);
        }
    }

    /// Reads what is left after the end, mostly nothing, so that the connection can be used again.
    fn read_rest(&self, mut rest: ByteStream) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(None) = rest.poll_next_unpin(&mut cx) {
            return;
        }
        self.tasks.spawn(async move {
            let end = async { while let Some(Ok(_)) = rest.next().await {} };
            drop(tokio::time::timeout(LINGER, end).await);
        });
    }

    /// Ends the stream with an error event; no end is made up for the answer.
    fn cut(&mut self, code: &'static str, message: &str) {
        self.upstream = None;
        self.settle(TerminalState::Cut, Provenance::Partial);
        self.progress.record.error_code = Some(code);
        if let Some(target) = self.started.model.targets.get(self.started.target)
            && let Ok(pass) = target.breaker.try_pass()
        {
            pass.failure();
        }
        self.last = Some(error_event(&ErrorBody {
            message,
            kind: "provider_error",
            param: None,
            code: Some(code),
        }));
    }

    fn take_chunk(&mut self, chunk: Bytes) {
        match self.started.decoder.push(chunk) {
            Err(_) => self.cut(
                "invalid_provider_answer",
                "the provider's stream is not valid",
            ),
            Ok(ready) => {
                self.ready = Some(ready).filter(|bytes| !bytes.is_empty());
                if self.started.decoder.is_done() {
                    self.complete();
                }
            }
        }
    }

    fn end_of_upstream(&mut self) {
        match self.started.decoder.end() {
            StreamEnd::Complete => {
                self.upstream = None;
                self.complete();
            }
            StreamEnd::Cut if self.started.decoder.error_seen() => {
                // The provider has told the client itself.
                self.upstream = None;
                self.settle(TerminalState::Cut, Provenance::Partial);
                self.progress.record.error_code = Some("provider_error");
            }
            StreamEnd::Cut => {
                self.cut(
                    "provider_stream_cut",
                    "the provider's stream broke off before its end",
                );
            }
        }
    }

    fn break_off(&mut self, error: &UpstreamError) {
        let code = match error {
            UpstreamError::Timeout(_) => "provider_timeout",
            _ => "provider_stream_cut",
        };
        self.cut(
            code,
            &format!("the provider's stream broke off before its end: {error}"),
        );
    }

    fn checkpoint(&mut self, now: Instant) {
        if now >= self.checkpoint_at {
            self.checkpoint_at = now + CHECKPOINT_EVERY;
            let (usage, _) = self.usage(Provenance::Partial);
            if let Some(reservation) = &mut self.reservation {
                reservation.checkpoint(&usage);
            }
        }
    }
}

impl Stream for AnswerStream {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(ready) = this.ready.take() {
                this.alarm.spoke();
                return Poll::Ready(Some(Ok(ready)));
            }
            if let Some(settling) = &mut this.settling {
                std::task::ready!(settling.as_mut().poll(cx));
                this.settling = None;
            }
            let Some(upstream) = &mut this.upstream else {
                return Poll::Ready(this.last.take().filter(|last| !last.is_empty()).map(Ok));
            };
            match upstream.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    this.take_chunk(chunk);
                    this.checkpoint(Instant::now());
                }
                Poll::Ready(Some(Err(error))) => this.break_off(&error),
                Poll::Ready(None) => this.end_of_upstream(),
                Poll::Pending => match std::task::ready!(this.alarm.poll(cx)) {
                    Alert::KeepAlive => return Poll::Ready(Some(Ok(KEEP_ALIVE))),
                    Alert::Deadline => {
                        this.break_off(&UpstreamError::Timeout(tollgate_providers::Phase::Total));
                    }
                },
            }
        }
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        if self.reservation.is_some() {
            self.upstream = None;
            self.settle(TerminalState::ClientGone, Provenance::Partial);
        }
    }
}

enum Alert {
    KeepAlive,
    Deadline,
}

/// One timer for silence towards the client and for the deadline of the whole. What is spoken only
/// notes the time; the timer is moved when it fires.
struct Alarm {
    keep_alive: Duration,
    deadline: Instant,
    spoke_at: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    const fn new(keep_alive: Duration, deadline: Instant, now: Instant) -> Self {
        Self {
            keep_alive,
            deadline,
            spoke_at: now,
            timer: None,
        }
    }

    fn spoke(&mut self) {
        self.spoke_at = Instant::now();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Alert> {
        loop {
            let due = (self.spoke_at + self.keep_alive).min(self.deadline);
            let now = Instant::now();
            if now >= self.deadline {
                return Poll::Ready(Alert::Deadline);
            }
            if now >= due {
                self.spoke_at = now;
                return Poll::Ready(Alert::KeepAlive);
            }
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            std::task::ready!(timer.as_mut().poll(cx));
        }
    }
}
