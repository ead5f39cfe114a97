//! Every bound of a request: what is just within it passes, one more does not.

use tollgate_testkit::{Answer, Gateway, GatewaySettings, ScriptedUpstream};

use crate::common::start_with;
use crate::headers::ask;

const BODY_BYTES_MAX: usize = 100_000;

fn gateway() -> (ScriptedUpstream, Gateway) {
    start_with(GatewaySettings {
        server: format!("body_bytes_max = {BODY_BYTES_MAX}"),
        ..GatewaySettings::default()
    })
}

fn get(gateway: &Gateway, path: &str, lines: &str) -> Answer {
    let key = format!("authorization: Bearer {}\r\n", gateway.key());
    ask(gateway, "GET", path, &format!("{key}{lines}"), "")
}

fn post(gateway: &Gateway, path: &str, body: &str) -> Answer {
    let lines = format!(
        "authorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        gateway.key(),
        body.len()
    );
    ask(gateway, "POST", path, &lines, body)
}

#[track_caller]
fn check(answer: &Answer, status: u16, code: &str) {
    let json = answer.json();
    let found = json["error"]["code"].as_str().or(json["code"].as_str());
    assert_eq!(
        (answer.status, found.unwrap_or_default()),
        (status, code),
        "{}",
        answer.text()
    );
}

#[test]
fn t_limits_a_path_with_its_query_has_8_kib() {
    let (_upstream, gateway) = gateway();
    let path = |bytes: usize| {
        let start = "/v1/models?x=";
        // The question mark is not part of either.
        format!("{start}{}", "a".repeat(bytes + 1 - start.len()))
    };
    assert_eq!(get(&gateway, &path(8 << 10), "").status, 200);
    check(
        &get(&gateway, &path((8 << 10) + 1), ""),
        431,
        "head_too_large",
    );
}

#[test]
fn t_limits_a_head_has_32_kib_and_96_lines() {
    let (_upstream, gateway) = gateway();
    // The path, and each line with its colon, blank and end, as they are counted.
    let others = "/v1/models".len()
        + "host".len()
        + 1
        + 4
        + "connection".len()
        + "close".len()
        + 4
        + "authorization".len()
        + "Bearer ".len()
        + gateway.key().len()
        + 4;
    let line = |total: usize| format!("x-l: {}\r\n", "a".repeat(total - others - 3 - 4));
    assert_eq!(get(&gateway, "/v1/models", &line(32 << 10)).status, 200);
    check(
        &get(&gateway, "/v1/models", &line((32 << 10) + 1)),
        431,
        "head_too_large",
    );

    let lines = |count: usize| {
        (3..count)
            .map(|n| format!("x-{n}: 1\r\n"))
            .collect::<String>()
    };
    assert_eq!(get(&gateway, "/v1/models", &lines(96)).status, 200);
    assert_eq!(get(&gateway, "/v1/models", &lines(97)).status, 431);
}

#[test]
fn t_limits_a_body_has_what_its_route_allows() {
    let (_upstream, gateway) = gateway();
    let fill = |start: &str, end: &str, bytes: usize| {
        format!(
            "{start}{}{end}",
            "a".repeat(bytes - start.len() - end.len())
        )
    };
    let chat = |bytes| {
        fill(
            r#"{"model":"m","messages":[{"role":"user","content":""#,
            r#""}]}"#,
            bytes,
        )
    };
    let path = "/v1/chat/completions";
    assert_eq!(post(&gateway, path, &chat(BODY_BYTES_MAX)).status, 200);
    check(
        &post(&gateway, path, &chat(BODY_BYTES_MAX + 1)),
        413,
        "request_too_large",
    );
    // One that is not announced is measured as it comes.
    let chunked = |body: &str| {
        let lines = format!(
            "authorization: Bearer {}\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n",
            gateway.key()
        );
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        ask(&gateway, "POST", path, &lines, &chunks)
    };
    assert_eq!(chunked(&chat(BODY_BYTES_MAX)).status, 200);
    check(
        &chunked(&chat(BODY_BYTES_MAX + 1)),
        413,
        "request_too_large",
    );
    // What an administrator may send is bounded without a setting.
    let padded = |bytes: usize| format!("{{\"name\":\"n\"{}}}", " ".repeat(bytes - 12));
    let admin = |bytes| post(&gateway, "/api/v1/keys", &padded(bytes));
    assert_eq!(admin(256 << 10).status, 201);
    check(&admin((256 << 10) + 1), 413, "request_too_large");
}

#[test]
fn t_limits_json_is_64_deep_and_a_page_200_long() {
    let (_upstream, gateway) = gateway();
    // The object itself is the first level.
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],"x":{open}{close}}}"#
        );
        post(&gateway, "/v1/chat/completions", &body)
    };
    assert_eq!(deep(64).status, 200);
    check(&deep(65), 400, "too_deep");
    for (limit, status) in [
        ("0", 400),
        ("1", 200),
        ("200", 200),
        ("201", 400),
        ("-1", 400),
    ] {
        let answer = get(&gateway, &format!("/api/v1/keys?limit={limit}"), "");
        assert_eq!(answer.status, status, "{limit}: {}", answer.text());
    }
}
