//! T-SESSION: what a session is worth, and when it is worth nothing.

use tollgate_auth::{Granted, KeysManage, SecretToken, TokenPurpose};
use tollgate_control::{AccountError, SESSIONS_MAX, SignIn, TOUCH_AFTER_SECONDS};
use tollgate_domain::{Role, SessionId, Timestamp};
use tollgate_store::{MembershipStore, SessionStore, UserStore};

use crate::desk::{ACME, ANN, Desk, NOW, OTHER_PASSWORD, PASSWORD, before, visitor};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

#[test]
fn t_session_a_token_that_was_planted_is_never_signed_in() {
    let desk = Desk::new();
    let planted = SecretToken::generate(TokenPurpose::Session).unwrap();
    let input = SignIn {
        email: "ann@example.com",
        password: PASSWORD,
        code: None,
        previous: Some(planted.expose()),
    };
    let done = desk.accounts.sign_in(&input, &visitor("192.0.2.1"), NOW);
    assert_ne!(done.unwrap().token.expose(), planted.expose());
    assert!(!desk.is_in(planted.expose(), NOW));
}

#[test]
fn t_session_signing_in_ends_the_session_that_the_browser_had() {
    let desk = Desk::new();
    let old = desk.sign_in(NOW);
    let elsewhere = desk.sign_in(NOW);
    let input = SignIn {
        email: "ann@example.com",
        password: PASSWORD,
        code: None,
        previous: Some(&old),
    };
    let new = desk.accounts.sign_in(&input, &visitor("192.0.2.1"), NOW);
    assert!(!desk.is_in(&old, NOW));
    assert!(desk.is_in(new.unwrap().token.expose(), NOW) && desk.is_in(&elsewhere, NOW));
    // A sign-in that fails ends nothing.
    let input = SignIn {
        password: "wrong",
        previous: Some(&elsewhere),
        ..input
    };
    let failed = desk.accounts.sign_in(&input, &visitor("192.0.2.1"), NOW);
    assert!(failed.is_err() && desk.is_in(&elsewhere, NOW));
}

#[test]
fn t_session_one_that_is_not_used_ends_after_twelve_hours() {
    let desk = Desk::new();
    let token = desk.sign_in(NOW);
    let end = NOW.plus_seconds(12 * HOUR);
    assert!(!desk.is_in(&token, end));
    assert!(desk.is_in(&token, Timestamp::from_micros(end.micros() - 1)));
    // That was a use, and counts anew.
    assert!(desk.is_in(&token, end));
    assert!(!desk.is_in(&token, end.plus_seconds(12 * HOUR)));
}

#[test]
fn t_session_one_that_is_used_ends_after_seven_days() {
    let desk = Desk::new();
    let token = desk.sign_in(NOW);
    for hours in 0..7 * 24 {
        assert!(
            desk.is_in(&token, NOW.plus_seconds(hours * HOUR)),
            "{hours}"
        );
    }
    assert!(!desk.is_in(&token, NOW.plus_seconds(7 * DAY)));
}

#[test]
fn t_session_a_change_does_not_make_one_longer() {
    let desk = Desk::new();
    let token = desk.sign_in(NOW);
    let mut now = NOW;
    while now < NOW.plus_seconds(6 * DAY) {
        now = now.plus_seconds(11 * HOUR);
        desk.current(&token, now);
    }
    let current = desk.current(&token, now);
    let new = desk.accounts.change_password(
        &current,
        PASSWORD,
        OTHER_PASSWORD,
        &visitor("192.0.2.1"),
        now,
    );
    let new = new.unwrap();
    assert_eq!(new.session.expires_at, NOW.plus_seconds(7 * DAY));
    assert!(!desk.is_in(new.token.expose(), NOW.plus_seconds(7 * DAY)));
}

