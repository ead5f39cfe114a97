//! Whole answers: passed on as they are, settled once with the provider's figures.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_auth::CredentialError;
use tollgate_domain::{Money, Provenance, Surface, TerminalState, Usage};
use tollgate_engine::{Inbound, ReplyBody, RequestRecord};

use crate::provider::{Act, answer, error, event, stream};
use crate::world::{World, ask, ask_for, ask_stream, error_of, json_of, next_chunk, read_all};

#[tokio::test]
async fn a_whole_answer_is_settled_once_with_the_figures_of_the_provider() {
    let world = World::new();
    let (key, key_id) = world.key_with(|_| {});
    world.provider().queue([answer(10, 5)]);
    let reply = world.chat(&key, &ask()).await;
    assert_eq!((reply.status, reply.attempts), (200, 1));
    assert_eq!(reply.cost, Some(Money::from_nano(20_000)));
    assert_eq!(reply.provider.as_deref(), Some("p0"));
    assert_eq!(json_of(&reply)["usage"]["prompt_tokens"], 10);
    assert_eq!(world.provider().bodies()[0]["model"], "up-m");

    let event = world.event();
    assert_eq!((event.org_id, event.key_id), (world.org, key_id));
    assert_eq!((event.attempt, event.is_final), (1, true));
    assert_eq!(event.surface, Surface::ChatCompletions);
    assert_eq!((&*event.model, &*event.upstream_model), ("m", "up-m"));
    assert_eq!((event.usage.input, event.usage.output), (10, 5));
    assert_eq!(
        (event.cost, event.provenance),
        (Money::from_nano(20_000), Provenance::Provider)
    );
    assert_eq!(
        (event.state, event.upstream_status),
        (TerminalState::Ok, Some(200))
    );
    assert!(
        event.price_version.starts_with("settings:"),
        "{}",
        event.price_version
    );
}

#[tokio::test]
async fn what_the_provider_does_not_count_is_estimated() {
    let world = World::new();
    let body = json!({"choices": [{"message": {"role": "assistant", "content": "x".repeat(400)}}]});
    world
        .provider()
        .queue([Act::Whole(200, Vec::new(), body.to_string().into())]);
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!(reply.status, 200);
    let event = world.event();
    assert_eq!(
        (event.provenance, event.state),
        (Provenance::Estimated, TerminalState::Ok)
    );
    assert!((90..120).contains(&event.usage.output), "{:?}", event.usage);
    assert!(event.usage.input > 0 && event.cost > Money::ZERO);
}

#[tokio::test]
async fn embeddings_are_settled_as_such() {
    let world = World::new();
    let body = json!({"data": [], "usage": {"prompt_tokens": 7, "total_tokens": 7}});
    world
        .provider()
        .queue([Act::Whole(200, Vec::new(), body.to_string().into())]);
    let asked = json!({"model": "m", "input": "text"}).to_string();
    let inbound = Inbound::new(Ok(world.key()), asked.into());
    let reply = world.worker.embeddings(inbound).await;
    assert_eq!((reply.status, json_of(&reply)), (200, body));
    let event = world.event();
    assert_eq!((event.surface, event.usage.input), (Surface::Embeddings, 7));
    assert_eq!(event.cost, Money::from_nano(7_000));
}

