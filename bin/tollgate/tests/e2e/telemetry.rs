//! What is logged, measured and traced, and what never is.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{
    Call, Gateway, GatewaySettings, PROVIDER_KEY, Script, ScriptedUpstream, exchange, request,
};

use crate::common::{chat, start_with, stream};

const PROMPT: &str = "canary-of-the-prompt-7f3a";
const ANSWER: &str = "canary-of-the-answer-91bd";
const STRANGER: &str = "tg_live_Stranger_0123456789abcdefghijABCDEFGHIJ0123456789xyz012345";

const METRICS: [&str; 11] = [
    "tollgate_requests_total",
    "tollgate_request_duration_seconds_bucket",
    "tollgate_gateway_overhead_seconds_bucket",
    "tollgate_time_to_first_byte_seconds_bucket",
    "tollgate_tokens_total",
    "tollgate_cost_usd_total",
    "tollgate_attempts_total",
    "tollgate_breaker_state",
    "tollgate_journal_backlog",
    "tollgate_database_pool_connections",
    "tollgate_build_info",
];

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// Sends what is answered, what is refused and what fails, all with canaries; returns the id of the
/// first request.
fn send_canaries(upstream: &ScriptedUpstream, gateway: &Gateway) -> String {
    let path = "/v1/chat/completions";
    let answer = json!({
        "id": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 4},
    });
    upstream.queue("up-m", [Script::status(200, &[], &answer.to_string())]);
    let mut body = chat("m", (11, 4));
    body["messages"][0]["content"] = json!(PROMPT);
    let answered = gateway.post(path, &body);
    assert_eq!(
        (answered.status, answered.content().as_str()),
        (200, ANSWER)
    );
    assert!(gateway.post(path, &stream("s", (5, 2))).is_done());

    let mut mistyped = body.clone();
    mistyped[PROMPT] = json!(PROMPT);
    mistyped["n"] = json!(PROMPT);
    assert_eq!(gateway.post(path, &mistyped).status, 400);
    let echo = format!("{{\"error\":{{\"message\":\"{PROMPT} {PROVIDER_KEY}\"}}}}");
    upstream.queue("up-m", [Script::status(500, &[], &echo)]);
    assert_eq!(
        gateway.post(path, &body).status,
        200,
        "the second try answers"
    );
    assert_eq!(
        gateway.send_as(STRANGER, "POST", path, Some(&body)).status,
        401
    );
    answered.header("x-request-id").unwrap().to_owned()
}

#[test]
fn requests_leave_traces_logs_and_metrics_without_prompts_or_secrets() {
    let sink = ScriptedUpstream::start();
    let telemetry = format!("otlp_endpoint = \"http://{}\"", sink.address());
    let settings = GatewaySettings {
        telemetry,
        ..GatewaySettings::default()
    };
    let (upstream, mut gateway) = start_with(settings);
    let request_id = send_canaries(&upstream, &gateway);

    let has_span = |calls: &[Call]| calls.iter().any(|call| contains(&call.body, &request_id));
    assert!(
        sink.wait_until(Duration::from_secs(15), has_span),
        "no span arrived"
    );
    assert!(sink.calls().iter().all(|call| call.path == "/v1/traces"));
    let spans: Vec<u8> = sink
        .calls()
        .into_iter()
        .flat_map(|call| call.body)
        .collect();
    for name in [
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.operation.name",
    ] {
        assert!(contains(&spans, name), "no {name}");
    }
    let parent = upstream.calls()[0].header("traceparent").map(str::to_owned);
    assert!(
        parent.is_some_and(|value| value.starts_with("00-")),
        "the provider is not told"
    );

    let metrics = gateway.metrics();
    for name in METRICS {
        assert!(metrics.contains(name), "no {name} in\n{metrics}");
    }

    let mut places = files(gateway.dir());
    gateway.sigterm();
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(15)).code(),
        Some(0)
    );
    let lines = gateway.lines();
    let logged = lines.join("\n");
    assert!(logged.contains(&request_id), "{logged}");
    for line in &lines {
        assert!(
            serde_json::from_str::<Value>(line).is_ok_and(|l| l.is_object()),
            "{line}"
        );
    }

    let said = [
        ("logs", logged.into()),
        ("metrics", metrics.into()),
        ("spans", spans),
    ];
    places.extend(said.map(|(place, bytes)| (place.to_owned(), bytes)));
    for (place, bytes) in places {
        for secret in [gateway.key(), PROVIDER_KEY, PROMPT, ANSWER, STRANGER] {
            assert!(!contains(&bytes, secret), "{place} hold {secret}");
        }
    }
}

/// The names and contents of all files but the settings.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("tollgate.toml") {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn a_trace_goes_on_from_the_client_to_the_provider() {
    let sink = ScriptedUpstream::start();
    let telemetry = format!("otlp_endpoint = \"http://{}\"", sink.address());
    let (upstream, gateway) = start_with(GatewaySettings {
        telemetry,
        ..GatewaySettings::default()
    });
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let bearer = format!("Bearer {}", gateway.key());
    let parent = format!("00-{trace}-{span}-01");
    let headers = [
        ("authorization", bearer.as_str()),
        ("traceparent", parent.as_str()),
    ];
    let bytes = request(
        "POST",
        "/v1/chat/completions",
        &headers,
        Some(&chat("m", (1, 1))),
    );
    assert_eq!(exchange(gateway.address(), &bytes).unwrap().status, 200);
    let told = upstream.calls()[0]
        .header("traceparent")
        .unwrap()
        .to_owned();
    assert!(
        told.starts_with(&format!("00-{trace}-")) && !told.contains(span),
        "{told}"
    );
}

#[test]
fn a_dead_collector_costs_nothing() {
    let telemetry = format!(
        "otlp_endpoint = \"http://127.0.0.1:{}\"",
        tollgate_testkit::free_port()
    );
    let (_upstream, mut gateway) = start_with(GatewaySettings {
        telemetry,
        ..GatewaySettings::default()
    });
    for _ in 0..20 {
        assert_eq!(
            gateway
                .post("/v1/chat/completions", &chat("m", (1, 1)))
                .status,
            200
        );
    }
    gateway.sigterm();
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(15)).code(),
        Some(0)
    );
}

#[test]
fn health_tells_of_each_component() {
    let (_upstream, gateway) = start_with(GatewaySettings::default());
    for path in ["/health/live", "/health/ready", "/health"] {
        let bytes = tollgate_testkit::request("GET", path, &[], None);
        let answer = tollgate_testkit::exchange(gateway.address(), &bytes).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    let health = gateway.get("/health").json();
    assert_eq!(health["status"], "ok", "{health}");
    let names: Vec<_> = health["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert!(names.len() >= 2, "{health}");
}
