//! The first start: once, however often and from wherever it is tried.

use std::sync::{Arc, Barrier};

use tollgate_auth::{KeyText, Pepper, TokenPepper};
use tollgate_control::{Bootstrapped, Control};
use tollgate_domain::{Actor, OrgId, Role};
use tollgate_store::{ApiKeyStore, AuditStore, KeyFilter, MemoryStore, OrganizationStore, Store};

use crate::desk::{ACME, NOW, audit, organization};

fn empty() -> (Arc<MemoryStore>, Control) {
    let store = Arc::new(MemoryStore::default());
    let kept: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
    (
        store,
        Control::new(
            kept,
            Arc::new(Pepper::derive(&[7; 32])),
            Arc::new(TokenPepper::derive(&[7; 32])),
        ),
    )
}

fn owners(store: &MemoryStore, org: OrgId) -> Vec<String> {
    let keys = store
        .list_api_keys(org, &KeyFilter::default(), None, 10)
        .unwrap();
    assert!(keys.iter().all(|key| key.role == Role::OrgOwner.into()));
    keys.into_iter().map(|key| key.public_id).collect()
}

#[test]
fn an_empty_database_gets_an_organization_and_its_owner_once() {
    let (store, control) = empty();
    let (first, second) = (KeyText::generate().unwrap(), KeyText::generate().unwrap());
    assert_eq!(
        control.bootstrap(&first, NOW).unwrap(),
        Bootstrapped::Created
    );
    let org = store.find_organization_by_name("default").unwrap().unwrap();
    assert_eq!(owners(&store, org.id), [first.public_id()]);
    let kept = store
        .find_api_key_by_public_id(first.public_id())
        .unwrap()
        .unwrap();
    assert!(Pepper::derive(&[7; 32]).matches(&first, &kept.mac));
    for again in [&first, &second] {
        assert_eq!(control.bootstrap(again, NOW).unwrap(), Bootstrapped::InUse);
    }
    let entries = store.read_audit(Some(org.id), 0, 9).unwrap().into_iter();
    let done: Vec<_> = entries
        .map(|entry| (entry.actor, entry.action, entry.object))
        .collect();
    let by_system = |action: &str, object: String| (Actor::System, action.to_owned(), object);
    assert_eq!(
        done,
        [
            by_system("organization.create", org.id.to_string()),
            by_system("key.create", kept.id.to_string()),
        ]
    );
    assert_eq!(owners(&store, org.id), [first.public_id()]);
}

#[test]
fn a_start_that_was_interrupted_is_finished_by_the_next() {
    let (store, control) = empty();
    store
        .add_organization(&organization(ACME, "default"), &audit(ACME))
        .unwrap();
    let key = KeyText::generate().unwrap();
    assert_eq!(control.bootstrap(&key, NOW).unwrap(), Bootstrapped::Created);
    assert_eq!(owners(&store, ACME), [key.public_id()]);
}

#[test]
fn an_organization_that_was_renamed_is_still_there() {
    let (store, control) = empty();
    let key = KeyText::generate().unwrap();
    control.bootstrap(&key, NOW).unwrap();
    let mut renamed = store.find_organization_by_name("default").unwrap().unwrap();
    renamed.name = "acme".to_owned();
    store
        .update_organization(&renamed, &audit(renamed.id))
        .unwrap();
    for again in [&key, &KeyText::generate().unwrap()] {
        assert_eq!(control.bootstrap(again, NOW).unwrap(), Bootstrapped::InUse);
    }
    assert_eq!(store.find_organization_by_name("default").unwrap(), None);
}

#[test]
fn of_two_that_start_at_once_one_is_the_first() {
    for _ in 0..200 {
        let (store, control) = empty();
        let key = KeyText::generate().unwrap();
        let barrier = Barrier::new(2);
        let start = || {
            barrier.wait();
            control.bootstrap(&key, NOW).unwrap()
        };
        let done = std::thread::scope(|scope| {
            let other = scope.spawn(start);
            [start(), other.join().unwrap()]
        });
        assert!(
            done.contains(&Bootstrapped::Created) && done.contains(&Bootstrapped::InUse),
            "{done:?}"
        );
        let org = store.find_organization_by_name("default").unwrap().unwrap();
        assert_eq!(owners(&store, org.id).len(), 1);
    }
}
