//! What the operator's settings open, host by host and network by network.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::Host;

use crate::host_name::is_host_name;
use crate::special::is_metadata;

/// The most entries of an [`AllowList`].
pub const ALLOWED_ENTRIES_MAX: usize = 256;

/// Which entry of an allow-list cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowListError {
    /// It is neither a host nor a network.
    #[error(
        "{0:?} is neither a host (\"models.corp\", \"models.corp:8443\", \"10.0.0.5:8080\") nor a network (\"10.1.0.0/16\")"
    )]
    Entry(String),
    /// It is a network of which bits after the prefix are set, so that two readings are possible.
    #[error(
        "{entry:?} has bits set after its prefix: write {meant:?}, or the one address that is meant"
    )]
    HostBits {
        /// The entry.
        entry: String,
        /// The network that its prefix stands for.
        meant: String,
    },
    /// There are too many.
    #[error("more than {ALLOWED_ENTRIES_MAX} entries: use networks instead of single addresses")]
    TooMany,
}

/// The hosts and networks that the operator lets be reached although strangers' URLs may not name
/// them. Empty by default.
///
/// An entry is one of
/// - a name, `models.corp`: it may be at a private address, and be asked over http. Whatever is listed
///   but `localhost` does not open loopback addresses: list `127.0.0.1` for that;
/// - a network, `10.1.0.0/16`, or an address, `10.1.2.3`: any name may be there, and a URL may name the
///   addresses themselves. Metadata addresses of clouds open only when they are listed one by one;
/// - a name or an address with a port, `models.corp:8443`: only this port of it. A URL may name the
///   address, other names do not open it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    hosts: Vec<AllowedHost>,
    networks: Vec<IpNet>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AllowedHost {
    host: Host<String>,
    port: Option<u16>,
}

/// Which ports of a host are open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listing {
    /// The host is not listed.
    None,
    /// It is listed, and these ports are named.
    Ports(Vec<u16>),
    /// It is listed without a port.
    UsualPorts,
}

impl AllowList {
    /// Reads the entries of a setting.
    ///
    /// # Errors
    /// See [`AllowListError`]; the entry is named.
    pub fn parse<T: AsRef<str>>(
        entries: impl IntoIterator<Item = T>,
    ) -> Result<Self, AllowListError> {
        let mut list = Self::default();
        for (count, entry) in entries.into_iter().enumerate() {
            if count >= ALLOWED_ENTRIES_MAX {
                return Err(AllowListError::TooMany);
            }
            list.add(entry.as_ref())?;
        }
        Ok(list)
    }

    fn add(&mut self, entry: &str) -> Result<(), AllowListError> {
        let unknown = || AllowListError::Entry(entry.to_owned());
        if let Ok(network) = entry.parse::<IpNet>() {
            if network != network.trunc() {
                return Err(AllowListError::HostBits {
                    entry: entry.to_owned(),
                    meant: network.trunc().to_string(),
                });
            }
            self.networks.push(network);
        } else if let Some(address) = address(entry) {
            self.networks.push(address.into());
        } else if let Ok(address) = entry.parse::<SocketAddr>() {
            let host = match address.ip() {
                IpAddr::V4(ip) => Host::Ipv4(ip),
                IpAddr::V6(ip) => Host::Ipv6(ip),
            };
            self.add_host(host, Some(address.port()), entry)?;
        } else {
            let (name, port) = match entry.rsplit_once(':') {
                Some((name, port)) => (name, Some(port.parse().map_err(|_| unknown())?)),
                None => (entry, None),
            };
            // Through the same reading as a URL's host, so that both spell a name alike.
            let host = match Host::parse(name) {
                Ok(Host::Domain(read)) if is_host_name(&read) && !name.contains('%') => {
                    Host::Domain(read)
                }
                _ => return Err(unknown()),
            };
            self.add_host(host, port, entry)?;
        }
        Ok(())
    }

    fn add_host(
        &mut self,
        host: Host<String>,
        port: Option<u16>,
        entry: &str,
    ) -> Result<(), AllowListError> {
        if port == Some(0) {
            return Err(AllowListError::Entry(entry.to_owned()));
        }
        self.hosts.push(AllowedHost { host, port });
        Ok(())
    }

    /// Returns whether a name is listed, with whatever port.
    pub(crate) fn lists_name(&self, name: &str) -> bool {
        self.hosts
            .iter()
            .any(|entry| matches!(&entry.host, Host::Domain(listed) if listed == name))
    }

