//! What Tollgate keeps, in SQLite or PostgreSQL.
//!
//! Diesel and r2d2 behind the traits of `tollgate-store`: connections, migrations, rows and
//! queries. It must not know business rules: what is kept and what must hold is said by the traits
//! and their conformance suite. Calls block; make them off the threads that serve requests.
//!
//! In PostgreSQL row-level security is a second wall between organizations: each transaction says
//! whose rows it is about, and sees no others. It holds for a role that neither owns the tables nor
//! bypasses it ([`PoolOptions::app_role`]).
//!
//! [`open`] takes `sqlite://path`, `sqlite::memory:` or `postgres://…`, and brings the schema up
//! to date under a lock. Cargo features `sqlite` and `postgres`, both on by default, choose the
//! backends that are built in.
//!
//! # Embedding
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use std::sync::Arc;
//!
//! use tollgate_domain::{AuditEntry, BudgetScope, Money, OrgId, Timestamp};
//! use tollgate_persistence::{PoolOptions, open};
//! use tollgate_store::{AuditSealer, Store};
//!
//! /// What seals audit entries: a MAC under a secret of the installation.
//! #[derive(Debug)]
//! struct Sealer;
//!
//! impl AuditSealer for Sealer {
//!     fn seal(&self, entry: &AuditEntry) -> [u8; 32] {
//! #       let _ = entry;
//!         // HMAC-SHA-256 over the entry's fields.
//! #       [7; 32]
//!     }
//! }
//!
//! let database = open("sqlite::memory:", &PoolOptions::default(), Arc::new(Sealer))?;
//! for pool in database.pool_state() {
//!     assert!(pool.idle <= pool.size && pool.size <= pool.max);
//! }
//!
//! let store: Arc<dyn Store> = database;
//! let nobody = BudgetScope::Org(OrgId::from_bytes([1; 16]));
//! assert_eq!(store.budget_spent(nobody, Timestamp::default())?, Money::ZERO);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
compile_error!("choose at least one of the features `postgres` and `sqlite`");

mod accounts;
mod api_keys;
mod audit;
mod audit_upkeep;
mod custom_roles;
mod error;
mod identities;
mod invitations;
mod late_sealer;
mod leases;
mod memberships;
mod migrations;
mod open;
mod organizations;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod repetition;
mod rows;
mod schema;
mod secrets;
mod sessions;
#[cfg(feature = "sqlite")]
mod sqlite;
mod teams;
mod tokens;
mod usage;
mod users;

pub use self::error::PersistenceError;
pub use self::open::{
    Database, PoolOptions, PoolState, migrate_down, open, open_unsealed, sqlite_file,
};
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteStore, copy_sqlite};
