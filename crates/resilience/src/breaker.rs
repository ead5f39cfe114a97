//! A circuit breaker with a single probe.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

// Its clock stands still in tests that freeze it.
use failsafe::clock::now;
use failsafe::{Instrument, StateMachine};
use parking_lot::{Mutex, MutexGuard};

use crate::breaker_policy::{BreakerConfig, Policy, Wishes, nanos};

/// What to wait for while somebody else's probe is under way.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// Whether calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// They do.
    Closed,
    /// One at a time does, to find out whether the dependency is back.
    HalfOpen,
    /// None does.
    Open,
}

impl BreakerState {
    /// Returns the name: `closed`, `half_open` or `open`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// Returns whether calls go through freely.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Closed)
    }
}

/// The call must not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the breaker is open")]
pub struct BreakerOpen {
    /// When to ask again.
    pub retry_after: Duration,
}

/// Refuses calls to a dependency that keeps failing; after a while lets one at a time through, and all
/// of them again when that one succeeds.
///
/// Built on failsafe's state machine, which lets everybody through while half-open and forgets calls
/// that were dropped; the gate and the passes are ours.
pub struct Breaker {
    inner: Mutex<Inner>,
    wishes: Arc<Wishes>,
    state: StateCell,
    origin: Instant,
    /// When an open breaker becomes half-open, in nanoseconds since the origin.
    open_until: AtomicU64,
}

struct Inner {
    machine: StateMachine<Policy, StateCell>,
    /// Whose probe is under way.
    probe: Option<u64>,
    /// Counts the times it was closed. A call that began in an earlier one says nothing of this one.
    era: u64,
    probes: u64,
}

impl Breaker {
    /// Makes a closed breaker.
    #[must_use]
    pub fn new(config: &BreakerConfig) -> Self {
        let wishes = Arc::new(Wishes::default());
        let state = StateCell(Arc::new(AtomicU8::new(CLOSED)));
        let machine = StateMachine::new(Policy::new(config, Arc::clone(&wishes)), state.clone());
        let inner = Inner {
            machine,
            probe: None,
            era: 0,
            probes: 0,
        };
        Self {
            inner: Mutex::new(inner),
            wishes,
            state,
            origin: now(),
            open_until: AtomicU64::new(0),
        }
    }

    /// Asks to make a call. Say how it ended with the pass; one that is dropped says nothing.
    ///
    /// # Errors
    /// When the breaker is open, or half-open with a probe under way.
    pub fn try_pass(&self) -> Result<BreakerPass<'_>, BreakerOpen> {
        let mut inner = self.inner.lock();
        let kind = if self.state.get() == BreakerState::Closed {
            PassKind::Call { era: inner.era }
        } else {
            if inner.probe.is_some() {
                return Err(BreakerOpen {
                    retry_after: PROBE_WAIT,
                });
            }
            if !inner.machine.is_call_permitted() {
                return Err(BreakerOpen {
                    retry_after: self.open_for(),
                });
            }
            inner.probes += 1;
            inner.probe = Some(inner.probes);
            PassKind::Probe {
                number: inner.probes,
            }
        };
        Ok(BreakerPass {
            breaker: self,
            kind,
            is_open: true,
        })
    }

    /// Returns the state; two atomic reads at the most, and the clock when it is open.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match self.state.get() {
            // failsafe notices only when somebody asks to pass.
            BreakerState::Open if self.open_for().is_zero() => BreakerState::HalfOpen,
            state => state,
        }
    }

    /// Returns whether a call would go through now, or be the probe.
    #[must_use]
    pub fn lets_through(&self) -> bool {
        match self.state() {
            BreakerState::Closed => true,
            BreakerState::HalfOpen => self.inner.lock().probe.is_none(),
            BreakerState::Open => false,
        }
    }

    /// How long it stays open from now.
    fn open_for(&self) -> Duration {
        let open_until = Duration::from_nanos(self.open_until.load(Ordering::Acquire));
        open_until.saturating_sub(now().saturating_duration_since(self.origin))
    }

    /// Returns the lock if what happened to the call may change anything.
    fn report(&self, kind: PassKind) -> Option<MutexGuard<'_, Inner>> {
        let mut inner = self.inner.lock();
        let counts = match kind {
            PassKind::Call { era } => era == inner.era && self.state.get() == BreakerState::Closed,
            PassKind::Probe { number } => inner.probe.take_if(|probe| *probe == number).is_some(),
        };
        counts.then_some(inner)
    }

    fn success(&self, kind: PassKind) {
        if let Some(mut inner) = self.report(kind) {
            inner.machine.on_success();
            inner.era += u64::from(matches!(kind, PassKind::Probe { .. }));
        }
    }

    fn failure(&self, kind: PassKind, open_at_least: Duration) {
        let Some(inner) = self.report(kind) else {
            return;
        };
        self.wishes
            .open_at_least
            .store(nanos(open_at_least), Ordering::Relaxed);
        inner.machine.on_error();
        if self.state.get() == BreakerState::Open {
            let opened_for = self.wishes.opened_for.load(Ordering::Relaxed);
            let since_origin = nanos(now().saturating_duration_since(self.origin));
            // failsafe lets through strictly after that time.
            let open_until = since_origin.saturating_add(opened_for).saturating_add(1);
            self.open_until.store(open_until, Ordering::Release);
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
enum PassKind {
    Call { era: u64 },
    Probe { number: u64 },
}

/// The right to make one call. Dropped without an outcome, it records nothing, and a probe's place is
/// free again.
#[derive(Debug)]
#[must_use = "a pass that is dropped says nothing of the call"]
pub struct BreakerPass<'a> {
    breaker: &'a Breaker,
    kind: PassKind,
    is_open: bool,
}

impl BreakerPass<'_> {
    /// Says that the dependency answered.
    pub fn success(mut self) {
        self.is_open = false;
        self.breaker.success(self.kind);
    }

    /// Says that the dependency failed.
    pub fn failure(self) {
        self.failure_after(Duration::ZERO);
    }

    /// Says that the dependency failed and wants to be left alone for a while. If this opens the
    /// breaker it stays open for at least that long, up to its longest time.
    pub fn failure_after(mut self, retry_after: Duration) {
        self.is_open = false;
        self.breaker.failure(self.kind, retry_after);
    }
}

impl Drop for BreakerPass<'_> {
    fn drop(&mut self) {
        if self.is_open && matches!(self.kind, PassKind::Probe { .. }) {
            drop(self.breaker.report(self.kind));
        }
    }
}

const CLOSED: u8 = 0;
const HALF_OPEN: u8 = 1;
const OPEN: u8 = 2;

/// failsafe tells its state only to its instrument. It is told while the breaker's lock is held, so
/// that no two changes cross.
#[derive(Debug, Clone)]
struct StateCell(Arc<AtomicU8>);

impl StateCell {
    fn get(&self) -> BreakerState {
        match self.0.load(Ordering::Acquire) {
            CLOSED => BreakerState::Closed,
            HALF_OPEN => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        }
    }
}

impl Instrument for StateCell {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.0.store(OPEN, Ordering::Release);
    }

    fn on_half_open(&self) {
        self.0.store(HALF_OPEN, Ordering::Release);
    }

    fn on_closed(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
