//! Keeps our credential out of what a provider says of it.

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use secrecy::{ExposeSecret as _, SecretString};

/// Shorter texts are no secrets, and stand in many an answer by chance.
const SECRET_BYTES_MIN: usize = 8;

/// Makes our credential unreadable in errors: some providers repeat it when they refuse it.
#[derive(Debug, Default)]
pub(crate) struct Mask(Option<SecretString>);

impl Mask {
    pub(crate) fn new(credential: Option<&SecretString>) -> Self {
        let long_enough = |secret: &&SecretString| secret.expose_secret().len() >= SECRET_BYTES_MIN;
        Self(credential.filter(long_enough).cloned())
    }

    /// Returns a body of the same length, with asterisks in the credential's place.
    pub(crate) fn apply(&self, body: Bytes) -> Bytes {
        let Some(secret) = &self.0 else {
            return body;
        };
        let secret = secret.expose_secret().as_bytes();
        let places: Vec<_> = memmem::find_iter(&body, secret).collect();
        if places.is_empty() {
            return body;
        }
        let mut masked = BytesMut::from(&*body);
        for at in places {
            if let Some(place) = masked.get_mut(at..at + secret.len()) {
                place.fill(b'*');
            }
        }
        masked.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(credential: Option<&str>, body: &'static str, expected: &'static str) {
        let credential = credential.map(SecretString::from);
        let masked = Mask::new(credential.as_ref()).apply(Bytes::from_static(body.as_bytes()));
        assert_eq!(masked, Bytes::from_static(expected.as_bytes()));
    }

    #[test]
    fn a_credential_is_masked_wherever_it_stands() {
        let key = Some("sk-12345");
        check(key, "", "");
        check(key, "no key", "no key");
        check(key, "sk-12345", "********");
        check(
            key,
            r#"{"m":"bad sk-12345, sk-12345"}"#,
            r#"{"m":"bad ********, ********"}"#,
        );
        check(key, "sk-1234", "sk-1234");
    }

    #[test]
    fn without_a_credential_or_with_a_short_one_nothing_changes() {
        check(None, "a body", "a body");
        check(Some("body"), "a body", "a body");
        check(Some(""), "a body", "a body");
    }
}
