//! Rules for refresh tokens and signing keys.

use tollgate_domain::Timestamp;

use super::fixtures::{NOW, mac, platform_audit, session, session_id, user, user_id};
use super::refusals::{conflict, invalid, missing};
use crate::{RefreshToken, SealedSigningKey, Store};

fn refresh(n: u8, session: u64) -> RefreshToken {
    RefreshToken {
        mac: mac(n),
        session_id: session_id(session),
        generation: 0,
        expires_at: NOW.plus_seconds(60),
        used: None,
    }
}

/// A token is exchanged once, and is forgotten with its session.
pub fn a_refresh_token_has_one_successor(store: &dyn Store) {
    let by = platform_audit();
    store.add_user(&user(1), &by).unwrap();
    for n in [1, 2] {
        store.add_session(&session(n, 1), &by).unwrap();
    }
    missing(store.add_refresh_token(&refresh(1, 9), &by));
    store.add_refresh_token(&refresh(1, 1), &by).unwrap();
    store.add_refresh_token(&refresh(5, 2), &by).unwrap();
    conflict(store.add_refresh_token(&refresh(1, 2), &by));
    assert_eq!(store.find_refresh_token(&mac(9)).unwrap(), None);
    let find = |n| store.find_refresh_token(&mac(n)).unwrap();
    assert_eq!(find(1), Some(refresh(1, 1)));

    let next = RefreshToken {
        generation: 1,
        ..refresh(2, 1)
    };
    assert!(!store.exchange_refresh_token(&mac(9), &next, NOW).unwrap());
    conflict(store.exchange_refresh_token(&mac(1), &refresh(5, 1), NOW));
    assert_eq!(find(1), Some(refresh(1, 1)), "and it is not used");
    assert!(store.exchange_refresh_token(&mac(1), &next, NOW).unwrap());
    let used = RefreshToken {
        used: Some((NOW, mac(2))),
        ..refresh(1, 1)
    };
    assert_eq!((find(1), find(2)), (Some(used), Some(next)));
    let other = refresh(3, 1);
    assert!(!store.exchange_refresh_token(&mac(1), &other, NOW).unwrap());
    assert_eq!((find(1), find(3)), (Some(used), None));

    store
        .revoke_session(user_id(1), session_id(1), NOW, &by)
        .unwrap();
    assert_eq!(store.remove_sessions(NOW.plus_seconds(1)).unwrap(), 1);
    assert_eq!((find(1), find(2)), (None, None));
    assert!(find(5).is_some());
}

/// Of many that exchange a token at once one gets a successor.
pub fn threads_that_exchange_a_token_get_one_successor(store: &dyn Store) {
    let by = platform_audit();
    store.add_user(&user(1), &by).unwrap();
    store.add_session(&session(1, 1), &by).unwrap();
    store.add_refresh_token(&refresh(1, 1), &by).unwrap();
    let won: Vec<u8> = std::thread::scope(|scope| {
        let threads = [11, 12, 13, 14].map(|n| {
            let next = refresh(n, 1);
            let exchange = move || store.exchange_refresh_token(&mac(1), &next, NOW).unwrap();
            (n, scope.spawn(exchange))
        });
        let won = threads.into_iter().map(|(n, one)| (n, one.join().unwrap()));
        won.filter(|(_, won)| *won).map(|(n, _)| n).collect()
    });
    assert_eq!(won.len(), 1);
    let kept = store.find_refresh_token(&mac(1)).unwrap().unwrap();
    assert_eq!(kept.used, Some((NOW, mac(won[0]))));
}

/// A session is found by its id, whether it is live or not.
pub fn a_session_is_found_by_its_id(store: &dyn Store) {
    let by = platform_audit();
    store.add_user(&user(1), &by).unwrap();
    store.add_session(&session(1, 1), &by).unwrap();
    let find = |n| store.find_session(session_id(n)).unwrap();
    assert_eq!((find(1), find(2)), (Some(session(1, 1)), None));
    store
        .revoke_session(user_id(1), session_id(1), NOW, &by)
        .unwrap();
    assert_eq!(find(1).unwrap().revoked_at, Some(NOW));
}

fn key(generation: u32, salt: u8) -> SealedSigningKey {
    SealedSigningKey {
        generation,
        kid: format!("Kid-{generation}_{salt}"),
        sealed: vec![salt; 97],
        key_id: "00ff".to_owned(),
        signs_from: Timestamp::from_micros(NOW.micros() + i64::from(generation)),
    }
}

/// A generation is made once, resealed under another master key, and forgotten.
pub fn a_signing_key_is_of_one_generation(store: &dyn Store) {
    let by = platform_audit();
    let add = |keys: &[SealedSigningKey]| store.add_signing_keys(keys, &by).unwrap();
    assert_eq!(store.list_signing_keys().unwrap(), []);
    assert!(!add(&[]));
    assert!(add(&[key(0, 1), key(1, 1)]));
    assert!(!add(&[key(1, 2), key(2, 2)]), "all or none");
    assert!(add(&[key(2, 3)]));
    let all = [key(0, 1), key(1, 1), key(2, 3)];
    assert_eq!(store.list_signing_keys().unwrap(), all);

    let resealed = SealedSigningKey {
        sealed: vec![9; 5],
        key_id: "01".to_owned(),
        ..key(1, 1)
    };
    let reseal = |under| store.reseal_signing_key(&resealed, under, &by).unwrap();
    assert!(!reseal("01"));
    assert!(reseal("00ff"));
    assert!(!reseal("00ff"));
    assert_eq!(store.list_signing_keys().unwrap()[1], resealed);
    assert_eq!(store.remove_signing_keys(1, &by).unwrap(), 1);
    assert_eq!(store.remove_signing_keys(1, &by).unwrap(), 0);
    assert_eq!(store.list_signing_keys().unwrap(), [resealed, key(2, 3)]);
    for wrong in [
        SealedSigningKey {
            kid: String::new(),
            ..key(7, 1)
        },
        SealedSigningKey {
            key_id: "a b".to_owned(),
            ..key(7, 1)
        },
        SealedSigningKey {
            sealed: Vec::new(),
            ..key(7, 1)
        },
    ] {
        invalid(store.add_signing_keys(&[wrong], &by));
    }
}

/// Threads that make the same generations agree on one thread's.
pub fn threads_that_add_signing_keys_agree(store: &dyn Store) {
    std::thread::scope(|scope| {
        for salt in 1..=4 {
            let keys = [key(0, salt), key(1, salt)];
            scope.spawn(move || store.add_signing_keys(&keys, &platform_audit()).unwrap());
        }
    });
    let kept = store.list_signing_keys().unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0].sealed, kept[1].sealed);
}
