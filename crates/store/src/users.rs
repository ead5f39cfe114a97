//! People and service accounts.

use tollgate_domain::{AuditDraft, MAC_BYTES, Timestamp, User, UserId};

use crate::error::StoreError;

/// How errors call a user.
pub const USER: &str = "a user with this id or address";

/// A sealed second factor, and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewrappedTotp {
    /// Whose.
    pub user_id: UserId,
    /// The sealed bytes that were read.
    pub from: Vec<u8>,
    /// The bytes to keep.
    pub to: Vec<u8>,
}

/// Keeps users, who may be in several organizations.
pub trait UserStore: Send + Sync {
    /// Adds a user, at version 1, and advances the epoch.
    ///
    /// # Errors
    /// `Conflict` when the id or the address is taken; `Invalid` when a value in it cannot be kept.
    fn add_user(&self, user: &User, audit: &AuditDraft) -> Result<(), StoreError>;

    /// Returns the user with this id, deleted or not.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// Returns the user with this address, in its canonical form.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_user_by_email(&self, email: &str) -> Result<Option<User>, StoreError>;

    /// Returns up to `limit` users that are not deleted after the one given, in the order of their
    /// ids.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_users(&self, after: Option<UserId>, limit: u16) -> Result<Vec<User>, StoreError>;

    /// Replaces the address, name, password, second factor, and whether they run the installation or
    /// are blocked, of a user that is not deleted and is at the version given with it; advances the
    /// epoch. What sign-ins count stays as it is, but for a new second factor, which begins with no
    /// step used. Returns the new version.
    ///
    /// # Errors
    /// `Missing`; `Outdated` when it is at another version; `Conflict` when the address is taken;
    /// `Invalid`.
    fn update_user(&self, user: &User, audit: &AuditDraft) -> Result<u64, StoreError>;

    /// Deletes a user: address, password, second factor, identities and memberships are gone, sessions
    /// are revoked, and the epoch advances. One that is deleted already stays as it is. Returns the user,
    /// or `None` when there is none.
    ///
    /// # Errors
    /// When the backend fails.
    fn delete_user(
        &self,
        id: UserId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<User>, StoreError>;

    /// Counts a sign-in that failed. Returns how many failed since the last that did not, held at the
    /// end of the range; `None` when there is no such user.
    ///
    /// # Errors
    /// When the backend fails.
    fn count_failed_sign_in(&self, id: UserId, at: Timestamp) -> Result<Option<u32>, StoreError>;

    /// Forgets the sign-ins that failed.
    ///
    /// # Errors
    /// When the backend fails.
    fn clear_failed_sign_ins(&self, id: UserId) -> Result<(), StoreError>;

    /// Takes a time step of the second factor. Returns whether no step as late was taken before: of
    /// two that present one code, one gets in.
    ///
    /// # Errors
    /// `Invalid` when the step does not fit 63 bits.
    fn use_totp_step(&self, id: UserId, step: u64) -> Result<bool, StoreError>;

    /// Replaces the sealed second factors of these users, each unless it is another one by now; a deleted
    /// user has none. It is the same factor sealed anew: the steps that were used stay so. Users' versions
    /// grow, so that whoever read them before cannot bring the old bytes back. Returns how many.
    ///
    /// # Errors
    /// When the backend fails.
    fn rewrap_totps(
        &self,
        totps: &[RewrappedTotp],
        audit: &AuditDraft,
    ) -> Result<usize, StoreError>;

    /// Takes a recovery code. Returns whether it was there: each works once. The user's version grows,
    /// so that whoever read them before cannot bring the code back.
    ///
    /// # Errors
    /// When the backend fails.
    fn use_recovery_code(
        &self,
        id: UserId,
        mac: &[u8; MAC_BYTES],
        audit: &AuditDraft,
    ) -> Result<bool, StoreError>;
}
