//! The proof that a permission was checked.

use std::marker::PhantomData;

use tollgate_domain::{ErrorKind, KeyId, OrgId, Permission, Role};

/// Who calls: authenticated, not yet allowed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The caller's organization: all that it can reach.
    pub org_id: OrgId,
    /// The API key that was used.
    pub key_id: KeyId,
    /// What the key may do.
    pub role: Role,
}

/// The caller may not do this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this API key may not do that")]
pub struct Denied;

impl Denied {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        ErrorKind::Forbidden
    }
}

/// A permission as a type.
pub trait PermissionType {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! permission_types {
    ($($name:ident)*) => {$(
        #[doc = concat!("[`Permission::", stringify!($name), "`] as a type.")]
        #[derive(Debug)]
        pub enum $name {}

        impl PermissionType for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

permission_types! { ModelsUse KeysRead KeysManage UsageRead OrgRead OrgManage }

/// Proof that a principal has the permission `P` within its organization. Functions that need the
/// permission take this, and the organization from it, so that neither can be forgotten.
#[derive(Debug)]
pub struct Granted<P> {
    principal: Principal,
    permission: PhantomData<P>,
}

impl<P: PermissionType> Granted<P> {
    /// Checks the permission; there is no other way to make this.
    ///
    /// # Errors
    /// When the principal's role does not have it.
    pub fn check(principal: Principal) -> Result<Self, Denied> {
        if principal.role.allows(P::PERMISSION) {
            Ok(Self {
                principal,
                permission: PhantomData,
            })
        } else {
            Err(Denied)
        }
    }

    /// Returns the organization that it is granted for.
    #[must_use]
    pub const fn org_id(&self) -> OrgId {
        self.principal.org_id
    }

    /// Returns who it is granted to.
    #[must_use]
    pub const fn principal(&self) -> Principal {
        self.principal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_role_lacks_is_denied() {
        let member = Principal {
            org_id: OrgId::from_bytes([1; 16]),
            key_id: KeyId::from_bytes([2; 16]),
            role: Role::Member,
        };
        assert!(Granted::<ModelsUse>::check(member).is_ok());
        assert_eq!(Granted::<KeysManage>::check(member).unwrap_err(), Denied);
        assert_eq!(Granted::<UsageRead>::check(member).unwrap_err(), Denied);
    }

    fn check<P: PermissionType>() {
        for role in Role::ALL {
            let org_id = OrgId::from_bytes([1; 16]);
            let key_id = KeyId::from_bytes([2; 16]);
            let principal = Principal {
                org_id,
                key_id,
                role,
            };
            let granted = Granted::<P>::check(principal);
            assert_eq!(
                granted.is_ok(),
                role.allows(P::PERMISSION),
                "{role:?} {:?}",
                P::PERMISSION
            );
            let Ok(granted) = granted else { continue };
            assert_eq!((granted.org_id(), granted.principal()), (org_id, principal));
        }
    }

    #[test]
    fn every_permission_is_granted_to_the_roles_that_have_it() {
        check::<ModelsUse>();
        check::<KeysRead>();
        check::<KeysManage>();
        check::<UsageRead>();
        check::<OrgRead>();
        check::<OrgManage>();
    }
}
