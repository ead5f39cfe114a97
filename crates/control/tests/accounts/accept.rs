//! Invitations: who comes in, and who does not.

use tollgate_auth::{SecretToken, TokenPurpose};
use tollgate_control::{AccountError, Guest, SignedIn};
use tollgate_domain::{Invitation, InvitationId, OrgId, Role, Timestamp};
use tollgate_store::{InvitationStore, MembershipStore, UserStore};

use crate::desk::{ANN, Desk, NOW, OTHER_PASSWORD, PASSWORD, before, visitor};

const CLUB: OrgId = OrgId::from_bytes([2; 16]);
const LATE: Timestamp = NOW.plus_seconds(86_400);
const ZOE: Guest<'_> = Guest::New {
    name: "Zoe",
    password: OTHER_PASSWORD,
};

/// Invites an address into the club, and returns the token.
fn invite(desk: &Desk, n: u8, email: &str) -> String {
    if n == 1 {
        desk.add_organization(CLUB, "club");
    }
    let token = SecretToken::generate(TokenPurpose::Invitation).unwrap();
    let invitation = Invitation {
        id: InvitationId::from_bytes([n; 16]),
        org_id: CLUB,
        email: email.to_owned(),
        role: Role::Viewer.into(),
        team_id: None,
        token_mac: desk.pepper.mac(&token),
        invited_by: None,
        created_at: NOW,
        expires_at: LATE,
        accepted_at: None,
        revoked_at: None,
    };
    let audit = before().in_chain(CLUB);
    desk.store.add_invitation(&invitation, &audit).unwrap();
    token.expose().to_owned()
}

fn accept(
    desk: &Desk,
    token: &str,
    guest: Guest<'_>,
    now: Timestamp,
) -> Result<SignedIn, AccountError> {
    desk.accounts
        .accept_invitation(token, guest, &visitor("192.0.2.1"), now)
}

fn role_in_club(desk: &Desk, email: &str) -> Option<tollgate_domain::RoleRef> {
    let user = desk.store.find_user_by_email(email).unwrap()?;
    let member = desk.store.find_membership(CLUB, user.id).unwrap();
    member.map(|member| member.role)
}

#[test]
fn somebody_new_gets_an_account_and_is_in() {
    let desk = Desk::new();
    let token = invite(&desk, 1, "zoe@example.com");
    let done = accept(&desk, &token, ZOE, NOW).unwrap();
    assert_eq!(done.session.org_id, Some(CLUB));
    assert_eq!(
        role_in_club(&desk, "zoe@example.com"),
        Some(Role::Viewer.into())
    );
    let user = desk.current(done.token.expose(), NOW).user().clone();
    assert_eq!((&*user.name, user.email_verified_at), ("Zoe", None));
    assert!(!user.is_platform_admin);
    assert!(
        desk.try_sign_in("zoe@example.com", OTHER_PASSWORD, None, NOW)
            .is_ok()
    );
    let again = accept(&desk, &token, ZOE, NOW);
    assert!(matches!(again, Err(AccountError::InvalidToken)));
}

#[test]
fn somebody_who_is_known_signs_in_first_and_keeps_their_password() {
    let desk = Desk::new();
    let token = invite(&desk, 1, "ann@example.com");
    let bobs = desk.try_sign_in("bob@example.com", PASSWORD, None, NOW);
    let bobs = desk.current(bobs.unwrap().token.expose(), NOW);
    for stranger in [ZOE, Guest::Known(&bobs)] {
        let refused = accept(&desk, &token, stranger, NOW);
        assert!(
            matches!(refused, Err(AccountError::NotSignedIn)),
            "{stranger:?}"
        );
    }
    assert_eq!(role_in_club(&desk, "ann@example.com"), None);
    let session = desk.sign_in(NOW);
    let current = desk.current(&session, NOW);
    let done = accept(&desk, &token, Guest::Known(&current), NOW).unwrap();
    assert_eq!(done.session.org_id, Some(CLUB));
    assert!(
        !desk.is_in(&session, NOW),
        "rights have grown: a new session"
    );
    assert_eq!(
        role_in_club(&desk, "ann@example.com"),
        Some(Role::Viewer.into())
    );
    assert_eq!(desk.user(ANN).version, 1);
}

#[test]
fn one_who_is_signed_in_cannot_take_an_invitation_of_an_address_that_nobody_has() {
    let desk = Desk::new();
    let token = invite(&desk, 1, "zoe@example.com");
    let session = desk.sign_in(NOW);
    let current = desk.current(&session, NOW);
    let refused = accept(&desk, &token, Guest::Known(&current), NOW);
    assert!(matches!(refused, Err(AccountError::NotSignedIn)));
    assert!(accept(&desk, &token, ZOE, NOW).is_ok());
}

#[test]
fn what_is_no_open_invitation_lets_nobody_in() {
    let desk = Desk::new();
    let token = invite(&desk, 1, "zoe@example.com");
    let revoked = invite(&desk, 2, "zoe@example.com");
    let id = InvitationId::from_bytes([2; 16]);
    let audit = before().in_chain(CLUB);
    desk.store.revoke_invitation(CLUB, id, NOW, &audit).unwrap();
    let never = SecretToken::generate(TokenPurpose::Invitation).unwrap();
    for wrong in ["", " ", "null", &revoked, never.expose(), &token[1..]] {
        let refused = accept(&desk, wrong, ZOE, NOW);
        assert!(
            matches!(refused, Err(AccountError::InvalidToken)),
            "{wrong}"
        );
    }
    let late = accept(&desk, &token, ZOE, LATE);
    assert!(matches!(late, Err(AccountError::InvalidToken)));
    for (name, password) in [("", OTHER_PASSWORD), ("Zoe", "short")] {
        let refused = accept(&desk, &token, Guest::New { name, password }, NOW);
        assert!(refused.is_err());
    }
    assert!(
        desk.store
            .find_user_by_email("zoe@example.com")
            .unwrap()
            .is_none()
    );
    assert!(accept(&desk, &token, ZOE, NOW).is_ok(), "it is open still");
}

#[test]
fn of_many_that_accept_at_once_one_account_is_made() {
    let desk = Desk::new();
    let token = invite(&desk, 1, "zoe@example.com");
    let won: usize = std::thread::scope(|scope| {
        let threads = [0; 4].map(|_| scope.spawn(|| accept(&desk, &token, ZOE, NOW)));
        let won = threads.into_iter().map(|thread| thread.join().unwrap());
        won.map(|done| usize::from(done.is_ok())).sum()
    });
    assert_eq!(won, 1);
    let users = desk.store.list_users(None, 99).unwrap();
    assert_eq!(users.len(), 3);
}
