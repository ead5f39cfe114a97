//! A private PostgreSQL server for tests, and a database of its own for each.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::upstream::free_port;

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

/// Makes a cluster in this directory and starts its server, and the script that will end it.
#[expect(clippy::zombie_processes, reason = "the server outlives this process")]
fn start(directory: &Path) -> u16 {
    watch(directory);
    let data = directory.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).expect("the data of a server that is gone can be removed");
    }
    let owner = server_owner();
    make_cluster(directory, &data, owner);
    let port = free_port();
    let mut server = command("postgres", directory, owner)
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ])
        .args([
            "-c",
            "fsync=off",
            "-c",
            "synchronous_commit=off",
            "-c",
            "full_page_writes=off",
        ])
        .args([
            "-c",
            "max_connections=300",
            "-c",
            "jit=off",
            "-p",
            &port.to_string(),
            "-D",
        ])
        .arg(&data)
        .spawn()
        .expect("postgres runs");
    let program = program("psql");
    let started = Instant::now();
    while !psql(&program, port, "postgres")
        .args(["-c", "SELECT 1"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        let ended = server.try_wait().expect("the state of the server");
        assert!(
            ended.is_none(),
            "PostgreSQL ended at once: {}",
            log(directory)
        );
        let waited = started.elapsed();
        assert!(
            waited < START_TIMEOUT,
            "PostgreSQL does not answer: {}",
            log(directory)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::write(directory.join("port"), port.to_string()).expect("the port is written");
    port
}

fn make_cluster(directory: &Path, data: &Path, owner: Option<(u32, u32)>) {
    DirBuilder::new()
        .mode(0o700)
        .create(data)
        .expect("a directory for the data");
    if let Some((user, group)) = owner {
        chown(data, Some(user), Some(group)).expect("root can give the directory away");
    }
    let made = command("initdb", directory, owner)
        .args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--no-instructions",
        ])
        .args([
            "--locale=C.UTF-8",
            "--locale-provider=icu",
            "--icu-locale=en",
            "-D",
        ])
        .arg(data)
        .status()
        .expect("initdb runs");
    assert!(made.success(), "initdb failed: {}", log(directory));
}

/// Starts the script that ends the server.
#[expect(clippy::zombie_processes, reason = "the script outlives this process")]
fn watch(directory: &Path) {
    Command::new("sh")
        .args(["-c", include_str!("postgres.watch.sh"), "watch"])
        .arg(directory)
        .arg(parent_id().to_string())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs");
}

/// Returns a command that outlives this process and writes to the server's log.
fn command(name: &str, directory: &Path, owner: Option<(u32, u32)>) -> Command {
    let log = open(&directory.join("log")).expect("the server's log");
    let mut command = Command::new(program(name));
    command
        .current_dir(directory)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap_or_default()
}

/// Returns the user and group that the server must run as, when this process is root's: PostgreSQL
/// refuses to run as root.
fn server_owner() -> Option<(u32, u32)> {
    let this_user = std::fs::metadata("/proc/self").expect("this process").uid();
    let id = |kind: &str| {
        let output = Command::new("id").args([kind, "postgres"]).output();
        let text = output.expect("id runs").stdout;
        let id = String::from_utf8_lossy(&text).trim_end().parse();
        id.expect("a user `postgres`, as PostgreSQL does not run as root: `make test` makes it")
    };
    (this_user == 0).then(|| (id("-u"), id("-g")))
}

/// Returns the newest of PostgreSQL's programs of this name: where Debian puts them, or in `PATH`.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = versions
        .filter_map(|version| version.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .map(|version| (version, format!("/usr/lib/postgresql/{version}/bin/{name}")))
        .filter(|(_, path)| Path::new(path).is_file())
        .max();
    if let Some((_, path)) = newest {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("PostgreSQL's `{name}` is missing: `make test` installs it"))
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
