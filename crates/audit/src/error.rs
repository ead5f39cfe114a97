//! What can go wrong, and how a chain is broken.

use tollgate_domain::ErrorKind;

/// Why something could not be sealed, signed or digested.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The system gave no random bytes, or the cryptography library failed.
    #[error("the cryptography of the system failed")]
    Crypto,
    /// The object has no JSON form: a map whose keys are no texts, for example.
    #[error("the object has no JSON form")]
    NotJson(#[source] serde_json::Error),
}

impl AuditError {
    /// Returns what a caller can do about it: nothing.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// Why a line is no checkpoint, or no record of pruning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not of the form that was written, to the byte.
    #[error("not a line as it was written")]
    Malformed,
    /// Not signed with this key.
    #[error("not signed with this key")]
    Signature,
}

/// Where a chain is first broken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq}: {fault}")]
pub struct Broken {
    /// The number of the first entry that is not as it was written, or is not there.
    pub seq: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// How a chain is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The entry is missing; the next one has this number.
    #[error("missing, the next one is {found}")]
    Gap {
        /// The number of the next entry.
        found: u64,
    },
    /// An entry of this number was here already.
    #[error("it comes a second time, or too late")]
    Order,
    /// It belongs to another chain.
    #[error("it belongs to another chain")]
    Chain,
    /// It was changed, or sealed under another key.
    #[error("the seal does not fit")]
    Seal,
    /// It was sealed behind another entry than the one before it.
    #[error("it was sealed behind another entry")]
    Previous,
    /// A checkpoint, or a record of pruning, says that another entry was here.
    #[error("a signed record says that it was another one")]
    Record,
    /// A checkpoint says that it was here, and the chain ends before it.
    #[error("cut off: a checkpoint says that it was here")]
    Truncated,
}
