//! What a request of the administration says, in its headers, its query and its body: nothing panics, and
//! what is read keeps its bounds.
#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use tollgate_validation::{
    ApiKeyChange, AuditQuery, Expected, ExportQuery, IdempotencyKey, KeyRotation, KeysQuery,
    MemberChange, NewApiKey, NewInvitation, NewOrganization, NewRole, NewServiceAccount, NewTeam,
    PageQuery, RoleChange, TeamChange, TeamPlace, TenantChange, Valid, entity_tag,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(Expected::Version(version)) = Expected::parse(data) {
        let again = Expected::parse(entity_tag(version).as_bytes());
        assert_eq!(again, Ok(Expected::Version(version)));
    }
    if let Ok(key) = IdempotencyKey::parse(data) {
        assert_eq!(key.as_str().as_bytes(), data);
    }
    if let Ok(query) = std::str::from_utf8(data) {
        if let Ok(page) = PageQuery::from_query(query) {
            assert!((1..=200).contains(&page.limit));
        }
        black_box(KeysQuery::from_query(query).is_ok());
        black_box(AuditQuery::from_query(query).is_ok());
        black_box(ExportQuery::from_query(query).is_ok());
    }
    if let Ok(key) = Valid::<NewApiKey>::from_json(data) {
        assert!(key.tags.len() <= 16 && key.allowed_ips.len() <= 64);
    }
    if let Ok(rotation) = Valid::<KeyRotation>::from_json(data) {
        assert!(rotation.overlap_seconds <= 86_400);
    }
    black_box(Valid::<ApiKeyChange>::from_json(data).is_ok());
    black_box(Valid::<NewTeam>::from_json(data).is_ok());
    black_box(Valid::<TeamChange>::from_json(data).is_ok());
    black_box(Valid::<TeamPlace>::from_json(data).is_ok());
    black_box(Valid::<NewRole>::from_json(data).is_ok());
    black_box(Valid::<RoleChange>::from_json(data).is_ok());
    black_box(Valid::<MemberChange>::from_json(data).is_ok());
    black_box(Valid::<NewServiceAccount>::from_json(data).is_ok());
    black_box(Valid::<NewInvitation>::from_json(data).is_ok());
    black_box(Valid::<NewOrganization>::from_json(data).is_ok());
    black_box(Valid::<TenantChange>::from_json(data).is_ok());
});
