//! Rules for API keys.

use tollgate_domain::Timestamp;

use super::fixtures::{NOW, event, full_key, key, key_id, org_id, organization};
use crate::{NAME_BYTES_MAX, Store, StoreError};

const LATER: Timestamp = Timestamp::from_micros(NOW.micros() + 1);

/// Every field comes back, by public id and within the organization.
pub fn a_key_is_found_as_it_was_added(store: &dyn Store) {
    store.add_organization(&organization(1)).unwrap();
    for key in [key(1, 1), full_key(2, 1)] {
        store.add_api_key(&key).unwrap();
        let found = store.find_api_key_by_public_id(&key.public_id).unwrap();
        assert_eq!(found.as_ref(), Some(&key));
        let found = store.find_api_key(key.org_id, key.id).unwrap();
        assert_eq!(found.as_ref(), Some(&key));
    }
    for public_id in ["PUBLIC1", "public", "", "\0"] {
        let found = store.find_api_key_by_public_id(public_id).unwrap();
        assert_eq!(found, None, "{public_id}");
    }
    assert_eq!(store.find_api_key(org_id(1), key_id(3)).unwrap(), None);
}

/// A taken id or public id is a conflict, in another organization too.
pub fn ids_and_public_ids_are_unique(store: &dyn Store) {
    store.add_organization(&organization(1)).unwrap();
    store.add_organization(&organization(2)).unwrap();
    let first = key(1, 1);
    store.add_api_key(&first).unwrap();
    for org in [1, 2] {
        let mut same_id = key(2, org);
        same_id.id = first.id;
        let mut same_public_id = key(2, org);
        same_public_id.public_id.clone_from(&first.public_id);
        for other in [same_id, same_public_id] {
            let added = store.add_api_key(&other);
            assert!(
                matches!(added, Err(StoreError::Conflict { .. })),
                "{added:?}"
            );
        }
    }
    let found = store.find_api_key_by_public_id(&first.public_id).unwrap();
    assert_eq!(found, Some(first));
}

/// A key of no organization is refused.
pub fn a_key_needs_its_organization(store: &dyn Store) {
    store.add_organization(&organization(1)).unwrap();
    let added = store.add_api_key(&key(1, 2));
    assert!(
        matches!(added, Err(StoreError::Missing { .. })),
        "{added:?}"
    );
    let found = store.find_api_key_by_public_id("public1").unwrap();
    assert_eq!(found, None);
}

/// Tenants never meet.
pub fn another_organization_cannot_see_or_revoke_a_key(store: &dyn Store) {
    store.add_organization(&organization(1)).unwrap();
    store.add_organization(&organization(2)).unwrap();
    store.add_api_key(&key(1, 1)).unwrap();
    let (other, id) = (org_id(2), key_id(1));
    assert_eq!(store.find_api_key(other, id).unwrap(), None);
    assert_eq!(store.list_api_keys(other, None, 100).unwrap(), []);
    assert_eq!(store.revoke_api_key(other, id, LATER).unwrap(), None);
    let found = store.find_api_key(org_id(1), id).unwrap();
    assert_eq!(found, Some(key(1, 1)));
}

/// Pages neither repeat nor skip, whatever the order of adding.
pub fn pages_follow_the_order_of_ids(store: &dyn Store) {
    store.add_organization(&organization(1)).unwrap();
    store.add_organization(&organization(2)).unwrap();
    for n in [5, 300, 1, 4, 2] {
        store.add_api_key(&key(n, 1)).unwrap();
    }
    store.add_api_key(&key(3, 2)).unwrap();
    let page = |after: Option<u64>, limit| {
        let page = store.list_api_keys(org_id(1), after.map(key_id), limit);
        page.unwrap()
    };
    let keys = |numbers: &[u64]| numbers.iter().map(|n| key(*n, 1)).collect::<Vec<_>>();
    assert_eq!(page(None, 2), keys(&[1, 2]));
    assert_eq!(page(Some(2), 2), keys(&[4, 5]));
    assert_eq!(page(Some(5), 2), keys(&[300]));
    assert_eq!(page(Some(300), 2), []);
    assert_eq!(page(Some(3), u16::MAX), keys(&[4, 5, 300]));
    assert_eq!(page(None, 0), []);
}

