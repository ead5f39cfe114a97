//! Who calls, and what they may do.
//!
//! API keys ([`KeyText`], [`Pepper`]), the credential of a request ([`Credential`]) and the proof that a
//! permission was checked ([`Granted`]). It must not know HTTP frameworks or SQL.
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
pub use self::credential::{Credential, CredentialError};
pub use self::external::{
    EXTERNAL_LEEWAY_SECONDS, EXTERNAL_TOKEN_BYTES_MAX, EXTERNAL_TOKEN_SECONDS_MAX,
    ExternalIdentity, ExternalIssuer, ExternalIssuerError,
};
pub use self::external_keys::{
    ExternalAlgorithm, ExternalKeys, ExternalKeysError, JWKS_BYTES_MAX, JWKS_KEYS_MAX,
    UnknownAlgorithm,
};
pub use self::granted::{
    Denied, Granted, KeysManage, KeysRead, ModelsUse, OrgManage, OrgRead, PermissionType,
    Principal, UsageRead,
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
pub use self::secret_token::{SecretToken, SecretTokenError, TokenPurpose};
pub use self::sign_in_attempt::{
    AuthorizationRequest, AuthorizationUrlError, SignInAttempt, SignInAttemptError,
};
pub use self::token_error::TokenError;
pub use self::token_pepper::TokenPepper;
pub use self::totp::{TotpError, TotpSecret};
