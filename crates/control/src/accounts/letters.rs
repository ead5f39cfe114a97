//! Letters to people.

use std::fmt;

use tollgate_auth::SecretToken;

/// A letter that somebody is to get.
#[derive(Clone)]
pub enum Letter {
    /// With the link that lets them choose a new password.
    PasswordReset {
        /// The address.
        to: String,
        /// What is in the link.
        token: SecretToken,
    },
    /// With the link that proves that they read it.
    EmailVerification {
        /// The address.
        to: String,
        /// What is in the link.
        token: SecretToken,
    },
}

/// Shows neither the address nor the token.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PasswordReset { .. } => "Letter::PasswordReset",
            Self::EmailVerification { .. } => "Letter::EmailVerification",
        })
    }
}

/// Takes letters to be sent.
pub trait Outbox: Send + Sync {
    /// Takes a letter and returns at once: how long it takes must not tell whether there was one. What
    /// cannot be sent is for the operator to see, not for whoever asked.
    fn post(&self, letter: Letter);
}

/// An installation that sends no mail.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoOutbox;

impl Outbox for NoOutbox {
    fn post(&self, _: Letter) {}
}
