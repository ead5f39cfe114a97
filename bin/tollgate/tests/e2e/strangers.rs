//! What an address may do that shows no valid credential.

use std::time::Duration;

use tollgate_testkit::{Connection, Gateway, GatewaySettings, request};

use crate::common::start_with;
use crate::headers::{ask, check};

fn with(server: &str) -> GatewaySettings {
    GatewaySettings {
        server: server.to_owned(),
        ..GatewaySettings::default()
    }
}

fn status(gateway: &Gateway, path: &str, lines: &str) -> u16 {
    ask(gateway, "GET", path, lines, "").status
}

#[test]
fn an_address_that_shows_no_valid_key_is_told_to_wait_and_valid_keys_never_are() {
    let (_upstream, gateway) = start_with(with("unauthenticated_per_minute_max = 6"));
    let key = format!("authorization: Bearer {}\r\n", gateway.key());
    let forged = "authorization: Bearer tg_live_x\r\n";
    let two = "x-api-key: a\r\napi-key: b\r\n";
    // The surfaces and the kinds of failure share one count, and good keys have no part in it.
    for (path, lines, expected) in [
        ("/v1/models", "", 401),
        ("/v1/models", key.as_str(), 200),
        ("/api/v1/keys", forged, 401),
        ("/v1/models", two, 400),
        ("/api/v1/keys", key.as_str(), 200),
        ("/v1/models", forged, 401),
    ] {
        assert_eq!(status(&gateway, path, lines), expected, "{path} {lines}");
    }
    for _ in 0..2 {
        let chat = ask(&gateway, "POST", "/v1/chat/completions", forged, "");
        assert_eq!(chat.status, 401, "{}", chat.text());
    }
    for (method, path) in [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/api/v1/keys"),
    ] {
        let answer = ask(&gateway, method, path, forged, "");
        assert_eq!(answer.status, 429, "{path}: {}", answer.text());
        let json = answer.json();
        let code = if path.starts_with("/api/") {
            &json["code"]
        } else {
            &json["error"]["code"]
        };
        assert_eq!(code, "address_rate_limited", "{path}");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=10).contains(&wait), "{path}: {wait}");
        let policy = answer.header("ratelimit-policy");
        assert_eq!(policy, Some("\"address\";q=6;w=60"), "{path}");
        let left = answer.header("ratelimit").unwrap_or_default();
        assert!(left.starts_with("\"address\";r=0;t="), "{path}: {left}");
        check(&answer, path);
    }
    for path in ["/v1/models", "/api/v1/keys", "/health/live"] {
        assert_eq!(status(&gateway, path, &key), 200, "{path}");
    }
    assert_eq!(status(&gateway, "/health/live", ""), 200);
}

#[test]
fn t_xff_no_header_of_a_client_moves_it_to_another_count() {
    let limit = "unauthenticated_per_minute_max = 2";
    let (_upstream, plain) = start_with(with(limit));
    let told = |address: &str| {
        format!(
            "x-forwarded-for: {address}\r\nforwarded: for={address}\r\nx-real-ip: {address}\r\n"
        )
    };
    let statuses = [1, 2, 3, 4].map(|n| status(&plain, "/v1/models", &told(&format!("6.6.6.{n}"))));
    assert_eq!(statuses, [401, 401, 429, 429]);

    let behind = format!("{limit}\ntrusted_proxies = [\"127.0.0.1\"]");
    let (_upstream, behind) = start_with(with(&behind));
    let lied = |n: u8| told(&format!("6.6.6.{n}, 192.0.2.1"));
    let statuses = [1, 2, 3, 4].map(|n| status(&behind, "/v1/models", &lied(n)));
    assert_eq!(statuses, [401, 401, 429, 429]);
    let other = status(&behind, "/v1/models", &told("192.0.2.2"));
    assert_eq!(other, 401, "another client of the same proxy");
}

#[test]
fn an_address_holds_only_so_many_connections() {
    let (_upstream, gateway) = start_with(with("connections_per_address_max = 4"));
    let ask = request("GET", "/health/live", &[], None);
    let open = || {
        let mut connection = Connection::open(gateway.address()).unwrap();
        drop(connection.send(&ask));
        let answer = connection.read_answer();
        answer.ok().map(|answer| (connection, answer.status))
    };
    // Those of the start of the gateway may not be gone yet.
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    let mut held = Vec::new();
    while held.len() < 4 {
        assert!(std::time::Instant::now() < deadline, "{} of 4", held.len());
        held.extend(open());
    }
    assert!(held.iter().all(|(_, status)| *status == 200));
    assert!(
        (0..3).all(|_| open().is_none()),
        "a fifth one is not served"
    );
    held.pop();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while open().is_none() {
        assert!(std::time::Instant::now() < deadline, "its place comes back");
        std::thread::sleep(Duration::from_millis(10));
    }

    let trusted = "connections_per_address_max = 4\ntrusted_proxies = [\"127.0.0.1\"]";
    let (_upstream, gateway) = start_with(with(trusted));
    let many: Vec<_> = (0..12)
        .map(|_| {
            let mut connection = Connection::open(gateway.address()).unwrap();
            connection.send(&ask).unwrap();
            (connection.read_answer().unwrap().status, connection)
        })
        .collect();
    assert!(many.iter().all(|(status, _)| *status == 200));
}
