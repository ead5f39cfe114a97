//! The process: how it starts, what it refuses and how it ends.

use std::process::Command;
use std::time::Duration;

use tollgate_testkit::{Gateway, GatewaySettings};

use crate::common::{BINARY, start};

fn settings() -> GatewaySettings {
    GatewaySettings::default()
        .provider("scripted", "http://127.0.0.1:9/v1", "")
        .model("m", &["scripted/up-m"])
}

/// Starts it with changed settings and returns its exit code and what it said.
fn refused(change: impl Fn(&str) -> String) -> (Option<i32>, String) {
    let gateway = Gateway::prepare(BINARY, &settings());
    let path = gateway.dir().join("tollgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, change(&text)).unwrap();
    let output = gateway.run(&["serve"]);
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn bad_settings_end_it_with_2_and_are_all_named() {
    let (code, said) = refused(|text| {
        text.replace("workers = 2", "workers = \"many\"")
            .replace("[ledger]", "[ledger]\nunknown = 1")
    });
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = refused(|text| {
        text.replace("scripted\", model", "nobody\", model")
            .replace("dialect = \"openai\"", "dialect = \"klingon\"")
    });
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("klingon") || said.contains("dialect"),
        "{said}"
    );
    let (code, said) = refused(|_| "this is not TOML".to_owned());
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn a_database_that_cannot_be_used_ends_it_with_3() {
    let (code, said) = refused(|text| text.replace("/tollgate.db\"", "/tollgate.toml/x.db\""));
    assert_eq!(code, Some(3), "{said}");
    let (code, said) = refused(|text| text.replace("/tollgate.db\"", "/tollgate.toml\""));
    assert_eq!(code, Some(3), "{said}");
}

#[test]
fn a_taken_port_ends_it_with_4() {
    let (_upstream, running) = start();
    let listen = format!("\nlisten = \"{}\"", running.address());
    let (code, said) = refused(|text| text.replacen("\nlisten = \"127.0.0.1:0\"", &listen, 1));
    assert_eq!(code, Some(4), "{said}");
}

#[test]
fn two_processes_never_share_a_journal() {
    let (_upstream, running) = start();
    let output = running.run(&["serve"]);
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn a_made_key_is_alone_on_its_line_and_never_the_same() {
    let keys = [0, 1].map(|_| {
        let output = Command::new(BINARY).arg("keygen").output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    });
    assert_ne!(keys[0], keys[1]);
    for key in keys {
        let key = key.strip_suffix('\n').unwrap();
        assert!(key.starts_with("tg_live_"), "{key}");
        assert!(
            key.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{key}"
        );
    }
}

#[test]
fn readiness_is_one_byte_on_the_descriptor() {
    let gateway = Gateway::prepare(BINARY, &settings());
    let serve = format!(
        "'{BINARY}' serve --config '{}/tollgate.toml' --ready-fd 3 3>ready >/dev/null & pid=$!; \
         for _ in $(seq 200); do [ -s ready ] && break; sleep 0.05; done; \
         wc -c <ready; kill -TERM $pid; wait $pid",
        gateway.dir().display()
    );
    let output = Command::new("sh")
        .args(["-c", &serve])
        .current_dir(gateway.dir())
        .env("TOLLGATE_BOOTSTRAP_KEY", gateway.key())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "1",
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn the_bootstrap_key_works_on_an_empty_database_only() {
    let (_upstream, mut gateway) = start();
    assert_eq!(gateway.get("/v1/models").status, 200);
    gateway.sigterm();
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(10)).code(),
        Some(0)
    );
    let other = Command::new(BINARY).arg("keygen").output().unwrap();
    let other = String::from_utf8(other.stdout).unwrap().trim().to_owned();
    let own = gateway.key().to_owned();
    gateway.set_env("TOLLGATE_BOOTSTRAP_KEY", &other);
    gateway.restart();
    assert_eq!(gateway.send_as(&own, "GET", "/v1/models", None).status, 200);
    assert_eq!(
        gateway.send_as(&other, "GET", "/v1/models", None).status,
        401
    );
}
