//! Asks for URLs that somebody other than the operator chose.
//!
//! Webhooks, discovery documents, providers made at run time: whoever writes such a URL must not reach
//! the own network with it, nor see a credential that was stored for another host. [`Target`] decides on
//! the URL, [`AddressPolicy`] on each address behind its name at the moment of connecting,
//! [`EgressClient`] asks once within bounds, [`HostBound`] keeps a credential to its origin, and
//! [`webhook`] signs what is delivered. This crate must not know providers, money or organizations.
//!
//! # Embedding
//!
//! ```
//! use secrecy::SecretString;
//! use tollgate_egress::{
//!     AllowList, CredentialForm, EgressClient, EgressConfig, EgressMethod, EgressRequest, HostBound,
//!     UrlError,
//! };
//!
//! let client = EgressClient::new(EgressConfig {
//!     allowed: AllowList::parse(["models.corp:8443"])?, // private, and known to the operator
//!     ..EgressConfig::default()
//! })?;
//!
//! let refused = client.target("https://169.254.169.254/latest/meta-data/");
//! assert_eq!(refused, Err(UrlError::AddressLiteral));
//!
//! let target = client.target("https://api.example.com/v1/models")?;
//! let key = HostBound::new(target.origin().clone(), SecretString::from("s3cret"))?;
//! let request = EgressRequest::new(EgressMethod::Get, target).credential(&key, &CredentialForm::Bearer)?;
//!
//! let elsewhere = client.target("https://attacker.example/v1/models")?;
//! let stolen = EgressRequest::new(EgressMethod::Get, elsewhere).credential(&key, &CredentialForm::Bearer);
//! assert!(stolen.is_err());
//! # async fn ask(client: EgressClient, request: EgressRequest) -> Result<(), tollgate_egress::EgressError> {
//! let answer = client.send(request).await?; // at most 1 MiB, within 30 seconds
//! assert!(answer.status.is_success());
//! # Ok(())
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod allow_list;
mod client;
mod error;
mod header;
mod host_bound;
mod host_name;
mod request;
mod resolver;
mod special;
mod target;
mod url_policy;
pub mod webhook;

pub use self::address::AddressPolicy;
pub use self::allow_list::{ALLOWED_ENTRIES_MAX, AllowList, AllowListError};
pub use self::client::{ConfigError, EgressClient, EgressConfig};
pub use self::error::{EgressError, UnreachableCause};
pub use self::header::{
    CredentialForm, CredentialName, HEADER_BYTES_MAX, HEADERS_MAX, HeaderError, PlainName,
};
pub use self::host_bound::{CREDENTIAL_BYTES_MAX, CredentialError, HostBound};
pub use self::request::{EgressMethod, EgressRequest, EgressResponse};
pub use self::resolver::{ADDRESSES_MAX, LOOKUPS_MAX, ResolveFuture, Resolver, SystemResolver};
pub use self::special::Special;
pub use self::target::{Origin, Target, URL_BYTES_MAX, UrlError};
pub use self::url_policy::UrlPolicy;
