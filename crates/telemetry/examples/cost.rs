//! What telemetry costs a request, in nanoseconds: `cargo run --release -p tollgate-telemetry --example cost`.
//! The log lines go to standard output: send them to `/dev/null`, the figures come on standard error.
#![expect(clippy::print_stderr, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use tollgate_telemetry::{
    AccessLog, AccessRecord, AttemptFacts, LogConfig, LogFormat, Metrics, Outcome, SpanFacts,
    TelemetryError, TraceConfig, Tracer, init_logs,
};

/// As many lines as a busy gateway writes between two turns of the log's writer.
const ROUNDS: u32 = 500;

fn measure(name: &str, mut call: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..50 {
        let began = Instant::now();
        (0..ROUNDS).for_each(|_| call());
        best = best.min(began.elapsed());
        // The writer empties the buffer.
        std::thread::sleep(Duration::from_millis(60));
    }
    eprintln!(
        "{:7.1} ns  {name}",
        best.as_secs_f64() * 1e9 / f64::from(ROUNDS)
    );
}

fn trace(tracer: &Tracer) {
    let span = tracer.begin(None);
    black_box(span.trace_parent());
    let facts = SpanFacts {
        operation: "chat",
        request_id: "req_0193b5d0f4c17a3e9d2b1a8e7c6f5a4b",
        model: Some("gpt-4o-mini"),
        status: 200,
        input_tokens: 812,
        output_tokens: 143,
        cost_usd: Some("0.0002076"),
        ..SpanFacts::default()
    };
    let attempt = AttemptFacts {
        operation: "chat",
        provider: "openai",
        model: "gpt-4o-mini",
        status: Some(200),
        state: "ok",
        started: SystemTime::UNIX_EPOCH,
        duration: Duration::from_millis(1_234),
    };
    span.finish(&facts, std::iter::once(attempt));
}

fn main() -> Result<(), TelemetryError> {
    let config = LogConfig {
        format: LogFormat::Json,
        level: "info".to_owned(),
    };
    let logs = init_logs(&config)?;
    let access = AccessLog::new(&logs);
    let record = AccessRecord {
        request_id: "req_0193b5d0f4c17a3e9d2b1a8e7c6f5a4b",
        trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
        method: "POST",
        route: "/v1/chat/completions",
        status: 200,
        duration_us: 1_234_567,
        overhead_us: 87,
        org_id: Some("org_0193b5d0f4c17a3e9d2b1a8e7c6f5a4b"),
        key_id: Some("key_0193b5d0f4c17a3e9d2b1a8e7c6f5a4b"),
        public_id: None,
        model: Some("gpt-4o-mini"),
        provider: Some("openai"),
        attempts: 1,
        is_stream: false,
        input_tokens: 812,
        output_tokens: 143,
        cost_usd: Some("0.0002076"),
        state: Some("ok"),
        error_code: None,
        client_ip: Some("192.0.2.17"),
    };
    measure("access line", || access.write(black_box(&record)));
    measure("event through tracing", || {
        tracing::info!(key = "key_1", count = 7, "an event")
    });
    eprintln!("lines dropped: {}", access.dropped());

    let metrics = Metrics::new("0.0.0")?;
    let outcome = Outcome {
        status: 200,
        duration_us: 1_234_567,
        overhead_us: 87,
        first_byte_us: None,
        tokens: [812, 0, 0, 0, 143, 0, 0],
        cost_nano_usd: 207_600,
    };
    let route = metrics.route("chat_completions", "gpt-4o-mini");
    measure("metrics: find the route", || {
        black_box(metrics.route("chat_completions", "gpt-4o-mini"));
    });
    measure("metrics: a request", || route.observe(black_box(&outcome)));
    measure("metrics: an attempt", || metrics.attempt("openai", "ok"));

    for (name, otlp_endpoint, sample_ratio) in [
        ("trace: off", None, 1.0),
        (
            "trace: sampled out",
            Some("http://127.0.0.1:9".to_owned()),
            0.0,
        ),
        (
            "trace: two spans, collector away",
            Some("http://127.0.0.1:9".to_owned()),
            1.0,
        ),
    ] {
        let config = TraceConfig {
            otlp_endpoint,
            sample_ratio,
            service_name: "cost".to_owned(),
        };
        let tracer = Tracer::new(&config)?;
        measure(name, || trace(&tracer));
        tracer.stop();
    }
    Ok(())
}
