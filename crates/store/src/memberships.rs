//! Who is in which organization and team.

use tollgate_domain::{AuditDraft, Membership, OrgId, TeamId, TeamMembership, UserId};

use crate::error::StoreError;

/// How errors call a membership.
pub const MEMBERSHIP: &str = "the organization, team, role or member";

/// How errors call the member that an organization cannot be without.
pub const LAST_OWNER: &str = "the last owner of the organization";

/// Keeps memberships. An organization that has a member with the role `org_owner` keeps one: of two
/// changes at once that would leave it without, one fails. Only when a user is deleted it may be left
/// without.
/// Every change advances
/// [`ApiKeyStore::auth_epoch`](crate::ApiKeyStore::auth_epoch).
pub trait MembershipStore: Send + Sync {
    /// Puts a user into an organization, or gives a member another role.
    ///
    /// # Errors
    /// `Missing` when the organization, the user or a role of its own does not exist, or the user is a
    /// service account of another; `Needed` when they are the last owner, and would not be.
    fn set_membership(&self, member: &Membership, audit: &AuditDraft) -> Result<(), StoreError>;

    /// Returns a user's place in an organization.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_membership(&self, org: OrgId, user: UserId) -> Result<Option<Membership>, StoreError>;

    /// Returns up to `limit` of this organization's members after the one given, in the order of their
    /// ids.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_members(
        &self,
        org: OrgId,
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Vec<Membership>, StoreError>;

    /// Returns a user's places in all organizations, in the order of the organizations' ids, up to
    /// [`LIST_MAX`](crate::LIST_MAX).
    ///
    /// # Errors
    /// When the backend fails.
    fn list_memberships_of(&self, user: UserId) -> Result<Vec<Membership>, StoreError>;

    /// Takes a user out of an organization and all of its teams. Returns whether they were in it.
    ///
    /// # Errors
    /// `Needed` when they are the last owner.
    fn remove_membership(
        &self,
        org: OrgId,
        user: UserId,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError>;

    /// Puts a member of the organization into a team, or gives them another role there.
    ///
    /// # Errors
    /// `Missing` when the organization has no such team that is not deleted, or no such member.
    fn set_team_membership(
        &self,
        member: &TeamMembership,
        audit: &AuditDraft,
    ) -> Result<(), StoreError>;

    /// Returns up to `limit` members of this organization's team after the one given, in the order of
    /// their ids.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_team_members(
        &self,
        org: OrgId,
        team: TeamId,
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Vec<TeamMembership>, StoreError>;

    /// Returns a user's places in the teams of an organization, in the order of the teams' ids, up to
    /// [`LIST_MAX`](crate::LIST_MAX): whoever is in more has no rights in the others.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_team_memberships_of(
        &self,
        org: OrgId,
        user: UserId,
    ) -> Result<Vec<TeamMembership>, StoreError>;

    /// Takes a user out of a team. Returns whether they were in it.
    ///
    /// # Errors
    /// When the backend fails.
    fn remove_team_membership(
        &self,
        org: OrgId,
        team: TeamId,
        user: UserId,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError>;
}
