//! Rules for memberships.

use tollgate_domain::{Membership, Role, RoleRef, TeamMembership, TeamRole, Timestamp, User};

use super::fixtures::{
    NOW, audit, invitation, invitation_id, member, org_id, organization, platform_audit, role,
    role_id, service, session, session_id, team, team_id, team_member, token, user, user_id,
};
use super::refusals::{missing, needed};
use crate::Store;

const LATER: Timestamp = Timestamp::from_micros(NOW.micros() + 1);

fn people(store: &dyn Store) {
    for n in [1, 2] {
        store.add_organization(&organization(n), &audit(n)).unwrap();
        store.add_team(&team(n, n), &audit(n)).unwrap();
    }
    for n in 1..=3 {
        store.add_user(&user(n), &platform_audit()).unwrap();
    }
}

/// A role is replaced, the time of coming in is not; whoever leaves leaves the teams.
pub fn members_come_change_and_go(store: &dyn Store) {
    people(store);
    for (user, org) in [(3, 1), (1, 1), (2, 1), (1, 2)] {
        store
            .set_membership(&member(user, org), &audit(org))
            .unwrap();
    }
    let promoted = Membership {
        role: Role::OrgAdmin.into(),
        created_at: LATER,
        ..member(1, 1)
    };
    store.set_membership(&promoted, &audit(1)).unwrap();
    let promoted = Membership {
        created_at: NOW,
        ..promoted
    };
    let found = store.find_membership(org_id(1), user_id(1)).unwrap();
    assert_eq!(found, Some(promoted));
    let page = store.list_members(org_id(1), None, 2).unwrap();
    assert_eq!(page, [promoted, member(2, 1)]);
    let page = store.list_members(org_id(1), Some(user_id(2)), 2).unwrap();
    assert_eq!(page, [member(3, 1)]);
    let places = store.list_memberships_of(user_id(1)).unwrap();
    assert_eq!(places, [promoted, member(1, 2)]);

    for org in [1, 2] {
        let place = team_member(1, org, org);
        store.set_team_membership(&place, &audit(org)).unwrap();
    }
    let remove = || store.remove_membership(org_id(1), user_id(1), &audit(1));
    assert!(remove().unwrap());
    assert!(!remove().unwrap());
    let gone = store.list_team_memberships_of(org_id(1), user_id(1));
    assert_eq!(gone.unwrap(), []);
    let kept = store.list_team_memberships_of(org_id(2), user_id(1));
    assert_eq!(kept.unwrap(), [team_member(1, 2, 2)]);
    assert_eq!(
        store.list_memberships_of(user_id(1)).unwrap(),
        [member(1, 2)]
    );
}

/// Nobody is a member of nothing, by a role of another organization, or a service account of it.
pub fn a_member_needs_what_is_referred_to(store: &dyn Store) {
    people(store);
    store.add_role(&role(1, 1), &audit(1)).unwrap();
    store.add_user(&service(4, 1), &platform_audit()).unwrap();
    let custom = RoleRef::Custom(role_id(1));
    for bad in [
        member(1, 9),
        member(9, 1),
        member(4, 2),
        Membership {
            role: custom,
            ..member(1, 2)
        },
        Membership {
            role: RoleRef::Custom(role_id(9)),
            ..member(1, 1)
        },
    ] {
        let org = u64::from(bad.org_id.as_bytes()[15]);
        missing(store.set_membership(&bad, &audit(org)));
    }
    for good in [
        Membership {
            role: custom,
            ..member(1, 1)
        },
        member(4, 1),
    ] {
        store.set_membership(&good, &audit(1)).unwrap();
        let found = store.find_membership(good.org_id, good.user_id).unwrap();
        assert_eq!(found, Some(good));
    }
}

/// An organization that has an owner keeps one; its others come and go.
pub fn the_last_owner_stays(store: &dyn Store) {
    people(store);
    let set = |user: u64, role: Role| {
        let member = Membership {
            role: role.into(),
            ..member(user, 1)
        };
        store.set_membership(&member, &audit(1))
    };
    let remove = |user: u64| store.remove_membership(org_id(1), user_id(user), &audit(1));
    set(1, Role::OrgOwner).unwrap();
    set(2, Role::Member).unwrap();
    needed(set(1, Role::OrgAdmin));
    needed(remove(1));
    set(1, Role::OrgOwner).unwrap();
    assert!(remove(2).unwrap());
    set(2, Role::OrgOwner).unwrap();
    set(1, Role::Viewer).unwrap();
    needed(remove(2));
    assert!(remove(1).unwrap());
    // Another organization's owner is none here.
    let other = Membership {
        role: Role::OrgOwner.into(),
        ..member(1, 2)
    };
    store.set_membership(&other, &audit(2)).unwrap();
    needed(remove(2));
}

/// Of two owners who are removed at once, one stays.
pub fn threads_that_remove_owners_leave_one(store: &dyn Store) {
    people(store);
    for user in 1..=2 {
        let member = Membership {
            role: Role::OrgOwner.into(),
            ..member(user, 1)
        };
        store.set_membership(&member, &audit(1)).unwrap();
    }
    let removed: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=2)
            .map(|user| {
                scope.spawn(move || store.remove_membership(org_id(1), user_id(user), &audit(1)))
            })
            .collect();
        threads.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(
        removed.iter().filter(|one| one.is_ok()).count(),
        1,
        "{removed:?}"
    );
    let left = store.list_members(org_id(1), None, 9).unwrap();
    assert_eq!(left.len(), 1);
}

