//! Signing in with an address, a password and a second factor.

use tollgate_auth::PasswordCheck;
use tollgate_domain::{Actor, AuditDraft, OrgId, Timestamp, User, UserId, UserKind};
use tollgate_store::StoreError;
use tollgate_validation::EmailAddress;

use super::guard::{Attempt, Wait, network};
use super::sessions::Opening;
use super::{AccountError, Accounts, SESSIONS_MAX, SignedIn, Visitor};

/// What somebody signs in with.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// The address.
    pub email: &'a str,
    /// The password.
    pub password: &'a str,
    /// A code of the authenticator app, or a recovery code.
    pub code: Option<&'a str>,
    /// The token of the session that the browser has already: it ends.
    pub previous: Option<&'a str>,
}

impl std::fmt::Debug for SignIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIn(…)")
    }
}

/// Nobody: what failures of unknown addresses are counted on, so that they take as long.
const NOBODY: UserId = UserId::from_bytes([0; 16]);

impl Accounts {
    /// Signs somebody in: a new session, whatever the browser came with.
    ///
    /// An address that nobody has gets the answer, the time and the delays of a wrong password.
    ///
    /// # Errors
    /// `Refused`; `SecondFactorRequired` when the password is right and a code is missing; `Wait`;
    /// `Hash` when too many passwords are being checked; a store's error.
    pub fn sign_in(
        &self,
        input: &SignIn<'_>,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<SignedIn, AccountError> {
        let email = EmailAddress::parse(input.email);
        let email = email.as_ref().map_or("", EmailAddress::canonical);
        let user = self.store().find_user_by_email(email)?;
        let user = user.filter(|user| user.is_live() && user.kind == UserKind::Human);
        let attempt = self.begin(email, user.as_ref(), visitor, now)?;
        let checked = self.check_all(input, user, visitor, now);
        let (user, has_second_factor) = match checked {
            Ok(found) => found,
            Err((user, AccountError::Refused)) => {
                self.refuse(user, "session.open", visitor, now)?;
                return Err(AccountError::Refused);
            }
            // It says nothing of whether they know what they must.
            Err((_, error)) => {
                self.sign_ins.take_back(&attempt);
                return Err(error);
            }
        };
        self.sign_ins.succeed(&attempt);
        if user.failed_sign_ins > 0 {
            self.store().clear_failed_sign_ins(user.id)?;
        }
        if let Some(previous) = input.previous {
            self.sign_out(previous, visitor, now)?;
        }
        let opening = Opening {
            org_id: self.first_organization(user.id)?,
            has_second_factor,
            expires_at: None,
        };
        self.open_session(&user, &opening, visitor, now)
    }

    /// Counts an attempt, or says how long to wait. Who has a session from the same place does not wait
    /// for what others do from elsewhere.
    pub(super) fn begin(
        &self,
        email: &str,
        user: Option<&User>,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<Attempt, AccountError> {
        let begin = |is_own| self.sign_ins.begin(email, visitor.client_ip, is_own, now);
        match begin(false) {
            Ok(attempt) => Ok(attempt),
            Err(Wait::Here(wait)) => Err(AccountError::Wait(wait)),
            Err(Wait::Strangers(wait)) if self.is_known_place(user, visitor, now)? => {
                begin(true).map_err(|_| AccountError::Wait(wait))
            }
            Err(Wait::Strangers(wait)) => Err(AccountError::Wait(wait)),
        }
    }

    fn is_known_place(
        &self,
        user: Option<&User>,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<bool, AccountError> {
        let (Some(user), Some(here)) = (user, visitor.client_ip) else {
            return Ok(false);
        };
        let sessions = self.store().list_sessions(user.id, None, SESSIONS_MAX)?;
        let is_here = |ip| network(ip) == network(here);
        Ok(sessions
            .iter()
            .any(|session| session.is_live(now) && session.client_ip.is_some_and(is_here)))
    }

    /// Checks the password and then the second factor, and hashes a password anew that is kept with old
    /// settings. With an error comes whom it is about.
    fn check_all(
        &self,
        input: &SignIn<'_>,
        user: Option<User>,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(User, bool), (Option<UserId>, AccountError)> {
        let id = user.as_ref().map(|user| user.id);
        let stored = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let checked = self.parts.hasher.check(input.password, stored);
        let needs_rehash = match checked.map_err(|error| (id, error.into()))? {
            PasswordCheck::Right { needs_rehash } => needs_rehash,
            PasswordCheck::Wrong => return Err((id, AccountError::Refused)),
        };
        let user = user.ok_or((id, AccountError::Refused))?;
        let has_second_factor = self
            .check_second_factor(&user, input.code, visitor, now)
            .map_err(|error| (id, error))?;
        if needs_rehash {
            self.rehash(&user, input.password, now)
                .map_err(|error| (id, error))?;
        }
        Ok((user, has_second_factor))
    }

    /// Writes down that somebody was refused: as much work for those who are known as for others.
    pub(super) fn refuse(
        &self,
        user: Option<UserId>,
        action: &'static str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        self.store()
            .count_failed_sign_in(user.unwrap_or(NOBODY), now)?;
        let mut audit = visitor.denied(action, "sign_in_refused", now);
        if let Some(user) = user {
            audit = audit.about(user);
        }
        self.store().record_audit(&audit)?;
        Ok(())
    }

    fn rehash(&self, user: &User, password: &str, now: Timestamp) -> Result<(), AccountError> {
        let changed = User {
            password_hash: Some(self.parts.hasher.hash(password)?),
            ..user.clone()
        };
        let audit = AuditDraft::done(Actor::System, "user.rehash", now);
        match self.store().update_user(&changed, &audit.about(user.id)) {
            // Somebody changed them meanwhile: the next sign-in does it.
            Ok(_) | Err(StoreError::Outdated { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn first_organization(&self, user: UserId) -> Result<Option<OrgId>, AccountError> {
        let places = self.store().list_memberships_of(user)?;
        Ok(places.first().map(|place| place.org_id))
    }
}
