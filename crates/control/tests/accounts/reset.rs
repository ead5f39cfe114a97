//! T-RESET: what a link of a letter is worth, and to whom.

use tollgate_auth::{SecretToken, TokenPurpose};
use tollgate_control::AccountError;
use tollgate_domain::{Actor, ErrorKind};
use tollgate_store::{AuditStore, UserStore};

use crate::desk::{ANN, BOB, Desk, NOW, OTHER_PASSWORD, PASSWORD, before, visitor};

const MINUTE: i64 = 60;

fn ask(desk: &Desk, email: &str) {
    let asked = desk
        .accounts
        .request_reset(email, &visitor("192.0.2.1"), NOW);
    asked.unwrap();
}

fn token(desk: &Desk, email: &str) -> String {
    ask(desk, email);
    let letters = desk.take_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].0, email);
    letters[0].1.expose().to_owned()
}

fn reset(desk: &Desk, token: &str, password: &str, minutes: i64) -> Result<(), AccountError> {
    let at = NOW.plus_seconds(minutes * MINUTE);
    let here = visitor("192.0.2.1");
    desk.accounts.reset_password(token, password, &here, at)
}

fn check_invalid(done: &Result<(), AccountError>, what: &str) {
    assert!(
        matches!(done, Err(AccountError::InvalidToken)),
        "{what}: {done:?}"
    );
}

#[test]
fn t_reset_a_link_sets_the_password_once_and_ends_all_sessions() {
    let desk = Desk::new();
    let session = desk.sign_in(NOW);
    let forgot = desk.try_sign_in("ann@example.com", "forgotten", None, NOW);
    assert!(forgot.is_err());
    let link = token(&desk, "ann@example.com");
    assert!(desk.is_in(&session, NOW), "asking ends nothing");
    assert_eq!(desk.user(ANN).failed_sign_ins, 1);
    reset(&desk, &link, OTHER_PASSWORD, 29).unwrap();
    assert!(!desk.is_in(&session, NOW));
    assert_eq!(desk.user(ANN).failed_sign_ins, 0);
    let entry = desk.last_entry();
    assert_eq!(entry.actor, Actor::User(ANN));
    let old = desk.try_sign_in("ann@example.com", PASSWORD, None, NOW);
    assert!(matches!(old, Err(AccountError::Refused)));
    let new = desk.try_sign_in("ann@example.com", OTHER_PASSWORD, None, NOW);
    assert!(new.is_ok());
    check_invalid(&reset(&desk, &link, PASSWORD, 29), "used");
}

#[test]
fn t_reset_nothing_that_is_not_the_link_works() {
    let desk = Desk::new();
    let link = token(&desk, "ann@example.com");
    let bobs = token(&desk, "bob@example.com");
    let never = SecretToken::generate(TokenPurpose::PasswordReset).unwrap();
    let session = desk.sign_in(NOW);
    let current = desk.current(&session, NOW);
    let here = visitor("192.0.2.1");
    desk.accounts
        .request_verification(&current, &here, NOW)
        .unwrap();
    let verification = desk.take_letters().remove(0).1;
    let setup = SecretToken::generate(TokenPurpose::Setup).unwrap();
    for (what, wrong) in [
        ("empty", ""),
        ("null", "null"),
        ("undefined", "undefined"),
        ("a space", " "),
        ("white space", "\t\r\n "),
        ("a nul", "\0"),
        ("padded", &format!(" {link}")),
        ("with a line", &format!("{link}\n")),
        ("its prefix", "tg_rst_"),
        ("cut", &link[..link.len() - 1]),
        ("upper case", &link.to_uppercase()),
        ("any", "%"),
        ("sql", "' OR 1=1 --"),
        ("never made", never.expose()),
        ("of a verification", verification.expose()),
        (
            "a verification as a reset",
            &verification.expose().replace("tg_ver_", "tg_rst_"),
        ),
        ("of a set-up", setup.expose()),
        ("of a session", &session),
    ] {
        check_invalid(&reset(&desk, wrong, OTHER_PASSWORD, 0), what);
    }
    check_invalid(&reset(&desk, &link, OTHER_PASSWORD, 30), "expired");
    let verified = desk.accounts.verify_email(&link, &here, NOW);
    check_invalid(&verified, "a reset as a verification");
    for id in [ANN, BOB] {
        assert_eq!(desk.user(id).version, 1, "nobody was changed");
    }
    // Another's sets another's password.
    reset(&desk, &bobs, OTHER_PASSWORD, 0).unwrap();
    assert_eq!(desk.user(ANN).version, 1);
    reset(&desk, &link, OTHER_PASSWORD, 0).unwrap();
}

