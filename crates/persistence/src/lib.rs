//! What Tollgate keeps, in SQLite or PostgreSQL.
//!
//! Diesel and r2d2 behind the traits of `tollgate-store`: connections, migrations, rows and
//! queries. It must not know business rules: what is kept and what must hold is said by the traits
//! and their conformance suite. Calls block; make them off the threads that serve requests.
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
//! use tollgate_domain::{BudgetScope, Money, OrgId, Timestamp};
//! use tollgate_persistence::{PoolOptions, open};
//! use tollgate_store::Store;
//!
//! let database = open("sqlite::memory:", &PoolOptions::default())?;
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

mod api_keys;
mod error;
mod migrations;
mod open;
mod organizations;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod usage;

pub use self::error::PersistenceError;
pub use self::open::{Database, PoolOptions, PoolState, migrate_down, open};
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
