//! Roles that organizations make: never more than their maker may do.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use tollgate_auth::{Granted, Rights, RolesManage};
use tollgate_control::{ControlError, RoleView};
use tollgate_domain::{ErrorKind, Permission, PermissionSet, Role};
use tollgate_validation::{Expected, NewRole, RoleChange, Valid};

use crate::desk::{ACME, Desk, NOW, OTHER, first_page, granted, kind, owner, owner_key, reach};

fn create(
    desk: &Desk,
    by: &Granted<RolesManage>,
    permissions: PermissionSet,
) -> Result<RoleView, ControlError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let input = Valid::check(NewRole {
        name: format!("role {}", NEXT.fetch_add(1, Ordering::Relaxed)),
        permissions,
    });
    desk.control.create_role(by, input.unwrap(), NOW)
}

fn change(
    desk: &Desk,
    by: &Granted<RolesManage>,
    id: tollgate_domain::RoleId,
    permissions: PermissionSet,
) -> Result<RoleView, ControlError> {
    let input = Valid::check(RoleChange {
        name: None,
        permissions: Some(permissions),
    });
    desk.control
        .change_role(by, id, input.unwrap(), Expected::Any, NOW)
}

/// The owner's key, as if it had these rights.
fn with(permissions: PermissionSet) -> Granted<RolesManage> {
    let mut principal = owner(ACME);
    principal.rights = Rights::new(PermissionSet::EMPTY, permissions, Vec::new());
    Granted::check(principal).unwrap()
}

#[test]
fn a_role_is_made_seen_changed_and_deleted() {
    let desk = Desk::new();
    let by = granted::<RolesManage>(ACME);
    let reads = PermissionSet::of(&[Permission::KeysRead]);
    let made = create(&desk, &by, reads).unwrap();
    assert_eq!(
        desk.control
            .role(&reach(ACME), made.id)
            .unwrap()
            .permissions,
        reads
    );
    let wider = PermissionSet::of(&[Permission::KeysRead, Permission::UsageRead]);
    let changed = change(&desk, &by, made.id, wider).unwrap();
    assert_eq!((changed.permissions, changed.version), (wider, 2));
    let page = desk
        .control
        .list_roles(&reach(ACME), &first_page())
        .unwrap();
    assert_eq!(
        (page.builtin.len(), page.own.data.len()),
        (Role::ALL.len(), 1)
    );
    let other = desk
        .control
        .list_roles(&reach(OTHER), &first_page())
        .unwrap();
    assert!(other.own.data.is_empty());
    let delete = |expected| desk.control.delete_role(&by, made.id, expected, NOW);
    assert!(matches!(
        delete(Expected::Version(1)),
        Err(ControlError::Stale)
    ));
    delete(Expected::Version(2)).unwrap();
    assert_eq!(kind(&delete(Expected::Any)), Some(ErrorKind::NotFound));
}

#[test]
fn a_role_that_somebody_has_stays() {
    let desk = Desk::new();
    let by = granted::<RolesManage>(ACME);
    let made = create(&desk, &by, PermissionSet::EMPTY).unwrap();
    let mut key = desk.bare_key(ACME, owner_key(OTHER), Role::Member);
    key.id = tollgate_domain::KeyId::from_bytes([8; 16]);
    key.role = tollgate_domain::RoleRef::Custom(made.id);
    desk.keep(&key);
    let refused = desk.control.delete_role(&by, made.id, Expected::Any, NOW);
    assert_eq!(kind(&refused), Some(ErrorKind::Conflict));
}

#[test]
fn no_organization_hands_out_the_installation() {
    let desk = Desk::new();
    for permission in [Permission::PlatformManage, Permission::PlatformAudit] {
        let made = create(&desk, &granted(ACME), PermissionSet::of(&[permission]));
        assert_eq!(kind(&made), Some(ErrorKind::Forbidden));
    }
}

fn sets() -> impl Strategy<Value = PermissionSet> {
    let all = [
        Permission::RolesManage,
        Permission::KeysRead,
        Permission::KeysManage,
        Permission::OrgManage,
        Permission::PlatformManage,
    ];
    let picked = prop::sample::subsequence(all.to_vec(), 0..=all.len());
    picked.prop_map(|picked| picked.into_iter().collect())
}

proptest! {
    /// Neither what a role was nor what it becomes is more than whoever makes or changes it may do.
    #[test]
    fn t_attenuate_a_role_has_no_more_than_whoever_makes_or_changes_it(
        maker in sets(), first in sets(), second in sets(),
    ) {
        let desk = Desk::new();
        let own = maker.union(PermissionSet::of(&[Permission::RolesManage]));
        let allowed = own.without(PermissionSet::PLATFORM);
        let by = with(own);
        let made = create(&desk, &by, first);
        prop_assert_eq!(made.is_ok(), first.is_subset_of(allowed));
        let first = first.without(PermissionSet::PLATFORM);
        if let Ok(before) = create(&desk, &granted(ACME), first) {
            let changed = change(&desk, &by, before.id, second);
            let is_within = first.is_subset_of(allowed) && second.is_subset_of(allowed);
            prop_assert_eq!(changed.is_ok(), is_within);
        }
    }
}
