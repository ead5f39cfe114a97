//! Rules for organizations.

use tollgate_domain::Timestamp;

use super::fixtures::{NOW, audit, full_organization, org_id, organization, platform_audit};
use crate::{NAME_BYTES_MAX, Store, StoreError};

/// Every field comes back, by id and by name; names differ by case.
pub fn an_organization_is_found_as_it_was_added(store: &dyn Store) {
    for organization in [organization(1), full_organization(2)] {
        store
            .add_organization(&organization, &platform_audit())
            .unwrap();
        let found = store.find_organization(organization.id).unwrap();
        assert_eq!(found.as_ref(), Some(&organization));
        let found = store.find_organization_by_name(&organization.name);
        assert_eq!(found.unwrap().as_ref(), Some(&organization));
    }
    for name in ["ORGANIZATION 1", "organization 1 ", "", "\0"] {
        let found = store.find_organization_by_name(name).unwrap();
        assert_eq!(found, None, "{name}");
    }
    assert_eq!(store.find_organization(org_id(3)).unwrap(), None);
}

/// A taken id or name is a conflict, and what was there stays.
pub fn ids_and_names_are_unique(store: &dyn Store) {
    let first = organization(1);
    store.add_organization(&first, &audit(1)).unwrap();
    let mut same_id = organization(2);
    same_id.id = first.id;
    let mut same_name = organization(2);
    same_name.name.clone_from(&first.name);
    for other in [same_id, same_name] {
        let added = store.add_organization(&other, &platform_audit());
        assert!(
            matches!(added, Err(StoreError::Conflict { .. })),
            "{added:?}"
        );
    }
    assert_eq!(store.find_organization(first.id).unwrap(), Some(first));
    assert_eq!(store.find_organization(org_id(2)).unwrap(), None);
}

/// An update replaces everything that may change, and nothing of others.
pub fn an_update_replaces_all_but_the_time_it_was_made(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_organization(&organization(2), &audit(2)).unwrap();
    for (version, mut update) in (1..).zip([full_organization(1), organization(1)]) {
        update.created_at = Timestamp::from_micros(5);
        update.version = version;
        let updated = store.update_organization(&update, &audit(1)).unwrap();
        assert_eq!(updated, version + 1);
        let stale = store.update_organization(&update, &audit(1));
        assert!(
            matches!(stale, Err(StoreError::Outdated { .. })),
            "{stale:?}"
        );
        update.created_at = NOW;
        update.version = updated;
        let found = store.find_organization(org_id(1)).unwrap();
        assert_eq!(found, Some(update));
    }
    let other = store.find_organization(org_id(2)).unwrap();
    assert_eq!(other, Some(organization(2)));
}

/// Updating nothing is an error, and so is taking another's name.
pub fn an_update_needs_an_organization_and_a_free_name(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    let missing = store.update_organization(&organization(2), &audit(2));
    assert!(
        matches!(missing, Err(StoreError::Missing { .. })),
        "{missing:?}"
    );
    store.add_organization(&organization(2), &audit(2)).unwrap();
    let mut taken = organization(2);
    taken.name = organization(1).name;
    let taken = store.update_organization(&taken, &audit(2));
    assert!(
        matches!(taken, Err(StoreError::Conflict { .. })),
        "{taken:?}"
    );
}

/// A NUL or an overlong name is refused by all backends alike.
pub fn a_name_that_cannot_be_kept_is_refused(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    for name in ["\0".to_owned(), "x".repeat(NAME_BYTES_MAX + 1)] {
        let bad = |n| {
            let mut bad = organization(n);
            bad.name.clone_from(&name);
            bad
        };
        for result in [
            store.add_organization(&bad(2), &audit(2)),
            store.update_organization(&bad(1), &audit(1)).map(drop),
        ] {
            assert!(
                matches!(result, Err(StoreError::Invalid { .. })),
                "{result:?}"
            );
        }
    }
    let mut longest = organization(2);
    longest.name = "x".repeat(NAME_BYTES_MAX);
    store.add_organization(&longest, &audit(2)).unwrap();
}

/// Pages neither repeat nor skip.
pub fn pages_of_organizations_follow_the_order_of_ids(store: &dyn Store) {
    for n in [3, 1, 2] {
        store.add_organization(&organization(n), &audit(n)).unwrap();
    }
    let page = store.list_organizations(None, 2).unwrap();
    assert_eq!(page, [organization(1), organization(2)]);
    let page = store.list_organizations(Some(org_id(2)), 2).unwrap();
    assert_eq!(page, [organization(3)]);
}
