//! What is counted of a request.

use std::time::Duration;

use prometheus::{Counter, Histogram, IntCounter};

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

pub(crate) const TOKEN_TYPES: [&str; 7] = [
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
    pub(crate) requests: [IntCounter; 3],
    pub(crate) duration: Histogram,
    pub(crate) overhead: Histogram,
    pub(crate) first_byte: Histogram,
    pub(crate) tokens: [IntCounter; 7],
    pub(crate) cost: Counter,
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
