//! Roles: the built-in ones, and those that an organization makes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::UnknownName;
use crate::ids::{OrgId, RoleId};
use crate::permission::{Permission, PermissionSet};
use crate::time::Timestamp;

/// A named set of permissions that every installation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the installation: everything but the tenants' models and prompts.
    PlatformAdmin,
    /// Everything within the organization.
    OrgOwner,
    /// As the owner, without the organization itself and its prices.
    OrgAdmin,
    /// Sees usage and sets budgets.
    Billing,
    /// Runs a team: its keys, its people, its usage.
    TeamAdmin,
    /// Calls models; sees which ones there are.
    Member,
    /// Sees; calls and changes nothing.
    Viewer,
    /// Calls models, for a program.
    Service,
}

const READS: PermissionSet = PermissionSet::of(&[
    Permission::KeysRead,
    Permission::UsageRead,
    Permission::RequestsRead,
    Permission::OrgRead,
    Permission::TeamsRead,
    Permission::UsersRead,
    Permission::RolesRead,
    Permission::ProvidersRead,
    Permission::ModelsRead,
    Permission::GuardrailsRead,
    Permission::AlertsRead,
    Permission::SettingsRead,
]);

const OWNER: PermissionSet = PermissionSet::ALL
    .without(PermissionSet::PLATFORM)
    .without(PermissionSet::of(&[Permission::PromptsRead]));

impl Role {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::PlatformAdmin,
        Self::OrgOwner,
        Self::OrgAdmin,
        Self::Billing,
        Self::TeamAdmin,
        Self::Member,
        Self::Viewer,
        Self::Service,
    ];

    /// Returns what the role allows. What is not listed is denied.
    #[must_use]
    pub const fn permissions(self) -> PermissionSet {
        match self {
            Self::PlatformAdmin => PermissionSet::ALL.without(PermissionSet::of(&[
                Permission::ModelsUse,
                Permission::PromptsRead,
            ])),
            Self::OrgOwner => OWNER,
            Self::OrgAdmin => OWNER.without(PermissionSet::of(&[
                Permission::OrgManage,
                Permission::PricesManage,
            ])),
            Self::Billing => PermissionSet::of(&[
                Permission::UsageRead,
                Permission::OrgRead,
                Permission::KeysRead,
                Permission::TeamsRead,
                Permission::ModelsRead,
                Permission::BudgetsManage,
                Permission::AlertsRead,
                Permission::AlertsManage,
            ]),
            Self::TeamAdmin => PermissionSet::of(&[
                Permission::ModelsUse,
                Permission::ModelsRead,
                Permission::KeysRead,
                Permission::KeysManage,
                Permission::UsageRead,
                Permission::RequestsRead,
                Permission::TeamsRead,
                Permission::TeamsManage,
                Permission::UsersRead,
                Permission::UsersManage,
                Permission::RolesRead,
            ]),
            Self::Member => PermissionSet::of(&[Permission::ModelsUse, Permission::ModelsRead]),
            Self::Viewer => READS,
            Self::Service => PermissionSet::of(&[Permission::ModelsUse]),
        }
    }

    /// Returns whether this role has the permission.
    #[must_use]
    pub const fn allows(self, permission: Permission) -> bool {
        self.permissions().contains(permission)
    }

    /// Returns whether everything that `other` allows is allowed here too.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.permissions().is_subset_of(self.permissions())
    }

    /// Returns the name used in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlatformAdmin => "platform_admin",
            Self::OrgOwner => "org_owner",
            Self::OrgAdmin => "org_admin",
            Self::Billing => "billing",
            Self::TeamAdmin => "team_admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
            Self::Service => "service",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownName { what: "role" })
    }
}

/// A role that an organization made for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomRole {
    /// Which role.
    pub id: RoleId,
    /// Whose role.
    pub org_id: OrgId,
    /// What people call it; unique within the organization.
    pub name: String,
    /// What it allows: nothing of [`PermissionSet::PLATFORM`].
    pub permissions: PermissionSet,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with every change, from 1.
    pub version: u64,
}

/// A role by its name or id, written as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoleRef {
    /// One that every installation has.
    Builtin(Role),
    /// One that the organization made.
    Custom(RoleId),
}

impl From<Role> for RoleRef {
    fn from(role: Role) -> Self {
        Self::Builtin(role)
    }
}

impl fmt::Display for RoleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(role) => f.write_str(role.as_str()),
            Self::Custom(id) => id.fmt(f),
        }
    }
}

impl FromStr for RoleRef {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        text.parse().map(Self::Builtin).or_else(|unknown| {
            let id = text.parse().map_err(|_| unknown)?;
            Ok(Self::Custom(id))
        })
    }
}

impl Serialize for RoleRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RoleRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_covers_all_roles_within_an_organization_and_a_member_not_a_viewer() {
        for role in Role::ALL {
            assert_eq!(Role::OrgOwner.covers(role), role != Role::PlatformAdmin);
        }
        assert!(!Role::Member.covers(Role::Viewer));
        assert!(!Role::Viewer.covers(Role::Member));
        assert!(!Role::OrgAdmin.covers(Role::OrgOwner));
        assert!(!Role::PlatformAdmin.covers(Role::OrgOwner));
    }

    #[test]
    fn no_role_shows_prompts_and_only_one_runs_the_installation() {
        for role in Role::ALL {
            assert!(!role.allows(Permission::PromptsRead), "{role:?}");
            let is_platform = !(role.permissions())
                .intersect(PermissionSet::PLATFORM)
                .is_empty();
            assert_eq!(is_platform, role == Role::PlatformAdmin, "{role:?}");
        }
        assert!(!Role::PlatformAdmin.allows(Permission::ModelsUse));
    }

    #[test]
    fn a_viewer_changes_nothing() {
        let changes = Role::Viewer
            .permissions()
            .iter()
            .filter(|permission| !permission.as_str().ends_with(".read"));
        assert_eq!(changes.count(), 0);
    }

    #[test]
    fn a_role_reads_back_by_its_name_or_id() {
        let custom = RoleRef::Custom(RoleId::from_bytes([9; 16]));
        for role in Role::ALL.map(RoleRef::from).into_iter().chain([custom]) {
            assert_eq!(role.to_string().parse(), Ok(role));
            let json = serde_json::to_string(&role).unwrap();
            assert_eq!(serde_json::from_str::<RoleRef>(&json).unwrap(), role);
        }
        for role in Role::ALL {
            let json = serde_json::to_string(&role).unwrap();
            assert_eq!(json, format!("\"{}\"", role.as_str()));
        }
        for text in ["", "king", "role_", "org_09090909090909090909090909090909"] {
            assert!(text.parse::<RoleRef>().is_err(), "{text}");
        }
    }
}
