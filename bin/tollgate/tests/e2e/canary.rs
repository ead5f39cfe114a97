//! Values that must be nowhere: searched for in everything that the process leaves behind.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{
    Answer, Connection, Gateway, GatewaySettings, PROVIDER_KEY, Script, ScriptedUpstream,
    StreamEnd, StreamScript, exchange, request,
};

use crate::common::{chat, key_of, start_with, stream};

const CHAT: &str = "/v1/chat/completions";
const PROMPT: &str = "canary of a prompt 5d1f77";
const ANSWER: &str = "canary of an answer c80e42";
const STRANGER: &str = "tg_live_Stranger_0123456789abcdefghijABCDEFGHIJ0123456789xyz012345";
const OTHER_BEARER: &str = "canary-of-a-bearer-that-is-no-key-aa31";
const MASTER_KEY: &str = "b7e1c3520d94fa6817e2489c0f5db36a91c4d07e5a2863fb1e9d70c84526af3b";
const WEBHOOK_SECRET: &str = "whsec_q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";

/// What was found where.
#[derive(Default)]
struct Places(Vec<(String, Vec<u8>)>);

impl Places {
    fn add(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), bytes.into()));
    }

    /// Adds every file under a directory, the database and the journal among them, but the settings,
    /// which have the provider's credential.
    fn add_files(&mut self, when: &str, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.add_files(when, &path);
            } else if !path.ends_with("tollgate.toml") {
                let bytes = fs::read(&path).unwrap_or_default();
                self.add(&format!("{} {when}", path.display()), bytes);
            }
        }
    }

    /// The first place that has these bytes, and what is around them.
    fn find(&self, canary: &[u8]) -> Option<String> {
        self.0.iter().find_map(|(place, bytes)| {
            let at = bytes
                .windows(canary.len())
                .position(|some| some == canary)?;
            let around = at.saturating_sub(200)..(at + canary.len());
            Some(format!(
                "{place}: {}",
                String::from_utf8_lossy(&bytes[around])
            ))
        })
    }
}

fn answer_of(content: &str) -> Script {
    let message = json!({"role": "assistant", "content": content, "refusal": null});
    let body = json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "up-m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": null}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15},
    });
    Script::status(200, &[], &body.to_string())
}

