//! An organization's own settings: a value sets, null removes, absence leaves.

use tollgate_auth::OrgManage;
use tollgate_control::{ControlError, OrganizationView};
use tollgate_domain::ErrorKind;
use tollgate_store::{ApiKeyStore, AuditStore, OrganizationStore};
use tollgate_validation::{Expected, Valid};

use crate::desk::{ACME, Desk, NOW, OTHER, granted};

fn change(desk: &Desk, json: &str) -> Result<OrganizationView, ControlError> {
    let input = Valid::from_json(json.as_bytes()).unwrap();
    desk.control
        .change_organization(&granted::<OrgManage>(ACME), input, Expected::Any, NOW)
}

/// The organization as JSON, as it is kept.
fn kept(desk: &Desk) -> serde_json::Value {
    let found = desk.store.find_organization(ACME).unwrap().unwrap();
    without_version(OrganizationView::from(found))
}

/// The version grows with every change, also with one that sets what is there.
fn without_version(view: OrganizationView) -> serde_json::Value {
    let mut value = serde_json::to_value(view).unwrap();
    value.as_object_mut().unwrap().remove("version").unwrap();
    value
}

const ALL: &str = r#"{"name":"new","rpm_limit":1,"tpm_limit":2,"max_parallel_requests":3,
    "max_budget":"4","budget_duration":"30d"}"#;

const FIELDS: [&str; 5] = [
    "rpm_limit",
    "tpm_limit",
    "max_parallel_requests",
    "max_budget",
    "budget_duration",
];

#[test]
fn what_is_given_is_set_and_shown() {
    let desk = Desk::new();
    let view = without_version(change(&desk, ALL).unwrap());
    assert_eq!(view, kept(&desk));
    let figures = FIELDS.map(|field| view[field].to_string());
    assert_eq!(figures, ["1", "2", "3", r#""4""#, r#""30d""#]);
    assert_eq!(
        (&view["name"], &view["blocked"]),
        (&"new".into(), &false.into())
    );
    let seen = desk.control.organization(&granted(ACME)).unwrap();
    assert_eq!(without_version(seen), view);
}

#[test]
fn absence_leaves_everything_as_it_is() {
    let desk = Desk::new();
    change(&desk, ALL).unwrap();
    let before = kept(&desk);
    change(&desk, "{}").unwrap();
    assert_eq!(kept(&desk), before);
}

#[test]
fn null_removes_one_field_and_leaves_the_others() {
    for field in FIELDS {
        let desk = Desk::new();
        change(&desk, ALL).unwrap();
        let mut expected = kept(&desk);
        expected[field] = serde_json::Value::Null;
        if field == "max_budget" {
            expected["budget_duration"] = serde_json::Value::Null;
        }
        change(&desk, &format!(r#"{{"{field}":null}}"#)).unwrap();
        assert_eq!(kept(&desk), expected, "{field}");
    }
}

#[test]
fn a_window_needs_a_budget() {
    let desk = Desk::new();
    let refused = change(&desk, r#"{"budget_duration":"30d"}"#);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRequest);
    change(&desk, r#"{"max_budget":"5"}"#).unwrap();
    change(&desk, r#"{"budget_duration":"30d"}"#).unwrap();
    assert_eq!(kept(&desk)["max_budget"], "5");
    let refused = change(&desk, r#"{"max_budget":null,"budget_duration":"1d"}"#);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert_eq!(kept(&desk)["budget_duration"], "30d");
}

#[test]
fn a_name_is_taken_once() {
    let desk = Desk::new();
    let refused = change(&desk, r#"{"name":"other","rpm_limit":5}"#);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(
        (&kept(&desk)["name"], &kept(&desk)["rpm_limit"]),
        (&"acme".into(), &serde_json::Value::Null)
    );
    assert_eq!(change(&desk, r#"{"name":"acme"}"#).unwrap().name, "acme");
}

#[test]
fn a_change_is_the_organizations_own_and_seen_by_all_who_remember_it() {
    let desk = Desk::new();
    let epoch = desk.store.auth_epoch().unwrap();
    change(&desk, ALL).unwrap();
    assert!(desk.store.auth_epoch().unwrap() > epoch);
    let other = desk.store.find_organization(OTHER).unwrap().unwrap();
    assert_eq!((&*other.name, other.limits.rpm_limit), ("other", None));
}

#[test]
fn a_change_is_written_down_with_the_names_of_its_fields_and_not_their_values() {
    let desk = Desk::new();
    change(&desk, r#"{"rpm_limit":12345,"max_budget":null}"#).unwrap();
    change(&desk, r#"{"name":"other"}"#).unwrap_err();
    let entries = desk.store.read_audit(Some(ACME), 0, 99).unwrap();
    let own = entries.iter().filter(|entry| entry.action != "before");
    let done: Vec<_> = own.map(|entry| (&*entry.action, &*entry.details)).collect();
    assert_eq!(done, [("organization.change", "rpm_limit, max_budget")]);
}
