//! So many per minute.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

/// The most that can be owed, in time: so that a count that is absurd does not shut a caller out for
/// years, and no sum overflows.
const DEBT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateState {
    /// Per minute.
    pub limit: u32,
    /// Left now.
    pub remaining: u32,
    /// Until all of it is there again.
    pub reset: Duration,
}

/// The limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit of {} per minute is reached", state.limit)]
pub struct RateLimited {
    /// When there will be enough; `None` when more was asked for than the limit ever allows.
    pub retry_after: Option<Duration>,
    /// What is left.
    pub state: RateState,
}

/// So many requests, or tokens, per minute.
///
/// A full minute's worth may be taken at once, and comes back evenly: any stretch of time admits at
/// most the limit, and once more the share of it that the stretch gives back. What is known only
/// later is reserved first and corrected afterwards.
///
/// The checks are governor's; it has neither refunds nor debts, so the store in which it keeps its
/// one number, the time at which all would be paid back, is ours.
pub struct RateLimit<C: Clock = MonotonicClock> {
    limiter: RateLimiter<NotKeyed, PaidBack, C, NoOpMiddleware<C::Instant>>,
    paid_back: PaidBack,
    start: C::Instant,
    limit: NonZeroU32,
}

impl RateLimit {
    /// Makes a limit of which nothing is used.
    #[must_use]
    pub fn per_minute(limit: NonZeroU32) -> Self {
        Self::per_minute_with_clock(limit, MonotonicClock)
    }
}

impl<C: Clock> RateLimit<C> {
    /// Makes a limit of which nothing is used, with a clock of the caller's.
    #[must_use]
    pub fn per_minute_with_clock(limit: NonZeroU32, clock: C) -> Self {
        let paid_back = PaidBack::default();
        let quota = Quota::per_minute(limit);
        Self {
            start: clock.now(),
            limiter: RateLimiter::new(quota, paid_back.clone(), clock),
            paid_back,
            limit,
        }
    }

    /// Takes `cost` of the limit, or nothing.
    ///
    /// # Errors
    /// When so much is not there now, or, without a time to wait, when it never will be.
    pub fn check(&self, cost: u32) -> Result<RateState, RateLimited> {
        let Some(cost) = NonZeroU32::new(cost) else {
            return Ok(self.state());
        };
        let retry_after = match self.limiter.check_n(cost) {
            Ok(Ok(())) => return Ok(self.state()),
            Ok(Err(not_until)) => Some(not_until.wait_time_from(self.limiter.clock().now())),
            Err(_more_than_the_limit) => None,
        };
        Err(RateLimited {
            retry_after,
            state: self.state(),
        })
    }

    /// Replaces what was taken by what it really was. More than was taken is owed, also beyond the
    /// limit, for at most a day: nothing is admitted until it is paid back.
    pub fn correct(&self, reserved: u32, actual: u32) {
        let cell = nanos_of(self.cell());
        if let Some(more) = actual.checked_sub(reserved).filter(|more| *more > 0) {
            let now = self.now();
            let more = cell.saturating_mul(u64::from(more));
            let debt_max = now.saturating_add(nanos_of(DEBT_MAX));
            self.paid_back.update(|paid_back| {
                // What is owed already is never cut.
                paid_back
                    .max(now)
                    .saturating_add(more)
                    .min(debt_max.max(paid_back))
            });
        } else {
            let less = cell.saturating_mul(u64::from(reserved.saturating_sub(actual)));
            // Zero would mean that nothing was ever taken, which is what governor reads it as too.
            self.paid_back
                .update(|paid_back| paid_back.saturating_sub(less));
        }
    }

    /// Returns what is left.
    #[must_use]
    pub fn state(&self) -> RateState {
        let limit = self.limit.get();
        let reset = self.paid_back.get().saturating_sub(self.now());
        let used = reset.div_ceil(nanos_of(self.cell()).max(1));
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        RateState {
            limit,
            remaining: limit.saturating_sub(used),
            reset: Duration::from_nanos(reset),
        }
    }

    /// How long one takes to come back.
    fn cell(&self) -> Duration {
        Quota::per_minute(self.limit).replenish_interval()
    }

    fn now(&self) -> u64 {
        self.limiter
            .clock()
            .now()
            .duration_since(self.start)
            .as_u64()
    }
}

impl<C: Clock> fmt::Debug for RateLimit<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimit").field(&self.state()).finish()
    }
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// When everything taken will have come back, in nanoseconds since the start: the "theoretical arrival
/// time" of <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>. Zero is never taken from.
#[derive(Debug, Clone, Default)]
struct PaidBack(Arc<AtomicU64>);

impl PaidBack {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn update(&self, change: impl Fn(u64) -> u64) {
        let change = |paid_back| Some(change(paid_back));
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }
}

impl StateStore for PaidBack {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut seen = self.get();
        loop {
            let (outcome, next) = decide((seen != 0).then(|| Nanos::from(seen)))?;
            let swap = self.0.compare_exchange_weak(
                seen,
                next.as_u64(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swap {
                Ok(_) => return Ok(outcome),
                Err(now_there) => seen = now_there,
            }
        }
    }
}

#[cfg(test)]
mod tests;
