//! What changes ask of their callers, and what is kept of them.

use serde_json::{Value, json};
use tollgate_testkit::Answer;

use crate::server::{Server, bearer};

fn send(server: &Server, what: &str, head: &str, body: Option<&Value>) -> Answer {
    let (method, path) = what.split_once(' ').unwrap();
    let head = format!("{}{head}", bearer(&server.owner));
    server.send(method, path, &head, body)
}

fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.json()["code"], code, "{}", answer.text());
}

fn versions(server: &Server) {
    let team = send(
        server,
        "POST /api/v1/teams",
        "",
        Some(&json!({"name": "search"})),
    );
    assert_eq!((team.status, team.header("etag")), (201, Some("\"v1\"")));
    let path = format!("/api/v1/teams/{}", team.json()["id"].as_str().unwrap());
    let patch = |head: &str| {
        let body = json!({"rpm_limit": 5});
        send(server, &format!("PATCH {path}"), head, Some(&body))
    };
    check(&patch(""), 428, "precondition_required");
    check(&patch("if-match: v1\r\n"), 400, "invalid_header");
    check(
        &patch("if-match: \"v1\"\r\nif-match: \"v1\"\r\n"),
        400,
        "invalid_header",
    );
    check(&patch("if-match: \"v2\"\r\n"), 412, "precondition_failed");
    let changed = patch("if-match: \"v1\"\r\n");
    assert_eq!(
        (changed.status, changed.header("etag")),
        (200, Some("\"v2\""))
    );
    check(&patch("if-match: \"v1\"\r\n"), 412, "precondition_failed");
    assert_eq!(patch("if-match: *\r\n").status, 200);
    let seen = send(server, &format!("GET {path}"), "", None);
    assert_eq!(seen.header("etag"), Some("\"v3\""));
    let delete = |head: &str| send(server, &format!("DELETE {path}"), head, None);
    check(&delete("if-match: \"v1\"\r\n"), 412, "precondition_failed");
    assert_eq!(delete("if-match: \"v3\"\r\n").status, 200);
    assert_eq!(delete("").status, 200);
}

fn repetitions(server: &Server) {
    let post = |what: &str, key: &str, body: &Value| {
        let head = format!("idempotency-key: {key}\r\n");
        send(server, what, &head, Some(body))
    };
    let body = json!({"name": "once"});
    let first = post("POST /api/v1/keys", "a", &body);
    assert_eq!(first.status, 201);
    assert_eq!(first.header("idempotency-replayed"), None);
    assert!(
        first.json()["key"]
            .as_str()
            .unwrap()
            .starts_with("tg_live_")
    );
    let again = post("POST /api/v1/keys", "a", &body);
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (201, Some("true"))
    );
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert_eq!(again.json()["key"], Value::Null);
    assert!(again.json()["notice"].is_string());
    let other = post("POST /api/v1/keys", "a", &json!({"name": "twice"}));
    check(&other, 422, "idempotency_key_reused");
    let other = post("POST /api/v1/teams", "a", &body);
    check(&other, 422, "idempotency_key_reused");
    check(
        &post("POST /api/v1/keys", "a b", &body),
        400,
        "invalid_header",
    );
    // What was refused was not done, and its name is free.
    let wrong = json!({"name": "x", "team_id": "team_07070707070707070707070707070707"});
    assert_eq!(post("POST /api/v1/keys", "b", &wrong).status, 404);
    assert_eq!(post("POST /api/v1/keys", "b", &body).status, 201);
    // Another caller's names are its own.
    let admin = server.key("org_admin");
    let head = format!("{}idempotency-key: a\r\n", bearer(&admin));
    let own = server.send("POST", "/api/v1/keys", &head, Some(&body));
    assert!(own.json()["key"].is_string());
    let secret = first.json()["key"].as_str().unwrap().to_owned();
    let invitation = json!({"email": "ann@example.com"});
    for is_first in [true, false] {
        let invited = post("POST /api/v1/invitations", "c", &invitation);
        assert_eq!(invited.json()["token"].is_string(), is_first);
    }
    let list = send(server, "GET /api/v1/keys?limit=200", "", None);
    assert!(!list.text().contains(&secret));
    let names = list.json()["data"].as_array().unwrap().clone();
    let once = names.iter().filter(|key| key["name"] == "once").count();
    assert_eq!(once, 3, "one each of: a, b, and the other caller's a");
}

fn entries(server: &Server, query: &str) -> Vec<Value> {
    let answer = send(server, &format!("GET /api/v1/audit?{query}"), "", None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].as_array().unwrap().clone()
}

