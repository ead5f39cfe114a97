//! The credential of a request, from whichever header it came in.

use secrecy::{ExposeSecret as _, SecretString};
use tollgate_domain::ErrorKind;

use crate::access_token::ACCESS_TOKEN_BYTES_MAX;
use crate::key_text::KeyText;

/// Why a request has no usable credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There is none.
    #[error("no API key was sent; send it as \"Authorization: Bearer tg_live_…\"")]
    Missing,
    /// There is one that is not an API key.
    #[error("the API key is not valid")]
    Malformed,
    /// There are two that differ.
    #[error("two different credentials were sent in one request")]
    Conflicting,
}

impl CredentialError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::Missing | Self::Malformed => ErrorKind::Unauthenticated,
            Self::Conflicting => ErrorKind::InvalidRequest,
        }
    }

    /// Returns the machine-readable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing | Self::Malformed => "invalid_api_key",
            Self::Conflicting => "conflicting_credentials",
        }
    }
}

/// The one credential of a request.
#[derive(Debug)]
pub enum Credential {
    /// An API key, in whichever header.
    Key(KeyText),
    /// What has the form of an access token.
    Access(AccessText),
}

/// What has the form of an access token, which says nothing of whether it is valid.
#[derive(Debug, Clone)]
pub struct AccessText(SecretString);

impl AccessText {
    /// Returns the token.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let is_part = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
        let is_token = text.len() <= ACCESS_TOKEN_BYTES_MAX
            && is_part(parts.next())
            && is_part(parts.next())
            && is_part(parts.next())
            && parts.next().is_none();
        is_token.then(|| Self(SecretString::from(text)))
    }
}

impl Credential {
    /// Returns the credential from the values of the headers that may carry one. An API key may be in
    /// any of those of [`Credential::from_headers`], an access token in `authorization` alone.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn any_from_headers<'a>(
        authorization: impl Iterator<Item = &'a [u8]>,
        bare: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, CredentialError> {
        let (token, is_bearer) = one_of(authorization, bare)?;
        let text = std::str::from_utf8(token).map_err(|_| CredentialError::Malformed)?;
        match KeyText::parse(text) {
            Ok(key) => Ok(Self::Key(key)),
            Err(_) if is_bearer => AccessText::parse(text)
                .map(Self::Access)
                .ok_or(CredentialError::Malformed),
            Err(_) => Err(CredentialError::Malformed),
        }
    }

    /// Returns the key from the values of the headers that may carry one: `authorization` with the
    /// scheme `Bearer`, and the bare ones `x-api-key` and `api-key`. Every form is treated alike.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn from_headers<'a>(
        authorization: impl Iterator<Item = &'a [u8]>,
        bare: impl Iterator<Item = &'a [u8]>,
    ) -> Result<KeyText, CredentialError> {
        let (token, _) = one_of(authorization, bare)?;
        std::str::from_utf8(token)
            .ok()
            .and_then(|text| KeyText::parse(text).ok())
            .ok_or(CredentialError::Malformed)
    }
}

