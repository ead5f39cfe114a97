//! Untrusted input to values that are known to be valid.
//!
//! What callers of the control plane send, page and usage queries, host headers and base URLs, e-mail
//! addresses, names and passwords, each with its bounds. It must not know what happens with them next.
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
//!
//! What people type when they sign up:
//!
//! ```
//! use tollgate_validation::{DisplayName, EmailAddress, PasswordError, PasswordRules};
//!
//! let email = EmailAddress::parse("Ann.Lee@Example.COM")?;
//! assert_eq!((email.as_str(), email.canonical()), ("Ann.Lee@example.com", "ann.lee@example.com"));
//! let name = DisplayName::parse("Ann Lee")?;
//!
//! let rules = PasswordRules::default();
//! let known = [email.as_str(), name.as_str()];
//! assert_eq!(rules.check("annlee2026!!", &known).unwrap_err(), PasswordError::Guessable);
//! assert!(rules.check("several quite unusual words", &known).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod display_name;
mod email;
mod error;
mod forwarded;
mod inputs;
mod key_inputs;
mod organization_inputs;
mod password;
mod people;
mod preconditions;
mod query;
pub mod rules;
mod valid;

pub use self::address::{HostError, UrlError, base_url, host_header};
pub use self::display_name::{DisplayName, NameError};
pub use self::email::{EMAIL_BYTES_MAX, EmailAddress, EmailError};
pub use self::error::{Problem, ValidationError};
pub use self::forwarded::{
    ForwardedClient, client_of_forwarded, client_of_x_forwarded_for, is_https_of_forwarded,
    is_https_of_x_forwarded_proto,
};
pub use self::inputs::OrganizationChange;
pub use self::key_inputs::{ApiKeyChange, KeyRotation, NewApiKey, OVERLAP_SECONDS_MAX};
pub use self::organization_inputs::{
    INVITATION_SECONDS_MAX, MemberChange, NewInvitation, NewOrganization, NewRole,
    NewServiceAccount, NewTeam, RoleChange, TeamChange, TeamPlace, TenantChange,
};
pub use self::password::{
    NewPassword, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, PasswordError, PasswordRules,
};
pub use self::people::{
    AcceptInput, NoInput, PasswordChangeInput, RefreshInput, ResetInput, ResetRequestInput,
    SetUpInput, SignInInput, SignOutInput, TotpChangeInput, TotpConfirmInput, TotpEnrolInput,
    VerifyEmailInput,
};
pub use self::preconditions::{
    Expected, HeaderError, IDEMPOTENCY_KEY_CHARS_MAX, IdempotencyKey, entity_tag,
};
pub use self::query::{AuditQuery, ExportQuery, KeysQuery, PageQuery, UsageRequest};
pub use self::valid::Valid;
