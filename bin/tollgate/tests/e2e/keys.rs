//! API keys over HTTP and the command line, and the admin API's own errors.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{exchange, request};

use crate::common::{chat, key_of, start, sum};

const CHAT: &str = "/v1/chat/completions";

#[test]
fn a_key_is_made_listed_and_refused_once_revoked() {
    let (upstream, gateway) = start();
    let created = gateway.create_key(&json!({"name": "app", "models": ["m"]}));
    let (key, id) = (key_of(&created), created["id"].as_str().unwrap());
    assert!(
        key.starts_with("tg_live_") && id.starts_with("key_"),
        "{created}"
    );

    let list = gateway.get("/api/v1/keys");
    assert!(!list.text().contains(&key), "the key is shown once only");
    let listed = list.json()["data"].as_array().unwrap().clone();
    assert!(
        listed
            .iter()
            .any(|row| row["id"] == id && row["name"] == "app"),
        "{listed:?}"
    );
    assert_eq!(listed.len(), 2, "the owner's and this one: {listed:?}");

    let ask = |model: &str| gateway.send_as(&key, "POST", CHAT, Some(&chat(model, (1, 1))));
    assert_eq!(ask("m").status, 200);
    let refused = ask("s");
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (403, &json!("model_not_allowed"))
    );
    let models = gateway.send_as(&key, "GET", "/v1/models", None).json();
    assert_eq!(models["data"].as_array().unwrap().len(), 1, "{models}");
    assert_eq!(
        gateway.send_as(&key, "GET", "/v1/models/s", None).status,
        404
    );

    assert_eq!(
        gateway
            .send("DELETE", &format!("/api/v1/keys/{id}"), None)
            .status,
        200
    );
    for _ in 0..5 {
        let refused = ask("m");
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (401, &json!("invalid_api_key"))
        );
    }
    assert_eq!(upstream.calls().len(), 1);
}

#[test]
fn every_form_of_a_key_has_the_same_rights() {
    let (_upstream, gateway) = start();
    let key = key_of(&gateway.create_key(&json!({"name": "app", "models": ["m"]})));
    let bearer = format!("Bearer {key}");
    for (name, value) in [
        ("authorization", &bearer),
        ("x-api-key", &key),
        ("api-key", &key),
    ] {
        let status = |model: &str| {
            let bytes = request("POST", CHAT, &[(name, value)], Some(&chat(model, (1, 1))));
            exchange(gateway.address(), &bytes).unwrap().status
        };
        assert_eq!((status("m"), status("s")), (200, 403), "{name}");
    }
}

#[test]
fn roles_bound_what_a_key_may_do() {
    let (_upstream, gateway) = start();
    let as_role = |role: &str| key_of(&gateway.create_key(&json!({"name": role, "role": role})));
    let (member, viewer) = (as_role("member"), as_role("viewer"));
    let status = |key: &str, method: &str, path: &str, body: Option<&Value>| {
        gateway.send_as(key, method, path, body).status
    };
    let new_key = json!({"name": "more"});
    let body = chat("m", (1, 1));
    assert_eq!(status(&member, "POST", CHAT, Some(&body)), 200);
    assert_eq!(status(&viewer, "POST", CHAT, Some(&body)), 403);
    for key in [&member, &viewer] {
        let refused = gateway.send_as(key, "POST", "/api/v1/keys", Some(&new_key));
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert_eq!(
            refused.header("content-type"),
            Some("application/problem+json")
        );
        let owner = json!({"name": "more", "role": "org_owner"});
        assert_eq!(status(key, "POST", "/api/v1/keys", Some(&owner)), 403);
    }
    assert_eq!(
        gateway
            .send_as("tg_live_x", "GET", "/api/v1/keys", None)
            .status,
        401
    );
}

#[test]
fn bad_input_of_the_admin_api_is_named() {
    let (_upstream, gateway) = start();
    for fields in [
        json!({}),
        json!({"name": ""}),
        json!({"name": 5}),
        json!({"name": "a", "role": "king"}),
        json!({"name": "a", "org_id": "org_07070707070707070707070707070707"}),
        json!({"name": "a", "rpm_limit": 0}),
        json!({"name": "a", "rpm_limit": -1}),
        json!({"name": "a", "max_budget": "-1"}),
        json!({"name": "a", "max_budget": 1.5}),
        json!({"name": "a", "max_budget": "1", "budget_duration": "soon"}),
        json!({"name": "a", "expires_at": "yesterday"}),
        json!({"name": "a\u{202e}b"}),
        json!([]),
    ] {
        let answer = gateway.post("/api/v1/keys", &fields);
        assert_eq!(answer.status, 400, "{fields}: {}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{fields}"
        );
        assert_eq!(answer.json()["status"], 400, "{}", answer.text());
    }
    for path in [
        "/api/v1/usage?group_by=colour",
        "/api/v1/usage?limit=0",
        "/api/v1/keys?limit=201",
    ] {
        assert_eq!(gateway.get(path).status, 400, "{path}");
    }
    for id in ["key_07070707070707070707070707070707", "nonsense"] {
        assert_eq!(
            gateway
                .send("DELETE", &format!("/api/v1/keys/{id}"), None)
                .status,
            404,
            "{id}"
        );
    }
    let listed = gateway.get("/api/v1/keys").json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
}

