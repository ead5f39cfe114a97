//! The second factor: from the picture to the app, to its end.

use tollgate_control::{AccountError, ConfirmedTotp, Current, ENROLMENT_SECONDS, TotpEnrolment};
use tollgate_domain::Timestamp;

use crate::desk::{ANN, Desk, NOW, PASSWORD, app_code, visitor};

/// Enough for the code to be another.
const NEXT: Timestamp = NOW.plus_seconds(60);

fn current(desk: &Desk) -> Current {
    let token = desk.sign_in(NOW);
    desk.current(&token, NOW)
}

fn enrol(desk: &Desk, current: &Current) -> TotpEnrolment {
    let here = visitor("192.0.2.1");
    desk.accounts
        .enrol_totp(current, PASSWORD, &here, NOW)
        .unwrap()
}

fn confirm(
    desk: &Desk,
    current: &Current,
    enrolment: &str,
    code: &str,
    now: Timestamp,
) -> Result<ConfirmedTotp, AccountError> {
    let here = visitor("192.0.2.1");
    desk.accounts
        .confirm_totp(current, enrolment, code, &here, now)
}

/// Returns the app's secret, and what Ann got.
fn with_totp(desk: &Desk) -> (String, ConfirmedTotp) {
    let current = current(desk);
    let made = enrol(desk, &current);
    let code = app_code(&made.secret, NOW);
    let done = confirm(desk, &current, &made.enrolment, &code, NOW);
    (made.secret, done.unwrap())
}

fn sign_in(desk: &Desk, code: Option<&str>, now: Timestamp) -> Result<bool, AccountError> {
    let done = desk.try_sign_in("ann@example.com", PASSWORD, code, now);
    done.map(|done| done.session.has_second_factor)
}

#[test]
fn one_that_is_not_confirmed_is_not_asked_for() {
    let desk = Desk::new();
    let current = current(&desk);
    let made = enrol(&desk, &current);
    assert!(made.uri.contains(&made.secret) && made.uri.contains("ann%40example.com"));
    assert!(!format!("{made:?}").contains(&made.secret));
    assert_eq!(desk.user(ANN).totp, None);
    assert!(!sign_in(&desk, None, NOW).unwrap());
}

#[test]
fn once_confirmed_it_is_asked_for_after_the_password_and_each_code_works_once() {
    let desk = Desk::new();
    let before = desk.sign_in(NOW);
    let (secret, done) = with_totp(&desk);
    assert!(!desk.is_in(&before, NOW), "sessions from before are over");
    assert!(desk.is_in(done.signed_in.token.expose(), NOW));
    assert!(done.signed_in.session.has_second_factor);

    let missing = sign_in(&desk, None, NEXT);
    assert!(matches!(missing, Err(AccountError::SecondFactorRequired)));
    let wrong = desk.try_sign_in("ann@example.com", "wrong", None, NEXT);
    assert!(
        matches!(wrong, Err(AccountError::Refused)),
        "the password comes first"
    );
    let confirmed_with = app_code(&secret, NOW);
    for bad in ["", " ", &confirmed_with, "12345", "abcdef", "000000000000"] {
        let refused = sign_in(&desk, Some(bad), NOW).unwrap_err();
        let is_right = matches!(
            refused,
            AccountError::Refused | AccountError::SecondFactorRequired
        );
        assert!(is_right, "{bad}: {refused}");
    }
    let code = app_code(&secret, NEXT);
    assert!(sign_in(&desk, Some(&code), NEXT).unwrap());
    assert!(matches!(
        sign_in(&desk, Some(&code), NEXT),
        Err(AccountError::Refused)
    ));
}

#[test]
fn the_secret_is_sealed_for_its_person() {
    let desk = Desk::new();
    let (secret, _) = with_totp(&desk);
    let sealed = desk.user(ANN).totp.unwrap();
    let bytes = data_encoding::BASE32_NOPAD
        .decode(secret.as_bytes())
        .unwrap();
    assert!(!sealed.windows(bytes.len()).any(|part| part == bytes));
    // Moved to somebody else it does not open, and nobody gets in by it.
    desk.change(crate::desk::BOB, |user| user.totp = Some(sealed));
    let code = app_code(&secret, NEXT);
    let tried = desk.try_sign_in("bob@example.com", PASSWORD, Some(&code), NEXT);
    assert!(matches!(tried, Err(AccountError::Vault(_))));
}

