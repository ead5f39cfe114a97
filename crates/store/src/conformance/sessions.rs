//! Rules for sessions and for tokens that work once.

use tollgate_domain::{OneTimeToken, Session, Timestamp, TokenPurpose, USER_AGENT_BYTES_MAX};

use super::fixtures::{NOW, mac, platform_audit, session, session_id, token, user, user_id};
use super::refusals::{conflict, invalid, missing};
use crate::Store;

const LATER: Timestamp = Timestamp::from_micros(NOW.micros() + 1);

fn people(store: &dyn Store) {
    for n in [1, 2] {
        store.add_user(&user(n), &platform_audit()).unwrap();
    }
}

/// Every field comes back; the first end stands; nobody ends another's session.
pub fn a_session_is_found_used_and_ended(store: &dyn Store) {
    people(store);
    let by = platform_audit();
    let bare = Session {
        org_id: None,
        client_ip: None,
        user_agent: String::new(),
        has_second_factor: false,
        ..session(2, 1)
    };
    for one in [session(1, 1), bare.clone()] {
        store.add_session(&one, &by).unwrap();
        let found = store.find_session_by_mac(&one.token_mac).unwrap();
        assert_eq!(found, Some(one));
    }
    conflict(store.add_session(&session(1, 1), &by));
    conflict(store.add_session(
        &Session {
            id: session_id(9),
            ..session(1, 1)
        },
        &by,
    ));
    missing(store.add_session(&session(9, 9), &by));
    let long = Session {
        user_agent: "x".repeat(USER_AGENT_BYTES_MAX + 1),
        ..session(9, 1)
    };
    invalid(store.add_session(&long, &by));
    assert_eq!(store.find_session_by_mac(&mac(9)).unwrap(), None);
    for at in [LATER, NOW] {
        store.touch_session(session_id(1), at).unwrap();
    }
    let used = Session {
        last_seen_at: LATER,
        ..session(1, 1)
    };
    let listed = store.list_sessions(user_id(1), None, 9).unwrap();
    assert_eq!(listed, [used.clone(), bare.clone()]);
    let page = store
        .list_sessions(user_id(1), Some(session_id(1)), 9)
        .unwrap();
    assert_eq!(page, std::slice::from_ref(&bare));
    assert_eq!(store.list_sessions(user_id(2), None, 9).unwrap(), []);
    let end = |user, at| {
        store
            .revoke_session(user_id(user), session_id(1), at, &by)
            .unwrap()
    };
    assert!(!end(2, NOW));
    assert!(end(1, NOW));
    assert!(!end(1, LATER));
    let found = store.find_session_by_mac(&mac(1)).unwrap();
    assert_eq!(
        found,
        Some(Session {
            revoked_at: Some(NOW),
            ..used
        })
    );
    assert_eq!(store.list_sessions(user_id(1), None, 9).unwrap(), [bare]);
}

/// All but one end, and those of others go on.
pub fn the_sessions_of_a_user_end_together(store: &dyn Store) {
    people(store);
    let by = platform_audit();
    for (n, user) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        store.add_session(&session(n, user), &by).unwrap();
    }
    let end = |except| store.revoke_sessions(user_id(1), except, NOW, &by).unwrap();
    assert_eq!(end(Some(session_id(2))), 2);
    assert_eq!(end(Some(session_id(2))), 0);
    assert_eq!(
        store.list_sessions(user_id(1), None, 9).unwrap(),
        [session(2, 1)]
    );
    assert_eq!(end(None), 1);
    assert_eq!(
        store.list_sessions(user_id(2), None, 9).unwrap(),
        [session(4, 2)]
    );
}

/// What ended before a time is forgotten, whichever way it ended.
pub fn sessions_that_ended_are_forgotten(store: &dyn Store) {
    people(store);
    let by = platform_audit();
    for n in [1, 2, 3] {
        store.add_session(&session(n, 1), &by).unwrap();
    }
    let long = Session {
        expires_at: NOW.plus_seconds(7_200),
        ..session(4, 1)
    };
    store.add_session(&long, &by).unwrap();
    store
        .revoke_session(user_id(1), session_id(1), NOW, &by)
        .unwrap();
    assert_eq!(store.remove_sessions(NOW).unwrap(), 0);
    assert_eq!(store.remove_sessions(LATER).unwrap(), 1);
    assert_eq!(store.find_session_by_mac(&mac(1)).unwrap(), None);
    let end = session(2, 1).expires_at;
    assert_eq!(store.remove_sessions(end).unwrap(), 0);
    assert_eq!(store.remove_sessions(end.plus_seconds(1)).unwrap(), 2);
    assert_eq!(store.list_sessions(user_id(1), None, 9).unwrap(), [long]);
}

