//! Teams: reached by whoever manages them, bounded by whoever manages all.

use tollgate_auth::{Granted, Reach, TeamsManage, TeamsRead, UsersManage, UsersRead};
use tollgate_control::{ControlError, TeamView};
use tollgate_domain::{
    AuditOutcome, ErrorKind, Membership, OrgId, Role, TeamId, Timestamp, User, UserId, UserKind,
};
use tollgate_store::{ApiKeyStore, MembershipStore, UserStore};
use tollgate_validation::{Expected, PageQuery, TeamChange, TeamPlace, Valid};

use crate::desk::{
    ACME, Desk, NOW, OTHER, audit, first_page, granted, kind, of_team, owner, reach, written,
};

fn create(desk: &Desk, json: &str) -> Result<TeamView, ControlError> {
    let input = Valid::from_json(json.as_bytes()).unwrap();
    desk.control
        .create_team(&granted::<TeamsManage>(ACME), input, NOW)
}

fn change(
    desk: &Desk,
    reach: &Reach<TeamsManage>,
    id: TeamId,
    json: &str,
    expected: Expected,
) -> Result<TeamView, ControlError> {
    let input = Valid::<TeamChange>::from_json(json.as_bytes()).unwrap();
    desk.control.change_team(reach, id, input, expected, NOW)
}

