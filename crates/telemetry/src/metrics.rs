//! Counters, gauges and histograms, rendered as Prometheus text.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use prometheus::core::{Atomic, GenericGauge};
use prometheus::{
    Counter, CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec,
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::TelemetryError;
use crate::process::Process;

/// Model names that get a label of their own; the rest share `other`.
const MODELS_MAX: usize = 200;

/// From 50 us: what the gateway alone adds is well below a millisecond.
const OVERHEAD_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0,
];

/// To ten minutes: reasoning models take their time.
const DURATION_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
    600.0,
];

/// What is counted of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// The status of the answer.
    pub status: u16,
    /// From its beginning to its end.
    pub duration_us: u64,
    /// How much of that was the gateway's own.
    pub overhead_us: u64,
    /// Until the first byte of a stream.
    pub first_byte_us: Option<u64>,
    /// Tokens: input, cached input, cache write, audio input, output, reasoning, audio output.
    pub tokens: [u64; 7],
    /// What it cost, in nano-dollars.
    pub cost_nano_usd: u64,
}

const TOKEN_TYPES: [&str; 7] = [
    "input",
    "cached_input",
    "cache_write",
    "audio_input",
    "output",
    "reasoning",
    "audio_output",
];

/// The handles of one surface and model.
#[derive(Debug)]
pub struct RouteMetrics {
    requests: [IntCounter; 3],
    duration: Histogram,
    overhead: Histogram,
    first_byte: Histogram,
    tokens: [IntCounter; 7],
    cost: Counter,
}

