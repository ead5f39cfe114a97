//! T-FIRSTRUN: there is no account before the token is used, and one after.

use tollgate_auth::{Granted, KeysManage, Platform, PlatformManage, SecretToken, TokenPurpose};
use tollgate_control::{AccountError, NewPerson, SignedIn};
use tollgate_domain::{OrgId, Role, UserKind};
use tollgate_store::{MembershipStore, OrganizationStore, UserStore};

use crate::desk::{ACME, Desk, NOW, OTHER_PASSWORD, PASSWORD, user, visitor};

const FIRST: NewPerson<'_> = NewPerson {
    email: "Root@Example.com",
    name: "Ruth",
    password: OTHER_PASSWORD,
};

fn set_up(desk: &Desk, token: &str, person: &NewPerson<'_>) -> Result<SignedIn, AccountError> {
    desk.accounts
        .set_up(token, person, &visitor("192.0.2.1"), NOW)
}

#[test]
fn t_firstrun_no_account_exists_and_no_guess_gets_in() {
    let desk = Desk::empty();
    assert!(desk.store.list_users(None, 9).unwrap().is_empty());
    for (email, password) in [
        ("admin@example.com", "admin"),
        ("root@example.com", "123456"),
        ("admin", "password"),
        ("", ""),
    ] {
        let tried = desk.try_sign_in(email, password, None, NOW);
        assert!(matches!(tried, Err(AccountError::Refused)));
    }
    let never = SecretToken::generate(TokenPurpose::Setup).unwrap();
    let session = SecretToken::generate(TokenPurpose::Session).unwrap();
    for token in ["", " ", "null", "setup", never.expose(), session.expose()] {
        let tried = set_up(&desk, token, &FIRST);
        assert!(matches!(tried, Err(AccountError::InvalidToken)), "{token}");
    }
    assert!(desk.store.list_users(None, 9).unwrap().is_empty());
    assert!(desk.accounts.needs_set_up().unwrap());
}

#[test]
fn t_firstrun_the_token_makes_who_runs_everything_and_is_void_then() {
    let desk = Desk::empty();
    let token = desk.accounts.setup_token(NOW).unwrap();
    let done = set_up(&desk, token.expose(), &FIRST).unwrap();
    let org = desk.store.find_organization_by_name("default").unwrap();
    let org = org.unwrap();
    let users = desk.store.list_users(None, 9).unwrap();
    let [first] = &*users else {
        panic!("{users:?}")
    };
    assert!(first.is_platform_admin);
    assert_eq!(first.email.as_deref(), Some("root@example.com"));
    let member = desk.store.find_membership(org.id, first.id).unwrap();
    assert_eq!(member.unwrap().role, Role::OrgOwner.into());
    let current = desk.current(done.token.expose(), NOW);
    let principal = current.principal().unwrap();
    assert_eq!(principal.org_id, org.id);
    assert!(Granted::<KeysManage>::check(principal.clone()).is_ok());
    assert!(Platform::<PlatformManage>::check(principal.clone()).is_ok());
    let again = set_up(&desk, token.expose(), &FIRST);
    assert!(matches!(again, Err(AccountError::InvalidToken)));
    assert!(matches!(
        desk.accounts.setup_token(NOW),
        Err(AccountError::SetUp)
    ));
    let signed_in = desk.try_sign_in("root@example.com", OTHER_PASSWORD, None, NOW);
    assert!(signed_in.is_ok());
}

#[test]
fn t_firstrun_a_second_token_is_void_once_the_first_was_used() {
    let desk = Desk::empty();
    let [one, other] = [(); 2].map(|()| desk.accounts.setup_token(NOW).unwrap());
    set_up(&desk, other.expose(), &FIRST).unwrap();
    let second = NewPerson {
        email: "second@example.com",
        ..FIRST
    };
    let late = set_up(&desk, one.expose(), &second);
    assert!(matches!(late, Err(AccountError::SetUp)));
    assert_eq!(desk.store.list_users(None, 9).unwrap().len(), 1);
}

#[test]
fn t_firstrun_of_two_with_two_tokens_at_once_one_is_the_first() {
    for _ in 0..8 {
        let desk = Desk::empty();
        let tokens = [(); 2].map(|()| desk.accounts.setup_token(NOW).unwrap());
        let done = std::thread::scope(|scope| {
            let threads = [("a@example.com", &tokens[0]), ("b@example.com", &tokens[1])].map(
                |(email, token)| {
                    let person = NewPerson { email, ..FIRST };
                    let desk = &desk;
                    scope.spawn(move || set_up(desk, token.expose(), &person).is_ok())
                },
            );
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(done.contains(&true) && done.contains(&false), "{done:?}");
        assert_eq!(desk.store.list_users(None, 9).unwrap().len(), 1);
        assert_eq!(desk.store.list_organizations(None, 9).unwrap().len(), 1);
    }
}

#[test]
fn t_firstrun_what_is_typed_wrong_does_not_use_the_token_up() {
    let desk = Desk::empty();
    let token = desk.accounts.setup_token(NOW).unwrap();
    for person in [
        NewPerson {
            email: "x",
            ..FIRST
        },
        NewPerson { name: "", ..FIRST },
        NewPerson {
            password: "short",
            ..FIRST
        },
        NewPerson {
            password: "root@example.com",
            ..FIRST
        },
    ] {
        let tried = set_up(&desk, token.expose(), &person);
        assert!(matches!(
            tried,
            Err(AccountError::Invalid(_) | AccountError::Password(_))
        ));
    }
    let late = NOW.plus_seconds(86_400);
    let tried = desk
        .accounts
        .set_up(token.expose(), &FIRST, &visitor("192.0.2.1"), late);
    assert!(matches!(tried, Err(AccountError::InvalidToken)));
    set_up(&desk, token.expose(), &FIRST).unwrap();
}

#[test]
fn t_firstrun_an_installation_that_has_keys_and_programs_gets_its_first_person() {
    let desk = Desk::empty();
    desk.add_organization(ACME, "acme");
    let robot = tollgate_domain::User {
        kind: UserKind::Service { org_id: ACME },
        email: None,
        ..user(tollgate_domain::UserId::from_bytes([9; 16]), "")
    };
    desk.add_user(&robot, Role::Service);
    let token = desk.accounts.setup_token(NOW).unwrap();
    let done = set_up(&desk, token.expose(), &FIRST).unwrap();
    assert_eq!(
        done.session.org_id,
        Some(ACME),
        "and no second organization"
    );
    let all = desk.store.list_organizations(None::<OrgId>, 9).unwrap();
    assert_eq!(all.len(), 1);
    // One who was there before is one, too.
    let other = Desk::new();
    assert!(matches!(
        other.accounts.setup_token(NOW),
        Err(AccountError::SetUp)
    ));
    assert!(
        other
            .try_sign_in("ann@example.com", PASSWORD, None, NOW)
            .is_ok()
    );
}
