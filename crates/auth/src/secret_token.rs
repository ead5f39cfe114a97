//! Secrets that are used once or for a while: `<prefix><secret><checksum>`.

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use secrecy::{ExposeSecret, SecretString};
use tollgate_domain::MAC_BYTES;

use crate::base62::{CHECKSUM_DIGITS, SECRET_DIGITS, checksum, push_digits};
use crate::key_text::{KeyError, fill_random};

/// What a secret token is for. A token of one purpose is never one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenPurpose {
    /// A signed-in session.
    Session,
    /// Choosing a new password.
    PasswordReset,
    /// Joining an organization.
    Invitation,
    /// Getting the next access token.
    Refresh,
    /// Setting up an installation for the first time.
    Setup,
    /// Proving that an e-mail address can be read.
    EmailVerification,
}

impl TokenPurpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [
        Self::Session,
        Self::PasswordReset,
        Self::Invitation,
        Self::Refresh,
        Self::Setup,
        Self::EmailVerification,
    ];

    /// Returns how the text of its tokens begins.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "tg_sess_",
            Self::PasswordReset => "tg_rst_",
            Self::Invitation => "tg_inv_",
            Self::Refresh => "tg_ref_",
            Self::Setup => "tg_setup_",
            Self::EmailVerification => "tg_ver_",
        }
    }
}

/// Why a text is not a token of this purpose, or why none could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretTokenError {
    /// Not of the form, for another purpose, or mistyped: its checksum does not fit.
    #[error("not such a token, or mistyped")]
    Malformed,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

impl From<KeyError> for SecretTokenError {
    fn from(_: KeyError) -> Self {
        Self::NoRandomness
    }
}

/// A well-formed secret token of 256 random bits. The checksum fits, which says nothing of whether it
/// is valid. Overwritten when dropped.
#[derive(Clone)]
pub struct SecretToken {
    purpose: TokenPurpose,
    text: SecretString,
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretToken({}…)", self.purpose.prefix())
    }
}

impl SecretToken {
    /// Makes a new token from the system's random source.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate(purpose: TokenPurpose) -> Result<Self, SecretTokenError> {
        Self::from_source(purpose, |bytes| Ok(fill_random(bytes)?))
    }

    /// Reads a token of this purpose and checks its form and checksum.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(purpose: TokenPurpose, text: &str) -> Result<Self, SecretTokenError> {
        let whole = purpose.prefix().len() + SECRET_DIGITS + CHECKSUM_DIGITS;
        let fits = text.len() == whole
            && text.is_ascii()
            && text
                .strip_prefix(purpose.prefix())
                .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            && text
                .split_at_checked(whole - CHECKSUM_DIGITS)
                .is_some_and(|(body, digits)| digits.as_bytes() == checksum(body));
        fits.then(|| Self {
            purpose,
            text: SecretString::from(text),
        })
        .ok_or(SecretTokenError::Malformed)
    }

    fn from_source<E>(
        purpose: TokenPurpose,
        fill: impl FnMut(&mut [u8; 64]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let prefix = purpose.prefix();
        let mut text = String::with_capacity(prefix.len() + SECRET_DIGITS + CHECKSUM_DIGITS);
        text.push_str(prefix);
        push_digits(&mut text, SECRET_DIGITS, fill)?;
        text.extend(checksum(&text).map(char::from));
        Ok(Self {
            purpose,
            text: SecretString::from(text),
        })
    }

    /// Returns what it is for.
    #[must_use]
    pub const fn purpose(&self) -> TokenPurpose {
        self.purpose
    }

    /// Returns the whole token. It is shown once, to whoever it was made for.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

/// The installation's secret that turns tokens and recovery codes into the digests that are stored. It
/// is not in the database, so that a copy of the database says nothing that a guess could be tested
/// against, and it is another than the one of API keys.
pub struct TokenPepper(hmac::Key);

impl fmt::Debug for TokenPepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenPepper(…)")
    }
}

impl TokenPepper {
    /// Derives the pepper from the installation's master key.
    #[must_use]
    pub fn derive(master_key: &[u8; 32]) -> Self {
        let master = hmac::Key::new(HMAC_SHA256, master_key);
        let derived = hmac::sign(&master, b"tollgate token pepper v1");
        Self(hmac::Key::new(HMAC_SHA256, derived.as_ref()))
    }

    /// Returns the digest to store for a token, and to find it by. The purpose is part of it.
    #[must_use]
    pub fn mac(&self, token: &SecretToken) -> [u8; MAC_BYTES] {
        let prefix = token.purpose.prefix().as_bytes();
        self.mac_of(&[b"token", prefix, token.expose().as_bytes()])
    }

    /// Returns whether the token is the one that this digest was stored for, in constant time.
    #[must_use]
    pub fn matches(&self, token: &SecretToken, stored: &[u8; MAC_BYTES]) -> bool {
        is_same(&self.mac(token), stored)
    }

