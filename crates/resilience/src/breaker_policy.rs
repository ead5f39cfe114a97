//! When a breaker opens, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use failsafe::{FailurePolicy, WindowedAdder};

/// The longest that anything lasts.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When a [`crate::Breaker`] opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerConfig {
    /// So many failures in a row open it.
    pub failures_min: u32,
    /// Calls within the window below which the ratio says nothing.
    pub calls_min: u32,
    /// This share of failures among the calls of the window opens it, 0 to 1.
    pub failure_ratio: f64,
    /// How far back the ratio looks, 10 ms to a day.
    pub window: Duration,
    /// How long it stays open at first; twice as long after each probe that fails.
    pub open_for: Duration,
    /// How long it stays open at the most, up to a day.
    pub open_for_max: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures_min: 5,
            calls_min: 20,
            failure_ratio: 0.5,
            window: Duration::from_secs(30),
            open_for: Duration::from_secs(5),
            open_for_max: Duration::from_secs(60),
        }
    }
}

/// What the policy and the breaker around failsafe's state machine, which owns the policy, tell each other.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// How long the next opening must last at least, in nanoseconds.
    pub(crate) open_at_least: AtomicU64,
    /// How long the last opening lasts, in nanoseconds.
    pub(crate) opened_for: AtomicU64,
}

/// failsafe has either consecutive failures or a rate that forgets slowly and says nothing in its
/// first window; this opens on whichever of a run and a ratio comes first.
#[derive(Debug)]
pub(crate) struct Policy {
    config: BreakerConfig,
    failures_in_a_row: u32,
    calls: WindowedAdder,
    failures: WindowedAdder,
    /// How often it opened since it was last closed.
    openings: u32,
    wishes: Arc<Wishes>,
}

impl Policy {
    pub(crate) fn new(config: &BreakerConfig, wishes: Arc<Wishes>) -> Self {
        // The adder divides by the length of a slice in milliseconds, and overflows for eternities.
        let window = config.window.clamp(Duration::from_millis(10), DAY);
        let adder = || WindowedAdder::new(window, 10);
        Self {
            config: *config,
            failures_in_a_row: 0,
            calls: adder(),
            failures: adder(),
            openings: 0,
            wishes,
        }
    }

    fn has_failed(&mut self) -> bool {
        if self.failures_in_a_row >= self.config.failures_min {
            return true;
        }
        let calls = u32::try_from(self.calls.sum()).unwrap_or(u32::MAX);
        let failures = u32::try_from(self.failures.sum()).unwrap_or(u32::MAX);
        calls >= self.config.calls_min
            && f64::from(failures) >= self.config.failure_ratio * f64::from(calls)
    }

    fn next_opening(&mut self) -> Duration {
        let doubled = self
            .config
            .open_for
            .saturating_mul(2_u32.saturating_pow(self.openings));
        self.openings = self.openings.saturating_add(1);
        let at_least = self.wishes.open_at_least.swap(0, Ordering::Relaxed);
        let open_for = doubled
            .max(Duration::from_nanos(at_least))
            .min(self.config.open_for_max)
            .min(DAY);
        self.wishes
            .opened_for
            .store(nanos(open_for), Ordering::Relaxed);
        open_for
    }
}

impl FailurePolicy for Policy {
    fn record_success(&mut self) {
        self.failures_in_a_row = 0;
        self.calls.add(1);
    }

    fn mark_dead_on_failure(&mut self) -> Option<Duration> {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.calls.add(1);
        self.failures.add(1);
        // Once it has opened, the failure is that of a probe.
        (self.openings > 0 || self.has_failed()).then(|| self.next_opening())
    }

    fn revived(&mut self) {
        self.failures_in_a_row = 0;
        self.calls.reset();
        self.failures.reset();
        self.openings = 0;
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
