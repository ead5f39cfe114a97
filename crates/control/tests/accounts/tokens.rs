//! Access tokens and refresh tokens.

use tollgate_control::{AccountError, IssuedTokens};
use tollgate_domain::{Role, Timestamp};
use tollgate_store::SigningKeyStore;

use crate::desk::{ANN, BOB, Desk, NOW, visitor};

const MINUTE: i64 = 60;

fn issue(desk: &Desk, now: Timestamp) -> IssuedTokens {
    let session = desk.sign_in(now);
    let current = desk.current(&session, now);
    let here = visitor("192.0.2.1");
    desk.accounts.issue_tokens(&current, &here, now).unwrap()
}

fn refresh(desk: &Desk, token: &str, now: Timestamp) -> Result<IssuedTokens, AccountError> {
    desk.accounts.refresh(token, &visitor("192.0.2.1"), now)
}

fn is_valid(desk: &Desk, access: &str, now: Timestamp) -> bool {
    match desk.accounts.authenticate_access(access, now) {
        Ok(_) => true,
        Err(AccountError::NotSignedIn) => false,
        Err(error) => panic!("{error}"),
    }
}

fn is_refused(done: &Result<IssuedTokens, AccountError>) -> bool {
    matches!(done, Err(AccountError::NotSignedIn))
}

#[test]
fn t_session_an_access_token_has_the_rights_of_the_moment_and_ends_with_its_session() {
    let desk = Desk::new();
    let issued = issue(&desk, NOW);
    let later = NOW.plus_seconds(MINUTE);
    let current = desk
        .accounts
        .authenticate_access(&issued.access_token, later)
        .unwrap();
    assert_eq!(current.user().id, ANN);
    let rights = |desk: &Desk| {
        let found = desk
            .accounts
            .authenticate_access(&issued.access_token, later);
        found.unwrap().principal().unwrap().rights.org()
    };
    assert_eq!(rights(&desk), Role::OrgOwner.permissions());
    desk.set_role(BOB, Role::OrgOwner);
    desk.set_role(ANN, Role::Viewer);
    assert_eq!(rights(&desk), Role::Viewer.permissions());
    assert!(!is_valid(
        &desk,
        &issued.access_token,
        NOW.plus_seconds(606)
    ));
    assert!(!is_valid(&desk, "a.b.c", later));

    // The session is its own, and is in the list.
    let other = desk.sign_in(later);
    let browser = desk.current(&other, later);
    let all = desk.accounts.list_sessions(&browser, later).unwrap();
    assert_eq!(all.len(), 3);
    let here = visitor("192.0.2.1");
    let own = current.session().id;
    desk.accounts
        .revoke_session(&browser, own, &here, later)
        .unwrap();
    assert!(!is_valid(&desk, &issued.access_token, later));
    assert!(is_refused(&refresh(
        &desk,
        issued.refresh_token.expose(),
        later
    )));
    assert!(desk.is_in(&other, later));
}

#[test]
fn t_session_a_refresh_token_is_exchanged_once_and_a_stolen_one_ends_all() {
    let desk = Desk::new();
    let issued = issue(&desk, NOW);
    let first = issued.refresh_token.expose();
    let at = |seconds| NOW.plus_seconds(seconds);
    let second = refresh(&desk, first, at(300)).unwrap();
    assert_ne!(second.refresh_token.expose(), first);
    assert!(is_valid(&desk, &second.access_token, at(301)));
    // The answer was lost: the same successor comes again, and no second one.
    let again = refresh(&desk, first, at(309)).unwrap();
    assert_eq!(again.refresh_token.expose(), second.refresh_token.expose());
    let third = refresh(&desk, second.refresh_token.expose(), at(600)).unwrap();
    assert!(is_valid(&desk, &third.access_token, at(601)));

    // Somebody comes with the first one much later: whoever has which, all of them end.
    assert!(is_refused(&refresh(&desk, first, at(700))));
    let entry = desk.last_entry();
    assert_eq!(entry.details, "refresh_token_reused");
    assert!(is_refused(&refresh(
        &desk,
        third.refresh_token.expose(),
        at(700)
    )));
    assert!(!is_valid(&desk, &third.access_token, at(700)));
    for wrong in ["", " ", "tg_ref_x", &desk.sign_in(at(700))] {
        assert!(is_refused(&refresh(&desk, wrong, at(700))), "{wrong}");
    }
}

