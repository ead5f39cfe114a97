//! When a message that was not taken is sent again.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Waits after each failed attempt, in seconds: about three days in all. The specification advises an
/// exponential backoff over several days, "Operational considerations" in
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
const DELAYS_SECONDS: [u64; 9] = [
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];
/// A wait is up to a tenth shorter or longer, so that messages that failed together do not come again
/// together.
const JITTER_PARTS: u32 = 10;

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextDelivery {
    /// Another one, after this wait.
    After(Duration),
    /// None: the message is put aside for a person to look at.
    DeadLetter,
}

/// The waits between attempts, as data: it reads no clock and keeps no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySchedule {
    delays: Vec<Duration>,
}

impl Default for DeliverySchedule {
    fn default() -> Self {
        Self {
            delays: DELAYS_SECONDS.map(Duration::from_secs).to_vec(),
        }
    }
}

impl DeliverySchedule {
    /// Makes a schedule of one's own: the wait after the first failed attempt, after the second, …
    #[must_use]
    pub const fn new(delays: Vec<Duration>) -> Self {
        Self { delays }
    }

    /// Returns how many attempts there are in all, the first included.
    #[must_use]
    pub fn attempts_max(&self) -> usize {
        self.delays.len().saturating_add(1)
    }

    /// Returns what follows after so many failed attempts. `random` comes from outside, evenly over all
    /// its values; the same one gives the same wait. Without a failed attempt the wait is none.
    #[must_use]
    pub fn after_failures(&self, failures: u32, random: u64) -> NextDelivery {
        let Some(last) = failures.checked_sub(1) else {
            return NextDelivery::After(Duration::ZERO);
        };
        let delay = usize::try_from(last)
            .ok()
            .and_then(|last| self.delays.get(last));
        match delay {
            Some(delay) => NextDelivery::After(jittered(*delay, random)),
            None => NextDelivery::DeadLetter,
        }
    }
}

/// Returns a time between nine and eleven tenths of a wait.
fn jittered(delay: Duration, random: u64) -> Duration {
    let part = delay / JITTER_PARTS;
    let range = u64::try_from(part.saturating_mul(2).as_nanos()).unwrap_or(u64::MAX);
    let share = (u128::from(range) * u128::from(random)) >> 64;
    (delay - part).saturating_add(Duration::from_nanos(
        u64::try_from(share).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// In whole seconds: half of all random numbers is the middle.
    fn check(failures: u32, expected: Option<u64>) {
        let next = DeliverySchedule::default().after_failures(failures, 1 << 63);
        let expected = expected.map_or(NextDelivery::DeadLetter, |seconds| {
            NextDelivery::After(Duration::from_secs(seconds))
        });
        assert_eq!(next, expected, "{failures}");
    }

    #[test]
    fn nine_more_attempts_over_three_days_and_then_no_more() {
        let expected = [
            0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400,
        ];
        for (failures, seconds) in (0..).zip(expected) {
            check(failures, Some(seconds));
        }
        check(10, None);
        check(u32::MAX, None);
        assert_eq!(DeliverySchedule::default().attempts_max(), 10);
    }

    #[test]
    fn a_schedule_of_ones_own_ends_where_it_ends() {
        let once = DeliverySchedule::new(vec![Duration::from_secs(10)]);
        assert_eq!(
            once.after_failures(1, 0),
            NextDelivery::After(Duration::from_secs(9))
        );
        assert_eq!(once.after_failures(2, 0), NextDelivery::DeadLetter);
        assert_eq!(
            DeliverySchedule::new(Vec::new()).after_failures(1, 0),
            NextDelivery::DeadLetter
        );
    }

    proptest! {
        #[test]
        fn a_wait_is_within_a_tenth_and_the_same_for_the_same_number(
            failures in 1_u32..10, random in any::<u64>(),
        ) {
            let schedule = DeliverySchedule::default();
            let next = schedule.after_failures(failures, random);
            prop_assert_eq!(next, schedule.after_failures(failures, random));
            let NextDelivery::After(wait) = next else {
                return Err(TestCaseError::fail("no wait"));
            };
            let delay = schedule.delays[usize::try_from(failures - 1).unwrap()];
            prop_assert!(wait >= delay - delay / 10 && wait <= delay + delay / 10);
        }
    }
}
