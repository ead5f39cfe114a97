//! Roles: those that every installation has, and those that an organization makes.

use serde::Serialize;
use tollgate_auth::{Granted, Reach, RolesManage, RolesRead};
use tollgate_domain::{
    AuditDraft, CustomRole, OrgId, PermissionSet, Role, RoleId, RoleRef, Timestamp,
};
use tollgate_validation::{Expected, NewRole, PageQuery, RoleChange, Valid};
use uuid::Uuid;

use crate::control::{Control, Versioned, check_version, composed};
use crate::error::ControlError;
use crate::limits::given_names;
use crate::views::Page;

/// A role that every installation has.
#[derive(Debug, Clone, Serialize)]
pub struct BuiltinRoleView {
    /// The role, as it is given to keys and members.
    pub role: RoleRef,
    /// What it allows.
    pub permissions: PermissionSet,
}

/// A role that the organization made.
#[derive(Debug, Clone, Serialize)]
pub struct RoleView {
    /// The role, as it is given to keys and members.
    pub id: RoleId,
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub permissions: PermissionSet,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with every change, from 1.
    pub version: u64,
}

/// The roles that every installation has, and one page of the organization's own.
#[derive(Debug, Clone, Serialize)]
pub struct Roles {
    /// Those that every installation has.
    pub builtin: Vec<BuiltinRoleView>,
    /// The page.
    #[serde(flatten)]
    pub own: Page<RoleView>,
}

impl From<CustomRole> for RoleView {
    fn from(role: CustomRole) -> Self {
        Self {
            id: role.id,
            name: role.name,
            permissions: role.permissions,
            created_at: role.created_at,
            version: role.version,
        }
    }
}

impl Versioned for RoleView {
    fn version(&self) -> u64 {
        self.version
    }
}

impl Control {
    /// Lists the roles that there are.
    ///
    /// # Errors
    /// `Input` when the cursor is not one of ours; a store's error.
    pub fn list_roles(
        &self,
        reach: &Reach<RolesRead>,
        page: &PageQuery,
    ) -> Result<Roles, ControlError> {
        let (after, limit) = (page.after()?, page.limit.saturating_add(1));
        let own = self.store.list_roles(reach.org_id(), after, limit)?;
        let views = own.into_iter().map(RoleView::from).collect();
        let builtin = Role::ALL.into_iter().map(|role| BuiltinRoleView {
            role: role.into(),
            permissions: role.permissions(),
        });
        Ok(Roles {
            builtin: builtin.collect(),
            own: Page::cut(views, page.limit, |role: &RoleView| role.id.to_string()),
        })
    }

    /// Returns a role that the organization made.
    ///
    /// # Errors
    /// `NotFound` when there is none; a store's error.
    pub fn role(&self, reach: &Reach<RolesRead>, id: RoleId) -> Result<RoleView, ControlError> {
        self.own_role(reach.org_id(), id).map(RoleView::from)
    }

    /// Makes a role that allows nothing that its maker may not do.
    ///
    /// # Errors
    /// `Exceeds`; `Conflict` when the name is taken; a store's error.
    pub fn create_role(
        &self,
        granted: &Granted<RolesManage>,
        input: Valid<NewRole>,
        now: Timestamp,
    ) -> Result<RoleView, ControlError> {
        let input = input.into_inner();
        let giver = self.giver(granted.principal(), now)?;
        giver.check_rights(input.permissions, None, None)?;
        let role = CustomRole {
            id: RoleId::new(Uuid::now_v7()),
            org_id: granted.org_id(),
            name: composed(&input.name)?,
            permissions: input.permissions,
            created_at: now,
            version: 1,
        };
        let audit = self.done(granted.principal(), "role.create", role.id, now);
        self.store.add_role(&role, &audit)?;
        Ok(role.into())
    }

    /// Changes a role: neither as it was nor as it will be may it allow more than whoever changes it may
    /// do. Who has it gains or loses the rights at once.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Exceeds`; `Conflict` when the name is taken; a store's error.
    pub fn change_role(
        &self,
        granted: &Granted<RolesManage>,
        id: RoleId,
        input: Valid<RoleChange>,
        expected: Expected,
        now: Timestamp,
    ) -> Result<RoleView, ControlError> {
        let input = input.into_inner();
        let old = self.own_role(granted.org_id(), id)?;
        let giver = self.giver(granted.principal(), now)?;
        giver.check_taken(old.permissions, None)?;
        let permissions = input.permissions.unwrap_or(old.permissions);
        giver.check_rights(permissions, None, None)?;
        check_version(expected, old.version)?;
        let details = given_names([
            ("name", input.name.is_some()),
            ("permissions", input.permissions.is_some()),
        ]);
        let name = input.name.as_deref().map(composed).transpose()?;
        let changed = CustomRole {
            name: name.unwrap_or(old.name),
            permissions,
            ..old
        };
        let audit = AuditDraft {
            details,
            ..self.done(granted.principal(), "role.change", id, now)
        };
        let version = self.store.update_role(&changed, &audit);
        let version = version.map_err(|error| ControlError::changing(expected, error))?;
        Ok(CustomRole { version, ..changed }.into())
    }

    /// Deletes a role that nobody has.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Conflict` while a key, a member or an invitation has it; a store's error.
    pub fn delete_role(
        &self,
        granted: &Granted<RolesManage>,
        id: RoleId,
        expected: Expected,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let found = self.own_role(granted.org_id(), id)?;
        check_version(expected, found.version)?;
        let audit = self.done(granted.principal(), "role.delete", id, now);
        if self.store.remove_role(granted.org_id(), id, &audit)? {
            Ok(())
        } else {
            Err(ControlError::NotFound("role"))
        }
    }

    fn own_role(&self, org: OrgId, id: RoleId) -> Result<CustomRole, ControlError> {
        self.store
            .find_role(org, id)?
            .ok_or(ControlError::NotFound("role"))
    }
}
