//! What messages are signed with.

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

const PREFIX: &str = "whsec_";
/// The fewest bytes of a secret, by the specification.
pub const SECRET_BYTES_MIN: usize = 24;
/// The most bytes of a secret, by the specification.
pub const SECRET_BYTES_MAX: usize = 64;
/// Bytes of a secret that is made here: as many as the digest has.
const SECRET_BYTES_NEW: usize = 32;
/// The most secrets that hold at the same time.
pub const SECRETS_MAX: usize = 4;

/// Why a secret cannot be used. Repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It has not the form `whsec_` and base64.
    #[error("a webhook's secret is \"whsec_\" and base64 with padding")]
    Malformed,
    /// It is too short to keep anybody out, or empty, or too long.
    #[error(
        "a webhook's secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, not {bytes}; let Tollgate make one"
    )]
    Length {
        /// How many bytes it has.
        bytes: usize,
    },
    /// More than [`SECRETS_MAX`] at once.
    #[error(
        "more than {SECRETS_MAX} secrets at the same time; end the rotation before beginning another"
    )]
    TooMany,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// One secret: random bytes of a length that keeps guessing hopeless. There is no empty one.
#[derive(Clone)]
pub struct WebhookSecret {
    text: SecretString,
    key: hmac::Key,
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl WebhookSecret {
    /// Reads a secret from its text.
    ///
    /// # Errors
    /// [`SecretError::Malformed`] or [`SecretError::Length`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Malformed)?;
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| SecretError::Malformed)?;
        Self::from_bytes(&bytes)
    }

    /// Makes a new secret from the system's random source.
    ///
    /// # Errors
    /// [`SecretError::NoRandomness`].
    pub fn generate() -> Result<Self, SecretError> {
        let mut bytes = [0; SECRET_BYTES_NEW];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| SecretError::NoRandomness)?;
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SecretError> {
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(SecretError::Length { bytes: bytes.len() });
        }
        Ok(Self {
            text: SecretString::from(format!("{PREFIX}{}", STANDARD.encode(bytes))),
            key: hmac::Key::new(HMAC_SHA256, bytes),
        })
    }

    /// Returns the text, to be kept sealed and shown once to whoever receives the messages.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

/// The secrets that hold at the moment: the current one and, while it is rotated, those before it.
#[derive(Debug, Clone)]
pub struct WebhookSecrets {
    all: Vec<WebhookSecret>,
}

impl WebhookSecrets {
    /// Puts the current secret before those that still hold.
    ///
    /// # Errors
    /// [`SecretError::TooMany`].
    pub fn new(current: WebhookSecret, previous: Vec<WebhookSecret>) -> Result<Self, SecretError> {
        if previous.len() >= SECRETS_MAX {
            return Err(SecretError::TooMany);
        }
        let mut all = previous;
        all.insert(0, current);
        Ok(Self { all })
    }

    /// Returns the keys, the current one first.
    pub(super) fn keys(&self) -> impl Iterator<Item = &hmac::Key> {
        self.all.iter().map(|secret| &secret.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> String {
        format!("whsec_{}", STANDARD.encode(vec![7; bytes]))
    }

    #[test]
    fn a_secret_has_24_to_64_bytes() {
        for bytes in [24, 32, 64] {
            assert_eq!(
                WebhookSecret::parse(&text(bytes)).unwrap().expose(),
                text(bytes)
            );
        }
        for bytes in [0, 1, 23, 65] {
            let error = WebhookSecret::parse(&text(bytes)).unwrap_err();
            assert_eq!(error, SecretError::Length { bytes });
        }
    }

    #[test]
    fn what_is_not_a_secret_is_not_repeated() {
        for bad in [
            "",
            "whsec",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
            "whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        ] {
            let error = WebhookSecret::parse(bad).unwrap_err();
            assert_eq!(error, SecretError::Malformed, "{bad:?}");
            assert!(!format!("{error} {error:?}").contains("MfKQ"));
        }
    }

    #[test]
    fn new_secrets_differ_and_do_not_show() {
        let (one, two) = (
            WebhookSecret::generate().unwrap(),
            WebhookSecret::generate().unwrap(),
        );
        assert_ne!(one.expose(), two.expose());
        assert!(WebhookSecret::parse(one.expose()).is_ok());
        assert_eq!(format!("{one:?}"), "WebhookSecret(…)");
    }

    #[test]
    fn a_rotation_has_an_end() {
        let secret = || WebhookSecret::generate().unwrap();
        let previous = |count: usize| (0..count).map(|_| secret()).collect();
        assert!(WebhookSecrets::new(secret(), previous(SECRETS_MAX - 1)).is_ok());
        let error = WebhookSecrets::new(secret(), previous(SECRETS_MAX)).unwrap_err();
        assert_eq!(error, SecretError::TooMany);
    }
}
