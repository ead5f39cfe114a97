//! Decides on URLs that somebody other than the operator chose.
//!
//! Webhooks, discovery documents, providers made at run time: whoever writes such a URL must not reach
//! the own network with it. [`Target`] decides on the URL, [`AddressPolicy`] on each address behind its
//! name. This crate must not know providers, money or organizations.
//!
//! # Embedding
//!
//! ```
//! use std::sync::Arc;
//! use tollgate_egress::{AllowList, Target, UrlError, UrlPolicy};
//!
//! let allowed = AllowList::parse(["models.corp:8443"])?; // private, and known to the operator
//! let policy = UrlPolicy::new(Arc::new(allowed), Vec::new());
//! let refused = Target::parse("https://169.254.169.254/latest/meta-data/", &policy);
//! assert_eq!(refused, Err(UrlError::AddressLiteral));
//! assert!(Target::parse("http://models.corp:8443/v1", &policy).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod allow_list;
mod host_name;
mod special;
mod target;
mod url_policy;

pub use self::address::AddressPolicy;
pub use self::allow_list::{ALLOWED_ENTRIES_MAX, AllowList, AllowListError};
pub use self::special::Special;
pub use self::target::{Origin, Target, URL_BYTES_MAX, UrlError};
pub use self::url_policy::UrlPolicy;