#[test]
fn the_command_line_is_a_client_of_the_api() {
    let (_upstream, gateway) = start();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(crate::common::BINARY)
            .args(arguments)
            .env("TOLLGATE_URL", gateway.url())
            .env("TOLLGATE_API_KEY", gateway.key())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{errors}");
        text
    };
    let created: Value = serde_json::from_str(&run(&["keys", "create", "cli", "--json"])).unwrap();
    let key = key_of(&created);
    assert_eq!(
        gateway
            .send_as(&key, "POST", CHAT, Some(&chat("m", (4, 2))))
            .status,
        200
    );
    assert!(run(&["keys", "list"]).contains("cli"));
    drop(gateway.wait_for_usage("model", |rows| !rows.is_empty()));
    let usage: Value =
        serde_json::from_str(&run(&["usage", "--group-by", "model", "--json"])).unwrap();
    assert_eq!(usage[0]["input_tokens"], 4, "{usage}");
    drop(run(&["keys", "revoke", created["id"].as_str().unwrap()]));
    assert_eq!(gateway.send_as(&key, "GET", "/v1/models", None).status, 401);
}

#[test]
fn lists_come_in_pages_that_miss_and_repeat_nothing() {
    let (_upstream, gateway) = start();
    for number in 0..6 {
        drop(gateway.create_key(&json!({"name": format!("k{number}")})));
        let body = chat(if number % 2 == 0 { "m" } else { "s" }, (1, 1));
        assert_eq!(gateway.post(CHAT, &body).status, 200);
    }
    drop(gateway.wait_for_usage("model", |rows| sum(rows, "requests") == 6));
    for (path, field, count) in [("keys?", "id", 7), ("usage?group_by=model&", "model", 2)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = gateway
                .get(&format!("/api/v1/{path}limit=1{cursor}"))
                .json();
            let rows = page["data"].as_array().unwrap();
            assert!(rows.len() <= 1, "{page}");
            seen.extend(
                rows.iter()
                    .map(|row| row[field].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        let distinct: HashSet<&String> = seen.iter().collect();
        assert_eq!(
            (seen.len(), distinct.len()),
            (count, count),
            "{path}: {seen:?}"
        );
    }
}

#[test]
fn organizations_never_see_each_other() {
    let (_upstream, mut gateway) = start();
    let own = gateway.create_key(&json!({"name": "first"}));
    let other = key_of(&gateway.create_key(&json!({"name": "second", "role": "org_owner"})));
    assert_eq!(gateway.post(CHAT, &chat("m", (5, 2))).status, 200);
    gateway.sigterm();
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(10)).code(),
        Some(0)
    );
    let id = "07".repeat(16);
    gateway.tamper(&format!(
        "INSERT INTO organizations (id, name, blocked, created_at_us) VALUES (x'{id}', 'second', 0, 0)"
    ));
    gateway.tamper(&format!(
        "UPDATE api_keys SET org_id = x'{id}' WHERE name = 'second'"
    ));
    gateway.restart();

    let ask = |method: &str, path: &str| gateway.send_as(&other, method, path, None);
    let keys = ask("GET", "/api/v1/keys").json();
    let names: Vec<&Value> = keys["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|k| &k["name"])
        .collect();
    assert_eq!(names, ["second"]);
    assert_eq!(
        ask("GET", "/api/v1/usage?group_by=model").json()["data"],
        json!([])
    );
    let path = format!("/api/v1/keys/{}", own["id"].as_str().unwrap());
    assert_eq!(ask("DELETE", &path).status, 404);
    assert_eq!(
        gateway
            .send_as(&key_of(&own), "GET", "/v1/models", None)
            .status,
        200
    );
    let cursor = format!("/api/v1/keys?cursor={}", own["id"].as_str().unwrap());
    assert!(!ask("GET", &cursor).text().contains("first"));
    let change = json!({"rpm_limit": 1});
    assert_eq!(
        gateway
            .send_as(&other, "PATCH", "/api/v1/organization", Some(&change))
            .status,
        200
    );
    for _ in 0..3 {
        assert_eq!(
            gateway.post(CHAT, &chat("m", (5, 2))).status,
            200,
            "the other's limit"
        );
    }
    drop(gateway.wait_for_usage("model", |rows| sum(rows, "requests") == 4));
}
