//! The credential of a request, from whichever header it came in.

use tollgate_domain::ErrorKind;

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
pub struct Credential;

impl Credential {
    /// Returns the key from the values of the headers that may carry one: `authorization` with the
    /// scheme `Bearer`, and the bare ones `x-api-key` and `api-key`. Every form is treated alike.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn from_headers<'a>(
        authorization: impl Iterator<Item = &'a [u8]>,
        bare: impl Iterator<Item = &'a [u8]>,
    ) -> Result<KeyText, CredentialError> {
        let mut found: Option<&'a [u8]> = None;
        for token in authorization.map(bearer).chain(bare.map(Some)) {
            let token = token.ok_or(CredentialError::Malformed)?.trim_ascii();
            match found {
                Some(other) if other != token => return Err(CredentialError::Conflicting),
                _ => found = Some(token),
            }
        }
        let token = found.ok_or(CredentialError::Missing)?;
        std::str::from_utf8(token)
            .ok()
            .and_then(|text| KeyText::parse(text).ok())
            .ok_or(CredentialError::Malformed)
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
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
}
