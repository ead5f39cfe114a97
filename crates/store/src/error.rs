//! What can go wrong with a store.

use tollgate_domain::ErrorKind;

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique value is taken, for example an id or a name.
    #[error("{what} already exists")]
    Conflict {
        /// What is taken.
        what: &'static str,
    },
    /// It was changed since it was read: read it again.
    #[error("{what} was changed by somebody else")]
    Outdated {
        /// What was changed.
        what: &'static str,
    },
    /// It is the last one of something that there must be.
    #[error("{what} is needed")]
    Needed {
        /// What there must be.
        what: &'static str,
    },
    /// Something that is referred to does not exist.
    #[error("{what} does not exist")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// It cannot be kept by any backend, now or later: repeating does not help.
    #[error("{what} cannot be kept")]
    Invalid {
        /// What cannot be kept.
        what: &'static str,
    },
    /// The backend cannot be reached or is too busy: repeat later.
    #[error("the store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The backend failed. The source says how; it never leaves the process.
    #[error("the store failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } | Self::Outdated { .. } | Self::Needed { .. } => {
                ErrorKind::Conflict
            }
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Invalid { .. } => ErrorKind::InvalidRequest,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Backend(_) => ErrorKind::Internal,
        }
    }
}
