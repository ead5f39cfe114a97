//! One request to a checked URL, and its answer.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use crate::header::{CredentialForm, HEADER_BYTES_MAX, HEADERS_MAX, HeaderError, PlainName};
use crate::host_bound::{CredentialError, HostBound};
use crate::target::Target;

/// What is asked of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EgressMethod {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

impl From<EgressMethod> for Method {
    fn from(method: EgressMethod) -> Self {
        match method {
            EgressMethod::Get => Self::GET,
            EgressMethod::Head => Self::HEAD,
            EgressMethod::Post => Self::POST,
            EgressMethod::Put => Self::PUT,
            EgressMethod::Patch => Self::PATCH,
            EgressMethod::Delete => Self::DELETE,
        }
    }
}

/// A request. Other headers are set by a [`PlainName`]:
///
/// ```
/// use tollgate_egress::{EgressMethod, EgressRequest, PlainName, Target, UrlPolicy};
///
/// let target = Target::parse("https://a.example/", &UrlPolicy::default())?;
/// let request = EgressRequest::new(EgressMethod::Get, target);
/// request.header(PlainName::ACCEPT, "application/json")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Its only way to a credential is a [`HostBound`] one; this does not compile:
///
/// ```compile_fail,E0308
/// use tollgate_egress::{EgressMethod, EgressRequest, PlainName, Target, UrlPolicy};
///
/// let target = Target::parse("https://a.example/", &UrlPolicy::default())?;
/// let request = EgressRequest::new(EgressMethod::Get, target);
/// request.header(http::header::AUTHORIZATION, "Bearer s3cret")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EgressRequest {
    pub(crate) method: EgressMethod,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl fmt::Debug for EgressRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressRequest")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl EgressRequest {
    /// Makes a request without headers and without a body.
    #[must_use]
    pub fn new(method: EgressMethod, target: Target) -> Self {
        Self {
            method,
            target,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Sets the body. [`EgressConfig`](crate::EgressConfig) bounds it.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a header; one that is set already is replaced.
    ///
    /// # Errors
    /// [`HeaderError::Value`] or [`HeaderError::TooLarge`].
    pub fn header(mut self, name: PlainName, value: &str) -> Result<Self, HeaderError> {
        if value.len() > HEADER_BYTES_MAX || self.headers.len() >= HEADERS_MAX {
            return Err(HeaderError::TooLarge);
        }
        let value = HeaderValue::from_str(value).map_err(|_| HeaderError::Value)?;
        self.headers.insert(name.into_inner(), value);
        Ok(self)
    }

    /// Adds a credential if it was stored for this request's origin.
    ///
    /// # Errors
    /// [`CredentialError::OtherOrigin`] when it was stored for another one, and
    /// [`CredentialError::NotSendable`] when the user name holds what it cannot.
    pub fn credential(
        mut self,
        credential: &HostBound<SecretString>,
        form: &CredentialForm,
    ) -> Result<Self, CredentialError> {
        let secret = credential.secret_for(self.target.origin())?.expose_secret();
        let (name, value) = match form {
            CredentialForm::Bearer => (AUTHORIZATION, format!("Bearer {secret}")),
            CredentialForm::Basic { user } if user.contains(':') => {
                return Err(CredentialError::NotSendable);
            }
            CredentialForm::Basic { user } => {
                let pair = STANDARD.encode(format!("{user}:{secret}"));
                (AUTHORIZATION, format!("Basic {pair}"))
            }
            CredentialForm::Header(name) => (name.inner().clone(), secret.to_owned()),
        };
        self.insert_secret(name, &value)?;
        Ok(self)
    }

    fn insert_secret(&mut self, name: HeaderName, value: &str) -> Result<(), CredentialError> {
        let mut value = HeaderValue::from_str(value).map_err(|_| CredentialError::NotSendable)?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }

    /// Returns where it goes.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }
}

/// An answer, read to its end. An answer that points elsewhere (3xx) is an answer like any other: to
/// follow it, its `location` has to pass [`Target::parse`], and credentials do not come along.
#[derive(Clone)]
pub struct EgressResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole and not decompressed.
    pub body: Bytes,
}

impl fmt::Debug for EgressResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressResponse")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::CredentialName;
    use crate::url_policy::UrlPolicy;

    fn request(url: &str) -> EgressRequest {
        let target = Target::parse(url, &UrlPolicy::default()).unwrap();
        EgressRequest::new(EgressMethod::Get, target)
    }

    fn key() -> HostBound<SecretString> {
        let origin = request("https://a.example/").target().origin().clone();
        HostBound::new(origin, SecretString::from("s3cret")).unwrap()
    }

    fn check(form: &CredentialForm, name: &str, expected: &str) {
        let request = request("https://a.example/path")
            .credential(&key(), form)
            .unwrap();
        assert_eq!(request.headers.get(name).unwrap(), expected);
        assert!(request.headers.get(name).unwrap().is_sensitive());
        assert!(!format!("{request:?}").contains("s3cret"));
    }

    #[test]
    fn each_form_writes_the_credential_in_its_header() {
        check(&CredentialForm::Bearer, "authorization", "Bearer s3cret");
        let basic = CredentialForm::Basic {
            user: "client".to_owned(),
        };
        check(&basic, "authorization", "Basic Y2xpZW50OnMzY3JldA==");
        let bare = CredentialForm::Header(CredentialName::parse("X-Api-Key").unwrap());
        check(&bare, "x-api-key", "s3cret");
    }

    #[test]
    fn a_credential_does_not_go_to_another_host() {
        let sent = request("https://b.example/").credential(&key(), &CredentialForm::Bearer);
        assert_eq!(sent.unwrap_err(), CredentialError::OtherOrigin);
    }

    #[test]
    fn a_user_name_with_a_colon_would_move_the_password() {
        let form = CredentialForm::Basic {
            user: "a:b".to_owned(),
        };
        let sent = request("https://a.example/").credential(&key(), &form);
        assert_eq!(sent.unwrap_err(), CredentialError::NotSendable);
    }

    #[test]
    fn headers_are_bounded_in_number_and_size() {
        let mut request = request("https://a.example/");
        for at in 0..HEADERS_MAX {
            let name = PlainName::parse(&format!("x-{at}")).unwrap();
            request = request.header(name, "v").unwrap();
        }
        let sent = request.clone().header(PlainName::ACCEPT, "v");
        assert_eq!(sent.unwrap_err(), HeaderError::TooLarge);
        let sent = self::request("https://a.example/");
        let long = "v".repeat(HEADER_BYTES_MAX + 1);
        assert_eq!(
            sent.clone().header(PlainName::ACCEPT, &long).unwrap_err(),
            HeaderError::TooLarge
        );
        assert_eq!(
            sent.header(PlainName::ACCEPT, "a\r\nb: c").unwrap_err(),
            HeaderError::Value
        );
    }
}
