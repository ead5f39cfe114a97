//! Rules for the installation's secrets.

use super::fixtures::platform_audit;
use super::refusals::{invalid, missing, outdated};
use crate::{SEALED_BYTES_MAX, SealedSecret, Store};

fn secret(name: &str, salt: u8) -> SealedSecret {
    SealedSecret {
        name: name.to_owned(),
        sealed: vec![salt; 97],
        key_id: "00ff".to_owned(),
        version: 1,
    }
}

/// What is there stays; pages follow the bytes of the names.
pub fn a_secret_is_added_once(store: &dyn Store) {
    assert_eq!(store.list_secrets(None, 10).unwrap(), []);
    store
        .add_secrets(&[secret("b", 1), secret("a_b", 2)])
        .unwrap();
    store
        .add_secrets(&[secret("b", 3), secret("a0", 4), secret("a_b", 5)])
        .unwrap();
    let all = [secret("a0", 4), secret("a_b", 2), secret("b", 1)];
    assert_eq!(store.list_secrets(None, 10).unwrap(), all);
    assert_eq!(store.list_secrets(None, 1).unwrap(), all[..1]);
    assert_eq!(store.list_secrets(Some("a0"), 1).unwrap(), all[1..2]);
    assert_eq!(store.list_secrets(Some("a1"), 9).unwrap(), all[1..]);
    assert_eq!(store.list_secrets(Some("b"), 9).unwrap(), []);
}

/// All of a batch or none of it, by the versions that were read; each batch has its audit entry.
pub fn secrets_are_replaced_together(store: &dyn Store) {
    store
        .add_secrets(&[secret("a", 1), secret("b", 2)])
        .unwrap();
    let new = [secret("a", 3), secret("b", 4)];
    store.replace_secrets(&new, &platform_audit()).unwrap();
    let kept = store.list_secrets(None, 9).unwrap();
    let values: Vec<_> = kept.iter().map(|s| (s.sealed[0], s.version)).collect();
    assert_eq!(values, [(3, 2), (4, 2)]);

    let mut ahead = secret("a", 5);
    ahead.version = 2;
    outdated(store.replace_secrets(&[ahead.clone(), secret("b", 6)], &platform_audit()));
    missing(store.replace_secrets(&[ahead, secret("c", 6)], &platform_audit()));
    assert_eq!(store.list_secrets(None, 9).unwrap(), kept);
    store.replace_secrets(&[], &platform_audit()).unwrap();
    let head = store.find_audit_head(None).unwrap();
    assert_eq!(head.map(|head| head.seq), Some(1));
}

/// Threads that add the same names agree on one thread's values.
pub fn threads_that_add_secrets_agree(store: &dyn Store) {
    std::thread::scope(|scope| {
        for salt in 1..=6 {
            scope.spawn(move || {
                let own = ["canary", "b", "a"].map(|name| secret(name, salt));
                store.add_secrets(&own).unwrap();
            });
        }
    });
    let kept = store.list_secrets(None, 9).unwrap();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|s| s.sealed == kept[0].sealed), "{kept:?}");
}

/// Names are plain words, and values have a bound.
pub fn a_secret_that_cannot_be_kept_is_refused(store: &dyn Store) {
    for name in ["", "A", "a-b", "a b", "\0", &"x".repeat(65)] {
        invalid(store.add_secrets(&[secret("a", 1), secret(name, 1)]));
    }
    for length in [0, SEALED_BYTES_MAX + 1] {
        let mut wrong = secret("a", 1);
        wrong.sealed = vec![0; length];
        invalid(store.add_secrets(std::slice::from_ref(&wrong)));
        invalid(store.replace_secrets(&[wrong], &platform_audit()));
    }
    assert_eq!(store.list_secrets(None, 9).unwrap(), []);
    let mut longest = secret(&"x".repeat(64), 1);
    longest.sealed = vec![7; SEALED_BYTES_MAX];
    store.add_secrets(std::slice::from_ref(&longest)).unwrap();
    assert_eq!(store.list_secrets(None, 9).unwrap(), [longest]);
}
