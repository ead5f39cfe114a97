//! Counters, gauges and histograms, rendered as Prometheus text.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus::core::{Atomic, GenericGauge};
use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::error::TelemetryError;
use crate::process::Process;
use crate::route::{RouteMetrics, TOKEN_TYPES};

/// Model names that get a label of their own; the rest share `other`.
const MODELS_MAX: usize = 200;

/// Longer model names share it too: with a pattern of models, clients choose them.
const MODEL_BYTES_MAX: usize = 128;

const OTHER: &str = "other";

/// From 50 us: what the gateway alone adds is well below a millisecond.
const OVERHEAD_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0,
];

/// To ten minutes: reasoning models take their time.
const DURATION_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
    600.0,
];

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
    checkpoints: IntCounterVec,
    in_flight: IntGauge,
    breakers: IntGaugeVec,
    backlog: GaugeVec,
    pool: IntGaugeVec,
    overruns: IntGauge,
    log_dropped: IntGauge,
    resident: IntGauge,
    cpu: Gauge,
    open_fds: IntGauge,
    /// By model; each has few surfaces.
    routes: RwLock<HashMap<Box<str>, Vec<Route>>>,
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
            checkpoints: make.counters("tollgate_audit_checkpoint_deliveries_total", "Deliveries of checkpoints of the audit log, by where to and whether they worked.", &["sink", "result"])?,
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
            registry,
        })
    }

    /// Returns the handles of a surface and model; makes them the first time. A look-up costs less
    /// than a tenth of a microsecond; keeping the handles costs nothing.
    #[must_use]
    pub fn route(&self, surface: &'static str, model: &str) -> Arc<RouteMetrics> {
        let found = |routes: &[Route]| {
            routes
                .iter()
                .find(|(known, _)| *known == surface)
                .map(|(_, route)| Arc::clone(route))
        };
        if let Some(route) = self
            .routes
            .read()
            .get(model)
            .and_then(|routes| found(routes))
        {
            return route;
        }
        let mut routes = self.routes.write();
        let label = label(&routes, model);
        if let Some(route) = routes.get(label).and_then(|routes| found(routes)) {
            return route;
        }
        let route = Arc::new(self.make_route(surface, label));
        routes
            .entry(label.into())
            .or_default()
            .push((surface, Arc::clone(&route)));
        route
    }

    fn make_route(&self, surface: &str, label: &str) -> RouteMetrics {
        let requests = |status| self.requests.with_label_values(&[surface, label, status]);
        RouteMetrics {
            requests: [requests("2xx"), requests("4xx"), requests("5xx")],
            duration: self.duration.with_label_values(&[surface, label]),
            overhead: self.overhead.with_label_values(&[surface]),
            first_byte: self.first_byte.with_label_values(&[surface, label]),
            tokens: TOKEN_TYPES.map(|kind| self.tokens.with_label_values(&[label, kind])),
            cost: self.cost.with_label_values(&[label]),
        }
    }

    /// Counts an upstream call. Both names are out of the settings or a fixed set.
    pub fn attempt(&self, provider: &str, state: &str) {
        self.attempts.with_label_values(&[provider, state]).inc();
    }

    /// Counts a delivery of checkpoints of the audit log; the sink is one of a fixed set.
    pub fn checkpoints(&self, sink: &'static str, is_sent: bool) {
        let result = if is_sent { "sent" } else { "failed" };
        self.checkpoints.with_label_values(&[sink, result]).inc();
    }

    /// Counts a request that no model answered, by a code out of a fixed set.
    pub fn rejection(&self, code: &'static str) {
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

    /// Shows a breaker: 0 closed, 1 half open, 2 open. Both names are out of the settings.
    pub fn set_breaker(&self, provider: &str, model: &str, state: i64) {
        self.breakers
            .with_label_values(&[provider, model])
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

/// The handles of a surface.
type Route = (&'static str, Arc<RouteMetrics>);

/// The label of a model: its name, as long as there are few.
fn label<'a>(routes: &HashMap<Box<str>, Vec<Route>>, model: &'a str) -> &'a str {
    let is_full = routes.len() >= MODELS_MAX && !routes.contains_key(model);
    if is_full || model.len() > MODEL_BYTES_MAX {
        OTHER
    } else {
        model
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
mod tests;
