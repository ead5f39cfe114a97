//! What is kept, as traits: one per aggregate, in domain types only.
//!
//! A backend implements [`Store`]. Every backend passes the same rules, one conformance suite
//! (macro `store_conformance`, with the feature `conformance`); [`MemoryStore`] is the one that lives
//! here. It must not know Diesel or SQL. Methods block: call them off the threads that serve
//! requests. Time, ids and money come in as arguments; a store makes none up.
//!
//! # Embedding
//!
//! ```
//! use tollgate_domain::{Actor, AuditDraft, Limits, OrgId, Organization, Timestamp};
//! use tollgate_store::{MemoryStore, OrganizationStore, Store, StoreError};
//!
//! fn first_tenant(store: &dyn Store) -> Result<(), StoreError> {
//!     let acme = Organization {
//!         id: OrgId::from_bytes([1; 16]),
//!         name: "acme".to_owned(),
//!         limits: Limits::default(),
//!         budget: None,
//!         blocked: false,
//!         created_at: Timestamp::from_micros(0),
//!         version: 1,
//!     };
//!     // The change and what is written down of it are kept together, or none of them.
//!     let audit = AuditDraft::done(Actor::System, "organization.create", acme.created_at)
//!         .in_chain(acme.id)
//!         .about(acme.id);
//!     store.add_organization(&acme, &audit)
//! }
//!
//! let store = MemoryStore::default();
//! first_tenant(&store)?;
//! assert!(store.find_organization_by_name("acme")?.is_some());
//! assert!(matches!(first_tenant(&store), Err(StoreError::Conflict { .. })));
//! # Ok::<(), StoreError>(())
//! ```

mod accounts;
mod audit;
mod audit_upkeep;
mod books;
mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod identities;
mod invitations;
mod keys;
mod leases;
mod memberships;
mod memory;
mod organizations;
mod repetition;
mod roles;
mod secrets;
mod sessions;
mod teams;
mod tokens;
mod usage;
mod users;

pub use self::accounts::{AccountStore, FirstPerson};
pub use self::audit::{AuditFilter, AuditHead, AuditSealer, AuditStore};
pub use self::audit_upkeep::{
    AUDIT_PRUNED, AuditPruned, AuditUpkeepStore, PRUNED_RECORD_BYTES_MAX, check_audit_pruned,
};
pub use self::books::{Books, MISMATCHES_MAX, Posting, RollupKey, Sums, money};
pub use self::check::{
    DETAILS_BYTES_MAX, LIST_MAX, NAME_BYTES_MAX, check_api_key, check_audit, check_invitation,
    check_organization, check_password_hash, check_role, check_session, check_team,
    check_usage_event, check_user, check_user_identity, day_name,
};
pub use self::error::StoreError;
pub use self::identities::{USER_IDENTITY, UserIdentity, UserIdentityStore};
pub use self::invitations::{INVITATION, InvitationStore};
pub use self::keys::{API_KEY, ApiKeyStore, KeyFilter};
pub use self::leases::{LEASE_NAME_BYTES_MAX, LeaseStore, check_lease};
pub use self::memberships::{LAST_OWNER, MEMBERSHIP, MembershipStore};
pub use self::memory::MemoryStore;
pub use self::organizations::{ORGANIZATION, OrganizationStore};
pub use self::repetition::{
    ANSWER_BYTES_MAX, Begun, KeptAnswer, NamedRequest, RepetitionStore, check_answer,
    check_named_request,
};
pub use self::roles::{ROLE, ROLE_IN_USE, RoleStore};
pub use self::secrets::{
    SEALED_BYTES_MAX, SECRET, SECRET_NAME_BYTES_MAX, SealedSecret, SecretStore, check_secret,
};
pub use self::sessions::{ONE_TIME_TOKEN, OneTimeTokenStore, SESSION, SessionStore};
pub use self::teams::{TEAM, TeamStore};
pub use self::tokens::{
    REFRESH_TOKEN, RefreshToken, RefreshTokenStore, SIGNING_KEYS_MAX, SealedSigningKey,
    SigningKeyStore, check_signing_key,
};
pub use self::usage::{BooksReport, Mismatch, UsageQuery, UsageRow, UsageStore};
pub use self::users::{RewrappedTotp, USER, UserStore};
pub use tollgate_domain::UsageGroup;

/// Everything that Tollgate keeps.
pub trait Store:
    OrganizationStore
    + ApiKeyStore
    + TeamStore
    + UserStore
    + MembershipStore
    + RoleStore
    + InvitationStore
    + SessionStore
    + OneTimeTokenStore
    + AuditStore
    + AuditUpkeepStore
    + LeaseStore
    + SecretStore
    + RepetitionStore
    + AccountStore
    + RefreshTokenStore
    + SigningKeyStore
    + UserIdentityStore
    + UsageStore
{
    /// Returns whether the backend answers at all; used by health pages.
    ///
    /// # Errors
    /// When it does not.
    fn ping(&self) -> Result<(), StoreError>;
}
