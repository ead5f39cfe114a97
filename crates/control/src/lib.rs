//! What operators and organizations do: keys, teams, roles, people, organizations, usage, audit.
//!
//! Each use case takes the proof of its permission ([`tollgate_auth::Granted`], and where teams matter
//! [`tollgate_auth::Reach`]) and input that was validated ([`tollgate_validation::Valid`]), so that
//! neither can be forgotten. Nobody gives away more than they have. It must not know HTTP.
//! Methods block: call them off the threads that serve requests.
//!
//! ```no_run
//! # fn embed(control: &tollgate_control::Control, owner: tollgate_auth::Principal)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use tollgate_auth::{Granted, KeysManage};
//! use tollgate_validation::{NewApiKey, Valid};
//!
//! let input: Valid<NewApiKey> = Valid::from_json(br#"{"name":"ci","max_budget":"5"}"#)?;
//! let reach = Granted::<KeysManage>::reach(owner)?;
//! let created = control.create_key(&reach, input, tollgate_domain::Timestamp::default())?;
//! println!("shown once: {}", created.key);
//! # Ok(())
//! # }
//! ```
//!
//! People sign in with [`Accounts`]: the first one by a token that works once, everybody with a password
//! and perhaps a second factor, and what proves who they are is a session.
//!
//! ```
//! use std::sync::Arc;
//! use tollgate_auth::{PasswordHasher, TokenPepper};
//! use tollgate_control::{
//!     Accounts, AccountsConfig, AccountsParts, NewPerson, NoOutbox, SignIn, Visitor,
//! };
//! use tollgate_domain::Timestamp;
//! use tollgate_store::MemoryStore;
//! use tollgate_vault::{MasterKey, Vault};
//!
//! let parts = AccountsParts {
//!     store: Arc::new(MemoryStore::default()),
//!     pepper: Arc::new(TokenPepper::derive(&[7; 32])),
//!     vault: Arc::new(Vault::new(&MasterKey::generate()?, [])?),
//!     hasher: Arc::new(PasswordHasher::new()?),
//!     rules: Arc::default(),
//!     outbox: Arc::new(NoOutbox),
//! };
//! let accounts = Accounts::new(parts, AccountsConfig::default());
//! let (visitor, now) = (Visitor::default(), Timestamp::from_micros(0));
//!
//! let password = "several quite unusual words";
//! let first = NewPerson { email: "ann@example.com", name: "Ann", password };
//! let token = accounts.setup_token(now)?; // shown to the operator
//! accounts.set_up(token.expose(), &first, &visitor, now)?;
//!
//! let input = SignIn { email: "ann@example.com", password, code: None, previous: None };
//! let session = accounts.sign_in(&input, &visitor, now)?;
//! let current = accounts.authenticate(session.token.expose(), now)?;
//! assert_eq!(current.user().name, "Ann");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accounts;
mod attenuate;
mod audit;
mod bootstrap;
mod control;
mod error;
mod invitations;
mod keys;
mod limits;
mod members;
mod organizations;
mod repetition;
mod roles;
mod team_members;
mod teams;
mod tenants;
mod usage;
mod views;

pub use self::accounts::{
    AccountError, Accounts, AccountsConfig, AccountsParts, ConfirmedTotp, Current,
    ENROLMENT_SECONDS, Guest, IssuedTokens, Letter, NewPerson, NoOutbox, Outbox, SESSIONS_MAX,
    SessionView, SignIn, SignedIn, TOUCH_AFTER_SECONDS, TotpEnrolment, Visitor,
};
pub use self::audit::AuditView;
pub use self::bootstrap::Bootstrapped;
pub use self::control::{Control, Versioned};
pub use self::error::ControlError;
pub use self::invitations::{CreatedInvitation, InvitationState, InvitationView};
pub use self::keys::{CreatedKey, KeyView};
pub use self::members::{MemberKind, MemberView};
pub use self::organizations::OrganizationView;
pub use self::repetition::{ANSWER_SECONDS, Once, Repeatable};
pub use self::roles::{BuiltinRoleView, RoleView, Roles};
pub use self::team_members::TeamMemberView;
pub use self::teams::TeamView;
pub use self::tenants::CreatedOrganization;
pub use self::views::{Page, UsageView};
