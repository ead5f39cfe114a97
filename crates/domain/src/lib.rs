//! The names and values that every part of Tollgate shares.
//!
//! Typed ids, exact money, token usage in disjoint buckets, people and teams, permissions and roles,
//! limits and budgets, usage events, audit entries and the kinds of error. It must not know I/O, clocks, async, HTTP or SQL:
//! time and ids come in as arguments.
//!
//! # Embedding
//!
//! What a call costs, exactly, from what the provider reported:
//!
//! ```
//! use tollgate_domain::{ModelPrice, Money, Price, Usage};
//!
//! let price = ModelPrice {
//!     input: Price::from_usd_per_million("0.15")?,
//!     output: Price::from_usd_per_million("0.60")?,
//!     ..ModelPrice::FREE
//! };
//! let usage = Usage { input: 1_000, output: 200, ..Usage::default() };
//! assert_eq!(price.cost(&usage)?, Money::from_usd("0.00027")?);
//! # Ok::<(), tollgate_domain::MoneyError>(())
//! ```

mod audit;
mod budget;
mod error_kind;
mod event;
mod ids;
mod ip_range;
mod key;
mod money;
mod organization;
mod permission;
mod price;
mod role;
mod short_text;
mod team;
mod time;
mod usage;
mod user;

pub use self::audit::{Actor, AuditDraft, AuditEntry, AuditOutcome, DIGEST_BYTES};
pub use self::budget::{BudgetDuration, BudgetDurationError, BudgetPolicy, BudgetScope, Charge};
pub use self::error_kind::ErrorKind;
pub use self::event::{Provenance, Surface, TerminalState, UnknownName, UsageEvent};
pub use self::ids::{
    AttemptId, IdError, InvitationId, KeyId, OrgId, RequestId, RoleId, SessionId, TeamId, UserId,
};
pub use self::ip_range::{IpRange, IpRangeError};
pub use self::key::{
    ApiKey, KeyState, Limits, MAC_BYTES, METADATA_BYTES_MAX, PreviousMac, is_model_allowed,
};
pub use self::money::{Money, MoneyError};
pub use self::organization::Organization;
pub use self::permission::{Permission, PermissionSet};
pub use self::price::{ModelPrice, Price};
pub use self::role::{CustomRole, Role, RoleRef};
pub use self::short_text::ShortText;
pub use self::team::{Invitation, Membership, Team, TeamMembership, TeamRole};
pub use self::time::Timestamp;
pub use self::usage::{Usage, UsageGroup};
pub use self::user::{OneTimeToken, Session, TokenPurpose, USER_AGENT_BYTES_MAX, User, UserKind};
