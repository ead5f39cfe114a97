//! API keys.

use tollgate_domain::{ApiKey, AuditDraft, KeyId, KeyState, OrgId, TeamId, Timestamp, UserId};

use crate::error::StoreError;

/// How errors call a key.
pub const API_KEY: &str = "an API key with this id";

/// Which keys of an organization are listed. An empty filter lists all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Those of these teams, and none that belong to no team.
    pub teams: Option<Vec<TeamId>>,
    /// Those of this owner.
    pub owner: Option<UserId>,
    /// Those that are in this state at this time.
    pub state: Option<(KeyState, Timestamp)>,
}

impl KeyFilter {
    /// Returns whether a key is to be listed.
    #[must_use]
    pub fn matches(&self, key: &ApiKey) -> bool {
        let is_in = |teams: &Vec<TeamId>| key.team_id.is_some_and(|id| teams.contains(&id));
        self.teams.as_ref().is_none_or(is_in)
            && self.owner.is_none_or(|owner| key.owner == Some(owner))
            && self
                .state
                .is_none_or(|(state, now)| key.state(now) == state)
    }
}

/// Keeps API keys: their digests, never their secrets.
pub trait ApiKeyStore: Send + Sync {
    /// Adds a key, at version 1, and advances the epoch.
    ///
    /// # Errors
    /// `Conflict` when the id or the public id is taken; `Missing` when the organization does not
    /// exist; `Invalid` when a value in it cannot be kept. Whether its team, owner and role exist is
    /// looked up when it is used: it may do nothing without them.
    fn add_api_key(&self, key: &ApiKey, audit: &AuditDraft) -> Result<(), StoreError>;

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

    /// Returns up to `limit` of this organization's keys that the filter is for after the one given, in
    /// the order of their ids: oldest first, as ids are time-ordered.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_api_keys(
        &self,
        org: OrgId,
        filter: &KeyFilter,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError>;

    /// Replaces everything in a key but who made it and when, its organization, its public id and its
    /// revocation, if it is not revoked and at the version given with it; advances the epoch. Returns
    /// the new version.
    ///
    /// # Errors
    /// `Missing` when the organization has no such key that is not revoked; `Outdated` when it is at
    /// another version; `Invalid`.
    fn update_api_key(&self, key: &ApiKey, audit: &AuditDraft) -> Result<u64, StoreError>;

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
        audit: &AuditDraft,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// Returns a number that grows with every change to who may do what, in the same
    /// transaction as the change. What was cached under a smaller number may be out of date.
    ///
    /// # Errors
    /// When the backend fails.
    fn auth_epoch(&self) -> Result<u64, StoreError>;
}
