//! The scripted upstream does what its scripts say, seen through the raw client.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{
    Answer, Connection, End, Script, ScriptedUpstream, StreamEnd, StreamScript, exchange, prompt,
    request,
};

fn chat(stream: bool) -> Vec<u8> {
    let body = json!({
        "model": "m",
        "stream": stream,
        "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": prompt(11, 4)}],
    });
    request("POST", "/v1/chat/completions", &[], Some(&body))
}

fn ask(script: Script, stream: bool) -> (ScriptedUpstream, std::io::Result<Answer>) {
    let upstream = ScriptedUpstream::start();
    upstream.on("m", script);
    let answer = exchange(upstream.address(), &chat(stream));
    (upstream, answer)
}

#[test]
fn a_stream_has_a_chunk_per_token_and_its_usage() {
    let (upstream, answer) = ask(Script::default(), true);
    let answer = answer.unwrap();
    assert!(answer.is_done());
    assert_eq!(answer.content(), "w1 w2 w3 w4 ");
    let usage: Value = serde_json::from_str(&answer.events()[6]).unwrap();
    assert_eq!(usage["usage"]["total_tokens"], 15);
    assert!(upstream.wait_until(Duration::from_secs(5), |calls| calls[0].end == End::Whole));
    let call = &upstream.calls()[0];
    assert_eq!((call.tokens_served, call.reported), (4, Some((11, 4))));
}

#[test]
fn one_connection_serves_several_calls() {
    let upstream = ScriptedUpstream::start();
    let mut connection = Connection::open(upstream.address()).unwrap();
    for _ in 0..3 {
        connection.send(&chat(false)).unwrap();
        assert_eq!(
            connection.read_answer().unwrap().json()["usage"]["prompt_tokens"],
            11
        );
    }
    assert_eq!(upstream.calls_of("m").len(), 3);
}

#[test]
fn embeddings_come_in_the_encoding_that_was_asked_for() {
    let upstream = ScriptedUpstream::start();
    let embed = |encoding: &str| {
        let body = json!({"model": "e", "input": ["a", "b"], "encoding_format": encoding});
        let bytes = request("POST", "/v1/embeddings", &[], Some(&body));
        exchange(upstream.address(), &bytes).unwrap().json()
    };
    assert_eq!(
        embed("float")["data"][1]["embedding"],
        json!([1.0, 0.5, 0.25, -1.0])
    );
    assert_eq!(
        embed("base64")["data"][1]["embedding"],
        "AACAPwAAAD8AAIA+AACAvw=="
    );
}

#[test]
fn broken_answers_are_broken_where_they_should_be() {
    let cut = StreamScript {
        end: StreamEnd::Cut,
        ..StreamScript::default()
    };
    let (_upstream, answer) = ask(Script::stream(cut), true);
    let answer = answer.unwrap();
    assert!(!answer.is_whole && answer.content() == "w1 w2 w3 w4 ");

    let (_upstream, answer) = ask(Script::truncated_json(), false);
    assert!(!answer.unwrap().is_whole);

    let (_upstream, answer) = ask(Script::invalid_json(), false);
    let answer = answer.unwrap();
    assert!(answer.is_whole && answer.json().is_null());

    let (_upstream, answer) = ask(Script::reset(), false);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_caller_that_leaves_is_noticed_while_nothing_is_sent() {
    let upstream = ScriptedUpstream::start();
    upstream.on("m", Script::hang());
    let mut connection = Connection::open(upstream.address()).unwrap();
    connection.send(&chat(false)).unwrap();
    assert_eq!(upstream.wait_for_calls(1)[0].end, End::Pending);
    drop(connection);
    let is_noticed = |calls: &[tollgate_testkit::Call]| matches!(calls[0].end, End::Cancelled(_));
    assert!(upstream.wait_until(Duration::from_secs(5), is_noticed));
    assert_eq!(upstream.cancelled(), 1);
}
