//! What a failing provider leads to: the table.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use tollgate_testkit::{Script, StreamEnd, StreamScript, StreamUsage};

/// A fault and all that must follow from it.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) is_stream: bool,
    /// What the provider does with each call; `None` refuses connections.
    pub(crate) script: Option<Script>,
    /// The status, then the error's code, or `whole`, or how the stream ends.
    pub(crate) client: &'static str,
    /// How many calls are made for one request.
    pub(crate) attempts: usize,
    /// The books: each attempt's state, provenance and tokens, those that are equal counted.
    pub(crate) bill: &'static str,
    /// Whether repeating it opens the breaker.
    pub(crate) opens: bool,
}

pub(crate) const TIMEOUTS: &str = "connect_timeout_ms = 500\nfirst_byte_timeout_ms = 800\n\
                        idle_timeout_ms = 800\ntotal_timeout_ms = 5000";

/// The tokens that each prompt asks the provider to report.
pub(crate) const TOKENS: (u64, u64) = (40, 5);

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

pub(crate) fn faults() -> Vec<Fault> {
    [no_answer(), refusals(), nonsense(), streams()]
        .into_iter()
        .flatten()
        .collect()
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
