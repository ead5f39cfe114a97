//! Which target a request goes to, as what, and at which price.

use serde_json::json;
use tollgate_domain::{ModelPrice, Money};
use tollgate_engine::{Catalog, CatalogError, ModelConfig, UnknownPrice};
use tollgate_ledger::PriceTable;
use tollgate_resilience::BreakerConfig;

use crate::provider::{answer, error};
use crate::world::{Plan, World, ask, ask_for, error_of, model};

fn world_of(models: Vec<ModelConfig>) -> World {
    World::of(Plan {
        models,
        ..Plan::default()
    })
}

fn unpriced(name: &str, providers: &[usize]) -> ModelConfig {
    ModelConfig {
        price: None,
        ..model(name, providers)
    }
}

#[tokio::test]
async fn a_pattern_passes_the_name_on_and_the_longest_one_wins() {
    let world = world_of(vec![
        model("a*", &[0]),
        model("a-b*", &[1]),
        model("a-b-c", &[2]),
    ]);
    let key = world.key();
    for (asked, provider, upstream) in [
        ("a-x", 0, "a-x"),
        ("a-b", 1, "a-b"),
        ("a-b-c", 2, "up-a-b-c"),
    ] {
        world.providers[provider].queue([answer(1, 1)]);
        assert_eq!(
            world.chat(&key, &ask_for(asked)).await.status,
            200,
            "{asked}"
        );
        assert_eq!(
            world.providers[provider].bodies().pop().unwrap()["model"],
            upstream
        );
    }
    let events = world.events();
    let models: Vec<&str> = events.iter().map(|event| &*event.model).collect();
    assert_eq!(models, ["a-x", "a-b", "a-b-c"]);
    assert_eq!(error_of(&world.chat(&key, &ask_for("a*")).await).0, 404);
    assert_eq!(error_of(&world.chat(&key, &ask_for("b")).await).0, 404);
    assert_eq!(*world.engine.catalog().names(), ["a-b-c".into()]);
}

#[tokio::test]
async fn a_pattern_is_billed_at_the_listed_price_of_what_was_asked_for() {
    let world = world_of(vec![unpriced("gpt-*", &[0])]);
    let key = world.key();
    world.provider().always(answer(1_000_000, 0));
    let reply = world.chat(&key, &ask_for("gpt-4o-mini")).await;
    assert_eq!(reply.cost, Some(Money::from_usd("0.15").unwrap()));
    let unknown = world.chat(&key, &ask_for("gpt-nobody-knows")).await;
    assert_eq!(error_of(&unknown), (403, "unknown_price".to_owned()));
    assert_eq!(world.provider().calls(), 1);
}

#[tokio::test]
async fn an_unknown_price_refuses_the_call_or_marks_it() {
    let denied = world_of(vec![unpriced("m", &[0])]);
    let reply = denied.chat(&denied.key(), &ask()).await;
    assert_eq!(error_of(&reply), (403, "unknown_price".to_owned()));
    assert_eq!((denied.provider().calls(), denied.events().len()), (0, 0));

    let allowed = World::of(Plan {
        models: vec![unpriced("m", &[0])],
        unknown_price: UnknownPrice::AllowFlagged,
        ..Plan::default()
    });
    allowed.provider().queue([answer(10, 5)]);
    assert_eq!(allowed.chat(&allowed.key(), &ask()).await.status, 200);
    let event = allowed.event();
    assert_eq!(
        (&*event.price_version, event.cost),
        ("unknown", Money::ZERO)
    );
    assert_eq!(event.usage.input, 10);
}

#[tokio::test]
async fn a_known_price_of_nothing_is_known() {
    let free = ModelConfig {
        price: Some(ModelPrice::FREE),
        ..model("m", &[0])
    };
    let mut local = unpriced("l", &[0]);
    local.targets[0].is_free = true;
    let world = world_of(vec![free, local]);
    let key = world.key();
    world.provider().always(answer(10, 5));
    for name in ["m", "l"] {
        assert_eq!(
            world.chat(&key, &ask_for(name)).await.cost,
            Some(Money::ZERO),
            "{name}"
        );
    }
    assert!(
        world
            .events()
            .iter()
            .all(|event| &*event.price_version != "unknown")
    );
}

#[tokio::test]
async fn fallbacks_are_tried_when_every_target_has_failed() {
    let mut first = model("m", &[0]);
    first.fallbacks = vec!["spare".to_owned()];
    let world = world_of(vec![first, model("spare", &[1])]);
    world.providers[0].always(error(401));
    world.providers[1].always(answer(10, 5));
    let reply = world.chat(&world.key(), &ask()).await;
    assert_eq!((reply.status, reply.provider.as_deref()), (200, Some("p1")));
    assert_eq!(world.providers[1].bodies()[0]["model"], "up-spare");
    let models: Vec<_> = world
        .events()
        .into_iter()
        .map(|e| (e.model, e.upstream_model))
        .collect();
    let both = [("m", "up-m"), ("m", "up-spare")].map(|(a, b)| (a.into(), b.into()));
    assert_eq!(models, both);
}

