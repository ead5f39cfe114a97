//! Organizations.

use tollgate_domain::{AuditDraft, OrgId, Organization};

use crate::error::StoreError;

/// How errors call an organization.
pub const ORGANIZATION: &str = "an organization with this id or name";

/// Keeps organizations.
pub trait OrganizationStore: Send + Sync {
    /// Adds an organization, at version 1, and advances
    /// [`ApiKeyStore::auth_epoch`](crate::ApiKeyStore::auth_epoch). The entry may be in its chain or
    /// in the installation's.
    ///
    /// # Errors
    /// `Conflict` when the id or the name is taken; `Invalid` when the name cannot be kept.
    fn add_organization(
        &self,
        organization: &Organization,
        audit: &AuditDraft,
    ) -> Result<(), StoreError>;

    /// Returns the organization with this id.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_organization(&self, id: OrgId) -> Result<Option<Organization>, StoreError>;

    /// Returns the organization with this name.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_organization_by_name(&self, name: &str) -> Result<Option<Organization>, StoreError>;

    /// Returns up to `limit` organizations after the one given, in the order of their ids.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_organizations(
        &self,
        after: Option<OrgId>,
        limit: u16,
    ) -> Result<Vec<Organization>, StoreError>;

    /// Replaces the name, limits, budget and blocked state of an organization that is at the version
    /// given with it, and advances [`ApiKeyStore::auth_epoch`](crate::ApiKeyStore::auth_epoch).
    /// Returns the new version.
    ///
    /// # Errors
    /// `Missing` when there is none with this id; `Outdated` when it is at another version; `Conflict`
    /// when the name is taken; `Invalid` when it cannot be kept.
    fn update_organization(
        &self,
        organization: &Organization,
        audit: &AuditDraft,
    ) -> Result<u64, StoreError>;
}
