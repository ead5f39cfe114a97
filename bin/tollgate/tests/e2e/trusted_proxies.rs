//! Whose word counts about where a request came from.

use serde_json::json;
use tollgate_testkit::{Answer, Gateway, GatewaySettings};

use crate::common::{chat, key_of, start_with};
use crate::headers::ask;

/// Every header in which some proxy or other names the client.
const NAMES: [&str; 6] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-client-ip",
];

fn behind(server: &str) -> (tollgate_testkit::ScriptedUpstream, Gateway) {
    start_with(GatewaySettings {
        server: server.to_owned(),
        ..GatewaySettings::default()
    })
}

/// Makes a key that may come from one address alone.
fn bound_key(gateway: &Gateway) -> String {
    let key = key_of(&gateway.create_key(&json!({"name": "bound", "role": "member"})));
    gateway.tamper("UPDATE api_keys SET allowed_ips = '[\"192.0.2.9/32\"]' WHERE name = 'bound'");
    key
}

fn call(gateway: &Gateway, key: &str, lines: &str) -> Answer {
    let body = chat("m", (2, 2)).to_string();
    let lines = format!(
        "authorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{lines}",
        body.len()
    );
    ask(gateway, "POST", "/v1/chat/completions", &lines, &body)
}

#[track_caller]
fn check(gateway: &Gateway, key: &str, lines: &str, is_let_in: bool) {
    let answer = call(gateway, key, lines);
    let expected = if is_let_in { 200 } else { 403 };
    assert_eq!(answer.status, expected, "{lines}: {}", answer.text());
    if !is_let_in {
        assert_eq!(answer.json()["error"]["code"], "address_not_allowed");
    }
}

#[test]
fn t_xff_no_header_of_a_client_passes_a_list_of_addresses() {
    let (_upstream, gateway) = behind("");
    let key = bound_key(&gateway);
    check(&gateway, &key, "", false);
    for name in NAMES {
        for value in ["192.0.2.9", "for=192.0.2.9", "192.0.2.9, 127.0.0.1"] {
            check(&gateway, &key, &format!("{name}: {value}\r\n"), false);
        }
    }
}

#[test]
fn t_xff_a_trusted_proxy_names_the_client_and_a_client_cannot_speak_for_it() {
    let (_upstream, gateway) = behind("trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]");
    let key = bound_key(&gateway);
    let told = |value: &str| format!("x-forwarded-for: {value}\r\n");
    check(&gateway, &key, &told("192.0.2.9"), true);
    check(&gateway, &key, &told("6.6.6.6, 192.0.2.9, 10.0.0.2"), true);
    check(&gateway, &key, &told("192.0.2.9, 6.6.6.6"), false);
    check(&gateway, &key, &told("192.0.2.9, somebody"), false);
    check(
        &gateway,
        &key,
        &(told("192.0.2.9") + &told("6.6.6.6")),
        false,
    );
    for name in NAMES.into_iter().skip(1) {
        for value in ["192.0.2.9", "for=192.0.2.9"] {
            let lines = format!("{}{name}: {value}\r\n", told("6.6.6.6"));
            check(&gateway, &key, &lines, false);
        }
    }
    let is_logged = |address: &str| {
        let field = format!("\"client.ip\":\"{address}\"");
        let calls = gateway.lines().into_iter();
        let mut calls = calls.filter(|line| line.contains("/v1/chat/completions"));
        calls.any(|line| line.contains(&field))
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !(is_logged("192.0.2.9") && is_logged("6.6.6.6")) {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?}",
            gateway.lines()
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!is_logged("127.0.0.1"), "{:?}", gateway.lines());
}

#[test]
fn answers_ask_for_tls_only_where_a_trusted_proxy_was_asked_over_it() {
    let has = |gateway: &Gateway, lines: &str| {
        let answers = ["/health/live", "/nothing"].map(|path| ask(gateway, "GET", path, lines, ""));
        answers.map(|answer| {
            answer
                .header("strict-transport-security")
                .map(str::to_owned)
        })
    };
    let (_upstream, plain) = behind("");
    let (_upstream, behind) = behind("trusted_proxies = [\"127.0.0.1\"]");
    let https = "x-forwarded-proto: https\r\n";
    let strict = Some("max-age=63072000; includeSubDomains".to_owned());
    assert_eq!(has(&plain, https), [None, None]);
    assert_eq!(has(&behind, ""), [None, None]);
    assert_eq!(has(&behind, "x-forwarded-proto: http\r\n"), [None, None]);
    assert_eq!(has(&behind, https), [strict.clone(), strict]);
}