/// The first time of revoking stands.
pub fn revoking_again_changes_nothing(store: &dyn Store) {
    store.add_organization(&organization(1)).unwrap();
    store.add_api_key(&key(1, 1)).unwrap();
    store.add_api_key(&key(2, 1)).unwrap();
    let mut revoked = key(1, 1);
    revoked.revoked_at = Some(NOW);
    for at in [NOW, LATER] {
        let answer = store.revoke_api_key(org_id(1), key_id(1), at).unwrap();
        assert_eq!(answer.as_ref(), Some(&revoked));
    }
    let found = store.find_api_key_by_public_id("public1").unwrap();
    assert_eq!(found, Some(revoked));
    let other = store.find_api_key_by_public_id("public2").unwrap();
    assert_eq!(other, Some(key(2, 1)));
    let none = store.revoke_api_key(org_id(1), key_id(3), NOW).unwrap();
    assert_eq!(none, None);
}

/// Caches live by the epoch: no change without a step, no step without a change.
pub fn the_epoch_grows_with_every_change_and_only_then(store: &dyn Store) {
    let check = |what: &str, grows: bool, act: &dyn Fn()| {
        let before = store.auth_epoch().unwrap();
        act();
        let after = store.auth_epoch().unwrap();
        assert_eq!(after > before, grows, "{what}: {before} then {after}");
        assert!(after >= before, "{what}: {before} then {after}");
    };
    check("add an organization", true, &|| {
        store.add_organization(&organization(1)).unwrap();
    });
    check("add it again", false, &|| {
        store.add_organization(&organization(1)).unwrap_err();
    });
    check("update it", true, &|| {
        store.update_organization(&organization(1)).unwrap();
    });
    check("update another", false, &|| {
        store.update_organization(&organization(2)).unwrap_err();
    });
    check("add a key", true, &|| {
        store.add_api_key(&key(1, 1)).unwrap();
    });
    check("add it again", false, &|| {
        store.add_api_key(&key(1, 1)).unwrap_err();
    });
    check("add one to nobody", false, &|| {
        store.add_api_key(&key(2, 2)).unwrap_err();
    });
    check("revoke another's", false, &|| {
        store.revoke_api_key(org_id(2), key_id(1), NOW).unwrap();
    });
    check("revoke", true, &|| {
        store.revoke_api_key(org_id(1), key_id(1), NOW).unwrap();
    });
    check("revoke again", false, &|| {
        store.revoke_api_key(org_id(1), key_id(1), LATER).unwrap();
    });
    check("look", false, &|| {
        store.find_api_key_by_public_id("public1").unwrap();
        store.list_api_keys(org_id(1), None, 10).unwrap();
        store.find_organization(org_id(1)).unwrap();
    });
    check("book usage", false, &|| {
        store.record_usage(&[event(1)]).unwrap();
    });
}

/// A NUL or an overlong text is refused by all backends alike.
pub fn a_text_that_cannot_be_kept_is_refused(store: &dyn Store) {
    store.add_organization(&organization(1)).unwrap();
    for text in ["\0".to_owned(), "x".repeat(NAME_BYTES_MAX + 1)] {
        let mut name = key(1, 1);
        name.name.clone_from(&text);
        let mut public_id = key(1, 1);
        public_id.public_id.clone_from(&text);
        let mut models = key(1, 1);
        models.models.push(text);
        for key in [name, public_id, models] {
            let added = store.add_api_key(&key);
            assert!(
                matches!(added, Err(StoreError::Invalid { .. })),
                "{added:?}"
            );
        }
    }
    assert_eq!(store.find_api_key(org_id(1), key_id(1)).unwrap(), None);
}
