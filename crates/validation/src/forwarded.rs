//! Where a request came from, as the proxies on its way noted it.
//! Sources: <https://www.rfc-editor.org/rfc/rfc7239>, and for the older header
//! <https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most entries that are looked at: more proxies than this are no chain but an attack.
const HOPS_MAX: usize = 16;

/// What follows from the notes of proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedClient {
    /// The proxies noted nothing.
    Unsaid,
    /// The nearest address that is not a trusted proxy's, or the farthest one when all are.
    Known(IpAddr),
    /// A trusted proxy noted something that is no address.
    Unreadable,
}

/// Returns the client by the lines of `X-Forwarded-For`. Read from the right: what a trusted proxy
/// added is believed, and nothing to the left of the first address that is not trusted.
pub fn client_of_x_forwarded_for<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> ForwardedClient {
    let entries = lines.rev().flat_map(|line| line.rsplit(|b| *b == b','));
    nearest(entries.map(|entry| node(entry.trim_ascii())), is_trusted)
}

/// As [`client_of_x_forwarded_for`], by the lines of `Forwarded`.
pub fn client_of_forwarded<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> ForwardedClient {
    let entries = lines.rev().flat_map(|line| FromRight::new(line, b','));
    let address = |entry| node(parameter(entry, b"for")?);
    nearest(entries.map(address), is_trusted)
}

/// Returns whether the nearest proxy says, in `X-Forwarded-Proto`, that it was asked over TLS.
pub fn is_https_of_x_forwarded_proto<'a>(
    mut lines: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> bool {
    let last = lines
        .next_back()
        .and_then(|l| l.rsplit(|b| *b == b',').next());
    last.is_some_and(|scheme| scheme.trim_ascii().eq_ignore_ascii_case(b"https"))
}

/// Returns whether the nearest proxy says, in `Forwarded`, that it was asked over TLS.
pub fn is_https_of_forwarded<'a>(mut lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> bool {
    let last = lines
        .next_back()
        .and_then(|l| FromRight::new(l, b',').next());
    last.and_then(|entry| parameter(entry, b"proto"))
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
}

fn nearest(
    addresses: impl Iterator<Item = Option<IpAddr>>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> ForwardedClient {
    let mut farthest = ForwardedClient::Unsaid;
    for (hops, address) in addresses.enumerate() {
        let Some(address) = address.filter(|_| hops < HOPS_MAX) else {
            return ForwardedClient::Unreadable;
        };
        farthest = ForwardedClient::Known(address);
        if !is_trusted(address) {
            break;
        }
    }
    farthest
}

/// An address with an optional port; IPv6 in brackets, or bare and then without a port.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)
    } else if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else {
        let (address, port) = text.split_once(':')?;
        IpAddr::V4(address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port))?)
    };
    Some(address.to_canonical())
}

/// The value of the one parameter of this name, without its quotes.
fn parameter<'a>(entry: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut values = FromRight::new(entry, b';').filter_map(|pair| {
        let at = pair.iter().position(|b| *b == b'=')?;
        let (key, value) = pair.split_at(at);
        let is_it = key.trim_ascii().eq_ignore_ascii_case(name);
        is_it.then(|| value.get(1..).unwrap_or_default().trim_ascii())
    });
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let unquoted = value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""));
    // An escape has no place in an address or a scheme.
    Some(unquoted.unwrap_or(value)).filter(|value| !value.contains(&b'\\'))
}

/// The parts of a line from right to left. A separator within quotes separates nothing, and quotes are
/// counted from the right, so that what a client left open reaches nothing that a proxy added.
struct FromRight<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> FromRight<'a> {
    const fn new(line: &'a [u8], separator: u8) -> Self {
        Self {
            rest: Some(line),
            separator,
        }
    }
}

