//! Refresh tokens, and the keys that sign access tokens.

use std::fmt;

use tollgate_domain::{AuditDraft, MAC_BYTES, SessionId, Timestamp};

use crate::error::StoreError;
use crate::secrets::{SEALED_BYTES_MAX, SECRET_NAME_BYTES_MAX};

/// How errors call a refresh token.
pub const REFRESH_TOKEN: &str = "a refresh token, or its session";

/// The most signing keys that are kept.
pub const SIGNING_KEYS_MAX: u16 = 64;

/// A refresh token: its digest, never the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshToken {
    /// The digest.
    pub mac: [u8; MAC_BYTES],
    /// The session that it is of: its family.
    pub session_id: SessionId,
    /// How many tokens of the family were before it.
    pub generation: u32,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// When it was exchanged, and the digest of the token that it was exchanged for.
    pub used: Option<(Timestamp, [u8; MAC_BYTES])>,
}

/// Keeps refresh tokens. They are forgotten with their session.
pub trait RefreshTokenStore: Send + Sync {
    /// Adds a token that was not used.
    ///
    /// # Errors
    /// `Conflict` when it is taken; `Missing` when the session does not exist.
    fn add_refresh_token(&self, token: &RefreshToken, audit: &AuditDraft)
    -> Result<(), StoreError>;

    /// Returns the token with this digest, used or not.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_refresh_token(&self, mac: &[u8; MAC_BYTES])
    -> Result<Option<RefreshToken>, StoreError>;

    /// Marks a token as used and adds its successor, in one transaction. Returns whether it was not used
    /// before: of two that present it at once, one gets a successor. As an exchange is no change to who
    /// may do what, and happens every few minutes, nothing is written down of it.
    ///
    /// # Errors
    /// `Conflict` when the successor is taken.
    fn exchange_refresh_token(
        &self,
        mac: &[u8; MAC_BYTES],
        successor: &RefreshToken,
        at: Timestamp,
    ) -> Result<bool, StoreError>;
}

/// A private key that signs access tokens, sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSigningKey {
    /// Which one: the first is 0, and each later one follows the one before.
    pub generation: u32,
    /// The name of the key in tokens.
    pub kid: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    /// The id of the master key that it is sealed under, as it is shown.
    pub key_id: String,
    /// From when on it signs, until the next one does.
    pub signs_from: Timestamp,
}

impl fmt::Debug for SealedSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSigningKey")
            .field("generation", &self.generation)
            .field("kid", &self.kid)
            .field("key_id", &self.key_id)
            .field("signs_from", &self.signs_from)
            .finish_non_exhaustive()
    }
}

/// Keeps the keys that sign access tokens, sealed.
pub trait SigningKeyStore: Send + Sync {
    /// Adds these keys if none of their generations is there, and otherwise none of them: of several
    /// processes that make the same generation one has its way. Returns whether they were added.
    ///
    /// # Errors
    /// `Invalid` when a value cannot be kept.
    fn add_signing_keys(
        &self,
        keys: &[SealedSigningKey],
        audit: &AuditDraft,
    ) -> Result<bool, StoreError>;

    /// Returns the keys, from the first generation to the last, up to [`SIGNING_KEYS_MAX`].
    ///
    /// # Errors
    /// When the backend fails.
    fn list_signing_keys(&self) -> Result<Vec<SealedSigningKey>, StoreError>;

    /// Replaces the sealed bytes and the id of the master key of a generation while that is under the
    /// master key `under`. Returns whether it was.
    ///
    /// # Errors
    /// `Invalid`.
    fn reseal_signing_key(
        &self,
        key: &SealedSigningKey,
        under: &str,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError>;

    /// Forgets the keys of generations before this one. Returns how many.
    ///
    /// # Errors
    /// When the backend fails.
    fn remove_signing_keys(&self, before: u32, audit: &AuditDraft) -> Result<usize, StoreError>;
}

/// Returns whether a signing key can be kept by every backend.
///
/// # Errors
/// `Invalid`.
pub fn check_signing_key(key: &SealedSigningKey) -> Result<(), StoreError> {
    let is_word = |text: &str| {
        let is_letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        (1..=SECRET_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_letter)
    };
    let is_sealed = (1..=SEALED_BYTES_MAX).contains(&key.sealed.len());
    if is_word(&key.kid) && is_word(&key.key_id) && is_sealed {
        return Ok(());
    }
    Err(StoreError::Invalid {
        what: "a value in a signing key",
    })
}
