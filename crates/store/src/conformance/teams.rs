//! Rules for teams, roles and invitations.

use tollgate_domain::{
    ApiKey, CustomRole, Invitation, Membership, PermissionSet, RoleRef, Team, Timestamp,
};

use super::fixtures::{
    NOW, audit, full_team, invitation, invitation_id, key, key_id, member, org_id, organization,
    platform_audit, role, role_id, team, team_id, team_member, user, user_id,
};
use super::refusals::{conflict, invalid, missing, outdated};
use crate::Store;

const LATER: Timestamp = Timestamp::from_micros(NOW.micros() + 1);

fn two_organizations(store: &dyn Store) {
    for n in [1, 2] {
        store.add_organization(&organization(n), &audit(n)).unwrap();
    }
}

/// Every field comes back; an update needs the version; a deleted team is found and not listed.
pub fn a_team_is_kept_changed_and_deleted(store: &dyn Store) {
    two_organizations(store);
    for n in [3, 1, 2] {
        store.add_team(&team(n, 1), &audit(1)).unwrap();
    }
    let find = |n| store.find_team(org_id(1), team_id(n)).unwrap();
    assert_eq!(find(1), Some(team(1, 1)));
    let version = store.update_team(&full_team(1, 1), &audit(1)).unwrap();
    let changed = Team {
        version,
        ..full_team(1, 1)
    };
    assert_eq!((version, find(1)), (2, Some(changed.clone())));
    outdated(store.update_team(&team(1, 1), &audit(1)));
    let plain = Team {
        version,
        ..team(1, 1)
    };
    assert_eq!(store.update_team(&plain, &audit(1)).unwrap(), 3);
    assert_eq!(
        find(1),
        Some(Team {
            version: 3,
            ..plain
        })
    );

    store.add_user(&user(1), &platform_audit()).unwrap();
    store.set_membership(&member(1, 1), &audit(1)).unwrap();
    let place = team_member(1, 2, 1);
    store.set_team_membership(&place, &audit(1)).unwrap();
    let gone = Team {
        deleted_at: Some(NOW),
        version: 2,
        ..team(2, 1)
    };
    for at in [NOW, LATER] {
        let deleted = store.delete_team(org_id(1), team_id(2), at, &audit(1));
        assert_eq!(deleted.unwrap(), Some(gone.clone()));
    }
    assert_eq!(find(2), Some(gone));
    let places = store.list_team_memberships_of(org_id(1), user_id(1));
    assert_eq!(places.unwrap(), []);
    missing(store.update_team(
        &Team {
            version: 2,
            ..team(2, 1)
        },
        &audit(1),
    ));
    let page = store.list_teams(org_id(1), None, 10).unwrap();
    let ids: Vec<_> = page.iter().map(|team| team.id).collect();
    assert_eq!(ids, [team_id(1), team_id(3)]);
    let page = store.list_teams(org_id(1), Some(team_id(1)), 1).unwrap();
    assert_eq!(page, [team(3, 1)]);
}

/// A name is free again when its team is deleted, and in another organization.
pub fn names_of_teams_are_unique_while_they_are_there(store: &dyn Store) {
    two_organizations(store);
    let named = |n, org| Team {
        name: "same".to_owned(),
        ..team(n, org)
    };
    store.add_team(&named(1, 1), &audit(1)).unwrap();
    conflict(store.add_team(&named(2, 1), &audit(1)));
    conflict(store.add_team(&team(1, 1), &audit(1)));
    store.add_team(&named(3, 2), &audit(2)).unwrap();
    store.add_team(&team(2, 1), &audit(1)).unwrap();
    conflict(store.update_team(&named(2, 1), &audit(1)));
    store
        .delete_team(org_id(1), team_id(1), NOW, &audit(1))
        .unwrap();
    assert_eq!(store.update_team(&named(2, 1), &audit(1)).unwrap(), 2);
    missing(store.add_team(&team(9, 9), &audit(9)));
    let bad = Team {
        name: "\0".to_owned(),
        ..team(4, 1)
    };
    invalid(store.add_team(&bad, &audit(1)));
}

