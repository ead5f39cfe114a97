//! Logs, traces and metrics for a server of LLM requests.
//!
//! It must not know anything else of Tollgate: facts come in as plain values. Other crates use the
//! `tracing` facade for ordinary log lines; the line, the counts and the span of each request come
//! through [`AccessLog`], [`Metrics`] and [`Tracer`], which cost about a microsecond together.
//!
//! ```
//! use tollgate_telemetry::{Metrics, Outcome};
//!
//! let metrics = Metrics::new("1.2.3")?;
//! let route = metrics.route("chat_completions", "gpt-4o-mini");
//! route.observe(&Outcome { status: 200, duration_us: 1_500, ..Outcome::default() });
//! assert!(metrics.render().contains(
//!     "tollgate_requests_total{model=\"gpt-4o-mini\",status=\"2xx\",surface=\"chat_completions\"} 1"
//! ));
//! # Ok::<(), tollgate_telemetry::TelemetryError>(())
//! ```

mod access;
mod json_line;
mod logs;
mod metrics;
mod process;
mod redact;
mod trace;

pub use self::access::{AccessLog, AccessRecord};
pub use self::logs::{LogConfig, LogFormat, LogGuard, init_logs};
pub use self::metrics::{Metrics, Outcome, RouteMetrics};
pub use self::trace::{AttemptFacts, RequestSpan, SpanFacts, TraceConfig, Tracer};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter of log levels cannot be read.
    #[error("the log level is not valid: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logs were set up before, in this process.
    #[error("logs were set up before")]
    LogsTwice(#[from] tracing_subscriber::util::TryInitError),
    /// A metric cannot be registered.
    #[error("a metric cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The exporter of traces cannot be made.
    #[error("traces cannot be exported: {0}")]
    Traces(#[from] opentelemetry_otlp::ExporterBuildError),
    /// A thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
}
