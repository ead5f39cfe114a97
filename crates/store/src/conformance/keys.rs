//! Rules for API keys.

use tollgate_domain::{Actor, ApiKey, KeyState, METADATA_BYTES_MAX, Timestamp};

use super::fixtures::{
    NOW, audit, event, full_key, key, key_id, mac, org_id, organization, team_id, user_id,
};
use crate::{KeyFilter, NAME_BYTES_MAX, Store, StoreError};

const LATER: Timestamp = Timestamp::from_micros(NOW.micros() + 1);

/// Every field comes back, by public id and within the organization.
pub fn a_key_is_found_as_it_was_added(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    for key in [key(1, 1), full_key(2, 1)] {
        store.add_api_key(&key, &audit(1)).unwrap();
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
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_organization(&organization(2), &audit(2)).unwrap();
    let first = key(1, 1);
    store.add_api_key(&first, &audit(1)).unwrap();
    for org in [1, 2] {
        let mut same_id = key(2, org);
        same_id.id = first.id;
        let mut same_public_id = key(2, org);
        same_public_id.public_id.clone_from(&first.public_id);
        for other in [same_id, same_public_id] {
            let added = store.add_api_key(&other, &audit(org));
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
    store.add_organization(&organization(1), &audit(1)).unwrap();
    let added = store.add_api_key(&key(1, 2), &audit(2));
    assert!(
        matches!(added, Err(StoreError::Missing { .. })),
        "{added:?}"
    );
    let found = store.find_api_key_by_public_id("public1").unwrap();
    assert_eq!(found, None);
}

/// Tenants never meet.
pub fn another_organization_cannot_see_or_revoke_a_key(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_organization(&organization(2), &audit(2)).unwrap();
    store.add_api_key(&key(1, 1), &audit(1)).unwrap();
    let (other, id) = (org_id(2), key_id(1));
    assert_eq!(store.find_api_key(other, id).unwrap(), None);
    let all = KeyFilter::default();
    let listed = store.list_api_keys(other, &all, None, 100).unwrap();
    assert_eq!(listed, []);
    assert_eq!(
        store.revoke_api_key(other, id, LATER, &audit(2)).unwrap(),
        None
    );
    let found = store.find_api_key(org_id(1), id).unwrap();
    assert_eq!(found, Some(key(1, 1)));
}

/// Pages neither repeat nor skip, whatever the order of adding.
pub fn pages_follow_the_order_of_ids(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_organization(&organization(2), &audit(2)).unwrap();
    for n in [5, 300, 1, 4, 2] {
        store.add_api_key(&key(n, 1), &audit(1)).unwrap();
    }
    store.add_api_key(&key(3, 2), &audit(2)).unwrap();
    let page = |after: Option<u64>, limit| {
        let all = KeyFilter::default();
        let page = store.list_api_keys(org_id(1), &all, after.map(key_id), limit);
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

/// A key is in one state at a time, the one that lasts longest.
pub fn lists_of_keys_are_filtered_by_state(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    for (n, blocked, expires_at, is_revoked) in [
        (1, false, None, false),
        (2, true, None, false),
        (3, true, Some(LATER), false),
        (4, false, Some(LATER), false),
        (5, true, Some(LATER), true),
        (6, false, None, true),
    ] {
        let key = ApiKey {
            blocked,
            expires_at,
            ..key(n, 1)
        };
        store.add_api_key(&key, &audit(1)).unwrap();
        if is_revoked {
            let revoked = store.revoke_api_key(org_id(1), key.id, LATER, &audit(1));
            assert!(revoked.unwrap().is_some());
        }
    }
    let before = Timestamp::from_micros(LATER.micros() - 1);
    let check = |state: KeyState, now: Timestamp, expected: &[u64]| {
        let filter = KeyFilter {
            state: Some((state, now)),
            ..KeyFilter::default()
        };
        let page = store.list_api_keys(org_id(1), &filter, None, 9).unwrap();
        let found: Vec<_> = page.iter().map(|key| key.id).collect();
        let expected: Vec<_> = expected.iter().map(|n| key_id(*n)).collect();
        assert_eq!(found, expected, "{filter:?}");
    };
    check(KeyState::Active, before, &[1, 4]);
    check(KeyState::Blocked, before, &[2, 3]);
    check(KeyState::Expired, before, &[]);
    check(KeyState::Active, LATER, &[1]);
    check(KeyState::Blocked, LATER, &[2]);
    check(KeyState::Expired, LATER, &[3, 4]);
    check(KeyState::Revoked, LATER, &[5, 6]);
}

/// A list is of some teams, of an owner, of both, or of all; and no further than the organization.
pub fn lists_of_keys_are_filtered_by_team_and_owner(store: &dyn Store) {
    for n in [1, 2] {
        store.add_organization(&organization(n), &audit(n)).unwrap();
    }
    for (n, org, team, owner) in [
        (1, 1, None, None),
        (2, 1, Some(1), None),
        (3, 1, Some(2), Some(7)),
        (4, 1, Some(1), Some(7)),
        (5, 1, None, Some(8)),
        (6, 2, Some(1), Some(7)),
    ] {
        let key = ApiKey {
            team_id: team.map(team_id),
            owner: owner.map(user_id),
            ..key(n, org)
        };
        store.add_api_key(&key, &audit(org)).unwrap();
    }
    let check = |teams: Option<&[u64]>, owner: Option<u64>, expected: &[u64]| {
        let filter = KeyFilter {
            teams: teams.map(|teams| teams.iter().map(|n| team_id(*n)).collect()),
            owner: owner.map(user_id),
            state: None,
        };
        let page = store.list_api_keys(org_id(1), &filter, None, 9).unwrap();
        let found: Vec<_> = page.iter().map(|key| key.id).collect();
        let expected: Vec<_> = expected.iter().map(|n| key_id(*n)).collect();
        assert_eq!(found, expected, "{filter:?}");
        let rest = store.list_api_keys(org_id(1), &filter, Some(key_id(3)), 1);
        let rest: Vec<_> = rest.unwrap().iter().map(|key| key.id).collect();
        let later = expected.into_iter().filter(|id| *id > key_id(3)).take(1);
        assert_eq!(rest, later.collect::<Vec<_>>(), "{filter:?}");
    };
    check(None, None, &[1, 2, 3, 4, 5]);
    check(Some(&[1]), None, &[2, 4]);
    check(Some(&[2, 1]), None, &[2, 3, 4]);
    check(Some(&[]), None, &[]);
    check(Some(&[9]), None, &[]);
    check(None, Some(7), &[3, 4]);
    check(Some(&[1]), Some(7), &[4]);
    check(Some(&[1]), Some(8), &[]);
}

/// An update replaces everything that may change, at the version that was read.
pub fn an_update_of_a_key_needs_its_version(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_organization(&organization(2), &audit(2)).unwrap();
    store.add_api_key(&key(1, 1), &audit(1)).unwrap();
    store.add_api_key(&key(2, 1), &audit(1)).unwrap();
    let changed = ApiKey {
        revoked_at: None,
        public_id: "other".to_owned(),
        ..full_key(1, 1)
    };
    let version = store.update_api_key(&changed, &audit(1)).unwrap();
    assert_eq!(version, 2);
    let expected = ApiKey {
        public_id: key(1, 1).public_id,
        created_by: Actor::System,
        created_at: NOW,
        version,
        ..changed.clone()
    };
    let found = || store.find_api_key(org_id(1), key_id(1)).unwrap();
    assert_eq!(found(), Some(expected.clone()));
    for old in [0, 1, 3] {
        let stale = ApiKey {
            version: old,
            ..key(1, 1)
        };
        let refused = store.update_api_key(&stale, &audit(1));
        assert!(
            matches!(refused, Err(StoreError::Outdated { .. })),
            "{refused:?}"
        );
    }
    let elsewhere = ApiKey {
        version,
        ..key(1, 2)
    };
    let refused = store.update_api_key(&elsewhere, &audit(2));
    assert!(
        matches!(refused, Err(StoreError::Missing { .. })),
        "{refused:?}"
    );
    assert_eq!(found(), Some(expected.clone()));
    let plain = ApiKey {
        version,
        team_id: Some(team_id(1)),
        owner: Some(user_id(1)),
        mac: mac(9),
        ..key(1, 1)
    };
    assert_eq!(store.update_api_key(&plain, &audit(1)).unwrap(), 3);
    let plain = ApiKey {
        version: 3,
        ..plain
    };
    assert_eq!(found(), Some(plain.clone()));
    drop(store.revoke_api_key(org_id(1), key_id(1), NOW, &audit(1)));
    let refused = store.update_api_key(
        &ApiKey {
            version: 4,
            ..plain
        },
        &audit(1),
    );
    assert!(
        matches!(refused, Err(StoreError::Missing { .. })),
        "{refused:?}"
    );
    let other = store.find_api_key(org_id(1), key_id(2)).unwrap();
    assert_eq!(other, Some(key(2, 1)));
}

/// The first time of revoking stands.
pub fn revoking_again_changes_nothing(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_api_key(&key(1, 1), &audit(1)).unwrap();
    store.add_api_key(&key(2, 1), &audit(1)).unwrap();
    let mut revoked = key(1, 1);
    revoked.revoked_at = Some(NOW);
    revoked.version = 2;
    for at in [NOW, LATER] {
        let answer = store
            .revoke_api_key(org_id(1), key_id(1), at, &audit(1))
            .unwrap();
        assert_eq!(answer.as_ref(), Some(&revoked));
    }
    let found = store.find_api_key_by_public_id("public1").unwrap();
    assert_eq!(found, Some(revoked));
    let other = store.find_api_key_by_public_id("public2").unwrap();
    assert_eq!(other, Some(key(2, 1)));
    let none = store
        .revoke_api_key(org_id(1), key_id(3), NOW, &audit(1))
        .unwrap();
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
        store.add_organization(&organization(1), &audit(1)).unwrap();
    });
    check("add it again", false, &|| {
        store
            .add_organization(&organization(1), &audit(1))
            .unwrap_err();
    });
    check("update it", true, &|| {
        store
            .update_organization(&organization(1), &audit(1))
            .unwrap();
    });
    check("update another", false, &|| {
        store
            .update_organization(&organization(2), &audit(2))
            .unwrap_err();
    });
    check("add a key", true, &|| {
        store.add_api_key(&key(1, 1), &audit(1)).unwrap();
    });
    check("add it again", false, &|| {
        store.add_api_key(&key(1, 1), &audit(1)).unwrap_err();
    });
    check("add one to nobody", false, &|| {
        store.add_api_key(&key(2, 2), &audit(2)).unwrap_err();
    });
    check("update it", true, &|| {
        store.update_api_key(&key(1, 1), &audit(1)).unwrap();
    });
    check("update it as it was", false, &|| {
        store.update_api_key(&key(1, 1), &audit(1)).unwrap_err();
    });
    check("revoke another's", false, &|| {
        store
            .revoke_api_key(org_id(2), key_id(1), NOW, &audit(2))
            .unwrap();
    });
    check("revoke", true, &|| {
        store
            .revoke_api_key(org_id(1), key_id(1), NOW, &audit(1))
            .unwrap();
    });
    check("revoke again", false, &|| {
        store
            .revoke_api_key(org_id(1), key_id(1), LATER, &audit(1))
            .unwrap();
    });
    check("look", false, &|| {
        store.find_api_key_by_public_id("public1").unwrap();
        let all = KeyFilter::default();
        store.list_api_keys(org_id(1), &all, None, 10).unwrap();
        store.find_organization(org_id(1)).unwrap();
    });
    check("book usage", false, &|| {
        store.record_usage(&[event(1)]).unwrap();
    });
}

/// A NUL or an overlong text is refused by all backends alike.
pub fn a_text_that_cannot_be_kept_is_refused(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    for text in ["\0".to_owned(), "x".repeat(NAME_BYTES_MAX + 1)] {
        let mut name = key(1, 1);
        name.name.clone_from(&text);
        let mut public_id = key(1, 1);
        public_id.public_id.clone_from(&text);
        let mut models = key(1, 1);
        models.models.push(text.clone());
        let mut tags = key(1, 1);
        tags.tags.push(text);
        let mut metadata = key(1, 1);
        metadata.metadata = "x".repeat(METADATA_BYTES_MAX + 1);
        for key in [name, public_id, models, tags, metadata] {
            let added = store.add_api_key(&key, &audit(1));
            assert!(
                matches!(added, Err(StoreError::Invalid { .. })),
                "{added:?}"
            );
        }
    }
    assert_eq!(store.find_api_key(org_id(1), key_id(1)).unwrap(), None);
}
