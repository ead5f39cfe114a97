//! Delays after failures: per account and address, per address, and per account.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use tollgate_auth::{FREE_FAILURES, SignInFailures};
use tollgate_domain::Timestamp;

/// How many counts are remembered. Those that were not asked for longest go first.
const COUNTS_MAX: u64 = 100_000;

/// After how long without a failure a count is given up.
const COUNT_IDLE: Duration = Duration::from_secs(86_400);

/// How many bits of an IPv6 address name a customer; the rest they choose as they like.
/// Source: <https://www.rfc-editor.org/rfc/rfc6177>
const IPV6_PREFIX_BITS: u32 = 64;

/// What is free beyond the five failures that are always, and where the doubling ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuardRules {
    /// Of one address over all accounts: offices share one.
    address_free: u32,
    /// Of one account over all addresses.
    account_free: u32,
    /// How often the wait of an account doubles at most.
    account_doublings_max: u32,
}

impl GuardRules {
    /// An account waits half a minute at most for what others do from elsewhere.
    pub(super) const SIGN_IN: Self = Self {
        address_free: 45,
        account_free: 15,
        account_doublings_max: 5,
    };

    /// Nobody is harmed when letters to one address become rare.
    pub(super) const LETTERS: Self = Self {
        address_free: 45,
        account_free: 0,
        account_doublings_max: 64,
    };
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(Box<str>, Option<IpAddr>),
    Address(IpAddr),
    Account(Box<str>),
}

/// Why an attempt is not made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// For whoever asks from there.
    Here(Duration),
    /// For those who are not known to be the person.
    Strangers(Duration),
}

/// Counts attempts before their outcome is known, so that many at once get no further than one after
/// the other; one that succeeds is taken back.
pub(super) struct Guard {
    rules: GuardRules,
    counts: Cache<Key, SignInFailures>,
    turn: Mutex<()>,
}

/// An attempt that was counted. It stays counted unless it is taken back.
#[derive(Debug)]
#[must_use]
pub(super) struct Attempt {
    account: Box<str>,
    address: Option<IpAddr>,
}

impl Guard {
    pub(super) fn new(rules: GuardRules) -> Self {
        Self {
            rules,
            counts: Cache::builder()
                .max_capacity(COUNTS_MAX)
                .time_to_idle(COUNT_IDLE)
                .build(),
            turn: Mutex::new(()),
        }
    }

    /// Counts an attempt on an account, known or not. With `is_own` what others did from elsewhere does
    /// not count.
    pub(super) fn begin(
        &self,
        account: &str,
        client_ip: Option<IpAddr>,
        is_own: bool,
        now: Timestamp,
    ) -> Result<Attempt, Wait> {
        let attempt = Attempt {
            account: account.into(),
            address: client_ip.map(network),
        };
        let _turn = self.turn.lock();
        let waits = attempt.keys().into_iter().map(|key| self.wait(&key, now));
        let here = waits.flatten().max().unwrap_or_default();
        if !here.is_zero() {
            return Err(Wait::Here(here));
        }
        let strangers = self.wait(&attempt.account_key(), now).unwrap_or_default();
        if !is_own && !strangers.is_zero() {
            return Err(Wait::Strangers(strangers));
        }
        for key in attempt.all_keys() {
            let count = self.counts.get(&key).unwrap_or_default();
            self.counts.insert(key, count.and_one(now));
        }
        Ok(attempt)
    }

    /// Takes back an attempt that said nothing of whether the secret is known.
    pub(super) fn take_back(&self, attempt: &Attempt) {
        let _turn = self.turn.lock();
        self.uncount(attempt);
    }

    /// Takes back an attempt that succeeded, and forgets those before it from the same place.
    pub(super) fn succeed(&self, attempt: &Attempt) {
        let _turn = self.turn.lock();
        self.uncount(attempt);
        self.counts.invalidate(&attempt.pair_key());
    }

    fn uncount(&self, attempt: &Attempt) {
        for key in attempt.all_keys() {
            if let Some(mut count) = self.counts.get(&key) {
                count.count = count.count.saturating_sub(1);
                self.counts.insert(key, count);
            }
        }
    }

    fn wait(&self, key: &Key, now: Timestamp) -> Option<Duration> {
        let mut failures = self.counts.get(key)?;
        failures.count = match key {
            Key::Pair(..) => failures.count,
            Key::Address(_) => failures.count.saturating_sub(self.rules.address_free),
            Key::Account(_) => failures
                .count
                .saturating_sub(self.rules.account_free)
                .min(FREE_FAILURES + 1 + self.rules.account_doublings_max),
        };
        Some(failures.wait(now))
    }
}

