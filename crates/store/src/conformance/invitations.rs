//! Rules for invitations.

use tollgate_domain::{Invitation, Membership, Role, TeamRole, Timestamp};

use super::fixtures::{
    NOW, audit, invitation, invitation_id, mac, member, org_id, organization, platform_audit,
    service, team, team_id, user, user_id,
};
use super::refusals::{conflict, missing};
use crate::Store;

const LATER: Timestamp = Timestamp::from_micros(NOW.micros() + 1);

fn two_organizations(store: &dyn Store) {
    for n in [1, 2] {
        store.add_organization(&organization(n), &audit(n)).unwrap();
    }
}

/// Accepting puts the user into the organization and the team, and works once.
pub fn an_invitation_lets_one_user_in_once(store: &dyn Store) {
    two_organizations(store);
    store.add_team(&team(1, 1), &audit(1)).unwrap();
    for n in 1..=3 {
        store.add_user(&user(n), &platform_audit()).unwrap();
    }
    let sent = Invitation {
        team_id: Some(team_id(1)),
        ..invitation(1, 1)
    };
    store.add_invitation(&sent, &audit(1)).unwrap();
    conflict(store.add_invitation(&sent, &audit(1)));
    let same_token = Invitation {
        id: invitation_id(2),
        ..sent.clone()
    };
    conflict(store.add_invitation(&same_token, &audit(1)));
    missing(store.add_invitation(&invitation(9, 9), &audit(9)));
    assert_eq!(
        store.find_invitation_by_mac(&mac(1)).unwrap(),
        Some(sent.clone())
    );
    assert_eq!(store.find_invitation_by_mac(&mac(2)).unwrap(), None);
    let accept =
        |n| store.accept_invitation(org_id(1), invitation_id(1), user_id(n), NOW, &audit(1));
    missing(accept(9));
    assert!(accept(1).unwrap());
    for n in [1, 2] {
        assert!(!accept(n).unwrap());
    }
    let joined = Membership {
        role: sent.role,
        ..member(1, 1)
    };
    assert_eq!(
        store.find_membership(org_id(1), user_id(1)).unwrap(),
        Some(joined)
    );
    assert_eq!(store.find_membership(org_id(1), user_id(2)).unwrap(), None);
    let places = store
        .list_team_memberships_of(org_id(1), user_id(1))
        .unwrap();
    let roles: Vec<_> = places.iter().map(|one| (one.team_id, one.role)).collect();
    assert_eq!(roles, [(team_id(1), TeamRole::Member)]);
    let settled = Invitation {
        accepted_at: Some(NOW),
        ..sent
    };
    let revoked = store.revoke_invitation(org_id(1), invitation_id(1), LATER, &audit(1));
    assert_eq!(revoked.unwrap(), Some(settled));

    // Who is in already keeps what they are, and a team that is gone is left out.
    let owner = Membership {
        role: Role::OrgOwner.into(),
        ..member(3, 1)
    };
    store.set_membership(&owner, &audit(1)).unwrap();
    let sent = Invitation {
        team_id: Some(team_id(7)),
        ..invitation(3, 1)
    };
    store.add_invitation(&sent, &audit(1)).unwrap();
    let accepted = store.accept_invitation(org_id(1), invitation_id(3), user_id(3), NOW, &audit(1));
    assert!(accepted.unwrap());
    assert_eq!(
        store.find_membership(org_id(1), user_id(3)).unwrap(),
        Some(owner)
    );
    let places = store.list_team_memberships_of(org_id(1), user_id(3));
    assert_eq!(places.unwrap(), []);
}

/// Expired, taken back, of another organization's service account: no way in.
pub fn an_invitation_that_is_not_open_lets_nobody_in(store: &dyn Store) {
    two_organizations(store);
    store.add_user(&user(1), &platform_audit()).unwrap();
    store.add_user(&service(2, 2), &platform_audit()).unwrap();
    for n in [1, 2, 3] {
        store.add_invitation(&invitation(n, 1), &audit(1)).unwrap();
    }
    let page = store.list_invitations(org_id(1), Some(invitation_id(1)), 9);
    assert_eq!(page.unwrap(), [invitation(2, 1), invitation(3, 1)]);
    let taken_back = Invitation {
        revoked_at: Some(NOW),
        ..invitation(1, 1)
    };
    let revoked = store.revoke_invitation(org_id(1), invitation_id(1), NOW, &audit(1));
    assert_eq!(revoked.unwrap(), Some(taken_back));
    let accept = |n, user, at| {
        store.accept_invitation(org_id(1), invitation_id(n), user_id(user), at, &audit(1))
    };
    assert!(!accept(1, 1, NOW).unwrap());
    assert!(!accept(2, 1, NOW.plus_seconds(3_600)).unwrap());
    assert!(!accept(9, 1, NOW).unwrap());
    missing(accept(3, 2, NOW));
    for n in [1, 2] {
        assert_eq!(store.find_membership(org_id(1), user_id(n)).unwrap(), None);
    }
}
