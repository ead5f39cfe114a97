//! Who gets in, who does not, and what the refusal tells.

use std::time::{Duration, Instant};

use tollgate_control::{AccountError, SignIn};
use tollgate_domain::{Actor, AuditOutcome, ErrorKind, Role, UserId, UserKind};
use tollgate_store::{AuditStore, UserStore};

use crate::desk::{ACME, ANN, BOB, Desk, NOW, PASSWORD, before, user, visitor};

#[test]
fn the_right_password_signs_in_and_is_written_down() {
    let desk = Desk::new();
    let done = desk.try_sign_in(" Ann@Example.com ", PASSWORD, None, NOW);
    let done = done.unwrap();
    assert_eq!(done.session.org_id, Some(ACME));
    assert!(done.session.is_current && !done.session.has_second_factor);
    let entry = desk.last_entry();
    assert_eq!(
        (entry.actor, &*entry.action),
        (Actor::User(ANN), "session.open")
    );
    assert_eq!(entry.client_ip, visitor("192.0.2.1").client_ip);
    assert_eq!(entry.request_id, "req_1");
    let current = desk.current(done.token.expose(), NOW);
    assert_eq!(current.user().id, ANN);
    assert_eq!(current.principal().unwrap().actor, Actor::User(ANN));
}

#[test]
fn whatever_is_wrong_the_answer_is_the_same() {
    let desk = Desk::new();
    let blocked = UserId::from_bytes([21; 16]);
    desk.add_user(&user(blocked, "blocked@example.com"), Role::Member);
    desk.change(blocked, |user| user.blocked = true);
    let without = UserId::from_bytes([22; 16]);
    desk.add_user(&user(without, "sso@example.com"), Role::Member);
    desk.change(without, |user| user.password_hash = None);
    let program = tollgate_domain::User {
        kind: UserKind::Service { org_id: ACME },
        ..user(UserId::from_bytes([23; 16]), "robot@example.com")
    };
    desk.add_user(&program, Role::Service);
    desk.store.delete_user(BOB, NOW, &before()).unwrap();
    for (n, (email, password)) in [
        ("ann@example.com", "not the password at all"),
        ("ann@example.com", ""),
        ("nobody@example.com", PASSWORD),
        ("blocked@example.com", PASSWORD),
        ("sso@example.com", PASSWORD),
        ("robot@example.com", PASSWORD),
        ("bob@example.com", PASSWORD),
        ("", PASSWORD),
        ("not an address", PASSWORD),
        (&*"a".repeat(100_000), &*"b".repeat(100_000)),
    ]
    .into_iter()
    .enumerate()
    {
        let from = visitor(&format!("198.51.100.{n}"));
        let input = SignIn {
            email,
            password,
            code: None,
            previous: None,
        };
        let entries = desk.store.find_audit_head(None).unwrap().unwrap().seq;
        let error = desk.accounts.sign_in(&input, &from, NOW).unwrap_err();
        assert!(
            matches!(error, AccountError::Refused),
            "{email:.40}: {error}"
        );
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        let entry = desk.last_entry();
        assert_eq!(entry.seq, entries + 1, "one entry for each");
        assert_eq!(entry.outcome, AuditOutcome::Denied);
        assert!(!format!("{entry:?}").contains('@'), "{entry:?}");
    }
    assert_eq!(desk.user(ANN).failed_sign_ins, 2);
}

/// The fastest refusals of a known and of an unknown address, asked for in turns.
fn fastest_refusals() -> (Duration, Duration) {
    let desk = Desk::new();
    let refusal = |email: &str, n: u8| {
        let from = visitor(&format!("198.51.100.{n}"));
        let input = SignIn {
            email,
            password: "not the password at all",
            code: None,
            previous: None,
        };
        let start = Instant::now();
        desk.accounts.sign_in(&input, &from, NOW).unwrap_err();
        start.elapsed()
    };
    let times = (0..6).map(|n| (refusal("ann@example.com", n), refusal("zoe@example.com", n)));
    times
        .reduce(|best, next| (best.0.min(next.0), best.1.min(next.1)))
        .unwrap()
}

#[test]
fn the_time_does_not_tell_who_is_known() {
    // On a machine that is busy with something else one round proves nothing; a sign-in that hashes
    // for one of them alone would differ many times over in every round.
    let are_alike = (0..8).any(|_| {
        let (known, unknown) = fastest_refusals();
        assert!(
            known > Duration::from_millis(2),
            "a hash was computed: {known:?}"
        );
        unknown * 2 > known && known * 2 > unknown
    });
    assert!(are_alike);
}

#[test]
fn failures_make_the_next_wait_and_nobody_is_locked_out() {
    let desk = Desk::new();
    for email in ["ann@example.com", "nobody@example.com"] {
        let fail = |now| desk.try_sign_in(email, "wrong", None, now).unwrap_err();
        for _ in 0..6 {
            assert!(matches!(fail(NOW), AccountError::Refused));
        }
        // Known or not, and with the right password, too: the wait comes before everything.
        let error = desk.try_sign_in(email, PASSWORD, None, NOW).unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)), "{email}");
        assert_eq!(error.kind(), ErrorKind::RateLimited);
    }
    assert_eq!(desk.user(ANN).failed_sign_ins, 6);
    desk.sign_in(NOW.plus_seconds(1));
    assert_eq!(desk.user(ANN).failed_sign_ins, 0);
    let error = desk.try_sign_in("ann@example.com", "wrong", None, NOW.plus_seconds(1));
    assert!(
        matches!(error, Err(AccountError::Refused)),
        "it begins anew"
    );
}

#[test]
fn who_is_attacked_from_everywhere_gets_in_from_where_they_are() {
    let desk = Desk::new();
    let token = desk.sign_in(NOW);
    let attempt = |address: &str, password, now| {
        let input = SignIn {
            email: "ann@example.com",
            password,
            code: None,
            previous: None,
        };
        desk.accounts.sign_in(&input, &visitor(address), now)
    };
    for n in 0..30 {
        let at = NOW.plus_seconds(n * 40);
        let tried = attempt(&format!("198.51.100.{n}"), "wrong", at);
        assert!(matches!(tried, Err(AccountError::Refused)), "{n}");
    }
    let at = NOW.plus_seconds(29 * 40);
    let stranger = attempt("203.0.113.1", PASSWORD, at).unwrap_err();
    assert_eq!(stranger.retry_after(), Some(Duration::from_secs(32)));
    attempt("192.0.2.1", PASSWORD, at).unwrap();
    assert!(desk.is_in(&token, at));
}

#[test]
fn a_password_that_is_kept_with_old_settings_is_hashed_anew() {
    let desk = Desk::new();
    desk.change(ANN, |user| user.password_hash = Some(OLD_HASH.to_owned()));
    let sign_in = || desk.try_sign_in("ann@example.com", "password", None, NOW);
    let token = sign_in().unwrap().token;
    let kept = desk.user(ANN).password_hash.unwrap();
    assert!(
        kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{kept}"
    );
    assert!(desk.is_in(token.expose(), NOW));
    sign_in().unwrap();
    assert_eq!(desk.user(ANN).password_hash.unwrap(), kept);
}

/// A test vector of argon2id with 64 MiB, of the password `password`.
/// Source: <https://github.com/P-H-C/phc-winner-argon2/blob/master/src/test.c>
const OLD_HASH: &str =
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
