//! Sessions, and tokens that work once.

use tollgate_domain::{
    AuditDraft, MAC_BYTES, OneTimeToken, Session, SessionId, Timestamp, TokenPurpose, UserId,
};

use crate::error::StoreError;

/// How errors call a session.
pub const SESSION: &str = "a session with this id or token";

/// How errors call a token that works once.
pub const ONE_TIME_TOKEN: &str = "this token";

/// Keeps sessions: the digests of their tokens, never the tokens.
pub trait SessionStore: Send + Sync {
    /// Adds a session.
    ///
    /// # Errors
    /// `Conflict` when the id or the token is taken; `Missing` when the user does not exist; `Invalid`
    /// when the user agent is too long.
    fn add_session(&self, session: &Session, audit: &AuditDraft) -> Result<(), StoreError>;

    /// Returns the session with this token, live or not.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_session_by_mac(&self, mac: &[u8; MAC_BYTES]) -> Result<Option<Session>, StoreError>;

    /// Returns the session with this id, live or not.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// Returns up to `limit` of a user's sessions that are not revoked after the one given, in the
    /// order of their ids.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_sessions(
        &self,
        user: UserId,
        after: Option<SessionId>,
        limit: u16,
    ) -> Result<Vec<Session>, StoreError>;

    /// Notes that a session was used; never moves the time back.
    ///
    /// # Errors
    /// When the backend fails.
    fn touch_session(&self, id: SessionId, at: Timestamp) -> Result<(), StoreError>;

    /// Ends a user's session and advances the epoch. Returns whether it was not revoked before.
    ///
    /// # Errors
    /// When the backend fails.
    fn revoke_session(
        &self,
        user: UserId,
        id: SessionId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError>;

    /// Ends all sessions of a user but one, and advances the epoch. Returns how many.
    ///
    /// # Errors
    /// When the backend fails.
    fn revoke_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<usize, StoreError>;

    /// Ends every session and voids every token that works once, and advances the epoch, even when there
    /// are none: what was known before holds no longer. Returns how many sessions there were.
    ///
    /// # Errors
    /// When the backend fails.
    fn end_all_sessions(&self, at: Timestamp, audit: &AuditDraft) -> Result<usize, StoreError>;

    /// Forgets sessions that ended before this time. Returns how many.
    ///
    /// # Errors
    /// When the backend fails.
    fn remove_sessions(&self, ended_before: Timestamp) -> Result<usize, StoreError>;
}

/// Keeps tokens that work once: their digests, never the tokens.
pub trait OneTimeTokenStore: Send + Sync {
    /// Adds a token.
    ///
    /// # Errors
    /// `Conflict` when it is taken; `Missing` when the user does not exist.
    fn add_one_time_token(
        &self,
        token: &OneTimeToken,
        audit: &AuditDraft,
    ) -> Result<(), StoreError>;

    /// Returns the token for this purpose that was neither used nor has expired at `at`, and leaves it as
    /// it is: what comes before its use can be checked without using it up.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_one_time_token(
        &self,
        mac: &[u8; MAC_BYTES],
        purpose: TokenPurpose,
        at: Timestamp,
    ) -> Result<Option<OneTimeToken>, StoreError>;

    /// Uses a token up: of two that present it at once, one gets it. Returns it as it is now, or `None`
    /// when there is none for this purpose, or it was used or has expired at `at`.
    ///
    /// # Errors
    /// When the backend fails.
    fn use_one_time_token(
        &self,
        mac: &[u8; MAC_BYTES],
        purpose: TokenPurpose,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<OneTimeToken>, StoreError>;

    /// Uses up all tokens of a user for a purpose, so that those in older letters are void. Returns how
    /// many.
    ///
    /// # Errors
    /// When the backend fails.
    fn void_one_time_tokens(
        &self,
        user: UserId,
        purpose: TokenPurpose,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<usize, StoreError>;

    /// Forgets tokens that expired before this time. Returns how many.
    ///
    /// # Errors
    /// When the backend fails.
    fn remove_one_time_tokens(&self, expired_before: Timestamp) -> Result<usize, StoreError>;
}
