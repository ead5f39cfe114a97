//! What a provider's failure means for the client, for the next attempt and for the books.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tollgate_domain::{Money, TerminalState, UsageEvent};
use tollgate_engine::EngineConfig;
use tollgate_resilience::RetryPolicy;

use crate::provider::{Act, answer, error, error_with, stream};
use crate::world::{Plan, World, ask, ask_stream, error_of, json_of, model, next_chunk};

fn two_targets() -> World {
    World::of(Plan {
        models: vec![model("m", &[0, 1])],
        ..Plan::default()
    })
}

fn without_retries(models: Vec<tollgate_engine::ModelConfig>) -> World {
    let retry = RetryPolicy {
        attempts_max: 1,
        ..RetryPolicy::default()
    };
    let config = EngineConfig {
        retry,
        ..EngineConfig::default()
    };
    World::of(Plan {
        models,
        config,
        ..Plan::default()
    })
}

/// The provider, the state and whether it was the last, of each attempt.
fn attempts(events: &[UsageEvent]) -> Vec<(&str, TerminalState, bool)> {
    events
        .iter()
        .map(|event| (&*event.provider, event.state, event.is_final))
        .collect()
}

#[tokio::test]
async fn a_failing_target_is_followed_by_the_next() {
    for failing in [
        error(500),
        error(503),
        error(429),
        error(408),
        error(401),
        error(403),
        Act::Refuse,
        Act::Busy,
    ] {
        let world = two_targets();
        world.providers[0].queue([failing.clone()]);
        world.providers[1].queue([answer(10, 5)]);
        let reply = world.chat(&world.key(), &ask()).await;
        assert_eq!((reply.status, reply.attempts), (200, 2), "{failing:?}");
        assert_eq!(reply.provider.as_deref(), Some("p1"));
        let events = world.events();
        let expected = [
            ("p0", TerminalState::UpstreamError, false),
            ("p1", TerminalState::Ok, true),
        ];
        assert_eq!(attempts(&events), expected, "{failing:?}");
        assert_eq!(events[0].request_id, events[1].request_id);
        assert_eq!((events[0].attempt, events[1].attempt), (1, 2));
        assert_eq!(
            (events[0].cost, events[1].cost),
            (Money::ZERO, Money::from_nano(20_000))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_target_is_tried_again_after_a_while() {
    let world = World::new();
    world
        .provider()
        .queue([error(500), error(502), answer(10, 5)]);
    let began = Instant::now();
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!((reply.status, reply.attempts), (200, 3));
    let waited = began.elapsed();
    assert!(waited > Duration::ZERO, "it was tried again at once");
    assert!(
        waited <= Duration::from_millis(200 + 400 + 10),
        "{waited:?}"
    );
    let finals: Vec<bool> = world.events().iter().map(|event| event.is_final).collect();
    assert_eq!(finals, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn attempts_end_with_the_last_failure() {
    let world = World::new();
    world.provider().always(error(500));
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!(error_of(&reply), (502, "provider_error".to_owned()));
    assert_eq!((reply.attempts, world.provider().calls()), (3, 3));
    let events = world.events();
    let failed = TerminalState::UpstreamError;
    assert_eq!(
        attempts(&events),
        [
            ("p0", failed, false),
            ("p0", failed, false),
            ("p0", failed, true)
        ]
    );
    assert!(events.iter().all(|event| event.cost == Money::ZERO));
    assert_eq!(events[0].upstream_status, Some(500));
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_not_asked_again_before_it_wants_to_be() {
    for (name, value, at_least_ms) in [
        ("retry-after", "3", 3_000),
        ("retry-after-ms", "1500", 1_500),
    ] {
        let world = World::new();
        world
            .provider()
            .queue([error_with(429, &[(name, value)]), answer(1, 1)]);
        let began = Instant::now();
        let reply = world.chat(&world.key(), &ask()).await;
        assert_eq!((reply.status, reply.attempts), (200, 2));
        let waited = began.elapsed().as_millis();
        assert!(
            (at_least_ms..at_least_ms + 100).contains(&waited),
            "{waited} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_provider_wants_holds_also_after_another_was_tried() {
    let world = two_targets();
    world.providers[0].queue([error_with(429, &[("retry-after", "3")]), answer(1, 1)]);
    world.providers[1].queue([error(500)]);
    let began = Instant::now();
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!((reply.status, reply.attempts), (200, 3));
    assert!(
        began.elapsed() >= Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_wants_to_be_left_alone_for_long_is() {
    let world = World::new();
    world
        .provider()
        .always(error_with(429, &[("retry-after", "60")]));
    let began = Instant::now();
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!(error_of(&reply), (429, "provider_rate_limited".to_owned()));
    assert_eq!(reply.retry_after, Some(Duration::from_secs(60)));
    assert_eq!((reply.attempts, began.elapsed().as_millis()), (1, 0));
    assert!(world.event().is_final);
}

#[tokio::test]
async fn a_refusal_of_the_request_is_the_clients_to_read() {
    for status in [400, 404, 413, 422] {
        let world = two_targets();
        world.providers[0].queue([error(status)]);
        let reply = world.chat(&world.key(), &ask()).await;
        assert_eq!(error_of(&reply), (status, "theirs".to_owned()));
        assert_eq!((reply.attempts, reply.cost), (1, Some(Money::ZERO)));
        let event = world.event();
        assert_eq!(
            (event.state, event.is_final),
            (TerminalState::UpstreamError, true)
        );
        assert_eq!(
            (event.cost, event.upstream_status),
            (Money::ZERO, Some(status))
        );
    }
}

#[tokio::test]
async fn a_refusal_of_our_credential_or_account_is_not_shown_as_the_clients() {
    for status in [401, 402, 403] {
        let world = World::new();
        world.provider().queue([error(status)]);
        let reply = world.chat(&world.key(), &ask()).await;
        assert_eq!(
            error_of(&reply),
            (502, "provider_credential_refused".to_owned()),
            "{status}"
        );
        assert_eq!(
            reply.attempts, 1,
            "the same credential would be refused again"
        );
        assert!(!json_of(&reply).to_string().contains("theirs"));
    }
}

#[tokio::test]
async fn a_hanging_provider_is_given_up_in_time() {
    let mut short = model("m", &[0]);
    short.targets[0].total_timeout = Duration::from_millis(30);
    let world = World::of(Plan {
        models: vec![short],
        ..Plan::default()
    });
    world.provider().always(Act::Hang);
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!(error_of(&reply), (504, "provider_timeout".to_owned()));
    assert_eq!((reply.attempts, world.provider().under_way()), (1, 0));
}

#[tokio::test]
async fn a_target_that_keeps_failing_is_left_alone() {
    let world = without_retries(vec![model("m", &[0])]);
    let key = world.key();
    world.provider().always(error(500));
    for _ in 0..5 {
        assert_eq!(world.chat(&key, &ask()).await.status, 502);
    }
    let reply = world.chat(&key, &ask()).await;
    assert_eq!(error_of(&reply), (503, "provider_unavailable".to_owned()));
    let wait = reply.retry_after.unwrap();
    assert!(
        wait > Duration::ZERO && wait <= Duration::from_secs(5),
        "{wait:?}"
    );
    assert_eq!((reply.attempts, world.provider().calls()), (0, 5));
    assert_eq!(world.events().len(), 5);
}

#[tokio::test]
async fn what_says_nothing_of_the_providers_health_opens_no_breaker() {
    for harmless in [error(400), error(401), error(429), Act::Busy] {
        let world = without_retries(vec![model("m", &[0])]);
        let key = world.key();
        world.provider().always(harmless.clone());
        for _ in 0..10 {
            drop(world.chat(&key, &ask()).await);
        }
        assert_eq!(world.provider().calls(), 10, "{harmless:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_has_as_many_calls_under_way_as_it_may() {
    let mut bounded = model("m", &[0]);
    bounded.targets[0].max_parallel = 2;
    let world = World::of(Plan {
        models: vec![bounded],
        ..Plan::default()
    });
    let key = world.key();
    let slow = Act::After(Duration::from_secs(5), Box::new(answer(1, 1)));
    world.provider().always(slow);
    let asked = ask();
    let replies = futures_util::future::join_all((0..3).map(|_| world.chat(&key, &asked))).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503]);
    let refused = replies.iter().find(|reply| reply.status == 503).unwrap();
    assert_eq!(error_of(refused).1, "provider_busy");
    assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
    assert_eq!(
        world.chat(&key, &asked).await.status,
        200,
        "places are given back"
    );
    assert_eq!(world.events().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stream_gives_its_place_at_the_target_back_when_the_provider_is_done() {
    let mut bounded = model("m", &[0]);
    bounded.targets[0].max_parallel = 1;
    let world = World::of(Plan {
        models: vec![bounded],
        ..Plan::default()
    });
    let key = world.key();
    world.provider().queue([stream(1, 1), answer(1, 1)]);
    let mut open = world.chat(&key, &ask_stream()).await;
    assert_eq!(world.chat(&key, &ask()).await.status, 503);
    while !next_chunk(&mut open).await.unwrap().contains("[DONE]") {}
    assert_eq!(world.chat(&key, &ask()).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_closed_meanwhile_is_not_waited_for() {
    let retry = RetryPolicy {
        attempts_max: 9,
        ..RetryPolicy::default()
    };
    let config = EngineConfig {
        retry,
        ..EngineConfig::default()
    };
    let world = World::of(Plan {
        config,
        ..Plan::default()
    });
    world.provider().queue((0..4).map(|_| error(500)));
    world
        .provider()
        .always(error_with(500, &[("retry-after", "4")]));
    let began = Instant::now();
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!((reply.status, reply.attempts), (502, 5));
    assert!(
        began.elapsed() < Duration::from_millis(3_500),
        "{:?}",
        began.elapsed()
    );
    let finals: Vec<bool> = world.events().iter().map(|event| event.is_final).collect();
    assert_eq!(finals, [false, false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_is_final_when_no_target_is_left_to_try() {
    let mut models = vec![model("m", &[0, 1]), model("other", &[1])];
    models[0].targets[1].max_parallel = 1;
    let retry = RetryPolicy {
        attempts_max: 9,
        ..RetryPolicy::default()
    };
    let config = EngineConfig {
        retry,
        ..EngineConfig::default()
    };
    let world = World::of(Plan {
        models,
        config,
        ..Plan::default()
    });
    let key = world.key();
    world.providers[0].always(error(401));
    world.providers[1].queue([Act::Hang]);
    let asked = ask();
    let mut open = Box::pin(world.chat(&key, &asked));
    let waited = tokio::time::timeout(Duration::from_secs(1), &mut open).await;
    assert!(waited.is_err(), "it hangs at the second target");
    let reply = world.chat(&key, &ask()).await;
    assert_eq!((reply.status, reply.attempts), (502, 1));
    drop(open);
    let events = world.events();
    let requests: std::collections::HashSet<_> =
        events.iter().map(|event| event.request_id).collect();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        events.iter().filter(|event| event.is_final).count(),
        2,
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_between_two_attempts_ends_the_request() {
    let world = World::new();
    let key = world.key();
    world
        .provider()
        .always(error_with(500, &[("retry-after", "3")]));
    let asked = ask();
    let left = tokio::time::timeout(Duration::from_secs(1), world.chat(&key, &asked)).await;
    assert!(left.is_err(), "it waits for its second attempt");
    let event = world.event();
    assert!(event.is_final, "{event:?}");
    assert_eq!(event.cost, Money::ZERO);
}

#[tokio::test]
async fn a_provider_that_says_nothing_sensible_is_not_quoted() {
    let world = World::new();
    let html = Act::Whole(400, Vec::new(), "<h1>secret</h1>".into());
    world.provider().queue([html]);
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!(error_of(&reply), (400, "provider_refused".to_owned()));
    let body: Value = json_of(&reply);
    assert!(!body.to_string().contains("secret"));
}
