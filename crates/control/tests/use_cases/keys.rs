//! Keys: made within the creator's own rights, listed by pages, revoked once.

use tollgate_auth::{Granted, KeyText, KeysManage, Principal, user_rights};
use tollgate_control::{ControlError, CreatedKey};
use tollgate_domain::{Actor, ErrorKind, KeyId, Role, UserId};
use tollgate_store::{ApiKeyStore, AuditStore};
use tollgate_validation::{Expected, NewApiKey, Valid};

use crate::desk::{ACME, Desk, NOW, OTHER, owner_key, page, principal, reach};

fn input(json: &str) -> Valid<NewApiKey> {
    Valid::from_json(json.as_bytes()).unwrap()
}

fn create(desk: &Desk, json: &str) -> Result<CreatedKey, ControlError> {
    desk.control
        .create_key(&reach::<KeysManage>(ACME), input(json), NOW)
}

#[test]
fn a_made_key_is_kept_as_a_digest_with_all_that_was_asked_for() {
    let desk = Desk::new();
    let json = r#"{"name":"ci","role":"viewer","models":["m","n*"],"rpm_limit":1,"tpm_limit":2,
        "max_parallel_requests":3,"max_budget":"4.5","budget_duration":"30d",
        "expires_at":"2026-11-24T00:00:00Z"}"#;
    let created = create(&desk, json).unwrap();
    let text = KeyText::parse(&created.key).unwrap();
    let kept = desk
        .store
        .find_api_key(ACME, created.view.id)
        .unwrap()
        .unwrap();
    assert!(desk.pepper.matches(&text, &kept.mac));
    assert_eq!((&*kept.public_id, &*kept.name), (text.public_id(), "ci"));
    assert_eq!((kept.role, kept.created_at), (Role::Viewer.into(), NOW));
    let maker = Actor::Key(owner_key(ACME));
    assert_eq!((kept.created_by, kept.owner), (maker, None));
    assert_eq!(kept.models, ["m", "n*"]);
    let limits = kept.limits;
    let limits = [
        limits.rpm_limit,
        limits.tpm_limit,
        limits.max_parallel_requests,
    ];
    assert_eq!(limits, [Some(1), Some(2), Some(3)]);
    let budget = kept.budget.unwrap();
    assert_eq!(budget.max_budget.to_string(), "4.5");
    assert_eq!(budget.duration.unwrap().to_string(), "30d");
    assert_eq!(kept.expires_at.unwrap().to_string(), "2026-11-24T00:00:00Z");
}

