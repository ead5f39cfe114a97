//! Opens the database that a URL names.

use std::sync::Arc;
use std::time::Duration;

use tollgate_store::{AuditSealer, Store};

use crate::error::PersistenceError;

/// How connections are pooled and how long they are waited for.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// The most connections of one pool: PostgreSQL's only pool, SQLite's readers.
    pub connections_max: u32,
    /// How long a call waits for a connection, and SQLite for another process's lock.
    pub acquire_timeout: Duration,
    /// How long PostgreSQL may work on one statement. SQLite has no such limit.
    pub statement_timeout: Duration,
    /// How long a statement waits for another transaction's lock in PostgreSQL.
    pub lock_timeout: Duration,
    /// After how long PostgreSQL ends a transaction that does nothing.
    pub idle_in_transaction_timeout: Duration,
    /// How long starting waits for another process that is changing the schema.
    pub migration_timeout: Duration,
    /// The role that PostgreSQL's connections take on once the schema is up to date. It must be there,
    /// and the URL's role a member of it; it gets the rights to the tables at each start, and neither
    /// owns them nor changes audit entries. SQLite has no roles.
    pub app_role: Option<String>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            connections_max: 8,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            idle_in_transaction_timeout: Duration::from_secs(10),
            migration_timeout: Duration::from_secs(60),
            app_role: None,
        }
    }
}

/// How full a pool of connections is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Which pool.
    pub name: &'static str,
    /// Connections that are open.
    pub size: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// The most connections that may be open.
    pub max: u32,
}

/// A store with connections that can be watched.
pub trait Database: Store {
    /// Returns how full each pool of connections is.
    fn pool_state(&self) -> Vec<PoolState>;

    /// Takes what seals audit entries, for a database that was [opened without](open_unsealed). One that
    /// it has already stays.
    fn seal_with(&self, sealer: Arc<dyn AuditSealer>);
}

enum Address<'a> {
    #[cfg(feature = "sqlite")]
    File(&'a std::path::Path),
    #[cfg(feature = "sqlite")]
    Memory,
    #[cfg(feature = "postgres")]
    Server(&'a str),
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> Result<Self, PersistenceError> {
        let problem = match url.split_once(':') {
            #[cfg(feature = "sqlite")]
            Some(("sqlite", ":memory:")) => return Ok(Self::Memory),
            #[cfg(feature = "sqlite")]
            Some(("sqlite", rest)) => match rest.strip_prefix("//") {
                Some("") | None => "names no file: sqlite://path",
                Some(path) if path.contains(['?', '#']) => {
                    "has options, which SQLite takes none of"
                }
                Some(path) => return Ok(Self::File(std::path::Path::new(path))),
            },
            #[cfg(feature = "postgres")]
            Some(("postgres" | "postgresql", _)) => return Ok(Self::Server(url)),
            _ => "has a scheme that is not built in: sqlite://path or postgres://user@host/name",
        };
        Err(PersistenceError::Url { problem })
    }
}

/// Opens the database at `sqlite://path`, `sqlite::memory:` or `postgres://…`, and brings its
/// schema up to date. A relative path is relative to the working directory; a missing file and its
/// directory are made, for the owner alone. Audit entries are sealed by `sealer`.
///
/// # Errors
/// When the URL is none of these, the database cannot be reached, or its schema is newer than this
/// binary or cannot be changed.
pub fn open(
    url: &str,
    options: &PoolOptions,
    sealer: Arc<dyn AuditSealer>,
) -> Result<Arc<dyn Database>, PersistenceError> {
    let database = open_unsealed(url, options)?;
    database.seal_with(sealer);
    Ok(database)
}

/// As [`open`], before it is known what seals audit entries: that key is kept in the database itself,
/// sealed. Until [`Database::seal_with`] has it, every change that is written down is refused as
/// `Unavailable`.
///
/// # Errors
/// As [`open`].
pub fn open_unsealed(
    url: &str,
    options: &PoolOptions,
) -> Result<Arc<dyn Database>, PersistenceError> {
    Ok(match Address::parse(url)? {
        #[cfg(feature = "sqlite")]
        Address::File(path) => Arc::new(crate::SqliteStore::open_unsealed(path, options)?),
        #[cfg(feature = "sqlite")]
        Address::Memory => Arc::new(crate::SqliteStore::in_memory_unsealed(options)?),
        #[cfg(feature = "postgres")]
        Address::Server(url) => Arc::new(crate::PostgresStore::open_unsealed(url, options)?),
    })
}

/// Returns the file of a database, if it is one of SQLite's in a file.
#[must_use]
pub fn sqlite_file(url: &str) -> Option<&std::path::Path> {
    match Address::parse(url) {
        #[cfg(feature = "sqlite")]
        Ok(Address::File(path)) => Some(path),
        _ => None,
    }
}

/// Reverts every migration, and with them everything that was kept: for tests of the migrations.
///
/// # Errors
/// As [`open`].
pub fn migrate_down(url: &str, options: &PoolOptions) -> Result<(), PersistenceError> {
    match Address::parse(url)? {
        #[cfg(feature = "sqlite")]
        Address::File(path) => crate::sqlite::migrate_down(path, options),
        #[cfg(feature = "sqlite")]
        Address::Memory => Ok(()),
        #[cfg(feature = "postgres")]
        Address::Server(url) => crate::postgres::migrate_down(url, options),
    }
}
