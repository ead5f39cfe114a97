//! The settings of people who sign in. Every field is documented in `docs/configuration.md`.

use serde::Deserialize;
use tollgate_control::AccountsConfig;
use url::Url;

use crate::people::{Cookies, Origins};

/// The longest that a session may be said to last: 90 days.
const SESSION_SECONDS_MAX: i64 = 90 * 86_400;

/// People who sign in.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountsSettings {
    /// The address under which people reach the server, such as `https://tollgate.example`; empty is
    /// whatever host they ask for.
    pub public_url: String,
    /// How long a session lasts that is not used.
    pub session_idle_s: i64,
    /// How long a session lasts, however much it is used.
    pub session_s: i64,
}

impl Default for AccountsSettings {
    fn default() -> Self {
        let config = AccountsConfig::default();
        Self {
            public_url: String::new(),
            session_idle_s: config.idle_seconds,
            session_s: config.session_seconds,
        }
    }
}

impl AccountsSettings {
    pub(crate) fn config(&self) -> AccountsConfig {
        let known = AccountsConfig::default();
        let public = self.public();
        AccountsConfig {
            idle_seconds: self.session_idle_s,
            session_seconds: self.session_s,
            // Without an address all replicas still call themselves the same.
            token_issuer: public.map_or_else(
                || known.token_issuer.clone(),
                |url| url.origin().ascii_serialization(),
            ),
            ..known
        }
    }

    /// Returns which cookie sessions have: one for TLS unless only this machine can reach the server.
    pub(crate) fn cookies(&self, is_loopback: bool) -> Cookies {
        match self.public() {
            Some(url) if url.scheme() == "http" => Cookies::Loopback,
            None if is_loopback => Cookies::Loopback,
            Some(_) | None => Cookies::Secure,
        }
    }

    pub(crate) fn origins(&self, cookies: Cookies) -> Origins {
        let origin = self.public().map(|url| url.origin().ascii_serialization());
        Origins::new(origin, cookies)
    }

    fn public(&self) -> Option<Url> {
        self.public_url.parse().ok()
    }

    /// Returns every problem that the types alone do not show, and where.
    pub(crate) fn problems(&self) -> Vec<(String, &'static str)> {
        let mut problems = Vec::new();
        let mut say = |field: &str, message| problems.push((format!("accounts.{field}"), message));
        if !self.public_url.is_empty() {
            let is_fine = |url: &Url| {
                let is_bare =
                    url.path() == "/" && url.query().is_none() && url.fragment().is_none();
                let has_user = !url.username().is_empty() || url.password().is_some();
                is_bare && !has_user && (url.scheme() == "https" || is_local(url))
            };
            if !self.public().as_ref().is_some_and(is_fine) {
                say(
                    "public_url",
                    "must be https:// and a host without a path; http:// only for this machine",
                );
            }
        }
        let range = 60..=SESSION_SECONDS_MAX;
        if !range.contains(&self.session_idle_s) {
            say("session_idle_s", "must lie between a minute and 90 days");
        }
        if !range.contains(&self.session_s) {
            say("session_s", "must lie between a minute and 90 days");
        }
        problems
    }
}

/// Whether this is an address of this machine, over which nobody else listens.
fn is_local(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(public_url: &str) -> AccountsSettings {
        AccountsSettings {
            public_url: public_url.to_owned(),
            ..AccountsSettings::default()
        }
    }

    #[test]
    fn only_a_server_that_this_machine_alone_reaches_has_the_cookie_without_tls() {
        for (url, is_loopback, expected) in [
            ("", true, Cookies::Loopback),
            ("", false, Cookies::Secure),
            ("https://t.example", true, Cookies::Secure),
            ("https://t.example", false, Cookies::Secure),
            ("http://localhost:8080", true, Cookies::Loopback),
        ] {
            assert_eq!(settings(url).problems(), [], "{url}");
            assert_eq!(settings(url).cookies(is_loopback), expected, "{url}");
        }
    }

    #[test]
    fn an_address_for_people_is_a_host_over_tls() {
        for good in [
            "https://t.example",
            "https://t.example:8443/",
            "http://[::1]:1",
        ] {
            assert_eq!(settings(good).problems(), [], "{good}");
        }
        for bad in [
            "t.example",
            "http://t.example",
            "http://127.0.0.1.example",
            "https://t.example/path",
            "https://t.example/?q",
            "https://user@t.example",
            "ftp://localhost",
        ] {
            let problems = settings(bad).problems();
            assert_eq!(problems.len(), 1, "{bad}");
            assert_eq!(problems[0].0, "accounts.public_url");
        }
        let endless = AccountsSettings {
            session_idle_s: 0,
            session_s: i64::MAX,
            ..settings("")
        };
        assert_eq!(endless.problems().len(), 2);
    }
}