/// A team's people are the organization's, and the team is, too.
pub fn teams_have_members_of_their_organization(store: &dyn Store) {
    people(store);
    for n in 1..=2 {
        store.set_membership(&member(n, 1), &audit(1)).unwrap();
    }
    for bad in [
        team_member(3, 1, 1),
        team_member(1, 2, 1),
        team_member(1, 9, 1),
        team_member(1, 2, 2),
    ] {
        let org = u64::from(bad.org_id.as_bytes()[15]);
        missing(store.set_team_membership(&bad, &audit(org)));
    }
    for n in [2, 1] {
        store
            .set_team_membership(&team_member(n, 1, 1), &audit(1))
            .unwrap();
    }
    let viewer = TeamMembership {
        role: TeamRole::Viewer,
        ..team_member(1, 1, 1)
    };
    store.set_team_membership(&viewer, &audit(1)).unwrap();
    let page = |after, limit| {
        store
            .list_team_members(org_id(1), team_id(1), after, limit)
            .unwrap()
    };
    assert_eq!(page(None, 1), [viewer]);
    assert_eq!(page(Some(user_id(1)), 9), [team_member(2, 1, 1)]);
    let other = store.list_team_members(org_id(2), team_id(1), None, 9);
    assert_eq!(other.unwrap(), []);
    let remove =
        |org: u64| store.remove_team_membership(org_id(org), team_id(1), user_id(1), &audit(org));
    assert!(!remove(2).unwrap());
    assert!(remove(1).unwrap());
    assert!(!remove(1).unwrap());
    assert_eq!(page(None, 9), [team_member(2, 1, 1)]);
}

/// Caches live by the epoch: what gives or changes rights advances it.
pub fn every_change_to_rights_advances_the_epoch(store: &dyn Store) {
    people(store);
    let by = platform_audit();
    let check = |what: &str, grows: bool, act: &dyn Fn()| check(store, what, grows, act);
    check("a member", true, &|| {
        store.set_membership(&member(1, 1), &audit(1)).unwrap()
    });
    check("a team member", true, &|| {
        store
            .set_team_membership(&team_member(1, 1, 1), &audit(1))
            .unwrap();
    });
    check("a role", true, &|| {
        store.add_role(&role(1, 1), &audit(1)).unwrap()
    });
    check("another role", true, &|| {
        store.update_role(&role(1, 1), &audit(1)).unwrap();
    });
    check("no role", true, &|| {
        store.remove_role(org_id(1), role_id(1), &audit(1)).unwrap();
    });
    check("no role again", false, &|| {
        store.remove_role(org_id(1), role_id(1), &audit(1)).unwrap();
    });
    check("a blocked user", true, &|| {
        store
            .update_user(
                &User {
                    blocked: true,
                    ..user(1)
                },
                &by,
            )
            .unwrap();
    });
    check("a blocked team", true, &|| {
        let blocked = tollgate_domain::Team {
            blocked: true,
            ..team(1, 1)
        };
        store.update_team(&blocked, &audit(1)).unwrap();
    });
}

/// What gives nobody a right leaves the epoch as it is, and every end of a right advances it once.
pub fn every_end_of_rights_advances_the_epoch_once(store: &dyn Store) {
    people(store);
    let by = platform_audit();
    let check = |what: &str, grows: bool, act: &dyn Fn()| check(store, what, grows, act);
    store.set_membership(&member(1, 1), &audit(1)).unwrap();
    let place = team_member(1, 1, 1);
    store.set_team_membership(&place, &audit(1)).unwrap();
    check("an invitation", false, &|| {
        store.add_invitation(&invitation(1, 1), &audit(1)).unwrap();
    });
    check("a guest", true, &|| {
        let id = invitation_id(1);
        store
            .accept_invitation(org_id(1), id, user_id(2), NOW, &audit(1))
            .unwrap();
    });
    check("a session", false, &|| {
        store.add_session(&session(1, 2), &by).unwrap();
        store.touch_session(session_id(1), LATER).unwrap();
        store.count_failed_sign_in(user_id(2), NOW).unwrap();
        store.add_one_time_token(&token(1, Some(2)), &by).unwrap();
        store.record_audit(&by).unwrap();
    });
    check("the end of a session", true, &|| {
        store
            .revoke_session(user_id(2), session_id(1), NOW, &by)
            .unwrap();
    });
    check("the end of no session", false, &|| {
        store
            .revoke_session(user_id(2), session_id(1), NOW, &by)
            .unwrap();
        store.revoke_sessions(user_id(2), None, NOW, &by).unwrap();
    });
    check("a team member less", true, &|| {
        store
            .remove_team_membership(org_id(1), team_id(1), user_id(1), &audit(1))
            .unwrap();
    });
    check("a member less", true, &|| {
        store
            .remove_membership(org_id(1), user_id(1), &audit(1))
            .unwrap();
    });
    check("a team less", true, &|| {
        store
            .delete_team(org_id(1), team_id(1), NOW, &audit(1))
            .unwrap();
    });
    check("a user less", true, &|| {
        store.delete_user(user_id(2), NOW, &by).unwrap();
    });
    check("what is gone already", false, &|| {
        store.delete_user(user_id(2), NOW, &by).unwrap();
        store
            .delete_team(org_id(1), team_id(1), NOW, &audit(1))
            .unwrap();
        store
            .remove_membership(org_id(1), user_id(1), &audit(1))
            .unwrap();
    });
}

fn check(store: &dyn Store, what: &str, grows: bool, act: &dyn Fn()) {
    let before = store.auth_epoch().unwrap();
    act();
    let after = store.auth_epoch().unwrap();
    assert_eq!(after > before, grows, "{what}");
}
