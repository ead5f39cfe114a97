//! What can go wrong, by what there is to do about it.

use tollgate_audit::AuditError;
use tollgate_domain::ErrorKind;
use tollgate_store::StoreError;
use tollgate_vault::{KeyId, Vault, VaultError};

use crate::audit_report::BrokenChain;
use crate::kept_checkpoints::CHECKPOINT_LINES_MAX;

/// Why something for an installation could not be done. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The secrets are sealed under a master key that is not at hand.
    #[error(
        "this is not the master key of this database: its secrets are sealed under the key {sealed_under}, \
         and the one at hand is {at_hand}"
    )]
    WrongMasterKey {
        /// The key that is needed.
        sealed_under: KeyId,
        /// The current one at hand; the old ones are others, too.
        at_hand: KeyId,
    },
    /// There are no secrets yet, and what is in the database was sealed under what another master key gives.
    #[error(
        "this is not the master key of this database: its audit log was sealed under another one"
    )]
    ForeignMasterKey,
    /// A secret is missing, was changed, or is not of the length that it should have.
    #[error("the installation's secret {name} is missing or damaged: restore a backup")]
    Damaged {
        /// Which one.
        name: String,
    },
    /// The system gave no random bytes, or the cryptography library failed.
    #[error("the cryptography of the system failed")]
    Crypto,
    /// A chain of the audit log is not whole, and is left as it is.
    #[error("the audit log is broken: {0}")]
    BrokenChain(BrokenChain),
    /// An audit entry cannot be read.
    #[error("an audit entry cannot be read")]
    Unreadable(#[source] StoreError),
    /// Nobody wants to hear of further entries. It does not leave this crate.
    #[error("stopped")]
    Stopped,
    /// There are more lines of checkpoints than are read.
    #[error(
        "there are more than {CHECKPOINT_LINES_MAX} lines of checkpoints: verify with the newer half"
    )]
    TooMany,
    /// Lines could not be read or written.
    #[error("reading or writing failed: {0}")]
    Output(#[from] std::io::Error),
    /// A backup cannot be made or restored there, or is not what its manifest says.
    #[error("{0}")]
    Backup(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UpkeepError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongMasterKey { .. }
            | Self::ForeignMasterKey
            | Self::TooMany
            | Self::Backup(_) => ErrorKind::InvalidRequest,
            Self::Damaged { .. }
            | Self::Crypto
            | Self::BrokenChain(_)
            | Self::Unreadable(_)
            | Self::Stopped
            | Self::Output(_) => ErrorKind::Internal,
            Self::Store(error) => error.kind(),
        }
    }
}

impl From<AuditError> for UpkeepError {
    fn from(_: AuditError) -> Self {
        Self::Crypto
    }
}

impl UpkeepError {
    /// Returns what a failure of the vault means for the secret of this name.
    pub(crate) fn of_vault(error: VaultError, vault: &Vault, name: &str) -> Self {
        match error {
            VaultError::Crypto => Self::Crypto,
            VaultError::UnknownKey(key) => Self::WrongMasterKey {
                sealed_under: key,
                at_hand: vault.key_id(),
            },
            VaultError::TooLarge | VaultError::Malformed | VaultError::Refused => Self::Damaged {
                name: name.to_owned(),
            },
        }
    }
}
