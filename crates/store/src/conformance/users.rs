//! Rules for users.

use tollgate_domain::{Timestamp, User};

use super::fixtures::{
    NOW, audit, full_user, mac, member, org_id, organization, platform_audit, service, session,
    team, team_member, user, user_id,
};
use super::refusals::{conflict, invalid, missing, outdated};
use crate::{NAME_BYTES_MAX, RewrappedTotp, Store};

const LATER: Timestamp = Timestamp::from_micros(NOW.micros() + 1);

/// Every field comes back, by id and by address; pages follow the order of ids.
pub fn a_user_is_found_as_they_were_added(store: &dyn Store) {
    let all = [user(1), full_user(2), service(3, 1)];
    for user in all.iter().rev() {
        store.add_user(user, &platform_audit()).unwrap();
        assert_eq!(store.find_user(user.id).unwrap().as_ref(), Some(user));
        if let Some(email) = &user.email {
            let found = store.find_user_by_email(email).unwrap();
            assert_eq!(found.as_ref(), Some(user));
        }
    }
    for email in ["", "USER1@example.com", "\0", "user9@example.com"] {
        assert_eq!(store.find_user_by_email(email).unwrap(), None, "{email}");
    }
    assert_eq!(store.find_user(user_id(9)).unwrap(), None);
    let page = store.list_users(None, 2).unwrap();
    assert_eq!(page, all[..2]);
    assert_eq!(store.list_users(Some(user_id(2)), 9).unwrap(), all[2..]);
    for bad in [
        User {
            name: "\0".to_owned(),
            ..user(4)
        },
        User {
            email: Some("x".repeat(NAME_BYTES_MAX + 1)),
            ..user(4)
        },
        User {
            totp_last_step: Some(u64::MAX),
            ..user(4)
        },
    ] {
        invalid(store.add_user(&bad, &platform_audit()));
    }
}

/// One address is one user, and free again when that one is deleted.
pub fn addresses_are_unique_while_they_are_there(store: &dyn Store) {
    let by = platform_audit();
    store.add_user(&user(1), &by).unwrap();
    let same = |n| User {
        email: user(1).email,
        ..user(n)
    };
    conflict(store.add_user(&same(2), &by));
    conflict(store.add_user(
        &User {
            email: None,
            ..user(1)
        },
        &by,
    ));
    for n in [3, 4] {
        store.add_user(&service(n, 1), &by).unwrap();
    }
    store.add_user(&user(2), &by).unwrap();
    conflict(store.update_user(&same(2), &by));
    store.delete_user(user_id(1), NOW, &by).unwrap();
    assert_eq!(store.update_user(&same(2), &by).unwrap(), 2);
    let email = user(1).email.unwrap_or_default();
    let found = store.find_user_by_email(&email).unwrap().unwrap();
    assert_eq!(found.id, user_id(2));
}

/// An update replaces what is the user's; what sign-ins count is theirs.
pub fn an_update_leaves_what_sign_ins_count(store: &dyn Store) {
    let by = platform_audit();
    store.add_user(&user(1), &by).unwrap();
    for count in 1..=3 {
        let counted = store.count_failed_sign_in(user_id(1), LATER).unwrap();
        assert_eq!(counted, Some(count));
    }
    assert_eq!(store.count_failed_sign_in(user_id(9), LATER).unwrap(), None);
    let change = User {
        failed_sign_ins: 0,
        last_failed_at: None,
        created_at: LATER,
        kind: service(1, 1).kind,
        ..full_user(1)
    };
    assert_eq!(store.update_user(&change, &by).unwrap(), 2);
    outdated(store.update_user(&change, &by));
    missing(store.update_user(&full_user(9), &by));
    let expected = User {
        totp_last_step: None,
        failed_sign_ins: 3,
        last_failed_at: Some(LATER),
        version: 2,
        ..full_user(1)
    };
    let found = || store.find_user(user_id(1)).unwrap().unwrap();
    assert_eq!(found(), expected);
    assert!(store.use_totp_step(user_id(1), 9).unwrap());
    let named = User {
        name: "new".to_owned(),
        ..found()
    };
    let named = User {
        totp_last_step: None,
        ..named
    };
    assert_eq!(store.update_user(&named, &by).unwrap(), 3);
    assert_eq!(found().totp_last_step, Some(9));
    store.clear_failed_sign_ins(user_id(1)).unwrap();
    assert_eq!((found().failed_sign_ins, found().last_failed_at), (0, None));
    let reset = User {
        totp: Some(vec![4]),
        ..found()
    };
    assert_eq!(store.update_user(&reset, &by).unwrap(), 4);
    assert_eq!(found().totp_last_step, None);
}

