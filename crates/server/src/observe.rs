//! What is told of each request: a log line, counts, a span.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix_web::HttpRequest;
use http::HeaderValue;
use tollgate_domain::{RequestId, Surface, Usage};
use tollgate_engine::{AttemptRecord, Finish, RequestRecord};
use tollgate_resilience::BreakerState;
use tollgate_telemetry::{
    AccessLog, AccessRecord, AttemptFacts, LogConfig, LogFormat, LogGuard, Metrics, Outcome,
    RequestSpan, SpanFacts, TraceConfig, Tracer, init_logs,
};

use crate::assemble::Parts;
use crate::problem::{Failure, Problem};
use crate::settings::{LogFormatSetting, Settings};

/// Logs, traces and metrics of the process.
pub(crate) struct Telemetry {
    logs: LogGuard,
    tracer: Tracer,
}

impl Telemetry {
    pub(crate) fn start(settings: &Settings) -> Result<Self, Failure> {
        let format = match settings.log.format {
            LogFormatSetting::Json => LogFormat::Json,
            LogFormatSetting::Pretty => LogFormat::Pretty,
        };
        let setting = |place: &str, error: tollgate_telemetry::TelemetryError| {
            Failure::Settings(Problem::new(place, error.to_string()))
        };
        let config = LogConfig {
            format,
            level: settings.log.level.clone(),
        };
        let logs = init_logs(&config).map_err(|error| setting("log.level", error))?;
        let endpoint = &settings.telemetry.otlp_endpoint;
        let tracer = Tracer::new(&TraceConfig {
            otlp_endpoint: (!endpoint.is_empty()).then(|| endpoint.clone()),
            sample_ratio: settings.telemetry.sample_ratio,
            service_name: "tollgate".to_owned(),
        });
        let tracer = tracer.map_err(|error| setting("telemetry.otlp_endpoint", error))?;
        Ok(Self { logs, tracer })
    }

    pub(crate) fn observer(&self, parts: &Arc<Parts>) -> Result<Observer, Failure> {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"))
            .map_err(|error| Failure::Other(error.into()))?;
        Ok(Observer {
            access: AccessLog::new(&self.logs),
            tracer: self.tracer.clone(),
            metrics,
            parts: Arc::clone(parts),
        })
    }

    /// Sends what is left of the traces, then writes what is left of the logs.
    pub(crate) fn stop(self) {
        self.tracer.stop();
        drop(self.logs);
    }
}

/// Tells of requests.
pub(crate) struct Observer {
    access: AccessLog,
    tracer: Tracer,
    metrics: Metrics,
    parts: Arc<Parts>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

/// A request that has begun. Dropped, however it ended, it is no longer under way.
pub(crate) struct Observed {
    _in_flight: InFlight,
    span: RequestSpan,
    client_ip: Option<IpAddr>,
}

struct InFlight(Arc<Observer>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.metrics.end();
    }
}

impl Observed {
    /// What to tell providers of the trace.
    pub(crate) fn trace_parent(&self) -> Option<HeaderValue> {
        self.span
            .trace_parent()
            .and_then(|text| HeaderValue::from_str(&text).ok())
    }
}

const fn route_of(surface: Surface) -> &'static str {
    match surface {
        Surface::ChatCompletions => "/v1/chat/completions",
        Surface::Embeddings => "/v1/embeddings",
    }
}

