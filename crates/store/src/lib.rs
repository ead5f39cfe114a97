//! What is kept, as traits: one per aggregate, in domain types only.
//!
//! A backend implements [`Store`]. Every backend passes the same rules, one conformance suite
//! (macro `store_conformance`, with the feature `conformance`); [`MemoryStore`] is the one that lives
//! here. It must not know Diesel or SQL. Methods block: call them off the threads that serve
//! requests. Time, ids and money come in as arguments; a store makes none up.
//!
//! # Embedding
//!
//! ```
//! use tollgate_domain::{Limits, OrgId, Organization, Timestamp};
//! use tollgate_store::{MemoryStore, OrganizationStore, Store, StoreError};
//!
//! fn first_tenant(store: &dyn Store) -> Result<(), StoreError> {
//!     store.add_organization(&Organization {
//!         id: OrgId::from_bytes([1; 16]),
//!         name: "acme".to_owned(),
//!         limits: Limits::default(),
//!         budget: None,
//!         blocked: false,
//!         created_at: Timestamp::from_micros(0),
//!     })
//! }
//!
//! let store = MemoryStore::default();
//! first_tenant(&store)?;
//! assert!(store.find_organization_by_name("acme")?.is_some());
//! assert!(matches!(first_tenant(&store), Err(StoreError::Conflict { .. })));
//! # Ok::<(), StoreError>(())
//! ```

mod books;
mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod keys;
mod memory;
mod organizations;
mod usage;

pub use self::books::{Books, MISMATCHES_MAX, Posting, RollupKey, Sums, money};
pub use self::check::{
    NAME_BYTES_MAX, check_api_key, check_organization, check_usage_event, day_name,
};
pub use self::error::StoreError;
pub use self::keys::{API_KEY, ApiKeyStore};
pub use self::memory::MemoryStore;
pub use self::organizations::{ORGANIZATION, OrganizationStore};
pub use self::usage::{BooksReport, Mismatch, UsageQuery, UsageRow, UsageStore};
pub use tollgate_domain::UsageGroup;

/// Everything that Tollgate keeps.
pub trait Store: OrganizationStore + ApiKeyStore + UsageStore {
    /// Returns whether the backend answers at all; used by health pages.
    ///
    /// # Errors
    /// When it does not.
    fn ping(&self) -> Result<(), StoreError>;
}
