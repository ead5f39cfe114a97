//! A backup that is made under load, and what is restored of it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, GatewaySettings, TestPostgres};

use crate::common::{BINARY, chat, key_of, start, sum};

const CHAT: &str = "/v1/chat/completions";

/// Moves everything of an installation but the master key and the settings away, as a lost disk does.
fn lose_everything(gateway: &Gateway) {
    let dir = gateway.dir();
    for name in ["tollgate.db", "tollgate.db-wal", "tollgate.db-shm"] {
        drop(fs::remove_file(dir.join(name)));
    }
    fs::remove_dir_all(dir.join("journal")).unwrap();
}

fn backup(gateway: &Gateway, to: &str) -> Value {
    let output = gateway.run(&["backup", "--to", to, "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Restores, which must be refused, and returns what it said.
fn refused(gateway: &Gateway, from: &str) -> String {
    let output = gateway.run(&["restore", "--from", from]);
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stop(gateway: &mut Gateway) {
    gateway.sigterm();
    let status = gateway.wait_for_exit(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn what_is_backed_up_under_load_balances_and_verifies_when_it_is_restored() {
    let (_upstream, mut gateway) = start();
    let key = key_of(&gateway.create_key(&json!({"name": "app"})));
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let counts = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    let answer = gateway.send_as(&key, "POST", CHAT, Some(&chat("m", (5, 2))));
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        let counts: Vec<_> = (0..4)
            .map(|n| {
                std::thread::sleep(Duration::from_millis(150));
                let before = answered.load(Ordering::Acquire);
                backup(&gateway, &format!("backup-{n}"));
                before
            })
            .collect();
        is_over.store(true, Ordering::Release);
        counts
    });
    gateway.kill9();
    for (n, before) in counts.into_iter().enumerate() {
        lose_everything(&gateway);
        let from = format!("backup-{n}");
        let output = gateway.run(&["restore", "--from", &from]);
        assert!(output.status.success(), "{output:?}");
        gateway.restart();
        let rows = gateway.usage("model");
        assert!(
            sum(&rows, "requests") >= before,
            "{rows:?}: less than {before}"
        );
        let answer = gateway.send_as(&key, "POST", CHAT, Some(&chat("m", (5, 2))));
        assert_eq!(answer.status, 200, "{}", answer.text());
        stop(&mut gateway);
        let (balances, report) = gateway.ledger_verify();
        assert!(balances, "{report}");
        let verified = gateway.run(&["audit", "verify"]);
        assert!(verified.status.success(), "{verified:?}");
    }
}

#[test]
fn a_backup_is_restored_once_whole_and_with_its_own_master_key() {
    let (_upstream, mut gateway) = start();
    assert_eq!(gateway.post(CHAT, &chat("m", (5, 2))).status, 200);
    stop(&mut gateway);
    backup(&gateway, "backup");
    let dir = gateway.dir().to_owned();
    assert!(!dir.join("backup/master.key").exists());
    let again = gateway.run(&["backup", "--to", "backup"]);
    assert!(!again.status.success(), "{again:?}");
    assert!(refused(&gateway, "backup").contains("is there already"));

    lose_everything(&gateway);
    let nothing = |dir: &Path| !dir.join("tollgate.db").exists();
    let key = dir.join("data/master.key");
    fs::rename(&key, dir.join("kept.key")).unwrap();
    assert!(refused(&gateway, "backup").contains("the master key is missing"));
    assert!(nothing(&dir) && !key.exists());
    let made = "umask 077; openssl rand -hex 32 >data/master.key";
    let made = std::process::Command::new("sh")
        .args(["-c", made])
        .current_dir(&dir)
        .status();
    assert!(made.unwrap().success());
    let said = refused(&gateway, "backup");
    assert!(
        said.contains("not the master key of this database"),
        "{said}"
    );
    assert!(nothing(&dir));
    fs::rename(dir.join("kept.key"), &key).unwrap();

    let database = dir.join("backup/tollgate.db");
    let whole = fs::read(&database).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&database, changed).unwrap();
    let said = refused(&gateway, "backup");
    assert!(said.contains("not what was backed up"), "{said}");
    assert!(nothing(&dir));
    fs::write(&database, whole).unwrap();
    let output = gateway.run(&["restore", "--from", "backup"]);
    assert!(output.status.success(), "{output:?}");
    assert!(refused(&gateway, "backup").contains("is there already"));
    let exported = gateway.run(&["audit", "export", "--org", "installation"]);
    assert!(String::from_utf8_lossy(&exported.stdout).contains("installation.restore"));
}

#[test]
fn a_database_that_has_tools_of_its_own_is_not_backed_up_by_half() {
    let database = TestPostgres::database();
    let settings = GatewaySettings {
        database: database.url.clone(),
        ..GatewaySettings::default()
    };
    let gateway = Gateway::prepare(BINARY, &settings);
    for (arguments, tool) in [
        (["backup", "--to", "backup"], "pg_dump"),
        (["restore", "--from", "backup"], "pg_restore"),
    ] {
        let output = gateway.run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(tool) && !said.contains(&database.url),
            "{said}"
        );
        assert!(!gateway.dir().join("backup").exists());
    }
}
