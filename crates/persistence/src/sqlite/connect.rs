//! How connections to an SQLite file are made.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use crate::error::PersistenceError;
use crate::migrations::MigrationFailure;
use crate::open::PoolOptions;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// The first version without the defect that can corrupt a database when a write-ahead log is reset
/// while another connection writes: <https://sqlite.org/releaselog/3_51_3.html>.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
const VERSION_MIN_NAME: &str = "3.51.3";

/// How long a new file that is locked is left alone.
const LOCKED_WAIT: Duration = Duration::from_millis(5);

/// Makes connections to one file.
#[derive(Clone)]
pub(super) struct Connect {
    path: String,
    busy_timeout: Duration,
}

impl Connect {
    pub(super) fn new(path: &Path, options: &PoolOptions) -> Result<Self, PersistenceError> {
        let problem = "holds a path that is not UTF-8";
        let path = path.to_str().ok_or(PersistenceError::Url { problem })?;
        // A name such as `file:x` would be taken for a URL.
        let is_plain = path.starts_with('/') || path == ":memory:";
        Ok(Self {
            path: format!("{}{path}", if is_plain { "" } else { "./" }),
            busy_timeout: options.acquire_timeout,
        })
    }

    pub(super) fn read_only(&self) -> Result<SqliteConnection, ConnectionError> {
        self.establish("PRAGMA query_only = ON;")
    }

    /// Returns a connection that leaves the file as it is.
    pub(super) fn plain(&self) -> Result<SqliteConnection, ConnectionError> {
        self.establish("")
    }

    pub(super) fn read_write(&self) -> Result<SqliteConnection, ConnectionError> {
        // What is committed is on the disk: the journal is deleted once its events are booked here,
        // so a commit that a power cut could take back would be usage lost. Batches make it one
        // flush in many events. The log is cut back to 64 MiB after a long read has made it grow.
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA journal_size_limit = 67108864;";
        // While another connection makes a new file one with a write-ahead log, SQLite says that it is
        // locked at once, whatever the time-out.
        let started = Instant::now();
        loop {
            match self.establish(pragmas) {
                Err(ConnectionError::CouldntSetupConfiguration(error))
                    if is_locked(&error) && started.elapsed() < self.busy_timeout =>
                {
                    std::thread::sleep(LOCKED_WAIT);
                }
                done => return done,
            }
        }
    }

    fn establish(&self, pragmas: &str) -> Result<SqliteConnection, ConnectionError> {
        let mut connection = SqliteConnection::establish(&self.path)?;
        // The time-out comes first, so that the others wait for locks, too.
        connection
            .batch_execute(&format!(
                "{}; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; {pragmas}",
                busy_timeout(self.busy_timeout)
            ))
            .map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(connection)
    }

    /// Returns a connection for writing, after a change of the schema that no other process can
    /// make at the same time.
    pub(super) fn migrated(
        &self,
        options: &PoolOptions,
        change: impl FnOnce(&mut SqliteConnection, EmbeddedMigrations) -> Result<(), MigrationFailure>,
    ) -> Result<SqliteConnection, PersistenceError> {
        let mut connection = self.read_write()?;
        check_version(&mut connection)?;
        let wait = |connection: &mut SqliteConnection, time| {
            let result = connection.batch_execute(&busy_timeout(time));
            result.map_err(MigrationFailure::Query)
        };
        wait(&mut connection, options.migration_timeout)?;
        connection.exclusive_transaction(|connection| change(connection, MIGRATIONS))?;
        wait(&mut connection, self.busy_timeout)?;
        Ok(connection)
    }
}

fn is_locked(error: &diesel::result::Error) -> bool {
    error.to_string().contains("database is locked")
}

fn busy_timeout(time: Duration) -> String {
    format!("PRAGMA busy_timeout = {}", time.as_millis())
}

fn check_version(connection: &mut SqliteConnection) -> Result<(), PersistenceError> {
    let query = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(
        "sqlite_version()",
    ));
    let found: String = (query.get_result(connection)).map_err(MigrationFailure::Query)?;
    if version(&found) >= Some(VERSION_MIN) {
        return Ok(());
    }
    Err(PersistenceError::OldLibrary {
        found,
        needed: VERSION_MIN_NAME,
    })
}

fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some((next()?, next()?, next()?))
}

/// Makes the file and its directory unless they are there, for the owner alone: SQLite gives the
/// files that it makes beside it the same permissions. A file that is there is not opened: closing it
/// would let go of all locks that this process has on it.
///
/// Source: <https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>
pub(super) fn make_file(path: &Path) -> std::io::Result<()> {
    let mut directory = std::fs::DirBuilder::new();
    let mut file = std::fs::OpenOptions::new();
    #[cfg(unix)]
    {
        std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    }
    if let Some(parent) = path.parent() {
        directory.recursive(true).create(parent)?;
    }
    match file.write(true).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && !path.is_dir() => Ok(()),
        made => made.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn opening_a_file_again_lets_go_of_no_lock() {
        use std::os::unix::fs::MetadataExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let options = PoolOptions::default();
        let open = || crate::SqliteStore::open_unsealed(&path, &options).unwrap();
        let own = format!(" {} ", std::process::id());
        let locks = || {
            let inode = format!(":{} ", path.metadata().unwrap().ino());
            let all = std::fs::read_to_string("/proc/locks").unwrap();
            let lines = all.lines();
            lines
                .filter(|line| line.contains(&inode) && line.contains(&own))
                .count()
        };
        let first = open();
        assert_eq!(locks(), 1);
        let second = open();
        assert_eq!(locks(), 1);
        drop((first, second));
        assert_eq!(locks(), 0);
    }

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(version("3.53.2") > Some(VERSION_MIN));
        assert!(version("3.6.23") < Some(VERSION_MIN));
        assert!(version("nonsense") < Some(VERSION_MIN));
        assert_eq!(version(VERSION_MIN_NAME), Some(VERSION_MIN));
    }
}
