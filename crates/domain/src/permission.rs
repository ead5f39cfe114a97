//! What can be allowed, and the roles that allow it.

use serde::{Deserialize, Serialize};

use crate::event::UnknownName;

/// Something a principal may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Call models.
    ModelsUse,
    /// See the organization's API keys, never their secrets.
    KeysRead,
    /// Create and revoke the organization's API keys.
    KeysManage,
    /// See what the organization used and what it cost.
    UsageRead,
    /// See the organization, its limits and its budget.
    OrgRead,
    /// Change the organization's name, limits and budget.
    OrgManage,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] = [
        Self::ModelsUse,
        Self::KeysRead,
        Self::KeysManage,
        Self::UsageRead,
        Self::OrgRead,
        Self::OrgManage,
    ];
}

/// A named set of permissions within one organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything within the organization.
    OrgOwner,
    /// Calls models; sees and changes nothing else.
    Member,
    /// Sees keys and usage; calls nothing.
    Viewer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::OrgOwner, Self::Member, Self::Viewer];

    /// Returns whether this role has the permission. What is not listed is denied.
    #[must_use]
    pub const fn allows(self, permission: Permission) -> bool {
        match self {
            Self::OrgOwner => true,
            Self::Member => matches!(permission, Permission::ModelsUse),
            Self::Viewer => {
                matches!(
                    permission,
                    Permission::KeysRead | Permission::UsageRead | Permission::OrgRead
                )
            }
        }
    }

    /// Returns whether everything that `other` allows is allowed here too.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        Permission::ALL
            .into_iter()
            .all(|permission| self.allows(permission) || !other.allows(permission))
    }

    /// Returns the name used in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrgOwner => "org_owner",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownName { what: "role" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_covers_all_roles_and_a_member_not_a_viewer() {
        assert!(
            Role::ALL
                .into_iter()
                .all(|role| Role::OrgOwner.covers(role))
        );
        assert!(!Role::Member.covers(Role::Viewer));
        assert!(!Role::Viewer.covers(Role::Member));
    }
}
