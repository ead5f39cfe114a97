//! The roles that organizations make.

use tollgate_domain::{AuditDraft, CustomRole, OrgId, RoleId};

use crate::error::StoreError;

/// How errors call a role.
pub const ROLE: &str = "a role with this id or name";

/// How errors call a role that somebody has.
pub const ROLE_IN_USE: &str = "a key, member or invitation with this role";

/// Keeps custom roles. Every change advances
/// [`ApiKeyStore::auth_epoch`](crate::ApiKeyStore::auth_epoch).
pub trait RoleStore: Send + Sync {
    /// Adds a role, at version 1.
    ///
    /// # Errors
    /// `Conflict` when the id or the name is taken in its organization; `Missing` when that does not
    /// exist; `Invalid` when the name cannot be kept, or it allows something of the installation's.
    fn add_role(&self, role: &CustomRole, audit: &AuditDraft) -> Result<(), StoreError>;

    /// Returns this organization's role with this id.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_role(&self, org: OrgId, id: RoleId) -> Result<Option<CustomRole>, StoreError>;

    /// Returns up to `limit` of this organization's roles after the one given, in the order of their
    /// ids.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_roles(
        &self,
        org: OrgId,
        after: Option<RoleId>,
        limit: u16,
    ) -> Result<Vec<CustomRole>, StoreError>;

    /// Replaces the name and permissions of a role that is at the version given with it. Returns the
    /// new version.
    ///
    /// # Errors
    /// `Missing`; `Outdated` when it is at another version; `Conflict` when the name is taken;
    /// `Invalid`.
    fn update_role(&self, role: &CustomRole, audit: &AuditDraft) -> Result<u64, StoreError>;

    /// Removes a role. Returns whether it was there.
    ///
    /// # Errors
    /// `Conflict` while a key that is not revoked, a member or an invitation that is neither accepted
    /// nor revoked has it.
    fn remove_role(&self, org: OrgId, id: RoleId, audit: &AuditDraft) -> Result<bool, StoreError>;
}
