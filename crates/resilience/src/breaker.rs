//! Leaves a failing target alone for a while, and then lets one call find out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use failsafe::{FailurePolicy, Instrument, StateMachine};

/// When a breaker opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerConfig {
    /// Failures in a row that open it.
    pub failures_min: u32,
    /// The share of failures within the window that opens it, 0 to 1.
    pub failure_ratio: f64,
    /// Calls within the window below which the share says nothing.
    pub calls_min: u32,
    /// The window of the share.
    pub window: Duration,
    /// How long it stays open at first; doubles while probes fail.
    pub open_for: Duration,
    /// How long it stays open at most.
    pub open_for_max: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures_min: 5,
            failure_ratio: 0.5,
            calls_min: 20,
            window: Duration::from_secs(30),
            open_for: Duration::from_secs(5),
            open_for_max: Duration::from_secs(60),
        }
    }
}

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets all through.
    Closed,
    /// Lets one through at a time, to find out.
    HalfOpen,
    /// Lets none through.
    Open,
}

impl BreakerState {
    /// Returns the name used in metrics and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// Returns whether calls are let through without reserve.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Closed)
    }
}

/// The breaker lets no call through right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("left alone after too many failures")]
pub struct BreakerOpen {
    /// When a call may be let through again.
    pub retry_after: Duration,
}

/// The state as others read it, without a lock.
#[derive(Debug)]
struct Shown {
    state: AtomicU8,
    opened: Instant,
    open_until_ms: AtomicU64,
}

impl Shown {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

const CLOSED: u8 = 0;
const HALF_OPEN: u8 = 1;
const OPEN: u8 = 2;

#[derive(Debug, Clone)]
struct Watch(Arc<Shown>);

impl Instrument for Watch {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.0.state.store(OPEN, Ordering::Release);
    }

    fn on_half_open(&self) {
        self.0.state.store(HALF_OPEN, Ordering::Release);
    }

    fn on_closed(&self) {
        self.0.state.store(CLOSED, Ordering::Release);
    }
}

/// Opens after failures in a row, or when too large a share of the calls of a window failed.
#[derive(Debug)]
struct Policy {
    config: BreakerConfig,
    in_a_row: u32,
    calls: VecDeque<(Instant, bool)>,
    openings: u32,
    shown: Arc<Shown>,
}

/// Outcomes kept for the share, at most.
const CALLS_KEPT: usize = 512;

impl Policy {
    fn note(&mut self, is_failure: bool) {
        let now = Instant::now();
        while self.calls.len() >= CALLS_KEPT
            || self
                .calls
                .front()
                .is_some_and(|(at, _)| now - *at > self.config.window)
        {
            self.calls.pop_front();
        }
        self.calls.push_back((now, is_failure));
    }

    fn is_bad_share(&self) -> bool {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let calls = count(self.calls.len());
        let failures = count(
            self.calls
                .iter()
                .filter(|(_, is_failure)| *is_failure)
                .count(),
        );
        calls >= self.config.calls_min
            && f64::from(failures) >= self.config.failure_ratio * f64::from(calls)
    }
}

impl FailurePolicy for Policy {
    fn record_success(&mut self) {
        self.in_a_row = 0;
        self.note(false);
    }

    fn mark_dead_on_failure(&mut self) -> Option<Duration> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.note(true);
        let is_probe = self.openings > 0;
        if !is_probe && self.in_a_row < self.config.failures_min && !self.is_bad_share() {
            return None;
        }
        let doubled = self
            .config
            .open_for
            .saturating_mul(1 << self.openings.min(16));
        let open_for = doubled.min(self.config.open_for_max);
        self.openings = self.openings.saturating_add(1);
        let open_for_ms = u64::try_from(open_for.as_millis()).unwrap_or(u64::MAX);
        // One more: both figures are cut to whole milliseconds, and it must not be shown too early.
        let until = self
            .shown
            .elapsed_ms()
            .saturating_add(open_for_ms)
            .saturating_add(1);
        self.shown.open_until_ms.store(until, Ordering::Release);
        Some(open_for)
    }

    fn revived(&mut self) {
        self.in_a_row = 0;
        self.openings = 0;
        self.calls.clear();
    }
}

/// A circuit breaker: failsafe's state machine, with a gate that lets one probe through at a time
/// while it is half open (failsafe alone lets all through).
pub struct Breaker {
    machine: StateMachine<Policy, Watch>,
    shown: Arc<Shown>,
    probing: AtomicBool,
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Breaker").field(&self.state()).finish()
    }
}

