/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A directive of the log filter is neither a level nor `module=level`.
    #[error("{0:?} is neither a log level nor module=level")]
    Level(String),
    /// The filter of log levels cannot be read.
    #[error("the log level is not valid: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logs were set up before, in this process.
    #[error("logs were set up before")]
    LogsTwice(#[from] tracing::subscriber::SetGlobalDefaultError),
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
