//! A private PostgreSQL server for tests, and a database of its own for each.

mod cluster;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use self::cluster::{program, start};

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A PostgreSQL server that one run of tests shares.
///
/// The first test that asks starts it, whichever process that is: test processes with the same
/// parent, be it `cargo test` or nextest, find each other through a directory in the system's
/// temporary one. A shell script beside it ends the server and removes the directory when the
/// parent is gone, however it went, or when no test has used the server for 10 seconds.
///
/// Durability is off, and the default collation is a language's, not that of bytes, so that a query
/// which leans on either is found out.
#[derive(Debug)]
pub struct TestPostgres {
    port: u16,
    psql: PathBuf,
    /// Its shared lock says that the server is in use; it goes with the process.
    _users: File,
}

impl TestPostgres {
    /// Returns a new empty database on the server of this run.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start, and says why.
    #[must_use]
    pub fn database() -> TestDatabase {
        static SHARED: OnceLock<TestPostgres> = OnceLock::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = SHARED.get_or_init(Self::join);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}_{number}", std::process::id());
        server.execute("postgres", &format!("CREATE DATABASE {name}"));
        TestDatabase {
            url: format!("postgres://postgres@127.0.0.1:{}/{name}", server.port),
            name,
            server,
        }
    }

    /// Finds the server of this run, or starts it.
    fn join() -> Self {
        let psql = program("psql");
        let directory = std::env::temp_dir().join(format!("tollgate-postgres-{}", parent_id()));
        let started = Instant::now();
        loop {
            // Not for the owner alone: as root the server runs as another user.
            if let Err(error) = DirBuilder::new().mode(0o755).create(&directory) {
                let kind = error.kind();
                assert_eq!(
                    kind,
                    ErrorKind::AlreadyExists,
                    "{}: {error}",
                    directory.display()
                );
            }
            let Ok(users) = open(&directory.join("users")) else {
                let waited = started.elapsed();
                assert!(
                    waited < START_TIMEOUT,
                    "{} stays unusable",
                    directory.display()
                );
                continue; // The directory of a run before is being removed this moment.
            };
            users
                .lock_shared()
                .expect("a lock on the users of the server");
            if users.metadata().map_or(0, |file| file.nlink()) == 0 {
                continue; // It was removed while this process waited.
            }
            let starting = open(&directory.join("starting")).expect("a file to lock");
            starting.lock().expect("a lock on the start of the server");
            let port = running(&directory).unwrap_or_else(|| start(&directory));
            return Self {
                port,
                psql,
                _users: users,
            };
        }
    }

    fn execute(&self, database: &str, sql: &str) -> String {
        let output = psql(&self.psql, self.port, database)
            .args(["-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .expect("psql runs");
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {problem}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }
}

/// An empty database that is dropped with this.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its URL, `postgres://…`.
    pub url: String,
    name: String,
    server: &'static TestPostgres,
}

impl TestDatabase {
    /// Runs statements as a superuser on a connection of their own and returns the rows as text, the
    /// columns separated by `|`.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn execute(&self, sql: &str) -> String {
        self.server.execute(&self.name, sql)
    }

    /// Makes a role that owns nothing, for connections to this database to take on, and returns its
    /// name. It goes with the database.
    pub fn application_role(&self) -> String {
        let role = format!("app_{}", self.name);
        self.execute(&format!("CREATE ROLE {role} NOLOGIN"));
        role
    }

    /// Ends every connection to this database, as a restart of the server would.
    pub fn end_connections(&self) {
        let those = format!("FROM pg_stat_activity WHERE datname = '{}'", self.name);
        let end = format!("SELECT count(pg_terminate_backend(pid)) {those}");
        let started = Instant::now();
        while self.server.execute("postgres", &end) != "0" {
            assert!(started.elapsed() < START_TIMEOUT, "a connection stays");
        }
    }

    /// Ends every connection to this database and lets nobody in, as if the server were down, or
    /// lets everybody in again.
    pub fn set_reachable(&self, is_reachable: bool) {
        let allow = format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS {is_reachable}",
            self.name
        );
        self.server.execute("postgres", &allow);
        if !is_reachable {
            self.end_connections();
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A server that is gone has nothing to drop.
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _dropped = psql(&self.server.psql, self.server.port, "postgres")
            .args(["-c", &drop])
            .args(["-c", &format!("DROP ROLE IF EXISTS app_{}", self.name)])
            .output();
    }
}

fn psql(program: &Path, port: u16, database: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-U", "postgres"])
        .args(["-p", &port.to_string(), "-d", database])
        .stdin(Stdio::null());
    command
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Returns the port of the server in this directory when it answers.
fn running(directory: &Path) -> Option<u16> {
    let port = std::fs::read_to_string(directory.join("port")).ok()?;
    let port = port.parse().ok()?;
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    Some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_postgres_database_is_empty_and_its_own() {
        let (one, other) = (TestPostgres::database(), TestPostgres::database());
        assert_ne!(one.url, other.url);
        assert_eq!(
            one.execute("CREATE TABLE t (n INT); INSERT INTO t VALUES (7)"),
            ""
        );
        assert_eq!(one.execute("SELECT n, n + 1 FROM t"), "7|8");
        let missing = "SELECT count(*) FROM pg_tables WHERE tablename = 't'";
        assert_eq!(other.execute(missing), "0");
        // Only a language's rules put small letters first.
        assert_eq!(other.execute("SELECT 'a' < 'B'"), "t");
    }

    #[test]
    fn a_postgres_database_is_dropped_with_its_handle() {
        let (gone, other) = (TestPostgres::database(), TestPostgres::database());
        let count = format!(
            "SELECT count(*) FROM pg_database WHERE datname = '{}'",
            gone.name
        );
        assert_eq!(other.execute(&count), "1");
        drop(gone);
        assert_eq!(other.execute(&count), "0");
    }
}
