//! Links in letters: to choose a new password, and to prove an address.

use tollgate_auth::{SecretToken, TokenPurpose};
use tollgate_domain::{
    Actor, AuditDraft, OneTimeToken, Timestamp, TokenPurpose as Kept, User, UserId, UserKind,
};
use tollgate_store::StoreError;
use tollgate_validation::EmailAddress;

use super::guard::Wait;
use super::{AccountError, Accounts, Current, Letter, Visitor};

/// How often a change is made again when somebody changed the user meanwhile.
const CHANGES_MAX: usize = 3;

impl Accounts {
    /// Sends somebody the link that lets them choose a new password. The answer is the same whoever
    /// asks for whatever address, and also when too many have asked and none is sent.
    ///
    /// # Errors
    /// A store's error.
    pub fn request_reset(
        &self,
        email: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let email = EmailAddress::parse(email);
        let email = email.as_ref().map_or("", EmailAddress::canonical);
        let asked = self.letters.begin(email, visitor.client_ip, false, now);
        if asked.is_err() {
            return Ok(());
        }
        let user = self.store().find_user_by_email(email)?;
        let user = user.filter(|user| user.is_live() && user.kind == UserKind::Human);
        let Some(user) = user else {
            // One entry is written either way, so that both take as long.
            let audit = visitor.denied("user.reset_request", "unknown_address", now);
            self.store().record_audit(&audit)?;
            return Ok(());
        };
        let token = SecretToken::generate(TokenPurpose::PasswordReset)?;
        let seconds = self.config.reset_seconds;
        let kept = self.kept(&token, Kept::PasswordReset, user.id, seconds, now);
        let audit = visitor.done(Actor::Anonymous, "user.reset_request", now);
        self.store()
            .add_one_time_token(&kept, &audit.about(user.id))?;
        let to = email.to_owned();
        self.parts.outbox.post(Letter::PasswordReset { to, token });
        Ok(())
    }

    /// Sets the password of whoever has the token of a letter. All of their sessions end, and so do the
    /// links in other letters; they sign in anew, with their second factor if they have one.
    ///
    /// # Errors
    /// `InvalidToken`; `Password` when the new password may not be chosen, or a store's error: then the
    /// token still works.
    pub fn reset_password(
        &self,
        token: &str,
        new: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let token = SecretToken::parse(TokenPurpose::PasswordReset, token)?;
        let mac = self.parts.pepper.mac(&token);
        let found = self
            .store()
            .find_one_time_token(&mac, Kept::PasswordReset, now)?;
        let user = self.owner(found)?;
        let new = self.parts.rules.check(new, &Self::context(&user))?;
        let hash = self.parts.hasher.hash(new.expose())?;
        let audit = visitor.done(Actor::User(user.id), "user.password_reset", now);
        let reset = self
            .store()
            .reset_password(&mac, &hash, now, &audit.about(user.id));
        reset.map(drop).map_err(|error| match error {
            StoreError::Missing { .. } => AccountError::InvalidToken,
            error => error.into(),
        })
    }

    /// Sends whoever asks the link that proves that their address is theirs; none when it is proven.
    ///
    /// # Errors
    /// `Wait` when too many were sent; a store's error.
    pub fn request_verification(
        &self,
        current: &Current,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let user = current.user();
        let (None, Some(to)) = (user.email_verified_at, user.email.clone()) else {
            return Ok(());
        };
        let asked = self.letters.begin(&to, visitor.client_ip, false, now);
        let counted = asked.map_err(|wait| match wait {
            Wait::Here(wait) | Wait::Strangers(wait) => AccountError::Wait(wait),
        })?;
        drop(counted);
        let token = SecretToken::generate(TokenPurpose::EmailVerification)?;
        let seconds = self.config.verify_seconds;
        let kept = self.kept(&token, Kept::EmailVerify, user.id, seconds, now);
        let audit = visitor.done(current.actor(), "user.verify_request", now);
        self.store()
            .add_one_time_token(&kept, &audit.about(user.id))?;
        self.parts
            .outbox
            .post(Letter::EmailVerification { to, token });
        Ok(())
    }

    /// Notes that whoever has the token of a letter reads their address.
    ///
    /// # Errors
    /// `InvalidToken`; a store's error, after which a new letter is needed.
    pub fn verify_email(
        &self,
        token: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let token = SecretToken::parse(TokenPurpose::EmailVerification, token)?;
        let mac = self.parts.pepper.mac(&token);
        let audit = visitor.done(Actor::Anonymous, "token.use", now);
        let used = self
            .store()
            .use_one_time_token(&mac, Kept::EmailVerify, now, &audit)?;
        let user = self.owner(used)?;
        let set = |user: User| User {
            email_verified_at: Some(now),
            ..user
        };
        let audit = visitor.done(Actor::User(user.id), "user.verify_email", now);
        self.change_user(user.id, set, &audit.about(user.id))
    }

    fn kept(
        &self,
        token: &SecretToken,
        purpose: Kept,
        user: UserId,
        seconds: i64,
        now: Timestamp,
    ) -> OneTimeToken {
        OneTimeToken {
            mac: self.parts.pepper.mac(token),
            purpose,
            user_id: Some(user),
            expires_at: now.plus_seconds(seconds),
            used_at: None,
        }
    }

    /// Returns whose token it is, if they may still do anything.
    fn owner(&self, token: Option<OneTimeToken>) -> Result<User, AccountError> {
        let id = token.and_then(|token| token.user_id);
        let id = id.ok_or(AccountError::InvalidToken)?;
        let user = self.store().find_user(id)?.filter(User::is_live);
        user.ok_or(AccountError::InvalidToken)
    }

    /// Changes a user, and again when somebody else did meanwhile.
    fn change_user(
        &self,
        id: UserId,
        set: impl Fn(User) -> User,
        audit: &AuditDraft,
    ) -> Result<(), AccountError> {
        let mut left = CHANGES_MAX;
        loop {
            let user = self.store().find_user(id)?.filter(User::is_live);
            let user = user.ok_or(AccountError::InvalidToken)?;
            left -= 1;
            match self.store().update_user(&set(user), audit) {
                Err(StoreError::Outdated { .. }) if left > 0 => {}
                done => return Ok(done.map(drop)?),
            }
        }
    }
}
