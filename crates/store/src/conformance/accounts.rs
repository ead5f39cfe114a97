//! Rules for changes of accounts that are several writes.

use tollgate_domain::{AuditDraft, OneTimeToken, Role, Timestamp, TokenPurpose, User, UserKind};

use super::fixtures::{
    NOW, audit, mac, member, org_id, organization, platform_audit, service, session, token, user,
    user_id,
};
use super::refusals::{conflict, invalid, missing};
use crate::{FirstPerson, Store, StoreError};

const LATER: Timestamp = Timestamp::from_micros(NOW.micros() + 1);

fn setup_token(store: &dyn Store, n: u8) {
    let token = OneTimeToken {
        purpose: TokenPurpose::Setup,
        ..token(n, None)
    };
    store.add_one_time_token(&token, &platform_audit()).unwrap();
}

fn let_in(
    store: &dyn Store,
    token: u8,
    first: &User,
    org: u64,
    at: Timestamp,
) -> Result<tollgate_domain::OrgId, StoreError> {
    let joined = AuditDraft {
        org_id: None,
        ..audit(org)
    };
    let first = FirstPerson {
        token: &mac(token),
        user: first,
        organization: &organization(org),
        role: Role::OrgOwner,
        made: &audit(org),
        joined: &joined,
    };
    store.set_up(&first, at, &platform_audit())
}

/// One person, their organization and their place in it, or nothing at all.
pub fn the_first_person_gets_all_or_nothing(store: &dyn Store) {
    for n in [1, 2] {
        setup_token(store, n);
    }
    let used = OneTimeToken {
        purpose: TokenPurpose::EmailVerify,
        ..token(3, None)
    };
    store.add_one_time_token(&used, &platform_audit()).unwrap();
    let seq = |chain| store.find_audit_head(chain).unwrap().map(|head| head.seq);
    let (epoch, before) = (store.auth_epoch().unwrap(), seq(None));
    missing(let_in(store, 9, &user(1), 1, NOW));
    missing(let_in(store, 3, &user(1), 1, NOW));
    missing(let_in(store, 1, &user(1), 1, token(1, None).expires_at));
    let wrong = User {
        name: "x".repeat(2_000),
        ..user(1)
    };
    invalid(let_in(store, 1, &wrong, 1, NOW));
    assert_eq!(store.list_organizations(None, 9).unwrap(), []);
    assert_eq!((store.auth_epoch().unwrap(), seq(None)), (epoch, before));

    assert_eq!(let_in(store, 1, &user(1), 1, NOW).unwrap(), org_id(1));
    assert_eq!(store.find_user(user_id(1)).unwrap(), Some(user(1)));
    let place = store.find_membership(org_id(1), user_id(1)).unwrap();
    let mut expected = member(1, 1);
    expected.role = Role::OrgOwner.into();
    assert_eq!(place, Some(expected));
    let found = store.find_organization(org_id(1)).unwrap();
    assert_eq!(found, Some(organization(1)));
    assert_eq!(store.auth_epoch().unwrap(), epoch + 1);
    assert_eq!(seq(None), before.map(|seq| seq + 1));
    assert_eq!(seq(Some(org_id(1))), Some(2));

    missing(let_in(store, 1, &user(2), 2, NOW));
    conflict(let_in(store, 2, &user(2), 2, NOW));
    let left = store.find_one_time_token(&mac(2), TokenPurpose::Setup, NOW);
    assert!(left.unwrap().is_some(), "it was not used up");
}

/// Where there is an organization, the first person joins it; service accounts are nobody.
pub fn the_first_person_joins_the_oldest_organization(store: &dyn Store) {
    for n in [1, 2] {
        store.add_organization(&organization(n), &audit(n)).unwrap();
    }
    store.add_user(&service(7, 2), &platform_audit()).unwrap();
    setup_token(store, 1);
    assert_eq!(let_in(store, 1, &user(1), 3, NOW).unwrap(), org_id(1));
    assert_eq!(store.list_organizations(None, 9).unwrap().len(), 2);
    let places = store.list_memberships_of(user_id(1)).unwrap();
    assert_eq!(places.len(), 1);
    let entries = store.read_audit(Some(org_id(1)), 1, 9).unwrap();
    assert_eq!(entries.len(), 1, "of the membership alone");
}

/// Of many with tokens of their own one gets in.
pub fn threads_that_set_up_let_one_in(store: &dyn Store) {
    for n in 1..=4 {
        setup_token(store, n);
    }
    let won: usize = std::thread::scope(|scope| {
        let threads = [1, 2, 3, 4].map(|n| {
            scope.spawn(move || {
                let done = let_in(store, n, &user(n.into()), n.into(), NOW);
                usize::from(done.map_err(|error| conflict::<()>(Err(error))).is_ok())
            })
        });
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
    let people = store.list_users(None, 9).unwrap();
    let people = people.iter().filter(|one| one.kind == UserKind::Human);
    assert_eq!(people.count(), 1);
    assert_eq!(store.list_organizations(None, 9).unwrap().len(), 1);
}

/// A reset changes the password and leaves no other way in; one that is refused changes nothing.
pub fn a_reset_leaves_no_session_and_no_other_letter(store: &dyn Store) {
    let by = platform_audit();
    for n in [1, 2] {
        store.add_user(&user(n.into()), &by).unwrap();
        store.add_session(&session(n, n.into()), &by).unwrap();
    }
    let blocked = User {
        blocked: true,
        ..user(3)
    };
    store.add_user(&blocked, &by).unwrap();
    let reset = |n, user| OneTimeToken {
        purpose: TokenPurpose::PasswordReset,
        ..token(n, Some(user))
    };
    for one in [
        reset(1, 1),
        reset(2, 1),
        reset(3, 2),
        reset(4, 3),
        token(5, Some(1)),
    ] {
        store.add_one_time_token(&one, &by).unwrap();
    }
    store.count_failed_sign_in(user_id(1), NOW).unwrap();
    let epoch = store.auth_epoch().unwrap();
    let use_it = |n, hash: &str, at| store.reset_password(&mac(n), hash, at, &by);
    missing(use_it(9, "hash", NOW));
    missing(use_it(5, "hash", NOW));
    missing(use_it(4, "hash", NOW));
    missing(use_it(1, "hash", reset(1, 1).expires_at));
    invalid(use_it(1, &"x".repeat(2_000), NOW));
    assert_eq!(store.auth_epoch().unwrap(), epoch);
    assert_eq!(use_it(1, "hash", LATER).unwrap(), user_id(1));
    let changed = User {
        password_hash: Some("hash".to_owned()),
        version: 2,
        ..user(1)
    };
    assert_eq!(store.find_user(user_id(1)).unwrap(), Some(changed));
    assert_eq!(store.list_sessions(user_id(1), None, 9).unwrap(), []);
    assert_eq!(store.list_sessions(user_id(2), None, 9).unwrap().len(), 1);
    assert_eq!(store.auth_epoch().unwrap(), epoch + 1);
    for used in [1, 2] {
        missing(use_it(used, "other", LATER));
    }
    let verify = store.find_one_time_token(&mac(5), TokenPurpose::EmailVerify, NOW);
    assert!(verify.unwrap().is_some(), "it is for something else");
    assert_eq!(use_it(3, "other", NOW).unwrap(), user_id(2));
}
