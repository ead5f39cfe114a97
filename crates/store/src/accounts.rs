//! Changes of people's accounts that are several writes, and one transaction.

use tollgate_domain::{AuditDraft, MAC_BYTES, OrgId, Organization, Role, Timestamp, User, UserId};

use crate::error::StoreError;

/// The first person of an installation, and what comes with them.
#[derive(Debug, Clone, Copy)]
pub struct FirstPerson<'a> {
    /// The digest of the token that lets them in.
    pub token: &'a [u8; MAC_BYTES],
    /// Who they are.
    pub user: &'a User,
    /// The organization that is made for them when there is none.
    pub organization: &'a Organization,
    /// Their role in it, or in the oldest one that there is.
    pub role: Role,
    /// What is written down of an organization that is made, in its chain.
    pub made: &'a AuditDraft,
    /// What is written down of their membership, in the chain of the organization that it is in.
    pub joined: &'a AuditDraft,
}

/// Keeps what must be changed together or not at all.
pub trait AccountStore: Send + Sync {
    /// Lets the first person in: uses the token up, adds them, and puts them into the oldest
    /// organization, or into the one given when there is none. Of several at once one gets in. Advances
    /// the epoch. Returns the organization.
    ///
    /// # Errors
    /// `Missing` when there is no such token of a set-up, or it was used or has expired at `at`;
    /// `Conflict` when there is a person already, or the address or the organization's name is taken;
    /// `Invalid`. Nothing has changed then, and the token still works.
    fn set_up(
        &self,
        first: &FirstPerson<'_>,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<OrgId, StoreError>;

    /// Gives the owner of a token of a password reset another password: uses the token up, makes those in
    /// other letters void, ends all sessions, and forgets the sign-ins that failed. Advances the epoch.
    /// Returns whose password it is.
    ///
    /// # Errors
    /// `Missing` when there is no such token, it was used or has expired at `at`, or its owner is blocked
    /// or gone; `Invalid` when the hash is too long. Nothing has changed then.
    fn reset_password(
        &self,
        token: &[u8; MAC_BYTES],
        password_hash: &str,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<UserId, StoreError>;
}
