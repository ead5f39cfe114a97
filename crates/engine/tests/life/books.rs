//! Whatever providers and clients do, the books are exact.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_domain::{BudgetScope, Money, RequestId, Timestamp};
use tollgate_engine::Inbound;
use tollgate_store::UsageStore;

use crate::provider::{Act, Part, answer, content, done, error, error_with, event, usage};
use crate::world::{Plan, World, ask, budget, model, next_chunk, read_all};

/// What one request asks for, what providers do with its calls, and when its client leaves.
#[derive(Debug, Clone)]
struct Step {
    is_stream: bool,
    acts: [Vec<Act>; 2],
    /// Gives up waiting for the head after so many milliseconds.
    patience_ms: Option<u64>,
    /// Leaves after so many chunks.
    chunks: Option<usize>,
}

fn part() -> impl Strategy<Value = Part> {
    let role = event(&json!({"choices": [{"index": 0, "delta": {"role": "assistant"}}]}));
    prop_oneof![
        4 => Just(content("hello")),
        2 => Just(role),
        2 => (0..400_u64, 0..400_u64).prop_map(|(input, output)| usage(input, output)),
        2 => Just(done()),
        1 => (1..20_000_u64).prop_map(|ms| Part::Wait(Duration::from_millis(ms))),
        1 => Just(Part::Break),
        1 => Just(event(&json!({"error": {"message": "m"}}))),
        1 => Just(Part::Chunk("data: nonsense\n\n".into())),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let simple = prop_oneof![
        4 => (0..400_u64, 0..400_u64).prop_map(|(input, output)| answer(input, output)),
        6 => prop::collection::vec(part(), 0..6).prop_map(Act::Stream),
        3 => prop::sample::select(vec![400, 401, 404, 408, 429, 500, 503]).prop_map(error),
        1 => Just(error_with(429, &[("retry-after", "2")])),
        1 => Just(error_with(429, &[("retry-after", "90")])),
        1 => Just(Act::Refuse),
        1 => Just(Act::Busy),
        1 => Just(Act::Hang),
        1 => Just(Act::Whole(200, Vec::new(), "<h1>".into())),
        1 => Just(Act::Whole(200, Vec::new(), r#"{"choices":[]}"#.into())),
    ];
    (simple, prop::option::of(1..3_000_u64)).prop_map(|(act, after_ms)| match after_ms {
        Some(ms) => Act::After(Duration::from_millis(ms), Box::new(act)),
        None => act,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let acts = || prop::collection::vec(act(), 3);
    let leaves = (prop::option::of(1..5_000_u64), prop::option::of(0..4_usize));
    (any::<bool>(), acts(), acts(), leaves).prop_map(|(is_stream, one, two, leaves)| Step {
        is_stream,
        acts: [one, two],
        patience_ms: leaves.0,
        chunks: leaves.1,
    })
}

fn body_of(step: &Step) -> Value {
    let mut body = ask();
    body["max_completion_tokens"] = json!(100);
    body["stream"] = json!(step.is_stream);
    body
}

/// Lets one client make its request. Returns the id and how many attempts the reply told of.
async fn request(
    world: &World,
    key: &tollgate_auth::KeyText,
    step: &Step,
) -> (RequestId, Option<usize>) {
    let inbound = Inbound::new(Ok(key.clone()), body_of(step).to_string().into());
    let id = inbound.request_id;
    let patience = Duration::from_millis(step.patience_ms.unwrap_or(3_600_000));
    let Ok(mut reply) = tokio::time::timeout(patience, world.worker.chat(inbound)).await else {
        return (id, None);
    };
    let attempts = reply.attempts;
    if matches!(reply.body, tollgate_engine::ReplyBody::Stream(_)) {
        match step.chunks {
            None => drop(read_all(&mut reply).await),
            Some(chunks) => {
                for _ in 0..chunks {
                    drop(next_chunk(&mut reply).await);
                }
            }
        }
    }
    (id, Some(attempts))
}

/// Makes the requests, some at once, and compares all that is known of them.
async fn check(steps: &[Step], policy: tollgate_domain::BudgetPolicy) {
    let world = World::of(Plan {
        models: vec![model("m", &[0, 1])],
        org_budget: Some(policy),
        ..Plan::default()
    });
    let key = world.key();
    let mut asked: HashMap<RequestId, Option<usize>> = HashMap::new();
    for at_once in steps.chunks(3) {
        for (place, provider) in world.providers.iter().take(2).enumerate() {
            provider.queue(at_once.iter().flat_map(|step| step.acts[place].clone()));
            provider.always(error(500));
        }
        let requests = at_once.iter().map(|step| request(&world, &key, step));
        asked.extend(futures_util::future::join_all(requests).await);
    }

    // The rest of a stream that has said that it is done is read for a moment.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let events = world.events();
    let calls: usize = world
        .providers
        .iter()
        .map(|provider| provider.calls())
        .sum();
    assert_eq!(events.len(), calls, "one event for each call");
    assert!(
        world
            .providers
            .iter()
            .all(|provider| provider.under_way() == 0)
    );
    for (id, attempts) in &asked {
        let of_it: Vec<_> = events
            .iter()
            .filter(|event| event.request_id == *id)
            .collect();
        assert!(
            attempts.is_none_or(|attempts| attempts == of_it.len()),
            "{of_it:?}"
        );
        let finals = of_it.iter().filter(|event| event.is_final).count();
        assert_eq!(finals, usize::from(!of_it.is_empty()), "{of_it:?}");
        assert!(of_it.last().is_none_or(|last| last.is_final), "{of_it:?}");
    }
    let scope = BudgetScope::Org(world.org);
    let cost: Money = events.iter().map(|event| event.cost).sum();
    let balance = world.balance(scope, Some(policy));
    assert_eq!((balance.spent, balance.held), (cost, Money::ZERO));
    assert_eq!(
        world
            .store
            .budget_spent(scope, Timestamp::default())
            .unwrap(),
        cost
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_call_has_one_event_and_every_request_one_end(
        steps in prop::collection::vec(step(), 1..7),
        nano in prop_oneof![Just(1_000_000_000_i64), 400_000..2_000_000_i64],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(check(&steps, budget(nano).unwrap()));
    }
}
