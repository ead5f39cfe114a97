//! Which addresses are not plain public ones, and why.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Why an address is not one of the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// A private network: RFC 1918, RFC 4193, or a carrier's own (RFC 6598).
    Private,
    /// This machine.
    Loopback,
    /// Where a cloud tells a machine its own credentials.
    Metadata,
    /// The own network segment.
    LinkLocal,
    /// "This network", or no address at all.
    Unspecified,
    /// For documents and measurements only.
    Documentation,
    /// Many receivers at once.
    Multicast,
    /// An IPv4 address in IPv6 clothes: mapped, 6to4, Teredo, local translation.
    Translated,
    /// For protocols, for the future, or for nobody yet.
    Reserved,
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "a private address",
            Self::Loopback => "a loopback address",
            Self::Metadata => "a metadata address of a cloud",
            Self::LinkLocal => "a link-local address",
            Self::Unspecified => "an address that names no host",
            Self::Documentation => "an address for documents or measurements",
            Self::Multicast => "a multicast address",
            Self::Translated => "a translated IPv4 address",
            Self::Reserved => "a reserved address",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// A network whose bits after the first three groups are zero.
const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// <https://www.iana.org/assignments/iana-ipv4-special-registry/>, but for the blocks that it calls
/// globally reachable (192.31.196.0/24, 192.52.193.0/24, 192.175.48.0/24); multicast is from
/// <https://www.iana.org/assignments/multicast-addresses/>.
const SPECIAL_V4: &[(Ipv4Net, Special)] = &[
    (v4(0, 0, 0, 0, 8), Special::Unspecified), // RFC 791: "this network"
    (v4(10, 0, 0, 0, 8), Special::Private),    // RFC 1918
    (v4(100, 64, 0, 0, 10), Special::Private), // RFC 6598: shared by a carrier
    (v4(127, 0, 0, 0, 8), Special::Loopback),  // RFC 1122
    (v4(169, 254, 0, 0, 16), Special::LinkLocal), // RFC 3927
    (v4(172, 16, 0, 0, 12), Special::Private), // RFC 1918
    (v4(192, 0, 0, 0, 24), Special::Reserved), // RFC 6890: protocol assignments
    (v4(192, 0, 2, 0, 24), Special::Documentation), // RFC 5737: TEST-NET-1
    (v4(192, 88, 99, 0, 24), Special::Translated), // RFC 7526: 6to4 relays, deprecated
    (v4(192, 168, 0, 0, 16), Special::Private), // RFC 1918
    (v4(198, 18, 0, 0, 15), Special::Documentation), // RFC 2544: benchmarks
    (v4(198, 51, 100, 0, 24), Special::Documentation), // RFC 5737: TEST-NET-2
    (v4(203, 0, 113, 0, 24), Special::Documentation), // RFC 5737: TEST-NET-3
    (v4(224, 0, 0, 0, 4), Special::Multicast), // RFC 5771
    (v4(240, 0, 0, 0, 4), Special::Reserved),  // RFC 1112, with 255.255.255.255 (RFC 919)
];

/// <https://www.iana.org/assignments/iana-ipv6-special-registry/>. What is in none of these and not
/// within `2000::/3`, the only block that is given out as global unicast
/// (<https://www.iana.org/assignments/ipv6-address-space/>), is reserved.
const SPECIAL_V6: &[(Ipv6Net, Special)] = &[
    // RFC 4291: ::, ::1 and the v4-compatible addresses; the first two are told apart in the code.
    (
        Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96),
        Special::Translated,
    ),
    // RFC 4291: v4-mapped; the system connects to the IPv4 address inside.
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
        Special::Translated,
    ),
    (v6(0x64, 0xff9b, 1, 48), Special::Translated), // RFC 8215: local translation
    (v6(0x100, 0, 0, 64), Special::Reserved),       // RFC 6666: discarded
    (v6(0x2001, 0, 0, 32), Special::Translated),    // RFC 4380: Teredo
    (v6(0x2001, 0, 0, 23), Special::Reserved),      // RFC 2928: protocol assignments
    (v6(0x2001, 0xdb8, 0, 32), Special::Documentation), // RFC 3849
    (v6(0x2002, 0, 0, 16), Special::Translated),    // RFC 3056: 6to4
    (v6(0x3fff, 0, 0, 20), Special::Documentation), // RFC 9637
    (v6(0x5f00, 0, 0, 16), Special::Reserved),      // RFC 9602: segment routing
    (v6(0xfc00, 0, 0, 7), Special::Private),        // RFC 4193
    (v6(0xfe80, 0, 0, 10), Special::LinkLocal),     // RFC 4291
    (v6(0xfec0, 0, 0, 10), Special::Private),       // RFC 3879: site-local, deprecated
    (v6(0xff00, 0, 0, 8), Special::Multicast),      // RFC 4291
];

/// Where clouds answer with a machine's own credentials or settings.
const METADATA: &[IpAddr] = &[
    // AWS, Google, Azure, Oracle and others:
    // <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    // AWS, tasks and pods:
    // <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html>,
    // <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html>
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    // Google, over IPv6: <https://cloud.google.com/compute/docs/metadata/querying-metadata>
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Alibaba: <https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata>
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure; a public address that only ever means the own host:
    // <https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

/// RFC 6052: translation to the whole IPv4 internet, as networks without IPv4 need it. Such an
/// address is as good as the IPv4 address inside.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);
/// IANA gives out global unicast addresses from here alone.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// Returns whether a cloud tells secrets under this address.
pub(crate) fn is_metadata(address: IpAddr) -> bool {
    METADATA.contains(&address)
}

/// Returns why an address is not a plain public one; `None` when it is.
pub(crate) fn special(address: IpAddr) -> Option<Special> {
    if is_metadata(address) {
        return Some(Special::Metadata);
    }
    match address {
        IpAddr::V4(address) => SPECIAL_V4
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, special)| *special),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(Special::Loopback),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Some(Special::Unspecified),
        IpAddr::V6(address) => SPECIAL_V6
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, special)| *special)
            .or_else(|| {
                let is_global = GLOBAL_V6.contains(&address) || NAT64.contains(&address);
                (!is_global).then_some(Special::Reserved)
            }),
    }
}

