//! The organizations of an installation, and what is written down of all of it.

use tollgate_auth::{Platform, PlatformManage, Principal, Rights, SecretToken, TokenPurpose};
use tollgate_control::{ControlError, CreatedOrganization, Visitor};
use tollgate_domain::{AuditOutcome, ErrorKind, PermissionSet, Role};
use tollgate_store::{AuditStore, InvitationStore};
use tollgate_validation::{AuditQuery, Expected, Valid};

use crate::desk::{ACME, Desk, NOW, OTHER, first_page, granted, kind, owner};

/// Whoever runs the installation.
fn platform() -> Platform<PlatformManage> {
    let all = Role::PlatformAdmin.permissions();
    let principal = Principal {
        rights: Rights::new(all, all, Vec::new()),
        ..owner(ACME)
    };
    Platform::check(principal).unwrap()
}

fn create(desk: &Desk, json: &str) -> Result<CreatedOrganization, ControlError> {
    let input = Valid::from_json(json.as_bytes()).unwrap();
    desk.control.create_tenant(&platform(), input, NOW)
}

#[test]
fn an_owner_of_an_organization_is_nobody_on_the_installation() {
    assert!(Platform::<PlatformManage>::check(owner(ACME)).is_err());
}

#[test]
fn an_organization_is_made_with_an_invitation_for_its_first_owner() {
    let desk = Desk::new();
    let made = create(
        &desk,
        r#"{"name":"new","rpm_limit":5,"owner_email":"ann@example.com"}"#,
    );
    let made = made.unwrap();
    let token = made.owner_token.clone().unwrap();
    assert!(!format!("{made:?}").contains(&token));
    let token = SecretToken::parse(TokenPurpose::Invitation, &token).unwrap();
    let kept = desk.store.find_invitation_by_mac(&desk.tokens.mac(&token));
    let kept = kept.unwrap().unwrap();
    assert_eq!(
        (kept.org_id, kept.role),
        (made.view.id, Role::OrgOwner.into())
    );
    assert_eq!(
        create(&desk, r#"{"name":"empty"}"#).unwrap().owner_token,
        None
    );
    assert_eq!(
        kind(&create(&desk, r#"{"name":"new"}"#)),
        Some(ErrorKind::Conflict)
    );
    let page = desk
        .control
        .list_tenants(&platform(), &first_page())
        .unwrap();
    assert_eq!(page.data.len(), 4);
    let chain = desk.store.read_audit(Some(made.view.id), 0, 9).unwrap();
    let actions: Vec<_> = chain.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["organization.create", "invitation.create"]);
}

#[test]
fn any_organization_is_changed_and_blocked_by_who_runs_the_installation() {
    let desk = Desk::new();
    let change = |json: &str, expected| {
        let input = Valid::from_json(json.as_bytes()).unwrap();
        desk.control
            .change_tenant(&platform(), OTHER, &input, expected, NOW)
    };
    let changed = change(r#"{"blocked":true,"tpm_limit":7}"#, Expected::Version(1)).unwrap();
    assert_eq!(
        (changed.blocked, changed.tpm_limit, changed.version),
        (true, Some(7), 2)
    );
    let stale = change(r#"{"blocked":false}"#, Expected::Version(1));
    assert!(matches!(stale, Err(ControlError::Stale)));
    let seen = desk.control.tenant(&platform(), OTHER).unwrap();
    assert!(seen.blocked);
    let chain = desk.store.read_audit(Some(OTHER), 0, 9).unwrap();
    let last = chain.last().unwrap();
    assert_eq!(
        (&*last.action, &*last.details),
        ("organization.change", "blocked, tpm_limit")
    );
}

fn query(text: &str) -> AuditQuery {
    AuditQuery::from_query(text).unwrap()
}

#[test]
fn what_was_done_and_refused_is_listed_newest_first_with_who_asked_from_where() {
    let desk = Desk::new();
    let asked = desk.control.asked_by(Visitor {
        client_ip: "10.0.0.1".parse().ok(),
        user_agent: String::new(),
        request_id: "req_1".to_owned(),
    });
    let input = Valid::from_json(br#"{"name":"team"}"#).unwrap();
    let made = asked.create_team(&granted(ACME), input, NOW).unwrap();
    asked
        .record_denial(
            &owner(ACME),
            "team.delete",
            "team_x",
            "permission_denied",
            NOW,
        )
        .unwrap();
    let list = |text: &str| {
        desk.control
            .list_audit(&granted(ACME), &query(text))
            .unwrap()
    };
    let page = list("limit=2");
    let last = &page.data[0];
    assert_eq!(
        (&*last.action, last.outcome),
        ("team.delete", AuditOutcome::Denied)
    );
    assert_eq!(
        (&*last.request_id, &*last.details),
        ("req_1", "permission_denied")
    );
    assert_eq!(page.data[1].object, made.id.to_string());
    assert_eq!(page.data[1].client_ip, "10.0.0.1".parse().ok());
    let next = list(&format!("cursor={}", page.next_cursor.unwrap()));
    assert!(next.data.iter().all(|entry| entry.action == "before"));
    assert_eq!(list("outcome=denied").data.len(), 1);
    assert_eq!(list(&format!("object={}", made.id)).data.len(), 1);
    assert_eq!(list("actor=anonymous").data.len(), 0);
    let json = serde_json::to_value(last).unwrap();
    assert_eq!(
        (&json["outcome"], &json["at"]),
        (&"denied".into(), &NOW.to_string().into())
    );
    let wrong = desk.control.list_audit(&granted(ACME), &query("cursor=x"));
    assert_eq!(kind(&wrong), Some(ErrorKind::InvalidRequest));
}

#[test]
fn an_export_goes_on_where_it_was_and_ends_where_it_began_to_end() {
    let desk = Desk::new();
    for number in 0..250 {
        let draft = crate::desk::audit(ACME).about(format!("thing {number}"));
        desk.store.record_audit(&draft).unwrap();
    }
    let last = desk.control.last_audit(&granted(ACME)).unwrap();
    desk.store.record_audit(&crate::desk::audit(ACME)).unwrap();
    let (mut seqs, mut after) = (Vec::new(), 0);
    loop {
        let part = desk.control.export_audit(&granted(ACME), after, last);
        let part = part.unwrap();
        assert!(part.len() <= 200);
        let Some(end) = part.last() else { break };
        after = end.seq;
        seqs.extend(part.iter().map(|entry| entry.seq));
    }
    assert_eq!(seqs, (1..=last).collect::<Vec<_>>());
    let none = desk
        .control
        .export_audit(&granted(OTHER), last, last)
        .unwrap();
    assert!(none.is_empty());
}

#[test]
fn no_right_of_the_installation_comes_from_an_organization() {
    let all = PermissionSet::ALL;
    let principal = Principal {
        rights: Rights::new(PermissionSet::EMPTY, all, Vec::new()),
        ..owner(ACME)
    };
    assert!(Platform::<PlatformManage>::check(principal).is_err());
}
