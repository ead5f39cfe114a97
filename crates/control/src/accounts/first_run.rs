//! The first person: let in by a token that works once. There is no account before.

use std::fmt;

use tollgate_auth::{SecretToken, TokenPurpose};
use tollgate_domain::{
    Actor, AuditDraft, OneTimeToken, Role, Timestamp, TokenPurpose as Kept, User, UserId, UserKind,
};
use tollgate_store::{FirstPerson, StoreError};
use tollgate_validation::{DisplayName, EmailAddress};
use uuid::Uuid;

use super::sessions::Opening;
use super::{AccountError, Accounts, SignedIn, Visitor};
use crate::bootstrap::default_organization;

/// How many users are looked at at once.
const PAGE: u16 = 100;

/// Somebody who is to become a user.
#[derive(Clone, Copy)]
pub struct NewPerson<'a> {
    /// The address.
    pub email: &'a str,
    /// What others call them.
    pub name: &'a str,
    /// The password that they chose.
    pub password: &'a str,
}

impl fmt::Debug for NewPerson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPerson(…)")
    }
}

impl Accounts {
    /// Returns whether the installation waits for its first person.
    ///
    /// # Errors
    /// A store's error.
    pub fn needs_set_up(&self) -> Result<bool, AccountError> {
        let mut after = None;
        loop {
            let page = self.store().list_users(after, PAGE)?;
            if page.iter().any(|user| user.kind == UserKind::Human) {
                return Ok(false);
            }
            match page.last() {
                Some(last) if page.len() == usize::from(PAGE) => after = Some(last.id),
                _ => return Ok(true),
            }
        }
    }

    /// Returns whether nothing is there yet: nobody, and no organization that somebody has a key of.
    ///
    /// # Errors
    /// A store's error.
    pub fn is_empty(&self) -> Result<bool, AccountError> {
        Ok(self.store().list_organizations(None, 1)?.is_empty() && self.needs_set_up()?)
    }

    /// Makes a token that lets the first person in. It works once, for a day; with several, whichever
    /// is used first makes all others void.
    ///
    /// # Errors
    /// `SetUp` when there is somebody already; a store's error.
    pub fn setup_token(&self, now: Timestamp) -> Result<SecretToken, AccountError> {
        if !self.needs_set_up()? {
            return Err(AccountError::SetUp);
        }
        let token = SecretToken::generate(TokenPurpose::Setup)?;
        let kept = OneTimeToken {
            mac: self.parts.pepper.mac(&token),
            purpose: Kept::Setup,
            user_id: None,
            expires_at: now.plus_seconds(self.config.setup_seconds),
            used_at: None,
        };
        let audit = AuditDraft::done(Actor::System, "setup.issue", now);
        self.store().add_one_time_token(&kept, &audit)?;
        Ok(token)
    }

    /// Lets the first person in: they run the installation, own its first organization (`default` when
    /// there is none), and are signed in.
    ///
    /// # Errors
    /// `InvalidToken`; `SetUp` when somebody was faster; `Invalid` or `Password` when an input is not
    /// what it must be, and then the token still works.
    pub fn set_up(
        &self,
        token: &str,
        person: &NewPerson<'_>,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<SignedIn, AccountError> {
        let token = SecretToken::parse(TokenPurpose::Setup, token)?;
        let mac = self.parts.pepper.mac(&token);
        let found = self
            .store()
            .find_one_time_token(&mac, Kept::Setup, now)?
            .ok_or(AccountError::InvalidToken)?;
        if !self.needs_set_up()? {
            return Err(AccountError::SetUp);
        }
        let mut user = self.new_user(UserId::new(Uuid::now_v7()), person, now)?;
        user.is_platform_admin = true;
        let actor = Actor::User(user.id);
        let made = default_organization(now);
        let first = FirstPerson {
            token: &found.mac,
            user: &user,
            organization: &made,
            role: Role::OrgOwner,
            made: &visitor
                .done(actor, "organization.create", now)
                .about(made.id),
            joined: &visitor.done(actor, "member.add", now).about(user.id),
        };
        let audit = visitor.done(actor, "setup.use", now).about(user.id);
        let org = self.store().set_up(&first, now, &audit);
        let org = org.map_err(|error| match error {
            StoreError::Missing { .. } => AccountError::InvalidToken,
            StoreError::Conflict { .. } => AccountError::SetUp,
            error => error.into(),
        })?;
        let opening = Opening {
            org_id: Some(org),
            has_second_factor: false,
            expires_at: None,
        };
        self.open_session(&user, &opening, visitor, now)
    }

    /// Checks what somebody chose. Hashing their password takes tens of milliseconds.
    pub(super) fn new_user(
        &self,
        id: UserId,
        person: &NewPerson<'_>,
        now: Timestamp,
    ) -> Result<User, AccountError> {
        let email = EmailAddress::parse(person.email)
            .map_err(|_| AccountError::Invalid("email is not an address"))?;
        let name = DisplayName::parse(person.name)
            .map_err(|_| AccountError::Invalid("name cannot be a name"))?;
        let context = [email.as_str(), name.as_str()];
        let password = self.parts.rules.check(person.password, &context)?;
        Ok(User {
            id,
            email: Some(email.canonical().to_owned()),
            name: name.into_string(),
            kind: UserKind::Human,
            password_hash: Some(self.parts.hasher.hash(password.expose())?),
            email_verified_at: None,
            totp: None,
            totp_last_step: None,
            recovery_macs: Vec::new(),
            is_platform_admin: false,
            blocked: false,
            failed_sign_ins: 0,
            last_failed_at: None,
            created_at: now,
            deleted_at: None,
            version: 1,
        })
    }
}
