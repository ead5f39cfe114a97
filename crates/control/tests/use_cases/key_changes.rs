//! Keys: changed, rotated, and reached by whoever manages those of a team.

use tollgate_auth::{Granted, KeyText, KeysManage, KeysRead, Principal, Reach};
use tollgate_control::{ControlError, KeyView};
use tollgate_domain::{
    ApiKey, ErrorKind, KeyId, KeyState, Limits, PermissionSet, Role, TeamId, User, UserId, UserKind,
};
use tollgate_store::{ApiKeyStore, AuditStore, UserStore};
use tollgate_validation::{ApiKeyChange, Expected, KeysQuery, NewApiKey, Valid};

use crate::desk::{ACME, Desk, NOW, OTHER, audit, caller, owner, owner_key, page, reach};

fn kind<T>(result: &Result<T, ControlError>) -> Option<ErrorKind> {
    result.as_ref().err().map(ControlError::kind)
}

fn manages(principal: Principal) -> Reach<KeysManage> {
    Granted::reach(principal).unwrap()
}

fn key_of(number: u8) -> KeyId {
    KeyId::from_bytes([number; 16])
}

/// Adds a key like a bare one but for what is given.
fn add(desk: &Desk, number: u8, role: Role, change: impl FnOnce(&mut ApiKey)) -> ApiKey {
    let mut key = desk.bare_key(ACME, key_of(number), role);
    change(&mut key);
    desk.keep(&key);
    key
}

fn patch(desk: &Desk, by: Principal, id: KeyId, body: &str) -> Result<KeyView, ControlError> {
    let input = Valid::<ApiKeyChange>::from_json(body.as_bytes()).unwrap();
    desk.control
        .change_key(&manages(by), id, input, Expected::Any, NOW)
}

fn create(desk: &Desk, by: Principal, body: &str) -> Result<KeyView, ControlError> {
    let input = Valid::<NewApiKey>::from_json(body.as_bytes()).unwrap();
    let created = desk.control.create_key(&manages(by), input, NOW);
    created.map(|created| created.view)
}

#[test]
fn a_change_sets_what_is_given_and_leaves_the_rest() {
    let desk = Desk::new();
    add(&desk, 9, Role::Member, |key| {
        key.limits.rpm_limit = Some(5);
        key.tags = vec!["old".to_owned()];
    });
    let body = r#"{"name":"new","models":["m"],"allowed_ips":["10.0.0.0/8"],"tpm_limit":7,
        "max_budget":"2","budget_duration":"1d","blocked":true,"metadata":{"a":[1]},
        "expires_at":"2026-01-01T00:00:00Z"}"#;
    let changed = patch(&desk, owner(ACME), key_of(9), body).unwrap();
    assert_eq!((changed.version, changed.state), (2, KeyState::Blocked));
    let kept = desk.find_key(key_of(9));
    assert_eq!(
        (&*kept.name, kept.models.as_slice()),
        ("new", ["m".to_owned()].as_slice())
    );
    assert_eq!(
        (kept.limits.rpm_limit, kept.limits.tpm_limit),
        (Some(5), Some(7))
    );
    assert_eq!(
        (kept.tags, &*kept.metadata),
        (vec!["old".to_owned()], r#"{"a":[1]}"#)
    );
    assert_eq!(kept.allowed_ips.len(), 1);
    assert_eq!(kept.budget.unwrap().duration.unwrap().to_string(), "1d");
    let removed = r#"{"rpm_limit":null,"max_budget":null,"expires_at":null,"blocked":false}"#;
    let changed = patch(&desk, owner(ACME), key_of(9), removed).unwrap();
    assert_eq!((changed.rpm_limit, changed.max_budget), (None, None));
    assert_eq!(
        (changed.expires_at, changed.state),
        (None, KeyState::Active)
    );
    let entries = desk.store.read_audit(Some(ACME), 0, 99).unwrap();
    let last = entries.last().unwrap();
    assert_eq!(last.action, "key.change");
    assert_eq!(last.details, "blocked, expires_at, rpm_limit, max_budget");
}

