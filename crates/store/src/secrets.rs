//! The installation's own secrets, sealed.

use std::fmt;

use tollgate_domain::AuditDraft;

use crate::error::StoreError;

/// How errors call a secret of the installation.
pub const SECRET: &str = "a secret of the installation";

/// The longest name of a secret, in bytes.
pub const SECRET_NAME_BYTES_MAX: usize = 64;

/// The longest sealed value, in bytes: 64 KiB and what sealing adds.
pub const SEALED_BYTES_MAX: usize = (64 << 10) + 128;

/// A sealed value of the installation. What it says is known to whoever has the master key; the store
/// keeps bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// What it is for, such as `audit_root_key`: small letters, digits and `_`.
    pub name: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    /// The id of the master key that it is sealed under, as it is shown.
    pub key_id: String,
    /// Its version: 1 when it was added, one more with each replacement.
    pub version: u64,
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSecret")
            .field("name", &self.name)
            .field("key_id", &self.key_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Keeps the installation's own secrets, sealed.
pub trait SecretStore: Send + Sync {
    /// Adds those whose names are free, in the order given and all in one transaction, at version 1;
    /// what is there stays as it is. Of several processes that add the same names at once one adds all
    /// of its own, and the others add nothing: list them afterwards. Nothing is written down of it,
    /// since what seals audit entries is among them.
    ///
    /// # Errors
    /// `Invalid` when a name or a value cannot be kept.
    fn add_secrets(&self, secrets: &[SealedSecret]) -> Result<(), StoreError>;

    /// Returns up to `limit` secrets after the one with this name, in the order of their names' bytes.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_secrets(
        &self,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<SealedSecret>, StoreError>;

    /// Replaces the sealed bytes and the key id of each of these, if all are at the versions given with
    /// them; otherwise of none.
    ///
    /// # Errors
    /// `Missing` when there is no secret of that name; `Outdated` when one is at another version;
    /// `Invalid`.
    fn replace_secrets(
        &self,
        secrets: &[SealedSecret],
        audit: &AuditDraft,
    ) -> Result<(), StoreError>;
}

/// Returns whether a secret can be kept by every backend.
///
/// # Errors
/// `Invalid`.
pub fn check_secret(secret: &SealedSecret) -> Result<(), StoreError> {
    let is_word = |text: &str| {
        (1..=SECRET_NAME_BYTES_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if !is_word(&secret.name) || !is_word(&secret.key_id) {
        return Err(StoreError::Invalid {
            what: "the name of a secret or of its key",
        });
    }
    if secret.sealed.is_empty() || secret.sealed.len() > SEALED_BYTES_MAX {
        return Err(StoreError::Invalid {
            what: "a sealed value of this length",
        });
    }
    Ok(())
}
