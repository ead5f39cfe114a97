//! Which pages may call from a browser.

use tollgate_testkit::{Answer, Gateway, GatewaySettings};

use crate::common::start_with;
use crate::headers::{ask, check};

const FRIEND: &str = "https://app.example";

/// What looks like the origin on the list and is another one, or none.
const HOSTILE: [&str; 14] = [
    "null",
    "*",
    "",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example.evil.test",
    "https://evilapp.example",
    "https://evil.test/https://app.example",
    "https://sub.app.example",
    "https://app.example/",
    "https://APP.example",
    "https://app.example.",
    "https://user@app.example",
    "https://app.example, https://evil.test",
];

fn gateway(origins: &str) -> (tollgate_testkit::ScriptedUpstream, Gateway) {
    start_with(GatewaySettings {
        server: format!("cors_origins = [{origins}]"),
        ..GatewaySettings::default()
    })
}

fn crossing(answer: &Answer) -> Vec<(String, String)> {
    let is_about_it = |name: &str| name.starts_with("access-control-");
    let headers = answer.headers.iter();
    headers
        .filter(|(name, _)| is_about_it(name))
        .cloned()
        .collect()
}

fn preflight(gateway: &Gateway, path: &str, origin: &str) -> Answer {
    let lines = format!(
        "origin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: authorization,content-type,x-stainless-lang\r\n"
    );
    ask(gateway, "OPTIONS", path, &lines, "")
}

#[test]
fn t_cors_an_origin_that_is_not_on_the_list_is_told_nothing() {
    let (_upstream, listed) = gateway("\"https://app.example\"");
    let (_upstream, empty) = gateway("");
    let key = format!("authorization: Bearer {}\r\n", listed.key());
    for origin in HOSTILE {
        let lines = format!("{key}origin: {origin}\r\n");
        let answer = ask(&listed, "GET", "/v1/models", &lines, "");
        assert_eq!(answer.status, 200, "{origin}");
        assert_eq!(crossing(&answer), [], "{origin}");
        assert_eq!(answer.header("vary"), Some("Origin"), "{origin}");
        let answer = preflight(&listed, "/v1/chat/completions", origin);
        assert_eq!(
            (answer.status, crossing(&answer)),
            (405, vec![]),
            "{origin}"
        );
    }
    let twice = format!("{key}origin: {FRIEND}\r\norigin: https://evil.test\r\n");
    assert_eq!(crossing(&ask(&listed, "GET", "/v1/models", &twice, "")), []);
    // The administration API is for no other origin, and without a list nothing is.
    let lines = format!("{key}origin: {FRIEND}\r\n");
    assert_eq!(
        crossing(&ask(&listed, "GET", "/api/v1/keys", &lines, "")),
        []
    );
    assert_eq!(preflight(&listed, "/api/v1/keys", FRIEND).status, 405);
    let answer = preflight(&empty, "/v1/chat/completions", FRIEND);
    assert_eq!((answer.status, crossing(&answer)), (405, vec![]));
    assert_eq!(answer.header("vary"), None);
}

#[test]
fn an_origin_on_the_list_may_call_models_without_cookies() {
    let (_upstream, gateway) = gateway("\"http://localhost:3000\", \"https://app.example\"");
    let lines = format!(
        "authorization: Bearer {}\r\norigin: {FRIEND}\r\n",
        gateway.key()
    );
    let refused = format!("origin: {FRIEND}\r\n");
    for (lines, status) in [(lines, 200), (refused, 401)] {
        let answer = ask(&gateway, "GET", "/v1/models", &lines, "");
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(FRIEND));
        assert_eq!(answer.header("access-control-expose-headers"), Some("*"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    let answer = preflight(&gateway, "/v1/chat/completions", FRIEND);
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    for (name, value) in [
        ("access-control-allow-origin", Some(FRIEND)),
        ("access-control-allow-methods", Some("GET, POST")),
        ("access-control-allow-headers", Some("*, Authorization")),
        ("access-control-max-age", Some("600")),
        ("access-control-allow-credentials", None),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    check(&answer, "a preflight");
}
