//! People who sign in: the parts that all of it needs.

mod accept;
mod error;
mod first_run;
mod guard;
mod letters;
mod passwords;
mod reset;
mod second_factor;
mod sessions;
mod sign_in;
mod signing;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;

use tollgate_auth::{PasswordHasher, TokenPepper};
use tollgate_domain::{Actor, AuditDraft, AuditOutcome, Timestamp, User};
use tollgate_store::Store;
use tollgate_validation::PasswordRules;
use tollgate_vault::Vault;

use self::guard::{Guard, GuardRules};
use self::signing::SigningKeys;

pub use self::accept::Guest;
pub use self::error::AccountError;
pub use self::first_run::NewPerson;
pub use self::letters::{Letter, NoOutbox, Outbox};
pub use self::second_factor::{ConfirmedTotp, ENROLMENT_SECONDS, TotpEnrolment};
pub use self::sessions::{Current, SESSIONS_MAX, SessionView, SignedIn, TOUCH_AFTER_SECONDS};
pub use self::sign_in::SignIn;
pub use self::tokens::IssuedTokens;

/// How long sessions and links work, in seconds, and what the installation is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsConfig {
    /// How long a session lasts that is not used: 12 hours.
    pub idle_seconds: i64,
    /// How long a session lasts, however much it is used: 7 days.
    pub session_seconds: i64,
    /// How long the link of a password reset works: 30 minutes.
    pub reset_seconds: i64,
    /// How long the link that proves an address works: a day.
    pub verify_seconds: i64,
    /// How long the link of the first set-up works: a day.
    pub setup_seconds: i64,
    /// Who access tokens say that they are from: the address of the installation, the same on all
    /// replicas.
    pub token_issuer: String,
    /// What authenticator apps call the installation.
    pub issuer: String,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            idle_seconds: 12 * 3_600,
            session_seconds: 7 * 86_400,
            reset_seconds: 30 * 60,
            verify_seconds: 86_400,
            setup_seconds: 86_400,
            token_issuer: "tollgate".to_owned(),
            issuer: "Tollgate".to_owned(),
        }
    }
}

/// What the use cases of people are made of.
#[derive(Clone)]
pub struct AccountsParts {
    /// Where people, sessions and tokens are kept.
    pub store: Arc<dyn Store>,
    /// Under which tokens are kept as digests.
    pub pepper: Arc<TokenPepper>,
    /// What seals second factors.
    pub vault: Arc<Vault>,
    /// The process's only one, since it bounds what runs at once.
    pub hasher: Arc<PasswordHasher>,
    /// Which passwords may be chosen.
    pub rules: Arc<PasswordRules>,
    /// Where letters go.
    pub outbox: Arc<dyn Outbox>,
}

/// The use cases of people who sign in. Cheap to clone; clones count failures together. Methods block,
/// those that take a password for tens of milliseconds.
#[derive(Clone)]
pub struct Accounts {
    parts: AccountsParts,
    config: Arc<AccountsConfig>,
    sign_ins: Arc<Guard>,
    letters: Arc<Guard>,
    signing: Arc<SigningKeys>,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Who asks: what is written down of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visitor {
    /// From where.
    pub client_ip: Option<IpAddr>,
    /// With what; what is longer than a session keeps is cut.
    pub user_agent: String,
    /// By which request, as an id is shown; empty when there was none.
    pub request_id: String,
}

impl Visitor {
    pub(crate) fn done(&self, actor: Actor, action: &'static str, now: Timestamp) -> AuditDraft {
        AuditDraft {
            client_ip: self.client_ip,
            request_id: self.request_id.clone(),
            ..AuditDraft::done(actor, action, now)
        }
    }

    fn denied(&self, action: &'static str, code: &str, now: Timestamp) -> AuditDraft {
        AuditDraft {
            outcome: AuditOutcome::Denied,
            details: code.to_owned(),
            ..self.done(Actor::Anonymous, action, now)
        }
    }
}

impl std::fmt::Debug for AccountsParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountsParts")
    }
}

impl Accounts {
    /// Makes the use cases.
    #[must_use]
    pub fn new(parts: AccountsParts, config: AccountsConfig) -> Self {
        Self {
            parts,
            config: Arc::new(config),
            sign_ins: Arc::new(Guard::new(GuardRules::SIGN_IN)),
            letters: Arc::new(Guard::new(GuardRules::LETTERS)),
            signing: Arc::default(),
        }
    }

    fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    /// Forgets sessions and tokens that ended. Returns how many.
    ///
    /// # Errors
    /// A store's error.
    pub fn forget_ended(&self, now: Timestamp) -> Result<usize, AccountError> {
        let sessions = self.store().remove_sessions(now)?;
        Ok(sessions + self.store().remove_one_time_tokens(now)?)
    }

    /// Returns what a password may not be made of.
    fn context(user: &User) -> Vec<&str> {
        let email = user.email.as_deref();
        email.into_iter().chain([user.name.as_str()]).collect()
    }
}
