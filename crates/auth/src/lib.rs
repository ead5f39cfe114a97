//! Who calls, and what they may do.
//!
//! API keys ([`KeyText`], [`Pepper`]), the credential of a request ([`Credential`]), what a key may do
//! by its role, scopes, team and owner ([`effective_rights`]), and the proof that a permission was
//! checked: in an organization ([`Granted`]), in a team ([`OnTeam`]), for a list ([`Reach`]), on the
//! installation ([`Platform`]). It must not know HTTP frameworks or SQL.
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
//!
//! A function that takes a proof cannot be called without the check:
//!
//! ```
//! use tollgate_auth::{
//!     Granted, KeyTeam, KeysManage, Owner, Principal, effective_rights, user_rights,
//! };
//! use tollgate_domain::{Actor, KeyId, OrgId, Role};
//!
//! fn delete_keys(granted: &Granted<KeysManage>) -> OrgId {
//!     granted.org_id() // whose keys: not a second argument that could be another's
//! }
//!
//! let viewer = user_rights(true, false, Some(Role::Viewer.permissions()), []);
//! let key_of = |owner: &_| Principal {
//!     org_id: OrgId::from_bytes([1; 16]),
//!     actor: Actor::Key(KeyId::from_bytes([2; 16])),
//!     rights: effective_rights(
//!         Role::OrgOwner.permissions(),
//!         None,
//!         Owner::Has(owner),
//!         KeyTeam::None,
//!     ),
//! };
//! // The key is an owner's by its role, and a viewer's because a viewer owns it.
//! assert!(Granted::<KeysManage>::check(key_of(&viewer)).is_err());
//!
//! let owner = user_rights(true, false, Some(Role::OrgOwner.permissions()), []);
//! let granted = Granted::<KeysManage>::check(key_of(&owner))?;
//! assert_eq!(delete_keys(&granted), OrgId::from_bytes([1; 16]));
//! # Ok::<(), tollgate_auth::Denied>(())
//! ```

mod credential;
mod granted;
mod key_text;
mod pepper;
mod rights;

pub use self::credential::{Credential, CredentialError};
pub use self::granted::{
    AlertsManage, AlertsRead, AuditRead, BudgetsManage, Denied, Granted, GuardrailsManage,
    GuardrailsRead, KeysManage, KeysRead, ModelsManage, ModelsRead, ModelsUse, OnTeam, OrgManage,
    OrgRead, PermissionType, Platform, PlatformAudit, PlatformManage, PricesManage, Principal,
    PromptsRead, ProvidersManage, ProvidersRead, Reach, RequestsRead, RolesManage, RolesRead,
    RoutesManage, SessionsManage, SettingsManage, SettingsRead, TeamsManage, TeamsRead, UsageRead,
    UsersManage, UsersRead,
};
pub use self::key_text::{KeyError, KeyText, fill_random};
pub use self::pepper::Pepper;
pub use self::rights::{KeyTeam, Owner, Rights, effective_rights, user_rights};
