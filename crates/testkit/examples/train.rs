//! Puts a gateway under the load that a build is shaped by: `train BINARY [SECONDS]`.
//!
//! Calls of every kind that production sees, most of them answered ones, from many connections at
//! once, against the scripted provider. What it prints is only how much was done, not how fast.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it tells what it did"
)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_testkit::{Connection, Gateway, GatewaySettings, ScriptedUpstream, prompt, request};

const CONNECTIONS: usize = 32;
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(binary) = arguments.first() else {
        eprintln!("usage: train BINARY [SECONDS]");
        return ExitCode::from(2);
    };
    let seconds = arguments.get(1).and_then(|text| text.parse().ok());
    let upstream = ScriptedUpstream::start();
    let settings = GatewaySettings::default()
        .provider("scripted", &upstream.base_url(), "")
        .model("chat", &["scripted/chat"])
        .model("embed", &["scripted/embed"]);
    let mut gateway = Gateway::start(binary, &settings);
    let bytes = requests(gateway.key());
    let (address, answered) = (gateway.address(), AtomicUsize::new(0));
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(20));
    thread::scope(|scope| {
        for first in 0..CONNECTIONS {
            let (bytes, answered) = (&bytes, &answered);
            scope.spawn(move || call(address, bytes, first, end, answered));
        }
    });
    gateway.sigterm();
    let status = gateway.wait_for_exit(STOP_TIMEOUT);
    println!("{} requests, then {status}", answered.into_inner());
    if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Sends them one after the other until the end.
fn call(
    address: SocketAddr,
    requests: &[Vec<u8>],
    first: usize,
    end: Instant,
    answered: &AtomicUsize,
) {
    let mut connection = None;
    for bytes in requests.iter().cycle().skip(first) {
        if Instant::now() > end {
            return;
        }
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(address),
        };
        let Ok(mut open) = open else { return };
        if open.send(bytes).and_then(|()| open.read_answer()).is_ok() {
            answered.fetch_add(1, Ordering::Relaxed);
            connection = Some(open);
        }
    }
}

/// What is sent, in its proportions: mostly chat, a third of it streamed, some embeddings and
/// lists, few refusals.
fn requests(key: &str) -> Vec<Vec<u8>> {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("user-agent", "OpenAI/Python 2.8.0"),
        ("x-stainless-lang", "python"),
    ];
    let post = |path: &str, body: &Value| request("POST", path, &headers, Some(body));
    let chat = |content: &str, extra: Value| {
        let mut body = json!({
            "model": "chat",
            "temperature": 0.7,
            "max_tokens": 256,
            "messages": [
                {"role": "system", "content": "You answer \"briefly\", and in \u{201e}plain\u{201c} words.\n"},
                {"role": "user", "content": content},
            ],
        });
        if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
            body.extend(extra);
        }
        post("/v1/chat/completions", &body)
    };
    let long = format!(
        "{} {}",
        prompt(700, 90),
        "It was a bright day. ".repeat(120)
    );
    let tools = json!({"tools": [{"type": "function", "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    }}]});
    let stream = json!({"stream": true, "stream_options": {"include_usage": true}});
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(chat(&prompt(57, 98), json!({})));
        all.push(chat(&long, json!({})));
        all.push(chat(&prompt(40, 20), tools.clone()));
        all.push(chat(&prompt(40, 60), stream.clone()));
        all.push(chat(&prompt(40, 60), json!({"stream": true})));
    }
    all.push(post(
        "/v1/embeddings",
        &json!({"model": "embed", "input": [prompt(9, 0), "and another text"]}),
    ));
    all.push(request("GET", "/v1/models", &headers, None));
    all.push(post(
        "/v1/chat/completions",
        &json!({"model": "none", "messages": []}),
    ));
    all.push(request("GET", "/v1/models", &[], None));
    all
}
