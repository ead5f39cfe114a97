//! Models as configured: prefixes, fallbacks, prices that are missing, and an organization's own bounds.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_testkit::{Connection, Gateway, GatewaySettings, Script, ScriptedUpstream, request};

use crate::common::{BINARY, chat, number, start, stream, sum};

const CHAT: &str = "/v1/chat/completions";

fn start_with_models(models: &str) -> (ScriptedUpstream, Gateway) {
    let upstream = ScriptedUpstream::start();
    let mut settings = GatewaySettings::default().provider("scripted", &upstream.base_url(), "");
    settings.tables += models;
    let gateway = Gateway::start(BINARY, &settings);
    (upstream, gateway)
}

#[test]
fn a_prefix_passes_the_name_through_and_adds_no_label_per_name() {
    let models = "[[models]]\nname = \"any/*\"\ntargets = [{ provider = \"scripted\" }]\n\
                  price = { input = 1, output = 2 }\n";
    let (upstream, gateway) = start_with_models(models);
    for number in 0..260 {
        let answer = gateway.post(CHAT, &chat(&format!("any/m{number}"), (1, 1)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            gateway
                .post(CHAT, &chat(&format!("no/m{number}"), (1, 1)))
                .status,
            404
        );
    }
    assert_eq!(upstream.calls()[7].model, "any/m7");
    let metrics = gateway.metrics();
    assert!(!metrics.contains("no/m"), "names of clients are labels");
    let labels: HashSet<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("tollgate_requests_total"))
        .filter_map(|line| line.split("model=\"").nth(1)?.split('"').next())
        .collect();
    assert!(
        (100..=201).contains(&labels.len()),
        "{} labels",
        labels.len()
    );
}

#[test]
fn a_model_falls_back_when_its_targets_fail() {
    let price = "price = { input = 1, output = 2 }";
    let models = format!(
        "[[models]]\nname = \"a\"\ntargets = [{{ provider = \"scripted\", model = \"up-a\" }}]\n\
         fallbacks = [\"b\"]\n{price}\n\
         [[models]]\nname = \"b\"\ntargets = [{{ provider = \"scripted\", model = \"up-b\" }}]\n{price}\n"
    );
    let (upstream, gateway) = start_with_models(&models);
    upstream.on("up-a", Script::error(503, &[]));
    let answer = gateway.post(CHAT, &chat("a", (4, 2)));
    assert_eq!(
        (answer.status, answer.header("x-tollgate-attempts")),
        (200, Some("2"))
    );
    assert!(gateway.post(CHAT, &stream("a", (4, 2))).is_done());
    let rows = gateway.wait_for_usage("model", |rows| sum(rows, "requests") == 2);
    assert_eq!(
        (sum(&rows, "attempts"), sum(&rows, "input_tokens")),
        (4, 8),
        "{rows:?}"
    );

    let limited = gateway.create_key(&json!({"name": "a only", "models": ["a"]}));
    let key = limited["key"].as_str().unwrap();
    let answer = gateway.send_as(key, "POST", CHAT, Some(&chat("a", (4, 2))));
    assert_ne!(
        answer.status, 200,
        "a fallback is no way around a key's models"
    );
}

#[test]
fn a_model_without_a_price_is_refused_not_free() {
    let models = "[[models]]\nname = \"dear\"\n\
                  targets = [{ provider = \"scripted\", model = \"nobody-knows-its-price\" }]\n";
    let (upstream, gateway) = start_with_models(models);
    let answer = gateway.post(CHAT, &chat("dear", (4, 2)));
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (403, &json!("unknown_price"))
    );
    assert_eq!(upstream.calls().len(), 0);
}

#[test]
fn the_bounds_of_an_organization_hold_for_all_its_keys_together() {
    let (upstream, gateway) = start();
    let keys: Vec<String> = ["one", "two"]
        .map(|name| {
            gateway.create_key(&json!({"name": name}))["key"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .to_vec();
    let change = json!({"rpm_limit": 6});
    let changed = gateway.send("PATCH", "/api/v1/organization", Some(&change));
    assert_eq!(changed.status, 200, "{}", changed.text());
    let statuses: Vec<u16> = (0..10)
        .map(|at| {
            gateway
                .send_as(&keys[at % 2], "POST", CHAT, Some(&chat("m", (1, 1))))
                .status
        })
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        6,
        "{statuses:?}"
    );
    assert_eq!(upstream.calls().len(), 6);

    let change = json!({"rpm_limit": null, "max_budget": "0.0002"});
    let changed = gateway.send("PATCH", "/api/v1/organization", Some(&change));
    assert_eq!(changed.status, 200, "{}", changed.text());
    let mut body = chat("m", (50, 1));
    body["max_completion_tokens"] = json!(1);
    let deadline = Instant::now() + Duration::from_secs(10);
    while gateway.send_as(&keys[0], "POST", CHAT, Some(&body)).status == 200 {
        assert!(Instant::now() < deadline, "the budget has no end");
    }
    assert_eq!(
        gateway.send_as(&keys[1], "POST", CHAT, Some(&body)).status,
        402
    );
}

#[test]
fn a_key_ends_when_it_says() {
    let (_upstream, gateway) = start();
    let end = std::process::Command::new("date")
        .args(["-u", "-d", "+3 seconds", "+%FT%TZ"])
        .output();
    let end = String::from_utf8(end.unwrap().stdout).unwrap();
    let created = gateway.create_key(&json!({"name": "short", "expires_at": end.trim()}));
    let key = created["key"].as_str().unwrap();
    assert_eq!(gateway.send_as(key, "GET", "/v1/models", None).status, 200);
    let deadline = Instant::now() + Duration::from_secs(6);
    while gateway.send_as(key, "GET", "/v1/models", None).status != 401 {
        assert!(Instant::now() < deadline, "it still works");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(
        gateway
            .send_as(key, "POST", CHAT, Some(&chat("m", (1, 1))))
            .status,
        401
    );
}

#[test]
fn a_client_that_leaves_between_two_tries_has_made_a_request() {
    let (upstream, gateway) = start();
    upstream.on("up-m", Script::error(429, &[("retry-after", "20")]));
    let bearer = format!("Bearer {}", gateway.key());
    let bytes = request(
        "POST",
        CHAT,
        &[("authorization", &bearer)],
        Some(&chat("m", (1, 1))),
    );
    let mut connection = Connection::open(gateway.address()).unwrap();
    connection.send(&bytes).unwrap();
    drop(upstream.wait_for_calls(1));
    drop(gateway.wait_for_usage("model", |rows| {
        rows.iter().any(|r| number(r, "attempts") == 1)
    }));
    drop(connection);
    let rows = gateway.wait_for_usage("model", |rows| sum(rows, "requests") == 1);
    assert_eq!((sum(&rows, "attempts"), upstream.calls().len()), (1, 1));
}
