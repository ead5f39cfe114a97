//! The audit log from outside: verified against checkpoints, exported, pruned, and changed by hand.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, GatewaySettings, ScriptedUpstream, TestDatabase, TestPostgres};

use crate::common::start_with;

/// The chain of the one organization: the longest.
const CHAIN: &str =
    "org_id = (SELECT org_id FROM audit_heads WHERE seq = (SELECT max(seq) FROM audit_heads))";

const COLUMNS: &str = "at_us, actor, action, object, outcome, request_id, client_ip, before_sha256, \
                       after_sha256, details, previous, seal";

/// A gateway that has stopped, with eight entries in the organization's chain, and its checkpoints.
struct Stopped {
    gateway: Gateway,
    database: Option<TestDatabase>,
    _upstream: ScriptedUpstream,
}

impl Stopped {
    fn new(database: Option<TestDatabase>) -> Self {
        let mut settings = GatewaySettings {
            telemetry:
                "\n[audit]\ncheckpoint_interval_s = 3600\ncheckpoint_file = \"checkpoints\"\n"
                    .to_owned(),
            ..GatewaySettings::default()
        };
        if let Some(database) = &database {
            settings.database = database.url.clone();
            settings.app_role = database.application_role();
        }
        let (upstream, gateway) = start_with(settings);
        let mut stopped = Self {
            gateway,
            database,
            _upstream: upstream,
        };
        for n in 0..6 {
            let created = stopped
                .gateway
                .create_key(&json!({"name": format!("app {n}")}));
            assert!(created["id"].is_string());
        }
        // The end publishes how far everything has come, however long the next ones would have taken.
        stopped.stop();
        stopped.check_checkpoint_of(8);
        stopped
    }

    fn stop(&mut self) {
        self.gateway.sigterm();
        let status = self.gateway.wait_for_exit(Duration::from_secs(20));
        assert_eq!(status.code(), Some(0));
    }

    fn checkpoints(&self) -> PathBuf {
        self.gateway.dir().join("checkpoints")
    }

