//! Who calls, and what they may do.
//!
//! API keys ([`KeyText`], [`Pepper`]), the credential of a request ([`Credential`]) and the proof that a
//! permission was checked ([`Granted`]). It must not know HTTP frameworks or SQL.
//!
//! # Embedding
//!
//! ```
//! use tollgate_auth::{KeyText, Pepper};
//!
//! let pepper = Pepper::derive(&[7; 32]);
//! let key = KeyText::generate()?;
//! let stored = pepper.mac(&key); // what a database keeps, beside `key.public_id()`
//!
//! let presented = KeyText::parse(key.expose())?; // a typing error is found without a look-up
//! assert!(pepper.matches(&presented, &stored));
//! # Ok::<(), tollgate_auth::KeyError>(())
//! ```

mod credential;
mod granted;
mod key_text;
mod pepper;

pub use self::credential::{Credential, CredentialError};
pub use self::granted::{
    Denied, Granted, KeysManage, KeysRead, ModelsUse, OrgManage, OrgRead, PermissionType,
    Principal, UsageRead,
};
pub use self::key_text::{KeyError, KeyText, fill_random};
pub use self::pepper::Pepper;