    /// Returns whether an address is in a listed network.
    pub(crate) fn lists_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| {
            let is_single = network.prefix_len() == network.max_prefix_len();
            network.contains(&address) && (is_single || !is_metadata(address))
        })
    }

    /// Returns which ports of a URL's host are open, by the entries that name the host itself.
    pub(crate) fn listing(&self, host: &Host<&str>) -> Listing {
        let mut ports = Vec::new();
        for entry in &self.hosts {
            let is_same = match (&entry.host, host) {
                (Host::Domain(listed), Host::Domain(name)) => listed == name,
                (Host::Ipv4(listed), Host::Ipv4(address)) => listed == address,
                (Host::Ipv6(listed), Host::Ipv6(address)) => listed == address,
                _ => false,
            };
            match entry.port {
                Some(port) if is_same => ports.push(port),
                None if is_same => return Listing::UsualPorts,
                _ => {}
            }
        }
        if ports.is_empty() {
            Listing::None
        } else {
            Listing::Ports(ports)
        }
    }
}

/// Reads an address, an IPv6 address with or without its brackets.
fn address(entry: &str) -> Option<IpAddr> {
    match entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inside) => inside.parse().map(IpAddr::V6).ok(),
        None => entry.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_networks_are_read_with_and_without_ports() {
        let list = AllowList::parse([
            "Models.Corp",
            "api.corp:8443",
            "api.corp:9443",
            "localhost:11434",
            "10.0.0.5:8080",
            "[fd00::5]:8080",
            "10.1.0.0/16",
            "192.168.7.7",
            "fd12::/64",
            "fd00::7",
            "[fd00::8]",
            "bücher.example",
        ])
        .unwrap();
        let ports = |host| list.listing(&host);
        assert_eq!(ports(Host::Domain("models.corp")), Listing::UsualPorts);
        assert_eq!(
            ports(Host::Domain("api.corp")),
            Listing::Ports(vec![8443, 9443])
        );
        assert_eq!(
            ports(Host::Domain("localhost")),
            Listing::Ports(vec![11434])
        );
        assert_eq!(ports(Host::Domain("corp")), Listing::None);
        assert_eq!(
            ports(Host::Ipv4([10, 0, 0, 5].into())),
            Listing::Ports(vec![8080])
        );
        assert_eq!(
            ports(Host::Ipv6("fd00::5".parse().unwrap())),
            Listing::Ports(vec![8080])
        );
        assert!(list.lists_name("xn--bcher-kva.example"));
        for (address, is_listed) in [
            ("10.1.255.1", true),
            ("10.2.0.1", false),
            ("10.0.0.5", false),
            ("192.168.7.7", true),
            ("192.168.7.8", false),
            ("fd12::9", true),
            ("fd00::7", true),
            ("fd00::8", true),
        ] {
            assert_eq!(
                list.lists_address(address.parse().unwrap()),
                is_listed,
                "{address}"
            );
        }
    }

    #[test]
    fn a_metadata_address_opens_only_by_itself() {
        let address = "169.254.169.254".parse().unwrap();
        for (entry, is_open) in [
            ("0.0.0.0/0", false),
            ("169.254.0.0/16", false),
            ("169.254.169.254/31", false),
            ("169.254.169.254/32", true),
            ("169.254.169.254", true),
        ] {
            let list = AllowList::parse([entry]).unwrap();
            assert_eq!(list.lists_address(address), is_open, "{entry}");
        }
    }

    #[test]
    fn an_entry_that_could_mean_something_else_is_refused_by_name() {
        for entry in [
            "",
            " ",
            "*",
            "*.corp",
            "corp.",
            ".corp",
            "a..b",
            "http://corp",
            "corp/path",
            "corp:0",
            "corp:65536",
            "corp:",
            "corp:http",
            "u@corp",
            "127.1",
            "0x7f.1",
            "2130706433",
            "10.0.0.0/33",
            "10.0.0.5:0",
            "fd00::/129",
            "corp ",
            "a b",
            "%31.corp",
            ":8443",
            "[10.0.0.1]",
            "fd00::8]",
        ] {
            let error = AllowList::parse([entry]).unwrap_err();
            assert_eq!(error, AllowListError::Entry(entry.to_owned()));
        }
        let error = AllowList::parse(["10.0.0.5/8"]).unwrap_err();
        assert!(error.to_string().contains("\"10.0.0.0/8\""), "{error}");
        let many = (0..=ALLOWED_ENTRIES_MAX).map(|n| format!("h{n}.corp"));
        assert_eq!(AllowList::parse(many).unwrap_err(), AllowListError::TooMany);
    }
}
