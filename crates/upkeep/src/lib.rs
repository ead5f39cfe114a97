//! The care of an installation.
//!
//! [`Secrets`] are what everything else that is secret comes from: random, sealed under the master key in
//! the database itself, so that the master key can be replaced ([`rotate`]) without anything becoming
//! invalid. [`AuditLog`] reads the audit log as somebody does who does not trust the database.
//! [`back_up`] and [`restore`] keep what there is in a directory, and check each file of it.
//! It must not know HTTP, SQL or settings. Calls block.
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

mod audit_lines;
mod audit_log;
mod audit_report;
mod backup;
mod derived;
mod error;
mod kept_checkpoints;
mod keys;
mod manifest;
mod rotation;
mod seal;
mod secrets;

pub use self::audit_log::{AuditLog, AuditScope};
pub use self::audit_report::{
    AuditReport, BadLine, BrokenChain, INSTALLATION_CHAIN, PrunedChain, PrunedUpTo,
};
pub use self::backup::{BackupPlace, back_up, restore};
pub use self::error::UpkeepError;
pub use self::kept_checkpoints::{CHECKPOINT_LINES_MAX, KeptCheckpoints};
pub use self::keys::MasterKeys;
pub use self::manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestFile};
pub use self::rotation::{RotationStep, SealedUnder, SecretsStatus, rotate, secrets_status};
pub use self::seal::AuditSeal;
pub use self::secrets::Secrets;
