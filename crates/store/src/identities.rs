//! Who somebody is with an identity provider.

use tollgate_domain::{AuditDraft, Timestamp, UserId};

use crate::error::StoreError;

/// How errors call an identity.
pub const USER_IDENTITY: &str = "this identity, or its user";

/// Who a user is with an identity provider. Its issuer and subject are the whole of it: an address says
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentity {
    /// The identity provider.
    pub issuer: String,
    /// The user's name there, which is never given to anybody else.
    pub subject: String,
    /// The user.
    pub user_id: UserId,
    /// When they were joined.
    pub created_at: Timestamp,
}

/// Keeps who users are with identity providers. A user who is deleted leaves none.
pub trait UserIdentityStore: Send + Sync {
    /// Adds an identity.
    ///
    /// # Errors
    /// `Conflict` when it is taken; `Missing` when the user does not exist; `Invalid` when a text is too
    /// long.
    fn add_user_identity(
        &self,
        identity: &UserIdentity,
        audit: &AuditDraft,
    ) -> Result<(), StoreError>;

    /// Returns who has this identity.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_user_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<UserIdentity>, StoreError>;

    /// Returns a user's identities, in the order of issuer and subject, up to
    /// [`LIST_MAX`](crate::LIST_MAX).
    ///
    /// # Errors
    /// When the backend fails.
    fn list_user_identities(&self, user: UserId) -> Result<Vec<UserIdentity>, StoreError>;

    /// Takes an identity from a user. Returns whether they had it.
    ///
    /// # Errors
    /// When the backend fails.
    fn remove_user_identity(
        &self,
        user: UserId,
        issuer: &str,
        subject: &str,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError>;
}