impl Breaker {
    /// Makes a closed breaker.
    #[must_use]
    pub fn new(config: &BreakerConfig) -> Self {
        let shown = Arc::new(Shown {
            state: AtomicU8::new(CLOSED),
            opened: Instant::now(),
            open_until_ms: AtomicU64::new(0),
        });
        let policy = Policy {
            config: *config,
            in_a_row: 0,
            calls: VecDeque::new(),
            openings: 0,
            shown: Arc::clone(&shown),
        };
        let machine = StateMachine::new(policy, Watch(Arc::clone(&shown)));
        Self {
            machine,
            shown,
            probing: AtomicBool::new(false),
        }
    }

    /// Lets a call through, or says when to ask again.
    ///
    /// # Errors
    /// [`BreakerOpen`] while the target is left alone, or while another call is finding out.
    pub fn try_pass(&self) -> Result<BreakerPass<'_>, BreakerOpen> {
        if self.state().is_closed() {
            return Ok(BreakerPass {
                breaker: self,
                is_probe: false,
            });
        }
        if self.probing.swap(true, Ordering::AcqRel) {
            return Err(self.open());
        }
        let pass = BreakerPass {
            breaker: self,
            is_probe: true,
        };
        // A pass that is dropped gives the gate back.
        if self.machine.is_call_permitted() {
            Ok(pass)
        } else {
            Err(self.open())
        }
    }

    /// Returns what it does with calls. One atomic read.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match self.shown.state.load(Ordering::Acquire) {
            CLOSED => BreakerState::Closed,
            HALF_OPEN => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        }
    }

    /// Returns whether a call could be let through now.
    #[must_use]
    pub fn lets_through(&self) -> bool {
        match self.state() {
            BreakerState::Closed => true,
            _ if self.probing.load(Ordering::Acquire) => false,
            _ => self.open().retry_after.is_zero(),
        }
    }

    fn open(&self) -> BreakerOpen {
        let until = self.shown.open_until_ms.load(Ordering::Acquire);
        let left = until.saturating_sub(self.shown.elapsed_ms());
        BreakerOpen {
            retry_after: Duration::from_millis(left),
        }
    }
}

/// A call that was let through. Dropped without an outcome, it is as if it had not been made.
#[derive(Debug)]
#[must_use = "a pass that is dropped tells the breaker nothing"]
pub struct BreakerPass<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl BreakerPass<'_> {
    /// The target works.
    pub fn success(self) {
        self.breaker.machine.on_success();
    }

    /// The target failed.
    pub fn failure(self) {
        self.breaker.machine.on_error();
    }
}

impl Drop for BreakerPass<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.probing.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_millis(30);

    fn breaker() -> Breaker {
        Breaker::new(&BreakerConfig {
            open_for: OPEN_FOR,
            ..BreakerConfig::default()
        })
    }

    fn fail(breaker: &Breaker, times: usize) {
        (0..times).for_each(|_| breaker.try_pass().unwrap().failure());
    }

    /// failsafe reads the real clock, so these tests wait for it.
    fn wait_until_it_may_be_probed(breaker: &Breaker) {
        while !breaker.lets_through() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_successes_between_do_not() {
        let one = breaker();
        fail(&one, 4);
        one.try_pass().unwrap().success();
        fail(&one, 4);
        assert_eq!(one.state(), BreakerState::Closed);
        fail(&one, 1);
        assert_eq!(one.state(), BreakerState::Open);
        let open = one.try_pass().unwrap_err();
        assert!(open.retry_after <= OPEN_FOR + Duration::from_millis(1));
    }

    #[test]
    fn a_large_share_of_failures_opens_it() {
        let one = breaker();
        for _ in 0..10 {
            if let Ok(pass) = one.try_pass() {
                pass.success();
            }
            fail(&one, 1);
        }
        assert_eq!(one.state(), BreakerState::Open);
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let one = breaker();
        fail(&one, 5);
        wait_until_it_may_be_probed(&one);
        let probe = one.try_pass().unwrap();
        assert_eq!(one.state(), BreakerState::HalfOpen);
        assert!(one.try_pass().is_err(), "a second probe at the same time");
        drop(probe);
        let probe = one.try_pass().unwrap();
        probe.failure();
        assert_eq!(one.state(), BreakerState::Open);
        wait_until_it_may_be_probed(&one);
        one.try_pass().unwrap().success();
        assert_eq!(one.state(), BreakerState::Closed);
        assert!(one.try_pass().is_ok() && one.try_pass().is_ok());
    }

    #[test]
    fn it_stays_open_longer_while_probes_fail() {
        let one = breaker();
        fail(&one, 5);
        wait_until_it_may_be_probed(&one);
        one.try_pass().unwrap().failure();
        let again = one.try_pass().unwrap_err().retry_after;
        assert!(
            again > OPEN_FOR && again <= OPEN_FOR * 2 + Duration::from_millis(1),
            "{again:?}"
        );
    }
}
