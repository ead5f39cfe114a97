//! Rules for who users are with identity providers.

use super::fixtures::{NOW, platform_audit, user, user_id};
use super::refusals::{conflict, invalid, missing};
use crate::{Store, UserIdentity};

fn identity(issuer: &str, subject: &str, user: u64) -> UserIdentity {
    UserIdentity {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        user_id: user_id(user),
        created_at: NOW,
    }
}

/// An identity is one user's, by issuer and subject together.
pub fn an_identity_is_of_one_user(store: &dyn Store) {
    let by = platform_audit();
    for n in [1, 2] {
        store.add_user(&user(n), &by).unwrap();
    }
    let add = |one: &UserIdentity| store.add_user_identity(one, &by);
    let all = [
        identity("https://a.example", "1", 1),
        identity("https://a.example", "2", 2),
        identity("https://b.example", "1", 1),
    ];
    all.iter().for_each(|one| add(one).unwrap());
    conflict(add(&identity("https://a.example", "1", 2)));
    missing(add(&identity("https://a.example", "9", 9)));
    invalid(add(&identity(&"x".repeat(2_000), "1", 1)));
    invalid(add(&identity("https://a.example", "\0", 1)));
    let find = |issuer, subject| store.find_user_identity(issuer, subject).unwrap();
    assert_eq!(find("https://a.example", "1"), Some(all[0].clone()));
    assert_eq!(find("https://a.example", "2"), Some(all[1].clone()));
    for (issuer, subject) in [
        ("https://a.example", "3"),
        ("https://A.example", "1"),
        ("https://a.example", "\0"),
        ("", ""),
    ] {
        assert_eq!(find(issuer, subject), None, "{issuer} {subject}");
    }
    let listed = store.list_user_identities(user_id(1)).unwrap();
    assert_eq!(listed, [all[0].clone(), all[2].clone()]);
    let remove = |n, issuer| {
        store
            .remove_user_identity(user_id(n), issuer, "1", &by)
            .unwrap()
    };
    assert!(!remove(2, "https://a.example"), "another's");
    assert!(remove(1, "https://a.example"));
    assert!(!remove(1, "https://a.example"));
    assert_eq!(find("https://a.example", "1"), None);
}

/// Who is deleted cannot come back by an identity.
pub fn a_user_who_is_deleted_leaves_no_identity(store: &dyn Store) {
    let by = platform_audit();
    for n in [1, 2] {
        store.add_user(&user(n), &by).unwrap();
        let one = identity("https://a.example", &n.to_string(), n);
        store.add_user_identity(&one, &by).unwrap();
    }
    store.delete_user(user_id(1), NOW, &by).unwrap();
    let find = |subject| store.find_user_identity("https://a.example", subject);
    assert_eq!(find("1").unwrap(), None);
    assert!(find("2").unwrap().is_some());
}
