//! Money: never more than there is, and nothing held when nothing is under way.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_domain::{BudgetPolicy, BudgetScope, Money};

use crate::provider::{Act, answer, error, stream};
use crate::world::{Plan, World, ask, ask_stream, budget, error_of, read_all};

/// A request that reserves (bytes + 128) prompt tokens and 100 answer tokens.
fn bounded() -> Value {
    let mut body = ask();
    body["max_completion_tokens"] = json!(100);
    body
}

/// What a request reserves, in nano-dollars.
fn reserve(body: &Value) -> i64 {
    let prompt = i64::try_from(body.to_string().len()).unwrap() + 128;
    prompt * 1_000 + 100 * 2_000
}

fn nano(balance: tollgate_ledger::Balance) -> (i64, i64) {
    (balance.spent.nano(), balance.held.nano())
}

#[tokio::test(start_paused = true)]
async fn exactly_as_many_requests_are_under_way_as_the_budget_holds() {
    let world = World::new();
    let policy = budget(reserve(&bounded()) * 5);
    let (key, id) = world.key_with(|key| key.budget = policy);
    let slow = Act::After(Duration::from_secs(5), Box::new(answer(10, 5)));
    world.provider().always(slow);
    let asked = bounded();
    let replies = futures_util::future::join_all((0..20).map(|_| world.chat(&key, &asked))).await;
    let answered = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!((answered, world.provider().calls()), (5, 5));
    for refused in replies.iter().filter(|reply| reply.status != 200) {
        assert_eq!(error_of(refused), (402, "budget_exceeded".to_owned()));
        assert_eq!((refused.should_retry, refused.attempts), (Some(false), 0));
    }
    let balance = world.balance(BudgetScope::Key(id), policy);
    assert_eq!(nano(balance), (5 * 20_000, 0));
    assert_eq!(world.events().len(), 5);
}

#[tokio::test]
async fn a_budget_is_spent_to_its_end_and_then_refuses() {
    let world = World::new();
    let asked = bounded();
    let policy = budget(reserve(&asked) * 3);
    let (key, id) = world.key_with(|key| key.budget = policy);
    let prompt = u64::try_from(asked.to_string().len()).unwrap() + 128;
    world.provider().always(answer(prompt, 100));
    for _ in 0..3 {
        assert_eq!(world.chat(&key, &asked).await.status, 200);
    }
    assert_eq!(world.chat(&key, &asked).await.status, 402);
    let balance = world.balance(BudgetScope::Key(id), policy);
    assert_eq!((balance.spent, balance.held), (balance.limit, Money::ZERO));
}

#[tokio::test]
async fn the_organizations_budget_bounds_all_of_its_keys_together() {
    let mut streamed = bounded();
    streamed["stream"] = json!(true);
    let org_budget = budget(reserve(&streamed));
    let world = World::of(Plan {
        org_budget,
        ..Plan::default()
    });
    let (one, two) = (world.key(), world.key());
    world.provider().queue([stream(10, 5)]);
    let mut open = world.chat(&one, &streamed).await;
    assert_eq!(open.status, 200);
    assert_eq!(world.chat(&two, &bounded()).await.status, 402);
    drop(read_all(&mut open).await);
    let balance = world.balance(BudgetScope::Org(world.org), org_budget);
    assert_eq!(nano(balance), (20_000, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_after_failures_cuts_and_leaving_clients() {
    let world = World::new();
    let policy = budget(1_000_000_000);
    let (key, id) = world.key_with(|key| key.budget = policy);
    let held = || nano(world.balance(BudgetScope::Key(id), policy)).1;
    for act in [error(400), error(401), error(500)] {
        world.provider().always(act);
        drop(world.chat(&key, &bounded()).await);
        assert_eq!(held(), 0);
    }
    world.provider().always(Act::Hang);
    let asked = bounded();
    let mut leaving = Box::pin(world.chat(&key, &asked));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), &mut leaving)
            .await
            .is_err()
    );
    assert_eq!(held(), reserve(&asked));
    drop(leaving);
    assert_eq!(held(), 0);
    world.provider().always(stream(10, 5));
    drop(world.chat(&key, &ask_stream()).await);
    assert_eq!(held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_budget_for_one_request_lets_that_one_be_tried_again() {
    let world = World::new();
    let policy = budget(reserve(&bounded()));
    let (key, _) = world.key_with(|key| key.budget = policy);
    world.provider().queue([error(500), answer(10, 5)]);
    let reply = world.chat(&key, &bounded()).await;
    assert_eq!((reply.status, reply.attempts), (200, 2));
}

#[tokio::test]
async fn every_choice_is_reserved_for() {
    let world = World::new();
    let policy = budget(reserve(&bounded()) + 100_000);
    let (key, _) = world.key_with(|key| key.budget = policy);
    world.provider().always(answer(1, 1));
    let mut body = bounded();
    body["n"] = json!(2);
    assert_eq!(world.chat(&key, &body).await.status, 402);
    assert_eq!(world.chat(&key, &bounded()).await.status, 200);
}

#[tokio::test]
async fn a_request_that_costs_more_than_any_budget_holds_is_refused() {
    let world = World::new();
    let (key, _) = world.key_with(|key| {
        key.budget = Some(BudgetPolicy {
            max_budget: Money::MAX,
            duration: None,
        })
    });
    let mut body = bounded();
    body["max_completion_tokens"] = json!(100_000_000);
    body["n"] = json!(128);
    world.provider().always(answer(1, 1));
    let reply = world.chat(&key, &body).await;
    assert_eq!(reply.status, 200, "25.6 million dollars are money");
}

#[tokio::test]
async fn a_budget_that_cannot_be_read_is_503_and_not_402() {
    let world = World::new();
    let (key, _) = world.key_with(|key| key.budget = budget(1_000_000_000));
    world.set_down(true);
    let reply = world.chat(&key, &bounded()).await;
    assert_eq!(reply.status, 503);
    assert!(reply.retry_after.is_some());
    world.set_down(false);
    world.provider().always(answer(1, 1));
    assert_eq!(world.chat(&key, &bounded()).await.status, 200);
}

#[tokio::test]
async fn what_costs_more_than_was_reserved_is_booked_in_full() {
    let world = World::new();
    let policy = budget(reserve(&bounded()));
    let (key, id) = world.key_with(|key| key.budget = policy);
    world.provider().always(answer(1_000_000, 0));
    assert_eq!(world.chat(&key, &bounded()).await.status, 200);
    let balance = world.balance(BudgetScope::Key(id), policy);
    assert_eq!(nano(balance), (1_000_000_000, 0));
    assert_eq!(world.chat(&key, &bounded()).await.status, 402);
}
