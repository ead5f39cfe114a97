//! Invitations into organizations.

use tollgate_domain::{AuditDraft, Invitation, InvitationId, MAC_BYTES, OrgId, Timestamp, UserId};

use crate::error::StoreError;

/// How errors call an invitation.
pub const INVITATION: &str = "an invitation with this id or token";

/// Keeps invitations: the digests of their tokens, never the tokens.
pub trait InvitationStore: Send + Sync {
    /// Adds an invitation.
    ///
    /// # Errors
    /// `Conflict` when the id or the token is taken; `Missing` when the organization does not exist;
    /// `Invalid` when the address cannot be kept.
    fn add_invitation(&self, invitation: &Invitation, audit: &AuditDraft)
    -> Result<(), StoreError>;

    /// Returns this organization's invitation with this id, open or not.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_invitation(
        &self,
        org: OrgId,
        id: InvitationId,
    ) -> Result<Option<Invitation>, StoreError>;

    /// Returns the invitation with this token, open or not, of whichever organization.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_invitation_by_mac(
        &self,
        mac: &[u8; MAC_BYTES],
    ) -> Result<Option<Invitation>, StoreError>;

    /// Returns up to `limit` of this organization's invitations after the one given, in the order of
    /// their ids.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_invitations(
        &self,
        org: OrgId,
        after: Option<InvitationId>,
        limit: u16,
    ) -> Result<Vec<Invitation>, StoreError>;

    /// Takes an invitation back; one that was accepted or taken back already stays as it is. Returns
    /// the invitation, or `None` when the organization has no such invitation.
    ///
    /// # Errors
    /// When the backend fails.
    fn revoke_invitation(
        &self,
        org: OrgId,
        id: InvitationId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<Invitation>, StoreError>;

    /// Lets a user in: marks the invitation as accepted and puts the user into the organization, in one
    /// transaction, and advances the epoch. Who is a member already keeps the role they have; a team
    /// that is deleted by now is left out. Returns whether the invitation was open.
    ///
    /// # Errors
    /// `Missing` when the user does not exist.
    fn accept_invitation(
        &self,
        org: OrgId,
        id: InvitationId,
        user: UserId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError>;
}