/// Adds somebody to the organization, as if they had been there before.
pub(crate) fn add_user(desk: &Desk, org_id: OrgId, number: u8, role: Role) -> UserId {
    let user = User {
        id: UserId::from_bytes([number; 16]),
        email: Some(format!("user{number}@example.com")),
        name: format!("user {number}"),
        kind: UserKind::Human,
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
    let member = Membership {
        org_id,
        user_id: user.id,
        role: role.into(),
        created_at: NOW,
    };
    desk.store.add_user(&user, &audit(org_id)).unwrap();
    desk.store.set_membership(&member, &audit(org_id)).unwrap();
    user.id
}

#[test]
fn a_team_is_made_seen_changed_and_deleted() {
    let desk = Desk::new();
    let made = create(&desk, r#"{"name":"search","rpm_limit":5,"max_budget":"2"}"#).unwrap();
    let seen = desk.control.team(&reach(ACME), made.id).unwrap();
    assert_eq!(
        (&*seen.name, seen.rpm_limit, seen.version),
        ("search", Some(5), 1)
    );
    let body = r#"{"name":"find","rpm_limit":null,"models":["m"],"blocked":true}"#;
    let changed = change(&desk, &reach(ACME), made.id, body, Expected::Version(1)).unwrap();
    assert_eq!(
        (changed.rpm_limit, changed.blocked, changed.version),
        (None, true, 2)
    );
    assert_eq!(changed.max_budget.unwrap().to_string(), "2");
    for _ in 0..2 {
        let gone = desk
            .control
            .delete_team(&granted(ACME), made.id, Expected::Any, NOW)
            .unwrap();
        assert_eq!(gone.deleted_at, Some(NOW));
    }
    let refused = desk.control.team(&reach(ACME), made.id);
    assert_eq!(kind(&refused), Some(ErrorKind::NotFound));
    let id = made.id.to_string();
    let expected = ["team.create", "team.change", "team.delete"]
        .map(|action| (action.to_owned(), id.clone(), AuditOutcome::Done));
    assert_eq!(written(&desk, ACME), expected);
}

#[test]
fn names_are_composed_and_taken_once() {
    let desk = Desk::new();
    let made = create(&desk, "{\"name\":\"Zu\u{308}rich\"}").unwrap();
    assert_eq!(made.name, "Zürich");
    let again = create(&desk, r#"{"name":"Zürich"}"#);
    assert_eq!(kind(&again), Some(ErrorKind::Conflict));
}

#[test]
fn a_change_is_for_the_version_that_was_read() {
    let desk = Desk::new();
    let id = desk.add_team(ACME, 1);
    let by = reach(ACME);
    change(&desk, &by, id, r#"{"name":"a"}"#, Expected::Version(1)).unwrap();
    let stale = change(&desk, &by, id, r#"{"name":"b"}"#, Expected::Version(1));
    assert!(matches!(stale, Err(ControlError::Stale)));
    let stale = desk
        .control
        .delete_team(&granted(ACME), id, Expected::Version(1), NOW);
    assert!(matches!(stale, Err(ControlError::Stale)));
    change(&desk, &by, id, r#"{"name":"c"}"#, Expected::Any).unwrap();
}

#[test]
fn who_manages_one_team_sees_it_alone_and_gives_it_a_name_but_no_bounds() {
    let desk = Desk::new();
    let (own, sibling) = (desk.add_team(ACME, 1), desk.add_team(ACME, 2));
    let by = || of_team(ACME, own, Role::TeamAdmin);
    let sees = Granted::<TeamsRead>::reach(by()).unwrap();
    let listed = desk.control.list_teams(&sees, &first_page()).unwrap();
    let ids: Vec<_> = listed.data.iter().map(|team| team.id).collect();
    assert_eq!(ids, [own]);
    assert_eq!(
        kind(&desk.control.team(&sees, sibling)),
        Some(ErrorKind::NotFound)
    );
    let manages = Granted::<TeamsManage>::reach(by()).unwrap();
    let patch = |id, body| change(&desk, &manages, id, body, Expected::Any);
    assert_eq!(patch(own, r#"{"name":"ours"}"#).unwrap().name, "ours");
    for body in [
        r#"{"rpm_limit":9}"#,
        r#"{"max_budget":null}"#,
        r#"{"models":[]}"#,
        r#"{"name":"x","blocked":false}"#,
    ] {
        assert_eq!(
            kind(&patch(own, body)),
            Some(ErrorKind::Forbidden),
            "{body}"
        );
    }
    let refused = patch(sibling, r#"{"name":"theirs"}"#);
    assert_eq!(kind(&refused), Some(ErrorKind::NotFound));
    assert!(
        Granted::<TeamsManage>::check(by()).is_err(),
        "makes and deletes none"
    );
}

#[test]
fn pages_of_teams_follow_each_other_whoever_asks() {
    let desk = Desk::new();
    let ids: Vec<_> = (1..=5).map(|number| desk.add_team(ACME, number)).collect();
    desk.add_team(OTHER, 9);
    let gone = ids[2];
    desk.control
        .delete_team(&granted(ACME), gone, Expected::Any, NOW)
        .unwrap();
    let of_one = Granted::<TeamsRead>::reach(of_team(ACME, ids[3], Role::Viewer)).unwrap();
    for (by, expected) in [
        (reach(ACME), vec![ids[0], ids[1], ids[3], ids[4]]),
        (of_one, vec![ids[3]]),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let query = PageQuery { limit: 3, cursor };
            let page = desk.control.list_teams(&by, &query).unwrap();
            seen.extend(page.data.iter().map(|team| team.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
}

fn place(role: &str) -> Valid<TeamPlace> {
    Valid::from_json(format!(r#"{{"role":"{role}"}}"#).as_bytes()).unwrap()
}

#[test]
fn people_of_a_team_come_change_and_go() {
    let desk = Desk::new();
    let (own, sibling) = (desk.add_team(ACME, 1), desk.add_team(ACME, 2));
    let (ann, bob) = (
        add_user(&desk, ACME, 1, Role::Member),
        add_user(&desk, OTHER, 2, Role::Member),
    );
    let by: Reach<UsersManage> = Granted::reach(of_team(ACME, own, Role::TeamAdmin)).unwrap();
    let sees: Reach<UsersRead> = Granted::reach(of_team(ACME, own, Role::TeamAdmin)).unwrap();
    let set = |team, user, role| {
        desk.control
            .set_team_member(&by, (team, user), &place(role), NOW)
    };
    assert_eq!(set(own, ann, "viewer").unwrap().role, Role::Viewer);
    assert_eq!(set(own, ann, "team_admin").unwrap().role, Role::TeamAdmin);
    assert_eq!(kind(&set(own, bob, "member")), Some(ErrorKind::NotFound));
    assert_eq!(
        kind(&set(sibling, ann, "member")),
        Some(ErrorKind::NotFound)
    );
    let listed = desk
        .control
        .list_team_members(&sees, own, &first_page())
        .unwrap();
    let listed: Vec<_> = listed
        .data
        .iter()
        .map(|member| (member.user_id, &*member.name))
        .collect();
    assert_eq!(listed, [(ann, "user 1")]);
    let refused = desk
        .control
        .list_team_members(&sees, sibling, &first_page());
    assert_eq!(kind(&refused), Some(ErrorKind::NotFound));
    for _ in 0..2 {
        desk.control.remove_team_member(&by, own, ann, NOW).unwrap();
    }
    let page = desk.control.list_team_members(&sees, own, &first_page());
    assert!(page.unwrap().data.is_empty());
}

#[test]
fn nobody_gives_or_takes_a_place_with_more_rights_than_theirs() {
    let desk = Desk::new();
    let team = desk.add_team(ACME, 1);
    let ann = add_user(&desk, ACME, 1, Role::Member);
    let all: Reach<UsersManage> = reach(ACME);
    let admin = place("team_admin");
    desk.control
        .set_team_member(&all, (team, ann), &admin, NOW)
        .unwrap();
    // Manages people, and nothing else of what a team's admin may do.
    let mut limited = of_team(ACME, team, Role::TeamAdmin);
    let people = tollgate_domain::PermissionSet::of(&[
        tollgate_domain::Permission::UsersManage,
        tollgate_domain::Permission::UsersRead,
    ]);
    limited.rights = tollgate_auth::Rights::new(
        tollgate_domain::PermissionSet::EMPTY,
        tollgate_domain::PermissionSet::EMPTY,
        vec![(team, people)],
    );
    let by: Reach<UsersManage> = Granted::reach(limited).unwrap();
    let bob = add_user(&desk, ACME, 2, Role::Member);
    let given = desk.control.set_team_member(&by, (team, bob), &admin, NOW);
    assert_eq!(kind(&given), Some(ErrorKind::Forbidden));
    let demoted = desk
        .control
        .set_team_member(&by, (team, ann), &place("viewer"), NOW);
    assert_eq!(kind(&demoted), Some(ErrorKind::Forbidden));
    let removed = desk.control.remove_team_member(&by, team, ann, NOW);
    assert_eq!(kind(&removed), Some(ErrorKind::Forbidden));
}

#[test]
fn every_change_of_a_team_advances_the_epoch() {
    let desk = Desk::new();
    let ann = add_user(&desk, ACME, 1, Role::Member);
    let epoch = || desk.store.auth_epoch().unwrap();
    let mut last = epoch();
    let mut grew = |what: &str| {
        let now = epoch();
        assert!(now > last, "{what}");
        last = now;
    };
    let id = create(&desk, r#"{"name":"a"}"#).unwrap().id;
    grew("made");
    change(
        &desk,
        &reach(ACME),
        id,
        r#"{"blocked":true}"#,
        Expected::Any,
    )
    .unwrap();
    grew("changed");
    let all: Reach<UsersManage> = Granted::reach(owner(ACME)).unwrap();
    desk.control
        .set_team_member(&all, (id, ann), &place("member"), Timestamp::default())
        .unwrap();
    grew("somebody is in it");
    desk.control
        .delete_team(&granted(ACME), id, Expected::Any, NOW)
        .unwrap();
    grew("deleted");
}
