//! Which URLs may be asked for.

use std::sync::Arc;

use url::{Host, Url};

use crate::address::AddressPolicy;
use crate::allow_list::{AllowList, Listing};
use crate::host_name::{is_host_name, is_local_name};
use crate::target::{Origin, UrlError};

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Decides on URLs: https to a public name on an open port, and what the operator listed.
#[derive(Debug, Clone, Default)]
pub struct UrlPolicy {
    allowed: Arc<AllowList>,
    addresses: AddressPolicy,
    ports_extra: Vec<u16>,
}

impl UrlPolicy {
    /// Makes the policy that opens port 443, `ports_extra`, and what is listed.
    #[must_use]
    pub fn new(allowed: Arc<AllowList>, ports_extra: Vec<u16>) -> Self {
        Self {
            addresses: AddressPolicy::new(Arc::clone(&allowed)),
            allowed,
            ports_extra,
        }
    }

    /// Decides on a parsed URL; before each request again, since a list may have changed.
    pub(crate) fn check(&self, url: &Url) -> Result<Origin, UrlError> {
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(UrlError::Scheme),
        };
        let host = url.host().ok_or(UrlError::Malformed)?;
        let port = url.port_or_known_default().ok_or(UrlError::Malformed)?;
        let usual_port = if is_tls { HTTPS_PORT } else { HTTP_PORT };
        let is_usual = port == usual_port || self.ports_extra.contains(&port);
        let is_open = match self.listing(&host) {
            Listing::Ports(ports) => ports.contains(&port),
            Listing::UsualPorts => is_usual,
            Listing::None => {
                check_stranger(&host)?;
                if !is_tls {
                    return Err(UrlError::Scheme);
                }
                is_usual
            }
        };
        if !is_open {
            return Err(UrlError::Port(port));
        }
        Ok(Origin {
            is_tls,
            host: host.to_string(),
            port,
        })
    }

    fn listing(&self, host: &Host<&str>) -> Listing {
        let address = match host {
            Host::Domain(_) => return self.allowed.listing(host),
            Host::Ipv4(address) => (*address).into(),
            Host::Ipv6(address) => (*address).into(),
        };
        let is_listed = self.allowed.lists_address(address);
        if is_listed && self.addresses.check("", address).is_ok() {
            return Listing::UsualPorts;
        }
        self.allowed.listing(host)
    }
}

