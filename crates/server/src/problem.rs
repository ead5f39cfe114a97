//! What is wrong with the settings, and why a server does not run.

use std::fmt;
use std::net::SocketAddr;

/// A problem of the settings, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    place: String,
    message: String,
}

impl Problem {
    /// Makes a problem at a place: a file with a line, a variable, or a setting.
    #[must_use]
    pub fn new(place: &str, message: String) -> Self {
        Self {
            place: place.to_owned(),
            message,
        }
    }

    /// Says in which file the setting is.
    #[must_use]
    pub fn within(self, file: &str) -> Self {
        Self {
            place: format!("{file}: {}", self.place),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Why a server does not run, by what there is to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A setting is wrong.
    #[error("{0}")]
    Settings(Problem),
    /// The database cannot be used.
    #[error("the database cannot be used: {0:#}")]
    Database(anyhow::Error),
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Anything else.
    #[error("{0:#}")]
    Other(anyhow::Error),
}