#[test]
fn t_session_a_use_is_written_down_once_a_minute() {
    let desk = Desk::new();
    let token = desk.sign_in(NOW);
    let seen = |after| {
        let now = NOW.plus_seconds(after);
        desk.current(&token, now);
        let all = desk.store.list_sessions(ANN, None, 9).unwrap();
        all[0].last_seen_at
    };
    assert_eq!(seen(TOUCH_AFTER_SECONDS - 1), NOW);
    let touched = NOW.plus_seconds(TOUCH_AFTER_SECONDS);
    assert_eq!(seen(TOUCH_AFTER_SECONDS), touched);
    assert_eq!(seen(TOUCH_AFTER_SECONDS + 1), touched);
}

#[test]
fn t_session_changing_the_password_ends_all_but_a_new_one() {
    let desk = Desk::new();
    let (token, elsewhere) = (desk.sign_in(NOW), desk.sign_in(NOW));
    let current = desk.current(&token, NOW);
    let change = |old, new| {
        let here = visitor("192.0.2.1");
        desk.accounts
            .change_password(&current, old, new, &here, NOW)
    };
    assert!(matches!(
        change("wrong", OTHER_PASSWORD),
        Err(AccountError::Refused)
    ));
    assert!(matches!(
        change(PASSWORD, "ann@example.com"),
        Err(AccountError::Password(_))
    ));
    assert!(desk.is_in(&token, NOW) && desk.is_in(&elsewhere, NOW));
    let new = change(PASSWORD, OTHER_PASSWORD).unwrap();
    assert!(!desk.is_in(&token, NOW) && !desk.is_in(&elsewhere, NOW));
    assert!(desk.is_in(new.token.expose(), NOW));
    let old = desk.try_sign_in("ann@example.com", PASSWORD, None, NOW);
    assert!(matches!(old, Err(AccountError::Refused)));
    let new = desk.try_sign_in("ann@example.com", OTHER_PASSWORD, None, NOW);
    assert!(new.is_ok());
}

#[test]
fn t_session_asking_for_the_old_password_cannot_be_used_to_guess_it() {
    let desk = Desk::new();
    let token = desk.sign_in(NOW);
    let current = desk.current(&token, NOW);
    let guess = || {
        let here = visitor("192.0.2.1");
        desk.accounts
            .change_password(&current, "wrong", OTHER_PASSWORD, &here, NOW)
    };
    for _ in 0..6 {
        assert!(matches!(guess(), Err(AccountError::Refused)));
    }
    assert!(matches!(guess(), Err(AccountError::Wait(_))));
}

#[test]
fn t_session_somebody_sees_and_ends_their_own_and_nobody_elses() {
    let desk = Desk::new();
    let (token, elsewhere) = (desk.sign_in(NOW), desk.sign_in(NOW));
    let bobs = desk.try_sign_in("bob@example.com", PASSWORD, None, NOW);
    let bobs = bobs.unwrap();
    let (current, here) = (desk.current(&token, NOW), visitor("192.0.2.1"));
    let seen = desk.accounts.list_sessions(&current, NOW).unwrap();
    assert_eq!(
        seen.iter().map(|one| one.is_current).collect::<Vec<_>>(),
        [true, false]
    );
    let end = |id: SessionId| desk.accounts.revoke_session(&current, id, &here, NOW);
    assert!(matches!(
        end(bobs.session.id),
        Err(AccountError::NotFound(_))
    ));
    assert!(desk.is_in(bobs.token.expose(), NOW));
    end(seen[1].id).unwrap();
    assert!(matches!(end(seen[1].id), Err(AccountError::NotFound(_))));
    assert!(!desk.is_in(&elsewhere, NOW) && desk.is_in(&token, NOW));
    let later = NOW.plus_seconds(12 * HOUR);
    assert_eq!(desk.accounts.list_sessions(&current, later).unwrap(), []);
}