/// The convention's name of an operation.
const fn operation_of(surface: Surface) -> &'static str {
    match surface {
        Surface::ChatCompletions => "chat",
        Surface::Embeddings => "embeddings",
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Observer {
    /// Begins to observe a request of a client with this address.
    pub(crate) fn begin(
        self: &Arc<Self>,
        request: &HttpRequest,
        client_ip: Option<IpAddr>,
    ) -> Observed {
        self.metrics.begin();
        let parent = request
            .headers()
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        Observed {
            _in_flight: InFlight(Arc::clone(self)),
            span: self.tracer.begin(parent),
            client_ip,
        }
    }

    /// Returns what the engine calls when the request has ended.
    pub(crate) fn finish(self: &Arc<Self>, observed: Observed) -> Finish {
        let observer = Arc::clone(self);
        Box::new(move |record| observer.tell(observed, record))
    }

    /// Writes the line of a request that is no call to a model.
    pub(crate) fn write(&self, record: &AccessRecord<'_>) {
        self.access.write(record);
    }

    /// Tells of a request that was refused before it reached the engine.
    pub(crate) fn refused(
        &self,
        observed: Observed,
        (request_id, surface): (RequestId, Surface),
        started: Instant,
        (status, code): (u16, &'static str),
    ) {
        let mut record = RequestRecord::begun(request_id, surface, started);
        record.status = status;
        record.error_code = Some(code);
        record.duration = started.elapsed();
        self.tell(observed, &record);
    }

    fn tell(&self, observed: Observed, record: &RequestRecord) {
        let overhead_us = micros(record.own_time());
        self.count(record, overhead_us);
        self.log(&observed, record, overhead_us);
        self.trace(observed.span, record);
    }

    fn count(&self, record: &RequestRecord, overhead_us: u64) {
        let model = record.model.as_deref().unwrap_or("none");
        let Usage {
            input,
            cached_input,
            cache_write,
            audio_input,
            output,
            reasoning,
            audio_output,
        } = record.usage;
        self.metrics
            .route(record.surface.as_str(), model)
            .observe(&Outcome {
                status: record.status,
                duration_us: micros(record.duration),
                overhead_us,
                first_byte_us: record.first_byte.map(micros),
                tokens: [
                    input,
                    cached_input,
                    cache_write,
                    audio_input,
                    output,
                    reasoning,
                    audio_output,
                ],
                cost_nano_usd: u64::try_from(record.cost.nano()).unwrap_or(0),
            });
        for attempt in &record.attempts {
            self.metrics
                .attempt(&attempt.provider, attempt.state.as_str());
        }
        if let Some(code) = record.error_code {
            self.metrics.rejection(code);
        }
    }

    fn log(&self, observed: &Observed, record: &RequestRecord, overhead_us: u64) {
        let request_id = record.request_id.text();
        let trace_id = observed.span.trace_id();
        let org_id = record.org_id.map(|id| id.text());
        let key_id = record.key_id.map(|id| id.text());
        let cost = record.state.map(|_| record.cost.text());
        let client_ip = observed.client_ip.map(|ip| ip.to_string());
        self.access.write(&AccessRecord {
            request_id: &request_id,
            trace_id: trace_id.as_deref(),
            method: "POST",
            route: route_of(record.surface),
            status: record.status,
            duration_us: micros(record.duration),
            overhead_us,
            org_id: org_id.as_deref(),
            key_id: key_id.as_deref(),
            public_id: None,
            model: record.model.as_deref(),
            provider: record.attempts.last().map(|attempt| &*attempt.provider),
            attempts: record.attempts.len() as u64,
            is_stream: record.is_stream,
            input_tokens: record.usage.prompt_tokens(),
            output_tokens: record.usage.answer_tokens(),
            cost_usd: cost.as_deref(),
            state: record.state.map(tollgate_domain::TerminalState::as_str),
            error_code: record.error_code,
            client_ip: client_ip.as_deref(),
        });
    }

    fn trace(&self, span: RequestSpan, record: &RequestRecord) {
        if !span.is_recording() {
            return;
        }
        let operation = operation_of(record.surface);
        let request_id = record.request_id.to_string();
        let org_id = record.org_id.map(|id| id.to_string());
        let key_id = record.key_id.map(|id| id.to_string());
        let cost = record.cost.to_string();
        let facts = SpanFacts {
            operation,
            request_id: &request_id,
            model: record.model.as_deref(),
            org_id: org_id.as_deref(),
            key_id: key_id.as_deref(),
            status: record.status,
            error_code: record.error_code,
            input_tokens: record.usage.prompt_tokens(),
            output_tokens: record.usage.answer_tokens(),
            cost_usd: Some(&cost),
        };
        let attempts = record
            .attempts
            .iter()
            .map(|attempt| attempt_facts(operation, attempt));
        span.finish(&facts, attempts);
    }

    /// Renders the metrics, with what is read at this moment.
    pub(crate) fn render_metrics(&self) -> String {
        for (model, target) in self.parts.engine.catalog().targets() {
            let state = match target.breaker.state() {
                BreakerState::Closed => 0,
                BreakerState::HalfOpen => 1,
                BreakerState::Open => 2,
            };
            self.metrics.set_breaker(&target.provider, model, state);
        }
        for pool in self.parts.database.pool_state() {
            self.metrics
                .set_pool(pool.name, pool.size, pool.idle, pool.max);
        }
        let backlog = self.parts.ledger.backlog();
        self.metrics
            .set_backlog(backlog.events, backlog.bytes, backlog.age);
        self.metrics.set_overruns(self.parts.ledger.overruns());
        self.metrics.set_log_dropped(self.access.dropped());
        self.metrics.render()
    }
}

fn attempt_facts<'a>(operation: &'a str, attempt: &'a AttemptRecord) -> AttemptFacts<'a> {
    AttemptFacts {
        operation,
        provider: &attempt.provider,
        model: &attempt.upstream_model,
        status: attempt.status,
        state: attempt.state.as_str(),
        // The wall clock's reading of a moment that the other clock noted.
        started: SystemTime::now() - attempt.started.elapsed(),
        duration: attempt.duration,
    }
}