/// Decides on a host that nobody listed.
fn check_stranger(host: &Host<&str>) -> Result<(), UrlError> {
    let Host::Domain(name) = host else {
        return Err(UrlError::AddressLiteral);
    };
    if !is_host_name(name) {
        Err(UrlError::HostName)
    } else if is_local_name(name) {
        Err(UrlError::LocalName)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::target::{Target, URL_BYTES_MAX};

    fn policy(entries: &[&str], ports: &[u16]) -> UrlPolicy {
        UrlPolicy::new(Arc::new(AllowList::parse(entries).unwrap()), ports.to_vec())
    }

    fn check(entries: &[&str], url: &str, expected: Result<&str, UrlError>) {
        let found = Target::parse(url, &policy(entries, &[8443]));
        let found = found.map(|target| target.origin().to_string());
        assert_eq!(
            found.as_deref().map_err(|error| *error),
            expected,
            "{entries:?} {url}"
        );
    }

    #[test]
    fn https_to_a_public_name_on_an_open_port_passes() {
        check(
            &[],
            "https://hooks.example.com/a?b=c",
            Ok("https://hooks.example.com:443"),
        );
        check(
            &[],
            "HTTPS://Hooks.Example.Com",
            Ok("https://hooks.example.com:443"),
        );
        check(
            &[],
            "https://hooks.example.com:8443/",
            Ok("https://hooks.example.com:8443"),
        );
        check(
            &[],
            "https://bücher.example/",
            Ok("https://xn--bcher-kva.example:443"),
        );
        check(
            &[],
            "https://a.example/p@th?q=@",
            Ok("https://a.example:443"),
        );
    }

    #[test]
    fn each_other_url_is_refused_with_what_to_change() {
        check(&[], "http://a.example/", Err(UrlError::Scheme));
        check(&[], "ftp://a.example/", Err(UrlError::Scheme));
        check(&[], "https://a.example:80/", Err(UrlError::Port(80)));
        check(&[], "https://a.example:0/", Err(UrlError::Port(0)));
        check(&[], "https://u@a.example/", Err(UrlError::UserInfo));
        check(&[], "https://@a.example/", Err(UrlError::UserInfo));
        check(&[], "https://a.example/#x", Err(UrlError::Fragment));
        check(&[], "https://a.example#@b.example", Err(UrlError::Fragment));
        check(&[], "https:\\\\a.example/", Err(UrlError::Malformed));
        check(&[], " https://a.example/", Err(UrlError::Malformed));
        check(&[], "https://a.exam\tple/", Err(UrlError::Malformed));
        check(&[], "a.example", Err(UrlError::Malformed));
        check(&[], "https://8.8.8.8/", Err(UrlError::AddressLiteral));
        check(&[], "https://0x7f.1/", Err(UrlError::AddressLiteral));
        check(
            &[],
            "https://[2606:4700::1111]/",
            Err(UrlError::AddressLiteral),
        );
        check(&[], "https://localhost/", Err(UrlError::LocalName));
        check(
            &[],
            "https://metadata.google.internal/",
            Err(UrlError::LocalName),
        );
        check(&[], "https://a.example./", Err(UrlError::HostName));
        let long = format!("https://a.example/{}", "a".repeat(URL_BYTES_MAX));
        check(&[], &long, Err(UrlError::TooLong));
        let long_when_encoded = format!("https://a.example/{}", "ä".repeat(URL_BYTES_MAX / 4));
        check(&[], &long_when_encoded, Err(UrlError::TooLong));
    }

    #[test]
    fn what_is_listed_may_be_http_local_or_an_address() {
        let list = &[
            "models",
            "db.corp:9000",
            "10.0.0.5:8080",
            "10.1.0.0/16",
            "fd12::/16",
        ];
        check(list, "http://models/", Ok("http://models:80"));
        check(list, "https://models/", Ok("https://models:443"));
        check(list, "http://models:8443/", Ok("http://models:8443"));
        check(list, "http://models:443/", Err(UrlError::Port(443)));
        check(list, "http://db.corp:9000/", Ok("http://db.corp:9000"));
        check(list, "https://db.corp/", Err(UrlError::Port(443)));
        check(list, "http://10.0.0.5:8080/", Ok("http://10.0.0.5:8080"));
        check(list, "http://10.0.0.5/", Err(UrlError::Port(80)));
        check(list, "http://10.1.2.3/", Ok("http://10.1.2.3:80"));
        check(list, "https://[fd12::3]/", Ok("https://[fd12::3]:443"));
        check(list, "http://10.2.0.1/", Err(UrlError::AddressLiteral));
        check(list, "http://u@models/", Err(UrlError::UserInfo));
    }

    #[test]
    fn a_broad_list_opens_no_metadata_address_and_no_disguise() {
        let list = &["0.0.0.0/0", "::/0"];
        check(
            list,
            "http://169.254.169.254/",
            Err(UrlError::AddressLiteral),
        );
        check(
            list,
            "http://[fd00:ec2::254]/",
            Err(UrlError::AddressLiteral),
        );
        check(
            list,
            "http://[::ffff:169.254.169.254]/",
            Err(UrlError::AddressLiteral),
        );
        check(
            &["169.254.169.254"],
            "http://169.254.169.254/",
            Ok("http://169.254.169.254:80"),
        );
    }

    #[test]
    fn neither_the_path_nor_the_query_is_shown() {
        let target = Target::parse("https://a.example/T0P?k=S3CRET", &policy(&[], &[])).unwrap();
        assert_eq!(format!("{target:?}"), "Target(https://a.example:443/…)");
    }

    proptest! {
        #[test]
        fn what_passes_is_https_to_a_public_name_and_reads_the_same_again(
            text in "(https?:)?[/\\\\]{0,3}[a-z0-9.:@\\[\\]%#?\\\\/ \t\u{3002}]{0,40}",
        ) {
            let policy = policy(&[], &[]);
            if let Ok(target) = Target::parse(&text, &policy) {
                prop_assert!(target.as_str().starts_with("https://"));
                prop_assert!(target.origin().host().contains('.'));
                prop_assert!(target.origin().host().parse::<std::net::IpAddr>().is_err());
                prop_assert_eq!(Target::parse(target.as_str(), &policy), Ok(target));
            }
        }
    }
}