/// Tenants never meet.
pub fn another_organization_cannot_see_or_change_a_team(store: &dyn Store) {
    two_organizations(store);
    store.add_team(&team(1, 1), &audit(1)).unwrap();
    store.add_role(&role(1, 1), &audit(1)).unwrap();
    store.add_invitation(&invitation(1, 1), &audit(1)).unwrap();
    store.add_user(&user(1), &platform_audit()).unwrap();
    let (other, by) = (org_id(2), audit(2));
    assert_eq!(store.find_team(other, team_id(1)).unwrap(), None);
    assert_eq!(store.list_teams(other, None, 9).unwrap(), []);
    missing(store.update_team(&team(1, 2), &by));
    let deleted = store.delete_team(other, team_id(1), NOW, &by).unwrap();
    assert_eq!(deleted, None);
    assert_eq!(store.find_role(other, role_id(1)).unwrap(), None);
    assert_eq!(store.list_roles(other, None, 9).unwrap(), []);
    missing(store.update_role(&role(1, 2), &by));
    assert!(!store.remove_role(other, role_id(1), &by).unwrap());
    let id = invitation_id(1);
    assert_eq!(store.find_invitation(other, id).unwrap(), None);
    assert_eq!(store.list_invitations(other, None, 9).unwrap(), []);
    assert_eq!(store.revoke_invitation(other, id, NOW, &by).unwrap(), None);
    let accepted = store.accept_invitation(other, id, user_id(1), NOW, &by);
    assert!(!accepted.unwrap());
    assert_eq!(
        store.find_team(org_id(1), team_id(1)).unwrap(),
        Some(team(1, 1))
    );
    let found = store.find_invitation(org_id(1), id).unwrap();
    assert_eq!(found, Some(invitation(1, 1)));
}

/// Whoever has a role keeps it from being removed.
pub fn a_role_is_kept_changed_and_removed_when_nobody_has_it(store: &dyn Store) {
    two_organizations(store);
    for n in [2, 1] {
        store.add_role(&role(n, 1), &audit(1)).unwrap();
    }
    store
        .add_role(
            &CustomRole {
                id: role_id(5),
                ..role(1, 2)
            },
            &audit(2),
        )
        .unwrap();
    conflict(store.add_role(&role(1, 1), &audit(1)));
    conflict(store.add_role(
        &CustomRole {
            id: role_id(3),
            ..role(1, 1)
        },
        &audit(1),
    ));
    missing(store.add_role(&role(9, 9), &audit(9)));
    let page = store.list_roles(org_id(1), None, 9).unwrap();
    assert_eq!(page, [role(1, 1), role(2, 1)]);
    let changed = CustomRole {
        name: "another".to_owned(),
        permissions: PermissionSet::EMPTY,
        ..role(1, 1)
    };
    assert_eq!(store.update_role(&changed, &audit(1)).unwrap(), 2);
    outdated(store.update_role(&changed, &audit(1)));
    let taken = CustomRole {
        name: role(2, 1).name,
        version: 2,
        ..changed.clone()
    };
    conflict(store.update_role(&taken, &audit(1)));
    let found = store.find_role(org_id(1), role_id(1)).unwrap();
    assert_eq!(
        found,
        Some(CustomRole {
            version: 2,
            ..changed
        })
    );

    let has = RoleRef::Custom(role_id(1));
    let remove = || store.remove_role(org_id(1), role_id(1), &audit(1));
    let with_role = ApiKey {
        role: has,
        ..key(1, 1)
    };
    store.add_api_key(&with_role, &audit(1)).unwrap();
    conflict(remove());
    store
        .revoke_api_key(org_id(1), key_id(1), NOW, &audit(1))
        .unwrap();
    store.add_user(&user(1), &platform_audit()).unwrap();
    let with_role = Membership {
        role: has,
        ..member(1, 1)
    };
    store.set_membership(&with_role, &audit(1)).unwrap();
    conflict(remove());
    store.set_membership(&member(1, 1), &audit(1)).unwrap();
    let with_role = Invitation {
        role: has,
        ..invitation(1, 1)
    };
    store.add_invitation(&with_role, &audit(1)).unwrap();
    conflict(remove());
    store
        .revoke_invitation(org_id(1), invitation_id(1), NOW, &audit(1))
        .unwrap();
    assert!(remove().unwrap());
    assert!(!remove().unwrap());
    assert_eq!(store.find_role(org_id(1), role_id(1)).unwrap(), None);
}

/// No organization hands out what is the installation's.
pub fn a_role_of_the_installation_is_refused(store: &dyn Store) {
    two_organizations(store);
    for permission in PermissionSet::PLATFORM.iter() {
        let bad = CustomRole {
            permissions: PermissionSet::of(&[permission]),
            ..role(1, 1)
        };
        invalid(store.add_role(&bad, &audit(1)));
    }
    store.add_role(&role(1, 1), &audit(1)).unwrap();
    let bad = CustomRole {
        permissions: PermissionSet::ALL,
        ..role(1, 1)
    };
    invalid(store.update_role(&bad, &audit(1)));
}
