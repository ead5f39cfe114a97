//! Streams: passed on event by event, settled before their last byte, ended honestly.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tollgate_domain::{Money, Provenance, TerminalState};
use tollgate_engine::ReplyBody;

use crate::provider::{Act, Part, content, done, event, stream, usage};
use crate::world::{Plan, World, ask_stream, error_of, model, next_chunk, read_all};

const SECOND: Duration = Duration::from_secs(1);

/// The error event that is the last of a stream.
fn last_error(text: &str) -> serde_json::Value {
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    let data = last
        .strip_prefix("data: ")
        .unwrap_or_else(|| panic!("no data: {text}"));
    serde_json::from_str(data).unwrap_or_else(|_| panic!("no error event: {text}"))
}

#[tokio::test]
async fn usage_is_asked_for_and_kept_from_who_did_not_ask() {
    let world = World::new();
    world.provider().queue([stream(10, 5)]);
    let mut reply = world.chat(&world.key(), &ask_stream()).await;
    let text = read_all(&mut reply).await;
    assert!(
        text.ends_with("data: [DONE]\n\n") && text.contains(r#""content":"b""#),
        "{text}"
    );
    assert!(!text.contains("usage"), "{text}");
    let asked = &world.provider().bodies()[0]["stream_options"];
    assert_eq!(*asked, json!({"include_usage": true}));
    let event = world.event();
    assert_eq!((event.usage.input, event.usage.output), (10, 5));
    assert_eq!(
        (event.provenance, event.state),
        (Provenance::Provider, TerminalState::Ok)
    );
    assert!(event.first_token_us.is_some());
}

#[tokio::test]
async fn usage_is_kept_for_who_asked() {
    let world = World::new();
    world.provider().queue([stream(10, 5)]);
    let mut body = ask_stream();
    body["stream_options"] = json!({"include_usage": true, "other": 1});
    let mut reply = world.chat(&world.key(), &body).await;
    let text = read_all(&mut reply).await;
    assert!(text.contains(r#""prompt_tokens":10"#), "{text}");
    assert_eq!(
        world.provider().bodies()[0]["stream_options"],
        body["stream_options"]
    );
}

#[tokio::test]
async fn a_stream_is_in_the_books_before_its_last_byte_leaves() {
    let world = World::new();
    world.provider().queue([stream(10, 5)]);
    let mut reply = world.chat(&world.key(), &ask_stream()).await;
    assert_eq!(reply.cost, None, "it is not known yet");
    loop {
        let events = world.events().len();
        let chunk = next_chunk(&mut reply).await.unwrap();
        if chunk.contains("[DONE]") {
            assert_eq!(world.event().cost, Money::from_nano(20_000));
            break;
        }
        assert_eq!(events, 0);
    }
    assert_eq!(next_chunk(&mut reply).await, None);
    assert_eq!(world.events().len(), 1);
}

#[tokio::test]
async fn an_end_that_the_provider_leaves_out_is_added_and_none_is_made_up() {
    let last = event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    let world = World::new();
    world
        .provider()
        .queue([Act::Stream(vec![content("a"), last, usage(3, 4)])]);
    let mut reply = world.chat(&world.key(), &ask_stream()).await;
    assert!(read_all(&mut reply).await.ends_with("data: [DONE]\n\n"));
    assert_eq!(world.event().state, TerminalState::Ok);
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_and_without_an_end() {
    for broken in [vec![content("a"), Part::Break], vec![content("a")]] {
        let world = World::new();
        world.provider().queue([Act::Stream(broken)]);
        let mut reply = world.chat(&world.key(), &ask_stream()).await;
        assert_eq!(reply.status, 200);
        let text = read_all(&mut reply).await;
        assert_eq!(last_error(&text)["error"]["code"], "provider_stream_cut");
        assert!(
            !text.contains("[DONE]") && !text.contains("finish_reason"),
            "{text}"
        );
        let event = world.event();
        assert_eq!(
            (event.state, event.provenance),
            (TerminalState::Cut, Provenance::Partial)
        );
        assert!(event.usage.output > 0 && event.cost > Money::ZERO);
        assert_eq!(
            world.provider().calls(),
            1,
            "nothing is tried again after the first byte"
        );
    }
}

#[tokio::test]
async fn an_error_within_a_stream_is_the_providers_own_last_word() {
    let world = World::new();
    let error = event(&json!({"error": {"message": "m", "code": "theirs"}}));
    world
        .provider()
        .queue([Act::Stream(vec![content("a"), error, done()])]);
    let mut reply = world.chat(&world.key(), &ask_stream()).await;
    let text = read_all(&mut reply).await;
    assert_eq!(last_error(&text)["error"]["code"], "theirs");
    assert_eq!(world.event().state, TerminalState::Cut);
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_cancels_it_and_pays_for_what_it_got() {
    let world = World::new();
    world
        .provider()
        .queue([Act::Stream(vec![content("hello"), Part::Silence])]);
    let mut reply = world.chat(&world.key(), &ask_stream()).await;
    assert!(next_chunk(&mut reply).await.unwrap().contains("hello"));
    assert_eq!((world.provider().under_way(), world.events().len()), (1, 0));
    drop(reply);
    assert_eq!(world.provider().under_way(), 0);
    let event = world.event();
    assert_eq!(
        (event.state, event.provenance),
        (TerminalState::ClientGone, Provenance::Partial)
    );
    assert!(event.is_final && event.usage.output > 0 && event.cost > Money::ZERO);
}

#[tokio::test]
async fn a_client_that_leaves_after_the_usage_pays_exactly_that() {
    let world = World::new();
    world
        .provider()
        .queue([Act::Stream(vec![content("a"), usage(10, 5), Part::Silence])]);
    let mut body = ask_stream();
    body["stream_options"] = json!({"include_usage": true});
    let mut reply = world.chat(&world.key(), &body).await;
    while !next_chunk(&mut reply)
        .await
        .unwrap()
        .contains("prompt_tokens")
    {}
    drop(reply);
    let event = world.event();
    assert_eq!(
        (event.state, event.provenance),
        (TerminalState::ClientGone, Provenance::Provider)
    );
    assert_eq!(event.cost, Money::from_nano(20_000));
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_with_comments() {
    let world = World::new();
    let parts = vec![
        content("a"),
        Part::Wait(10 * SECOND),
        content("b"),
        Part::Wait(40 * SECOND),
        content("c"),
        usage(1, 1),
        done(),
    ];
    world.provider().queue([Act::Stream(parts)]);
    let mut reply = world.chat(&world.key(), &ask_stream()).await;
    let began = Instant::now();
    let mut spoken = Vec::new();
    while let Some(chunk) = next_chunk(&mut reply).await {
        spoken.push((began.elapsed().as_secs(), chunk));
    }
    let comments: Vec<u64> = spoken
        .iter()
        .filter(|(_, chunk)| chunk.starts_with(':'))
        .map(|(at, chunk)| {
            assert_eq!(chunk, ": keep-alive\n\n");
            *at
        })
        .collect();
    assert_eq!(comments, [25, 40], "after 15 seconds of silence");
    assert_eq!(spoken.last().unwrap().0, 50);
    assert_eq!(world.event().state, TerminalState::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_lasts_too_long_is_cut() {
    let mut short = model("m", &[0]);
    short.targets[0].total_timeout = 20 * SECOND;
    let world = World::of(Plan {
        models: vec![short],
        ..Plan::default()
    });
    world
        .provider()
        .queue([Act::Stream(vec![content("a"), Part::Silence])]);
    let began = Instant::now();
    let mut reply = world.chat(&world.key(), &ask_stream()).await;
    let text = read_all(&mut reply).await;
    // What passes in earnest while the test runs counts against the twenty seconds.
    assert!((19..=20).contains(&began.elapsed().as_secs()));
    assert_eq!(last_error(&text)["error"]["code"], "provider_timeout");
    assert_eq!(
        (world.event().state, world.provider().under_way()),
        (TerminalState::Cut, 0)
    );
}

#[tokio::test]
async fn a_stream_without_a_first_event_is_a_timeout() {
    let mut short = model("m", &[0]);
    short.targets[0].total_timeout = Duration::from_millis(30);
    let world = World::of(Plan {
        models: vec![short],
        ..Plan::default()
    });
    world.provider().queue([Act::Stream(vec![Part::Silence])]);
    let reply = world.chat(&world.key(), &ask_stream()).await;
    assert_eq!(error_of(&reply), (504, "provider_timeout".to_owned()));
    let event = world.event();
    assert_eq!(
        (event.state, event.cost),
        (TerminalState::UpstreamError, Money::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_slow_stream_comes_before_its_content() {
    let role = event(&json!({"choices": [{"index": 0, "delta": {"role": "assistant"}}]}));
    let world = World::new();
    let parts = vec![
        role,
        Part::Wait(8 * SECOND),
        content("a"),
        usage(1, 1),
        done(),
    ];
    world.provider().queue([Act::Stream(parts)]);
    let began = Instant::now();
    let mut reply = world.chat(&world.key(), &ask_stream()).await;
    assert!(matches!(reply.body, ReplyBody::Stream(_)));
    assert!(began.elapsed() <= 3 * SECOND, "{:?}", began.elapsed());
    let text = read_all(&mut reply).await;
    assert!(
        text.contains("role") && text.contains(r#""content":"a""#),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn comments_do_not_hold_the_head_back_for_long() {
    let comment = |text: &str| Part::Chunk(format!(": {text}\n\n").into());
    let waiting = (0..60).flat_map(|_| [comment("processing"), Part::Wait(SECOND)]);
    let flood = (0..60).map(|_| comment(&"x".repeat(5_000)));
    for mut parts in [waiting.collect::<Vec<_>>(), flood.collect()] {
        parts.extend([content("a"), usage(1, 1), Part::Silence]);
        let world = World::new();
        world.provider().queue([Act::Stream(parts)]);
        let began = Instant::now();
        let mut reply = world.chat(&world.key(), &ask_stream()).await;
        assert!(began.elapsed() <= 3 * SECOND, "{:?}", began.elapsed());
        let first = next_chunk(&mut reply).await.unwrap();
        assert!(
            first.starts_with(": ") && first.len() < 80_000,
            "{}",
            first.len()
        );
    }
}

#[tokio::test]
async fn a_stream_that_fails_before_its_content_goes_to_the_next_target() {
    let role = event(&json!({"choices": [{"index": 0, "delta": {"role": "assistant"}}]}));
    let error = event(&json!({"error": {"message": "overloaded"}}));
    for failing in [
        vec![role.clone(), Part::Break],
        vec![role.clone(), error],
        vec![role],
        vec![],
        vec![Part::Chunk("data: <h1>\n\n".into())],
    ] {
        let world = World::of(Plan {
            models: vec![model("m", &[0, 1])],
            ..Plan::default()
        });
        world.providers[0].queue([Act::Stream(failing.clone())]);
        world.providers[1].queue([stream(10, 5)]);
        let mut reply = world.chat(&world.key(), &ask_stream()).await;
        assert_eq!((reply.status, reply.attempts), (200, 2), "{failing:?}");
        let text = read_all(&mut reply).await;
        assert!(
            text.ends_with("[DONE]\n\n") && !text.contains("role"),
            "{text}"
        );
        let events = world.events();
        let finals: Vec<bool> = events.iter().map(|event| event.is_final).collect();
        assert_eq!(finals, [false, true], "{failing:?}");
    }
}
