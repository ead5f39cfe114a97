//! What can go wrong, and what the caller can do about it.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{ConnectionError, QueryResult};
use tollgate_domain::ErrorKind;
use tollgate_store::StoreError;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PersistenceError {
    /// The URL names no database that can be opened. It is not repeated: it may hold a password.
    #[error("the database URL {problem}")]
    Url {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The application's role is no name of one.
    #[error("the application role is not the name of a role: up to 63 letters, digits, _ and -")]
    AppRole,
    /// The database's file or its directory cannot be made or opened.
    #[error("the database file cannot be opened")]
    File(#[source] std::io::Error),
    /// The database cannot be reached or is locked: repeat later.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A newer version of Tollgate has changed the database.
    #[error(
        "the database's schema is at version {found}, newer than {known}, the newest that this version of Tollgate knows"
    )]
    NewerSchema {
        /// The newest migration that was applied.
        found: String,
        /// The newest migration that this binary holds.
        known: String,
    },
    /// The SQLite library has defects that lose data.
    #[error("SQLite {found} is too old, at least {needed} is needed")]
    OldLibrary {
        /// The library's version.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// It is no database of Tollgate's, or its schema could not be brought up to date.
    #[error("the database cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl PersistenceError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Url { .. } | Self::AppRole => ErrorKind::InvalidRequest,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::NewerSchema { .. } => ErrorKind::Conflict,
            Self::File(_) | Self::OldLibrary { .. } | Self::Unusable(_) => ErrorKind::Internal,
        }
    }
}

impl From<ConnectionError> for PersistenceError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::CouldntSetupConfiguration(error) => Failure::Query(error).into(),
            error => Self::Unavailable(Box::new(error)),
        }
    }
}

impl From<Failure> for PersistenceError {
    fn from(failure: Failure) -> Self {
        match StoreError::from(failure) {
            StoreError::Unavailable(source) => Self::Unavailable(source),
            StoreError::Backend(source) => Self::Unusable(source),
            error => Self::Unusable(Box::new(error)),
        }
    }
}

/// What ends a unit of work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A rule of the store.
    Store(StoreError),
    /// The database.
    Query(DieselError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        Self::Query(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error,
            Failure::Query(error) => match trouble(&error) {
                Trouble::Gone | Trouble::Busy => Self::Unavailable(Box::new(error)),
                Trouble::Range => Self::Invalid {
                    what: "a sum out of range",
                },
                Trouble::Other => Self::Backend(Box::new(error)),
            },
        }
    }
}

impl Failure {
    /// Returns whether the connection is of no more use.
    pub(crate) fn is_connection_gone(&self) -> bool {
        matches!(self, Self::Query(error) if trouble(error) == Trouble::Gone)
    }

    /// Returns a function that says what is taken when a unique constraint does not hold, and what is
    /// missing when a reference does not.
    pub(crate) fn taken(
        what: &'static str,
        missing: &'static str,
    ) -> impl FnOnce(DieselError) -> Self {
        move |error| match &error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
                Self::Store(StoreError::Conflict { what })
            }
            DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
                Self::Store(StoreError::Missing { what: missing })
            }
            _ => Self::Query(error),
        }
    }
}

/// Runs work in the transaction that a connection begins, and returns the work's own failure: Diesel
/// returns that of rolling back when there is one, as after a full disk.
pub(crate) fn in_transaction<C, T>(
    connection: &mut C,
    work: impl Fn(&mut C) -> Result<T, Failure>,
    transaction: impl FnOnce(&mut C, &mut dyn FnMut(&mut C) -> QueryResult<T>) -> QueryResult<T>,
) -> Result<T, Failure> {
    let mut cause = None;
    let result = transaction(connection, &mut |connection| {
        work(connection).map_err(|failure| {
            cause = Some(failure);
            DieselError::RollbackTransaction
        })
    });
    result.map_err(|error| cause.unwrap_or(Failure::Query(error)))
}

/// Returns the error for a row that does not hold what it should.
pub(crate) fn bad_row(what: &'static str) -> StoreError {
    #[derive(Debug, thiserror::Error)]
    #[error("a row of the database holds {0} that is none")]
    struct BadRow(&'static str);
    StoreError::Backend(Box::new(BadRow(what)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The connection is lost, or to the wrong server.
    Gone,
    /// The database is there but cannot do it now.
    Busy,
    /// A sum left the range of its column.
    Range,
    Other,
}

/// Diesel passes on neither SQLSTATE nor SQLite's result code, so that messages have to do. A server
/// that speaks another language gets the plain [`StoreError::Backend`] for these.
fn trouble(error: &DieselError) -> Trouble {
    const GONE: [&str; 4] = [
        "server closed the connection",
        "no connection to the server",
        "terminating connection",
        "connection has been closed",
    ];
    const BUSY: [&str; 14] = [
        "database is locked",
        "database table is locked",
        "database schema is locked",
        "attempt to write a readonly database",
        "unable to open database file",
        "database or disk is full",
        "disk I/O error",
        "canceling statement due to",
        "deadlock detected",
        "the database system is",
        "remaining connection slots",
        "too many clients",
        "could not extend file",
        "out of shared memory",
    ];
    const RANGE: [&str; 3] = [
        "cannot store REAL value in INTEGER column",
        "integer overflow",
        "bigint out of range",
    ];
    let (kind, message) = match error {
        DieselError::DatabaseError(kind, information) => (kind, information.message()),
        DieselError::BrokenTransactionManager => return Trouble::Gone,
        DieselError::RollbackErrorOnCommit { commit_error, .. } => return trouble(commit_error),
        _ => return Trouble::Other,
    };
    let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    match kind {
        // A server that can only be read is the wrong one after a failover.
        DatabaseErrorKind::ClosedConnection
        | DatabaseErrorKind::UnableToSendCommand
        | DatabaseErrorKind::ReadOnlyTransaction => Trouble::Gone,
        _ if says(&GONE) => Trouble::Gone,
        DatabaseErrorKind::SerializationFailure => Trouble::Busy,
        _ if says(&BUSY) => Trouble::Busy,
        _ if says(&RANGE) => Trouble::Range,
        _ => Trouble::Other,
    }
}