/// Nothing of a deleted user signs in, and nobody is a member by them.
pub fn a_user_who_is_deleted_leaves_no_way_in(store: &dyn Store) {
    let by = platform_audit();
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_team(&team(1, 1), &audit(1)).unwrap();
    store.add_user(&full_user(1), &by).unwrap();
    store.set_membership(&member(1, 1), &audit(1)).unwrap();
    let place = team_member(1, 1, 1);
    store.set_team_membership(&place, &audit(1)).unwrap();
    store.add_session(&session(1, 1), &by).unwrap();
    let gone = User {
        email: None,
        password_hash: None,
        totp: None,
        totp_last_step: None,
        recovery_macs: Vec::new(),
        deleted_at: Some(NOW),
        version: 2,
        ..full_user(1)
    };
    for at in [NOW, LATER] {
        let deleted = store.delete_user(user_id(1), at, &by).unwrap();
        assert_eq!(deleted, Some(gone.clone()));
    }
    assert_eq!(store.delete_user(user_id(9), NOW, &by).unwrap(), None);
    let email = user(1).email.unwrap_or_default();
    assert_eq!(store.find_user_by_email(&email).unwrap(), None);
    assert_eq!(store.list_users(None, 9).unwrap(), []);
    assert_eq!(store.list_memberships_of(user_id(1)).unwrap(), []);
    let places = store.list_team_memberships_of(org_id(1), user_id(1));
    assert_eq!(places.unwrap(), []);
    let session = store.find_session_by_mac(&mac(1)).unwrap().unwrap();
    assert_eq!(session.revoked_at, Some(NOW));
    missing(store.update_user(&gone, &by));
    missing(store.set_membership(&member(1, 1), &audit(1)));
    assert!(!store.use_totp_step(user_id(1), 100).unwrap());
    assert!(!store.use_recovery_code(user_id(1), &mac(1), &by).unwrap());
    assert_eq!(store.count_failed_sign_in(user_id(1), NOW).unwrap(), None);
}

/// A code that was used once is used up, however many present it at once.
pub fn each_step_and_each_recovery_code_works_once(store: &dyn Store) {
    let by = platform_audit();
    store.add_user(&full_user(1), &by).unwrap();
    for (step, works) in [(7, false), (6, false), (8, true), (8, false), (9, true)] {
        let used = store.use_totp_step(user_id(1), step).unwrap();
        assert_eq!(used, works, "{step}");
    }
    assert!(!store.use_totp_step(user_id(9), 8).unwrap());
    invalid(store.use_totp_step(user_id(1), u64::MAX));
    for (code, works) in [(1, true), (1, false), (3, false), (2, true)] {
        let used = store.use_recovery_code(user_id(1), &mac(code), &by);
        assert_eq!(used.unwrap(), works, "{code}");
    }
    // Who read them before cannot bring a used code back.
    outdated(store.update_user(&full_user(1), &by));
    store.add_user(&user(2), &by).unwrap();
    let won: usize = std::thread::scope(|scope| {
        let threads = [0; 4].map(|_| scope.spawn(|| store.use_totp_step(user_id(2), 1)));
        let won = threads.into_iter().map(|thread| thread.join().unwrap());
        won.map(|used| usize::from(used.unwrap())).sum()
    });
    assert_eq!(won, 1);
}

/// The same factor under another key: no step becomes good again, and one that changed since stays.
pub fn sealed_second_factors_are_replaced_where_they_are_the_same(store: &dyn Store) {
    let by = platform_audit();
    for user in [full_user(1), full_user(2), user(3)] {
        store.add_user(&user, &by).unwrap();
    }
    let rewrapped = |n, from: &[u8]| RewrappedTotp {
        user_id: user_id(n),
        from: from.to_vec(),
        to: vec![9, 9],
    };
    let old = [0, 1, 255];
    let epoch = store.auth_epoch().unwrap();
    let all = [
        rewrapped(1, &old),
        rewrapped(2, &[7]),
        rewrapped(3, &old),
        rewrapped(4, &old),
    ];
    assert_eq!(store.rewrap_totps(&all, &by).unwrap(), 1);
    let found = store.find_user(user_id(1)).unwrap().unwrap();
    let expected = User {
        totp: Some(vec![9, 9]),
        version: 2,
        ..full_user(1)
    };
    assert_eq!(found, expected, "the used step is still there");
    assert_eq!(store.find_user(user_id(2)).unwrap(), Some(full_user(2)));
    outdated(store.update_user(&full_user(1), &by));
    let head = |store: &dyn Store| store.find_audit_head(None).unwrap().map(|head| head.seq);
    let before = head(store);
    assert_eq!(store.rewrap_totps(&all, &by).unwrap(), 0);
    assert_eq!((head(store), store.auth_epoch().unwrap()), (before, epoch));
}
