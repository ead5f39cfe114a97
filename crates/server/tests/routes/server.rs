//! The server in this process, on a thread of its own, with data that is thrown away.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_auth::KeyText;
use tollgate_domain::{AuditEntry, OrgId};
use tollgate_persistence::{Database, PoolOptions, open};
use tollgate_server::{Failure, Options, Settings, serve, setup_link};
use tollgate_store::AuditSealer;
use tollgate_testkit::{
    Answer, Connection, TestDatabase, TestPostgres, exchange, free_port, refusing_url, request,
};

/// The only host that the server answers to.
pub(crate) const HOST: &str = "gateway.test";

/// Runs a statement on a SQLite database.
const SQL: &str = "import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=30) as connection:
    connection.execute(sys.argv[2])";

/// Seals what tests add behind the server's back.
#[derive(Debug)]
struct Unsealed;

impl AuditSealer for Unsealed {
    fn seal(&self, _: &AuditEntry) -> [u8; 32] {
        [0; 32]
    }
}

/// A server, of which there is one per process: it ends by the process's signal, as it does for real.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The key of the organization's owner.
    pub(crate) owner: String,
    /// The same data, for what tests add behind the server's back.
    pub(crate) database: Arc<dyn Database>,
    settings: Settings,
    serving: Option<JoinHandle<Result<(), Failure>>>,
    postgres: Option<TestDatabase>,
    dir: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/tollgate.db", dir.path().display());
        Self::start_on(&url, dir, None)
    }

    pub(crate) fn start_on_postgres() -> Self {
        let database = TestPostgres::database();
        let url = database.url.clone();
        Self::start_on(&url, tempfile::tempdir().unwrap(), Some(database))
    }

    fn start_on(url: &str, dir: TempDir, postgres: Option<TestDatabase>) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let data = dir.path().display();
        let settings: Settings = serde_json::from_value(json!({
            "server": {
                "listen": address,
                "metrics_listen": "127.0.0.1:0",
                "workers": 1,
                "body_bytes_max": 1 << 20,
                "allowed_hosts": [HOST],
                "unauthenticated_per_minute_max": 0,
            },
            "database": {"url": url, "connections_max": 2},
            "ledger": {"journal_dir": format!("{data}/journal"), "ballast_bytes": 0},
            "log": {"level": "error"},
            "resilience": {"attempts_max": 1},
            "secrets": {"master_key_file": format!("{data}/master.key")},
            "providers": [{"name": "gone", "dialect": "openai", "base_url": refusing_url()}],
            "models": [{
                "name": "m",
                "targets": [{"provider": "gone"}],
                "price": {"input": "1", "output": "2"},
            }],
        }))
        .unwrap();
        assert_eq!(settings.problems(), []);
        let key = KeyText::generate().unwrap();
        let owner = key.expose().to_owned();
        let options = Options {
            bootstrap_key: Some(key),
            ..Options::default()
        };
        let own = settings.clone();
        let serving = std::thread::spawn(move || serve(&own, &options));
        wait_until_ready(address, &serving);
        // The server's own hook keeps what a panic says to itself; a test's must be read.
        drop(std::panic::take_hook());
        Self {
            address,
            owner,
            settings,
            database: open(url, &PoolOptions::default(), Arc::new(Unsealed)).unwrap(),
            serving: Some(serving),
            postgres,
            dir,
        }
    }

    /// Sends a request with these further lines of its head.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        head: &str,
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let (kind, length) = ("content-type: application/json", body.len());
        let body_lines = match length {
            0 => String::new(),
            length => format!("{kind}\r\ncontent-length: {length}\r\n"),
        };
        let text =
            format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\n{head}{body_lines}\r\n{body}");
        self.send_bytes(text.as_bytes())
    }

    /// Sends bytes as they are; a server may answer before it has read all of them.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) -> Answer {
        let mut connection = Connection::open(self.address).unwrap();
        drop(connection.send(bytes));
        let shown = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).into_owned();
        connection
            .read_answer()
            .unwrap_or_else(|error| panic!("no answer to {shown}: {error}"))
    }

    /// Makes a key with this role.
    pub(crate) fn key(&self, role: &str) -> String {
        self.key_of(&json!({"name": role, "role": role}))
    }

    /// Makes a key of what is asked for.
    pub(crate) fn key_of(&self, body: &Value) -> String {
        let answer = self.send("POST", "/api/v1/keys", &bearer(&self.owner), Some(body));
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["key"].as_str().unwrap().to_owned()
    }

    /// Makes a key of who runs the installation, which no caller can make.
    pub(crate) fn platform_key(&self) -> String {
        let key = self.key("member");
        self.alter(&key, "role = 'platform_admin'");
        key
    }

    /// Makes a key of the owner of another organization.
    pub(crate) fn owner_of(&self, org: OrgId) -> String {
        let key = self.key("org_owner");
        let digits = org.as_bytes().iter().map(|byte| format!("{byte:02x}"));
        let digits: String = digits.collect();
        let bytes = match &self.postgres {
            Some(_) => format!("'\\x{digits}'::bytea"),
            None => format!("X'{digits}'"),
        };
        self.alter(&key, &format!("org_id = {bytes}"));
        key
    }

    /// Alters a key that was not used yet, behind the server's back.
    fn alter(&self, key: &str, set: &str) {
        let key = KeyText::parse(key).unwrap();
        let public_id = key.public_id();
        let statement = format!("UPDATE api_keys SET {set} WHERE public_id = '{public_id}'");
        if let Some(database) = &self.postgres {
            database.execute(&statement);
            return;
        }
        let mut python = Command::new("python3");
        let python = python
            .args(["-c", SQL])
            .arg(self.dir.path().join("tollgate.db"))
            .arg(&statement);
        assert!(python.status().unwrap().success(), "{statement}");
    }

    /// Lets the first person in, who owns the organization.
    pub(crate) fn person(&self) -> Session {
        let made = setup_link(&self.settings, true).unwrap();
        let made: Value = serde_json::from_str(&made).unwrap();
        let body = json!({
            "token": made["token"],
            "email": "ann@example.com",
            "name": "Ann",
            "password": "several quite unusual words",
        });
        let answer = self.send("POST", "/api/v1/auth/setup", "", Some(&body));
        assert_eq!(answer.status, 201, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap();
        let (cookie, _) = cookie.split_once(';').unwrap();
        Session {
            cookie: format!("cookie: {cookie}\r\n"),
            csrf: format!(
                "origin: http://{HOST}\r\nx-csrf-token: {}\r\n",
                answer.json()["csrf_token"].as_str().unwrap()
            ),
        }
    }

    /// Ends the server as an operator does, and returns whether it ended well.
    pub(crate) fn stop(&mut self) -> bool {
        let Some(serving) = self.serving.take() else {
            return true;
        };
        let kill = format!("kill -TERM {}", std::process::id());
        if !serving.is_finished() {
            assert!(
                Command::new("sh")
                    .args(["-c", &kill])
                    .status()
                    .unwrap()
                    .success()
            );
        }
        serving.join().is_ok_and(|done| done.is_ok())
    }
}

/// Lines of the head of a browser's request.
pub(crate) struct Session {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Session {
    pub(crate) fn head(&self) -> String {
        format!("{}{}", self.cookie, self.csrf)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait_until_ready(address: SocketAddr, serving: &JoinHandle<Result<(), Failure>>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let bytes = request("GET", "/health/ready", &[], None);
    let bytes = String::from_utf8(bytes).unwrap().replace("127.0.0.1", HOST);
    while exchange(address, bytes.as_bytes()).map_or(0, |answer| answer.status) != 200 {
        let is_waiting = !serving.is_finished() && Instant::now() < deadline;
        assert!(is_waiting, "it does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}
