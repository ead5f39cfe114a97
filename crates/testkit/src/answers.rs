//! The bytes of a provider's answers, as steps.

use std::time::Duration;

use serde_json::{Value, json};

use crate::script::{Asked, Step, StreamEnd, StreamScript, StreamUsage};

pub(crate) const FOR_EVER: Duration = Duration::from_secs(86_400);
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn usage(prompt_tokens: u64, completion_tokens: u64) -> Value {
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    })
}

pub(crate) fn completion(asked: &Asked, has_usage: bool) -> Value {
    let mut body = json!({
        "id": format!("chatcmpl-{}", asked.number),
        "object": "chat.completion",
        "created": 1_764_000_000,
        "model": asked.model,
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "w ".repeat(usize::try_from(asked.completion_tokens).unwrap_or(0)),
                "refusal": null,
            },
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "x_scripted": {"kept": true},
    });
    if has_usage {
        body["usage"] = usage(asked.prompt_tokens, asked.completion_tokens);
    }
    body
}

pub(crate) fn answer_200(asked: &Asked, body: &[u8], has_usage: bool) -> Vec<Step> {
    let limits = [
        ("x-ratelimit-remaining-requests", "59"),
        ("x-request-id", "scripted"),
    ];
    let mut steps = Vec::new();
    for _ in 0..asked.completion_tokens {
        steps.push(Step::Token);
    }
    if has_usage {
        steps.push(Step::Reported(asked.prompt_tokens, asked.completion_tokens));
    }
    steps.extend(whole(200, "application/json", &limits, body));
    steps
}

/// Vectors of four numbers that are exact in 32 bits, in the encoding that was asked for.
pub(crate) fn embeddings(asked: &Asked) -> Vec<Step> {
    let inputs = asked.body["input"].as_array().map_or(1, Vec::len);
    let is_base64 = asked.body["encoding_format"] == "base64";
    // Little-endian 1.0, 0.5, 0.25 and -1.0.
    let vector = if is_base64 {
        json!("AACAPwAAAD8AAIA+AACAvw==")
    } else {
        json!([1.0, 0.5, 0.25, -1.0])
    };
    let data: Vec<Value> = (0..inputs)
        .map(|index| json!({"object": "embedding", "index": index, "embedding": vector}))
        .collect();
    let body = json!({
        "object": "list",
        "data": data,
        "model": asked.model,
        "usage": {"prompt_tokens": asked.prompt_tokens, "total_tokens": asked.prompt_tokens},
    });
    let mut steps = vec![Step::Reported(asked.prompt_tokens, 0)];
    steps.extend(whole(
        200,
        "application/json",
        &[],
        body.to_string().as_bytes(),
    ));
    steps
}

pub(crate) fn stream_steps(asked: &Asked, script: StreamScript) -> Vec<Step> {
    let count = script.chunks.unwrap_or(asked.completion_tokens);
    let tokens = (asked.prompt_tokens, count);
    let mut steps = vec![Step::Send(stream_head())];
    steps.push(event(&delta(
        asked,
        &json!({"role": "assistant", "content": ""}),
        None,
    )));
    for index in 1..=count {
        let mut body = delta(asked, &json!({"content": format!("w{index} ")}), None);
        let reports = script.usage == StreamUsage::WithLastContent && index == count;
        if reports {
            body["usage"] = usage(tokens.0, tokens.1);
            steps.push(Step::Reported(tokens.0, tokens.1));
        }
        steps.extend([Step::Wait(script.pause), Step::Token, event(&body)]);
    }
    steps.extend(stream_end(asked, script, tokens));
    steps
}

fn stream_end(asked: &Asked, script: StreamScript, tokens: (u64, u64)) -> Vec<Step> {
    let mut steps = Vec::new();
    match script.end {
        StreamEnd::Cut => return vec![Step::Close],
        StreamEnd::Reset => return vec![Step::Reset],
        StreamEnd::Hang => return vec![Step::Wait(FOR_EVER)],
        StreamEnd::Never => {
            let more = event(&delta(asked, &json!({"content": "more "}), None));
            return vec![Step::Forever(vec![
                Step::Wait(script.pause),
                Step::Token,
                more,
            ])];
        }
        StreamEnd::Error => {
            let error = json!({"error": {
                "message": "scripted failure inside the stream",
                "type": "server_error", "param": null, "code": "scripted_stream_error",
            }});
            return vec![event(&error), Step::Send(LAST_CHUNK.to_vec())];
        }
        StreamEnd::Done | StreamEnd::WithoutDone => {}
    }
    steps.push(event(&delta(asked, &json!({}), Some("stop"))));
    let reports: &[u64] = match script.usage {
        StreamUsage::IfAsked if asked.wants_usage => &[1],
        StreamUsage::Twice => &[2, 1],
        StreamUsage::IfAsked | StreamUsage::Missing | StreamUsage::WithLastContent => &[],
    };
    for part in reports {
        let mut body = delta(asked, &json!({}), None);
        body["choices"] = json!([]);
        body["usage"] = usage(tokens.0, tokens.1 / part);
        steps.extend([Step::Reported(tokens.0, tokens.1 / part), event(&body)]);
    }
    if script.end == StreamEnd::Done {
        steps.push(Step::Send(chunk(b"data: [DONE]\n\n")));
    }
    steps.push(Step::Send(LAST_CHUNK.to_vec()));
    steps
}

fn delta(asked: &Asked, delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": format!("chatcmpl-{}", asked.number),
        "object": "chat.completion.chunk",
        "created": 1_764_000_000,
        "model": asked.model,
        "choices": [{
            "index": 0,
            "delta": delta,
            "logprobs": null,
            "finish_reason": finish_reason,
        }],
    })
}

fn event(body: &Value) -> Step {
    Step::Send(chunk(format!("data: {body}\n\n").as_bytes()))
}

/// Frames bytes as one chunk of a chunked body.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    framed
}

pub(crate) fn stream_head() -> Vec<u8> {
    head(200, "text/event-stream", &[], None)
}

pub(crate) fn whole(
    status: u16,
    content_type: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<Step> {
    let mut bytes = head(status, content_type, headers, Some(body.len()));
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes)]
}

/// A head; without a length the body is chunked.
pub(crate) fn head(
    status: u16,
    content_type: &str,
    headers: &[(&str, &str)],
    length: Option<usize>,
) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\ncontent-type: {content_type}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &match length {
        Some(length) => format!("content-length: {length}\r\n\r\n"),
        None => "transfer-encoding: chunked\r\n\r\n".to_owned(),
    };
    text.into_bytes()
}
