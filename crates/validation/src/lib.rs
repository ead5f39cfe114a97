//! Untrusted input to values that are known to be valid.
//!
//! What callers of the control plane send, page and usage queries, host headers and base URLs, each
//! with its bounds. It must not know what happens with them next.
//!
//! # Embedding
//!
//! Any type with [`garde`](https://docs.rs/garde) rules can be read; a function that takes a
//! [`Valid`] cannot be given anything that was not checked:
//!
//! ```
//! use garde::Validate;
//! use serde::Deserialize;
//! use tollgate_validation::{Valid, rules};
//!
//! #[derive(Debug, Deserialize, Validate)]
//! #[serde(deny_unknown_fields)]
//! struct NewTeam {
//!     #[garde(custom(rules::name))]
//!     name: String,
//!     #[garde(range(min = 1, max = 500))]
//!     seats: u32,
//! }
//!
//! fn add(team: Valid<NewTeam>) -> String {
//!     format!("{} has {} seats", team.name, team.seats)
//! }
//!
//! let team = Valid::from_json(br#"{"name":"Search","seats":12}"#)?;
//! assert_eq!(add(team), "Search has 12 seats");
//!
//! let error = Valid::<NewTeam>::from_json(br#"{"name":" Search","seats":0}"#).unwrap_err();
//! let fields: Vec<_> = error.problems.iter().map(|problem| &*problem.field).collect();
//! assert_eq!(fields, ["name", "seats"]);
//! # Ok::<(), tollgate_validation::ValidationError>(())
//! ```

mod address;
mod error;
mod inputs;
mod query;
pub mod rules;
mod valid;

pub use self::address::{HostError, UrlError, base_url, host_header};
pub use self::error::{Problem, ValidationError};
pub use self::inputs::{NewApiKey, OrganizationChange};
pub use self::query::{PageQuery, UsageRequest};
pub use self::valid::Valid;
