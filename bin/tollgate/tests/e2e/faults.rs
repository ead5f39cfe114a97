//! What a failing provider means for the client, for the books and for the breaker: one table.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;
use tollgate_testkit::{
    Answer, Gateway, GatewaySettings, Script, ScriptedUpstream, StreamEnd, StreamScript,
    refusing_url,
};

use crate::common::{BINARY, chat, number, stream};
use crate::fault_table::{Fault, TIMEOUTS, TOKENS, faults};

/// What the client got, in the words of the table.
fn client_got(answer: &Answer) -> String {
    let code = |json: &Value| {
        json["error"]["code"]
            .as_str()
            .map(str::to_owned)
            .unwrap_or_else(|| json.to_string())
    };
    if answer.status != 200 {
        return format!("{} {}", answer.status, code(&answer.json()));
    }
    if !answer.is_whole {
        return "200, broken off".to_owned();
    }
    if answer.json().is_object() {
        return "200 whole".to_owned();
    }
    let events = answer.events();
    let last = events.last().cloned().unwrap_or_default();
    if last == "[DONE]" {
        return "200 whole".to_owned();
    }
    let last: Value = serde_json::from_str(&last).unwrap_or_default();
    if last["error"].is_object() {
        return format!("200, then error {}", code(&last));
    }
    let is_finished = events
        .iter()
        .any(|event| event.contains(r#""finish_reason":"stop""#));
    if is_finished {
        "200 whole".to_owned()
    } else {
        format!("200, then {last}")
    }
}

/// What the books say, in the words of the table; estimates are `n` when they are above zero.
fn bill(events: &[Value]) -> String {
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for event in events {
        let provenance = event["provenance"].as_str().unwrap();
        let tokens = ["input_tokens", "output_tokens"].map(|name| {
            let tokens = number(event, name);
            if tokens > 0 && provenance != "provider" {
                "n".to_owned()
            } else {
                tokens.to_string()
            }
        });
        let line = format!(
            "{}, {provenance}, {}",
            event["state"].as_str().unwrap(),
            tokens.join("+")
        );
        *counted.entry(line).or_default() += 1;
    }
    let lines = counted.into_iter().map(|(line, count)| match count {
        1 => line,
        count => format!("{count} × {line}"),
    });
    lines.collect::<Vec<_>>().join("; ")
}

fn is_open(gateway: &Gateway) -> bool {
    gateway
        .metrics()
        .lines()
        .any(|line| line.starts_with("tollgate_breaker_state{") && line.ends_with(" 2"))
}

/// Lets the fault happen and returns what differs from the table.
fn check(fault: &Fault) -> Vec<String> {
    let upstream = ScriptedUpstream::start();
    let url = match &fault.script {
        Some(script) => {
            upstream.on("up-m", script.clone());
            upstream.base_url()
        }
        None => refusing_url(),
    };
    let settings = GatewaySettings::default()
        .provider("scripted", &url, TIMEOUTS)
        .model("m", &["scripted/up-m"]);
    let gateway = Gateway::start(BINARY, &settings);
    let body = if fault.is_stream {
        stream("m", TOKENS)
    } else {
        chat("m", TOKENS)
    };
    let answer = gateway.post("/v1/chat/completions", &body);
    let rows = gateway.wait_for_usage("model", |rows| {
        rows.iter().any(|row| number(row, "requests") == 1)
    });
    let made = if fault.script.is_some() {
        upstream.calls().len()
    } else {
        fault.attempts
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| drop(gateway.post("/v1/chat/completions", &body)));
        }
    });
    let opened = is_open(&gateway);
    let mut events = gateway.events();
    let first = answer
        .header("x-request-id")
        .unwrap_or_default()
        .trim_start_matches("req_");
    events.retain(|event| {
        event["request_id"]
            .as_str()
            .is_some_and(|id| id.ends_with(first))
    });
    let found = [
        ("client", client_got(&answer), fault.client.to_owned()),
        ("calls", made.to_string(), fault.attempts.to_string()),
        (
            "attempts",
            number(&rows[0], "attempts").to_string(),
            fault.attempts.to_string(),
        ),
        ("bill", bill(&events), fault.bill.to_owned()),
        ("breaker opens", opened.to_string(), fault.opens.to_string()),
    ];
    found
        .into_iter()
        .filter(|(_, found, expected)| found != expected)
        .map(|(what, found, expected)| {
            format!("{}: {what}: {found} instead of {expected}", fault.name)
        })
        .collect()
}

