//! Logs, traces, metrics and health reports for a server of LLM requests.
//!
//! It must not know anything else of Tollgate: facts come in as plain values. Other crates use the
//! `tracing` facade for ordinary log lines; the line, the counts and the span of each request come
//! through [`AccessLog`], [`Metrics`] and [`Tracer`], which cost half a microsecond together, and one
//! more when the request is traced.
//!
//! # Embedding
//!
//! ```
//! use tollgate_telemetry::{
//!     AccessLog, AccessRecord, LogConfig, Metrics, Outcome, SpanFacts, TraceConfig, Tracer, init_logs,
//! };
//!
//! let logs = init_logs(&LogConfig::default())?; // lines are written until this is dropped
//! let access = AccessLog::new(&logs);
//! let metrics = Metrics::new("1.2.3")?;
//! let tracer = Tracer::new(&TraceConfig {
//!     otlp_endpoint: None, // or a collector's, such as http://127.0.0.1:4318
//!     sample_ratio: 1.0,
//!     service_name: "my-service".to_owned(),
//! })?;
//!
//! let span = tracer.begin(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
//! // … call a model, sending `span.trace_parent()` along …
//! let trace_id = span.trace_id();
//! metrics
//!     .route("chat_completions", "gpt-4o-mini")
//!     .observe(&Outcome { status: 200, duration_us: 1_500, ..Outcome::default() });
//! access.write(&AccessRecord {
//!     request_id: "req_1",
//!     trace_id: trace_id.as_deref(),
//!     status: 200,
//!     duration_us: 1_500,
//!     ..AccessRecord::default()
//! });
//! span.finish(&SpanFacts { operation: "chat", status: 200, ..SpanFacts::default() }, [].into_iter());
//! assert!(metrics.render().contains(
//!     "tollgate_requests_total{model=\"gpt-4o-mini\",status=\"2xx\",surface=\"chat_completions\"} 1"
//! ));
//! tracer.stop();
//! # Ok::<(), tollgate_telemetry::TelemetryError>(())
//! ```

mod access;
mod error;
mod events;
mod health;
mod json_line;
mod logs;
mod metrics;
mod process;
mod redact;
mod route;
mod sink;
mod trace;
mod trace_parent;

pub use self::access::{AccessLog, AccessRecord};
pub use self::error::TelemetryError;
pub use self::health::{Component, HealthReport, HealthStatus};
pub use self::logs::{LogConfig, LogFormat, LogGuard, init_logs, init_logs_to};
pub use self::metrics::Metrics;
pub use self::route::{Outcome, RouteMetrics};
pub use self::trace::{AttemptFacts, RequestSpan, SpanFacts, TraceConfig, Tracer};