/// Of many that present a token at once one gets it, for what it is for, while it lasts.
pub fn a_token_works_once_for_its_purpose(store: &dyn Store) {
    people(store);
    let by = platform_audit();
    let setup = OneTimeToken {
        purpose: TokenPurpose::Setup,
        ..token(2, None)
    };
    for one in [token(1, Some(1)), setup.clone(), token(3, Some(2))] {
        store.add_one_time_token(&one, &by).unwrap();
    }
    conflict(store.add_one_time_token(&token(1, None), &by));
    missing(store.add_one_time_token(&token(4, Some(9)), &by));
    let take = |n, purpose, at| store.use_one_time_token(&mac(n), purpose, at, &by).unwrap();
    let verify = TokenPurpose::EmailVerify;
    assert_eq!(take(1, TokenPurpose::PasswordReset, NOW), None);
    assert_eq!(take(9, verify, NOW), None);
    assert_eq!(take(1, verify, token(1, None).expires_at), None);
    let used = OneTimeToken {
        used_at: Some(LATER),
        ..token(1, Some(1))
    };
    assert_eq!(take(1, verify, LATER), Some(used));
    assert_eq!(take(1, verify, LATER), None);
    let used = OneTimeToken {
        used_at: Some(NOW),
        ..setup
    };
    assert_eq!(take(2, TokenPurpose::Setup, NOW), Some(used));
    let won: usize = std::thread::scope(|scope| {
        let threads = [0; 4].map(|_| scope.spawn(|| take(3, verify, NOW)));
        let won = threads.into_iter().map(|thread| thread.join().unwrap());
        won.map(|used| usize::from(used.is_some())).sum()
    });
    assert_eq!(won, 1);
    let end = token(1, None).expires_at;
    assert_eq!(store.remove_one_time_tokens(end).unwrap(), 0);
    assert_eq!(
        store.remove_one_time_tokens(end.plus_seconds(1)).unwrap(),
        3
    );
}

/// A token can be looked at before it is used, and the others of a user can be made void.
pub fn a_token_is_found_until_it_is_used_or_void(store: &dyn Store) {
    people(store);
    let by = platform_audit();
    let setup = OneTimeToken {
        purpose: TokenPurpose::Setup,
        ..token(4, Some(1))
    };
    let all = [
        token(1, Some(1)),
        token(2, Some(1)),
        token(3, Some(2)),
        setup.clone(),
    ];
    for one in &all {
        store.add_one_time_token(one, &by).unwrap();
    }
    let verify = TokenPurpose::EmailVerify;
    let find = |n, purpose, at| store.find_one_time_token(&mac(n), purpose, at).unwrap();
    assert_eq!(find(1, verify, NOW), Some(token(1, Some(1))));
    assert_eq!(
        find(1, verify, NOW),
        Some(token(1, Some(1))),
        "it is still there"
    );
    assert_eq!(find(1, TokenPurpose::PasswordReset, NOW), None);
    assert_eq!(find(1, verify, token(1, None).expires_at), None);
    assert_eq!(find(9, verify, NOW), None);
    store
        .use_one_time_token(&mac(1), verify, NOW, &by)
        .unwrap()
        .unwrap();
    assert_eq!(find(1, verify, NOW), None);
    let void = |at| {
        store
            .void_one_time_tokens(user_id(1), verify, at, &by)
            .unwrap()
    };
    assert_eq!(void(NOW), 1, "the one that is left");
    assert_eq!(void(NOW), 0);
    assert_eq!(find(2, verify, NOW), None);
    assert_eq!(
        store.use_one_time_token(&mac(2), verify, NOW, &by).unwrap(),
        None
    );
    assert_eq!(find(3, verify, NOW), Some(token(3, Some(2))), "another's");
    assert_eq!(
        find(4, TokenPurpose::Setup, NOW),
        Some(setup),
        "for something else"
    );
}
