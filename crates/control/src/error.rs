//! Why a use case did not succeed.

use tollgate_auth::{KeyError, SecretTokenError};
use tollgate_domain::ErrorKind;
use tollgate_store::StoreError;
use tollgate_validation::{Expected, ValidationError};

/// Why a use case did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It would give away more than the caller has.
    #[error("{0}")]
    Exceeds(&'static str),
    /// What was named does not exist, or not in the caller's organization.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A value is not what it must be.
    #[error("{0}")]
    Invalid(&'static str),
    /// It contradicts what is there.
    #[error("{0}")]
    Contradicts(&'static str),
    /// It was changed since the version that the change is for.
    #[error("it was changed since: read it again")]
    Stale,
    /// The name of a repetition stands for another request.
    #[error("this Idempotency-Key was used for another request")]
    Reused,
    /// A request is being repeated whose end is not known.
    #[error(
        "the first request with this Idempotency-Key has not ended; look whether it was done before \
         it is sent with another"
    )]
    Unfinished,
    /// An input breaks its rules.
    #[error(transparent)]
    Input(#[from] ValidationError),
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No token could be made.
    #[error(transparent)]
    Token(#[from] SecretTokenError),
}

impl ControlError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Exceeds(_) => ErrorKind::Forbidden,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Invalid(_) | Self::Reused => ErrorKind::InvalidRequest,
            Self::Contradicts(_) | Self::Stale | Self::Unfinished => ErrorKind::Conflict,
            Self::Input(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Key(_) | Self::Token(_) => ErrorKind::Internal,
        }
    }

    /// Returns why a change was not kept that was for a version: when somebody was faster, it is stale.
    pub(crate) fn changing(expected: Expected, error: StoreError) -> Self {
        match (expected, error) {
            (Expected::Version(_), StoreError::Outdated { .. }) => Self::Stale,
            (_, error) => error.into(),
        }
    }
}
