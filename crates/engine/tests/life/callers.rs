//! Who may call: known keys at once, unknown ones never, and never a wrong 401.

use std::sync::atomic::Ordering;

use tollgate_auth::KeyText;
use tollgate_domain::{Organization, Role};
use tollgate_engine::now;
use tollgate_store::{ApiKeyStore, OrganizationStore};

use crate::provider::answer;
use crate::world::{World, ask, error_of, long_ago};

fn world() -> World {
    let world = World::new();
    world.provider().always(answer(1, 1));
    world
}

#[tokio::test]
async fn a_key_is_looked_up_once() {
    let world = world();
    let key = world.key();
    for _ in 0..5 {
        assert_eq!(world.chat(&key, &ask()).await.status, 200);
    }
    assert_eq!(world.store.lookups.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_key_that_nobody_has_is_refused_and_not_looked_up_again() {
    let world = world();
    let stranger = KeyText::generate().unwrap();
    for _ in 0..5 {
        let refused = world.chat(&stranger, &ask()).await;
        assert_eq!(error_of(&refused), (401, "invalid_api_key".to_owned()));
    }
    assert_eq!(world.store.lookups.load(Ordering::SeqCst), 1);
    assert_eq!(world.provider().calls(), 0);
}

#[tokio::test]
async fn a_key_that_is_made_after_it_was_refused_works() {
    let world = world();
    let text = KeyText::generate().unwrap();
    assert_eq!(world.chat(&text, &ask()).await.status, 401);
    drop(world.key_with(|key| {
        key.public_id = text.public_id().to_owned();
        key.mac = world.pepper.mac(&text);
    }));
    assert_eq!(world.chat(&text, &ask()).await.status, 200);
}

#[tokio::test]
async fn the_secret_must_be_the_one_that_was_given_out() {
    let world = world();
    let (text, _) = world.key_with(|key| key.mac = [0; 32]);
    assert_eq!(world.chat(&text, &ask()).await.status, 401);
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let world = world();
    let (expired, _) = world.key_with(|key| key.expires_at = Some(long_ago()));
    assert_eq!(world.chat(&expired, &ask()).await.status, 401);
    let (lasting, _) = world.key_with(|key| key.expires_at = Some(now().plus_seconds(60)));
    assert_eq!(world.chat(&lasting, &ask()).await.status, 200);
}

#[tokio::test]
async fn a_revoked_key_is_refused_from_the_next_refresh_on() {
    let world = world();
    let (key, id) = world.key_with(|_| {});
    assert_eq!(world.chat(&key, &ask()).await.status, 200);
    let revoked = world
        .store
        .revoke_api_key(world.org, id, now(), &world.audit());
    drop(revoked.unwrap());
    assert_eq!(
        world.chat(&key, &ask()).await.status,
        200,
        "it is not known here yet"
    );
    world.engine.callers().refresh().unwrap();
    let refused = world.chat(&key, &ask()).await;
    assert_eq!(error_of(&refused), (401, "invalid_api_key".to_owned()));
}

#[tokio::test]
async fn a_blocked_organization_is_refused_by_that_name() {
    let world = world();
    let key = world.key();
    let found = world.store.find_organization(world.org).unwrap().unwrap();
    let blocked = Organization {
        blocked: true,
        ..found
    };
    world
        .store
        .update_organization(&blocked, &world.audit())
        .unwrap();
    world.engine.callers().refresh().unwrap();
    let refused = world.chat(&key, &ask()).await;
    assert_eq!(error_of(&refused), (403, "organization_blocked".to_owned()));
}

#[tokio::test]
async fn a_role_without_models_is_refused() {
    let world = world();
    let (viewer, _) = world.key_with(|key| key.role = Role::Viewer.into());
    let refused = world.chat(&viewer, &ask()).await;
    assert_eq!(error_of(&refused), (403, "permission_denied".to_owned()));
    assert_eq!(world.provider().calls(), 0);
}

#[tokio::test]
async fn without_the_store_known_keys_work_and_unknown_ones_are_not_called_wrong() {
    let world = world();
    let (known, fresh) = (world.key(), world.key());
    assert_eq!(world.chat(&known, &ask()).await.status, 200);
    world.set_down(true);
    assert!(world.engine.callers().refresh().is_err());
    assert_eq!(world.chat(&known, &ask()).await.status, 200);
    for unknown in [&fresh, &KeyText::generate().unwrap()] {
        let refused = world.chat(unknown, &ask()).await;
        assert_eq!(error_of(&refused), (503, "service_unavailable".to_owned()));
        assert!(refused.retry_after.is_some());
    }
    world.set_down(false);
    assert_eq!(world.chat(&fresh, &ask()).await.status, 200);
    assert_eq!(world.events().len(), 3);
}
