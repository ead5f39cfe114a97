//! What can go wrong with the books.

use std::io;
use std::path::PathBuf;

use tollgate_domain::{BudgetScope, ErrorKind, Timestamp};
use tollgate_store::StoreError;

/// Why the ledger did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// What is spent and reserved leaves too little of the budget.
    #[error("the budget of {scope} is used up")]
    BudgetExceeded {
        /// Whose budget.
        scope: BudgetScope,
        /// When its next window begins; `None` when it has only one.
        resets_at: Option<Timestamp>,
    },
    /// What was spent of a budget cannot be learnt right now, so nothing is admitted against it.
    #[error("what was spent of the budget of {scope} cannot be read")]
    BudgetUnverifiable {
        /// Whose budget.
        scope: BudgetScope,
        /// What the store said.
        source: StoreError,
    },
    /// The journal cannot be written or read; nothing is admitted until it can.
    #[error("the journal failed")]
    JournalFailed(#[source] io::Error),
    /// Another process, or an earlier ledger of this one, uses the directory.
    #[error("the journal in {} is in use", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A segment holds intact records of a kind that this version does not know. They are money,
    /// so they are not skipped: open the journal with the version that wrote it.
    #[error("{} was written by another version of Tollgate", segment.display())]
    UnknownRecord {
        /// The segment.
        segment: PathBuf,
    },
    /// The store could not book what an earlier process left in the journal.
    #[error("what the journal holds could not be booked")]
    Store(#[from] StoreError),
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
    /// A setting is out of its range.
    #[error("{name} {problem}")]
    Setting {
        /// Which setting.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A name in the draft is longer than the store keeps, or holds a NUL.
    #[error("the {what} of the call cannot be booked")]
    Unbookable {
        /// Which name.
        what: &'static str,
    },
    /// The account is another organization's or another key's than the call.
    #[error("the account of {scope} does not belong to this call")]
    WrongAccount {
        /// Whose account it is.
        scope: BudgetScope,
    },
}

impl LedgerError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::BudgetExceeded { .. } => ErrorKind::BudgetExceeded,
            Self::BudgetUnverifiable { .. } | Self::JournalFailed(_) | Self::Closed => {
                ErrorKind::Unavailable
            }
            Self::Store(error) => error.kind(),
            Self::Locked { .. } | Self::UnknownRecord { .. } => ErrorKind::Conflict,
            Self::Setting { .. } | Self::Unbookable { .. } => ErrorKind::InvalidRequest,
            Self::WrongAccount { .. } => ErrorKind::Internal,
        }
    }
}
