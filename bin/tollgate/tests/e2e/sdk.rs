//! The official OpenAI SDKs against the gateway; what they check is in `tests/sdk/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tollgate_testkit::{
    Gateway, GatewaySettings, Script, ScriptedUpstream, StreamEnd, StreamScript,
};

use crate::common::BINARY;

const CASES: [(&str, &str); 3] = [
    ("400", "fail-400"),
    ("404", "fail-404"),
    ("422", "fail-422"),
];

fn tools() -> Value {
    json!([{"type": "function", "function": {
        "name": "weather",
        "description": "The weather somewhere",
        "strict": true,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": false,
        },
    }}])
}

fn message(message: &Value, finish_reason: &str) -> Script {
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "x",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    });
    Script::status(200, &[], &answer.to_string())
}

fn streamed_tools() -> Script {
    let chunk = |delta: Value, finish_reason: Option<&str>| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "x",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        });
        format!("data: {chunk}")
    };
    let arguments =
        |text: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]});
    let call = json!({"role": "assistant", "content": null, "tool_calls": [{
        "index": 0, "id": "call_1", "type": "function",
        "function": {"name": "weather", "arguments": ""},
    }]});
    Script::events(vec![
        chunk(call, None),
        chunk(arguments("{\"city\""), None),
        chunk(arguments(":\"Zürich\"}"), None),
        chunk(json!({}), Some("tool_calls")),
        "data: [DONE]".to_owned(),
    ])
}

fn start_scripted() -> (ScriptedUpstream, Gateway) {
    let upstream = ScriptedUpstream::start();
    let call = json!({"id": "call_1", "type": "function", "function": {
        "name": "weather", "arguments": "{\"city\":\"Zürich\"}",
    }});
    let calling = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let content = json!({"city": "Zürich", "population": 450_000}).to_string();
    let cut = StreamScript {
        end: StreamEnd::Cut,
        ..StreamScript::default()
    };
    let scripts = [
        ("m", Script::default()),
        ("tools", message(&calling, "tool_calls")),
        ("streamed-tools", streamed_tools()),
        (
            "structured",
            message(&json!({"role": "assistant", "content": content}), "stop"),
        ),
        ("cut", Script::stream(cut)),
        ("hang", Script::hang()),
        ("fail-401", Script::error(401, &[])),
        ("fail-429", Script::error(429, &[("retry-after", "30")])),
        ("fail-500", Script::error(500, &[])),
    ];
    let timeouts = "first_byte_timeout_ms = 700\ntotal_timeout_ms = 5000";
    let mut settings =
        GatewaySettings::default().provider("scripted", &upstream.base_url(), timeouts);
    let refusals = CASES.map(|(status, name)| (name, Script::error(status.parse().unwrap(), &[])));
    for (name, script) in scripts.into_iter().chain(refusals) {
        upstream.on(&format!("up-{name}"), script);
        settings = settings.model(name, &[&format!("scripted/up-{name}")]);
    }
    let gateway = Gateway::start(BINARY, &settings);
    (upstream, gateway)
}

/// What the scripts are told of the gateway.
fn told(gateway: &Gateway) -> String {
    let key = |fields: Value| gateway.create_key(&fields)["key"].clone();
    json!({
        "base_url": format!("{}/v1", gateway.url()),
        "tools": tools(),
        "keys": {
            "owner": gateway.key(),
            "limited": key(json!({"name": "limited", "models": ["m"]})),
            "poor": key(json!({
                "name": "poor", "max_budget": "0.000001", "budget_duration": "30d",
            })),
            "slow": key(json!({"name": "slow", "rpm_limit": 1})),
        },
    })
    .to_string()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk")
}

/// Makes a folder for an SDK once per set of versions, and returns it.
fn install(lock: &str, commands: impl Fn(&Path) -> Vec<Command>) -> PathBuf {
    let wanted = std::fs::read_to_string(sources().join(lock)).unwrap();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("../e2e")
        .join(lock);
    std::fs::create_dir_all(&dir).unwrap();
    let installed = dir.join("installed");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return dir;
    }
    for mut command in commands(&dir) {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(
            output.status.success(),
            "{command:?}: {output:?}; `make test` installs what it needs"
        );
    }
    std::fs::write(installed, wanted).unwrap();
    dir
}

/// Runs a script, which must succeed, and looks at what reached the provider.
fn run(mut script: Command) {
    let (upstream, gateway) = start_scripted();
    let output = script.env("TOLLGATE_E2E", told(&gateway)).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let body = |model: &str| upstream.calls_of(model)[0].json();
    assert_eq!(body("up-tools")["tools"], tools());
    assert_eq!(body("up-streamed-tools")["tools"], tools());
    assert_eq!(body("up-m")["x_unknown"], json!({"deep": [1, "é"]}));
    assert_eq!(body("up-m")["temperature"], json!(0.25));
    let format = &body("up-structured")["response_format"];
    assert_eq!(
        format["json_schema"]["schema"]["required"],
        json!(["city", "population"])
    );
    let embeddings = upstream
        .calls()
        .into_iter()
        .find(|call| call.path == "/v1/embeddings");
    assert_eq!(embeddings.unwrap().json()["encoding_format"], "base64");
}

#[test]
fn the_python_sdk_works_and_gets_its_own_errors() {
    let lock = "requirements.txt";
    let dir = install(lock, |dir| {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(dir.join("venv"));
        let mut pip = Command::new(dir.join("venv/bin/pip"));
        pip.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--requirement",
        ]);
        pip.arg(sources().join(lock));
        vec![venv, pip]
    });
    let mut script = Command::new(dir.join("venv/bin/python"));
    script.arg(sources().join("test_openai.py"));
    run(script);
}

#[test]
fn the_javascript_sdk_works_and_gets_its_own_errors() {
    let lock = "package.json";
    let dir = install(lock, |dir| {
        std::fs::copy(sources().join(lock), dir.join(lock)).unwrap();
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
        ]);
        npm.current_dir(dir);
        vec![npm]
    });
    // Modules are looked up beside the script.
    std::fs::copy(
        sources().join("test_openai.mjs"),
        dir.join("test_openai.mjs"),
    )
    .unwrap();
    let mut script = Command::new("node");
    script.arg(dir.join("test_openai.mjs"));
    run(script);
}
