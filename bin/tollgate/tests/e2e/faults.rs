//! What a failing provider means for the client, for the books and for the breaker: one table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tollgate_testkit::{
    Answer, Gateway, GatewaySettings, Script, ScriptedUpstream, StreamEnd, StreamScript,
    StreamUsage, refusing_url,
};

use crate::common::{BINARY, chat, number, stream};

/// A fault and all that must follow from it.
struct Fault {
    name: &'static str,
    is_stream: bool,
    /// What the provider does with each call; `None` refuses connections.
    script: Option<Script>,
    /// The status, then the error's code, or `whole`, or how the stream ends.
    client: &'static str,
    /// How many calls are made for one request.
    attempts: usize,
    /// The books: each attempt's state, provenance and tokens, those that are equal counted.
    bill: &'static str,
    /// Whether repeating it opens the breaker.
    opens: bool,
}

const TIMEOUTS: &str = "connect_timeout_ms = 500\nfirst_byte_timeout_ms = 800\n\
                        idle_timeout_ms = 800\ntotal_timeout_ms = 5000";

/// The tokens that each prompt asks the provider to report.
const TOKENS: (u64, u64) = (40, 5);

const BILL_ERROR: &str = "upstream_error, missing, 0+0";
const BILL_ERROR_3: &str = "3 × upstream_error, missing, 0+0";
const BILL_OK: &str = "ok, provider, 40+5";
const BILL_CUT: &str = "cut, partial, n+n";
const BILL_ESTIMATED: &str = "ok, estimated, n+n";

fn json(name: &'static str, script: Script) -> Fault {
    Fault {
        name,
        is_stream: false,
        script: Some(script),
        client: "",
        attempts: 1,
        bill: BILL_ERROR,
        opens: false,
    }
}

fn streamed(name: &'static str, end: StreamEnd, usage: StreamUsage) -> Fault {
    let pause = Duration::from_millis(20);
    let script = Script::stream(StreamScript {
        end,
        usage,
        pause,
        ..StreamScript::default()
    });
    Fault {
        is_stream: true,
        bill: BILL_CUT,
        ..json(name, script)
    }
}

/// A fault for which other targets, or the same one again, are tried, and that opens the breaker.
fn retried(name: &'static str, script: Script, client: &'static str) -> Fault {
    Fault {
        client,
        attempts: 3,
        bill: BILL_ERROR_3,
        opens: true,
        ..json(name, script)
    }
}

fn no_answer() -> Vec<Fault> {
    let unreachable = retried(
        "refuses connections",
        Script::hang(),
        "502 provider_unreachable",
    );
    let hang = "504 provider_timeout";
    vec![
        Fault {
            script: None,
            ..unreachable
        },
        retried("hangs before the head", Script::hang(), hang),
        Fault {
            is_stream: true,
            ..retried("hangs before the head of a stream", Script::hang(), hang)
        },
        retried(
            "sends a byte per second",
            Script::drip(Duration::from_secs(1)),
            hang,
        ),
        retried(
            "resets the connection",
            Script::reset(),
            "502 provider_disconnected",
        ),
        retried(
            "breaks off inside the JSON",
            Script::truncated_json(),
            "502 provider_disconnected",
        ),
        retried(
            "announces 65 MiB of JSON",
            Script::announced(65 << 20),
            "502 provider_answer_too_large",
        ),
    ]
}

fn refusals() -> Vec<Fault> {
    let later = [("retry-after", "1")];
    let much_later = [("retry-after", "60")];
    let credential = "502 provider_credential_refused";
    vec![
        Fault {
            client: "429 provider_rate_limited",
            attempts: 3,
            bill: BILL_ERROR_3,
            ..json("429, Retry-After: 1", Script::error(429, &later))
        },
        Fault {
            client: "429 provider_rate_limited",
            ..json("429, Retry-After: 60", Script::error(429, &much_later))
        },
        Fault {
            client: "400 scripted_400",
            ..json("400", Script::error(400, &[]))
        },
        Fault {
            client: "404 scripted_404",
            ..json("404", Script::error(404, &[]))
        },
        Fault {
            client: "422 scripted_422",
            ..json("422", Script::error(422, &[]))
        },
        Fault {
            client: credential,
            ..json("401", Script::error(401, &[]))
        },
        Fault {
            client: credential,
            ..json("403", Script::error(403, &[]))
        },
        retried("500", Script::error(500, &[]), "502 provider_error"),
        retried("503", Script::error(503, &[]), "502 provider_error"),
        retried(
            "503 with HTML",
            Script::status(503, &[], "<h1>down</h1>"),
            "502 provider_error",
        ),
        retried(
            "302 to elsewhere",
            Script::status(302, &[("location", "http://127.0.0.1:1/")], ""),
            "502 provider_error",
        ),
        Fault {
            client: "400 provider_refused",
            ..json("400 with HTML", Script::status(400, &[], "<h1>no</h1>"))
        },
    ]
}

