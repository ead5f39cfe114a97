//! Secrets that are used once or for a while: `<prefix><secret><checksum>`.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

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

    pub(crate) fn from_source<E>(
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

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}|tg_sess_[0-9A-Za-z]{49}") {
            for purpose in TokenPurpose::ALL {
                prop_assert!(SecretToken::parse(purpose, &text).is_err());
            }
        }
    }
}