#[test]
fn the_text_of_a_key_is_shown_once_and_never_in_debug_output() {
    let desk = Desk::new();
    let created = create(&desk, r#"{"name":"ci"}"#).unwrap();
    let json = serde_json::to_value(&created).unwrap();
    assert_eq!(json["key"], created.key);
    assert_eq!(
        (&json["name"], &json["role"]),
        (&"ci".into(), &"member".into())
    );
    assert!(!format!("{created:?}").contains(&created.key));
    let listed = serde_json::to_string(&created.view).unwrap();
    assert!(
        !listed.contains(&created.key) && !listed.contains("mac"),
        "{listed}"
    );
}

#[test]
fn a_key_may_not_use_models_that_its_creator_may_not() {
    let desk = Desk::new();
    let id = KeyId::from_bytes([9; 16]);
    desk.add_key(ACME, id, Role::OrgOwner, &["gpt-*", "mine"]);
    let creator = principal(ACME, id, Role::OrgOwner);
    let granted = Granted::<KeysManage>::reach(creator).unwrap();
    for (models, is_allowed) in [
        (r#"["gpt-4o"]"#, true),
        (r#"["gpt-4*","mine"]"#, true),
        (r#"["gpt-*"]"#, true),
        ("[]", false),
        (r#"["*"]"#, false),
        (r#"["gpt*"]"#, false),
        (r#"["mine*"]"#, false),
        (r#"["gpt-4o","yours"]"#, false),
    ] {
        let input = input(&format!(r#"{{"name":"child","models":{models}}}"#));
        let created = desk.control.create_key(&granted, input, NOW);
        let kind = created.as_ref().err().map(ControlError::kind);
        let expected = (!is_allowed).then_some(ErrorKind::Forbidden);
        assert_eq!(kind, expected, "{models}");
    }
}

#[test]
fn who_may_not_manage_keys_has_no_grant_to_make_one_with() {
    for role in [Role::Member, Role::Viewer] {
        let caller = principal(ACME, owner_key(ACME), role);
        assert!(Granted::<KeysManage>::reach(caller).is_err(), "{role:?}");
    }
}

#[test]
fn a_key_may_not_be_given_a_role_that_its_creator_does_not_have() {
    let desk = Desk::new();
    let id = KeyId::from_bytes([9; 16]);
    desk.add_key(ACME, id, Role::OrgAdmin, &[]);
    let check = |creator: Principal, role: Role, is_allowed: bool| {
        let granted = Granted::<KeysManage>::reach(creator).unwrap();
        let input = input(&format!(r#"{{"name":"a","role":"{}"}}"#, role.as_str()));
        let created = desk.control.create_key(&granted, input, NOW);
        let kind = created.as_ref().err().map(ControlError::kind);
        let expected = (!is_allowed).then_some(ErrorKind::Forbidden);
        assert_eq!(kind, expected, "{role:?}");
    };
    for role in Role::ALL {
        let owner = principal(ACME, owner_key(ACME), Role::OrgOwner);
        check(owner, role, role != Role::PlatformAdmin);
        let admin = principal(ACME, id, Role::OrgAdmin);
        let is_allowed = !matches!(role, Role::PlatformAdmin | Role::OrgOwner);
        check(admin, role, is_allowed);
    }
}

#[test]
fn a_key_that_a_user_makes_is_bound_by_the_user() {
    let desk = Desk::new();
    let user = UserId::from_bytes([7; 16]);
    let maker = Principal {
        org_id: ACME,
        actor: Actor::User(user),
        rights: user_rights(true, false, Some(Role::OrgOwner.permissions()), []),
    };
    let granted = Granted::<KeysManage>::reach(maker).unwrap();
    let created = desk
        .control
        .create_key(&granted, input(r#"{"name":"a"}"#), NOW)
        .unwrap();
    let kept = desk.store.find_api_key(ACME, created.view.id);
    let kept = kept.unwrap().unwrap();
    assert_eq!(
        (kept.owner, kept.created_by),
        (Some(user), Actor::User(user))
    );
}

#[test]
fn making_and_revoking_are_written_down_once() {
    let desk = Desk::new();
    let id = create(&desk, r#"{"name":"a"}"#).unwrap().view.id;
    create(&desk, r#"{"name":"a","role":"platform_admin"}"#).unwrap_err();
    for _ in 0..2 {
        desk.control
            .revoke_key(&reach(ACME), id, Expected::Any, NOW)
            .unwrap();
    }
    let entries = desk.store.read_audit(Some(ACME), 0, 99).unwrap();
    let own = entries.iter().filter(|entry| entry.action != "before");
    let done: Vec<_> = own
        .map(|entry| (entry.actor, entry.action.as_str(), entry.object.clone()))
        .collect();
    let by = Actor::Key(owner_key(ACME));
    let expected = ["key.create", "key.revoke"].map(|action| (by, action, id.to_string()));
    assert_eq!(done, expected);
}

#[test]
fn a_creator_that_is_gone_makes_nothing() {
    let desk = Desk::new();
    let stranger = principal(ACME, owner_key(OTHER), Role::OrgOwner);
    let granted = Granted::<KeysManage>::reach(stranger).unwrap();
    let refused = desk
        .control
        .create_key(&granted, input(r#"{"name":"a"}"#), NOW);
    assert!(matches!(refused, Err(ControlError::NotFound(_))));
}

#[test]
fn a_key_cannot_have_expired_before_it_was_made() {
    let desk = Desk::new();
    let refused = create(&desk, r#"{"name":"a","expires_at":"2020-01-01T00:00:00Z"}"#);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRequest);
    let at = format!(r#"{{"name":"a","expires_at":"{NOW}"}}"#);
    assert!(create(&desk, &at).is_err());
}

#[test]
fn pages_show_every_key_of_the_organization_once() {
    let desk = Desk::new();
    for number in 0..6 {
        create(&desk, &format!(r#"{{"name":"key {number}"}}"#)).unwrap();
    }
    let mut names = Vec::new();
    let mut cursor = None;
    for expected in [3, 3, 1] {
        let query = page(3, cursor);
        let page = desk.control.list_keys(&reach(ACME), &query, NOW).unwrap();
        assert_eq!(page.data.len(), expected);
        names.extend(page.data.into_iter().map(|key| key.name));
        cursor = page.next_cursor;
    }
    assert_eq!(cursor, None);
    let expected: Vec<String> = std::iter::once("before".to_owned())
        .chain((0..6).map(|number| format!("key {number}")))
        .collect();
    assert_eq!(names, expected);
}

#[test]
fn a_page_that_is_just_full_has_no_next_one() {
    let desk = Desk::new();
    let query = page(1, None);
    let page = desk.control.list_keys(&reach(ACME), &query, NOW).unwrap();
    assert_eq!((page.data.len(), page.next_cursor), (1, None));
}

#[test]
fn a_cursor_that_is_none_of_ours_is_refused() {
    let desk = Desk::new();
    for cursor in ["nonsense", "org_01010101010101010101010101010101"] {
        let query = page(1, Some(cursor.to_owned()));
        let refused = desk.control.list_keys(&reach(ACME), &query, NOW);
        assert_eq!(
            refused.unwrap_err().kind(),
            ErrorKind::InvalidRequest,
            "{cursor}"
        );
    }
}

#[test]
fn a_key_is_revoked_once_and_stays_so() {
    let desk = Desk::new();
    let id = create(&desk, r#"{"name":"a"}"#).unwrap().view.id;
    let revoke = |at| {
        desk.control
            .revoke_key(&reach(ACME), id, Expected::Any, at)
            .unwrap()
    };
    assert_eq!(revoke(NOW).revoked_at, Some(NOW));
    let epoch = desk.store.auth_epoch().unwrap();
    assert_eq!(revoke(NOW.plus_seconds(60)).revoked_at, Some(NOW));
    assert_eq!(
        desk.store.auth_epoch().unwrap(),
        epoch,
        "nobody has to look again"
    );
}

#[test]
fn another_organizations_keys_are_neither_seen_nor_revoked() {
    let desk = Desk::new();
    let id = create(&desk, r#"{"name":"a"}"#).unwrap().view.id;
    let refused = desk
        .control
        .revoke_key(&reach(OTHER), id, Expected::Any, NOW);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        desk.store
            .find_api_key(ACME, id)
            .unwrap()
            .unwrap()
            .revoked_at,
        None
    );
    let query = page(10, None);
    let page = desk.control.list_keys(&reach(OTHER), &query, NOW).unwrap();
    assert_eq!(page.data.len(), 1);
}