/// Returns the one text that was sent, and whether it is in `authorization` alone.
fn one_of<'a>(
    authorization: impl Iterator<Item = &'a [u8]>,
    bare: impl Iterator<Item = &'a [u8]>,
) -> Result<(&'a [u8], bool), CredentialError> {
    let mut found: Option<&'a [u8]> = None;
    let mut is_bearer = true;
    let bare = bare.map(|token| (Some(token), false));
    for (token, here) in authorization.map(|value| (bearer(value), true)).chain(bare) {
        let token = token.ok_or(CredentialError::Malformed)?.trim_ascii();
        is_bearer &= here;
        match found {
            Some(other) if other != token => return Err(CredentialError::Conflicting),
            _ => found = Some(token),
        }
    }
    Ok((found.ok_or(CredentialError::Missing)?, is_bearer))
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(authorization: &[&str], bare: &[&str]) -> Result<String, CredentialError> {
        Credential::from_headers(
            authorization.iter().map(|v| v.as_bytes()),
            bare.iter().map(|v| v.as_bytes()),
        )
        .map(|key| key.expose().to_owned())
    }

    #[test]
    fn every_form_carries_the_same_key() {
        let key = KeyText::generate().unwrap();
        let (text, bearer) = (key.expose(), format!("bearer {}", key.expose()));
        assert_eq!(check(&[&bearer], &[]).as_deref(), Ok(text));
        assert_eq!(check(&[], &[text]).as_deref(), Ok(text));
        assert_eq!(check(&[&bearer], &[text, text]).as_deref(), Ok(text));
    }

    #[test]
    fn none_a_bad_one_and_two_different_ones_are_told_apart() {
        let one = KeyText::generate().unwrap();
        let two = KeyText::generate().unwrap();
        assert_eq!(check(&[], &[]), Err(CredentialError::Missing));
        assert_eq!(check(&["Basic abc"], &[]), Err(CredentialError::Malformed));
        assert_eq!(
            check(&["Bearer sk-abc"], &[]),
            Err(CredentialError::Malformed)
        );
        let bearer = format!("Bearer {}", one.expose());
        assert_eq!(
            check(&[&bearer], &[two.expose()]),
            Err(CredentialError::Conflicting)
        );
        assert_eq!(
            check(&[&bearer], &["garbage"]),
            Err(CredentialError::Conflicting)
        );
    }

    #[test]
    fn what_only_resembles_a_credential_is_none() {
        let key = KeyText::generate().unwrap();
        let text = key.expose();
        let basic = format!("Basic {text}");
        let glued = format!("Bearer{text}");
        let twice = format!("Bearer Bearer {text}");
        for authorization in ["", "Bearer", "Bearer ", &basic, &glued, &twice, text] {
            let none = Err(CredentialError::Malformed);
            assert_eq!(check(&[authorization], &[]), none, "{authorization}");
        }
        assert_eq!(check(&[], &[""]), Err(CredentialError::Malformed));
        assert_eq!(
            check(&["Basic YTpi"], &[text]),
            Err(CredentialError::Malformed)
        );
        let no_text: &[u8] = b"tg_live_\xff";
        let read = Credential::from_headers(std::iter::empty(), std::iter::once(no_text));
        assert_eq!(read.unwrap_err(), CredentialError::Malformed);
    }

    #[test]
    fn spaces_around_a_key_are_not_part_of_it() {
        let key = KeyText::generate().unwrap();
        let text = key.expose();
        let (wide, spaced) = (format!("BEARER   {text} "), format!(" {text}"));
        assert_eq!(check(&[&wide], &[&spaced]).as_deref(), Ok(text));
    }

    #[test]
    fn no_error_repeats_what_was_sent() {
        let error = check(&["Bearer sk-secret"], &[]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("sk-secret"));
    }

    #[test]
    fn an_access_token_comes_in_one_header_and_an_api_key_in_any() {
        let any = |authorization: &[&str], bare: &[&str]| {
            let read = Credential::any_from_headers(
                authorization.iter().map(|value| value.as_bytes()),
                bare.iter().map(|value| value.as_bytes()),
            );
            read.map(|credential| match credential {
                Credential::Key(key) => ("key", key.expose().to_owned()),
                Credential::Access(token) => ("access", token.expose().to_owned()),
            })
        };
        let key = KeyText::generate().unwrap();
        let text = key.expose();
        let bearer = format!("Bearer {text}");
        for (authorization, bare) in [(&[&*bearer][..], &[][..]), (&[], &[text])] {
            assert_eq!(any(authorization, bare), Ok(("key", text.to_owned())));
        }
        let token = ("access", "a.b.c".to_owned());
        assert_eq!(any(&["Bearer a.b.c"], &[]), Ok(token));
        let long = format!("Bearer a.b.{}", "c".repeat(ACCESS_TOKEN_BYTES_MAX));
        for (authorization, bare) in [
            (&["Bearer a.b.c"][..], &["a.b.c"][..]),
            (&[], &["a.b.c"]),
            (&["Bearer a.b"], &[]),
            (&["Bearer a..c"], &[]),
            (&["Bearer a.b.c.d"], &[]),
            (&[&*long], &[]),
        ] {
            let none = CredentialError::Malformed;
            assert_eq!(any(authorization, bare), Err(none), "{authorization:?}");
        }
        let two = any(&["Bearer a.b.c"], &[text]);
        assert_eq!(two, Err(CredentialError::Conflicting));
        assert_eq!(any(&[], &[]), Err(CredentialError::Missing));
        let shown = format!("{:?}", AccessText::parse("a.b.secret"));
        assert!(!shown.contains("secret"), "{shown}");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_only_the_key_itself_is_read_as_it(
            authorization in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..3),
            bare in prop::collection::vec("[ -~]{0,80}", 0..3),
            has_key in any::<bool>(),
        ) {
            let key = KeyText::generate().unwrap();
            let bare = bare.iter().map(String::as_bytes);
            let own = has_key.then(|| key.expose().as_bytes());
            let values = authorization.iter().map(Vec::as_slice);
            match Credential::from_headers(values, bare.chain(own)) {
                Ok(read) => prop_assert_eq!(read.expose(), key.expose()),
                Err(CredentialError::Missing) => prop_assert!(!has_key),
                Err(_) => {}
            }
        }
    }
}
