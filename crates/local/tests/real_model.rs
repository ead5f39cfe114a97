//! Against the real model, which is fetched when it is not there.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot be set up fails its test"
)]

mod fetched;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tollgate_local::{LocalConfig, LocalModel};
use tollgate_providers::{
    AnswerBody, AnswerHeader, ByteStream, Endpoint, Health, Upstream, UpstreamAnswer,
    UpstreamError, UpstreamRequest,
};

use self::fetched::model_path;

/// One model for all tests of this process: loading takes longer than most answers.
fn model() -> &'static LocalModel {
    static MODEL: OnceLock<LocalModel> = OnceLock::new();
    MODEL.get_or_init(|| LocalModel::new(LocalConfig::new(model_path(), "smollm2-135m")))
}

fn request(is_stream: bool, body: &Value) -> UpstreamRequest {
    UpstreamRequest {
        endpoint: Endpoint::ChatCompletions,
        body: body.to_string().into(),
        is_stream,
        trace_parent: None,
        deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(600),
    }
}

/// A request with one message, and these fields.
fn asking(message: &str, fields: &Value) -> Value {
    let mut body = json!({ "messages": [{ "role": "user", "content": message }] });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn whole(model: &LocalModel, body: &Value) -> (u16, Value) {
    let answer = model.call(request(false, body)).await.unwrap();
    let kind = answer.headers.get(AnswerHeader::ContentType);
    assert_eq!(kind.unwrap(), b"application/json");
    let AnswerBody::Whole(body) = answer.body else {
        panic!("no stream was asked for");
    };
    (
        answer.status.as_u16(),
        serde_json::from_slice(&body).unwrap(),
    )
}

async fn started(model: &LocalModel, body: &Value) -> ByteStream {
    let UpstreamAnswer { headers, body, .. } = model.call(request(true, body)).await.unwrap();
    let kind = headers.get(AnswerHeader::ContentType);
    assert_eq!(kind.unwrap(), b"text/event-stream");
    let AnswerBody::Stream(stream) = body else {
        panic!("a stream was asked for");
    };
    stream
}

/// Returns the chunks of a streamed answer, which must end as it should.
async fn streamed(model: &LocalModel, body: &Value) -> Vec<Value> {
    let mut stream = started(model, body).await;
    let mut text = String::new();
    while let Some(bytes) = stream.next().await {
        text.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
    }
    let events = text
        .strip_suffix("data: [DONE]\n\n")
        .expect("a stream ends with [DONE]");
    events
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

fn text_of(chunks: &[Value]) -> String {
    chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect()
}

#[tokio::test]
async fn the_capital_of_france_is_paris() {
    let body = asking(
        "What is the capital of France?",
        &json!({ "temperature": 0 }),
    );
    let (status, answer) = whole(model(), &body).await;
    assert_eq!(status, 200);
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("Paris"), "{text}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "smollm2-135m");
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(
        answer["system_fingerprint"]
            .as_str()
            .unwrap()
            .starts_with("fp_")
    );
    assert!(answer["created"].as_u64().unwrap() > 1_700_000_000);
    // What the makers' own tokenizer counts for this conversation.
    assert_eq!(answer["usage"]["prompt_tokens"], 37);
    let completion = answer["usage"]["completion_tokens"].as_u64().unwrap();
    assert_eq!(answer["usage"]["total_tokens"], 37 + completion);

    let (_, again) = whole(model(), &body).await;
    assert_eq!(
        again["choices"], answer["choices"],
        "temperature 0 repeats itself"
    );
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let fields = json!({ "seed": 11, "temperature": 1.0, "top_p": 1.0, "max_tokens": 40 });
    let body = asking("Write a line with the € sign and an emoji.", &fields);
    let (_, answer) = whole(model(), &body).await;

    let mut body = body;
    body["stream_options"] = json!({ "include_usage": true });
    let chunks = streamed(model(), &body).await;
    assert_eq!(
        text_of(&chunks),
        answer["choices"][0]["message"]["content"].as_str().unwrap()
    );

    let (usage, chunks) = chunks.split_last().unwrap();
    assert_eq!(
        (&usage["usage"], &usage["choices"]),
        (&answer["usage"], &json!([]))
    );
    let (last, rest) = chunks.split_last().unwrap();
    assert_eq!(
        last["choices"][0]["finish_reason"],
        answer["choices"][0]["finish_reason"]
    );
    assert_eq!(last["choices"][0]["delta"], json!({}));
    assert_eq!(
        rest[0]["choices"][0]["delta"],
        json!({ "role": "assistant", "content": "" })
    );
    for chunk in rest {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(
            (&chunk["id"], &chunk["created"]),
            (&last["id"], &last["created"])
        );
        assert_eq!(chunk.get("usage"), Some(&Value::Null));
        assert!(chunk["choices"][0]["finish_reason"].is_null());
    }
}

#[tokio::test]
async fn another_seed_gives_another_answer() {
    let answer = async |seed: u32| {
        let fields = json!({ "seed": seed, "temperature": 1.5, "top_p": 1.0, "max_tokens": 16 });
        let chunks = streamed(model(), &asking("Invent a name for a cat.", &fields)).await;
        assert!(
            chunks.iter().all(|chunk| chunk.get("usage").is_none()),
            "nobody asked for usage"
        );
        text_of(&chunks)
    };
    assert_eq!(answer(1).await, answer(1).await);
    assert_ne!(answer(1).await, answer(2).await);
}

#[tokio::test]
async fn an_answer_ends_where_it_is_told_to() {
    let count = "Count from 1 to 9, with commas.";
    let (_, free) = whole(model(), &asking(count, &json!({ "temperature": 0 }))).await;
    let text = free["choices"][0]["message"]["content"].as_str().unwrap();
    let (before, _) = text.split_once(", 5").expect("the model counts");

    let fields = json!({ "temperature": 0, "stop": ["never said", ", 5"] });
    let (_, stopped) = whole(model(), &asking(count, &fields)).await;
    assert_eq!(stopped["choices"][0]["message"]["content"], before);
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");

    let fields = json!({ "temperature": 0, "max_completion_tokens": 3 });
    let (_, short) = whole(model(), &asking(count, &fields)).await;
    assert_eq!(short["choices"][0]["finish_reason"], "length");
    assert_eq!(short["usage"]["completion_tokens"], 3);
    assert!(text.starts_with(short["choices"][0]["message"]["content"].as_str().unwrap()));
}

#[tokio::test]
async fn what_does_not_fit_the_context_is_refused() {
    let config = LocalConfig {
        context_tokens_max: 64,
        ..LocalConfig::new(model_path(), "smollm2-135m")
    };
    let model = LocalModel::new(config);
    let long = "word ".repeat(80);
    let longer = "word ".repeat(100_000);
    for (message, fields, said) in [
        ("Hi", json!({ "max_tokens": 60 }), "60 in the completion"),
        (long.as_str(), json!({}), "your messages resulted in 1"),
        (longer.as_str(), json!({}), "far more tokens"),
    ] {
        let (status, answer) = whole(&model, &asking(message, &fields)).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["code"]),
            (400, &json!("context_length_exceeded"))
        );
        let text = error["message"].as_str().unwrap();
        assert!(
            text.starts_with("This model's maximum context length is 64 tokens."),
            "{text}"
        );
        assert!(text.contains(said), "{text}");
    }
    let (status, answer) = whole(&model, &asking("Hi", &json!({ "temperature": 0 }))).await;
    assert_eq!(status, 200);
    assert!(answer["usage"]["total_tokens"].as_u64().unwrap() <= 64);
}

