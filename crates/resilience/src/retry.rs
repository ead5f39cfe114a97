//! How often and when a failed call is made again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// How one request may retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Calls in all, the first included.
    pub attempts_max: u32,
    /// The longest wait before the first retry; it doubles with each.
    pub backoff_base: Duration,
    /// The longest wait of all.
    pub backoff_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            backoff_base: Duration::from_millis(200),
            backoff_max: Duration::from_secs(5),
        }
    }
}

/// The one retry budget of a request: attempts and time, whatever layer asks.
#[derive(Debug)]
pub struct RetryBudget {
    policy: RetryPolicy,
    made: u32,
    deadline: Instant,
}

impl RetryBudget {
    /// Makes the budget of a request whose first attempt is under way.
    #[must_use]
    pub const fn new(policy: &RetryPolicy, deadline: Instant) -> Self {
        Self {
            policy: *policy,
            made: 1,
            deadline,
        }
    }

    /// Takes one more attempt and returns how long to wait for it: drawn evenly from zero to the
    /// doubling backoff ("full jitter"), or what the other side asked for if that is longer. `None` when
    /// no attempt is left or the wait would pass the deadline. `random` is any random number.
    pub fn next_delay(&mut self, random: u64, retry_after: Option<Duration>) -> Option<Duration> {
        if self.made >= self.policy.attempts_max {
            return None;
        }
        let doubled = self
            .policy
            .backoff_base
            .saturating_mul(1 << (self.made - 1).min(16));
        let ceiling = doubled.min(self.policy.backoff_max);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        let drawn = (u128::from(random) * u128::from(nanos)) >> 64;
        let jittered = Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos));
        let delay = jittered.max(retry_after.unwrap_or_default());
        if Instant::now() + delay >= self.deadline {
            return None;
        }
        self.made += 1;
        Some(delay)
    }
}

/// A process-wide bound: retries are at most a tenth of first attempts, beyond a small stock that
/// lets a quiet process retry at all. So a provider in trouble gets no storm on top.
#[derive(Debug)]
pub struct RetryQuota {
    tenths: AtomicI64,
}

/// Ten tenths are a retry.
const RETRY_TENTHS: i64 = 10;
/// Twenty retries.
const STOCK_TENTHS: i64 = 200;

impl Default for RetryQuota {
    fn default() -> Self {
        Self {
            tenths: AtomicI64::new(STOCK_TENTHS),
        }
    }
}

impl RetryQuota {
    /// Counts a first attempt, which earns a tenth of a retry.
    pub fn first_attempt(&self) {
        if self.tenths.load(Ordering::Relaxed) < STOCK_TENTHS {
            self.tenths.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a retry, if there is one.
    pub fn try_retry(&self) -> bool {
        let take = |tenths: i64| (tenths >= RETRY_TENTHS).then_some(tenths - RETRY_TENTHS);
        self.tenths
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(3_600)
    }

    #[test]
    fn attempts_and_time_end_the_budget() {
        let policy = RetryPolicy::default();
        let mut budget = RetryBudget::new(&policy, far());
        assert!(budget.next_delay(7, None).is_some());
        assert!(budget.next_delay(7, None).is_some());
        assert_eq!(budget.next_delay(7, None), None);
        let mut late = RetryBudget::new(&policy, Instant::now() + Duration::from_secs(1));
        assert_eq!(late.next_delay(0, Some(Duration::from_secs(2))), None);
    }

    #[test]
    fn retries_are_a_tenth_of_first_attempts() {
        let quota = RetryQuota::default();
        while quota.try_retry() {}
        (0..1_000).for_each(|_| quota.first_attempt());
        let retries = (0..).take_while(|_| quota.try_retry()).count();
        // What was earned beyond the stock is not kept.
        assert_eq!(retries, 20);
        (0..50).for_each(|_| quota.first_attempt());
        assert_eq!((0..).take_while(|_| quota.try_retry()).count(), 5);
    }

    proptest! {
        #[test]
        fn waits_stay_within_the_doubling_ceiling(random in any::<u64>(), asked in 0..100_u64) {
            let policy = RetryPolicy { attempts_max: 4, ..RetryPolicy::default() };
            let mut budget = RetryBudget::new(&policy, far());
            for ceiling_ms in [200, 400, 800] {
                let asked = Duration::from_millis(asked);
                let delay = budget.next_delay(random, Some(asked)).unwrap();
                prop_assert!(delay >= asked);
                prop_assert!(delay <= Duration::from_millis(ceiling_ms));
            }
        }
    }
}