#[test]
fn each_recovery_code_works_once_and_new_ones_make_the_old_void() {
    let desk = Desk::new();
    let (secret, done) = with_totp(&desk);
    let codes = done.recovery_codes;
    assert_eq!(codes.len(), 10);
    assert!(sign_in(&desk, Some(&codes[0].to_lowercase()), NEXT).unwrap());
    assert!(matches!(
        sign_in(&desk, Some(&codes[0]), NEXT),
        Err(AccountError::Refused)
    ));
    let current = desk.current(done.signed_in.token.expose(), NEXT);
    let here = visitor("192.0.2.1");
    let new = desk
        .accounts
        .renew_recovery_codes(&current, PASSWORD, &codes[1], &here, NEXT)
        .unwrap();
    for old in &codes[1..3] {
        let refused = sign_in(&desk, Some(old), NEXT);
        assert!(matches!(refused, Err(AccountError::Refused)));
    }
    assert!(sign_in(&desk, Some(&new[0]), NEXT).unwrap());
    assert!(sign_in(&desk, Some(&app_code(&secret, NEXT)), NEXT).unwrap());
}

#[test]
fn an_enrolment_is_ones_own_and_lasts_ten_minutes() {
    let desk = Desk::new();
    let anns = current(&desk);
    let bobs = desk.try_sign_in("bob@example.com", PASSWORD, None, NOW);
    let bobs = desk.current(bobs.unwrap().token.expose(), NOW);
    let made = enrol(&desk, &anns);
    let late = NOW.plus_seconds(ENROLMENT_SECONDS);
    let [code, later] = [NOW, late].map(|at| app_code(&made.secret, at));
    for (who, enrolment, code, at) in [
        (&bobs, &*made.enrolment, &code, NOW),
        (&anns, "", &code, NOW),
        (&anns, "AAAA", &code, NOW),
        (&anns, &made.enrolment[1..], &code, NOW),
        (&anns, &*"A".repeat(10_000), &code, NOW),
        (&anns, &made.enrolment, &later, late),
    ] {
        let refused = confirm(&desk, who, enrolment, code, at);
        assert!(
            matches!(refused, Err(AccountError::InvalidToken)),
            "{refused:?}"
        );
    }
    let wrong = app_code(&made.secret, NOW.plus_seconds(3_600));
    let refused = confirm(&desk, &anns, &made.enrolment, &wrong, NOW);
    assert!(matches!(refused, Err(AccountError::Refused)));
    confirm(&desk, &anns, &made.enrolment, &code, NOW).unwrap();
    let token = desk.try_sign_in("ann@example.com", PASSWORD, Some(&later), late);
    let again = desk.current(token.unwrap().token.expose(), late);
    let refused = confirm(&desk, &again, &made.enrolment, &code, NOW);
    assert!(matches!(refused, Err(AccountError::Conflict(_))));
}

#[test]
fn turning_it_on_or_off_takes_the_password_and_off_a_code() {
    let desk = Desk::new();
    let here = visitor("192.0.2.1");
    let one = current(&desk);
    let wrong = desk.accounts.enrol_totp(&one, "wrong", &here, NOW);
    assert!(matches!(wrong, Err(AccountError::Refused)));
    let none = desk
        .accounts
        .disable_totp(&one, PASSWORD, "000000", &here, NOW);
    assert!(matches!(none, Err(AccountError::Conflict(_))));

    let (secret, done) = with_totp(&desk);
    let one = desk.current(done.signed_in.token.expose(), NEXT);
    let off = |password, code: &str| {
        desk.accounts
            .disable_totp(&one, password, code, &here, NEXT)
    };
    let code = app_code(&secret, NEXT);
    assert!(matches!(off("wrong", &code), Err(AccountError::Refused)));
    assert!(matches!(
        off(PASSWORD, ""),
        Err(AccountError::SecondFactorRequired)
    ));
    assert!(matches!(off(PASSWORD, "000"), Err(AccountError::Refused)));
    let new = off(PASSWORD, &code).unwrap();
    assert!(!new.session.has_second_factor);
    assert!(!desk.is_in(done.signed_in.token.expose(), NEXT));
    let user = desk.user(ANN);
    assert!(user.totp.is_none() && user.recovery_macs.is_empty());
    assert!(!sign_in(&desk, None, NEXT).unwrap());
}

#[test]
fn codes_cannot_be_guessed_one_after_the_other() {
    let desk = Desk::new();
    let (secret, _) = with_totp(&desk);
    let wrong = app_code(&secret, NOW.plus_seconds(3_600));
    for _ in 0..6 {
        let refused = sign_in(&desk, Some(&wrong), NEXT);
        assert!(matches!(refused, Err(AccountError::Refused)));
    }
    let code = app_code(&secret, NEXT);
    assert!(matches!(
        sign_in(&desk, Some(&code), NEXT),
        Err(AccountError::Wait(_))
    ));
}