#[test]
fn t_session_refreshing_keeps_a_session_in_use_and_no_longer_than_it_lasts() {
    let desk = Desk::new();
    let mut issued = issue(&desk, NOW);
    let (mut now, hours) = (NOW, 11 * 3_600);
    while now.plus_seconds(hours) < NOW.plus_seconds(7 * 86_400) {
        now = now.plus_seconds(hours);
        issued = refresh(&desk, issued.refresh_token.expose(), now).unwrap();
        assert_eq!(issued.ends_at, NOW.plus_seconds(7 * 86_400));
    }
    let end = issued.ends_at;
    assert!(is_refused(&refresh(
        &desk,
        issued.refresh_token.expose(),
        end
    )));
    let idle = issue(&desk, NOW);
    let later = NOW.plus_seconds(12 * 3_600);
    assert!(is_refused(&refresh(
        &desk,
        idle.refresh_token.expose(),
        later
    )));
}

#[test]
fn a_blocked_person_gets_no_tokens() {
    let desk = Desk::new();
    let issued = issue(&desk, NOW);
    desk.change(ANN, |user| user.blocked = true);
    assert!(!is_valid(&desk, &issued.access_token, NOW));
    assert!(is_refused(&refresh(
        &desk,
        issued.refresh_token.expose(),
        NOW
    )));
}

#[test]
fn keys_turn_every_month_and_replicas_agree_on_them() {
    let desk = Desk::new();
    let other = desk.replica();
    let kids = |accounts: &tollgate_control::Accounts, now| {
        let jwks = accounts.jwks(now).unwrap();
        let keys = jwks["keys"].as_array().unwrap().clone();
        let kid = |key: serde_json::Value| key["kid"].as_str().unwrap().to_owned();
        keys.into_iter().map(kid).collect::<Vec<_>>()
    };
    let first = kids(&desk.accounts, NOW);
    assert_eq!(first.len(), 2);
    assert_eq!(kids(&other, NOW), first);
    let turn = NOW.plus_seconds(30 * 86_400);
    let before = turn.plus_seconds(-MINUTE);
    let issued = issue(&desk, before);
    assert!(
        other
            .authenticate_access(&issued.access_token, before)
            .is_ok()
    );

    // The key that was known as the next one signs, and what the old one signed is still valid.
    let turned = kids(&desk.accounts, turn);
    assert_eq!((&turned[0], &turned[2]), (&first[1], &first[0]));
    assert_eq!(kids(&other, turn), turned);
    assert!(
        other
            .authenticate_access(&issued.access_token, turn)
            .is_ok()
    );
    let issued = issue(&desk, turn);
    assert!(
        other
            .authenticate_access(&issued.access_token, turn)
            .is_ok()
    );
    let later = turn.plus_seconds(20 * MINUTE);
    assert_eq!(kids(&other, later), turned[..2]);
    assert_eq!(kids(&desk.accounts, later), turned[..2]);
    assert_eq!(desk.store.list_signing_keys().unwrap().len(), 2);
}

#[test]
fn a_private_key_is_kept_sealed() {
    let desk = Desk::new();
    let issued = issue(&desk, NOW);
    for kept in desk.store.list_signing_keys().unwrap() {
        // What every such key begins with: the frame of PKCS#8 around Ed25519.
        let frame = [0x06, 0x03, 0x2b, 0x65, 0x70];
        assert!(!kept.sealed.windows(5).any(|window| window == frame));
    }
    let shown = format!("{issued:?}");
    assert!(!shown.contains(&issued.access_token) && !shown.contains("tg_ref_"));
}
