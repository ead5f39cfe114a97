//! Connections on both sides: reuse, pipelines, unusual but valid framing, and bodies nobody reads.

use std::time::Duration;

use serde_json::Value;
use tollgate_testkit::{Connection, Gateway, Script, Step, request};

use crate::common::{chat, number, start};

const CHAT: &str = "/v1/chat/completions";

fn chat_bytes(gateway: &Gateway, extra: &[(&str, &str)], body: &Value) -> Vec<u8> {
    let bearer = format!("Bearer {}", gateway.key());
    let headers = [&[("authorization", bearer.as_str())], extra].concat();
    request("POST", CHAT, &headers, Some(body))
}

#[test]
fn pipelined_requests_are_answered_in_order_and_billed_each() {
    let (_upstream, gateway) = start();
    let bodies = [(3, 1), (5, 2), (7, 4)];
    let bytes: Vec<u8> = bodies
        .iter()
        .flat_map(|tokens| chat_bytes(&gateway, &[], &chat("m", *tokens)))
        .collect();
    let mut connection = Connection::open(gateway.address()).unwrap();
    connection.send(&bytes).unwrap();
    for (input, output) in bodies {
        let usage = connection.read_answer().unwrap().json()["usage"].clone();
        assert_eq!(number(&usage, "prompt_tokens"), input);
        assert_eq!(number(&usage, "completion_tokens"), output);
    }
    let rows = gateway.wait_for_usage("model", |rows| rows.iter().any(|r| r["requests"] == 3));
    assert_eq!(number(&rows[0], "input_tokens"), 15);
}

#[test]
fn a_body_in_chunks_is_as_good_as_one_with_a_length() {
    let (upstream, gateway) = start();
    let body = chat("m", (8, 2)).to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        gateway.key()
    );
    let mut connection = Connection::open(gateway.address()).unwrap();
    connection.send(head.as_bytes()).unwrap();
    for part in body.as_bytes().chunks(7) {
        let chunk = [
            format!("{:x};x=y\r\n", part.len()).as_bytes(),
            part,
            b"\r\n",
        ]
        .concat();
        connection.send(&chunk).unwrap();
    }
    connection.send(b"0\r\n\r\n").unwrap();
    assert_eq!(connection.read_answer().unwrap().status, 200);
    assert_eq!(
        upstream.calls()[0].text(),
        body.replace("\"m\"", "\"up-m\"")
    );
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_told() {
    let (_upstream, gateway) = start();
    let bytes = chat_bytes(&gateway, &[("expect", "100-continue")], &chat("m", (8, 2)));
    let head = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let mut connection = Connection::open(gateway.address()).unwrap();
    connection.send(&bytes[..head]).unwrap();
    let told = connection.read_bytes(25).unwrap();
    assert_eq!(told, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.send(&bytes[head..]).unwrap();
    assert_eq!(connection.read_answer().unwrap().status, 200);
}

#[test]
fn a_prompt_as_large_as_is_allowed_passes() {
    let (upstream, gateway) = start();
    let mut body = chat("m", (9, 1));
    body["x"] = Value::String("z".repeat((8 << 20) - 1_000));
    assert_eq!(gateway.post(CHAT, &body).status, 200);
    assert_eq!(upstream.calls()[0].body.len(), body.to_string().len() + 3);
}

#[test]
fn a_provider_that_closes_its_connections_costs_no_request() {
    let (upstream, gateway) = start();
    let closing = |asked: &tollgate_testkit::Asked| {
        let mut steps = Script::default_steps(asked);
        steps.push(Step::Close);
        steps
    };
    upstream.on("up-m", Script::new(closing));
    for _ in 0..40 {
        let answer = gateway.post(CHAT, &chat("m", (2, 1)));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let resetting = |asked: &tollgate_testkit::Asked| {
        let mut steps = Script::default_steps(asked);
        steps.extend([Step::Wait(Duration::from_millis(20)), Step::Reset]);
        steps
    };
    upstream.on("up-m", Script::new(resetting));
    for _ in 0..20 {
        let answer = gateway.post(CHAT, &chat("m", (2, 1)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        std::thread::sleep(Duration::from_millis(25));
    }
}

#[test]
fn a_body_that_nobody_reads_is_never_taken_for_the_next_request() {
    let (upstream, gateway) = start();
    let hidden = chat_bytes(&gateway, &[], &chat("m", (1, 1)));
    let hidden = String::from_utf8(hidden).unwrap();
    let own = format!("authorization: Bearer {}\r\n", gateway.key());
    let json = "content-type: application/json\r\n";
    let cases = [
        ("POST /nothing", "host: a\r\n", json),
        ("PUT /v1/chat/completions", "host: a\r\n", json),
        (
            "POST /v1/chat/completions",
            "host: a\r\n",
            "content-type: text/plain\r\n",
        ),
        ("POST /v1/chat/completions", "host: a?b\r\n", json),
        ("POST /v1/models", "host: a\r\n", json),
        ("GET /v1/models", "host: a\r\n", json),
        ("GET /health/live", "host: a\r\n", json),
        ("DELETE /api/v1/keys/x", "host: a\r\n", json),
        ("POST /api/v1/keys", "host: a\r\n", json),
    ];
    for (line, host, content_type) in cases {
        for framing in [
            format!("content-length: {}\r\n\r\n{hidden}", hidden.len()),
            format!(
                "transfer-encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
                hidden.len()
            ),
        ] {
            let mut connection = Connection::open(gateway.address()).unwrap();
            let bytes = format!("{line} HTTP/1.1\r\n{host}{own}{content_type}{framing}");
            connection.send(bytes.as_bytes()).unwrap();
            assert!(connection.read_answer().unwrap().status > 0, "{line}");
            connection
                .socket()
                .set_read_timeout(Some(Duration::from_millis(150)))
                .unwrap();
            let second = connection.read_answer();
            assert!(second.is_err(), "{line}: a second answer: {second:?}");
        }
    }
    assert_eq!(upstream.calls().len(), 0);
}
