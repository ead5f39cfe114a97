//! One request has one host, and it decides nothing.

use tollgate_testkit::{Answer, Gateway, exchange};

use crate::common::start;
use crate::headers::{check, path_of};

fn send(gateway: &Gateway, line: &str, hosts: &str) -> Answer {
    let key = gateway.key();
    let head = format!(
        "{line} HTTP/1.1\r\n{hosts}authorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    );
    exchange(gateway.address(), head.as_bytes())
        .unwrap_or_else(|error| panic!("{line} {hosts:?}: {error}"))
}

#[test]
fn t_host_a_host_that_is_none_is_refused_on_every_route() {
    let (_upstream, gateway) = start();
    for route in tollgate_server::routes() {
        let line = format!("{} {}", route.method, path_of(&route));
        for host in [
            "a?",
            "a?x",
            "a/",
            "a/b",
            "a#",
            "a#b",
            "u@a",
            "u:p@a",
            "@a",
            "a:b",
            "a:65536",
            "a:-1",
            "a:80:80",
            "a b",
            "a\\b",
            "a%",
            "a%zz",
            "[::1",
            "::1",
            "[::1]x",
            "[::g]",
            "[127.0.0.1]",
            ":80",
            "",
            "<a>",
            "\"a\"",
            "a|b",
            "http://a",
        ] {
            let answer = send(&gateway, &line, &format!("host: {host}\r\n"));
            assert_eq!(answer.status, 400, "{line}, {host}: {}", answer.text());
            assert!(
                answer.text().contains("invalid_host"),
                "{host}: {}",
                answer.text()
            );
            assert_eq!(answer.header("connection"), Some("close"), "{line}, {host}");
            check(&answer, host);
        }
        for hosts in ["", "host: a\r\nhost: a\r\n", "host: a\r\nHost: b\r\n"] {
            let answer = send(&gateway, &line, hosts);
            assert_eq!(answer.status, 400, "{line}, {hosts:?}: {}", answer.text());
        }
    }
}

#[test]
fn t_host_what_is_a_host_is_taken_in_every_spelling() {
    let (_upstream, gateway) = start();
    for host in [
        "a",
        "A.example",
        "a:80",
        "a:",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:80",
        "a_b",
        "a,b",
        "a%2e",
    ] {
        let answer = send(&gateway, "GET /v1/models", &format!("host: {host}\r\n"));
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
    }
}

#[test]
fn t_host_a_request_line_names_the_same_host_or_none() {
    let (_upstream, gateway) = start();
    for (target, status) in [
        ("http://a/v1/models", 200),
        ("http://A/v1/models", 200),
        ("https://a/v1/models", 200),
        ("http://b/v1/models", 400),
        ("http://a:80/v1/models", 400),
        ("http://u@a/v1/models", 400),
        ("http://a.evil.test/v1/models", 400),
        ("http://a@evil.test/v1/models", 400),
        ("http://[::1]/v1/models", 400),
        ("http://b/health/live", 400),
    ] {
        let answer = send(&gateway, &format!("GET {target}"), "host: a\r\n");
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
    }
    // No other header takes the host's place, or the path's.
    for lines in [
        "x-forwarded-host: b\r\n",
        "x-original-url: /v1/models\r\n",
        "x-rewrite-url: /v1/models\r\n",
        "x-http-method-override: POST\r\n",
    ] {
        let answer = send(&gateway, "GET /health/live", &format!("host: a\r\n{lines}"));
        assert_eq!(answer.json()["status"], "ok", "{lines}");
    }
}