fn nonsense() -> Vec<Fault> {
    let invalid = "502 invalid_provider_answer";
    let usage = |usage: &str| {
        let choice = r#"{"index":0,"message":{"role":"assistant","content":"hello"}}"#;
        let text = format!(r#"{{"id":"a","choices":[{choice}],"usage":{usage}}}"#);
        Script::status(200, &[], &text)
    };
    let estimated = |name, script| Fault {
        client: "200 whole",
        bill: BILL_ESTIMATED,
        ..json(name, script)
    };
    vec![
        retried(
            "200 with HTML",
            Script::status(200, &[], "<h1>hi</h1>"),
            invalid,
        ),
        retried("200 with half of the JSON", Script::invalid_json(), invalid),
        retried("200 without a body", Script::status(200, &[], ""), invalid),
        Fault {
            client: "200 whole",
            bill: BILL_OK,
            ..json("10 MiB of JSON", Script::big(10 << 20))
        },
        estimated("no usage", Script::json_without_usage()),
        estimated("usage: null", usage("null")),
        estimated(
            "negative usage",
            usage(r#"{"prompt_tokens":-4,"completion_tokens":-5}"#),
        ),
        estimated(
            "usage beyond belief",
            usage(r#"{"prompt_tokens":1e18,"completion_tokens":5}"#),
        ),
    ]
}

fn streams() -> Vec<Fault> {
    use StreamEnd::{Cut, Done, Error, Hang, Never, Reset, WithoutDone};
    use StreamUsage::{IfAsked, Missing, Twice, WithLastContent};
    let broken = "200, then error provider_stream_cut";
    let late = "200, then error provider_timeout";
    let whole = "200 whole";
    let error_first = Script::events(vec![
        r#"data: {"error":{"message":"m","type":"server_error","code":"overloaded"}}"#.to_owned(),
    ]);
    vec![
        Fault {
            client: broken,
            ..streamed("stream breaks off", Cut, IfAsked)
        },
        Fault {
            client: broken,
            ..streamed("stream is reset", Reset, IfAsked)
        },
        Fault {
            client: late,
            ..streamed("stream falls silent", Hang, IfAsked)
        },
        Fault {
            client: late,
            ..streamed("stream never ends", Never, IfAsked)
        },
        Fault {
            client: "200, then error scripted_stream_error",
            ..streamed("stream holds an error", Error, IfAsked)
        },
        Fault {
            client: whole,
            bill: BILL_OK,
            ..streamed("stream ends without [DONE]", WithoutDone, IfAsked)
        },
        Fault {
            client: whole,
            bill: BILL_OK,
            ..streamed("stream, usage twice", Done, Twice)
        },
        Fault {
            client: whole,
            bill: BILL_OK,
            ..streamed("stream, usage beside the content", Done, WithLastContent)
        },
        Fault {
            client: whole,
            bill: BILL_ESTIMATED,
            ..streamed("stream, no usage", Done, Missing)
        },
        Fault {
            is_stream: true,
            ..retried(
                "stream begins with an error",
                error_first,
                "502 provider_error",
            )
        },
        Fault {
            is_stream: true,
            ..retried(
                "stream with a line of 10 MiB",
                Script::long_line(10 << 20),
                "502 invalid_provider_answer",
            )
        },
        Fault {
            is_stream: true,
            ..retried(
                "HTML instead of a stream",
                Script::status(200, &[], "<h1>hi</h1>"),
                "502 invalid_provider_answer",
            )
        },
    ]
}

fn faults() -> Vec<Fault> {
    [no_answer(), refusals(), nonsense(), streams()]
        .into_iter()
        .flatten()
        .collect()
}

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

#[test]
fn the_table_in_the_docs_is_this_one() {
    let mut text = include_str!("../faults.head.md").to_owned();
    text += "| the provider | stream | the client gets | calls | the bill | breaker |\n|---|---|---|---|---|---|\n";
    for fault in faults() {
        let stream = if fault.is_stream { "yes" } else { "" };
        let breaker = if fault.opens { "opens" } else { "" };
        writeln!(
            text,
            "| {} | {stream} | {} | {} | {} | {breaker} |",
            fault.name, fault.client, fault.attempts, fault.bill
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/faults.md is out of date; `make golden` writes it anew"
    );
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
