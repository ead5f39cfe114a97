//! The real gateway process, with settings and data of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Answer, exchange, request};
use crate::settings::GatewaySettings;

const START_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Running {
    child: Child,
    address: SocketAddr,
    metrics_address: SocketAddr,
    readers: [JoinHandle<()>; 2],
}

impl Running {
    /// Waits until all that the ended process wrote is read.
    fn join(self) {
        for reader in self.readers {
            drop(reader.join());
        }
    }
}

/// A gateway process. It is killed, and its data removed, when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    binary: PathBuf,
    dir: TempDir,
    env: Vec<(String, String)>,
    key: String,
    is_tls: bool,
    log: Arc<Mutex<Vec<String>>>,
    running: Option<Running>,
}

impl Gateway {
    /// Starts `binary` on free ports with an empty database, and waits until it is ready.
    #[must_use]
    pub fn start(binary: &str, settings: &GatewaySettings) -> Self {
        let mut gateway = Self::prepare(binary, settings);
        gateway.restart();
        gateway
    }

    /// Does all that [`Gateway::start`] does but start it.
    #[must_use]
    pub fn prepare(binary: &str, settings: &GatewaySettings) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let text = settings.to_toml(dir.path());
        std::fs::write(dir.path().join("tollgate.toml"), text).expect("a settings file");
        let keygen = Command::new(binary)
            .arg("keygen")
            .output()
            .expect("the binary starts");
        let key = String::from_utf8_lossy(&keygen.stdout).trim().to_owned();
        assert!(
            keygen.status.success() && !key.is_empty(),
            "keygen failed: {keygen:?}"
        );
        Self {
            binary: PathBuf::from(binary),
            dir,
            env: settings.env.clone(),
            key,
            is_tls: !settings.tls.is_empty(),
            log: Arc::default(),
            running: None,
        }
    }

    /// Starts the process again, on the same data and new ports.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "it is running");
        let mut child = self
            .command(&["serve"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let first_line = self.lines().len();
        let readers = [
            self.collect(child.stdout.take()),
            self.collect(child.stderr.take()),
        ];
        let deadline = Instant::now() + START_TIMEOUT;
        let (address, metrics_address) = loop {
            if let Some(addresses) = self
                .lines()
                .iter()
                .skip(first_line)
                .find_map(|l| listening(l))
            {
                break addresses;
            }
            let ended = child.try_wait().expect("the state of the process");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the gateway did not start ({ended:?}):\n{}",
                self.lines().join("\n")
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        self.running = Some(Running {
            child,
            address,
            metrics_address,
            readers,
        });
        while !self.is_tls && self.get("/health/ready").status != 200 {
            assert!(
                Instant::now() < deadline,
                "not ready:\n{}",
                self.lines().join("\n")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns a command of the binary with the settings of this gateway.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.dir.path().join("tollgate.toml"))
            .current_dir(self.dir.path())
            .env("TOLLGATE_BOOTSTRAP_KEY", &self.key)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn collect(&self, pipe: Option<impl Read + Send + 'static>) -> JoinHandle<()> {
        let log = Arc::clone(&self.log);
        let pipe = pipe.expect("a piped output");
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                log.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        })
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the gateway runs")
    }

    /// Returns the directory with its settings and data.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// Returns where it serves metrics.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.running().metrics_address
    }

    /// Returns its URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Returns the owner's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// Returns what it wrote to its outputs so far, over all starts.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Kills the process without any warning.
    pub fn kill9(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.child.kill());
            drop(running.child.wait());
            running.join();
        }
    }

    /// Asks the process to end.
    pub fn sigterm(&self) {
        self.signal("TERM");
    }

    /// Asks the process to look at its files.
    pub fn sighup(&self) {
        self.signal("HUP");
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("a shell");
        assert!(status.success(), "the signal was not sent");
    }

    /// Waits until the process has ended by itself.
    pub fn wait_for_exit(&mut self, timeout: Duration) -> ExitStatus {
        let deadline = Instant::now() + timeout;
        let mut running = self.running.take().expect("the gateway runs");
        loop {
            if let Some(status) = running.child.try_wait().expect("the state of the process") {
                running.join();
                return status;
            }
            if Instant::now() >= deadline {
                drop(running.child.kill());
                drop(running.child.wait());
                panic!(
                    "it did not end in {timeout:?}:\n{}",
                    self.lines().join("\n")
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a request with the owner's key.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.send_as(&self.key, method, path, body)
    }

    /// Sends a request with another key.
    #[must_use]
    pub fn send_as(&self, key: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {key}");
        let bytes = request(method, path, &[("authorization", &bearer)], body);
        exchange(self.address(), &bytes).unwrap_or_else(|error| {
            panic!(
                "no answer to {method} {path}: {error}\n{}",
                self.lines().join("\n")
            )
        })
    }

    /// Gets a path with the owner's key.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    /// Posts JSON with the owner's key.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body))
    }

    /// Makes an API key from the fields of `POST /api/v1/keys`, and returns the whole answer.
    #[must_use]
    pub fn create_key(&self, fields: &Value) -> Value {
        let answer = self.post("/api/v1/keys", fields);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// Returns the metrics as Prometheus text.
    #[must_use]
    pub fn metrics(&self) -> String {
        let bytes = request("GET", "/metrics", &[], None);
        let answer = exchange(self.running().metrics_address, &bytes).expect("metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(kind));
        answer.text()
    }

    /// Returns the rows of `GET /api/v1/usage`.
    #[must_use]
    pub fn usage(&self, group_by: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/v1/usage?limit=200&group_by={group_by}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Waits up to 10 seconds until the usage rows satisfy the condition, and returns them.
    pub fn wait_for_usage(&self, group_by: &str, is_met: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let rows = self.usage(group_by);
            if is_met(&rows) {
                return rows;
            }
            assert!(Instant::now() < deadline, "the usage stays {rows:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns what the books say of each attempt, read from the SQLite database with Python, so
    /// that the gateway's own code is not what is believed.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let rows = self.sql("SELECT * FROM usage_events");
        serde_json::from_slice(&rows).expect("JSON from the script")
    }

    /// Changes the SQLite database behind the gateway's back.
    pub fn tamper(&self, statement: &str) {
        drop(self.sql(statement));
    }

    fn sql(&self, statement: &str) -> Vec<u8> {
        let database = self.dir.path().join("tollgate.db");
        let mut python = Command::new("python3");
        let output = python
            .args(["-c", SQL])
            .arg(database)
            .arg(statement)
            .output();
        let output = output.expect("python3 is installed");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Runs `tollgate ledger verify` on the stopped gateway; returns whether the books balance, and
    /// the report.
    #[must_use]
    pub fn ledger_verify(&self) -> (bool, Value) {
        assert!(self.running.is_none(), "it is running");
        let output = self.run(&["ledger", "verify", "--json"]);
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            Value::String(format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ))
        });
        (output.status.success(), report)
    }

    /// Runs a verb of the command line, which must end by itself, and returns what it said.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the binary starts");
        let deadline = Instant::now() + START_TIMEOUT;
        while child
            .try_wait()
            .expect("the state of the process")
            .is_none()
        {
            if Instant::now() >= deadline {
                drop(child.kill());
                panic!("{arguments:?} does not end: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().expect("the output of the process")
    }

    /// Sets an environment variable for the next start.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill9();
    }
}

const SQL: &str = "
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
db.row_factory = sqlite3.Row
rows = [dict(row) for row in db.execute(sys.argv[2])]
db.commit()
print(json.dumps(rows, default=lambda value: value.hex()))
";

/// Reads the addresses from the log line that announces them.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["message"] != "listening" {
        return None;
    }
    let address = |name: &str| line[name].as_str()?.parse().ok();
    Some((address("server.address")?, address("metrics.address")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_read_from_the_log() {
        let line = r#"{"level":"INFO","message":"listening","server.address":"127.0.0.1:81","metrics.address":"127.0.0.1:82"}"#;
        let (address, metrics) = listening(line).unwrap();
        assert_eq!((address.port(), metrics.port()), (81, 82));
        assert_eq!(listening(r#"{"message":"ready"}"#), None);
        assert_eq!(listening("plain text"), None);
    }
}