#[test]
fn every_fault_has_the_consequences_that_the_table_says() {
    let waiting = Mutex::new(faults());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(fault) = waiting.lock().unwrap().pop() else {
                        return;
                    };
                    let found = check(&fault);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn two_targets(first: Option<Script>) -> (ScriptedUpstream, ScriptedUpstream, Gateway) {
    let upstreams = [ScriptedUpstream::start(), ScriptedUpstream::start()];
    let mut url = refusing_url();
    if let Some(script) = first {
        upstreams[0].on("up-a", script);
        url = upstreams[0].base_url();
    }
    let settings = GatewaySettings::default()
        .provider("first", &url, TIMEOUTS)
        .provider("second", &upstreams[1].base_url(), TIMEOUTS)
        .model("m", &["first/up-a", "second/up-b"]);
    let gateway = Gateway::start(BINARY, &settings);
    let [first, second] = upstreams;
    (first, second, gateway)
}

#[test]
fn the_next_target_answers_when_the_first_cannot() {
    let scripts = [
        None,
        Some(Script::hang()),
        Some(Script::error(500, &[])),
        Some(Script::error(429, &[("retry-after", "60")])),
        Some(Script::error(401, &[])),
        Some(Script::reset()),
        Some(Script::invalid_json()),
    ];
    for script in scripts {
        let (_first, second, gateway) = two_targets(script.clone());
        for body in [chat("m", TOKENS), stream("m", TOKENS)] {
            let answer = gateway.post("/v1/chat/completions", &body);
            assert_eq!(
                client_got(&answer),
                "200 whole",
                "{script:?} {}",
                answer.text()
            );
            assert_eq!(answer.header("x-tollgate-provider"), Some("second"));
            assert_eq!(answer.header("x-tollgate-attempts"), Some("2"));
        }
        assert_eq!(second.calls().len(), 2);
    }
}

#[test]
fn a_request_that_is_at_fault_itself_is_not_sent_elsewhere() {
    let (_first, second, gateway) = two_targets(Some(Script::error(422, &[])));
    assert_eq!(
        gateway
            .post("/v1/chat/completions", &chat("m", TOKENS))
            .status,
        422
    );
    assert_eq!(second.calls().len(), 0);
}

#[test]
fn the_providers_wish_to_be_left_alone_reaches_the_client() {
    let upstream = ScriptedUpstream::start();
    upstream.on("up-m", Script::error(429, &[("retry-after", "60")]));
    let settings = GatewaySettings::default()
        .provider("scripted", &upstream.base_url(), TIMEOUTS)
        .model("m", &["scripted/up-m"]);
    let gateway = Gateway::start(BINARY, &settings);
    let answer = gateway.post("/v1/chat/completions", &chat("m", TOKENS));
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("60"))
    );
}

#[test]
fn nothing_is_sent_elsewhere_after_the_first_byte() {
    let cut = StreamScript {
        end: StreamEnd::Cut,
        ..StreamScript::default()
    };
    let (_first, second, gateway) = two_targets(Some(Script::stream(cut)));
    let answer = gateway.post("/v1/chat/completions", &stream("m", TOKENS));
    assert_eq!(client_got(&answer), "200, then error provider_stream_cut");
    assert!(answer.content().starts_with("w1 "));
    assert!(
        !answer.text().contains("\"stop\""),
        "an end was made up: {}",
        answer.text()
    );
    assert_eq!(second.calls().len(), 0);
}

#[test]
fn an_open_breaker_answers_at_once_without_a_call() {
    let upstream = ScriptedUpstream::start();
    upstream.on("up-m", Script::error(500, &[]));
    let settings = GatewaySettings::default()
        .provider("scripted", &upstream.base_url(), TIMEOUTS)
        .model("m", &["scripted/up-m"]);
    let gateway = Gateway::start(BINARY, &settings);
    while !is_open(&gateway) {
        assert_ne!(
            gateway
                .post("/v1/chat/completions", &chat("m", TOKENS))
                .status,
            200
        );
        assert!(upstream.calls().len() < 20);
    }
    let calls = upstream.calls().len();
    let answer = gateway.post("/v1/chat/completions", &chat("m", TOKENS));
    assert_eq!(client_got(&answer), "503 provider_unavailable");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(upstream.calls().len(), calls);
}
