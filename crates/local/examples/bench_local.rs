//! Prints how quickly a model loads, reads and writes on this machine, and what memory it takes.
//!
//! `cargo run --release -p tollgate-local --example bench_local -- [FILE [THREADS]]`

#![expect(clippy::print_stdout, reason = "it is there to print")]

use std::error::Error;
use std::fs;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tollgate_local::{LocalConfig, LocalModel};
use tollgate_providers::{AnswerBody, Endpoint, Health, Upstream, UpstreamRequest};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/SmolLM2-135M-Instruct.Q4_1.gguf"
);

/// When the first text came, when the last, and how many tokens there were.
struct Timing {
    first: Duration,
    last: Duration,
    prompt_tokens: u64,
    completion_tokens: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut config = LocalConfig::new(args.next().unwrap_or_else(|| FILE.to_owned()), "bench");
    config.threads = args.next().map_or(Ok(0), |threads| threads.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;

    let model = LocalModel::new(config);
    let started = Instant::now();
    model.load_in_background();
    loop {
        match model.health() {
            Health::Ready => break,
            Health::Failed { advice } => return Err(advice.into()),
            Health::Starting => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    println!(
        "load               {:>8.0} ms",
        started.elapsed().as_secs_f64() * 1e3
    );
    println!("memory, loaded     {:>8} MiB", resident_mib());

    for words in [1, 60, 200, 700] {
        let timing = runtime.block_on(answer(&model, words, 1))?;
        println!(
            "prompt of {:>5}    {:>8.1} tokens/s",
            timing.prompt_tokens,
            rate(timing.prompt_tokens, timing.first)
        );
    }
    for words in [1, 200] {
        let timing = runtime.block_on(answer(&model, words, 128))?;
        println!(
            "answer after {:>5} {:>8.1} tokens/s",
            timing.prompt_tokens,
            rate(timing.completion_tokens - 1, timing.last - timing.first)
        );
    }
    println!("memory, at the end {:>8} MiB", resident_mib());
    Ok(())
}

async fn answer(
    model: &LocalModel,
    words: usize,
    output_tokens: u32,
) -> Result<Timing, Box<dyn Error>> {
    let body = json!({
        "messages": [{ "role": "user", "content": "Tell a long story. ".repeat(words) }],
        "stream_options": { "include_usage": true },
        "max_tokens": output_tokens,
        "seed": 1,
    });
    let started = Instant::now();
    let request = UpstreamRequest {
        endpoint: Endpoint::ChatCompletions,
        body: body.to_string().into(),
        is_stream: true,
        trace_parent: None,
        deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(600),
    };
    let AnswerBody::Stream(stream) = model.call(request).await?.body else {
        return Err("the request was refused".into());
    };
    let mut stream = pin!(stream);
    let (mut first, mut last, mut usage) = (None, started.elapsed(), Value::Null);
    while let Some(events) = stream.next().await {
        let events = events?;
        for event in std::str::from_utf8(&events)?.split("\n\n") {
            let Some(chunk) = event.strip_prefix("data: {") else {
                continue;
            };
            let chunk: Value = serde_json::from_str(&format!("{{{chunk}"))?;
            if chunk["choices"][0]["delta"]["content"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
            {
                last = started.elapsed();
                first.get_or_insert(last);
            }
            usage = chunk["usage"].clone();
        }
    }
    Ok(Timing {
        first: first.unwrap_or(last),
        last,
        prompt_tokens: usage["prompt_tokens"].as_u64().unwrap_or(0),
        completion_tokens: usage["completion_tokens"].as_u64().unwrap_or(0),
    })
}

fn rate(tokens: u64, time: Duration) -> f64 {
    f64::from(u32::try_from(tokens).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

/// The memory of this process, as Linux tells it; 0 elsewhere.
fn resident_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map_or(0, |kib| kib / 1_024)
}
