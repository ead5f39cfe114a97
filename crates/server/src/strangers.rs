//! Bounds for those who have not shown who they are: failed authentications and connections, by address.
//!
//! Whoever shows a good key is never counted, and pays nothing for the counting of others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use tollgate_domain::ErrorKind;
use tollgate_engine::EngineError;
use tollgate_resilience::{RateLimit, RateState};

/// Addresses whose failures are remembered; beyond, the one seen longest ago is forgotten.
const ADDRESSES_MAX: u64 = 100_000;

/// After a minute and a little nothing is left to remember.
const MEMORY: Duration = Duration::from_secs(65);

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Returns what is counted as one: an IPv4 address, or the network of an IPv6 address, which has 64
/// bits, since a single machine can use all addresses of its network.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// How often each address has failed to authenticate lately.
#[derive(Debug)]
pub(crate) struct Strangers {
    per_minute: Option<NonZeroU32>,
    addresses: Cache<IpAddr, Arc<RateLimit>>,
}

/// How a request without a valid credential is answered.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: EngineError,
    limit: Option<RateState>,
}

impl Refusal {
    /// Adds what is left of the limit, in the words of
    /// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>.
    pub(crate) fn describe(&self, response: &mut HttpResponse) {
        let Some(state) = self.limit else { return };
        let wait = self.error.retry_after.map_or(1, |wait| wait.as_secs() + 1);
        let policy = format!("\"address\";q={};w=60", state.limit);
        let left = format!("\"address\";r={};t={wait}", state.remaining);
        for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(name, value);
            }
        }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self { error, limit: None }
    }
}

impl Strangers {
    /// Each address may fail so often in a minute; 0 is no bound.
    pub(crate) fn new(per_minute: u32) -> Self {
        let addresses = Cache::builder()
            .max_capacity(ADDRESSES_MAX)
            .time_to_idle(MEMORY)
            // The default keeps what is asked for often, and would forget each new address at once.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            per_minute: NonZeroU32::new(per_minute),
            addresses,
        }
    }

    /// Counts a failed authentication, and says how it is answered. Addresses that cannot be told are
    /// counted together.
    pub(crate) fn refuse(&self, client: Option<IpAddr>, error: EngineError) -> Refusal {
        let is_about_credential = matches!(
            error.kind,
            ErrorKind::Unauthenticated | ErrorKind::InvalidRequest
        );
        let Some(per_minute) = self.per_minute.filter(|_| is_about_credential) else {
            return error.into();
        };
        let address = counted(client.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
        let limit = self
            .addresses
            .get_with(address, || Arc::new(RateLimit::per_minute(per_minute)));
        match limit.check(1) {
            Ok(_) => error.into(),
            Err(limited) => Refusal {
                error: EngineError {
                    retry_after: limited.retry_after,
                    ..EngineError::new(
                        ErrorKind::RateLimited,
                        "address_rate_limited",
                        "too many requests without a valid credential came from this address",
                    )
                },
                limit: Some(limited.state),
            },
        }
    }
}

/// How many connections each address holds.
#[derive(Debug)]
pub(crate) struct Doors {
    connections_max: u32,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// An address holds as many connections as it may.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Full;

/// A connection's place among those of its address.
#[derive(Debug)]
pub(crate) struct Place {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Doors {
    /// Each address may hold so many connections; 0 is no bound.
    pub(crate) fn new(connections_max: u32) -> Self {
        let open = Arc::default();
        Self {
            connections_max,
            open,
        }
    }

    /// Whether connections are counted at all.
    pub(crate) const fn is_bounded(&self) -> bool {
        self.connections_max > 0
    }

