//! Organizations.

use tollgate_domain::{OrgId, Organization};

use crate::error::StoreError;

/// How errors call an organization.
pub const ORGANIZATION: &str = "an organization with this id or name";

/// Keeps organizations.
pub trait OrganizationStore: Send + Sync {
    /// Adds an organization, and advances
    /// [`ApiKeyStore::auth_epoch`](crate::ApiKeyStore::auth_epoch).
    ///
    /// # Errors
    /// `Conflict` when the id or the name is taken; `Invalid` when the name cannot be kept.
    fn add_organization(&self, organization: &Organization) -> Result<(), StoreError>;

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

    /// Replaces the name, limits, budget and blocked state of an organization, and advances
    /// [`ApiKeyStore::auth_epoch`](crate::ApiKeyStore::auth_epoch).
    ///
    /// # Errors
    /// `Missing` when there is none with this id; `Conflict` when the name is taken; `Invalid` when
    /// it cannot be kept.
    fn update_organization(&self, organization: &Organization) -> Result<(), StoreError>;
}
