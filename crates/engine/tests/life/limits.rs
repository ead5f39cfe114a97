//! Requests and tokens per minute, requests at once: per key and per organization.

use std::time::Duration;

use serde_json::json;
use tollgate_domain::Limits;
use tollgate_engine::Rates;

use crate::provider::{Act, answer, error, stream};
use crate::world::{Plan, World, ask, ask_stream, error_of, read_all};

fn limits(rpm: Option<u32>, tpm: Option<u32>, parallel: Option<u32>) -> Limits {
    Limits {
        rpm_limit: rpm,
        tpm_limit: tpm,
        max_parallel_requests: parallel,
    }
}

fn world_of(org_limits: Limits) -> World {
    World::of(Plan {
        org_limits,
        ..Plan::default()
    })
}

/// Limit and what is left of it, of requests and of tokens.
fn left(rates: Rates) -> [Option<(u32, u32)>; 2] {
    [rates.requests, rates.tokens].map(|rate| rate.map(|rate| (rate.limit, rate.remaining)))
}

#[tokio::test]
async fn requests_per_minute_are_bounded_and_shown() {
    let world = World::new();
    let (key, _) = world.key_with(|key| key.limits = limits(Some(3), None, None));
    world.provider().always(answer(1, 1));
    for remaining in [2, 1, 0] {
        let reply = world.chat(&key, &ask()).await;
        assert_eq!(
            (reply.status, left(reply.rates)),
            (200, [Some((3, remaining)), None])
        );
    }
    let refused = world.chat(&key, &ask()).await;
    assert_eq!(error_of(&refused), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(left(refused.rates), [Some((3, 0)), None]);
    let wait = refused.retry_after.unwrap();
    assert!((15..=20).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(world.provider().calls(), 3);
}

#[tokio::test]
async fn the_tightest_scope_is_shown_and_holds() {
    let world = world_of(limits(Some(2), None, None));
    let (loose, _) = world.key_with(|key| key.limits = limits(Some(100), None, None));
    let other = world.key();
    world.provider().always(answer(1, 1));
    let reply = world.chat(&loose, &ask()).await;
    assert_eq!(left(reply.rates)[0], Some((2, 1)));
    assert_eq!(world.chat(&other, &ask()).await.status, 200);
    let refused = world.chat(&loose, &ask()).await;
    assert_eq!(
        (refused.status, left(refused.rates)[0]),
        (429, Some((2, 0)))
    );
}

#[tokio::test]
async fn a_request_that_the_key_refuses_is_not_counted_for_the_organization() {
    let world = world_of(limits(Some(10), None, None));
    let (tight, _) = world.key_with(|key| key.limits = limits(Some(1), None, None));
    let free = world.key();
    world.provider().always(answer(1, 1));
    for _ in 0..5 {
        drop(world.chat(&tight, &ask()).await);
    }
    let reply = world.chat(&free, &ask()).await;
    assert_eq!(left(reply.rates)[0], Some((10, 8)), "two were admitted");
}

#[tokio::test]
async fn tokens_are_held_by_estimate_and_corrected_by_the_truth() {
    let world = World::new();
    let (key, _) = world.key_with(|key| key.limits = limits(None, Some(1_000), None));
    let mut body = ask();
    body["max_completion_tokens"] = json!(800);
    world.provider().queue([answer(10, 10), answer(600, 600)]);
    let first = world.chat(&key, &body).await;
    let [_, Some((1_000, held))] = left(first.rates) else {
        panic!("{:?}", first.rates)
    };
    assert!(held < 200, "the estimate is held: {held}");
    let second = world.chat(&key, &body).await;
    assert_eq!(second.status, 200, "what was not used was given back");
    let refused = world.chat(&key, &ask()).await;
    assert_eq!(error_of(&refused), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(
        left(refused.rates)[1],
        Some((1_000, 0)),
        "more was used than there was"
    );
    assert!(refused.retry_after.is_some());
}

#[tokio::test]
async fn a_request_larger_than_the_whole_limit_is_not_refused_for_ever() {
    let world = World::new();
    let (key, _) = world.key_with(|key| key.limits = limits(None, Some(100), None));
    let mut body = ask();
    body["max_completion_tokens"] = json!(5_000);
    world.provider().always(answer(10, 10));
    assert_eq!(world.chat(&key, &body).await.status, 200);
}

#[tokio::test]
async fn tokens_of_a_failed_request_and_of_a_stream_are_corrected_too() {
    let world = World::new();
    let (key, _) = world.key_with(|key| key.limits = limits(None, Some(1_000), None));
    let mut body = ask_stream();
    body["max_completion_tokens"] = json!(900);
    world
        .provider()
        .queue([error(400), stream(5, 5), stream(900, 90)]);
    assert_eq!(world.chat(&key, &body).await.status, 400);
    for _ in 0..2 {
        let mut reply = world.chat(&key, &body).await;
        assert_eq!(reply.status, 200, "what was not used was given back");
        let refused = world.chat(&key, &body).await;
        assert_eq!(refused.status, 429, "the stream holds them");
        drop(read_all(&mut reply).await);
    }
    let refused = world.chat(&key, &body).await;
    assert_eq!(refused.status, 429, "the last stream has used them");
}

#[tokio::test(start_paused = true)]
async fn requests_at_once_are_bounded_until_their_last_byte() {
    let world = world_of(limits(None, None, Some(3)));
    let (key, _) = world.key_with(|key| key.limits = limits(None, None, Some(1)));
    let other = world.key();
    world.provider().queue([stream(1, 1)]);
    let mut open = world.chat(&key, &ask_stream()).await;
    let refused = world.chat(&key, &ask()).await;
    assert_eq!(
        error_of(&refused),
        (429, "too_many_parallel_requests".to_owned())
    );
    assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));

    world.provider().always(Act::Hang);
    let asked = ask();
    let mut hanging: Vec<_> = (0..2)
        .map(|_| Box::pin(world.chat(&other, &asked)))
        .collect();
    for one in &mut hanging {
        assert!(
            tokio::time::timeout(Duration::from_millis(1), one)
                .await
                .is_err()
        );
    }
    assert_eq!(
        world.chat(&other, &asked).await.status,
        429,
        "the organization has three"
    );
    drop(hanging);

    drop(read_all(&mut open).await);
    drop(open);
    world.provider().always(answer(1, 1));
    assert_eq!(world.chat(&key, &asked).await.status, 200);
}

#[tokio::test]
async fn a_change_of_limits_takes_effect_and_a_reload_refills_nothing() {
    let world = World::new();
    let (key, _) = world.key_with(|key| key.limits = limits(Some(2), None, None));
    world.provider().always(answer(1, 1));
    assert_eq!(world.chat(&key, &ask()).await.status, 200);
    drop(world.key());
    let reply = world.chat(&key, &ask()).await;
    assert_eq!(
        left(reply.rates)[0],
        Some((2, 0)),
        "another key's coming changes nothing"
    );
    assert_eq!(world.chat(&key, &ask()).await.status, 429);
}