impl<'a> Iterator for FromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.rest.take()?;
        let mut is_quoted = false;
        for at in (0..line.len()).rev() {
            let byte = line.get(at).copied();
            if byte == Some(b'"') {
                // Within quotes an escaped quote is text.
                let before = line.get(..at).unwrap_or_default();
                let escapes = before.iter().rev().take_while(|b| **b == b'\\').count();
                is_quoted = !is_quoted || escapes % 2 == 1;
            } else if byte == Some(self.separator) && !is_quoted {
                self.rest = line.get(..at);
                return Some(line.get(at + 1..).unwrap_or_default().trim_ascii());
            }
        }
        Some(line.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::ForwardedClient::{Known, Unreadable, Unsaid};
    use super::*;

    fn is_trusted(address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10)
    }

    fn known(text: &str) -> ForwardedClient {
        Known(text.parse().unwrap())
    }

    fn older(lines: &[&str]) -> ForwardedClient {
        client_of_x_forwarded_for(lines.iter().map(|line| line.as_bytes()), is_trusted)
    }

    fn newer(lines: &[&str]) -> ForwardedClient {
        client_of_forwarded(lines.iter().map(|line| line.as_bytes()), is_trusted)
    }

    #[test]
    fn the_nearest_address_that_is_not_a_proxy_s_is_the_client_s() {
        let chain = (0..HOPS_MAX + 1).map(|_| "10.0.0.1").collect::<Vec<_>>();
        for (lines, expected) in [
            (&["192.0.2.1"][..], known("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1"], known("192.0.2.1")),
            (
                &["6.6.6.6, 192.0.2.1, 10.0.0.2,10.0.0.3"],
                known("192.0.2.1"),
            ),
            (&["6.6.6.6", "192.0.2.1", "10.0.0.3"], known("192.0.2.1")),
            (&["garbage, 192.0.2.1"], known("192.0.2.1")),
            (&["10.0.0.9, 10.0.0.2"], known("10.0.0.9")),
            (&["192.0.2.1:4711"], known("192.0.2.1")),
            (&["2001:db8::1"], known("2001:db8::1")),
            (&["[2001:db8::1]:80"], known("2001:db8::1")),
            (&["::ffff:192.0.2.1"], known("192.0.2.1")),
            (&[], Unsaid),
            (&[""], Unreadable),
            (&["192.0.2.1,"], Unreadable),
            (&["unknown"], Unreadable),
            (&["192.0.2.1, unknown, 10.0.0.2"], Unreadable),
            (&["192.0.2.1:port"], Unreadable),
            (&["192.0.2.1:+80"], Unreadable),
            (&["[2001:db8::1"], Unreadable),
            (&["192.0.2.1 10.0.0.1"], Unreadable),
            (&chain, Unreadable),
        ] {
            assert_eq!(older(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn quotes_that_a_client_chose_hide_nothing_that_a_proxy_wrote() {
        for (lines, expected) in [
            (&["for=192.0.2.1"][..], known("192.0.2.1")),
            (
                &["For=\"[2001:db8::1]:47\";proto=https"],
                known("2001:db8::1"),
            ),
            (
                &["for=6.6.6.6, for=192.0.2.1;by=10.0.0.1"],
                known("192.0.2.1"),
            ),
            (
                &["for=6.6.6.6, for=192.0.2.1, for=10.0.0.2"],
                known("192.0.2.1"),
            ),
            (&["for=\"6.6.6.6, for=192.0.2.1"], known("192.0.2.1")),
            (
                &["for=192.0.2.1;host=\"x,for=6.6.6.6;b=c\""],
                known("192.0.2.1"),
            ),
            (
                &["for=192.0.2.1;host=\"x\\\",for=6.6.6.6;b=c\""],
                known("192.0.2.1"),
            ),
            (&["for=192.0.2.1;for=6.6.6.6"], Unreadable),
            (&["for=\"192.0.2.\\1\""], Unreadable),
            (&["for=unknown"], Unreadable),
            (&["for=_hidden"], Unreadable),
            (&["by=10.0.0.1"], Unreadable),
            (&["192.0.2.1"], Unreadable),
            (&[], Unsaid),
        ] {
            assert_eq!(newer(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn only_the_nearest_proxy_says_which_scheme_it_was() {
        let check = |lines: &[&str], older: bool, newer: bool| {
            let lines = || lines.iter().map(|line| line.as_bytes());
            assert_eq!(is_https_of_x_forwarded_proto(lines()), older);
            assert_eq!(is_https_of_forwarded(lines()), newer);
        };
        check(&[], false, false);
        check(&["https"], true, false);
        check(&["http, HTTPS "], true, false);
        check(&["https", "http"], false, false);
        check(&["https, http"], false, false);
        check(&["for=a;proto=http, for=b;proto=\"https\""], false, true);
        check(&["proto=https, proto=http"], false, false);
    }
}
