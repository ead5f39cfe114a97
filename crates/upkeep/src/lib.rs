//! The care of an installation.
//!
//! [`Secrets`] are what everything else that is secret comes from: random, sealed under the master key in
//! the database itself, so that the master key can be replaced ([`rotate`]) without anything becoming
//! invalid. It must not know HTTP, SQL or settings. Calls block.
//!
//! # Embedding
//!
//! ```
//! use std::sync::Arc;
//!
//! use tollgate_store::MemoryStore;
//! use tollgate_upkeep::{MasterKeys, Secrets};
//! use tollgate_vault::MasterKey;
//!
//! let store = MemoryStore::default();
//! let keys = MasterKeys { current: MasterKey::generate()?, old: Vec::new() };
//! let first = Secrets::open(&store, &keys)?; // makes them
//! let again = Secrets::open(&store, &keys)?; // reads them
//! assert_eq!(first.audit_root.expose(), again.audit_root.expose());
//!
//! let stranger = MasterKeys { current: MasterKey::generate()?, old: Vec::new() };
//! assert!(Secrets::open(&store, &stranger).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod derived;
mod error;
mod keys;
mod rotation;
mod seal;
mod secrets;

pub use self::error::UpkeepError;
pub use self::keys::MasterKeys;
pub use self::rotation::{RotationStep, SealedUnder, SecretsStatus, rotate, secrets_status};
pub use self::seal::AuditSeal;
pub use self::secrets::Secrets;
