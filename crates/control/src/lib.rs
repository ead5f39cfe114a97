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

mod audit;
mod bootstrap;
mod error;
mod keys;
mod organizations;
mod usage;
mod views;

pub use self::bootstrap::Bootstrapped;
pub use self::error::ControlError;
pub use self::keys::Control;
pub use self::organizations::OrganizationView;
pub use self::views::{CreatedKey, KeyView, Page, UsageView};