impl RouteMetrics {
    /// Counts a request. A few atomic additions.
    pub fn observe(&self, outcome: &Outcome) {
        let [good, bad, failed] = &self.requests;
        match outcome.status {
            0..400 => good,
            400..500 => bad,
            _ => failed,
        }
        .inc();
        self.duration.observe(seconds(outcome.duration_us));
        self.overhead.observe(seconds(outcome.overhead_us));
        if let Some(first_byte) = outcome.first_byte_us {
            self.first_byte.observe(seconds(first_byte));
        }
        for (counter, tokens) in self.tokens.iter().zip(outcome.tokens) {
            if tokens > 0 {
                counter.inc_by(tokens);
            }
        }
        if outcome.cost_nano_usd > 0 {
            // Shown only: the books are exact, and elsewhere.
            self.cost
                .inc_by(Duration::from_nanos(outcome.cost_nano_usd).as_secs_f64());
        }
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

/// Every metric of the process, in a registry of its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    overhead: HistogramVec,
    first_byte: HistogramVec,
    tokens: IntCounterVec,
    cost: CounterVec,
    attempts: IntCounterVec,
    rejections: IntCounterVec,
    in_flight: IntGauge,
    breakers: IntGaugeVec,
    backlog: GaugeVec,
    pool: IntGaugeVec,
    overruns: IntGauge,
    log_dropped: IntGauge,
    resident: IntGauge,
    cpu: Gauge,
    open_fds: IntGauge,
    routes: RwLock<HashMap<(&'static str, Box<str>), Arc<RouteMetrics>>>,
    models: Mutex<HashSet<Box<str>>>,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When two have one name, which the tests exclude.
    pub fn new(version: &str) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let make = Make(&registry);
        let build = make.gauges(
            "tollgate_build_info",
            "The version that runs.",
            &["version"],
        )?;
        build.with_label_values(&[version]).set(1);
        let by_model = ["surface", "model"];
        Ok(Self {
            requests: make.counters("tollgate_requests_total", "Requests, by the class of their status.", &["surface", "model", "status"])?,
            duration: make.histograms("tollgate_request_duration_seconds", "From a request's beginning to its end.", &by_model, DURATION_BUCKETS)?,
            overhead: make.histograms("tollgate_gateway_overhead_seconds", "What the gateway alone added: the duration without the time that providers took.", &["surface"], OVERHEAD_BUCKETS)?,
            first_byte: make.histograms("tollgate_time_to_first_byte_seconds", "Until the first byte of a stream.", &by_model, DURATION_BUCKETS)?,
            tokens: make.counters("tollgate_tokens_total", "Tokens, in disjoint types.", &["model", "type"])?,
            cost: make.register(CounterVec::new(Opts::new("tollgate_cost_usd_total", "What calls cost, for display: the ledger is exact."), &["model"])?)?,
            attempts: make.counters("tollgate_attempts_total", "Upstream calls, by how they ended.", &["provider", "state"])?,
            rejections: make.counters("tollgate_rejections_total", "Requests that were not answered by a model, by the code of their error.", &["code"])?,
            in_flight: make.gauge("tollgate_inflight_requests", "Requests under way.")?,
            breakers: make.gauges("tollgate_breaker_state", "0 closed, 1 half open, 2 open.", &["provider", "model"])?,
            backlog: make.register(GaugeVec::new(Opts::new("tollgate_journal_backlog", "What is in the journal and not yet in the database: events, bytes, and the age of the oldest in seconds."), &["unit"])?)?,
            pool: make.gauges("tollgate_database_pool_connections", "Connections to the database.", &["pool", "state"])?,
            overruns: make.gauge("tollgate_reserve_overruns", "Calls that cost more than was reserved for them, since the start.")?,
            log_dropped: make.gauge("tollgate_log_lines_dropped", "Log lines dropped because nobody read them fast enough, since the start.")?,
            resident: make.gauge("process_resident_memory_bytes", "Memory in use.")?,
            cpu: make.register(Gauge::with_opts(Opts::new("process_cpu_seconds_total", "CPU time used."))?)?,
            open_fds: make.gauge("process_open_fds", "Open files and sockets.")?,
            routes: RwLock::default(),
            models: Mutex::default(),
            registry,
        })
    }

    /// Returns the handles of a surface and model; makes them the first time.
    #[must_use]
    pub fn route(&self, surface: &'static str, model: &str) -> Arc<RouteMetrics> {
        let label = self.label(model);
        let key = (surface, Box::<str>::from(label));
        if let Some(route) = self.routes.read().get(&key) {
            return Arc::clone(route);
        }
        let requests = |status| self.requests.with_label_values(&[surface, label, status]);
        let route = Arc::new(RouteMetrics {
            requests: [requests("2xx"), requests("4xx"), requests("5xx")],
            duration: self.duration.with_label_values(&[surface, label]),
            overhead: self.overhead.with_label_values(&[surface]),
            first_byte: self.first_byte.with_label_values(&[surface, label]),
            tokens: TOKEN_TYPES.map(|kind| self.tokens.with_label_values(&[label, kind])),
            cost: self.cost.with_label_values(&[label]),
        });
        self.routes.write().insert(key, Arc::clone(&route));
        route
    }

    /// The label of a model: its name, while there are few.
    fn label<'a>(&self, model: &'a str) -> &'a str {
        let mut models = self.models.lock();
        if models.contains(model) {
            return model;
        }
        if models.len() >= MODELS_MAX {
            return "other";
        }
        models.insert(model.into());
        model
    }

    /// Counts an upstream call.
    pub fn attempt(&self, provider: &str, state: &str) {
        self.attempts.with_label_values(&[provider, state]).inc();
    }

    /// Counts a request that no model answered.
    pub fn rejection(&self, code: &str) {
        self.rejections.with_label_values(&[code]).inc();
    }

    /// Counts a request that begins.
    pub fn begin(&self) {
        self.in_flight.inc();
    }

    /// Counts a request that has ended.
    pub fn end(&self) {
        self.in_flight.dec();
    }

    /// Shows a breaker: 0 closed, 1 half open, 2 open.
    pub fn set_breaker(&self, provider: &str, model: &str, state: i64) {
        self.breakers
            .with_label_values(&[provider, self.label(model)])
            .set(state);
    }

    /// Shows what waits in the journal.
    pub fn set_backlog(&self, events: u64, bytes: u64, age: Duration) {
        self.backlog
            .with_label_values(&["events"])
            .set(float(events));
        self.backlog.with_label_values(&["bytes"]).set(float(bytes));
        self.backlog
            .with_label_values(&["age_seconds"])
            .set(age.as_secs_f64());
    }

    /// Shows a pool of database connections.
    pub fn set_pool(&self, pool: &str, size: u32, idle: u32, max: u32) {
        for (state, count) in [("open", size), ("idle", idle), ("max", max)] {
            self.pool
                .with_label_values(&[pool, state])
                .set(i64::from(count));
        }
    }

    /// Shows how many calls cost more than was reserved for them.
    pub fn set_overruns(&self, count: u64) {
        set(&self.overruns, count);
    }

    /// Shows how many log lines were dropped.
    pub fn set_log_dropped(&self, count: u64) {
        set(&self.log_dropped, count);
    }

    /// Renders everything in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let process = Process::read();
        set(&self.resident, process.resident_bytes.unwrap_or(0));
        set(&self.open_fds, process.open_fds.unwrap_or(0));
        self.cpu.set(float(process.cpu_ticks.unwrap_or(0)) / 100.0);
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        if let Err(error) = encoded {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

fn set<P: Atomic<T = i64>>(gauge: &GenericGauge<P>, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// For display: exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and is only shown"
)]
const fn float(value: u64) -> f64 {
    value as f64
}

/// Makes and registers.
struct Make<'a>(&'a Registry);

impl Make<'_> {
    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::with_opts(Opts::new(name, help))?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_in_every_way() {
        let metrics = Metrics::new("0.0.0").unwrap();
        metrics.route("chat_completions", "m").observe(&Outcome {
            status: 503,
            duration_us: 2_000_000,
            overhead_us: 80,
            first_byte_us: Some(1_000),
            tokens: [3, 0, 0, 0, 5, 0, 0],
            cost_nano_usd: 1_500_000_000,
        });
        let text = metrics.render();
        for line in [
            "tollgate_requests_total{model=\"m\",status=\"5xx\",surface=\"chat_completions\"} 1",
            "tollgate_tokens_total{model=\"m\",type=\"output\"} 5",
            "tollgate_cost_usd_total{model=\"m\"} 1.5",
            "tollgate_gateway_overhead_seconds_bucket{surface=\"chat_completions\",le=\"0.0001\"} 1",
            "tollgate_build_info{version=\"0.0.0\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_million_model_names_make_a_bounded_number_of_series() {
        let metrics = Metrics::new("0.0.0").unwrap();
        for at in 0..1_000 {
            drop(metrics.route("chat_completions", &format!("m{at}")));
        }
        assert_eq!(metrics.routes.read().len(), MODELS_MAX + 1);
        assert!(metrics.render().contains("model=\"other\""));
    }
}
