//! Credentials that go to one origin and to no other.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use tollgate_domain::ErrorKind;

use crate::target::Origin;

/// The longest credential that is sent.
pub const CREDENTIAL_BYTES_MAX: usize = 8_192;

/// Why a credential cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It is empty.
    #[error("the credential is empty")]
    Empty,
    /// A header cannot carry it.
    #[error(
        "the credential holds a character that a header cannot carry, or is longer than {CREDENTIAL_BYTES_MAX} bytes"
    )]
    NotSendable,
    /// It belongs to another origin.
    #[error("the credential belongs to another host, scheme or port, and is not sent here")]
    OtherOrigin,
    /// A name that carries something else, or is no header's name.
    #[error("a credential cannot be sent in a header of this name")]
    HeaderName,
}

impl CredentialError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        ErrorKind::InvalidRequest
    }
}

/// A secret together with the one origin that may see it: whoever changes a URL to a host of their
/// own does not get the credential that was stored for the old one.
#[derive(Clone)]
pub struct HostBound<T> {
    origin: Origin,
    secret: T,
}

impl<T> fmt::Debug for HostBound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostBound({}, …)", self.origin)
    }
}

impl<T> HostBound<T> {
    /// Returns the origin that may see the secret.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the secret for a request to this origin.
    ///
    /// # Errors
    /// [`CredentialError::OtherOrigin`].
    pub(crate) fn secret_for(&self, origin: &Origin) -> Result<&T, CredentialError> {
        if *origin == self.origin {
            Ok(&self.secret)
        } else {
            Err(CredentialError::OtherOrigin)
        }
    }
}

impl HostBound<SecretString> {
    /// Binds a secret to the origin that it is for.
    ///
    /// # Errors
    /// [`CredentialError::Empty`] or [`CredentialError::NotSendable`].
    pub fn new(origin: Origin, secret: SecretString) -> Result<Self, CredentialError> {
        let text = secret.expose_secret();
        if text.trim_ascii().is_empty() {
            return Err(CredentialError::Empty);
        }
        // Visible characters and spaces within, as RFC 9110, section 5.5, has field values.
        let is_sendable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            && text.trim_ascii().len() == text.len()
            && text.len() <= CREDENTIAL_BYTES_MAX;
        if !is_sendable {
            return Err(CredentialError::NotSendable);
        }
        Ok(Self { origin, secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;
    use crate::url_policy::UrlPolicy;

    fn origin(url: &str) -> Origin {
        let policy = UrlPolicy::new(
            std::sync::Arc::new(
                crate::AllowList::parse(["a.example:443", "a.example:80"]).unwrap(),
            ),
            vec![8443],
        );
        Target::parse(url, &policy).unwrap().origin().clone()
    }

    fn bound(secret: &str) -> Result<HostBound<SecretString>, CredentialError> {
        HostBound::new(origin("https://a.example/"), SecretString::from(secret))
    }

    #[test]
    fn only_the_same_scheme_host_and_port_see_the_secret() {
        let bound = bound("s3cret").unwrap();
        for (url, is_same) in [
            ("https://a.example/other/path", true),
            ("https://A.example:443/", true),
            ("http://a.example:443/", false),
            ("http://a.example/", false),
            ("https://b.example/", false),
            ("https://b.example:8443/", false),
            ("https://a.a.example/", false),
        ] {
            assert_eq!(bound.secret_for(&origin(url)).is_ok(), is_same, "{url}");
        }
    }

    #[test]
    fn an_empty_or_unsendable_secret_is_refused() {
        for empty in ["", " ", "\t"] {
            assert_eq!(bound(empty).unwrap_err(), CredentialError::Empty);
        }
        let long = "a".repeat(CREDENTIAL_BYTES_MAX + 1);
        for bad in ["a\r\nHost: b", "a\0", "ä", " a", "a ", &long] {
            assert_eq!(bound(bad).unwrap_err(), CredentialError::NotSendable);
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(
            format!("{:?}", bound("s3cret").unwrap()),
            "HostBound(https://a.example:443, …)"
        );
    }
}
