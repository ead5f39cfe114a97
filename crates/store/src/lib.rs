//! What is kept, as traits: one per aggregate, in domain types only.
//!
//! A backend implements [`Store`]. Every backend passes the
//! same rules, one conformance suite. It must not know Diesel or SQL. Methods block: call them off the
//! threads that serve requests. Time, ids and money come in as arguments; a store makes none up.

mod error;
mod keys;
mod organizations;
mod usage;

pub use self::error::StoreError;
pub use self::keys::ApiKeyStore;
pub use self::organizations::OrganizationStore;
pub use self::usage::{BooksReport, Mismatch, UsageGroup, UsageQuery, UsageRow, UsageStore};

/// Everything that Tollgate keeps.
pub trait Store: OrganizationStore + ApiKeyStore + UsageStore {
    /// Returns whether the backend answers at all; used by health pages.
    ///
    /// # Errors
    /// When it does not.
    fn ping(&self) -> Result<(), StoreError>;
}
