//! How often one request tries again, and how long it waits before.

use std::time::{Duration, Instant};

/// How often a request tries again, and how long it waits before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts at the most, the first included.
    pub attempts_max: u32,
    /// The longest first wait; it doubles with each further one.
    pub backoff_base: Duration,
    /// The longest wait of all. A dependency that asks for more is not waited for.
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

/// What one request has left to try again: attempts, and time until its deadline.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    policy: RetryPolicy,
    retries: u32,
    deadline: Instant,
}

impl RetryBudget {
    /// Makes the budget of a request that is about to make its first attempt.
    #[must_use]
    pub const fn new(policy: &RetryPolicy, deadline: Instant) -> Self {
        Self {
            policy: *policy,
            retries: 0,
            deadline,
        }
    }

    /// Takes an attempt and returns how long to wait before it: a random time up to the backoff
    /// ("full jitter", <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>),
    /// and at least what the dependency asked for. `random` comes from outside, evenly over all
    /// its values. `None` when no attempt is left, when the wait would not end before the deadline, or
    /// when the dependency asks for more than the longest wait.
    pub fn next_delay(&mut self, random: u64, retry_after: Option<Duration>) -> Option<Duration> {
        self.next_delay_at(Instant::now(), random, retry_after)
    }

    fn next_delay_at(
        &mut self,
        now: Instant,
        random: u64,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let RetryPolicy {
            attempts_max,
            backoff_base,
            backoff_max,
        } = self.policy;
        if self.retries.saturating_add(1) >= attempts_max {
            return None;
        }
        let asked_for = retry_after.unwrap_or_default();
        if asked_for > backoff_max {
            return None;
        }
        let longest = backoff_base
            .saturating_mul(2_u32.saturating_pow(self.retries))
            .min(backoff_max);
        let delay = share(longest, random).max(asked_for);
        if now + delay >= self.deadline {
            return None;
        }
        self.retries += 1;
        Some(delay)
    }
}

/// Returns `random` / 2^64 of a duration.
fn share(longest: Duration, random: u64) -> Duration {
    let longest = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(longest) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn delays(
        policy: RetryPolicy,
        time_left: Duration,
        asked_for: &[Option<Duration>],
    ) -> Vec<Option<Duration>> {
        let start = Instant::now();
        let mut budget = RetryBudget::new(&policy, start + time_left);
        asked_for
            .iter()
            .map(|asked| budget.next_delay_at(start, u64::MAX, *asked))
            .collect()
    }

    /// Compares in whole milliseconds: the longest share is a nanosecond short of the backoff.
    fn check(
        policy: RetryPolicy,
        time_left: Duration,
        asked_for: &[Option<Duration>],
        expected_ms: &[Option<u128>],
    ) {
        let found: Vec<_> = delays(policy, time_left, asked_for)
            .into_iter()
            .map(|delay| delay.map(|delay| (delay + Duration::from_nanos(1)).as_millis()))
            .collect();
        assert_eq!(found, expected_ms);
    }

    #[test]
    fn backoff_doubles_up_to_its_bound_until_attempts_run_out() {
        let policy = RetryPolicy {
            attempts_max: 7,
            ..RetryPolicy::default()
        };
        let expected = [200, 400, 800, 1_600, 3_200, 5_000].map(Some);
        check(policy, 60_000 * MS, &[None; 6], &expected);
        assert_eq!(delays(policy, 60_000 * MS, &[None; 7])[6], None);
        check(
            RetryPolicy::default(),
            60_000 * MS,
            &[None; 3],
            &[Some(200), Some(400), None],
        );
        for attempts_max in [0, 1] {
            let policy = RetryPolicy {
                attempts_max,
                ..RetryPolicy::default()
            };
            check(policy, 60_000 * MS, &[None], &[None]);
        }
    }

    #[test]
    fn what_the_dependency_asks_for_is_kept_unless_it_is_too_long() {
        let asked = [Some(1_000 * MS), Some(10 * MS)];
        check(
            RetryPolicy::default(),
            60_000 * MS,
            &asked,
            &[Some(1_000), Some(400)],
        );
        check(
            RetryPolicy::default(),
            60_000 * MS,
            &[Some(5_001 * MS)],
            &[None],
        );
    }

    #[test]
    fn nothing_is_tried_that_would_begin_after_the_deadline() {
        check(
            RetryPolicy::default(),
            200 * MS,
            &[None, None],
            &[Some(200), None],
        );
        check(
            RetryPolicy::default(),
            1_000 * MS,
            &[Some(1_000 * MS)],
            &[None],
        );
        check(RetryPolicy::default(), Duration::ZERO, &[None], &[None]);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_allowed(random in any::<u64>(), retries in 0_u32..80, base_ms in any::<u32>()) {
            let policy = RetryPolicy {
                attempts_max: u32::MAX,
                backoff_base: Duration::from_millis(base_ms.into()),
                ..RetryPolicy::default()
            };
            let start = Instant::now();
            let mut budget = RetryBudget { retries, ..RetryBudget::new(&policy, start + 60_000 * MS) };
            let delay = budget.next_delay_at(start, random, None);
            prop_assert!(delay.is_some_and(|delay| delay <= policy.backoff_max));
        }
    }
}