impl Attempt {
    fn pair_key(&self) -> Key {
        Key::Pair(self.account.clone(), self.address)
    }

    fn account_key(&self) -> Key {
        Key::Account(self.account.clone())
    }

    /// The keys that concern whoever asks from here.
    fn keys(&self) -> Vec<Key> {
        let address = self.address.map(Key::Address);
        address.into_iter().chain([self.pair_key()]).collect()
    }

    fn all_keys(&self) -> Vec<Key> {
        let mut keys = self.keys();
        keys.push(self.account_key());
        keys
    }
}

/// Returns what of an address names who has it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let host_bits = Ipv6Addr::BITS - IPV6_PREFIX_BITS;
            IpAddr::V6(Ipv6Addr::from_bits(
                address.to_bits() >> host_bits << host_bits,
            ))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn guard() -> Guard {
        Guard::new(GuardRules::SIGN_IN)
    }

    fn fail(guard: &Guard, account: &str, address: &str, times: u32) {
        for _ in 0..times {
            drop(guard.begin(account, ip(address), false, NOW).unwrap());
        }
    }

    #[test]
    fn the_seventh_failure_of_an_account_from_an_address_waits() {
        let guard = guard();
        fail(&guard, "ann", "192.0.2.1", 6);
        let begin = |now| guard.begin("ann", ip("192.0.2.1"), true, now).map(drop);
        assert_eq!(begin(NOW), Err(Wait::Here(Duration::from_secs(1))));
        assert_eq!(begin(NOW.plus_seconds(1)), Ok(()));
        assert_eq!(
            begin(NOW.plus_seconds(1)),
            Err(Wait::Here(Duration::from_secs(2)))
        );
        fail(&guard, "ann", "192.0.2.2", 1);
        fail(&guard, "bob", "192.0.2.1", 1);
    }

    #[test]
    fn one_address_over_many_accounts_waits() {
        let guard = guard();
        for n in 0..51 {
            fail(&guard, &format!("user{n}"), "192.0.2.1", 1);
        }
        let next = guard.begin("somebody", ip("192.0.2.1"), true, NOW);
        assert_eq!(next.unwrap_err(), Wait::Here(Duration::from_secs(1)));
        fail(&guard, "somebody", "192.0.2.2", 1);
    }

    #[test]
    fn many_addresses_on_one_account_slow_down_strangers_and_never_for_long() {
        let guard = guard();
        for n in 0..200u8 {
            let from = ip(&format!("198.51.100.{n}"));
            // Each waits for the one before it.
            let at = NOW.plus_seconds(i64::from(n) * 60);
            drop(guard.begin("ann", from, false, at).unwrap());
        }
        let at = NOW.plus_seconds(199 * 60);
        let stranger = guard.begin("ann", ip("192.0.2.9"), false, at).unwrap_err();
        assert_eq!(stranger, Wait::Strangers(Duration::from_secs(32)));
        drop(guard.begin("ann", ip("192.0.2.9"), true, at).unwrap());
    }

    #[test]
    fn what_succeeds_forgets_its_own_place_and_no_other() {
        let guard = guard();
        fail(&guard, "ann", "192.0.2.1", 4);
        let attempt = guard.begin("ann", ip("192.0.2.1"), false, NOW).unwrap();
        guard.succeed(&attempt);
        let count = |key| guard.counts.get(&key).map(|count| count.count);
        assert_eq!(count(attempt.pair_key()), None);
        assert_eq!(count(attempt.account_key()), Some(4));
        assert_eq!(
            count(Key::Address(network(ip("192.0.2.1").unwrap()))),
            Some(4)
        );
        let attempt = guard.begin("ann", ip("192.0.2.1"), false, NOW).unwrap();
        guard.take_back(&attempt);
        assert_eq!(count(attempt.account_key()), Some(4));
    }

    #[test]
    fn of_many_at_once_no_more_get_through_than_one_after_the_other() {
        let guard = guard();
        let through: usize = std::thread::scope(|scope| {
            let threads = [0; 8].map(|_| {
                scope.spawn(|| {
                    let tries = (0..50).map(|_| guard.begin("ann", ip("192.0.2.1"), true, NOW));
                    tries.filter(Result::is_ok).count()
                })
            });
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(through, 6);
    }

    #[test]
    fn an_address_of_version_six_counts_with_its_network() {
        let one = network("2001:db8:1:2:3:4:5:6".parse().unwrap());
        assert_eq!(one, network("2001:db8:1:2:ffff::1".parse().unwrap()));
        assert_ne!(one, network("2001:db8:1:3::1".parse().unwrap()));
        let mapped = network("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(mapped, network("192.0.2.1".parse().unwrap()));
    }
}
