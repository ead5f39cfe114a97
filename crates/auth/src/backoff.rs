//! How long a sign-in has to wait after others have failed.

use std::time::Duration;

use tollgate_domain::Timestamp;

/// How many failures cost nothing: people mistype.
pub const FREE_FAILURES: u32 = 5;

/// The wait after the first failure that costs something; it doubles with each further one.
const WAIT_SECONDS_FIRST: u64 = 1;

/// The longest wait. There is no lock that lasts, since anybody could lock anybody out with it.
pub const WAIT_SECONDS_MAX: u64 = 900;

/// After how long without a failure those before are forgotten.
pub const FORGOTTEN_AFTER_SECONDS: i64 = 86_400;

/// Returns how long after a failure the next sign-in is accepted: nothing for the first 5 failures, then
/// 1 second, doubling up to 15 minutes.
#[must_use]
pub fn sign_in_wait(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(FREE_FAILURES + 1) else {
        return Duration::ZERO;
    };
    let seconds = 1u64.checked_shl(doublings).unwrap_or(WAIT_SECONDS_MAX);
    Duration::from_secs(
        seconds
            .saturating_mul(WAIT_SECONDS_FIRST)
            .min(WAIT_SECONDS_MAX),
    )
}

/// The failed sign-ins of one account from one address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignInFailures {
    /// How many there were.
    pub count: u32,
    /// When the last one was.
    pub last_at: Timestamp,
}

impl SignInFailures {
    /// Returns how long to wait from `now` until a sign-in is accepted; zero when it is.
    #[must_use]
    pub fn wait(self, now: Timestamp) -> Duration {
        let since = now.micros().saturating_sub(self.last_at.micros()).max(0);
        let since = Duration::from_micros(since.unsigned_abs());
        sign_in_wait(self.remembered(now)).saturating_sub(since)
    }

    /// Returns the failures with one more, which happened now.
    #[must_use]
    pub fn and_one(self, now: Timestamp) -> Self {
        Self {
            count: self.remembered(now).saturating_add(1),
            last_at: now.max(self.last_at),
        }
    }

    fn remembered(self, now: Timestamp) -> u32 {
        let is_forgotten = now >= self.last_at.plus_seconds(FORGOTTEN_AFTER_SECONDS);
        if is_forgotten { 0 } else { self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

    #[test]
    fn the_first_five_cost_nothing_and_the_rest_double() {
        for (failures, seconds) in [
            (0, 0),
            (1, 0),
            (4, 0),
            (5, 0),
            (6, 1),
            (7, 2),
            (8, 4),
            (9, 8),
            (10, 16),
            (15, 512),
            (16, 900),
            (17, 900),
            (70, 900),
            (1_000, 900),
            (u32::MAX, 900),
        ] {
            assert_eq!(
                sign_in_wait(failures).as_secs(),
                seconds,
                "{failures} failures"
            );
        }
    }

    #[test]
    fn a_wait_counts_from_the_last_failure() {
        let eight = SignInFailures {
            count: 8,
            last_at: START,
        };
        assert_eq!(eight.wait(START), Duration::from_secs(4));
        assert_eq!(eight.wait(START.plus_seconds(3)), Duration::from_secs(1));
        assert_eq!(eight.wait(START.plus_seconds(4)), Duration::ZERO);
        // A clock that went back does not make it longer.
        assert_eq!(eight.wait(START.plus_seconds(-100)), Duration::from_secs(4));
    }

    #[test]
    fn a_day_without_failures_forgets_them() {
        let many = SignInFailures {
            count: 40,
            last_at: START,
        };
        let almost = START.plus_seconds(FORGOTTEN_AFTER_SECONDS - 1);
        assert_eq!(many.and_one(almost).count, 41);
        let day = START.plus_seconds(FORGOTTEN_AFTER_SECONDS);
        assert_eq!(
            many.and_one(day),
            SignInFailures {
                count: 1,
                last_at: day
            }
        );
        let most = SignInFailures {
            count: u32::MAX,
            last_at: START,
        };
        assert_eq!(most.and_one(START).count, u32::MAX);
    }

    proptest! {
        #[test]
        fn nobody_is_locked_out_for_longer_than_a_quarter_of_an_hour(
            gaps in prop::collection::vec(0i64..100_000, 0..60),
        ) {
            let (mut failures, mut now) = (SignInFailures::default(), START);
            for gap in gaps {
                now = now.plus_seconds(gap);
                failures = failures.and_one(now);
                prop_assert!(failures.wait(now).as_secs() <= WAIT_SECONDS_MAX);
                prop_assert_eq!(failures.wait(now.plus_seconds(900)), Duration::ZERO);
            }
        }
    }
}
