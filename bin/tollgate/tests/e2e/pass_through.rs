//! Same dialect in and out: the provider gets the client's bytes, the client the provider's.

use std::io::ErrorKind;
use std::net::TcpListener;

use serde_json::{Value, json};
use tollgate_testkit::{PROVIDER_KEY, Script, exchange};

use crate::common::{chat, start, stream};

/// A body in its own formatting, with fields and figures that no library would keep as they are.
const ODD: &str = r#"{ "x_first" : 123456789012345678901234567890, "model" :"m","messages":[
  {"role":"user","content":"h\u00e9 \/ \ud83d\ude00 日本"} ],"x_float":1.50e+3,
  "tools":[{"type":"function","function":{"name":"f","parameters":{"z":1,"a":2}}}], "x":{} }"#;

fn send(
    gateway: &tollgate_testkit::Gateway,
    headers: &str,
    body: &str,
) -> tollgate_testkit::Answer {
    let bytes = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        gateway.key(),
        body.len()
    );
    exchange(gateway.address(), bytes.as_bytes()).unwrap()
}

#[test]
fn a_request_reaches_the_provider_byte_by_byte_but_for_the_model() {
    let (upstream, gateway) = start();
    assert_eq!(send(&gateway, "", ODD).status, 200);
    let call = &upstream.wait_for_calls(1)[0];
    assert_eq!(
        call.text(),
        ODD.replace(r#""model" :"m""#, r#""model" :"up-m""#)
    );
    assert_eq!(call.path, "/v1/chat/completions");
}

#[test]
fn only_our_own_credential_and_headers_reach_the_provider() {
    let (upstream, gateway) = start();
    let headers = "cookie: session=1\r\nx-forwarded-for: 10.0.0.1\r\nopenai-organization: theirs\r\n\
                   connection: keep-alive, x-hop\r\nx-hop: 1\r\naccept-encoding: gzip, br\r\n";
    assert_eq!(send(&gateway, headers, ODD).status, 200);
    let call = &upstream.wait_for_calls(1)[0];
    let bearer = format!("Bearer {PROVIDER_KEY}");
    assert_eq!(call.header("authorization"), Some(bearer.as_str()));
    for name in [
        "cookie",
        "x-forwarded-for",
        "x-api-key",
        "openai-organization",
        "x-hop",
    ] {
        assert_eq!(call.header(name), None, "{name}");
    }
    let everything = format!("{:?}{}", call.headers, call.text());
    assert!(!everything.contains(gateway.key()));
}

#[test]
fn an_answer_reaches_the_client_byte_by_byte() {
    let (upstream, gateway) = start();
    let odd = "{ \"id\":\"a\",\"x_big\":123456789012345678901234567890,\n \"choices\":[],\"usage\":\
               {\"prompt_tokens\":3,\"completion_tokens\":0,\"x_cost\":1.50e-3} }";
    let headers = [
        ("x-ratelimit-remaining-tokens", "149984"),
        ("openai-processing-ms", "12"),
    ];
    upstream.on("up-m", Script::status(200, &headers, odd));
    let answer = send(&gateway, "", ODD);
    assert_eq!((answer.status, answer.text().as_str()), (200, odd));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.header("x-ratelimit-remaining-tokens"),
        Some("149984")
    );
    assert_eq!(answer.header("x-tollgate-provider"), Some("scripted"));
    assert_eq!(answer.header("x-tollgate-attempts"), Some("1"));
    let cost: f64 = answer
        .header("x-tollgate-cost-usd")
        .unwrap()
        .parse()
        .unwrap();
    assert!((cost - 0.000_003).abs() < 1e-12, "{cost}");
    assert!(
        answer
            .header("x-request-id")
            .is_some_and(|id| id.starts_with("req_"))
    );
}

#[test]
fn usage_is_asked_for_on_a_stream_and_kept_from_those_who_did_not_ask() {
    let (upstream, gateway) = start();
    let answer = gateway.post("/v1/chat/completions", &stream("s", (9, 3)));
    assert!(answer.is_done());
    assert_eq!(answer.content(), "w1 w2 w3 ");
    assert!(
        !answer.text().contains("prompt_tokens"),
        "{}",
        answer.text()
    );
    assert_eq!(
        upstream.wait_for_calls(1)[0].json()["stream_options"],
        json!({"include_usage": true})
    );

    let mut body = stream("s", (9, 3));
    body["stream_options"] = json!({"include_usage": true});
    let answer = gateway.post("/v1/chat/completions", &body);
    let events = answer.events();
    let usage: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!(
        (&usage["choices"], &usage["usage"]["total_tokens"]),
        (&json!([]), &json!(12))
    );
    let rows = gateway.wait_for_usage("model", |rows| rows.iter().any(|r| r["requests"] == 2));
    assert_eq!(
        (&rows[0]["input_tokens"], &rows[0]["output_tokens"]),
        (&json!(18), &json!(6))
    );
}

#[test]
fn events_pass_as_they_are() {
    let (upstream, gateway) = start();
    let events = [
        ": a comment",
        "event: odd\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"x\":1.50}]}",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"b\"},\"finish_reason\":null}],\"y\":\"\\u00e9\"}",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}",
        "data: [DONE]",
    ];
    upstream.on("up-s", Script::events(events.map(str::to_owned).to_vec()));
    let answer = gateway.post("/v1/chat/completions", &stream("s", (1, 1)));
    assert_eq!(answer.text(), events.join("\n\n") + "\n\n");
    assert!(
        answer
            .header("content-type")
            .is_some_and(|v| v.starts_with("text/event-stream"))
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// Fields that other gateways let lead a call somewhere else are the provider's to read.
#[test]
fn t_mass_no_field_of_a_prompt_leads_elsewhere() {
    let (upstream, gateway) = start();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let url = format!("http://{}/v1", elsewhere.local_addr().unwrap());
    let fields = [
        ("api_base", json!(url)),
        ("base_url", json!(url)),
        ("api_key", json!("sk-theirs")),
        ("organization", json!("theirs")),
        ("headers", json!({"authorization": "Bearer theirs"})),
        (
            "extra_headers",
            json!({"authorization": "Bearer theirs", "host": url}),
        ),
        ("extra_body", json!({"api_base": url})),
        ("custom_llm_provider", json!("theirs")),
        ("provider", json!({"base_url": url})),
        ("fallbacks", json!([{"model": "s", "api_base": url}])),
        ("mock_response", json!("free")),
        ("proxy", json!(url)),
        ("user_role", json!("org_owner")),
        ("no_log", json!(true)),
    ];
    let bearer = format!("Bearer {PROVIDER_KEY}");
    for (at, (field, value)) in fields.iter().enumerate() {
        let mut body = chat("m", (3, 2));
        body[field] = value.clone();
        let answer = gateway.post("/v1/chat/completions", &body);
        assert_eq!(answer.status, 200, "{field}: {}", answer.text());
        let calls = upstream.wait_for_calls(at + 1);
        let call = &calls[at];
        assert_eq!(call.path, "/v1/chat/completions", "{field}");
        assert_eq!(
            call.header("authorization"),
            Some(bearer.as_str()),
            "{field}"
        );
        assert_eq!(&call.json()[field], value, "it passes as it is");
    }
    let nobody = elsewhere.accept().unwrap_err();
    assert_eq!(
        nobody.kind(),
        ErrorKind::WouldBlock,
        "somebody was asked elsewhere"
    );
    let rows = gateway.wait_for_usage("model", |rows| {
        rows.iter().any(|row| row["requests"] == fields.len())
    });
    assert_eq!(rows.len(), 1, "each one is billed as what it is: {rows:?}");
}
