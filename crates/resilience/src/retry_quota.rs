//! How much of all traffic may be retries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What a retry costs, in the unit in which first attempts pay in.
const RETRY: u64 = 100;

/// Bounds the retries of the whole process to a share of its first attempts, so that a failing
/// dependency gets at most that much more traffic than usual. A small reserve, which refills with
/// time, lets retries happen where there is little traffic.
#[derive(Debug)]
pub struct RetryQuota {
    /// In hundredths of a retry.
    balance: AtomicU64,
    balance_max: u64,
    percent: u64,
    origin: Instant,
    /// The seconds since the origin that were paid for.
    paid_s: AtomicU64,
}

impl RetryQuota {
    /// Lets retries be up to `percent` of the first attempts, beside a reserve of `reserve` retries
    /// to which one is added each second.
    #[must_use]
    pub fn new(percent: u32, reserve: u32) -> Self {
        let balance_max = u64::from(reserve).max(1) * RETRY;
        Self {
            balance: AtomicU64::new(balance_max),
            balance_max,
            percent: u64::from(percent),
            origin: Instant::now(),
            paid_s: AtomicU64::new(0),
        }
    }

    /// Counts a first attempt.
    pub fn first_attempt(&self) {
        // A full balance, which is the rule, is only read.
        if self.balance.load(Ordering::Relaxed) < self.balance_max {
            self.pay_in(self.percent);
        }
    }

    /// Takes a retry; `false` when there is none left.
    #[must_use]
    pub fn try_retry(&self) -> bool {
        self.try_retry_at(self.origin.elapsed().as_secs())
    }

    fn try_retry_at(&self, now_s: u64) -> bool {
        let paid_s = self.paid_s.fetch_max(now_s, Ordering::Relaxed);
        if now_s > paid_s {
            self.pay_in((now_s - paid_s).saturating_mul(RETRY));
        }
        let take = |balance: u64| balance.checked_sub(RETRY);
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    fn pay_in(&self, amount: u64) {
        let add = |balance: u64| Some(balance.saturating_add(amount).min(self.balance_max));
        let _ = self
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl Default for RetryQuota {
    /// Retries are up to a tenth of the first attempts, beside a reserve of 100.
    fn default() -> Self {
        Self::new(10, 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(quota: &RetryQuota, now_s: u64) -> usize {
        (0..10_000).filter(|_| quota.try_retry_at(now_s)).count()
    }

    #[test]
    fn retries_are_a_share_of_first_attempts() {
        let quota = RetryQuota::new(10, 100);
        assert_eq!(retries(&quota, 0), 100, "the reserve");
        for _ in 0..500 {
            quota.first_attempt();
        }
        assert_eq!(retries(&quota, 0), 50);
        for _ in 0..1_000_000 {
            quota.first_attempt();
        }
        assert_eq!(retries(&quota, 0), 100, "what is not used does not pile up");
    }

    #[test]
    fn the_reserve_refills_by_one_a_second() {
        let quota = RetryQuota::new(10, 20);
        assert_eq!(retries(&quota, 0), 20);
        assert_eq!(retries(&quota, 7), 7);
        assert_eq!(retries(&quota, 7), 0);
        assert_eq!(retries(&quota, u64::MAX), 20);
    }
}
