//! From names to addresses, of which only the good ones are handed on.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::address::AddressPolicy;
use crate::allow_list::AllowList;

/// The most addresses of one name that are looked at; further ones are not used.
pub const ADDRESSES_MAX: usize = 32;

/// What a [`Resolver`] returns.
pub type ResolveFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of names. It may answer anything: each address is checked by whoever asks.
pub trait Resolver: Send + Sync + 'static {
    /// Returns the addresses of a name. A dot at its end says that it is complete: nothing may be
    /// appended to it.
    fn resolve(&self, name: &str) -> ResolveFuture;
}

/// The most look-ups that the system is asked for at the same time; further ones wait.
pub const LOOKUPS_MAX: usize = 16;

/// The system's own resolver: `/etc/hosts`, then DNS.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Resolver for SystemResolver {
    fn resolve(&self, name: &str) -> ResolveFuture {
        let (name, lookups) = (name.to_owned(), Arc::clone(&self.lookups));
        Box::pin(async move {
            let permit = lookups.acquire_owned().await.map_err(io::Error::other)?;
            // A look-up cannot be broken off, and a name whose servers do not answer holds its thread
            // for longer than anybody waits. The permit goes along, or such names would take up all
            // threads of the pool, which the database needs too.
            let lookup = tokio::task::spawn_blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                drop(permit);
                found
            });
            let found = lookup.await.map_err(io::Error::other)??;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Why a name leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("the name has no address")]
    NoAddress,
    #[error("none of the name's addresses is allowed")]
    AllRefused,
}

/// Stands between the client and a resolver. The client connects to what it is handed and asks no
/// second time, so there is no moment between the check and the connection.
pub(crate) struct GuardedResolver {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) policy: AddressPolicy,
    pub(crate) allowed: Arc<AllowList>,
}

impl GuardedResolver {
    fn question(&self, host: &str) -> String {
        if self.allowed.lists_name(host) {
            return host.to_owned();
        }
        // Without the dot the system would try the name within its own domains first, where
        // strangers' names have no business.
        format!("{host}.")
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let lookup = self.resolver.resolve(&self.question(&host));
        let policy = self.policy.clone();
        Box::pin(async move {
            let found = lookup.await.map_err(|_| LookupError::NoAddress)?;
            let good = good_addresses(&policy, &host, &found)?;
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

/// Returns those of the addresses that may be connected to.
fn good_addresses(
    policy: &AddressPolicy,
    host: &str,
    found: &[IpAddr],
) -> Result<Vec<SocketAddr>, LookupError> {
    if found.is_empty() {
        return Err(LookupError::NoAddress);
    }
    let good: Vec<_> = found
        .iter()
        .take(ADDRESSES_MAX)
        .filter(|address| policy.check(host, **address).is_ok())
        .map(|address| SocketAddr::new(*address, 0))
        .collect();
    if good.is_empty() {
        return Err(LookupError::AllRefused);
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[&str], expected: Result<&[&str], LookupError>) {
        let found: Vec<IpAddr> = found.iter().map(|ip| ip.parse().unwrap()).collect();
        let good = good_addresses(&AddressPolicy::default(), "a.example", &found);
        let good = good.map(|good| good.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>());
        assert_eq!(
            good,
            expected.map(|good| good.iter().map(ToString::to_string).collect())
        );
    }

    #[test]
    fn only_good_addresses_are_handed_on() {
        check(
            &["8.8.8.8", "127.0.0.1", "::1", "2606:4700::1111"],
            Ok(&["8.8.8.8", "2606:4700::1111"]),
        );
        check(&["127.0.0.1", "10.0.0.1"], Err(LookupError::AllRefused));
        check(&[], Err(LookupError::NoAddress));
    }

    #[test]
    fn no_more_than_the_bound_are_looked_at() {
        let many = vec!["8.8.8.8"; ADDRESSES_MAX + 1];
        check(&many, Ok(&many[..ADDRESSES_MAX]));
    }

    #[tokio::test]
    async fn the_system_knows_its_own_name() {
        let system = SystemResolver::default();
        let found = system.resolve("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
        assert!(!found.is_empty());
        assert_eq!(system.lookups.available_permits(), LOOKUPS_MAX);
    }

    #[tokio::test]
    async fn a_look_up_waits_for_its_turn() {
        let system = SystemResolver {
            lookups: Arc::new(Semaphore::new(0)),
        };
        let short = std::time::Duration::from_millis(50);
        let waiting = tokio::time::timeout(short, system.resolve("localhost")).await;
        assert!(waiting.is_err(), "{waiting:?}");
        system.lookups.add_permits(1);
        system.resolve("localhost").await.unwrap();
    }

    #[test]
    fn a_strangers_name_is_asked_for_as_complete() {
        let allowed = Arc::new(AllowList::parse(["models"]).unwrap());
        let guard = GuardedResolver {
            resolver: Arc::new(SystemResolver::default()),
            policy: AddressPolicy::new(Arc::clone(&allowed)),
            allowed,
        };
        assert_eq!(guard.question("a.example"), "a.example.");
        assert_eq!(guard.question("models"), "models");
    }
}
