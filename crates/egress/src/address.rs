//! Whether an address may be connected to.

use std::net::IpAddr;
use std::sync::Arc;

use crate::allow_list::AllowList;
use crate::host_name::is_localhost;
use crate::special::{Special, embedded_v4, special};

/// Decides on addresses: global unicast ones, and what the operator listed. Pure: it looks nothing up.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allowed: Arc<AllowList>,
}

impl AddressPolicy {
    /// Makes the policy that refuses everything special but what is listed.
    #[must_use]
    pub const fn new(allowed: Arc<AllowList>) -> Self {
        Self { allowed }
    }

    /// Decides whether `address`, under which `host` was found, may be connected to. An IPv4 address
    /// inside of an IPv6 address must pass as well.
    ///
    /// # Errors
    /// What is special about the address, for the operator alone.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), Special> {
        for inner in embedded_v4(address) {
            self.check(host, inner.into())?;
        }
        if self.allowed.lists_address(address) {
            return Ok(());
        }
        match special(address) {
            None => Ok(()),
            Some(Special::Private) if self.allowed.lists_name(host) => Ok(()),
            // Whoever runs the DNS of a listed name must not thereby reach this machine.
            Some(Special::Loopback) if is_localhost(host) && self.allowed.lists_name(host) => {
                Ok(())
            }
            Some(special) => Err(special),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(entries: &[&str]) -> AddressPolicy {
        AddressPolicy::new(Arc::new(AllowList::parse(entries).unwrap()))
    }

    fn check(entries: &[&str], host: &str, address: &str, expected: Result<(), Special>) {
        let found = policy(entries).check(host, address.parse().unwrap());
        assert_eq!(found, expected, "{entries:?} {host} {address}");
    }

    #[test]
    fn without_a_list_only_the_public_internet_is_reached() {
        check(&[], "a.example", "93.184.215.14", Ok(()));
        check(&[], "a.example", "2606:4700::1111", Ok(()));
        check(&[], "a.example", "10.0.0.1", Err(Special::Private));
        check(&[], "a.example", "127.0.0.1", Err(Special::Loopback));
        check(&[], "a.example", "169.254.169.254", Err(Special::Metadata));
        check(&[], "a.example", "fd00:ec2::254", Err(Special::Metadata));
        check(&[], "a.example", "0.0.0.0", Err(Special::Unspecified));
    }

    #[test]
    fn an_ipv4_address_does_not_hide_in_an_ipv6_address() {
        let inside = [
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::127.0.0.1",
            "2002:7f00:1::",
            "2001:0:808:808::80ff:fffe",
            "2606:4700::5efe:127.0.0.1",
        ];
        for address in inside {
            check(&[], "a.example", address, Err(Special::Loopback));
            // Not even when the IPv6 side is open.
            check(&["::/0"], "a.example", address, Err(Special::Loopback));
        }
        check(
            &[],
            "a.example",
            "64:ff9b::169.254.169.254",
            Err(Special::Metadata),
        );
        check(
            &["::/0"],
            "a.example",
            "::ffff:169.254.169.254",
            Err(Special::Metadata),
        );
    }

    #[test]
    fn translation_to_public_addresses_is_open_where_networks_need_it() {
        check(&[], "a.example", "64:ff9b::808:808", Ok(()));
        check(&[], "a.example", "::ffff:8.8.8.8", Err(Special::Translated));
        check(&[], "a.example", "2002:808:808::", Err(Special::Translated));
        check(&["::ffff:0:0/96"], "a.example", "::ffff:8.8.8.8", Ok(()));
    }

    #[test]
    fn a_listed_name_may_be_private_but_not_this_machine() {
        let list = &["models.corp", "localhost:11434"];
        check(list, "models.corp", "10.0.0.1", Ok(()));
        check(list, "models.corp", "fd00::1", Ok(()));
        check(list, "models.corp", "127.0.0.1", Err(Special::Loopback));
        check(
            list,
            "models.corp",
            "169.254.169.254",
            Err(Special::Metadata),
        );
        check(list, "models.corp", "fd00:ec2::254", Err(Special::Metadata));
        check(list, "other.corp", "10.0.0.1", Err(Special::Private));
        check(list, "localhost", "127.0.0.1", Ok(()));
        check(list, "localhost", "::1", Ok(()));
        check(list, "a.localhost", "::1", Err(Special::Loopback));
    }

    #[test]
    fn a_listed_network_is_open_under_every_name() {
        check(&["127.0.0.0/8"], "a.example", "127.0.0.2", Ok(()));
        check(&["::1"], "a.example", "::1", Ok(()));
        check(&["10.0.0.0/8"], "a.example", "10.9.9.9", Ok(()));
        check(&["10.0.0.0/8"], "a.example", "64:ff9b::10.9.9.9", Ok(()));
        check(
            &["10.0.0.0/8"],
            "a.example",
            "192.168.0.1",
            Err(Special::Private),
        );
        // An address with a port opens for URLs that name it, and for no name.
        check(
            &["10.0.0.5:8080"],
            "a.example",
            "10.0.0.5",
            Err(Special::Private),
        );
    }

    proptest! {
        #[test]
        fn what_the_standard_library_knows_to_be_special_is_refused(bits in any::<u32>()) {
            let address = std::net::Ipv4Addr::from(bits);
            let is_special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_broadcast() || address.is_documentation() || address.is_multicast()
                || address.is_unspecified();
            if is_special {
                prop_assert!(policy(&[]).check("a.example", address.into()).is_err());
            }
        }

        #[test]
        fn an_ipv6_address_passes_only_within_what_is_given_out(bits in any::<u128>()) {
            let address = std::net::Ipv6Addr::from(bits);
            let is_given_out = address.segments()[0] & 0xe000 == 0x2000
                || address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            if policy(&[]).check("a.example", address.into()).is_ok() {
                prop_assert!(is_given_out, "{address}");
            }
        }

        #[test]
        fn every_embedding_is_as_closed_as_the_address_inside(bits in any::<u32>()) {
            let inner = std::net::Ipv4Addr::from(bits);
            let [p, q, r, s] = inner.octets();
            let [a, b] = [u16::from_be_bytes([p, q]), u16::from_be_bytes([r, s])];
            let closed = policy(&[]).check("a.example", inner.into()).is_err();
            let nat64 = std::net::Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b);
            prop_assert_eq!(policy(&[]).check("a.example", nat64.into()).is_err(), closed);
            for outer in [inner.to_ipv6_mapped(), inner.to_ipv6_compatible(),
                std::net::Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1)] {
                prop_assert!(policy(&[]).check("a.example", outer.into()).is_err());
            }
        }
    }
}
