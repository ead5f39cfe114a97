//! Why a request has no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use tollgate_domain::ErrorKind;

use crate::resolver::LookupError;
use crate::target::UrlError;

/// Why a request has no answer. The messages may be shown to whoever chose the URL: they tell what to
/// change, and nothing of what a name leads to or of what listens there.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The URL may not be asked for, or no longer.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The request's body is larger than the bound.
    #[error("the body to send is larger than {max} bytes")]
    RequestTooLarge {
        /// The bound, in bytes.
        max: usize,
    },
    /// No connection was made. One message for every cause: which of them it was would tell of the
    /// own network.
    #[error(
        "the host could not be reached; check its name, its port and its certificate, and that it is on the public internet"
    )]
    Unreachable {
        /// For the operator's log alone.
        cause: UnreachableCause,
    },
    /// There was no whole answer in time.
    #[error("no whole answer within {} ms", .after.as_millis())]
    Timeout {
        /// The bound.
        after: Duration,
    },
    /// The answer's body is larger than the bound.
    #[error("the answer is larger than {max} bytes")]
    AnswerTooLarge {
        /// The bound, in bytes.
        max: usize,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("the answer broke off, or is not HTTP")]
    Broken,
}

/// Why no connection was made: for the operator's log, never for who chose the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnreachableCause {
    /// The name has no address, or could not be looked up.
    NoAddress,
    /// All its addresses are refused.
    AddressRefused,
    /// Its certificate is not valid for the name, or nobody trusted vouches for it.
    NotTrusted,
    /// Nothing answers there, or not in time.
    NoConnection,
}

impl EgressError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Url(error) => error.kind(),
            Self::RequestTooLarge { .. } => ErrorKind::TooLarge,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Unreachable { .. } | Self::AnswerTooLarge { .. } | Self::Broken => {
                ErrorKind::Upstream
            }
        }
    }

    /// Sorts an error of the client. Its text holds the URL, so it goes no further.
    pub(crate) fn sort(error: &reqwest::Error, total: Duration) -> Self {
        if error.is_connect() {
            return Self::Unreachable {
                cause: unreachable_cause(error),
            };
        }
        if error.is_timeout() {
            return Self::Timeout { after: total };
        }
        Self::Broken
    }
}

fn unreachable_cause(error: &reqwest::Error) -> UnreachableCause {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<LookupError>() {
            Some(LookupError::NoAddress) => return UnreachableCause::NoAddress,
            Some(LookupError::AllRefused) => return UnreachableCause::AddressRefused,
            None if error.is::<rustls::Error>() => return UnreachableCause::NotTrusted,
            None => {}
        }
        // An I/O error skips the error inside of it when asked for its source.
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    UnreachableCause::NoConnection
}
