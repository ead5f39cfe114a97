//! Secrets at rest.
//!
//! The installation's [`MasterKey`] comes from a file, from a value or from a command; a [`Vault`] seals
//! values under it, each for one [`Place`], so that what a database holds can be neither read nor moved.
//! [`harden_process`] keeps what is open in memory out of core files. It must not know SQL, HTTP or
//! settings.
//!
//! # Embedding
//!
//! ```
//! use tollgate_vault::{ExposeSecret, MasterKey, Place, Sealed, Vault};
//!
//! let vault = Vault::new(&MasterKey::generate()?, [])?;
//! let place = Place { table: "providers", row: b"openai", column: "api_key", org_id: None };
//! let stored = vault.seal(&place, b"sk-123")?.to_bytes(); // what a database keeps
//!
//! let sealed = Sealed::from_bytes(&stored)?;
//! assert_eq!(vault.open(&place, &sealed)?.expose_secret(), b"sk-123");
//!
//! let elsewhere = Place { row: b"other", ..place };
//! assert!(vault.open(&elsewhere, &sealed).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod command;
mod crypto;
mod error;
mod file;
mod harden;
mod master_key;
mod place;
mod sealed;
mod vault;
mod weak;

pub use secrecy::{ExposeSecret, SecretSlice};

pub use self::error::{MasterKeyError, VaultError};
pub use self::harden::harden_process;
pub use self::master_key::{MASTER_KEY_BYTES, MasterKey};
pub use self::place::Place;
pub use self::sealed::{KeyId, Sealed};
pub use self::vault::{PLAINTEXT_BYTES_MAX, Vault};