/// Asks until there is room, which there must be soon.
async fn when_there_is_room(model: &LocalModel, body: &Value) -> UpstreamAnswer {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match model.call(request(false, body)).await {
            Err(UpstreamError::Busy { .. }) if Instant::now() < deadline => {
                tokio::task::yield_now().await;
            }
            answered => return answered.unwrap(),
        }
    }
}

#[tokio::test]
async fn who_leaves_makes_room_at_once_and_who_is_too_many_is_told() {
    let config = LocalConfig {
        queue_max: 0,
        ..LocalConfig::new(model_path(), "smollm2-135m")
    };
    let model = LocalModel::new(config);
    // Would take a minute: a penalty keeps the model from coming to an end.
    let endless = asking(
        "Tell a story.",
        &json!({ "max_tokens": 4_000, "temperature": 0, "frequency_penalty": -2 }),
    );
    let short = asking("Hi", &json!({ "max_tokens": 1 }));

    let mut stream = started(&model, &endless).await;
    stream.next().await.unwrap().unwrap();
    stream.next().await.unwrap().unwrap();
    let busy = model.call(request(false, &short)).await;
    assert!(
        matches!(busy, Err(UpstreamError::Busy { retry_after }) if !retry_after.is_zero()),
        "{busy:?}"
    );
    drop(stream);
    assert_eq!(when_there_is_room(&model, &short).await.status, 200);

    let unread = tokio::time::timeout(
        Duration::from_millis(50),
        model.call(request(false, &endless)),
    );
    assert!(unread.await.is_err(), "the answer is not there yet");
    assert_eq!(when_there_is_room(&model, &short).await.status, 200);
}

#[tokio::test]
async fn a_cut_file_says_what_to_do_until_a_whole_one_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let whole_file = std::fs::read(model_path()).unwrap();
    std::fs::write(&path, &whole_file[..whole_file.len() / 2]).unwrap();
    drop(whole_file);

    let model = LocalModel::new(LocalConfig::new(&path, "smollm2-135m"));
    let hello = asking("Hi", &json!({ "max_tokens": 1 }));
    for _ in 0..2 {
        let Err(UpstreamError::NotReady { advice }) = model.call(request(false, &hello)).await
        else {
            panic!("half a model cannot answer");
        };
        assert!(advice.contains(path.to_str().unwrap()), "{advice}");
        assert!(advice.contains("fetch-model"), "{advice}");
        assert_eq!(model.health(), Health::Failed { advice });
    }

    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(model_path().canonicalize().unwrap(), &path).unwrap();
    assert_eq!(whole(&model, &hello).await.0, 200);
    assert_eq!(model.health(), Health::Ready);
}
