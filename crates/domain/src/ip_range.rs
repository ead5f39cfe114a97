//! Ranges of addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a range is an address, or its first address and a length, such as 10.0.0.0/8 or fd00::/8")]
pub struct IpRangeError;

/// A range of addresses in CIDR notation (RFC 4632, RFC 4291): every address whose first bits are
/// those of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    network: IpAddr,
    bits: u8,
}

impl IpRange {
    /// Makes a range from its first address and the number of bits that are fixed.
    ///
    /// # Errors
    /// When there are more bits than the address has, or bits after them are set: whoever writes
    /// `10.1.2.3/8` may have meant something else.
    pub fn new(network: IpAddr, bits: u8) -> Result<Self, IpRangeError> {
        // An IPv4 address in IPv6's clothes is matched as IPv4, so a range of those would match nothing.
        let is_mapped = network.to_canonical() != network;
        let (value, width) = value_of(network);
        if bits > width || is_mapped || value & !mask(bits, width) != 0 {
            return Err(IpRangeError);
        }
        Ok(Self { network, bits })
    }

    /// Returns whether the address lies in the range. IPv4 addresses that are written as IPv6
    /// (`::ffff:10.0.0.1`) are taken as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (value, width) = value_of(address.to_canonical());
        let (network, own_width) = value_of(self.network);
        width == own_width && value & mask(self.bits, width) == network
    }

    /// Returns whether every address of the other range lies in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.bits >= self.bits && self.contains(other.network)
    }
}

/// The address as a number, and how many bits it has.
fn value_of(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// The first of so many bits, set.
fn mask(bits: u8, width: u8) -> u128 {
    let all = u128::MAX >> (128 - u32::from(width));
    let free = u32::from(width.saturating_sub(bits));
    all & u128::MAX.checked_shl(free).unwrap_or(0)
}

impl FromStr for IpRange {
    type Err = IpRangeError;

    fn from_str(text: &str) -> Result<Self, IpRangeError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| IpRangeError)?;
        let Some(bits) = bits else {
            return Self::new(network, value_of(network).1);
        };
        let is_plain = bits.bytes().all(|b| b.is_ascii_digit());
        let is_padded = bits.len() > 1 && bits.starts_with('0');
        if !is_plain || is_padded {
            return Err(IpRangeError);
        }
        Self::new(network, bits.parse().map_err(|_| IpRangeError)?)
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

impl Serialize for IpRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_covers_what_is_no_wider_and_lies_in_it() {
        let check = |wide: &str, narrow: &str, expected: bool| {
            let [wide, narrow] = [wide, narrow].map(|text| text.parse::<IpRange>().unwrap());
            assert_eq!(wide.covers(&narrow), expected, "{wide} {narrow}");
        };
        check("10.0.0.0/8", "10.1.0.0/16", true);
        check("10.0.0.0/8", "10.0.0.0/8", true);
        check("10.1.0.0/16", "10.0.0.0/8", false);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("0.0.0.0/0", "::/0", false);
        check("::/0", "10.0.0.1", false);
        check("fd00::/8", "fd12::/16", true);
    }

    #[test]
    fn a_range_holds_its_own_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.4/31", "192.0.2.5", "192.0.2.6"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ] {
            let range: IpRange = range.parse().unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(
                !range.contains(outside.parse().unwrap()),
                "{range} {outside}"
            );
            assert_eq!(range.to_string().parse(), Ok(range));
        }
    }

    #[test]
    fn what_is_not_plainly_a_range_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.1/8",
            "10.0.0/8",
            "::/129",
            "::1/64",
            "::ffff:10.0.0.0/104",
            "::ffff:10.0.0.1",
            " 10.0.0.0/8",
            "localhost",
        ] {
            assert_eq!(text.parse::<IpRange>(), Err(IpRangeError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_range_holds_what_shares_its_first_bits(network: u32, bits in 0_u8..=32, other: u32) {
            let fixed = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            let first = std::net::Ipv4Addr::from(network & fixed);
            let range = IpRange::new(first.into(), bits).unwrap();
            let other_address = IpAddr::V4(other.into());
            prop_assert_eq!(range.contains(other_address), other & fixed == network & fixed);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f:./]{0,48}") {
            if let Ok(range) = text.parse::<IpRange>() {
                prop_assert_eq!(range.to_string().parse(), Ok(range));
            }
        }
    }
}
