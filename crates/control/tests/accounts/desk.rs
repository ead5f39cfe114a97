//! An installation with people in it.

use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::hmac;
use tollgate_auth::{PasswordHasher, SecretToken, TokenPepper};
use tollgate_control::{
    AccountError, Accounts, AccountsConfig, AccountsParts, Current, Letter, Outbox, SignIn,
    SignedIn, Visitor,
};
use tollgate_domain::{
    Actor, AuditDraft, AuditEntry, Limits, Membership, OrgId, Organization, Role, Timestamp, User,
    UserId, UserKind,
};
use tollgate_store::{
    AuditStore, MembershipStore, MemoryStore, OrganizationStore, Store, UserStore,
};
use tollgate_validation::PasswordRules;
use tollgate_vault::{MasterKey, Vault};

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
pub(crate) const ACME: OrgId = OrgId::from_bytes([1; 16]);
pub(crate) const ANN: UserId = UserId::from_bytes([11; 16]);
pub(crate) const BOB: UserId = UserId::from_bytes([12; 16]);
pub(crate) const PASSWORD: &str = "several quite unusual words";
pub(crate) const OTHER_PASSWORD: &str = "another set of peculiar things";

/// The process's only one, and what it makes of the password of everybody here.
static HASHER: LazyLock<(Arc<PasswordHasher>, String)> = LazyLock::new(|| {
    let hasher = PasswordHasher::new().unwrap();
    let hash = hasher.hash(PASSWORD).unwrap();
    (Arc::new(hasher), hash)
});

/// Keeps letters to be read.
#[derive(Default)]
pub(crate) struct Letters(Mutex<Vec<Letter>>);

impl Outbox for Letters {
    fn post(&self, letter: Letter) {
        self.0.lock().unwrap().push(letter);
    }
}

pub(crate) struct Desk {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) pepper: Arc<TokenPepper>,
    pub(crate) accounts: Accounts,
    parts: AccountsParts,
    letters: Arc<Letters>,
}

impl Desk {
    /// Nobody and nothing.
    pub(crate) fn empty() -> Self {
        let store = Arc::new(MemoryStore::default());
        let letters = Arc::new(Letters::default());
        let pepper = Arc::new(TokenPepper::derive(&[7; 32]));
        let kept: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
        let parts = AccountsParts {
            store: kept,
            pepper: Arc::clone(&pepper),
            vault: Arc::new(Vault::new(&MasterKey::generate().unwrap(), []).unwrap()),
            hasher: Arc::clone(&HASHER.0),
            rules: Arc::new(PasswordRules::default()),
            outbox: Arc::<Letters>::clone(&letters),
        };
        Self {
            store,
            pepper,
            accounts: Accounts::new(parts.clone(), AccountsConfig::default()),
            parts,
            letters,
        }
    }

    /// Another process on the same store.
    pub(crate) fn replica(&self) -> Accounts {
        Accounts::new(self.parts.clone(), AccountsConfig::default())
    }

    /// Organization `acme` with Ann, who owns it, and Bob, a member.
    pub(crate) fn new() -> Self {
        let desk = Self::empty();
        desk.add_organization(ACME, "acme");
        desk.add_user(&user(ANN, "ann@example.com"), Role::OrgOwner);
        desk.add_user(&user(BOB, "bob@example.com"), Role::Member);
        desk
    }

    pub(crate) fn add_organization(&self, id: OrgId, name: &str) {
        let organization = Organization {
            id,
            name: name.to_owned(),
            limits: Limits::default(),
            budget: None,
            blocked: false,
            created_at: NOW,
            version: 1,
        };
        let audit = before().in_chain(id);
        self.store.add_organization(&organization, &audit).unwrap();
    }

    pub(crate) fn add_user(&self, user: &User, role: Role) {
        self.store.add_user(user, &before()).unwrap();
        self.set_role(user.id, role);
    }

    pub(crate) fn set_role(&self, user_id: UserId, role: Role) {
        let member = Membership {
            org_id: ACME,
            user_id,
            role: role.into(),
            created_at: NOW,
        };
        let audit = before().in_chain(ACME);
        self.store.set_membership(&member, &audit).unwrap();
    }

    /// Changes a user as an administrator would.
    pub(crate) fn change(&self, id: UserId, change: impl FnOnce(&mut User)) {
        let mut user = self.user(id);
        change(&mut user);
        self.store.update_user(&user, &before()).unwrap();
    }

    pub(crate) fn user(&self, id: UserId) -> User {
        self.store.find_user(id).unwrap().unwrap()
    }

    pub(crate) fn try_sign_in(
        &self,
        email: &str,
        password: &str,
        code: Option<&str>,
        now: Timestamp,
    ) -> Result<SignedIn, AccountError> {
        let input = SignIn {
            email,
            password,
            code,
            previous: None,
        };
        self.accounts.sign_in(&input, &visitor("192.0.2.1"), now)
    }

    /// Returns the token of a new session of Ann's.
    pub(crate) fn sign_in(&self, now: Timestamp) -> String {
        let done = self.try_sign_in("ann@example.com", PASSWORD, None, now);
        done.unwrap().token.expose().to_owned()
    }

    pub(crate) fn current(&self, token: &str, now: Timestamp) -> Current {
        self.accounts.authenticate(token, now).unwrap()
    }

    pub(crate) fn is_in(&self, token: &str, now: Timestamp) -> bool {
        match self.accounts.authenticate(token, now) {
            Ok(_) => true,
            Err(AccountError::NotSignedIn) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns the letters since the last time.
    pub(crate) fn take_letters(&self) -> Vec<(String, SecretToken)> {
        let all = std::mem::take(&mut *self.letters.0.lock().unwrap());
        let read = all.into_iter().map(|letter| match letter {
            Letter::PasswordReset { to, token } | Letter::EmailVerification { to, token } => {
                (to, token)
            }
        });
        read.collect()
    }

    /// Returns the newest entry of the installation's chain.
    pub(crate) fn last_entry(&self) -> AuditEntry {
        let all = self.store.list_audit(None, &Default::default(), None, 1);
        all.unwrap().pop().unwrap()
    }
}

/// Somebody whose password is [`PASSWORD`].
pub(crate) fn user(id: UserId, email: &str) -> User {
    User {
        id,
        email: Some(email.to_owned()),
        name: "Somebody".to_owned(),
        kind: UserKind::Human,
        password_hash: Some(HASHER.1.clone()),
        email_verified_at: None,
        totp: None,
        totp_last_step: None,
        recovery_macs: Vec::new(),
        is_platform_admin: false,
        blocked: false,
        failed_sign_ins: 0,
        last_failed_at: None,
        created_at: NOW,
        deleted_at: None,
        version: 1,
    }
}

pub(crate) fn visitor(address: &str) -> Visitor {
    Visitor {
        client_ip: Some(address.parse().unwrap()),
        user_agent: "test".to_owned(),
        request_id: "req_1".to_owned(),
    }
}

/// What is written down of what was there before.
pub(crate) fn before() -> AuditDraft {
    AuditDraft::done(Actor::System, "before", NOW)
}

/// Returns the code that an app shows, worked out from the secret that people type into it.
/// Source: <https://www.rfc-editor.org/rfc/rfc6238>
pub(crate) fn app_code(secret: &str, now: Timestamp) -> String {
    let bytes = data_encoding::BASE32_NOPAD
        .decode(secret.as_bytes())
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let step = u64::try_from(now.seconds() / 30).unwrap();
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let cut: [u8; 4] = tag.as_ref()[at..at + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(cut) & 0x7fff_ffff) % 1_000_000)
}