#[test]
fn a_change_gives_nothing_that_its_maker_does_not_have() {
    let desk = Desk::new();
    let bounded = add(&desk, 8, Role::OrgAdmin, |key| {
        key.models = vec!["gpt-*".to_owned()];
        key.allowed_ips = vec!["10.0.0.0/8".parse().unwrap()];
        key.limits = Limits {
            rpm_limit: Some(5),
            ..Limits::default()
        };
        key.expires_at = Some(NOW.plus_seconds(60));
    });
    add(&desk, 9, Role::Member, |_| {});
    let far = NOW.plus_seconds(61);
    let near = NOW.plus_seconds(60);
    for (body, is_allowed) in [
        (
            r#"{"name":"other","tags":["t"],"tpm_limit":9}"#.to_owned(),
            false,
        ),
        (r#"{"name":"other","tags":["t"]}"#.to_owned(), true),
        (r#"{"models":["gpt-4"]}"#.to_owned(), true),
        (r#"{"models":["claude"]}"#.to_owned(), false),
        (r#"{"models":[]}"#.to_owned(), false),
        (r#"{"allowed_ips":["10.1.0.0/16"]}"#.to_owned(), true),
        (r#"{"allowed_ips":[]}"#.to_owned(), false),
        (r#"{"rpm_limit":5}"#.to_owned(), true),
        (r#"{"rpm_limit":6}"#.to_owned(), false),
        (r#"{"rpm_limit":null}"#.to_owned(), false),
        (format!(r#"{{"expires_at":"{near}"}}"#), true),
        (format!(r#"{{"expires_at":"{far}"}}"#), false),
        (r#"{"expires_at":null}"#.to_owned(), false),
    ] {
        let changed = patch(&desk, caller(&bounded), key_of(9), &body);
        let expected = (!is_allowed).then_some(ErrorKind::Forbidden);
        assert_eq!(kind(&changed), expected, "{body}");
    }
}

#[test]
fn a_key_that_may_do_more_can_be_blocked_and_revoked_and_nothing_else() {
    let desk = Desk::new();
    let admin = add(&desk, 8, Role::OrgAdmin, |_| {});
    let by = || caller(&admin);
    let id = owner_key(ACME);
    for body in [
        r#"{"name":"mine"}"#,
        r#"{"blocked":false}"#,
        r#"{"blocked":true,"tags":[]}"#,
    ] {
        assert_eq!(
            kind(&patch(&desk, by(), id, body)),
            Some(ErrorKind::Forbidden),
            "{body}"
        );
    }
    let rotation = Valid::from_json(b"{}").unwrap();
    let rotated = desk
        .control
        .rotate_key(&manages(by()), id, &rotation, Expected::Any, NOW);
    assert_eq!(kind(&rotated), Some(ErrorKind::Forbidden));
    assert!(
        patch(&desk, by(), id, r#"{"blocked":true}"#)
            .unwrap()
            .blocked
    );
    assert!(
        desk.control
            .revoke_key(&manages(by()), id, Expected::Any, NOW)
            .is_ok()
    );
}

#[test]
fn no_time_in_the_past_and_no_window_without_a_budget_is_set() {
    let desk = Desk::new();
    add(&desk, 9, Role::Member, |_| {});
    let now = format!(r#"{{"expires_at":"{NOW}"}}"#);
    for body in [&*now, r#"{"budget_duration":"1d"}"#] {
        let changed = patch(&desk, owner(ACME), key_of(9), body);
        assert_eq!(kind(&changed), Some(ErrorKind::InvalidRequest), "{body}");
    }
}

#[test]
fn a_rotated_key_keeps_its_place_and_its_old_secret_for_as_long_as_was_asked() {
    let desk = Desk::new();
    let key = add(&desk, 9, Role::Member, |_| {});
    let rotate = |body: &[u8]| {
        let input = Valid::from_json(body).unwrap();
        let rotated = desk
            .control
            .rotate_key(&reach(ACME), key_of(9), &input, Expected::Any, NOW);
        rotated.unwrap()
    };
    let rotated = rotate(br#"{"overlap_seconds":60}"#);
    let kept = desk.find_key(key_of(9));
    let text = KeyText::parse(&rotated.key).unwrap();
    assert_eq!((text.public_id(), kept.version), (&*key.public_id, 2));
    assert!(desk.pepper.matches(&text, &kept.mac));
    assert_eq!(rotated.view.previous_until, Some(NOW.plus_seconds(60)));
    assert_eq!(kept.previous_mac(NOW.plus_seconds(59)), Some(&key.mac));
    assert_eq!(kept.previous_mac(NOW.plus_seconds(60)), None);
    assert_eq!(rotate(b"{}").view.previous_until, None);
    assert_eq!(desk.find_key(key_of(9)).previous, None);
}

#[test]
fn a_revoked_key_is_neither_changed_nor_rotated() {
    let desk = Desk::new();
    add(&desk, 9, Role::Member, |_| {});
    desk.control
        .revoke_key(&reach(ACME), key_of(9), Expected::Any, NOW)
        .unwrap();
    let changed = patch(&desk, owner(ACME), key_of(9), r#"{"name":"a"}"#);
    assert_eq!(kind(&changed), Some(ErrorKind::NotFound));
    let rotation = Valid::from_json(b"{}").unwrap();
    let rotated = desk
        .control
        .rotate_key(&reach(ACME), key_of(9), &rotation, Expected::Any, NOW);
    assert_eq!(kind(&rotated), Some(ErrorKind::NotFound));
    let seen = desk.control.key(&reach(ACME), key_of(9), NOW).unwrap();
    assert_eq!(seen.state, KeyState::Revoked);
}

/// A desk with two teams; who runs the first; a key of each, and one of neither.
fn teams() -> (Desk, Principal, [TeamId; 2]) {
    let desk = Desk::new();
    let teams = [1, 2].map(|number| desk.add_team(ACME, number));
    let admin = add(&desk, 10, Role::TeamAdmin, |key| {
        key.team_id = Some(teams[0])
    });
    add(&desk, 11, Role::Member, |key| key.team_id = Some(teams[0]));
    add(&desk, 12, Role::Member, |key| key.team_id = Some(teams[1]));
    add(&desk, 13, Role::Member, |_| {});
    (desk, caller(&admin), teams)
}

#[test]
fn who_runs_a_team_reaches_its_keys_and_no_others() {
    let (desk, admin, [own, sibling]) = teams();
    let sees = Granted::<KeysRead>::reach(admin.clone()).unwrap();
    let list = |query: &KeysQuery| {
        let page = desk.control.list_keys(&sees, query, NOW).unwrap();
        page.data.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(list(&page(9, None)), [key_of(10), key_of(11)]);
    let of = |team_id| KeysQuery {
        team_id: Some(team_id),
        ..page(9, None)
    };
    assert_eq!(list(&of(own)), [key_of(10), key_of(11)]);
    assert_eq!(list(&of(sibling)), []);
    for (number, is_reached) in [(11, true), (12, false), (13, false), (1, false)] {
        let id = key_of(number);
        let expected = (!is_reached).then_some(ErrorKind::NotFound);
        assert_eq!(kind(&desk.control.key(&sees, id, NOW)), expected, "{id}");
        let changed = patch(&desk, admin.clone(), id, r#"{"name":"a"}"#);
        assert_eq!(kind(&changed), expected, "{id}");
        let rotation = Valid::from_json(b"{}").unwrap();
        let manages = manages(admin.clone());
        let rotated = desk
            .control
            .rotate_key(&manages, id, &rotation, Expected::Any, NOW);
        assert_eq!(kind(&rotated), expected, "{id}");
        assert_eq!(
            kind(&desk.control.revoke_key(&manages, id, Expected::Any, NOW)),
            expected,
            "{id}"
        );
    }
}

#[test]
fn who_runs_a_team_makes_keys_for_it_and_for_nobody_else() {
    let (desk, admin, [own, sibling]) = teams();
    let made = create(&desk, admin.clone(), r#"{"name":"a"}"#).unwrap();
    assert_eq!(made.team_id, Some(own));
    for (team, role, expected) in [
        (own.to_string(), "team_admin", None),
        (own.to_string(), "org_owner", Some(ErrorKind::Forbidden)),
        (sibling.to_string(), "member", Some(ErrorKind::Forbidden)),
    ] {
        let body = format!(r#"{{"name":"a","role":"{role}","team_id":"{team}"}}"#);
        let made = create(&desk, admin.clone(), &body);
        assert_eq!(kind(&made), expected, "{body}");
    }
}

#[test]
fn a_key_is_made_for_a_team_that_is_there() {
    let (desk, _, [_, sibling]) = teams();
    let foreign = desk.add_team(OTHER, 3);
    let body = |team: TeamId| format!(r#"{{"name":"a","team_id":"{team}"}}"#);
    let made = create(&desk, owner(ACME), &body(sibling)).unwrap();
    assert_eq!(made.team_id, Some(sibling));
    for team in [foreign, TeamId::from_bytes([7; 16])] {
        let made = create(&desk, owner(ACME), &body(team));
        assert_eq!(kind(&made), Some(ErrorKind::NotFound));
    }
}

#[test]
fn keys_are_listed_by_state_and_owner() {
    let desk = Desk::new();
    let user = UserId::from_bytes([7; 16]);
    add(&desk, 9, Role::Member, |key| key.owner = Some(user));
    add(&desk, 10, Role::Member, |key| key.blocked = true);
    let list = |query: KeysQuery| {
        let page = desk.control.list_keys(&reach(ACME), &query, NOW).unwrap();
        page.data.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    let all = || page(9, None);
    let blocked = Some(KeyState::Blocked);
    assert_eq!(
        list(KeysQuery {
            state: blocked,
            ..all()
        }),
        [key_of(10)]
    );
    assert_eq!(
        list(KeysQuery {
            owner_id: Some(user),
            ..all()
        }),
        [key_of(9)]
    );
}

fn service_account(desk: &Desk, number: u8, kind: UserKind) -> UserId {
    let id = UserId::from_bytes([number; 16]);
    let user = User {
        id,
        email: None,
        name: "robot".to_owned(),
        kind,
        password_hash: None,
        email_verified_at: None,
        totp: None,
        totp_last_step: None,
        recovery_macs: Vec::new(),
        is_platform_admin: false,
        blocked: false,
        failed_sign_ins: 0,
        last_failed_at: None,
        created_at: NOW,
        deleted_at: None,
        version: 1,
    };
    let entry = tollgate_domain::AuditDraft {
        org_id: None,
        ..audit(ACME)
    };
    desk.store.add_user(&user, &entry).unwrap();
    id
}

#[test]
fn a_key_is_owned_by_its_maker_or_a_service_account_of_the_organization() {
    let desk = Desk::new();
    let home = service_account(&desk, 21, UserKind::Service { org_id: ACME });
    let away = service_account(&desk, 22, UserKind::Service { org_id: OTHER });
    let human = service_account(&desk, 23, UserKind::Human);
    let make = |by: Principal, owner: UserId| {
        create(
            &desk,
            by,
            &format!(r#"{{"name":"a","owner_id":"{owner}"}}"#),
        )
    };
    assert_eq!(make(owner(ACME), home).unwrap().owner_id, Some(home));
    for id in [away, human, UserId::from_bytes([99; 16])] {
        assert_eq!(kind(&make(owner(ACME), id)), Some(ErrorKind::NotFound));
    }
    let scopes = "keys.manage models.use models.read".split(' ');
    let scopes: PermissionSet = scopes.map(|name| name.parse().unwrap()).collect();
    let narrow = add(&desk, 9, Role::OrgOwner, |key| {
        key.scopes = Some(scopes);
        key.owner = Some(human);
    });
    let refused = make(caller(&narrow), home);
    assert_eq!(kind(&refused), Some(ErrorKind::Forbidden));
    assert_eq!(make(caller(&narrow), human).unwrap().owner_id, Some(human));
}

#[test]
fn who_reads_an_old_version_overwrites_nothing() {
    let desk = Desk::new();
    let old = add(&desk, 9, Role::Member, |_| {});
    patch(&desk, owner(ACME), key_of(9), r#"{"name":"new"}"#).unwrap();
    let late = desk.store.update_api_key(&old, &audit(ACME));
    assert!(late.is_err());
    assert_eq!(desk.find_key(key_of(9)).name, "new");
}
