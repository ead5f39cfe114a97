//! Errors as providers send them.

use serde_json::{Map, Value};

/// Longer bodies are not errors but something else.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How many characters of a provider's message are kept, and of its other words.
const MESSAGE_CHARS_MAX: usize = 2_000;
const WORD_CHARS_MAX: usize = 200;

/// What a provider says went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamErrorFacts {
    /// Its words, up to 2,000 characters.
    pub message: String,
    /// Its class of the error.
    pub kind: Option<String>,
    /// The field that it finds at fault.
    pub param: Option<String>,
    /// Its code, as text where it is a number.
    pub code: Option<String>,
}

/// Reads the body of a provider's error; `None` when it is none of the shapes that providers use.
///
/// Known are OpenAI's `{"error":{…}}`, also with a number for a code (`OpenRouter`) or within an array
/// (Gemini), `{"error":"…"}` (Ollama), `{"message":"…"}` (vLLM), `{"detail":…}` (`FastAPI`) and the latter
/// within a `message` (Mistral).
#[must_use]
pub fn read_error(body: &[u8]) -> Option<UpstreamErrorFacts> {
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let whole = match &body {
        Value::Array(list) => list.first()?,
        other => other,
    };
    let whole = whole.as_object()?;
    match whole.get("error") {
        Some(Value::Object(error)) => facts(error),
        Some(Value::String(message)) => Some(said(message)),
        _ => facts(whole).or_else(|| detail(whole.get("detail")?)),
    }
}

/// Returns whether the prompt and the answer are longer than what the model takes, so that another
/// model may take them.
#[must_use]
pub fn is_context_overflow(facts: &UpstreamErrorFacts) -> bool {
    const CODES: [&str; 3] = [
        "context_length_exceeded",
        "exceed_context_size_error",
        "context_window_exceeded",
    ];
    // OpenAI and vLLM, Mistral, SGLang, llama.cpp, xAI, Anthropic, Bedrock, Gemini, TGI, Groq.
    const SAYINGS: [&str; 11] = [
        "maximum context length",
        "maximum model length",
        "model's context length",
        "context window",
        "available context size",
        "maximum prompt length",
        "prompt is too long",
        "input is too long",
        "input token count",
        "`inputs` tokens + `max_new_tokens`",
        "reduce the length of the messages",
    ];
    let is_code = |word: &Option<String>| word.as_deref().is_some_and(|word| CODES.contains(&word));
    let message = facts.message.to_lowercase();
    is_code(&facts.code)
        || is_code(&facts.kind)
        || SAYINGS.iter().any(|saying| message.contains(saying))
}

fn facts(error: &Map<String, Value>) -> Option<UpstreamErrorFacts> {
    let word = |name: &str| match error.get(name)? {
        Value::String(word) if !word.is_empty() => Some(bounded(word, WORD_CHARS_MAX)),
        Value::Number(number) if name == "code" => Some(number.to_string()),
        _ => None,
    };
    let said = match error.get("message")? {
        Value::String(message) => said(message),
        other => detail(other.get("detail")?)?,
    };
    Some(UpstreamErrorFacts {
        kind: word("type").or_else(|| word("status")).or(said.kind),
        param: word("param").or(said.param),
        code: word("code"),
        ..said
    })
}

/// Reads a text, or the first of `FastAPI`'s `[{"loc":["body","n"],"msg":"…","type":"…"}]`.
fn detail(detail: &Value) -> Option<UpstreamErrorFacts> {
    if let Value::String(message) = detail {
        return Some(said(message));
    }
    let first = detail.get(0)?;
    let places = first
        .get("loc")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let place: Vec<_> = places.filter_map(Value::as_str).collect();
    let text = |name: &str| first.get(name).and_then(Value::as_str);
    Some(UpstreamErrorFacts {
        kind: text("type").map(|kind| bounded(kind, WORD_CHARS_MAX)),
        param: Some(bounded(&place.join("."), WORD_CHARS_MAX)).filter(|param| !param.is_empty()),
        ..said(text("msg")?)
    })
}

fn said(message: &str) -> UpstreamErrorFacts {
    let message = bounded(message, MESSAGE_CHARS_MAX);
    UpstreamErrorFacts {
        message,
        kind: None,
        param: None,
        code: None,
    }
}

fn bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, message: &str, [kind, param, code]: [&str; 3]) {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let expected = UpstreamErrorFacts {
            message: message.to_owned(),
            kind: some(kind),
            param: some(param),
            code: some(code),
        };
        assert_eq!(read_error(body.as_bytes()), Some(expected), "{body}");
    }

    #[test]
    fn every_shape_that_providers_use_is_read() {
        check(
            r#"{"error":{"message":"no","type":"invalid_request_error","param":"n","code":"bad"}}"#,
            "no",
            ["invalid_request_error", "n", "bad"],
        );
        check(
            r#"{"error":{"message":"no","code":429,"metadata":{}}}"#,
            "no",
            ["", "", "429"],
        );
        check(
            r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#,
            "no",
            ["INVALID_ARGUMENT", "", "400"],
        );
        check(r#"{"error":"model not found"}"#, "model not found", [""; 3]);
        check(
            r#"{"object":"error","message":"no","type":"BadRequestError","param":null,"code":400}"#,
            "no",
            ["BadRequestError", "", "400"],
        );
        check(
            r#"{"detail":"Not authenticated"}"#,
            "Not authenticated",
            [""; 3],
        );
        check(
            r#"{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing"}]}"#,
            "field required",
            ["missing", "body.messages", ""],
        );
    }

    #[test]
    fn what_is_no_error_is_none() {
        for body in [
            "",
            "<html><h1>502 Bad Gateway</h1></html>",
            "upstream connect error",
            "{}",
            "[]",
            "null",
            r#"{"error":null}"#,
            r#"{"error":{"message":5}}"#,
            r#"{"detail":[]}"#,
        ] {
            assert_eq!(read_error(body.as_bytes()), None, "{body}");
        }
        let long = format!("{{\"error\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
        assert_eq!(read_error(long.as_bytes()), None);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let body = format!("{{\"error\":\"{}\"}}", "é".repeat(5_000));
        let facts = read_error(body.as_bytes()).unwrap();
        assert_eq!(facts.message, "é".repeat(MESSAGE_CHARS_MAX) + "…");
    }

    #[test]
    fn a_context_overflow_is_known_by_its_code_or_its_words() {
        let check = |message: &str, code: Option<&str>, expected: bool| {
            let facts = UpstreamErrorFacts {
                code: code.map(str::to_owned),
                ..said(message)
            };
            assert_eq!(is_context_overflow(&facts), expected, "{message}");
        };
        check("too long", Some("context_length_exceeded"), true);
        check(
            "This model's maximum context length is 8192 tokens.",
            None,
            true,
        );
        check(
            "The input (9 tokens) is longer than the model's context length (8 tokens).",
            None,
            true,
        );
        check(
            "the request exceeds the available context size, try increasing it",
            None,
            true,
        );
        check(
            "prompt is too long: 210000 tokens > 200000 maximum",
            None,
            true,
        );
        check(
            "The input token count (9) exceeds the maximum number of tokens allowed",
            None,
            true,
        );
        check(
            "Please reduce the length of the messages or completion.",
            None,
            true,
        );
        check(
            "Too many tokens per minute",
            Some("rate_limit_exceeded"),
            false,
        );
        check("max_tokens is too large", Some("invalid_value"), false);
    }
}
