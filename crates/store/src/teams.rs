//! Teams.

use tollgate_domain::{AuditDraft, OrgId, Team, TeamId, Timestamp};

use crate::error::StoreError;

/// How errors call a team.
pub const TEAM: &str = "a team with this id or name";

/// Keeps teams. Every change advances [`ApiKeyStore::auth_epoch`](crate::ApiKeyStore::auth_epoch).
pub trait TeamStore: Send + Sync {
    /// Adds a team, at version 1.
    ///
    /// # Errors
    /// `Conflict` when the id or the name is taken in its organization; `Missing` when that does not
    /// exist; `Invalid` when a text in it cannot be kept.
    fn add_team(&self, team: &Team, audit: &AuditDraft) -> Result<(), StoreError>;

    /// Returns this organization's team with this id, deleted or not.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_team(&self, org: OrgId, id: TeamId) -> Result<Option<Team>, StoreError>;

    /// Returns up to `limit` of this organization's teams that are not deleted after the one given,
    /// in the order of their ids.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_teams(
        &self,
        org: OrgId,
        after: Option<TeamId>,
        limit: u16,
    ) -> Result<Vec<Team>, StoreError>;

    /// Replaces the name, models, limits, budget and blocked state of a team that is not deleted, if
    /// it is at the version given with it. Returns the new version.
    ///
    /// # Errors
    /// `Missing`; `Outdated` when it is at another version; `Conflict` when the name is taken;
    /// `Invalid`.
    fn update_team(&self, team: &Team, audit: &AuditDraft) -> Result<u64, StoreError>;

    /// Deletes a team and its memberships; its keys stay, and may do nothing. One that is deleted
    /// already stays as it is. Returns the team, or `None` when the organization has no such team.
    ///
    /// # Errors
    /// When the backend fails.
    fn delete_team(
        &self,
        org: OrgId,
        id: TeamId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<Team>, StoreError>;
}
