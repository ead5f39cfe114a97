//! API keys.

use tollgate_domain::{ApiKey, KeyId, OrgId, Timestamp};

use crate::error::StoreError;

/// How errors call a key.
pub const API_KEY: &str = "an API key with this id";

/// Keeps API keys: their digests, never their secrets.
pub trait ApiKeyStore: Send + Sync {
    /// Adds a key and advances the epoch.
    ///
    /// # Errors
    /// `Conflict` when the id or the public id is taken; `Missing` when the organization does not
    /// exist; `Invalid` when a text in it cannot be kept.
    fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// Returns the key with this public id, revoked or not. The only look-up that is not limited
    /// to an organization: it is how a caller's organization is found.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_api_key_by_public_id(&self, public_id: &str) -> Result<Option<ApiKey>, StoreError>;

    /// Returns this organization's key with this id, revoked or not.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_api_key(&self, org: OrgId, id: KeyId) -> Result<Option<ApiKey>, StoreError>;

    /// Returns up to `limit` of this organization's keys after the one given, in the order of their
    /// ids: oldest first, as ids are time-ordered.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_api_keys(
        &self,
        org: OrgId,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError>;

    /// Revokes this organization's key and advances the epoch; a key that is revoked already stays
    /// as it is. Returns the key, or `None` when the organization has no such key.
    ///
    /// # Errors
    /// When the backend fails.
    fn revoke_api_key(
        &self,
        org: OrgId,
        id: KeyId,
        at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// Returns a number that grows with every change to keys or organizations, in the same
    /// transaction as the change. What was cached under a smaller number may be out of date.
    ///
    /// # Errors
    /// When the backend fails.
    fn auth_epoch(&self) -> Result<u64, StoreError>;
}
