//! From claims to places in organizations.

use serde_json::{Value, json};
use tollgate_auth::{ClaimMapping, ClaimMappingError, ClaimMappings, MappedRole, NotMapped};
use tollgate_domain::{OrgId, Role, TeamId};

use crate::check;

const ORG: OrgId = OrgId::from_bytes([1; 16]);
const TEAM: TeamId = TeamId::from_bytes([2; 16]);

fn mapping(claim: &str, value: &str, team_id: Option<TeamId>, role: Role) -> ClaimMapping {
    ClaimMapping {
        claim: claim.to_owned(),
        value: value.to_owned(),
        org_id: ORG,
        team_id,
        role,
    }
}

fn apply(claims: &Value) -> Result<Vec<MappedRole>, NotMapped> {
    let mappings = ClaimMappings::new(vec![
        mapping("groups", "admins", None, Role::OrgOwner),
        mapping("groups", "search", Some(TEAM), Role::Member),
        mapping("department", "finance", None, Role::Viewer),
        mapping("/realm_access/roles", "viewer", None, Role::Viewer),
        mapping("https://id.example/role", "viewer", None, Role::Viewer),
    ]);
    mappings.unwrap().apply(&check(claims).unwrap())
}

fn place(team_id: Option<TeamId>, role: Role) -> MappedRole {
    MappedRole {
        org_id: ORG,
        team_id,
        role,
    }
}

#[test]
fn claims_give_the_places_of_their_values() {
    let owner = place(None, Role::OrgOwner);
    let (member, viewer) = (place(Some(TEAM), Role::Member), place(None, Role::Viewer));
    for (claims, expected) in [
        (json!({"groups": ["admins"]}), vec![owner]),
        (json!({"groups": "admins"}), vec![owner]),
        (
            json!({"groups": ["other", "search", "admins"]}),
            vec![owner, member],
        ),
        (json!({"department": "finance"}), vec![viewer]),
        (
            json!({"realm_access": {"roles": ["a", "viewer"]}}),
            vec![viewer],
        ),
        (json!({"https://id.example/role": "viewer"}), vec![viewer]),
        (
            json!({"department": "finance", "realm_access": {"roles": "viewer"}}),
            vec![viewer],
        ),
    ] {
        assert_eq!(apply(&claims), Ok(expected), "{claims}");
    }
}

#[test]
fn what_is_not_mapped_is_denied() {
    for claims in [
        json!({}),
        json!({"groups": []}),
        json!({"groups": ["Admins", "admins ", "admin", ""]}),
        json!({"groups": "admins,search"}),
        json!({"groups": {"admins": true}}),
        json!({"groups": [["admins"]]}),
        json!({"groups": true}),
        json!({"roles": ["admins"]}),
        json!({"realm_access": ["viewer"]}),
        json!({"/realm_access/roles": "viewer"}),
    ] {
        assert_eq!(apply(&claims), Err(NotMapped), "{claims}");
    }
    let nothing = ClaimMappings::default();
    assert_eq!(
        nothing.apply(&check(&json!({"groups": "admins"})).unwrap()),
        Err(NotMapped)
    );
    assert_eq!(NotMapped.kind(), tollgate_domain::ErrorKind::Forbidden);
}

#[test]
fn mappings_are_data_with_bounds() {
    let text = r#"{"claim":"groups","value":"admins","org_id":"org_01010101010101010101010101010101",
        "role":"org_owner"}"#;
    let read: ClaimMapping = serde_json::from_str(text).unwrap();
    assert_eq!(read, mapping("groups", "admins", None, Role::OrgOwner));
    let written = serde_json::to_string(&read).unwrap();
    assert_eq!(
        serde_json::from_str::<ClaimMapping>(&written).unwrap(),
        read
    );
    assert!(serde_json::from_str::<ClaimMapping>(&text.replace("value", "values")).is_err());
    let many = |count| ClaimMappings::new(vec![read.clone(); count]).map(drop);
    assert_eq!(many(256), Ok(()));
    assert_eq!(many(257), Err(ClaimMappingError::TooMany));
    for (claim, value) in [
        ("", "a"),
        ("a", ""),
        (&*"c".repeat(257), "a"),
        ("a", &"v".repeat(1_025)),
    ] {
        let refused = ClaimMappings::new(vec![mapping(claim, value, None, Role::Viewer)]);
        assert_eq!(refused, Err(ClaimMappingError::Malformed));
    }
}

#[test]
fn an_address_counts_only_when_it_is_verified() {
    let email = |claims: Value| {
        let identity = check(&claims).unwrap();
        identity.verified_email().map(str::to_owned)
    };
    let ann = "ann@example.com";
    assert_eq!(
        email(json!({"email": ann, "email_verified": true})).as_deref(),
        Some(ann)
    );
    for verified in [json!(false), json!("true"), json!(1), json!(null)] {
        assert_eq!(
            email(json!({"email": ann, "email_verified": verified})),
            None
        );
    }
    assert_eq!(email(json!({"email_verified": true})), None);
}
