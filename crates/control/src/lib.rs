//! What operators and organizations do: make and revoke keys, read usage.
//!
//! Each use case takes the proof of its permission ([`tollgate_auth::Granted`]) and input that was
//! validated ([`tollgate_validation::Valid`]), so that neither can be forgotten. It must not know
//! HTTP. Methods block: call them off the threads that serve requests.
//!
//! ```no_run
//! # fn embed(control: &tollgate_control::Control, owner: tollgate_auth::Principal)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use tollgate_auth::{Granted, KeysManage};
//! use tollgate_validation::{NewApiKey, Valid};
//!
//! let input: Valid<NewApiKey> = Valid::from_json(br#"{"name":"ci","max_budget":"5"}"#)?;
//! let granted = Granted::<KeysManage>::check(owner)?;
//! let created = control.create_key(&granted, input, tollgate_domain::Timestamp::default())?;
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
mod audit;
mod bootstrap;
mod error;
mod keys;
mod organizations;
mod usage;
mod views;

pub use self::accounts::{
    AccountError, Accounts, AccountsConfig, AccountsParts, ConfirmedTotp, Current,
    ENROLMENT_SECONDS, Guest, IssuedTokens, Letter, NewPerson, NoOutbox, Outbox, SESSIONS_MAX,
    SessionView, SignIn, SignedIn, TOUCH_AFTER_SECONDS, TotpEnrolment, Visitor,
};
pub use self::bootstrap::Bootstrapped;
pub use self::error::ControlError;
pub use self::keys::Control;
pub use self::organizations::OrganizationView;
pub use self::views::{CreatedKey, KeyView, Page, UsageView};