    /// Takes a place.
    ///
    /// # Errors
    /// When the address holds all that it may.
    pub(crate) fn enter(&self, address: IpAddr) -> Result<Place, Full> {
        let address = counted(address);
        let mut open = self.open.lock();
        let count = open.entry(address).or_insert(0);
        if *count >= self.connections_max {
            return Err(Full);
        }
        *count += 1;
        Ok(Place {
            address,
            open: Arc::clone(&self.open),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn unknown_key() -> EngineError {
        EngineError::new(ErrorKind::Unauthenticated, "invalid_api_key", "no")
    }

    fn refuse(strangers: &Strangers, address: &str) -> ErrorKind {
        strangers
            .refuse(Some(ip(address)), unknown_key())
            .error
            .kind
    }

    #[test]
    fn an_address_that_fails_too_often_is_told_to_wait_and_others_are_not() {
        let strangers = Strangers::new(3);
        for _ in 0..3 {
            assert_eq!(refuse(&strangers, "192.0.2.1"), ErrorKind::Unauthenticated);
        }
        assert_eq!(refuse(&strangers, "192.0.2.1"), ErrorKind::RateLimited);
        assert_eq!(
            refuse(&strangers, "::ffff:192.0.2.1"),
            ErrorKind::RateLimited
        );
        assert_eq!(refuse(&strangers, "192.0.2.2"), ErrorKind::Unauthenticated);

        let refusal = strangers.refuse(Some(ip("192.0.2.1")), unknown_key());
        let mut response = HttpResponse::TooManyRequests().finish();
        refusal.describe(&mut response);
        let header = |name| response.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!(header("ratelimit-policy"), "\"address\";q=3;w=60");
        assert_eq!(header("ratelimit"), "\"address\";r=0;t=20");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let strangers = Strangers::new(1);
        assert_eq!(
            refuse(&strangers, "2001:db8::1"),
            ErrorKind::Unauthenticated
        );
        assert_eq!(
            refuse(&strangers, "2001:db8::ffff:2"),
            ErrorKind::RateLimited
        );
        assert_eq!(
            refuse(&strangers, "2001:db8:0:1::1"),
            ErrorKind::Unauthenticated
        );
    }

    #[test]
    fn what_is_not_about_the_credential_is_not_counted() {
        let strangers = Strangers::new(1);
        for kind in [ErrorKind::Unavailable, ErrorKind::Forbidden] {
            for _ in 0..3 {
                let error = EngineError::new(kind, "later", "no");
                assert_eq!(strangers.refuse(None, error).error.kind, kind);
            }
        }
        assert_eq!(
            strangers.refuse(None, unknown_key()).error.kind,
            ErrorKind::Unauthenticated
        );
        assert_eq!(
            strangers.refuse(None, unknown_key()).error.kind,
            ErrorKind::RateLimited
        );
        let unbounded = Strangers::new(0);
        assert!((0..500).all(|_| refuse(&unbounded, "192.0.2.1") == ErrorKind::Unauthenticated));
    }

    #[test]
    fn many_addresses_are_remembered_within_a_bound_and_the_newest_counts() {
        let strangers = Strangers::new(1);
        for number in 0..120_000_u32 {
            let address = IpAddr::V4(number.into());
            let kind = strangers.refuse(Some(address), unknown_key()).error.kind;
            assert_eq!(kind, ErrorKind::Unauthenticated);
        }
        let last = IpAddr::V4(119_999_u32.into());
        let kind = strangers.refuse(Some(last), unknown_key()).error.kind;
        assert_eq!(kind, ErrorKind::RateLimited);
        strangers.addresses.run_pending_tasks();
        assert!(strangers.addresses.entry_count() <= ADDRESSES_MAX);
    }

    #[test]
    fn an_address_holds_so_many_connections_and_a_place_comes_back() {
        let doors = Doors::new(2);
        let [first, second] = [0, 1].map(|_| doors.enter(ip("192.0.2.1")).unwrap());
        assert!(doors.enter(ip("192.0.2.1")).is_err());
        let other = doors.enter(ip("192.0.2.2")).unwrap();
        drop(first);
        let third = doors.enter(ip("192.0.2.1")).unwrap();
        assert!(doors.enter(ip("192.0.2.1")).is_err());
        drop((second, third, other));
        assert!(
            doors.open.lock().is_empty(),
            "nothing is left of who is gone"
        );
    }
}
