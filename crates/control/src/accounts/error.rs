//! Why somebody is not let in, or not done as they asked.

use std::time::Duration;

use tollgate_auth::{KeyError, KeyRingError, PasswordHashError, SecretTokenError};
use tollgate_domain::ErrorKind;
use tollgate_store::StoreError;
use tollgate_validation::PasswordError;
use tollgate_vault::VaultError;

/// Why somebody is not let in, or not done as they asked. The texts say nothing of who is known.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Whatever was wrong: there is no such person, or the password or the code is another.
    #[error("the address, the password or the code is not right")]
    Refused,
    /// The password is right, and a code is needed with it.
    #[error("a code of the authenticator app, or a recovery code, is needed")]
    SecondFactorRequired,
    /// There is no such session, or it is over.
    #[error("sign in first")]
    NotSignedIn,
    /// Too many have failed: wait this long.
    #[error("too many attempts have failed; wait and try again")]
    Wait(Duration),
    /// It was used, has expired, is for something else, or never was one.
    #[error("the link is not valid any more")]
    InvalidToken,
    /// Somebody has set the installation up already.
    #[error("this installation is set up already")]
    SetUp,
    /// The password may not be chosen.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A value is not what it must be.
    #[error("{0}")]
    Invalid(&'static str),
    /// It contradicts the present state.
    #[error("{0}")]
    Conflict(&'static str),
    /// What was named does not exist, or is another's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Too many passwords are being checked at once, or none can be.
    #[error(transparent)]
    Hash(#[from] PasswordHashError),
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A second factor could not be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key that signs access tokens is none.
    #[error(transparent)]
    SigningKey(#[from] KeyRingError),
    /// There is no key that signs access tokens.
    #[error("there is no key that signs access tokens")]
    NoSigningKey,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

impl AccountError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused | Self::SecondFactorRequired | Self::NotSignedIn => {
                ErrorKind::Unauthenticated
            }
            Self::Wait(_) => ErrorKind::RateLimited,
            Self::InvalidToken | Self::Password(_) | Self::Invalid(_) => ErrorKind::InvalidRequest,
            Self::SetUp | Self::Conflict(_) => ErrorKind::Conflict,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Hash(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Vault(_) | Self::SigningKey(_) | Self::NoSigningKey | Self::NoRandomness => {
                ErrorKind::Internal
            }
        }
    }

    /// Returns the machine-readable code; `None` when the kind says it all.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Refused => Some("sign_in_refused"),
            Self::SecondFactorRequired => Some("second_factor_required"),
            Self::NotSignedIn => Some("not_signed_in"),
            Self::Wait(_) => Some("too_many_attempts"),
            Self::InvalidToken => Some("invalid_token"),
            Self::SetUp => Some("already_set_up"),
            Self::Password(error) => Some(error.code()),
            _ => None,
        }
    }

    /// Returns how long to wait before it is tried again.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Wait(wait) => Some(*wait),
            _ => None,
        }
    }
}

impl From<SecretTokenError> for AccountError {
    fn from(error: SecretTokenError) -> Self {
        match error {
            SecretTokenError::Malformed => Self::InvalidToken,
            SecretTokenError::NoRandomness => Self::NoRandomness,
        }
    }
}

impl From<KeyError> for AccountError {
    fn from(_: KeyError) -> Self {
        Self::NoRandomness
    }
}