    /// Returns the one token that follows a refresh token when it is used. It is computed and not kept,
    /// so that the same one can be given again when the answer was lost, though only digests are stored;
    /// without the pepper, who has one token cannot compute the next.
    #[must_use]
    pub fn successor(&self, token: &SecretToken) -> SecretToken {
        let mut blocks = 0u64;
        let made = SecretToken::from_source(token.purpose, |bytes| {
            for half in bytes.chunks_exact_mut(MAC_BYTES) {
                let number = blocks.to_be_bytes();
                half.copy_from_slice(&self.mac_of(&[
                    b"successor",
                    token.expose().as_bytes(),
                    &number,
                ]));
                blocks += 1;
            }
            Ok::<(), std::convert::Infallible>(())
        });
        match made {
            Ok(token) => token,
        }
    }

    /// Returns the digest of several parts, each with its length before it so that they cannot be shifted
    /// against each other.
    pub(crate) fn mac_of(&self, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; MAC_BYTES];
        mac.iter_mut()
            .zip(context.sign().as_ref())
            .for_each(|(to, from)| *to = *from);
        mac
    }
}

/// Compares in constant time.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_token_reads_back_for_its_purpose_alone() {
        for purpose in TokenPurpose::ALL {
            let token = SecretToken::generate(purpose).unwrap();
            assert_eq!(token.expose().len(), purpose.prefix().len() + 49);
            assert_eq!(
                format!("{token:?}"),
                format!("SecretToken({}…)", purpose.prefix())
            );
            for other in TokenPurpose::ALL {
                let read = SecretToken::parse(other, token.expose());
                assert_eq!(read.is_ok(), other == purpose, "{other:?}");
            }
            let again = SecretToken::generate(purpose).unwrap();
            assert_ne!(again.expose(), token.expose());
        }
    }

    #[test]
    fn one_wrong_character_anywhere_is_found() {
        let token = SecretToken::generate(TokenPurpose::Session).unwrap();
        for at in 0..token.expose().len() {
            let mut text = token.expose().as_bytes().to_vec();
            text[at] = if text[at] == b'x' { b'y' } else { b'x' };
            let text = String::from_utf8(text).unwrap();
            assert!(
                SecretToken::parse(TokenPurpose::Session, &text).is_err(),
                "at {at}"
            );
        }
    }

    #[test]
    fn what_is_empty_spaced_or_too_long_is_refused() {
        let token = SecretToken::generate(TokenPurpose::PasswordReset).unwrap();
        let text = token.expose();
        for bad in [
            "",
            " ",
            "\t\n",
            "tg_rst_",
            &format!(" {text}"),
            &format!("{text} "),
            &format!("{text}\n"),
            &format!("{text}0"),
            &text[..text.len() - 1],
            &"x".repeat(1_000_000),
            &text.repeat(2),
            &text.replace("tg_rst_", "TG_RST_"),
            "tg_rst_\u{1f512}",
        ] {
            let read = SecretToken::parse(TokenPurpose::PasswordReset, bad);
            assert_eq!(read.unwrap_err(), SecretTokenError::Malformed, "{bad:.80}");
        }
    }

    #[test]
    fn a_digest_is_of_one_token_one_purpose_and_one_pepper() {
        let pepper = TokenPepper::derive(&[1; 32]);
        let token = SecretToken::generate(TokenPurpose::Invitation).unwrap();
        let stored = pepper.mac(&token);
        assert!(pepper.matches(&token, &stored));
        assert!(!pepper.matches(
            &SecretToken::generate(TokenPurpose::Invitation).unwrap(),
            &stored
        ));
        assert!(!TokenPepper::derive(&[2; 32]).matches(&token, &stored));
        let elsewhere = SecretToken {
            purpose: TokenPurpose::PasswordReset,
            text: SecretString::from(token.expose()),
        };
        assert!(!pepper.matches(&elsewhere, &stored));
        let parts = [pepper.mac_of(&[b"ab", b"c"]), pepper.mac_of(&[b"a", b"bc"])];
        assert_ne!(parts[0], parts[1]);
    }

    #[test]
    fn the_pepper_is_not_the_one_of_api_keys() {
        let key = crate::KeyText::generate().unwrap();
        let of_keys = crate::Pepper::derive(&[1; 32]).mac(&key);
        let raw = hmac::sign(&TokenPepper::derive(&[1; 32]).0, key.expose().as_bytes());
        assert_ne!(raw.as_ref(), of_keys);
    }

    #[test]
    fn a_token_has_one_successor_under_one_pepper() {
        let pepper = TokenPepper::derive(&[1; 32]);
        let first = SecretToken::generate(TokenPurpose::Refresh).unwrap();
        let second = pepper.successor(&first);
        assert_eq!(pepper.successor(&first).expose(), second.expose());
        assert!(SecretToken::parse(TokenPurpose::Refresh, second.expose()).is_ok());
        let third = pepper.successor(&second);
        assert_ne!(third.expose(), second.expose());
        assert_ne!(third.expose(), first.expose());
        let elsewhere = TokenPepper::derive(&[2; 32]).successor(&first);
        assert_ne!(elsewhere.expose(), second.expose());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}|tg_sess_[0-9A-Za-z]{49}") {
            for purpose in TokenPurpose::ALL {
                prop_assert!(SecretToken::parse(purpose, &text).is_err());
            }
        }
    }
}
