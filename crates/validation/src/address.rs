//! Hosts and base URLs.
//! Source: <https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2>

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest host with its port, and the longest base URL.
const HOST_BYTES_MAX: usize = 255;
const URL_BYTES_MAX: usize = 2_048;

/// A text that is not a host with an optional port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a host name or address with an optional port")]
pub struct HostError;

/// Why a text cannot be the base URL of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `https://` nor `http://`.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// Unencrypted, and not to this machine.
    #[error("must begin with https://, since http:// is only for this machine itself")]
    Unencrypted,
    /// The host or its port is not valid, or a user name stands before it.
    #[error("must name a host, with an optional port and without a user name")]
    Host,
    /// The path is not one.
    #[error("must have a path of plain or percent-encoded characters, without query or fragment")]
    Path,
    /// Longer than 2,048 bytes.
    #[error("must not be longer than 2048 bytes")]
    TooLong,
}

/// Accepts the value of a `Host` header: a registered name, an IPv4 address or an IPv6 address in
/// brackets, each with an optional port, up to 255 bytes.
///
/// # Errors
/// For anything else, such as `a?x`, `a/`, `a#`, a user name, a space or nothing.
pub fn host_header(value: &[u8]) -> Result<(), HostError> {
    split_host(value).map(drop)
}

/// Checks the base URL of a provider and returns it without slashes at its end. Unencrypted HTTP is
/// accepted for the machine itself (`localhost`, 127.0.0.0/8, `[::1]`), and elsewhere only when
/// `allow_http` is set.
///
/// # Errors
/// When it is not such a URL.
pub fn base_url(text: &str, allow_http: bool) -> Result<&str, UrlError> {
    if text.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong);
    }
    let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
    let is_encrypted = scheme.eq_ignore_ascii_case("https");
    if !is_encrypted && !scheme.eq_ignore_ascii_case("http") {
        return Err(UrlError::Scheme);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = split_host(authority.as_bytes()).map_err(|_| UrlError::Host)?;
    if port.is_some_and(|port| port.is_empty() || port == b"0") {
        return Err(UrlError::Host);
    }
    if !is_encrypted && !allow_http && !is_loopback(host) {
        return Err(UrlError::Unencrypted);
    }
    let is_segment =
        |segment: &[u8]| segment != b"." && segment != b".." && is_plain(segment, b":@");
    let has_path = path
        .trim_end_matches('/')
        .split('/')
        .skip(1)
        .all(|segment| !segment.is_empty() && is_segment(segment.as_bytes()));
    if !has_path || path.contains(['?', '#']) {
        return Err(UrlError::Path);
    }
    Ok(text.trim_end_matches('/'))
}

/// Splits a host from its port, without the colon.
fn split_host(value: &[u8]) -> Result<(&[u8], Option<&[u8]>), HostError> {
    if value.is_empty() || value.len() > HOST_BYTES_MAX {
        return Err(HostError);
    }
    let host_end = match value.first() {
        Some(b'[') => {
            value
                .iter()
                .position(|byte| *byte == b']')
                .ok_or(HostError)?
                + 1
        }
        _ => value
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(value.len()),
    };
    let (host, port) = value.split_at(host_end);
    let is_host = match host.strip_prefix(b"[") {
        Some(address) => parse::<Ipv6Addr>(address.strip_suffix(b"]").unwrap_or(b"")).is_some(),
        None => !host.is_empty() && is_plain(host, b""),
    };
    let port = match port.split_first() {
        None => None,
        Some((b':', port)) => Some(port),
        Some(_) => return Err(HostError),
    };
    let is_port = |port: &[u8]| {
        port.iter().all(u8::is_ascii_digit) && (port.is_empty() || parse::<u16>(port).is_some())
    };
    if is_host && port.is_none_or(is_port) {
        Ok((host, port))
    } else {
        Err(HostError)
    }
}

