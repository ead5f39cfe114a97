//! Who calls, and what they may do.
//!
//! - API keys ([`KeyText`], [`Pepper`]) and the credential of a request ([`Credential`]);
//! - people: passwords ([`PasswordHasher`]), codes of an authenticator app ([`TotpSecret`]) and for when
//!   it is lost ([`RecoveryCode`]), and the wait after failed sign-ins ([`SignInFailures`]);
//! - secrets that are used once or for a while ([`SecretToken`], [`TokenPepper`]), among them refresh
//!   tokens and their rotation ([`decide_refresh`]);
//! - signed access tokens and their keys ([`AccessTokens`], [`KeyRing`]);
//! - identity providers: their tokens ([`ExternalIssuer`]), the way to them and back
//!   ([`SignInAttempt`]), and what their claims give ([`ClaimMappings`]);
//! - what a key may do by its role, scopes, team and owner ([`effective_rights`]), and the proof that a
//!   permission was checked: in an organization ([`Granted`]), in a team ([`OnTeam`]), for a list
//!   ([`Reach`]), on the installation ([`Platform`]).
//!
//! Everything is a computation on what is passed in: it must not know HTTP frameworks or SQL, asks no
//! clock and starts nothing. Hashing a password blocks for tens of milliseconds; the rest does not.
//! What is compared with a secret is compared in constant time.
//!
//! # Embedding
//!
//! API keys:
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
//! A person signs in with a password and a code, and gets a session and an access token:
//!
//! ```
//! use tollgate_auth::{
//!     AccessSubject, AccessTokens, KeyRing, PasswordCheck, PasswordHasher, SecretToken, SignInFailures,
//!     TokenPepper, TokenPurpose, TotpError, TotpSecret,
//! };
//! use tollgate_domain::{OrgId, SessionId, Timestamp, UserId};
//!
//! let hasher = PasswordHasher::new()?; // one for the process: it bounds what runs at once
//! let stored = hasher.hash("several unusual words")?;
//! let now = Timestamp::from_micros(59_000_000);
//!
//! assert!(SignInFailures::default().wait(now).is_zero());
//! let checked = hasher.check("several unusual words", Some(&stored))?;
//! assert_eq!(checked, PasswordCheck::Right { needs_rehash: false });
//!
//! let app = TotpSecret::from_bytes(*b"12345678901234567890");
//! let step = app.check("287082", now, None)?; // kept, so that the code is accepted once
//! assert_eq!(app.check("287082", now, Some(step)), Err(TotpError::Used));
//!
//! let pepper = TokenPepper::derive(&[7; 32]);
//! let session = SecretToken::generate(TokenPurpose::Session)?; // the cookie
//! let stored = pepper.mac(&session); // the row
//! let presented = SecretToken::parse(TokenPurpose::Session, session.expose())?;
//! assert!(pepper.matches(&presented, &stored));
//!
//! let tokens = AccessTokens::new("https://tollgate.example", "api", KeyRing::generate()?);
//! let subject = AccessSubject {
//!     user_id: UserId::from_bytes([1; 16]),
//!     org_id: OrgId::from_bytes([2; 16]),
//!     session_id: SessionId::from_bytes([3; 16]),
//!     epoch: 0,
//! };
//! let token = tokens.issue(&subject, now)?;
//! assert_eq!(tokens.check(&token, now)?.subject, subject);
//! # Ok::<(), Box<dyn std::error::Error>>(())
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

mod access_token;
mod backoff;
mod base62;
mod claim_mapping;
mod credential;
mod encoding;
mod external;
mod external_keys;
mod granted;
mod jose;
mod key_ring;
mod key_text;
mod password;
mod pepper;
mod recovery_code;
mod refresh;
mod rights;
mod secret_token;
mod sign_in_attempt;
mod token_error;
mod token_pepper;
mod totp;
mod turnstile;

pub use self::access_token::{
    ACCESS_TOKEN_BYTES_MAX, ACCESS_TOKEN_SECONDS, AccessClaims, AccessSubject, AccessTokens,
    IssueError, LEEWAY_SECONDS,
};
pub use self::backoff::{
    FORGOTTEN_AFTER_SECONDS, FREE_FAILURES, SignInFailures, WAIT_SECONDS_MAX, sign_in_wait,
};
pub use self::claim_mapping::{
    CLAIM_MAPPINGS_MAX, ClaimMapping, ClaimMappingError, ClaimMappings, MappedRole, NotMapped,
};
pub use self::credential::{AccessText, Credential, CredentialError};
pub use self::external::{
    EXTERNAL_LEEWAY_SECONDS, EXTERNAL_TOKEN_BYTES_MAX, EXTERNAL_TOKEN_SECONDS_MAX,
    ExternalIdentity, ExternalIssuer, ExternalIssuerError,
};
pub use self::external_keys::{
    ExternalAlgorithm, ExternalKeys, ExternalKeysError, JWKS_BYTES_MAX, JWKS_KEYS_MAX,
    UnknownAlgorithm,
};
pub use self::granted::{
    AlertsManage, AlertsRead, AuditRead, BudgetsManage, Denied, Granted, GuardrailsManage,
    GuardrailsRead, KeysManage, KeysRead, ModelsManage, ModelsRead, ModelsUse, OnTeam, OrgManage,
    OrgRead, PermissionType, Platform, PlatformAudit, PlatformManage, PricesManage, Principal,
    PromptsRead, ProvidersManage, ProvidersRead, Reach, RequestsRead, RolesManage, RolesRead,
    RoutesManage, SessionsManage, SettingsManage, SettingsRead, TeamsManage, TeamsRead, UsageRead,
    UsersManage, UsersRead,
};
pub use self::key_ring::{
    KeyRing, KeyRingError, NEXT_KEY_SECONDS_MIN, RETIRING_KEY_SECONDS_MIN, SigningKey,
};
pub use self::key_text::{KeyError, KeyText, fill_random};
pub use self::password::{
    COMPUTATIONS_MAX, PasswordCheck, PasswordHashError, PasswordHasher, WAITING_MAX,
};
pub use self::pepper::Pepper;
pub use self::recovery_code::{RECOVERY_CODES, RecoveryCode, RecoveryCodeError};
pub use self::refresh::{
    REUSE_GRACE_SECONDS, RefreshDecision, RefreshFamily, RefreshRecord, Used,
    decide as decide_refresh,
};
pub use self::rights::{KeyTeam, Owner, Rights, effective_rights, user_rights};
pub use self::secret_token::{SecretToken, SecretTokenError, TokenPurpose};
pub use self::sign_in_attempt::{
    AuthorizationRequest, AuthorizationUrlError, SignInAttempt, SignInAttemptError,
};
pub use self::token_error::TokenError;
pub use self::token_pepper::TokenPepper;
pub use self::totp::{TotpError, TotpSecret};