/// Returns the IPv4 addresses to which packets for an IPv6 address may end up going.
pub(crate) fn embedded_v4(address: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return [None, None].into_iter().flatten();
    };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    let last = join(g, h);
    let found = match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if g == 0 && h <= 1 => [None, None],
        // Compatible and mapped (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052, RFC 8215).
        [0, 0, 0, 0, 0 | 0xffff, 0] | [0, 0, 0, 0, 0, 0xffff] => [last, None],
        [0x64, 0xff9b, 0 | 1, ..] => [last, None],
        // Teredo (RFC 4380): the server, and the client with its bits turned over.
        [0x2001, 0, ..] => [join(c, d), join(!g, !h)],
        [0x2002, ..] => [join(b, c), None], // 6to4 (RFC 3056)
        [.., 0 | 0x200, 0x5efe] => [last, None], // ISATAP (RFC 5214)
        _ => [None, None],
    };
    found.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str], expected: Option<Special>) {
        for address in addresses {
            assert_eq!(special(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn plain_public_addresses_are_not_special() {
        check(
            &[
                "1.1.1.1",
                "8.8.8.8",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.31.196.1",
                "192.167.255.255",
                "192.169.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "2001:200::1",
                "2606:4700::1111",
                "2620:4f:8000::1",
                "2a00:1450::1",
                "3ffe::1",
                "64:ff9b::808:808",
            ],
            None,
        );
    }

    #[test]
    fn the_first_and_last_address_of_every_special_block_is_recognised() {
        use Special::{
            Documentation, LinkLocal, Loopback, Multicast, Private, Reserved, Translated,
            Unspecified,
        };
        check(&["0.0.0.0", "0.255.255.255", "::"], Some(Unspecified));
        check(
            &[
                "10.0.0.0",
                "10.255.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "192.168.0.0",
                "192.168.255.255",
                "fc00::",
                "fdff::1",
                "fec0::1",
            ],
            Some(Private),
        );
        check(&["127.0.0.0", "127.255.255.255", "::1"], Some(Loopback));
        check(
            &["169.254.0.0", "169.254.255.255", "fe80::1", "febf::1"],
            Some(LinkLocal),
        );
        check(
            &[
                "192.0.2.0",
                "192.0.2.255",
                "198.18.0.0",
                "198.19.255.255",
                "198.51.100.255",
                "203.0.113.0",
                "2001:db8::",
                "2001:db8:ffff::1",
                "3fff::1",
                "3fff:fff::1",
            ],
            Some(Documentation),
        );
        check(
            &["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1"],
            Some(Multicast),
        );
        check(
            &[
                "192.0.0.0",
                "192.0.0.255",
                "240.0.0.0",
                "255.255.255.255",
                "100::1",
                "2001:1ff::1",
                "2001:20::1",
                "5f00::1",
                "4000::1",
                "8000::1",
                "1::1",
                "200::1",
                "400::",
            ],
            Some(Reserved),
        );
        check(
            &[
                "192.88.99.1",
                "::2",
                "::127.0.0.1",
                "::ffff:0.0.0.0",
                "::ffff:8.8.8.8",
                "64:ff9b:1::1",
                "2001::1",
                "2001:0:ffff::1",
                "2002::",
                "2002:ffff::1",
            ],
            Some(Translated),
        );
    }

    #[test]
    fn metadata_addresses_are_told_from_their_blocks() {
        let all: Vec<String> = METADATA.iter().map(ToString::to_string).collect();
        check(
            &all.iter().map(String::as_str).collect::<Vec<_>>(),
            Some(Special::Metadata),
        );
        check(&["169.254.169.253"], Some(Special::LinkLocal));
        check(&["fd00:ec2::255"], Some(Special::Private));
    }

    #[test]
    fn an_embedded_ipv4_address_is_found_in_every_way_to_embed_one() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", &["127.0.0.1"][..]),
            ("::127.0.0.1", &["127.0.0.1"]),
            ("::ffff:0:127.0.0.1", &["127.0.0.1"]),
            ("64:ff9b::127.0.0.1", &["127.0.0.1"]),
            ("64:ff9b:1::127.0.0.1", &["127.0.0.1"]),
            ("2002:7f00:1::", &["127.0.0.1"]),
            (
                "2001:0:7f00:1:8000:f227:80ff:fffe",
                &["127.0.0.1", "127.0.0.1"],
            ),
            ("2606:4700::5efe:127.0.0.1", &["127.0.0.1"]),
            ("2606:4700::200:5efe:10.0.0.1", &["10.0.0.1"]),
            ("2606:4700::1111", &[]),
            ("::1", &[]),
            ("::", &[]),
            ("10.0.0.1", &[]),
        ] {
            let found: Vec<_> = embedded_v4(address.parse().unwrap())
                .map(|v4| v4.to_string())
                .collect();
            assert_eq!(found, expected, "{address}");
        }
    }
}
