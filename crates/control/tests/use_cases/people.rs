//! People, service accounts and invitations.

use tollgate_auth::{Granted, SecretToken, TokenPurpose, UsersManage};
use tollgate_control::{ControlError, InvitationState, MemberKind, Versioned};
use tollgate_domain::{Actor, ErrorKind, Role, RoleRef, TeamId, UserId};
use tollgate_store::{InvitationStore, MembershipStore, UserStore};
use tollgate_validation::{Expected, MemberChange, NewInvitation, NewServiceAccount, Valid};

use crate::desk::{
    ACME, Desk, NOW, OTHER, first_page, granted, kind, owner_key, principal, written,
};
use crate::teams::add_user;

fn to(role: &str) -> Valid<MemberChange> {
    Valid::from_json(format!(r#"{{"role":"{role}"}}"#).as_bytes()).unwrap()
}

fn invited(json: &str) -> Valid<NewInvitation> {
    Valid::from_json(json.as_bytes()).unwrap()
}

/// An administrator's key, which is not an owner's.
fn admin(desk: &Desk) -> Granted<UsersManage> {
    let id = tollgate_domain::KeyId::from_bytes([9; 16]);
    desk.add_key(ACME, id, Role::OrgAdmin, &[]);
    Granted::check(principal(ACME, id, Role::OrgAdmin)).unwrap()
}

#[test]
fn members_are_listed_with_what_they_are_and_change_by_the_version_that_was_read() {
    let desk = Desk::new();
    let ann = add_user(&desk, ACME, 1, Role::Member);
    add_user(&desk, OTHER, 2, Role::Member);
    let page = desk
        .control
        .list_members(&granted(ACME), &first_page())
        .unwrap();
    let seen: Vec<_> = page.data.iter().map(|one| (one.id, one.role)).collect();
    assert_eq!(seen, [(ann, Role::Member.into())]);
    let before = desk.control.member(&granted(ACME), ann).unwrap().version();
    let change = |role, expected| {
        desk.control
            .change_member(&granted(ACME), ann, &to(role), expected, NOW)
    };
    let changed = change("viewer", Expected::Version(before)).unwrap();
    assert_eq!(changed.role, RoleRef::from(Role::Viewer));
    assert_ne!(changed.version(), before);
    let stale = change("billing", Expected::Version(before));
    assert!(matches!(stale, Err(ControlError::Stale)));
    let stale = desk
        .control
        .remove_member(&granted(ACME), ann, Expected::Version(before), NOW);
    assert!(matches!(stale, Err(ControlError::Stale)));
    desk.control
        .remove_member(&granted(ACME), ann, Expected::Any, NOW)
        .unwrap();
    let gone = desk.control.member(&granted(ACME), ann);
    assert_eq!(kind(&gone), Some(ErrorKind::NotFound));
    // They are in no organization, and still somebody.
    assert!(desk.store.find_user(ann).unwrap().unwrap().is_live());
}

#[test]
fn an_administrator_neither_makes_nor_unmakes_an_owner() {
    let desk = Desk::new();
    let by = admin(&desk);
    let (ann, bob) = (
        add_user(&desk, ACME, 1, Role::OrgOwner),
        add_user(&desk, ACME, 2, Role::Member),
    );
    let change = |user, role| {
        desk.control
            .change_member(&by, user, &to(role), Expected::Any, NOW)
    };
    assert_eq!(kind(&change(bob, "org_owner")), Some(ErrorKind::Forbidden));
    assert_eq!(
        kind(&change(bob, "platform_admin")),
        Some(ErrorKind::Forbidden)
    );
    assert_eq!(kind(&change(ann, "member")), Some(ErrorKind::Forbidden));
    let removed = desk.control.remove_member(&by, ann, Expected::Any, NOW);
    assert_eq!(kind(&removed), Some(ErrorKind::Forbidden));
    change(bob, "org_admin").unwrap();
}

#[test]
fn the_last_owner_stays_one() {
    let desk = Desk::new();
    let ann = add_user(&desk, ACME, 1, Role::OrgOwner);
    let by = granted(ACME);
    let demote = |user| {
        desk.control
            .change_member(&by, user, &to("member"), Expected::Any, NOW)
    };
    assert_eq!(kind(&demote(ann)), Some(ErrorKind::Conflict));
    let removed = desk.control.remove_member(&by, ann, Expected::Any, NOW);
    assert_eq!(kind(&removed), Some(ErrorKind::Conflict));
    add_user(&desk, ACME, 2, Role::OrgOwner);
    demote(ann).unwrap();
}

#[test]
fn another_organizations_members_are_nobody() {
    let desk = Desk::new();
    let bob = add_user(&desk, OTHER, 2, Role::Member);
    let seen = desk.control.member(&granted(ACME), bob);
    let changed =
        desk.control
            .change_member(&granted(ACME), bob, &to("viewer"), Expected::Any, NOW);
    let removed = desk
        .control
        .remove_member(&granted(ACME), bob, Expected::Any, NOW);
    assert_eq!(kind(&seen), Some(ErrorKind::NotFound));
    assert_eq!(kind(&changed), Some(ErrorKind::NotFound));
    assert_eq!(kind(&removed), Some(ErrorKind::NotFound));
}

#[test]
fn a_service_account_lives_and_ends_with_its_place() {
    let desk = Desk::new();
    let input: Valid<NewServiceAccount> = Valid::from_json(br#"{"name":"ci"}"#).unwrap();
    let made = desk
        .control
        .create_service_account(&granted(ACME), &input, NOW)
        .unwrap();
    assert_eq!(
        (made.kind, made.role),
        (MemberKind::Service, Role::Service.into())
    );
    let input: Valid<NewServiceAccount> =
        Valid::from_json(br#"{"name":"boss","role":"org_owner"}"#).unwrap();
    let refused = desk
        .control
        .create_service_account(&admin(&desk), &input, NOW);
    assert_eq!(kind(&refused), Some(ErrorKind::Forbidden));
    desk.control
        .remove_member(&granted(ACME), made.id, Expected::Any, NOW)
        .unwrap();
    let kept = desk.store.find_user(made.id).unwrap().unwrap();
    assert_eq!(kept.deleted_at, Some(NOW));
    let actions: Vec<_> = written(&desk, ACME).into_iter().map(|one| one.0).collect();
    let expected = [
        "service_account.create",
        "member.add",
        "member.remove",
        "user.delete",
    ];
    assert_eq!(actions, expected);
}

#[test]
fn an_invitation_is_kept_as_a_digest_and_lets_in_who_has_its_token() {
    let desk = Desk::new();
    let team = desk.add_team(ACME, 1);
    let body = format!(
        r#"{{"email":"Ann@Example.com","role":"viewer","team_id":"{team}","expires_in_seconds":60}}"#
    );
    let made = desk
        .control
        .create_invitation(&granted(ACME), &invited(&body), NOW)
        .unwrap();
    assert!(!format!("{made:?}").contains(&made.token));
    let token = SecretToken::parse(TokenPurpose::Invitation, &made.token).unwrap();
    let mac = desk.tokens.mac(&token);
    let kept = desk.store.find_invitation_by_mac(&mac).unwrap().unwrap();
    assert_eq!(
        (&*kept.email, kept.team_id),
        ("ann@example.com", Some(team))
    );
    assert_eq!(kept.expires_at, NOW.plus_seconds(60));
    let later = NOW.plus_seconds(60);
    let state = |now| {
        let seen = desk.control.invitation(&granted(ACME), made.view.id, now);
        seen.unwrap().state
    };
    assert_eq!(
        (state(NOW), state(later)),
        (InvitationState::Open, InvitationState::Expired)
    );
    for _ in 0..2 {
        let revoked = desk
            .control
            .revoke_invitation(&granted(ACME), made.view.id, NOW)
            .unwrap();
        assert_eq!(revoked.state, InvitationState::Revoked);
    }
    let other = desk
        .control
        .revoke_invitation(&granted(OTHER), made.view.id, NOW);
    assert_eq!(kind(&other), Some(ErrorKind::NotFound));
}

#[test]
fn nobody_is_invited_to_be_more_than_who_invites_or_into_what_is_not_there() {
    let desk = Desk::new();
    let by = admin(&desk);
    let invite = |json: &str| desk.control.create_invitation(&by, &invited(json), NOW);
    let owner = invite(r#"{"email":"ann@example.com","role":"org_owner"}"#);
    assert_eq!(kind(&owner), Some(ErrorKind::Forbidden));
    let foreign = desk.add_team(OTHER, 3);
    for team in [foreign, TeamId::from_bytes([7; 16])] {
        let json = format!(r#"{{"email":"ann@example.com","team_id":"{team}"}}"#);
        assert_eq!(kind(&invite(&json)), Some(ErrorKind::NotFound));
    }
    add_user(&desk, ACME, 1, Role::Member);
    let again = invite(r#"{"email":"user1@example.com"}"#);
    assert_eq!(kind(&again), Some(ErrorKind::Conflict));
    // Who is in another organization may be invited into this one, too.
    add_user(&desk, OTHER, 2, Role::Member);
    invite(r#"{"email":"user2@example.com"}"#).unwrap();
}

#[test]
fn an_invitation_says_whose_it_is() {
    let desk = Desk::new();
    let ann = add_user(&desk, ACME, 1, Role::OrgOwner);
    let mut by = principal(ACME, owner_key(ACME), Role::OrgOwner);
    by.actor = Actor::User(ann);
    let by: Granted<UsersManage> = Granted::check(by).unwrap();
    let made = desk
        .control
        .create_invitation(&by, &invited(r#"{"email":"bob@example.com"}"#), NOW);
    assert_eq!(made.unwrap().view.invited_by, Some(ann));
    let page = desk
        .control
        .list_invitations(&granted(ACME), &first_page(), NOW)
        .unwrap();
    assert_eq!(page.data.len(), 1);
    let nobody = desk
        .store
        .find_membership(ACME, UserId::from_bytes([9; 16]));
    assert_eq!(nobody.unwrap(), None);
}
