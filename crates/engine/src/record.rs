//! What is known of a request when it has ended, for logs, metrics and traces.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_domain::{KeyId, Money, OrgId, Provenance, RequestId, Surface, TerminalState, Usage};

use crate::error::EngineError;
use crate::limits::Rates;

/// One upstream call of a request.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// The provider.
    pub provider: Arc<str>,
    /// The model that it was asked for.
    pub upstream_model: Arc<str>,
    /// The status that it answered, if it did.
    pub status: Option<u16>,
    /// How it ended.
    pub state: TerminalState,
    /// When it began.
    pub started: Instant,
    /// How long it took.
    pub duration: Duration,
}

/// What is known of a request when it has ended.
#[derive(Debug)]
pub struct RequestRecord {
    /// Which request.
    pub request_id: RequestId,
    /// The inbound API.
    pub surface: Surface,
    /// Whose it was.
    pub org_id: Option<OrgId>,
    /// The API key.
    pub key_id: Option<KeyId>,
    /// The model that was asked for, if it exists.
    pub model: Option<Arc<str>>,
    /// Whether a stream was asked for.
    pub is_stream: bool,
    /// The status of the answer; 499 when the client left before there was one.
    pub status: u16,
    /// The code of the error, if it was one.
    pub error_code: Option<&'static str>,
    /// The upstream calls, in order.
    pub attempts: Vec<AttemptRecord>,
    /// What was used.
    pub usage: Usage,
    /// Where the usage is from.
    pub provenance: Provenance,
    /// What it cost.
    pub cost: Money,
    /// How the last attempt ended.
    pub state: Option<TerminalState>,
    /// When the request began.
    pub started: Instant,
    /// From its beginning to its end.
    pub duration: Duration,
    /// How much of that was spent waiting for providers.
    pub upstream: Duration,
    /// Until the first byte of a stream.
    pub first_byte: Option<Duration>,
}

impl RequestRecord {
    /// Returns the record of a request of which nothing else is known.
    #[must_use]
    pub const fn begun(request_id: RequestId, surface: Surface, started: Instant) -> Self {
        Self {
            request_id,
            surface,
            org_id: None,
            key_id: None,
            model: None,
            is_stream: false,
            status: CLIENT_LEFT,
            error_code: None,
            attempts: Vec::new(),
            usage: Usage::ZERO,
            provenance: Provenance::Missing,
            cost: Money::ZERO,
            state: None,
            started,
            duration: Duration::ZERO,
            upstream: Duration::ZERO,
            first_byte: None,
        }
    }

    /// Returns the time that was the gateway's own: all of it but the waiting for providers; of a
    /// stream, up to its first byte.
    #[must_use]
    pub fn own_time(&self) -> Duration {
        self.first_byte
            .unwrap_or(self.duration)
            .saturating_sub(self.upstream)
    }
}

/// Called once when a request has ended, however it did.
pub type Finish = Box<dyn FnOnce(&RequestRecord) + Send>;

/// The status under which a request is recorded whose client left before it was answered.
const CLIENT_LEFT: u16 = 499;

/// A record in the making. Dropped before it is finished, the client has left.
pub(crate) struct Progress {
    pub(crate) record: RequestRecord,
    /// What is left of the caller's limits, as far as they were asked.
    pub(crate) rates: Rates,
    finish: Option<Finish>,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.record.fmt(f)
    }
}

impl Progress {
    pub(crate) fn new(
        request_id: RequestId,
        surface: Surface,
        started: Instant,
        finish: Option<Finish>,
    ) -> Self {
        let record = RequestRecord::begun(request_id, surface, started);
        Self {
            record,
            rates: Rates::default(),
            finish,
        }
    }

    /// Ends the record as an error.
    pub(crate) fn fail(mut self, status: u16, error: &EngineError) {
        self.record.status = status;
        self.record.error_code = Some(error.code);
    }

    /// Notes how the last attempt ended.
    pub(crate) fn end_attempt(&mut self, state: TerminalState, status: Option<u16>) {
        self.record.state = Some(state);
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.state = state;
            attempt.status = status.or(attempt.status);
            attempt.duration = attempt.started.elapsed();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(finish) = self.finish.take() {
            self.record.duration = self.record.started.elapsed();
            finish(&self.record);
        }
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
