//! The secrets of an installation: found, refused and rotated.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tollgate_testkit::Gateway;

use crate::common::{chat, start};

const CHAT: &str = "/v1/chat/completions";

fn stop(gateway: &mut Gateway) {
    gateway.sigterm();
    let status = gateway.wait_for_exit(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
}

fn key_file(gateway: &Gateway) -> PathBuf {
    gateway.dir().join("data/master.key")
}

/// Starts it, which must be refused, and returns what it said.
fn refusal(gateway: &Gateway) -> String {
    let output = gateway.run(&["serve"]);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

#[test]
fn a_master_key_that_is_missing_or_anothers_ends_a_start_with_2() {
    let (_upstream, mut gateway) = start();
    stop(&mut gateway);
    let file = key_file(&gateway);
    let kept = gateway.dir().join("kept.key");
    fs::rename(&file, &kept).unwrap();
    let said = refusal(&gateway);
    assert!(said.contains("the master key is missing"), "{said}");
    assert!(!file.exists(), "a key that opens nothing was made");
    assert_eq!(fs::read_dir(gateway.dir().join("data")).unwrap().count(), 0);

    let (_other_upstream, mut other) = start();
    stop(&mut other);
    fs::copy(key_file(&other), &file).unwrap();
    let said = refusal(&gateway);
    assert!(
        said.contains("not the master key of this database"),
        "{said}"
    );

    fs::rename(&kept, &file).unwrap();
    gateway.restart();
    assert_eq!(gateway.post(CHAT, &chat("m", (5, 2))).status, 200);
}

#[test]
fn secrets_that_were_taken_out_of_the_database_are_not_made_up() {
    let (_upstream, mut gateway) = start();
    stop(&mut gateway);
    gateway.tamper("DELETE FROM installation_secrets WHERE name = 'api_key_pepper'");
    let output = gateway.run(&["serve"]);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("api_key_pepper is missing"), "{said}");
    gateway.tamper("DELETE FROM installation_secrets");
    let said = refusal(&gateway);
    assert!(
        said.contains("its audit log was sealed under another one"),
        "{said}"
    );
}

#[test]
fn a_new_master_key_takes_over_and_nothing_becomes_invalid() {
    let (_upstream, mut gateway) = start();
    let created = gateway.create_key(&serde_json::json!({"name": "app"}));
    let key = created["key"].as_str().unwrap().to_owned();
    stop(&mut gateway);
    let (status, well) = secrets(&gateway, "status");
    assert!(well && status["needs_rewrap"] == 0, "{status}");
    let old_id = status["key_id"].clone();

    let file = key_file(&gateway);
    fs::rename(&file, gateway.dir().join("data/old.key")).unwrap();
    let settings = gateway.dir().join("tollgate.toml");
    let before = fs::read_to_string(&settings).unwrap();
    let ring = format!("{before}\n[secrets]\nold_master_keys = [\"file:data/old.key\"]\n");
    fs::write(&settings, ring).unwrap();
    // Somebody has to make the new one: a start makes none for a database that has one.
    assert!(refusal(&gateway).contains("the master key is missing"));
    let made = "umask 077; openssl rand -hex 32 >data/master.key";
    let made = std::process::Command::new("sh")
        .args(["-c", made])
        .current_dir(gateway.dir())
        .status();
    assert!(made.unwrap().success());

    gateway.restart();
    assert_eq!(
        gateway
            .send_as(&key, "POST", CHAT, Some(&chat("m", (5, 2))))
            .status,
        200
    );
    let (status, well) = secrets(&gateway, "status");
    assert!(
        !well && status["needs_rewrap"] == 4 && status["key_id"] != old_id,
        "{status}"
    );
    // While it serves.
    let (status, well) = secrets(&gateway, "rotate");
    assert!(well && status["needs_rewrap"] == 0, "{status}");
    stop(&mut gateway);

    fs::remove_file(gateway.dir().join("data/old.key")).unwrap();
    fs::write(&settings, before).unwrap();
    gateway.restart();
    assert_eq!(
        gateway
            .send_as(&key, "POST", CHAT, Some(&chat("m", (5, 2))))
            .status,
        200
    );
}

fn secrets(gateway: &Gateway, verb: &str) -> (serde_json::Value, bool) {
    let output = gateway.run(&["secrets", verb, "--json"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let status = serde_json::from_str(&said);
    (
        status.unwrap_or_else(|_| panic!("{output:?}")),
        output.status.success(),
    )
}
