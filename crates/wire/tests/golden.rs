//! Requests, answers, streams and errors as providers publish them: what is read of each, and that
//! what is forwarded still reads as the official types.

use std::fmt::Debug;

use async_openai::types::chat::{
    CreateChatCompletionRequest, CreateChatCompletionResponse, CreateChatCompletionStreamResponse,
};
use async_openai::types::embeddings::CreateEmbeddingResponse;
use bytes::Bytes;
use tollgate_wire::{
    ChatEdits, ChatEnvelope, JsonLimits, StreamDecoder, StreamEnd, is_context_overflow,
    read_answer, read_error,
};

fn read(path: &str) -> std::io::Result<Bytes> {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    std::fs::read(format!("{golden}/{path}")).map(Bytes::from)
}

fn snapshot(name: &str, told: impl Debug) {
    let settings = insta::Settings::clone_current();
    settings.bind(|| insta::assert_debug_snapshot!(name, told));
}

#[test]
fn requests() {
    for name in ["tools", "images", "structured", "audio"] {
        let body = read(&format!("requests/{name}.json")).unwrap();
        let chat = ChatEnvelope::parse(&body, &JsonLimits::default()).unwrap();
        let edits = ChatEdits {
            model: "upstream-model",
            ask_usage: true,
            output_tokens_max: Some(64),
        };
        let upstream = chat.upstream_body(&body, &edits);
        let request: CreateChatCompletionRequest = serde_json::from_slice(&upstream).unwrap();
        assert_eq!(request.model, "upstream-model");
        let asks = request
            .stream_options
            .is_some_and(|o| o.include_usage == Some(true));
        assert_eq!(asks, chat.is_stream(), "{name}");

        // The edited lines alone: all others are the client's own.
        let lines = |body: &Bytes| -> Vec<String> {
            String::from_utf8_lossy(body)
                .lines()
                .map(ToOwned::to_owned)
                .collect()
        };
        let (before, after) = (lines(&body), lines(&upstream));
        let changed: Vec<_> = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after)
            .collect();
        assert_eq!(before.len(), after.len());
        snapshot(
            &format!("request_{name}"),
            (
                chat.model(),
                (
                    chat.is_stream(),
                    chat.wants_usage(),
                    chat.choices(),
                    chat.output_tokens_max(),
                ),
                (chat.prompt_tokens_bound(), chat.prompt_tokens_estimate()),
                changed,
            ),
        );
    }
}

#[test]
fn answers() {
    for name in [
        "plain",
        "reasoning_cached",
        "audio",
        "tool_calls",
        "refusal",
        "vllm",
        "llama_cpp",
        "gemini_thinking",
    ] {
        let body = read(&format!("answers/{name}.json")).unwrap();
        let facts = read_answer(&body).unwrap();
        let typed: CreateChatCompletionResponse = serde_json::from_slice(&body).unwrap();
        let usage = typed.usage.unwrap();
        let told = facts.usage.unwrap();
        assert_eq!(
            told.prompt_tokens(),
            u64::from(usage.prompt_tokens),
            "{name}"
        );
        assert_eq!(told.total_tokens(), u64::from(usage.total_tokens), "{name}");
        snapshot(&format!("answer_{name}"), facts);
    }
    let body = read("answers/embeddings.json").unwrap();
    let typed: CreateEmbeddingResponse = serde_json::from_slice(&body).unwrap();
    let usage = read_answer(&body).unwrap().usage.unwrap();
    assert_eq!(usage.total_tokens(), u64::from(typed.usage.total_tokens));
    assert_eq!(usage.input, 8);
}

#[test]
fn streams() {
    for name in [
        "openai_usage",
        "openai_plain",
        "openai_tools",
        "azure",
        "vllm_reasoning",
        "llama_cpp",
        "openrouter",
        "openrouter_error",
        "gemini",
        "deepseek_cut",
    ] {
        let stream = read(&format!("streams/{name}.sse")).unwrap();
        let mut decoder = StreamDecoder::new(true);
        let mut forwarded = Vec::new();
        for chunk in stream.chunks(100) {
            forwarded.extend(decoder.push(Bytes::copy_from_slice(chunk)).unwrap());
        }
        let end = decoder.end();
        let forwarded = String::from_utf8(forwarded).unwrap();
        let data: Vec<_> = forwarded
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        for data in &data {
            // The official types do not know an error within a stream, nor Azure's empty chunk.
            if !decoder.error_seen() {
                let typed = serde_json::from_str::<CreateChatCompletionStreamResponse>(data);
                assert!(typed.is_ok(), "{name}: {data}: {typed:?}");
            }
        }
        assert_eq!(end == StreamEnd::Complete, decoder.is_done(), "{name}");
        snapshot(
            &format!("stream_{name}"),
            (
                (end, decoder.error_seen(), decoder.finished_choices()),
                (decoder.usage(), decoder.answer_bytes()),
                (stream.len() - forwarded.len(), data.len()),
            ),
        );
    }
}

#[test]
fn errors() {
    for name in [
        "openai.json",
        "azure_filter.json",
        "openrouter.json",
        "vllm.json",
        "llama_cpp.json",
        "gemini.json",
        "mistral.json",
        "ollama.json",
        "fastapi.json",
        "nginx.html",
    ] {
        let facts = read_error(&read(&format!("errors/{name}")).unwrap());
        let is_overflow = facts.as_ref().is_some_and(is_context_overflow);
        snapshot(&format!("error_{name}"), (facts, is_overflow));
    }
}