fn is_loopback(host: &[u8]) -> bool {
    host.eq_ignore_ascii_case(b"localhost")
        || host == b"[::1]"
        || parse::<Ipv4Addr>(host).is_some_and(|address| address.is_loopback())
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether there are only unreserved characters, sub-delimiters, percent-encoded bytes and these.
fn is_plain(text: &[u8], more: &[u8]) -> bool {
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            _ if byte.is_ascii_alphanumeric()
                || b"-._~!$&'()*+,;=".contains(byte)
                || more.contains(byte) =>
            {
                after
            }
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_names_or_addresses_with_an_optional_port() {
        for good in [
            "localhost",
            "a",
            "gateway.example",
            "gateway.example.",
            "GATEWAY.example:8080",
            "a_b-c~d",
            "xn--bcher-kva.example",
            "a%20b",
            "10.0.0.1",
            "10.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:65535",
            "[::ffff:10.0.0.1]",
            "a:",
            &"a".repeat(255),
        ] {
            assert_eq!(host_header(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a?x",
            "a/",
            "a#",
            "a\\b",
            "user@a",
            "user:pass@a",
            "a b",
            " a",
            "a\t",
            "a\r\nx",
            "a\0",
            "é",
            "a%2",
            "a%zz",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:99999999999",
            "a:-1",
            "a:+1",
            "::1",
            "[::1",
            "[]",
            "[::1]x",
            "[::1]:x",
            "[::g]",
            "[fe80::1%25eth0]",
            "[v1.a]",
            "[10.0.0.1]",
            "a,b,\"",
            "<a>",
            &"a".repeat(256),
        ] {
            assert_eq!(host_header(bad.as_bytes()), Err(HostError), "{bad:?}");
        }
        assert_eq!(host_header(b"a\xff"), Err(HostError));
    }

    #[test]
    fn base_urls_are_encrypted_or_stay_on_this_machine() {
        for (url, shown) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
            ("HTTPS://a:8443", "HTTPS://a:8443"),
            ("http://localhost:11434/v1", "http://localhost:11434/v1"),
            ("http://127.0.0.1/", "http://127.0.0.1"),
            ("http://127.9.9.9:1", "http://127.9.9.9:1"),
            ("http://[::1]:80/a%20b/c:d@e", "http://[::1]:80/a%20b/c:d@e"),
        ] {
            assert_eq!(base_url(url, false), Ok(shown), "{url}");
        }
        for url in [
            "http://a/v1",
            "http://10.0.0.1",
            "http://localhost.evil",
            "http://[::2]",
        ] {
            assert_eq!(base_url(url, false), Err(UrlError::Unencrypted), "{url}");
            assert_eq!(base_url(url, true), Ok(url));
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused_for_its_reason() {
        use UrlError::{Host, Path, Scheme, TooLong};
        for (url, expected) in [
            ("", Scheme),
            ("api.openai.com", Scheme),
            ("ftp://a", Scheme),
            ("file:///etc/passwd", Scheme),
            (" https://a", Scheme),
            ("https://", Host),
            ("https:///v1", Host),
            ("https://user:pass@a/v1", Host),
            ("https://user@a", Host),
            ("https://a:0", Host),
            ("https://a:", Host),
            ("https://a:99999", Host),
            ("https://a b", Host),
            ("https://a\\@b", Host),
            ("https://a/v1?key=1", Path),
            ("https://a/v1#x", Path),
            ("https://a?x", Path),
            ("https://a/../b", Path),
            ("https://a/./b", Path),
            ("https://a//b", Path),
            ("https://a/b c", Path),
            ("https://a/%zz", Path),
            ("https://a/é", Path),
            (&format!("https://a/{}", "x".repeat(2_048)), TooLong),
        ] {
            assert_eq!(base_url(url, true), Err(expected), "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if host_header(&bytes).is_ok() {
                let harmful = b"/?#@\\ \t\r\n<>\"";
                prop_assert!(!bytes.iter().any(|byte| harmful.contains(byte)));
            }
            let url = format!("https://{}", String::from_utf8_lossy(&bytes));
            if let Ok(accepted) = base_url(&url, true) {
                prop_assert!(url.starts_with(accepted) && !accepted.ends_with('/'));
            }
        }
    }
}