    fn check_checkpoint_of(&self, seq: u64) {
        let lines = fs::read_to_string(self.checkpoints()).unwrap_or_default();
        let of_seq = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            line["seq"] == seq && line["chain"] != "installation"
        };
        assert!(lines.lines().any(of_seq), "no checkpoint of {seq}: {lines}");
    }

    /// Changes the tables by hand.
    fn sql(&self, statement: &str) {
        match &self.database {
            Some(database) => drop(database.execute(statement)),
            None => self.gateway.tamper(statement),
        }
    }

    /// Runs `audit verify`; returns the report, and whether all is well.
    fn verify(&self, arguments: &[&str]) -> (Value, bool) {
        let all = [&["audit", "verify", "--json"], arguments].concat();
        let output = self.gateway.run(&all);
        let report = serde_json::from_slice(&output.stdout);
        (
            report.unwrap_or_else(|_| panic!("{output:?}")),
            output.status.success(),
        )
    }

    /// Lifts what keeps entries as they are, as somebody does who may change the schema, and keeps what
    /// there is, to put it back.
    fn open_to_changes(&self) {
        for trigger in ["audit_entries_stay", "audit_entries_are_kept"] {
            let on = self.database.as_ref().map_or("", |_| "ON audit_entries");
            self.sql(&format!("DROP TRIGGER {trigger} {on}"));
        }
        for table in ["audit_entries", "audit_heads"] {
            self.sql(&format!(
                "CREATE TABLE was_{table} AS SELECT * FROM {table}"
            ));
        }
    }

    fn put_back(&self) {
        self.sql("DELETE FROM audit_pruned");
        for table in ["audit_entries", "audit_heads"] {
            self.sql(&format!("DELETE FROM {table}"));
            self.sql(&format!("INSERT INTO {table} SELECT * FROM was_{table}"));
        }
    }

    /// Every way of writing history anew is found, at its first entry.
    fn check_every_change_is_found(&self) {
        let update = |set: &str| {
            vec![format!(
                "UPDATE audit_entries SET {set} WHERE seq = 3 AND {CHAIN}"
            )]
        };
        let delete = |which: &str| format!("DELETE FROM audit_entries WHERE {which} AND {CHAIN}");
        let to = |from: u64, to: u64| {
            format!("UPDATE audit_entries SET seq = {to} WHERE seq = {from} AND {CHAIN}")
        };
        let head = |seq: u64| {
            format!(
                "UPDATE audit_heads SET seq = {seq}, seal = (SELECT seal FROM was_audit_entries e \
                 WHERE e.org_id = audit_heads.org_id AND e.seq = {seq}) WHERE {CHAIN}"
            )
        };
        let again = format!(
            "INSERT INTO audit_entries (org_id, seq, {COLUMNS}) SELECT org_id, 9, {COLUMNS} \
             FROM was_audit_entries WHERE seq = 8 AND {CHAIN}"
        );
        let pruned = format!(
            "INSERT INTO audit_pruned SELECT org_id, 3, 'signed' FROM audit_heads WHERE {CHAIN}"
        );
        let changes = [
            (3, update("at_us = at_us + 1")),
            (3, update("actor = 'system'")),
            (3, update("actor = 'nobody'")),
            (3, update("action = 'key.revoke'")),
            (3, update("object = object || 'x'")),
            (3, update("outcome = 'denied'")),
            (3, update("request_id = 'x'")),
            (3, update("client_ip = '192.0.2.1'")),
            (3, update("before_sha256 = seal")),
            (3, update("after_sha256 = NULL, details = details || 'x'")),
            (3, update("previous = seal")),
            (3, update("seal = previous")),
            (1, vec![delete("seq = 1")]),
            (3, vec![delete("seq = 3")]),
            (3, vec![delete("seq = 3"), to(4, 3)]),
            (3, vec![to(3, 99), to(4, 3), to(99, 4)]),
            (9, vec![again]),
            (6, vec![delete("seq >= 6")]),
            // With the end set back, the database alone is without contradiction.
            (6, vec![delete("seq >= 6"), head(5)]),
            (
                1,
                vec![
                    delete("seq > 0"),
                    format!("DELETE FROM audit_heads WHERE {CHAIN}"),
                ],
            ),
            (9, vec![format!("DELETE FROM audit_heads WHERE {CHAIN}")]),
            (3, vec![pruned, delete("seq <= 3")]),
        ];
        self.open_to_changes();
        for (seq, statements) in changes {
            for statement in &statements {
                self.sql(statement);
            }
            let (report, is_whole) = self.verify(&[]);
            assert!(!is_whole, "{statements:?}: {report}");
            assert_eq!(report["broken"][0]["seq"], seq, "{statements:?}: {report}");
            self.put_back();
        }
        let (report, is_whole) = self.verify(&[]);
        assert!(is_whole, "{report}");
    }

    /// What is cut off with the end set back is found by nothing but the checkpoints.
    fn check_lines_are_looked_at(&self) {
        let file = self.checkpoints();
        let lines = fs::read_to_string(&file).unwrap();
        fs::write(&file, lines.replace("\"seq\":8", "\"seq\":7")).unwrap();
        let (report, is_whole) = self.verify(&["--checkpoints", "checkpoints"]);
        assert!(
            !is_whole && report["bad_lines"][0]["line"].is_u64(),
            "{report}"
        );
        fs::write(&file, lines).unwrap();
    }

    fn export(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self
            .gateway
            .run(&[&["audit", "export"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn check_pruning(&mut self) {
        let chains = self.export(&[]);
        let mut chains = chains.iter().map(|entry| &entry["chain"]);
        let organization = chains.find(|chain| **chain != "installation").unwrap();
        let organization = organization.as_str().unwrap().to_owned();
        // The installation has a chain of its own, which is not what is counted here.
        let of = |list: &Value| {
            let parts = list.as_array().unwrap();
            let part = parts.iter().find(|part| part["chain"] == *organization);
            part.unwrap().clone()
        };
        let entries = self.export(&["--org", &organization]);
        assert_eq!(entries.len(), 8, "{entries:?}");
        assert!(entries.iter().all(|entry| entry["chain"] == *organization));
        let none = self
            .gateway
            .run(&["audit", "prune", "--before", "2001-01-01"]);
        let said = String::from_utf8_lossy(&none.stdout);
        assert!(
            none.status.success() && said.contains("no entry"),
            "{none:?}"
        );
        for wrong in ["yesterday", ""] {
            let output = self.gateway.run(&["audit", "prune", "--before", wrong]);
            assert_eq!(output.status.code(), Some(2), "{output:?}");
        }

        let at = entries[5]["at"].as_str().unwrap();
        let pruned = self
            .gateway
            .run(&["audit", "prune", "--before", at, "--json"]);
        let said: Value = serde_json::from_slice(&pruned.stdout).unwrap();
        assert_eq!(of(&said["pruned"])["entries"], 5, "{said}");
        let (report, is_whole) = self.verify(&[]);
        assert!(is_whole && of(&report["pruned"])["seq"] == 5, "{report}");

        // It goes on behind that, and the pruning itself is in the chain.
        self.gateway.restart();
        let created = self.gateway.create_key(&json!({"name": "later"}));
        assert!(created["id"].is_string());
        self.stop();
        let left = self.export(&["--org", &organization]);
        assert_eq!(left[0]["kind"], "tollgate.audit.pruned.v1");
        let actions: Vec<_> = left.iter().skip(4).map(|line| &line["action"]).collect();
        assert_eq!(actions, ["audit.prune", "key.create"]);
        let (report, is_whole) = self.verify(&["--org", &organization]);
        assert!(is_whole && report["chains"] == 1, "{report}");
    }
}

#[test]
fn history_that_was_written_anew_in_sqlite_is_found() {
    let mut stopped = Stopped::new(None);
    let (report, is_whole) = stopped.verify(&[]);
    assert!(is_whole && report["checkpoints"] != 0, "{report}");
    stopped.check_every_change_is_found();
    stopped.check_lines_are_looked_at();
    stopped.check_pruning();
}

#[test]
fn history_that_was_written_anew_in_postgresql_is_found() {
    let mut stopped = Stopped::new(Some(TestPostgres::database()));
    let (report, is_whole) = stopped.verify(&[]);
    assert!(is_whole && report["checkpoints"] != 0, "{report}");
    stopped.check_every_change_is_found();
    stopped.check_pruning();
}

#[test]
fn a_place_for_checkpoints_that_is_none_ends_a_start_with_2() {
    for (lines, said) in [
        ("checkpoint_syslog = \"tcp://a:1\"", "udp://HOST:PORT"),
        ("checkpoint_interval_s = 0", "greater than 0"),
        (
            "checkpoint_file = \"no/such/folder\"",
            "audit.checkpoint_file",
        ),
        (
            "checkpoint_webhook = { url = \"https://a.example\", secret = \"canary-secret\" }",
            "audit.checkpoint_webhook: secret",
        ),
    ] {
        let settings = GatewaySettings {
            telemetry: format!("\n[audit]\n{lines}\n"),
            ..GatewaySettings::default()
        };
        let gateway = Gateway::prepare(crate::common::BINARY, &settings);
        let output = gateway.run(&["serve"]);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains(said) && !text.contains("canary-secret"),
            "{text}"
        );
    }
}