fn denials(server: &Server) {
    let viewer = server.key("viewer");
    let body = json!({"name": "x"});
    let denied = server.send("POST", "/api/v1/teams", &bearer(&viewer), Some(&body));
    check(&denied, 403, "permission_denied");
    let id = denied.header("x-request-id").unwrap();
    let entry = entries(server, "action=team.create&outcome=denied");
    assert_eq!(entry.len(), 1);
    assert_eq!(
        (&entry[0]["request_id"], &entry[0]["details"]),
        (&id.into(), &"permission_denied".into())
    );
    assert_eq!(entry[0]["client_ip"], "127.0.0.1");
    // A change that is too much is a denial, too; what is only looked at is none.
    let admin = server.key("org_admin");
    let body = json!({"name": "x", "role": "org_owner"});
    let exceeds = server.send("POST", "/api/v1/keys", &bearer(&admin), Some(&body));
    check(&exceeds, 403, "permission_denied");
    assert_eq!(entries(server, "action=key.create&outcome=denied").len(), 1);
    let before = entries(server, "outcome=denied").len();
    let looked = server.send("GET", "/api/v1/audit", &bearer(&viewer), None);
    check(&looked, 403, "permission_denied");
    assert_eq!(entries(server, "outcome=denied").len(), before);
}

fn rotation(server: &Server) {
    let made = send(
        server,
        "POST /api/v1/keys",
        "",
        Some(&json!({"name": "r", "role": "viewer"})),
    );
    let (id, old) = (made.json()["id"].clone(), made.json()["key"].clone());
    let path = format!("POST /api/v1/keys/{}/rotate", id.as_str().unwrap());
    let rotated = send(server, &path, "", Some(&json!({"overlap_seconds": 60})));
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let new = rotated.json()["key"].clone();
    assert_eq!(rotated.json()["public_id"], made.json()["public_id"]);
    let works = |key: &Value| {
        let head = bearer(key.as_str().unwrap());
        server.send("GET", "/api/v1/keys", &head, None).status
    };
    assert_eq!((works(&old), works(&new)), (200, 200));
    let newest = send(server, &path, "", Some(&json!({})));
    let newest = newest.json()["key"].clone();
    assert_eq!((works(&old), works(&new), works(&newest)), (401, 401, 200));
    let long = send(server, &path, "", Some(&json!({"overlap_seconds": 86_401})));
    check(&long, 400, "invalid_request");
    assert_eq!(long.json()["errors"][0]["field"], "overlap_seconds");
}

fn teams(server: &Server) {
    let team = send(
        server,
        "POST /api/v1/teams",
        "",
        Some(&json!({"name": "gone soon"})),
    );
    let team = team.json()["id"].as_str().unwrap().to_owned();
    let key = server.key_of(&json!({"name": "t", "role": "viewer", "team_id": team}));
    let list = || server.send("GET", "/api/v1/keys", &bearer(&key), None);
    let listed = list().json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(
        send(server, &format!("DELETE /api/v1/teams/{team}"), "", None).status,
        200
    );
    check(&list(), 403, "permission_denied");
}

fn export(server: &Server) {
    let answer = send(server, "GET /api/v1/audit/export", "", None);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let seqs = |text: &str| -> Vec<u64> {
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|entry| entry["seq"].as_u64().unwrap()).collect()
    };
    let all = seqs(&answer.text());
    assert!(all.len() > 200, "more than one part: {}", all.len());
    assert!(all.iter().copied().eq(1..=all.len() as u64), "{all:?}");
    let rest = send(server, "GET /api/v1/audit/export?after_seq=200", "", None);
    assert_eq!(seqs(&rest.text())[0], 201);
    let none = send(
        server,
        "GET /api/v1/audit/export?after_seq=999999",
        "",
        None,
    );
    assert_eq!((none.status, none.text()), (200, String::new()));
    let wrong = send(server, "GET /api/v1/audit/export?after=1", "", None);
    check(&wrong, 400, "invalid_request");
}

#[test]
fn changes_are_for_a_version_done_once_and_written_down() {
    let server = Server::start();
    versions(&server);
    repetitions(&server);
    denials(&server);
    rotation(&server);
    teams(&server);
    for number in 0..200 {
        let body = json!({"name": format!("role {number}"), "permissions": ["keys.read"]});
        assert_eq!(
            send(&server, "POST /api/v1/roles", "", Some(&body)).status,
            201
        );
    }
    export(&server);
}