fn with_prompt(mut body: Value) -> Value {
    body["messages"] = json!([
        {"role": "system", "content": PROMPT},
        {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
    ]);
    body["metadata"] = json!({ "note": PROMPT });
    body["user"] = json!(PROMPT);
    body
}

/// Errors of every class, of the caller's and of the provider's making, each with as many canaries as it
/// has room for. Returns the answers.
fn provoke(upstream: &ScriptedUpstream, gateway: &Gateway) -> Vec<Answer> {
    let body = with_prompt(chat("m", (11, 4)));
    let echo = format!(
        "{{\"error\":{{\"message\":\"Incorrect API key: {PROVIDER_KEY}\",\"type\":\"{PROVIDER_KEY}\",\"code\":\"x\"}}}}"
    );
    let mut answers = Vec::new();
    for status in [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503] {
        upstream.on(
            "up-m",
            Script::status(status, &[("x-key", PROVIDER_KEY)], &echo),
        );
        answers.push(gateway.post(CHAT, &body));
    }
    for script in [
        Script::status(200, &[], &echo),
        Script::status(200, &[], &format!("<html>{ANSWER}{PROVIDER_KEY}")),
        Script::invalid_json(),
        Script::truncated_json(),
        Script::reset(),
    ] {
        upstream.on("up-m", script);
        answers.push(gateway.post(CHAT, &body));
    }
    upstream.on("up-m", Script::default());

    let mut mistyped = body.clone();
    mistyped["n"] = json!(PROMPT);
    let mut unknown = body.clone();
    unknown["model"] = json!(PROMPT);
    let mut empty = body.clone();
    empty["messages"] = json!(PROMPT);
    for wrong in [mistyped, unknown, empty, json!(PROMPT)] {
        answers.push(gateway.post(CHAT, &wrong));
    }
    for key in [STRANGER, OTHER_BEARER, ""] {
        answers.push(gateway.send_as(key, "POST", CHAT, Some(&body)));
        answers.push(gateway.send_as(key, "GET", "/api/v1/keys", None));
    }
    for wrong in [
        json!({"name": "x", "role": PROMPT}),
        json!({"name": "x", "max_budget": PROMPT}),
        json!({PROMPT: PROMPT}),
    ] {
        answers.push(gateway.post("/api/v1/keys", &wrong));
    }
    let path = format!("/api/v1/keys/{}", PROMPT.replace(' ', "-"));
    answers.push(gateway.send("DELETE", &path, None));
    answers.push(gateway.get("/api/v1/usage?group_by=canary&cursor=x"));
    answers.push(gateway.get("/nowhere"));
    let bearer = format!("Bearer {}", gateway.key());
    let broken = [("authorization", bearer.as_str()), ("content-length", "x")];
    answers.push(
        exchange(
            gateway.address(),
            &request("POST", CHAT, &broken, Some(&body)),
        )
        .unwrap(),
    );
    answers
}

/// Streams that end well, break off, and are left by the client.
fn stream_all(upstream: &ScriptedUpstream, gateway: &Gateway) {
    let body = with_prompt(stream("s", (5, 3)));
    let event = json!({
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up-s",
        "choices": [{"index": 0, "delta": {"content": ANSWER}, "finish_reason": null, "logprobs": null}],
    });
    let events = vec![format!("data: {event}"), "data: [DONE]".to_owned()];
    upstream.queue("up-s", [Script::events(events)]);
    assert_eq!(gateway.post(CHAT, &body).content(), ANSWER);
    for end in [StreamEnd::Cut, StreamEnd::Reset, StreamEnd::Error] {
        let script = StreamScript {
            end,
            ..StreamScript::default()
        };
        upstream.queue("up-s", [Script::stream(script)]);
        assert!(!gateway.post(CHAT, &body).is_done());
    }
}

/// A stream that never ends, for the process to be killed in.
fn leave_open(upstream: &ScriptedUpstream, gateway: &Gateway) -> Connection {
    let script = StreamScript {
        end: StreamEnd::Never,
        pause: Duration::from_millis(5),
        ..StreamScript::default()
    };
    upstream.queue("up-s", [Script::stream(script)]);
    let bearer = format!("Bearer {}", gateway.key());
    let headers = [("authorization", bearer.as_str())];
    let body = with_prompt(stream("s", (5, 3)));
    let mut connection = Connection::open(gateway.address()).unwrap();
    connection
        .send(&request("POST", CHAT, &headers, Some(&body)))
        .unwrap();
    let begun = connection.read_answer_until(|bytes| bytes.windows(4).any(|some| some == b"more"));
    assert_eq!(begun.unwrap().status, 200);
    connection
}

fn canary_gateway(sink: &ScriptedUpstream, level: &str) -> (ScriptedUpstream, Gateway) {
    let webhook = format!("http://{}/hook", sink.address());
    start_with(GatewaySettings {
        telemetry: format!(
            "otlp_endpoint = \"http://{}\"\n[secrets]\nmaster_key = \"env:CANARY_MASTER_KEY\"\n\
             [audit]\ncheckpoint_file = \"checkpoints\"\n\
             checkpoint_webhook = {{ url = \"{webhook}\", secret = \"env:CANARY_WEBHOOK\" }}\n",
            sink.address()
        ),
        env: [
            ("CANARY_MASTER_KEY", MASTER_KEY),
            ("CANARY_WEBHOOK", WEBHOOK_SECRET),
            ("TOLLGATE__LOG__LEVEL", level),
            ("RUST_BACKTRACE", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        ..GatewaySettings::default()
    })
}

/// Answers, refusals, failures and the administration, each with canaries. Returns a key that was made.
fn use_all(upstream: &ScriptedUpstream, gateway: &Gateway, places: &mut Places) -> String {
    let created = gateway.create_key(&json!({"name": "app"}));
    let made = key_of(&created);
    upstream.queue("up-m", [answer_of(ANSWER)]);
    let answered = gateway.send_as(&made, "POST", CHAT, Some(&with_prompt(chat("m", (11, 4)))));
    assert_eq!(
        (answered.status, answered.content().as_str()),
        (200, ANSWER)
    );
    stream_all(upstream, gateway);
    for answer in provoke(upstream, gateway) {
        assert!(answer.status >= 400, "{}", answer.text());
        // What the caller has sent may come back to the caller; no key may.
        let text = answer.text().replace(PROMPT, "");
        places.add(&format!("the body of a {}", answer.status), text);
    }
    for path in [
        "/api/v1/keys",
        "/api/v1/usage?group_by=key",
        "/health",
        "/v1/models",
    ] {
        places.add(path, gateway.get(path).text());
    }
    let path = format!("/api/v1/keys/{}", created["id"].as_str().unwrap());
    assert!(gateway.send("DELETE", &path, None).status < 300);
    places.add("the metrics", gateway.metrics());
    places.add_files("while it runs", gateway.dir());
    made
}

/// Kills the process within a stream, has it start again, and ends it.
fn crash(upstream: &ScriptedUpstream, gateway: &mut Gateway, places: &mut Places) {
    let open = leave_open(upstream, gateway);
    gateway.kill9();
    drop(open);
    places.add_files("after it was killed", gateway.dir());
    gateway.restart();
    upstream.queue("up-m", [answer_of(ANSWER)]);
    let answered = gateway.post(CHAT, &with_prompt(chat("m", (11, 4))));
    assert_eq!(answered.content(), ANSWER);
    for command in [
        "audit verify",
        "audit export",
        "secrets status",
        "backup --to copy",
    ] {
        let arguments: Vec<_> = command.split(' ').collect();
        let output = gateway.run(&arguments);
        assert!(output.status.success(), "{output:?}");
        places.add(command, [output.stdout, output.stderr].concat());
    }
    gateway.sigterm();
    let status = gateway.wait_for_exit(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0));
    places.add_files("at the end", gateway.dir());
}

fn check_level(level: &str) {
    let sink = ScriptedUpstream::start();
    let (upstream, mut gateway) = canary_gateway(&sink, level);
    let mut places = Places::default();
    let made = use_all(&upstream, &gateway, &mut places);
    crash(&upstream, &mut gateway, &mut places);
    let log = gateway.lines().join("\n");
    let is_deep = log.contains("\"DEBUG\"") || log.contains("\"TRACE\"");
    assert_eq!(is_deep, level == "trace");
    places.add("the log", log);
    let is_trace = |call: &tollgate_testkit::Call| call.path == "/v1/traces";
    let (traces, hooks): (Vec<_>, Vec<_>) = sink.calls().into_iter().partition(is_trace);
    assert!(!traces.is_empty(), "no trace arrived");
    assert!(!hooks.is_empty(), "no checkpoint arrived");
    for call in traces.into_iter().chain(hooks) {
        let headers = format!("{:?}", call.headers).into_bytes();
        places.add(&call.path, [headers, call.body].concat());
    }

    let raw_master_key: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&MASTER_KEY[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    for (name, canary) in [
        ("the owner's key", gateway.key().as_bytes()),
        ("a key that was made", made.as_bytes()),
        ("the secret part of a key", &made.as_bytes()[17..60]),
        ("a stranger's key", STRANGER.as_bytes()),
        ("a bearer", OTHER_BEARER.as_bytes()),
        ("the provider's key", PROVIDER_KEY.as_bytes()),
        ("the master key", MASTER_KEY.as_bytes()),
        ("the master key's bytes", &raw_master_key),
        ("the webhook's secret", &WEBHOOK_SECRET.as_bytes()[6..]),
        ("a prompt", PROMPT.as_bytes()),
        ("an answer", ANSWER.as_bytes()),
    ] {
        assert_eq!(places.find(canary), None, "{name}");
    }
}

#[test]
fn t_canary_prompts_and_secrets_are_nowhere_in_what_the_process_leaves() {
    check_level("info");
}

#[test]
fn t_canary_prompts_and_secrets_are_nowhere_when_everything_is_logged() {
    check_level("trace");
}

#[test]
fn t_canary_the_search_finds_what_is_there() {
    let mut places = Places::default();
    places.add("a file", format!("…{PROMPT}…"));
    assert!(
        places
            .find(PROMPT.as_bytes())
            .unwrap()
            .starts_with("a file")
    );
    assert_eq!(places.find(ANSWER.as_bytes()), None);
}
