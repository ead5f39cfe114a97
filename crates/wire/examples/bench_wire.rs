//! Prints what reading requests, answers and streams costs, in nanoseconds each.
#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tollgate_wire::{ChatEdits, ChatEnvelope, JsonLimits, StreamDecoder, read_answer};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(40);

/// Runs an operation for a while, several times over, and prints the best and the median round.
fn bench<T>(name: &str, bytes: usize, mut run: impl FnMut() -> T) {
    let batch = if bytes > 100_000 { 1 } else { 64 };
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            let mut count = 0_u128;
            while began.elapsed() < ROUND {
                for _ in 0..batch {
                    black_box(run());
                }
                count += batch;
            }
            began.elapsed().as_nanos() / count
        })
        .collect();
    rounds.sort_unstable();
    let (best, median) = (rounds.first().copied(), rounds.get(ROUNDS / 2).copied());
    let (best, median) = (best.unwrap_or_default(), median.unwrap_or_default());
    println!("{name:<44} {bytes:>8} B {best:>8} ns best {median:>8} ns median");
}

/// A request of about so many bytes.
fn request(bytes: usize, is_stream: bool) -> Bytes {
    let sentence = "The quick brown fox jumps over the lazy dog.\n";
    let turn = |at: usize| {
        let role = if at.is_multiple_of(2) {
            "user"
        } else {
            "assistant"
        };
        json!({"role": role, "content": sentence.repeat(bytes.div_ceil(5 * sentence.len()))})
    };
    let messages: Vec<_> = (0..4).map(turn).collect();
    json!({
        "model": "gpt-4o-mini", "messages": messages, "temperature": 0.7, "top_p": 1,
        "stream": is_stream, "user": "user-1234",
    })
    .to_string()
    .into()
}

fn answer() -> Bytes {
    let details = json!({"cached_tokens": 0, "audio_tokens": 0});
    json!({
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion",
        "created": 1_741_569_952, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "word ".repeat(120), "refusal": null},
            "logprobs": null, "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": 120, "completion_tokens": 120, "total_tokens": 240,
            "prompt_tokens_details": details,
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default", "system_fingerprint": "fp_44709d6fcb",
    })
    .to_string()
    .into()
}

fn event(choices: &str, usage: &str) -> Bytes {
    format!(
        "data: {{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion.chunk\",\
         \"created\":1741569952,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\
         \"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n"
    )
    .into()
}

fn bench_events(name: &str, events: &[Bytes]) {
    let bytes = events.iter().map(Bytes::len).sum();
    let mut decoder = StreamDecoder::new(true);
    bench(name, bytes, || {
        for event in events {
            black_box(decoder.push(event.clone())).ok();
        }
    });
}

fn main() {
    let limits = JsonLimits::default();
    for bytes in [640, 8_000, 1_000_000] {
        let body = request(bytes, true);
        bench("chat request, read", body.len(), || {
            ChatEnvelope::parse(&body, &limits)
        });
    }
    let keys: Vec<_> = (0..500_000_u64)
        .map(|key| format!("\"key_{:x}\":0", key * 2_654_435_761_u64 % 4_294_967_291))
        .collect();
    let body = Bytes::from(format!("{{{}}}", keys.join(",")));
    bench("hostile request, 500,000 keys", body.len(), || {
        ChatEnvelope::parse(&body, &limits)
    });
    let body = request(640, true);
    if let Ok(chat) = ChatEnvelope::parse(&body, &limits) {
        let edits = ChatEdits {
            model: "gpt-4o-mini-2024",
            ask_usage: true,
            output_tokens_max: Some(256),
        };
        bench("chat request, three edits", body.len(), || {
            chat.upstream_body(&body, &edits)
        });
        let none = ChatEdits {
            model: "gpt-4o-mini",
            ask_usage: false,
            output_tokens_max: None,
        };
        bench("chat request, no edit", body.len(), || {
            chat.upstream_body(&body, &none)
        });
    }

    let body = answer();
    bench("answer, read", body.len(), || read_answer(&body));

    let text = event(
        "{\"index\":0,\"delta\":{\"content\":\" lazy\"},\"logprobs\":null,\"finish_reason\":null}",
        "null",
    );
    let first = "{\"delta\":{\"content\":\" lazy\"},\"index\":0,\"finish_reason\":null}";
    let usage = event(
        "",
        "{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}",
    );
    bench_events("stream, one chunk of text", std::slice::from_ref(&text));
    bench_events(
        "stream, one chunk with its index last",
        &[event(first, "null")],
    );
    bench_events("stream, one chunk of usage", std::slice::from_ref(&usage));
    let halves = [text.slice(..100), text.slice(100..)];
    bench_events("stream, one chunk in two pieces", &halves);
    let together = Bytes::from(text.repeat(50));
    bench_events("stream, fifty chunks in one piece", &[together]);
}
