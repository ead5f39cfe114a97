//! Who is at the other end: the client's address and scheme, behind proxies that are trusted or without.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Data;
use tollgate_domain::IpRange;
use tollgate_validation::{
    ForwardedClient, client_of_forwarded, client_of_x_forwarded_for, is_https_of_forwarded,
    is_https_of_x_forwarded_proto,
};

use crate::settings::{ForwardedSetting, ServerSettings};
use crate::state::WorkerState;

/// The proxies whose word is believed, and the header in which they give it. One header alone: what
/// the other says comes from the client, since these proxies neither write nor remove it.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    trusted: Vec<IpRange>,
    header: ForwardedSetting,
}

impl Proxies {
    pub(crate) fn new(server: &ServerSettings) -> Self {
        Self {
            trusted: server.trusted_proxies.clone(),
            header: server.forwarded_header,
        }
    }

    /// Whether a connection from there is a trusted proxy's.
    pub(crate) fn has(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(peer))
    }

    /// Returns the client behind a connection; `None` when a trusted proxy named it unreadably.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.has(peer) {
            return Some(peer);
        }
        let is_trusted = |address| self.has(address);
        let client = match self.header {
            ForwardedSetting::XForwardedFor => {
                client_of_x_forwarded_for(lines(headers, &header::X_FORWARDED_FOR), is_trusted)
            }
            ForwardedSetting::Forwarded => {
                client_of_forwarded(lines(headers, &header::FORWARDED), is_trusted)
            }
        };
        match client {
            ForwardedClient::Known(address) => Some(address),
            ForwardedClient::Unsaid => Some(peer),
            ForwardedClient::Unreadable => None,
        }
    }

    /// Whether a request came to a trusted proxy over TLS.
    pub(crate) fn is_https(&self, request: &HttpRequest) -> bool {
        let is_trusted = !self.trusted.is_empty() && peer(request).is_some_and(|p| self.has(p));
        let headers = request.headers();
        is_trusted
            && match self.header {
                ForwardedSetting::XForwardedFor => {
                    is_https_of_x_forwarded_proto(lines(headers, &header::X_FORWARDED_PROTO))
                }
                ForwardedSetting::Forwarded => {
                    is_https_of_forwarded(lines(headers, &header::FORWARDED))
                }
            }
    }
}

fn lines<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(name).map(HeaderValue::as_bytes)
}

fn peer(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?;
    Some(peer.ip().to_canonical())
}

/// Returns the address of the client: the connection's, or the one that a trusted proxy names. `None`
/// when it cannot be told, which passes no list of addresses.
pub(crate) fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = peer(request)?;
    match request.app_data::<Data<WorkerState>>() {
        Some(state) => state.shared().gate.proxies.client(peer, request.headers()),
        None => Some(peer),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn proxies(header: ForwardedSetting) -> Proxies {
        Proxies {
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            header,
        }
    }

    fn client(proxies: &Proxies, peer: &str, lines: &[(&str, &str)]) -> Option<String> {
        let mut request = TestRequest::default();
        for line in lines {
            request = request.append_header(*line);
        }
        let request = request.to_http_request();
        let client = proxies.client(peer.parse().unwrap(), request.headers());
        client.map(|address| address.to_string())
    }

    #[test]
    fn t_xff_only_a_trusted_proxy_s_word_counts() {
        let x_forwarded = proxies(ForwardedSetting::XForwardedFor);
        let forwarded = proxies(ForwardedSetting::Forwarded);
        let lie = ("x-forwarded-for", "6.6.6.6");
        let newer_lie = ("forwarded", "for=6.6.6.6");
        for proxies in [&x_forwarded, &forwarded, &Proxies::default()] {
            let found = client(proxies, "192.0.2.1", &[lie, newer_lie]);
            assert_eq!(found.as_deref(), Some("192.0.2.1"));
        }
        for (proxies, other_lie, truth) in [
            (
                &x_forwarded,
                newer_lie,
                ("x-forwarded-for", "6.6.6.6, 192.0.2.9"),
            ),
            (&forwarded, lie, ("forwarded", "for=6.6.6.6, for=192.0.2.9")),
        ] {
            let found = client(proxies, "10.0.0.1", &[other_lie, truth]);
            assert_eq!(found.as_deref(), Some("192.0.2.9"));
            let unsaid = client(proxies, "10.0.0.1", &[other_lie]);
            assert_eq!(unsaid.as_deref(), Some("10.0.0.1"));
        }
        let garbled = ("x-forwarded-for", "6.6.6.6, somebody");
        assert_eq!(client(&x_forwarded, "10.0.0.1", &[garbled]), None);
    }

    #[test]
    fn only_a_trusted_proxy_says_that_it_was_asked_over_tls() {
        let is_https = |peer: &str, name: &str, header| {
            let request = TestRequest::default()
                .peer_addr(format!("{peer}:1").parse().unwrap())
                .insert_header((
                    name,
                    if name == "forwarded" {
                        "proto=https"
                    } else {
                        "https"
                    },
                ))
                .to_http_request();
            proxies(header).is_https(&request)
        };
        let older = "x-forwarded-proto";
        assert!(is_https("10.0.0.1", older, ForwardedSetting::XForwardedFor));
        assert!(is_https(
            "10.0.0.1",
            "forwarded",
            ForwardedSetting::Forwarded
        ));
        assert!(!is_https("10.0.0.1", older, ForwardedSetting::Forwarded));
        assert!(!is_https(
            "192.0.2.1",
            older,
            ForwardedSetting::XForwardedFor
        ));
    }
}
