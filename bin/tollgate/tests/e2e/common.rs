//! What the tests have in common.

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, GatewaySettings, ScriptedUpstream, prompt};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

/// Starts a gateway before a scripted upstream; its models `m` and `s` are the upstream's `up-m` and
/// `up-s`.
pub(crate) fn start() -> (ScriptedUpstream, Gateway) {
    start_with(GatewaySettings::default())
}

/// As [`start`], with further settings.
pub(crate) fn start_with(settings: GatewaySettings) -> (ScriptedUpstream, Gateway) {
    let upstream = ScriptedUpstream::start();
    let settings = settings
        .provider("scripted", &upstream.base_url(), "")
        .model("m", &["scripted/up-m"])
        .model("s", &["scripted/up-s"]);
    let gateway = Gateway::start(BINARY, &settings);
    (upstream, gateway)
}

/// A chat request of a model whose upstream reports these tokens.
pub(crate) fn chat(model: &str, tokens: (u64, u64)) -> Value {
    json!({
        "model": model,
        "messages": [{"role": "user", "content": prompt(tokens.0, tokens.1)}],
    })
}

/// As [`chat`], streamed.
pub(crate) fn stream(model: &str, tokens: (u64, u64)) -> Value {
    let mut body = chat(model, tokens);
    body["stream"] = json!(true);
    body
}

/// A figure of a JSON object.
pub(crate) fn number(row: &Value, name: &str) -> u64 {
    row[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {row}"))
}

/// The sum of a figure over rows.
pub(crate) fn sum(rows: &[Value], name: &str) -> u64 {
    rows.iter().map(|row| number(row, name)).sum()
}

/// The text of a key that was just made.
pub(crate) fn key_of(created: &Value) -> String {
    created["key"]
        .as_str()
        .unwrap_or_else(|| panic!("no key in {created}"))
        .to_owned()
}
