//! Which headers a request may carry, and which of them only as a bound credential.

use http::HeaderName;
use http::header;

use crate::host_bound::CredentialError;

/// Carry credentials, so that only a [`HostBound`](crate::HostBound) secret may go there.
const CREDENTIAL_NAMES: &[&str] = &[
    "api-key",
    "authorization",
    "cookie",
    "private-token",
    "x-api-key",
    "x-auth-token",
    "x-goog-api-key",
];

/// Belong to the connection or to the message's framing (RFC 9110, sections 7.2 to 7.8; RFC 9112,
/// section 6), or say where a request came from.
const TRANSPORT_NAMES: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
/// The same, by their beginnings: of proxies, and what clouds ask of who reads a machine's metadata.
const TRANSPORT_BEGINNINGS: &[&str] = &["metadata", "proxy-", "x-aws-ec2-metadata", "x-forwarded-"];

fn is_transport(name: &str) -> bool {
    let has_beginning = |beginning: &&str| name.starts_with(*beginning);
    TRANSPORT_NAMES.contains(&name) || TRANSPORT_BEGINNINGS.iter().any(has_beginning)
}

/// Why a header is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is no header's name.
    #[error("not the name of a header")]
    Name,
    /// It carries credentials, or belongs to the transport.
    #[error("this header is set by Tollgate alone; send a credential as a bound one")]
    Reserved,
    /// A header cannot carry the value.
    #[error("the value holds a character that a header cannot carry")]
    Value,
    /// There are too many, or they are too long.
    #[error("more than {HEADERS_MAX} headers, or a value of more than {HEADER_BYTES_MAX} bytes")]
    TooLarge,
}

/// The most headers that a request may add.
pub const HEADERS_MAX: usize = 64;
/// The longest value of an added header.
pub const HEADER_BYTES_MAX: usize = 8_192;

/// The name of a header that carries no credential and does not steer the transport. There is no value
/// of this type for `authorization`, `cookie`, `host` and their like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlainName(HeaderName);

impl PlainName {
    /// `accept`
    pub const ACCEPT: Self = Self(header::ACCEPT);
    /// `content-type`
    pub const CONTENT_TYPE: Self = Self(header::CONTENT_TYPE);
    /// `if-none-match`
    pub const IF_NONE_MATCH: Self = Self(header::IF_NONE_MATCH);
    pub(crate) const WEBHOOK_ID: Self = Self(HeaderName::from_static("webhook-id"));
    pub(crate) const WEBHOOK_TIMESTAMP: Self = Self(HeaderName::from_static("webhook-timestamp"));
    pub(crate) const WEBHOOK_SIGNATURE: Self = Self(HeaderName::from_static("webhook-signature"));

    /// Reads a name that somebody chose, in any case.
    ///
    /// # Errors
    /// [`HeaderError::Name`] or [`HeaderError::Reserved`].
    pub fn parse(name: &str) -> Result<Self, HeaderError> {
        let name: HeaderName = name.parse().map_err(|_| HeaderError::Name)?;
        if is_transport(name.as_str()) || CREDENTIAL_NAMES.contains(&name.as_str()) {
            return Err(HeaderError::Reserved);
        }
        Ok(Self(name))
    }

    pub(crate) fn into_inner(self) -> HeaderName {
        self.0
    }
}

/// How a credential is written into a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialForm {
    /// `authorization: Bearer <secret>` (RFC 6750).
    Bearer,
    /// `authorization: Basic …` with this user name and the secret as the password (RFC 7617).
    Basic {
        /// The user name; it must not hold a colon.
        user: String,
    },
    /// The secret alone, in a header of its own.
    Header(CredentialName),
}

/// The name of a header that may carry a credential alone, such as `x-api-key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialName(HeaderName);

impl CredentialName {
    /// Reads a name that somebody chose, in any case.
    ///
    /// # Errors
    /// [`CredentialError::HeaderName`] when it is no header's name, or steers the transport.
    pub fn parse(name: &str) -> Result<Self, CredentialError> {
        let name: HeaderName = name.parse().map_err(|_| CredentialError::HeaderName)?;
        if is_transport(name.as_str()) {
            return Err(CredentialError::HeaderName);
        }
        Ok(Self(name))
    }

    pub(crate) const fn inner(&self) -> &HeaderName {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, plain: Result<(), HeaderError>, may_carry_a_credential: bool) {
        assert_eq!(PlainName::parse(name).map(|_| ()), plain, "{name}");
        let credential = CredentialName::parse(name);
        assert_eq!(credential.is_ok(), may_carry_a_credential, "{name}");
    }

    #[test]
    fn a_header_of_the_transport_is_nobodys() {
        let beginnings = [
            "proxy-authorization",
            "x-forwarded-for",
            "metadata-flavor",
            "metadata",
        ];
        for name in TRANSPORT_NAMES.iter().chain(&beginnings) {
            check(name, Err(HeaderError::Reserved), false);
            check(&name.to_uppercase(), Err(HeaderError::Reserved), false);
        }
        check(
            "X-aws-ec2-metadata-token",
            Err(HeaderError::Reserved),
            false,
        );
    }

    #[test]
    fn a_header_of_credentials_carries_only_those() {
        for name in CREDENTIAL_NAMES {
            check(name, Err(HeaderError::Reserved), true);
            check(&name.to_uppercase(), Err(HeaderError::Reserved), true);
        }
    }

    #[test]
    fn other_names_are_free_and_nonsense_is_none() {
        check("x-tenant", Ok(()), true);
        check("Accept-Language", Ok(()), true);
        for name in ["", "a b", "a:b", "a\r\nb", "ä"] {
            check(name, Err(HeaderError::Name), false);
        }
    }
}