#[tokio::test]
async fn a_fallback_that_matches_a_pattern_is_asked_for_by_its_own_name() {
    let mut first = model("m", &[0]);
    first.fallbacks = vec!["spare-1".to_owned()];
    let world = world_of(vec![first, model("spare-*", &[1])]);
    world.providers[0].always(error(401));
    world.providers[1].always(answer(10, 5));
    assert_eq!(world.chat(&world.key(), &ask()).await.status, 200);
    assert_eq!(world.providers[1].bodies()[0]["model"], "spare-1");
    assert_eq!(&*world.events()[1].upstream_model, "spare-1");
}

#[tokio::test]
async fn a_key_falls_back_only_to_models_that_it_may_use() {
    let mut first = model("m", &[0]);
    first.fallbacks = vec!["dear".to_owned(), "spare".to_owned()];
    let world = world_of(vec![first, model("dear", &[1]), model("spare", &[2])]);
    let (key, _) = world.key_with(|key| key.models = vec!["m".to_owned(), "spa*".to_owned()]);
    world.providers[0].always(error(401));
    world.providers[1].always(answer(1, 1));
    world.providers[2].always(answer(1, 1));
    let reply = world.chat(&key, &ask()).await;
    assert_eq!(reply.provider.as_deref(), Some("p2"));
    assert_eq!(world.providers[1].calls(), 0);
}

#[tokio::test]
async fn a_key_uses_only_its_models() {
    let world = world_of(vec![
        model("m", &[0]),
        model("n-1", &[0]),
        model("n-2", &[0]),
    ]);
    let (key, _) = world.key_with(|key| key.models = vec!["n-1".to_owned(), "m*".to_owned()]);
    world.provider().always(answer(1, 1));
    for (name, status) in [("m", 200), ("n-1", 200), ("n-2", 403), ("n-3", 404)] {
        let reply = world.chat(&key, &ask_for(name)).await;
        assert_eq!(reply.status, status, "{name}");
    }
    let refused = error_of(&world.chat(&key, &ask_for("n-2")).await);
    assert_eq!(refused.1, "model_not_allowed");
    assert_eq!(world.provider().calls(), 2);
}

#[test]
fn a_catalog_that_leads_nowhere_is_refused() {
    let make = |models| {
        let prices = PriceTable::built_in().unwrap();
        Catalog::new(
            models,
            prices,
            UnknownPrice::Deny,
            &BreakerConfig::default(),
        )
        .map(drop)
    };
    let mut lost = model("m", &[0]);
    lost.fallbacks = vec!["none".to_owned()];
    let twice = vec![model("m", &[0]), model("m", &[1])];
    assert_eq!(make(twice), Err(CatalogError::Duplicate("m".to_owned())));
    assert_eq!(
        make(vec![model("m", &[])]),
        Err(CatalogError::NoTargets("m".to_owned()))
    );
    let unknown = CatalogError::UnknownFallback {
        model: "m".to_owned(),
        fallback: "none".to_owned(),
    };
    assert_eq!(make(vec![lost]), Err(unknown));
    assert_eq!(make(Vec::new()), Ok(()));
}

#[tokio::test]
async fn answers_are_bounded_only_under_a_budget_and_when_nothing_else_bounds_them() {
    let asked_upstream = async |name: &str, has_budget: bool, field: Option<&str>| {
        let world = world_of(vec![model("m", &[0]), {
            let mut listed = unpriced("listed", &[0]);
            listed.targets[0].model = "gpt-4o-mini".to_owned();
            listed
        }]);
        let (key, _) = world.key_with(|key| {
            key.budget = has_budget.then(|| crate::world::budget(1_000_000_000).unwrap())
        });
        world.provider().always(answer(1, 1));
        let mut body = ask_for(name);
        if let Some(field) = field {
            body[field] = json!(50);
        }
        assert_eq!(world.chat(&key, &body).await.status, 200);
        let sent = world.provider().bodies().pop().unwrap();
        (
            sent["max_completion_tokens"].as_u64(),
            sent["max_tokens"].as_u64(),
        )
    };
    assert_eq!(asked_upstream("m", false, None).await, (None, None));
    assert_eq!(asked_upstream("m", true, None).await, (Some(4_096), None));
    assert_eq!(
        asked_upstream("m", true, Some("max_tokens")).await,
        (None, Some(50))
    );
    assert_eq!(
        asked_upstream("m", true, Some("max_completion_tokens")).await,
        (Some(50), None)
    );
    assert_eq!(asked_upstream("listed", true, None).await, (None, None));
}