#[tokio::test]
async fn an_error_with_status_200_is_no_answer() {
    let world = World::new();
    let body = json!({"error": {"message": "overloaded", "code": 529}});
    world.provider().queue([
        Act::Whole(200, Vec::new(), body.to_string().into()),
        answer(1, 1),
    ]);
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!((reply.status, reply.attempts), (200, 2));
    let events = world.events();
    assert_eq!(
        (events[0].state, events[0].cost),
        (TerminalState::UpstreamError, Money::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_leaves_is_cancelled_and_settled() {
    let world = World::new();
    let key = world.key();
    world.provider().queue([Act::Hang]);
    let left = tokio::time::timeout(Duration::from_secs(3), world.chat(&key, &ask())).await;
    assert!(left.is_err());
    assert_eq!(
        (world.provider().calls(), world.provider().under_way()),
        (1, 0)
    );
    let event = world.event();
    assert_eq!(
        (event.state, event.is_final),
        (TerminalState::ClientGone, true)
    );
    assert_eq!(
        (event.usage, event.provenance),
        (Usage::ZERO, Provenance::Missing)
    );
}

#[tokio::test]
async fn what_is_not_a_request_is_refused_with_the_field_and_costs_nothing() {
    let world = World::new();
    let key = world.key();
    for (body, status, param) in [
        (
            json!({"messages": [{"role": "user", "content": "hi"}]}),
            400,
            "model",
        ),
        (json!({"model": "m"}), 400, "messages"),
        (
            json!({"n": 0, "model": "m", "messages": [{"role": "user", "content": "hi"}]}),
            400,
            "n",
        ),
        (ask_for("none"), 404, "model"),
        (ask_for("m*"), 404, "model"),
    ] {
        let reply = world.chat(&key, &body).await;
        assert_eq!(reply.status, status, "{body}");
        assert_eq!(json_of(&reply)["error"]["param"], param, "{body}");
    }
    assert_eq!(world.send(&key, "{".into()).await.status, 400);
    for error in [
        CredentialError::Missing,
        CredentialError::Malformed,
        CredentialError::Conflicting,
    ] {
        let inbound = Inbound::new(Err(error), ask().to_string().into());
        let status = if error == CredentialError::Conflicting {
            400
        } else {
            401
        };
        assert_eq!(world.worker.chat(inbound).await.status, status);
    }
    assert_eq!((world.provider().calls(), world.events().len()), (0, 0));
}

/// Sends a request, lets `then` do with the answer what a client does, and returns the status, the
/// error's code and the states of the attempts that were recorded, of each time it was recorded.
async fn recorded(
    act: Act,
    body: &Value,
    then: impl AsyncFnOnce(tollgate_engine::Reply),
) -> Vec<(u16, Option<&'static str>, Vec<TerminalState>)> {
    let world = World::new();
    world.provider().always(act);
    let records = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&records);
    let mut inbound = Inbound::new(Ok(world.key()), body.to_string().into());
    inbound.finish = Some(Box::new(move |record: &RequestRecord| {
        let states = record
            .attempts
            .iter()
            .map(|attempt| attempt.state)
            .collect();
        kept.lock()
            .unwrap()
            .push((record.status, record.error_code, states));
    }));
    let limit = Duration::from_secs(1);
    if let Ok(reply) = tokio::time::timeout(limit, world.worker.chat(inbound)).await {
        then(reply).await;
    }
    records.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn every_request_is_recorded_once_however_it_ends() {
    use TerminalState::{ClientGone, Cut, Ok, UpstreamError};
    let drop_it = async |reply| drop(reply);
    let read_it = async |mut reply| drop(read_all(&mut reply).await);
    let whole = recorded(answer(1, 1), &ask(), drop_it).await;
    assert_eq!(whole, [(200, None, vec![Ok])]);
    let refused = recorded(error(400), &ask(), drop_it).await;
    assert_eq!(refused, [(400, None, vec![UpstreamError])]);
    let failed = recorded(error(401), &ask(), drop_it).await;
    assert_eq!(
        failed,
        [(
            502,
            Some("provider_credential_refused"),
            vec![UpstreamError]
        )]
    );
    let unknown = recorded(answer(1, 1), &ask_for("x"), drop_it).await;
    assert_eq!(unknown, [(404, Some("model_not_found"), vec![])]);
    let left = recorded(Act::Hang, &ask(), drop_it).await;
    assert_eq!(left, [(499, None, vec![ClientGone])]);
    let streamed = recorded(stream(1, 1), &ask_stream(), read_it).await;
    assert_eq!(streamed, [(200, None, vec![Ok])]);
    let left = recorded(stream(1, 1), &ask_stream(), drop_it).await;
    assert_eq!(left, [(200, None, vec![ClientGone])]);
    let opening = event(&json!({"choices": [{"index": 0, "delta": {"content": "a"}}]}));
    let cut = recorded(Act::Stream(vec![opening]), &ask_stream(), read_it).await;
    assert_eq!(cut, [(200, Some("provider_stream_cut"), vec![Cut])]);
}

#[tokio::test]
async fn a_whole_answer_to_a_streamed_request_is_passed_on_whole() {
    let world = World::new();
    world.provider().queue([answer(10, 5)]);
    let reply = world.chat(&world.key(), &ask_stream()).await;
    assert!(matches!(reply.body, ReplyBody::Whole(_)));
    assert_eq!(world.event().usage.input, 10);
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_tried_again_and_then_an_error() {
    let world = World::new();
    world
        .provider()
        .always(Act::Whole(200, Vec::new(), "<h1>".into()));
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!(
        error_of(&reply),
        (502, "invalid_provider_answer".to_owned())
    );
    assert_eq!(reply.attempts, 3);
}

#[tokio::test]
async fn a_stream_that_was_dropped_is_not_read_any_further() {
    let world = World::new();
    world.provider().queue([stream(1, 1)]);
    let mut reply = world.chat(&world.key(), &ask_stream()).await;
    assert!(next_chunk(&mut reply).await.is_some());
    assert_eq!(world.provider().under_way(), 1);
    drop(reply);
    assert_eq!(world.provider().under_way(), 0);
}