#[test]
fn t_reset_a_password_that_may_not_be_chosen_does_not_use_the_link_up() {
    let desk = Desk::new();
    let link = token(&desk, "ann@example.com");
    for bad in ["", "short", "password12345", "ann@example.com!"] {
        let error = reset(&desk, &link, bad, 0).unwrap_err();
        assert!(matches!(error, AccountError::Password(_)), "{bad}");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
    reset(&desk, &link, OTHER_PASSWORD, 0).unwrap();
}

#[test]
fn t_reset_the_answer_is_the_same_for_whoever_is_asked_about() {
    let desk = Desk::new();
    desk.change(BOB, |user| user.blocked = true);
    for email in ["nobody@example.com", "bob@example.com", "", "no address"] {
        let entries = desk.store.find_audit_head(None).unwrap().unwrap().seq;
        ask(&desk, email);
        assert!(desk.take_letters().is_empty(), "{email}");
        let entry = desk.last_entry();
        assert_eq!(entry.seq, entries + 1, "as many as for who is known");
        assert!(!format!("{entry:?}").contains('@'));
    }
    let entries = desk.store.find_audit_head(None).unwrap().unwrap().seq;
    ask(&desk, " ANN@example.com");
    assert_eq!(desk.take_letters()[0].0, "ann@example.com");
    assert_eq!(desk.last_entry().seq, entries + 1);
}

#[test]
fn t_reset_the_links_of_other_letters_are_void_after_one_was_used() {
    let desk = Desk::new();
    let [first, second] = [(); 2].map(|()| token(&desk, "ann@example.com"));
    reset(&desk, &second, OTHER_PASSWORD, 0).unwrap();
    check_invalid(&reset(&desk, &first, PASSWORD, 0), "an older one");
    let third = token(&desk, "ann@example.com");
    let session = desk.try_sign_in("ann@example.com", OTHER_PASSWORD, None, NOW);
    let current = desk.current(session.unwrap().token.expose(), NOW);
    let here = visitor("192.0.2.1");
    desk.accounts
        .change_password(&current, OTHER_PASSWORD, PASSWORD, &here, NOW)
        .unwrap();
    check_invalid(&reset(&desk, &third, OTHER_PASSWORD, 0), "before a change");
}

#[test]
fn t_reset_of_many_that_use_a_link_at_once_one_does() {
    let desk = Desk::new();
    let link = token(&desk, "ann@example.com");
    let won: usize = std::thread::scope(|scope| {
        let threads = [0; 4].map(|_| scope.spawn(|| reset(&desk, &link, OTHER_PASSWORD, 0)));
        let won = threads.into_iter().map(|thread| thread.join().unwrap());
        won.map(|done| usize::from(done.is_ok())).sum()
    });
    assert_eq!(won, 1);
}

#[test]
fn t_reset_who_is_blocked_or_gone_cannot_use_a_link() {
    let desk = Desk::new();
    let [anns, bobs] = ["ann@example.com", "bob@example.com"].map(|email| token(&desk, email));
    desk.change(ANN, |user| user.blocked = true);
    desk.store.delete_user(BOB, NOW, &before()).unwrap();
    check_invalid(&reset(&desk, &anns, OTHER_PASSWORD, 0), "blocked");
    check_invalid(&reset(&desk, &bobs, OTHER_PASSWORD, 0), "gone");
}

#[test]
fn t_reset_letters_become_rare_and_the_answer_does_not_change() {
    let desk = Desk::new();
    for _ in 0..100 {
        ask(&desk, "ann@example.com");
    }
    assert_eq!(desk.take_letters().len(), 6);
    let elsewhere = visitor("198.51.100.1");
    desk.accounts
        .request_reset("ann@example.com", &elsewhere, NOW)
        .unwrap();
    assert!(desk.take_letters().is_empty(), "from wherever it is asked");
    ask(&desk, "bob@example.com");
    assert_eq!(desk.take_letters().len(), 1);
}

#[test]
fn an_address_is_proven_by_its_letter_once() {
    let desk = Desk::new();
    let session = desk.sign_in(NOW);
    let here = visitor("192.0.2.1");
    let request = |now| {
        let current = desk.current(&session, now);
        desk.accounts.request_verification(&current, &here, now)
    };
    request(NOW).unwrap();
    let (to, token) = desk.take_letters().remove(0);
    assert_eq!(to, "ann@example.com");
    let verify = |now| desk.accounts.verify_email(token.expose(), &here, now);
    check_invalid(&verify(NOW.plus_seconds(86_400)), "expired");
    assert_eq!(desk.user(ANN).email_verified_at, None);
    verify(NOW).unwrap();
    assert_eq!(desk.user(ANN).email_verified_at, Some(NOW));
    check_invalid(&verify(NOW), "used");
    assert!(desk.is_in(&session, NOW));
    request(NOW).unwrap();
    assert!(desk.take_letters().is_empty(), "nothing is left to prove");
}
