//! Starts a PostgreSQL server, and the script that ends it.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{START_TIMEOUT, open, psql};
use crate::upstream::free_port;

/// Makes a cluster in this directory and starts its server, and the script that will end it.
#[expect(clippy::zombie_processes, reason = "the server outlives this process")]
pub(super) fn start(directory: &Path) -> u16 {
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
        .args(["-c", include_str!("watch.sh"), "watch"])
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
pub(super) fn program(name: &str) -> PathBuf {
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
