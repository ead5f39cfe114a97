//! Why there is no master key, and why a value is not sealed or opened.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use tollgate_domain::ErrorKind;

use crate::sealed::KeyId;

/// Why there is no master key. No variant holds any of what was read.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read.
    #[error("the master key cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// There was no file, and none could be made.
    #[error("the master key cannot be made: {0}")]
    NotMade(#[source] io::Error),
    /// Others may read the file.
    #[error("the master key must be readable by its owner only: chmod 600 {}", .0.display())]
    Exposed(PathBuf),
    /// The text is not 32 bytes in hexadecimal or base64.
    #[error(
        "the master key must be 32 random bytes, as 64 hexadecimal digits or 44 characters of base64"
    )]
    Malformed,
    /// The bytes were not drawn at random; the text says what shows it.
    #[error("the master key must be random, and {0}")]
    Weak(&'static str),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for a master key")]
    NoRandomness,
    /// The command names no program.
    #[error("the command for the master key is empty")]
    NoCommand,
    /// The command cannot be run.
    #[error("the command for the master key cannot be run: {0}")]
    CommandNotRun(#[source] io::Error),
    /// The command ended with a failure.
    #[error("the command for the master key failed: {0}")]
    CommandFailed(ExitStatus),
    /// The command did not end in time.
    #[error("the command for the master key has not ended within {0:?}")]
    CommandLate(Duration),
    /// The command said more than a key.
    #[error("the command for the master key printed more than a key")]
    CommandTooLong,
}

/// Why a value is not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The value is longer than [`PLAINTEXT_BYTES_MAX`](crate::PLAINTEXT_BYTES_MAX).
    #[error("the value is too large to be sealed")]
    TooLarge,
    /// The bytes are no sealed value, or one of a later version.
    #[error("not a sealed value, or one of a later version")]
    Malformed,
    /// It was sealed under a master key that is not at hand.
    #[error("sealed under the master key {0}, which is not at hand")]
    UnknownKey(KeyId),
    /// It was changed, belongs elsewhere, or was never sealed by this vault.
    #[error("the sealed value was changed, or belongs to another place")]
    Refused,
    /// The system gave no random bytes, or the cryptography library failed.
    #[error("the cryptography of the system failed")]
    Crypto,
}

impl VaultError {
    /// Returns what a caller can do about it. Only a value's length is up to them.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge => ErrorKind::TooLarge,
            Self::Malformed | Self::UnknownKey(_) | Self::Refused | Self::Crypto => {
                ErrorKind::Internal
            }
        }
    }
}
