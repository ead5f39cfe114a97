//! Why a use case did not succeed.

use tollgate_auth::KeyError;
use tollgate_domain::ErrorKind;
use tollgate_store::StoreError;
use tollgate_validation::ValidationError;

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
    /// An input breaks its rules.
    #[error(transparent)]
    Input(#[from] ValidationError),
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl ControlError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Exceeds(_) => ErrorKind::Forbidden,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Invalid(_) => ErrorKind::InvalidRequest,
            Self::Input(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Key(_) => ErrorKind::Internal,
        }
    }
}
