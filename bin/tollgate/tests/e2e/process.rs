//! The process: how it starts, what it refuses and how it ends.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tollgate_testkit::{
    Connection, Gateway, GatewaySettings, Script, ScriptedUpstream, StreamEnd, StreamScript,
    request,
};

use crate::common::{BINARY, chat, number, start, start_with, stream};

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

/// Starts an endless stream, and returns the connection that reads it.
fn endless(gateway: &Gateway, upstream: &ScriptedUpstream) -> Connection {
    let pause = Duration::from_millis(50);
    let script = StreamScript {
        pause,
        end: StreamEnd::Never,
        ..StreamScript::default()
    };
    upstream.on("up-s", Script::stream(script));
    let bearer = format!("Bearer {}", gateway.key());
    let headers = [("authorization", bearer.as_str())];
    let bytes = request(
        "POST",
        "/v1/chat/completions",
        &headers,
        Some(&stream("s", (20, 3))),
    );
    let mut connection = Connection::open(gateway.address()).unwrap();
    connection.send(&bytes).unwrap();
    let is_under_way = |body: &[u8]| String::from_utf8_lossy(body).contains("more");
    drop(connection.read_answer_until(is_under_way).unwrap());
    connection
}

/// The one event, after the process has ended and its journal was booked.
fn only_event(gateway: &mut Gateway) -> Value {
    gateway.restart();
    drop(gateway.wait_for_usage("model", |rows| !rows.is_empty()));
    let events = gateway.events();
    assert_eq!(events.len(), 1, "{events:?}");
    events[0].clone()
}

#[test]
fn a_drain_ends_when_its_time_is_over_and_bills_what_was_cut() {
    let server = "drain_timeout_s = 1".to_owned();
    let (upstream, mut gateway) = start_with(GatewaySettings {
        server,
        ..GatewaySettings::default()
    });
    let _reader = endless(&gateway, &upstream);
    gateway.sigterm();
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(6)).code(),
        Some(0)
    );
    let event = only_event(&mut gateway);
    assert!(number(&event, "output_tokens") > 0, "{event}");
}

#[test]
fn a_second_termination_ends_it_at_once() {
    let (upstream, mut gateway) = start();
    let _reader = endless(&gateway, &upstream);
    gateway.sigterm();
    std::thread::sleep(Duration::from_millis(300));
    gateway.sigterm();
    gateway.wait_for_exit(Duration::from_secs(5));
    let event = only_event(&mut gateway);
    assert!(number(&event, "input_tokens") > 0, "{event}");
}

#[test]
fn idle_connections_do_not_hold_a_drain_up() {
    let (_upstream, mut gateway) = start();
    let bearer = format!("Bearer {}", gateway.key());
    let bytes = request("GET", "/v1/models", &[("authorization", &bearer)], None);
    let mut connections = [0, 1, 2].map(|_| Connection::open(gateway.address()).unwrap());
    for connection in &mut connections[1..] {
        connection.send(&bytes).unwrap();
        assert_eq!(connection.read_answer().unwrap().status, 200);
    }
    gateway.sigterm();
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(5)).code(),
        Some(0)
    );
}

#[test]
fn books_that_were_tampered_with_do_not_pass() {
    let (_upstream, mut gateway) = start();
    assert_eq!(
        gateway
            .post("/v1/chat/completions", &chat("m", (5, 2)))
            .status,
        200
    );
    gateway.sigterm();
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(10)).code(),
        Some(0)
    );
    assert!(gateway.ledger_verify().0);
    for tamper in [
        "UPDATE usage_rollups SET cost_nano_usd = cost_nano_usd + 1",
        "UPDATE usage_rollups SET cost_nano_usd = cost_nano_usd - 1, input_tokens = input_tokens + 1",
        "UPDATE usage_rollups SET input_tokens = input_tokens - 1, requests = requests + 1",
    ] {
        gateway.tamper(tamper);
        let (is_balanced, report) = gateway.ledger_verify();
        assert!(!is_balanced, "{tamper}: {report}");
    }
}
