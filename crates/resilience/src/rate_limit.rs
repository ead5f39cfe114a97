//! How much may be spent per minute, where the true amount is known only afterwards.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

const MINUTE_NS: u64 = 60_000_000_000;

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
    /// When the same cost will pass; `None` when it is larger than the whole limit.
    pub retry_after: Option<Duration>,
    /// What is left.
    pub state: RateState,
}

/// The limiter's memory: one number, the time at which all of the limit is there again. Governor only
/// moves it forward by what it admits; here it can also be moved by what was really used.
#[derive(Debug, Default)]
struct FullAt(AtomicU64);

#[derive(Debug, Clone, Default)]
struct SharedFullAt(Arc<FullAt>);

impl StateStore for SharedFullAt {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let cell = &self.0.0;
        let mut old = cell.load(Ordering::Acquire);
        loop {
            let (result, new) = decide((old > 0).then(|| Nanos::from(old)))?;
            match cell.compare_exchange_weak(old, new.as_u64(), Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok(result),
                Err(changed) => old = changed,
            }
        }
    }
}

/// An amount per minute (GCRA, by governor): all of it at once after a quiet minute, then as it
/// comes back. What was admitted can be corrected afterwards, also to more than the limit: then
/// nothing passes until the debt is paid.
#[derive(Debug)]
pub struct RateLimit<C: Clock = DefaultClock> {
    limit: NonZeroU32,
    full_at: SharedFullAt,
    clock: C,
    start: C::Instant,
    limiter: RateLimiter<NotKeyed, SharedFullAt, C, NoOpMiddleware<C::Instant>>,
}

impl RateLimit {
    /// Allows this much per minute.
    #[must_use]
    pub fn per_minute(limit: NonZeroU32) -> Self {
        Self::with_clock(limit, DefaultClock::default())
    }
}

impl<C: Clock + Clone> RateLimit<C> {
    /// Allows this much per minute of that clock.
    #[must_use]
    pub fn with_clock(limit: NonZeroU32, clock: C) -> Self {
        let full_at = SharedFullAt::default();
        let start = clock.now();
        let limiter = RateLimiter::new(Quota::per_minute(limit), full_at.clone(), clock.clone());
        Self {
            limit,
            full_at,
            clock,
            start,
            limiter,
        }
    }

    /// Spends `cost` if that much is left, or nothing. A cost of 0 passes.
    ///
    /// # Errors
    /// [`RateLimited`] when less is left.
    pub fn check(&self, cost: u32) -> Result<RateState, RateLimited> {
        let Some(cost) = NonZeroU32::new(cost) else {
            return Ok(self.state());
        };
        match self.limiter.check_n(cost) {
            Ok(Ok(())) => Ok(self.state()),
            Ok(Err(not_until)) => {
                let retry_after = Some(not_until.wait_time_from(self.clock.now()));
                Err(RateLimited {
                    retry_after,
                    state: self.state(),
                })
            }
            Err(_) => Err(RateLimited {
                retry_after: None,
                state: self.state(),
            }),
        }
    }

    /// Replaces what was spent by what was really used, beyond the limit if need be.
    pub fn correct(&self, spent: u32, used: u32) {
        let now = self.now_ns();
        let cell = &self.full_at.0.0;
        let amount = |cost: u32| u64::from(cost).saturating_mul(self.interval_ns());
        let shift = |full_at: u64| {
            Some(if used >= spent {
                full_at.max(now).saturating_add(amount(used - spent))
            } else {
                full_at.saturating_sub(amount(spent - used))
            })
        };
        // The closure always gives a value, so the update always succeeds.
        let _ = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, shift);
    }

    /// Returns what is left.
    #[must_use]
    pub fn state(&self) -> RateState {
        let owed = self
            .full_at
            .0
            .0
            .load(Ordering::Acquire)
            .saturating_sub(self.now_ns());
        let spent = owed.div_ceil(self.interval_ns());
        let remaining = u64::from(self.limit.get()).saturating_sub(spent);
        RateState {
            limit: self.limit.get(),
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(owed),
        }
    }

    /// The time in which one unit comes back, as governor computes it.
    const fn interval_ns(&self) -> u64 {
        MINUTE_NS / self.limit.get() as u64
    }

    fn now_ns(&self) -> u64 {
        self.clock.now().duration_since(self.start).as_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    fn limit(per_minute: u32) -> (RateLimit<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        clock.advance(Duration::from_secs(1));
        (
            RateLimit::with_clock(NonZeroU32::new(per_minute).unwrap(), clock.clone()),
            clock,
        )
    }

    #[test]
    fn the_whole_limit_passes_at_once_and_then_as_it_comes_back() {
        let (limit, clock) = limit(60);
        assert_eq!(limit.check(60).unwrap().remaining, 0);
        let limited = limit.check(1).unwrap_err();
        assert_eq!(limited.retry_after, Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert!(limit.check(1).is_ok());
        assert!(limit.check(1).is_err());
    }

    #[test]
    fn a_cost_above_the_limit_never_passes_and_costs_nothing() {
        let (limit, _clock) = limit(10);
        assert_eq!(limit.check(11).unwrap_err().retry_after, None);
        assert_eq!(limit.state().remaining, 10);
    }

    #[test]
    fn what_was_not_used_comes_back_and_what_was_used_beyond_is_owed() {
        let (limit, clock) = limit(60);
        limit.check(40).unwrap();
        limit.correct(40, 10);
        assert_eq!(limit.state().remaining, 50);
        limit.correct(10, 130);
        assert_eq!(limit.state().remaining, 0);
        clock.advance(Duration::from_secs(69));
        assert!(limit.check(1).is_err());
        clock.advance(Duration::from_secs(2));
        assert!(limit.check(1).is_ok());
    }

    proptest! {
        #[test]
        fn no_minute_admits_more_than_twice_the_limit(
            per_minute in 1..1_000_u32,
            calls in prop::collection::vec((1..50_u32, 0..2_000_u64), 1..200),
        ) {
            let (limit, clock) = limit(per_minute);
            let mut admitted: Vec<(u64, u32)> = Vec::new();
            let mut now = 0;
            for (cost, pause) in calls {
                clock.advance(Duration::from_millis(pause));
                now += pause;
                if limit.check(cost).is_ok() {
                    admitted.push((now, cost));
                }
                let minute: u32 =
                    admitted.iter().filter(|(at, _)| now - at < 60_000).map(|(_, cost)| cost).sum();
                // GCRA: a full burst, and what comes back within the same minute.
                prop_assert!(minute <= 2 * per_minute);
            }
        }
    }
}