#[test]
fn t_session_signing_out_ends_one_or_all() {
    let desk = Desk::new();
    let here = visitor("192.0.2.1");
    let tokens = [(); 4].map(|()| desk.sign_in(NOW));
    let is_in = || tokens.each_ref().map(|token| desk.is_in(token, NOW));
    for _ in 0..2 {
        desk.accounts.sign_out(&tokens[0], &here, NOW).unwrap();
        assert_eq!(is_in(), [false, true, true, true]);
    }
    desk.accounts.sign_out("", &here, NOW).unwrap();
    let current = desk.current(&tokens[1], NOW);
    let others = desk.accounts.revoke_sessions(&current, true, &here, NOW);
    assert_eq!(others.unwrap(), 2);
    assert_eq!(is_in(), [false, true, false, false]);
    let all = desk.accounts.revoke_sessions(&current, false, &here, NOW);
    assert_eq!(all.unwrap(), 1);
    assert_eq!(is_in(), [false; 4]);
}

#[test]
fn t_session_what_a_role_allows_is_looked_up_at_each_use() {
    let desk = Desk::new();
    let token = desk.sign_in(NOW);
    let may = || {
        let current = desk.current(&token, NOW);
        let principal = current.principal().unwrap().clone();
        Granted::<KeysManage>::check(principal).is_ok()
    };
    assert!(may());
    desk.set_role(ANN, Role::Viewer);
    assert!(!may());
    desk.set_role(ANN, Role::OrgAdmin);
    assert!(may());
    let audit = before().in_chain(ACME);
    desk.store.remove_membership(ACME, ANN, &audit).unwrap();
    assert!(!may());
}

#[test]
fn t_session_who_is_blocked_or_gone_is_out_at_once() {
    let desk = Desk::new();
    let token = desk.sign_in(NOW);
    desk.change(ANN, |user| user.blocked = true);
    assert!(!desk.is_in(&token, NOW));
    desk.change(ANN, |user| user.blocked = false);
    assert!(desk.is_in(&token, NOW));
    desk.store.delete_user(ANN, NOW, &before()).unwrap();
    assert!(!desk.is_in(&token, NOW));
}

#[test]
fn t_session_nothing_but_its_token_opens_one() {
    let desk = Desk::new();
    let token = desk.sign_in(NOW);
    let mut flipped = token.clone().into_bytes();
    flipped[20] ^= 1;
    let flipped = String::from_utf8(flipped).unwrap();
    let reset = SecretToken::generate(TokenPurpose::PasswordReset).unwrap();
    for wrong in [
        "",
        " ",
        "null",
        &flipped,
        reset.expose(),
        &token[1..],
        &token.to_uppercase(),
    ] {
        assert!(!desk.is_in(wrong, NOW), "{wrong}");
    }
    assert!(!desk.is_in(&format!(" {token}"), NOW) && desk.is_in(&token, NOW));
}

#[test]
fn t_session_one_too_many_ends_the_oldest() {
    let desk = Desk::new();
    let first = desk.sign_in(NOW);
    let kept = desk.current(&first, NOW).session().clone();
    for n in 1..SESSIONS_MAX {
        let [high, low] = n.to_be_bytes();
        let mut other = kept.clone();
        other.id = SessionId::from_bytes([255, 255, high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        other.token_mac = [low; 32];
        desk.store.add_session(&other, &before()).unwrap();
    }
    let last = desk.sign_in(NOW);
    assert!(!desk.is_in(&first, NOW) && desk.is_in(&last, NOW));
    let open = desk.store.list_sessions(ANN, None, SESSIONS_MAX + 1);
    assert_eq!(open.unwrap().len(), usize::from(SESSIONS_MAX));
}

#[test]
fn sessions_that_ended_are_forgotten() {
    let desk = Desk::new();
    desk.sign_in(NOW);
    assert_eq!(desk.accounts.forget_ended(NOW).unwrap(), 0);
    let end = NOW.plus_seconds(7 * DAY + 1);
    assert_eq!(desk.accounts.forget_ended(end).unwrap(), 1);
}
