//! URLs that may be asked for.

use std::fmt;

use tollgate_domain::ErrorKind;
use url::Url;

use crate::url_policy::UrlPolicy;

/// The longest URL that is read, before and after its percent-encoding.
pub const URL_BYTES_MAX: usize = 2_048;

/// Why a URL may not be asked for, and what to do about it. Says nothing of what its name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is longer than [`URL_BYTES_MAX`].
    #[error("the URL is longer than {URL_BYTES_MAX} bytes; shorten it")]
    TooLong,
    /// It is not a URL, or one that programs read differently.
    #[error(
        "not a URL that every program reads alike; write it as https://host/path, with everything unusual percent-encoded"
    )]
    Malformed,
    /// It holds a user name, a password or an `@` before the host.
    #[error("the URL must not hold a user name or a password; send a credential as a header")]
    UserInfo,
    /// It has a part after `#`.
    #[error("the URL must not have a fragment; remove everything from the # on")]
    Fragment,
    /// It is not https, and its host is not listed.
    #[error(
        "the URL must begin with https://; only hosts that the operator listed may use http://"
    )]
    Scheme,
    /// Its host is an address that is not listed.
    #[error(
        "the URL must name its host; only addresses that the operator listed may stand in its place"
    )]
    AddressLiteral,
    /// Its host is one of the own machine or network that is not listed.
    #[error(
        "the host is not one of the public internet; write its full name, or ask the operator to list it"
    )]
    LocalName,
    /// Its host is not a name that DNS can hold.
    #[error(
        "the host is not a valid name; write it without a dot at its end, each part in 1 to 63 characters"
    )]
    HostName,
    /// Its port is not open.
    #[error("port {0} is not open; use 443, or ask the operator to list the port")]
    Port(u16),
}

impl UrlError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        ErrorKind::InvalidRequest
    }
}

/// Scheme, host and port: all that decides who is talked to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub(crate) is_tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    /// Returns the host: a lower-case name, or an address (in brackets for IPv6).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether it is asked over TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// A URL that passed a [`UrlPolicy`]. What was parsed is what is asked for: the text is not read again.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    origin: Origin,
}

/// Shows the origin alone: paths and queries of webhooks hold secrets.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}/…)", self.origin)
    }
}

impl Target {
    /// Reads a URL that somebody chose, and decides whether it may be asked for. Nothing is looked up.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, UrlError> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        let is_sound = std::cell::Cell::new(true);
        let note = |_| is_sound.set(false);
        // What the parser would mend (backslashes, tabs, spaces, missing slashes) another one may
        // read as a different host.
        let url = Url::options()
            .syntax_violation_callback(Some(&note))
            .parse(text)
            .map_err(|_| UrlError::Malformed)?;
        let has_user_info = !url.username().is_empty() || url.password().is_some();
        if has_user_info || authority(text).contains('@') {
            return Err(UrlError::UserInfo);
        }
        if !is_sound.get() {
            return Err(UrlError::Malformed);
        }
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        // Encoding makes it longer; what passes must pass again when it is read from where it was kept.
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        let origin = policy.check(&url)?;
        Ok(Self { url, origin })
    }

    /// Returns the whole URL as it is asked for. It may hold secrets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Returns who is talked to.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }
}

/// Returns the part of a URL's text that holds user, host and port.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}
