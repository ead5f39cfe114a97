//! What is asked of the administration API is told in the log: by whom, and how it ended.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_testkit::Gateway;

use crate::common::{key_of, start};

/// Waits for the line of the request with this id.
fn line_of(gateway: &Gateway, request_id: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let lines = gateway.lines();
        let read = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(line) = read
            .into_iter()
            .find(|line| line["request.id"] == request_id)
        {
            return line;
        }
        assert!(
            Instant::now() < deadline,
            "no line of {request_id} in {lines:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_asked_of_the_administration_is_told_with_who_and_how_it_ended() {
    let (_upstream, gateway) = start();
    let created = gateway.create_key(&json!({"name": "viewer", "role": "viewer"}));
    let (viewer, public_id) = (key_of(&created), &created["public_id"]);
    let owner = gateway.key().to_owned();
    let forged = tollgate_auth::KeyText::generate().unwrap();
    let body = json!({"name": "more"});
    for (key, method, path, body, expected) in [
        (&*viewer, "GET", "/api/v1/keys", None, (200, None)),
        (
            &*viewer,
            "POST",
            "/api/v1/keys",
            Some(&body),
            (403, Some("permission_denied")),
        ),
        (&*viewer, "GET", "/v1/models", None, (403, None)),
        (
            &*owner,
            "GET",
            "/api/v1/usage?group_by=x",
            None,
            (400, Some("invalid_request")),
        ),
        (&*owner, "GET", "/v1/models", None, (200, None)),
        (
            forged.expose(),
            "GET",
            "/api/v1/organization",
            None,
            (401, Some("invalid_api_key")),
        ),
        (
            "half a key",
            "GET",
            "/api/v1/organization",
            None,
            (401, Some("invalid_api_key")),
        ),
    ] {
        let answer = gateway.send_as(key, method, path, body);
        assert_eq!(
            answer.status,
            expected.0,
            "{method} {path}: {}",
            answer.text()
        );
        let line = line_of(&gateway, answer.header("x-request-id").unwrap());
        let (route, _) = path.split_once('?').unwrap_or((path, ""));
        assert_eq!(line["http.method"], method, "{line}");
        assert_eq!(line["http.route"], route, "{line}");
        assert_eq!(line["http.status"], expected.0, "{line}");
        assert_eq!(line["error.code"].as_str(), expected.1, "{line}");
        assert_eq!(line["client.ip"], "127.0.0.1", "{line}");
        let shown = match key {
            "half a key" => &Value::Null,
            key if key == viewer => public_id,
            key => &json!(key[8..16]),
        };
        assert_eq!(&line["key.public_id"], shown, "{line}");
        assert!(
            !line.to_string().contains(key),
            "the key itself is never told"
        );
    }
}
